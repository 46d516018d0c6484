//! The cache's stores behind their trait: what holds for both, and what holds for Redis alone, on a real one.
//!
//! The server is looked for in `TURNPIKE_REDIS_SERVER`, else where `make setup` puts it. Each test starts its own.

mod access;
mod behaviour;
mod cluster;
mod entries;
mod loss;
mod model;
mod server;
mod shared;
