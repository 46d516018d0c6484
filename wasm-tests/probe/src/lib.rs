//! `turnpike_probe.wasm`: answers every request with what the classifier finds in its body, so that a test can compare the
//! numbers inside Envoy with those outside.

#![expect(
    missing_docs,
    reason = "the SDK's `main!` defines an export without documentation"
)]

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};
use serde_json::{Map, Value, json};
use turnpike_classify::Classifier;
use turnpike_core::Config;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root(None)));
}}

struct Root(Option<Rc<Classifier>>);

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        self.0 = Classifier::compile(&Config::default()).ok().map(Rc::new);
        self.0.is_some()
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream(self.0.clone()?)))
    }
}

struct Stream(Rc<Classifier>);

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        Action::Pause
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if end_of_stream {
            let body = self.get_http_request_body(0, size).unwrap_or_default();
            let found = found(&self.0, &String::from_utf8_lossy(&body)).to_string();
            self.send_http_response(200, Vec::new(), Some(found.as_bytes()));
        }
        Action::Pause
    }
}

fn found(classifier: &Classifier, text: &str) -> Value {
    let model = classifier.model();
    let scores = model.classify(text);
    let heads = model.heads().iter().enumerate();
    let heads: Map<String, Value> = heads
        .map(|(at, head)| (head.name.clone(), scores.of(at).into()))
        .collect();
    let pii: Vec<Value> = classifier
        .personal_data(text)
        .iter()
        .map(|f| json!({"type": f.kind.name(), "start": f.start, "end": f.end, "score": f.score}))
        .collect();
    json!({"scores": heads, "found": pii})
}
