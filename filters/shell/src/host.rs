//! [`Host`] over proxy-wasm host calls.

use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use turnpike_core::host::{Headers, Host, HostError, LocalReply};
use turnpike_core::metrics::Metric;
use turnpike_core::sidecar::StoreRequest;

use crate::abi::{self, Buffer, Map};
use crate::{Counters, Outbox, SIDECAR_CLUSTER};

/// Whole buffer, whatever its size.
const ALL: usize = usize::MAX;

/// How soon a request that made room for others is read on.
const SLICE_PERIOD_MS: u32 = 1;

/// How a filter reaches the sidecar.
#[derive(Debug, Clone)]
pub struct SidecarRoute {
    /// How long an analysis may take.
    pub timeout: Duration,
    /// Where answers for the cache go.
    pub outbox: Rc<Outbox>,
}

/// The proxy, during one stream.
#[derive(Debug, Clone)]
pub struct WasmHost {
    counters: Rc<Counters>,
    sidecar: Option<SidecarRoute>,
    later: bool,
    call: Option<u32>,
}

impl WasmHost {
    /// A host that counts in `counters` and, for the router, reaches the sidecar.
    #[must_use]
    pub fn new(counters: Rc<Counters>, sidecar: Option<SidecarRoute>) -> Self {
        Self {
            counters,
            sidecar,
            later: false,
            call: None,
        }
    }

    /// Whether `call_later` was called since this was asked last.
    pub fn take_later(&mut self) -> bool {
        std::mem::take(&mut self.later)
    }

    /// The token of the call to the sidecar that was sent since this was asked last.
    pub fn take_call(&mut self) -> Option<u32> {
        self.call.take()
    }

    /// The value of a host call, or nothing and a count.
    fn got<T, E>(&self, call: &str, result: Result<T, E>) -> Option<T> {
        if result.is_err() {
            self.counters.add(Metric::HostErrors, &[call], 1);
        }
        result.ok()
    }

    fn done<E>(&self, call: &str, result: Result<(), E>) -> Result<(), HostError> {
        self.got(call, result).ok_or(HostError)
    }

    fn headers(&self, map: Map) -> Headers {
        self.got("get_headers", abi::headers(map))
            .unwrap_or_default()
    }

    fn buffer(&self, buffer: Buffer, from: usize, size: usize) -> Vec<u8> {
        self.got("get_buffer", abi::buffer(buffer, from, size))
            .unwrap_or_default()
    }
}

impl Host for WasmHost {
    fn request_headers(&mut self) -> Headers {
        self.headers(Map::Request)
    }

    fn set_request_header(&mut self, name: &str, value: &[u8]) -> Result<(), HostError> {
        self.done("set_header", abi::set_header(Map::Request, name, value))
    }

    fn add_request_header(&mut self, name: &str, value: &[u8]) -> Result<(), HostError> {
        self.done("add_header", abi::add_header(Map::Request, name, value))
    }

    fn remove_request_header(&mut self, name: &[u8]) -> Result<(), HostError> {
        self.done("remove_header", abi::remove_header(Map::Request, name))
    }

    fn request_body(&mut self) -> Vec<u8> {
        self.buffer(Buffer::RequestBody, 0, ALL)
    }

    fn replace_request_body(&mut self, body: &[u8]) -> Result<(), HostError> {
        self.done(
            "set_buffer",
            abi::set_buffer(Buffer::RequestBody, ALL, body),
        )
    }

    fn resume_request(&mut self) {
        // A request that cannot be resumed ends with the stream's timeout; the counter tells.
        let _ = self.done("resume", abi::continue_request());
    }

    fn call_later(&mut self) -> Result<(), HostError> {
        // Only the router has a root context that calls back.
        if self.sidecar.is_none() {
            return Err(HostError);
        }
        self.done("set_tick", abi::set_tick_period(SLICE_PERIOD_MS))?;
        self.later = true;
        Ok(())
    }

    fn response_headers(&mut self) -> Headers {
        self.headers(Map::Response)
    }

    fn set_response_header(&mut self, name: &str, value: &[u8]) {
        let _ = self.done("set_header", abi::set_header(Map::Response, name, value));
    }

