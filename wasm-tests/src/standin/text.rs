//! Answers and their tokens: deterministic, so that a test can say beforehand what it will see.

/// Characters of a word that make one token.
const TOKEN_CHARS: usize = 6;

/// Tokens that a chat template adds around one message.
const TOKENS_PER_MESSAGE: u64 = 4;

/// Tokens that open the answer.
const TOKENS_OF_REPLY: u64 = 3;

/// Cuts a text into tokens; joined they are the text again.
///
/// A token is up to [`TOKEN_CHARS`] letters or digits with the white space before them, or one other character. That is near
/// to what byte-pair encodings do with English and close enough for everything that is tested here.
#[must_use]
pub fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut token = String::new();
    let mut letters = 0;
    for c in text.chars() {
        let word = c.is_alphanumeric() && c.is_ascii();
        let ends = if c.is_whitespace() {
            letters > 0
        } else if word {
            letters == TOKEN_CHARS
        } else {
            letters > 0
        };
        if ends {
            tokens.push(std::mem::take(&mut token));
            letters = 0;
        }
        token.push(c);
        if word {
            letters += 1;
        } else if !c.is_whitespace() {
            tokens.push(std::mem::take(&mut token));
        }
    }
    if !token.is_empty() {
        tokens.push(token);
    }
    tokens
}

/// Tokens of a chat prompt, template included.
#[must_use]
pub fn chat_tokens<'a>(messages: impl Iterator<Item = &'a str>) -> u64 {
    messages
        .map(|text| text_tokens(text) + TOKENS_PER_MESSAGE)
        .sum::<u64>()
        + TOKENS_OF_REPLY
}

/// Tokens of a bare text.
#[must_use]
pub fn text_tokens(text: &str) -> u64 {
    tokens(text).len() as u64
}

/// What the stand-in says to a prompt.
#[must_use]
pub fn answer(model: &str, prompt: &str) -> String {
    let quoted: String = prompt.chars().take(80).collect();
    let lower = prompt.to_lowercase();
    let code = ["code", "function", "regex", "sql", "unit test"]
        .iter()
        .any(|word| lower.contains(word));
    let body = if code {
        "Start from the smallest case that fails:\n\n```rust\nfn check(input: &str) -> bool {\n    !input.is_empty()\n}\n```\n\nThen add cases one by one."
    } else {
        "In short: it depends on what you start from. First write down what is given, then what is asked, and go from one to the \
         other in small steps. Voilà — 以上です 🙂"
    };
    format!("You asked “{quoted}”.\n{body}\n({model})")
}

/// A text of exactly `length` tokens.
#[must_use]
pub(super) fn filler(length: usize) -> String {
    const WORDS: [&str; 8] = ["all", "roads", "lead", "to", "some", "toll", "gate", "then"];
    let words: Vec<&str> = WORDS.into_iter().cycle().take(length).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_join_to_the_text() {
        for text in [
            "",
            " ",
            "Hello, world!",
            "  two  spaces\n\n",
            "東京 naïve 🙂x",
            "internationalisation",
        ] {
            assert_eq!(tokens(text).concat(), text);
        }
    }

    #[test]
    fn words_and_punctuation_are_tokens() {
        assert_eq!(tokens("Hello, world!"), ["Hello", ",", " world", "!"]);
        assert_eq!(tokens("internationalisation").len(), 4);
        assert_eq!(tokens("東京").len(), 2);
    }

    #[test]
    fn filler_has_the_wanted_length() {
        for length in [0, 1, 9, 300] {
            assert_eq!(tokens(&filler(length)).len(), length);
        }
    }
}
