//! Telephone numbers.

use super::{Candidate, Judge, Kind};

pub(super) const DETECTORS: &[(Kind, &str, Judge)] = &[(
    Kind::PhoneNumber,
    // A `+` or `00`, groups of digits with at most one bracketed, at most two characters between groups, an extension.
    r"(?i)(?:\+ ?)?(?:\([0-9]{1,5}\)|[0-9]{1,15})(?:(?:[ .\-/]|\) |[ -]?\(| - )?(?:[0-9]{1,5}\)[ -]?)?[0-9]{1,9}){0,6}(?: ?(?:x|ext\.? ?|extension )[0-9]{1,5})?",
    phone,
)];

const WORDS: &[&str] = &[
    "phone",
    "tel",
    "mobile",
    "cell",
    "call ",
    "calling",
    "fax",
    "whatsapp",
    "sms",
    "text me",
    "text him",
    "text her",
    "dial",
    "reach",
    "contact",
    "answering",
    "message to",
    "messages to",
    "office",
    "hotline",
    "ring ",
    "handy",
    "telefon",
    "rufnummer",
    "ruf ",
    "anruf",
    "mobil",
    "téléphone",
    "appel",
    "portable",
    "teléfono",
    "móvil",
    "llama",
    "celular",
    "telefono",
    "cellulare",
    "telefoon",
    "number is",
    "number's",
    "my number",
];

/// Numbers of another kind, where nothing says that they are telephone numbers.
const OTHER_NUMBERS: &[&str] = &[
    "order",
    "invoice",
    "isbn",
    "issn",
    "ean",
    "upc",
    "tracking",
    "serial",
    "version",
    "ticket",
    "ssn",
    "social security",
    "account",
    "iban",
    "card",
    "case",
    "part",
    "sku",
    "id ",
    "id:",
    "zip",
    "postal",
    "pages",
    "page",
    "rfc",
    "passport",
    "license",
    "licence",
    "reference",
    "ref",
    "model",
];

/// E.164 has at most 15 digits; the shortest full numbers of a country have 7 with their country code.
fn phone(candidate: &Candidate<'_>) -> Option<f32> {
    let (digits, shape) = (candidate.number(), candidate.groups());
    if !candidate.stands_alone() || !(7..=15).contains(&digits.len()) || candidate.has_other_form()
    {
        return None;
    }
    if matches!(
        candidate.previous(),
        Some('$' | '€' | '£' | '¥' | '#' | '=' | '@' | ':' | '/')
    ) && !candidate.is_international()
    {
        return None;
    }
    let near = candidate.is_near(WORDS);
    if candidate.is_international() {
        return (digits.len() >= 8).then_some(if near { 0.95 } else { 0.75 });
    }
    if !near && candidate.is_after(OTHER_NUMBERS) {
        return None;
    }
    let score: f32 = if is_nanp(&digits, &shape, candidate.as_str()) {
        0.7
    } else if is_trunk(&digits, &shape) {
        0.6
    } else if near {
        0.3
    } else {
        return None;
    };
    Some(if near { score + 0.25 } else { score })
}

/// North American Numbering Plan: NXX-NXX-XXXX, N from 2 to 9, with or without the 1 before it, not written in one piece.
fn is_nanp(digits: &[u8], shape: &[usize], text: &str) -> bool {
    let (digits, shape) = match (digits, shape) {
        ([1, rest @ ..], [1, groups @ ..]) => (rest, groups),
        _ => (digits, shape),
    };
    let valid = matches!(digits, [2..=9, _, _, 2..=9, ..]) && digits.len() == 10;
    let apart = text.contains(['-', '.', '(']) || text.starts_with('1');
    valid && apart && matches!(shape, [3, 3, 4] | [3, 7] | [3, 3, 4, _] | [3, 3, 2, 2])
}

/// A national number with its trunk prefix 0, in groups: `0171 1234567`, `(027) 7972-805`.
fn is_trunk(digits: &[u8], shape: &[usize]) -> bool {
    matches!(digits, [0, 1..=9, ..])
        && (9..=12).contains(&digits.len())
        && matches!(shape, [2..=5, ..])
        && shape.len() >= 2
}

impl Candidate<'_> {
    fn is_international(&self) -> bool {
        let text = self.as_str();
        text.starts_with('+') || text.starts_with("00") && self.groups().len() >= 3
    }

    /// Digits without those of the extension.
    fn number(&self) -> Vec<u8> {
        let text = self.as_str();
        let end = text.find(['x', 'X', 'e', 'E']).unwrap_or(text.len());
        let digits = text.bytes().take(end).filter(u8::is_ascii_digit);
        digits.map(|d| d.wrapping_sub(b'0')).collect()
    }

    /// `2024-01-31`, `31.01.2024`; two years, `1914-1918`; groups of a Social Security number.
    fn has_other_form(&self) -> bool {
        let year = self.digits().iter().take(4).fold(0_u32, |year, digit| {
            year.saturating_mul(10).saturating_add((*digit).into())
        });
        match self.groups().as_slice() {
            [4, 1 | 2, 1 | 2] | [4, 4] | [4, 2, 2, ..] => (1000..=2100).contains(&year),
            [1 | 2, 1 | 2, 4] | [3, 2, 4] => true,
            _ => false,
        }
    }
}
