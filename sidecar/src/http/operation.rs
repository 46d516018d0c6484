//! What operators ask: `/healthz`, `/readyz`, `/metrics`; and the count of every request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Json, Response};
use serde_json::json;
use turnpike_core::reply::Fault;

use super::PATHS;
use super::error::Refusal;
use crate::service::Service;

/// 200 while the process answers at all.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, description = "It answers.")))]
pub(super) async fn healthz() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// 200 once the model is loaded and warmed up, 503 before.
#[utoipa::path(get, path = "/readyz", tag = "operation",
    responses((status = 200, description = "Models are loaded and warm."), (status = 503, description = "Not yet.")))]
pub(super) async fn readyz(State(service): State<Arc<Service>>) -> Response {
    if service.is_ready() {
        Json(json!({ "status": "ready" })).into_response()
    } else {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        (status, Json(json!({ "status": "loading" }))).into_response()
    }
}

/// Metrics as OpenMetrics text.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, content_type = "application/openmetrics-text", body = String)))]
pub(super) async fn metrics(State(service): State<Arc<Service>>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match service.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => Refusal(Fault::Internal("metrics")).into_response(),
    }
}

/// Counts the answer under its path. Not the body: prompts are never logged.
pub(super) async fn count(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let asked = request.uri().path();
    let known = PATHS.into_iter().find(|path| *path == asked);
    let path = known.unwrap_or("other");
    let started_at = std::time::Instant::now();
    let response = next.run(request).await;
    let code = response.status().as_u16();
    service.metrics.request(path, code);
    let duration_us = started_at.elapsed().as_micros();
    tracing::debug!(path, code, duration_us, "request");
    response
}
