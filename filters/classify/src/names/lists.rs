//! Lists of names, as Bloom filters: a name that is in one is always found, another word one time in some hundreds.

/// Places that a name has in a filter.
const HASHES: u64 = 4;

/// A list of lower-case words.
#[derive(Debug)]
pub(super) struct List(Vec<u8>);

impl List {
    /// `None` when it is empty.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        (!bytes.is_empty()).then(|| Self(bytes.to_vec()))
    }

    pub(super) fn holds(&self, word: &str) -> bool {
        let hash = fnv(word.as_bytes());
        let (first, second) = (hash & 0xffff_ffff, (hash >> 32) | 1);
        let bits = u64::try_from(self.0.len())
            .unwrap_or(1)
            .saturating_mul(8)
            .max(1);
        (0..HASHES).all(|k| {
            let bit = first.wrapping_add(k.wrapping_mul(second));
            let bit = bit.checked_rem(bits).unwrap_or_default();
            let byte = usize::try_from(bit >> 3).ok().and_then(|at| self.0.get(at));
            byte.is_some_and(|byte| byte >> (bit & 7) & 1 == 1)
        })
    }
}

/// FNV-1a, 64 bits (draft-eastlake-fnv).
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
