//! A proxy that is none: for commands that ask what would become of a request.

use std::collections::BTreeMap;

use super::{Headers, Host, HostError, LocalReply};
use crate::metrics::Metric;
use crate::sidecar::StoreRequest;

/// Headers, body and published values of one request in memory; what is asked of the sidecar and answered is kept for the caller.
#[derive(Debug, Default)]
pub struct DryHost {
    headers: Headers,
    body: Vec<u8>,
    state: BTreeMap<String, Vec<u8>>,
    /// The question for the sidecar, if one was asked: path and body.
    pub asked: Option<(String, Vec<u8>)>,
    /// The answer, if there is one.
    pub reply: Option<LocalReply>,
    now_us: u64,
}

impl DryHost {
    /// A request; `headers` with `:method` and `:path`.
    #[must_use]
    pub fn new(headers: Headers, body: Vec<u8>, now_us: u64) -> Self {
        Self {
            headers,
            body,
            now_us,
            ..Self::default()
        }
    }

    /// Publishes a value, as the filter before this one would.
    pub fn publish(&mut self, key: &str, value: &[u8]) {
        self.state.insert(key.into(), value.into());
    }
}

impl Host for DryHost {
    fn request_headers(&mut self) -> Headers {
        self.headers.clone()
    }
    fn set_request_header(&mut self, _: &str, _: &[u8]) -> Result<(), HostError> {
        Ok(())
    }
    fn add_request_header(&mut self, _: &str, _: &[u8]) -> Result<(), HostError> {
        Ok(())
    }
    fn remove_request_header(&mut self, name: &[u8]) -> Result<(), HostError> {
        let left: Option<Vec<(&str, &[u8])>> = self
            .headers
            .iter()
            .filter(|header| header.name != name)
            .map(|header| Some((std::str::from_utf8(header.name).ok()?, header.value)))
            .collect();
        let left = left.and_then(|left| Headers::of(&left)).ok_or(HostError)?;
        self.headers = left;
        Ok(())
    }
    fn request_body(&mut self) -> Vec<u8> {
        self.body.clone()
    }
    fn replace_request_body(&mut self, body: &[u8]) -> Result<(), HostError> {
        self.body = body.into();
        Ok(())
    }
    fn resume_request(&mut self) {}
    /// Nobody would call: texts are read to their end.
    fn call_later(&mut self) -> Result<(), HostError> {
        Err(HostError)
    }
    fn response_headers(&mut self) -> Headers {
        Headers::default()
    }
    fn set_response_header(&mut self, _: &str, _: &[u8]) {}
    fn remove_response_header(&mut self, _: &[u8]) -> Result<(), HostError> {
        Ok(())
    }
    fn response_chunk(&mut self, _: usize, _: usize) -> Vec<u8> {
        Vec::new()
    }
    fn replace_response_chunk(&mut self, _: usize, _: &[u8]) {}
    fn filter_state(&mut self, key: &str) -> Option<Vec<u8>> {
        self.state.get(key).cloned()
    }
    fn property(&mut self, _: &[&str]) -> Option<Vec<u8>> {
        None
    }
    fn set_filter_state(&mut self, key: &str, value: &[u8]) {
        self.publish(key, value);
    }
    fn ask_sidecar(&mut self, path: &str, body: &[u8], _: u32) -> Result<(), HostError> {
        self.asked = Some((path.into(), body.into()));
        Ok(())
    }
    fn store(&mut self, _: StoreRequest) -> Result<(), HostError> {
        Err(HostError)
    }
    fn reply(&mut self, reply: LocalReply) {
        self.reply = Some(reply);
    }
    fn count(&mut self, _: Metric, _: &[&str], _: u64) {}
    fn record(&mut self, _: Metric, _: &[&str], _: u64) {}
    fn shared(&mut self, _: &str) -> Option<(Vec<u8>, u32)> {
        None
    }
    fn set_shared(&mut self, _: &str, _: &[u8], _: u32) -> Result<(), HostError> {
        Ok(())
    }
    fn warn(&mut self, _: &str) {}
    fn now_us(&mut self) -> u64 {
        self.now_us
    }
}
