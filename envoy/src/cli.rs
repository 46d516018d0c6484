//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use turnpike::render::{
    Filters, GatewayVariant, IstioOptions, RenderOptions, Selector, SidecarAddress, address,
};
use turnpike_core::config::AddressConfig;
use turnpike_core::decision::CategoryModelConfig;

/// Checks a Turnpike configuration and renders what Envoy needs from it.
#[derive(Debug, Parser)]
#[command(name = "turnpike", version = turnpike::VERSION, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "Examples:
  turnpike check config.yaml
  turnpike check --keys config.yaml
  turnpike convert semantic-router.yaml > config.yaml
  turnpike schema > turnpike.schema.json
  turnpike explain config.yaml 'Why does my regex not match?'
  turnpike render envoy config.yaml --output envoy.yaml
  turnpike render envoy config.yaml --filters none --listener 127.0.0.1:8080
  turnpike render envoy config.yaml --dynamic /etc/envoy/turnpike
  turnpike render istio config.yaml --image-meter oci://registry.example.com/turnpike/meter:0.1 --filters meter
  turnpike image --filter meter --wasm dist/turnpike_meter.wasm --output dist/oci/meter
  turnpike classify < texts.jsonl > found.jsonl
  turnpike train-head --name intent --output intent.json < labelled.jsonl

