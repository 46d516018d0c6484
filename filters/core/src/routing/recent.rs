//! What was found in the same texts a short while ago: signals of the proxy's own models, and what the sidecar said.
//!
//! Keys are SHA-256 over all that an answer depends on, so that nobody can have another text's verdict. Entries live equally long,
//! so the oldest is the first to go, for want of time or of room.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use sha2::{Digest as _, Sha256};

use super::signals::{Found, Part, Wanted};
use crate::config::RoutingCacheConfig;
use crate::sidecar::{HeadScores, Scored};

/// Texts above are not remembered.
pub(super) const MAX_REMEMBERED_BYTES: usize = 64 << 10;

/// What a map with one entry takes, whatever is in it: a node of eleven.
const MAP_BYTES: usize = 600;

/// What an entry takes beside what it points to: key and times, twice, in a map that is half full.
const ENTRY_BYTES: usize = 160;

/// Digest of all that an answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// Of a reading of `parts`.
    pub(super) fn of_reading(wanted: Wanted, parts: &[Part]) -> Self {
        let Wanted {
            topics,
            labels,
            every_part,
            jailbreak,
            toxicity,
            pii,
            names,
        } = wanted;
        let mut hash = Sha256::new();
        hash.update(b"read");
        hash.update([topics, labels, every_part, jailbreak, toxicity, pii, names].map(u8::from));
        for part in parts {
            hash.update([u8::from(part.topic), u8::from(part.turn)]);
            push(&mut hash, &part.text);
        }
        Self(hash.finalize().into())
    }

    /// Of a question for `heads` of `text`.
    pub(super) fn of_question(heads: &[String], text: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"asked");
        push(&mut hash, text);
        for head in heads {
            push(&mut hash, head);
        }
        Self(hash.finalize().into())
    }
}

fn push(hash: &mut Sha256, text: &str) {
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
    hash.update(length.to_be_bytes());
    hash.update(text);
}

/// What the sidecar said of a text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Said {
    pub(super) category: Option<Scored>,
    pub(super) heads: HeadScores,
}

#[derive(Debug, Clone)]
enum Value {
    Found(Rc<Found>),
    Said(Rc<Said>),
}

impl Value {
    fn bytes(&self) -> usize {
        let inner = match self {
            Self::Found(found) => {
                let vectors = [
                    size_of_val(found.topics.as_slice()),
                    size_of_val(found.labels.as_slice()),
                    size_of_val(found.guards.pii.as_slice()),
                ];
                let vectors: usize = vectors.into_iter().sum();
                vectors.saturating_add(size_of::<Found>())
            }
            Self::Said(said) => {
                let category = said.category.as_ref().map_or(0, |c| c.label.len());
                let heads = said.heads.iter().map(|(name, labels)| {
                    let labels = labels.keys().map(|label| label.len().saturating_add(64));
                    let labels = labels.sum::<usize>().max(MAP_BYTES);
                    labels.saturating_add(name.len()).saturating_add(64)
                });
                let heads = heads.sum::<usize>();
                let map = if said.heads.is_empty() { 0 } else { MAP_BYTES };
                category.saturating_add(heads.max(map))
            }
        };
        inner.saturating_add(ENTRY_BYTES)
    }
}

/// The memory of one worker.
#[derive(Debug, Default)]
pub(super) struct Recent {
    ttl_us: u64,
    max_bytes: usize,
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    values: HashMap<Key, (u64, Value)>,
    /// The oldest first; each key once.
    order: VecDeque<Key>,
    bytes: usize,
}

impl Recent {
    pub(super) fn new(config: &RoutingCacheConfig) -> Self {
        Self {
            ttl_us: u64::from(config.ttl_seconds).saturating_mul(1_000_000),
            max_bytes: usize::try_from(config.max_bytes).unwrap_or(usize::MAX),
            inner: RefCell::default(),
        }
    }

    /// Whether anything is remembered at all.
    pub(super) fn is_on(&self) -> bool {
        self.ttl_us > 0 && self.max_bytes > 0
    }

    pub(super) fn found(&self, key: &Key, now_us: u64) -> Option<Rc<Found>> {
        match self.get(key, now_us)? {
            Value::Found(found) => Some(found),
            Value::Said(_) => None,
        }
    }

    pub(super) fn said(&self, key: &Key, now_us: u64) -> Option<Rc<Said>> {
        match self.get(key, now_us)? {
            Value::Said(said) => Some(said),
            Value::Found(_) => None,
        }
    }

    pub(super) fn remember_found(&self, key: Key, now_us: u64, found: &Found) {
        self.put(key, now_us, Value::Found(Rc::new(found.clone())));
    }

    pub(super) fn remember_said(&self, key: Key, now_us: u64, said: Said) {
        self.put(key, now_us, Value::Said(Rc::new(said)));
    }

    fn get(&self, key: &Key, now_us: u64) -> Option<Value> {
        let inner = self.inner.try_borrow().ok()?;
        let (since, value) = inner.values.get(key)?;
        // A clock that was set back does not make entries immortal.
        let age = now_us.abs_diff(*since);
        (age < self.ttl_us).then(|| value.clone())
    }

