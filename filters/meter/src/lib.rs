//! `turnpike_meter.wasm`: identity, metering, response headers. All rules are in [`turnpike_core::metering`].

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

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};
use turnpike_core::config::FilterConfig;
use turnpike_core::host::Flow;
use turnpike_core::metering::{Meter, MeterStream};
use turnpike_shell::{Counters, WasmHost, configuration};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

#[derive(Default)]
struct Root {
    meter: Option<Rc<Meter>>,
    counters: Rc<Counters>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let mut host = WasmHost::new(Rc::clone(&self.counters), None);
        self.meter = configuration("meter", size, FilterConfig::read_for_meter)
            .map(|(filters, config)| Rc::new(Meter::compile(&config, &filters, &mut host)));
        self.meter.is_some()
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream {
            meter: Rc::clone(self.meter.as_ref()?),
            host: WasmHost::new(Rc::clone(&self.counters), None),
            stream: MeterStream::default(),
        }))
    }
}

struct Stream {
    meter: Rc<Meter>,
    host: WasmHost,
    stream: MeterStream,
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _num_headers: usize, end_of_stream: bool) -> Action {
        action(
            self.stream
                .on_request_headers(&self.meter, &mut self.host, end_of_stream),
        )
    }

    fn on_http_request_body(&mut self, _size: usize, end_of_stream: bool) -> Action {
        action(if end_of_stream {
            self.stream.on_request_body(&self.meter, &mut self.host)
        } else {
            self.stream.on_request_chunk(&self.meter)
        })
    }

    fn on_http_request_trailers(&mut self, _num_trailers: usize) -> Action {
        action(self.stream.on_request_body(&self.meter, &mut self.host))
    }

    fn on_http_response_headers(&mut self, _num_headers: usize, end_of_stream: bool) -> Action {
        self.stream
            .on_response_headers(&self.meter, &mut self.host, end_of_stream);
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.stream
            .on_response_body(&mut self.host, size, end_of_stream);
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _num_trailers: usize) -> Action {
        self.stream.on_response_trailers();
        Action::Continue
    }

    fn on_log(&mut self) {
        self.stream.on_log(&self.meter, &mut self.host);
    }
}

fn action(flow: Flow) -> Action {
    match flow {
        Flow::Continue => Action::Continue,
        Flow::Pause => Action::Pause,
    }
}
