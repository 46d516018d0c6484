//! What the model is told. The system message is the same for every text, byte by byte, so that servers keep its prefix.

use turnpike_core::config::LlmClassifierConfig;

/// Bytes that the configuration counts as a token.
const BYTES_PER_TOKEN: usize = 4;

/// Instruction, labels and what they mean.
#[must_use]
pub fn system_message(config: &LlmClassifierConfig) -> String {
    let mut lines = vec![config.instruction.trim_end().to_owned(), String::new()];
    for label in &config.labels {
        lines.push(match label.description.trim() {
            "" => label.name.clone(),
            description => format!("{}: {description}", label.name),
        });
    }
    let names: Vec<&str> = config.labels.iter().map(|l| l.name.as_str()).collect();
    lines.push(format!("Answer with exactly one of: {}.", names.join(", ")));
    lines.join("\n")
}

/// The part of `text` that is read when a token counts as four bytes.
pub(super) fn excerpt(text: &str, max_tokens: u32) -> String {
    let bytes = usize::try_from(max_tokens).unwrap_or(usize::MAX);
    keep_ends(text, bytes.saturating_mul(BYTES_PER_TOKEN))
}

/// The first and the last half of `bytes` bytes of a longer text: the question stands at one end more often than in between.
pub(super) fn keep_ends(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let first = text.floor_char_boundary(bytes.div_ceil(2));
    let last = text.ceil_char_boundary(text.len() - bytes / 2);
    [text.get(..first), text.get(last..)]
        .into_iter()
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use turnpike_core::config::LlmLabelConfig;

    use super::*;

    #[test]
    fn the_system_message_names_the_labels_and_what_they_mean() {
        let label = |name: &str, description: &str| LlmLabelConfig {
            name: name.into(),
            description: description.into(),
        };
        let config = LlmClassifierConfig {
            instruction: "Sort this.\n".into(),
            labels: vec![label("A", "the first"), label("B", "")],
            ..LlmClassifierConfig::default()
        };
        assert_eq!(
            system_message(&config),
            "Sort this.\n\nA: the first\nB\nAnswer with exactly one of: A, B."
        );
    }

    #[test]
    fn a_long_text_keeps_its_ends_and_whole_characters() {
        assert_eq!(keep_ends("abcdefgh", 8), "abcdefgh");
        assert_eq!(keep_ends("abcdefgh", 5), "abcgh");
        assert_eq!(keep_ends("ééééé", 6), "éé", "half characters are left out");
        assert_eq!(excerpt("aaaabbbbccccdddd", 2), "aaaadddd");
    }
}
