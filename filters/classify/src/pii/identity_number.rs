//! US Social Security numbers.

use super::{Candidate, Judge, Kind};

pub(super) const DETECTORS: &[(Kind, &str, Judge)] = &[(
    Kind::UsSsn,
    r"[0-9]{3}-[0-9]{2}-[0-9]{4}|[0-9]{3} [0-9]{2} [0-9]{4}|[0-9]{9}",
    ssn,
)];

const WORDS: &[&str] = &[
    "ssn",
    "social security",
    "soc sec",
    "ss#",
    "ss #",
    "social-security",
    "tax id",
    "taxpayer",
];

/// Social Security Administration, "Social Security Number Randomization": no area 000, 666 or above 899, no group 00, no serial
/// 0000. Numbers that were printed in advertisements are nobody's.
fn ssn(candidate: &Candidate<'_>) -> Option<f32> {
    if !candidate.stands_alone() {
        return None;
    }
    let number = candidate.digits().iter().fold(0_u32, |sum, d| {
        sum.saturating_mul(10).saturating_add((*d).into())
    });
    let (area, group, serial) = (number / 1_000_000, number / 10_000 % 100, number % 10_000);
    let valid = (1..900).contains(&area) && area != 666 && group != 0 && serial != 0;
    let advertised = matches!(number, 78_051_120 | 219_099_999);
    if !valid || advertised {
        return None;
    }
    let near = candidate.is_near(WORDS);
    match candidate.groups().len() {
        // The dashes in these places are rare elsewhere.
        3 if candidate.as_str().contains('-') => Some(if near { 1.0 } else { 0.85 }),
        3 => near.then_some(0.9),
        _ => near.then_some(0.8),
    }
}
