//! Edits of arbitrary documents, beside the same edits of their meaning.

use serde_json::value::RawValue;

use super::*;
use crate::json::Members;

/// A JSON value's meaning: numbers as they are written, members by their keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Tree {
    Scalar(String),
    Text(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

fn tree(json: &str) -> Tree {
    match json.trim().as_bytes()[0] {
        b'"' => Tree::Text(serde_json::from_str(json).unwrap()),
        b'[' => {
            let values: Vec<&RawValue> = serde_json::from_str(json).unwrap();
            Tree::Array(values.iter().map(|v| tree(v.get())).collect())
        }
        b'{' => {
            let members = members(json).into_iter();
            let mut members: Vec<_> = members.map(|(k, v)| (k, tree(&v))).collect();
            members.sort();
            Tree::Object(members)
        }
        _ => Tree::Scalar(json.trim().into()),
    }
}

/// Members as they are written.
fn members(json: &str) -> Vec<(String, String)> {
    let Members(members) = serde_json::from_str(json).unwrap();
    let members = members.into_iter();
    members.map(|(k, v)| (k, v.get().to_owned())).collect()
}

fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", " ", "\n\t", "\r\n  "])
}

/// A string as written, without quotes.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "\\n",
            "\\\"",
            "\\\\",
            "\\/",
            "\\u00e9",
            "\\u0041",
            "\\ud83d\\ude00",
            "\\u0000",
            "é",
            "你",
            "😀",
            "}",
            "[",
            ",",
            ":",
            " ",
        ])
        .prop_map(String::from),
        "[a-z@]{1,12}",
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// A JSON value as somebody may write it.
fn any_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "null",
            "true",
            "false",
            "0",
            "-0.0",
            "1.0",
            "1E400",
            "-12e-3",
            "{}",
            "[ ]",
            "{ }",
            "123456789012345678901234567890123456789012345678901234567890.5",
        ])
        .prop_map(String::from),
        any_text().prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..4), space(), space()).prop_map(
                |(values, a, b)| { format!("[{a}{}{b}]", values.join(&format!("{b},{a}"))) }
            ),
            (
                prop::collection::vec((any_key(), inner), 0..4),
                space(),
                space()
            )
                .prop_map(|(members, a, b)| object(&members, a, b)),
        ]
    })
}

/// A key as written, without quotes; some mean the same.
fn any_key() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "n",
        "N",
        "\\u006e",
        "kwargs",
        "Kwargs",
        "\\u212awargs",
        "extra",
        "a\\\"b",
        "temperature",
        "",
        "on",
        "o\\u006e",
        "é",
    ])
    .prop_map(String::from)
}

fn object(members: &[(String, String)], a: &str, b: &str) -> String {
    let members = members
        .iter()
        .map(|(k, v)| format!("{b}\"{k}\"{a}:{b}{v}{a}"));
    format!("{{{}{b}}}", members.collect::<Vec<_>>().join(","))
}

/// A chat with any members beside those that it needs.
fn any_document() -> impl Strategy<Value = String> {
    let others = prop::collection::vec((any_key(), any_value()), 0..5);
    let messages = prop::collection::vec(any_value(), 0..3);
    (
        others,
        messages,
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        space(),
        space(),
    )
        .prop_map(|(mut members, messages, model_at, messages_at, a, b)| {
            // Of an item, `role` and `content` may not repeat; these have neither.
            let messages = format!("[{}]", messages.join(","));
            members.insert(
                messages_at.index(members.len() + 1),
                ("messages".into(), messages),
            );
            members.insert(
                model_at.index(members.len() + 1),
                ("model".into(), "\"auto\"".into()),
            );
            format!("{a}{}{b}", object(&members, a, b))
        })
}

#[derive(Debug, Clone)]
enum Edit {
    Set(String, String),
    Remove(String),
    SetInside(String, String, String),
    Strip,
    Limit(String, u64),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let key = || {
        prop::sample::select(vec![
            "n",
            "N",
            "kwargs",
            "Kwargs",
            "extra",
            "a\"b",
            "new",
            "model",
            "temperature",
            "messages",
        ])
        .prop_map(String::from)
    };
    let inner = prop::sample::select(vec!["n", "on", "a\"b", "new"]).prop_map(String::from);
    prop_oneof![
        3 => (key(), any_value()).prop_map(|(k, v)| Edit::Set(k, v)),
        3 => key().prop_map(Edit::Remove),
        3 => (key(), inner, any_value()).prop_map(|(k, i, v)| Edit::SetInside(k, i, v)),
        1 => Just(Edit::Strip),
        1 => (key(), 0..20_u64).prop_map(|(k, max)| Edit::Limit(k, max)),
    ]
}

