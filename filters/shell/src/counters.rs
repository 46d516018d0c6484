//! Envoy counters by stat name: defined once for each name and worker, the handle is kept.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::abi;

/// Handles of the counters that this worker has used.
#[derive(Debug, Default)]
pub struct Counters(RefCell<HashMap<String, u32>>);

impl Counters {
    /// Adds to the counter `stat_name`. A counter that Envoy refuses is logged; there is no other place to tell it.
    pub fn add(&self, stat_name: String, by: u64) {
        let Ok(mut handles) = self.0.try_borrow_mut() else {
            return;
        };
        let known = handles.get(&stat_name).copied();
        let handle = known.or_else(|| abi::define_counter(&stat_name).ok());
        let by = i64::try_from(by).unwrap_or(i64::MAX);
        match handle {
            Some(handle) if abi::increment(handle, by).is_ok() => {
                if known.is_none() {
                    handles.insert(stat_name, handle);
                }
            }
            _ => log::error!("counter not incremented by={by}"),
        }
    }
}
