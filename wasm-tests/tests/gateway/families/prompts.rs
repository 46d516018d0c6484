//! System prompts, parameters, headers and names of models that decisions set.

use serde_json::{Value, json};

use super::{APIS, Ask, Fact, ask, assert_golden, gateway, question, rest};
use crate::gateways::Case;

/// Decisions of these tests. Zones far from each other, so that one of them has another date than UTC at any time.
pub(super) fn decisions() -> Value {
    let prompt =
        |configuration: Value| json!([{"type": "system_prompt", "configuration": configuration}]);
    let plain = json!([{"model": "plain"}]);
    json!([
        {"name": "prompt-replace", "modelRefs": plain, "plugins": prompt(json!({"system_prompt": "Answer \"briefly\" — bitte.\n"}))},
        {"name": "prompt-insert", "modelRefs": plain,
            "plugins": prompt(json!({"system_prompt": "Answer \"briefly\" — bitte.\n", "mode": "insert"}))},
        {"name": "prompt-east", "modelRefs": plain,
            "plugins": prompt(json!({"system_prompt": "Today is {date}, {weekday}. {other}", "time_zone": "+14:00"}))},
        {"name": "prompt-west", "modelRefs": plain,
            "plugins": prompt(json!({"system_prompt": "Today is {date}, {weekday}. {other}", "time_zone": "-12:00"}))},
        {"name": "params", "modelRefs": plain, "plugins": [{"type": "request_params", "configuration": {
            "blocked_params": ["logit_bias"], "max_tokens_limit": 100, "max_n": 1, "strip_unknown": true}}]},
        {"name": "headers", "modelRefs": plain, "plugins": [{"type": "header_mutation", "configuration": {
            "add": [{"name": "X-Team", "value": "added"}], "update": [{"name": "X-Region", "value": "eu"}],
            "delete": ["X-Secret"]}}]},
        {"name": "adapter", "modelRefs": [{"model": "qwen3", "lora_name": "law-adapter", "use_reasoning": true}]},
        {"name": "everything", "modelRefs": [{"model": "qwen3", "use_reasoning": true}], "plugins": [
            {"type": "system_prompt", "configuration": {"system_prompt": "Be brief.", "mode": "insert"}},
            {"type": "request_params", "configuration": {"max_tokens_limit": 100, "blocked_params": ["min_p"]}},
            {"type": "pii", "configuration": {"action": "mask"}}]},
    ])
}

/// Requests with system prompts in every form that the API has.
fn prompted(api: &'static str) -> Vec<(&'static str, Value)> {
    let mut requests = vec![("no prompt", question(api))];
    let mut with = |what: &'static str, change: &dyn Fn(&mut Value)| {
        let mut request = question(api);
        change(&mut request);
        requests.push((what, request));
    };
    let cached =
        json!([{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}]);
    match api {
        "chat" => {
            let first = |message: Value| {
                move |request: &mut Value| {
                    let messages = request["messages"].as_array_mut().expect("a list");
                    messages.insert(0, message.clone());
                }
            };
            let parts = json!([{"type": "text", "text": "Be kind."}]);
            with(
                "a text",
                &first(json!({"role": "system", "content": "Be \"kind\"."})),
            );
            with(
                "a developer",
                &first(json!({"role": "developer", "content": "Be kind.", "name": "boss"})),
            );
            with("parts", &first(json!({"role": "system", "content": parts})));
            with(
                "an empty text",
                &first(json!({"role": "system", "content": ""})),
            );
            with("a later one", &|request: &mut Value| {
                let messages = request["messages"].as_array_mut().expect("a list");
                messages.push(json!({"role": "system", "content": "Be kind."}));
                messages.push(json!({"role": "user", "content": "And now?"}));
            });
        }
        "responses" => {
            with("a text", &|r: &mut Value| {
                r["instructions"] = json!("Be \"kind\".")
            });
            with("an empty text", &|r: &mut Value| {
                r["instructions"] = json!("")
            });
        }
        _ => {
            with("a text", &|r: &mut Value| {
                r["system"] = json!("Be \"kind\".")
            });
            with("blocks", &|r: &mut Value| r["system"] = cached.clone());
        }
    }
    requests
}

async fn body(fact: &Fact, gateway: &Case) -> String {
    let received = fact.received(gateway).await;
    String::from_utf8(received.body.to_vec()).expect("UTF-8")
}

#[tokio::test]
async fn a_system_prompt_stands_where_each_api_has_it() {
    let gateway = gateway("prompts").await;
    let mut asks = Vec::new();
    for api in APIS {
        for decision in ["prompt-replace", "prompt-insert"] {
            for (what, request) in prompted(api) {
                asks.push(Ask::new(decision, api, what, request));
            }
            let (_, request) = prompted(api).swap_remove(1);
            asks.push(Ask::new(decision, api, "a text", request).streamed());
        }
    }
    let mut golden = String::new();
    for (fact, ask) in ask(&gateway, &asks).await.iter().zip(&asks) {
        fact.assert_answered(ask.api);
        assert_eq!(fact.header("x-vsr-system-prompt-injected"), "true");
        let body = body(fact, &gateway).await;
        golden += &format!("# {}\n> {}\n< {body}\n\n", fact.name, fact.sent);
    }
    assert_golden("prompts", &golden);
}

