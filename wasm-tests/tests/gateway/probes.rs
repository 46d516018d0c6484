//! Decision probes: requests in the files of `probes/`, each with where it must go and which signals must hold.
//!
//! 1. Every file names its configuration; the real Envoy is started with it once.
//! 2. Every variant is asked through `POST /v1/explain`. One with `send` is sent as a real request too: response headers and what the LLM
//!    server received must say what the explanation said.
//! 3. All mismatches are shown together, each with the explanation's `why`.
//!
//! The format is that of vLLM Semantic Router's `probes.yaml`, with what its probes lack: callers, headers, metadata, named models, blocks.
//! `{{filler N}}` in a text stands for N bytes of ordinary prose. A signal that nobody had to know counts neither as held nor as not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use wasm_tests::harness::{Call, Reply, Stack, StackOptions, root};

/// Kinds of signal: as the files name them, and as explanations do.
const KINDS: [(&str, &str); 16] = [
    ("authz", "authz"),
    ("complexity", "complexity"),
    ("context", "context"),
    ("conversation", "conversation"),
    ("domains", "domain"),
    ("embeddings", "embedding"),
    ("headers", "header"),
    ("heads", "head"),
    ("jailbreak", "jailbreak"),
    ("keywords", "keyword"),
    ("language", "language"),
    ("llm", "llm"),
    ("metadata", "metadata"),
    ("pii", "pii"),
    ("projection", "projection"),
    ("structure", "structure"),
];

/// Needs the filters alone.
const IN_THE_PROXY: [&str; 4] = ["words", "readers", "guards", "confidence"];

/// Needs the sidecar with a classifier and a language model (`models/reference`), and its categories.
const ASKED: &str = "asked";

/// Needs the sidecar's heads `embedding` and `complexity_rules`.
const SAMPLES: &str = "samples";

/// Kinds that only the sidecar tells.
const OF_THE_SIDECAR: [&str; 3] = ["complexity", "embedding", "llm"];

/// Probes that the proxy settles by itself, at least.
const LEAST_PROBES: usize = 170;

/// Real requests among them, at least.
const LEAST_SENT: usize = 25;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProbeFile {
    schema_version: String,
    name: String,
    #[serde(rename = "description")]
    _description: String,
    routing_assets: Assets,
    decisions: Vec<Expected>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Assets {
    /// The configuration, beside the file.
    yaml: String,
}

/// Where some variants must go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    id: String,
    expected_decision: String,
    expected_model: Option<String>,
    expected_blocked: Option<String>,
    #[serde(default)]
    expected_answered_here: bool,
    expected_reasoning: Option<bool>,
    variants: Vec<Variant>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    id: String,
    query: Option<String>,
    messages: Option<Vec<Value>>,
    #[serde(default = "auto")]
    model: String,
    expected_decision: Option<String>,
    expected_model: Option<String>,
    #[serde(default = "probe")]
    user: String,
    #[serde(default = "gold")]
    tier: String,
    tools: Option<Value>,
    metadata: Option<Value>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    expected_signals: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    unexpected_signals: BTreeMap<String, Vec<String>>,
    /// Whether the real request is sent too.
    #[serde(default)]
    send: bool,
    /// For people.
    #[serde(default, rename = "tags")]
    _tags: Vec<String>,
}

fn auto() -> String {
    "auto".into()
}

fn probe() -> String {
    "probe".into()
}

fn gold() -> String {
    "gold".into()
}

impl Variant {
    fn body(&self) -> Value {
        let messages = match (&self.query, &self.messages) {
            (Some(query), None) => json!([{"role": "user", "content": query}]),
            (None, Some(messages)) => json!(messages),
            _ => panic!("{}: needs either `query` or `messages`", self.id),
        };
        let mut body = Map::from_iter([
            ("model".to_owned(), json!(self.model)),
            ("messages".to_owned(), messages),
        ]);
        for (key, value) in [("tools", &self.tools), ("metadata", &self.metadata)] {
            body.extend(value.clone().map(|value| (key.to_owned(), value)));
        }
        filled(Value::Object(body))
    }

    fn call(&self, stack: &Stack, path: &str) -> Call {
        let client = stack.client(&self.user, &self.tier);
        let call = client.post(path, self.body().to_string());
        let headers = self.headers.iter();
        headers.fold(call, |call, (name, value)| call.header(name, value))
    }
}

/// With prose in place of `{{filler N}}`.
fn filled(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(filled_text(&text)),
        Value::Array(list) => list.into_iter().map(filled).collect(),
        Value::Object(map) => {
            let members = map.into_iter();
            Value::Object(members.map(|(k, v)| (k, filled(v))).collect())
        }
        other => other,
    }
}

