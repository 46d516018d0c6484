//! A validator for the schemas in `tests/schemas`: `type`, `enum`, `properties`, `required`, `items`, `additionalProperties`.
//!
//! Not the `jsonschema` crate: that compiles 25 further crates, for six keywords.

use serde_json::Value;

/// All violations, each with the path of its node.
pub(crate) fn violations(schema: &Value, node: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, node, "", &mut found);
    found
}

fn check(schema: &Value, node: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(types) = schema.get("type")
        && !has_type(types, node)
    {
        found.push(format!("{path}: {node} is not of type {types}"));
        return;
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(node)
    {
        found.push(format!("{path}: {node} is none of {values:?}"));
    }
    for item in node.as_array().into_iter().flatten() {
        check(&schema["items"], item, &format!("{path}[]"), found);
    }
    if let Some(map) = node.as_object() {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !map.contains_key(name.as_str().unwrap_or_default()) {
                found.push(format!("{path}: {name} is missing"));
            }
        }
        for (key, value) in map {
            let path = format!("{path}.{key}");
            match (
                schema["properties"].get(key),
                schema.get("additionalProperties"),
            ) {
                (Some(property), _) => check(property, value, &path, found),
                (None, Some(Value::Bool(false))) => found.push(format!("{path}: unknown field")),
                (None, Some(rest)) => check(rest, value, &path, found),
                (None, None) => {}
            }
        }
    }
}

fn has_type(types: &Value, node: &Value) -> bool {
    let one = |name: &Value| match name.as_str().unwrap_or_default() {
        "object" => node.is_object(),
        "array" => node.is_array(),
        "string" => node.is_string(),
        "boolean" => node.is_boolean(),
        "integer" => node.is_i64() || node.is_u64(),
        "number" => node.is_number(),
        _ => false,
    };
    match types.as_array() {
        Some(names) => names.iter().any(one),
        None => one(types),
    }
}
