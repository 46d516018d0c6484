//! Mail addresses, IP addresses, credentials in URLs.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Candidate, Judge, Kind};

pub(super) const DETECTORS: &[(Kind, &str, Judge)] = &[
    (
        Kind::EmailAddress,
        // RFC 5321: a local part of at most 64 bytes, labels of at most 63; other scripts too (RFC 6531).
        r"[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~[^\x00-\x7F]-]{1,64}@(?:[a-zA-Z0-9[^\x00-\x7F]-]{1,63}\.)+[a-zA-Z[^\x00-\x7F]]{2,24}",
        email,
    ),
    (Kind::IpAddress, r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}", ip_v4),
    (
        Kind::IpAddress,
        r"(?i)[0-9a-f:]{2,40}:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-f:]{2,40}",
        ip_v6,
    ),
    (
        Kind::UrlCredentials,
        r"(?i)[a-z][a-z0-9+.-]{1,20}://([^\x00-\x20/?#@:]*:[^\x00-\x20/?#@]+)@[a-z0-9\[[^\x00-\x7F]]",
        credentials,
    ),
];

const VERSION_WORDS: &[&str] = &[
    "version",
    "ver.",
    "ver ",
    "v.",
    "release",
    "section",
    "chapter",
    "clause",
    "build",
    "firmware",
    "§",
    "upgrade",
    "downgrade",
];

fn email(candidate: &Candidate<'_>) -> Option<f32> {
    let (local, _) = candidate.as_str().rsplit_once('@')?;
    let wrong = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    let (next, second) = candidate.following();
    let goes_on = next.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '@')
        || next == Some('-') && second.is_some_and(char::is_alphanumeric);
    (!wrong && !goes_on).then_some(0.95)
}

fn ip_v4(candidate: &Candidate<'_>) -> Option<f32> {
    candidate.as_str().parse::<Ipv4Addr>().ok()?;
    let (next, second) = candidate.following();
    // `1.2.3.4-rc1`, `1.2.3.4.5`
    let goes_on = next == Some('-') && second.is_some_and(|c| c.is_ascii_alphabetic());
    if !candidate.stands_alone() || goes_on || candidate.is_after(VERSION_WORDS) {
        return None;
    }
    Some(0.85)
}

fn ip_v6(candidate: &Candidate<'_>) -> Option<f32> {
    let address: Ipv6Addr = candidate.as_str().parse().ok()?;
    let touched = |c: char| c.is_alphanumeric() || c == ':' || c == '_';
    if candidate.previous().is_some_and(touched) || candidate.following().0.is_some_and(touched) {
        return None;
    }
    // Paths of programs look like short ones: `a::b`, `::`.
    let digit = candidate.as_str().bytes().any(|b| b.is_ascii_digit());
    let groups = candidate.as_str().split(':').filter(|g| !g.is_empty());
    let long = groups.clone().any(|g| g.len() >= 3) && groups.count() >= 2;
    (digit && long && !address.is_loopback() && !address.is_unspecified()).then_some(0.9)
}

fn credentials(candidate: &Candidate<'_>) -> Option<f32> {
    let (_, password) = candidate.as_str().split_once(':')?;
    (!super::secret::is_placeholder(password)).then_some(0.97)
}
