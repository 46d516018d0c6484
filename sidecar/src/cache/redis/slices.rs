//! Time in slices as long as the time to live, each with vector sets of its own.
//!
//! An entry is alive for one such length from its storing on: what is alive now was stored in this slice or the one before, and a
//! set can go as a whole when two lengths have passed since its slice began. Until then it may hold vectors of entries that are
//! gone, as many as one time to live brings.

use std::fmt;
use std::time::Duration;

use super::millis;
use crate::cache::Timestamp;

/// Before the name of a slice in a field of an entry: the entry's vector is in that slice's set.
const FIELD: &str = "in:";

/// All slices of one length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slices {
    length_ms: u64,
}

/// A slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Slice {
    length_ms: u64,
    number: u64,
}

impl Slices {
    pub(super) fn new(time_to_live: Duration) -> Self {
        Self {
            length_ms: millis(time_to_live).max(1),
        }
    }

    /// The slice of a moment.
    pub(super) fn of(self, moment: Timestamp) -> Slice {
        Slice {
            length_ms: self.length_ms,
            number: moment.0 / self.length_ms,
        }
    }

    /// Those with entries that are alive: this one, and the one before.
    pub(super) fn alive(self, now: Timestamp) -> [Slice; 2] {
        let this = self.of(now);
        let number = this.number.saturating_sub(1);
        [this, Slice { number, ..this }]
    }
}

impl Slice {
    /// When nothing that was stored in it is alive any more.
    pub(super) fn end_of_life(self) -> Timestamp {
        Timestamp(self.number.saturating_add(2).saturating_mul(self.length_ms))
    }

    /// The field that says that the vector of an entry is in this slice's set.
    pub(super) fn field(self) -> String {
        format!("{FIELD}{self}")
    }

    /// What [`Self::field`] says.
    pub(super) fn of_field(field: &str) -> Option<Self> {
        Self::parse(field.strip_prefix(FIELD)?)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (length_ms, number) = text.split_once('.')?;
        Some(Self {
            length_ms: length_ms.parse().ok()?,
            number: number.parse().ok()?,
        })
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.length_ms, self.number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_alive_is_in_a_slice_that_is_looked_at_and_has_not_ended(
            stored_at in 0..u64::MAX / 4,
            time_to_live in 1..1_u64 << 40,
            age in 0..1_u64 << 40,
        ) {
            let slices = Slices::new(Duration::from_millis(time_to_live));
            let (stored_at, age) = (Timestamp(stored_at), age % time_to_live);
            let now = stored_at.after(Duration::from_millis(age));
            let slice = slices.of(stored_at);
            prop_assert!(slices.alive(now).contains(&slice));
            prop_assert!(now < slice.end_of_life());
            prop_assert_eq!(Slice::of_field(&slice.field()), Some(slice));
        }
    }

    #[test]
    fn another_time_to_live_has_other_slices() {
        let now = Timestamp(7_200_000);
        let hour = Slices::new(Duration::from_secs(3_600)).of(now);
        let day = Slices::new(Duration::from_secs(86_400)).of(now);
        assert_eq!(
            (hour.to_string(), day.to_string()),
            ("3600000.2".into(), "86400000.0".into())
        );
    }
}
