//! The script that most letters of a text belong to.

/// Scripts that people write questions in; any other one is `Other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    None,
    Latin,
    Cyrillic,
    Greek,
    Arabic,
    Hebrew,
    Devanagari,
    Thai,
    Hangul,
    /// Hiragana and katakana: Japanese, whatever its share of Han.
    Kana,
    Han,
    Other,
}

const SCRIPTS: usize = Script::Other as usize + 1;

/// The script of `text`; `None` for a text without letters.
pub(super) fn of(text: &str) -> Script {
    let mut counts = [(0_usize, Script::None); SCRIPTS];
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        let script = of_letter(c);
        if let Some(slot) = counts.get_mut(script as usize) {
            *slot = (slot.0 + 1, script);
        }
    }
    let kana = counts.get(Script::Kana as usize).map_or(0, |c| c.0);
    let han = counts.get(Script::Han as usize).map_or(0, |c| c.0);
    let most = counts.iter().max_by_key(|(count, _)| *count);
    match most {
        Some((count, _)) if kana > 0 && kana + han >= *count => Script::Kana,
        Some((_, script)) => *script,
        None => Script::None,
    }
}

fn of_letter(c: char) -> Script {
    match u32::from(c) {
        0x0041..=0x024F | 0x1E00..=0x1EFF => Script::Latin,
        0x0370..=0x03FF => Script::Greek,
        0x0400..=0x052F => Script::Cyrillic,
        0x0590..=0x05FF => Script::Hebrew,
        0x0600..=0x06FF | 0x0750..=0x077F => Script::Arabic,
        0x0900..=0x097F => Script::Devanagari,
        0x0E00..=0x0E7F => Script::Thai,
        0x1100..=0x11FF | 0xAC00..=0xD7AF => Script::Hangul,
        0x3040..=0x30FF => Script::Kana,
        0x3400..=0x9FFF => Script::Han,
        _ => Script::Other,
    }
}
