//! Labels and the access log. Istio takes both from the mesh's settings and from pod annotations, which are no resources of ours: they
//! are told in a comment, and only the switch is a `Telemetry`.

use serde_json::{Value, json};
use turnpike_core::metrics::Label;

use super::{GatewayVariant, IstioOptions, fields, resource};
use crate::render::{access_log, yaml};

/// Provider of the access log in the mesh's settings.
const PROVIDER: &str = "turnpike";

/// Switches the access log on for the gateway's pods.
pub(super) fn access_log(options: &IstioOptions) -> Value {
    let spec = json!({
        "selector": {"matchLabels": options.labels()},
        "accessLogging": [{"providers": [{"name": PROVIDER}]}],
    });
    resource(
        "telemetry.istio.io/v1",
        "Telemetry",
        "",
        options,
        fields(spec),
    )
}

/// What belongs in the annotation `proxy.istio.io/config`, and into `meshConfig.defaultConfig`.
fn proxy_config() -> Value {
    let tags: Vec<&str> = Label::ALL.iter().map(|label| label.key()).collect();
    json!({"extraStatTags": tags})
}

/// What belongs in the mesh's settings for the access log.
fn mesh_config() -> Value {
    json!({"extensionProviders": [{
        "name": PROVIDER,
        "envoyFileAccessLog": {
            "path": "/dev/stdout",
            "logFormat": {"labels": access_log::fields()},
        },
    }]})
}

/// The comment before the documents.
pub(super) fn comment(options: &IstioOptions) -> Result<String, serde_saphyr::ser::Error> {
    let mut text = String::from(
        "#\n# Labels: Istio cuts them out of the metrics' names if the gateway's pods carry this annotation (restart them), or if\n\
         # the mesh has the same below meshConfig.defaultConfig.\n#\n# proxy.istio.io/config: |\n",
    );
    text.push_str(&commented("  ", &yaml::body(&proxy_config())?));
    if options.variant == GatewayVariant::Gateway {
        text.push_str("#\n# Access log: the provider that the Telemetry below names, for the mesh's settings.\n#\n# meshConfig:\n");
        text.push_str(&commented("  ", &yaml::body(&mesh_config())?));
    }
    Ok(text)
}

fn commented(indent: &str, yaml: &str) -> String {
    yaml.lines()
        .map(|line| format!("# {indent}{line}\n"))
        .collect()
}
