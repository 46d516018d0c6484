//! A configuration of vLLM Semantic Router in Turnpike's own keys, as a file for people to go on with.

use std::fmt::Write as _;
use std::path::Path;

use turnpike_core::config::SHARED_SECTIONS;

use crate::VERSION;
use crate::config::Checked;
use crate::render::ordered;

/// The order of keys behind [`SHARED_SECTIONS`], in all places; others follow by name.
const ORDER: [&str; 35] = [
    "maas_integration",
    "guards",
    "routing_cache",
    "sidecar",
    "envoy",
    "limits",
    "telemetry",
    // Inside of those.
    "name",
    "type",
    "enabled",
    "description",
    "priority",
    "address",
    "port",
    "protocol",
    "weight",
    "reasoning_family",
    "provider_model_id",
    "preferred_endpoints",
    "pricing",
    "operator",
    "keywords",
    "candidates",
    "threshold",
    "rules",
    "conditions",
    "modelRefs",
    "model",
    "score",
    "use_reasoning",
    "algorithm",
    "plugins",
    "configuration",
    "mode",
    "system_prompt",
];

/// The file as YAML; what was left out, and what else is worth a word, stands in comments before it.
///
/// # Errors
/// When the YAML writer refuses a value.
pub fn to_yaml(path: &Path, checked: &Checked) -> Result<String, serde_saphyr::ser::Error> {
    let name = path.file_name().unwrap_or(path.as_os_str());
    let name = in_a_line(&name.display().to_string());
    let mut text = format!("# Converted by turnpike {VERSION} from {name}.\n");
    // What the configuration itself has to say, `turnpike check` says of the new file.
    let notes = checked.document().notes(None);
    let (gone, said): (Vec<_>, Vec<_>) = notes.iter().partition(|note| note.no_effect().is_some());
    if !gone.is_empty() {
        text.push_str("#\n# Left out, for it has no effect here:\n");
    }
    for note in gone {
        let why = note.no_effect().unwrap_or_default();
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "# - {}: {why}", in_a_line(&note.path));
    }
    if !said.is_empty() {
        text.push_str("#\n# To know:\n");
    }
    for note in said {
        let _ = writeln!(text, "# - {}", in_a_line(&note.to_string()));
    }
    text.push('\n');
    let order = [&SHARED_SECTIONS[..], &ORDER].concat();
    text += &ordered(checked.document().flat(), &order)?;
    Ok(text)
}

/// A key may hold line breaks, which would end the comment.
fn in_a_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
