//! Servers that are busy, slow, down or unwilling: how often they are asked, and what the caller gets.

use std::sync::Arc;

use tokio::net::TcpListener;

use super::server::{Reply, error, meta, serve};
use super::*;

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_says_so() {
    let server = serve(|number, _| match number {
        0 => Reply::Status(429, vec![("retry-after", "0")], String::new()),
        1 => Reply::Status(503, vec![], "<html>".into()),
        _ => meta(),
    })
    .await;
    let asked = ask(&server.config());
    assert_eq!(asked.of("Hi").await.label, "META");
    asked.counted("answered", 1);
    assert_eq!(server.bodies().len(), 3);
}

#[tokio::test]
async fn retries_end_after_as_many_as_are_configured_and_when_there_is_no_time() {
    let server = serve(|_, _| error(500, "")).await;
    let asked = ask(&LlmClassifierConfig {
        max_retries: 1,
        ..server.config()
    });
    assert_eq!(asked.of("Hi").await, default());
    asked.counted("unavailable", 1);
    assert_eq!(server.bodies().len(), 2);

    let later =
        serve(|_, _| Reply::Status(429, vec![("retry-after", "3600")], String::new())).await;
    let asked = ask(&later.config());
    assert_eq!(asked.of("Hi").await, default());
    asked.counted("unavailable", 1);
    assert_eq!(later.bodies().len(), 1);
}

#[tokio::test]
async fn refusals_are_final() {
    let refuse = |status, headers: Vec<(&'static str, &'static str)>| async move {
        let server = serve(move |_, _| Reply::Status(status, headers.clone(), "{}".into())).await;
        let asked = ask(&server.config());
        assert_eq!(asked.of("Hi").await, default());
        asked.counted("refused", 1);
        assert_eq!(server.bodies().len(), 1);
    };
    refuse(401, vec![]).await;
    refuse(400, vec![]).await;
    refuse(307, vec![("location", "/v1/chat/completions")]).await;
}

#[tokio::test]
async fn no_answer_in_time_gives_the_default() {
    let server = serve(|_, _| Reply::Hang).await;
    let asked = ask(&LlmClassifierConfig {
        timeout_ms: 50,
        ..server.config()
    });
    assert_eq!(asked.of("Hi").await, default());
    let patient = ask(&server.config());
    let soon = Instant::now() + Duration::from_millis(50);
    assert_eq!(
        patient.llm.classify("Hi", Priority::Route, soon).await,
        default()
    );
    asked.counted("timeout", 1);
    patient.counted("timeout", 1);
}

#[tokio::test]
async fn a_server_that_is_down_is_left_alone() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let asked = ask(&LlmClassifierConfig {
        max_retries: 0,
        ..config(&format!("http://{address}/v1"))
    });
    for _ in 0..7 {
        assert_eq!(asked.of("Hi").await, default());
    }
    asked.counted("unavailable", 5);
    asked.counted("circuit_open", 2);
    asked.has("llm_circuit_open 1");
    assert!(asked.llm.healthy(Duration::from_secs(5)).await.is_err());
}

#[tokio::test]
async fn more_than_max_concurrent_wait_for_their_turn() {
    let server = serve(|_, _| Reply::Hang).await;
    let asked = ask(&LlmClassifierConfig {
        max_concurrent: 1,
        ..server.config()
    });
    let asked = Arc::new(asked);
    let first = tokio::spawn({
        let asked = Arc::clone(&asked);
        async move { asked.of("one").await }
    });
    while server.bodies().is_empty() {
        tokio::task::yield_now().await;
    }
    let soon = Instant::now() + Duration::from_millis(50);
    let second = asked.llm.classify("two", Priority::Route, soon).await;
    assert_eq!(second, default());
    asked.counted("queue_full", 1);
    assert_eq!(server.bodies().len(), 1);
    first.abort();
}
