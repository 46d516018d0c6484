//! A cap on the different values of a label, for the whole process.
//!
//! Envoy keeps a stat as long as it runs, so a label that callers can choose must have an end. Configured values are pinned; the
//! first others that come are admitted for good; the rest share [`OTHER`]. Not the most recent ones: replacing values would go
//! on making stats.
//!
//! The list of admitted values lies in the shared data of all workers, as lines, and only grows. Each worker remembers what it has
//! seen there, so a known value costs a look into a set, and a full list is read once.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use crate::host::Host;
use crate::metrics::{Label, MAX_LABEL_BYTES, Metric, escape_label};

/// Label value of everything above the cap.
pub const OTHER: &str = "other";

/// Label value of who is called `other`. Names are trimmed, so nobody is called so.
const NAMED_OTHER: &str = " other";

/// Other workers that may be ahead of us in one attempt to admit a value, before it is counted as [`OTHER`] for this time.
const MAX_ATTEMPTS: usize = 16;

/// The admission of values to one label, on one worker.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    label: Label,
    key: String,
    /// Values that may be admitted beside the pinned ones.
    places: usize,
    known: RefCell<BTreeSet<String>>,
    full: Cell<bool>,
}

impl Admission {
    /// At most `cap` values of `label`, `pinned` ones first.
    #[must_use]
    pub(super) fn new(label: Label, cap: u32, pinned: &[&str]) -> Self {
        let known: BTreeSet<String> = pinned.iter().map(|p| own_label(p).to_owned()).collect();
        let cap = usize::try_from(cap).unwrap_or(usize::MAX);
        Self {
            label,
            key: format!("turnpike.admitted.{}", label.name()),
            places: cap.saturating_sub(known.len()),
            known: RefCell::new(known),
            full: Cell::new(false),
        }
    }

    /// Makes the shared list, if nobody did. Call it once for each worker, before requests.
    pub(super) fn prepare(&self, host: &mut impl Host) {
        if host.shared(&self.key).is_none() {
            // When this fails, admitting fails too, and is counted there.
            let _ = host.set_shared(&self.key, b"", 0);
        }
    }

    /// The label of `value`: itself, or [`OTHER`] when it is not admitted.
    pub(super) fn admit<'v>(&self, value: &'v str, host: &mut impl Host) -> &'v str {
        let Ok(mut known) = self.known.try_borrow_mut() else {
            return OTHER;
        };
        let value = own_label(value);
        if known.contains(value) {
            return value;
        }
        let admitted = if self.full.get() {
            is_known_cut(value, &known)
        } else {
            self.enter(value, &mut known, host)
        };
        if admitted {
            return value;
        }
        host.count(Metric::LabelOverflow, &[self.label.name()], 1);
        OTHER
    }

    /// Whether `value` is in the shared list, now or already.
    fn enter(&self, value: &str, known: &mut BTreeSet<String>, host: &mut impl Host) -> bool {
        let line = escape_label(value);
        for _ in 0..MAX_ATTEMPTS {
            let (list, version) = host.shared(&self.key).unwrap_or_default();
            let mut entries = list
                .split(|&b| b == b'\n')
                .filter(|entry| !entry.is_empty());
            if entries.clone().any(|entry| entry == line.as_bytes()) {
                known.insert(value.to_owned());
                return true;
            }
            if entries.by_ref().count() >= self.places {
                self.full.set(true);
                // The list will not be read again.
                known.extend(String::from_utf8_lossy(&list).lines().map(unescape));
                return false;
            }
            let mut longer = list.clone();
            longer.extend_from_slice(line.as_bytes());
            longer.push(b'\n');
            if host.set_shared(&self.key, &longer, version).is_ok() {
                known.insert(value.to_owned());
                return true;
            }
        }
        false
    }
}

/// The label that `value` has when it has one of its own.
fn own_label(value: &str) -> &str {
    if value == OTHER { NAMED_OTHER } else { value }
}

