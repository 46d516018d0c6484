//! The resources of an Istio gateway: as snapshots, against Istio's schemas, and against the bootstrap that the real Envoy accepts.

#[path = "support/istio.rs"]
mod resources;
#[path = "support/schema.rs"]
mod schema;
mod support;

use resources::{EXAMPLE, config, of_kind, options, patches};
use serde_json::{Value, json};
use support::{root, turnpike};
use turnpike::config::{load, parse};
use turnpike::render::{
    Filters, GatewayVariant, IstioError, IstioOptions, RenderOptions, SidecarAddress, envoy, istio,
    istio_yaml,
};
use turnpike_core::metrics::Label;

fn without_comment(yaml: &str) -> &str {
    yaml.split_once("---\n")
        .map_or("", |(_, documents)| documents)
}

/// The documents with `…` in place of the plugin configurations, which are tested apart.
fn shortened(mut documents: Vec<Value>) -> Vec<Value> {
    for document in &mut documents {
        if let Some(plugin) = document.pointer_mut("/spec/pluginConfig") {
            *plugin = json!("…");
        }
        let patches = document
            .pointer_mut("/spec/configPatches")
            .and_then(Value::as_array_mut);
        for patch in patches.into_iter().flatten() {
            if let Some(text) =
                patch.pointer_mut("/patch/value/typed_config/config/configuration/value")
            {
                *text = json!("…");
            }
        }
    }
    documents
}

#[test]
fn a_gateway_renders_as_reviewed() {
    let options = options(GatewayVariant::Gateway, "meter,router");
    let documents = shortened(istio(&config(EXAMPLE), &options).unwrap());
    let yaml = istio_yaml(&documents, &options).unwrap();
    let (heading, rest) = yaml.split_once('\n').unwrap();
    assert!(
        heading.starts_with("# Rendered by turnpike 0."),
        "{heading}"
    );
    insta::assert_snapshot!(rest);
}

#[test]
fn models_as_a_service_renders_as_reviewed() {
    let options = options(GatewayVariant::ModelsAsAService, "meter,router");
    let documents = shortened(istio(&config(EXAMPLE), &options).unwrap());
    insta::assert_snapshot!(without_comment(&istio_yaml(&documents, &options).unwrap()));
}

#[test]
fn every_resource_fits_the_schema_of_its_kind() {
    let configs = [
        config(EXAMPLE),
        load(root().join("envoy/config.yaml")).unwrap(),
    ];
    let mut kinds = std::collections::BTreeSet::new();
    for config in &configs {
        for variant in [GatewayVariant::Gateway, GatewayVariant::ModelsAsAService] {
            for filters in ["meter,router", "meter", "router"] {
                for document in istio(config, &options(variant, filters)).unwrap() {
                    let kind = document["kind"].as_str().unwrap().to_owned();
                    let file = root().join(format!("envoy/tests/schemas/{kind}.json"));
                    let text = std::fs::read_to_string(&file).unwrap();
                    let schema: Value = serde_json::from_str(&text).unwrap();
                    let violations = schema::violations(&schema, &document);
                    assert!(violations.is_empty(), "{kind}: {violations:#?}");
                    kinds.insert(kind);
                }
            }
        }
    }
    assert_eq!(kinds.len(), 6, "{kinds:?}");
}

#[test]
fn the_validator_finds_what_a_cluster_would_refuse() {
    let text = std::fs::read_to_string(root().join("envoy/tests/schemas/WasmPlugin.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let wrong = json!({
        "apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
        "metadata": {"name": "a", "namespace": "b"},
        "spec": {"failStrategy": "FAIL_SOFT", "allowOnHeadersStopIteration": true, "priority": "1"},
    });
    let violations = schema::violations(&schema, &wrong).join("\n");
    for part in [
        "FAIL_SOFT",
        "allowOnHeadersStopIteration: unknown field",
        "not of type \"integer\"",
        "\"url\" is missing",
    ] {
        assert!(violations.contains(part), "{part}: {violations}");
    }
}