    fn put(&self, key: Key, now_us: u64, value: Value) {
        if !self.is_on() {
            return;
        }
        let Ok(mut inner) = self.inner.try_borrow_mut() else {
            return;
        };
        inner.remove(&key);
        inner.bytes = inner.bytes.saturating_add(value.bytes());
        inner.values.insert(key, (now_us, value));
        inner.order.push_back(key);
        while let Some(oldest) = inner.order.front().copied() {
            let since = inner.values.get(&oldest).map_or(0, |(since, _)| *since);
            let is_old = now_us.saturating_sub(since) >= self.ttl_us;
            if !is_old && inner.bytes <= self.max_bytes {
                return;
            }
            inner.order.pop_front();
            inner.forget(&oldest);
        }
    }

    #[cfg(test)]
    fn len_and_bytes(&self) -> (usize, usize) {
        let inner = self.inner.borrow();
        assert_eq!(inner.order.len(), inner.values.len());
        (inner.values.len(), inner.bytes)
    }
}

impl Inner {
    /// Takes out an entry that is put in again. Rare: whoever remembers has looked before.
    fn remove(&mut self, key: &Key) {
        if self.values.contains_key(key) {
            self.order.retain(|other| other != key);
            self.forget(key);
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some((_, value)) = self.values.remove(key) {
            self.bytes = self.bytes.saturating_sub(value.bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn recent(max_bytes: u32) -> Recent {
        Recent::new(&RoutingCacheConfig {
            ttl_seconds: 300,
            max_bytes,
        })
    }

    fn key(text: &str) -> Key {
        Key::of_question(&[], text)
    }

    fn said(label: &str) -> Said {
        let scored = Scored {
            label: label.into(),
            confidence: 0.5,
        };
        Said {
            category: Some(scored),
            ..Said::default()
        }
    }

    #[test]
    fn an_entry_is_known_for_300_seconds() {
        let recent = recent(10_000);
        recent.remember_said(key("q"), 1_000 * SECOND, said("math"));
        let known = |second| recent.said(&key("q"), second * SECOND).is_some();
        assert!(known(1_000) && known(1_299));
        assert!(!known(1_300) && !known(1_400));
        assert!(known(999) && !known(700), "the clock was set back");
        assert!(recent.found(&key("q"), 1_001 * SECOND).is_none());
        recent.remember_said(key("q"), 1_400 * SECOND, said("law"));
        let category = recent.said(&key("q"), 1_401 * SECOND).unwrap();
        assert_eq!(*category, said("law"));
        assert_eq!(recent.len_and_bytes().0, 1);
    }

    #[test]
    fn the_oldest_go_when_there_is_no_room_and_the_expired_in_any_case() {
        let recent = recent(1_000);
        for number in 0..100 {
            recent.remember_said(key(&number.to_string()), number, said("a label"));
            assert!(recent.len_and_bytes().1 <= 1_000);
        }
        let (entries, _) = recent.len_and_bytes();
        assert!((3..8).contains(&entries), "{entries}");
        assert!(recent.said(&key("99"), 100).is_some());
        assert!(recent.said(&key("50"), 100).is_none());
        recent.remember_said(key("new"), 400 * SECOND, said("x"));
        assert_eq!(recent.len_and_bytes().0, 1);
        recent.remember_said(key("huge"), 401 * SECOND, said(&"x".repeat(2_000)));
        assert_eq!(recent.len_and_bytes(), (0, 0));
    }

    #[test]
    fn nothing_is_remembered_where_it_is_off() {
        let off = Recent::new(&RoutingCacheConfig {
            ttl_seconds: 0,
            ..RoutingCacheConfig::default()
        });
        off.remember_said(key("q"), 0, said("math"));
        assert_eq!(off.len_and_bytes(), (0, 0));
        assert!(!recent(0).is_on());
    }

    #[test]
    fn a_key_tells_what_was_wanted_and_where_texts_end() {
        let part = |text: &str, topic| Part {
            text: text.into(),
            topic,
            turn: true,
        };
        let pii = Wanted {
            pii: true,
            ..Wanted::default()
        };
        let names = Wanted {
            names: true,
            ..Wanted::default()
        };
        let keys = [
            Key::of_reading(pii, &[part("ab", true)]),
            Key::of_reading(names, &[part("ab", true)]),
            Key::of_reading(pii, &[part("ab", false)]),
            Key::of_reading(pii, &[part("a", true), part("b", true)]),
            Key::of_reading(pii, &[part("a", true)]),
            Key::of_reading(
                pii,
                &[Part {
                    turn: false,
                    ..part("a", true)
                }],
            ),
            Key::of_question(&[], "ab"),
            Key::of_question(&["a".into()], "b"),
            Key::of_question(&["a".into(), "b".into()], ""),
            Key::of_question(&["ab".into()], ""),
        ];
        let different: std::collections::HashSet<Key> = keys.into_iter().collect();
        assert_eq!(different.len(), keys.len());
        assert_eq!(keys[0], Key::of_reading(pii, &[part("ab", true)]));
    }
}
