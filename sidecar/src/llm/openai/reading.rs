//! From a response to the probability of each label.
//!
//! Labels are compared without case, and without the spaces, quotes and asterisks around them. A candidate for a token *fits* the
//! labels that it begins, behind what was written before; one that goes on where a label ends fits that label. The chance of a
//! candidate is its share of all that fit. One that fits a single label gives it its chance. The one that the model wrote is
//! followed to the next token when it fits several; others share theirs evenly among the labels that they fit.
//!
//! Without candidates the text counts, with probability 1.

use std::ops::Range;

use super::wire::{Answer, Length, Token};

/// What a tokenizer writes for a space or a line break in raw tokens.
const RAW_SPACES: [char; 3] = ['\u{120}', '\u{10a}', '\u{2581}'];

/// The least probability of all candidates that fit, when the one that was written does not: a model that says something else
/// has not chosen.
const LEAST: f64 = 0.05;

/// What a response says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// The probability of each label.
    Labels(Vec<f32>),
    /// Too little was written.
    More,
    /// The model thinks first.
    Thinks,
    /// No label.
    Nothing,
}

/// The labels as they are compared.
#[derive(Debug)]
pub(super) struct Names(Vec<String>);

/// What could have been said next.
struct Way {
    /// With what was said before.
    text: String,
    /// The labels that it leaves.
    labels: Vec<usize>,
    weight: f64,
}

/// The chance of each label as far as it is known.
struct Chances(Vec<f64>);

impl Chances {
    /// Shares a chance among labels.
    fn give(&mut self, labels: &[usize], chance: f64) {
        for label in labels {
            if let Some(place) = self.0.get_mut(*label) {
                *place += chance / labels.len() as f64;
            }
        }
    }

    fn verdict(&self) -> Verdict {
        Verdict::Labels(self.0.iter().map(|chance| *chance as f32).collect())
    }
}

