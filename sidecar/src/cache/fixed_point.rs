//! Vectors as 16-bit fixed point: half the bytes of f32, and sums that are the same on every machine.
//!
//! A component of a unit vector lies in -1..=1 and is kept as a multiple of 1/32767. By Cauchy-Schwarz no partial sum of a
//! product of two unit vectors exceeds 32767² < 2³¹, so 32-bit integers add up without overflow and in any order: the
//! compiler may use the widest multiply-add that the processor has. The cosine is off by less than 10⁻⁴.

use std::sync::LazyLock;

/// What 1.0 is kept as.
const ONE: f32 = 32_767.0;

/// What the processor can do, asked once.
static ARCH: LazyLock<pulp::Arch> = LazyLock::new(pulp::Arch::new);

/// The components of a unit vector in fixed point.
pub(super) fn quantized(values: &[f32]) -> Box<[i16]> {
    // `as` saturates, and a component that is not a number becomes 0.
    values.iter().map(|v| (v * ONE).round() as i16).collect()
}

/// The cosine of two unit vectors, from the product of their fixed points.
pub(super) fn cosine(product: i32) -> f32 {
    // Rounding may lift the product of two unit vectors a little above one.
    (product as f32 / (ONE * ONE)).min(1.0)
}

/// Dot product in fixed point; see [`cosine`]. `b` may be half of each component.
pub(super) fn dot<T: Copy + Into<i16>>(a: &[i16], b: &[T]) -> i32 {
    ARCH.dispatch(|| {
        a.iter().zip(b).fold(0_i32, |sum, (x, y)| {
            sum.wrapping_add(i32::from(*x) * i32::from((*y).into()))
        })
    })
}

/// The components as little-endian bytes.
pub(super) fn to_bytes(vector: &[i16]) -> Vec<u8> {
    vector
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// What [`to_bytes`] was given; an odd byte at the end does not count.
pub(super) fn from_bytes(bytes: &[u8]) -> Box<[i16]> {
    let values = bytes.as_chunks::<2>().0.iter();
    values.map(|value| i16::from_le_bytes(*value)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::encoder::Embedding;

    proptest! {
        #[test]
        fn the_cosine_in_fixed_point_is_the_cosine(
            pairs in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 1..800),
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let (a, b) = (Embedding::normalized(a), Embedding::normalized(b));
            let product = dot(&quantized(a.values()), &quantized(b.values()));
            prop_assert!((cosine(product) - a.similarity(&b)).abs() < 1e-4);
        }
    }

    #[test]
    fn the_largest_components_do_not_overflow() {
        for length in [1, 2, 384, 4096] {
            let vector = Embedding::normalized(vec![1.0; length]);
            let fixed = quantized(vector.values());
            assert!((cosine(dot(&fixed, &fixed)) - 1.0).abs() < 1e-3, "{length}");
        }
    }
}
