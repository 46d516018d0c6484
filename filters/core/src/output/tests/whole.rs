//! Answers that are one document.

use super::super::document::Document;
use super::super::restore::Placeholders;
use super::answers::{ALL, Api};
use super::{Stops, Unread, splits};

fn placeholders() -> Placeholders {
    Placeholders::compile(&[("[EMAIL_1]".into(), "a\"b\\@example.org".into())])
}

fn stops(at: &'static str) -> Stops {
    Stops {
        at: Some(at),
        ..Stops::default()
    }
}

/// What passes, and whether it was stopped.
fn passed(document: &mut Document, chunks: &[&[u8]], judge: &mut Stops) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, chunk) in chunks.iter().enumerate() {
        let other = document.push(chunk, i + 1 == chunks.len(), judge);
        out.extend(other.unwrap_or_else(|| chunk.to_vec()));
    }
    out
}

#[test]
fn placeholders_are_restored_in_texts_alone_at_every_split() {
    for api in ALL {
        let body = api.document("Mail [EMAIL_1] [EMAIL_2] [EMAIL");
        // What Anthropic calls `input` is no JSON in a string.
        let original = match api {
            Api::ChatTool | Api::ResponsesTool => r#"a\"b\\@example.org"#,
            _ => r#"a"b\@example.org"#,
        };
        for chunks in splits(body.as_bytes()) {
            let mut document = Document::new(placeholders(), false);
            let out = passed(&mut document, &chunks, &mut Stops::default());
            let expected = format!("Mail {original} [EMAIL_2] [EMAIL");
            assert_eq!(api.read_document(&out), expected, "{api:?}");
            let id = |body: &[u8]| body.windows(10).any(|part| part == b"[EMAIL_1]x");
            assert_eq!(id(&out), id(body.as_bytes()), "{api:?}");
        }
    }
}

#[test]
fn only_the_beginning_of_a_placeholder_waits() {
    let mut document = Document::new(placeholders(), false);
    let mut push = |chunk: &str, end| {
        let out = document.push(chunk.as_bytes(), end, &mut Stops::default());
        String::from_utf8(out.unwrap()).unwrap()
    };
    assert_eq!(push("{\"text\":\"a [EM", false), "{\"text\":\"a ");
    assert_eq!(push("AI", false), "");
    assert_eq!(push("X \\u00", false), "[EMAIX \\u00");
    assert_eq!(push("e9\",\"n\":[1", false), "e9\",\"n\":[1");
    assert_eq!(push("]}", true), "]}");
    let mut document = Document::new(placeholders(), false);
    let out = document.push(b"{\"text\":\"[EM", true, &mut Stops::default());
    assert_eq!(out.unwrap(), b"{\"text\":\"[EM", "cut off by the server");
}

#[test]
fn every_text_is_judged_whatever_its_escapes_and_splits() {
    for api in ALL {
        for (text, size) in [("BAD", 0), ("x BAD y", 0), ("BAD", 3000)] {
            let text = format!("{}{text}", "fine ".repeat(size / 5));
            let body = api.document(&text).replace("BAD", "\\u0042A\\u0044");
            for chunks in splits(body.as_bytes()).step_by(1 + size / 100) {
                let mut document = Document::new(Placeholders::default(), true);
                let mut judge = stops("BAD");
                passed(&mut document, &chunks, &mut judge);
                assert!(document.is_stopped(), "{api:?}");
                assert_eq!(judge.unread, []);
            }
        }
        let body = api.document("x B AD").replace("\"x\"", "\"B\"");
        let mut document = Document::new(Placeholders::default(), true);
        passed(&mut document, &[body.as_bytes()], &mut stops("BAD"));
        assert!(!document.is_stopped(), "texts are apart");
    }
}

#[test]
fn usage_is_found_in_a_stopped_answer() {
    for api in [Api::Chat, Api::Completions, Api::Responses, Api::Messages] {
        let body = api.document("BAD \"usage\":{1}");
        for chunks in splits(body.as_bytes()) {
            let mut document = Document::new(Placeholders::default(), true);
            passed(&mut document, &chunks, &mut stops("BAD"));
            let usage = document.usage().unwrap();
            let usage = usize::try_from(usage.start).unwrap()..usize::try_from(usage.end).unwrap();
            assert!(
                body[usage.clone()].ends_with("_tokens\":3}"),
                "{}",
                &body[usage]
            );
        }
    }
    for body in [
        r#"{"usage":null}"#,
        r#"{"a":{"usage":{}}}"#,
        r#"{"usage":{"a":1"#,
        "[]",
    ] {
        let mut document = Document::new(Placeholders::default(), true);
        passed(&mut document, &[body.as_bytes()], &mut stops("BAD"));
        assert_eq!(document.usage(), None, "{body}");
    }
}

#[test]
fn what_is_no_json_is_told_once() {
    for (body, expected) in [
        ("{\"text\":\"a\"", vec![Unread::Syntax]),
        ("hello, hello", vec![Unread::Syntax]),
        ("{} {}", vec![Unread::Syntax]),
        ("", vec![]),
        ("{}", vec![]),
    ] {
        for chunks in [
            vec![body.as_bytes()],
            body.as_bytes().chunks(2).chain([&[][..]]).collect(),
        ] {
            for strict in [true, false] {
                let mut judge = Stops {
                    strict,
                    ..stops("BAD")
                };
                let mut document = Document::new(Placeholders::default(), true);
                let out = passed(&mut document, &chunks, &mut judge);
                assert_eq!(out, body.as_bytes());
                assert_eq!(judge.unread, expected, "{body}");
                assert_eq!(document.is_stopped(), strict && !expected.is_empty());
            }
        }
    }
}
