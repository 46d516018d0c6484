//! Tests of the real thing: Envoy with the real filters, the real sidecar, and an LLM server that does as it is told.
//!
//! - [`standin`]: the LLM stand-in. Also the binary `llm-stand-in`.
//! - [`harness`]: starts and stops a whole gateway, sends requests as a client would, reads its metrics and access log.
//!
//! `make demo`, `make up` and `make down` are the binary `turnpike-demo` over the same harness.

pub mod harness;
pub mod standin;
