//! The sidecar from outside: real MiniLM, real sockets.
//!
//! The model is looked for in `TURNPIKE_MODEL_DIR` and `ORT_DYLIB_PATH`, else where `make setup` puts it. A fake encoder
//! stands in only where the model has to wait or fail.

mod analyze;
mod api;
mod binary;
mod cache;
mod classify;
mod embeddings;
mod fuzz;
mod harness;
mod hub;
mod lifecycle;
mod llm;
mod overload;
mod pairs;
#[expect(dead_code, reason = "the tests of the stores use all of it")]
#[path = "../shared_store/server.rs"]
mod redis_server;
mod reference;
mod refusals;
mod reload;
mod second_opinion;
mod shared_cache;
mod word_pieces;
