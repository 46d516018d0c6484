//! What the resources depend on beside `config.yaml`.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::SidecarAddress;
use crate::render::Filters;

/// Which gateway the resources are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GatewayVariant {
    /// An Istio ingress gateway that Turnpike routes for.
    #[default]
    Gateway,
    /// The gateway of models-as-a-service, with Kuadrant before Turnpike and routes of its own.
    ModelsAsAService,
}

impl FromStr for GatewayVariant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "gateway" => Ok(Self::Gateway),
            "models-as-a-service" => Ok(Self::ModelsAsAService),
            _ => Err(format!(
                "unknown variant `{text}`; known: gateway, models-as-a-service"
            )),
        }
    }
}

/// Labels of the gateway's pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(pub BTreeMap<String, String>);

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let label = |pair: &str| match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(format!(
                "must be KEY=VALUE,…, as istio=ingressgateway, got `{text}`"
            )),
        };
        text.split(',')
            .map(label)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Settings of one render for Istio; `None` takes what fits the variant or the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IstioOptions {
    /// Which gateway.
    pub variant: GatewayVariant,
    /// Turnpike's filters in the chain.
    pub filters: Option<Filters>,
    /// Namespace of the gateway's pods and of all resources.
    pub namespace: Option<String>,
    /// The gateway's pods.
    pub gateway_selector: Option<Selector>,
    /// `Gateway` resource that the routes belong to, or the Kubernetes gateway of models-as-a-service.
    pub gateway: Option<String>,
    /// Module of the meter: `oci://`, `https://`, `http://` or `file://`.
    pub image_meter: Option<String>,
    /// Module of the router.
    pub image_router: Option<String>,
    /// Where the gateway finds the sidecar.
    pub sidecar: Option<SidecarAddress>,
}

impl IstioOptions {
    /// Both filters; the meter alone for models-as-a-service, which has routes of its own.
    #[must_use]
    pub fn filters(&self) -> Filters {
        self.filters.unwrap_or(match self.variant {
            GatewayVariant::Gateway => Filters::default(),
            GatewayVariant::ModelsAsAService => Filters {
                meter: true,
                router: false,
            },
        })
    }

    pub(super) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(match self.variant {
            GatewayVariant::Gateway => "istio-system",
            GatewayVariant::ModelsAsAService => "openshift-ingress",
        })
    }

    pub(super) fn gateway(&self) -> &str {
        self.gateway.as_deref().unwrap_or(match self.variant {
            GatewayVariant::Gateway => "turnpike",
            GatewayVariant::ModelsAsAService => "maas-default-gateway",
        })
    }

    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        match (&self.gateway_selector, self.variant) {
            (Some(selector), _) => selector.0.clone(),
            (None, GatewayVariant::Gateway) => {
                BTreeMap::from([("istio".into(), "ingressgateway".into())])
            }
            (None, GatewayVariant::ModelsAsAService) => BTreeMap::from([(
                "gateway.networking.k8s.io/gateway-name".into(),
                self.gateway().to_owned(),
            )]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_from_labels() {
        let selector: Selector = "istio=ingressgateway,app=llm".parse().unwrap();
        assert_eq!(selector.0.len(), 2);
        assert_eq!(
            "istio".parse::<Selector>().unwrap_err(),
            "must be KEY=VALUE,…, as istio=ingressgateway, got `istio`"
        );
    }

    #[test]
    fn the_variant_decides_what_is_not_said() {
        let maas = IstioOptions {
            variant: "models-as-a-service".parse().unwrap(),
            ..IstioOptions::default()
        };
        assert_eq!(maas.filters().names(), ["meter"]);
        assert_eq!(maas.namespace(), "openshift-ingress");
        assert_eq!(
            maas.labels()["gateway.networking.k8s.io/gateway-name"],
            "maas-default-gateway"
        );
        assert_eq!(
            IstioOptions::default().filters().names(),
            ["meter", "router"]
        );
    }
}
