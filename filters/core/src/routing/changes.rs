//! What a route changes about a request on its way upstream: model, reasoning, system prompt, parameters, headers.

use super::reasoning::Reasoning;
use crate::clock::{Civil, Zone};
use crate::config::Config;
use crate::decision::{
    DecisionConfig, HeaderMutationPluginConfig, ModelRefConfig, Plugin, RequestParamsPluginConfig,
    SystemPromptMode, SystemPromptPluginConfig,
};
use crate::host::{Host, HostError};
use crate::request::{Edits, Endpoint, PromptMode, Request};

/// The changes of one route.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Changes {
    /// Name by which the servers know the model.
    served: String,
    reasoning: Option<Reasoning>,
    /// In its place where the topic is uncertain.
    uncertain: Option<Reasoning>,
    system_prompt: Option<Prompt>,
    params: Option<RequestParamsPluginConfig>,
    headers: HeaderMutationPluginConfig,
}

#[derive(Debug, Clone, PartialEq)]
struct Prompt {
    mode: PromptMode,
    text: String,
    zone: Zone,
}

/// What the body became.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Edited {
    /// Whether a system prompt of ours is in it.
    pub(super) system_prompt: bool,
    /// Whether the model was told to reason.
    pub(super) reasoning: bool,
}

impl Changes {
    /// The changes for requests to the model by a decision; `None`: the client named the model.
    pub(super) fn compile(
        config: &Config,
        chosen: &ModelRefConfig,
        decision: Option<&DecisionConfig>,
    ) -> Self {
        let model = config.model_config.get(&chosen.model);
        let served = chosen
            .lora_name
            .as_ref()
            .or_else(|| model?.provider_model_id.as_ref())
            .unwrap_or(&chosen.model);
        let mut changes = Self {
            served: served.clone(),
            reasoning: decision.and_then(|_| Reasoning::compile(config, chosen)),
            uncertain: Reasoning::uncertain(config, chosen),
            ..Self::default()
        };
        for plugin in decision.into_iter().flat_map(|d| &d.plugins) {
            match plugin.read("") {
                Ok(Plugin::SystemPrompt(prompt)) if prompt.enabled => {
                    changes.system_prompt = Some(Prompt::compile(prompt));
                }
                Ok(Plugin::RequestParams(params)) => changes.params = Some(params),
                Ok(Plugin::HeaderMutation(headers)) => {
                    changes.headers.add.extend(headers.add);
                    changes.headers.update.extend(headers.update);
                    changes.headers.delete.extend(headers.delete);
                }
                _ => {}
            }
        }
        changes
    }

    /// Whether the model is told to reason where that can be said.
    pub(super) fn reasons(&self) -> bool {
        self.reasoning.as_ref().is_some_and(Reasoning::is_on)
    }

    /// Edits a body; `now`: seconds since the Unix epoch. `is_uncertain`: nobody knows what it is about.
    pub(super) fn edit(
        &self,
        edits: &mut Edits,
        endpoint: Endpoint,
        request: &Request,
        body: &[u8],
        now: u64,
        is_uncertain: bool,
    ) -> Edited {
        if let Some(params) = &self.params {
            limit(params, edits, endpoint, request, body);
        }
        if request.model != self.served {
            edits.set_model(&self.served);
        }
        let most = self.params.as_ref().and_then(|p| p.max_tokens_limit);
        let most = most.map(|most| u32::try_from(most).unwrap_or(u32::MAX));
        let uncertain = self.uncertain.as_ref().filter(|_| is_uncertain);
        let reasoning = uncertain
            .or(self.reasoning.as_ref())
            .is_some_and(|reasoning| reasoning.edit(edits, endpoint, request, body, most));
        let system_prompt = self.system_prompt.as_ref().is_some_and(|prompt| {
            let text = prompt.text(now);
            edits.set_system_prompt(endpoint, request, body, prompt.mode, &text)
        });
        Edited {
            system_prompt,
            reasoning,
        }
    }

