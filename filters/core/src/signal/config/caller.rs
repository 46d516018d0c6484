//! `role_bindings`, `metadata_rules`, `header_rules`: who is calling, and what the caller says beside the prompt.

use serde::{Deserialize, Serialize};

use super::predicate::ValuePredicate;

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
