//! Properties of the store; what they share.

mod behaviour;
mod model;
mod persistence;

use std::time::Duration;

use turnpike_core::cache::EvictionPolicy;

use super::*;
use crate::metrics::CacheMetrics;

/// Numbers without order, the same in every run (SplitMix64).
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Roughly normal: the sum of twelve uniform numbers.
    fn normal(&mut self) -> f32 {
        (0..12)
            .map(|_| (self.next() >> 40) as f32 / (1 << 24) as f32)
            .sum::<f32>()
            - 6.0
    }
}

/// A direction without preference.
pub(super) fn unit_vector(numbers: &mut Numbers, dimensions: usize) -> Vec<f32> {
    let values = (0..dimensions).map(|_| numbers.normal()).collect();
    Embedding::normalized(values).values().to_vec()
}

/// A unit vector beside `centre`; their cosine is about 1 / √(1 + distance²).
pub(super) fn near(numbers: &mut Numbers, centre: &[f32], distance: f32) -> Vec<f32> {
    let aside = unit_vector(numbers, centre.len());
    let values = centre.iter().zip(&aside).map(|(c, a)| c + distance * a);
    Embedding::normalized(values.collect()).values().to_vec()
}

/// Vectors around centres, as questions about the same matter are.
pub(super) fn clustered(numbers: &mut Numbers, rows: usize, dimensions: usize) -> Vec<Vec<f32>> {
    let centres: Vec<_> = (0..rows.div_ceil(40))
        .map(|_| unit_vector(numbers, dimensions))
        .collect();
    (0..rows)
        .map(|_| near_one_of(numbers, &centres, 0.7))
        .collect()
}

/// A unit vector beside any of these.
pub(super) fn near_one_of(numbers: &mut Numbers, centres: &[Vec<f32>], distance: f32) -> Vec<f32> {
    let centre = numbers.below(centres.len());
    near(numbers, &centres[centre], distance)
}

pub(super) fn partition(number: u8) -> Partition {
    Partition::parse(&format!("{number:064x}")).unwrap()
}

/// One unit vector per number: neighbours are similar, 0.998 at most; distant ones are not.
fn embedding(number: u8) -> Embedding {
    let angle = f32::from(number) * 0.07;
    Embedding::normalized(vec![angle.cos(), angle.sin(), 0.0])
}

fn answer(body: &str) -> StoredAnswer {
    StoredAnswer {
        model: "m".into(),
        body: body.into(),
        ..StoredAnswer::default()
    }
}

fn entry(
    partition: Partition,
    question: &str,
    embedding: Option<Embedding>,
    body: &str,
    now: Timestamp,
) -> NewEntry {
    NewEntry {
        partition,
        question: question.into(),
        embedding,
        answer: answer(body),
        stored_at: now,
    }
}

fn limits(max_entries: usize, ttl_seconds: u64, eviction: EvictionPolicy) -> CacheLimits {
    CacheLimits {
        max_entries,
        max_bytes: usize::MAX,
        time_to_live: Duration::from_secs(ttl_seconds),
        eviction,
    }
}

fn in_memory(limits: CacheLimits) -> Embedded {
    Embedded::in_memory(limits, 3, CacheMetrics::default())
}
