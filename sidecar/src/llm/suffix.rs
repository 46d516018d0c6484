//! The prompt as tokens: a prefix and a tail that all texts share, and the text between them.
//!
//! The three are tokenized apart. In prefix and tail, special tokens are such; in the text they are letters, so that a user
//! cannot end the turn and speak as the system.

use tokenizers::Tokenizer;

use super::labels::LabelTrie;
use super::prompt::keep_ends;
use super::template::Turn;
use crate::model::TokenizedText;
use crate::onnx::ModelFiles;

/// Bytes of a text that are looked at, per token of the limit; see the encoder's tokenizer.
const MAX_BYTES_PER_TOKEN: usize = 64;

/// A prompt and its labels, in tokens.
#[derive(Debug, Clone)]
pub(super) struct Prompt {
    /// Before every text.
    pub(super) prefix: Vec<u32>,
    /// Where the labels part.
    pub(super) trie: LabelTrie,
    pub(super) suffixes: Suffixes,
}

/// Makes of a text what follows the prefix.
#[derive(Debug, Clone)]
pub(super) struct Suffixes {
    /// Reads special tokens as letters.
    tokenizer: Tokenizer,
    tail: Vec<u32>,
    /// Tokens of a text that the model has positions for.
    room: usize,
}

impl Prompt {
    /// What `files` make of a system message and labels.
    ///
    /// # Errors
    /// What is wrong with tokenizer, template or labels.
    pub(super) fn of(files: &ModelFiles, system: &str, labels: &[String]) -> Result<Self, String> {
        let at = |e: tokenizers::Error| format!("{}: {e}", files.tokenizer.display());
        let mut tokenizer = Tokenizer::from_file(&files.tokenizer).map_err(at)?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(at)?;
        let ids = |text: &str| -> Result<Vec<u32>, String> {
            let encoding = tokenizer.encode_fast(text, false).map_err(at)?;
            Ok(encoding.get_ids().to_vec())
        };
        let turn = Turn::of(files, system)?;
        let (prefix, tail) = (ids(&turn.prefix)?, ids(&turn.tail)?);
        if prefix.is_empty() || tail.is_empty() {
            return Err("the chat template renders nothing around the user's text".into());
        }
        let labels = labels
            .iter()
            .map(|label| Ok((label.clone(), ids(label)?)))
            .collect::<Result<Vec<_>, String>>()?;
        // What the template writes behind an answer is what the model was trained to end it with; `eos_token` is another one
        // for some.
        let end = match (&turn.answer_end, &turn.eos_token) {
            (Some(text), _) | (None, Some(text)) => ids(text)?.first().copied(),
            (None, None) => None,
        };
        let end =
            end.ok_or("neither the chat template nor `eos_token` says what ends an answer")?;
        let trie = LabelTrie::new(&labels, end).map_err(|e| e.to_string())?;
        tokenizer.set_encode_special_tokens(true);
        let longest = labels.iter().map(|(_, ids)| ids.len()).max();
        let taken = prefix.len() + tail.len() + longest.unwrap_or(0);
        let room = match files.max_tokens {
            Some(most) if most <= taken => {
                return Err(format!(
                    "instruction and labels take {taken} tokens, the model reads {most}"
                ));
            }
            Some(most) => most - taken,
            None => usize::MAX,
        };
        Ok(Self {
            prefix,
            trie,
            suffixes: Suffixes {
                tokenizer,
                tail,
                room,
            },
        })
    }
}

impl Suffixes {
    /// The text, at most `max_tokens` of it and what the model can read (the first and the last half), and the tail.
    ///
    /// # Errors
    /// What the tokenizer says.
    pub(super) fn of(&self, text: &str, max_tokens: usize) -> Result<TokenizedText, String> {
        let max_tokens = max_tokens.min(self.room);
        let read = keep_ends(text, max_tokens.saturating_mul(MAX_BYTES_PER_TOKEN));
        let encoding = self.tokenizer.encode_fast(read.as_str(), false);
        let encoding = encoding.map_err(|e| e.to_string())?;
        let ids = encoding.get_ids();
        let cut = ids.len().saturating_sub(max_tokens);
        let (first, _) = ids.split_at(if cut == 0 {
            ids.len()
        } else {
            max_tokens.div_ceil(2)
        });
        let (_, last) = ids.split_at(first.len() + cut);
        Ok(TokenizedText {
            input_ids: [first, last, &self.tail].concat(),
            token_type_ids: Vec::new(),
            truncated: cut > 0 || read.len() < text.len(),
        })
    }
}
