//! Edits, each alone, and together.

use super::*;

fn edited(endpoint: Endpoint, body: &str, edit: impl FnOnce(&mut Edits, &Request)) -> String {
    let request = Request::parse(endpoint, body.as_bytes()).unwrap();
    let mut edits = Edits::default();
    edit(&mut edits, &request);
    String::from_utf8(edits.apply(&request, body.as_bytes())).unwrap()
}

fn chat_edited(body: &str, edit: impl FnOnce(&mut Edits, &Request)) -> String {
    edited(Endpoint::ChatCompletions, body, edit)
}

#[test]
fn members_are_set_and_added() {
    let set = |body: &str| chat_edited(body, |edits, _| edits.set_member("n", "[1]"));
    for (body, expected) in [
        (
            r#"{ "n" : 1E400 , "model":"m","messages":[]}"#,
            r#"{ "n" : [1] , "model":"m","messages":[]}"#,
        ),
        (
            "{\"model\":\"m\",\"messages\":[],\"n\":{ \"a\":1}\n}",
            "{\"model\":\"m\",\"messages\":[],\"n\":[1]\n}",
        ),
        (
            r#"{ "model":"m","messages":[]}"#,
            r#"{"n":[1], "model":"m","messages":[]}"#,
        ),
        (
            r#"{"n":1,"model":"m","N":2,"messages":[],"n":3}"#,
            r#"{"n":[1],"model":"m","messages":[],"n":[1]}"#,
        ),
        (
            r#"{"n":123456789012345678901234567890123456789012345678901234567890,"model":"m","messages":[]}"#,
            r#"{"n":[1],"model":"m","messages":[]}"#,
        ),
    ] {
        assert_eq!(set(body), expected);
    }
}

#[test]
fn members_are_removed_with_their_comma() {
    let remove = |body: &str| {
        chat_edited(body, |edits, _| {
            for key in ["a", "b", "model"] {
                edits.remove_member(key);
            }
        })
    };
    for (body, expected) in [
        (
            r#"{ "a" : 1 , "model":"m","messages":[]}"#,
            r#"{ "model":"m","messages":[]}"#,
        ),
        (
            r#"{"a":1,"b":[2,{}], "A":3,"model":"m","messages":[]}"#,
            r#"{"model":"m","messages":[]}"#,
        ),
        (
            r#"{"model":"m", "a":1, "messages":[] }"#,
            r#"{"model":"m", "messages":[] }"#,
        ),
        (
            "{\"model\":\"m\",\"messages\":[],\n\"a\":1,\n\"b\":2\n}",
            "{\"model\":\"m\",\"messages\":[]\n}",
        ),
        (
            r#"{"a":1,"model":"m","a":2,"messages":[],"\u0062":3}"#,
            r#"{"model":"m","messages":[]}"#,
        ),
        (
            r#"{"model":"m","messages":[]}"#,
            r#"{"model":"m","messages":[]}"#,
        ),
    ] {
        assert_eq!(remove(body), expected);
    }
}

