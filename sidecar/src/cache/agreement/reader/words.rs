//! Words by their role: what each does in the text.

use super::super::degree;
use super::super::lexicon::{Role, Word};
use super::super::marks;
use super::super::reading::{Class, Degree};
use super::super::sequence::OWNS;
use super::marking::is_contracted;
use super::{Edge, MAX_SUBJECT, Reader};

impl Reader {
    /// Takes `'s`, `n't` and the like off.
    pub(super) fn word(&mut self, text: &str) {
        let Some((head, tail)) = text.split_once('\'') else {
            return self.plain_word(text);
        };
        match tail {
            "t" if head.ends_with('n') => {
                let auxiliary = head.strip_suffix('n').unwrap_or(head);
                if let Some(modal) = marks::modal(auxiliary, "") {
                    self.modal(modal);
                }
                self.negate(true);
                self.note(match auxiliary {
                    "wo" => "will",
                    other => other,
                });
            }
            "s" | "m" | "re" | "ve" | "ll" | "d" | "" => {
                if tail == "ll" {
                    self.note("will");
                    self.modal("will");
                }
                self.plain_word(head);
                if matches!(tail, "s" | "") && !is_contracted(head) {
                    self.push_mark(OWNS);
                    self.link = OWNS;
                }
            }
            // French: `l'eau`, `n'est`.
            _ if head.chars().count() <= 2 => {
                if head == "n" {
                    self.negate(false);
                }
                self.plain_word(tail);
            }
            _ => self.plain_word(&text.replace('\'', "")),
        }
    }

    pub(super) fn plain_word(&mut self, text: &str) {
        if text == "may" && self.capital && self.mixed {
            // The month.
            return self.push(Class::Date, text.to_owned(), None);
        }
        self.note(text);
        self.mark(text);
        if text == "a" && self.capital {
            // `Plan A`.
            return self.push(Class::Entity, "A".to_owned(), None);
        }
        let own = self.lexicon.word(text);
        if self.capital
            && self.mixed
            && !matches!(text, "i" | "im" | "ive" | "id" | "ill")
            && matches!(
                own.and_then(|word| word.role),
                Some(
                    Role::Filler
                        | Role::Stop
                        | Role::Soft
                        | Role::Edge
                        | Role::Neutral
                        | Role::Preposition
                        | Role::Particle
                )
            )
        {
            // `It`, the film: a name, though its letters are those of a function word.
            return self.push(Class::Entity, text.to_owned(), None);
        }
        if self.upper
            && own.is_some_and(|w| {
                !matches!(
                    w.role,
                    None | Some(Role::Negator | Role::Unit | Role::Entity)
                )
            })
        {
            // `US`, `IT`, `AND`: a name, though its letters are those of a function word.
            let name = match text {
                "us" => "usa".to_owned(),
                name => name.to_uppercase(),
            };
            return self.push(Class::Entity, name, None);
        }
        if self.role(text, own) {
            return;
        }
        if let Some(denied) = self.lexicon.denied(text) {
            self.negate(false);
            return self.plain_word(denied);
        }
        let (base, degree) = if self.capital
            && (text.ends_with("ing")
                || text.ends_with("er")
                || matches!(self.before.as_str(), "dr" | "mr" | "mrs" | "ms" | "prof"))
        {
            (text.into(), Degree::Plain)
        } else {
            degree::base(self.lexicon, text)
        };
        let word = self.lexicon.word(&base);
        let inflected = base != text
            && degree == Degree::Plain
            && !self.capital
            && self.since_be > if self.ends { MAX_SUBJECT } else { 3 };
        let irregular = self.lexicon.is_irregular(text) && may_be_past(text);
        if inflected && (text.ends_with("ed") || irregular) {
            self.modal("past");
        }
        if degree == Degree::Plain
            && base != text
            && own.is_none_or(|w| w.role.is_none())
            && lends_its_role(text, word)
            && self.role(&base, word)
        {
            return;
        }
        let known = self.lexicon.spells(&base);
        let class = if self.capital || !known {
            Class::Entity
        } else {
            Class::Content
        };
        // `How long does it take to …`, `how long does renewal take`; what takes time to work is another matter than what works.
        let takes = base == "take"
            && self.reading.asks.how_long()
            && (self.before == "it" || matches!(self.next.as_str(), "" | ","));
        self.push(class, base.into_owned(), word);
        if takes {
            self.make_optional();
        }
        if let Some(item) = self.reading.items.last_mut() {
            item.degree = degree;
            item.passive = (self.since_be <= 3 || (self.since_be <= MAX_SUBJECT && self.ends))
                && degree == Degree::Plain
                && !self.capital
                && text != item.text
                && may_be_past(text);
        }
    }

