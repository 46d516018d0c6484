//! What operators ask: `/healthz`, `/readyz`, `/metrics`; and the count of every request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Json, Response};
use serde::Serialize;
use serde_json::json;
use turnpike_core::reply::Fault;
use utoipa::ToSchema;

use super::PATHS;
use super::error::Refusal;
use crate::onnx::gpu;
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

/// Time for a dependency to answer.
const DEPENDENCY_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether everything that the sidecar depends on answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// All of it together.
    status: HealthStatus,
    /// Each of it, by name.
    dependencies: BTreeMap<String, DependencyHealth>,
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum HealthStatus {
    /// Everything answers.
    Healthy,
    /// Something does not: requests are served, with the fallback of what is missing.
    Degraded,
    /// Models are being loaded.
    Loading,
}

#[derive(Debug, Serialize, ToSchema)]
struct DependencyHealth {
    /// Whether it answers.
    healthy: bool,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What the sidecar depends on, asked side by side: the slowest decides how long it takes, at most 5 seconds. For people and
/// dashboards; probes want `/healthz` and `/readyz`, for a sidecar without its language model or Redis still serves.
#[utoipa::path(get, path = "/health", tag = "operation",
    responses((status = 200, body = Health), (status = 503, body = Health, description = "Something does not answer.")))]
pub(super) async fn health(State(service): State<Arc<Service>>) -> Response {
    let Some(found) = service.dependencies(DEPENDENCY_TIMEOUT).await else {
        return health_response(HealthStatus::Loading, BTreeMap::new());
    };
    let dependencies: BTreeMap<String, DependencyHealth> = found
        .into_iter()
        .map(|(name, answer)| {
            let health = DependencyHealth {
                healthy: answer.is_ok(),
                error: answer.err(),
            };
            (name, health)
        })
        .collect();
    let all = dependencies.values().all(|dependency| dependency.healthy);
    let status = if all {
        HealthStatus::Healthy
    } else {
        HealthStatus::Degraded
    };
    health_response(status, dependencies)
}

fn health_response(
    status: HealthStatus,
    dependencies: BTreeMap<String, DependencyHealth>,
) -> Response {
    let code = if status == HealthStatus::Healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let health = Health {
        status,
        dependencies,
    };
    (code, Json(health)).into_response()
}

/// Metrics as OpenMetrics text.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, content_type = "application/openmetrics-text", body = String)))]
pub(super) async fn metrics(State(service): State<Arc<Service>>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    if let Some(engine) = service.engine_in_use() {
        let gpus = engine.gpus();
        let metrics = Arc::clone(&service.metrics);
        let read = move || {
            for gpu in gpus {
                if let Some(memory) = gpu::memory(gpu) {
                    metrics.gpu_memory(gpu, memory);
                }
            }
        };
        // A driver in trouble may take its time.
        if !engine.gpus().is_empty() {
            drop(tokio::task::spawn_blocking(read).await);
        }
    }
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
    let duration = started_at.elapsed();
    service.metrics.request(path, code, duration);
    let duration_us = duration.as_micros();
    tracing::debug!(path, code, duration_us, "request");
    response
}