impl Edit {
    fn make(&self, edits: &mut Edits, request: &Request, body: &[u8]) {
        match self {
            Self::Set(key, value) => edits.set_member(key, value),
            Self::Remove(key) => edits.remove_member(key),
            Self::SetInside(key, inner, value) => edits.set_in_object(key, inner, value),
            Self::Strip => {
                edits.strip_unknown(Endpoint::ChatCompletions, request);
            }
            Self::Limit(key, max) => {
                edits.limit(request, body, key, *max);
            }
        }
    }

    /// The same of what a document means. What is stripped is stripped first.
    fn mean(&self, members: &mut Vec<(String, Tree)>, sent: &[(String, String)]) {
        match self {
            Self::Set(key, value) => set(members, key, |_| tree(value)),
            Self::Remove(key) => {
                if key != "model" {
                    members.retain(|(k, _)| !same(k, key));
                }
            }
            Self::SetInside(key, inner, value) => set(members, key, |old| {
                let mut inside = match old {
                    Some(Tree::Object(inside)) => inside.clone(),
                    _ => Vec::new(),
                };
                if !inside.iter().any(|(k, _)| k == inner) {
                    inside.push((inner.clone(), tree("null")));
                }
                for (_, v) in inside.iter_mut().filter(|(k, _)| k == inner) {
                    *v = tree(value);
                }
                inside.sort();
                Tree::Object(inside)
            }),
            Self::Strip => {}
            Self::Limit(key, max) => {
                let is_more = |v: &str| match v.trim().parse::<f64>() {
                    Ok(n) => n < 0.0 || n > *max as f64,
                    Err(_) => v.trim() != "null",
                };
                if sent.iter().any(|(k, v)| same(k, key) && is_more(v)) {
                    set(members, key, |_| tree(&max.to_string()));
                }
            }
        }
    }
}

fn same(a: &str, b: &str) -> bool {
    a.replace('\u{212a}', "k")
        .eq_ignore_ascii_case(&b.replace('\u{212a}', "k"))
}

fn set(members: &mut Vec<(String, Tree)>, key: &str, new: impl Fn(Option<&Tree>) -> Tree) {
    members.retain(|(k, _)| k == key || !same(k, key) || k == "model");
    if !members.iter().any(|(k, _)| k == key) {
        members.push((key.to_owned(), new(None)));
        return;
    }
    for (_, value) in members.iter_mut().filter(|(k, _)| k == key) {
        *value = new(Some(value));
    }
}

