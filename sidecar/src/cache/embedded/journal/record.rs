//! What a frame says.

use super::frame;
use crate::cache::embedded::entry::Entry;
use crate::cache::embedded::graph::Placed;
use crate::cache::{EntryKey, NewEntry, Partition, StoredAnswer, Timestamp};

const STORED: u32 = 1;
const REMOVED: u32 = 2;
const CLEARED: u32 = 3;

/// A change to write down. In a snapshot there are only [`Change::Stored`].
#[derive(Debug)]
pub(in crate::cache::embedded) enum Change<'a> {
    /// An entry was stored; one of the same key is gone.
    Stored {
        /// The entry.
        entry: &'a Entry,
        /// Its vector.
        vector: Option<&'a [i16]>,
        /// Where the vector is in its graph.
        placed: Option<&'a Placed>,
    },
    /// An entry was removed.
    Removed(EntryKey),
    /// All entries were removed.
    Cleared,
}

impl Change<'_> {
    /// Appends the change as a frame.
    pub(super) fn push(&self, buffer: &mut Vec<u8>) {
        match self {
            Self::Stored {
                entry,
                vector,
                placed,
            } => frame::push(buffer, STORED, |payload| {
                push_entry(payload, entry);
                push_vector(payload, vector.unwrap_or_default());
                push_placed(payload, *placed);
            }),
            Self::Removed(key) => frame::push(buffer, REMOVED, |p| p.extend_from_slice(&key.0)),
            Self::Cleared => frame::push(buffer, CLEARED, |_| ()),
        }
    }
}

/// A change that was read.
#[derive(Debug)]
pub(in crate::cache::embedded) enum Record {
    /// [`Change::Stored`].
    Stored(Box<StoredRecord>),
    /// [`Change::Removed`].
    Removed(EntryKey),
    /// [`Change::Cleared`].
    Cleared,
}

/// [`Change::Stored`], as it was read.
#[derive(Debug)]
pub(in crate::cache::embedded) struct StoredRecord {
    pub(in crate::cache::embedded) id: u64,
    pub(in crate::cache::embedded) new: NewEntry,
    pub(in crate::cache::embedded) vector: Option<Box<[i16]>>,
    pub(in crate::cache::embedded) placed: Option<Placed>,
}

impl Record {
    /// Reads a frame; `None` when it does not say what it should.
    pub(super) fn read(kind: u32, payload: &[u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        let record = match kind {
            STORED => Self::Stored(Box::new(fields.stored()?)),
            REMOVED => Self::Removed(EntryKey(fields.array()?)),
            CLEARED => Self::Cleared,
            _ => return None,
        };
        fields.0.is_empty().then_some(record)
    }
}

fn push_u32(buffer: &mut Vec<u8>, number: usize) {
    buffer.extend_from_slice(&(number as u32).to_le_bytes());
}

fn push_text(buffer: &mut Vec<u8>, text: &str) {
    push_u32(buffer, text.len());
    buffer.extend_from_slice(text.as_bytes());
}

fn push_entry(buffer: &mut Vec<u8>, entry: &Entry) {
    buffer.extend_from_slice(&entry.id.to_le_bytes());
    buffer.extend_from_slice(&entry.stored_at.0.to_le_bytes());
    buffer.extend_from_slice(&entry.partition.0);
    let StoredAnswer {
        model,
        decision,
        category,
        owner,
        body,
    } = &*entry.answer;
    for text in [&*entry.question, model, decision, category, owner, body] {
        push_text(buffer, text);
    }
}

pub(super) fn push_vector(buffer: &mut Vec<u8>, vector: &[i16]) {
    push_u32(buffer, vector.len());
    buffer.extend(vector.iter().flat_map(|value| value.to_le_bytes()));
}

fn push_placed(buffer: &mut Vec<u8>, placed: Option<&Placed>) {
    let Some(placed) = placed else {
        return push_u32(buffer, 0);
    };
    push_u32(buffer, placed.links.len());
    push_u32(buffer, placed.slot as usize);
    for links in &placed.links {
        push_u32(buffer, links.len());
        buffer.extend(links.iter().flat_map(|slot| slot.to_le_bytes()));
    }
}

/// What is left of a payload.
#[derive(Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        let length = self.u32()? as usize;
        String::from_utf8(self.bytes(length)?.to_vec()).ok()
    }

    pub(super) fn vector(&mut self) -> Option<Box<[i16]>> {
        let length = self.u32()? as usize;
        let bytes = self.bytes(length.checked_mul(2)?)?;
        let values = bytes.as_chunks::<2>().0.iter();
        Some(values.map(|value| i16::from_le_bytes(*value)).collect())
    }

    fn slots(&mut self) -> Option<Vec<u32>> {
        let length = self.u32()? as usize;
        let bytes = self.bytes(length.checked_mul(4)?)?;
        let slots = bytes.as_chunks::<4>().0.iter();
        Some(slots.map(|slot| u32::from_le_bytes(*slot)).collect())
    }

    fn stored(&mut self) -> Option<StoredRecord> {
        let id = self.u64()?;
        let stored_at = Timestamp(self.u64()?);
        let partition = Partition(self.array()?);
        let question = self.text()?;
        let answer = StoredAnswer {
            model: self.text()?,
            decision: self.text()?,
            category: self.text()?,
            owner: self.text()?,
            body: self.text()?,
        };
        let vector = self.vector().filter(|vector| !vector.is_empty());
        let levels = self.u32()?;
        let placed = match levels {
            0 => None,
            _ => Some(Placed {
                slot: self.u32()?,
                links: (0..levels).map(|_| self.slots()).collect::<Option<_>>()?,
            }),
        };
        Some(StoredRecord {
            id,
            new: NewEntry {
                partition,
                question,
                embedding: None,
                answer,
                stored_at,
            },
            vector,
            placed,
        })
    }
}
