//! An entry as a hash, and its vector.
//!
//! The hash has the vector, too, in the 16 bits of [`fixed_point`](crate::cache::fixed_point): similarities are computed from it.

use std::sync::Arc;

use redis::Pipeline;

use super::keys::Element;
use super::millis;
use super::slices::Slice;
use crate::cache::fixed_point::{from_bytes, quantized, to_bytes};
use crate::cache::{EntryKey, Found, NewEntry, Partition, StoredAnswer, Timestamp};
use crate::encoder::Embedding;

/// Fields of every entry but its vector, in the order of [`StoredEntry::read`].
pub(super) const FIELDS: [&str; 8] = [
    "partition",
    "question",
    "stored_at_ms",
    "model",
    "decision",
    "category",
    "owner",
    "body",
];

/// The vector; empty when there is none.
pub(super) const VECTOR: &str = "vector";

/// An entry that was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StoredEntry {
    pub(super) partition: Partition,
    pub(super) question: String,
    pub(super) stored_at: Timestamp,
    pub(super) answer: StoredAnswer,
}

impl StoredEntry {
    /// From the values of [`FIELDS`]; `None` when one is missing or no text, as of a key that is not there.
    pub(super) fn read(values: Vec<Option<Vec<u8>>>) -> Option<Self> {
        let mut texts = values
            .into_iter()
            .map(|value| String::from_utf8(value?).ok());
        let mut next = || texts.next()?;
        Some(Self {
            partition: Partition::parse(&next()?).ok()?,
            question: next()?,
            stored_at: Timestamp(next()?.parse().ok()?),
            answer: StoredAnswer {
                model: next()?,
                decision: next()?,
                category: next()?,
                owner: next()?,
                body: next()?,
            },
        })
    }

    /// Whether it is the entry that its key says, and of the partition that was asked.
    pub(super) fn is(&self, key: &EntryKey, partition: &Partition) -> bool {
        self.partition == *partition && EntryKey::of(&self.partition, &self.question) == *key
    }

    pub(super) fn found(self, key: EntryKey, similarity: f32, now: Timestamp) -> Found {
        Found {
            key,
            question: self.question.into(),
            answer: Arc::new(self.answer),
            similarity,
            age: now.since(self.stored_at),
        }
    }
}

/// Writes every field; those of an entry before are replaced.
pub(super) fn write(
    pipeline: &mut Pipeline,
    key: &str,
    new: &NewEntry,
    embedding: Option<&Embedding>,
) {
    let StoredAnswer {
        model,
        decision,
        category,
        owner,
        body,
    } = &new.answer;
    let (partition, stored_at) = (new.partition.to_string(), new.stored_at.0.to_string());
    let question = &new.question;
    let values = [
        &partition, question, &stored_at, model, decision, category, owner, body,
    ];
    let vector = embedding.map(|embedding| to_bytes(&quantized(embedding.values())));
    let command = pipeline.cmd("HSET").arg(key);
    for (field, value) in FIELDS.into_iter().zip(values) {
        command.arg(field).arg(value);
    }
    command.arg(VECTOR).arg(vector.unwrap_or_default()).ignore();
}

/// Puts a vector into a set. The element must not be there yet.
pub(super) fn add_vector(
    pipeline: &mut Pipeline,
    vectors: &str,
    element: &Element,
    values: &[f32],
) {
    pipeline
        .cmd("VADD")
        .arg(vectors)
        .arg("FP32")
        .arg(f32_bytes(values))
        .arg(element.as_str())
        .ignore();
}

/// Marks an entry: the slice's set has its vector. Says whether it was not marked before.
pub(super) fn mark<'p>(pipeline: &'p mut Pipeline, entry: &str, slice: Slice) -> &'p mut Pipeline {
    pipeline.cmd("HSETNX").arg(entry).arg(slice.field()).arg(1)
}

/// Takes the mark off.
pub(super) fn unmark(pipeline: &mut Pipeline, entry: &str, slice: Slice) {
    pipeline.cmd("HDEL").arg(entry).arg(slice.field()).ignore();
}

/// Lets a set, or what else is of a slice, go when that has ended. Takes further arguments.
pub(super) fn expire<'p>(
    pipeline: &'p mut Pipeline,
    key: &str,
    slice: Slice,
    now: Timestamp,
) -> &'p mut Pipeline {
    let left = slice.end_of_life().since(now);
    pipeline.cmd("PEXPIRE").arg(key).arg(millis(left)).ignore()
}

/// Components as Redis takes them.
pub(super) fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Components of a vector in 16 bits; Redis scales them to length 1 itself.
pub(super) fn f32_values(vector: &[u8]) -> Vec<f32> {
    from_bytes(vector)
        .iter()
        .map(|value| f32::from(*value))
        .collect()
}
