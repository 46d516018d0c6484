//! What becomes of a request on its way to a model, per family of models and per API, as the official clients send it: the bytes that
//! the LLM server got stand in `families/*.txt`, beside those that the client sent.
//!
//! `wasm-tests/clients/official_clients.py` sends and reads. `UPDATE_GOLDEN=1` writes the files anew; then read what changed.

mod answers;
mod choice;
mod personal_data;
mod prompts;

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tokio::sync::OnceCell;
use turnpike_core::Config;
use wasm_tests::harness::{StackOptions, clients_python, root};
use wasm_tests::standin::Received;

use crate::gateways::{Case, Shared, shared};

/// By which a request chooses its decision.
pub(crate) const DECISION: &str = "x-decision";

/// Families: name, `type`, `parameter`, and the name by which the servers know the model. `plain` has no family.
const FAMILIES: [(&str, &str, &str, &str); 6] = [
    (
        "qwen3",
        "chat_template_kwargs",
        "enable_thinking",
        "Qwen/Qwen3-8B",
    ),
    (
        "gpt-oss",
        "reasoning_effort",
        "reasoning_effort",
        "openai/gpt-oss-20b",
    ),
    (
        "mistral",
        "top_level_reasoning_effort",
        "reasoning_effort",
        "mistral-medium-latest",
    ),
    ("deepseek", "thinking_type", "thinking", "deepseek-chat"),
    ("claude", "thinking_budget", "thinking", "claude-sonnet"),
    ("plain", "", "", "plain"),
];

const APIS: [&str; 3] = ["chat", "responses", "messages"];

/// One gateway for all: the header [`DECISION`] names the decision, and nothing is cached unless the decision says so.
pub(crate) async fn gateway(user: &str) -> Case {
    static STACK: Shared = OnceCell::const_new();
    Case::new(
        shared(&STACK, configure, StackOptions::default()).await,
        user,
    )
}

fn configure(config: &mut Config) {
    let mut models = json!({});
    let mut families = json!({});
    let mut decisions = Vec::new();
    for (name, kind, parameter, served) in FAMILIES {
        models[name] = json!({"preferred_endpoints": ["small"], "provider_model_id": served});
        if !kind.is_empty() {
            models[name]["reasoning_family"] = json!(name);
            families[name] = json!({"type": kind, "parameter": parameter});
        }
        for (mode, reasoning) in [
            (
                "on",
                json!({"use_reasoning": true, "reasoning_effort": "high"}),
            ),
            ("off", json!({"use_reasoning": false})),
            ("missing", json!({})),
        ] {
            let mut model = reasoning;
            model["model"] = json!(name);
            decisions.push(json!({"name": format!("{name}-{mode}"), "modelRefs": [model]}));
        }
    }
    for others in [
        prompts::decisions(),
        personal_data::decisions(),
        answers::decisions(),
        choice::decisions(&mut models),
    ] {
        decisions.extend(others.as_array().expect("a list").clone());
    }
    let mut rules = Vec::new();
    for decision in &mut decisions {
        let name = decision["name"].clone();
        rules.push(json!({"name": name, "header": DECISION, "predicate": {"equals": name}}));
        decision["rules"] = json!({"type": "header", "name": name});
        if decision["plugins"].is_null() {
            decision["plugins"] = json!([]);
        }
        if decision["cached"].take() != json!(true) {
            let plugins = decision["plugins"].as_array_mut().expect("a list");
            plugins.push(json!({"type": "semantic-cache", "configuration": {"enabled": false}}));
        }
        decision
            .as_object_mut()
            .expect("an object")
            .remove("cached");
    }
    config.default_model = "plain".into();
    config.model_config = serde_json::from_value(models).expect("models");
    config.reasoning_families = serde_json::from_value(families).expect("families");
    config.decisions = serde_json::from_value(json!(decisions)).expect("decisions");
    config.header_rules = serde_json::from_value(json!(rules)).expect("rules");
    config.keyword_rules.clear();
}

/// A call of a client.
struct Ask {
    name: String,
    decision: String,
    api: &'static str,
    stream: bool,
    /// Arguments of the client's function.
    request: Value,
}

impl Ask {
    fn new(decision: &str, api: &'static str, what: &str, request: Value) -> Self {
        Self {
            name: format!("{decision}, {api}, {what}"),
            decision: decision.into(),
            api,
            stream: false,
            request,
        }
    }

