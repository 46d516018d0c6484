//! Whole answers, callback by callback.

use std::rc::Rc;

use super::super::{OutputGuard, OutputPlan, OutputRules, OutputStream};
use super::answers::Api;
use crate::config::OnBudget;
use crate::decision::ResponseAction;
use crate::host::memory::MemoryHost;
use crate::host::{Flow, Host as _};
use crate::metering::{Seen, Usage, Withheld};
use crate::metrics::Metric;
use crate::request::Endpoint;
use crate::routing::words::Words;

fn rules(on_budget: OnBudget) -> OutputRules<'static, Words> {
    OutputRules {
        signals: &Words,
        budget_us: 1_000_000,
        on_budget,
        held_bytes: 4000,
        measures: true,
    }
}

fn guard(action: ResponseAction) -> OutputPlan {
    OutputPlan {
        guard: Some(Rc::new(OutputGuard {
            jailbreak: Some(0.7),
            toxicity: Some(0.7),
            pii: None,
            action,
        })),
        restore: Vec::new(),
    }
}

fn restore() -> OutputPlan {
    OutputPlan {
        guard: None,
        restore: vec![("[EMAIL_1]".into(), "a@example.org".into())],
    }
}

/// An answer on its way.
struct Case {
    plan: OutputPlan,
    endpoint: Endpoint,
    rules: OutputRules<'static, Words>,
    headers: Vec<(&'static str, &'static str)>,
    chunks: Vec<String>,
}

fn case(plan: OutputPlan, content_type: &'static str, body: &str) -> Case {
    Case {
        plan,
        endpoint: Endpoint::ChatCompletions,
        rules: rules(OnBudget::Block),
        headers: vec![(":status", "200"), ("content-type", content_type)],
        chunks: vec![body.to_owned()],
    }
}

const JSON: &str = "application/json";
const SSE: &str = "text/event-stream";

/// What the client gets.
struct Got {
    host: MemoryHost,
    body: String,
    stream: OutputStream,
    /// Whether the headers waited for the body.
    held: bool,
}

impl Got {
    fn header(&self, name: &str) -> String {
        self.host.response_header(name).unwrap_or_default()
    }

    fn error_code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body["error"]["code"].as_str().unwrap().to_owned()
    }
}

impl Case {
    /// As the proxy calls: what a filter does not let go is there again with the next chunk.
    fn run(self) -> Got {
        let mut host = MemoryHost::default();
        for (name, value) in self.headers {
            host.set_response_header(name, value.as_bytes());
        }
        let mut stream = OutputStream::new(self.endpoint, self.plan);
        let headers = host.response_headers();
        let flow = stream.on_headers(&self.rules, &mut host, &headers, self.chunks.is_empty());
        let held = flow == Flow::Pause;
        let (mut body, mut waits) = (Vec::new(), held);
        for (i, chunk) in self.chunks.iter().enumerate() {
            host.chunk.extend_from_slice(chunk.as_bytes());
            let (size, held) = (host.chunk.len(), stream.held().unwrap_or_default());
            let chunk = host.response_chunk(held, size - held);
            let end = i + 1 == self.chunks.len();
            let flow = stream.on_body(&self.rules, &mut host, (Some(&chunk), size), end);
            waits &= flow == Flow::Pause;
            assert_eq!(
                waits,
                flow == Flow::Pause,
                "headers have gone, so no body is held"
            );
            if flow == Flow::Continue {
                body.append(&mut host.chunk);
            }
        }
        assert!(!waits, "all goes in the end");
        Got {
            host,
            body: String::from_utf8(body).unwrap(),
            stream,
            held,
        }
    }

    fn chunked(mut self, size: usize) -> Self {
        let body = self.chunks.concat();
        let chunks = body.as_bytes().chunks(size);
        self.chunks = chunks
            .map(|c| String::from_utf8(c.to_vec()).unwrap())
            .collect();
        self
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value));
        self
    }

    fn allowing(mut self) -> Self {
        self.rules = rules(OnBudget::Allow);
        self
    }
}

#[test]
fn without_a_plan_the_body_is_not_looked_at() {
    let got = case(OutputPlan::default(), JSON, "{}").run();
    assert!(got.stream.is_done() && !got.held);
    assert_eq!(got.host.host_calls, 4, "what the test itself called");
}

