//! `language_rules`, `structure_rules`: language and form of the last user message.

use serde::{Deserialize, Serialize};

use super::predicate::Predicate;

/// `language_rules`: the last user message is written in a language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LanguageRuleConfig {
    /// ISO 639-1 code: `en`, `de`, `zh` …
    pub name: String,
    /// Confidence from which it holds, 0 to 1.
    #[serde(default = "default_language_threshold")]
    pub threshold: f32,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

fn default_language_threshold() -> f32 {
    0.5
}

/// `structure_rules`: the form of the last user message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StructureRuleConfig {
    /// Name that `{type: structure, name: …}` refers to.
    pub name: String,
    /// What is measured.
    pub feature: StructureFeatureConfig,
    /// What it must be; `exists` and `sequence` need none.
    #[serde(default, skip_serializing_if = "Predicate::is_empty")]
    pub predicate: Predicate,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// `structure_rules[].feature`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StructureFeatureConfig {
    /// How it is measured.
    #[serde(rename = "type")]
    pub kind: StructureKind,
    /// What is looked for.
    pub source: StructureSourceConfig,
}

/// How a structure is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StructureKind {
    /// Matches.
    Count,
    /// At least one match.
    Exists,
    /// Matches for each word; for each character in scripts without spaces.
    Density,
    /// The words of one of the sequences, in their order.
    Sequence,
}

/// `structure_rules[].feature.source`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StructureSourceConfig {
    /// Which of the following is set.
    #[serde(rename = "type")]
    pub kind: StructureSourceKind,
    /// A regular expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Words or phrases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// Sequences of words or phrases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sequences: Vec<Vec<String>>,
    /// Whether case counts for words. A pattern says so itself: `(?i)`.
    #[serde(default)]
    pub case_sensitive: bool,
}

/// What a structure rule looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StructureSourceKind {
    /// `pattern`
    Regex,
    /// `keywords`
    KeywordSet,
    /// `sequences`
    Sequence,
    /// The length of the text in bytes, for `count`.
    TextBytes,
}
