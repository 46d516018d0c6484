//! Labels: Envoy cuts them out of the flat names that the filters define.

use serde_json::{Value, json};
use turnpike_core::metrics::Label;

/// `config.metrics.v3.StatsConfig`.
pub(super) fn config() -> Value {
    let tags: Vec<Value> = Label::ALL
        .iter()
        .map(|label| json!({"tag_name": label.name(), "regex": label.stats_tag_regex()}))
        .collect();
    json!({"use_all_default_tags": true, "stats_tags": tags})
}
