//! `POST /v1/embeddings`, as OpenAI's API reference describes it ("Create embeddings").
//!
//! Taken: `input` (a string, or 1 to 2048 of them), `model`, `encoding_format` (`float`, `base64`), `dimensions` when it is
//! what the model has, `user` (ignored). Not taken: token ids as input, other dimensions.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Json;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use turnpike_core::reply::Fault;

use super::body::JsonBody;
use super::error::Refusal;
use crate::encoder::Embedding;
use crate::service::{EMBEDDINGS_TIMEOUT, MAX_BATCH_TEXTS, Service};

/// Inputs of one request, OpenAI's own limit.
const MAX_INPUTS: usize = 2048;

/// Request body. Unknown keys are allowed, as OpenAI's clients add some.
#[derive(Debug, Deserialize)]
pub(super) struct EmbeddingsRequest {
    input: Input,
    model: String,
    #[serde(default)]
    encoding_format: EncodingFormat,
    #[serde(default)]
    dimensions: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a string or an array of strings")]
pub(super) enum Input {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EncodingFormat {
    #[default]
    Float,
    Base64,
}

/// Response body.
#[derive(Debug, Serialize)]
pub(super) struct EmbeddingsResponse {
    object: &'static str,
    data: Vec<EmbeddingObject>,
    model: String,
    usage: Usage,
}

#[derive(Debug, Serialize)]
struct EmbeddingObject {
    object: &'static str,
    index: usize,
    embedding: Encoded,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Encoded {
    Float(Vec<f32>),
    /// Little-endian f32.
    Base64(String),
}

#[derive(Debug, Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

/// Embeds in jobs of [`MAX_BATCH_TEXTS`], one after the other, so that analyses run in between.
pub(super) async fn embeddings(
    State(service): State<Arc<Service>>,
    JsonBody(request): JsonBody<EmbeddingsRequest>,
) -> Result<Json<EmbeddingsResponse>, Refusal> {
    let deadline = Instant::now() + EMBEDDINGS_TIMEOUT;
    let engine = service.engine()?;
    if request.model != service.model_name() {
        return Err(Refusal(Fault::UnknownModel(request.model)));
    }
    check_dimensions(request.dimensions, engine.dimensions())?;
    let texts = checked(request.input)?;

    let mut data = Vec::with_capacity(texts.len());
    let mut prompt_tokens = 0;
    let failed = |e| Refusal(service.inference_fault(&e));
    for chunk in texts.chunks(MAX_BATCH_TEXTS) {
        let tokenized = engine.tokenize(chunk.to_vec()).await.map_err(failed)?;
        prompt_tokens += tokenized.iter().map(|t| t.input_ids.len()).sum::<usize>();
        let embedded = engine.embed(tokenized, deadline).await.map_err(failed)?;
        for embedding in &embedded.embeddings {
            data.push(EmbeddingObject {
                object: "embedding",
                index: data.len(),
                embedding: encoded(embedding, request.encoding_format),
            });
        }
    }
    Ok(Json(EmbeddingsResponse {
        object: "list",
        data,
        model: request.model,
        usage: Usage {
            prompt_tokens,
            total_tokens: prompt_tokens,
        },
    }))
}

fn check_dimensions(asked: Option<usize>, dimensions: usize) -> Result<(), Fault> {
    match asked {
        Some(asked) if asked != dimensions => Err(Fault::BadRequest(format!(
            "dimensions: this model has {dimensions}, got {asked}"
        ))),
        _ => Ok(()),
    }
}

/// The texts, if there are as many as allowed and none is empty.
pub(super) fn checked(input: Input) -> Result<Vec<String>, Fault> {
    let texts = match input {
        Input::One(text) => vec![text],
        Input::Many(texts) => texts,
    };
    if texts.is_empty() || texts.len() > MAX_INPUTS {
        return Err(Fault::BadRequest(format!(
            "input: must have 1 to {MAX_INPUTS} texts, got {}",
            texts.len()
        )));
    }
    match texts.iter().position(String::is_empty) {
        Some(index) => Err(Fault::BadRequest(format!(
            "input[{index}]: must not be empty"
        ))),
        None => Ok(texts),
    }
}

fn encoded(embedding: &Embedding, format: EncodingFormat) -> Encoded {
    match format {
        EncodingFormat::Float => Encoded::Float(embedding.values().to_vec()),
        EncodingFormat::Base64 => {
            let values = embedding.values().iter();
            let bytes: Vec<u8> = values.flat_map(|value| value.to_le_bytes()).collect();
            Encoded::Base64(STANDARD.encode(bytes))
        }
    }
}
