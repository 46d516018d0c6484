//! Personal data that goes upstream under a mask, such as `[EMAIL_ADDRESS_1]`.

use std::collections::BTreeMap;
use std::ops::Range;

use super::route::Route;
use super::work::Work;
use crate::request::Edits;

/// Puts masks in place of personal data that may only pass so; gives what to put back, if that is wanted. The same data has the same mask.
pub(super) fn mask(edits: &mut Edits, work: &Work, route: &Route) -> Vec<(String, String)> {
    let (found, restores) = route.policy.masked(&work.findings);
    let mut masks: Vec<(String, String)> = Vec::new();
    let mut parts: BTreeMap<usize, Vec<(Range<usize>, String)>> = BTreeMap::new();
    for finding in found {
        let Some(message) = work.message(finding.part) else {
            continue;
        };
        let text = message.text(&work.body);
        let range = finding.start..finding.end;
        let original = text.get(range.clone()).unwrap_or_default();
        let known = masks.iter().find(|(mask, known)| {
            known == original && mask.trim_start_matches('[').starts_with(finding.kind)
        });
        let mask = match known {
            Some((mask, _)) => mask.clone(),
            None => {
                let same = |(mask, _): &&(String, String)| {
                    mask.trim_start_matches('[').starts_with(finding.kind)
                };
                let number = masks.iter().filter(same).count().saturating_add(1);
                let mask = format!("[{}_{number}]", finding.kind);
                masks.push((mask.clone(), original.to_owned()));
                mask
            }
        };
        parts.entry(finding.part).or_default().push((range, mask));
    }
    for (part, replacements) in &parts {
        if let Some(message) = work.message(*part) {
            let replacements: Vec<(Range<usize>, &str)> = replacements
                .iter()
                .map(|(range, mask)| (range.clone(), mask.as_str()))
                .collect();
            edits.replace_in_text(&work.body, message, &replacements);
        }
    }
    if restores { masks } else { Vec::new() }
}
