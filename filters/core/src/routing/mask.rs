//! Personal data that goes upstream under a mask, such as `[EMAIL_ADDRESS_1]`.
//!
//! 1. Each text that holds some is decoded once; where its findings stand in the body is looked up in one walk.
//! 2. Findings are numbered by their kind in the order in which the server reads them: what stands beside the conversation (system prompt,
//!    definitions of tools) first, then the conversation, each as in the body. So a turn that is added leaves the masks before it as they
//!    were, and with them what a server has cached of the prompt.
//! 3. The same data has the same mask.
//!
//! Ordered maps, since clients choose the keys.

use std::collections::BTreeMap;
use std::ops::Range;

use super::route::Route;
use super::work::Work;
use crate::guard::PiiFinding;
use crate::request::{Edits, Message};

/// Puts masks in place of personal data that may only pass so; gives what to put back, if that is wanted.
pub(super) fn mask(edits: &mut Edits, work: &Work, route: &Route) -> Vec<(String, String)> {
    let (findings, restores) = route.policy.masked(&work.findings);
    let texts = texts(work, findings);
    let mut masks = Masks::default();
    let mut masked: BTreeMap<(usize, usize), String> = BTreeMap::new();
    for (_, at, i) in places(work, &texts) {
        let Some((text, finding)) = texts.get(at).and_then(|t| Some((t, t.findings.get(i)?)))
        else {
            continue;
        };
        masked
            .entry((at, i))
            .or_insert_with(|| masks.of(finding.kind, text.original(finding)));
    }
    for (at, text) in texts.iter().enumerate() {
        let here = masked.range((at, 0)..=(at, usize::MAX));
        let replacements: Vec<(Range<usize>, &str)> = here
            .filter_map(|((_, i), mask)| Some((range(text.findings.get(*i)?), mask.as_str())))
            .collect();
        edits.replace_in_text(&work.body, text.message, &replacements);
    }
    if restores {
        masks.originals
    } else {
        Vec::new()
    }
}

/// A text and what was found in it.
#[derive(Debug)]
struct Text<'w> {
    message: &'w Message,
    text: String,
    findings: Vec<&'w PiiFinding>,
}

impl Text<'_> {
    fn original(&self, finding: &PiiFinding) -> &str {
        self.text.get(range(finding)).unwrap_or_default()
    }
}

fn range(finding: &PiiFinding) -> Range<usize> {
    finding.start..finding.end
}

fn texts<'w>(work: &'w Work, findings: Vec<&'w PiiFinding>) -> Vec<Text<'w>> {
    let mut parts: BTreeMap<usize, Vec<&PiiFinding>> = BTreeMap::new();
    for finding in findings {
        parts.entry(finding.part).or_default().push(finding);
    }
    let texts = parts.into_iter().filter_map(|(part, findings)| {
        let message = work.message(part)?;
        Some(Text {
            message,
            text: message.text(&work.body),
            findings,
        })
    });
    texts.collect()
}

/// Where findings stand, in the order of their numbers: whether in the conversation and at which byte of the body, then the text and the
/// finding. One that goes over several parts stands at several places.
fn places(work: &Work, texts: &[Text<'_>]) -> Vec<((bool, usize), usize, usize)> {
    let conversation = work.request.member(work.endpoint.input_key());
    let place = |start: usize| (conversation.iter().any(|c| c.contains(&start)), start);
    let mut places = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        let ranges: Vec<Range<usize>> = text.findings.iter().map(|f| range(f)).collect();
        let spans = text.message.spans_of(&work.body, &ranges);
        places.extend(spans.into_iter().map(|(i, s)| (place(s.start), at, i)));
    }
    places.sort_unstable();
    places
}

/// Masks that were given.
#[derive(Debug, Default)]
struct Masks<'t> {
    known: BTreeMap<(&'static str, &'t str), String>,
    numbers: BTreeMap<&'static str, usize>,
    /// Each mask and what it stands for, by number.
    originals: Vec<(String, String)>,
}

impl<'t> Masks<'t> {
    fn of(&mut self, kind: &'static str, original: &'t str) -> String {
        let Self {
            known,
            numbers,
            originals,
        } = self;
        let mask = known.entry((kind, original)).or_insert_with(|| {
            let number = numbers.entry(kind).or_default();
            *number = number.saturating_add(1);
            let mask = format!("[{kind}_{number}]");
            originals.push((mask.clone(), original.to_owned()));
            mask
        });
        mask.clone()
    }
}
