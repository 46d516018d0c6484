//! Frames: what a file of the cache is made of.
//!
//! # Format
//! Little-endian: `length: u32`, `kind: u32`, `checksum of the payload: u32`, `checksum of the twelve bytes before: u32`, then
//! `length` bytes of payload. Checksums are CRC-32.
//!
//! A payload that does not fit its checksum is skipped: the head says where the next frame begins. After a head that does not
//! fit its own, nobody knows where the next one begins, and the rest of the file is skipped.

use std::io::{self, Read};

/// Bytes of a head.
pub(super) const HEAD_BYTES: usize = 16;

/// Largest payload that is believed: above the largest body that the sidecar reads, with its vector.
const MAX_PAYLOAD_BYTES: u32 = 64 << 20;

/// Appends a frame whose payload `write` appends.
pub(super) fn push(buffer: &mut Vec<u8>, kind: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; HEAD_BYTES]);
    write(buffer);
    let (head, payload) = buffer[start..].split_at_mut(HEAD_BYTES);
    head[0..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    head[4..8].copy_from_slice(&kind.to_le_bytes());
    head[8..12].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    let checksum = crc32fast::hash(&head[..12]);
    head[12..].copy_from_slice(&checksum.to_le_bytes());
}

/// What came next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A frame that is whole.
    Frame {
        /// What it says.
        kind: u32,
        /// Its payload.
        payload: &'a [u8],
    },
    /// A frame whose payload is damaged.
    Damaged,
    /// The file ends here, or the rest cannot be read. Bytes that nothing was made of.
    End {
        /// How many.
        skipped: u64,
    },
}

/// Reads frames.
#[derive(Debug)]
pub(super) struct Frames<R> {
    reader: R,
    payload: Vec<u8>,
}

impl<R: Read> Frames<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            payload: Vec::new(),
        }
    }

    /// The next frame.
    ///
    /// # Errors
    /// When the system cannot read.
    pub(super) fn next(&mut self) -> io::Result<Next<'_>> {
        let mut head = [0; HEAD_BYTES];
        let read = read_up_to(&mut self.reader, &mut head)?;
        let word = |at: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&head[at..at + 4]);
            u32::from_le_bytes(bytes)
        };
        let length = word(0);
        let is_sound = read == HEAD_BYTES && word(12) == crc32fast::hash(&head[..12]);
        if !is_sound || length > MAX_PAYLOAD_BYTES {
            let rest = io::copy(&mut self.reader, &mut io::sink())?;
            return Ok(Next::End {
                skipped: read as u64 + rest,
            });
        }
        self.payload.resize(length as usize, 0);
        let got = read_up_to(&mut self.reader, &mut self.payload)?;
        if got < self.payload.len() {
            return Ok(Next::End {
                skipped: (HEAD_BYTES + got) as u64,
            });
        }
        if crc32fast::hash(&self.payload) != word(8) {
            return Ok(Next::Damaged);
        }
        Ok(Next::Frame {
            kind: word(4),
            payload: &self.payload,
        })
    }
}

/// Fills `buffer` as far as the file goes, and says how far.
fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let mut file = Vec::new();
        for (kind, text) in [(1, "first"), (2, ""), (1, "third")] {
            push(&mut file, kind, |buffer| {
                buffer.extend_from_slice(text.as_bytes())
            });
        }
        file
    }

    /// Texts of the frames that could be read, frames that were damaged, bytes skipped at the end.
    fn read(file: &[u8]) -> (Vec<String>, usize, u64) {
        let mut frames = Frames::new(file);
        let (mut texts, mut damaged) = (Vec::new(), 0);
        loop {
            match frames.next().unwrap() {
                Next::Frame { payload, .. } => {
                    texts.push(String::from_utf8(payload.into()).unwrap())
                }
                Next::Damaged => damaged += 1,
                Next::End { skipped } => return (texts, damaged, skipped),
            }
        }
    }

    #[test]
    fn frames_come_back() {
        assert_eq!(
            read(&file()),
            (vec!["first".into(), String::new(), "third".into()], 0, 0)
        );
    }

    #[test]
    fn a_file_cut_anywhere_gives_the_frames_before_the_cut() {
        let whole = file();
        let ends = [21, 37, 58];
        assert_eq!(whole.len(), ends[2]);
        for cut in 0..whole.len() {
            let (texts, damaged, skipped) = read(&whole[..cut]);
            let before = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!((texts.len(), damaged), (before, 0), "cut at {cut}");
            let end = if before == 0 { 0 } else { ends[before - 1] };
            assert_eq!(skipped as usize, cut - end);
        }
    }

    #[test]
    fn any_changed_byte_is_noticed_and_costs_its_frame_or_the_rest_alone() {
        let whole = file();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            let (texts, damaged, skipped) = read(&changed);
            assert!(texts.len() < 3, "byte {at} was not noticed");
            assert!(damaged == 1 || skipped > 0);
            assert!(
                texts
                    .iter()
                    .all(|text| ["first", "", "third"].contains(&text.as_str()))
            );
        }
    }
}
