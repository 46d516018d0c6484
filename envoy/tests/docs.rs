//! Every YAML block of `docs/existing-envoy.md` and `docs/istio.md` is a part of what the renderer writes for the page's first one,
//! and the commands of the latter run.

mod support;

use serde_json::{Value, json};
use support::{root, turnpike};
use turnpike::config::parse;
use turnpike::render::{BOOTSTRAP, IstioOptions, RenderOptions, dynamic, envoy, istio};
use turnpike_core::Config;
use turnpike_core::metrics::Label;

fn yaml_blocks(page: &str) -> Vec<&str> {
    blocks(page, "yaml")
}

/// Blocks between ```` ```language ```` and the next fence.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    page.split(&format!("```{language}\n"))
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

/// Every block of `docs/sidecar.md`, `docs/cache.md` and `docs/decisions.md` is a configuration, or the part of one.
#[test]
fn the_configurations_of_the_sidecars_pages_are_valid() {
    const REST: &str = "{vllm_endpoints: [{name: l, address: a, port: 1}], model_config: {m: {}}, default_model: m}";
    let page = |name: &str| std::fs::read_to_string(root().join(name)).unwrap();
    let pages = ["sidecar", "cache", "decisions"].map(|name| page(&format!("docs/{name}.md")));
    let blocks: Vec<&str> = pages.iter().flat_map(|page| yaml_blocks(page)).collect();
    assert!(blocks.len() >= 9);
    for block in blocks {
        let mut whole = parse(REST).unwrap();
        for (key, value) in parse(block).unwrap().as_object().unwrap() {
            whole[key] = value.clone();
        }
        let config = Config::from_value(whole).unwrap();
        assert_eq!(config.validate(), [], "{block}");
    }
}

#[test]
fn the_page_about_reloads_shows_what_the_renderer_writes() {
    let page = std::fs::read_to_string(root().join("docs/reload.md")).unwrap();
    let blocks = yaml_blocks(&page);
    assert_eq!(blocks.len(), 1);
    let files = dynamic(
        envoy(&Config::default(), &RenderOptions::default()),
        "/etc/envoy/turnpike",
    );
    let bootstrap = files.iter().find(|(name, _)| *name == BOOTSTRAP);
    let (_, bootstrap) = bootstrap.unwrap();
    assert!(covers(bootstrap, &parse(blocks[0]).unwrap()));
}

#[test]
fn the_istio_page_shows_what_the_renderer_writes() {
    let page = std::fs::read_to_string(root().join("docs/istio.md")).unwrap();
    let blocks = yaml_blocks(&page);
    assert_eq!(blocks.len(), 3);
    let config = Config::from_value(parse(blocks[0]).unwrap()).unwrap();
    assert_eq!(config.validate(), []);
    let options = IstioOptions {
        image_meter: Some("oci://registry.example.com/turnpike/meter:0.1".into()),
        image_router: Some("oci://registry.example.com/turnpike/router:0.1".into()),
        ..IstioOptions::default()
    };
    let documents = istio(&config, &options).unwrap();
    let plugin = parse(blocks[1]).unwrap();
    assert!(documents.iter().any(|document| covers(document, &plugin)));
    let annotation = parse(blocks[2]).unwrap();
    let written = parse(annotation["proxy.istio.io/config"].as_str().unwrap()).unwrap();
    assert_eq!(
        written,
        json!({"extraStatTags": Label::ALL.map(Label::key)})
    );
}

#[test]
fn the_commands_of_the_istio_page_run() {
    let page = std::fs::read_to_string(root().join("docs/istio.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.yaml"), yaml_blocks(&page)[0]).unwrap();
    std::fs::create_dir(folder.path().join("dist")).unwrap();
    for filter in ["meter", "router"] {
        let module = folder.path().join(format!("dist/turnpike_{filter}.wasm"));
        std::fs::write(module, b"\0asm\x01\0\0\0").unwrap();
    }
    let commands: Vec<&str> = blocks(&page, "sh")
        .into_iter()
        .flat_map(str::lines)
        .collect();
    assert_eq!(commands.len(), 5);
    for command in commands {
        let arguments: Vec<&str> = command.split(' ').skip(1).collect();
        let output = turnpike(folder.path(), &arguments).unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
    }
    for written in ["dist/oci/meter/index.json", "istio.yaml", "maas.yaml"] {
        assert!(folder.path().join(written).is_file(), "{written}");
    }
}
