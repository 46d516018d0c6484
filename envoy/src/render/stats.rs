//! Labels and histogram buckets: Envoy cuts the labels out of the flat names that the filters define.

use serde_json::{Value, json};
use turnpike_core::metrics::{Kind, Label, Metric};

/// `config.metrics.v3.StatsConfig`.
pub(super) fn config() -> Value {
    let tags: Vec<Value> = Label::ALL
        .iter()
        .map(|label| json!({"tag_name": label.name(), "regex": label.stats_tag_regex()}))
        .collect();
    json!({
        "use_all_default_tags": true,
        "stats_tags": tags,
        "histogram_bucket_settings": buckets(),
    })
}

/// Buckets of each histogram. Envoy matches the name before it cuts labels out, so only its end is certain.
fn buckets() -> Vec<Value> {
    Metric::ALL
        .iter()
        .filter_map(|metric| match metric.kind() {
            Kind::Counter => None,
            Kind::Histogram(bounds) => {
                Some(json!({"match": {"suffix": metric.name()}, "buckets": bounds}))
            }
        })
        .collect()
}
