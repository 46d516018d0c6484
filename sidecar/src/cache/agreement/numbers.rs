//! Numbers as people write them: `10,000`, `10k`, `2.5`, `3rd`, `8:30`, `3-4`, `$5`, `30 °C`, `1980s`.
//!
//! A number keeps its digits, so `3.1` and `3.10` (a version) stay two; grouping commas and the letters for thousands and millions are
//! resolved. Times, dates and versions are kept as they are written.

/// What a piece of text without spaces says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Amount<'a> {
    /// One number, or two for a range.
    pub(super) values: Vec<String>,
    /// What stands right after or, for a currency, before it.
    pub(super) unit: Option<&'a str>,
    /// `1st`, `22nd`.
    pub(super) ordinal: bool,
}

const CURRENCIES: [(char, &str); 5] = [
    ('$', "dollar"),
    ('€', "euro"),
    ('£', "gbp"),
    ('¥', "yen"),
    ('₹', "inr"),
];

/// The sign of a currency as a word.
pub(super) fn currency(sign: char) -> Option<&'static str> {
    CURRENCIES
        .iter()
        .find(|(c, _)| *c == sign)
        .map(|(_, name)| *name)
}

/// Reads `piece`, which has no spaces and no punctuation around it; `None` when it is no number.
pub(super) fn read(piece: &str) -> Option<Amount<'_>> {
    let (front, rest) = front_currency(piece);
    let (sign, rest) = match rest.strip_prefix(['-', '−']) {
        Some(digits) => ("-", digits),
        None => ("", rest),
    };
    if !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let end = rest
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | ':' | '/' | '-' | '–')))
        .unwrap_or(rest.len());
    let (body, suffix) = rest.split_at_checked(end)?;
    let trimmed = body.trim_end_matches(['.', ',', ':', '/', '-', '–']);
    if trimmed.len() < body.len() && !suffix.is_empty() {
        return hyphenated(sign, trimmed, body, suffix);
    }
    let (scale, ordinal, unit) = suffix_of(suffix, front.is_some())?;
    let values = values(sign, trimmed)
        .into_iter()
        .map(|value| scaled(&value, scale))
        .collect();
    Some(Amount {
        values,
        unit: front.or(unit),
        ordinal,
    })
}

fn front_currency(piece: &str) -> (Option<&'static str>, &str) {
    let mut chars = piece.chars();
    match chars.next().and_then(currency) {
        Some(name) => (Some(name), chars.as_str()),
        None => (None, piece),
    }
}

/// `200-word`: the number, and its noun as the unit.
fn hyphenated<'a>(sign: &str, digits: &str, body: &str, suffix: &'a str) -> Option<Amount<'a>> {
    let hyphen = body.ends_with('-') && suffix.chars().all(|c| c.is_alphabetic() || c == '-');
    hyphen.then(|| Amount {
        values: values(sign, digits),
        unit: Some(suffix),
        ordinal: false,
    })
}

/// The digits of `body`: two numbers for a range, one that is kept as written for dates, times and versions.
fn values(sign: &str, body: &str) -> Vec<String> {
    let parts: Vec<&str> = body.split(['-', '–']).collect();
    match parts.as_slice() {
        [low, high] if sign.is_empty() && !low.is_empty() && !high.is_empty() => {
            vec![plain(low), plain(high)]
        }
        _ => vec![format!("{sign}{}", plain(body))],
    }
}

/// Without commas between groups of three digits; a single other comma is a decimal point.
fn plain(digits: &str) -> String {
    let Some((first, rest)) = digits.split_once(',') else {
        return digits.to_owned();
    };
    let whole = rest.split_once('.').map_or(rest, |(whole, _)| whole);
    let grouped = !first.is_empty()
        && first.len() <= 3
        && whole
            .split(',')
            .all(|group| group.len() == 3 && group.bytes().all(|b| b.is_ascii_digit()));
    if grouped {
        digits.replace(',', "")
    } else {
        digits.replacen(',', ".", 1)
    }
}

/// The power of ten, whether it is an ordinal, and the unit, of what follows the digits; `None` when that is no part of a number.
fn suffix_of(suffix: &str, money: bool) -> Option<(usize, bool, Option<&str>)> {
    Some(match suffix {
        "" => (0, false, None),
        "st" | "nd" | "rd" | "th" => (0, true, None),
        "k" | "K" => (3, false, None),
        "M" | "mn" => (6, false, None),
        "m" if money => (6, false, None),
        "bn" => (9, false, None),
        "s" | "'s" => (0, false, Some("s_decade")),
        "k€" => (3, false, Some("euro")),
        _ => {
            let mut chars = suffix.chars();
            let sign = chars.next().and_then(currency);
            if let (Some(name), "") = (sign, chars.as_str()) {
                return Some((0, false, Some(name)));
            }
            return is_unit_like(suffix).then_some((0, false, Some(suffix)));
        }
    })
}

/// Letters, with a slash inside or a degree sign before: whether the unit exists is for the word lists to say.
fn is_unit_like(suffix: &str) -> bool {
    let letters = suffix.trim_start_matches('°');
    suffix == "%"
        || suffix == "+"
        || suffix == "°"
        || (letters.chars().count() <= 8
            && letters.starts_with(char::is_alphabetic)
            && letters.chars().all(|c| c.is_alphabetic() || c == '/'))
}

/// `value` times ten to the power of `scale`.
pub(super) fn scaled(value: &str, scale: usize) -> String {
    if scale == 0 {
        return value.to_owned();
    }
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let mut digits = whole.to_owned();
    digits.extend(fraction.chars().chain(std::iter::repeat('0')).take(scale));
    let left: String = fraction.chars().skip(scale).collect();
    let trimmed = digits.trim_start_matches('0');
    let digits = if trimmed.is_empty() { "0" } else { trimmed };
    if left.is_empty() {
        digits.to_owned()
    } else {
        format!("{digits}.{left}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(piece: &str) -> Option<(String, Option<&str>)> {
        let amount = read(piece)?;
        Some((amount.values.join(" "), amount.unit))
    }

    #[test]
    fn the_same_number_in_another_notation_is_the_same() {
        assert_eq!(one("10,000"), one("10k"));
        assert_eq!(one("$1.5m"), one("$1,500,000"));
        assert_eq!(one("2,5"), one("2.5"));
    }

    #[test]
    fn versions_times_and_ranges_keep_their_digits() {
        assert_ne!(one("3.1"), one("3.10"));
        assert_eq!(one("1.2.3"), Some(("1.2.3".into(), None)));
        assert_eq!(one("8:30"), Some(("8:30".into(), None)));
        assert_eq!(one("3-4"), Some(("3 4".into(), None)));
        assert_eq!(one("2024-03-01"), Some(("2024-03-01".into(), None)));
    }

    #[test]
    fn units_are_cut_off_and_other_letters_make_a_name() {
        assert_eq!(one("30°C"), Some(("30".into(), Some("°C"))));
        assert_eq!(one("50%"), Some(("50".into(), Some("%"))));
        assert_eq!(one("200-word"), Some(("200".into(), Some("word"))));
        assert_eq!(one("B12"), None);
        assert_eq!(one("0x1F"), None);
    }
}
