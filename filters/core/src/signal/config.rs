//! `*_rules`: the named signals that conditions of decisions read.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// `embedding_rules`: a text is near one of some samples. The sidecar's encoder tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EmbeddingRuleConfig {
    /// Name that `{type: embedding, name: …}` refers to.
    pub name: String,
    /// Cosine from which it holds, 0 to 1.
    pub threshold: f32,
    /// Sample texts.
    pub candidates: Vec<String>,
    /// How the samples combine.
    #[serde(default)]
    pub aggregation_method: Aggregation,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// How similarities to samples combine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Aggregation {
    /// The nearest counts.
    #[default]
    Max,
    /// The mean of all counts.
    Mean,
    /// As `max`.
    Any,
}

/// `complexity_rules`: a text is nearer to hard samples than to easy ones. The sidecar's encoder tells.
///
/// Conditions name `rule:hard`, `rule:medium` or `rule:easy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ComplexityRuleConfig {
    /// Name of the rule.
    pub name: String,
    /// How much nearer, in cosine, 0 to 1: between `-threshold` and `threshold` it is medium.
    pub threshold: f32,
    /// Hard ones.
    pub hard: SamplesConfig,
    /// Easy ones.
    pub easy: SamplesConfig,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// Sample texts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SamplesConfig {
    /// The texts.
    pub candidates: Vec<String>,
}

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

/// `context_rules`: the request has so many tokens, by estimate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ContextRuleConfig {
    /// Name that `{type: context, name: …}` refers to.
    pub name: String,
    /// From, included: a number, or with `K` or `M` for thousands and millions.
    #[serde(default)]
    pub min_tokens: Tokens,
    /// To, included; without end if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<Tokens>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// A number of tokens: `999`, `"999"`, `32K` = 32,000, `1.5M`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tokens(pub u64);

impl Serialize for Tokens {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Tokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Tokens;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of tokens, such as 4000, `32K` or `1M`")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Tokens, E> {
                Ok(Tokens(number))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Tokens, E> {
                Tokens::parse(text)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl Tokens {
    /// Reads `999`, `32K`, `1.5M`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (digits, unit) = match text.char_indices().next_back()? {
            (at, 'k' | 'K') => (text.get(..at)?, 1e3),
            (at, 'm' | 'M') => (text.get(..at)?, 1e6),
            _ => (text, 1.0),
        };
        let plain = |c: char| c.is_ascii_digit() || c == '.';
        if digits.is_empty() || !digits.chars().all(plain) {
            return None;
        }
        let number: f64 = digits.parse().ok()?;
        let tokens = number * unit;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked: a whole number below 2^53"
        )]
        let whole = (tokens.fract() == 0.0 && tokens < 9e15).then_some(Self(tokens as u64));
        whole
    }
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

/// Bounds of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Predicate {
    /// More than.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gt: Option<f64>,
    /// At least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gte: Option<f64>,
    /// Less than.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lt: Option<f64>,
    /// At most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lte: Option<f64>,
}

impl Predicate {
    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a number fulfils it.
    #[must_use]
    pub fn holds(&self, number: f64) -> bool {
        self.gt.is_none_or(|bound| number > bound)
            && self.gte.is_none_or(|bound| number >= bound)
            && self.lt.is_none_or(|bound| number < bound)
            && self.lte.is_none_or(|bound| number <= bound)
    }
}

/// `conversation_rules`: turns, tools, images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConversationRuleConfig {
    /// Name that `{type: conversation, name: …}` refers to.
    pub name: String,
    /// What is counted.
    pub feature: ConversationFeatureConfig,
    /// What the count must be; `exists` needs none.
    #[serde(default, skip_serializing_if = "Predicate::is_empty")]
    pub predicate: Predicate,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// `conversation_rules[].feature`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConversationFeatureConfig {
    /// Whether a count or its being there is asked.
    #[serde(rename = "type")]
    pub kind: CountKind,
    /// What.
    pub source: ConversationSourceConfig,
}

/// Whether a count or being there is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CountKind {
    /// How many, by `predicate`.
    Count,
    /// At least one.
    Exists,
}

/// `conversation_rules[].feature.source`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConversationSourceConfig {
    /// What is counted.
    #[serde(rename = "type")]
    pub kind: ConversationSourceKind,
    /// Of `message`: `system`, `user`, `assistant` or `tool`; all if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<ConversationRole>,
}

/// What a conversation has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConversationSourceKind {
    /// Messages.
    Message,
    /// Definitions of tools.
    ToolDefinition,
    /// 1 if the last message is a tool's result.
    ActiveToolLoop,
    /// Images.
    ImageContent,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ConversationRole {
    /// `system`, `developer`
    #[serde(alias = "developer")]
    System,
    /// `user`
    User,
    /// `assistant`
    Assistant,
    /// `tool`, `function`
    Tool,
}

