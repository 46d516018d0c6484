//! Billing: what Envoy counts on two workers is what the servers say they served, to the token.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::task::JoinSet;
use wasm_tests::harness::metrics::scrape;
use wasm_tests::harness::ready::{Page, until};
use wasm_tests::harness::{Call, Client, Stack};
use wasm_tests::standin::Outcome;

use crate::gateways::Case;
use crate::metering_gateways::billing;

/// Requests in flight.
const CONNECTIONS: usize = 32;

/// Requests in all, unless `TURNPIKE_BILLING_REQUESTS` says otherwise.
const REQUESTS: usize = 10_000;

const DEADLINE: Duration = Duration::from_secs(30);

const USERS: [(&str, &str); 3] = [
    ("bill-alice@example.com", "gold"),
    ("bill-alice_example.com", "free"),
    ("bill--bob; DROP TABLE", "free"),
];

/// Tokens by user and type.
type Book = BTreeMap<(String, &'static str), u64>;

fn requests() -> usize {
    let number = std::env::var("TURNPIKE_BILLING_REQUESTS").ok();
    number.and_then(|n| n.parse().ok()).unwrap_or(REQUESTS)
}

/// A request of the mix: whole, streamed, asking for usage, refused, unknown, or cut by the server.
fn call(client: &Client, number: usize) -> Call {
    let model = ["qwen3-8b", "qwen3-coder", "gpt-oss-120b"][number % 3];
    let prompt = format!("question {number} {}", "word ".repeat(number % 13));
    let messages = json!([{"role": "user", "content": prompt}]);
    let length = (number % 7 + 1).to_string();
    let chat = |extra: serde_json::Value| {
        let mut body = json!({"model": model, "messages": messages});
        if let (Some(body), Some(extra)) = (body.as_object_mut(), extra.as_object()) {
            body.extend(extra.clone());
        }
        client.chat(&body).order("tokens", &length)
    };
    match number % 10 {
        0..3 => chat(json!({})),
        3..5 => chat(json!({"stream": true})),
        5 => chat(json!({"stream": true, "stream_options": {"include_usage": true}})),
        6 => {
            let call = chat(json!({
                "stream": true,
                "stream_options": {"include_usage": true, "continuous_usage_stats": true},
            }));
            if is_cut(number) {
                let pieces = (number / 50 % 4 + 1).to_string();
                call.order("abort-after", &pieces).order("tokens", "8")
            } else {
                call
            }
        }
        7 => {
            let body = json!({"model": model, "prompt": prompt, "stream": number % 20 == 7});
            client.post("/v1/completions", body.to_string())
        }
        8 => chat(json!({})).order("status", ["400", "429", "500"][number / 10 % 3]),
        _ => client.ask("no-such-model", &prompt),
    }
}

/// Whether the server cuts the answer. Few: Envoy keeps a client waiting for a second then (`delayed_close_timeout`).
fn is_cut(number: usize) -> bool {
    number % 50 == 6
}

/// Sends requests one after the other, as long as there are some; gives how many were cut.
async fn load(clients: [Client; 3], next: Arc<AtomicUsize>, number: usize) -> Result<usize> {
    let mut cut = 0;
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= number {
            return Ok(cut);
        }
        let sent = call(&clients[at / 10 % 3], at).send().await;
        match at % 10 {
            _ if is_cut(at) => cut += usize::from(sent.is_err()),
            8 => ensure!(sent?.status.as_u16() >= 400),
            9 => ensure!(sent?.status == 404),
            _ => ensure!(sent?.status == 200),
        }
    }
}

/// What the servers say.
fn served(stack: &Stack) -> Book {
    let mut book = Book::new();
    for ((_, user), usage) in stack.records().served() {
        if USERS.iter().any(|(known, _)| *known == user) {
            *book.entry((user.clone(), "prompt")).or_default() += usage.prompt_tokens;
            *book.entry((user, "completion")).or_default() += usage.completion_tokens;
        }
    }
    book
}

