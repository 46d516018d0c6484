//! Keys, tokens and passwords, by the forms that their issuers gave them so that scanners find them.

use super::{Candidate, Judge, Kind};

pub(super) const DETECTORS: &[(Kind, &str, Judge)] = &[
    // AWS: "IAM identifiers", unique ID prefixes of keys.
    (Kind::Secret, r"(?:AKIA|ASIA)[A-Z2-7]{16}", token),
    // GitHub: "Behind GitHub's new authentication token formats"; GitLab, Slack, Stripe, Google, npm: their documentation.
    (
        Kind::Secret,
        r"gh[pousr]_[0-9A-Za-z]{36,}|github_pat_[0-9A-Za-z_]{50,}|glpat-[0-9A-Za-z_-]{20,}",
        token,
    ),
    (
        Kind::Secret,
        r"xox[abprs]-[0-9A-Za-z-]{10,}|[sr]k_live_[0-9A-Za-z]{16,}|AIza[0-9A-Za-z_-]{35}|npm_[0-9A-Za-z]{36}",
        token,
    ),
    // OpenAI, Anthropic, Hugging Face.
    (
        Kind::Secret,
        r"sk-(?:proj-|ant-|svcacct-)?[0-9A-Za-z_-]{20,}|hf_[0-9A-Za-z]{30,}",
        token,
    ),
    // RFC 7519: three parts in base64url, the first of which begins with `{"`.
    (
        Kind::Secret,
        r"eyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{2,}\.[0-9A-Za-z_-]{16,}",
        token,
    ),
    // RFC 7468.
    (
        Kind::Secret,
        r"-----BEGIN (?:[A-Z]{2,10} ){0,2}PRIVATE KEY-----(?:[0-9A-Za-z+/=\s]+-----END (?:[A-Z]{2,10} ){0,2}PRIVATE KEY-----)?",
        private_key,
    ),
    (
        Kind::Secret,
        r#"(?i)(?:password|passwd|passphrase|pwd|secret|api[_-]?key|apikey|access[_-]?token|auth[_-]?token|client[_-]?secret|private[_-]?key|passwort|contraseña)["']?[ \t]{0,3}(?:[:=]|:=|=>|is)[ \t]{0,3}["']?([^\x00-\x20"'`,;<>(){}]{8,128})"#,
        assigned,
    ),
];

/// Bits a character of a random text has at least; words of a language stay below.
const MIN_ENTROPY: f32 = 3.0;

fn token(candidate: &Candidate<'_>) -> Option<f32> {
    let text = candidate.as_str();
    let touched = |c: char| c.is_alphanumeric() || c == '_';
    let alone =
        !candidate.previous().is_some_and(touched) && !candidate.following().0.is_some_and(touched);
    let digit = text.bytes().any(|b| b.is_ascii_digit());
    (alone && digit && !is_placeholder(text) && entropy(text) >= MIN_ENTROPY).then_some(0.95)
}

fn private_key(_: &Candidate<'_>) -> Option<f32> {
    Some(1.0)
}

/// The value of `password = …`: not a word, a variable or a placeholder.
fn assigned(candidate: &Candidate<'_>) -> Option<f32> {
    let value = candidate.as_str().trim_end_matches(['.', '!', '?']);
    let has = |test: fn(&u8) -> bool| value.bytes().any(|b| test(&b));
    let mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
        || has(u8::is_ascii_lowercase)
            && has(u8::is_ascii_uppercase)
            && has(|b| b.is_ascii_punctuation());
    let code = value.contains("::")
        || value.contains('/')
        || value.starts_with(['$', '%', '&', '*', '@', '\\']);
    (mixed && !code && !is_placeholder(value) && entropy(value) >= 2.5).then_some(0.8)
}

/// Whether it stands for a secret that is not there: `YOUR_API_KEY`, `xxxx`, `changeme`, `${PASSWORD}`.
pub(super) fn is_placeholder(value: &str) -> bool {
    const WORDS: [&str; 14] = [
        "example",
        "your",
        "placeholder",
        "changeme",
        "change-me",
        "redacted",
        "xxxx",
        "****",
        "....",
        "dummy",
        "sample",
        "insert",
        "1234567890",
        "0000000",
    ];
    let lower = value.to_lowercase();
    let names = [
        "password", "pass", "passwd", "pwd", "secret", "token", "apikey", "api_key",
    ];
    WORDS.iter().any(|word| lower.contains(word))
        || names.contains(&lower.as_str())
        || value.starts_with(['<', '{', '$', '%', '['])
}

/// Shannon entropy in bits a byte.
fn entropy(text: &str) -> f32 {
    let mut counts = [0_u16; 256];
    for byte in text.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count = count.saturating_add(1);
        }
    }
    let total: f32 = counts.iter().map(|count| f32::from(*count)).sum();
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f32::from(*count) / total;
            -share * share.log2()
        })
        .sum()
}
