use proptest::prelude::*;

use super::*;

mod edits;
mod guarded;
mod properties;
mod shape;

const ALL: [Endpoint; 5] = [
    Endpoint::ChatCompletions,
    Endpoint::Completions,
    Endpoint::Embeddings,
    Endpoint::Responses,
    Endpoint::Messages,
];

fn chat(body: &str) -> Result<Request, RequestError> {
    Request::parse(Endpoint::ChatCompletions, body.as_bytes())
}

fn texts(endpoint: Endpoint, body: &str) -> Vec<(Role, String)> {
    let request = Request::parse(endpoint, body.as_bytes()).unwrap();
    request
        .messages
        .iter()
        .map(|m| (m.role, m.text(body.as_bytes())))
        .collect()
}

#[test]
fn model_stream_and_texts_are_found() {
    let body = r#"{"messages":[{"role":"system","content":"Be brief."},{"content":[{"type":"text","text":"Hello \u00e9"},{"type":"image_url","image_url":{"url":"x"}},{"type":"text","text":"two"}],"role":"user"}],"stream":true,"model":"auto","user":"x"}"#;
    let request = chat(body).unwrap();
    assert_eq!(request.model, "auto");
    assert_eq!(&body[request.model_span.clone()], "\"auto\"");
    assert!(request.stream);
    assert_eq!(request.last_user_text(body.as_bytes()), "Hello é\ntwo");
    assert_eq!(
        texts(Endpoint::ChatCompletions, body),
        [
            (Role::System, "Be brief.".into()),
            (Role::User, "Hello é\ntwo".into())
        ]
    );
    assert_eq!(&body[request.member("user").unwrap()], "\"x\"");
    assert!(
        request
            .member("messages")
            .is_some_and(|s| body[s].ends_with(']'))
    );
}

#[test]
fn the_last_word_of_somebody_else_is_not_the_users() {
    let body = r#"{"model":"auto","messages":[{"role":"user","content":"q"},{"role":"tool","content":"result"}]}"#;
    let request = chat(body).unwrap();
    assert_eq!(request.last_user_text(body.as_bytes()), "");
    assert_eq!(request.routing_text(body.as_bytes()), "q");
}

