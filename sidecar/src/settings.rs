//! What a sidecar needs to know, from `config.yaml` and the command line; and how that file is read.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use turnpike_core::Config;
use turnpike_core::config::{ConfigError, ConfigErrors, Document, Note};

use crate::cli::Arguments;
use crate::onnx::Source;

/// Everything that [`crate::server`] and [`crate::service`] are built from.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The whole configuration.
    pub config: Config,
    /// What in its file is accepted and worth a word.
    pub notes: Vec<Note>,
    /// Folder of its file: relative paths of heads start there.
    pub folder: PathBuf,
    /// Unix socket to listen on.
    pub unix_socket: Option<PathBuf>,
    /// TCP address to listen on.
    pub listen: SocketAddr,
    /// Where the model comes from; `None` when neither file nor command line says.
    pub encoder: Option<Source>,
    /// `libonnxruntime.so`.
    pub onnxruntime: Option<PathBuf>,
}

impl Settings {
    /// Reads the file that `arguments` name; what stands on the command line wins.
    ///
    /// # Errors
    /// All mistakes of the file, each with the path of its key.
    pub fn read(arguments: &Arguments) -> Result<Self, ConfigErrors> {
        let path = &arguments.config;
        let text = std::fs::read_to_string(path)
            .map_err(|e| one(path.display().to_string(), e.to_string()))?;
        let (config, notes) = read(&text)?;
        Ok(Self {
            notes,
            ..Self::new(config, arguments)?
        })
    }

    fn new(config: Config, arguments: &Arguments) -> Result<Self, ConfigErrors> {
        let sidecar = &config.sidecar;
        let listen = match arguments.listen {
            Some(listen) => listen,
            None => SocketAddr::new(
                sidecar.tcp.address.parse().map_err(|_| {
                    let message = format!("must be an IP address, got `{}`", sidecar.tcp.address);
                    one("sidecar.tcp.address", message)
                })?,
                sidecar.tcp.port,
            ),
        };
        let written = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let socket = arguments.unix_socket.as_ref();
        let socket = socket.unwrap_or(&sidecar.unix_socket);
        let folder = arguments
            .encoder_path
            .clone()
            .or_else(|| written(&sidecar.encoder.path).map(PathBuf::from));
        Ok(Self {
            unix_socket: written(socket).map(PathBuf::from),
            listen,
            encoder: folder
                .map(Source::Folder)
                .or_else(|| Source::of("", &sidecar.encoder.repository)),
            onnxruntime: arguments.onnxruntime.clone(),
            folder: arguments
                .config
                .parent()
                .map(PathBuf::from)
                .unwrap_or_default(),
            notes: Vec::new(),
            config,
        })
    }

    /// Keys that differ from those that the sidecar started with and that it reads at start alone.
    #[must_use]
    pub fn needs_restart(&self, started_with: &Self) -> Vec<&'static str> {
        let (new, old) = (&self.config.sidecar, &started_with.config.sidecar);
        [
            ("sidecar.tcp", self.listen != started_with.listen),
            (
                "sidecar.unix_socket",
                self.unix_socket != started_with.unix_socket,
            ),
            ("sidecar.tcp_access", new.tcp_access != old.tcp_access),
        ]
        .into_iter()
        .filter_map(|(key, differs)| differs.then_some(key))
        .collect()
    }

    /// A file of the configuration: relative paths start where it lies.
    #[must_use]
    pub fn file_beside_config(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// How long an analysis may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.config.sidecar.timeout_ms.into())
    }
}

/// Reads and checks a configuration, in Turnpike's keys or in those of vLLM Semantic Router. Duplicate keys and a second document
/// are mistakes.
///
/// # Errors
/// All mistakes, each with the path of its key.
pub fn config_from_yaml(yaml: &str) -> Result<Config, ConfigErrors> {
    read(yaml).map(|(config, _)| config)
}

fn read(yaml: &str) -> Result<(Config, Vec<Note>), ConfigErrors> {
    let document: serde_json::Value =
        serde_saphyr::from_str(yaml).map_err(|e| one("", e.to_string()))?;
    let document = Document::read(document);
    let config = document.config()?;
    let errors = config.validate();
    if errors.is_empty() {
        let notes = document.notes(Some(&config));
        Ok((config, notes))
    } else {
        Err(document.located(errors))
    }
}

fn one(path: impl Into<String>, message: impl Into<String>) -> ConfigErrors {
    ConfigErrors(vec![ConfigError::new(path, message)])
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    const EXAMPLE: &str = include_str!("../../envoy/config.yaml");

    fn arguments(line: &str) -> Arguments {
        Arguments::try_parse_from(line.split_whitespace()).unwrap()
    }

    #[test]
    fn the_example_configuration_gives_settings() {
        let config = config_from_yaml(EXAMPLE).unwrap();
        let settings = Settings::new(config, &arguments("sidecar --config x")).unwrap();
        assert_eq!(settings.listen, "127.0.0.1:9191".parse().unwrap());
        assert_eq!(
            settings.unix_socket,
            Some("/run/turnpike/sidecar.sock".into())
        );
        assert_eq!(
            settings.encoder,
            Some(Source::Folder(".cache/models/all-MiniLM-L6-v2".into()))
        );
    }

    #[test]
    fn the_command_line_wins() {
        let config = config_from_yaml(EXAMPLE).unwrap();
        let line = "sidecar --config x --unix-socket /tmp/s --listen 127.0.0.1:0 --encoder-path /m";
        let settings = Settings::new(config, &arguments(line)).unwrap();
        assert_eq!(settings.listen, "127.0.0.1:0".parse().unwrap());
        assert_eq!(settings.unix_socket, Some("/tmp/s".into()));
        assert_eq!(settings.encoder, Some(Source::Folder("/m".into())));
    }

    #[test]
    fn duplicate_keys_are_refused() {
        let error = config_from_yaml("sidecar:\n  timeout_ms: 1\n  timeout_ms: 2\n").unwrap_err();
        assert!(error.to_string().contains("timeout_ms"), "{error}");
    }

    #[test]
    fn every_mistake_is_named_by_its_key() {
        let error =
            config_from_yaml("sidecar:\n  timeout_ms: x\n  encoder: {pth: y}\n").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("sidecar.timeout_ms: "), "{text}");
        assert!(
            text.contains("sidecar.encoder.pth: unknown key `pth`; did you mean `path`?"),
            "{text}"
        );
    }

    #[test]
    fn a_file_of_the_canonical_family_of_vllm_semantic_router_is_read() {
        let yaml = "
version: v0.3
providers: {defaults: {default_model: m}, models: [{name: m, backend_refs: [{endpoint: 'gpu:8000'}]}]}
global: {stores: {response_cache: {enabled: true, ttl_seconds: 60, scope: global}}, services: {api: {}}}
sidecar: {timeout_ms: 77}
";
        let (config, notes) = read(yaml).unwrap();
        let read_from = (config.semantic_cache.ttl_seconds, config.sidecar.timeout_ms);
        assert_eq!(read_from, (60, 77));
        assert_eq!(notes[0].path, "global.services.api");
        let error = config_from_yaml(&yaml.replace("60", "sixty")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("global.stores.response_cache.ttl_seconds: "),
            "{text}"
        );
    }

    #[test]
    fn a_host_name_as_address_is_refused_by_key() {
        let mut config = config_from_yaml(EXAMPLE).unwrap();
        config.sidecar.tcp.address = "localhost".into();
        let error = Settings::new(config, &arguments("sidecar --config x")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "sidecar.tcp.address: must be an IP address, got `localhost`"
        );
    }
}
