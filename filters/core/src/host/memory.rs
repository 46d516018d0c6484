//! A host in memory, for tests: set it up, run the policy, look at its state.

use std::collections::BTreeMap;

use super::*;

/// A header that a test sets or looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) value: Vec<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct MemoryHost {
    pub(crate) request_headers: Vec<Entry>,
    pub(crate) request_body: Vec<u8>,
    pub(crate) response_headers: Vec<Entry>,
    pub(crate) chunk: Vec<u8>,
    pub(crate) state: BTreeMap<String, String>,
    /// By their path, joined by `/`.
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) asked: Vec<(String, serde_json::Value)>,
    /// How much longer than usual the last answer may take.
    pub(crate) waits_ms: u32,
    pub(crate) stored: Vec<StoreRequest>,
    pub(crate) reply: Option<LocalReply>,
    /// How often `call_later` was called.
    pub(crate) called_later: usize,
    pub(crate) resumed: bool,
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) histograms: BTreeMap<String, Vec<u64>>,
    pub(crate) shared: BTreeMap<String, (Vec<u8>, u32)>,
    /// So many writes of shared values come too late.
    pub(crate) shared_races: u32,
    pub(crate) warnings: Vec<String>,
    pub(crate) sidecar_refuses: bool,
    pub(crate) body_cannot_be_replaced: bool,
    pub(crate) host_calls: usize,
    pub(crate) clock_us: u64,
}

fn header(name: &str, value: &[u8]) -> Entry {
    Entry {
        name: name.into(),
        value: value.into(),
    }
}

impl MemoryHost {
    pub(crate) fn post(path: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let mut host = Self {
            request_body: body.into(),
            ..Self::default()
        };
        host.request_headers.push(header(":method", b"POST"));
        host.request_headers.push(header(":path", path.as_bytes()));
        for (name, value) in headers {
            host.request_headers.push(header(name, value.as_bytes()));
        }
        host
    }

    pub(crate) fn respond(&mut self, status: &str, content_type: &str) {
        self.response_headers = vec![
            header(":status", status.as_bytes()),
            header("content-type", content_type.as_bytes()),
        ];
    }

    pub(crate) fn request_header(&self, name: &str) -> Option<String> {
        find(&self.request_headers, name)
    }

    pub(crate) fn response_header(&self, name: &str) -> Option<String> {
        find(&self.response_headers, name)
    }

    pub(crate) fn advance_us(&mut self, us: u64) {
        self.clock_us += us;
    }

    pub(crate) fn counter(&self, metric: Metric, labels: &[&str]) -> u64 {
        self.counters
            .get(&metric.stat_name(labels))
            .copied()
            .unwrap_or_default()
    }
}

fn find(headers: &[Entry], name: &str) -> Option<String> {
    let found = headers.iter().find(|h| h.name == name)?;
    Some(String::from_utf8_lossy(&found.value).into_owned())
}

fn set(headers: &mut Vec<Entry>, name: &str, value: &[u8]) {
    headers.retain(|h| h.name != name);
    headers.push(header(name, value));
}

pub(crate) fn serialize(headers: &[Entry]) -> Headers {
    let pairs: Vec<(&str, &[u8])> = headers
        .iter()
        .map(|h| (h.name.as_str(), h.value.as_slice()))
        .collect();
    Headers::of(&pairs).unwrap()
}

