//! One stored answer and its places.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::graph::Slot;
use crate::cache::{EntryKey, Found, NewEntry, Partition, StoredAnswer, Timestamp};

/// One stored answer. What changes are its places, which only the writer changes, and its rank, which only [`super::order`]
/// does; both under locks of their own, so that the atomics need no order.
#[derive(Debug)]
pub(super) struct Entry {
    /// Higher than that of every entry stored before.
    pub(super) id: u64,
    pub(super) key: EntryKey,
    pub(super) partition: Partition,
    pub(super) question: Arc<str>,
    pub(super) answer: Arc<StoredAnswer>,
    pub(super) stored_at: Timestamp,
    /// What it counts for in `max_bytes`.
    pub(super) bytes: usize,
    place: AtomicU64,
    pub(super) rank: [AtomicU64; 2],
    pub(super) uses: AtomicU64,
}

/// Where the vector of an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It has none.
    Nowhere,
    /// In a row of its partition's matrix.
    Row(usize),
    /// In a slot of its partition's graph.
    Slot(Slot),
}

/// Marks a place as a slot.
const SLOT: u64 = 1 << 62;

impl Entry {
    pub(super) fn new(id: u64, new: NewEntry, vector_bytes: usize) -> Self {
        let NewEntry {
            partition,
            question,
            answer,
            stored_at,
            ..
        } = new;
        Self {
            id,
            key: EntryKey::of(&partition, &question),
            bytes: question.len() + answer.bytes() + vector_bytes,
            partition,
            question: question.into(),
            answer: Arc::new(answer),
            stored_at,
            place: AtomicU64::new(u64::MAX),
            rank: [AtomicU64::new(0), AtomicU64::new(0)],
            uses: AtomicU64::new(0),
        }
    }

    pub(super) fn place(&self) -> Place {
        match self.place.load(Ordering::Relaxed) {
            u64::MAX => Place::Nowhere,
            slot if slot & SLOT != 0 => Place::Slot((slot ^ SLOT) as Slot),
            row => Place::Row(row as usize),
        }
    }

    pub(super) fn set_place(&self, place: Place) {
        let place = match place {
            Place::Nowhere => u64::MAX,
            Place::Row(row) => row as u64,
            Place::Slot(slot) => u64::from(slot) | SLOT,
        };
        self.place.store(place, Ordering::Relaxed);
    }

    pub(super) fn is_alive(&self, now: Timestamp, time_to_live: Duration) -> bool {
        now.since(self.stored_at) < time_to_live
    }

    pub(super) fn found(&self, similarity: f32, now: Timestamp) -> Found {
        Found {
            key: self.key,
            question: Arc::clone(&self.question),
            answer: Arc::clone(&self.answer),
            similarity,
            age: now.since(self.stored_at),
        }
    }
}
