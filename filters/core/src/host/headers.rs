//! Header maps as the host hands them over: one piece of memory, read in place.
//!
//! Format: proxy-wasm spec, ABI 0.2.1, "Serialization": count, then the lengths of each name and value, then each name and value
//! followed by a zero byte; numbers are 32-bit little-endian.

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'h> {
    /// Name, lower-case.
    pub name: &'h [u8],
    /// Value, any bytes.
    pub value: &'h [u8],
}

/// All headers of a message, pseudo headers and repeated ones included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<u8>);

/// A header that must be unique is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated;

impl Headers {
    /// Takes a serialized map; `None` when it is cut.
    #[must_use]
    pub fn parse(bytes: Vec<u8>) -> Option<Self> {
        let headers = Self(bytes);
        let (count, _) = number(&headers.0)?;
        (headers.iter().count() == count).then_some(headers)
    }

    /// Serializes a map; `None` when a text is longer than 4 GiB.
    #[must_use]
    pub fn of(pairs: &[(&str, &[u8])]) -> Option<Self> {
        let mut bytes = u32::try_from(pairs.len()).ok()?.to_le_bytes().to_vec();
        for (name, value) in pairs {
            bytes.extend(u32::try_from(name.len()).ok()?.to_le_bytes());
            bytes.extend(u32::try_from(value.len()).ok()?.to_le_bytes());
        }
        for (name, value) in pairs {
            for text in [name.as_bytes(), value] {
                bytes.extend_from_slice(text);
                bytes.push(0);
            }
        }
        Some(Self(bytes))
    }

    /// The serialized map.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// All headers, in their order.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        let (sizes, texts) = number(&self.0)
            .and_then(|(count, rest)| rest.split_at_checked(count.checked_mul(8)?))
            .unwrap_or_default();
        Iter { sizes, texts }
    }

    /// The first value of a header.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.iter().filter(|h| h.name == name.as_bytes());
        values.next().map(|h| h.value)
    }

    /// The one value of a header.
    ///
    /// # Errors
    /// When it is repeated.
    pub fn unique(&self, name: &str) -> Result<Option<&[u8]>, Repeated> {
        let mut values = self.iter().filter(|h| h.name == name.as_bytes());
        let first = values.next();
        if values.next().is_some() {
            return Err(Repeated);
        }
        Ok(first.map(|h| h.value))
    }
}

impl<'h> IntoIterator for &'h Headers {
    type Item = Header<'h>;
    type IntoIter = Iter<'h>;

    fn into_iter(self) -> Iter<'h> {
        self.iter()
    }
}

/// Iterator over [`Headers`].
#[derive(Debug, Clone)]
pub struct Iter<'h> {
    sizes: &'h [u8],
    texts: &'h [u8],
}

impl<'h> Iterator for Iter<'h> {
    type Item = Header<'h>;

    fn next(&mut self) -> Option<Header<'h>> {
        let (name_size, rest) = number(self.sizes)?;
        let (value_size, sizes) = number(rest)?;
        let (name, rest) = text(self.texts, name_size)?;
        let (value, texts) = text(rest, value_size)?;
        (self.sizes, self.texts) = (sizes, texts);
        Some(Header { name, value })
    }
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

fn text(bytes: &[u8], size: usize) -> Option<(&[u8], &[u8])> {
    let (text, rest) = bytes.split_at_checked(size)?;
    Some((text, rest.split_first()?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIRS: [(&str, &[u8]); 3] = [
        (":path", b"/v1"),
        ("x-empty", b""),
        ("x-user", "алиса\u{0}\u{ff}".as_bytes()),
    ];

    #[test]
    fn maps_are_read_as_they_are_written() {
        let headers = Headers::parse(Headers::of(&PAIRS).unwrap().0).unwrap();
        let read: Vec<_> = headers.iter().map(|h| (h.name, h.value)).collect();
        assert_eq!(read, PAIRS.map(|(n, v)| (n.as_bytes(), v)));
        assert_eq!(headers.get("x-empty"), Some(b"".as_slice()));
        assert_eq!(headers.get("x"), None);
        let none = Headers::parse(Headers::of(&[]).unwrap().0).unwrap();
        assert_eq!(none.iter().count(), 0);
        assert_eq!(Headers::default().iter().count(), 0);
    }

    #[test]
    fn a_repeated_header_is_not_unique() {
        let headers = Headers::of(&[("a", b"1"), ("b", b"2"), ("a", b"1")]).unwrap();
        assert_eq!(headers.unique("a"), Err(Repeated));
        assert_eq!(headers.unique("b"), Ok(Some(b"2".as_slice())));
        assert_eq!(headers.unique("c"), Ok(None));
    }

    #[test]
    fn cut_maps_are_refused() {
        let bytes = Headers::of(&PAIRS).unwrap().0;
        for end in 0..bytes.len() {
            assert_eq!(Headers::parse(bytes[..end].to_vec()), None, "{end}");
        }
        assert_eq!(Headers::parse(vec![0xff; 16]), None);
    }
}