fn filled_text(text: &str) -> String {
    const PROSE: &str = "The harbour was quiet that morning, and the fishermen mended their nets while gulls circled above the boats. \
        Nobody spoke of the storm that had come in the night, though every house had lost some tiles from its roof. ";
    let Some((before, rest)) = text.split_once("{{filler ") else {
        return text.to_owned();
    };
    let (bytes, after) = rest.split_once("}}").expect("filler ends");
    let bytes: usize = bytes.parse().expect("filler has a number of bytes");
    let prose: String = PROSE.chars().cycle().take(bytes).collect();
    format!("{before}{prose}{}", filled_text(after))
}

/// What was run, and what went wrong.
#[derive(Debug, Default)]
struct Tally {
    probes: usize,
    sent: usize,
    /// Kinds of signal that were seen to hold, and not to hold, where that was expected.
    held: BTreeSet<String>,
    not_held: BTreeSet<String>,
    mismatches: Vec<String>,
}

impl Tally {
    async fn run(&mut self, name: &str) {
        let folder = root().join("wasm-tests/tests/gateway/probes");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect(name);
        let document = turnpike::config::parse(&read(&format!("{name}.probes.yaml")));
        let file: ProbeFile =
            serde_json::from_value(document.expect(name)).expect("a file of probes");
        assert_eq!((file.schema_version.as_str(), &*file.name), ("v1", name));
        let mut config = turnpike::config::load(folder.join(&file.routing_assets.yaml))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        // The sidecar resolves paths beside the rendered file.
        for classifier in &mut config.sidecar.classifiers {
            classifier.path = root().join(&classifier.path).display().to_string();
        }
        if let Some(llm) = &mut config.sidecar.llm_classifier {
            llm.path = root().join(&llm.path).display().to_string();
        }
        let started = Stack::start_config(config, StackOptions::default()).await;
        let stack = started.unwrap_or_else(|error| panic!("{name}: {error:#}"));
        let mut ids = BTreeSet::new();
        for expected in &file.decisions {
            for variant in &expected.variants {
                let id = format!("{name}/{}/{}", expected.id, variant.id);
                assert!(ids.insert(id.clone()), "{id} is there twice");
                self.probe(&stack, &id, expected, variant).await;
            }
        }
    }

    async fn probe(&mut self, stack: &Stack, id: &str, expected: &Expected, variant: &Variant) {
        self.probes += 1;
        let reply = variant.call(stack, "/v1/explain").send().await;
        let reply = reply.unwrap_or_else(|error| panic!("{id}: {error:#}"));
        let told = reply.json();
        if reply.status != 200 {
            let row = format!("{id}: status {}: {}", reply.status, reply.text());
            self.mismatches.push(row);
            return;
        }
        let mut wrong = where_it_goes(expected, variant, &told);
        wrong.extend(self.signals(variant, &told));
        if variant.send {
            self.sent += 1;
            let call = variant.call(stack, "/v1/chat/completions");
            let reply = call.send().await;
            let reply = reply.unwrap_or_else(|error| panic!("{id}: {error:#}"));
            wrong.extend(what_was_sent(stack, &told, &reply).await);
        }
        for (what, expected, got) in wrong {
            let why = text(&told, "why");
            let row = format!("{id}: {what}: expected {expected}, got {got} | {why}");
            self.mismatches.push(row);
        }
    }

    fn signals(&mut self, variant: &Variant, told: &Value) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let lists = [
            (&variant.expected_signals, true, &mut self.held),
            (&variant.unexpected_signals, false, &mut self.not_held),
        ];
        for (signals, expected, seen) in lists {
            for (kinds, name) in signals
                .iter()
                .flat_map(|(k, all)| all.iter().map(move |n| (k, n)))
            {
                let known = KINDS.iter().find(|(plural, _)| plural == kinds);
                let (_, kind) = known.unwrap_or_else(|| panic!("no kind of signal: {kinds}"));
                let mut all = told["signals"].as_array().into_iter().flatten();
                let signal = all.find(|s| s["type"] == *kind && s["name"] == name.as_str());
                let holds = signal.map_or(&Value::Null, |signal| &signal["holds"]);
                if *holds == expected {
                    seen.insert((*kind).to_owned());
                } else {
                    let what = format!("{kind} `{name}`");
                    wrong.push((what, expected.to_string(), holds.to_string()));
                }
            }
        }
        wrong
    }

    /// Shows what was run, and fails if anything was wrong, or a kind of signal was never seen to hold or not to hold.
    fn settle(self, kinds: &[&str]) {
        let rows = self.mismatches.join("\n");
        let mut out = std::io::stderr().lock();
        let (probes, sent, wrong) = (self.probes, self.sent, self.mismatches.len());
        let _ = writeln!(
            out,
            "{probes} probes were run, {sent} of them sent, {wrong} mismatches\n{rows}"
        );
        assert!(self.mismatches.is_empty(), "{wrong} mismatches:\n{rows}");
        for kind in kinds {
            assert!(self.held.contains(*kind), "no {kind} signal held");
            assert!(self.not_held.contains(*kind), "every {kind} signal held");
        }
    }
}

