//! The `turnpike` command.

mod cli;

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use turnpike::classify::Sidecar;
use turnpike::config::{LoadError, inspect, load};
use turnpike::explain::Question;
use turnpike::sidecar_client::SidecarClient;
use turnpike::{convert, docs, image, render};
use turnpike_core::Config;
use turnpike_core::config::schema;

use cli::{
    Classify, Cli, Command, Docs, Explain, FilterName, Image, Render, RenderEnvoy, RenderIstio,
    TrainHead,
};

/// The configuration has mistakes.
const INVALID: u8 = 1;

/// A file cannot be read or written; `clap` ends with the same status when the command line is wrong.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Check { config, keys } => check(&config, keys),
        Command::Convert { config, output } => convert(&config, output.as_deref()),
        Command::Explain(arguments) => explain(&arguments),
        Command::Schema => print(format!("{:#}\n", schema())),
        Command::Render(Render::Envoy(arguments)) => render_envoy(&arguments),
        Command::Render(Render::Istio(arguments)) => render_istio(&arguments),
        Command::Image(arguments) => pack(&arguments),
        Command::Classify(arguments) => classify(&arguments),
        Command::TrainHead(arguments) => train_head(&arguments),
        Command::Docs(Docs::Metrics) => print(docs::metrics()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("{error:#}"));
            let invalid = matches!(
                error.downcast_ref(),
                Some(LoadError::Syntax { .. } | LoadError::Invalid { .. })
            );
            ExitCode::from(if invalid { INVALID } else { UNUSABLE })
        }
    }
}

fn check(path: &Path, keys: bool) -> anyhow::Result<()> {
    let checked = inspect(path)?;
    if keys {
        print(checked.keys())?;
    }
    let notes = if keys {
        // The list has told those about keys without effect.
        let notes = checked.notes().into_iter();
        let others = notes.filter(|note| note.no_effect().is_none());
        others.map(|note| note.to_string()).collect()
    } else {
        checked.note_lines()
    };
    let config = checked.config()?;
    for note in notes {
        complain(format_args!("note: {note}"));
    }
    print(format!("{}: ok ({})\n", path.display(), counts(&config)))
}

fn convert(path: &Path, output: Option<&Path>) -> anyhow::Result<()> {
    let checked = inspect(path)?;
    let text = convert::to_yaml(path, &checked).context("cannot write YAML")?;
    checked.config()?;
    write(output, text)
}

fn explain(arguments: &Explain) -> anyhow::Result<()> {
    let config = load(&arguments.config)?;
    let mut question = match (&arguments.request, &arguments.prompt) {
        (Some(path), _) => Question {
            body: read_all(path)?,
            ..Question::default()
        },
        (None, prompt) => {
            let prompt = prompt.as_deref().unwrap_or_default();
            Question::of_prompt(&arguments.model, arguments.system.as_deref(), prompt)
        }
    };
    question.headers.clone_from(&arguments.headers);
    question.user.clone_from(&arguments.user);
    question.tier.clone_from(&arguments.tier);
    let sidecar = sidecar_client(
        arguments.sidecar.as_deref(),
        arguments.token_file.as_deref(),
    )?;
    let explanation = turnpike::explain::explain(&config, &question, sidecar.as_ref())?;
    print(match arguments.json {
        true => format!("{explanation:#}\n"),
        false => turnpike::explain::to_text(&explanation),
    })
}

/// A file, or standard input for `-`.
fn read_all(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes)
            .context("cannot read standard input")?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn render_envoy(arguments: &RenderEnvoy) -> anyhow::Result<()> {
    let config = load(&arguments.config)?;
    let bootstrap = render::envoy(&config, &arguments.options());
    if let Some(folder) = &arguments.dynamic {
        return write_dynamic(bootstrap, folder);
    }
    let text = if arguments.json {
        format!("{bootstrap:#}\n")
    } else {
        render::to_yaml(&bootstrap).context("cannot write YAML")?
    };
    write(arguments.output.as_deref(), text)
}

/// Moves each file into its place: Envoy may read it at any time.
fn write_dynamic(bootstrap: serde_json::Value, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let folder = std::path::absolute(folder)?;
    let name = folder.to_str().context("the folder's name is not UTF-8")?;
    for (file, document) in render::dynamic(bootstrap, name) {
        let text = render::to_yaml(&document).context("cannot write YAML")?;
        let (new, place) = (folder.join(format!(".{file}.new")), folder.join(file));
        write(Some(&new), text)?;
        std::fs::rename(&new, &place)
            .with_context(|| format!("cannot write {}", place.display()))?;
    }
    Ok(())
}

fn render_istio(arguments: &RenderIstio) -> anyhow::Result<()> {
    let config = load(&arguments.config)?;
    let options = arguments.options();
    let documents = render::istio(&config, &options)?;
    let text = render::istio_yaml(&documents, &options).context("cannot write YAML")?;
    write(arguments.output.as_deref(), text)
}

fn pack(arguments: &Image) -> anyhow::Result<()> {
    let name = match arguments.filter {
        FilterName::Meter => "turnpike-meter",
        FilterName::Router => "turnpike-router",
    };
    let digest = image::write(name, &arguments.wasm, &arguments.output)?;
    print(format!("{}: {digest}\n", arguments.output.display()))
}

fn classify(arguments: &Classify) -> anyhow::Result<()> {
    let (input, output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let client = sidecar_client(
        arguments.sidecar.as_deref(),
        arguments.token_file.as_deref(),
    )?;
    let sidecar = client.map(|client| Sidecar::new(client, arguments.threshold));
    let output = std::io::BufWriter::new(output);
    turnpike::classify::classify(&arguments.heads, sidecar.as_ref(), input, output)
}

fn train_head(arguments: &TrainHead) -> anyhow::Result<()> {
    let sidecar = sidecar_client(
        arguments.sidecar.as_deref(),
        arguments.token_file.as_deref(),
    )?;
    let input = std::io::stdin().lock();
    let (head, measured) =
        turnpike::train_head::train_head(&arguments.name, sidecar.as_ref(), input)?;
    complain(format_args!("{measured}"));
    write(arguments.output.as_deref(), head + "\n")
}

fn sidecar_client(
    url: Option<&str>,
    token_file: Option<&Path>,
) -> anyhow::Result<Option<SidecarClient>> {
    let read = |path: &Path| {
        let token = std::fs::read_to_string(path);
        let token = token.with_context(|| format!("cannot read {}", path.display()))?;
        anyhow::Ok(token.trim().to_owned())
    };
    let token = token_file.map(read).transpose()?;
    Ok(url.map(|url| SidecarClient::new(url, token)))
}

fn write(output: Option<&Path>, text: String) -> anyhow::Result<()> {
    match output {
        Some(path) => {
            std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
        }
        None => print(text),
    }
}

fn counts(config: &Config) -> String {
    let count = |number: usize, what: &str| {
        let plural = if number == 1 { "" } else { "s" };
        format!("{number} {what}{plural}")
    };
    [
        count(config.vllm_endpoints.len(), "endpoint"),
        count(config.model_config.len(), "model"),
        count(config.decisions.len(), "decision"),
    ]
    .join(", ")
}

/// Writes to standard output; a reader that has gone (`| head`) is no mistake.
fn print(text: String) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a command line tool speaks on standard error"
)]
fn complain(line: fmt::Arguments<'_>) {
    eprintln!("{line}");
}
