//! Where the members of an object stand.

use super::{Container, Lexer, Sink, Span};

/// The members of an object as spans of `json`, keys unescaped, in order; `None` if it is none.
#[must_use]
pub fn outline(json: &[u8]) -> Option<Vec<(String, Span)>> {
    let mut outline = Outline::default();
    let mut lexer = Lexer::new();
    lexer.push(json, &mut outline).ok()?;
    lexer.finish(&mut outline).ok()?;
    outline.is_object.then_some(outline.members)
}

#[derive(Default)]
struct Outline {
    depth: usize,
    is_object: bool,
    start: usize,
    members: Vec<(String, Span)>,
}

impl Outline {
    fn value_ends(&mut self, span: Span) {
        if self.depth == 1
            && let Some(member) = self.members.last_mut()
        {
            member.1 = span;
        }
    }
}

impl Sink for Outline {
    fn open(&mut self, container: Container, at: usize) {
        match self.depth {
            0 => self.is_object = container == Container::Object,
            1 => self.start = at,
            _ => {}
        }
        self.depth = self.depth.saturating_add(1);
    }

    fn close(&mut self, _container: Container, end: usize) {
        self.depth = self.depth.saturating_sub(1);
        self.value_ends(self.start..end);
    }

    fn key(&mut self, key: &[u8], _end: usize) {
        if self.depth == 1 {
            let key = String::from_utf8_lossy(key).into_owned();
            self.members.push((key, 0..0));
        }
    }

    fn string_start(&mut self, at: usize) {
        if self.depth == 1 {
            self.start = at;
        }
    }

    fn string_end(&mut self, end: usize) {
        self.value_ends(self.start..end);
    }

    fn scalar_start(&mut self, at: usize) {
        if self.depth == 1 {
            self.start = at;
        }
    }

    fn scalar(&mut self, _raw: &[u8], end: usize) {
        self.value_ends(self.start..end);
    }
}
