//! A Hugging Face repository as the source of the encoder, from a stand-in that answers as the hub does.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::binary::{example, program};
use crate::harness::{Outcome, model_folder, onnxruntime};

/// One file of the repository: what is asked first is its first byte, for size, commit and etag.
async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Ok(bytes) = tokio::fs::read(model_folder().join(&name)).await else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let size = bytes.len();
    let only_first = headers.get(header::RANGE).is_some_and(|r| r == "bytes=0-0");
    let body = if only_first {
        bytes[..1].to_vec()
    } else {
        bytes
    };
    let mut etag = String::new();
    for byte in name.bytes() {
        let _ = write!(etag, "{byte:02x}");
    }
    let headers = [
        ("x-repo-commit", "0123456789abcdef".to_owned()),
        ("etag", format!("\"{etag}\"")),
        (
            "content-range",
            format!("bytes 0-{}/{size}", body.len() - 1),
        ),
    ];
    (StatusCode::PARTIAL_CONTENT, headers, body).into_response()
}

/// The address of a stand-in that has `owner/name` and nothing else.
async fn start_hub() -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let router = Router::new().route("/owner/name/resolve/main/{*file}", get(file));
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(endpoint)
}

/// The log until the sidecar is ready or has given up.
fn start_with_repository(endpoint: &str, repository: &str) -> Outcome<String> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config.yaml");
    let folder_key = "path: .cache/models/all-MiniLM-L6-v2";
    let text = std::fs::read_to_string(example())?;
    assert!(text.contains(folder_key), "the example names a folder");
    let text = text.replace(folder_key, &format!("repository: {repository}"));
    std::fs::write(&config, text)?;
    let mut child = program()
        .arg("--config")
        .arg(&config)
        .args(["--listen", "127.0.0.1:0", "--unix-socket", ""])
        .arg("--onnxruntime")
        .arg(onnxruntime())
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HOME", folder.path())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut log = String::new();
    for line in BufReader::new(child.stderr.take().ok_or("no stderr")?).lines() {
        log += &line?;
        log.push('\n');
        if log.contains(" ready ") {
            break;
        }
    }
    child.kill()?;
    child.wait()?;
    Ok(log)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_is_fetched_from_a_repository() -> Outcome<()> {
    let endpoint = start_hub().await?;
    let log = tokio::task::spawn_blocking(move || start_with_repository(&endpoint, "owner/name"));
    let log = log.await??;
    assert!(log.contains("dimensions=384"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_repository_is_named_by_its_key() -> Outcome<()> {
    let endpoint = start_hub().await?;
    let log =
        tokio::task::spawn_blocking(move || start_with_repository(&endpoint, "owner/nothing"));
    let log = log.await??;
    let expected = "sidecar.encoder: Hugging Face repository owner/nothing: model.onnx: ";
    assert!(log.contains(expected), "{log}");
    Ok(())
}
