//! The schema of the configuration (JSON Schema 2020-12), from its types and their documentation, for editors.
//!
//! Not said here: ranges and references, which `turnpike check` tells; keys of vLLM Semantic Router that Turnpike has not.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::Config;
use crate::decision::{
    FastResponsePluginConfig, HeaderMutationPluginConfig, JailbreakPluginConfig, PiiPluginConfig,
    PluginConfig, RequestParamsPluginConfig, ResponseJailbreakPluginConfig,
    SemanticCachePluginConfig, SystemPromptPluginConfig,
};
use crate::signal::Tokens;

/// Further names of values, which serde knows by `alias`: type, name.
const ALIASES: [(&str, &str); 5] = [
    ("KeywordMethod", "regex"),
    ("SignalKind", "category"),
    ("ConversationRole", "developer"),
    ("SubjectKind", "Group"),
    ("ValueSource", "match"),
];

/// The schema of a configuration in Turnpike's keys.
#[must_use]
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Config>().to_value();
    for (kind, alias) in ALIASES {
        let values = schema.pointer_mut(&format!("/$defs/{kind}/oneOf"));
        if let Some(values) = values.and_then(Value::as_array_mut) {
            values.push(json!({"type": "string", "const": alias}));
        }
    }
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), json!("Turnpike's configuration"));
    }
    schema
}

impl JsonSchema for Tokens {
    fn schema_name() -> Cow<'static, str> {
        "Tokens".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of tokens: 999, `32K` = 32,000, `1.5M`.",
            "type": ["integer", "string"],
            "minimum": 0,
            "pattern": "^ *[0-9.]+[kKmM]? *$",
        })
    }
}

impl JsonSchema for PluginConfig {
    fn schema_name() -> Cow<'static, str> {
        "PluginConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let cache = [
            "semantic-cache",
            "semantic_cache",
            "response-cache",
            "response_cache",
        ];
        let one_of: Vec<Value> = [
            (
                &cache[..],
                generator.subschema_for::<SemanticCachePluginConfig>(),
            ),
            (&["pii"], generator.subschema_for::<PiiPluginConfig>()),
            (
                &["jailbreak"],
                generator.subschema_for::<JailbreakPluginConfig>(),
            ),
            (
                &["system_prompt"],
                generator.subschema_for::<SystemPromptPluginConfig>(),
            ),
            (
                &["header_mutation"],
                generator.subschema_for::<HeaderMutationPluginConfig>(),
            ),
            (
                &["request_params"],
                generator.subschema_for::<RequestParamsPluginConfig>(),
            ),
            (
                &["fast_response"],
                generator.subschema_for::<FastResponsePluginConfig>(),
            ),
            (
                &["response_jailbreak"],
                generator.subschema_for::<ResponseJailbreakPluginConfig>(),
            ),
        ]
        .into_iter()
        .map(|(names, configuration)| plugin(names, configuration))
        .collect();
        json_schema!({
            "description": "A plugin of a decision: `configuration` is read by `type`.",
            "type": "object",
            "required": ["type"],
            "oneOf": one_of,
        })
    }
}

/// The schema of a plugin with one of these names.
fn plugin(names: &[&str], configuration: Schema) -> Value {
    let mut properties = Map::new();
    properties.insert("type".into(), json!({"type": "string", "enum": names}));
    properties.insert("configuration".into(), configuration.to_value());
    json!({"properties": properties, "additionalProperties": false})
}
