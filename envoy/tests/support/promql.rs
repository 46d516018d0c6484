//! PromQL as far as names go: which series an expression reads, and which labels it speaks of.

use std::collections::{BTreeMap, BTreeSet};

/// Names of series and their labels.
pub(crate) type Known = BTreeMap<String, BTreeSet<String>>;

/// What an expression speaks of.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// Series, each with the labels in its braces.
    pub(crate) series: Vec<(String, Vec<String>)>,
    /// Labels that are left after aggregation.
    pub(crate) aggregated: BTreeSet<String>,
    /// Labels that are matched or brought in by a join.
    pub(crate) joined: BTreeSet<String>,
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// Names in `list`, which is what stands between brackets; values in quotes are skipped.
fn names(list: &str) -> Vec<String> {
    let outside = list.split('"').step_by(2);
    outside
        .flat_map(|part| part.split(|c| !is_name(c)))
        .filter(|name| !name.is_empty())
        .map(String::from)
        .collect()
}

impl Reads {
    /// Reads an expression. A word before `(…)` is a function, an operator or a grouping; `$…` is a variable of Grafana.
    pub(crate) fn of(expression: &str) -> Self {
        let mut reads = Self::default();
        let mut rest = expression;
        while let Some(start) = rest.find(|c: char| is_name(c) || c == '"' || c == '$') {
            rest = &rest[start..];
            if let Some(quoted) = rest.strip_prefix('"') {
                rest = quoted.split_once('"').map_or("", |(_, after)| after);
                continue;
            }
            let variable = rest.starts_with('$');
            rest = rest.trim_start_matches('$');
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            rest = if variable {
                after
            } else {
                reads.take(word, after)
            };
        }
        reads
    }

    /// Takes a word; returns what follows it and its brackets.
    fn take<'t>(&mut self, word: &str, after: &'t str) -> &'t str {
        let next = after.trim_start();
        let inside = |open, close| next.strip_prefix(open)?.split_once(close);
        let labels = match word {
            "by" => &mut self.aggregated,
            "on" | "group_left" => &mut self.joined,
            _ => {
                let is_series = word == "up" || word.contains(['_', ':']);
                if !is_series || next.starts_with('(') {
                    return after;
                }
                let (labels, after) = inside('{', '}').unwrap_or(("", after));
                self.series.push((word.into(), names(labels)));
                return after;
            }
        };
        let Some((list, after)) = inside('(', ')') else {
            return after;
        };
        labels.extend(names(list));
        after
    }

    /// What is wrong with it.
    pub(crate) fn mistakes(&self, known: &Known) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut possible = BTreeSet::new();
        for (name, labels) in &self.series {
            let Some(has) = known.get(name) else {
                mistakes.push(format!("there is no series {name}"));
                continue;
            };
            possible.extend(has);
            let missing = labels.iter().filter(|label| !has.contains(*label));
            mistakes.extend(missing.map(|label| format!("{name} has no label {label}")));
        }
        let spoken = self.aggregated.union(&self.joined);
        let unknown = spoken.filter(|label| !possible.contains(*label));
        mistakes.extend(unknown.map(|label| format!("nothing has the label {label}")));
        mistakes
    }
}
