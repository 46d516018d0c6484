//! Any body is a request or a mistake; its texts can be read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use turnpike_core::request::{Endpoint, Request};

fuzz_target!(|body: &[u8]| {
    for endpoint in [Endpoint::ChatCompletions, Endpoint::Completions, Endpoint::Responses, Endpoint::Messages, Endpoint::Embeddings] {
        if let Ok(request) = Request::parse(endpoint, body) {
            for message in &request.messages {
                let _ = message.text(body);
            }
            let _ = request.routing_text(body);
        }
    }
});