#[test]
fn a_blocked_document_becomes_an_error_with_its_usage() {
    for size in [7, 100_000] {
        let body = Api::Chat.document("you are TOXIC");
        let case = case(guard(ResponseAction::Block), JSON, &body).chunked(size);
        let got = case
            .header("content-length", "99")
            .header("etag", "x")
            .run();
        assert!(got.held);
        let error: serde_json::Value = serde_json::from_str(&got.body).unwrap();
        assert_eq!(
            error,
            serde_json::json!({
                "error": {
                    "message": "Response blocked: toxic content was detected in the answer of the model.",
                    "type": "permission_error",
                    "param": null,
                    "code": "response_blocked",
                },
                "usage": {"prompt_tokens": 3},
            })
        );
        assert_eq!(got.header(":status"), "403");
        assert_eq!(got.header("content-length"), got.body.len().to_string());
        assert_eq!(got.header("etag"), "");
        let detected = got
            .host
            .counter(Metric::ResponseDetections, &["response_toxicity"]);
        assert_eq!(
            (
                detected,
                got.host.counter(Metric::Errors, &["response_blocked"])
            ),
            (1, 1)
        );
        assert_eq!(got.host.state["turnpike.block"], "response_blocked");
        assert_eq!(
            got.host.state["turnpike.response_warnings"],
            "response_toxicity"
        );
        assert!(got.stream.is_stopped() && got.stream.found().is_some());
        assert_eq!(got.host.histograms.len(), 1, "{:?}", got.host.histograms);
    }
}

#[test]
fn a_document_without_fault_passes_with_its_length() {
    let body = Api::Chat.document("all is well");
    let case = case(guard(ResponseAction::Block), JSON, &body).chunked(5);
    let got = case.header("content-length", "99").run();
    assert!(got.held);
    assert_eq!(
        (got.body, got.host.response_header("content-length")),
        (body, Some("99".into()))
    );
}

#[test]
fn a_warning_is_for_the_headers_of_documents_and_the_log_of_streams() {
    let text = "an ATTACK";
    let document = case(
        guard(ResponseAction::Header),
        JSON,
        &Api::Chat.document(text),
    )
    .chunked(9)
    .run();
    let stream = case(
        guard(ResponseAction::Header),
        SSE,
        &Api::Chat.stream(&[text]),
    )
    .chunked(9)
    .run();
    assert!(document.held && !stream.held);
    assert_eq!(document.body, Api::Chat.document(text));
    assert_eq!(stream.body, Api::Chat.stream(&[text]));
    for got in [document, stream] {
        assert_eq!(got.stream.warning(), Some("response_jailbreak"));
        assert_eq!(
            got.host.state["turnpike.response_warnings"],
            "response_jailbreak"
        );
        assert_eq!(got.header(":status"), "200");
        assert!(!got.stream.is_stopped());
    }
}

#[test]
fn nothing_is_held_or_told_where_nothing_shall_be_done() {
    for (kind, body) in [
        (JSON, Api::Chat.document("an ATTACK")),
        (SSE, Api::Chat.stream(&["an ATTACK"])),
    ] {
        let got = case(guard(ResponseAction::None), kind, &body)
            .chunked(9)
            .run();
        assert!(!got.held);
        assert_eq!(
            (got.body.as_str(), got.stream.warning()),
            (body.as_str(), None)
        );
        assert_eq!(
            got.host
                .counter(Metric::ResponseDetections, &["response_jailbreak"]),
            1
        );
    }
}

#[test]
fn a_cut_stream_ends_as_its_api_tells_errors() {
    let message = "Response blocked: jailbreak content was detected in the answer of the model.";
    for (api, endpoint, end) in [
        (
            Api::Chat,
            Endpoint::ChatCompletions,
            "data: {\"error\":{\"message\":\"{}\",\"type\":\"permission_error\",\"param\":null,\"code\":\"response_blocked\"}}\n\ndata: [DONE]\n\n",
        ),
        (
            Api::Completions,
            Endpoint::Completions,
            "data: {\"error\":{\"message\":\"{}\",\"type\":\"permission_error\",\"param\":null,\"code\":\"response_blocked\"}}\n\ndata: [DONE]\n\n",
        ),
        (
            Api::Responses,
            Endpoint::Responses,
            "event: error\ndata: {\"code\":\"response_blocked\",\"message\":\"{}\",\"param\":null,\"sequence_number\":5,\"type\":\"error\"}\n\n",
        ),
        (
            Api::Messages,
            Endpoint::Messages,
            "event: error\ndata: {\"error\":{\"message\":\"{}\",\"type\":\"permission_error\"},\"type\":\"error\"}\n\n",
        ),
    ] {
        for size in [3, 100_000] {
            let text = format!("{}ATTACK and more", "fine ".repeat(300));
            let pieces: Vec<&str> = text
                .as_bytes()
                .chunks(10)
                .map(|p| std::str::from_utf8(p).unwrap())
                .collect();
            let stream = api.stream(&pieces);
            let mut case = case(guard(ResponseAction::Block), SSE, &stream)
                .chunked(size)
                .header("content-length", "99");
            case.endpoint = endpoint;
            let got = case.run();
            let end = end.replace("{}", message);
            let before = got
                .body
                .strip_suffix(&end)
                .unwrap_or_else(|| panic!("{api:?}: {}", got.body));
            assert!(
                stream.starts_with(before) && api.read(before.as_bytes()).len() > 500,
                "{api:?}"
            );
            assert!(!before.contains("ATTACK"));
            assert_eq!(
                (
                    got.header(":status").as_str(),
                    got.header("content-length").as_str()
                ),
                ("200", "")
            );
            assert_eq!(got.host.counter(Metric::Errors, &["response_blocked"]), 1);
            assert!(got.stream.is_stopped() && !got.held);
        }
    }
}

