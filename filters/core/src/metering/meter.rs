//! The meter: who calls, what it cost, what the response says about it.
//!
//! 1. Request headers: spoofable headers are stripped, the caller is identified and published.
//! 2. Request body, only when no router follows: model and stream flags are read, the usage of streams is asked for.
//! 3. Response headers: the facts that the router published become response headers.
//! 4. Response body: tokens are found while it passes.
//! 5. End of the stream, once, however it ended: everything is counted.

use super::response::{Form, ResponseMeter};
use super::usage::Usage;
use crate::config::Config;
use crate::host::{Flow, Header, Host, LocalReply};
use crate::identity::{Identifier, Identity, MaasMetricsConfig};
use crate::metrics::Metric;
use crate::reply::Fault;
use crate::request::{Edits, Endpoint, Request};
use crate::state;

/// Bytes of text that one token stands for where nobody reported usage; the usual rule of thumb for English.
const BYTES_PER_TOKEN: u64 = 4;

/// The compiled meter, one for a worker.
#[derive(Debug, Clone)]
pub struct Meter {
    mode: Mode,
    names: HeaderNames,
    /// Models that may stand in a label.
    models: Vec<String>,
    /// Whether the router reads the request body.
    has_router: bool,
}

/// DESIGN "Modes": standalone, or MaaS.
#[derive(Debug, Clone)]
enum Mode {
    Standalone,
    Maas {
        identifier: Identifier,
        export: MaasMetricsConfig,
    },
}

/// Names of the response headers; `None` = not exported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct HeaderNames {
    /// Inbound headers with this start are stripped, beside `x-vsr-`.
    prefix: String,
    routing: Option<RoutingNames>,
    cache_hit: Option<String>,
    fallback: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct RoutingNames {
    model: String,
    decision: String,
    category: String,
    reasoning: String,
    system_prompt: String,
}

impl HeaderNames {
    fn standalone() -> Self {
        Self {
            prefix: "x-vsr-".into(),
            routing: Some(RoutingNames {
                model: "x-vsr-selected-model".into(),
                decision: "x-vsr-selected-decision".into(),
                category: "x-vsr-selected-category".into(),
                reasoning: "x-vsr-selected-reasoning".into(),
                system_prompt: "x-vsr-injected-system-prompt".into(),
            }),
            cache_hit: Some("x-vsr-cache-hit".into()),
            fallback: "x-vsr-fallback".into(),
        }
    }

    fn maas(config: &crate::identity::MaasHeadersConfig) -> Self {
        let prefix = config.prefix.to_ascii_lowercase();
        let name = |end: &str| format!("{prefix}{end}");
        Self {
            routing: config.export_routing.then(|| RoutingNames {
                model: name("model-selected"),
                decision: name("decision"),
                category: name("category"),
                reasoning: name("reasoning-enabled"),
                system_prompt: name("system-prompt-injected"),
            }),
            cache_hit: config.export_cache.then(|| name("cache-hit")),
            fallback: name("fallback"),
            prefix,
        }
    }
}

impl Meter {
    /// Compiles the configuration; `filters` are those in the chain.
    #[must_use]
    pub fn compile(config: &Config, filters: &[String]) -> Self {
        let maas = config.maas_integration.as_ref().filter(|m| m.enabled);
        Self {
            mode: match maas {
                None => Mode::Standalone,
                Some(maas) => Mode::Maas {
                    identifier: Identifier::compile(&maas.authentication),
                    export: maas.metrics.clone(),
                },
            },
            names: maas.map_or_else(HeaderNames::standalone, |m| HeaderNames::maas(&m.headers)),
            models: config.model_config.keys().cloned().collect(),
            has_router: filters.iter().any(|f| f == "router"),
        }
    }

    /// Whether a client may not send a header of this name, because others read it as Turnpike's word.
    fn is_ours(&self, header: &str) -> bool {
        header.starts_with("x-vsr-")
            || header.starts_with(&self.names.prefix)
            || header == "x-selected-model"
    }

    /// The label for a model that a client named.
    fn model_label<'m>(&self, model: &'m str) -> &'m str {
        if self.models.iter().any(|m| m == model) {
            model
        } else {
            state::UNKNOWN
        }
    }
}

