//! `conversation_rules`: turns, tools and images of a request.

use serde::{Deserialize, Serialize};

use super::predicate::Predicate;

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