/// What Envoy says.
async fn counted(stack: &Stack) -> Result<Book> {
    let samples = scrape(Page::Tcp(stack.plan().ports.metrics, "/metrics")).await?;
    let mut book = Book::new();
    for sample in samples
        .iter()
        .filter(|s| s.name == "semantic_router_tokens_total")
    {
        let (user, kind) = (&sample.labels["user"], &sample.labels["type"]);
        if USERS.iter().any(|(known, _)| known == user) {
            let kind = ["prompt", "completion"].into_iter().find(|k| k == kind);
            let sum = book.entry((user.clone(), kind.unwrap_or("?"))).or_default();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "counters are whole and positive"
            )]
            let value = sample.value as u64;
            *sum += value;
        }
    }
    Ok(book)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_mixed_requests_are_billed_to_the_token() {
    let gateway = billing("billing").await;
    let clients = USERS.map(|(user, tier)| gateway.stack.client(user, tier));
    let number = requests();
    let mut loads = JoinSet::new();
    let next = Arc::new(AtomicUsize::new(0));
    for _ in 0..CONNECTIONS {
        loads.spawn(load(clients.clone(), next.clone(), number));
    }
    let mut cut = 0;
    while let Some(done) = loads.join_next().await {
        cut += done.unwrap().unwrap();
    }
    let cuts = (0..number).filter(|at| is_cut(*at)).count();
    assert_eq!(cut, cuts, "the client sees each cut");
    until(DEADLINE, async || {
        let (served, counted) = (served(gateway.stack), counted(gateway.stack).await?);
        ensure!(
            served == counted,
            "served: {served:#?}\ncounted: {counted:#?}"
        );
        ensure!(served.len() == 6 && served.values().all(|sum| *sum > 0));
        Ok(())
    })
    .await
    .unwrap();
    let mut all = 0;
    for (user, tier) in USERS {
        let metric = gateway.stack.metric("semantic_router_requests_total");
        let metric = metric.label("user", user).label("tier", tier);
        all += metric.now().await.unwrap();
    }
    assert_eq!(all, number as u64, "each request is counted once");
}

/// Reads until so many pieces are there, and leaves; gives what the last one said.
async fn leave_after(gateway: &Case, client: &Client, pieces: usize) -> (u64, u64) {
    let body = json!({
        "model": "qwen3-8b", "stream": true,
        "stream_options": {"include_usage": true, "continuous_usage_stats": true},
        "messages": [{"role": "user", "content": "Hello"}],
    });
    let call = client
        .chat(&body)
        .order("tokens", "9")
        .order("hold-after", &pieces.to_string());
    let mut stream = call.open().await.unwrap();
    while stream.text().matches("data: ").count() < pieces || !stream.text().ends_with("\n\n") {
        stream
            .next()
            .await
            .unwrap()
            .expect("the stream is held open");
    }
    let tag = stream.tag.clone();
    drop(stream);
    let received = gateway.stack.received(&tag).await.unwrap();
    assert_eq!(received.outcome, Outcome::ClientLeft);
    (received.usage.prompt_tokens, pieces as u64 - 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_leave_pay_what_had_reached_them() {
    let gateway = billing("bill-left").await;
    let client = gateway.stack.client("bill-left", "gold");
    let (mut prompt, mut completion) = (0, 0);
    for number in 0..60 {
        let (p, c) = leave_after(&gateway, &client, number % 9 + 1).await;
        prompt += p;
        completion += c;
    }
    gateway.counted("prompt", prompt).await;
    gateway.counted("completion", completion).await;
    gateway.requests(60).await;
    // Exact as they are, nobody can know that the server did not count more: they are marked.
    let marked = gateway
        .stack
        .metric("semantic_router_tokens_estimated_total");
    let marked = marked.label("user", "bill-left");
    marked.value(prompt + completion).await.unwrap();
}