    fn streamed(self) -> Self {
        Self {
            name: format!("{}, streamed", self.name),
            stream: true,
            ..self
        }
    }
}

/// What a client sent and read, and what the LLM server got.
struct Fact {
    name: String,
    sent: String,
    /// What the client read: `text`, `finish`, `model`, `tokens`, `headers`.
    read: Value,
    /// The text that the LLM server was told to answer.
    answer: String,
    tag: String,
}

impl Fact {
    async fn received(&self, gateway: &Case) -> Received {
        let received = gateway.stack.received(&self.tag).await;
        received.expect("the LLM server was asked")
    }

    fn header(&self, name: &str) -> &str {
        self.read["headers"][name].as_str().unwrap_or_default()
    }

    /// The client has got the answer of the LLM server, whole.
    fn assert_answered(&self, api: &str) {
        let finish = match api {
            "chat" => "stop",
            "responses" => "completed",
            _ => "end_turn",
        };
        assert_eq!(self.read["text"], self.answer.as_str(), "{}", self.name);
        assert_eq!(self.read["finish"], finish, "{}", self.name);
    }
}

/// Sends them with the official clients, one after the other.
async fn ask(gateway: &Case, asks: &[Ask]) -> Vec<Fact> {
    let to = json!({"port": gateway.stack.plan().ports.listener, "user": gateway.user});
    let cases: Vec<Value> = asks
        .iter()
        .map(|ask| {
            json!({"name": ask.name, "api": ask.api, "stream": ask.stream, "request": ask.request,
                "headers": {DECISION: ask.decision}})
        })
        .collect();
    let input = json!(cases).to_string();
    let told = tokio::task::spawn_blocking(move || run(&to, &input))
        .await
        .unwrap()
        .unwrap();
    let read = told["facts"].as_array().expect("facts").clone();
    assert_eq!(read.len(), asks.len());
    let facts = read.into_iter().zip(asks);
    facts
        .map(|(read, ask)| {
            if let Some(failed) = read["failed"].as_str() {
                panic!("{failed}");
            }
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            Fact {
                name: ask.name.clone(),
                sent: text(&read["sent"]),
                tag: text(&read["tag"]),
                answer: text(&told["text"]),
                read,
            }
        })
        .collect()
}

fn run(to: &Value, cases: &str) -> Result<Value, String> {
    let python = clients_python().map_err(|error| error.to_string())?;
    let mut program = Command::new(python)
        .arg(root().join("wasm-tests/clients/official_clients.py"))
        .arg(to.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut input = program.stdin.take().ok_or("no standard input")?;
    let written = input.write_all(cases.as_bytes());
    drop(input);
    let output = program
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    let errors = String::from_utf8_lossy(&output.stderr);
    written.map_err(|error| format!("{error}\n{errors}"))?;
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}\n{errors}"))
}

