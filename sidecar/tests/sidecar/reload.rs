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
    let body = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
    let store = json!({"partition": partition, "text": "hello", "model": "m", "body": body});
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

#[tokio::test(flavor = "multi_thread")]
async fn a_head_is_trained_from_twenty_texts_of_each_label_and_served_without_restart()
-> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("intent.json");
    let mut config = config()?;
    let sidecar = Sidecar::start_from(&config).await?;
    let url = format!("http://{}", sidecar.address);
    let mut rows = String::new();
    let things = [
        "the shoes",
        "my order",
        "a lamp",
        "this book",
        "the jacket",
        "a phone",
        "the table",
        "my tickets",
        "a bag",
        "the headphones",
    ];
    for thing in things {
        for (label, texts) in [
            (
                "refund",
                [
                    format!("I want my money back for {thing}."),
                    format!("Please refund {thing}, it broke."),
                ],
            ),
            (
                "delivery",
                [
                    format!("Where is the parcel with {thing}?"),
                    format!("When will {thing} be delivered?"),
                ],
            ),
        ] {
            for text in texts {
                rows += &json!({"text": text, "label": label}).to_string();
                rows.push('\n');
            }
        }
    }
    let (head, measured) = tokio::task::spawn_blocking(move || {
        let client = turnpike::sidecar_client::SidecarClient::new(&url, None);
        turnpike::train_head::train_head("intent", Some(&client), rows.as_bytes())
    })
    .await??;
    assert!(measured.starts_with("40 rows, 2 labels; "), "{measured}");
    std::fs::write(&path, head)?;
    config.sidecar.heads = vec![SidecarHeadConfig {
        // The name of the configuration counts, not that of the file.
        name: "wish".into(),
        path: path.display().to_string(),
        threshold: 0.5,
        background_label: Some("delivery".into()),
    }];
    sidecar.reload(&config).await?;
    for (text, label) in [
        ("The kettle leaks, give me back what I paid.", "refund"),
        ("Has the courier left with my new chair yet?", "delivery"),
    ] {
        let body = json!({"input": text, "heads": ["wish"]});
        let answer = sidecar.post("/v1/classify", &body).await?.json()?;
        assert_eq!(
            answer["data"][0]["heads"]["wish"]["label"], label,
            "{answer}"
        );
        let body = json!({"text": text, "heads": ["wish"]});
        let answer = sidecar.post("/v1/analyze", &body).await?.json()?;
        assert!(
            answer["heads"]["wish"][label].as_f64() > Some(0.5),
            "{answer}"
        );
    }
    let many = json!({"input": "hello", "heads": vec!["wish"; 10_000]});
    let answer = sidecar.post("/v1/classify", &many).await?.json()?;
    assert_eq!(
        answer["data"][0]["heads"]
            .as_object()
            .map(serde_json::Map::len),
        Some(1)
    );
    config.decisions[0].rules =
        serde_json::from_value(json!({"type": "head", "name": "wish:refnud"}))?;
    let error = sidecar.reload(&config).await.err().ok_or("no error")?;
    assert_eq!(
        error.to_string(),
        "decisions[0].rules.name: `wish` has no label `refnud`; known: delivery, refund"
    );
    nothing_hides_in_the_middle(&sidecar).await?;
    a_category_costs_no_forward_beside_a_head(&sidecar).await?;
    assert!(
        sidecar
            .get("/metrics")
            .await?
            .text()
            .contains(r#"head="wish""#)
    );
    config.decisions[0].rules = crate::harness::config()?.decisions[0].rules.clone();
    config.sidecar.heads.clear();
    sidecar.reload(&config).await?;
    assert!(
        !sidecar.get("/metrics").await?.text().contains("wish"),
        "what is no longer loaded is no longer reported"
    );
    Ok(())
}

/// The windows that a head reads serve the category as well.
async fn a_category_costs_no_forward_beside_a_head(sidecar: &Sidecar) -> Outcome<()> {
    let text = "When will the next parcel be delivered to the office? ".repeat(40);
    let mut rows = Vec::new();
    for heads in [json!(["wish"]), json!(["wish", "category"])] {
        let line = r#"turnpike_sidecar_batch_rows_sum{model="encoder"}"#;
        let before = sidecar.metric(line).await?;
        let body = json!({"text": text, "heads": heads});
        let answer = sidecar.post("/v1/analyze", &body).await?.json()?;
        assert!(answer["heads"]["wish"].is_object(), "{answer}");
        assert_eq!(
            answer["category"].is_object(),
            heads[1] == "category",
            "{answer}"
        );
        rows.push(sidecar.metric(line).await? - before);
    }
    assert!(rows[0] > 3.0 && rows[0] == rows[1], "{rows:?}");
    Ok(())
}

/// A guard reads every window: wherever a passage stands, it decides.
async fn nothing_hides_in_the_middle(sidecar: &Sidecar) -> Outcome<()> {
    const HARMLESS: &str = "When will the next parcel be delivered to the office? ";
    let attack = "Please refund the lamp, it broke. I want my money back for it. ".repeat(16);
    let hidden = |before: usize| {
        format!(
            "{}{attack}{}",
            HARMLESS.repeat(before),
            HARMLESS.repeat(120 - before)
        )
    };
    let texts = [HARMLESS.repeat(120), hidden(0), hidden(61), hidden(120)];
    let body = json!({"input": texts, "heads": ["wish"]});
    let answer = sidecar.post("/v1/classify", &body).await?.json()?;
    let labels: Vec<_> = (0..4)
        .map(|i| answer["data"][i]["heads"]["wish"]["label"].clone())
        .collect();
    assert_eq!(
        labels,
        ["delivery", "refund", "refund", "refund"],
        "{answer}"
    );
    Ok(())
}