impl Names {
    /// # Errors
    /// Which label has no letters, or is the same as another but for case and signs around it.
    pub(super) fn new<'n>(names: impl Iterator<Item = &'n str>) -> Result<Self, String> {
        let mut folded: Vec<String> = Vec::new();
        for name in names {
            let name_folded = fold(name);
            if name_folded.is_empty() {
                return Err(format!("`{name}` has no letters"));
            }
            if folded.contains(&name_folded) {
                return Err(format!(
                    "`{name}` is the same as another label but for case or signs around it"
                ));
            }
            folded.push(name_folded);
        }
        Ok(Self(folded))
    }

    /// Reads what the model answered to a request of that length.
    pub(super) fn read(&self, answer: &Answer, length: Length) -> Verdict {
        let first = answer.tokens.first().map_or("", |token| &token.token);
        let text = match answer.text.trim() {
            "" if answer.thoughts.is_empty() => first.trim(),
            text => text,
        };
        if length == Length::Reasoning || (!answer.thoughts.is_empty() && !text.is_empty()) {
            return self.read_reasoned(answer, text);
        }
        // OpenAI's own models think unseen: nothing but the limit tells.
        let is_silent = answer.text.is_empty() && answer.tokens.is_empty() && answer.is_cut;
        if is_silent || !answer.thoughts.is_empty() || begins_thoughts(text) {
            return Verdict::Thinks;
        }
        let by_tokens = match answer.tokens[..] {
            [] => Verdict::Nothing,
            ref tokens => self.walk(tokens, !answer.is_cut),
        };
        let verdict = match by_tokens {
            Verdict::Nothing | Verdict::More => match self.by_text(text, !answer.is_cut) {
                Verdict::Labels(_) if by_tokens == Verdict::More && length == Length::Token => {
                    Verdict::More
                }
                verdict => verdict,
            },
            verdict => verdict,
        };
        match verdict {
            Verdict::Labels(_) => verdict,
            _ if length == Length::Token => Verdict::More,
            // Words, and no end: perhaps thoughts without a mark.
            _ if answer.is_cut => Verdict::Thinks,
            _ => self
                .last_named(&fold_case(text))
                .map_or(Verdict::Nothing, |(label, _)| self.only(label)),
        }
    }

    /// Reads an answer behind thoughts, and one without any.
    fn read_reasoned(&self, answer: &Answer, text: &str) -> Verdict {
        let said = match text.rsplit_once("</think>") {
            Some((_, said)) => said,
            None if begins_thoughts(text) => "",
            // Some of vLLM's parsers take an answer without thoughts for thoughts.
            None if text.is_empty() && !answer.is_cut && self.is_label(&answer.thoughts) => {
                &answer.thoughts
            }
            None => text,
        };
        let label = match self.last_named(&fold_case(said)) {
            Some((label, _)) => label,
            None => match self.by_text(said, true) {
                Verdict::Labels(chances) => best(&chances),
                _ => return Verdict::Nothing,
            },
        };
        let chances = self.chances_in_tokens(&answer.tokens, label);
        Verdict::Labels(chances.unwrap_or_else(|| one_hot(label, self.0.len())))
    }

    /// The chances at the place of the last label among the tokens, when it is `label`.
    fn chances_in_tokens(&self, tokens: &[Token], label: usize) -> Option<Vec<f32>> {
        let mut text = String::new();
        let mut starts = Vec::with_capacity(tokens.len());
        for token in tokens {
            starts.push(text.len());
            text.push_str(&fold_case(&token.token));
        }
        let (named, range) = self.last_named(&text)?;
        let at = starts
            .partition_point(|start| *start <= range.start)
            .checked_sub(1)?;
        match self.walk(tokens.get(at..)?, true) {
            Verdict::Labels(chances) if named == label && best(&chances) == label => Some(chances),
            _ => None,
        }
    }

    /// Follows the tokens until one label is left.
    fn walk(&self, tokens: &[Token], is_whole: bool) -> Verdict {
        let mut chances = Chances(vec![0.0; self.0.len()]);
        let (mut said, mut share) = (String::new(), 1.0);
        for token in tokens {
            let written = after(&said, &token.token);
            if said.is_empty() && written.is_empty() {
                continue;
            }
            let mut ways = self.ways(&said, token);
            let total: f64 = ways.iter().map(|way| way.weight).sum();
            let Some(at) = chosen(&ways, &written, total) else {
                return if said.is_empty() {
                    Verdict::Nothing
                } else {
                    Verdict::More
                };
            };
            let way = ways.swap_remove(at);
            for other in &ways {
                chances.give(&other.labels, share * other.weight / total);
            }
            share *= way.weight / total;
            if way.labels.len() == 1 {
                chances.give(&way.labels, share);
                return chances.verdict();
            }
            if way.text != written {
                return Verdict::More;
            }
            said = way.text;
        }
        match self.0.iter().position(|name| *name == said) {
            Some(label) if is_whole => {
                chances.give(&[label], share);
                chances.verdict()
            }
            _ => Verdict::More,
        }
    }

    /// The candidates that fit a label behind `said`, those that read the same as one.
    fn ways(&self, said: &str, token: &Token) -> Vec<Way> {
        let mut ways: Vec<Way> = Vec::new();
        for (candidate, logprob) in candidates(token) {
            let (text, weight) = (after(said, candidate), logprob.min(0.0).exp());
            let labels = self.fitting(said, candidate);
            match ways.iter_mut().find(|way| way.text == text) {
                _ if labels.is_empty() || weight == 0.0 => {}
                Some(way) => way.weight += weight,
                None => ways.push(Way {
                    text,
                    labels,
                    weight,
                }),
            }
        }
        ways
    }

    /// The labels that `token` behind `said` leaves.
    fn fitting(&self, said: &str, token: &str) -> Vec<usize> {
        let text = after(said, token);
        let ends = text == said || token.starts_with("<|") || token.starts_with("</");
        if said.is_empty() || !ends {
            let begun = self.begun_by(&text);
            if !begun.is_empty() {
                return begun;
            }
        }
        let ended = if ends { said } else { &text };
        self.named_first(ended).into_iter().collect()
    }

    /// The labels that begin with `text`.
    fn begun_by(&self, text: &str) -> Vec<usize> {
        let all = self.0.iter().enumerate();
        let begun = all.filter(|(_, name)| !text.is_empty() && name.starts_with(text));
        begun.map(|(label, _)| label).collect()
    }

    /// The label that `text` is or that is its first word or words.
    fn named_first(&self, text: &str) -> Option<usize> {
        let all = self.0.iter().enumerate();
        let named = all.filter(|(_, name)| {
            text.strip_prefix(name.as_str())
                .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
        });
        Some(named.max_by_key(|(_, name)| name.len())?.0)
    }

    /// The label of a text without candidates.
    fn by_text(&self, text: &str, is_whole: bool) -> Verdict {
        let text = fold(text);
        let begun = self.begun_by(&text);
        let first = self.named_first(&text);
        match begun[..] {
            [label] => self.only(label),
            [] => first.map_or(Verdict::Nothing, |label| self.only(label)),
            _ => match first {
                Some(label) if is_whole => self.only(label),
                _ => Verdict::More,
            },
        }
    }

    fn is_label(&self, text: &str) -> bool {
        self.0.contains(&fold(text))
    }

    /// The label named last as a whole word, the longest of those that end there. `text`: in lower case.
    fn last_named(&self, text: &str) -> Option<(usize, Range<usize>)> {
        let found = self.0.iter().enumerate().filter_map(|(label, name)| {
            let at = text
                .rmatch_indices(name.as_str())
                .map(|(at, _)| at)
                .find(|at| {
                    let (before, rest) = text.split_at(*at);
                    let behind = rest.get(name.len()..).unwrap_or_default();
                    !before.ends_with(char::is_alphanumeric)
                        && !behind.starts_with(char::is_alphanumeric)
                })?;
            Some((label, at..at + name.len()))
        });
        found.max_by_key(|(_, range)| (range.end, range.len()))
    }

    fn only(&self, label: usize) -> Verdict {
        Verdict::Labels(one_hot(label, self.0.len()))
    }
}

