//! What a conversation consists of.

use super::*;

fn shape(endpoint: Endpoint, body: &str) -> Shape {
    Request::parse(endpoint, body.as_bytes()).unwrap().shape
}

fn chat_shape(rest: &str) -> Shape {
    shape(
        Endpoint::ChatCompletions,
        &format!(r#"{{"model":"m",{rest}}}"#),
    )
}

#[test]
fn messages_are_counted_by_who_speaks() {
    let body = r#"{"model":"m","messages":[{"role":"developer","content":"d"},{"role":"user","content":"u"},{"role":"assistant","content":null},{"role":"tool","content":"t"},{"role":"function","content":"f"},{"content":"no role"}]}"#;
    let shape = shape(Endpoint::ChatCompletions, body);
    assert_eq!(
        [Role::System, Role::User, Role::Assistant, Role::Tool].map(|r| shape.messages_by(r)),
        [1, 2, 1, 2]
    );
    assert_eq!(shape.messages(), 6);
    assert!(!shape.in_tool_loop);
}

#[test]
fn every_api_has_a_shape() {
    for (endpoint, body, counts) in [
        (
            Endpoint::Completions,
            r#"{"model":"m","prompt":"a"}"#,
            [0, 1, 0, 0],
        ),
        (
            Endpoint::Embeddings,
            r#"{"model":"m","input":["a","b"]}"#,
            [0, 2, 0, 0],
        ),
        (
            Endpoint::Messages,
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"tool_result","content":"r"}]}],"system":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#,
            [1, 0, 0, 1],
        ),
        (
            Endpoint::Responses,
            r#"{"model":"m","instructions":"i","input":[{"role":"user","content":"q"},{"type":"reasoning","summary":[]},{"type":"function_call","arguments":"{}"},{"type":"message","role":"assistant","content":"a"},{"type":"function_call_output","output":"o"}]}"#,
            [1, 1, 1, 1],
        ),
    ] {
        let shape = shape(endpoint, body);
        let roles = [Role::System, Role::User, Role::Assistant, Role::Tool];
        assert_eq!(roles.map(|r| shape.messages_by(r)), counts, "{body}");
    }
}

#[test]
fn a_tool_loop_is_one_while_a_result_stands_last() {
    for (endpoint, items, expected) in [
        (
            Endpoint::ChatCompletions,
            r#"{"role":"user","content":"q"},{"role":"tool","content":"r"}"#,
            true,
        ),
        (
            Endpoint::ChatCompletions,
            r#"{"role":"function","name":"f","content":"r"}"#,
            true,
        ),
        (
            Endpoint::ChatCompletions,
            r#"{"role":"tool","content":"r"},{"role":"user","content":"q"}"#,
            false,
        ),
        (
            Endpoint::ChatCompletions,
            r#"{"role":"critic","content":"r"}"#,
            false,
        ),
        (Endpoint::ChatCompletions, "", false),
        (
            Endpoint::Messages,
            r#"{"role":"user","content":[{"type":"tool_result","content":"r"}]}"#,
            true,
        ),
        (
            Endpoint::Messages,
            r#"{"role":"user","content":[{"type":"text","text":"tool_result"}]}"#,
            false,
        ),
        (
            Endpoint::Messages,
            r#"{"role":"user","content":[{"type":"tool_result","content":"r"}]},{"role":"user","content":"q"}"#,
            false,
        ),
        (
            Endpoint::Responses,
            r#"{"type":"function_call_output","output":"r"}"#,
            true,
        ),
        (
            Endpoint::Responses,
            r#"{"type":"function_call_output","output":"r"},{"role":"user","content":"q"}"#,
            false,
        ),
        (
            Endpoint::Responses,
            r#"{"type":"function_call","arguments":"{}"}"#,
            false,
        ),
    ] {
        let body = format!(r#"{{"model":"m","{}":[{items}]}}"#, endpoint.input_key());
        assert_eq!(shape(endpoint, &body).in_tool_loop, expected, "{body}");
    }
}

#[test]
fn tools_images_and_audio_are_counted() {
    let shape = chat_shape(
        r#""tools":[{"type":"function","function":{"parameters":{"type":"image","properties":{"image_url":{"type":"string"}}}}},{}],"functions":[{}],
        "messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}},{"image_url":"u"},{"type":"text","text":"image","image_url":null},{"type":"input_audio","input_audio":{"data":"","format":"wav"}}]},
        {"role":"user","content":[{"type":"tool_result","content":[{"type":"im\u0061ge","source":{"type":"base64","data":""}}]},{"type":"input_image"}]},
        {"role":"assistant","audio":{"id":"a"},"tool_calls":[{"function":{"arguments":{"type":"image"}}}]}]"#,
    );
    assert_eq!((shape.tools, shape.images, shape.audios), (3, 4, 1));
}

