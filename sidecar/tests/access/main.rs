//! `sidecar.tcp_access` from outside: real sockets, certificates made by the test, no model.

mod harness;
mod pki;
mod start;
mod tls;
mod token;
