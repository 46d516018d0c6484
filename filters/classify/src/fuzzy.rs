//! Keywords with typing errors: as many words of the text as the keyword has, a few edits away (Levenshtein).

/// Words of a text that are compared: those behind are not, so that a long text costs no more than milliseconds.
const MAX_WORDS: usize = 4096;

/// Characters of a keyword for each edit: two edits make any word of three letters.
const CHARACTERS_PER_EDIT: usize = 4;

/// A keyword that may be misspelt.
#[derive(Debug)]
pub(crate) struct Fuzzy {
    keyword: String,
    words: usize,
    edits: usize,
    case_sensitive: bool,
}

/// A word of a text, as it is and in lower case.
#[derive(Debug)]
pub(crate) struct Word<'t> {
    text: &'t str,
    lower: String,
}

/// The words of a text, the first [`MAX_WORDS`].
pub(crate) fn words(text: &str) -> Vec<Word<'_>> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .take(MAX_WORDS)
        .map(|text| Word {
            text,
            lower: text.to_lowercase(),
        })
        .collect()
}

impl Fuzzy {
    /// `most_edits`: at most one for four characters of the keyword counts.
    pub(crate) fn new(keyword: &str, most_edits: u8, case_sensitive: bool) -> Self {
        let keyword = if case_sensitive {
            keyword.to_owned()
        } else {
            keyword.to_lowercase()
        };
        let parts: Vec<&str> = keyword
            .split(|c: char| !c.is_alphanumeric())
            .filter(|part| !part.is_empty())
            .collect();
        let words = parts.len();
        let keyword = parts.join(" ");
        let room = keyword.chars().count() / CHARACTERS_PER_EDIT;
        Self {
            words,
            edits: room.min(usize::from(most_edits)),
            keyword,
            case_sensitive,
        }
    }

    /// Whether the words hold it.
    pub(crate) fn is_in(&self, words: &[Word<'_>]) -> bool {
        if self.words == 0 {
            return false;
        }
        let mut joined = String::new();
        words.windows(self.words).any(|window| {
            joined.clear();
            for word in window {
                if !joined.is_empty() {
                    joined.push(' ');
                }
                joined.push_str(if self.case_sensitive {
                    word.text
                } else {
                    &word.lower
                });
            }
            // An edit changes a character of at most four bytes.
            joined.len().abs_diff(self.keyword.len()) <= self.edits.saturating_mul(4)
                && strsim::levenshtein(&joined, &self.keyword) <= self.edits
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(keyword: &str, edits: u8, text: &str) -> bool {
        Fuzzy::new(keyword, edits, false).is_in(&words(text))
    }

    #[test]
    fn a_keyword_may_be_some_edits_away() {
        assert!(is_in("kubernetes", 2, "my Kubernets cluster"));
        assert!(is_in("kubernetes", 2, "my kuberntees, please"));
        assert!(!is_in("kubernetes", 1, "my kuberntees, please"));
        assert!(!is_in("kubernetes", 3, "my cabernet"));
        assert!(is_in("stack trace", 2, "a stak-trase here"));
        assert!(!is_in("stack trace", 2, "a trace of a stack"));
        assert!(is_in("übergröße", 1, "ÜBERGRÖSSE übergrösse übergröse"));
    }

    #[test]
    fn short_keywords_are_not_misspelt() {
        assert!(!is_in("cat", 3, "cut"));
        assert!(is_in("cat", 3, "Cat!"));
        assert!(is_in("code", 3, "coda"));
        assert!(!is_in("code", 3, "cola"));
    }

    #[test]
    fn case_counts_where_the_rule_says_so() {
        let fuzzy = Fuzzy::new("Kubernetes", 1, true);
        assert!(fuzzy.is_in(&words("Kubernete")));
        assert!(!fuzzy.is_in(&words("KUBERNETES")));
    }

    #[test]
    fn nothing_but_punctuation_is_nowhere() {
        assert!(!is_in("++", 3, "c++ ++"));
        assert!(!is_in("word", 1, ""));
    }
}