Exit status: 0 = done, 1 = the configuration has mistakes, 2 = a file or the command line cannot be read.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a configuration and report every mistake with the path of its key
    Check {
        /// YAML or JSON file, in Turnpike's keys or in either family of vLLM Semantic Router's
        config: PathBuf,
        /// List every key of the file: used, accepted without effect and why, or wrong
        #[arg(long)]
        keys: bool,
    },
    /// Write a configuration of vLLM Semantic Router, in either family of keys, in Turnpike's keys
    Convert {
        /// YAML or JSON file
        config: PathBuf,
        /// File to write; standard output when missing
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Tell what would become of a request: model, decision, and why
    Explain(Explain),
    /// Print the JSON Schema of a configuration in Turnpike's keys, for editors
    Schema,
    /// Write configuration for a proxy
    #[command(subcommand)]
    Render(Render),
    /// Pack a filter as an OCI image that Istio loads, in a folder for registry tools
    Image(Image),
    /// Read texts, JSON lines with `text`, and write what the router finds in each: labels, probabilities, personal data
    Classify(Classify),
    /// Train a head on your own labels, JSON lines with `text` and `label`, and write its file
    TrainHead(TrainHead),
    /// Print a reference page, generated from the code
    #[command(subcommand)]
    Docs(Docs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Render {
    /// A complete Envoy bootstrap (Envoy 1.36 or later)
    Envoy(Box<RenderEnvoy>),
    /// The resources of an Istio gateway (Istio 1.28 or later)
    Istio(Box<RenderIstio>),
}

/// A filter by its name.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum FilterName {
    /// `turnpike_meter.wasm`
    Meter,
    /// `turnpike_router.wasm`
    Router,
}

/// Arguments of `turnpike image`.
#[derive(Debug, Args)]
pub(crate) struct Image {
    /// Which filter it is; the image is named after it
    #[arg(long)]
    pub(crate) filter: FilterName,
    /// The module
    #[arg(long, value_name = "FILE")]
    pub(crate) wasm: PathBuf,
    /// Folder that becomes an OCI image layout
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,
}

/// Arguments of `turnpike classify`.
#[derive(Debug, Args)]
pub(crate) struct Classify {
    /// A head file of `turnpike train-head`; may be given more than once
    #[arg(long = "head", value_name = "FILE")]
    pub(crate) heads: Vec<PathBuf>,
    /// A sidecar to ask about what the proxy's own model is not sure of, as `http://127.0.0.1:9191`
    #[arg(long, value_name = "URL")]
    pub(crate) sidecar: Option<String>,
    /// File with the token that the sidecar asks for
    #[arg(long, value_name = "FILE", requires = "sidecar")]
    pub(crate) token_file: Option<PathBuf>,
    /// Probability from which the proxy's own model is sure; above 1 the sidecar is always asked
    #[arg(long, value_name = "P", requires = "sidecar", default_value_t = CategoryModelConfig::default().threshold)]
    pub(crate) threshold: f32,
}

/// Arguments of `turnpike explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// YAML or JSON file
    pub(crate) config: PathBuf,
    /// What the user asks
    #[arg(required_unless_present = "request")]
    pub(crate) prompt: Option<String>,
    /// A whole request in place of a prompt: a file with the body of a chat completion, `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prompt", "system", "model"])]
    pub(crate) request: Option<PathBuf>,
    /// System prompt that the client sends
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// Model that the client names
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub(crate) model: String,
    /// A request header, as `name: value`; may be given more than once
    #[arg(long = "header", value_name = "HEADER", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    /// Who calls
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Their tier
    #[arg(long, value_name = "NAME")]
    pub(crate) tier: Option<String>,
    /// A sidecar to ask what the router would ask it, as `http://127.0.0.1:9191`
    #[arg(long, value_name = "URL")]
    pub(crate) sidecar: Option<String>,
    /// File with the token that the sidecar asks for
    #[arg(long, value_name = "FILE", requires = "sidecar")]
    pub(crate) token_file: Option<PathBuf>,
    /// Write JSON, as `POST /v1/explain` answers
    #[arg(long)]
    pub(crate) json: bool,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("must be `name: value`")?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

/// Arguments of `turnpike train-head`.
#[derive(Debug, Args)]
pub(crate) struct TrainHead {
    /// Name of the head
    #[arg(long)]
    pub(crate) name: String,
    /// File to write; standard output when missing
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// A running sidecar whose encoder the head shall read, as `http://127.0.0.1:9191`; without it, the model in the proxy
    #[arg(long, value_name = "URL")]
    pub(crate) sidecar: Option<String>,
    /// File with the token that the sidecar asks for
    #[arg(long, value_name = "FILE", requires = "sidecar")]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Docs {
    /// docs/metrics.md: every metric with its labels
    Metrics,
}

/// Arguments of `turnpike render envoy`; an address that is not given is that of the configuration.
#[derive(Debug, Args)]
pub(crate) struct RenderEnvoy {
    /// YAML or JSON file
    pub(crate) config: PathBuf,
    /// File to write; standard output when missing
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Turnpike's filters in the chain: `meter,router`, `meter`, `router` or `none`
    #[arg(long, value_name = "NAMES", default_value = "meter,router")]
    filters: Filters,
    /// Folder with turnpike_meter.wasm and turnpike_router.wasm, as Envoy sees it
    #[arg(long, value_name = "DIR")]
    wasm_folder: Option<String>,
    /// Address for clients
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    listener: Option<AddressConfig>,
    /// Address of Envoy's admin interface; keep it on loopback
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    admin: Option<AddressConfig>,
    /// Address that serves GET /metrics
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    metrics: Option<AddressConfig>,
    /// Address of the sidecar
    #[arg(long, value_name = "unix:PATH|ADDR:PORT")]
    sidecar: Option<SidecarAddress>,
    /// File for the JSON access log
    #[arg(long, value_name = "PATH")]
    access_log: Option<String>,
    /// Write JSON instead of YAML
    #[arg(long)]
    pub(crate) json: bool,
    /// Folder for envoy.yaml, clusters.yaml and listeners.yaml: a running Envoy takes the latter two over when they are written again
    #[arg(long, value_name = "DIR", conflicts_with_all = ["output", "json"])]
    pub(crate) dynamic: Option<PathBuf>,
}

impl RenderEnvoy {
    /// The part that the renderer reads.
    pub(crate) fn options(&self) -> RenderOptions {
        RenderOptions {
            filters: self.filters,
            wasm_folder: self.wasm_folder.clone(),
            listener: self.listener.clone(),
            admin: self.admin.clone(),
            metrics: self.metrics.clone(),
            sidecar: self.sidecar.clone(),
            access_log: self.access_log.clone(),
        }
    }
}

/// Arguments of `turnpike render istio`.
#[derive(Debug, Args)]
pub(crate) struct RenderIstio {
    /// YAML or JSON file
    pub(crate) config: PathBuf,
    /// File to write; standard output when missing
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// `gateway`, or `models-as-a-service` for the gateway with Kuadrant
    #[arg(long, value_name = "NAME", default_value = "gateway")]
    variant: GatewayVariant,
    /// Turnpike's filters: `meter,router`, `meter` or `router` [default: meter,router; meter for models-as-a-service]
    #[arg(long, value_name = "NAMES")]
    filters: Option<Filters>,
    /// Namespace of the gateway's pods [default: istio-system; openshift-ingress for models-as-a-service]
    #[arg(long, value_name = "NS")]
    namespace: Option<String>,
    /// Labels of the gateway's pods [default: istio=ingressgateway; the gateway's name for models-as-a-service]
    #[arg(long, value_name = "KEY=VALUE,…")]
    gateway_selector: Option<Selector>,
    /// Gateway that the routes belong to [default: turnpike; maas-default-gateway for models-as-a-service]
    #[arg(long, value_name = "NAME")]
    gateway: Option<String>,
    /// Where the gateway finds the meter: oci://, https:// or file:///
    #[arg(long, value_name = "REF")]
    image_meter: Option<String>,
    /// Where the gateway finds the router
    #[arg(long, value_name = "REF")]
    image_router: Option<String>,
    /// Address of the sidecar, as the gateway sees it
    #[arg(long, value_name = "unix:PATH|HOST:PORT")]
    sidecar: Option<SidecarAddress>,
}

impl RenderIstio {
    /// The part that the renderer reads.
    pub(crate) fn options(&self) -> IstioOptions {
        IstioOptions {
            variant: self.variant,
            filters: self.filters,
            namespace: self.namespace.clone(),
            gateway_selector: self.gateway_selector.clone(),
            gateway: self.gateway.clone(),
            image_meter: self.image_meter.clone(),
            image_router: self.image_router.clone(),
            sidecar: self.sidecar.clone(),
        }
    }
}
