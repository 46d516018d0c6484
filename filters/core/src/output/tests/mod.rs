//! Answers of all APIs, cut at every place.

mod answers;
mod events;
mod streams;
mod whole;

use super::judge::{Judge, Unread};

/// Lets everything pass in which a text does not come.
#[derive(Debug, Default)]
pub(super) struct Stops {
    pub(super) at: Option<&'static str>,
    /// Whether what cannot be read is stopped.
    pub(super) strict: bool,
    pub(super) texts: Vec<String>,
    pub(super) unread: Vec<Unread>,
}

impl Judge for Stops {
    fn may_pass(&mut self, text: &str) -> bool {
        self.texts.push(text.to_owned());
        !self.at.is_some_and(|at| text.contains(at))
    }

    fn may_pass_unread(&mut self, why: Unread) -> bool {
        self.unread.push(why);
        !self.strict
    }
}

/// `bytes` in one piece, cut in two at every place, and byte by byte.
fn splits(bytes: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let whole = [
        vec![bytes],
        bytes.chunks(1).collect(),
        bytes.chunks(7).collect(),
    ];
    let halves = (1..bytes.len()).map(move |at| {
        let (a, b) = bytes.split_at(at);
        vec![a, b]
    });
    whole.into_iter().chain(halves)
}
