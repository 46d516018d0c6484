//! `GET /v1/models`: the encoder, its heads, the classifiers, the cache's second opinion.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Json;
use serde::Serialize;
use turnpike_core::sidecar::SECOND_OPINION;
use utoipa::ToSchema;

use super::error::{Refusal, Refusals};
use crate::service::Service;

/// What can be asked, as OpenAI's "List models", with more to each.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelList {
    /// `list`.
    object: &'static str,
    /// The encoder first.
    data: Vec<ModelObject>,
}

/// One of them.
#[derive(Debug, Serialize, ToSchema)]
struct ModelObject {
    /// Name for `model` of `/v1/embeddings`, or for `heads` of `/v1/classify`; `second_opinion` is asked by the cache alone.
    id: String,
    /// `model`.
    object: &'static str,
    /// When it was loaded, in seconds since 1970.
    created: u64,
    /// `turnpike`.
    owned_by: &'static str,
    /// What it is.
    kind: Kind,
    /// Length of the encoder's vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
    /// What a head or classifier may answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Gives vectors.
    Encoder,
    /// Gives labels.
    Head,
    /// Gives labels to two texts.
    #[serde(rename = "cross_encoder")]
    CrossEncoder,
}

/// What can be asked: the encoder, its heads, the classifiers; and what the cache asks.
#[utoipa::path(get, path = "/v1/models", tag = "inference", responses((status = 200, body = ModelList), Refusals))]
pub(super) async fn models(
    State(service): State<Arc<Service>>,
) -> Result<Json<ModelList>, Refusal> {
    let engine = service.engine()?;
    let created = engine.loaded_at();
    let object = |id: String, kind, dimensions, labels| ModelObject {
        id,
        object: "model",
        created,
        owned_by: "turnpike",
        kind,
        dimensions,
        labels,
    };
    let encoder = object(
        engine.name().to_owned(),
        Kind::Encoder,
        Some(engine.dimensions()),
        Vec::new(),
    );
    let heads = engine.heads().into_iter();
    let heads = heads.map(|(name, labels)| object(name, Kind::Head, None, labels));
    let second_opinion = engine.second_opinion().map(|second_opinion| {
        let labels = second_opinion.labels().to_vec();
        object(SECOND_OPINION.into(), Kind::CrossEncoder, None, labels)
    });
    Ok(Json(ModelList {
        object: "list",
        data: std::iter::once(encoder)
            .chain(heads)
            .chain(second_opinion)
            .collect(),
    }))
}
