//! Another configuration while requests are served.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use turnpike_core::config::SidecarHeadConfig;

use crate::harness::{Outcome, Sidecar, config};

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_while_models_are_replaced_and_what_is_unchanged_stays() -> Outcome<()> {
    let mut config = config()?;
    let sidecar = Arc::new(Sidecar::start_from(&config).await?);
    let before = sidecar.service.engine_in_use().ok_or("no engine")?;
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (sidecar, done) = (Arc::clone(&sidecar), Arc::clone(&done));
            tokio::spawn(async move {
                let mut answered = 0;
                while !done.load(Ordering::Relaxed) {
                    let body = json!({"text": "What is a tort?", "heads": ["category"]});
                    let answer = sidecar.post("/v1/analyze", &body).await?;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    answered += 1;
                }
                Outcome::Ok(answered)
            })
        })
        .collect();
    config.semantic_cache.similarity_threshold = 0.9;
    sidecar.reload(&config).await?;
    let same = sidecar.service.engine_in_use().ok_or("no engine")?;
    assert!(same.embeds_as(&before), "the encoder was not loaded again");
    config.sidecar.encoder.max_tokens = 128;
    sidecar.reload(&config).await?;
    let other = sidecar.service.engine_in_use().ok_or("no engine")?;
    assert!(!other.embeds_as(&before));
    done.store(true, Ordering::Relaxed);
    for client in clients {
        assert!(client.await?? > 0);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_answers_outlive_a_reload_of_the_same_encoder() -> Outcome<()> {
    let mut config = config()?;
    let sidecar = Sidecar::start_from(&config).await?;
    let partition = crate::harness::ALICE;
    let store = json!({"partition": partition, "text": "hello", "model": "m", "body": "{}"});
    assert_eq!(sidecar.post("/v1/cache/entries", &store).await?.status, 201);
    let lookup =
        json!({"text": "hello", "cache": {"partition": partition, "similarity_threshold": 0.9}});
    config.sidecar.timeout_ms = 29_000;
    sidecar.reload(&config).await?;
    let answer = sidecar.post("/v1/analyze", &lookup).await?.json()?;
    assert_eq!(answer["cache"]["status"], "hit");
    config.sidecar.encoder.max_tokens = 64;
    sidecar.reload(&config).await?;
    let answer = sidecar.post("/v1/analyze", &lookup).await?.json()?;
    assert_eq!(
        answer["cache"]["status"], "miss",
        "another vector, another cache"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_changes_nothing() -> Outcome<()> {
    let mut config = config()?;
    let sidecar = Sidecar::start_from(&config).await?;
    let mut file = tempfile::NamedTempFile::new()?;
    write!(file, "{{")?;
    let head = |path: &str| SidecarHeadConfig {
        name: "intent".into(),
        path: path.into(),
        threshold: 0.5,
        background_label: None,
    };
    let path = file.path().display().to_string();
    for (path, expected) in [
        (path.as_str(), "not a head file"),
        ("/nowhere.json", "/nowhere.json"),
    ] {
        config.sidecar.heads = vec![head(path)];
        let error = sidecar.reload(&config).await.err().ok_or("no error")?;
        let error = format!("{:#}", anyhow::Error::from_boxed(error));
        assert!(error.contains(expected), "{error}");
        let body = json!({"text": "What is a tort?", "heads": ["category"]});
        assert_eq!(sidecar.post("/v1/analyze", &body).await?.status, 200);
    }
    Ok(())
}
