//! Personal data and secrets that have a form: found in the text itself, without a model.
//!
//! 1. Each family of detectors finds candidates with a regex of bounded length (the `regex` crate: linear time on any input).
//! 2. A candidate is checked: checksums, valid areas, lengths by country, what stands beside it.
//! 3. Words around it raise or lower its score ([`Candidate`]).
//! 4. What reaches [`THRESHOLD`] is a finding; where two overlap, the higher score wins, then the longer one.
//!
//! Names of kinds are Presidio's, where it has one. Persons, places and addresses have no form: [`crate::names`] finds them.

mod candidate;
mod document;
mod identity_number;
mod network;
mod payment;
mod phone;
mod secret;
mod wallet;

pub use candidate::Candidate;

use regex::{Match, Regex};

/// Score from which on a candidate is a finding.
pub const THRESHOLD: f32 = 0.5;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Mail address (RFC 5321, without quoted local parts).
    EmailAddress,
    /// Telephone number, international (E.164) or national.
    PhoneNumber,
    /// Payment card (ISO/IEC 7812).
    CreditCard,
    /// US Social Security number.
    UsSsn,
    /// International bank account number (ISO 13616).
    IbanCode,
    /// IPv4 or IPv6 address.
    IpAddress,
    /// US driver license; only beside words that say so.
    UsDriverLicense,
    /// US passport; only beside words that say so.
    UsPassport,
    /// Address of a bitcoin or ethereum wallet.
    Crypto,
    /// User and password within a URL.
    UrlCredentials,
    /// API key, token, private key, password.
    Secret,
    /// A person's name.
    Person,
    /// A country, city or state ("geopolitical entity").
    Gpe,
    /// Street and number.
    StreetAddress,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 14] = [
        Self::EmailAddress,
        Self::PhoneNumber,
        Self::CreditCard,
        Self::UsSsn,
        Self::IbanCode,
        Self::IpAddress,
        Self::UsDriverLicense,
        Self::UsPassport,
        Self::Crypto,
        Self::UrlCredentials,
        Self::Secret,
        Self::Person,
        Self::Gpe,
        Self::StreetAddress,
    ];

    /// Name in configurations, metrics and headers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EmailAddress => "EMAIL_ADDRESS",
            Self::PhoneNumber => "PHONE_NUMBER",
            Self::CreditCard => "CREDIT_CARD",
            Self::UsSsn => "US_SSN",
            Self::IbanCode => "IBAN_CODE",
            Self::IpAddress => "IP_ADDRESS",
            Self::UsDriverLicense => "US_DRIVER_LICENSE",
            Self::UsPassport => "US_PASSPORT",
            Self::Crypto => "CRYPTO",
            Self::UrlCredentials => "URL_CREDENTIALS",
            Self::Secret => "SECRET",
            Self::Person => "PERSON",
            Self::Gpe => "GPE",
            Self::StreetAddress => "STREET_ADDRESS",
        }
    }
}

/// One piece of personal data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// Byte offset of its first character.
    pub start: usize,
    /// Byte offset behind its last character.
    pub end: usize,
    /// How sure it is, [`THRESHOLD`] to 1.
    pub score: f32,
}

/// Judges a candidate: its score, or `None` where it is not what it looks like.
type Judge = fn(&Candidate<'_>) -> Option<f32>;

#[derive(Debug)]
struct Detector {
    kind: Kind,
    /// The candidate is group 1, or the whole match.
    regex: Regex,
    judge: Judge,
}

/// All detectors, compiled.
#[derive(Debug)]
pub struct Detectors(Vec<Detector>);

impl Detectors {
    /// Compiles them.
    ///
    /// # Errors
    /// Never, but for a mistake in this crate, which its tests would show.
    pub fn compile() -> Result<Self, regex::Error> {
        let families: [&[(Kind, &str, Judge)]; 7] = [
            network::DETECTORS,
            payment::DETECTORS,
            identity_number::DETECTORS,
            phone::DETECTORS,
            document::DETECTORS,
            wallet::DETECTORS,
            secret::DETECTORS,
        ];
        families
            .into_iter()
            .flatten()
            .map(|(kind, pattern, judge)| {
                Ok(Detector {
                    kind: *kind,
                    regex: Regex::new(pattern)?,
                    judge: *judge,
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// What is in `text`, in its order, without overlaps.
    #[must_use]
    pub fn detect(&self, text: &str) -> Vec<Finding> {
        let mut found = Vec::new();
        for detector in &self.0 {
            detector.find(text, &mut found);
        }
        without_overlaps(found)
    }
}

impl Detector {
    fn find(&self, text: &str, found: &mut Vec<Finding>) {
        let mut at = 0;
        while let Some(whole) = self.regex.find_at(text, at) {
            let inner = self.inner(text, whole);
            let candidate = Candidate::new(text, inner.range());
            let score = (self.judge)(&candidate).filter(|score| *score >= THRESHOLD);
            if let Some(score) = score {
                found.push(Finding {
                    kind: self.kind,
                    start: inner.start(),
                    end: inner.end(),
                    score: score.min(1.0),
                });
            }
            // What follows a candidate that was none may begin within it: `12-34 4111 1111 …`.
            at = if score.is_some() {
                inner.end()
            } else {
                candidate.next_start()
            }
            .max(whole.start().saturating_add(1));
            while at < text.len() && !text.is_char_boundary(at) {
                at = at.saturating_add(1);
            }
            if at > text.len() {
                return;
            }
        }
    }

    /// Group 1 of a match, where the regex has one.
    fn inner<'t>(&self, text: &'t str, whole: Match<'t>) -> Match<'t> {
        if self.regex.captures_len() == 1 {
            return whole;
        }
        // Captures cost more than a search, so they are taken from the match on.
        let captures = self.regex.captures_at(text, whole.start());
        captures.and_then(|c| c.get(1)).unwrap_or(whole)
    }
}

/// Where two overlap, the higher score wins, then the longer one.
fn without_overlaps(mut found: Vec<Finding>) -> Vec<Finding> {
    found.sort_by(|a, b| {
        let length = |f: &Finding| f.end.saturating_sub(f.start);
        b.score
            .total_cmp(&a.score)
            .then(length(b).cmp(&length(a)))
            .then(a.start.cmp(&b.start))
            .then(a.kind.cmp(&b.kind))
    });
    // By their start; a new one is compared with its two neighbours only, since those taken do not overlap.
    let mut taken: std::collections::BTreeMap<usize, Finding> = std::collections::BTreeMap::new();
    for finding in found {
        let before = taken.range(..=finding.start).next_back();
        let after = taken.range(finding.start..).next();
        let free = before.is_none_or(|(_, f)| f.end <= finding.start)
            && after.is_none_or(|(start, _)| *start >= finding.end);
        if free {
            taken.insert(finding.start, finding);
        }
    }
    taken.into_values().collect()
}

#[cfg(test)]
mod tests;