fn text_of(raw: &str) -> String {
    serde_json::from_str(&format!("\"{raw}\"")).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn edits_of_members_mean_the_same_as_edits_of_the_value(document in any_document(), all in prop::collection::vec(any_edit(), 0..6)) {
        let request = chat(&document).unwrap();
        let mut edits = Edits::default();
        let sent = members(&document);
        let mut expected: Vec<(String, Tree)> = sent.iter().map(|(k, v)| (k.clone(), tree(v))).collect();
        if all.iter().any(|edit| matches!(edit, Edit::Strip)) {
            let known = Endpoint::ChatCompletions.parameters();
            expected.retain(|(k, _)| known.contains(&k.as_str()));
        }
        for edit in &all {
            edit.make(&mut edits, &request, document.as_bytes());
            edit.mean(&mut expected, &sent);
        }
        let edited = String::from_utf8(edits.apply(&request, document.as_bytes())).unwrap();
        // A key that came twice may come twice with its new value.
        expected.sort();
        expected.dedup();
        let mut now: Vec<(String, Tree)> = members(&edited).iter().map(|(k, v)| (k.clone(), tree(v))).collect();
        now.sort();
        now.dedup();
        prop_assert_eq!(now, expected, "{}", edited);
        // What no edit names is there as it was written, in its order.
        let touched = |k: &str| all.iter().any(|edit| match edit {
            Edit::Set(key, _) | Edit::Remove(key) | Edit::SetInside(key, ..) | Edit::Limit(key, _) => same(key, k),
            Edit::Strip => !Endpoint::ChatCompletions.parameters().contains(&k),
        });
        let untouched = |json: &str| -> Vec<(String, String)> { members(json).into_iter().filter(|(k, _)| !touched(k)).collect() };
        prop_assert_eq!(untouched(&edited), untouched(&document));
        if all.is_empty() {
            prop_assert_eq!(edited, document);
        }
    }

    #[test]
    fn a_value_that_is_set_leaves_every_other_byte(before in any_value(), value in any_value(), new in any_value(), after in any_value(), a in space(), b in space()) {
        let body = |value: &str| format!("{a}{{{b}\"x\":{before}{a},{b}\"n\"{a}:{b}{value}{a},\"model\":\"m\",\"messages\":{after}{b}}}{a}");
        let document = body(&value);
        let request = chat(&document).unwrap();
        let mut edits = Edits::default();
        edits.set_member("n", &new);
        prop_assert_eq!(String::from_utf8(edits.apply(&request, document.as_bytes())).unwrap(), body(&new));
        let mut edits = Edits::default();
        edits.remove_member("n");
        let expected = format!("{a}{{{b}\"x\":{before}{a},\"model\":\"m\",\"messages\":{after}{b}}}{a}");
        let removed = String::from_utf8(edits.apply(&request, document.as_bytes())).unwrap();
        // The white space before the next comma stays.
        prop_assert_eq!(removed, expected);
    }

    #[test]
    fn words_that_are_replaced_leave_every_other_byte(parts in prop::collection::vec(any_text(), 1..4), ranges in prop::collection::vec((0..40_usize, 0..12_usize, "[A-Z\"\n]{0,3}"), 0..4), more in any_value()) {
        let body = |parts: &[String]| {
            let parts: Vec<String> = parts.iter().map(|p| format!(r#"{{"type":"text","text":"{p}"}}"#)).collect();
            format!(r#"{{"x":{more},"model":"m","messages":[{{"role":"user","content":[{}]}}],"y":{more}}}"#, parts.join(","))
        };
        let document = body(&parts);
        let request = chat(&document).unwrap();
        let message = &request.messages[0];
        let replacements: Vec<_> = ranges.iter().map(|(at, len, new)| (*at..at + len, new.as_str())).collect();
        let mut edits = Edits::default();
        edits.replace_in_text(document.as_bytes(), message, &replacements);
        let edited = String::from_utf8(edits.apply(&request, document.as_bytes())).unwrap();
        let expected = replaced(&parts, &replacements);
        // Outside of the texts, byte for byte; inside, by the meaning.
        let outside = |json: &str, parts: &[String]| {
            let raw: Vec<String> = chat(json).unwrap().messages[0].texts.iter().map(|s| json[s.clone()].to_owned()).collect();
            assert_eq!(raw.iter().map(|r| text_of(r)).collect::<Vec<_>>(), parts);
            assert_eq!(json, body(&raw));
        };
        outside(&edited, &expected);
    }

    #[test]
    fn edits_together_are_edits_one_after_the_other(
        document in any_document(),
        words in prop::collection::vec(any_text(), 1..4),
        system in prop::option::of(any_text()),
        masks in prop::collection::vec((0..3_usize, 0..10_usize, 1..8_usize), 0..5),
        mode in prop::sample::select(vec![PromptMode::Replace, PromptMode::Insert]),
        all in prop::collection::vec(any_edit(), 0..4),
    ) {
        // `messages` as a whole is for the other tests.
        let all: Vec<Edit> = all.into_iter().filter(|edit| !matches!(edit, Edit::Set(k, _) | Edit::Remove(k) | Edit::SetInside(k, ..) | Edit::Limit(k, _) if k == "messages" || k == "model")).collect();
        let mut items: Vec<String> = words.iter().map(|w| format!(r#"{{"role":"user","content":"{w}"}}"#)).collect();
        items.extend(system.map(|s| format!(r#"{{"content":[{{"type":"text","text":"{s}"}}],"role":"system"}}"#)));
        let request = chat(&document).unwrap();
        let span = request.member("messages").unwrap();
        let document = format!("{}[{}]{}", &document[..span.start], items.join(" , "), &document[span.end..]);

        let mask = |edits: &mut Edits, request: &Request, body: &str| {
            for (at, from, len) in &masks {
                // Later masks are of the text that was sent, so they may not meet earlier ones.
                if let Some(message) = request.messages.get(*at).filter(|_| masks.iter().filter(|m| m.0 == *at).count() == 1) {
                    edits.replace_in_text(body.as_bytes(), message, &[(*from..from + len, "[M]")]);
                }
            }
        };
        let prompt = |edits: &mut Edits, request: &Request, body: &str| {
            prop_assert!(edits.set_system_prompt(Endpoint::ChatCompletions, request, body.as_bytes(), mode, "P\n\"é\""));
            Ok(())
        };
        let request = chat(&document).unwrap();
        let mut together = Edits::default();
        for edit in &all {
            edit.make(&mut together, &request, document.as_bytes());
        }
        prompt(&mut together, &request, &document)?;
        mask(&mut together, &request, &document);
        let together = String::from_utf8(together.apply(&request, document.as_bytes())).unwrap();

        let mut one = Edits::default();
        mask(&mut one, &request, &document);
        let masked = String::from_utf8(one.apply(&request, document.as_bytes())).unwrap();
        let request = chat(&masked).unwrap();
        let mut two = Edits::default();
        prompt(&mut two, &request, &masked)?;
        let with_prompt = String::from_utf8(two.apply(&request, masked.as_bytes())).unwrap();
        let request = chat(&with_prompt).unwrap();
        let mut three = Edits::default();
        for edit in &all {
            edit.make(&mut three, &request, with_prompt.as_bytes());
        }
        let after_another = String::from_utf8(three.apply(&request, with_prompt.as_bytes())).unwrap();
        prop_assert_eq!(together, after_another);
    }

    #[test]
    fn any_system_prompt_stands_before_what_was_said(
        said in any_value(),
        more in any_value(),
        text in ".{0,12}",
        mode in prop::sample::select(vec![PromptMode::Replace, PromptMode::Insert]),
        endpoint in prop::sample::select(ALL.to_vec()),
    ) {
        let key = match endpoint {
            Endpoint::Responses => "instructions",
            _ => "system",
        };
        let body = match endpoint {
            Endpoint::ChatCompletions => format!(r#"{{"x":{more},"messages":[{{"y":{more},"role":"system","content":{said}}}],"model":"m"}}"#),
            _ => format!(r#"{{"{key}":{said},"model":"m","x":{more},"{}":[]}}"#, endpoint.input_key()),
        };
        let request = Request::parse(endpoint, body.as_bytes()).unwrap();
        let mut edits = Edits::default();
        let done = edits.set_system_prompt(endpoint, &request, body.as_bytes(), mode, &text);
        let edited = String::from_utf8(edits.apply(&request, body.as_bytes())).unwrap();
        prop_assert_eq!(done, !matches!(endpoint, Endpoint::Completions | Endpoint::Embeddings));
        let now = match (mode, tree(&said)) {
            _ if !done => tree(&said),
            (PromptMode::Insert, Tree::Text(old)) if !old.is_empty() => Tree::Text(format!("{text}\n\n{old}")),
            (PromptMode::Insert, Tree::Array(mut old)) => {
                old.insert(0, tree(&serde_json::json!({"type": "text", "text": text}).to_string()));
                Tree::Array(old)
            }
            _ => Tree::Text(text.clone()),
        };
        let value = match endpoint {
            Endpoint::ChatCompletions => {
                let all = members(&edited);
                let messages: Vec<&RawValue> = serde_json::from_str(&all[1].1).unwrap();
                prop_assert_eq!(&all[0].1, &more);
                prop_assert_eq!(messages.len(), 1);
                let message = members(messages[0].get());
                prop_assert_eq!(&message[0].1, &more);
                message[2].1.clone()
            }
            _ => {
                let all = members(&edited);
                prop_assert_eq!(&all[2].1, &more);
                all[0].1.clone()
            }
        };
        prop_assert_eq!(tree(&value), now);
    }
}

/// Parts whose texts are replaced as [`Edits::replace_in_text`] says, found by their characters.
fn replaced(parts: &[String], replacements: &[(std::ops::Range<usize>, &str)]) -> Vec<String> {
    let mut has_begun = vec![false; replacements.len()];
    let mut begin = 0;
    let mut all = Vec::new();
    for part in parts {
        let text = text_of(part);
        let mut pieces = Vec::new();
        for (i, (range, new)) in replacements.iter().enumerate() {
            let start = range.start.clamp(begin, begin + text.len()) - begin;
            let end = range.end.clamp(begin, begin + text.len()) - begin;
            if start < end {
                let new = if has_begun[i] { "" } else { *new };
                has_begun[i] = true;
                pieces.push((
                    text.floor_char_boundary(start),
                    text.ceil_char_boundary(end),
                    new,
                ));
            }
        }
        pieces.sort_by_key(|(start, end, _)| (*start, std::cmp::Reverse(*end)));
        let (mut out, mut from) = (String::new(), 0);
        for (start, end, new) in pieces {
            if end > from {
                out.push_str(text.get(from..start).unwrap_or_default());
                out.push_str(new);
                from = end;
            }
        }
        out.push_str(&text[from..]);
        all.push(out);
        begin += text.len() + 1;
    }
    all
}
