//! `POST /v1/embeddings`, as OpenAI's API reference describes it ("Create embeddings").

use std::sync::Arc;

use axum::extract::State;
use axum::response::Json;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use turnpike_core::reply::Fault;
use utoipa::ToSchema;

use super::body::JsonBody;
use super::error::{Refusal, Refusals};
use super::input::{Input, out_of_range};
use crate::batching::Priority;
use crate::encoder::Embedding;
use crate::service::{BULK_TIMEOUT, Service};

/// Texts to embed. Further keys are ignored, as OpenAI's clients add some.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct EmbeddingsRequest {
    /// The texts.
    input: Input,
    /// Name of the encoder.
    model: String,
    /// How vectors are written.
    #[serde(default)]
    encoding_format: EncodingFormat,
    /// Components that are kept, for models trained for it (Matryoshka); all when missing.
    #[serde(default)]
    dimensions: Option<usize>,
    /// Which of the configured prefixes stands before the texts.
    #[serde(default)]
    input_type: InputType,
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum EncodingFormat {
    /// An array of numbers.
    #[default]
    Float,
    /// Little-endian f32 in base64.
    Base64,
}

/// What the texts are to a search.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum InputType {
    /// What is looked for: `sidecar.encoder.prefix`.
    #[default]
    Query,
    /// What is found: `sidecar.encoder.passage_prefix`.
    Passage,
}

/// The vectors.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EmbeddingsResponse {
    /// `list`.
    object: &'static str,
    /// One for each text, in their order.
    data: Vec<EmbeddingObject>,
    /// Name of the encoder.
    model: String,
    /// Tokens read.
    usage: Usage,
}

/// One vector.
#[derive(Debug, Serialize, ToSchema)]
struct EmbeddingObject {
    /// `embedding`.
    object: &'static str,
    /// Place of the text in `input`.
    index: usize,
    /// The vector.
    embedding: Encoded,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Encoded {
    /// Numbers.
    Float(Vec<f32>),
    /// Little-endian f32 in base64.
    Base64(String),
}

/// Tokens read, special ones included.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Usage {
    /// Those of the texts.
    prompt_tokens: usize,
    /// The same.
    total_tokens: usize,
}

impl Usage {
    pub(super) fn of(tokens: usize) -> Self {
        Self {
            prompt_tokens: tokens,
            total_tokens: tokens,
        }
    }
}

/// Vectors of texts, as OpenAI's "Create embeddings".
#[utoipa::path(post, path = "/v1/embeddings", tag = "inference", request_body = EmbeddingsRequest,
    responses((status = 200, body = EmbeddingsResponse), Refusals))]
pub(super) async fn embeddings(
    State(service): State<Arc<Service>>,
    JsonBody(request): JsonBody<EmbeddingsRequest>,
) -> Result<Json<EmbeddingsResponse>, Refusal> {
    let deadline = Instant::now() + BULK_TIMEOUT;
    let engine = service.engine()?;
    if request.model != engine.name() {
        return Err(Refusal(Fault::UnknownModel(request.model)));
    }
    let most = engine.dimensions();
    let dimensions = request.dimensions.unwrap_or(most);
    if !(1..=most).contains(&dimensions) {
        return Err(Refusal(Fault::BadRequest(format!(
            "dimensions: must be between 1 and {most}, got {dimensions}"
        ))));
    }
    let texts = checked(request.input)?;
    let failed = |e| Refusal(service.inference_fault(&e));
    let passages = request.input_type == InputType::Passage;
    let rows = engine.tokenize(texts, passages).await.map_err(failed)?;
    let tokens = rows.iter().map(|row| row.input_ids.len()).sum();
    let embedded = engine
        .run(rows, Priority::Bulk, deadline)
        .await
        .map_err(failed)?;
    let data = embedded.outputs.iter().enumerate();
    let data = data.map(|(index, embedding)| EmbeddingObject {
        object: "embedding",
        index,
        embedding: encoded(shortened(embedding, dimensions), request.encoding_format),
    });
    Ok(Json(EmbeddingsResponse {
        object: "list",
        data: data.collect(),
        model: request.model,
        usage: Usage::of(tokens),
    }))
}

/// The texts, if there are as many as allowed and none is empty.
pub(super) fn checked(input: Input) -> Result<Vec<String>, Fault> {
    let Input(texts) = input;
    if texts.is_empty() {
        return Err(Fault::BadRequest(format!("input: {}", out_of_range(0))));
    }
    match texts.iter().position(String::is_empty) {
        Some(index) => Err(Fault::BadRequest(format!(
            "input[{index}]: must not be empty"
        ))),
        None => Ok(texts),
    }
}

/// The first components, scaled to length 1 again where some were cut.
fn shortened(embedding: &Embedding, dimensions: usize) -> Vec<f32> {
    match embedding.values().get(..dimensions) {
        Some(first) if dimensions < embedding.values().len() => {
            Embedding::normalized(first.to_vec()).unscaled()
        }
        _ => embedding.unscaled(),
    }
}

fn encoded(values: Vec<f32>, format: EncodingFormat) -> Encoded {
    match format {
        EncodingFormat::Float => Encoded::Float(values),
        EncodingFormat::Base64 => {
            let bytes: Vec<u8> = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            Encoded::Base64(STANDARD.encode(bytes))
        }
    }
}
