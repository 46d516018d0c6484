//! A language model that chooses one of a few labels, by the probability of the labels' tokens.
pub mod decoder;
pub mod labels;
pub mod prompt;
mod suffix;
pub mod template;
