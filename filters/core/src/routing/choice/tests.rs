use super::*;
use crate::config::Config;
use crate::host::memory::MemoryHost;
use crate::request::{Endpoint, Request};

fn choice(decision: &str) -> Choice {
    let yaml = format!("
model_config:
  cheap: {{quality_score: 0.4, pricing: {{currency: USD, prompt_per_1m: 0.1, completion_per_1m: 0.2}}}}
  middle: {{quality_score: 0.7, pricing: {{currency: USD, prompt_per_1m: 1, completion_per_1m: 2}}}}
  best: {{quality_score: 0.9, pricing: {{currency: USD, prompt_per_1m: 5, completion_per_1m: 9}}}}
decisions: [{{name: d, rules: {{}}, {decision}}}]
");
    let config: Config = serde_saphyr::from_str(&yaml).unwrap();
    let decision = &config.decisions[0];
    Choice::compile(&config, decision, &|r| Route::to(&r.model))
}

fn work(text: &str) -> Work {
    let body = serde_json::json!({"model": "auto", "messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "x"}, {"role": "user", "content": "and?"}]});
    let body = body.to_string().into_bytes();
    let request = Request::parse(Endpoint::ChatCompletions, &body).unwrap();
    Work::new(Endpoint::ChatCompletions, request, body, 0)
}

fn taken(choice: &Choice, host: &mut MemoryHost, text: &str, latencies: &Latencies) -> String {
    choice
        .take(host, &work(text), latencies)
        .unwrap()
        .model
        .clone()
}

fn host_at(clock_us: u64) -> MemoryHost {
    MemoryHost {
        clock_us,
        ..MemoryHost::default()
    }
}

const REFS: &str = "modelRefs: [{model: middle}, {model: cheap}, {model: best}]";

#[test]
fn the_first_the_best_or_the_cheapest_that_is_good_enough() {
    for (algorithm, model) in [
        ("", "middle"),
        (", algorithm: {type: static}", "middle"),
        (", algorithm: {type: score}", "best"),
        (", algorithm: {type: cost_aware}", "cheap"),
        (
            ", algorithm: {type: cost_aware, min_quality: 0.5}",
            "middle",
        ),
        (", algorithm: {type: cost_aware, min_quality: 0.95}", "best"),
    ] {
        let choice = choice(&format!("{REFS}{algorithm}"));
        let mut host = MemoryHost::default();
        assert_eq!(
            taken(&choice, &mut host, "q", &Latencies::default()),
            model,
            "{algorithm}"
        );
    }
    let own = choice(
        "modelRefs: [{model: best, score: 0.1}, {model: cheap, score: 0.2}], algorithm: {type: score}",
    );
    assert_eq!(
        taken(&own, &mut MemoryHost::default(), "q", &Latencies::default()),
        "cheap"
    );
}

#[test]
fn weights_are_shares_of_conversations_which_stay() {
    let choice = choice(
        "modelRefs: [{model: cheap, weight: 3}, {model: best, weight: 1}, {model: middle, weight: 0}], algorithm: {type: weighted}",
    );
    let mut host = MemoryHost::default();
    let of = |host: &mut MemoryHost, text: &str| taken(&choice, host, text, &Latencies::default());
    let mut counts = std::collections::BTreeMap::new();
    for number in 0..4000 {
        let text = format!("conversation {number}");
        let model = of(&mut host, &text);
        assert_eq!(of(&mut host, &text), model);
        *counts.entry(model).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 2, "{counts:?}");
    assert!((2850..3150).contains(&counts["cheap"]), "{counts:?}");
}

#[test]
fn a_conversation_is_known_by_its_header() {
    let choice = choice("modelRefs: [{model: cheap}, {model: best}], algorithm: {type: weighted}");
    let mut models = std::collections::BTreeSet::new();
    for number in 0..64 {
        let session = number.to_string();
        let mut host = MemoryHost::post("/", &[("x-session-id", &session)], "");
        let model = taken(&choice, &mut host, "a", &Latencies::default());
        assert_eq!(taken(&choice, &mut host, "b", &Latencies::default()), model);
        models.insert(model);
    }
    assert_eq!(models.len(), 2);
}

#[test]
fn what_need_not_stay_is_drawn_anew() {
    let choice = choice(
        "modelRefs: [{model: cheap}, {model: best}], algorithm: {type: weighted, sticky: false}",
    );
    let mut host = MemoryHost::default();
    let mut models = std::collections::BTreeSet::new();
    for moment in 0..64 {
        host.clock_us = moment;
        models.insert(taken(&choice, &mut host, "q", &Latencies::default()));
    }
    assert_eq!(models.len(), 2);
}

fn latencies(times: &[(&str, u64)]) -> Latencies {
    let latencies = Latencies::of_models(times.iter().map(|(model, _)| *model));
    for (model, took) in times {
        latencies.answered(model, *took, false, 1);
    }
    latencies
}

#[test]
fn the_fastest_is_taken_and_what_was_never_tried_first() {
    let choice = choice(
        "modelRefs: [{model: cheap}, {model: middle}, {model: best}], algorithm: {type: latency_aware, sticky: false}",
    );
    let mut host = host_at(2);
    let known = latencies(&[("cheap", 900), ("middle", 300), ("best", 500)]);
    assert_eq!(taken(&choice, &mut host, "q", &known), "middle");
    known.answered("middle", 100, true, 2);
    assert_eq!(
        taken(&choice, &mut host, "q", &known),
        "best",
        "a refusal is not fast"
    );
    host.clock_us = 2 + FORGET_US;
    known.answered("best", 500, false, host.clock_us);
    assert_eq!(
        taken(&choice, &mut host, "q", &known),
        "cheap",
        "not used for a minute: tried again"
    );
}

#[test]
fn a_conversation_changes_its_model_only_for_a_gain_above_the_margin() {
    let choice = choice(
        "modelRefs: [{model: cheap}, {model: best}], algorithm: {type: latency_aware, switch_margin: 0.5}",
    );
    let mut host = host_at(2);
    assert_eq!(
        taken(
            &choice,
            &mut host,
            "q",
            &latencies(&[("cheap", 900), ("best", 800)])
        ),
        "best"
    );
    let other = latencies(&[("cheap", 500), ("best", 800)]);
    assert_eq!(taken(&choice, &mut host, "q", &other), "best");
    assert_eq!(taken(&choice, &mut host, "another", &other), "cheap");
    assert_eq!(
        taken(
            &choice,
            &mut host,
            "q",
            &latencies(&[("cheap", 390), ("best", 800)])
        ),
        "cheap"
    );
    assert_eq!(
        taken(&choice, &mut host, "q", &other),
        "cheap",
        "it stays there"
    );
}

#[test]
fn one_request_tries_what_nobody_knows_and_no_conversation_moves_for_it() {
    let refs = "modelRefs: [{model: cheap}, {model: best}], algorithm: {type: latency_aware";
    let (each, sticky) = (
        choice(&format!("{refs}, sticky: false}}")),
        choice(&format!("{refs}}}")),
    );
    let mut host = host_at(2);
    let known = latencies(&[("cheap", 900), ("best", 100)]);
    assert_eq!(taken(&sticky, &mut host, "q", &known), "best");
    host.clock_us = 2 + FORGET_US;
    known.answered("best", 100, false, host.clock_us);
    let of = |choice: &Choice, host: &mut MemoryHost, text: &str| taken(choice, host, text, &known);
    assert_eq!(of(&sticky, &mut host, "q"), "best", "it stays");
    assert_eq!(of(&each, &mut host, "a"), "cheap", "tried again");
    // While the one that asks waits, no other does.
    assert_eq!(of(&each, &mut host, "b"), "best");
    assert_eq!(of(&sticky, &mut host, "new"), "best");
    host.clock_us += FORGET_US;
    known.answered("best", 100, false, host.clock_us);
    assert_eq!(of(&each, &mut host, "c"), "cheap", "it never answered");
}
