//! What the policy needs from the proxy. The shells implement it over proxy-wasm; tests over plain memory.

use std::fmt;

use crate::metrics::Metric;
use crate::sidecar::StoreRequest;

/// A host call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostError;

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host refused the call")
    }
}

impl std::error::Error for HostError {}

/// Whether the request or response goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// To the next filter.
    Continue,
    /// Held until [`Host::resume_request`] or a local reply.
    Pause,
}

/// An answer made by the filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalReply {
    /// HTTP status.
    pub status: u16,
    /// Headers; `content-type: application/json` unless there is one among them.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// The proxy, during one stream.
///
/// Getters give `None` or nothing when the host has nothing to give; the shell counts host errors in
/// [`Metric::HostErrors`]. Calls whose failure must change what happens return a `Result`.
pub trait Host {
    /// All request headers, pseudo headers and repeated ones included.
    fn request_headers(&mut self) -> Headers;
    /// Sets a request header.
    ///
    /// # Errors
    /// The request must then not go upstream as if it were set.
    fn set_request_header(&mut self, name: &str, value: &[u8]) -> Result<(), HostError>;
    /// Adds a value of a request header.
    ///
    /// # Errors
    /// The request must then not go upstream as if it were there.
    fn add_request_header(&mut self, name: &str, value: &[u8]) -> Result<(), HostError>;
    /// Removes a request header, all its values.
    ///
    /// # Errors
    /// The request must then not go upstream as if it were gone.
    fn remove_request_header(&mut self, name: &[u8]) -> Result<(), HostError>;
    /// The whole held request body.
    fn request_body(&mut self) -> Vec<u8>;
    /// Replaces the whole held request body.
    ///
    /// # Errors
    /// The request must then not go upstream.
    fn replace_request_body(&mut self, body: &[u8]) -> Result<(), HostError>;
    /// Lets a held request go.
    fn resume_request(&mut self);
    /// Asks for a call of [`RouterStream::on_slice`](crate::routing::RouterStream::on_slice) when other work had its turn.
    ///
    /// # Errors
    /// No call will come.
    fn call_later(&mut self) -> Result<(), HostError>;
    /// All response headers.
    fn response_headers(&mut self) -> Headers;
    /// Sets a response header.
    fn set_response_header(&mut self, name: &str, value: &[u8]);
    /// Removes a response header, all its values.
    ///
    /// # Errors
    /// The response must then not pass as if it were gone.
    fn remove_response_header(&mut self, name: &[u8]) -> Result<(), HostError>;
    /// `size` bytes from the offset `from` of what is passing of the response body: a chunk, behind what is held.
    fn response_chunk(&mut self, from: usize, size: usize) -> Vec<u8>;
    /// Sends other bytes instead of the first `size` that are passing or held.
    fn replace_response_chunk(&mut self, size: usize, bytes: &[u8]);
    /// A value that this or another filter of the stream published.
    fn filter_state(&mut self, key: &str) -> Option<Vec<u8>>;
    /// A value by its path among the attributes of the proxy: `filter_state`, `metadata` …
    fn property(&mut self, path: &[&str]) -> Option<Vec<u8>>;
    /// Publishes a value to other filters and the access log.
    fn set_filter_state(&mut self, key: &str, value: &[u8]);
    /// Posts `body` to a path of the sidecar; the answer comes later, and may take `wait_ms` longer than usual.
    ///
    /// # Errors
    /// No answer will come.
    fn ask_sidecar(&mut self, path: &str, body: &[u8], wait_ms: u32) -> Result<(), HostError>;
    /// Hands an answer to the cache; outlives the stream.
    ///
    /// # Errors
    /// There is no room for it.
    fn store(&mut self, entry: StoreRequest) -> Result<(), HostError>;
    /// Answers the request here.
    fn reply(&mut self, reply: LocalReply);
    /// Adds to a counter; `by` is above 0.
    fn count(&mut self, metric: Metric, labels: &[&str], by: u64);
    /// Records a value of a histogram, in the unit of its name.
    fn record(&mut self, metric: Metric, labels: &[&str], value: u64);
    /// A value shared by all workers, and its version.
    fn shared(&mut self, key: &str) -> Option<(Vec<u8>, u32)>;
    /// Sets a shared value, if its version is still `version`; 0 sets it in any case.
    ///
    /// # Errors
    /// Another worker was faster, or the host failed.
    fn set_shared(&mut self, key: &str, value: &[u8], version: u32) -> Result<(), HostError>;
    /// Writes a warning to the proxy's log.
    fn warn(&mut self, message: &str);
    /// Time in microseconds since the Unix epoch.
    fn now_us(&mut self) -> u64;
}

mod action;
mod dry;
mod headers;

pub(crate) use action::{content_length, endpoint, hyphenated, refuse, replace_body};
pub use dry::DryHost;
pub use headers::{Header, Headers, Iter, Repeated};

#[cfg(test)]
pub(crate) mod memory;