/// `jailbreak_rules`: the request attacks the model's instructions. Every text part is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct JailbreakRuleConfig {
    /// Name that `{type: jailbreak, name: …}` refers to.
    pub name: String,
    /// Probability from which it holds, 0 to 1; `prompt_guard.threshold` if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// `pii_rules`: the request holds personal data that is not allowed. Every text part is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PiiRuleConfig {
    /// Name that `{type: pii, name: …}` refers to.
    pub name: String,
    /// Score from which a finding counts, 0 to 1; `classifier.pii_model.threshold` if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Kinds that do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pii_types_allowed: Vec<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// `role_bindings`: who is calling. Conditions of `type: authz` name the binding or its role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RoleBindingConfig {
    /// Name that `{type: authz, name: …}` may refer to.
    pub name: String,
    /// Role that `{type: authz, name: …}` may refer to.
    pub role: String,
    /// Who has it.
    pub subjects: Vec<SubjectConfig>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// `role_bindings[].subjects[]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SubjectConfig {
    /// What `name` is.
    pub kind: SubjectKind,
    /// The user's name, or the tier's.
    pub name: String,
}

/// What a subject is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum SubjectKind {
    /// A user, as `maas_integration.authentication` knows them.
    User,
    /// A tier, as `maas_integration.authentication` knows them; `Group` is the same.
    #[serde(alias = "Group")]
    Tier,
}

/// `metadata_rules`: a member of the request's `metadata`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MetadataRuleConfig {
    /// Name that `{type: metadata, name: …}` refers to.
    pub name: String,
    /// Key in `metadata`.
    pub key: String,
    /// What its value must be; any if missing.
    #[serde(default, skip_serializing_if = "ValuePredicate::is_empty")]
    pub predicate: ValuePredicate,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// `header_rules`: a request header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HeaderRuleConfig {
    /// Name that `{type: header, name: …}` refers to.
    pub name: String,
    /// Name of the header, in lower case.
    pub header: String,
    /// What one of its values must be; any if missing.
    #[serde(default, skip_serializing_if = "ValuePredicate::is_empty")]
    pub predicate: ValuePredicate,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// What a value must be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ValuePredicate {
    /// This one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    /// One of these.
    #[serde(default, rename = "in", skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    /// One that begins so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

impl ValuePredicate {
    /// Whether any value will do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a value will do.
    #[must_use]
    pub fn holds(&self, value: &[u8]) -> bool {
        self.equals.as_ref().is_none_or(|e| e.as_bytes() == value)
            && (self.one_of.is_empty() || self.one_of.iter().any(|o| o.as_bytes() == value))
            && self
                .prefix
                .as_ref()
                .is_none_or(|p| value.starts_with(p.as_bytes()))
    }
}

/// `projections`: numbers made of signals, and bands of such numbers as further signals.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ProjectionsConfig {
    /// The numbers.
    pub scores: Vec<ScoreConfig>,
    /// Their bands.
    pub mappings: Vec<MappingConfig>,
}

impl ProjectionsConfig {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty() && self.mappings.is_empty()
    }
}

/// `projections.scores[]`: the sum of the weights of signals that hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ScoreConfig {
    /// Name that mappings refer to.
    pub name: String,
    /// How inputs combine.
    #[serde(default)]
    pub method: ScoreMethod,
    /// What is summed.
    pub inputs: Vec<ScoreInputConfig>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// How inputs of a score combine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ScoreMethod {
    /// Sum of weight times value.
    #[default]
    WeightedSum,
}

/// `projections.scores[].inputs[]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ScoreInputConfig {
    /// Kind of signal.
    #[serde(rename = "type")]
    pub signal: crate::decision::SignalKind,
    /// Its name.
    pub name: String,
    /// Its weight.
    pub weight: f64,
    /// What is weighed.
    #[serde(default)]
    pub value_source: ValueSource,
}

/// What is weighed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ValueSource {
    /// 1 where the signal holds, else 0.
    #[default]
    #[serde(alias = "match")]
    Binary,
    /// Its confidence where it holds, else 0.
    Confidence,
}

/// `projections.mappings[]`: bands of a score; conditions of `type: projection` name a band.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MappingConfig {
    /// Name of the mapping.
    pub name: String,
    /// The score.
    pub source: String,
    /// How it is cut.
    #[serde(default)]
    pub method: MappingMethod,
    /// The bands.
    pub outputs: Vec<BandConfig>,
    /// Accepted for compatibility: here a band that holds has confidence 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Value>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// How a score is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MappingMethod {
    /// By bounds.
    #[default]
    ThresholdBands,
}

/// `projections.mappings[].outputs[]`; the first band that holds counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BandConfig {
    /// Name that `{type: projection, name: …}` refers to.
    pub name: String,
    /// More than.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gt: Option<f64>,
    /// At least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gte: Option<f64>,
    /// Less than.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lt: Option<f64>,
    /// At most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lte: Option<f64>,
}

impl BandConfig {
    /// Its bounds.
    #[must_use]
    pub fn bounds(&self) -> Predicate {
        Predicate {
            gt: self.gt,
            gte: self.gte,
            lt: self.lt,
            lte: self.lte,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_people_write_them() {
        for (text, tokens) in [
            ("999", Some(999)),
            ("32K", Some(32_000)),
            ("1.5m", Some(1_500_000)),
            (" 0 ", Some(0)),
            ("", None),
            ("K", None),
            ("-1", None),
            ("1e3", None),
            ("0.0001K", None),
            ("32 KB", None),
            ("9999999999999999M", None),
        ] {
            assert_eq!(Tokens::parse(text), tokens.map(Tokens), "{text}");
        }
    }
}
