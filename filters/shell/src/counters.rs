//! Envoy stats by name: defined once for each name and worker, the handle is kept.

use std::cell::RefCell;
use std::collections::HashMap;

use turnpike_core::metrics::{Kind, Metric};

use crate::abi::{self, MetricKind};

/// Handles of the stats that this worker has used.
#[derive(Debug, Default)]
pub struct Counters(RefCell<HashMap<String, u32>>);

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
        let name = metric.stat_name(labels);
        let known = handles.get(&name).copied();
        let kind = match metric.kind() {
            Kind::Counter => MetricKind::Counter,
            Kind::Histogram(_) => MetricKind::Histogram,
        };
        let handle = known.or_else(|| abi::define_metric(kind, &name).ok());
        match handle {
            Some(handle) if change(handle).is_ok() => {
                if known.is_none() {
                    handles.insert(name, handle);
                }
            }
            _ => log::error!("stat not changed metric={}", metric.name()),
        }
    }
}