/// What is wrong, what was expected, what came.
type Wrong = (String, String, String);

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn compare(wrong: &mut Vec<Wrong>, what: &str, expected: Value, got: &Value) {
    if expected != *got {
        wrong.push((what.to_owned(), expected.to_string(), got.to_string()));
    }
}

fn where_it_goes(expected: &Expected, variant: &Variant, told: &Value) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let mut check = |key: &str, value: Value| compare(&mut wrong, key, value, &told[key]);
    let decision = variant.expected_decision.as_ref();
    let decision = decision.unwrap_or(&expected.expected_decision);
    check("decision", json!(decision));
    check("blocked", json!(expected.expected_blocked));
    check("answered_here", json!(expected.expected_answered_here));
    check("fallback", Value::Null);
    if let Some(model) = variant
        .expected_model
        .as_ref()
        .or(expected.expected_model.as_ref())
    {
        check("model", json!(model));
    }
    if let Some(reasoning) = expected.expected_reasoning {
        check("reasoning", json!(reasoning));
    }
    wrong
}

/// Whether the real request went where the explanation said.
async fn what_was_sent(stack: &Stack, told: &Value, reply: &Reply) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    compare(
        &mut wrong,
        "status",
        json!(200),
        &json!(reply.status.as_u16()),
    );
    let blocked = !told["blocked"].is_null();
    let answered = told["answered_here"] == true;
    if blocked || answered {
        let reason = if blocked { "content_filter" } else { "stop" };
        let choice = &reply.json()["choices"][0];
        compare(
            &mut wrong,
            "finish_reason",
            json!(reason),
            &choice["finish_reason"],
        );
        let reached = !stack.records().tagged(&reply.tag).is_empty();
        compare(
            &mut wrong,
            "reached an LLM server",
            json!(false),
            &json!(reached),
        );
    } else {
        let model = text(told, "model");
        let config = stack.plan().config.model_config.get(model);
        let name = config.and_then(|config| config.provider_model_id.as_deref());
        match stack.received(&reply.tag).await {
            Ok(received) => {
                let got = &received.json()["model"];
                compare(
                    &mut wrong,
                    "model upstream",
                    json!(name.unwrap_or(model)),
                    got,
                );
            }
            Err(error) => wrong.push(("upstream".into(), model.into(), error.to_string())),
        }
    }
    if !blocked {
        let reasoning = if told["reasoning"] == true {
            "on"
        } else {
            "off"
        };
        for (header, expected) in [
            ("x-vsr-decision", text(told, "decision")),
            ("x-vsr-model-selected", text(told, "model")),
            ("x-vsr-category", text(told, "category")),
            ("x-vsr-reasoning-enabled", reasoning),
        ] {
            compare(
                &mut wrong,
                header,
                json!(expected),
                &json!(reply.header(header)),
            );
        }
    }
    wrong
}

#[tokio::test]
async fn every_probe_that_the_proxy_settles_goes_where_it_shall() {
    let mut tally = Tally::default();
    for name in IN_THE_PROXY {
        tally.run(name).await;
    }
    assert!(tally.probes >= LEAST_PROBES, "{} probes", tally.probes);
    assert!(tally.sent >= LEAST_SENT, "{} were sent", tally.sent);
    let kinds = KINDS.map(|(_, kind)| kind);
    let kinds = kinds.into_iter().filter(|k| !OF_THE_SIDECAR.contains(k));
    tally.settle(&kinds.collect::<Vec<_>>());
}

#[tokio::test]
async fn every_probe_that_the_sidecar_settles_goes_where_it_shall() {
    let mut tally = Tally::default();
    tally.run(ASKED).await;
    tally.settle(&["domain", "head", "llm"]);
}

#[tokio::test]
async fn every_probe_of_samples_goes_where_it_shall() {
    let mut tally = Tally::default();
    tally.run(SAMPLES).await;
    tally.settle(&["complexity", "embedding"]);
}
