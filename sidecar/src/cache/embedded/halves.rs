//! [`Halves`]: vectors in fixed point, their upper and lower bytes apart.
//!
//! A search compares its query with hundreds of vectors, and what it waits for is memory. The upper bytes alone, half of it, tell
//! which vectors are near; both together are the vectors, bit by bit, for the few whose similarity counts, and for those that the
//! upper ones do not tell apart.
//!
//! Components of a vector of many dimensions are small, so a vector is shifted left as far as its largest component allows before
//! it is divided: the upper byte then holds seven bits of that one. A component whose lower byte is not looked at is taken for the
//! middle of what it may be.

use super::bytes::ByteRows;
use crate::cache::fixed_point::dot;

/// Most bits that a vector is shifted by. With more, [`Query::approximate`] could overflow.
const MAX_SHIFT: u32 = 7;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Product of a vector and another in fixed point, and the row of the first.
pub(super) type Scored = (i32, u32);

/// What is added to upper bytes, so that none is negative; as a bit of theirs, it is the sign.
const OFFSET: i32 = 128;
const SIGN: u8 = 128;

/// One more in an upper byte of a vector that is not shifted, as the product of unit vectors. Each component is off by up to half of
/// it, evenly spread, so a product is by 1 / √12 of it in the mean square, and the difference of two by 0.41: hardly ever by two.
const UNIT: i64 = 1 << 23;

/// What vectors are compared with.
#[derive(Debug)]
pub(super) struct Query<'v> {
    components: &'v [i16],
    sum: i32,
}

impl<'v> Query<'v> {
    pub(super) fn new(components: &'v [i16]) -> Self {
        let sum = components.iter().map(|c| i32::from(*c)).sum();
        Self { components, sum }
    }

    /// The product with a vector of which the upper bytes are known. With `v = (256 (u - 128) + l) / 2^s` and `l` taken for 128,
    /// `q·v = (2 q·u - 255 Σq) 2^(7 - s)`. The product of two unit vectors is below 2³¹, so what wraps on the way wraps back.
    fn approximate(&self, (upper, shift): (&[u8], u32)) -> i32 {
        let product = dot(self.components, upper).wrapping_mul(2);
        product.wrapping_sub(self.sum.wrapping_mul(2 * OFFSET - 1)) << (MAX_SHIFT - shift)
    }

    /// The product with a vector.
    fn exact(&self, (upper, shift): (&[u8], u32), lower: &[u8]) -> i32 {
        let upper = i64::from(dot(self.components, upper)) - i64::from(OFFSET * self.sum);
        let lower = i64::from(dot(self.components, lower));
        (((upper << 8) + lower) >> shift) as i32
    }
}

/// Rows of vectors.
#[derive(Debug)]
pub(super) struct Halves {
    dimensions: usize,
    /// Upper bytes with [`OFFSET`], then the shift.
    upper: ByteRows,
    lower: ByteRows,
}

