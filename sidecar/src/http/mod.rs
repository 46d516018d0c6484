//! The wire: paths, bodies, status codes. What a request means is [`crate::service`]'s.
//!
//! A request under `/v1/` 1. gets a place or 503, 2. has its body read, at most [`MAX_BODY_BYTES`] within
//! [`BODY_TIMEOUT`], 3. is answered. Every refusal is an OpenAI error object from the table in [`turnpike_core::reply`]; a
//! handler that panics answers 500 and the next request is served.

mod admission;
mod body;
mod classify;
mod embeddings;
mod error;
mod operation;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde_json::json;
use tower_http::catch_panic::CatchPanicLayer;
use turnpike_core::reply::Fault;
use turnpike_core::sidecar::{
    ANALYZE_PATH, AnalyzeRequest, AnalyzeResponse, CACHE_ENTRIES_PATH, MAX_BODY_BYTES, StoreRequest,
};

use crate::service::Service;
use body::JsonBody;
use error::Refusal;

/// Time for a body to arrive; the peer is on this machine or next to it.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(5);

const EMBEDDINGS_PATH: &str = "/v1/embeddings";
const CLASSIFY_PATH: &str = "/v1/classify";

/// The paths that metrics show; any other one is `other`.
const PATHS: [&str; 7] = [
    ANALYZE_PATH,
    CACHE_ENTRIES_PATH,
    EMBEDDINGS_PATH,
    CLASSIFY_PATH,
    "/healthz",
    "/readyz",
    "/metrics",
];

/// All paths of the sidecar.
pub fn router(service: Arc<Service>) -> Router {
    let panics = service.metrics.panics.clone();
    let admitted = Router::new()
        .route(ANALYZE_PATH, post(analyze))
        .route(CACHE_ENTRIES_PATH, post(store).delete(clear))
        .route(EMBEDDINGS_PATH, post(embeddings::embeddings))
        .route(CLASSIFY_PATH, post(classify::classify))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&service),
            admission::admit,
        ));
    Router::new()
        .merge(admitted)
        .route("/healthz", get(operation::healthz))
        .route("/readyz", get(operation::readyz))
        .route("/metrics", get(operation::metrics))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(move |_| {
            panics.inc();
            Refusal(Fault::Internal("the handler panicked")).into_response()
        }))
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&service),
            operation::count,
        ))
        .with_state(service)
}

async fn analyze(
    State(service): State<Arc<Service>>,
    JsonBody(request): JsonBody<AnalyzeRequest>,
) -> Result<Json<AnalyzeResponse>, Refusal> {
    Ok(Json(service.analyze(request).await?))
}

async fn store(
    State(service): State<Arc<Service>>,
    JsonBody(request): JsonBody<StoreRequest>,
) -> Result<Response, Refusal> {
    let stored = service.store(request).await?;
    let status = if stored {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(json!({ "stored": stored }))).into_response())
}

async fn clear(State(service): State<Arc<Service>>) -> Result<Response, Refusal> {
    let removed = service.clear()?;
    Ok(Json(json!({ "removed": removed })).into_response())
}

async fn unknown_path(uri: Uri) -> Refusal {
    Refusal(Fault::UnknownPath(uri.path().to_owned()))
}

async fn wrong_method() -> Refusal {
    Refusal(Fault::MethodNotAllowed)
}