/// The meter's view of one stream.
#[derive(Debug, Default)]
pub struct MeterStream {
    endpoint: Option<Endpoint>,
    identity: Option<Identity>,
    facts: Facts,
    status: u16,
    response: Option<ResponseMeter>,
}

/// What is known about the route of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Facts {
    model: String,
    decision: String,
    category: String,
    reasoning: String,
    cache: String,
    system_prompt: String,
    fallback: String,
    usage_requested: bool,
    prompt_bytes: u64,
}

fn read(host: &mut impl Host, key: &str, default: &str) -> String {
    match host.filter_state(key) {
        Some(value) if !value.is_empty() => String::from_utf8_lossy(&value).into_owned(),
        _ => default.into(),
    }
}

impl Facts {
    fn published(host: &mut impl Host) -> Self {
        Self {
            model: read(host, state::MODEL, state::UNKNOWN),
            decision: read(host, state::DECISION, state::NONE),
            category: read(host, state::CATEGORY, state::NONE),
            reasoning: read(host, state::REASONING, "off"),
            cache: read(host, state::CACHE, "skip"),
            system_prompt: read(host, state::SYSTEM_PROMPT, "false"),
            fallback: read(host, state::FALLBACK, ""),
            usage_requested: host.filter_state(state::USAGE_REQUESTED).is_some(),
            prompt_bytes: read(host, state::PROMPT_BYTES, "0")
                .parse()
                .unwrap_or_default(),
        }
    }
}

impl MeterStream {
    /// Request headers are here.
    pub fn on_request_headers(
        &mut self,
        meter: &Meter,
        host: &mut impl Host,
        end_of_stream: bool,
    ) -> Flow {
        let headers = host.request_headers();
        self.endpoint = endpoint(&headers);
        if strip_ours(meter, host, &headers).is_err() {
            return refuse(host, &Fault::Internal("a header could not be removed"));
        }
        if let Mode::Maas { identifier, .. } = &meter.mode {
            match identifier.identify(&headers) {
                Ok(identity) => {
                    host.set_filter_state(state::USER, identity.user.name.as_bytes());
                    host.set_filter_state(state::TIER, identity.tier.name.as_bytes());
                    host.set_filter_state(state::IDENTIFIED, identity.identified().as_bytes());
                    self.identity = Some(identity);
                }
                Err(header) => return refuse(host, &Fault::RepeatedHeader(header.into())),
            }
        }
        let reads_body = self.endpoint.is_some() && !meter.has_router;
        if reads_body && !end_of_stream {
            Flow::Pause
        } else {
            Flow::Continue
        }
    }

    /// More of the request body is there. Held only when the meter reads it.
    #[must_use]
    pub fn on_request_chunk(&self, meter: &Meter) -> Flow {
        if self.endpoint.is_some() && !meter.has_router {
            Flow::Pause
        } else {
            Flow::Continue
        }
    }

    /// The request body is complete. Read only when the meter is alone.
    pub fn on_request_body(&mut self, meter: &Meter, host: &mut impl Host) -> Flow {
        let Some(endpoint) = self.endpoint.filter(|_| !meter.has_router) else {
            return Flow::Continue;
        };
        let body = host.request_body();
        // What cannot be read is the server's to refuse; it is counted without a model.
        let Ok(request) = Request::parse(endpoint, &body) else {
            return Flow::Continue;
        };
        host.set_filter_state(state::MODEL, meter.model_label(&request.model).as_bytes());
        host.set_filter_state(
            state::PROMPT_BYTES,
            request.text_bytes().to_string().as_bytes(),
        );
        host.set_filter_state(state::STREAM, request.stream.to_string().as_bytes());
        let mut edits = Edits::default();
        if ask_for_usage(endpoint, &request, &mut edits) {
            if replace_body(host, &edits.apply(&body)).is_err() {
                return refuse(host, &Fault::Internal("the body could not be replaced"));
            }
            host.set_filter_state(state::USAGE_REQUESTED, b"1");
        }
        Flow::Continue
    }

