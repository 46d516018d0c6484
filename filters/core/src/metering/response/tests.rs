use proptest::prelude::*;

use super::*;

const STREAM: &str = concat!(
    "data: {\"id\":\"1\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"usage\":null}\n\n",
    "data: {\"id\":\"1\",\"choices\":[{\"delta\":{\"content\":\"Grüße \\\"you\\\"\"}}],\"usage\":null}\n\n",
    ": keep-alive\n\n",
    "data: {\"id\":\"1\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
    "data: {\"id\":\"1\",\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"total_tokens\":16,\"completion_tokens\":5,\"prompt_tokens_details\":{\"prompt_tokens\":99}}}\n\n",
    "data: [DONE]\n\n",
);

fn usage(prompt: u64, completion: u64) -> Usage {
    Usage {
        prompt_tokens: Some(prompt),
        completion_tokens: Some(completion),
        ..Usage::default()
    }
}

fn run(form: Form, strip: bool, pieces: &[&[u8]]) -> (Seen, Vec<u8>) {
    let mut meter = ResponseMeter::new(form, strip);
    let mut out = Vec::new();
    for piece in pieces {
        match meter.push(piece, false) {
            Some(other) => out.extend(other),
            None => out.extend_from_slice(piece),
        }
    }
    out.extend(meter.push(b"", true).unwrap_or_default());
    (meter.seen(), out)
}

fn without_usage_chunk(stream: &str) -> String {
    stream
        .split_inclusive("\n\n")
        .filter(|e| !e.contains("\"choices\":[],"))
        .collect()
}

#[test]
fn json_usage_is_found_at_every_split() {
    let body = r#"{"id":"x","usage_note":{"prompt_tokens":1},"choices":[{"message":{"content":"usage {\"prompt_tokens\":7}","usage":{"prompt_tokens":8}}}],"usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46}}"#.as_bytes();
    for at in 0..=body.len() {
        let (a, b) = body.split_at(at);
        let (seen, out) = run(Form::Json, true, &[a, b]);
        assert_eq!(
            (seen.usage, out.as_slice()),
            (usage(12, 34), body),
            "split at {at}"
        );
    }
}

#[test]
fn stream_usage_is_found_and_its_chunk_taken_out_at_every_split() {
    for line_end in ["\n", "\r\n", "\r"] {
        let stream = STREAM.replace('\n', line_end);
        let expected = without_usage_chunk(STREAM).replace('\n', line_end);
        for at in 0..=stream.len() {
            let (a, b) = stream.as_bytes().split_at(at);
            let (seen, out) = run(Form::Sse, true, &[a, b]);
            assert_eq!(seen.usage, usage(11, 5), "split at {at}");
            assert_eq!(String::from_utf8(out).unwrap(), expected, "split at {at}");
            let (seen, out) = run(Form::Sse, false, &[a, b]);
            assert_eq!(
                (seen.usage, out.as_slice()),
                (usage(11, 5), stream.as_bytes()),
                "split at {at}"
            );
        }
        let (seen, out) = run(
            Form::Sse,
            true,
            &stream.as_bytes().chunks(1).collect::<Vec<_>>(),
        );
        assert_eq!(
            (seen.usage, String::from_utf8(out).unwrap()),
            (usage(11, 5), expected)
        );
    }
}

#[test]
fn whole_events_are_not_held() {
    let mut meter = ResponseMeter::new(Form::Sse, true);
    for event in STREAM.split_inclusive("\n\n") {
        let out = meter.push(event.as_bytes(), false);
        if event.contains("\"choices\":[],") {
            assert_eq!(out, Some(Vec::new()));
        } else {
            assert_eq!(out, None, "{event}");
        }
    }
}

#[test]
fn a_huge_event_is_let_through_before_it_ends() {
    let mut meter = ResponseMeter::new(Form::Sse, true);
    let start = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}",
        "x".repeat(3000)
    );
    assert_eq!(meter.push(start.as_bytes(), false), Some(Vec::new()));
    let more = "y".repeat(3000);
    assert_eq!(
        meter.push(more.as_bytes(), false),
        Some((start + &more).into_bytes())
    );
    assert_eq!(meter.push(b"z", false), None);
    assert_eq!(
        meter.push(b"\"}}]}\n\ndata: [DO", false),
        Some(b"\"}}]}\n\n".to_vec())
    );
    assert_eq!(meter.push(b"", true), Some(b"data: [DO".to_vec()));
    assert_eq!(meter.seen().text_bytes, 6001);
}

