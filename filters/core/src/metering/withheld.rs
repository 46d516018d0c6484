//! An answer of a model that the client does not get: what it cost all the same.
//!
//! 1. The router, which puts an error in its place, reads the server's bytes ([`Withheld::push`]), those also that it drops.
//! 2. It tells the meter, which sees the error only, by filter state: after each chunk, since a client may leave.
//! 3. The meter charges usage as reported, and what was not as it does for other answers ([`Seen`]).
//!
//! What is no JSON that can be read counts with all its bytes as text.

use super::response::Seen;
use super::usage::{Usage, UsageScanner};
use crate::host::Host;
use crate::state;

/// Where nothing was reported.
const NOTHING: &str = "-";

/// What was seen of such an answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Withheld {
    /// Of JSON.
    scanner: Option<UsageScanner>,
    bytes: u64,
}

impl Withheld {
    /// Of an answer that is JSON, as it says, and not compressed.
    pub(crate) fn json() -> Self {
        Self {
            scanner: Some(UsageScanner::default()),
            bytes: 0,
        }
    }

    /// Takes the next `size` bytes of the server, which are not to pass, from the host, and tells the meter.
    pub(crate) fn push(&mut self, host: &mut impl Host, size: usize) {
        if size == 0 {
            return;
        }
        let more = u64::try_from(size).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(more);
        if let Some(scanner) = &mut self.scanner {
            scanner.push(&host.response_chunk(0, size));
        }
        host.set_filter_state(state::WITHHELD, pack(&self.seen()).as_bytes());
    }

    fn seen(&self) -> Seen {
        let report = self.scanner.as_ref().map(UsageScanner::report);
        let usage = report.map(|report| report.usage).unwrap_or_default();
        let is_read = self.scanner.as_ref().is_some_and(|s| !s.is_broken());
        let text = report.map(|report| report.text_bytes);
        Seen {
            usage,
            text_bytes: text.filter(|_| is_read).unwrap_or(self.bytes),
        }
    }

    /// What the router told.
    pub(crate) fn published(host: &mut impl Host) -> Option<Seen> {
        let packed = host.filter_state(state::WITHHELD)?;
        unpack(std::str::from_utf8(&packed).ok()?)
    }
}

/// Bytes of text, then the fields of [`Usage`] in their order, by blanks.
fn pack(seen: &Seen) -> String {
    let Usage {
        prompt_tokens,
        completion_tokens,
        cached_tokens,
        reasoning_tokens,
        cache_read_tokens,
        cache_creation_tokens,
    } = seen.usage;
    let mut packed = seen.text_bytes.to_string();
    for tokens in [
        prompt_tokens,
        completion_tokens,
        cached_tokens,
        reasoning_tokens,
        cache_read_tokens,
        cache_creation_tokens,
    ] {
        packed.push(' ');
        packed.push_str(&tokens.map_or_else(|| NOTHING.to_owned(), |tokens| tokens.to_string()));
    }
    packed
}

fn unpack(packed: &str) -> Option<Seen> {
    let mut fields = packed.split(' ');
    let text_bytes = fields.next()?.parse().ok()?;
    let mut next = || match fields.next()? {
        NOTHING => Some(None),
        tokens => tokens.parse().ok().map(Some),
    };
    Some(Seen {
        text_bytes,
        usage: Usage {
            prompt_tokens: next()?,
            completion_tokens: next()?,
            cached_tokens: next()?,
            reasoning_tokens: next()?,
            cache_read_tokens: next()?,
            cache_creation_tokens: next()?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::memory::MemoryHost;

    fn told(mut withheld: Withheld, chunks: &[&str]) -> Option<Seen> {
        let mut host = MemoryHost::default();
        for chunk in chunks {
            host.chunk = chunk.as_bytes().to_vec();
            withheld.push(&mut host, chunk.len());
        }
        Withheld::published(&mut host)
    }

    #[test]
    fn the_meter_reads_what_the_router_saw() {
        let usage = Usage {
            prompt_tokens: Some(30),
            completion_tokens: Some(50),
            cached_tokens: Some(10),
            ..Usage::default()
        };
        let text_bytes = 2;
        let answer = [
            r#"{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":30,"completion"#,
            r#"_tokens":50,"prompt_tokens_details":{"cached_tokens":10}}}"#,
        ];
        let seen = Some(Seen { usage, text_bytes });
        assert_eq!(told(Withheld::json(), &answer), seen);
        assert_eq!(told(Withheld::json(), &[]), None);
    }

    #[test]
    fn what_cannot_be_read_counts_with_all_its_bytes() {
        let bytes = |text_bytes| {
            let usage = Usage::default();
            Some(Seen { usage, text_bytes })
        };
        let broken = [r#"{"choices":[{"text":"a"} oops"#, " and more"];
        assert_eq!(told(Withheld::json(), &broken), bytes(38));
        assert_eq!(told(Withheld::default(), &["gzip", "ped"]), bytes(7));
    }

    #[test]
    fn what_somebody_broke_is_nothing() {
        for broken in ["", "7", "7 - - - - -", "x - - - - - -", "7 - - x - - -"] {
            assert_eq!(unpack(broken), None, "{broken}");
        }
    }
}
