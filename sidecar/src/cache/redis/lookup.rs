//! Looking for an answer.

use std::collections::HashSet;

use redis::pipe;

use super::RedisStore;
use super::entry::{FIELDS, StoredEntry, VECTOR, f32_bytes};
use super::keys::Element;
use super::slices::Slices;
use crate::cache::fixed_point::{cosine, dot, from_bytes, quantized};
use crate::cache::{EntryKey, Found, Partition, StoreError, Timestamp};
use crate::encoder::Embedding;

/// Elements that each set is asked for, for one that is wanted: some may be of entries that are gone.
const ASKED_PER_WANTED: usize = 4;

/// Entries that are read, for one that is wanted: the order of the first choice is not exact.
const READ_PER_WANTED: usize = 2;

/// How far the first choice, with vectors of 8 bits, may be from the cosine. Of 40,000 pairs of 384 dimensions none was off by
/// more than 0.0024; fewer dimensions are off by more.
const FIRST_CHOICE_ERROR: f32 = 0.05;

/// What `HMGET` gives.
type Values = Vec<Option<Vec<u8>>>;

impl RedisStore {
    pub(super) async fn find_exact(
        &self,
        partition: &Partition,
        question: &str,
    ) -> Result<Option<Found>, StoreError> {
        let live = self.link.live()?;
        let key = EntryKey::of(partition, question);
        let mut pipeline = pipe();
        let entry = self.keys.entry(&live.encoder, partition, &key);
        pipeline.cmd("HMGET").arg(entry).arg(&FIELDS);
        let (values,): (Values,) = self.link.read(&live, &pipeline).await?;
        let now = Timestamp::now();
        let entry = self.alive(values, &key, partition, now);
        Ok(entry.map(|entry| entry.found(key, 1.0, now)))
    }

    pub(super) async fn find_nearest(
        &self,
        partition: &Partition,
        embedding: &Embedding,
        threshold: f32,
        most: usize,
    ) -> Result<Vec<Found>, StoreError> {
        if !self.fits(embedding) {
            return Ok(Vec::new());
        }
        let live = self.link.live()?;
        let (now, time_to_live) = (Timestamp::now(), self.time_to_live());
        let mut pipeline = pipe();
        for slice in Slices::new(time_to_live).alive(now) {
            pipeline
                .cmd("VSIM")
                .arg(self.keys.vectors(&live.encoder, partition, slice))
                .arg("FP32")
                .arg(f32_bytes(embedding.values()))
                .arg("WITHSCORES")
                .arg("COUNT")
                .arg(most.saturating_mul(ASKED_PER_WANTED));
        }
        let sets: Vec<Vec<(Vec<u8>, f32)>> = self.link.read(&live, &pipeline).await?;
        let oldest = now.before(time_to_live);
        let candidates = first_choice(sets, threshold, most, oldest);
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        for key in &candidates {
            let entry = self.keys.entry(&live.encoder, partition, key);
            pipeline.cmd("HMGET").arg(entry).arg(&FIELDS).arg(VECTOR);
        }
        let entries: Vec<Values> = self.link.read(&live, &pipeline).await?;
        let wanted = quantized(embedding.values());
        let mut found: Vec<Found> = candidates
            .into_iter()
            .zip(entries)
            .filter_map(|(key, mut values)| {
                let vector = from_bytes(&values.pop()??);
                if vector.len() != wanted.len() {
                    return None;
                }
                let similarity = cosine(dot(&wanted, &vector));
                let entry = self.alive(values, &key, partition, now)?;
                (similarity >= threshold).then(|| entry.found(key, similarity, now))
            })
            .collect();
        found.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        found.truncate(most);
        Ok(found)
    }

    /// An entry that may be served: there, of this partition, and young enough.
    fn alive(
        &self,
        values: Values,
        key: &EntryKey,
        partition: &Partition,
        now: Timestamp,
    ) -> Option<StoredEntry> {
        let entry = StoredEntry::read(values)?;
        let is_alive = now.since(entry.stored_at) < self.time_to_live();
        (is_alive && entry.is(key, partition)).then_some(entry)
    }
}

/// What a set says of an entry.
struct Candidate {
    key: EntryKey,
    similarity: f32,
    /// Unless it was stored again since, it is gone.
    is_old: bool,
}

/// Entries that may reach the threshold, the likeliest first. A score is `(1 + cosine) / 2`.
fn first_choice(
    sets: Vec<Vec<(Vec<u8>, f32)>>,
    threshold: f32,
    most: usize,
    oldest: Timestamp,
) -> Vec<EntryKey> {
    let mut candidates: Vec<Candidate> = sets
        .into_iter()
        .flatten()
        .filter_map(|(element, score)| {
            let (key, stored_at) = Element::read(element)?;
            let similarity = 2.0 * score - 1.0;
            let is_old = stored_at <= oldest;
            let candidate = Candidate {
                key,
                similarity,
                is_old,
            };
            (similarity >= threshold - FIRST_CHOICE_ERROR).then_some(candidate)
        })
        .collect();
    candidates.sort_by(|a, b| {
        let by_similarity = b.similarity.total_cmp(&a.similarity);
        a.is_old.cmp(&b.is_old).then(by_similarity)
    });
    let mut seen = HashSet::new();
    candidates.retain(|candidate| seen.insert(candidate.key));
    candidates.truncate(most.saturating_mul(READ_PER_WANTED));
    candidates
        .into_iter()
        .map(|candidate| candidate.key)
        .collect()
}
