//! One clause, said in one way.

use super::super::lexicon::Lexicon;
use super::super::scan::{Kind, Token};
use super::word;

#[derive(Debug)]
pub(super) struct Clause {
    pub(super) words: Vec<Token>,
    pub(super) end: Option<Token>,
}

impl Clause {
    pub(super) fn of(tokens: &[Token]) -> Self {
        match tokens.split_last() {
            Some((last, words)) if last.kind == Kind::Break => Self {
                words: words.to_vec(),
                end: Some(last.clone()),
            },
            _ => Self {
                words: tokens.to_vec(),
                end: None,
            },
        }
    }

    pub(super) fn text(&self, at: usize) -> &str {
        self.words.get(at).map_or("", |token| &token.text)
    }

    pub(super) fn says(&self, words: &[&str]) -> bool {
        self.words.len() == words.len() && self.begins(words)
    }

    pub(super) fn begins(&self, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(at, word)| self.text(at) == *word)
    }

    pub(super) fn settle(&mut self, lexicon: &Lexicon) {
        let polite = self
            .words
            .iter()
            .take_while(|token| {
                matches!(
                    token.text.as_str(),
                    "please"
                        | "pls"
                        | "so"
                        | "and"
                        | "but"
                        | "hi"
                        | "hello"
                        | "hey"
                        | "ok"
                        | "then"
                )
            })
            .count();
        // A frame may hold another one: `could you tell me what the best way is to …`.
        for _ in 0..3 {
            let clause = self.words.get(polite..).unwrap_or_default();
            let frames = clause
                .first()
                .map_or(&[][..], |first| lexicon.frames(&first.text));
            let found = frames
                .iter()
                .filter_map(|frame| Some((frame.length(clause)?, frame)))
                .max_by_key(|(length, _)| *length);
            let Some((length, frame)) = found else { break };
            let form = frame.form.iter().map(|text| word(text));
            self.words.splice(polite..polite + length, form);
        }
        self.how_i_can();
        self.what_do_i();
        self.drop_request();
        self.or_not();
        self.by_whom();
        self.contrast();
        self.who_did_it();
        self.what_it_has();
        self.may_it_be_done();
        self.what_it_is();
        if self.begins(&["what", "should", "i", "do"])
            && let Some(token) = self.words.get_mut(4).filter(|token| token.text == "when")
        {
            *token = word("if");
        }
    }

    /// `… how I can …` becomes `… how to …`.
    fn how_i_can(&mut self) {
        let at = (0..self.words.len().min(8)).find(|at| {
            self.text(*at) == "how"
                && self.text(at + 1) == "i"
                && matches!(self.text(at + 2), "can" | "could" | "should")
        });
        if let Some(at) = at {
            self.words.splice(at + 1..at + 3, [word("to")]);
        }
    }

    /// `How long do I boil eggs` asks how long I should.
    fn what_do_i(&mut self) {
        let asks = matches!(self.text(0), "when" | "who" | "what" | "which" | "where")
            || self.text(0) == "how" && matches!(self.text(1), "long" | "often");
        let at = (1..self.words.len().min(6)).find(|at| {
            self.text(*at) == "do"
                && self.text(at + 1) == "i"
                && matches!(
                    self.text(at + 2),
                    "boil"
                        | "cook"
                        | "bake"
                        | "roast"
                        | "fry"
                        | "steam"
                        | "grill"
                        | "marinate"
                        | "soak"
                        | "wash"
                        | "water"
                        | "feed"
                        | "contact"
                        | "inform"
                        | "notify"
                        | "ask"
                )
        });
        if let Some(token) = at.filter(|_| asks).and_then(|at| self.words.get_mut(at)) {
            *token = word("should");
        }
    }

    /// What `won't` turn on does not, where somebody asks why or what to do.
    pub(super) fn it_will_not(&mut self) {
        let own = |token: &Token| matches!(token.text.as_str(), "my" | "it" | "our");
        let asked = matches!(self.text(0), "why" | "my") && self.words.iter().any(own)
            || self
                .words
                .iter()
                .any(|token| matches!(token.text.as_str(), "if" | "when"));
        for token in self
            .words
            .iter_mut()
            .filter(|token| asked && token.text == "won't")
        {
            *token = word("doesn't");
        }
    }

    /// `could you please explain X` becomes `explain X`, and `explain X to me` too.
    fn drop_request(&mut self) {
        let request = |word: &str| {
            matches!(
                word,
                "explain"
                    | "describe"
                    | "tell"
                    | "give"
                    | "show"
                    | "recommend"
                    | "suggest"
                    | "list"
                    | "define"
                    | "teach"
                    | "name"
                    | "summarize"
                    | "summarise"
                    | "translate"
                    | "write"
                    | "remind"
            )
        };
        if matches!(self.text(0), "can" | "could" | "will" | "would") && self.text(1) == "you" {
            let polite = usize::from(matches!(self.text(2), "please" | "kindly" | "pls"));
            let verb = self.text(2 + polite);
            let gives = matches!(verb, "give" | "show" | "list" | "name" | "teach");
            let is_asked = matches!(
                self.text(3 + polite),
                "me" | "us" | "a" | "an" | "the" | "some" | "all"
            );
            if request(verb) && (!gives || is_asked) {
                self.words.drain(..2 + polite);
            }
        }
        if matches!(self.text(0), "explain" | "describe")
            && let Some(at) = (1..5).find(|at| self.text(*at) == "to" && self.text(at + 1) == "me")
        {
            self.words.drain(at..at + 2);
        }
    }

    /// Without `or not` at its end.
    fn or_not(&mut self) {
        if let [rest @ .., or, not] = self.words.as_slice()
            && or.text == "or"
            && not.text == "not"
            && !rest.is_empty()
        {
            let length = rest.len();
            self.words.truncate(length);
        }
    }

    /// `How do A and B differ` asks what their difference is, `how far is A from B` for the distance between them.
    fn contrast(&mut self) {
        let differs = self
            .words
            .iter()
            .any(|token| matches!(token.text.as_str(), "differ" | "different"));
        if self.text(0) == "how" && differs && matches!(self.text(1), "do" | "does" | "is" | "are")
        {
            self.words.splice(..1, [word("what")]);
        }
        let find = |from: usize, words: &[&str]| {
            (from..self.words.len()).find(|at| words.contains(&self.text(*at)))
        };
        if self.begins(&["how", "far", "is"]) || self.begins(&["how", "far", "are"]) {
            let it = usize::from(self.text(3) == "it");
            let ties = if it == 1 {
                find(3, &["from"]).zip(find(3, &["to"]))
            } else {
                find(4, &["from"]).map(|from| (2, from))
            };
            let Some((first, second)) = ties.filter(|(first, second)| first < second) else {
                return;
            };
            if let Some(tie) = self.words.get_mut(second) {
                *tie = word("and");
            }
            let between = ["what", "is", "the", "distance", "between"].map(word);
            self.words.splice(..=first, between);
        } else if let Some(distance) = find(0, &["distance"])
            && self.text(distance + 1) == "from"
            && let Some(to) = find(distance + 2, &["to"])
        {
            for (at, text) in [(distance + 1, "between"), (to, "and")] {
                if let Some(tie) = self.words.get_mut(at) {
                    *tie = word(text);
                }
            }
        }
    }

    /// `by whom was X written` becomes `who was X written by`.
    fn by_whom(&mut self) {
        if self.text(0) == "by"
            && matches!(self.text(1), "whom" | "who")
            && matches!(self.text(2), "was" | "is" | "are" | "were")
        {
            self.words.splice(..2, [word("who")]);
            self.words.push(word("by"));
        }
    }

    /// `how many players does a team have` becomes `how many players are in a team`.
    fn what_it_has(&mut self) {
        let last = self.words.last().map_or("", |token| token.text.as_str());
        if self.text(0) == "how"
            && matches!(self.text(1), "many" | "much")
            && matches!(last, "have" | "contain")
            && let Some(does) = (3..self.words.len().saturating_sub(2))
                .find(|at| matches!(self.text(*at), "do" | "does"))
            && !matches!(self.text(does + 1), "i" | "you" | "we" | "they")
            && !self
                .words
                .iter()
                .skip(does)
                .any(|token| token.capital || token.upper)
        {
            self.words.pop();
            self.words.splice(does..=does, [word("are"), word("in")]);
        }
    }

    /// `X was written by whom` becomes `who was X written by`.
    fn who_did_it(&mut self) {
        let [.., verb, by, who] = self.words.as_slice() else {
            return;
        };
        let asks = matches!(who.text.as_str(), "who" | "whom") && by.text == "by";
        let be = self
            .words
            .iter()
            .position(|token| matches!(token.text.as_str(), "was" | "is" | "are" | "were"));
        let Some(be) = be.filter(|be| asks && verb.kind == Kind::Word && *be > 0) else {
            return;
        };
        self.words.pop();
        let be = self.words.remove(be);
        self.words.splice(..0, [word("who"), be]);
    }

    /// `is opening an account possible` becomes `can i opening an account`.
    fn may_it_be_done(&mut self) {
        let doing = self.text(1).len() > 4 && self.text(1).ends_with("ing");
        let last = self.words.last().map_or("", |token| token.text.as_str());
        if self.text(0) == "is" && doing && matches!(last, "possible" | "allowed" | "permitted") {
            self.words.pop();
            self.words.splice(..1, [word("can"), word("i")]);
        }
    }

    /// `what the tallest building is` becomes `what is the tallest building`.
    fn what_it_is(&mut self) {
        let last = self.words.last().map_or("", |token| token.text.as_str());
        let asks = (0..self.words.len().min(5))
            .find(|at| matches!(self.text(*at), "what" | "who" | "where" | "when"));
        if matches!(last, "is" | "are" | "was" | "were")
            && let Some(asks) = asks.filter(|at| self.words.len() > at + 2)
            && let Some(be) = self.words.pop()
        {
            self.words.insert(asks + 1, be);
        }
    }

    /// Says how things are, of somebody.
    pub(super) fn states(&self) -> bool {
        self.words.len() > 2
            && !self.begins(&["i", "need", "help"])
            && !self.begins(&["i", "have", "a", "question"])
            && !self.begins(&["my", "question"])
            && matches!(
                self.text(0).split('\'').next().unwrap_or_default(),
                "i" | "my" | "we" | "our" | "im" | "ive"
            )
    }

    /// Asks what to do, and nothing else.
    pub(super) fn asks_what_to_do(&self) -> bool {
        [
            &["what", "should", "i", "do"][..],
            &["what", "should", "i", "do", "now"],
            &["what", "can", "i", "do"],
            &["what", "now"],
        ]
        .iter()
        .any(|words| self.says(words))
    }

    pub(super) fn asks_how(&self) -> bool {
        [
            &["how"][..],
            &["how", "do", "i", "do", "that"],
            &["how", "do", "i", "do", "this"],
            &["how", "do", "i", "do", "it"],
            &["how", "can", "i", "do", "that"],
            &["how", "can", "i", "do", "this"],
            &["how", "to", "do", "that"],
        ]
        .iter()
        .any(|words| self.says(words))
    }

    pub(super) fn is_question(&self) -> bool {
        matches!(
            self.text(0).split('\'').next().unwrap_or_default(),
            "what"
                | "which"
                | "who"
                | "where"
                | "when"
                | "why"
                | "how"
                | "can"
                | "could"
                | "should"
                | "do"
                | "does"
                | "did"
                | "is"
                | "are"
                | "will"
                | "would"
                | "may"
                | "must"
                | "whats"
                | "hows"
        )
    }
}