#[test]
fn objects_are_set_inside() {
    let set = |body: &str| {
        chat_edited(body, |edits, _| {
            edits.set_in_object("k", "on", "true");
            edits.set_in_object("k", "x", "1");
        })
    };
    for (kwargs, expected) in [
        (r#""k":{},"#, r#""k":{"on":true,"x":1},"#),
        (r#""k" : { } ,"#, r#""k" : {"on":true,"x":1 } ,"#),
        (
            r#""k":{ "on" : false ,"y":[1]},"#,
            r#""k":{"x":1, "on" : true ,"y":[1]},"#,
        ),
        (
            r#""k":{"y":{"on":0},"o\u006e":2},"#,
            r#""k":{"x":1,"y":{"on":0},"o\u006e":true},"#,
        ),
        (
            r#""k":{"on":1,"on":[],"x":{}},"#,
            r#""k":{"on":true,"on":true,"x":1},"#,
        ),
        (r#""k":null,"#, r#""k":{"on":true,"x":1},"#),
        (r#""k":[{"on":false}],"#, r#""k":{"on":true,"x":1},"#),
        ("", r#""k":{"on":true,"x":1},"#),
    ] {
        let body = |kwargs: &str| format!(r#"{{{kwargs}"model":"m","messages":[]}}"#);
        assert_eq!(set(&body(kwargs)), body(expected));
    }
}

#[test]
fn a_later_edit_counts_on_the_earlier_ones() {
    let body = r#"{"model":"m","k":{"a":1},"messages":[]}"#;
    type Edit = fn(&mut Edits);
    let all: [(Edit, &str); 8] = [
        (
            |e| {
                e.set_member("k", "1");
                e.set_member("k", "2");
            },
            r#"{"model":"m","k":2,"messages":[]}"#,
        ),
        (
            |e| {
                e.set_member("k", "1");
                e.remove_member("k");
            },
            r#"{"model":"m","messages":[]}"#,
        ),
        (
            |e| {
                e.remove_member("k");
                e.set_member("k", "1");
            },
            r#"{"model":"m","k":1,"messages":[]}"#,
        ),
        (
            |e| {
                e.remove_member("k");
                e.set_in_object("k", "b", "1");
            },
            r#"{"model":"m","k":{"b":1},"messages":[]}"#,
        ),
        (
            |e| {
                e.set_member("k", r#"{"c":1}"#);
                e.set_in_object("k", "b", "1");
            },
            r#"{"model":"m","k":{"b":1,"c":1},"messages":[]}"#,
        ),
        (
            |e| {
                e.set_in_object("k", "b", "1");
                e.set_in_object("k", "b", "2");
                e.set_in_object("k", "a", "3");
            },
            r#"{"model":"m","k":{"b":2,"a":3},"messages":[]}"#,
        ),
        (
            |e| {
                e.set_in_object("k", "b", "1");
                e.set_member("k", "2");
            },
            r#"{"model":"m","k":2,"messages":[]}"#,
        ),
        (
            |e| {
                e.remove_member("K");
                e.set_in_object("k", "b", "1");
            },
            r#"{"model":"m","k":{"b":1},"messages":[]}"#,
        ),
    ];
    for (edit, expected) in all {
        assert_eq!(chat_edited(body, |edits, _| edit(edits)), expected);
    }
}

#[test]
fn what_no_api_documents_is_stripped_but_what_is_set_stays() {
    let body =
        r#"{"x":1,"model":"m","temperature":1,"Temperature":2,"k":{"a":1},"messages":[],"":0}"#;
    let mut stripped = Vec::new();
    let edited = chat_edited(body, |edits, request| {
        edits.set_in_object("k", "b", "2");
        let keys = edits.strip_unknown(Endpoint::ChatCompletions, request);
        stripped = keys.into_iter().map(String::from).collect();
    });
    assert_eq!(stripped, ["x", "Temperature", "k", ""]);
    assert_eq!(
        edited,
        r#"{"k":{"b":2},"model":"m","temperature":1,"messages":[]}"#
    );
}

#[test]
fn every_api_documents_what_we_read() {
    for endpoint in ALL {
        let known = endpoint.parameters();
        assert!(known.contains(&"model") && known.contains(&endpoint.input_key()));
        assert!(known.is_sorted(), "{endpoint:?}");
        assert_eq!(
            known.contains(&"stream_options"),
            endpoint.has_stream_options() || endpoint == Endpoint::Responses
        );
    }
}

#[test]
fn numbers_are_limited() {
    for (sent, expected) in [
        ("5", None),
        ("10", None),
        ("11", Some("10")),
        ("10.5", Some("10")),
        ("1E400", Some("10")),
        ("-0.0", None),
        // No limit to some servers.
        ("-1", Some("10")),
        ("\"11\"", Some("10")),
        // What servers read of other values is theirs to say (Pydantic: 9, 10, 9, 1).
        ("\" 9 \"", Some("10")),
        ("\"1_0\"", Some("10")),
        (r#""\u0039""#, Some("10")),
        ("true", Some("10")),
        ("[11]", Some("10")),
        ("{}", Some("10")),
        ("null", None),
        ("5,\"n\":null", None),
        ("5,\"n\":11,\"n\":5", Some("10,\"n\":10,\"n\":10")),
        ("5,\"N\":11", Some("10")),
    ] {
        let body = |n: &str| format!(r#"{{"model":"m","messages":[],"n":{n}}}"#);
        let mut limited = false;
        let edited = chat_edited(&body(sent), |edits, request| {
            limited = edits.limit(request, body(sent).as_bytes(), "n", 10);
        });
        assert_eq!(edited, body(expected.unwrap_or(sent)), "{sent}");
        assert_eq!(limited, expected.is_some(), "{sent}");
    }
    let body = r#"{"model":"m","messages":[],"max_tokens":1.5e2}"#;
    let request = chat(body).unwrap();
    assert_eq!(request.number("max_tokens", body.as_bytes()), Some(150.0));
    assert_eq!(request.number("n", body.as_bytes()), None);
    let body = r#"{"model":"m","messages":[],"n":" \u0031_0"}"#;
    let number = |body: &str| chat(body).unwrap().number("n", body.as_bytes());
    assert_eq!(number(body), Some(10.0));
    let body = r#"{"model":"m","messages":[],"max_tokens":1.5e2}"#;
    assert_eq!(
        chat_edited(body, |edits, r| {
            assert!(!edits.limit(r, body.as_bytes(), "n", 1));
        }),
        body
    );
}

/// The body with the prompt `P "q"` replaced and inserted.
fn prompted(endpoint: Endpoint, body: &str) -> [Option<String>; 2] {
    [PromptMode::Replace, PromptMode::Insert].map(|mode| {
        let mut done = false;
        let new = edited(endpoint, body, |edits, request| {
            done = edits.set_system_prompt(endpoint, request, body.as_bytes(), mode, "P \"q\"");
        });
        assert!(done || new == body);
        done.then_some(new)
    })
}

#[test]
fn the_system_message_of_a_chat_is_replaced_or_preceded() {
    for (messages, replaced, inserted) in [
        (
            "[]",
            r#"[{"role":"system","content":"P \"q\""}]"#,
            r#"[{"role":"system","content":"P \"q\""}]"#,
        ),
        (
            r#"[ {"role":"user","content":"u"}]"#,
            r#"[{"role":"system","content":"P \"q\""}, {"role":"user","content":"u"}]"#,
            r#"[{"role":"system","content":"P \"q\""}, {"role":"user","content":"u"}]"#,
        ),
        (
            r#"[{"role":"user","content":"u"},{"content" : "s\u00e9" , "role":"developer"},{"role":"system","content":"two"}]"#,
            r#"[{"role":"user","content":"u"},{"content" : "P \"q\"" , "role":"developer"},{"role":"system","content":"two"}]"#,
            r#"[{"role":"user","content":"u"},{"content" : "P \"q\"\n\ns\u00e9" , "role":"developer"},{"role":"system","content":"two"}]"#,
        ),
        (
            r#"[{"role":"system","content":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}]}]"#,
            r#"[{"role":"system","content":"P \"q\""}]"#,
            r#"[{"role":"system","content":[{"type":"text","text":"P \"q\""},{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}]}]"#,
        ),
        (
            r#"[{"role":"system","content":[ ]}]"#,
            r#"[{"role":"system","content":"P \"q\""}]"#,
            r#"[{"role":"system","content":[{"type":"text","text":"P \"q\""} ]}]"#,
        ),
        (
            r#"[{"role":"system","content":null}]"#,
            r#"[{"role":"system","content":"P \"q\""}]"#,
            r#"[{"role":"system","content":"P \"q\""}]"#,
        ),
        (
            r#"[{"role":"system","content":""}]"#,
            r#"[{"role":"system","content":"P \"q\""}]"#,
            r#"[{"role":"system","content":"P \"q\""}]"#,
        ),
        (
            r#"[{ "role":"system"}]"#,
            r#"[{"content":"P \"q\"", "role":"system"}]"#,
            r#"[{"content":"P \"q\"", "role":"system"}]"#,
        ),
    ] {
        let body = |messages: &str| format!(r#"{{"model":"m","messages":{messages},"n":1}}"#);
        assert_eq!(
            prompted(Endpoint::ChatCompletions, &body(messages)),
            [Some(body(replaced)), Some(body(inserted))]
        );
    }
    for messages in ["\"text\"", "null", "{}"] {
        let body = format!(r#"{{"model":"m","messages":{messages}}}"#);
        assert_eq!(prompted(Endpoint::ChatCompletions, &body), [None, None]);
    }
}

#[test]
fn instructions_and_system_are_replaced_or_preceded() {
    for (endpoint, sent, replaced, inserted) in [
        (
            Endpoint::Responses,
            r#""instructions":"i","#,
            r#""instructions":"P \"q\"","#,
            r#""instructions":"P \"q\"\n\ni","#,
        ),
        (
            Endpoint::Responses,
            "",
            r#""instructions":"P \"q\"","#,
            r#""instructions":"P \"q\"","#,
        ),
        (
            Endpoint::Responses,
            r#""instructions":null,"#,
            r#""instructions":"P \"q\"","#,
            r#""instructions":"P \"q\"","#,
        ),
        (
            Endpoint::Messages,
            r#""system":"s","#,
            r#""system":"P \"q\"","#,
            r#""system":"P \"q\"\n\ns","#,
        ),
        (
            Endpoint::Messages,
            "",
            r#""system":"P \"q\"","#,
            r#""system":"P \"q\"","#,
        ),
        (
            Endpoint::Messages,
            r#""system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"#,
            r#""system":"P \"q\"","#,
            r#""system":[{"type":"text","text":"P \"q\""},{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"#,
        ),
    ] {
        let body = |sent: &str| format!(r#"{{{sent}"model":"m","{}":[]}}"#, endpoint.input_key());
        assert_eq!(
            prompted(endpoint, &body(sent)),
            [Some(body(replaced)), Some(body(inserted))]
        );
    }
    for endpoint in [Endpoint::Completions, Endpoint::Embeddings] {
        let body = format!(r#"{{"model":"m","{}":"x"}}"#, endpoint.input_key());
        assert_eq!(prompted(endpoint, &body), [None, None]);
    }
}

#[test]
fn of_two_system_prompts_the_last_counts() {
    let body = r#"{"model":"m","system":"s","messages":[]}"#;
    let set = |edits: &mut Edits, request: &Request, mode, text| {
        edits.set_system_prompt(Endpoint::Messages, request, body.as_bytes(), mode, text);
    };
    let modes = [PromptMode::Replace, PromptMode::Insert];
    for (first, second, expected) in [
        (modes[0], modes[0], "two"),
        (modes[0], modes[1], "two\\n\\ns"),
        (modes[1], modes[0], "two"),
        (modes[1], modes[1], "two\\n\\ns"),
    ] {
        let edited = edited(Endpoint::Messages, body, |edits, request| {
            set(edits, request, first, "one");
            set(edits, request, second, "two");
        });
        assert_eq!(edited, body.replace("\"s\"", &format!("\"{expected}\"")));
    }
}

#[test]
fn words_are_replaced_where_they_stand() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a\u00e9b \ud83d\ude00\n"},{"type":"text","text":"é-\"x\""}]}]}"#;
    // aéb 😀⏎ | é-"x"
    for (ranges, first, second) in [
        (vec![(0..1, "X")], r"X\u00e9b \ud83d\ude00\n", r#"é-\"x\""#),
        (vec![(1..3, "X")], r"aXb \ud83d\ude00\n", r#"é-\"x\""#),
        (vec![(2..3, "X")], r"aXb \ud83d\ude00\n", r#"é-\"x\""#),
        (vec![(5..9, "\"\n")], r#"a\u00e9b \"\n\n"#, r#"é-\"x\""#),
        (vec![(6..7, "X")], r"a\u00e9b X\n", r#"é-\"x\""#),
        (vec![(9..10, "X")], r"a\u00e9b \ud83d\ude00X", r#"é-\"x\""#),
        (
            vec![(10..11, "X")],
            r"a\u00e9b \ud83d\ude00\n",
            r#"é-\"x\""#,
        ),
        (
            vec![(12..13, "X")],
            r"a\u00e9b \ud83d\ude00\n",
            r#"X-\"x\""#,
        ),
        (vec![(14..17, "")], r"a\u00e9b \ud83d\ude00\n", "é-"),
        (vec![(4..14, "X")], r"a\u00e9bX", r#"\"x\""#),
        (vec![(0..99, "X")], "X", ""),
        (vec![(0..4, "X"), (3..9, "Y")], r"XY\n", r#"é-\"x\""#),
        (vec![(0..9, "X"), (3..4, "Y")], r"X\n", r#"é-\"x\""#),
        (
            vec![(3..4, "Y"), (0..1, "X")],
            r"X\u00e9Y \ud83d\ude00\n",
            r#"é-\"x\""#,
        ),
        (
            vec![(5..5, "X"), (50..60, "Y")],
            r"a\u00e9b \ud83d\ude00\n",
            r#"é-\"x\""#,
        ),
    ] {
        let edited = chat_edited(body, |edits, request| {
            edits.replace_in_text(body.as_bytes(), &request.messages[0], &ranges);
        });
        let expected = body
            .replace(r"a\u00e9b \ud83d\ude00\n", first)
            .replace(r#"é-\"x\""#, second);
        assert_eq!(edited, expected, "{ranges:?}");
    }
}

#[test]
fn what_is_edited_as_a_whole_swallows_edits_inside() {
    let body = r#"{"model":"m","messages":[{"role":"system","content":"secret"},{"role":"user","content":"u"}],"n":1}"#;
    let mask = |edits: &mut Edits, request: &Request| {
        edits.replace_in_text(body.as_bytes(), &request.messages[0], &[(0..6, "X")]);
    };
    let prompt = |edits: &mut Edits, request: &Request, mode| {
        edits.set_system_prompt(
            Endpoint::ChatCompletions,
            request,
            body.as_bytes(),
            mode,
            "P",
        );
    };
    assert_eq!(
        chat_edited(body, |edits, request| {
            mask(edits, request);
            prompt(edits, request, PromptMode::Replace);
        }),
        body.replace("secret", "P")
    );
    assert_eq!(
        chat_edited(body, |edits, request| {
            mask(edits, request);
            prompt(edits, request, PromptMode::Insert);
        }),
        body.replace("secret", "P\\n\\nX")
    );
    assert_eq!(
        chat_edited(body, |edits, request| {
            mask(edits, request);
            prompt(edits, request, PromptMode::Insert);
            edits.set_member("messages", "[]");
        }),
        r#"{"model":"m","messages":[],"n":1}"#
    );
    assert_eq!(
        chat_edited(body, |edits, request| {
            mask(edits, request);
            edits.remove_member("messages");
        }),
        r#"{"model":"m","n":1}"#
    );
}
