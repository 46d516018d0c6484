//! A bootstrap whose listeners and clusters are files that Envoy watches, so that it takes changes over while it runs.
//!
//! 1. The bootstrap names two files beside it; Envoy reads them at its start.
//! 2. A file that is moved to such a name is read again (an edited one is not, for it may be half written).
//! 3. What Envoy or a filter refuses changes nothing: what ran goes on.

use serde_json::{Map, Value, json};

use super::type_url;

/// The bootstrap.
pub const BOOTSTRAP: &str = "envoy.yaml";

/// Clusters and listeners as Envoy's files are called: listeners name clusters, so clusters come first.
const RESOURCES: [(&str, &str, &str, &str); 2] = [
    (
        "clusters",
        "cds_config",
        "clusters.yaml",
        "envoy.config.cluster.v3.Cluster",
    ),
    (
        "listeners",
        "lds_config",
        "listeners.yaml",
        "envoy.config.listener.v3.Listener",
    ),
];

/// The files of a bootstrap in `folder`, as Envoy sees it, in the order in which they are to be moved there.
#[must_use]
pub fn dynamic(mut bootstrap: Value, folder: &str) -> Vec<(&'static str, Value)> {
    let mut resources = bootstrap["static_resources"].take();
    let mut sources = Map::new();
    let mut files = Vec::new();
    for (key, source, file, message) in RESOURCES {
        let mut list = resources[key].take();
        for resource in list.as_array_mut().into_iter().flatten() {
            resource["@type"] = json!(type_url(message));
        }
        files.push((file, json!({"resources": list})));
        let watched = json!({
            "resource_api_version": "V3",
            "path_config_source": {
                "path": format!("{folder}/{file}"),
                "watched_directory": {"path": folder},
            },
        });
        sources.insert(source.to_owned(), watched);
    }
    if let Some(bootstrap) = bootstrap.as_object_mut() {
        bootstrap.remove("static_resources");
        bootstrap.insert("dynamic_resources".into(), Value::Object(sources));
    }
    files.push((BOOTSTRAP, bootstrap));
    files
}
