//! Small words and their places: [`super::super::marks`] has their classes, the rules here say when one goes without saying.

use super::super::lexicon::Role;
use super::super::marks;
use super::super::question;
use super::super::reading::Mark;
use super::super::scan::{Kind, Token};
use super::{MAX_SUBJECT, Reader};

impl Reader {
    /// Keeps a small word with its place.
    pub(super) fn mark(&mut self, text: &str) {
        if let Some(modal) = marks::modal(text, &self.before) {
            self.modal(modal);
        }
        let (before, before_that) = (self.before.as_str(), self.before_that.as_str());
        let content = || {
            self.lexicon
                .word(&self.next)
                .is_none_or(|word| word.role.is_none())
        };
        let bought = text == "used"
            && self.since_be > 2
            && !self.next.is_empty()
            && content()
            && !matches!(before, "i" | "we" | "to");
        let has = matches!(text, "have" | "has")
            && !self.after_break
            && !before.is_empty()
            && !matches!(
                self.next.as_str(),
                "" | "to" | "been" | "i" | "you" | "we" | "they" | "he" | "she" | "it" | "not"
            )
            && !self.next.ends_with("ed")
            && !self.lexicon.is_irregular(&self.next)
            && question::class(before).is_none();
        let next = self.lexicon.word(&self.next);
        let special = match text {
            _ if bought => Some("used"),
            _ if has => Some("have"),
            "this" if next.is_some_and(|word| word.role == Some(Role::Unit)) => Some("this"),
            "very" | "really" | "extremely" if next.is_some_and(|word| word.modifier) => {
                Some("very")
            }
            _ => None,
        };
        let Some(mut class) = marks::class(text, before).or(special) else {
            return;
        };
        self.reading.advises |= text == "to" && before == "how"
            || matches!(text, "i" | "we" | "you" | "one") && question::is_auxiliary(before);
        let how = before == "how"
            || before_that == "how" && question::is_auxiliary(before) && before != "to";
        match class {
            // `How do I …` is `how to …`.
            "i" if how => return,
            // So is `how do you …`, unless it is about what somebody does for me.
            "you" if how && !is_done_by_a_firm(&self.next) => class = ANYONE,
            // `Could you …`, `tell me …`
            "you"
                if matches!(before, "can" | "could" | "would" | "will")
                    && self.is_request()
                    && !self
                        .reading
                        .marks
                        .iter()
                        .any(|mark| mark.class.ends_with('?')) =>
            {
                self.reading.modals.pop();
                self.reading.marks.pop();
                return;
            }
            "i" if is_answer(before)
                && (self.reading.asks.only_requests()
                    || !matches!(before, "write" | "make" | "draft" | "find" | "ask" | "let")) =>
            {
                return;
            }
            // `Could you translate this for me?`
            "i" if before == "for" && self.reading.asks.only_requests() => {
                self.reading.marks.pop();
                return;
            }
            // `How long does it take for …`
            "for" if matches!(before, "take" | "takes" | "took") => return,
            // `Do you know if …`
            "if" if matches!(before, "know" | "wonder" | "wondering" | "me" | "us") => return,
            // `Is it possible to` is `can I`.
            "to" if before == "possible" && !self.before_noun => class = "i",
            // `What is the weather like in …`
            // `What are some …`
            "some"
                if self
                    .reading
                    .marks
                    .iter()
                    .any(|mark| mark.class.ends_with('?')) =>
            {
                return;
            }
            "like" if self.next.is_empty() && self.since_be <= MAX_SUBJECT => class = "is like",
            "like" if !self.before_noun && self.since_be <= MAX_SUBJECT => {
                return;
            }
            // `Can somebody tell me …`
            "someone"
                if matches!(before, "can" | "could" | "would" | "will") && self.is_request() =>
            {
                self.reading.modals.pop();
                self.reading.marks.pop();
                return;
            }
            // An infinitive says nothing, but for `going to`.
            "to" if before == "going" && !self.before_noun => {
                self.modal("will");
                return;
            }
            "to" if !self.before_noun && !takes_a_target(before) => return,
            _ => {}
        }
        self.push_mark(class);
    }

