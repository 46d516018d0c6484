//! `turnpike-sidecar`: see [`turnpike_sidecar`].

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use turnpike_sidecar::access::Access;
use turnpike_sidecar::cli::{Arguments, LogFormat};
use turnpike_sidecar::server::{self, Listeners};
use turnpike_sidecar::service::{Engine, Service};
use turnpike_sidecar::settings::Settings;

/// Exit status for a configuration that is wrong.
const BAD_CONFIG: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = match Settings::read(&arguments) {
        Ok(settings) => settings,
        Err(errors) => {
            say(&errors.to_string());
            return ExitCode::from(BAD_CONFIG);
        }
    };
    if arguments.check {
        return ExitCode::SUCCESS;
    }
    start_log(arguments.log_format);
    for note in &settings.notes {
        tracing::warn!(%note, "configuration");
    }
    match start(&arguments, &settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("turnpike-sidecar: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// For people, also when the log is off.
fn say(text: &str) {
    // Without a place to write to, the exit status has to do.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn start_log(format: LogFormat) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,ort=warn"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

fn start(arguments: &Arguments, settings: &Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("tokio runtime")?;
    let result = runtime.block_on(serve(arguments, settings));
    // Not to wait for a model that is still being fetched or loaded.
    runtime.shutdown_background();
    result
}

async fn serve(arguments: &Arguments, settings: &Settings) -> anyhow::Result<()> {
    let access = Access::read(&settings.config.sidecar.tcp_access, &settings.folder)?;
    let access = Arc::new(access);
    let listeners = Listeners::bind(settings.listen, settings.unix_socket.as_deref())
        .await?
        .with_access(Arc::clone(&access));
    tracing::info!(
        version = turnpike_sidecar::VERSION,
        git_hash = turnpike_sidecar::GIT_HASH,
        listen = %listeners.local_addr()?,
        unix_socket = ?settings.unix_socket,
        "listening"
    );
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("SIGHUP")?;
    let service = Arc::new(Service::new(&settings.config));
    let mut loading = tokio::task::spawn(load(settings.clone(), Arc::clone(&service)));
    let mut failure = None;
    let reloaded = Arc::clone(&service);
    let stop = async {
        let loaded = tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            loaded = &mut loading => loaded,
        };
        if let Err(error) = loaded.context("loading").and_then(|loaded| loaded) {
            failure = Some(error);
            return;
        }
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = hangup.recv() => tokio::select! {
                    _ = terminate.recv() => return,
                    _ = interrupt.recv() => return,
                    () = reload(arguments, settings, &reloaded, &access) => {}
                },
            }
        }
    };
    server::run(listeners, Arc::clone(&service), stop).await?;
    service.close().await;
    failure.map_or(Ok(()), Err)
}

/// Reads the configuration again and takes it over, or keeps what runs and says why. Requests are served meanwhile.
async fn reload(
    arguments: &Arguments,
    started_with: &Settings,
    service: &Arc<Service>,
    access: &Access,
) {
    let result = match Settings::read(arguments) {
        Ok(settings) => {
            for key in settings.needs_restart(started_with) {
                tracing::warn!(key, "takes effect after a restart");
            }
            match access.reload() {
                Ok(()) => load(settings, Arc::clone(service)).await,
                Err(error) => Err(error.into()),
            }
        }
        Err(errors) => Err(errors.into()),
    };
    service.metrics.reload(result.is_ok());
    if let Err(error) = result {
        tracing::error!("the configuration was not reloaded: {error:#}");
    }
}

/// Loads the models beside the sockets, which say "not ready" until the first are there.
async fn load(settings: Settings, service: Arc<Service>) -> anyhow::Result<()> {
    let metrics = Arc::clone(&service.metrics);
    let name = settings.config.sidecar.encoder.name.clone();
    let source = settings.encoder.clone();
    let mut config = settings.config.clone();
    let cache = &mut config.semantic_cache;
    let redis = cache.redis.iter_mut();
    let files = redis.flat_map(|redis| [&mut redis.password_file, &mut redis.ca_file]);
    for path in files.chain([&mut cache.path]) {
        if !path.is_empty() {
            let beside_config = settings.file_beside_config(Path::new(&*path));
            *path = beside_config.to_string_lossy().into_owned();
        }
    }
    let previous = service.engine_in_use();
    let engine =
        tokio::task::spawn_blocking(move || Engine::load(&settings, &metrics, previous.as_deref()))
            .await??;
    let dimensions = engine.dimensions();
    service.set_ready(engine, &config).await?;
    let seconds = service.metrics.startup_seconds.get();
    tracing::info!(encoder = name, ?source, dimensions, seconds, "ready");
    Ok(())
}
