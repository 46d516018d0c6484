//! Names of keys.
//!
//! `PREFIX:1:ENCODER:{PARTITION}:ENTRY`: an entry, a hash. `PREFIX:1:ENCODER:{PARTITION}:v:SLICE`: vectors. `PREFIX:1:encoders`:
//! fingerprints of encoders, by their names. The braces are a hash tag: all keys of a partition are in one slot of a cluster.

use std::hash::{BuildHasher as _, RandomState};

use super::slices::Slice;
use crate::cache::{EntryKey, Partition, Timestamp};

/// Version of what is behind the keys. Another one has other keys.
const VERSION: &str = "1";

/// The keys of one prefix.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    start: String,
}

/// What a key is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Entry(EntryKey),
    Vectors(Slice),
}

/// What a key says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) encoder: String,
    pub(super) partition: Partition,
    pub(super) kind: Kind,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            start: format!("{prefix}:{VERSION}:"),
        }
    }

    pub(super) fn entry(&self, encoder: &str, partition: &Partition, key: &EntryKey) -> String {
        format!("{}{encoder}:{{{partition}}}:{key}", self.start)
    }

    pub(super) fn vectors(&self, encoder: &str, partition: &Partition, slice: Slice) -> String {
        format!("{}{encoder}:{{{partition}}}:v:{slice}", self.start)
    }

    /// Fingerprints of encoders, by name.
    pub(super) fn encoders(&self) -> String {
        format!("{}encoders", self.start)
    }

    /// A key that nothing is stored under.
    pub(super) fn nothing(&self) -> String {
        format!("{}nothing", self.start)
    }

    /// What all keys match. A prefix has no character that means something in a pattern.
    pub(super) fn pattern(&self) -> String {
        format!("{}*", self.start)
    }

    /// What a key says; `None` of one that is not an entry's or a set's of this prefix.
    pub(super) fn read(&self, key: &str) -> Option<Name> {
        let (encoder, rest) = key.strip_prefix(&self.start)?.split_once(":{")?;
        // Of a longer prefix that begins like this one.
        if encoder.contains(':') {
            return None;
        }
        let (partition, rest) = rest.split_once("}:")?;
        let kind = match rest.strip_prefix("v:") {
            Some(slice) => Kind::Vectors(Slice::parse(slice)?),
            None => Kind::Entry(EntryKey::parse(rest)?),
        };
        Some(Name {
            encoder: encoder.into(),
            partition: Partition::parse(partition).ok()?,
            kind,
        })
    }
}

/// Name of an entry's vector in a set: the entry, when it was stored, and a random number, so that a name never comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element(String);

impl Element {
    pub(super) fn new(key: EntryKey, stored_at: Timestamp) -> Self {
        let random = RandomState::new().hash_one(());
        Self(format!("{key}@{}.{random:016x}", stored_at.0))
    }

    /// The entry, and when it was stored, of a name that Redis gives.
    pub(super) fn read(bytes: Vec<u8>) -> Option<(EntryKey, Timestamp)> {
        let name = String::from_utf8(bytes).ok()?;
        let (key, rest) = name.split_once('@')?;
        let (stored_at, _) = rest.split_once('.')?;
        Some((EntryKey::parse(key)?, Timestamp(stored_at.parse().ok()?)))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_it_was_made_of() {
        let keys = Keys::new("team:cache");
        let partition = Partition::parse(&"ab".repeat(32)).unwrap();
        let key = EntryKey::of(&partition, "q");
        let slice = Slice::parse("3600000.482").unwrap();
        for (written, kind) in [
            (keys.entry("384-0a", &partition, &key), Kind::Entry(key)),
            (
                keys.vectors("384-0a", &partition, slice),
                Kind::Vectors(slice),
            ),
        ] {
            let encoder = "384-0a".into();
            let name = Name {
                encoder,
                partition,
                kind,
            };
            assert_eq!(keys.read(&written), Some(name), "{written}");
            assert!(written.contains(&format!("{{{partition}}}")), "{written}");
        }
        let element = Element::new(key, Timestamp(5));
        let read = Element::read(element.as_str().into());
        assert_eq!(read, Some((key, Timestamp(5))));
        assert_ne!(element, Element::new(key, Timestamp(5)));
    }

    #[test]
    fn keys_of_others_are_none_of_ours() {
        let keys = Keys::new("turnpike");
        let partition = "ab".repeat(32);
        for key in [
            "turnpike".to_owned(),
            keys.encoders(),
            keys.nothing(),
            format!("turnpike:1:384-0a:{{{partition}}}:short"),
            format!("turnpike:1:384-0a:{{{partition}}}:v:soon"),
            format!("turnpike:1:384-0a:{{abc}}:{partition}"),
            format!("turnpike:2:384-0a:{{{partition}}}:{partition}"),
            format!("other:1:384-0a:{{{partition}}}:{partition}"),
        ] {
            assert_eq!(keys.read(&key), None, "{key}");
        }
        for name in ["", "abc", "é"] {
            assert_eq!(Element::read(name.into()), None);
        }
        assert_eq!(Element::read(vec![0xff; 80]), None);
    }

    #[test]
    fn a_key_of_a_longer_prefix_is_not_of_this_one() {
        let partition = Partition::parse(&"ab".repeat(32)).unwrap();
        let key = EntryKey::of(&partition, "q");
        let (short, long) = (Keys::new("turnpike"), Keys::new("turnpike:1"));
        let written = long.entry("384-ab", &partition, &key);
        assert!(short.read(&written).is_none());
        assert!(long.read(&written).is_some());
    }
}
