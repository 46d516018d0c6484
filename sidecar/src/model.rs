//! What a model is to the queue before it: rows of tokens in, one answer for each out.

/// A text, or a window of one, as a model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizedText {
    /// Token ids, special tokens included.
    pub input_ids: Vec<u32>,
    /// Of two texts: to which of them each token belongs, as the tokenizer's template has it. Empty: all 0.
    pub token_type_ids: Vec<u32>,
    /// Whether the end of the text was cut off: the answer then says nothing about it.
    pub truncated: bool,
}

/// A loaded model.
pub trait Model: Send + Sync + 'static {
    /// Its answer to one row.
    type Output: Send + 'static;

    /// Runs one forward over rows of any lengths: one answer for each, in their order.
    ///
    /// Blocks for the whole forward. The answer for a row does not depend on its neighbours in the batch, up to the rounding
    /// of f32 sums.
    ///
    /// # Errors
    /// [`ForwardError`] for the batch as a whole.
    fn forward(&self, rows: &[&TokenizedText]) -> Result<Vec<Self::Output>, ForwardError>;

    /// Whether an answer is made of numbers. One that is not (an overflow of half precision, say) fails its own request alone.
    fn is_valid(&self, output: &Self::Output) -> bool {
        let _ = output;
        true
    }
}

/// Why a batch has no answers.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The model's output does not have the agreed shape.
    #[error("output `{output}` has shape {found:?}, expected {expected:?}")]
    Shape {
        /// Name of the output.
        output: String,
        /// What the model gave.
        found: Vec<i64>,
        /// What it should have given.
        expected: Vec<usize>,
    },
    /// The runtime failed.
    #[error("{0}")]
    Runtime(String),
}