#[tokio::test]
async fn dates_are_those_of_the_zone() {
    let gateway = gateway("prompt-dates").await;
    let asks = [("prompt-east", 14), ("prompt-west", -12)];
    let cases: Vec<Ask> = asks
        .iter()
        .map(|(decision, _)| Ask::new(decision, "chat", "a date", question("chat")))
        .collect();
    let before = unix_hours();
    let facts = ask(&gateway, &cases).await;
    let after = unix_hours();
    let mut seen = Vec::new();
    for (fact, (_, hours)) in facts.iter().zip(asks) {
        let body: Value = serde_json::from_str(&body(fact, &gateway).await).unwrap();
        let told = body["messages"][0]["content"].as_str().unwrap().to_owned();
        let days = [(before + hours) / 24, (after + hours) / 24];
        let wanted = days.map(|day| format!("Today is {}. {{other}}", date(day)));
        assert!(wanted.contains(&told), "{told:?} is none of {wanted:?}");
        seen.push(told);
    }
    // 26 hours lie between them.
    assert_ne!(seen[0], seen[1]);
}

fn unix_hours() -> i64 {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.expect("a time").as_secs() / 3600).expect("a time")
}

/// Date and weekday of a day since 1970, counted from there year by year.
fn date(mut day: i64) -> String {
    let weekdays = [
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
        "Monday",
        "Tuesday",
        "Wednesday",
    ];
    let weekday = weekdays[usize::try_from(day % 7).expect("a day")];
    let is_leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let mut year = 1970;
    while day >= 365 + i64::from(is_leap(year)) {
        day -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + i64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}, {weekday}", day + 1)
}

#[tokio::test]
async fn parameters_are_limited_and_taken_out_in_each_api() {
    let gateway = gateway("params").await;
    let mut asks = Vec::new();
    for api in APIS {
        asks.push(Ask::new("params", api, "too many", question(api)));
        let mut request = question(api);
        let members = request.as_object_mut().unwrap();
        match api {
            "chat" => {
                members.remove("max_tokens");
                members.insert("n".into(), json!(3));
                members.insert("temperature".into(), json!(0.5));
            }
            "responses" => {
                members.remove("max_output_tokens");
            }
            _ => {
                members.insert("max_tokens".into(), json!(99));
            }
        }
        asks.push(Ask::new("params", api, "few or none", request));
    }
    let mut golden = String::new();
    for (fact, ask) in ask(&gateway, &asks).await.iter().zip(&asks) {
        fact.assert_answered(ask.api);
        let body = body(fact, &gateway).await;
        golden += &format!("# {}\n> {}\n< {body}\n\n", fact.name, fact.sent);
    }
    assert_golden("params", &golden);
}

#[tokio::test]
async fn headers_are_added_set_and_taken_out() {
    let gateway = gateway("mutations").await;
    let reply = gateway
        .ask("auto", "Hello")
        .header(super::DECISION, "headers")
        .header("x-team", "own")
        .header("x-region", "us")
        .also("x-region", "asia")
        .header("x-secret", "1")
        .header("x-other", "stays")
        .send()
        .await
        .unwrap();
    let received = gateway.upstream(&reply).await;
    assert_eq!(received.header("x-team").join(","), "own,added");
    assert_eq!(received.header("x-region"), ["eu"]);
    assert!(received.header("x-secret").is_empty());
    assert_eq!(received.header("x-other"), ["stays"]);
    let reply = gateway
        .ask("auto", "Hello")
        .header(super::DECISION, "plain-on")
        .header("x-secret", "1")
        .send()
        .await
        .unwrap();
    let received = gateway.upstream(&reply).await;
    assert_eq!(received.header("x-secret"), ["1"]);
    assert!(received.header("x-team").is_empty());
}

#[tokio::test]
async fn an_adapter_is_asked_for_by_its_name_and_counted_as_its_model() {
    let gateway = gateway("adapters").await;
    let facts = ask(
        &gateway,
        &[Ask::new("adapter", "chat", "whole", question("chat"))],
    )
    .await;
    let body = body(&facts[0], &gateway).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["model"], "law-adapter");
    assert_eq!(
        body["chat_template_kwargs"],
        json!({"enable_thinking": true})
    );
    assert_eq!(facts[0].header("x-vsr-model-selected"), "qwen3");
    let metric = gateway.stack.metric("semantic_router_requests_total");
    let metric = metric.label("user", &gateway.user).label("model", "qwen3");
    metric.label("decision", "adapter").value(1).await.unwrap();
}

#[tokio::test]
async fn all_edits_of_one_request_go_together() {
    let gateway = gateway("everything").await;
    let mut asks = Vec::new();
    for api in APIS {
        let mut request = question(api);
        let text =
            "Write to alice@example.org, \"soon\"\nor to bob@example.org and alice@example.org.";
        let (list, content) = match api {
            "responses" => ("input", json!([{"type": "input_text", "text": text}])),
            _ => ("messages", json!(text)),
        };
        request[list][0]["content"] = content;
        if api == "messages" {
            request["system"] = json!("You work for carol@example.org.");
        }
        asks.push(Ask::new("everything", api, "whole", request));
    }
    let mut golden = String::new();
    for (fact, ask) in ask(&gateway, &asks).await.iter().zip(&asks) {
        fact.assert_answered(ask.api);
        let body = body(fact, &gateway).await;
        assert!(!body.contains("@example.org"), "{body}");
        assert_eq!(rest(&fact.sent)["x_vendor"], rest(&body)["x_vendor"]);
        golden += &format!("# {}\n> {}\n< {body}\n\n", fact.name, fact.sent);
    }
    assert_golden("everything", &golden);
}
