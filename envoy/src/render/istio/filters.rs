//! The modules, and the resource that loads each.

use serde_json::{Value, json};
use turnpike_core::Config;

use super::{GatewayVariant, IstioError, IstioOptions, fields, resource};
use crate::render::filters::{filter_config, plugin};
use crate::render::type_url;

/// How long the proxy's agent may take for a download; what Istio itself sets for a `WasmPlugin`.
const FETCH_TIMEOUT: &str = "30s";

/// A filter, its module and its configuration.
pub(super) struct Module {
    name: &'static str,
    image: String,
    configuration: String,
    loaded_by: Loader,
}

/// The resource that loads a module.
#[derive(PartialEq, Eq)]
enum Loader {
    WasmPlugin,
    EnvoyFilter,
}

/// The modules of the chain, in the order of a request.
pub(super) fn modules(config: &Config, options: &IstioOptions) -> Result<Vec<Module>, IstioError> {
    let names = options.filters().names();
    if names.is_empty() {
        return Err(IstioError::NoFilters);
    }
    let configuration = filter_config(config, &names);
    let module = |name: &&'static str| {
        Ok(Module {
            name,
            image: image(name, options)?,
            configuration: configuration.clone(),
            loaded_by: loader(name, options),
        })
    };
    names.iter().map(module).collect()
}

/// The meter reads the body only where no router does it. On the gateway of models-as-a-service its place among foreign filters
/// matters, and `WasmPlugin` has no say in that.
fn loader(name: &str, options: &IstioOptions) -> Loader {
    let reads_no_body = name == "meter" && options.filters().router;
    if reads_no_body && options.variant == GatewayVariant::Gateway {
        Loader::WasmPlugin
    } else {
        Loader::EnvoyFilter
    }
}

fn image(filter: &'static str, options: &IstioOptions) -> Result<String, IstioError> {
    let given = match filter {
        "meter" => &options.image_meter,
        _ => &options.image_router,
    };
    let image = given.clone().ok_or(IstioError::NoImage { filter })?;
    let schemes = ["oci://", "https://", "http://", "file:///"];
    if schemes
        .iter()
        .any(|s| image.len() > s.len() && image.starts_with(s))
    {
        Ok(image)
    } else {
        Err(IstioError::BadImage { filter, image })
    }
}

impl Module {
    /// `WasmPlugin`, when that loads it.
    ///
    /// Without `phase` it comes after the plugins of all phases, so behind authentication and authorization, and before what an
    /// `EnvoyFilter` puts in front of Envoy's router. `FAIL_RELOAD`: nothing passes unmetered.
    pub(super) fn wasm_plugin(&self, options: &IstioOptions) -> Option<Value> {
        if self.loaded_by != Loader::WasmPlugin {
            return None;
        }
        let configuration: Value = serde_json::from_str(&self.configuration).unwrap_or_default();
        let spec = json!({
            "selector": {"matchLabels": options.labels()},
            "url": self.image,
            "imagePullPolicy": "IfNotPresent",
            "failStrategy": "FAIL_RELOAD",
            "pluginName": format!("turnpike_{}", self.name),
            "pluginConfig": configuration,
        });
        let api = "extensions.istio.io/v1alpha1";
        Some(resource(
            api,
            "WasmPlugin",
            self.name,
            options,
            fields(spec),
        ))
    }

    /// Whether the `EnvoyFilter` has to load it.
    pub(super) fn needs_envoy_filter(&self) -> bool {
        self.loaded_by == Loader::EnvoyFilter
    }

    /// `config.core.v3.TypedExtensionConfig`: the proxy's agent downloads the module and puts the file's name in its place.
    pub(super) fn extension(&self) -> Value {
        json!({"name": self.filter_name(), "typed_config": plugin(self.name, self.code(), &self.configuration)})
    }

    fn code(&self) -> Value {
        match self.image.strip_prefix("file://") {
            Some(file) => json!({"local": {"filename": file}}),
            None => json!({"remote": {"http_uri": {
                "uri": self.image, "timeout": FETCH_TIMEOUT, "cluster": "_",
            }}}),
        }
    }

    /// The entry of the filter chain. A timeout of zero keeps the listener from opening before the module is there. For a module that
    /// cannot be fetched the proxy's agent sends an RBAC filter that refuses everything, so Envoy must be ready to take one.
    pub(super) fn chain_entry(&self) -> Value {
        json!({
            "name": self.filter_name(),
            "config_discovery": {
                "config_source": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
                "type_urls": [
                    type_url("envoy.extensions.filters.http.wasm.v3.Wasm"),
                    type_url("envoy.extensions.filters.http.rbac.v3.RBAC"),
                ],
            },
        })
    }

    fn filter_name(&self) -> String {
        format!("turnpike.{}", self.name)
    }
}
