//! Prometheus text, and assertions on it that wait.
//!
//! `stack.metric("semantic_router_tokens_total").label("user", "alice").value(12).await` polls until a sample says so; after
//! the deadline it fails with the samples that come near.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::ready::{Page, get, until};

/// A counter that does not reach its value by then never will.
const DEADLINE: Duration = Duration::from_secs(10);

/// One line of Prometheus text.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Metric.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Value.
    pub value: f64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|(k, v)| format!("{k}={v:?}"))
            .collect();
        write!(f, "{}{{{}}} {}", self.name, labels.join(","), self.value)
    }
}

/// Reads Prometheus text; lines that are no samples are left out.
#[must_use]
pub fn parse(text: &str) -> Vec<Sample> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(sample).collect()
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        None => (series, BTreeMap::new()),
        Some((name, rest)) => (name, labels(rest.strip_suffix('}')?)?),
    };
    Some(Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().ok()?,
    })
}

/// `a="1",b="2"`, with `\\`, `\"` and `\n` escaped.
fn labels(text: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (key, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    escaped => value.push(escaped),
                },
                (_, c) => value.push(c),
            }
        };
        labels.insert(key.to_owned(), value);
        rest = after.get(end + 1..)?;
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    Some(labels)
}

/// Reads all samples of a page.
///
/// # Errors
/// When nobody answers.
pub async fn scrape(page: Page<'_>) -> Result<Vec<Sample>> {
    Ok(parse(&get(page).await?))
}

/// A series to be found: a name and the labels that it must have, among others.
#[derive(Debug, Clone)]
pub struct Query {
    port: u16,
    path: &'static str,
    name: String,
    labels: Vec<(String, String)>,
}

impl Query {
    /// Asks Envoy's admin interface on `port`.
    #[must_use]
    pub fn new(port: u16, name: &str) -> Self {
        Self::of_page(port, "/stats/prometheus", name)
    }

    /// Asks the page at `path`.
    #[must_use]
    pub fn of_page(port: u16, path: &'static str, name: &str) -> Self {
        Self {
            port,
            path,
            name: name.to_owned(),
            labels: Vec::new(),
        }
    }

    /// Demands a label.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Waits until the sum of the matching samples is `expected`.
    ///
    /// # Errors
    /// After the deadline, with the samples of this name that share most labels.
    pub async fn value(&self, expected: u64) -> Result<()> {
        self.wait(|sum| sum == expected, &format!("{expected}"))
            .await
    }

    /// Waits until the sum of the matching samples is at least `expected`.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub async fn at_least(&self, expected: u64) -> Result<()> {
        let wanted = format!("at least {expected}");
        self.wait(|sum| sum >= expected, &wanted).await
    }

    /// The sum of the matching samples now; 0 when there is none.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn now(&self) -> Result<u64> {
        Ok(self.sum(&self.scrape().await?))
    }

    async fn wait(&self, is: impl Fn(u64) -> bool, wanted: &str) -> Result<()> {
        until(DEADLINE, async || {
            let samples = self.scrape().await?;
            let sum = self.sum(&samples);
            if is(sum) {
                return Ok(());
            }
            bail!(
                "{self} is {sum}, wanted {wanted}; near misses:\n{}",
                self.near_misses(&samples)
            )
        })
        .await
    }

    async fn scrape(&self) -> Result<Vec<Sample>> {
        scrape(Page::Tcp(self.port, self.path))
            .await
            .context("no metrics")
    }

    fn sum(&self, samples: &[Sample]) -> u64 {
        let found = samples
            .iter()
            .filter(|s| s.name == self.name && self.shared_labels(s) == self.labels.len());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counters are whole and positive"
        )]
        let sum = found.map(|s| s.value).sum::<f64>() as u64;
        sum
    }

    fn shared_labels(&self, sample: &Sample) -> usize {
        self.labels
            .iter()
            .filter(|(k, v)| sample.labels.get(k) == Some(v))
            .count()
    }

    fn near_misses(&self, samples: &[Sample]) -> String {
        let mut near: Vec<&Sample> = samples.iter().filter(|s| s.name == self.name).collect();
        near.sort_by_key(|s| std::cmp::Reverse(self.shared_labels(s)));
        if near.is_empty() {
            return "  (no sample of this name)".into();
        }
        let lines: Vec<String> = near.iter().take(8).map(|s| format!("  {s}")).collect();
        lines.join("\n")
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|(k, v)| format!("{k}={v:?}"))
            .collect();
        write!(f, "{}{{{}}}", self.name, labels.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_escaped_labels() {
        let samples = parse(
            "# TYPE a counter\na{user=\"x \\\"y\\\" }\\\\,\",tier=\"gold\"} 12\nb 1.5\n\nbroken{\n",
        );
        assert_eq!(samples.len(), 2);
        assert_eq!(samples[0].labels["user"], "x \"y\" }\\,");
        assert_eq!(samples[0].labels["tier"], "gold");
        assert!((samples[1].value - 1.5).abs() < 1e-9);
    }
}