impl Host for MemoryHost {
    fn request_headers(&mut self) -> Headers {
        self.host_calls += 1;
        serialize(&self.request_headers)
    }
    fn set_request_header(&mut self, name: &str, value: &[u8]) -> Result<(), HostError> {
        self.host_calls += 1;
        set(&mut self.request_headers, name, value);
        Ok(())
    }
    fn add_request_header(&mut self, name: &str, value: &[u8]) -> Result<(), HostError> {
        self.host_calls += 1;
        self.request_headers.push(Entry {
            name: name.into(),
            value: value.into(),
        });
        Ok(())
    }
    fn remove_request_header(&mut self, name: &[u8]) -> Result<(), HostError> {
        self.host_calls += 1;
        self.request_headers.retain(|h| h.name.as_bytes() != name);
        Ok(())
    }
    fn request_body(&mut self) -> Vec<u8> {
        self.host_calls += 1;
        self.request_body.clone()
    }
    fn replace_request_body(&mut self, body: &[u8]) -> Result<(), HostError> {
        self.host_calls += 1;
        if self.body_cannot_be_replaced {
            return Err(HostError);
        }
        self.request_body = body.into();
        Ok(())
    }
    fn resume_request(&mut self) {
        self.resumed = true;
    }
    fn response_headers(&mut self) -> Headers {
        self.host_calls += 1;
        serialize(&self.response_headers)
    }
    fn set_response_header(&mut self, name: &str, value: &[u8]) {
        self.host_calls += 1;
        set(&mut self.response_headers, name, value);
    }
    fn remove_response_header(&mut self, name: &[u8]) -> Result<(), HostError> {
        self.host_calls += 1;
        self.response_headers.retain(|h| h.name.as_bytes() != name);
        Ok(())
    }
    fn response_chunk(&mut self, from: usize, size: usize) -> Vec<u8> {
        self.host_calls += 1;
        self.chunk[from..from + size].to_vec()
    }
    fn replace_response_chunk(&mut self, size: usize, bytes: &[u8]) {
        self.host_calls += 1;
        self.chunk.splice(..size, bytes.iter().copied());
    }
    fn filter_state(&mut self, key: &str) -> Option<Vec<u8>> {
        self.host_calls += 1;
        self.state.get(key).map(|v| v.clone().into_bytes())
    }
    fn property(&mut self, path: &[&str]) -> Option<Vec<u8>> {
        self.host_calls += 1;
        self.properties
            .get(&path.join("/"))
            .map(|v| v.clone().into_bytes())
    }
    fn set_filter_state(&mut self, key: &str, value: &[u8]) {
        self.host_calls += 1;
        self.state
            .insert(key.into(), String::from_utf8_lossy(value).into_owned());
    }
    fn ask_sidecar(&mut self, path: &str, body: &[u8], wait_ms: u32) -> Result<(), HostError> {
        if self.sidecar_refuses {
            return Err(HostError);
        }
        self.waits_ms = wait_ms;
        self.asked
            .push((path.into(), serde_json::from_slice(body).unwrap()));
        Ok(())
    }
    fn store(&mut self, entry: StoreRequest) -> Result<(), HostError> {
        self.stored.push(entry);
        Ok(())
    }
    fn call_later(&mut self) -> Result<(), HostError> {
        self.called_later += 1;
        Ok(())
    }

    fn reply(&mut self, reply: LocalReply) {
        assert!(self.reply.is_none(), "two local replies");
        self.reply = Some(reply);
    }
    fn count(&mut self, metric: Metric, labels: &[&str], by: u64) {
        assert_eq!(metric.labels().len(), labels.len(), "{metric:?}");
        assert!(by > 0, "counters take no zero");
        *self.counters.entry(metric.stat_name(labels)).or_default() += by;
    }
    fn record(&mut self, metric: Metric, labels: &[&str], value: u64) {
        assert_eq!(metric.labels().len(), labels.len(), "{metric:?}");
        self.histograms
            .entry(metric.stat_name(labels))
            .or_default()
            .push(value);
    }
    fn shared(&mut self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.host_calls += 1;
        self.shared.get(key).cloned()
    }
    fn set_shared(&mut self, key: &str, value: &[u8], version: u32) -> Result<(), HostError> {
        self.host_calls += 1;
        let current = self.shared.get(key).map_or(0, |s| s.1);
        if self.shared_races > 0 {
            self.shared_races -= 1;
            let entry = self.shared.entry(key.into()).or_default();
            entry.1 += 1;
            return Err(HostError);
        }
        if version != 0 && version != current {
            return Err(HostError);
        }
        self.shared.insert(key.into(), (value.into(), current + 1));
        Ok(())
    }
    fn warn(&mut self, message: &str) {
        self.warnings.push(message.into());
    }
    fn now_us(&mut self) -> u64 {
        self.clock_us += 10;
        self.clock_us
    }
}
