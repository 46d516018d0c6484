//! Ways to say that one asks: each becomes one form before a question is read, so that `what's the way to …`, `how can I …` and
//! `…: how?` are the same question.
//!
//! 1. What a clause begins with, by the lines `frame:` of `english.txt`.
//! 2. What stands in front of a question moves behind it: `if it rains, what …`, `to bake a pizza, what …`. So does a statement before
//!    `what should I do?`, which becomes `what should I do if …`.
//! 3. `X was written by whom` is `who wrote X`; `is baking X allowed` is `can I bake X`.
//!
//! Words alone decide, not what they are about, so each line must hold whatever follows it.

mod clause;

use super::lexicon::Lexicon;
use super::scan::{Kind, Token};
use clause::Clause;

/// Tokens of a text whose clauses may move: twice those of a long question.
const MAX_MOVED: usize = 64;

/// The beginning of a clause and what it becomes.
#[derive(Debug)]
pub(super) struct Frame {
    /// Each position: the words that may stand there, and whether none may.
    pattern: Vec<(Vec<&'static str>, bool)>,
    form: Vec<&'static str>,
}

impl Frame {
    /// From `how do i = the? way|ways to`; `-` stands for nothing.
    pub(super) fn parse(form: &'static str, pattern: &'static str) -> Self {
        let position = |part: &'static str| {
            let required = part.strip_suffix('?');
            let words = required.unwrap_or(part).split('|').collect();
            (words, required.is_some())
        };
        Self {
            pattern: pattern.split(' ').map(position).collect(),
            form: form.split(' ').filter(|word| *word != "-").collect(),
        }
    }

    /// The words that a text with this frame may begin with.
    pub(super) fn first_words(&self) -> Vec<&'static str> {
        let mut words = Vec::new();
        for (alternatives, optional) in &self.pattern {
            words.extend(alternatives);
            if !optional {
                break;
            }
        }
        words
    }

    /// How many of `clause` it takes.
    fn length(&self, clause: &[Token]) -> Option<usize> {
        let mut at = 0;
        for (words, optional) in &self.pattern {
            // `US` is no `us`, `IT` no `it`.
            let token = clause.get(at).filter(|token| {
                token.kind == Kind::Word
                    && !(token.upper && matches!(token.text.as_str(), "us" | "it"))
            });
            if words.as_slice() == ["+ing"] {
                if token.is_some_and(|token| token.text.ends_with("ing")) {
                    continue;
                }
                return None;
            }
            if token.is_some_and(|token| words.contains(&token.text.as_str())) {
                at += 1;
            } else if !optional {
                return None;
            }
        }
        (at > 0).then_some(at)
    }
}

/// `tokens` with each of its frames in one form.
pub(super) fn settle(tokens: Vec<Token>) -> Vec<Token> {
    if tokens.len() > MAX_MOVED {
        return tokens;
    }
    let lexicon = Lexicon::get();
    let mut tokens = tokens;
    for token in &mut tokens {
        match token.text.as_str() {
            "u" if !token.upper && !token.capital => token.text = "you".to_owned(),
            "ur" if !token.upper && !token.capital => token.text = "your".to_owned(),
            _ => {}
        }
    }
    let mut clauses: Vec<Clause> = tokens
        .split_inclusive(|token| token.kind == Kind::Break)
        .map(Clause::of)
        .collect();
    for clause in &mut clauses {
        clause.settle(lexicon);
    }
    move_behind(&mut clauses);
    for clause in &mut clauses {
        clause.it_will_not();
    }
    clauses
        .into_iter()
        .flat_map(|clause| clause.words.into_iter().chain(clause.end))
        .collect()
}

fn move_behind(clauses: &mut Vec<Clause>) {
    clauses.retain(|clause| !clause.words.is_empty());
    let [first, second] = clauses.as_mut_slice() else {
        return;
    };
    let comma = first.end.as_ref().is_some_and(|end| end.text == ",");
    let leads = matches!(
        first.text(0),
        "if" | "when"
            | "to"
            | "in"
            | "for"
            | "with"
            | "without"
            | "after"
            | "before"
            | "while"
            | "because"
            | "at"
            | "on"
            | "as"
            | "from"
            | "during"
            | "since"
            | "inside"
            | "under"
            | "within"
            | "once"
            | "by"
    );
    let moved = if second.asks_what_to_do() && first.words.len() > 2 && !first.is_question() {
        if matches!(first.text(0), "when" | "if") {
            first.words.remove(0);
        }
        let lead = Some(word("if"));
        let mut words: Vec<Token> = ["what", "should", "i", "do"].map(word).into();
        words.extend(lead);
        words.append(&mut first.words);
        words
    } else if second.says(&["why"]) && first.words.len() > 2 && !first.is_question() {
        second
            .words
            .drain(..)
            .chain(first.words.drain(..))
            .collect()
    } else if second.asks_how() && !first.is_question() {
        let mut words: Vec<Token> = ["how", "do", "i"].map(word).into();
        let skip = [
            &["i", "want", "to"][..],
            &["i", "need", "to"],
            &["i'd", "like", "to"],
            &["i", "would", "like", "to"],
            &["i'm", "trying", "to"],
            &["i", "am", "trying", "to"],
        ]
        .iter()
        .find(|words| first.begins(words))
        .map(|words| words.len());
        if skip.is_none() && !first.text(0).ends_with("ing") {
            return;
        }
        words.extend(first.words.drain(skip.unwrap_or(0)..));
        words
    } else if second.is_question() && first.states() {
        let mut words = std::mem::take(&mut second.words);
        words.push(word("if"));
        words.append(&mut first.words);
        words
    } else if comma && leads && second.is_question() {
        second
            .words
            .drain(..)
            .chain(first.words.drain(..))
            .collect()
    } else {
        return;
    };
    let end = second.end.take();
    *clauses = vec![Clause { words: moved, end }];
}

fn word(text: &str) -> Token {
    Token {
        kind: Kind::Word,
        text: text.to_owned(),
        capital: false,
        upper: false,
        begins: false,
    }
}

#[cfg(test)]
mod tests;
