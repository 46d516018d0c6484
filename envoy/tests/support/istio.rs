//! What the tests of Istio's resources share.

use serde_json::Value;
use turnpike::config::parse;
use turnpike::render::{GatewayVariant, IstioOptions};
use turnpike_core::Config;

/// A configuration with two endpoints of one model and TLS for the other.
pub(crate) const EXAMPLE: &str = "
vllm_endpoints:
  - {name: gpu-1, address: 10.0.0.11, port: 8000}
  - {name: gpu-2, address: 10.0.0.12, port: 8000, weight: 2}
  - {name: openai, address: api.openai.com, port: 443, protocol: https}
model_config:
  Qwen/Qwen3-8B: {preferred_endpoints: [gpu-1, gpu-2]}
  gpt-4.1: {preferred_endpoints: [openai]}
default_model: Qwen/Qwen3-8B
maas_integration: {enabled: true}
";

/// The configuration in `yaml`.
pub(crate) fn config(yaml: &str) -> Config {
    let document = parse(yaml).unwrap_or_default();
    Config::from_value(document).unwrap_or_default()
}

/// Options with an image for each filter.
pub(crate) fn options(variant: GatewayVariant, filters: &str) -> IstioOptions {
    IstioOptions {
        variant,
        filters: filters.parse().ok(),
        image_meter: Some("oci://registry.example.com/turnpike/meter:0.1".into()),
        image_router: Some("oci://registry.example.com/turnpike/router:0.1".into()),
        ..IstioOptions::default()
    }
}

/// The documents of one kind.
pub(crate) fn of_kind<'d>(documents: &'d [Value], kind: &str) -> Vec<&'d Value> {
    documents.iter().filter(|d| d["kind"] == kind).collect()
}

/// The patches that apply to `what`, in their order.
pub(crate) fn patches<'d>(documents: &'d [Value], what: &str) -> Vec<&'d Value> {
    let filters = of_kind(documents, "EnvoyFilter");
    let patches = filters
        .iter()
        .filter_map(|f| f["spec"]["configPatches"].as_array());
    patches.flatten().filter(|p| p["applyTo"] == what).collect()
}
