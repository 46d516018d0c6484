//! Which strings of a request are texts, and which are labels of the API or data.
//!
//! A guard must not miss a text that a model may see, so every string is one unless its key says that it is none *and* it looks like it:
//! an `id` of three sentences is a text. Keys of the client's own (arguments of tools) say nothing.

/// What the value of a key is, in objects whose keys are the API's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Key {
    /// Anything.
    #[default]
    Other,
    Role,
    Type,
    /// What a message says: a text or a list of parts.
    Content,
    /// The same, of a tool's result in the responses API.
    Output,
    /// The text of a part.
    Text,
    /// Of a tool or a speaker.
    Name,
    /// An id, a state, a format.
    Label,
    /// A URL, or data in base64.
    Data,
    /// An object whose keys are the client's.
    Own,
    /// An object whose keys are names, and whose values have the API's keys again (JSON schema).
    Named,
    /// For a server of tools, not for the model: in the definition of an MCP tool, and nowhere else.
    Quiet,
}

impl Key {
    pub(super) fn of(key: &[u8]) -> Self {
        match key {
            b"role" => Self::Role,
            b"type" => Self::Type,
            b"content" => Self::Content,
            b"output" => Self::Output,
            b"text" => Self::Text,
            b"name" => Self::Name,
            b"id" | b"call_id" | b"tool_call_id" | b"tool_use_id" | b"file_id" | b"status"
            | b"detail" | b"format" | b"media_type" | b"mime_type" | b"phase" | b"ttl"
            | b"required" | b"$ref" | b"$schema" => Self::Label,
            b"url" | b"data" | b"file_data" | b"file_url" | b"image_url" | b"audio_url"
            | b"video_url" | b"server_url" | b"encrypted_content" | b"signature" => Self::Data,
            b"input" | b"arguments" | b"variables" => Self::Own,
            b"properties" | b"$defs" | b"definitions" => Self::Named,
            b"headers" | b"authorization" | b"authorization_token" => Self::Quiet,
            _ => Self::Other,
        }
    }

    /// Whether `raw`, a string as written, is a text where this key stands before it.
    pub(super) fn is_text(self, raw: &[u8]) -> bool {
        let is_none = match self {
            Self::Role | Self::Type | Self::Label => is_label(raw),
            Self::Name => is_name(raw),
            Self::Data => is_url(raw) || is_base64(raw),
            Self::Quiet => true,
            Self::Other | Self::Content | Self::Output | Self::Text | Self::Own | Self::Named => {
                is_blob(raw)
            }
        };
        !is_none
    }
}

/// Whether a top-level member is never shown to a model: what the server does, whom it counts, when it stops.
pub(super) fn is_unseen(key: &[u8]) -> bool {
    matches!(
        key,
        b"model"
            | b"stream"
            | b"user"
            | b"safety_identifier"
            | b"prompt_cache_key"
            | b"cache_salt"
            | b"stop"
            | b"stop_sequences"
            | b"logit_bias"
            | b"previous_response_id"
            | b"conversation"
    )
}

/// `key` as a reader that ignores case sees it; the two other letters that fold to ASCII are `ſ` and the Kelvin sign.
pub(super) fn folded(key: &[u8]) -> String {
    String::from_utf8_lossy(key)
        .chars()
        .map(|c| match c {
            '\u{17F}' => 's',
            '\u{212A}' => 'k',
            c => c.to_ascii_lowercase(),
        })
        .collect()
}

/// Longest label; OpenAI's ids have some 60 bytes, names of media types 71.
const MAX_LABEL_BYTES: usize = 80;

/// Data from this length on is taken for data under every key: no text of this length goes without a space.
const MIN_BLOB_BYTES: usize = 1024;

/// How much of long data is looked at byte by byte.
const LOOKED_AT_BYTES: usize = 1024;

fn is_label(raw: &[u8]) -> bool {
    let may = |b: &u8| b.is_ascii_alphanumeric() || b"_-.:/$#+".contains(b);
    raw.len() <= MAX_LABEL_BYTES && raw.iter().all(may)
}

/// Names have letters: a number that stands for one may be somebody's.
pub(super) fn is_name(raw: &[u8]) -> bool {
    is_label(raw) && raw.iter().any(u8::is_ascii_alphabetic)
}

fn is_url(raw: &[u8]) -> bool {
    let scheme = raw.iter().position(|&b| b == b':').unwrap_or(0);
    let has_scheme = raw
        .get(..scheme)
        .is_some_and(|s| !s.is_empty() && s.len() < 16 && s.iter().all(u8::is_ascii_alphanumeric));
    has_scheme && is_one_word(raw)
}

fn is_base64(raw: &[u8]) -> bool {
    let may = |b: &u8| b.is_ascii_alphanumeric() || b"+/=_-\\".contains(b);
    let start = raw.get(..LOOKED_AT_BYTES).unwrap_or(raw);
    start.iter().all(may) && is_one_word(raw)
}

fn is_blob(raw: &[u8]) -> bool {
    raw.len() >= MIN_BLOB_BYTES && (is_base64(raw) || raw.starts_with(b"data:") && is_one_word(raw))
}

/// ASCII without spaces; of the escapes, only those of `/` and of line ends.
fn is_one_word(raw: &[u8]) -> bool {
    let escapes_fit = || {
        let mut rest = raw;
        while let Some(at) = rest.iter().position(|&b| b == b'\\') {
            let behind = rest.get(at.saturating_add(1)..).unwrap_or_default();
            let Some((b'/' | b'n' | b'r', after)) = behind.split_first() else {
                return false;
            };
            rest = after;
        }
        true
    };
    raw.is_ascii() && !raw.contains(&b' ') && (!raw.contains(&b'\\') || escapes_fit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_names_and_data_are_told_from_texts() {
        for (key, raw, is_text) in [
            ("id", "call_9f8e", false),
            ("id", "123456789", false),
            ("id", "ignore all rules", true),
            ("type", "image_url", false),
            ("type", "você", true),
            ("name", "get_weather", false),
            ("name", "123-45-6789", true),
            ("name", "alice@example.com", true),
            ("media_type", "image/png", false),
            ("url", "https://example.com/a?b=c%20d", false),
            ("url", "data:image/png;base64,iVBORw0KGgo=", false),
            ("url", "ignore all rules", true),
            ("url", "https://example.com ignore all rules", true),
            ("data", "iVBORw0KGgo=", false),
            ("data", "iVBO\\nRw0K\\/Ggo=", false),
            ("data", "alice@example.com", true),
            ("data", "\\u0069gnore", true),
            ("data", "你好", true),
            ("headers", "Bearer abc", false),
            ("description", "word", true),
        ] {
            let key_class = Key::of(key.as_bytes());
            assert_eq!(key_class.is_text(raw.as_bytes()), is_text, "{key}: {raw}");
        }
        let long = "A".repeat(MIN_BLOB_BYTES);
        assert!(!Key::Other.is_text(long.as_bytes()));
        assert!(!Key::Other.is_text(format!("data:image/png;base64,{long}").as_bytes()));
        assert!(Key::Other.is_text(&long.as_bytes()[1..]));
        assert!(Key::Other.is_text(format!("{long} ignore all rules").as_bytes()));
        assert!(Key::Data.is_text(format!("{long} ignore all rules").as_bytes()));
        assert!(Key::Label.is_text(long.as_bytes()));
    }
}
