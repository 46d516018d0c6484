//! `turnpike_router.wasm`: what a request wants and where it goes. All rules are in [`turnpike_core::routing`].

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation
    )
)]
#![expect(
    missing_docs,
    reason = "the SDK's `main!` defines an export without documentation"
)]

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};
use turnpike_classify::Classifier;
use turnpike_core::Config;
use turnpike_core::config::FilterConfig;
use turnpike_core::host::Flow;
use turnpike_core::routing::{Router, RouterStream};
use turnpike_shell::{
    Counters, Outbox, SidecarRoute, WasmHost, call_answer, configuration, tick_every, within,
};

/// How often answers for the cache are sent; until then a repeated question misses.
const STORE_PERIOD: Duration = Duration::from_millis(20);

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|context| Box::new(Root { context, ..Root::default() }));
}}

#[derive(Default)]
struct Root {
    context: u32,
    router: Option<Rc<Router<Classifier>>>,
    sidecar_timeout: Duration,
    /// Between ticks when no request waits to be read on.
    period: Duration,
    counters: Rc<Counters>,
    outbox: Rc<Outbox>,
    waiting: Rc<Waiting>,
    /// Calls to the sidecar that were sent during a tick: their answers come to this context.
    calls: HashMap<u32, Entry>,
}

/// Requests that wait to be read on.
#[derive(Default)]
struct Waiting(RefCell<VecDeque<Entry>>);

impl Waiting {
    fn put(&self, entry: Entry) {
        if let Ok(mut waiting) = self.0.try_borrow_mut() {
            waiting.push_back(entry);
        }
    }

    fn take(&self) -> VecDeque<Entry> {
        self.0
            .try_borrow_mut()
            .map(|mut waiting| std::mem::take(&mut *waiting))
            .unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.0.try_borrow().is_ok_and(|waiting| waiting.is_empty())
    }
}

/// A stream, and its context.
struct Entry {
    context: u32,
    state: Weak<RefCell<State>>,
}

/// What the callbacks of a stream and the ticks share.
struct State {
    router: Rc<Router<Classifier>>,
    host: WasmHost,
    stream: RouterStream<Classifier>,
}

impl Root {
    fn compile(&mut self, config: &Config, filters: &[String]) -> bool {
        let classifier = match Classifier::compile(config) {
            Ok(classifier) => classifier,
            Err(error) => {
                log::error!("filter=router config error: {error}");
                return false;
            }
        };
        if config.semantic_cache.enabled {
            self.period = STORE_PERIOD;
        }
        if !tick_every(self.period) {
            log::error!("filter=router no tick, answers would never be stored");
            return false;
        }
        self.sidecar_timeout = Duration::from_millis(config.sidecar.timeout_ms.into());
        self.router = Some(Rc::new(Router::compile(config, filters, classifier)));
        true
    }

    /// Gives each waiting request a slice of time.
    fn read_on(&mut self) {
        for entry in self.waiting.take() {
            let Some(state) = entry.state.upgrade() else {
                continue;
            };
            let (mut later, mut call) = (false, None);
            within(entry.context, self.context, || {
                if let Ok(mut state) = state.try_borrow_mut() {
                    let State {
                        router,
                        host,
                        stream,
                    } = &mut *state;
                    stream.on_slice(router, host);
                    (later, call) = (host.take_later(), host.take_call());
                }
            });
            if let Some(call) = call {
                self.calls.retain(|_, entry| entry.state.strong_count() > 0);
                self.calls.insert(call, entry);
            } else if later {
                self.waiting.put(entry);
            }
        }
    }
}

