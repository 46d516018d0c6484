//! The resources of an Istio gateway: what `turnpike render istio` writes.
//!
//! 1. [`filters`]: the modules. A `WasmPlugin` where it can do the job, which is the meter in front of the router; an `EnvoyFilter`
//!    where a filter holds the request until its body is read, because `WasmPlugin` lacks `allow_on_headers_stop_iteration`.
//! 2. [`patches`]: the one `EnvoyFilter` with that filter, the sidecar's cluster and what virtual hosts need.
//! 3. [`upstreams`] and [`routes`]: a `ServiceEntry` and `DestinationRule` for each model, and the `VirtualService` that leads to them
//!    by `x-selected-model`. Only with the router: without it nobody chooses, and the routes that are there stay.
//! 4. [`telemetry`]: labels and access log. The parts that belong to the mesh's own settings are a comment before the documents.
//!
//! The result needs Istio 1.28 (Envoy 1.36) or later. Not done here: `Gateway` resources and the sidecar's deployment.

mod filters;
mod options;
mod patches;
mod routes;
mod telemetry;
mod upstreams;

use serde_json::{Map, Value, json};
use turnpike_core::Config;
use turnpike_core::identity::{MaasIntegrationConfig, Preset};

pub use options::{GatewayVariant, IstioOptions, Selector};

use super::SidecarAddress;
use super::yaml;

/// Names of the resources start with this.
const PREFIX: &str = "turnpike";

/// Why there are no resources for a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IstioError {
    /// A filter of the chain has no image.
    #[error(
        "--image-{filter} is missing: where the gateway finds the module, as oci://registry/turnpike/{filter}:1.0 or file:///path/turnpike_{filter}.wasm"
    )]
    NoImage {
        /// `meter` or `router`.
        filter: &'static str,
    },
    /// An image is none of the kinds that Istio loads.
    #[error("--image-{filter} must be oci://…, https://…, http://… or file:///…, got `{image}`")]
    BadImage {
        /// `meter` or `router`.
        filter: &'static str,
        /// What was given.
        image: String,
    },
    /// The chain is empty.
    #[error("--filters none leaves nothing to render for Istio")]
    NoFilters,
    /// One `DestinationRule` cannot use TLS for some endpoints only.
    #[error(
        "model `{model}` has http and https endpoints; on Istio all endpoints of a model speak the same"
    )]
    MixedProtocols {
        /// The model.
        model: String,
    },
    /// One `DestinationRule` names one server.
    #[error(
        "model `{model}` has https endpoints with several names or without one; on Istio they share one host name"
    )]
    TlsName {
        /// The model.
        model: String,
    },
}

/// All resources for `config`, which must have passed its checks, in the order in which they are applied.
///
/// # Errors
/// What Istio cannot express, and what `options` leave open.
pub fn istio(config: &Config, options: &IstioOptions) -> Result<Vec<Value>, IstioError> {
    let config = &for_variant(config, options.variant);
    let modules = filters::modules(config, options)?;
    let mut documents = Vec::new();
    documents.extend(modules.iter().filter_map(|m| m.wasm_plugin(options)));
    documents.push(patches::envoy_filter(config, options, &modules));
    if options.variant == GatewayVariant::Gateway {
        if options.filters().router {
            documents.extend(upstreams::of_models(config, options)?);
            documents.push(routes::virtual_service(config, options));
        }
        documents.push(telemetry::access_log(options));
    }
    Ok(documents)
}

/// The documents as one YAML file, after a comment with the settings that are no resources.
///
/// # Errors
/// When the YAML writer refuses a value.
pub fn istio_yaml(
    documents: &[Value],
    options: &IstioOptions,
) -> Result<String, serde_saphyr::ser::Error> {
    let mut text = yaml::heading();
    text.push_str(&telemetry::comment(options)?);
    for document in documents {
        text.push_str("---\n");
        text.push_str(&yaml::body(document)?);
    }
    Ok(text)
}

/// The configuration as the gateway's variant needs it.
///
/// For models-as-a-service, MaaS mode is on and the identity is Kuadrant's: the preset, without the seed's headers, which that gateway
/// never sets. Sources of one's own stay.
fn for_variant(config: &Config, variant: GatewayVariant) -> Config {
    let mut config = config.clone();
    if variant == GatewayVariant::ModelsAsAService {
        let maas = config
            .maas_integration
            .get_or_insert_with(MaasIntegrationConfig::default);
        maas.enabled = true;
        let authentication = &mut maas.authentication;
        if authentication.preset == Preset::Seed {
            authentication.preset = Preset::ModelsAsAService;
            let seed = |header: &Option<String>, name: &str| header.as_deref() == Some(name);
            if seed(&authentication.user_header, "x-auth-request-user") {
                authentication.user_header = None;
            }
            if seed(&authentication.tier_header, "x-auth-request-tier") {
                authentication.tier_header = None;
            }
        }
    }
    config
}

/// A resource; `name` goes behind [`PREFIX`].
fn resource(
    api_version: &str,
    kind: &str,
    name: &str,
    options: &IstioOptions,
    spec: Map<String, Value>,
) -> Value {
    let name = if name.is_empty() {
        PREFIX.to_owned()
    } else {
        format!("{PREFIX}-{name}")
    };
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": options.namespace()},
        "spec": spec,
    })
}

/// The fields of a JSON object.
fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