#[test]
fn the_filters_are_those_of_the_bootstrap_but_for_their_module() {
    let config = config(EXAMPLE);
    for filters in ["meter", "router"] {
        let documents = istio(&config, &options(GatewayVariant::Gateway, filters)).unwrap();
        let mut ours = patches(&documents, "EXTENSION_CONFIG")[0]["patch"]["value"].clone();
        let bootstrap = envoy(
            &config,
            &RenderOptions {
                filters: filters.parse().unwrap(),
                ..RenderOptions::default()
            },
        );
        let pointer =
            "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0";
        let mut theirs = bootstrap.pointer(pointer).unwrap().clone();
        for filter in [&mut ours, &mut theirs] {
            filter["typed_config"]["config"]["vm_config"]["code"].take();
        }
        assert_eq!(ours, theirs);
    }
}

#[test]
fn each_filter_is_loaded_once_by_what_can_do_it() {
    let names = |documents: &[Value]| -> (Vec<String>, Vec<String>) {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        (
            of_kind(documents, "WasmPlugin")
                .iter()
                .map(|d| text(&d["spec"]["pluginName"]))
                .collect(),
            patches(documents, "EXTENSION_CONFIG")
                .iter()
                .map(|p| text(&p["patch"]["value"]["name"]))
                .collect(),
        )
    };
    let config = config(EXAMPLE);
    let of = |variant, filters| names(&istio(&config, &options(variant, filters)).unwrap());
    let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    use GatewayVariant::{Gateway, ModelsAsAService};
    assert_eq!(
        of(Gateway, "meter,router"),
        (list(&["turnpike_meter"]), list(&["turnpike.router"]))
    );
    assert_eq!(of(Gateway, "meter"), (list(&[]), list(&["turnpike.meter"])));
    assert_eq!(
        of(ModelsAsAService, "meter,router"),
        (list(&[]), list(&["turnpike.meter", "turnpike.router"]))
    );
}

/// What Istio does with the patches of one `EnvoyFilter`, on a chain of filter names.
fn applied(chain: &[&str], documents: &[Value]) -> Vec<String> {
    let mut chain: Vec<String> = chain.iter().map(|name| (*name).to_owned()).collect();
    for patch in patches(documents, "HTTP_FILTER") {
        let neighbour = &patch["match"]["listener"]["filterChain"]["filter"]["subFilter"]["name"];
        let Some(at) = chain.iter().position(|name| *neighbour == **name) else {
            continue;
        };
        let name = patch["patch"]["value"]["name"].as_str().unwrap_or_default();
        let at = at + usize::from(patch["patch"]["operation"] == "INSERT_AFTER");
        chain.insert(at, name.to_owned());
    }
    chain
}

#[test]
fn behind_kuadrant_the_meter_comes_first_and_body_processing_last() {
    let documents = istio(
        &config(EXAMPLE),
        &options(GatewayVariant::ModelsAsAService, "meter,router"),
    )
    .unwrap();
    let installed_by = [
        "extensions.istio.io/wasmplugin/openshift-ingress.kuadrant-maas-default-gateway",
        "envoy.filters.http.wasm",
    ];
    for kuadrant in installed_by {
        let chain = [
            "ext_proc.ipp-pre",
            kuadrant,
            "ext_proc.ipp",
            "envoy.filters.http.router",
        ];
        assert_eq!(
            applied(&chain, &documents),
            [
                "ext_proc.ipp-pre",
                kuadrant,
                "turnpike.meter",
                "turnpike.router",
                "ext_proc.ipp",
                "envoy.filters.http.router"
            ]
        );
    }
    let priority = of_kind(&documents, "EnvoyFilter")[0]["spec"]["priority"]
        .as_i64()
        .unwrap();
    assert!((11..20).contains(&priority), "{priority}");
}

