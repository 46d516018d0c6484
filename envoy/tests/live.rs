//! What clients, LLM servers and the log see of a rendered bootstrap in the real Envoy.
//!
//! Turnpike's filters are not loaded; where a filter is needed, a Lua filter or `set_filter_state` stands in their place.

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{Envoy, Reply, Result, echo_upstream, free_port, get, send};
use turnpike::render::{Filters, RenderOptions, address, envoy};
use turnpike_core::Config;

const MAX_BODY_BYTES: usize = 65_536;

/// An Envoy with its ports and the file of its access log.
struct Stack {
    envoy: Envoy,
    listener: u16,
    metrics: u16,
    folder: tempfile::TempDir,
}

impl Stack {
    /// `owner/good-1.5:b` is served by the upstream, `dead` by nobody, `half` by both; `stand_in` takes the place of the filters.
    fn start(filters: Filters, stand_in: Option<Value>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (listener, metrics) = (free_port()?, free_port()?);
        let local = |port| address(&format!("127.0.0.1:{port}")).map(Some);
        let options = RenderOptions {
            filters,
            listener: local(listener)?,
            metrics: local(metrics)?,
            admin: local(free_port()?)?,
            access_log: Some(log_path(folder.path())),
            ..RenderOptions::default()
        };
        let mut bootstrap = envoy(&config()?, &options);
        let chain = bootstrap.pointer_mut(
            "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters",
        );
        let chain = chain.and_then(Value::as_array_mut).ok_or("no chain")?;
        chain.drain(..chain.len() - 1);
        chain.splice(..0, stand_in);
        Ok(Self {
            envoy: Envoy::start(&bootstrap)?,
            listener,
            metrics,
            folder,
        })
    }

    fn post(&self, headers: &str, body: &[u8]) -> Result<Reply> {
        let path = "/v1/chat/completions?key=secret";
        send(self.listener, "POST", path, headers, body)
    }

    /// Stops Envoy, which writes its log, and reads that.
    fn log(self) -> Result<Vec<Value>> {
        self.envoy.stop()?;
        let text = std::fs::read_to_string(log_path(self.folder.path()))?;
        let lines = text.lines().map(serde_json::from_str);
        Ok(lines.collect::<std::result::Result<_, _>>()?)
    }
}

fn log_path(folder: &Path) -> String {
    folder.join("access.log").display().to_string()
}

fn config() -> Result<Config> {
    let local = |name: &str, port: u16| json!({"name": name, "address": "127.0.0.1", "port": port, "health_check_path": ""});
    let document = json!({
        "vllm_endpoints": [local("live", echo_upstream()?), local("gone", free_port()?)],
        "model_config": {
            "owner/good-1.5:b": {"preferred_endpoints": ["live"]},
            "dead": {"preferred_endpoints": ["gone"]},
            "half": {"preferred_endpoints": ["live", "gone"]},
        },
        "default_model": "owner/good-1.5:b",
        "limits": {"max_body_bytes": MAX_BODY_BYTES},
    });
    Ok(Config::from_value(document)?)
}

fn lua(code: &str) -> Option<Value> {
    Some(json!({
        "name": "stand_in",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": code},
        },
    }))
}

/// Holds the whole body, as the router filter does.
const READS_BODY: &str = "function envoy_on_request(handle) handle:body() end";

const GOOD: &str = "x-selected-model: owner/good-1.5:b\r\n";
const DEAD: &str = "x-selected-model: dead\r\n";

fn assert_openai_error(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let error = &reply.json().unwrap_or_default()["error"];
    assert_eq!(error["code"], code);
    assert!(
        error["message"].is_string() && error["type"].is_string(),
        "{error}"
    );
    assert_eq!(error.get("param"), Some(&Value::Null), "{error}");
}

#[test]
fn a_model_without_a_live_server_is_a_503_error_object() {
    let stack = Stack::start(Filters::default(), None).unwrap();
    let reply = stack.post(DEAD, b"{}").unwrap();
    assert_openai_error(&reply, 503, "service_unavailable");
    let log = stack.log().unwrap();
    assert_eq!(log[0]["attempts"], 3, "two retries: {}", log[0]);
}

#[test]
fn no_request_is_lost_while_one_of_two_servers_is_gone() {
    let stack = Stack::start(Filters::default(), None).unwrap();
    for _ in 0..20 {
        let reply = stack.post("x-selected-model: half\r\n", b"{}").unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let log = stack.log().unwrap();
    assert!(log.iter().any(|line| line["attempts"] == 2), "{log:?}");
}

#[test]
fn only_a_refusal_is_tried_again_whatever_the_client_asks_for() {
    let stack = Stack::start(Filters::default(), None).unwrap();
    let asks =
        "x-envoy-retry-on: 5xx\r\nx-envoy-max-retries: 9\r\nx-envoy-upstream-rq-timeout-ms: 1\r\n";
    let orders = [(503, 3), (500, 1), (502, 1), (504, 1), (429, 1)];
    for (status, _) in orders {
        let headers = format!("{GOOD}{asks}x-order: {status}\r\n");
        assert_eq!(stack.post(&headers, b"{}").unwrap().status, status);
    }
    let log = stack.log().unwrap();
    let attempts = log.iter().map(|line| (&line["status"], &line["attempts"]));
    let expected = orders.map(|(status, attempts)| (json!(status), json!(attempts)));
    assert!(
        attempts.eq(expected.iter().map(|(status, attempts)| (status, attempts))),
        "{log:?}"
    );
}

#[test]
fn a_request_that_no_filter_gave_a_model_is_a_404_error_object() {
    let stack = Stack::start(Filters::default(), None).unwrap();
    for headers in ["", "x-selected-model: other\r\n"] {
        let reply = stack.post(headers, b"{}").unwrap();
        assert_openai_error(&reply, 404, "unknown_url");
    }
}

#[test]
fn a_body_of_exactly_the_limit_passes_and_a_larger_one_is_a_413_error_object() {
    let stack = Stack::start(Filters::default(), lua(READS_BODY)).unwrap();
    let reply = stack.post(GOOD, &[b'x'; MAX_BODY_BYTES]).unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json().unwrap()["body_bytes"], MAX_BODY_BYTES);
    let reply = stack.post(GOOD, &[b'x'; MAX_BODY_BYTES + 1]).unwrap();
    assert_openai_error(&reply, 413, "request_too_large");
    assert!(reply.body.contains("larger than 65536 bytes"));
}