/// The way that was written; when it fits no label, the most probable one, unless all of them are improbable.
fn chosen(ways: &[Way], written: &str, total: f64) -> Option<usize> {
    let written = ways.iter().position(|way| way.text == written);
    let highest = ways
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.weight.total_cmp(&b.1.weight));
    written.or_else(|| highest.filter(|_| total >= LEAST).map(|(at, _)| at))
}

/// The candidates for a token; where the server names none, the one that was written.
fn candidates(token: &Token) -> impl Iterator<Item = (&str, f64)> {
    let written = token
        .top_logprobs
        .is_empty()
        .then_some((token.token.as_str(), token.logprob));
    let named = token.top_logprobs.iter();
    named.map(|c| (c.token.as_str(), c.logprob)).chain(written)
}

fn one_hot(label: usize, labels: usize) -> Vec<f32> {
    (0..labels)
        .map(|at| if at == label { 1.0 } else { 0.0 })
        .collect()
}

fn best(chances: &[f32]) -> usize {
    let all = chances.iter().enumerate();
    all.max_by(|a, b| a.1.total_cmp(b.1))
        .map_or(0, |(at, _)| at)
}

/// Whether a text is, or begins to be, `<think>`.
fn begins_thoughts(text: &str) -> bool {
    const MARK: &str = "<think";
    text.starts_with(MARK) || (!text.is_empty() && MARK.starts_with(text))
}

/// What was said with a further token, as labels are compared.
fn after(said: &str, token: &str) -> String {
    if said.is_empty() {
        return leading_trimmed(&fold_case(token)).to_owned();
    }
    format!("{said}{}", fold_case(token))
}

fn fold(text: &str) -> String {
    let text = fold_case(text);
    leading_trimmed(&text)
        .trim_end_matches(is_wrapping)
        .to_owned()
}

fn fold_case(text: &str) -> String {
    let lower = text.to_lowercase();
    // The marks of raw tokens, in lower case like the rest.
    lower.replace(RAW_SPACES.map(lower_of), " ")
}