    /// Response headers are here: of the upstream, of a cache hit, or of an error.
    pub fn on_response_headers(&mut self, meter: &Meter, host: &mut impl Host) {
        if self.endpoint.is_none() {
            return;
        }
        self.facts = Facts::published(host);
        let headers = host.response_headers();
        let value = |name: &str| {
            headers
                .iter()
                .find(|h| h.name == name)
                .map(|h| h.value.as_slice())
        };
        self.status = value(":status")
            .and_then(|s| std::str::from_utf8(s).ok())
            .and_then(|s| s.parse().ok())
            .unwrap_or_default();
        let form = Form::of_content_type(value("content-type").unwrap_or_default());
        let strip = self.facts.usage_requested
            && form == Form::Sse
            && (value("content-length").is_none() || take_back_length(host));
        self.response = Some(ResponseMeter::new(form, strip));
        self.tell(meter, host);
    }

    fn tell(&self, meter: &Meter, host: &mut impl Host) {
        let facts = &self.facts;
        if let Some(names) = &meter.names.routing {
            host.set_response_header(&names.model, facts.model.as_bytes());
            host.set_response_header(&names.decision, facts.decision.as_bytes());
            host.set_response_header(&names.category, facts.category.as_bytes());
            host.set_response_header(&names.reasoning, facts.reasoning.as_bytes());
            host.set_response_header(&names.system_prompt, facts.system_prompt.as_bytes());
        }
        if let Some(name) = &meter.names.cache_hit {
            let hit = if facts.cache == "hit" {
                "true"
            } else {
                "false"
            };
            host.set_response_header(name, hit.as_bytes());
        }
        if !facts.fallback.is_empty() {
            host.set_response_header(&meter.names.fallback, facts.fallback.as_bytes());
        }
    }

    /// A chunk of the response body passes.
    pub fn on_response_body(&mut self, host: &mut impl Host, size: usize, end_of_stream: bool) {
        let Some(response) = &mut self.response else {
            return;
        };
        let chunk = if size > 0 {
            host.response_chunk(size)
        } else {
            Vec::new()
        };
        if let Some(other) = response.push(&chunk, end_of_stream) {
            host.replace_response_chunk(size, &other);
        }
    }

    /// The stream is over, however it ended: counts it.
    pub fn on_log(&mut self, meter: &Meter, host: &mut impl Host) {
        if self.endpoint.take().is_none() {
            return;
        }
        if self.response.is_none() {
            // The client left before there was a response.
            self.facts = Facts::published(host);
        }
        let tokens = self.tokens();
        host.set_filter_state(state::PROMPT_TOKENS, tokens.prompt.to_string().as_bytes());
        host.set_filter_state(
            state::COMPLETION_TOKENS,
            tokens.completion.to_string().as_bytes(),
        );
        if tokens.estimated {
            host.set_filter_state(state::ESTIMATED, b"true");
        }
        match &meter.mode {
            Mode::Standalone => self.count_standalone(host, tokens),
            Mode::Maas { export, .. } => self.count_maas(host, tokens, export),
        }
    }

    /// What is charged: usage as reported; without it, for an answer of a model, what its text amounts to.
    fn tokens(&self) -> Tokens {
        let Some(response) = &self.response else {
            return Tokens::default();
        };
        if self.facts.cache == "hit" {
            return Tokens::default();
        }
        let seen = response.seen();
        if seen.usage.is_some() {
            let Usage {
                prompt_tokens,
                completion_tokens,
            } = seen.usage;
            return Tokens {
                prompt: prompt_tokens.unwrap_or_default(),
                completion: completion_tokens.unwrap_or_default(),
                estimated: false,
            };
        }
        if !(200..300).contains(&self.status) {
            return Tokens::default();
        }
        Tokens {
            prompt: self.facts.prompt_bytes.div_ceil(BYTES_PER_TOKEN),
            completion: seen.text_bytes.div_ceil(BYTES_PER_TOKEN),
            estimated: true,
        }
    }