impl Halves {
    pub(super) fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            upper: ByteRows::new(dimensions + 1),
            lower: ByteRows::new(dimensions),
        }
    }

    /// Puts a vector into a row, for which it makes room.
    pub(super) fn put(&mut self, row: u32, vector: &[i16]) {
        debug_assert_eq!(
            vector.len(),
            self.dimensions,
            "every component of a row is written"
        );
        self.upper.reach(row);
        self.lower.reach(row);
        let largest = vector.iter().map(|c| c.unsigned_abs()).max().unwrap_or(0);
        let shift = largest.leading_zeros().saturating_sub(1).min(MAX_SHIFT);
        let upper = self.upper.row_mut(row);
        let lower = self.lower.row_mut(row);
        for ((component, upper), lower) in vector.iter().zip(&mut *upper).zip(lower) {
            let [low, high] = (component << shift).to_le_bytes();
            (*upper, *lower) = (high ^ SIGN, low);
        }
        upper[self.dimensions] = shift as u8;
    }

    /// The vector of a row.
    pub(super) fn vector(&self, row: u32) -> Box<[i16]> {
        let (upper, shift) = self.upper(row);
        let halves = upper.iter().zip(self.lower.row(row));
        halves
            .map(|(high, low)| i16::from_le_bytes([*low, high ^ SIGN]) >> shift)
            .collect()
    }

    /// Adds about what the products of the query and these rows are to `scored`.
    pub(super) fn approximate(&self, query: &Query<'_>, rows: &[u32], scored: &mut Vec<Scored>) {
        touch(rows, |row| self.upper.row(row));
        scored.extend(
            rows.iter()
                .map(|&row| (query.approximate(self.upper(row)), row)),
        );
    }

    /// Adds the products of the query and these rows to `scored`.
    pub(super) fn exact(&self, query: &Query<'_>, rows: &[u32], scored: &mut Vec<Scored>) {
        touch(rows, |row| self.upper.row(row));
        touch(rows, |row| self.lower.row(row));
        let product = |row| query.exact(self.upper(row), self.lower.row(row));
        scored.extend(rows.iter().map(|&row| (product(row), row)));
    }

    /// Whether one of [`Self::approximate`]'s products is so far below another that its vector is the farther one. Among more than a
    /// search keeps in view that these do not tell apart, the nearest may be out of view.
    pub(super) fn tell_apart(&self, products: &[Scored]) -> bool {
        let shift = products.iter().map(|scored| self.upper(scored.1).1).min();
        let doubt = 2 * (UNIT >> shift.unwrap_or(0));
        let (least, most) = (products.iter().min(), products.iter().max());
        least
            .zip(most)
            .is_some_and(|(least, most)| i64::from(most.0) - i64::from(least.0) > doubt)
    }

    fn upper(&self, row: u32) -> (&[u8], u32) {
        let (shift, upper) = self.upper.row(row).split_last().unwrap_or((&0, &[]));
        (upper, (*shift).into())
    }
}

/// Reads a byte of each cache line of these rows, so that the processor fetches all of them at the same time instead of one after
/// the other. Half as many insertions again for a CPU second at 40,000 nodes of 384 dimensions.
fn touch<'r>(rows: &[u32], row: impl Fn(u32) -> &'r [u8]) {
    let firsts = rows.iter().flat_map(|at| row(*at).iter().step_by(LINE));
    std::hint::black_box(firsts.fold(0, |all, first| all ^ first));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cache::fixed_point::quantized;
    use crate::encoder::Embedding;

    fn halves(vector: &[i16]) -> Halves {
        let mut halves = Halves::new(vector.len());
        halves.put(5, vector);
        halves
    }

    fn fixed(values: Vec<f32>) -> Box<[i16]> {
        quantized(Embedding::normalized(values).values())
    }

    proptest! {
        #[test]
        fn both_halves_are_the_vector(vector in prop::collection::vec(any::<i16>(), 0..50), small in 0_u32..16) {
            let vector: Vec<i16> = vector.into_iter().map(|c| c >> small).collect();
            prop_assert_eq!(&*halves(&vector).vector(5), &*vector);
        }

        #[test]
        fn the_product_is_that_of_the_vectors_and_the_upper_halves_tell_it_to_half_a_unit_of_theirs(
            pairs in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 1..800),
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let (a, b) = (fixed(a), fixed(b));
            let (halves, query) = (halves(&b), Query::new(&a));
            let mut scored = Vec::new();
            halves.approximate(&query, &[5], &mut scored);
            let (about, row) = scored[0];
            scored.clear();
            halves.exact(&query, &[5], &mut scored);
            let largest = b.iter().map(|c| c.unsigned_abs()).max().unwrap_or(0);
            let unit = i64::from((u32::from(largest) + 1).next_power_of_two()) * 2 / 256;
            let off: i64 = a.iter().map(|c| i64::from(c.unsigned_abs())).sum::<i64>() * unit.max(2) / 2;
            prop_assert_eq!((row, &*scored), (5, &[(dot(&a, &b), 5)][..]));
            prop_assert!(i64::from(about.abs_diff(scored[0].0)) <= off, "{about} {scored:?} {off}");
        }
    }

    #[test]
    fn the_largest_products_do_not_overflow() {
        for length in [1, 2, 384, 4096] {
            for sign in [1.0, -1.0] {
                let (vector, query) = (fixed(vec![1.0; length]), fixed(vec![sign; length]));
                let mut scored = Vec::new();
                halves(&vector).approximate(&Query::new(&query), &[5], &mut scored);
                let cosine = f64::from(scored[0].0) / f64::from(i16::MAX).powi(2);
                assert!(
                    (cosine - f64::from(sign)).abs() < 0.01,
                    "{length}: {cosine}"
                );
            }
        }
    }
}
