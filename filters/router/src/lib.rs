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

use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};
use turnpike_classify::keywords::Keywords;
use turnpike_core::Config;
use turnpike_core::host::Flow;
use turnpike_core::routing::{Router, RouterStream};
use turnpike_shell::{
    Counters, Outbox, SidecarRoute, WasmHost, call_answer, configuration, tick_every,
};

/// How often answers for the cache are sent; until then a repeated question misses.
const STORE_PERIOD: Duration = Duration::from_millis(20);

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

#[derive(Default)]
struct Root {
    router: Option<Rc<Router<Keywords>>>,
    sidecar_timeout: Duration,
    counters: Rc<Counters>,
    outbox: Rc<Outbox>,
}

impl Root {
    fn compile(&mut self, config: &Config, filters: &[String]) -> bool {
        let keywords = match Keywords::compile(&config.keyword_rules) {
            Ok(keywords) => keywords,
            Err(error) => {
                log::error!("filter=router config error: keyword_rules: {error}");
                return false;
            }
        };
        if config.semantic_cache.enabled && !tick_every(STORE_PERIOD) {
            log::error!("filter=router no tick, answers would never be stored");
            return false;
        }
        self.sidecar_timeout = Duration::from_millis(config.sidecar.timeout_ms.into());
        self.router = Some(Rc::new(Router::compile(config, filters, keywords)));
        true
    }
}

impl Context for Root {
    fn on_http_call_response(
        &mut self,
        _token: u32,
        num_headers: usize,
        body_size: usize,
        _num_trailers: usize,
    ) {
        let (status, _) = call_answer(num_headers, body_size.min(1));
        self.outbox.answered(&self.counters, status);
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        configuration("router", size)
            .is_some_and(|(filters, config)| self.compile(&config, &filters))
    }

    fn on_tick(&mut self) {
        self.outbox.send(&self.counters);
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        let sidecar = SidecarRoute {
            timeout: self.sidecar_timeout,
            outbox: Rc::clone(&self.outbox),
        };
        Some(Box::new(Stream {
            router: Rc::clone(self.router.as_ref()?),
            host: WasmHost::new(Rc::clone(&self.counters), Some(sidecar)),
            stream: RouterStream::default(),
        }))
    }
}

struct Stream {
    router: Rc<Router<Keywords>>,
    host: WasmHost,
    stream: RouterStream,
}

impl Context for Stream {
    fn on_http_call_response(
        &mut self,
        _token: u32,
        num_headers: usize,
        body_size: usize,
        _num_trailers: usize,
    ) {
        let (status, body) = call_answer(num_headers, body_size);
        self.stream
            .on_sidecar_answer(&self.router, &mut self.host, status, &body);
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _num_headers: usize, end_of_stream: bool) -> Action {
        action(
            self.stream
                .on_request_headers(&self.router, &mut self.host, end_of_stream),
        )
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        action(if end_of_stream {
            self.stream.on_request_body(&self.router, &mut self.host)
        } else {
            self.stream
                .on_request_chunk(&self.router, &mut self.host, size)
        })
    }

    fn on_http_request_trailers(&mut self, _num_trailers: usize) -> Action {
        action(self.stream.on_request_body(&self.router, &mut self.host))
    }

    fn on_http_response_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        self.stream
            .on_response_headers(&self.router, &mut self.host);
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.stream
            .on_response_body(&self.router, &mut self.host, size, end_of_stream);
        Action::Continue
    }
}

fn action(flow: Flow) -> Action {
    match flow {
        Flow::Continue => Action::Continue,
        Flow::Pause => Action::Pause,
    }
}