/// Compares with `families/<name>.txt`, letter by letter.
fn assert_golden(name: &str, found: &str) {
    let path = root().join(format!("wasm-tests/tests/gateway/families/{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).expect("the file is written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = wanted.lines().zip(found.lines()).find(|(w, f)| w != f);
    assert!(
        wanted == found,
        "{} differs; the first line that does, wanted and found: {differs:#?}",
        path.display()
    );
}

/// A request of each API with text that needs escapes, and with members that gateways tend to lose or to write anew.
fn question(api: &str) -> Value {
    let text = "Grüße 🙂 \"x\" \\ \u{7f}\nWhy?";
    let vendor =
        json!({"b": 1, "a": [1e-7, 12_345_678_901_234_567_890_u64, null, {}], "": "é\u{2028}"});
    match api {
        "chat" => json!({
            "model": "auto", "messages": [{"role": "user", "content": text}], "seed": 9_007_199_254_740_993_u64,
            "logit_bias": {"50256": -100}, "max_tokens": 4096, "extra_body": {"x_vendor": vendor, "min_p": 0.05},
        }),
        "responses" => json!({
            "model": "auto", "input": [{"role": "user", "content": [{"type": "input_text", "text": text}]}], "store": false,
            "max_output_tokens": 4096, "extra_body": {"x_vendor": vendor, "min_p": 0.05},
        }),
        _ => json!({
            "model": "auto", "max_tokens": 4096, "messages": [{"role": "user", "content": text}], "metadata": {"user_id": "u-1"},
            "extra_body": {"x_vendor": vendor, "stop_sequences": ["\n\nHuman:"]},
        }),
    }
}

/// What a client says by itself to have a model of the family reason, or not.
fn own_choice(family: &str, api: &str, on: bool) -> (&'static str, Value) {
    match (api, family) {
        ("responses", _) => (
            "reasoning",
            json!({"effort": if on { "medium" } else { "low" }, "summary": "auto"}),
        ),
        ("chat", "qwen3") => (
            "chat_template_kwargs",
            json!({"add_generation_prompt": true, "enable_thinking": on}),
        ),
        ("chat", "gpt-oss" | "mistral" | "plain") => {
            ("reasoning_effort", json!(if on { "medium" } else { "low" }))
        }
        ("chat", "deepseek") => (
            "thinking",
            json!({"type": if on { "enabled" } else { "disabled" }}),
        ),
        _ if on => (
            "thinking",
            json!({"type": "enabled", "budget_tokens": 1024}),
        ),
        _ => ("thinking", json!({"type": "disabled"})),
    }
}

/// Everything that may be said to a family: by decisions that want reasoning, or none, or say nothing, to clients that say nothing or
/// the opposite.
fn asks(family: &str) -> Vec<Ask> {
    let mut asks = Vec::new();
    for api in APIS {
        for mode in ["on", "off", "missing"] {
            let decision = format!("{family}-{mode}");
            asks.push(Ask::new(
                &decision,
                api,
                "the client is silent",
                question(api),
            ));
            let mut request = question(api);
            let (key, value) = own_choice(family, api, mode != "on");
            request["extra_body"][key] = value;
            asks.push(Ask::new(&decision, api, "the client chose", request));
        }
        let decision = format!("{family}-on");
        asks.push(Ask::new(&decision, api, "the client is silent", question(api)).streamed());
    }
    asks
}

/// The members that are not for us to change.
fn rest(body: &str) -> Value {
    let mut body: Value = serde_json::from_str(body).expect("JSON");
    let members = body.as_object_mut().expect("an object");
    for key in [
        "model",
        "stream_options",
        "chat_template_kwargs",
        "reasoning_effort",
        "reasoning",
        "thinking",
    ] {
        members.remove(key);
    }
    body
}

async fn family(name: &str) {
    let gateway = gateway(&format!("family-{name}")).await;
    let asks = asks(name);
    let facts = ask(&gateway, &asks).await;
    let mut golden = String::new();
    let mut reasoned = 0;
    for (fact, ask) in facts.iter().zip(&asks) {
        fact.assert_answered(ask.api);
        let body = fact.received(&gateway).await.body;
        let body = String::from_utf8(body.to_vec()).expect("UTF-8");
        assert_eq!(rest(&fact.sent), rest(&body), "{}", fact.name);
        let told = fact.header("x-vsr-reasoning-enabled");
        reasoned += u64::from(told == "on");
        golden += &format!(
            "# {}\nx-vsr-reasoning-enabled: {told}\n> {}\n< {body}\n\n",
            fact.name, fact.sent
        );
    }
    assert_golden(name, &golden);
    gateway.requests(asks.len() as u64).await;
    let metric = gateway
        .stack
        .metric("semantic_router_reasoning_requests_total");
    let metric = metric.label("user", &gateway.user).label("model", name);
    metric.value(reasoned).await.unwrap();
}

#[tokio::test]
async fn qwen3_is_told_by_chat_template_kwargs() {
    family("qwen3").await;
}

#[tokio::test]
async fn gpt_oss_is_told_by_its_effort() {
    family("gpt-oss").await;
}

#[tokio::test]
async fn mistral_is_told_by_an_effort_at_the_top_level() {
    family("mistral").await;
}

#[tokio::test]
async fn deepseek_is_told_by_the_type_of_thinking() {
    family("deepseek").await;
}

#[tokio::test]
async fn claude_is_told_by_a_budget() {
    family("claude").await;
}

#[tokio::test]
async fn a_model_without_a_family_is_told_nothing_and_hears_its_client() {
    family("plain").await;
}