#[test]
fn tool_choice_is_known_by_its_word() {
    for (written, choice) in [
        (r#""auto""#, Some(ToolChoice::Auto)),
        (r#""none""#, Some(ToolChoice::None)),
        (r#""required""#, Some(ToolChoice::Required)),
        (r#"{"type":"any"}"#, Some(ToolChoice::Required)),
        (
            r#"{"type":"auto","disable_parallel_tool_use":true}"#,
            Some(ToolChoice::Auto),
        ),
        (
            r#"{"function":{"name":"f","type":"none"},"type":"function"}"#,
            Some(ToolChoice::Named),
        ),
        (r#"{"type":"tool","name":"f"}"#, Some(ToolChoice::Named)),
        ("null", None),
    ] {
        let shape = chat_shape(&format!(r#""messages":[],"tool_choice":{written}"#));
        assert_eq!(shape.tool_choice, choice, "{written}");
    }
    let legacy = chat_shape(r#""messages":[],"function_call":{"name":"f"}"#);
    assert_eq!(legacy.tool_choice, Some(ToolChoice::Named));
    assert_eq!(chat_shape(r#""messages":[]"#).tool_choice, None);
}

#[test]
fn a_form_of_the_answer_is_noticed() {
    for (endpoint, member, expected) in [
        (
            Endpoint::ChatCompletions,
            r#""response_format":{"type":"json_object"}"#,
            true,
        ),
        (
            Endpoint::ChatCompletions,
            r#""response_format":{"type":"json_schema","json_schema":{"schema":{"type":"text"}}}"#,
            true,
        ),
        (
            Endpoint::ChatCompletions,
            r#""response_format":{"type":"text"}"#,
            false,
        ),
        (
            Endpoint::ChatCompletions,
            r#""response_format":null"#,
            false,
        ),
        (Endpoint::ChatCompletions, r#""seed":1"#, false),
        (
            Endpoint::Responses,
            r#""text":{"format":{"type":"json_schema","name":"n"}}"#,
            true,
        ),
        (
            Endpoint::Responses,
            r#""text":{"format":{"type":"text"},"verbosity":"low"}"#,
            false,
        ),
        (Endpoint::Responses, r#""text":{"verbosity":"low"}"#, false),
        (
            Endpoint::Messages,
            r#""output_config":{"format":{"type":"json_schema"}}"#,
            true,
        ),
    ] {
        let body = format!(r#"{{"model":"m",{member},"{}":[]}}"#, endpoint.input_key());
        assert_eq!(
            shape(endpoint, &body).has_response_format,
            expected,
            "{body}"
        );
    }
}

#[test]
fn metadata_tells_its_texts_and_scalars() {
    let body = r#"{"model":"m","messages":[],"metadata":{"team":"a\u00e9","n":1.50,"b":true,"none":null,"list":["x"],"deep":{"team":"y"},"twice":"1","twice":"2"}}"#;
    let request = chat(body).unwrap();
    for (key, value) in [
        ("team", Some("aé")),
        ("n", Some("1.50")),
        ("b", Some("true")),
        ("none", None),
        ("list", None),
        ("deep", None),
        ("twice", Some("2")),
        ("missing", None),
    ] {
        assert_eq!(
            request.metadata(key, body.as_bytes()).as_deref(),
            value,
            "{key}"
        );
    }
    let other = chat(r#"{"model":"m","messages":[],"metadata":"team"}"#).unwrap();
    assert_eq!(other.metadata("team", b""), None);
}