    /// Of the whole text, and in its place where there are several clauses.
    pub(super) fn modal(&mut self, modal: &'static str) {
        self.reading.modals.push(modal);
        self.push_mark(modal);
    }

    pub(super) fn push_mark(&mut self, class: &'static str) {
        let at = self.reading.items.len();
        self.reading.marks.push(Mark { at, class });
    }

    /// Drops the marks of politeness at either end, of the items from `first` to `last`, and decides those that the whole text decides.
    pub(super) fn settle_marks(&mut self, first: usize, last: usize) {
        let marks = &mut self.reading.marks;
        marks.retain(|mark| (first..=last).contains(&mark.at));
        let mine = marks
            .iter()
            .any(|mark| matches!(mark.class, "i" | marks::MY));
        let advice = self.reading.asks.advice();
        marks.retain(|mark| match mark.class {
            ANYONE => mine,
            marks::MY => !advice,
            _ => true,
        });
        for mark in marks {
            mark.at -= first;
            mark.class = match mark.class {
                ANYONE => "you",
                marks::MY => "i",
                other => other,
            };
        }
    }
}

/// Whether `to` right behind the verb is no infinitive's: `convert to binary`.
fn takes_a_target(verb: &str) -> bool {
    matches!(
        verb,
        "sell"
            | "lend"
            | "convert"
            | "migrate"
            | "export"
            | "report"
            | "ship"
            | "send"
            | "write"
            | "add"
            | "switch"
            | "move"
            | "upgrade"
            | "listen"
            | "talk"
            | "speak"
            | "apply"
            | "reset"
            | "restore"
            | "connect"
            | "deliver"
    )
}

/// What a firm does with its customers, where `you` is the firm: `how do you verify identity`.
fn is_done_by_a_firm(verb: &str) -> bool {
    matches!(
        verb,
        "calculate"
            | "verify"
            | "store"
            | "approve"
            | "handle"
            | "ship"
            | "share"
            | "charge"
            | "screen"
            | "select"
            | "process"
            | "protect"
            | "collect"
            | "deliver"
    )
}

/// Whether `me` behind the verb is the one who is answered.
fn is_answer(verb: &str) -> bool {
    matches!(
        verb,
        "tell"
            | "telling"
            | "show"
            | "showing"
            | "give"
            | "giving"
            | "help"
            | "helping"
            | "teach"
            | "let"
            | "write"
            | "make"
            | "draft"
            | "recommend"
            | "suggest"
            | "find"
            | "ask"
    )
}

/// Whether `'s` behind the word is more likely `is` than of a genitive.
pub(super) fn is_contracted(word: &str) -> bool {
    matches!(
        word,
        "it" | "that"
            | "there"
            | "here"
            | "he"
            | "she"
            | "let"
            | "this"
            | "what"
            | "who"
            | "where"
            | "how"
            | "when"
            | "why"
    )
}

/// Class of a `you` that may be anyone.
const ANYONE: &str = "anyone";

/// Whether a noun may begin with `token`, or nothing does.
pub(super) fn begins_noun(token: &Token) -> bool {
    let determines = || {
        marks::class(&token.text, "")
            .is_some_and(|class| matches!(class, "i" | marks::MY | "you" | "they"))
            || matches!(
                token.text.as_str(),
                "the"
                    | "a"
                    | "an"
                    | "this"
                    | "that"
                    | "these"
                    | "those"
                    | "his"
                    | "her"
                    | "it"
                    | "him"
                    | "each"
                    | "every"
                    | "all"
                    | "any"
                    | "some"
                    | "another"
                    | "other"
                    | "whom"
            )
    };
    token.kind != Kind::Word || token.capital || determines()
}