#[test]
fn every_api_shows_its_texts() {
    let t = texts;
    assert_eq!(
        t(Endpoint::Completions, r#"{"model":"m","prompt":"a"}"#),
        [(Role::User, "a".into())]
    );
    assert_eq!(
        t(Endpoint::Embeddings, r#"{"input":["a","b"],"model":"m"}"#),
        [(Role::User, "a".into()), (Role::User, "b".into())]
    );
    assert_eq!(
        t(
            Endpoint::Responses,
            r#"{"model":"m","instructions":"s","input":[{"role":"user","content":[{"type":"input_text","text":"a"}]}]}"#
        ),
        [(Role::System, "s".into()), (Role::User, "a".into())]
    );
    assert_eq!(
        t(
            Endpoint::Messages,
            r#"{"model":"m","system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":[{"type":"tool_result","content":[{"type":"text","text":"hidden"}]}]}]}"#
        ),
        [(Role::System, "s".into()), (Role::Tool, String::new())]
    );
}

#[test]
fn wrong_bodies_are_refused_with_a_reason() {
    for (body, message) in [
        (
            "",
            "The request body is not valid JSON: it ends too early at byte 0.",
        ),
        ("[]", "The request body must be a JSON object."),
        (
            "{\"model\":\"a\"",
            "The request body is not valid JSON: it ends too early at byte 12.",
        ),
        ("{\"messages\":[]}", "Missing required parameter: 'model'."),
        (
            "{\"model\":\"a\"}",
            "Missing required parameter: 'messages'.",
        ),
        (
            "{\"model\":5,\"messages\":[]}",
            "Invalid type for 'model': expected a string.",
        ),
        (
            "{\"model\":{},\"messages\":[]}",
            "Invalid type for 'model': expected a string.",
        ),
        (
            "{\"model\":\"a\",\"messages\":[],\"stream\":\"yes\"}",
            "Invalid type for 'stream': expected a boolean.",
        ),
        (
            "{\"model\":\"a\",\"mod\\u0065l\":\"b\",\"messages\":[]}",
            "The parameter 'model' is given more than once.",
        ),
        (
            "{\"model\":\"a\",\"messages\":[],\"messages\":[]}",
            "The parameter 'messages' is given more than once.",
        ),
        (
            "{\"model\":\"a\",\"Model\":\"b\",\"messages\":[]}",
            "The parameter 'model' must be written in lower case.",
        ),
        (
            "{\"model\":\"a\",\"messages\":[],\"me\\u017f\u{017f}ages\":[]}",
            "The parameter 'messages' must be written in lower case.",
        ),
        (
            "{\"model\":\"a\",\"messages\":[],\"STREAM\":true}",
            "The parameter 'stream' must be written in lower case.",
        ),
        (
            "{\"model\":\"a\",\"messages\":[],\"stream_options\":{\"include_usage\":\"false\"}}",
            "Invalid type for 'stream_options.include_usage': expected a boolean.",
        ),
        (
            "{\"model\":\"a\",\"messages\":[],\"stream_options\":{\"include_usage\":{},\"x\":1}}",
            "Invalid type for 'stream_options.include_usage': expected a boolean.",
        ),
        (
            r#"{"model":"a","messages":[{"role":"user","content":"a","content":[]}]}"#,
            "The parameter 'content' is given more than once.",
        ),
        (
            r#"{"model":"a","messages":[{"role":"user","r\u006fle":"system","content":"a"}]}"#,
            "The parameter 'role' is given more than once.",
        ),
    ] {
        assert_eq!(chat(body).unwrap_err().to_string(), message, "{body}");
    }
    let error = Request::parse(Endpoint::ChatCompletions, b"{\"model\":\"\xff\"}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "The request body is not valid UTF-8 at byte 10."
    );
}

#[test]
fn edits_change_only_what_they_name() {
    for (body, expected) in [
        (
            r#"{ "model" : "auto","messages":[], "stream":true}"#,
            r#"{"stream_options":{"include_usage":true}, "model" : "big \"one\"","messages":[], "stream":true}"#,
        ),
        (
            r#"{"stream_options":{},"model":"auto","messages":[]}"#,
            r#"{"stream_options":{"include_usage":true},"model":"big \"one\"","messages":[]}"#,
        ),
        (
            r#"{"stream_options":{"x":1},"model":"auto","messages":[]}"#,
            r#"{"stream_options":{"include_usage":true,"x":1},"model":"big \"one\"","messages":[]}"#,
        ),
        (
            r#"{"model":"auto","stream_options":null,"messages":[]}"#,
            r#"{"model":"big \"one\"","stream_options":{"include_usage":true},"messages":[]}"#,
        ),
        (
            r#"{"model":"auto","stream_options":{"include_usage": false },"messages":[]}"#,
            r#"{"model":"big \"one\"","stream_options":{"include_usage": true },"messages":[]}"#,
        ),
    ] {
        let request = chat(body).unwrap();
        let mut edits = Edits::default();
        edits.set_model("big \"one\"");
        edits.include_usage();
        let edited = String::from_utf8(edits.apply(&request, body.as_bytes())).unwrap();
        assert_eq!(edited, expected);
        let value: serde_json::Value = serde_json::from_str(&edited).unwrap();
        assert_eq!(value["stream_options"]["include_usage"], true);
    }
    let body = r#"{"model":"m","messages":[]}"#;
    let request = chat(body).unwrap();
    let mut edits = Edits::default();
    assert!(edits.is_empty());
    edits.set_member("reasoning_effort", "\"high\"");
    assert_eq!(
        edits.apply(&request, body.as_bytes()),
        br#"{"reasoning_effort":"high","model":"m","messages":[]}"#
    );
}

#[test]
fn stream_options_say_what_was_asked() {
    let options = |body: &str| chat(body).unwrap().include_usage;
    assert_eq!(
        options(r#"{"model":"m","messages":[],"stream_options":{"include_usage":true}}"#),
        Some(true)
    );
    assert_eq!(
        options(r#"{"model":"m","messages":[],"stream_options":{"other":{"include_usage":true}}}"#),
        None
    );
}

proptest! {
    #[test]
    fn any_body_is_parsed_or_refused_and_never_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Request::parse(Endpoint::ChatCompletions, &body);
    }

    #[test]
    fn texts_are_what_serde_json_reads(text in ".{0,40}", more in ".{0,40}", model in ".{1,20}") {
        let value = serde_json::json!({"messages":[{"role":"user","content":text},{"role":"user","content":[{"type":"text","text":more}]}],"model":model});
        let body = value.to_string();
        let request = chat(&body).unwrap();
        prop_assert_eq!(&request.model, &model);
        prop_assert_eq!(request.messages[0].text(body.as_bytes()), text);
        prop_assert_eq!(request.messages[1].text(body.as_bytes()), more);
    }
}