    /// Changes headers as they go upstream.
    pub(super) fn set_headers(&self, host: &mut impl Host) -> Result<(), HostError> {
        let lower = |name: &str| name.to_ascii_lowercase();
        for name in &self.headers.delete {
            host.remove_request_header(lower(name).as_bytes())?;
        }
        for header in &self.headers.update {
            host.set_request_header(&lower(&header.name), header.value.as_bytes())?;
        }
        for header in &self.headers.add {
            host.add_request_header(&lower(&header.name), header.value.as_bytes())?;
        }
        Ok(())
    }
}

impl Prompt {
    fn compile(config: SystemPromptPluginConfig) -> Self {
        Self {
            mode: match config.mode {
                SystemPromptMode::Replace => PromptMode::Replace,
                SystemPromptMode::Insert => PromptMode::Insert,
            },
            zone: Zone::parse(&config.time_zone).unwrap_or_default(),
            text: config.system_prompt,
        }
    }

    fn text(&self, now: u64) -> String {
        if !self.text.contains('{') {
            return self.text.clone();
        }
        let civil = Civil::at(now, &self.zone);
        self.text
            .replace("{date}", &civil.date())
            .replace("{weekday}", civil.weekday())
            .replace("{time}", &civil.time())
    }
}

fn limit(
    params: &RequestParamsPluginConfig,
    edits: &mut Edits,
    endpoint: Endpoint,
    request: &Request,
    body: &[u8],
) {
    if params.strip_unknown {
        edits.strip_unknown(endpoint, request);
    }
    for param in &params.blocked_params {
        edits.remove_member(param);
    }
    let is_blocked = |key: &str| {
        let mut blocked = params.blocked_params.iter();
        blocked.any(|param| param.eq_ignore_ascii_case(key))
    };
    if let Some(max) = params.max_n {
        let keys: &[&str] = match endpoint {
            // Answers that are made to choose from cost as much.
            Endpoint::ChatCompletions | Endpoint::Completions => &["n", "best_of"],
            _ => &["n"],
        };
        for key in keys.iter().filter(|key| !is_blocked(key)) {
            edits.limit(request, body, key, max);
        }
    }
    let Some(max) = params.max_tokens_limit else {
        return;
    };
    let keys: &[&str] = match endpoint {
        Endpoint::ChatCompletions => &["max_completion_tokens", "max_tokens"],
        Endpoint::Completions | Endpoint::Messages => &["max_tokens"],
        Endpoint::Responses => &["max_output_tokens"],
        Endpoint::Embeddings => &[],
    };
    // A completion may ask for no token, to have its prompt scored; elsewhere a server may take 0 for nothing said.
    let least = match endpoint {
        Endpoint::Completions => 0.0,
        _ => 1.0,
    };
    let mut is_limited = false;
    for key in keys.iter().filter(|key| !is_blocked(key)) {
        is_limited |= edits.limit(request, body, key, max) || request.has_number(key, body, least);
    }
    // Who says nothing would have no limit.
    if let Some(key) = keys.first().filter(|_| !is_limited) {
        edits.set_member(key, &max.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// The body of a chat completion that went by the first decision.
    fn edited(decision: &str, body: &Value, is_uncertain: bool) -> (Value, Edited) {
        let yaml = format!(
            "
model_config: {{m: {{reasoning_family: qwen}}}}
reasoning_families: {{qwen: {{type: chat_template_kwargs, parameter: enable_thinking}}}}
classifier: {{category_model: {{uncertain: {{use_reasoning: true}}}}}}
decisions: [{{name: d, rules: {{}}, {decision}}}]
"
        );
        let config: Config = serde_saphyr::from_str(&yaml).unwrap();
        let decision = &config.decisions[0];
        let changes = Changes::compile(&config, &decision.model_refs[0], Some(decision));
        let body = body.to_string().into_bytes();
        let request = Request::parse(Endpoint::ChatCompletions, &body).unwrap();
        let mut edits = Edits::default();
        let now = 1_795_271_100;
        let endpoint = Endpoint::ChatCompletions;
        let edited = changes.edit(&mut edits, endpoint, &request, &body, now, is_uncertain);
        let body = edits.apply(&request, &body);
        (serde_json::from_slice(&body).unwrap(), edited)
    }

    fn chat() -> Value {
        json!({"model": "auto", "messages": [{"role": "user", "content": "q"}]})
    }

    #[test]
    fn an_uncertain_topic_decides_where_the_model_ref_and_the_client_say_nothing() {
        let thinking = |body: &Value| body["chat_template_kwargs"]["enable_thinking"].clone();
        let silent = "modelRefs: [{model: m}]";
        let (body, told) = edited(silent, &chat(), true);
        assert_eq!((thinking(&body), told.reasoning), (json!(true), true));
        assert_eq!(thinking(&edited(silent, &chat(), false).0), json!(false));
        let never = "modelRefs: [{model: m, use_reasoning: false}]";
        assert_eq!(thinking(&edited(never, &chat(), true).0), json!(false));
        let mut own = chat();
        own["chat_template_kwargs"] = json!({"enable_thinking": false});
        let (body, told) = edited(silent, &own, true);
        assert_eq!((thinking(&body), told.reasoning), (json!(false), false));
    }

    #[test]
    fn thinking_fits_into_the_tokens_that_the_decision_allows() {
        for (own, limit, budget) in [
            (json!(32_000), 4_096, json!(2_048)),
            (json!(4_096), 32_000, json!(2_048)),
            (Value::Null, 4_096, json!(2_048)),
            (json!(32_000), 1_000, Value::Null),
        ] {
            let yaml = format!(
                "
model_config: {{m: {{reasoning_family: claude}}}}
reasoning_families: {{claude: {{type: thinking_budget, parameter: thinking}}}}
decisions: [{{name: d, rules: {{}}, modelRefs: [{{model: m, use_reasoning: true, reasoning_effort: high}}],
  plugins: [{{type: request_params, configuration: {{max_tokens_limit: {limit}}}}}]}}]
"
            );
            let config: Config = serde_saphyr::from_str(&yaml).unwrap();
            let decision = &config.decisions[0];
            let changes = Changes::compile(&config, &decision.model_refs[0], Some(decision));
            let mut body = chat();
            if !own.is_null() {
                body["max_tokens"] = own.clone();
            }
            let body = body.to_string().into_bytes();
            let (endpoint, mut edits) = (Endpoint::Messages, Edits::default());
            let request = Request::parse(endpoint, &body).unwrap();
            changes.edit(&mut edits, endpoint, &request, &body, 0, false);
            let sent: Value = serde_json::from_slice(&edits.apply(&request, &body)).unwrap();
            let found = (&sent["thinking"]["budget_tokens"], own, limit);
            assert_eq!(found.0, &budget, "{found:?}");
            assert!(sent["max_tokens"].as_u64().unwrap() <= limit);
        }
    }

    #[test]
    fn a_prompt_knows_the_day_in_its_time_zone() {
        let plugin = "modelRefs: [{model: m}], plugins: [{type: system_prompt, configuration: {time_zone: '+10:00', system_prompt: 'It is {weekday}, {date}, {time}. {other}'}}]";
        let (body, told) = edited(plugin, &chat(), false);
        assert_eq!(
            body["messages"][0],
            json!({"role": "system", "content": "It is Sunday, 2026-11-22, 00:25. {other}"})
        );
        assert!(told.system_prompt);
    }

    #[test]
    fn parameters_are_limited_and_a_missing_limit_is_set() {
        let plugin = "modelRefs: [{model: m}], plugins: [{type: request_params, configuration: {blocked_params: [logit_bias], max_tokens_limit: 100, max_n: 2, strip_unknown: true}}]";
        let mut body = chat();
        body["max_tokens"] = json!(5000);
        body["n"] = json!(9);
        body["logit_bias"] = json!({"1": 2});
        body["no_such_parameter"] = json!(1);
        let (body, _) = edited(plugin, &body, false);
        assert_eq!((&body["max_tokens"], &body["n"]), (&json!(100), &json!(2)));
        assert_eq!(body.get("max_completion_tokens"), None);
        assert_eq!(
            (body.get("logit_bias"), body.get("no_such_parameter")),
            (None, None)
        );
        assert_eq!(
            body["chat_template_kwargs"],
            json!({"enable_thinking": false})
        );
        let (body, _) = edited(plugin, &chat(), false);
        assert_eq!(body["max_completion_tokens"], 100);
        assert_eq!(body.get("n"), None);
    }

    #[test]
    fn nothing_that_a_server_may_read_as_more_passes_a_limit() {
        let yaml = "
model_config: {m: {}}
decisions: [{name: d, rules: {}, modelRefs: [{model: m}], plugins: [{type: request_params, configuration: {blocked_params: ['BLOCKED'], max_tokens_limit: 100, max_n: 2}}]}]
";
        let (chat, completions) = (Endpoint::ChatCompletions, Endpoint::Completions);
        for (endpoint, blocked, sent, expected) in [
            (
                chat,
                "x",
                r#""max_completion_tokens":"1_000_000","max_tokens":5"#,
                r#""max_completion_tokens":100,"max_tokens":5"#,
            ),
            (chat, "x", r#""max_tokens":"\u0035""#, r#""max_tokens":100"#),
            (
                chat,
                "x",
                r#""max_tokens":null"#,
                r#""max_completion_tokens":100,"max_tokens":null"#,
            ),
            (
                chat,
                "x",
                r#""max_tokens":5,"max_tokens":null"#,
                r#""max_completion_tokens":100,"max_tokens":5,"max_tokens":null"#,
            ),
            (
                chat,
                "x",
                r#""max_tokens":0"#,
                r#""max_completion_tokens":100,"max_tokens":0"#,
            ),
            (chat, "x", r#""max_tokens":-1"#, r#""max_tokens":100"#),
            (
                chat,
                "x",
                r#""max_tokens":5,"n":"3""#,
                r#""max_tokens":5,"n":2"#,
            ),
            (
                chat,
                "max_tokens",
                r#""max_tokens":5"#,
                r#""max_completion_tokens":100"#,
            ),
            (chat, "n", r#""max_tokens":5,"n":3"#, r#""max_tokens":5"#),
            (
                completions,
                "x",
                r#""max_tokens":0,"echo":true"#,
                r#""max_tokens":0,"echo":true"#,
            ),
            (
                completions,
                "x",
                r#""max_tokens":5,"best_of":20"#,
                r#""max_tokens":5,"best_of":2"#,
            ),
            (
                completions,
                "x",
                r#""max_tokens":5,"best_of":"2_0","n":1"#,
                r#""max_tokens":5,"best_of":2,"n":1"#,
            ),
        ] {
            let config: Config = serde_saphyr::from_str(&yaml.replace("BLOCKED", blocked)).unwrap();
            let decision = &config.decisions[0];
            let changes = Changes::compile(&config, &decision.model_refs[0], Some(decision));
            let body = format!(r#"{{{sent},"model":"m","{}":[]}}"#, endpoint.input_key());
            let request = Request::parse(endpoint, body.as_bytes()).unwrap();
            let mut edits = Edits::default();
            changes.edit(&mut edits, endpoint, &request, body.as_bytes(), 0, false);
            let edited = String::from_utf8(edits.apply(&request, body.as_bytes())).unwrap();
            let expected = format!(
                r#"{{{expected},"model":"m","{}":[]}}"#,
                endpoint.input_key()
            );
            assert_eq!(edited, expected, "{sent}");
        }
    }
}
