//! `categories`, `keyword_rules`, and the conditions of decisions.

use serde::{Deserialize, Serialize};

/// One topic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CategoryConfig {
    /// Name that rules refer to.
    pub name: String,
    /// What belongs to it, in a sentence.
    pub description: String,
    /// Sample prompts; they sharpen the topic.
    pub examples: Vec<String>,
    /// MMLU names of the topic; used as further descriptions.
    pub mmlu_categories: Vec<String>,
}

/// A keyword rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KeywordRuleConfig {
    /// Name that `{type: keyword, name: …}` refers to.
    pub name: String,
    /// How the keywords combine.
    #[serde(default)]
    pub operator: KeywordOperator,
    /// Words or phrases, matched at word boundaries.
    #[serde(default)]
    pub keywords: Vec<String>,
    /// Regular expressions (syntax of Rust's `regex`: no look-around, no back-references), counted as keywords are. A `\b` makes a
    /// long text that is not ASCII slow to search; `(?-u:\b)` does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<String>,
    /// Whether case counts.
    #[serde(default)]
    pub case_sensitive: bool,
    /// How keywords are compared.
    #[serde(default, skip_serializing_if = "KeywordMethod::is_default")]
    pub method: KeywordMethod,
    /// As `method: fuzzy`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fuzzy_match: bool,
    /// Edits that a fuzzy keyword may be away, 1 to 3; 2 if missing, and never more than one for four of its characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuzzy_threshold: Option<u8>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

impl KeywordRuleConfig {
    /// Edits that a keyword may be away; `None`: it must be there as it is.
    #[must_use]
    pub fn most_edits(&self) -> Option<u8> {
        let is_fuzzy = self.method == KeywordMethod::Fuzzy || self.fuzzy_match;
        is_fuzzy.then(|| self.fuzzy_threshold.unwrap_or(2))
    }
}

/// How keywords are compared with a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum KeywordMethod {
    /// As they are, at word boundaries. vLLM Semantic Router calls it `regex`.
    #[default]
    #[serde(alias = "regex")]
    Exact,
    /// With typing errors.
    Fuzzy,
}

impl KeywordMethod {
    fn is_default(&self) -> bool {
        *self == Self::Exact
    }
}

/// How the keywords of a rule combine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum KeywordOperator {
    /// Any of them.
    #[default]
    Or,
    /// All of them.
    And,
    /// None of them.
    Nor,
}

/// A combination of conditions, or one condition: `operator` + `conditions`, or `type` + `name`.
///
/// One struct for both, because serde loses the path of a mistake inside an untagged enum.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RuleConfig {
    /// `AND`, `OR` or `NOT` over `conditions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<RuleOperator>,
    /// Nested rules; `NOT` takes exactly one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<RuleConfig>,
    /// Kind of signal.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub signal: Option<SignalKind>,
    /// Name of the keyword rule or category; head and label of a head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl RuleConfig {
    /// Whether it is `AND` of nothing, which every request fulfils.
    #[must_use]
    pub fn takes_everything(&self) -> bool {
        self.operator == Some(RuleOperator::And) && self.conditions.is_empty()
    }
}

/// How conditions combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum RuleOperator {
    /// All hold.
    And,
    /// At least one holds.
    Or,
    /// The one condition does not hold.
    Not,
}

/// Kinds of signal that a condition may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SignalKind {
    /// A keyword rule, decided in the proxy.
    Keyword,
    /// A category, decided by the model in the proxy where it is sure, else by the sidecar.
    #[serde(alias = "category")]
    Domain,
    /// A label of a head, as `head:label`. In the proxy: `toxicity:toxic`, `complexity:complex`, `fresh:fresh`,
    /// `jailbreak:jailbreak`, or one of `classifier.heads`. In the sidecar: one of `sidecar.heads` or `sidecar.classifiers`.
    Head,
    /// A label of `sidecar.llm_classifier`.
    Llm,
    /// One of `embedding_rules`.
    Embedding,
    /// One of `complexity_rules`, as `rule:hard`, `rule:medium` or `rule:easy`.
    Complexity,
    /// One of `jailbreak_rules`.
    Jailbreak,
    /// One of `pii_rules`.
    Pii,
    /// One of `language_rules`.
    Language,
    /// One of `context_rules`.
    Context,
    /// One of `structure_rules`.
    Structure,
    /// One of `conversation_rules`.
    Conversation,
    /// One of `metadata_rules`.
    Metadata,
    /// One of `header_rules`.
    Header,
    /// A name or a role of `role_bindings`.
    Authz,
    /// A band of `projections.mappings`.
    Projection,
}
