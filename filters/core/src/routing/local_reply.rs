//! Answers without a model: a guard's, where a request may not pass, and a decision's own.

use std::rc::Rc;

use super::explain::Outcome;
use super::route::Route;
use super::router::Router;
use super::signals::Signals;
use super::stream::RouterStream;
use super::work::Work;
use crate::config::BlockResponse;
use crate::guard::{self, Block, Finish};
use crate::host::{Flow, Host, refuse};
use crate::metrics::Metric;
use crate::reply::Fault;
use crate::state;

impl<S: Signals> RouterStream<S> {
    /// The route by which a request may go that guards have read; what was done where it may not go, or need not.
    pub(super) fn admit(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        work: &Work,
        route: Rc<Route>,
        category: &str,
    ) -> Result<Rc<Route>, Flow> {
        let route = match &route.elsewhere {
            Some(elsewhere) if route.policy.moves(&work.findings) => Rc::clone(elsewhere),
            _ => route,
        };
        if let Some(block) = route.policy.judge(&work.findings) {
            return Err(self.block(router, host, work, &route, category, block));
        }
        if let Some(text) = &route.answer {
            return Err(self.answer(router, host, work, &route, category, text));
        }
        Ok(route)
    }

    /// Answers with the text of a decision.
    fn answer(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        work: &Work,
        route: &Route,
        category: &str,
        text: &str,
    ) -> Flow {
        let Work {
            endpoint, request, ..
        } = work;
        let now = host.now_us() / 1_000_000;
        let model = &route.model;
        let Some(reply) =
            guard::answered(*endpoint, request.stream, model, text, Finish::Stop, now)
        else {
            return refuse(host, &Fault::NoAnswer);
        };
        self.record_route(route, category);
        self.record.reasoning = false;
        if self.explains {
            return self.explain(router, host, work, Outcome::Answered(route));
        }
        // No model worked.
        self.record.blocked = true;
        let header = ("x-vsr-fast-response".to_owned(), "true".to_owned());
        self.tell_why(router, work, route, vec![header]);
        host.reply(reply);
        Flow::Pause
    }

    /// Answers in place of a model.
    fn block(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        work: &Work,
        route: &Route,
        category: &str,
        block: Block,
    ) -> Flow {
        self.record.decision = route.decision.clone().into();
        self.record.category = category.to_owned().into();
        self.record.blocked = true;
        self.record.jailbreak = block == Block::Jailbreak;
        if self.explains {
            return self.explain(router, host, work, Outcome::Blocked(block.code(), route));
        }
        self.tell_why(router, work, route, Vec::new());
        let Work {
            endpoint, request, ..
        } = work;
        let now = host.now_us() / 1_000_000;
        let reply = match router.guards.block_response {
            BlockResponse::Completion => {
                guard::blocked(*endpoint, request.stream, &request.model, &block, now)
            }
            BlockResponse::Error => None,
        };
        match reply {
            Some(reply) => {
                host.count(Metric::Errors, &[block.code()], 1);
                host.set_filter_state(state::BLOCK, block.code().as_bytes());
                host.reply(reply);
                Flow::Pause
            }
            None => refuse(host, &Fault::Blocked(block)),
        }
    }
}
