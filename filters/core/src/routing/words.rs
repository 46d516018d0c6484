//! Signals by words of a text, for tests.

use super::signals::{Found, Part, Progress, Signals, TextRules, Wanted};
use crate::decision::{LabelRef, Signal};
use crate::guard::{Findings, PiiFinding};

/// `ATTACK` is one, `TOXIC` is toxic, `!` is angry, `ß` is German, `SQL` is the first keyword, what holds an `@` between blanks is a mail
/// address; nothing else is anything.
#[derive(Debug)]
pub(crate) struct Words;

/// The labels of the one head, `tone`: `calm` and `angry`.
pub(crate) fn tone(name: &str) -> Option<LabelRef> {
    let label = ["tone:calm", "tone:angry"]
        .iter()
        .position(|l| *l == name)?;
    Some(LabelRef {
        head: 0,
        label,
        every_part: false,
    })
}

fn addresses(parts: &[Part]) -> Vec<PiiFinding> {
    let mut found = Vec::new();
    for (part, Part { text, .. }) in parts.iter().enumerate() {
        let mut start = 0;
        for word in text.split_inclusive([' ', '\n']) {
            let end = start + word.trim_end().len();
            if word.contains('@') {
                found.push(PiiFinding {
                    kind: "EMAIL_ADDRESS",
                    score: 1.0,
                    part,
                    start,
                    end,
                });
            }
            start += word.len();
        }
    }
    found
}

impl Signals for Words {
    type Reading = Found;

    fn topics(&self) -> &[String] {
        &[]
    }

    fn label(&self, name: &str) -> Option<LabelRef> {
        tone(name)
    }

    fn jailbreak_threshold(&self) -> f32 {
        0.7
    }

    fn toxicity_threshold(&self) -> f32 {
        0.7
    }

    fn begin(&self, wanted: Wanted, parts: Vec<Part>) -> Found {
        let holds = |word: &str| parts.iter().any(|part| part.text.contains(word));
        let found = |word: &str| f32::from(u8::from(holds(word)));
        let labels = vec![Some((usize::from(holds("!")), 1.0))];
        Found {
            labels: if wanted.labels { labels } else { Vec::new() },
            guards: Findings {
                jailbreak: wanted.jailbreak.then(|| found("ATTACK")),
                toxicity: wanted.toxicity.then(|| found("TOXIC")),
                pii: if wanted.pii {
                    addresses(&parts)
                } else {
                    Vec::new()
                },
            },
            ..Found::default()
        }
    }

    fn read(&self, _reading: &mut Found, _go_on: &mut dyn FnMut() -> bool) -> Progress {
        Progress::Done
    }

    fn found(&self, reading: &Found) -> Found {
        reading.clone()
    }

    fn rules(&self, text: &str) -> TextRules {
        TextRules {
            keywords: vec![Signal::of(text.contains("SQL"))],
            structures: Vec::new(),
        }
    }

    fn language(&self, text: &str) -> Option<(&'static str, f32)> {
        text.contains('ß').then_some(("de", 0.9))
    }
}