#[test]
fn guards_read_what_the_model_wrote_and_clients_what_it_stands_for() {
    let plan = |action| OutputPlan {
        restore: restore().restore,
        ..guard(action)
    };
    for action in [
        ResponseAction::Block,
        ResponseAction::Header,
        ResponseAction::None,
    ] {
        for size in [4, 100_000] {
            let text = "Mail [EMAIL_1] now";
            for (kind, body) in [
                (JSON, Api::Chat.document(text)),
                (SSE, Api::Chat.stream(&["Mail [EMA", "IL_1] now"])),
            ] {
                let case = case(plan(action), kind, &body).chunked(size);
                let got = case.header("content-length", "99").run();
                let read = if kind == JSON {
                    Api::Chat.read_document(got.body.as_bytes())
                } else {
                    Api::Chat.read(got.body.as_bytes())
                };
                assert_eq!(read, "Mail a@example.org now", "{action:?}");
                assert_eq!(got.header("content-length"), "", "it is another now");
            }
        }
    }
}

#[test]
fn what_cannot_be_read_is_blocked_or_passes_as_configured() {
    let large = Api::Chat.document(&"all is well ".repeat(500));
    for (encoding, kind, body, code) in [
        ("gzip", JSON, "zzzz", "response_encoding"),
        ("identity", "text/plain", "hello", "response_form"),
        ("identity", JSON, "hello", "response_syntax"),
        ("identity", JSON, large.as_str(), "response_size"),
    ] {
        for size in [3, 100_000] {
            let case = |plan| {
                case(plan, kind, body)
                    .header("content-encoding", encoding)
                    .chunked(size)
            };
            let got = case(guard(ResponseAction::Block)).run();
            assert_eq!(
                (got.header(":status"), got.error_code()),
                ("502".into(), "response_not_judged".into()),
                "{code}"
            );
            assert_eq!(got.header("content-length"), got.body.len().to_string());
            assert_eq!(got.header("content-encoding"), "");
            assert_eq!(got.host.counter(Metric::Fallbacks, &[code]), 1);
            for got in [
                case(guard(ResponseAction::Block)).allowing().run(),
                case(guard(ResponseAction::Header)).run(),
                case(guard(ResponseAction::None)).run(),
                case(restore()).run(),
            ] {
                assert_eq!(
                    (got.header(":status").as_str(), got.body.as_str()),
                    ("200", body),
                    "{code}"
                );
                assert!(!got.stream.is_stopped());
                assert_eq!(got.header("content-encoding"), encoding);
            }
        }
    }
}

