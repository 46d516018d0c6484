//! Every YAML block of `docs/existing-envoy.md` is a part of what the renderer writes for the page's first one.

mod support;

use serde_json::Value;
use support::root;
use turnpike::config::parse;
use turnpike::render::{RenderOptions, envoy};
use turnpike_core::Config;

/// Blocks between ```` ```yaml ```` and the next fence.
fn yaml_blocks(page: &str) -> Vec<&str> {
    page.split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect()
}

/// Whether `node` says all that `part` says: its keys, and each of its list entries somewhere in the list.
fn covers(node: &Value, part: &Value) -> bool {
    match (node, part) {
        (Value::Object(node), Value::Object(part)) => part
            .iter()
            .all(|(key, value)| node.get(key).is_some_and(|inner| covers(inner, value))),
        (Value::Array(node), Value::Array(part)) => part
            .iter()
            .all(|value| node.iter().any(|inner| covers(inner, value))),
        _ => node == part,
    }
}

fn covered_somewhere(node: &Value, part: &Value) -> bool {
    let inside = match node {
        Value::Object(map) => map.values().any(|inner| covered_somewhere(inner, part)),
        Value::Array(list) => list.iter().any(|inner| covered_somewhere(inner, part)),
        _ => false,
    };
    inside || covers(node, part)
}

#[test]
fn the_page_shows_what_the_renderer_writes() {
    let page = std::fs::read_to_string(root().join("docs/existing-envoy.md")).unwrap();
    let blocks = yaml_blocks(&page);
    assert_eq!(blocks.len(), 5);
    let config = Config::from_value(parse(blocks[0]).unwrap()).unwrap();
    assert_eq!(config.validate(), []);
    let options = RenderOptions {
        wasm_folder: Some("/etc/envoy/turnpike".into()),
        ..RenderOptions::default()
    };
    let bootstrap = envoy(&config, &options);
    for block in &blocks[1..] {
        let part = parse(block).unwrap();
        assert!(covered_somewhere(&bootstrap, &part), "{block}");
    }
}
