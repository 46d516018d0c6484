//! `POST /v1/classify`: what the trained heads say of texts.
//!
//! Taken: `input` (a string, or 1 to 2048 of them), `heads` (names; all when missing). A text is read in windows, the first megabyte of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Json;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use turnpike_core::reply::Fault;

use super::body::JsonBody;
use super::embeddings::{Input, checked};
use super::error::Refusal;
use crate::heads::{Heads, Verdict};
use crate::service::{EMBEDDINGS_TIMEOUT, Service};

/// Request body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClassifyRequest {
    input: Input,
    #[serde(default)]
    heads: Option<Vec<String>>,
}

/// Response body.
#[derive(Debug, Serialize)]
pub(super) struct ClassifyResponse {
    object: &'static str,
    data: Vec<Classification>,
    model: String,
    usage: Usage,
}

/// One text.
#[derive(Debug, Serialize)]
struct Classification {
    object: &'static str,
    index: usize,
    heads: BTreeMap<String, Answer>,
}

/// One head. A text without a word has no label.
#[derive(Debug, Serialize)]
struct Answer {
    label: Option<String>,
    probability: Option<f32>,
    probabilities: BTreeMap<String, f32>,
}

#[derive(Debug, Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

pub(super) async fn classify(
    State(service): State<Arc<Service>>,
    JsonBody(request): JsonBody<ClassifyRequest>,
) -> Result<Json<ClassifyResponse>, Refusal> {
    let deadline = Instant::now() + EMBEDDINGS_TIMEOUT;
    let engine = service.engine()?;
    let heads = engine.heads().ok_or_else(|| {
        let model = service.model_name();
        Fault::BadRequest(format!(
            "there are no trained heads for the encoder `{model}`"
        ))
    })?;
    let wanted = wanted(heads, request.heads)?;
    let texts = checked(request.input)?;
    let mut data = Vec::with_capacity(texts.len());
    let mut prompt_tokens = 0;
    for (index, text) in texts.iter().enumerate() {
        let found = if text.trim().is_empty() {
            Vec::new()
        } else {
            let read = engine.classify(heads, text, deadline).await;
            let (found, tokens) = read.map_err(|e| service.inference_fault(&e))?;
            prompt_tokens += tokens;
            found
        };
        let answers = wanted.iter().map(|name| {
            let verdict = found.iter().find(|verdict| verdict.name == name);
            (name.clone(), answer(verdict))
        });
        data.push(Classification {
            object: "classification",
            index,
            heads: answers.collect(),
        });
    }
    Ok(Json(ClassifyResponse {
        object: "list",
        data,
        model: service.model_name().to_owned(),
        usage: Usage {
            prompt_tokens,
            total_tokens: prompt_tokens,
        },
    }))
}

fn wanted(heads: &Heads, asked: Option<Vec<String>>) -> Result<Vec<String>, Fault> {
    let known: Vec<String> = heads.names().map(str::to_owned).collect();
    let Some(asked) = asked else {
        return Ok(known);
    };
    match asked.iter().position(|name| !known.contains(name)) {
        Some(at) => Err(Fault::BadRequest(format!(
            "heads[{at}]: there is no head `{}`; known: {}",
            asked[at],
            known.join(", ")
        ))),
        None => Ok(asked),
    }
}

fn answer(verdict: Option<&Verdict<'_>>) -> Answer {
    let best = verdict.and_then(Verdict::best);
    let pairs = verdict.map(|v| {
        v.labels
            .iter()
            .cloned()
            .zip(v.probabilities.iter().copied())
    });
    Answer {
        label: best.map(|(label, _)| label.to_owned()),
        probability: best.map(|(_, probability)| probability),
        probabilities: pairs.into_iter().flatten().collect(),
    }
}
