//! Numbers and what they count.

use super::super::numbers;
use super::super::reading::Class;
use super::Reader;

impl Reader {
    pub(super) fn number(&mut self, value: String, word: bool) {
        self.beside_number = true;
        if let Some(item) = self.reading.items.last_mut()
            && item.class == Class::Number
            && !item.text.contains(|c: char| c.is_alphabetic())
            && let Some(joined) = joined(&item.text, &value, word)
        {
            item.text = joined;
            item.optional = false;
            // `Two hundred and fifty`.
            let at = self.reading.items.len();
            let marks = &mut self.reading.marks;
            marks.pop_if(|mark| mark.at == at && mark.class == "and");
            return;
        }
        // `One reason`, not `season one`.
        let before = self.lexicon.word(&self.before);
        let behind_noun = !self.before.is_empty() && before.is_none_or(|w| w.role.is_none());
        let pronoun = word && value == "1" && !behind_noun;
        self.push(Class::Number, value, None);
        if let Some(item) = self.reading.items.last_mut() {
            item.optional = pronoun;
        }
    }

    /// A unit beside a number; other letters there are a word.
    pub(super) fn unit(&mut self, text: &str) {
        if self.symbol(text) {
            return;
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        for part in parts {
            if part == "May" {
                self.push(Class::Date, "may".to_owned(), None);
            } else if !self.symbol(part) {
                self.plain_word(&part.to_lowercase());
            }
        }
    }

    pub(super) fn symbol(&mut self, text: &str) -> bool {
        if text == "k" {
            if let Some(item) = self.reading.items.last_mut() {
                item.text = numbers::scaled(&item.text, 3);
            }
            return true;
        }
        match self.lexicon.symbol(text) {
            Some(unit) => {
                self.push(Class::Unit, unit.to_owned(), None);
                true
            }
            None => false,
        }
    }
}

/// `two hundred`, `5 million`, `twenty five`, `two hundred fifty`: one number.
fn joined(first: &str, second: &str, word: bool) -> Option<String> {
    let scale = match second {
        "100" => 2,
        "1000" => 3,
        "1000000" => 6,
        "1000000000" => 9,
        _ => 0,
    };
    if word && scale > 0 {
        return Some(numbers::scaled(first, scale));
    }
    let (a, b): (u64, u64) = (first.parse().ok()?, second.parse().ok()?);
    let fits = word
        && a >= 20
        && ((a % 10 == 0 && b < 10) || (a % 100 == 0 && b < 100) || (a % 1000 == 0 && b < 1000));
    (fits && b > 0).then(|| a.saturating_add(b).to_string())
}
