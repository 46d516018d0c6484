//! Personal data that goes upstream under masks.

use serde_json::{Value, json};

use super::*;

const MASK: &str = "
vllm_endpoints: [{name: l, address: a, port: 1}]
model_config: {small: {}}
default_model: small
keyword_rules: [{name: all, keywords: [SQL]}]
decisions:
  - {name: all, rules: {type: keyword, name: all}, modelRefs: [{model: small}], plugins: [{type: pii, configuration: {enabled: true, action: mask, restore: true}}]}
";

/// What goes upstream of a body.
fn masked(path: &str, body: &str) -> (RouterStream, String) {
    let mut host = MemoryHost::post(path, &[], body);
    let (stream, flow) = run(&compiled(MASK, &ALONE), &mut host);
    assert_eq!(flow, Flow::Continue, "{:?}", host.reply);
    (stream, String::from_utf8(host.request_body).unwrap())
}

fn masked_chat(messages: &[Value]) -> Vec<Value> {
    let body = json!({"model": "auto", "messages": messages}).to_string();
    let (_, sent) = masked("/v1/chat/completions", &body);
    let sent: Value = serde_json::from_str(&sent).unwrap();
    sent["messages"].as_array().unwrap().clone()
}

fn turn(role: &str, text: &str) -> Value {
    json!({"role": role, "content": text})
}

#[test]
fn masks_of_earlier_turns_stay_when_a_turn_is_added() {
    let first = [
        turn("system", "You work for a@x.org"),
        turn("user", "SQL to b@x.org and c@x.org"),
    ];
    let second = [
        turn("assistant", "To c@x.org too, and d@x.org"),
        turn("user", "SQL to e@x.org and a@x.org"),
    ];
    let before = masked_chat(&first);
    assert_eq!(
        before,
        [
            turn("system", "You work for [EMAIL_ADDRESS_1]"),
            turn("user", "SQL to [EMAIL_ADDRESS_2] and [EMAIL_ADDRESS_3]"),
        ]
    );
    let after = masked_chat(&[first, second].concat());
    assert_eq!(after[..2], before);
    assert_eq!(
        after[2..],
        [
            turn(
                "assistant",
                "To [EMAIL_ADDRESS_3] too, and [EMAIL_ADDRESS_4]"
            ),
            turn("user", "SQL to [EMAIL_ADDRESS_5] and [EMAIL_ADDRESS_1]"),
        ]
    );
}

#[test]
fn masks_of_what_tools_were_called_with_stay_too() {
    let call = |arguments: &str| json!({"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}]});
    let first = [turn("user", "SQL"), call("a@x.org b@x.org")];
    let before = masked_chat(&first);
    assert_eq!(before[1], call("[EMAIL_ADDRESS_1] [EMAIL_ADDRESS_2]"));
    let after = masked_chat(&[&first[..], &[turn("user", "SQL c@x.org b@x.org")]].concat());
    assert_eq!(after[..2], before);
    assert_eq!(
        after[2],
        turn("user", "SQL [EMAIL_ADDRESS_3] [EMAIL_ADDRESS_2]")
    );
}

#[test]
fn what_stands_beside_the_conversation_is_numbered_first() {
    // As clients write it, behind the messages; the server reads it before them.
    let body = |messages: &str, system: &str| {
        format!(r#"{{"messages":[{messages}],"model":"auto","system":"{system}"}}"#)
    };
    let message = |role: &str, text: &str| format!(r#"{{"content":"{text}","role":"{role}"}}"#);
    let first = message("user", "SQL a@x.org");
    let both = [&first, ",", &message("user", "SQL c@x.org")].concat();
    for (messages, expected) in [
        (&first, message("user", "SQL [EMAIL_ADDRESS_2]")),
        (
            &both,
            [
                message("user", "SQL [EMAIL_ADDRESS_2]"),
                message("user", "SQL [EMAIL_ADDRESS_3]"),
            ]
            .join(","),
        ),
    ] {
        let (_, sent) = masked("/v1/messages", &body(messages, "For b@x.org"));
        let expected = body(&expected, "For [EMAIL_ADDRESS_1]");
        assert_eq!(sent, expected.replace("auto", "small"));
    }
}

/// Takes minutes if every address is looked for among all others, or every text read again for each.
#[test]
fn many_addresses_are_masked_and_put_back() {
    const MANY: usize = 20_000;
    let address = |i: usize| format!("{i}@x.org");
    let text: Vec<String> = (0..MANY).map(address).collect();
    let parts = |texts: &[String]| -> Value {
        let parts = texts
            .iter()
            .map(|text| json!({"type": "text", "text": text}));
        json!([{"role": "user", "content": parts.collect::<Vec<_>>()}])
    };
    for messages in [
        json!([{"role": "user", "content": text.join(" ")}]),
        parts(&text),
        text.iter().map(|text| turn("user", text)).collect(),
    ] {
        let mut body = json!({"model": "auto", "messages": messages});
        body["messages"]
            .as_array_mut()
            .unwrap()
            .push(turn("user", "SQL"));
        let (mut stream, sent) = masked("/v1/chat/completions", &body.to_string());
        let numbers = sent.split("[EMAIL_ADDRESS_").skip(1);
        let numbers = numbers.map(|n| n.split(']').next().unwrap().parse::<usize>().unwrap());
        assert!(numbers.eq(1..=MANY));
        // The model says them all.
        let masks: Vec<String> = (1..=MANY)
            .rev()
            .map(|i| format!("[EMAIL_ADDRESS_{i}]"))
            .collect();
        let answer = |text: &str| json!({"choices": [{"message": {"content": text}}]}).to_string();
        let mut host = MemoryHost::default();
        host.respond("200", JSON);
        let router = compiled(MASK, &ALONE);
        stream.on_response_headers(&router, &mut host, false);
        host.chunk = answer(&masks.join(" ")).into_bytes();
        let size = host.chunk.len();
        stream.on_response_body(&router, &mut host, size, true);
        let expected: Vec<String> = (0..MANY).rev().map(address).collect();
        assert_eq!(
            String::from_utf8(host.chunk).unwrap(),
            answer(&expected.join(" "))
        );
    }
}
