//! Envoy stats: defined once for each set of labels and worker, the handle is kept.
//!
//! Stats are changed several times in each request, so a known one is found without making its name: by the bytes of its labels
//! as they are, in a buffer that is kept.

use std::cell::RefCell;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use turnpike_core::metrics::{Kind, Metric};

use crate::abi::{self, MetricKind};

/// Between two labels of a key: a byte that UTF-8 never has.
const END: u8 = 0xff;

/// Handles of the stats that this worker has used.
#[derive(Debug, Default)]
pub struct Counters(RefCell<Handles>);

#[derive(Debug, Default)]
struct Handles {
    /// By metric and labels.
    known: HashMap<Box<[u8]>, u32, RandomState>,
    /// The key that is looked up.
    key: Vec<u8>,
}

impl Counters {
    /// Adds to a counter; `by` is above 0.
    pub fn add(&self, metric: Metric, labels: &[&str], by: u64) {
        let by = i64::try_from(by).unwrap_or(i64::MAX);
        self.with_handle(metric, labels, |handle| abi::increment(handle, by));
    }

    /// Records a value of a histogram.
    pub fn record(&self, metric: Metric, labels: &[&str], value: u64) {
        self.with_handle(metric, labels, |handle| abi::record(handle, value));
    }

    /// A stat that Envoy refuses is logged; there is no other place to tell it.
    fn with_handle(
        &self,
        metric: Metric,
        labels: &[&str],
        change: impl FnOnce(u32) -> Result<(), abi::Refused>,
    ) {
        let Ok(mut handles) = self.0.try_borrow_mut() else {
            return;
        };
        let changed = handles.get(metric, labels).and_then(change);
        if changed.is_err() {
            log::error!("stat not changed metric={}", metric.name());
        }
    }
}

impl Handles {
    fn get(&mut self, metric: Metric, labels: &[&str]) -> Result<u32, abi::Refused> {
        self.key.clear();
        self.key.push(metric as u8);
        for label in labels {
            self.key.extend_from_slice(label.as_bytes());
            self.key.push(END);
        }
        if let Some(handle) = self.known.get(self.key.as_slice()) {
            return Ok(*handle);
        }
        let kind = match metric.kind() {
            Kind::Counter => MetricKind::Counter,
            Kind::Histogram(_) => MetricKind::Histogram,
        };
        let handle = abi::define_metric(kind, &metric.stat_name(labels))?;
        self.known.insert(self.key.as_slice().into(), handle);
        Ok(handle)
    }
}
