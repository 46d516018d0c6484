//! How each family of models is told to reason, or not to.
//!
//! Sources: vLLM, "Reasoning outputs" (`chat_template_kwargs` of Qwen3 and DeepSeek, `reasoning_effort` of gpt-oss); OpenAI API reference
//! (`reasoning_effort` of chat completions, `reasoning.effort` of responses); Mistral API reference (`reasoning_effort`); DeepSeek API
//! reference, "Thinking mode" (`thinking.type`); Anthropic API reference, "Extended thinking" (`thinking.type`, `budget_tokens` from
//! 1,024 and below `max_tokens`).

use serde_json::{Value, json};

use crate::config::Config;
use crate::decision::{ModelRefConfig, ReasoningFamilyConfig, ReasoningKind};
use crate::json::outline;
use crate::request::{Edits, Endpoint, Request, ToolChoice};

/// What a model is told.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reasoning {
    family: ReasoningFamilyConfig,
    on: bool,
    /// Whether the configuration says so: then the client's own choice does not count.
    is_explicit: bool,
    effort: String,
    /// Whether the effort is the model ref's own.
    has_effort: bool,
}

/// Whether the client set `inner` in the object `key`; `null` sets nothing. What is no object is the server's to refuse. Of several members of
/// one name servers take the last.
fn chose_inside(request: &Request, body: &[u8], key: &str, inner: &str) -> bool {
    let mut members = request.members.iter().rev();
    let sent = members.find(|(name, _)| name == key);
    let sent = sent.and_then(|(_, span)| body.get(span.clone()));
    match (sent, sent.and_then(outline)) {
        (None | Some(b"null"), _) => false,
        (Some(_), None) => true,
        (Some(json), Some(members)) => {
            let mut members = members.into_iter().rev();
            let chosen = members.find(|(name, _)| name == inner);
            chosen.is_some_and(|(_, span)| json.get(span) != Some(b"null"))
        }
    }
}

impl Reasoning {
    /// `None` for a model without a family: nothing is said, and what the client says stays.
    pub(super) fn compile(config: &Config, chosen: &ModelRefConfig) -> Option<Self> {
        let model = config.model_config.get(&chosen.model)?;
        let family = config
            .reasoning_families
            .get(model.reasoning_family.as_ref()?)?;
        let effort = chosen
            .reasoning_effort
            .as_deref()
            .or(config.default_reasoning_effort.as_deref());
        Some(Self {
            family: family.clone(),
            on: chosen.use_reasoning.unwrap_or(false),
            is_explicit: chosen.use_reasoning.is_some(),
            effort: effort.unwrap_or("medium").to_owned(),
            has_effort: chosen.reasoning_effort.is_some(),
        })
    }

    /// What is told where the topic is uncertain; `None` where the model ref has an opinion, or nothing is configured.
    pub(super) fn uncertain(config: &Config, chosen: &ModelRefConfig) -> Option<Self> {
        let uncertain = config.classifier.category_model.uncertain?;
        if chosen.use_reasoning.is_some() {
            return None;
        }
        // The client's own choice stays.
        let reasoning = Self::compile(config, chosen)?;
        Some(Self {
            on: uncertain.use_reasoning,
            ..reasoning
        })
    }

    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    /// Tells it; gives whether the model was told to reason. `limit`: tokens that the decision lets an answer have.
    pub(super) fn edit(
        &self,
        edits: &mut Edits,
        endpoint: Endpoint,
        request: &Request,
        body: &[u8],
        limit: Option<u32>,
    ) -> bool {
        let key = self.family.parameter.as_str();
        let effort = json!(self.effort).to_string();
        let chose = |key: &str| request.member(key).is_some();
        let stays = |key: &str| !self.is_explicit && chose(key);
        match (self.family.kind, endpoint) {
            (ReasoningKind::ChatTemplateKwargs, Endpoint::ChatCompletions) => {
                if !self.is_explicit && chose_inside(request, body, "chat_template_kwargs", key) {
                    return false;
                }
                edits.set_in_object("chat_template_kwargs", key, &self.on.to_string());
            }
            (
                ReasoningKind::ReasoningEffort | ReasoningKind::TopLevelReasoningEffort,
                Endpoint::ChatCompletions,
            ) => {
                // There is no effort that means none: what the client says stays.
                if !self.on || stays(key) {
                    return false;
                }
                edits.set_member(key, &effort);
            }
            (
                ReasoningKind::ReasoningEffort | ReasoningKind::TopLevelReasoningEffort,
                Endpoint::Responses,
            ) => {
                if !self.on || stays("reasoning") {
                    return false;
                }
                edits.set_in_object("reasoning", "effort", &effort);
            }
            (ReasoningKind::ThinkingType, Endpoint::ChatCompletions) => {
                if stays(key) {
                    return false;
                }
                let kind = if self.on { "enabled" } else { "disabled" };
                edits.set_in_object(key, "type", &json!(kind).to_string());
                if self.on && self.has_effort {
                    edits.set_member("reasoning_effort", &effort);
                }
            }
            (ReasoningKind::ThinkingBudget, Endpoint::Messages | Endpoint::ChatCompletions) => {
                if stays(key) {
                    return false;
                }
                let Some(thinking) = self.thinking(endpoint, request, body, limit) else {
                    return false;
                };
                edits.set_member(key, &thinking.to_string());
            }
            _ => return false,
        }
        self.on
    }

    /// `thinking` of Anthropic's messages; `None` where the request's own stays, or none is needed.
    fn thinking(
        &self,
        endpoint: Endpoint,
        request: &Request,
        body: &[u8],
        limit: Option<u32>,
    ) -> Option<Value> {
        if !self.on {
            // Off is the default: a request that says nothing needs to say nothing.
            let said = request.member(&self.family.parameter);
            return said.map(|_| json!({"type": "disabled"}));
        }
        // Thinking excludes these, and a tool loop must go on as it began (Anthropic API reference, "Extended thinking").
        let temperature = request.number("temperature", body);
        let forced = matches!(
            request.shape.tool_choice,
            Some(ToolChoice::Required | ToolChoice::Named)
        );
        if request.member("top_k").is_some()
            || temperature.is_some_and(|t| t != 1.0)
            || forced
            || request.shape.in_tool_loop
        {
            return None;
        }
        let wanted = match self.effort.as_str() {
            "low" => 2_048,
            "high" => 16_384,
            _ => 8_192,
        };
        let own = ["max_tokens", "max_completion_tokens"]
            .into_iter()
            .filter_map(|key| request.number(key, body));
        let most = own.chain(limit.map(f64::from)).reduce(f64::min);
        // The answer needs room as well: half of the tokens, so that the least budget fits from 2,048 on.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to what fits"
        )]
        let room = most.map_or(u64::from(u32::MAX), |most| {
            (most / 2.0).clamp(0.0, 1e9) as u64
        });
        let budget = wanted.min(room);
        if budget < 1_024 || (most.is_none() && endpoint == Endpoint::Messages) {
            return None;
        }
        Some(json!({"type": "enabled", "budget_tokens": budget}))
    }
}
