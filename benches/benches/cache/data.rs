//! Vectors as a cache has them: questions lie around matters, and somebody asks again what was asked before.
//!
//! One centre for fifty entries, entries at a cosine of 0.78 from their centre (0.61 from each other), queries at 0.93 from an
//! entry. Directions are random, in 384 dimensions, the same in every run. Uniform random vectors would say little: their
//! nearest neighbours are hardly nearer than any other.

use turnpike_sidecar::encoder::Embedding;

pub(crate) const DIMENSIONS: usize = 384;

const ENTRIES_PER_CENTRE: u64 = 50;

/// Lengths of the random vectors that are added to a centre, and to an entry for a query: cosine = 1 / √(1 + length²).
const SPREAD: f32 = 0.8;
const PARAPHRASE: f32 = 0.4;

/// What a random vector is for.
#[derive(Clone, Copy)]
enum Stream {
    Centre = 1,
    Entry = 2,
    Query = 3,
    Choice = 4,
}

/// `entries` vectors that need not be kept: each is made from its number.
#[derive(Clone, Copy)]
pub(crate) struct Data {
    pub(crate) entries: u64,
}

impl Data {
    pub(crate) fn entry(self, number: u64) -> Embedding {
        let centres = (self.entries / ENTRIES_PER_CENTRE).max(1);
        let centre = random(Stream::Centre, mix(number) % centres);
        beside(&centre, Stream::Entry, number, SPREAD)
    }

    /// A query beside an entry of those from `first` on.
    pub(crate) fn query(self, number: u64, first: u64) -> Embedding {
        let choice = mix((Stream::Choice as u64) << 56 | number) % self.entries;
        let entry = self.entry(first + choice);
        beside(entry.values(), Stream::Query, number, PARAPHRASE)
    }
}

fn beside(centre: &[f32], stream: Stream, number: u64, length: f32) -> Embedding {
    let aside = random(stream, number);
    let values = centre.iter().zip(&aside).map(|(c, a)| c + length * a);
    Embedding::normalized(values.collect())
}

/// A random direction.
fn random(stream: Stream, number: u64) -> Vec<f32> {
    let start = mix((stream as u64) << 56 | number);
    let values = (0..DIMENSIONS as u64).map(|at| {
        // The sum of four uniform numbers is normal enough.
        let bits = mix(start.wrapping_add(at.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let parts = [bits, bits >> 16, bits >> 32, bits >> 48];
        parts
            .iter()
            .map(|part| f32::from(*part as u16))
            .sum::<f32>()
            - 2.0 * f32::from(u16::MAX)
    });
    Embedding::normalized(values.collect()).values().to_vec()
}

/// SplitMix64.
fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// Queries and the entries that are truly nearest, found while the entries pass by.
pub(crate) struct Truth {
    pub(crate) queries: Vec<Embedding>,
    best: Vec<(f32, u64)>,
}

impl Truth {
    pub(crate) fn new(queries: Vec<Embedding>) -> Self {
        let best = vec![(f32::MIN, 0); queries.len()];
        Self { queries, best }
    }

    pub(crate) fn see(&mut self, number: u64, entry: &Embedding) {
        for (query, best) in self.queries.iter().zip(&mut self.best) {
            let similarity = query.similarity(entry);
            if similarity > best.0 {
                *best = (similarity, number);
            }
        }
    }

    /// Queries with the numbers of their nearest entries.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&Embedding, u64)> {
        self.queries.iter().zip(self.best.iter().map(|best| best.1))
    }
}
