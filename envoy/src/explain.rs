//! `turnpike explain`: what would become of a request, by the router's own code.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use turnpike_classify::Classifier;
use turnpike_core::Config;
use turnpike_core::host::{DryHost, Headers};
use turnpike_core::routing::{EXPLAIN_PATH, Router, RouterStream};
use turnpike_core::state;

use crate::sidecar_client::SidecarClient;

/// A request to be explained.
#[derive(Debug, Default)]
pub struct Question {
    /// Body of a chat completion.
    pub body: Vec<u8>,
    /// Further request headers.
    pub headers: Vec<(String, String)>,
    /// Who calls, as the meter would know them.
    pub user: Option<String>,
    /// Their tier.
    pub tier: Option<String>,
}

impl Question {
    /// A conversation of one prompt, with a system prompt if there is one.
    #[must_use]
    pub fn of_prompt(model: &str, system: Option<&str>, prompt: &str) -> Self {
        let system = system.map(|text| json!({"role": "system", "content": text}));
        let user = json!({"role": "user", "content": prompt});
        let messages: Vec<Value> = system.into_iter().chain([user]).collect();
        Self {
            body: json!({"model": model, "messages": messages})
                .to_string()
                .into_bytes(),
            ..Self::default()
        }
    }
}

/// Explains a request, as `POST /v1/explain` does; `sidecar` is asked what the router would ask it.
///
/// # Errors
/// A request that the router refuses, a sidecar that does not answer.
pub fn explain(
    config: &Config,
    question: &Question,
    sidecar: Option<&SidecarClient>,
) -> anyhow::Result<Value> {
    let classifier = Classifier::compile(config)?;
    let router = Router::compile(config, &["meter".into(), "router".into()], classifier);
    let fixed: [(&str, &[u8]); 3] = [
        (":method", b"POST"),
        (":path", EXPLAIN_PATH.as_bytes()),
        ("content-type", b"application/json"),
    ];
    let own = question.headers.iter();
    let own = own.map(|(name, value)| (name.as_str(), value.as_bytes()));
    let headers: Vec<(&str, &[u8])> = fixed.into_iter().chain(own).collect();
    let headers = Headers::of(&headers).context("the headers are too long")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let now_us = u64::try_from(now.as_micros())?;
    let mut host = DryHost::new(headers, question.body.clone(), now_us);
    let mut identified = Vec::new();
    for (part, key, value) in [
        ("user", state::USER, &question.user),
        ("tier", state::TIER, &question.tier),
    ] {
        if let Some(value) = value {
            host.publish(key, value.as_bytes());
            identified.push(part);
        }
    }
    host.publish(state::IDENTIFIED, identified.join(",").as_bytes());
    let mut stream = RouterStream::explaining();
    stream.on_request_headers(&router, &mut host, false);
    stream.on_request_body(&router, &mut host);
    if let Some((path, body)) = host.asked.take() {
        let answer: Option<Value> = match sidecar {
            Some(sidecar) => Some(sidecar.post(&path, &serde_json::from_slice(&body)?)?),
            None => None,
        };
        let status = answer.is_some().then_some(200);
        let answer = answer.unwrap_or_default().to_string();
        stream.on_sidecar_answer(&router, &mut host, status, answer.as_bytes());
    }
    let reply = host.reply.context("the router gave no answer")?;
    let body: Value = serde_json::from_slice(&reply.body)?;
    if reply.status != 200 {
        bail!(
            "the router answers {}: {}",
            reply.status,
            body["error"]["message"].as_str().unwrap_or_default()
        );
    }
    Ok(body)
}

/// The explanation for people.
#[must_use]
pub fn to_text(explanation: &Value) -> String {
    let on = |value: &Value| if value == true { "on" } else { "off" };
    let mut out = String::new();
    let mut row = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name:<14} {value}");
    };
    row("model", text(&explanation["model"]));
    row("decision", text(&explanation["decision"]));
    row("why", text(&explanation["why"]));
    row("category", text(&explanation["category"]));
    row("reasoning", on(&explanation["reasoning"]).to_owned());
    row(
        "system prompt",
        match explanation["system_prompt"] == true {
            true => "set by the decision".into(),
            false => "as the client sent it".into(),
        },
    );
    if explanation["answered_here"] == true {
        row("answer", "by the decision, no model works".into());
    }
    if explanation["fallback"] == "sidecar_unavailable" {
        row(
            "note",
            "the sidecar would be asked; --sidecar URL asks one".into(),
        );
    }
    let guards = &explanation["guards"];
    row(
        "attack",
        match guards["jailbreak"].as_f64() {
            Some(probability) => format!("{probability:.2}"),
            None => "not looked for".into(),
        },
    );
    row(
        "personal data",
        joined(&guards["pii"], "none found, or not looked for"),
    );
    row("steps", joined(&explanation["steps"], "none"));
    out.push_str("\nsignals (? = nobody had to know)\n");
    list(&mut out, &explanation["signals"], |signal| {
        let (kind, name) = (text(&signal["type"]), text(&signal["name"]));
        format!("{kind:<13} {name:<32}")
    });
    out.push_str("\ndecisions, in the order in which they are tried\n");
    list(&mut out, &explanation["decisions"], |decision| {
        let (name, priority) = (text(&decision["name"]), text(&decision["priority"]));
        format!("{name:<32} priority {priority:<6}")
    });
    out
}

/// A value in a line; `-` if there is none.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// The items of a list in a line, or `none`.
fn joined(items: &Value, none: &str) -> String {
    let items: Vec<String> = items.as_array().into_iter().flatten().map(text).collect();
    if items.is_empty() {
        none.to_owned()
    } else {
        items.join(", ")
    }
}

/// The items of a list, one in a line: whether each holds, what is to say `about` it, how sure that is.
fn list(out: &mut String, items: &Value, about: impl Fn(&Value) -> String) {
    for item in items.as_array().into_iter().flatten() {
        let holds = match item["holds"].as_bool() {
            Some(true) => "yes",
            Some(false) => "no",
            None => "?",
        };
        let confidence = match item["confidence"].as_f64() {
            Some(confidence) => format!("{confidence:.2}"),
            None => String::new(),
        };
        let row = format!("  {holds:<4} {} {confidence}", about(item));
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", row.trim_end());
    }
}