    fn count_standalone(&self, host: &mut impl Host, tokens: Tokens) {
        let model = [self.facts.model.as_str()];
        host.count(Metric::ModelRequests, &model, 1);
        let total = tokens.prompt.saturating_add(tokens.completion);
        count_some(host, Metric::ModelTokens, &model, total);
        count_some(host, Metric::ModelPromptTokens, &model, tokens.prompt);
        count_some(
            host,
            Metric::ModelCompletionTokens,
            &model,
            tokens.completion,
        );
    }

    fn count_maas(&self, host: &mut impl Host, tokens: Tokens, export: &MaasMetricsConfig) {
        let unknown = (state::UNKNOWN, state::UNKNOWN);
        let (user, tier) = self
            .identity
            .as_ref()
            .map_or(unknown, |i| (i.user.name.as_str(), i.tier.name.as_str()));
        let facts = &self.facts;
        let (model, decision) = (facts.model.as_str(), facts.decision.as_str());
        if export.export_routing_metrics {
            host.count(Metric::Requests, &[user, tier, model, decision], 1);
            if facts.reasoning == "on" {
                host.count(Metric::ReasoningRequests, &[user, tier, model], 1);
            }
        }
        if export.export_cache_metrics {
            match facts.cache.as_str() {
                "hit" => host.count(Metric::CacheHits, &[user, tier, model], 1),
                "miss" => host.count(Metric::CacheMisses, &[user, tier, model], 1),
                _ => {}
            }
        }
        if export.export_token_metrics {
            for (kind, number) in [("prompt", tokens.prompt), ("completion", tokens.completion)] {
                let labels = [user, tier, model, kind];
                count_some(host, Metric::Tokens, &labels, number);
                if tokens.estimated {
                    count_some(host, Metric::TokensEstimated, &labels, number);
                }
            }
        }
    }
}

/// What a request is charged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tokens {
    prompt: u64,
    completion: u64,
    estimated: bool,
}

fn count_some(host: &mut impl Host, metric: Metric, labels: &[&str], by: u64) {
    if by > 0 {
        host.count(metric, labels, by);
    }
}

/// The LLM API that a request with these headers is for.
pub(crate) fn endpoint(headers: &[Header]) -> Option<Endpoint> {
    let value = |name: &str| {
        headers
            .iter()
            .find(|h| h.name == name)
            .map(|h| h.value.as_slice())
    };
    if value(":method")? != b"POST" {
        return None;
    }
    Endpoint::of_path(std::str::from_utf8(value(":path")?).ok()?)
}

fn strip_ours(
    meter: &Meter,
    host: &mut impl Host,
    headers: &[Header],
) -> Result<(), crate::host::HostError> {
    headers
        .iter()
        .filter(|h| meter.is_ours(&h.name))
        .try_for_each(|h| host.remove_request_header(&h.name))
}

/// Adds `include_usage` where a stream would end without usage; tells whether it did.
pub(crate) fn ask_for_usage(endpoint: Endpoint, request: &Request, edits: &mut Edits) -> bool {
    let asked = request
        .stream_options
        .as_ref()
        .and_then(|o| o.include_usage.as_ref());
    let ask = endpoint.has_stream_options() && request.stream && !asked.is_some_and(|a| a.0);
    if ask {
        edits.include_usage(request);
    }
    ask
}

/// Replaces the body and its length.
pub(crate) fn replace_body(
    host: &mut impl Host,
    body: &[u8],
) -> Result<(), crate::host::HostError> {
    host.set_request_header("content-length", body.len().to_string().as_bytes())?;
    host.replace_request_body(body)
}

/// Takes back the length that a response announced, for what is taken out of its body; tells whether it did.
fn take_back_length(host: &mut impl Host) -> bool {
    host.remove_response_header("content-length").is_ok()
}

/// Answers with an error object, counts it and shows it to the log.
pub(crate) fn refuse(host: &mut impl Host, fault: &Fault) -> Flow {
    host.count(Metric::Errors, &[fault.code()], 1);
    host.set_filter_state(state::BLOCK, fault.code().as_bytes());
    host.reply(LocalReply {
        status: fault.status(),
        headers: Vec::new(),
        body: fault.body(),
    });
    Flow::Pause
}

#[cfg(test)]
mod tests;
