//! A host that answers from memory and counts what it is asked, so that a benchmark sees the policy alone.

use turnpike_core::host::{Headers, Host, HostError, LocalReply};
use turnpike_core::metrics::Metric;
use turnpike_core::sidecar::StoreRequest;

/// One request and its answer; nothing of what is set is kept.
#[derive(Debug, Default)]
pub struct CountingHost {
    /// Headers of the request.
    pub request_headers: Headers,
    /// Body of the request.
    pub request_body: Vec<u8>,
    /// Headers of the response.
    pub response_headers: Headers,
    /// The one chunk of the response.
    pub response_body: Vec<u8>,
    /// Calls by what they do.
    pub calls: Calls,
    /// What the clock shows.
    pub clock_us: u64,
}

/// Host calls.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Calls {
    /// Whole header maps and bodies read.
    pub reads: usize,
    /// Headers and bodies set, replaced or removed.
    pub edits: usize,
    /// Properties and filter state read.
    pub properties: usize,
    /// Filter state set.
    pub published: usize,
    /// Stats changed.
    pub stats: usize,
    /// The clock.
    pub clock: usize,
    /// Data shared by workers.
    pub shared: usize,
}

impl Calls {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> usize {
        self.reads
            + self.edits
            + self.properties
            + self.published
            + self.stats
            + self.clock
            + self.shared
    }
}

impl Host for CountingHost {
    fn request_headers(&mut self) -> Headers {
        self.calls.reads += 1;
        self.request_headers.clone()
    }

    fn set_request_header(&mut self, _: &str, _: &[u8]) -> Result<(), HostError> {
        self.calls.edits += 1;
        Ok(())
    }

    fn add_request_header(&mut self, _: &str, _: &[u8]) -> Result<(), HostError> {
        self.calls.edits += 1;
        Ok(())
    }

    fn remove_request_header(&mut self, _: &[u8]) -> Result<(), HostError> {
        self.calls.edits += 1;
        Ok(())
    }

    fn request_body(&mut self) -> Vec<u8> {
        self.calls.reads += 1;
        self.request_body.clone()
    }

    fn replace_request_body(&mut self, _: &[u8]) -> Result<(), HostError> {
        self.calls.edits += 1;
        Ok(())
    }

    fn call_later(&mut self) -> Result<(), HostError> {
        Ok(())
    }

    fn resume_request(&mut self) {
        self.calls.edits += 1;
    }

    fn response_headers(&mut self) -> Headers {
        self.calls.reads += 1;
        self.response_headers.clone()
    }

    fn set_response_header(&mut self, _: &str, _: &[u8]) {
        self.calls.edits += 1;
    }

    fn remove_response_header(&mut self, _: &[u8]) -> Result<(), HostError> {
        self.calls.edits += 1;
        Ok(())
    }

    fn response_chunk(&mut self, _: usize, _: usize) -> Vec<u8> {
        self.calls.reads += 1;
        self.response_body.clone()
    }

    fn replace_response_chunk(&mut self, _: usize, _: &[u8]) {
        self.calls.edits += 1;
    }

    fn filter_state(&mut self, _: &str) -> Option<Vec<u8>> {
        self.calls.properties += 1;
        None
    }

    fn property(&mut self, _: &[&str]) -> Option<Vec<u8>> {
        self.calls.properties += 1;
        None
    }

    fn set_filter_state(&mut self, _: &str, _: &[u8]) {
        self.calls.published += 1;
    }

    fn ask_sidecar(&mut self, _: &str, _: &[u8], _: u32) -> Result<(), HostError> {
        Err(HostError)
    }

    fn store(&mut self, _: StoreRequest) -> Result<(), HostError> {
        Err(HostError)
    }

    fn reply(&mut self, _: LocalReply) {
        self.calls.edits += 1;
    }

    fn count(&mut self, _: Metric, _: &[&str], _: u64) {
        self.calls.stats += 1;
    }

    fn record(&mut self, _: Metric, _: &[&str], _: u64) {
        self.calls.stats += 1;
    }

    fn shared(&mut self, _: &str) -> Option<(Vec<u8>, u32)> {
        self.calls.shared += 1;
        None
    }

    fn set_shared(&mut self, _: &str, _: &[u8], _: u32) -> Result<(), HostError> {
        self.calls.shared += 1;
        Ok(())
    }

    fn warn(&mut self, _: &str) {}

    fn now_us(&mut self) -> u64 {
        self.calls.clock += 1;
        self.clock_us += 1;
        self.clock_us
    }
}