#[test]
fn cumulative_usage_ends_at_its_last_value_when_the_stream_breaks() {
    let broken = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1}}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"b\"}}],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2}}\n\ndata: {\"choices\":[{\"del";
    let (seen, out) = run(Form::Sse, true, &[broken.as_bytes()]);
    assert_eq!(
        seen,
        Seen {
            usage: usage(4, 2),
            text_bytes: 2
        }
    );
    assert_eq!(out, broken.as_bytes());
}

#[test]
fn other_apis_report_their_usage_too() {
    let anthropic = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":15}}\n\n";
    assert_eq!(
        run(Form::Sse, false, &[anthropic.as_bytes()]).0.usage,
        usage(25, 15)
    );
    let responses = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"usage\":{\"input_tokens\":3,\"input_tokens_details\":{\"cached_tokens\":1},\"output_tokens\":9}}}\n\n";
    assert_eq!(
        run(Form::Sse, false, &[responses.as_bytes()]).0.usage,
        Usage {
            cached_tokens: Some(1),
            ..usage(3, 9)
        }
    );
    let embeddings =
        "{\"data\":[{\"embedding\":[0.1]}],\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8}}";
    assert_eq!(
        run(Form::Json, false, &[embeddings.as_bytes()]).0.usage,
        Usage {
            prompt_tokens: Some(8),
            ..Usage::default()
        }
    );
}