    /// Does what the word's role says; `false` when it has none and is an ordinary word.
    fn role(&mut self, text: &str, word: Option<&'static Word>) -> bool {
        let Some(role) = word.and_then(|w| w.role) else {
            return false;
        };
        let form = word.and_then(|w| w.form);
        let shown = || form.map_or_else(|| text.to_owned(), str::to_owned);
        match role {
            Role::Filler => {}
            Role::Edge => {
                self.edges.push(Edge {
                    item: self.reading.items.len(),
                    leads: self.leads,
                    trails: self.after_break,
                });
                self.push(Class::Content, shown(), word);
                self.make_optional();
            }
            Role::Soft => {
                // `Is there a safe way` is not `is it safe`.
                let qualified = matches!(text, "way" | "ways")
                    && !self.before.is_empty()
                    && self
                        .lexicon
                        .word(&self.before)
                        .is_none_or(|word| word.role.is_none());
                let base = self.lexicon.base(text);
                self.push(
                    Class::Content,
                    base.clone().into_owned(),
                    self.lexicon.word(&base).or(word),
                );
                if !qualified {
                    self.make_optional();
                }
                if let Some(item) = self.reading.items.last_mut() {
                    item.passive =
                        self.since_be <= 3 && matches!(text, "needed" | "required" | "used");
                }
            }
            Role::Neutral | Role::Explain | Role::List | Role::Write if !self.is_request() => {
                return false;
            }
            Role::Stop => {
                self.link = self.link_after(text);
                if matches!(
                    text,
                    "is" | "are" | "am" | "was" | "were" | "be" | "been" | "being"
                ) {
                    self.since_be = 0;
                }
            }
            Role::Preposition | Role::Particle => {
                self.link = form.or_else(|| preposition(text)).unwrap_or("on")
            }
            Role::Negator => self.negate(text.ends_with("nt")),
            Role::Neutral => self.reading.form.neutral = true,
            Role::Explain | Role::List | Role::Write => self.form(role, text),
            Role::Number => self.number(shown(), true),
            Role::Ordinal => self.push(Class::Number, shown(), None),
            Role::Unit => self.push(Class::Unit, shown(), None),
            Role::Date => self.push(Class::Date, shown(), None),
            Role::Entity => {
                self.push(Class::Entity, shown(), None);
                // `Kubernetes`, `k8s`: letters' case says nothing.
                if let Some(item) = self.reading.items.last_mut() {
                    item.begins = true;
                }
            }
            Role::Content => self.push(Class::Content, shown(), None),
        }
        true
    }

    /// Articles keep what a preposition began; conjunctions tie, other function words end it.
    fn link_after(&self, text: &str) -> &'static str {
        match text {
            "a" | "an" | "the" | "my" | "your" | "our" | "their" | "its" | "this" | "that"
            | "these" | "those" => self.link,
            "and" => "and",
            "or" => "or",
            _ => "",
        }
    }

    fn form(&mut self, role: Role, text: &str) {
        let form = match role {
            Role::Explain => "explain",
            Role::List => "list",
            _ => "write",
        };
        self.reading.form.writes |= role == Role::Write;
        self.push(Class::Form, form.to_owned(), self.lexicon.word(text));
        if role != Role::Write {
            self.make_optional();
        }
    }

    /// Whether a verb that stands here asks for an answer, and is no part of what is asked about: `show me …`, not `how do I show …`.
    pub(super) fn is_request(&self) -> bool {
        let own = matches!(
            self.before.as_str(),
            "i" | "we"
                | "they"
                | "he"
                | "she"
                | "it"
                | "the"
                | "a"
                | "my"
                | "what"
                | "who"
                | "which"
                | "this"
                | "that"
                | "these"
                | "those"
                | "is"
                | "are"
                | "was"
                | "were"
                | "do"
                | "does"
                | "did"
        ) || (self.before == "you"
            && !matches!(
                self.before_that.as_str(),
                "can" | "could" | "would" | "will"
            ));
        self.reading
            .items
            .iter()
            .skip(self.sentence)
            .all(|i| i.optional)
            && !own
            && !(self.before == "to" && self.reading.asks.how())
    }
}

/// Whether a form of the word does what the word does: plurals of units, and requests (`could you be explaining`). `Mining` is no `mine`.
fn lends_its_role(text: &str, word: Option<&Word>) -> bool {
    match word.and_then(|word| word.role) {
        Some(Role::Unit | Role::Date | Role::Number | Role::Ordinal | Role::Soft) => {
            text.ends_with('s')
        }
        Some(Role::Neutral | Role::Explain | Role::List | Role::Write) => text.ends_with("ing"),
        _ => false,
    }
}

/// Whether a form that is not its base may say that something was done, and is no plural (`children`, `data`) nor a degree (`better`).
fn may_be_past(text: &str) -> bool {
    !text.ends_with(['s', 'a', 'i'])
        && !["ing", "men", "er", "est", "ae"]
            .iter()
            .any(|ending| text.ends_with(ending))
        && !matches!(
            text,
            "children"
                | "people"
                | "feet"
                | "teeth"
                | "geese"
                | "mice"
                | "lice"
                | "dice"
                | "oxen"
                | "further"
                | "less"
                | "least"
        )
}

fn preposition(text: &str) -> Option<&'static str> {
    const ALL: [&str; 26] = [
        "behind", "beside", "from", "of", "by", "in", "at", "on", "for", "with", "about",
        "between", "over", "against", "through", "across", "along", "among", "per", "near",
        "under", "above", "below", "inside", "outside", "up",
    ];
    ALL.iter().find(|p| **p == text).copied()
}
