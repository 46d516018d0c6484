//! `POST /v1/classify`: what heads and classifiers say of texts.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Json;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use turnpike_core::reply::Fault;
use utoipa::ToSchema;

use super::body::JsonBody;
use super::embeddings::{Usage, checked};
use super::error::{Refusal, Refusals};
use super::input::Input;
use crate::batching::Priority;
use crate::classifier::{self, Answer};
use crate::service::{BULK_TIMEOUT, Service, readable};

/// Texts to classify, each read whole: at most a megabyte.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClassifyRequest {
    /// The texts.
    input: Input,
    /// Names of heads and classifiers; all but `llm` when missing. `GET /v1/models` lists them.
    #[serde(default)]
    heads: Option<Vec<String>>,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ClassifyResponse {
    /// `list`.
    object: &'static str,
    /// One for each text, in their order.
    data: Vec<Classification>,
    /// Name of the encoder.
    model: String,
    /// Tokens read.
    usage: Usage,
}

/// One text.
#[derive(Debug, Serialize, ToSchema)]
struct Classification {
    /// `classification`.
    object: &'static str,
    /// Place of the text in `input`.
    index: usize,
    /// Answers by head.
    heads: BTreeMap<String, HeadAnswer>,
}

/// What one head says. A text without a word has no label.
#[derive(Debug, Serialize, ToSchema)]
struct HeadAnswer {
    /// The most probable label; of a token model, the kind of the surest entity.
    label: Option<String>,
    /// Its probability.
    probability: Option<f32>,
    /// The probability of each label.
    probabilities: BTreeMap<String, f32>,
    /// Entities, of token models alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    entities: Option<Vec<Entity>>,
    /// Whether the label is the configured default, for want of an answer.
    #[serde(skip_serializing_if = "is_false")]
    defaulted: bool,
}

/// A part of a text that a token model has a label for.
#[derive(Debug, Serialize, ToSchema)]
struct Entity {
    /// Its kind.
    label: String,
    /// Mean probability of its tokens.
    score: f32,
    /// Unicode code points of the text before it.
    start: usize,
    /// Unicode code points of the text before its end.
    end: usize,
    /// The part itself.
    text: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What heads and classifiers say of texts, each read whole.
#[utoipa::path(post, path = "/v1/classify", tag = "inference", request_body = ClassifyRequest,
    responses((status = 200, body = ClassifyResponse), Refusals))]
pub(super) async fn classify(
    State(service): State<Arc<Service>>,
    JsonBody(request): JsonBody<ClassifyRequest>,
) -> Result<Json<ClassifyResponse>, Refusal> {
    let deadline = Instant::now() + BULK_TIMEOUT;
    let engine = service.engine()?;
    let asked = request.heads.as_deref();
    let wanted = engine.wanted(asked).map_err(|(at, known)| {
        let name = asked.and_then(|asked| asked.get(at));
        let name = name.map(String::as_str).unwrap_or_default();
        let known = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        Fault::BadRequest(format!(
            "heads[{at}]: there is no head `{name}`; known: {known}"
        ))
    })?;
    if wanted.is_empty() && asked.is_none() {
        let model = engine.name();
        let message = format!("there are no heads for the encoder `{model}`, and no classifiers");
        return Err(Refusal(Fault::BadRequest(message)));
    }
    let texts: Arc<[String]> = checked(request.input)?.into();
    for (at, text) in texts.iter().enumerate() {
        readable(text).map_err(|why| Fault::BadRequest(format!("input[{at}]: {why}")))?;
    }
    let (found, tokens) = engine
        .classify(&texts, &wanted, Priority::Bulk, deadline)
        .await
        .map_err(|e| service.inference_fault(&e))?;
    let data = texts.iter().zip(found).enumerate();
    let data = data.map(|(index, (text, answers))| Classification {
        object: "classification",
        index,
        heads: answers
            .into_iter()
            .map(|(name, answer)| (name, head_answer(text, answer)))
            .collect(),
    });
    Ok(Json(ClassifyResponse {
        object: "list",
        data: data.collect(),
        model: engine.name().to_owned(),
        usage: Usage::of(tokens),
    }))
}

fn head_answer(text: &str, answer: Answer) -> HeadAnswer {
    let best = answer.best().cloned();
    HeadAnswer {
        label: best.as_ref().map(|(label, _)| label.clone()),
        probability: best.map(|(_, probability)| probability),
        entities: answer.entities.map(|found| entities(text, found)),
        probabilities: answer.probabilities.into_iter().collect(),
        defaulted: answer.defaulted,
    }
}

/// Entities with places in code points, as Python's `str` counts them. They come in the order of the text.
fn entities(text: &str, found: Vec<classifier::Entity>) -> Vec<Entity> {
    let (mut bytes, mut points) = (0, 0);
    let mut count = |to: usize| {
        points += text.get(bytes..to).unwrap_or_default().chars().count();
        bytes = bytes.max(to);
        points
    };
    found
        .into_iter()
        .map(|entity| Entity {
            start: count(entity.range.start),
            end: count(entity.range.end),
            text: text.get(entity.range).unwrap_or_default().to_owned(),
            label: entity.label,
            score: entity.score,
        })
        .collect()
}
