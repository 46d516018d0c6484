//! Numbers of documents. Their forms are everybody's, so only the words before them tell.

use super::{Candidate, Judge, Kind};

pub(super) const DETECTORS: &[(Kind, &str, Judge)] = &[
    (Kind::UsPassport, r"(?i)[a-z]?[0-9]{8,9}", passport),
    (
        Kind::UsDriverLicense,
        r"(?i)[a-z]{0,3}[0-9](?:[ -]?[0-9a-z]){4,16}",
        license,
    ),
];

const PASSPORT_WORDS: &[&str] = &[
    "passport",
    "reisepass",
    "passeport",
    "pasaporte",
    "passaporto",
    "travel document",
];

const LICENSE_WORDS: &[&str] = &[
    "driver's licen",
    "driver’s licen",
    "drivers licen",
    "driver licen",
    "driving licen",
    "drivers' licen",
    "dl#",
    "dl #",
    "dl:",
    "dl no",
    "licence no",
    "license no",
    "license number",
    "licence number",
];

/// U.S. Department of State: nine digits, or a letter and eight (since 2021).
fn passport(candidate: &Candidate<'_>) -> Option<f32> {
    let whole = candidate.as_str().len() == 9;
    (whole && candidate.stands_alone() && candidate.is_after(PASSPORT_WORDS)).then_some(0.85)
}

/// Forms differ by state: AAMVA lists from 1 to 16 characters, with up to 3 letters before the digits.
fn license(candidate: &Candidate<'_>) -> Option<f32> {
    let text = candidate.as_str();
    let (mut digits, mut letters) = (0_usize, 0_usize);
    for byte in text.bytes() {
        digits = digits.saturating_add(byte.is_ascii_digit().into());
        letters = letters.saturating_add(byte.is_ascii_alphabetic().into());
    }
    let form = digits >= 5 && letters <= 3;
    (form && candidate.stands_alone() && candidate.is_after(LICENSE_WORDS)).then_some(0.75)
}
