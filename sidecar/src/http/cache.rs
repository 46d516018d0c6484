//! `/v1/cache`: what operators see and remove.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Json, Response};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use turnpike_core::reply::Fault;
use turnpike_core::sidecar::CACHE_ENTRIES_PATH;
use utoipa::{IntoParams, ToSchema};

use super::error::{Refusal, Refusals};
use crate::cache::{Filter, Partition};
use crate::service::Service;

/// Path of the counts.
pub(super) const STATS_PATH: &str = "/v1/cache/stats";

/// Lines that are read ahead of a slow client.
const LINES_AHEAD: usize = 64;

/// Which entries: those that meet every condition that is given. None given means all.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Of this partition, 64 hex digits.
    partition: Option<String>,
    /// Of this owner: a user or tier, as `semantic_cache.scope` has it.
    owner: Option<String>,
    /// Whose model this decision chose.
    decision: Option<String>,
    /// Answered by this model.
    model: Option<String>,
    /// Stored longer ago than this many seconds.
    older_than_seconds: Option<u64>,
    /// Say how many, remove none.
    #[serde(default)]
    dry_run: bool,
}

impl Which {
    fn filter(self) -> Result<Filter, Fault> {
        let partition = self.partition.map(|partition| Partition::parse(&partition));
        let partition = partition.transpose();
        Ok(Filter {
            partition: partition.map_err(|e| Fault::BadRequest(format!("partition: {e}")))?,
            owner: self.owner,
            decision: self.decision,
            model: self.model,
            older_than: self.older_than_seconds.map(Duration::from_secs),
        })
    }
}

/// How many stored answers were removed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Removed {
    /// How many; of a dry run, how many would be.
    removed: usize,
    /// Whether none was, because it was a dry run.
    dry_run: bool,
}

/// Removes stored answers.
#[utoipa::path(delete, path = CACHE_ENTRIES_PATH, tag = "cache", params(Which), responses((status = 200, body = Removed), Refusals))]
pub(super) async fn remove(
    State(service): State<Arc<Service>>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Removed>, Refusal> {
    let Query(which) = which.map_err(|e| Fault::BadRequest(e.body_text()))?;
    let dry_run = which.dry_run;
    let removed = service.invalidate(which.filter()?, dry_run).await?;
    Ok(Json(Removed { removed, dry_run }))
}

/// How much is stored.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CacheStats {
    /// Entries.
    entries: usize,
    /// Bytes of their questions, answers and vectors.
    bytes: usize,
    /// Partitions that have entries with a vector.
    partitions: usize,
}

/// How much is stored.
#[utoipa::path(get, path = STATS_PATH, tag = "cache", responses((status = 200, body = CacheStats), Refusals))]
pub(super) async fn stats(
    State(service): State<Arc<Service>>,
) -> Result<Json<CacheStats>, Refusal> {
    let stats = service.cache_stats().await?;
    Ok(Json(CacheStats {
        entries: stats.entries,
        bytes: stats.bytes,
        partitions: stats.partitions,
    }))
}

/// Every stored answer with its question, one JSON object a line. Who may read this may read what users asked.
#[utoipa::path(get, path = CACHE_ENTRIES_PATH, tag = "cache",
    responses((status = 200, content_type = "application/x-ndjson", body = String), Refusals))]
pub(super) async fn export(State(service): State<Arc<Service>>) -> Result<Response, Refusal> {
    let store = service.cache_store()?;
    let (lines, mut read) = mpsc::channel(LINES_AHEAD);
    tokio::spawn(async move {
        let mut export = store.export();
        while let Some(line) = export.next().await {
            let line = line.map(|line| line + "\n");
            if lines.send(line).await.is_err() {
                return;
            }
        }
    });
    let body = futures_util::stream::poll_fn(move |context| read.poll_recv(context));
    let json_lines = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((json_lines, Body::from_stream(body)).into_response())
}