#[test]
fn on_a_gateway_the_router_stands_behind_the_meter_and_before_envoys_router() {
    let documents = istio(
        &config(EXAMPLE),
        &options(GatewayVariant::Gateway, "meter,router"),
    )
    .unwrap();
    let chain = [
        "istio.stats",
        "extensions.istio.io/wasmplugin/istio-system.turnpike-meter",
        "envoy.filters.http.router",
    ];
    let after = applied(&chain, &documents);
    assert_eq!(after[1..], [chain[1], "turnpike.router", chain[2]]);
    assert_eq!(
        of_kind(&documents, "WasmPlugin")[0]["spec"].get("phase"),
        None
    );
}

#[test]
fn the_comment_names_every_label() {
    let options = options(GatewayVariant::ModelsAsAService, "meter");
    let yaml = istio_yaml(&[], &options).unwrap();
    let (_, snippet) = yaml.split_once("# proxy.istio.io/config: |\n").unwrap();
    let lines: Vec<&str> = snippet
        .lines()
        .filter_map(|line| line.strip_prefix("#   "))
        .collect();
    let keys = Label::ALL.map(Label::key);
    assert_eq!(
        parse(&lines.join("\n")).unwrap(),
        json!({"extraStatTags": keys})
    );
}

#[test]
fn without_the_router_the_routes_that_are_there_stay() {
    let documents = istio(&config(EXAMPLE), &options(GatewayVariant::Gateway, "meter")).unwrap();
    for kind in ["VirtualService", "ServiceEntry", "DestinationRule"] {
        assert!(of_kind(&documents, kind).is_empty(), "{kind}");
    }
    assert!(patches(&documents, "CLUSTER").is_empty());
}

#[test]
fn the_sidecar_may_have_a_name_of_the_cluster() {
    let mut options = options(GatewayVariant::Gateway, "router");
    options.sidecar = "turnpike-sidecar.llm.svc.cluster.local:9191"
        .parse::<SidecarAddress>()
        .ok();
    let documents = istio(&config(EXAMPLE), &options).unwrap();
    let cluster = &patches(&documents, "CLUSTER")[0]["patch"]["value"];
    assert_eq!(cluster["name"], "turnpike_sidecar");
    assert_eq!(cluster["type"], "STRICT_DNS");
}

#[test]
fn what_istio_cannot_express_is_refused() {
    let mixed = EXAMPLE.replace("[openai]", "[openai, gpu-1]");
    let gateway = options(GatewayVariant::Gateway, "meter,router");
    let model = "gpt-4.1".to_owned();
    assert_eq!(
        istio(&config(&mixed), &gateway),
        Err(IstioError::MixedProtocols { model })
    );
    let two_names = EXAMPLE
        .replace(
            "10.0.0.11, port: 8000",
            "a.example, port: 443, protocol: https",
        )
        .replace(
            "10.0.0.12, port: 8000",
            "b.example, port: 443, protocol: https",
        );
    let model = "Qwen/Qwen3-8B".to_owned();
    assert_eq!(
        istio(&config(&two_names), &gateway),
        Err(IstioError::TlsName { model })
    );
    let none = IstioOptions {
        filters: Some(Filters::NONE),
        ..gateway.clone()
    };
    assert_eq!(istio(&config(EXAMPLE), &none), Err(IstioError::NoFilters));
    let image = "registry/meter".to_owned();
    let bare = IstioOptions {
        image_meter: Some(image.clone()),
        ..gateway
    };
    assert_eq!(
        istio(&config(EXAMPLE), &bare),
        Err(IstioError::BadImage {
            filter: "meter",
            image
        })
    );
}

#[test]
fn a_missing_image_is_named_by_the_command() {
    let output = turnpike(&root(), &["render", "istio", "envoy/config.yaml"]).unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.starts_with("--image-meter is missing: "),
        "{message}"
    );
}
