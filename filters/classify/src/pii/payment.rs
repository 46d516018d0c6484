//! Payment cards and bank accounts.

use super::{Candidate, Judge, Kind};

pub(super) const DETECTORS: &[(Kind, &str, Judge)] = &[
    (
        Kind::CreditCard,
        r"[0-9]{12,19}|[0-9]{4}(?:[ -][0-9]{4}){3}(?:[ -][0-9]{1,3})?|[0-9]{4}[ -][0-9]{6}[ -][0-9]{4,5}",
        card,
    ),
    (
        Kind::IbanCode,
        r"(?i)[a-z]{2}[0-9]{2}(?:[ -]?[a-z0-9]{4}){2,7}(?:[ -]?[a-z0-9]{1,4})?",
        iban,
    ),
];

const CARD_WORDS: &[&str] = &[
    "card",
    "credit",
    "debit",
    "visa",
    "mastercard",
    "maestro",
    "amex",
    "american express",
    "discover",
    "kreditkarte",
    "karte",
    "carte",
    "tarjeta",
    "carta",
    "cvv",
    "cvc",
    "expir",
];

/// Numbers that may have a card's form and checksum by chance.
const OTHER_NUMBERS: &[&str] = &[
    "tracking", "order", "invoice", "isbn", "ean", "upc", "imei", "serial", "shipment", "parcel",
    "ticket", "uuid",
];

/// ISO/IEC 7812: an issuer's prefix and length, and the checksum of Luhn.
fn card(candidate: &Candidate<'_>) -> Option<f32> {
    let digits = candidate.digits();
    if !candidate.stands_alone() || !luhn(&digits) {
        return None;
    }
    let near = candidate.is_near(CARD_WORDS);
    if !near && candidate.is_after(OTHER_NUMBERS) {
        return None;
    }
    match issuer(&digits) {
        Issuer::Known => Some(if near { 1.0 } else { 0.9 }),
        // So many numbers begin like these that the checksum alone lets one in ten pass.
        Issuer::Maestro => near.then_some(0.8),
        Issuer::None => None,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Issuer {
    Known,
    Maestro,
    None,
}

/// Prefixes and lengths of the networks' public tables (BIN ranges).
fn issuer(digits: &[u8]) -> Issuer {
    let start = digits.iter().take(6).fold(0_u32, |sum, d| {
        sum.saturating_mul(10).saturating_add((*d).into())
    });
    let two = start / 10_000;
    let (three, four) = (start / 1_000, start / 100);
    match (digits.len(), four, two) {
        (13 | 16 | 19, 4000..=4999, _)
        | (16, 2221..=2720, _)
        | (16, _, 51..=55)
        | (15, _, 34 | 37)
        | (14, _, 36 | 38 | 39)
        | (16..=19, 3528..=3589, _)
        | (15, 1800 | 2131, _)
        | (16..=19, 6011, _)
        | (16..=19, _, 62 | 65) => Issuer::Known,
        (14, _, _) if (300..=305).contains(&three) || three == 309 => Issuer::Known,
        (16..=19, _, _) if (644..=649).contains(&three) => Issuer::Known,
        (12..=19, _, 50 | 56..=58 | 60..=69) => Issuer::Maestro,
        _ => Issuer::None,
    }
}

/// ISO/IEC 7812-1, annex B.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let digit = u32::from(*digit);
            let doubled = digit.saturating_mul(2);
            match at % 2 {
                0 => digit,
                _ if doubled > 9 => doubled.saturating_sub(9),
                _ => doubled,
            }
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|d| *d != 0)
}

/// Country and length of its accounts: SWIFT, "IBAN Registry", release 99.
const IBAN_LENGTHS: &[(&str, usize)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HN", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
    ("YE", 30),
];

/// ISO 13616: length by country, and ISO 7064 mod 97-10.
fn iban(candidate: &Candidate<'_>) -> Option<f32> {
    if !candidate.stands_alone() {
        return None;
    }
    let account: Vec<u8> = candidate
        .as_str()
        .bytes()
        .filter(u8::is_ascii_alphanumeric)
        .map(|b| b.to_ascii_uppercase())
        .collect();
    let country = account.get(..2)?;
    let (_, length) = IBAN_LENGTHS
        .iter()
        .find(|(code, _)| code.as_bytes() == country)?;
    (account.len() == *length && mod_97(&account) == Some(1)).then_some(0.95)
}

/// The remainder of the account with its first four characters moved to its end, letters as 10 to 35.
fn mod_97(account: &[u8]) -> Option<u32> {
    let (head, tail) = account.split_at_checked(4)?;
    let remainder = tail.iter().chain(head).fold(0_u32, |rest, byte| {
        let value = char::from(*byte).to_digit(36).unwrap_or_default();
        let shift = if value < 10 { 10_u32 } else { 100 };
        rest.saturating_mul(shift).saturating_add(value) % 97
    });
    Some(remainder)
}