fn lower_of(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

fn leading_trimmed(text: &str) -> &str {
    text.trim_start_matches(is_wrapping)
}

/// What models put around a word.
fn is_wrapping(c: char) -> bool {
    c.is_whitespace() || "\"'`*“”‘’«»()[]{}:.,!".contains(c)
}

#[cfg(test)]
mod tests {
    use super::super::wire::Candidate;
    use super::*;

    const LABELS: [&str; 4] = ["MODERATE", "COMPLEX", "ENRICH", "META"];

    fn names(labels: &[&str]) -> Names {
        Names::new(labels.iter().copied()).unwrap()
    }

    /// The first candidate is the one that was written.
    fn token(candidates: &[(&str, f64)]) -> Token {
        let all = candidates.iter().map(|(token, chance)| Candidate {
            token: (*token).to_owned(),
            logprob: chance.ln(),
        });
        let all: Vec<Candidate> = all.collect();
        Token {
            token: all[0].token.clone(),
            logprob: all[0].logprob,
            top_logprobs: all,
        }
    }

    fn answer(text: &str, tokens: Vec<Token>, is_cut: bool) -> Answer {
        Answer {
            text: text.into(),
            tokens,
            is_cut,
            ..Answer::default()
        }
    }

    #[track_caller]
    fn chances(verdict: Verdict, expected: &[f32]) {
        let Verdict::Labels(found) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(found.len(), expected.len());
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() < 1e-5, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn candidates_count_for_the_label_that_they_begin() {
        let first = token(&[
            ("MO", 0.4),
            (" complex", 0.2),
            ("\n\"COM", 0.1),
            ("ENRICH.", 0.1),
            ("The", 0.1),
            ("M", 0.02),
            ("enrichment", 0.01),
        ]);
        let read = names(&LABELS).read(&answer("MO", vec![first], true), Length::Token);
        // "M" fits two labels and is shared; "The" and "enrichment" fit none.
        let total = 0.82;
        let m = 0.01 / total;
        chances(read, &[0.4 / total + m, 0.3 / total, 0.1 / total, m]);
    }

    #[test]
    fn a_beginning_of_several_labels_is_followed_where_there_is_more() {
        let labels = names(&["META", "METADATA", "COMPLEX"]);
        let first = token(&[("META", 0.8), ("COM", 0.2)]);
        let short = answer("META", vec![first.clone()], true);
        assert_eq!(labels.read(&short, Length::Token), Verdict::More);
        let second = token(&[("<|im_end|>", 0.75), ("DATA", 0.25)]);
        let long = answer("META", vec![first.clone(), second], false);
        chances(labels.read(&long, Length::Label), &[0.6, 0.2, 0.2]);
        // OpenAI does not show the token that ends an answer.
        let ended = answer("META", vec![first], false);
        chances(labels.read(&ended, Length::Label), &[0.8, 0.0, 0.2]);
    }

    #[test]
    fn empty_ends_and_marks_between_words_are_understood() {
        let labels = names(&["CODE", "CODE_REVIEW", "OTHER"]);
        let first = token(&[("CODE", 0.5), ("OTHER", 0.5)]);
        let second = token(&[("_RE", 0.4), ("", 0.4), ("\n", 0.2)]);
        let read = labels.read(&answer("CODE_RE", vec![first, second], true), Length::Label);
        chances(read, &[0.3, 0.2, 0.5]);
    }

    #[test]
    fn spaces_and_quotes_before_the_label_are_skipped() {
        let tokens = vec![
            token(&[("\n\n", 0.9), ("META", 0.1)]),
            token(&[(" **", 1.0)]),
            token(&[("META", 0.7), ("COMPLEX", 0.3)]),
        ];
        let read = names(&LABELS).read(&answer("**META", tokens.clone(), false), Length::Label);
        chances(read, &[0.0, 0.3, 0.0, 0.7]);
        let one = answer("\n\n", tokens[..1].to_vec(), true);
        assert_eq!(names(&LABELS).read(&one, Length::Token), Verdict::More);
        let raw = token(&[("\u{120}META", 0.5), ("\u{2581}COMPLEX", 0.5)]);
        let read = names(&LABELS).read(&answer(" META", vec![raw], true), Length::Token);
        chances(read, &[0.0, 0.5, 0.0, 0.5]);
    }

    #[test]
    fn without_candidates_the_text_decides() {
        let labels = names(&LABELS);
        let read = |text: &str, length, is_cut| labels.read(&answer(text, vec![], is_cut), length);
        chances(read(" meta.", Length::Token, false), &[0.0, 0.0, 0.0, 1.0]);
        chances(read("COMP", Length::Token, true), &[0.0, 1.0, 0.0, 0.0]);
        assert_eq!(read("M", Length::Token, true), Verdict::More);
        assert_eq!(read("The", Length::Token, true), Verdict::More);
        assert_eq!(read("The", Length::Label, false), Verdict::Nothing);
        chances(
            read("The label is: **META**", Length::Label, false),
            &[0.0, 0.0, 0.0, 1.0],
        );
        assert_eq!(
            read("Okay, META would", Length::Label, true),
            Verdict::Thinks
        );
    }

    #[test]
    fn labels_that_read_the_same_are_refused() {
        let of = |labels: &[&str]| Names::new(labels.iter().copied()).unwrap_err();
        assert!(of(&["Meta", "META"]).contains("`META` is the same"));
        assert!(of(&["a", "**"]).contains("`**` has no letters"));
    }

    #[test]
    fn a_model_that_says_something_else_has_not_chosen() {
        let first = |label| token(&[("The", 0.9), ("META", label), ("COMPLEX", 0.01)]);
        let labels = names(&LABELS);
        let read = |first| labels.read(&answer("The", vec![first], true), Length::Token);
        assert_eq!(read(first(0.01)), Verdict::More);
        chances(read(first(0.04)), &[0.0, 0.2, 0.0, 0.8]);
    }

    #[test]
    fn thoughts_are_noticed() {
        let labels = names(&LABELS);
        let thinks = |answer: Answer| labels.read(&answer, Length::Token) == Verdict::Thinks;
        assert!(thinks(answer("<think>", vec![], true)));
        assert!(thinks(answer("<th", vec![], true)));
        assert!(thinks(answer("", vec![token(&[("<think>", 1.0)])], true)));
        assert!(
            thinks(answer("", vec![], true)),
            "thoughts that are not shown"
        );
        assert!(thinks(Answer {
            thoughts: "Hm.".into(),
            ..answer("", vec![], true)
        }));
        assert!(!thinks(answer("META", vec![], true)));
    }

    #[test]
    fn behind_thoughts_the_last_label_counts_as_a_whole_word() {
        let labels = names(&LABELS);
        let read = |text: &str| labels.read(&answer(text, vec![], false), Length::Reasoning);
        let complex = [0.0, 1.0, 0.0, 0.0];
        chances(
            read("<think>META? COMPLEX?</think>\n\nNot META but complex."),
            &complex,
        );
        chances(
            read("hidden start META</think>Complex, no metadata"),
            &complex,
        );
        chances(read("**COMPLEX**"), &complex);
        assert_eq!(read("<think>META it is"), Verdict::Nothing);
        assert_eq!(read("<think>META</think>"), Verdict::Nothing);
        assert_eq!(read("Something else"), Verdict::Nothing);
        let mistaken = Answer {
            thoughts: "\nCOMPLEX".into(),
            ..answer("", vec![], false)
        };
        chances(labels.read(&mistaken, Length::Reasoning), &complex);
        let nested = names(&["CODE", "CODE REVIEW"]);
        let read = nested.read(
            &answer("It is a code review", vec![], false),
            Length::Reasoning,
        );
        chances(read, &[0.0, 1.0]);
    }

    #[test]
    fn behind_thoughts_the_tokens_say_how_sure() {
        let tokens = vec![
            token(&[("<think>", 1.0)]),
            token(&[("META", 1.0)]),
            token(&[("</think>", 1.0)]),
            token(&[(" META", 0.9), (" COMPLEX", 0.1)]),
        ];
        let both = answer("<think>META</think> META", tokens.clone(), false);
        let apart = Answer {
            thoughts: "Hm.".into(),
            ..answer("META", tokens[3..].to_vec(), false)
        };
        for answer in [both, apart] {
            let read = names(&LABELS).read(&answer, Length::Reasoning);
            chances(read, &[0.0, 0.1, 0.0, 0.9]);
        }
        let others = answer("COMPLEX", tokens, false);
        let read = names(&LABELS).read(&others, Length::Reasoning);
        chances(read, &[0.0, 1.0, 0.0, 0.0]);
    }
}