/// Whether `value` is too long for a label and was read from the list as it is cut.
fn is_known_cut(value: &str, known: &BTreeSet<String>) -> bool {
    value.len() > MAX_LABEL_BYTES && known.contains(&unescape(&escape_label(value)))
}

/// The value behind an escaped one. A value that was cut for its length stays cut.
fn unescape(escaped: &str) -> String {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match code
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .filter(|_| byte == b'%')
        {
            Some(decoded) => {
                bytes.push(decoded);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::memory::MemoryHost;

    fn worker(host: &mut MemoryHost, cap: u32, pinned: &[&str]) -> Admission {
        let admission = Admission::new(Label::User, cap, pinned);
        admission.prepare(host);
        admission
    }

    #[test]
    fn the_first_come_are_admitted_and_the_rest_are_other() {
        let mut host = MemoryHost::default();
        let admission = worker(&mut host, 3, &["vip"]);
        let seen: Vec<&str> = ["a", "b", "c", "a", "vip", "c"]
            .map(|u| admission.admit(u, &mut host))
            .into();
        assert_eq!(seen, ["a", "b", "other", "a", "vip", "other"]);
        assert_eq!(host.counter(Metric::LabelOverflow, &["user"]), 2);
    }

    #[test]
    fn workers_share_one_cap() {
        let mut host = MemoryHost::default();
        let (one, two) = (worker(&mut host, 2, &[]), worker(&mut host, 2, &[]));
        assert_eq!(one.admit("a", &mut host), "a");
        assert_eq!(two.admit("b", &mut host), "b");
        assert_eq!(one.admit("c", &mut host), "other");
        assert_eq!(two.admit("a", &mut host), "a");
        assert_eq!(one.admit("b", &mut host), "b");
    }

    #[test]
    fn who_is_called_other_is_not_counted_with_the_rest() {
        let mut host = MemoryHost::default();
        let admission = worker(&mut host, 2, &["vip"]);
        assert_eq!(admission.admit("other", &mut host), " other");
        assert_eq!(admission.admit("a", &mut host), "other");
        assert_eq!(admission.admit("other", &mut host), " other");
        let pinned = worker(&mut host, 1, &["other"]);
        assert_eq!(pinned.admit("other", &mut host), " other");
        assert_eq!(host.counter(Metric::LabelOverflow, &["user"]), 1);
    }

    #[test]
    fn an_admitted_long_name_has_its_label_on_every_worker() {
        let mut host = MemoryHost::default();
        let (one, two) = (worker(&mut host, 1, &[]), worker(&mut host, 1, &[]));
        let long = "a".repeat(300);
        assert_eq!(one.admit(&long, &mut host), long);
        assert_eq!(two.admit("b", &mut host), "other");
        assert_eq!(two.admit(&long, &mut host), long);
        assert_eq!(two.admit(&format!("{long}b"), &mut host), "other");
    }

    #[test]
    fn a_worker_that_lost_a_race_tries_again() {
        let mut host = MemoryHost::default();
        let admission = worker(&mut host, 10, &[]);
        host.shared_races = 3;
        assert_eq!(admission.admit("a", &mut host), "a");
        assert_eq!(host.counter(Metric::LabelOverflow, &["user"]), 0);
    }

    #[test]
    fn known_values_cost_no_host_call() {
        let mut host = MemoryHost::default();
        let admission = worker(&mut host, 1, &[]);
        admission.admit("a", &mut host);
        admission.admit("b", &mut host);
        let before = host.host_calls;
        admission.admit("a", &mut host);
        admission.admit("c", &mut host);
        assert_eq!(host.host_calls, before);
    }

    #[test]
    fn values_with_line_feeds_and_percents_are_one_value_each() {
        let mut host = MemoryHost::default();
        let (one, two) = (worker(&mut host, 3, &[]), worker(&mut host, 3, &[]));
        for value in ["a\nb", "100%", "%41"] {
            assert_eq!(one.admit(value, &mut host), value);
        }
        assert_eq!(two.admit("A", &mut host), "other");
        for value in ["a\nb", "100%", "%41"] {
            assert_eq!(two.admit(value, &mut host), value);
        }
    }
}