    fn remove_response_header(&mut self, name: &[u8]) -> Result<(), HostError> {
        self.done("remove_header", abi::remove_header(Map::Response, name))
    }

    fn response_chunk(&mut self, from: usize, size: usize) -> Vec<u8> {
        self.buffer(Buffer::ResponseBody, from, size)
    }

    fn replace_response_chunk(&mut self, size: usize, bytes: &[u8]) {
        let _ = self.done(
            "set_buffer",
            abi::set_buffer(Buffer::ResponseBody, size, bytes),
        );
    }

    fn filter_state(&mut self, key: &str) -> Option<Vec<u8>> {
        self.got("get_property", abi::property(&[key])).flatten()
    }

    fn property(&mut self, path: &[&str]) -> Option<Vec<u8>> {
        self.got("get_property", abi::property(path)).flatten()
    }

    fn set_filter_state(&mut self, key: &str, value: &[u8]) {
        let _ = self.done("set_property", abi::set_property(key, value));
    }

    fn ask_sidecar(&mut self, path: &str, body: &[u8], wait_ms: u32) -> Result<(), HostError> {
        let timeout = self.sidecar.as_ref().ok_or(HostError)?.timeout;
        let timeout = timeout.saturating_add(Duration::from_millis(wait_ms.into()));
        let headers = sidecar_headers(path);
        let sent = hostcalls::dispatch_http_call(
            SIDECAR_CLUSTER,
            headers,
            Some(body),
            Vec::new(),
            timeout,
        );
        // No cluster, no healthy host, or its circuit breaker: not a mistake, and counted as a fallback.
        self.call = Some(sent.map_err(|_| HostError)?);
        Ok(())
    }

    fn store(&mut self, entry: StoreRequest) -> Result<(), HostError> {
        let sidecar = self.sidecar.as_ref().ok_or(HostError)?;
        if sidecar.outbox.put(entry) {
            Ok(())
        } else {
            Err(HostError)
        }
    }

    fn reply(&mut self, reply: LocalReply) {
        let mut headers: Vec<(&str, &[u8])> = Vec::with_capacity(2);
        if !reply
            .headers
            .iter()
            .any(|(name, _)| *name == "content-type")
        {
            headers.push(("content-type", b"application/json"));
        }
        headers.extend(
            reply
                .headers
                .iter()
                .map(|(name, value)| (*name, value.as_bytes())),
        );
        let sent = abi::send_local_response(reply.status, "turnpike", &headers, &reply.body);
        let _ = self.done("send_response", sent);
    }

    fn count(&mut self, metric: Metric, labels: &[&str], by: u64) {
        self.counters.add(metric, labels, by);
    }

    fn record(&mut self, metric: Metric, labels: &[&str], value: u64) {
        self.counters.record(metric, labels, value);
    }

    fn shared(&mut self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.got("get_shared_data", abi::shared(key)).flatten()
    }

    fn set_shared(&mut self, key: &str, value: &[u8], version: u32) -> Result<(), HostError> {
        // A lost race is no error of the host; the caller tries again.
        abi::set_shared(key, value, version).map_err(|_| HostError)
    }

    fn warn(&mut self, message: &str) {
        log::warn!("{message}");
    }

    fn now_us(&mut self) -> u64 {
        self.got("get_time", abi::time_ns()).unwrap_or_default() / 1_000
    }
}

/// Headers of a call to the sidecar.
pub(crate) fn sidecar_headers(path: &str) -> Vec<(&str, &str)> {
    vec![
        (":method", "POST"),
        (":path", path),
        (":authority", "turnpike-sidecar"),
        ("content-type", "application/json"),
    ]
}

/// Status and body of the HTTP call that is being answered; no status when there was no answer.
#[must_use]
pub fn call_answer(num_headers: usize, body_size: usize) -> (Option<u16>, Vec<u8>) {
    if num_headers == 0 {
        return (None, Vec::new());
    }
    let status = abi::header(Map::CallResponse, ":status")
        .ok()
        .flatten()
        .and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok());
    (
        status,
        abi::buffer(Buffer::CallResponseBody, 0, body_size).unwrap_or_default(),
    )
}