/// One stream and one document of each API, with the usage that must be found.
fn golden() -> Vec<(&'static str, Form, String, Usage)> {
    let sse = |events: &[&str]| {
        events
            .iter()
            .map(|e| format!("data: {e}\n\n"))
            .collect::<String>()
    };
    let named = |events: &[(&str, &str)]| {
        events
            .iter()
            .map(|(name, data)| format!("event: {name}\ndata: {data}\n\n"))
            .collect::<String>()
    };
    let full = Usage {
        cached_tokens: Some(8),
        reasoning_tokens: Some(3),
        ..usage(20, 7)
    };
    let claude = Usage {
        cache_read_tokens: Some(100),
        cache_creation_tokens: Some(50),
        ..usage(25, 15)
    };
    let details = r#""usage":{"prompt_tokens":20,"completion_tokens":7,"total_tokens":27,"prompt_tokens_details":{"cached_tokens":8,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":3}}"#;
    let responses = r#""usage":{"input_tokens":20,"input_tokens_details":{"cached_tokens":8},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":3},"total_tokens":27}"#;
    let anthropic = r#""usage":{"input_tokens":25,"cache_creation_input_tokens":50,"cache_read_input_tokens":100,"output_tokens":1}"#;
    vec![
        ("chat", Form::Json, format!(r#"{{"id":"1","choices":[{{"message":{{"content":"é"}}}}],{details}}}"#), full),
        ("chat stream", Form::Sse, sse(&[r#"{"choices":[{"delta":{"content":"a"}}],"usage":null}"#, &format!(r#"{{"choices":[],{details}}}"#), "[DONE]"]), full),
        ("completions", Form::Json, format!(r#"{{"choices":[{{"text":"a"}}],{details}}}"#), full),
        ("completions stream", Form::Sse, sse(&[r#"{"choices":[{"text":"a"}]}"#, &format!(r#"{{"choices":[],{details}}}"#)]), full),
        ("embeddings", Form::Json, r#"{"data":[{"embedding":[0.1,-2e-3]}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#.into(), Usage { prompt_tokens: Some(8), ..Usage::default() }),
        ("responses", Form::Json, format!(r#"{{"object":"response","output":[{{"content":[{{"text":"a"}}]}}],{responses}}}"#), full),
        ("responses stream", Form::Sse, named(&[("response.output_text.delta", r#"{"type":"response.output_text.delta","delta":"a"}"#), ("response.completed", &format!(r#"{{"type":"response.completed","response":{{"id":"r",{responses}}}}}"#))]), full),
        ("messages", Form::Json, r#"{"type":"message","content":[{"type":"text","text":"a"}],"usage":{"input_tokens":25,"cache_creation_input_tokens":50,"cache_read_input_tokens":100,"output_tokens":15}}"#.into(), claude),
        ("messages stream", Form::Sse, named(&[("message_start", &format!(r#"{{"type":"message_start","message":{{"id":"m",{anthropic}}}}}"#)), ("content_block_delta", r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}"#), ("message_delta", r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}}"#)]), claude),
        ("vLLM stream with continuous usage", Form::Sse, sse(&[r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":20,"completion_tokens":1,"total_tokens":21}}"#, r#"{"choices":[{"delta":{"content":"b"}}],"usage":{"prompt_tokens":20,"completion_tokens":2,"total_tokens":22}}"#, "[DONE]"]), usage(20, 2)),
        ("Gemini stream", Form::Sse, sse(&[r#"{"choices":[{"delta":{"content":"a","role":"assistant"}}],"created":1,"model":"gemini","object":"chat.completion.chunk","usage":{"completion_tokens":7,"prompt_tokens":20,"total_tokens":27}}"#, "[DONE]"]), usage(20, 7)),
    ]
}

#[test]
fn usage_of_every_api_is_found_at_every_split() {
    for (name, form, body, expected) in golden() {
        for at in 0..=body.len() {
            let (a, b) = body.as_bytes().split_at(at);
            let (seen, out) = run(form, false, &[a, b]);
            assert_eq!(
                (seen.usage, out.as_slice()),
                (expected, body.as_bytes()),
                "{name} split at {at}"
            );
        }
        let bytes: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
        assert_eq!(
            run(form, true, &bytes).0.usage,
            expected,
            "{name} byte by byte"
        );
    }
}

#[test]
fn cached_tokens_are_part_of_the_prompt_whoever_counts_them() {
    let usages: Vec<(&str, Usage)> = golden()
        .into_iter()
        .map(|(name, _, _, usage)| (name, usage))
        .collect();
    let of = |name: &str| usages.iter().find(|u| u.0 == name).unwrap().1;
    let chat = of("chat");
    assert_eq!(
        (
            chat.prompt(),
            chat.cached(),
            chat.completion(),
            chat.reasoning()
        ),
        (20, 8, 7, 3)
    );
    let claude = of("messages");
    assert_eq!(
        (claude.prompt(), claude.cached(), claude.completion()),
        (175, 100, 15)
    );
}

#[test]
fn nonsense_counts_are_not_counted() {
    for body in [
        r#"{"usage":{"prompt_tokens":-3,"completion_tokens":1.5}}"#,
        r#"{"usage":{"prompt_tokens":"5"}}"#,
        r#"{"usage":{"prompt_tokens":18446744073709551615}}"#,
        r#"{"usage":[5]}"#,
        r#"{"usage":null}"#,
        "[{\"usage\":{\"prompt_tokens\":3}}]",
        "not json",
    ] {
        assert!(
            !run(Form::Json, false, &[body.as_bytes()]).0.usage.is_some(),
            "{body}"
        );
    }
}

#[test]
fn content_types_are_read_whatever_their_case_and_parameters() {
    assert_eq!(
        Form::of_content_type(b"Application/JSON; charset=utf-8"),
        Form::Json
    );
    assert_eq!(
        Form::of_content_type(b"text/event-stream;charset=utf-8"),
        Form::Sse
    );
    assert_eq!(Form::of_content_type(b"text/plain"), Form::Other);
}

proptest! {
    #[test]
    fn any_cut_of_a_stream_meters_and_strips_the_same(cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let bytes = STREAM.as_bytes();
        let mut at: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
        at.sort_unstable();
        let mut pieces: Vec<&[u8]> = Vec::new();
        let mut from = 0;
        for cut in at {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        pieces.push(&bytes[from..]);
        let (seen, out) = run(Form::Sse, true, &pieces);
        prop_assert_eq!(seen.usage, usage(11, 5));
        prop_assert_eq!(String::from_utf8(out).unwrap(), without_usage_chunk(STREAM));
    }

    #[test]
    fn any_bytes_pass_unchanged_when_nothing_is_stripped(bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
        let (a, b) = bytes.split_at(at.index(bytes.len() + 1));
        for form in [Form::Json, Form::Sse, Form::Other] {
            let (_, out) = run(form, true, &[a, b]);
            prop_assert_eq!(&out, &bytes);
        }
    }
}
