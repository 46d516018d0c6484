//! Documents of both families, whole and key by key.

mod canonical;
mod decisions;
mod flat;
mod keys;
mod providers;
mod recipes;

use super::*;

/// What reading a file tells: its configuration's errors, or its notes.
fn check(yaml: &str) -> Result<(Config, Vec<String>), String> {
    let document = Document::read(serde_saphyr::from_str(yaml).unwrap());
    let config = document.config().map_err(|errors| errors.to_string())?;
    let errors = config.validate();
    if !errors.is_empty() {
        return Err(document.located(errors).to_string());
    }
    let notes = document.notes(Some(&config));
    Ok((config, notes.iter().map(ToString::to_string).collect()))
}

/// The one mistake of a file.
fn mistake(yaml: &str) -> String {
    let found = check(yaml);
    found.map_or_else(|errors| errors, |(_, notes)| format!("ok, {notes:?}"))
}

/// The smallest file of the canonical family, with more after it.
fn canonical(more: &str) -> String {
    format!("{CANONICAL}\n{more}")
}

const CANONICAL: &str = "
version: v0.3
providers:
  defaults: {default_model: small}
  models:
    - {name: small, backend_refs: [{name: a, endpoint: '10.0.0.1:8000'}]}
    - {name: large, backend_refs: [{endpoint: '10.0.0.2:8000'}]}
";

/// The smallest file of the flat family, with more after it.
fn flat(more: &str) -> String {
    format!("{FLAT}\n{more}")
}

const FLAT: &str = "
vllm_endpoints: [{name: a, address: 10.0.0.1, port: 8000}]
model_config: {small: {preferred_endpoints: [a]}, large: {preferred_endpoints: [a]}}
default_model: small
";