#[test]
fn a_reply_of_a_filter_stays_as_it_is() {
    let code = r#"function envoy_on_request(handle)
        handle:respond({[":status"] = handle:headers():get("x-status"), ["content-type"] = "application/json"}, "{\"mine\":1}")
    end"#;
    let stack = Stack::start(Filters::default(), lua(code)).unwrap();
    for status in [200, 400, 404, 413, 503] {
        let reply = stack.post(&format!("x-status: {status}\r\n"), b"").unwrap();
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (status, "{\"mine\":1}")
        );
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
}

#[test]
fn malformed_http_is_a_400_error_object() {
    let stack = Stack::start(Filters::default(), None).unwrap();
    let reply = stack.post("content-length: 7\r\n", b"{}").unwrap();
    assert_openai_error(&reply, 400, "invalid_request");
}

#[test]
fn the_llm_server_gets_its_own_host_and_no_accept_encoding() {
    let stack = Stack::start(Filters::default(), None).unwrap();
    let reply = stack
        .post(
            &format!("{GOOD}accept-encoding: gzip\r\nx-request-id: mine\r\n"),
            b"{}",
        )
        .unwrap();
    assert_eq!(reply.header("x-request-id"), Some("mine"));
    let received = reply.json().unwrap()["received"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(!received.contains("accept-encoding"), "{received}");
    for line in [
        "host: 127.0.0.1",
        "x-forwarded-host: gateway.test",
        "x-selected-model: owner/good-1.5:b",
    ] {
        assert!(received.lines().any(|l| l == line), "{line}: {received}");
    }
}

#[test]
fn without_the_router_filter_everything_goes_to_the_default_model() {
    let stack = Stack::start(Filters::NONE, None).unwrap();
    assert_eq!(stack.post("", b"{}").unwrap().status, 200);
    assert_eq!(stack.post(DEAD, b"{}").unwrap().status, 200);
}

#[test]
fn the_metrics_listener_shows_metrics_and_nothing_else() {
    let stack = Stack::start(Filters::default(), None).unwrap();
    stack.post(GOOD, b"{}").unwrap();
    let reply = get(stack.metrics, "/metrics").unwrap();
    assert_eq!(reply.status, 200);
    let line = r#"envoy_cluster_upstream_rq_total{envoy_cluster_name="llm/owner/good-1_5_b"} 1"#;
    assert!(reply.body.lines().any(|l| l == line), "{}", reply.body);
    for path in [
        "/",
        "/stats",
        "/quitquitquit",
        "/metrics/",
        "/config_dump",
        "/metrics/../config_dump",
    ] {
        assert_eq!(get(stack.metrics, path).unwrap().status, 404, "{path}");
    }
    let post = send(stack.metrics, "POST", "/metrics", "", b"").unwrap();
    assert_eq!(post.status, 404);
}

#[test]
fn the_access_log_holds_filter_state_numbers_and_no_query() {
    let entry = |key: &str, value: &str| {
        json!({
            "object_key": format!("wasm.turnpike.{key}"),
            "factory_key": "envoy.string",
            "format_string": {"text_format_source": {"inline_string": value}},
        })
    };
    let publishes = json!({
        "name": "stand_in",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": [entry("user", "al\"ice"), entry("prompt_tokens", "12"), entry("timing.router_us", "80")],
        },
    });
    let stack = Stack::start(Filters::default(), Some(publishes)).unwrap();
    assert_eq!(stack.post(GOOD, b"{\"a prompt\":1}").unwrap().status, 200);
    let log = stack.log().unwrap();
    let line = &log[0];
    for (field, value) in [
        ("user", "al\"ice"),
        ("prompt_tokens", "12"),
        ("router_us", "80"),
        ("path", "/v1/chat/completions"),
        ("upstream_cluster", "llm/owner/good-1.5:b"),
    ] {
        assert_eq!(line[field], value, "{field}: {line}");
    }
    assert_eq!(line["tier"], Value::Null);
    assert_eq!(
        (&line["status"], &line["attempts"]),
        (&json!(200), &json!(1))
    );
    // Not `request_overhead_us`: without our filters the request goes up before it is complete, and Envoy then logs null.
    for field in [
        "response_overhead_us",
        "local_us",
        "total_us",
        "duration_ms",
    ] {
        assert!(line[field].is_u64(), "{field}: {line}");
    }
    assert!(line["total_us"].as_u64() >= line["local_us"].as_u64());
    assert!(!line.to_string().contains("a prompt"));
    assert!(!line.to_string().contains("secret"));
}
