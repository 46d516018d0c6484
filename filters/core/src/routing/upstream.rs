//! A request that goes upstream: what is changed in it, and what is kept for its answer.

use super::capture::Capture;
use super::changes::Edited;
use super::explain::Outcome;
use super::lead::Lead;
use super::lookup::Lookup;
use super::mask::mask;
use super::route::Route;
use super::router::Router;
use super::signals::Signals;
use super::stream::RouterStream;
use super::work::Work;
use crate::host::{Flow, Host, HostError, refuse, replace_body};
use crate::output::{OutputPlan, OutputStream};
use crate::record::Cache;
use crate::reply::Fault;
use crate::request::{Edits, Endpoint};

impl<S: Signals> RouterStream<S> {
    /// Not answered from the cache: the answer that comes is kept.
    pub(super) fn keep(
        &mut self,
        lookup: Option<Lookup>,
        lead: Option<Lead>,
        route: &Route,
        category: &str,
    ) {
        if let Some(lookup) = lookup.filter(|_| route.cache.enabled) {
            self.record.cache = Cache::Miss;
            self.capture = Some(Capture::new(
                lookup,
                &route.model,
                &route.decision,
                category,
                lead,
            ));
        }
    }

    /// Sends the request upstream.
    pub(super) fn go(
        &mut self,
        router: &Router<S>,
        host: &mut impl Host,
        work: &Work,
        route: &Route,
        category: &str,
    ) -> Flow {
        let Work {
            endpoint,
            request,
            body,
            ..
        } = work;
        let mut edits = Edits::default();
        let now = host.now_us() / 1_000_000;
        let edited =
            route
                .changes
                .edit(&mut edits, *endpoint, request, body, now, work.is_uncertain);
        if self.explains {
            self.record_edited(route, category, edited);
            return self.explain(router, host, work, Outcome::Upstream(route));
        }
        let restore = mask(&mut edits, work, route);
        let usage_requested = router.has_meter && edits.ask_for_usage(*endpoint, request);
        if !edits.is_empty() && replace_body(host, &edits.apply(request, body)).is_err() {
            return refuse(host, &Fault::Internal("the body could not be replaced"));
        }
        if usage_requested {
            self.record.usage_requested = true;
        }
        if host
            .set_request_header("x-selected-model", route.model.as_bytes())
            .is_err()
        {
            return refuse(host, &Fault::Internal("the model header could not be set"));
        }
        let plan = OutputPlan {
            guard: route.output.clone(),
            restore,
        };
        let headers = route.changes.set_headers(host);
        if headers
            .and_then(|()| self.plan_output(host, *endpoint, plan))
            .is_err()
        {
            return refuse(host, &Fault::Internal("a header could not be set"));
        }
        self.record_edited(route, category, edited);
        self.tell_why(router, work, route, Vec::new());
        if router.latencies.times(&route.model) {
            self.sent_us = Some(host.now_us());
        }
        Flow::Continue
    }

    /// Says what is to be done to the answer of the model, before the request goes upstream: an answer that is read must not come
    /// compressed, and one in which placeholders are put back is nobody else's.
    ///
    /// # Errors
    /// The request must then not go upstream.
    pub(super) fn plan_output(
        &mut self,
        host: &mut impl Host,
        endpoint: Endpoint,
        plan: OutputPlan,
    ) -> Result<(), HostError> {
        if !plan.is_empty() {
            host.set_request_header("accept-encoding", b"identity")?;
        }
        if !plan.restore.is_empty() {
            self.capture = None;
        }
        self.output = OutputStream::new(endpoint, plan);
        Ok(())
    }

    pub(super) fn record_route(&mut self, route: &Route, category: &str) {
        self.record.model = route.model.clone().into();
        self.record.decision = route.decision.clone().into();
        self.record.category = category.to_owned().into();
        self.record.reasoning = route.reasoning;
    }

    fn record_edited(&mut self, route: &Route, category: &str, edited: Edited) {
        self.record_route(route, category);
        self.record.reasoning = edited.reasoning;
        self.record.system_prompt = edited.system_prompt;
    }
}
