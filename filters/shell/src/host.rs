//! [`Host`] over proxy-wasm host calls.

use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, Bytes, MapType, Status};
use turnpike_core::host::{Header, Host, HostError, LocalReply};
use turnpike_core::metrics::Metric;
use turnpike_core::sidecar::StoreRequest;

use crate::{Counters, Outbox, SIDECAR_CLUSTER};

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
}

impl WasmHost {
    /// A host that counts in `counters` and, for the router, reaches the sidecar.
    #[must_use]
    pub fn new(counters: Rc<Counters>, sidecar: Option<SidecarRoute>) -> Self {
        Self { counters, sidecar }
    }

    /// The value of a host call, or nothing and a count.
    fn got<T>(&self, call: &str, result: Result<T, Status>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(_) => {
                self.counters.add(Metric::HostErrors.stat_name(&[call]), 1);
                None
            }
        }
    }

    fn done(&self, call: &str, result: Result<(), Status>) -> Result<(), HostError> {
        self.got(call, result).ok_or(HostError)
    }

    fn headers(&self, map: MapType) -> Vec<Header> {
        self.got("get_headers", hostcalls::get_map_bytes(map))
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| Header { name, value })
            .collect()
    }

    fn buffer(&self, buffer: BufferType, size: usize) -> Bytes {
        self.got("get_buffer", hostcalls::get_buffer(buffer, 0, size))
            .flatten()
            .unwrap_or_default()
    }
}

impl Host for WasmHost {
    fn request_headers(&mut self) -> Vec<Header> {
        self.headers(MapType::HttpRequestHeaders)
    }

    fn set_request_header(&mut self, name: &str, value: &[u8]) -> Result<(), HostError> {
        let set = hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, name, Some(value));
        self.done("set_header", set)
    }

    fn remove_request_header(&mut self, name: &str) -> Result<(), HostError> {
        let set = hostcalls::remove_map_value(MapType::HttpRequestHeaders, name);
        self.done("remove_header", set)
    }

    fn request_body(&mut self) -> Vec<u8> {
        self.buffer(BufferType::HttpRequestBody, usize::MAX)
    }

    fn replace_request_body(&mut self, body: &[u8]) -> Result<(), HostError> {
        let set = hostcalls::set_buffer(BufferType::HttpRequestBody, 0, usize::MAX, body);
        self.done("set_buffer", set)
    }

    fn resume_request(&mut self) {
        let _ = self.done("resume", hostcalls::resume_http_request());
    }

    fn response_headers(&mut self) -> Vec<Header> {
        self.headers(MapType::HttpResponseHeaders)
    }

    fn set_response_header(&mut self, name: &str, value: &[u8]) {
        let set = hostcalls::set_map_value_bytes(MapType::HttpResponseHeaders, name, Some(value));
        let _ = self.done("set_header", set);
    }

    fn response_chunk(&mut self, size: usize) -> Vec<u8> {
        self.buffer(BufferType::HttpResponseBody, size)
    }

    fn replace_response_chunk(&mut self, size: usize, bytes: &[u8]) {
        let set = hostcalls::set_buffer(BufferType::HttpResponseBody, 0, size, bytes);
        let _ = self.done("set_buffer", set);
    }

    fn filter_state(&mut self, key: &str) -> Option<Vec<u8>> {
        self.got("get_property", hostcalls::get_property(vec![key]))
            .flatten()
    }

    fn set_filter_state(&mut self, key: &str, value: &[u8]) {
        let _ = self.done(
            "set_property",
            hostcalls::set_property(vec![key], Some(value)),
        );
    }

    fn ask_sidecar(&mut self, path: &str, body: &[u8]) -> Result<(), HostError> {
        let timeout = self.sidecar.as_ref().ok_or(HostError)?.timeout;
        let headers = vec![
            (":method", "POST"),
            (":path", path),
            (":authority", "turnpike-sidecar"),
            ("content-type", "application/json"),
        ];
        let sent = hostcalls::dispatch_http_call(
            SIDECAR_CLUSTER,
            headers,
            Some(body),
            Vec::new(),
            timeout,
        );
        self.got("dispatch_http_call", sent)
            .map(|_token| ())
            .ok_or(HostError)
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
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(
            reply
                .headers
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        let sent = hostcalls::send_http_response(reply.status.into(), headers, Some(&reply.body));
        let _ = self.done("send_response", sent);
    }

    fn count(&mut self, metric: Metric, labels: &[&str], by: u64) {
        self.counters.add(metric.stat_name(labels), by);
    }

    fn now_us(&mut self) -> u64 {
        let now = self.got("get_time", hostcalls::get_current_time());
        let since = now
            .and_then(|now| now.duration_since(UNIX_EPOCH).ok())
            .unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

/// Status and body of the HTTP call that is being answered; no status when there was no answer.
#[must_use]
pub fn call_answer(num_headers: usize, body_size: usize) -> (Option<u16>, Vec<u8>) {
    if num_headers == 0 {
        return (None, Vec::new());
    }
    let status = hostcalls::get_map_value_bytes(MapType::HttpCallResponseHeaders, ":status")
        .ok()
        .flatten()
        .and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok());
    let body = hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, body_size);
    (status, body.ok().flatten().unwrap_or_default())
}
