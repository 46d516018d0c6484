//! Answers that a guard reads, and those in which placeholders are put back.

use std::rc::Rc;

use super::*;
use crate::decision::ResponseAction;
use crate::output::{OutputGuard, OutputPlan};

fn guard(action: ResponseAction) -> OutputPlan {
    OutputPlan {
        guard: Some(Rc::new(OutputGuard {
            jailbreak: Some(0.7),
            action,
            ..OutputGuard::default()
        })),
        ..OutputPlan::default()
    }
}

fn restore() -> OutputPlan {
    OutputPlan {
        restore: vec![("[EMAIL_1]".into(), "a@example.org".into())],
        ..OutputPlan::default()
    }
}

/// A miss whose answer comes under `plan`; what is stored of it, and what the client gets.
fn answered(plan: OutputPlan, content_type: &str, body: &str) -> (MemoryHost, String) {
    let router = cached();
    let (mut stream, mut host) = missed(&router);
    stream
        .plan_output(&mut host, Endpoint::ChatCompletions, plan)
        .unwrap();
    host.respond("200", content_type);
    stream.on_response_headers(&router, &mut host, false);
    host.chunk = body.into();
    let flow = stream.on_response_body(&router, &mut host, body.len(), true);
    assert_eq!(flow, Flow::Continue);
    drop(stream);
    assert_eq!(router.captured.bytes(), 0);
    let sent = String::from_utf8(host.chunk.clone()).unwrap();
    (host, sent)
}

const BAD: &str = r#"{"choices":[{"message":{"content":"ATTACK"},"finish_reason":"stop"}]}"#;

#[test]
fn an_answer_that_is_read_is_asked_for_uncompressed() {
    let router = cached();
    for (plan, expected) in [
        (OutputPlan::default(), None),
        (guard(ResponseAction::None), Some("identity")),
        (restore(), Some("identity")),
    ] {
        let (mut stream, mut host) = missed(&router);
        stream
            .plan_output(&mut host, Endpoint::ChatCompletions, plan)
            .unwrap();
        assert_eq!(host.request_header("accept-encoding").as_deref(), expected);
    }
}

#[test]
fn what_a_guard_objects_to_is_not_stored() {
    for action in [
        ResponseAction::Block,
        ResponseAction::Header,
        ResponseAction::None,
    ] {
        let (host, sent) = answered(guard(action), JSON, BAD);
        assert_eq!(host.stored.len(), 0, "{action:?}");
        assert_eq!(
            sent.contains("response_blocked"),
            action == ResponseAction::Block
        );
        let stream = format!("data: {BAD}\n\ndata: [DONE]\n\n");
        let (host, _) = answered(guard(action), "text/event-stream", &stream);
        assert_eq!(host.stored.len(), 0, "{action:?}");
        let (host, sent) = answered(guard(action), JSON, COMPLETE);
        assert_eq!(
            (host.stored[0].body.as_str(), sent.as_str()),
            (COMPLETE, COMPLETE)
        );
    }
}

#[test]
fn an_answer_of_one_client_is_not_stored() {
    let body = COMPLETE.replace('4', "[EMAIL_1]");
    let (host, sent) = answered(restore(), JSON, &body);
    assert_eq!(host.stored.len(), 0);
    assert_eq!(sent, COMPLETE.replace('4', "a@example.org"));
}

#[test]
fn a_warning_reaches_the_headers_with_a_meter_and_without() {
    let (mut host, _) = answered(guard(ResponseAction::Header), JSON, BAD);
    assert_eq!(
        host.response_header("x-vsr-response-warnings"),
        None,
        "the meter would strip it"
    );
    let record = Record::published(&mut host);
    assert_eq!(
        (record.response_warnings.as_ref(), record.model.as_ref()),
        ("response_jailbreak", "big")
    );
    let router = compiled(CONFIG, &ALONE);
    let mut host = chat("small", "hello");
    let (mut stream, _) = run(&router, &mut host);
    stream
        .plan_output(
            &mut host,
            Endpoint::ChatCompletions,
            guard(ResponseAction::Header),
        )
        .unwrap();
    host.respond("200", JSON);
    assert_eq!(
        stream.on_response_headers(&router, &mut host, false),
        Flow::Pause
    );
    host.chunk = BAD.into();
    assert_eq!(
        stream.on_response_body(&router, &mut host, BAD.len(), false),
        Flow::Pause
    );
    stream.on_response_trailers(&router, &mut host);
    assert_eq!(
        host.response_header("x-vsr-response-warnings").as_deref(),
        Some("response_jailbreak")
    );
}