impl Context for Root {
    fn on_http_call_response(
        &mut self,
        token: u32,
        num_headers: usize,
        body_size: usize,
        _num_trailers: usize,
    ) {
        match self.calls.remove(&token) {
            Some(entry) => {
                let Some(state) = entry.state.upgrade() else {
                    return;
                };
                let mut call = None;
                within(entry.context, self.context, || {
                    if let Ok(mut state) = state.try_borrow_mut() {
                        state.answered(num_headers, body_size);
                        call = state.host.take_call();
                    }
                });
                if let Some(call) = call {
                    self.calls.insert(call, entry);
                }
            }
            None => {
                let (status, _) = call_answer(num_headers, body_size.min(1));
                self.outbox.answered(&self.counters, token, status);
            }
        }
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        configuration("router", size, FilterConfig::read)
            .is_some_and(|(filters, config)| self.compile(&config, &filters))
    }

    fn on_tick(&mut self) {
        self.outbox.send(&self.counters);
        if let Some(router) = &self.router {
            self.outbox.release(router.take_releases());
        }
        self.read_on();
        if self.waiting.is_empty() && !tick_every(self.period) {
            log::warn!("filter=router ticks go on");
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        let sidecar = SidecarRoute {
            timeout: self.sidecar_timeout,
            outbox: Rc::clone(&self.outbox),
        };
        Some(Box::new(Stream {
            context,
            waiting: Rc::clone(&self.waiting),
            state: Rc::new(RefCell::new(State {
                router: Rc::clone(self.router.as_ref()?),
                host: WasmHost::new(Rc::clone(&self.counters), Some(sidecar)),
                stream: RouterStream::default(),
            })),
        }))
    }
}

struct Stream {
    context: u32,
    waiting: Rc<Waiting>,
    state: Rc<RefCell<State>>,
}

impl State {
    fn answered(&mut self, num_headers: usize, body_size: usize) {
        let (status, body) = call_answer(num_headers, body_size);
        self.stream
            .on_sidecar_answer(&self.router, &mut self.host, status, &body);
    }
}

impl Stream {
    /// Runs a callback, and waits for a tick if it asks for one. The state is free: no callback runs within another.
    fn with(&self, callback: impl FnOnce(&mut State) -> Flow) -> Action {
        let Ok(mut state) = self.state.try_borrow_mut() else {
            return Action::Pause;
        };
        let flow = callback(&mut state);
        state.host.take_call();
        if state.host.take_later() {
            self.waiting.put(Entry {
                context: self.context,
                state: Rc::downgrade(&self.state),
            });
        }
        action(flow)
    }
}

impl Context for Stream {
    fn on_http_call_response(
        &mut self,
        _token: u32,
        num_headers: usize,
        body_size: usize,
        _num_trailers: usize,
    ) {
        self.with(|state| {
            state.answered(num_headers, body_size);
            Flow::Continue
        });
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _num_headers: usize, end_of_stream: bool) -> Action {
        self.with(|s| {
            s.stream
                .on_request_headers(&s.router, &mut s.host, end_of_stream)
        })
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.with(|s| {
            if end_of_stream {
                s.stream.on_request_body(&s.router, &mut s.host)
            } else {
                s.stream.on_request_chunk(&s.router, &mut s.host, size)
            }
        })
    }

    fn on_http_request_trailers(&mut self, _num_trailers: usize) -> Action {
        self.with(|s| s.stream.on_request_body(&s.router, &mut s.host))
    }

    fn on_http_response_headers(&mut self, _num_headers: usize, end_of_stream: bool) -> Action {
        self.with(|s| {
            s.stream
                .on_response_headers(&s.router, &mut s.host, end_of_stream)
        })
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.with(|s| {
            s.stream
                .on_response_body(&s.router, &mut s.host, size, end_of_stream)
        })
    }

    fn on_http_response_trailers(&mut self, _num_trailers: usize) -> Action {
        self.with(|s| {
            s.stream.on_response_trailers(&s.router, &mut s.host);
            Flow::Continue
        })
    }
}

fn action(flow: Flow) -> Action {
    match flow {
        Flow::Continue => Action::Continue,
        Flow::Pause => Action::Pause,
    }
}
