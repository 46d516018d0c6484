//! The configuration that the filters get on Istio.

#[path = "support/istio.rs"]
mod resources;
mod support;

use resources::{EXAMPLE, config, of_kind, options, patches};
use serde_json::{Value, json};
use support::root;
use turnpike::config::load;
use turnpike::render::{GatewayVariant, istio};
use turnpike_core::Config;
use turnpike_core::config::FilterConfig;
use turnpike_core::identity::Preset;

/// The plugin configuration that an `EXTENSION_CONFIG` patch carries.
fn plugin_configuration(patch: &Value) -> (Vec<String>, Config) {
    let text = &patch["patch"]["value"]["typed_config"]["config"]["configuration"]["value"];
    FilterConfig::read(text.as_str().unwrap_or_default().as_bytes()).unwrap_or_default()
}

#[test]
fn models_as_a_service_takes_the_identity_of_kuadrant() {
    let mut shipped = load(root().join("envoy/config.yaml")).unwrap();
    shipped.maas_integration = None;
    for config in [
        config(EXAMPLE),
        load(root().join("envoy/config.yaml")).unwrap(),
        shipped,
    ] {
        let documents =
            istio(&config, &options(GatewayVariant::ModelsAsAService, "meter")).unwrap();
        let (filters, read) = plugin_configuration(patches(&documents, "EXTENSION_CONFIG")[0]);
        assert_eq!(filters, ["meter"]);
        let maas = read.maas_integration.unwrap();
        assert!(maas.enabled);
        assert_eq!(maas.authentication.preset, Preset::ModelsAsAService);
        assert_eq!(
            (
                maas.authentication.user_header,
                maas.authentication.tier_header
            ),
            (None, None)
        );
    }
}

#[test]
fn a_header_of_ones_own_stays_on_models_as_a_service() {
    let config = config(&EXAMPLE.replace(
        "{enabled: true}",
        "{enabled: true, authentication: {user_header: x-who}}",
    ));
    let documents = istio(&config, &options(GatewayVariant::ModelsAsAService, "meter")).unwrap();
    let (_, read) = plugin_configuration(patches(&documents, "EXTENSION_CONFIG")[0]);
    assert_eq!(
        read.maas_integration
            .unwrap()
            .authentication
            .user_header
            .as_deref(),
        Some("x-who")
    );
}

/// Numbers as a protobuf `Struct` carries them: all are doubles, and whole ones are written without a point.
fn through_struct(value: &Value) -> Value {
    match value {
        Value::Number(number) => {
            let double = number.as_f64().unwrap_or_default();
            #[expect(
                clippy::cast_possible_truncation,
                reason = "whole numbers of a configuration are small"
            )]
            let whole = double as i64;
            if double.fract() == 0.0 {
                json!(whole)
            } else {
                json!(double)
            }
        }
        Value::Array(list) => list.iter().map(through_struct).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(k, v)| (k.clone(), through_struct(v)))
            .collect(),
        other => other.clone(),
    }
}

#[test]
fn the_plugin_reads_the_configuration_that_was_written_though_istio_turns_numbers_to_doubles() {
    let config = load(root().join("envoy/config.yaml")).unwrap();
    let documents = istio(&config, &options(GatewayVariant::Gateway, "meter,router")).unwrap();
    let plugin = &of_kind(&documents, "WasmPlugin")[0]["spec"]["pluginConfig"];
    let (filters, read) =
        FilterConfig::read(through_struct(plugin).to_string().as_bytes()).unwrap();
    assert_eq!(filters, ["meter", "router"]);
    assert_eq!(read, config);
}
