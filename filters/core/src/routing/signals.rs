//! What is found in a request's texts without asking anybody; `turnpike-classify` implements it.

use crate::decision::{LabelRef, Signal};

/// Finds signals in texts.
pub trait Signals {
    /// A reading in progress.
    type Reading;

    /// What keyword and structure rules say of a text.
    fn rules(&self, text: &str) -> TextRules;

    /// The language of a text, by ISO 639-1, and how sure that is; `None` where it is too short to tell.
    fn language(&self, text: &str) -> Option<(&'static str, f32)>;

    /// The topics whose probabilities [`Found::topics`] holds; empty when none can be told.
    fn topics(&self) -> &[String];

    /// The place of a `head:label` that a condition names.
    fn label(&self, name: &str) -> Option<LabelRef>;

    /// Probability from which an attack counts where the configuration names none.
    fn jailbreak_threshold(&self) -> f32;

    /// Probability from which a text counts as toxic where the configuration names none.
    fn toxicity_threshold(&self) -> f32;

    /// Begins to read `parts` for what is `wanted`.
    fn begin(&self, wanted: Wanted, parts: Vec<Part>) -> Self::Reading;

    /// Reads on while `go_on` says so; asked every few microseconds.
    fn read(&self, reading: &mut Self::Reading, go_on: &mut dyn FnMut() -> bool) -> Progress;

    /// What was found so far.
    fn found(&self, reading: &Self::Reading) -> Found;
}

/// What rules say of a text: an entry for each rule of the configuration, in its order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TextRules {
    /// `keyword_rules`
    pub keywords: Vec<Signal>,
    /// `structure_rules`
    pub structures: Vec<Signal>,
}

/// What to look for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Topics.
    pub topics: bool,
    /// Labels of heads.
    pub labels: bool,
    /// Every part, though no guard asks for it: some head reads them all.
    pub every_part: bool,
    /// Attacks.
    pub jailbreak: bool,
    /// Toxic words; asked of answers only, decisions read the label.
    pub toxicity: bool,
    /// Personal data that has a form.
    pub pii: bool,
    /// Names of persons and places, addresses.
    pub names: bool,
}

impl Wanted {
    /// Whether it is anything.
    #[must_use]
    pub fn any(self) -> bool {
        self.topics || self.labels || self.guards()
    }

    /// Whether guards must see the request.
    #[must_use]
    pub fn guards(self) -> bool {
        self.jailbreak || self.toxicity || self.pii || self.names
    }
}

/// A text of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The text.
    pub text: String,
    /// Whether it tells the topic.
    pub topic: bool,
    /// Whether it is all that one side of a conversation says before the other does.
    pub turn: bool,
}

/// Whether all was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All.
    Done,
    /// There is more.
    Stopped,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Probability of each of [`Signals::topics`]; empty when nothing was read.
    pub topics: Vec<f32>,
    /// The label of each head that is probable enough, and its probability; empty when nothing was read.
    pub labels: Vec<Option<(usize, f32)>>,
    /// What guards look at.
    pub guards: crate::guard::Findings,
}
