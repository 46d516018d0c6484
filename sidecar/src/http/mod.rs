//! The wire: paths, bodies, status codes. What a request means is [`crate::service`]'s.
//!
//! A request under `/v1/` 1. gets a place or 503, 2. has its body read, at most [`MAX_BODY_BYTES`] within
//! [`BODY_TIMEOUT`], 3. is answered. Every refusal is an OpenAI error object from the table in [`turnpike_core::reply`]; a
//! handler that panics answers 500 and the next request is served. Over TCP, who may ask at all is [`crate::access`]'s.

mod admission;
mod authorization;
mod body;
mod cache;
mod classify;
mod embeddings;
mod error;
mod input;
mod models;
mod openapi;
mod operation;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::Serialize;
use tower_http::catch_panic::CatchPanicLayer;
use turnpike_core::reply::Fault;
use turnpike_core::sidecar::{
    ANALYZE_PATH, AnalyzeRequest, AnalyzeResponse, CACHE_ENTRIES_PATH, CACHE_RELEASE_PATH,
    MAX_BODY_BYTES, ReleaseRequest, StoreRequest,
};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Access;
use crate::service::Service;
use body::JsonBody;
use error::{Refusal, Refusals};

/// Time for a body to arrive; the peer is on this machine or next to it.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Size of a list of lookups that nobody waits for any more.
const MAX_RELEASE_BYTES: usize = 1 << 20;

/// The paths that metrics show; any other one is `other`.
const PATHS: [&str; 12] = [
    ANALYZE_PATH,
    CACHE_ENTRIES_PATH,
    CACHE_RELEASE_PATH,
    cache::STATS_PATH,
    "/v1/embeddings",
    "/v1/classify",
    "/v1/models",
    "/health",
    "/healthz",
    "/readyz",
    "/metrics",
    openapi::PATH,
];

/// All paths of the sidecar, for callers that `access` lets pass; without it, for all.
pub fn router(service: Arc<Service>, access: Option<Arc<Access>>) -> Router {
    let panics = service.metrics.panics.clone();
    let admitted = OpenApiRouter::new()
        .routes(routes!(analyze))
        .routes(routes!(store, cache::remove, cache::export))
        .routes(routes!(cache::stats))
        .routes(routes!(embeddings::embeddings))
        .routes(routes!(classify::classify))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&service),
            admission::admit,
        ));
    // Without a place: what frees places must not wait for one.
    let releases = OpenApiRouter::new()
        .routes(routes!(release))
        .layer(DefaultBodyLimit::max(MAX_RELEASE_BYTES));
    let (router, api) = OpenApiRouter::with_openapi(openapi::about())
        .merge(admitted)
        .merge(releases)
        .routes(routes!(models::models))
        .routes(routes!(operation::health))
        .routes(routes!(operation::healthz))
        .routes(routes!(operation::readyz))
        .routes(routes!(operation::metrics))
        .split_for_parts();
    let document = openapi::document(&api);
    let described = async move || openapi::response(document.clone());
    let paths = router
        .route(openapi::PATH, get(described))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(move |_| {
            panics.inc();
            Refusal(Fault::Internal("the handler panicked")).into_response()
        }));
    let guarded = match access {
        Some(access) => paths.layer(axum::middleware::from_fn_with_state(
            access,
            authorization::authorize,
        )),
        None => paths,
    };
    guarded
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&service),
            operation::count,
        ))
        .with_state(service)
}

/// All that the proxy wants to know of one text: heads, category, a stored answer. One call does it all.
#[utoipa::path(post, path = ANALYZE_PATH, tag = "proxy", request_body = AnalyzeRequest,
    responses((status = 200, body = AnalyzeResponse), Refusals))]
async fn analyze(
    State(service): State<Arc<Service>>,
    JsonBody(request): JsonBody<AnalyzeRequest>,
) -> Result<Json<AnalyzeResponse>, Refusal> {
    Ok(Json(service.analyze(request).await?))
}

/// Whether an answer was stored.
#[derive(Debug, Serialize, ToSchema)]
struct Stored {
    stored: bool,
}

/// Keeps a complete answer for the questions that resemble its own.
#[utoipa::path(post, path = CACHE_ENTRIES_PATH, tag = "proxy", request_body = StoreRequest,
    responses((status = 201, body = Stored), (status = 200, body = Stored, description = "There is no cache, no text, or no complete answer."), Refusals))]
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
    Ok((status, Json(Stored { stored })).into_response())
}

/// What [`release`] answers.
#[derive(Debug, Serialize, ToSchema)]
struct Released {
    released: bool,
}

/// Lets requests go on that wait for the answers to lookups that will not be stored.
#[utoipa::path(post, path = CACHE_RELEASE_PATH, tag = "proxy", request_body = ReleaseRequest,
    responses((status = 200, body = Released), Refusals))]
async fn release(
    State(service): State<Arc<Service>>,
    JsonBody(request): JsonBody<ReleaseRequest>,
) -> Result<Json<Released>, Refusal> {
    service.release(&request);
    Ok(Json(Released { released: true }))
}

async fn unknown_path(uri: Uri) -> Refusal {
    Refusal(Fault::UnknownPath(uri.path().to_owned()))
}

async fn wrong_method() -> Refusal {
    Refusal(Fault::MethodNotAllowed)
}