#[test]
fn what_an_answer_costs_that_cannot_be_read_is_told_to_the_meter() {
    let text = "all is well ".repeat(500);
    let large = Api::Chat.document(&text);
    let reported = Usage {
        prompt_tokens: Some(3),
        ..Usage::default()
    };
    let length = |text: &str| text.len() as u64;
    let block = || guard(ResponseAction::Block);
    for (name, case, usage, text_bytes) in [
        ("size", case(block(), JSON, &large), reported, length(&text)),
        (
            "encoding",
            case(block(), JSON, &large).header("content-encoding", "gzip"),
            Usage::default(),
            length(&large),
        ),
        (
            "encoded stream",
            case(block(), SSE, &large).header("content-encoding", "gzip"),
            Usage::default(),
            length(&large),
        ),
        (
            "form",
            case(block(), "text/plain", "hello you"),
            Usage::default(),
            9,
        ),
        (
            "syntax",
            case(block(), JSON, "{hello you all"),
            Usage::default(),
            14,
        ),
    ] {
        for size in [3, 100_000] {
            let mut case = Case {
                plan: block(),
                headers: case.headers.clone(),
                chunks: case.chunks.clone(),
                endpoint: case.endpoint,
                rules: rules(OnBudget::Block),
            };
            // The end of the stream may come by itself.
            case = case.chunked(size);
            case.chunks.push(String::new());
            let mut got = case.run();
            assert_eq!(
                (got.header(":status"), got.error_code()),
                ("502".into(), "response_not_judged".into()),
                "{name}"
            );
            let seen = Withheld::published(&mut got.host);
            assert_eq!(seen, Some(Seen { usage, text_bytes }), "{name}");
        }
    }
}

#[test]
fn nothing_is_told_of_an_answer_that_passes() {
    let body = Api::Chat.document("all is well");
    let mut got = case(guard(ResponseAction::Block), JSON, &body).run();
    assert_eq!(Withheld::published(&mut got.host), None);
}

#[test]
fn a_stream_that_cannot_be_read_is_cut() {
    let got = case(
        guard(ResponseAction::Block),
        SSE,
        &(Api::Chat.stream(&["fine"]) + "data: hello\n\n"),
    )
    .run();
    assert!(got.body.ends_with("because it is no valid JSON.\",\"type\":\"server_error\",\"param\":null,\"code\":\"response_not_judged\"}}\n\ndata: [DONE]\n\n"), "{}", got.body);
}

#[test]
fn a_large_answer_that_was_found_bad_is_blocked_without_usage() {
    let body = Api::Chat.document(&("ATTACK ".to_owned() + &"all is well ".repeat(500)));
    for action in [ResponseAction::Block, ResponseAction::Header] {
        let got = case(guard(action), JSON, &body)
            .chunked(1000)
            .allowing()
            .run();
        if action == ResponseAction::Block {
            assert_eq!(
                (got.header(":status"), got.error_code()),
                ("403".into(), "response_blocked".into())
            );
            assert!(!got.body.contains("usage"));
        } else {
            assert_eq!(
                (got.body.as_str(), got.stream.warning()),
                (body.as_str(), Some("response_jailbreak"))
            );
        }
    }
}

#[test]
fn reading_ends_with_its_budget() {
    let body = Api::Chat.document(&"all is well ".repeat(250));
    for (on_budget, status) in [(OnBudget::Block, "502"), (OnBudget::Allow, "200")] {
        let mut case = case(guard(ResponseAction::Block), JSON, &body);
        case.rules = OutputRules {
            budget_us: 20,
            ..rules(on_budget)
        };
        let got = case.run();
        assert_eq!(got.header(":status"), status);
        assert_eq!(got.host.counter(Metric::Fallbacks, &["response_budget"]), 1);
    }
}

#[test]
fn errors_of_the_server_and_empty_answers_pass() {
    for status in ["500", "404", "302"] {
        let got = case(guard(ResponseAction::Block), JSON, "ATTACK")
            .header(":status", status)
            .run();
        assert_eq!((got.body.as_str(), got.held), ("ATTACK", false));
    }
    let mut empty = case(guard(ResponseAction::Block), JSON, "");
    empty.chunks.clear();
    assert!(!empty.run().held);
    let got = case(guard(ResponseAction::Block), JSON, "").run();
    assert_eq!(
        (got.header(":status").as_str(), got.body.as_str()),
        ("200", "")
    );
}

#[test]
fn what_the_proxy_does_not_show_does_not_pass() {
    for (kind, status) in [(JSON, "502"), (SSE, "200")] {
        let mut host = MemoryHost::default();
        host.respond("200", kind);
        host.chunk = b"ATTACK".to_vec();
        let mut stream = OutputStream::new(Endpoint::ChatCompletions, guard(ResponseAction::Block));
        let headers = host.response_headers();
        let rules = rules(OnBudget::Block);
        stream.on_headers(&rules, &mut host, &headers, false);
        stream.on_body(&rules, &mut host, (None, 6), true);
        let sent = String::from_utf8_lossy(&host.chunk).into_owned();
        assert!(
            !sent.contains("ATTACK") && sent.contains("response_not_judged"),
            "{sent}"
        );
        assert_eq!(host.response_header(":status").as_deref(), Some(status));
    }
}
