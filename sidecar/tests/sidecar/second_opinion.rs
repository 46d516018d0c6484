//! The cache's second opinion: a cross-encoder that answers as the test says, and those of `models/reference`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use turnpike_core::Config;
use turnpike_core::cache::SecondOpinionConfig;
use turnpike_sidecar::batching::Limits;
use turnpike_sidecar::cache::SecondOpinion;
use turnpike_sidecar::classifier::{CrossEncoder, RowScores};
use turnpike_sidecar::model::{ForwardError, Model, TokenizedText};
use turnpike_sidecar::tokenizer::PairTokenizer;

use crate::harness::{ALICE, Answer, Outcome, Sidecar, config, encoder, engine, model_folder};

const BODY: &str =
    r#"{"choices":[{"index":0,"message":{"content":"Hold it."},"finish_reason":"stop"}]}"#;

const STORED: &str = "How do I reset my router to factory settings?";
const ASKED: &str = "How can I reset my router to factory settings?";

/// What the model says of the rows of a forward, in their order.
type Script = Box<dyn Fn(&[&TokenizedText]) -> Result<Vec<f32>, ForwardError> + Send>;

/// A cross-encoder that is told what to say.
struct Scripted {
    script: Mutex<Script>,
    rows: AtomicUsize,
    forwards: AtomicUsize,
}

impl Scripted {
    fn new(
        script: impl Fn(&[&TokenizedText]) -> Result<Vec<f32>, ForwardError> + Send + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(Box::new(script)),
            rows: AtomicUsize::new(0),
            forwards: AtomicUsize::new(0),
        })
    }

    /// Always the same.
    fn saying(score: f32) -> Arc<Self> {
        Self::new(move |rows| Ok(vec![score; rows.len()]))
    }

    fn rows(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }
}

impl Model for Scripted {
    type Output = RowScores;

    fn forward(&self, rows: &[&TokenizedText]) -> Result<Vec<RowScores>, ForwardError> {
        self.rows.fetch_add(rows.len(), Ordering::Relaxed);
        self.forwards.fetch_add(1, Ordering::Relaxed);
        let script = self.script.lock();
        let script = script.map_err(|e| ForwardError::Runtime(e.to_string()))?;
        let scores = script(rows)?;
        Ok(scores
            .into_iter()
            .map(|s| RowScores::Text(vec![s]))
            .collect())
    }
}

/// Asked about everything but the very same.
fn asked_always() -> SecondOpinionConfig {
    SecondOpinionConfig {
        path: "not loaded".into(),
        below_similarity: 1.0,
        ..SecondOpinionConfig::default()
    }
}

/// With the real encoder, and `model` in place of a cross-encoder that reads `max_tokens`.
async fn start(
    config: &Config,
    second_opinion: &SecondOpinionConfig,
    model: &Arc<Scripted>,
    max_tokens: usize,
) -> Outcome<Sidecar> {
    let sidecar = Sidecar::start_loading(config, None).await?;
    let metrics = &sidecar.service.metrics;
    let tokenizer = PairTokenizer::from_file(&model_folder().join("tokenizer.json"), max_tokens)?;
    let cross_encoder = CrossEncoder::new(
        "second_opinion",
        vec!["LABEL_0".into()],
        tokenizer,
        Arc::<Scripted>::clone(model),
        Limits::new(&config.sidecar.batching, false),
        metrics,
    )?;
    let second_opinion = SecondOpinion::new(second_opinion, 0, Arc::new(cross_encoder));
    let engine = engine(config, encoder()?, metrics)?.with_second_opinion(second_opinion);
    sidecar.service.set_ready(engine, config).await?;
    Ok(sidecar)
}

async fn store(sidecar: &Sidecar, text: &str, body: &str) -> Outcome<Answer> {
    let body = json!({"partition": ALICE, "text": text, "model": "m", "body": body});
    let stored = sidecar.post("/v1/cache/entries", &body).await?;
    assert_eq!(stored.status, 201, "{}", stored.text());
    Ok(stored)
}

async fn analyze(sidecar: &Sidecar, text: &str) -> Outcome<Value> {
    let cache = json!({"partition": ALICE, "similarity_threshold": 0.8});
    let body = json!({"text": text, "heads": ["category"], "cache": cache});
    let answer = sidecar.post("/v1/analyze", &body).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn turned_down(sidecar: &Sidecar, reason: &str) -> Outcome<f64> {
    let metric = "turnpike_sidecar_cache_candidates_turned_down_total";
    sidecar
        .metric(&format!(r#"{metric}{{reason="{reason}"}}"#))
        .await
}

#[tokio::test]
async fn a_similar_question_is_a_hit_if_both_orders_reach_the_threshold() -> Outcome<()> {
    for (scores, status) in [
        ([0.9, 0.8], "hit"),
        ([0.5, 0.5], "hit"),
        ([0.9, 0.49], "miss"),
        ([0.49, 0.9], "miss"),
        ([0.1, 0.2], "miss"),
    ] {
        let model = Scripted::new(move |_| Ok(scores.to_vec()));
        let sidecar = start(&config()?, &asked_always(), &model, 128).await?;
        store(&sidecar, STORED, BODY).await?;
        let answer = analyze(&sidecar, ASKED).await?;
        assert_eq!(answer["cache"]["status"], status, "{scores:?}");
        assert_eq!(model.rows(), 2, "one row for each order");
        let misses = f64::from(u8::from(status == "miss"));
        assert_eq!(turned_down(&sidecar, "second_opinion").await?, misses);
        assert_eq!(turned_down(&sidecar, "no_second_opinion").await?, 0.0);
        let line = r#"turnpike_sidecar_stage_duration_seconds_count{stage="second_opinion"}"#;
        assert_eq!(sidecar.metric(line).await?, 1.0);
    }
    Ok(())
}

#[tokio::test]
async fn nobody_is_asked_about_the_same_text_a_very_similar_one_or_what_the_rules_refuse()
-> Outcome<()> {
    let model = Scripted::saying(0.0);
    let sure = SecondOpinionConfig {
        below_similarity: 0.9,
        ..asked_always()
    };
    let sidecar = start(&config()?, &sure, &model, 128).await?;
    store(&sidecar, STORED, BODY).await?;
    store(
        &sidecar,
        "How do I turn on dark mode in the settings?",
        BODY,
    )
    .await?;
    for (text, status) in [
        (STORED, "hit"),
        // A cosine of 0.95.
        (ASKED, "hit"),
        ("How do I turn off dark mode in the settings?", "miss"),
        ("What is the capital of France?", "miss"),
    ] {
        let answer = analyze(&sidecar, text).await?;
        assert_eq!(answer["cache"]["status"], status, "{text}");
    }
    assert_eq!(model.rows(), 0);
    Ok(())
}

/// What the rules do not understand beside [`STORED`]; a cosine of 0.90.
const REWORDED: &str = "Steps for wiping my router back to factory settings";

#[tokio::test]
async fn what_the_rules_do_not_understand_is_a_hit_if_both_orders_reach_the_accept_threshold()
-> Outcome<()> {
    for (accept_threshold, scores, status, rows) in [
        (Some(0.8), [0.9, 0.8], "hit", 2),
        (Some(0.8), [0.9, 0.79], "miss", 2),
        (Some(0.8), [0.79, 0.9], "miss", 2),
        (None, [1.0, 1.0], "miss", 0),
    ] {
        let model = Scripted::new(move |_| Ok(scores.to_vec()));
        let second_opinion = SecondOpinionConfig {
            accept_threshold,
            ..asked_always()
        };
        let sidecar = start(&config()?, &second_opinion, &model, 128).await?;
        store(&sidecar, STORED, BODY).await?;
        let answer = analyze(&sidecar, REWORDED).await?;
        assert_eq!(answer["cache"]["status"], status, "{scores:?}");
        assert_eq!(model.rows(), rows, "{scores:?}");
        let accepted = f64::from(u8::from(status == "hit"));
        let metric = "turnpike_sidecar_cache_second_opinion_hits_total";
        assert_eq!(sidecar.metric(metric).await?, accepted, "{scores:?}");
        let asked = f64::from(u8::from(rows > 0));
        let by_model = turned_down(&sidecar, "second_opinion").await?;
        assert_eq!(by_model, asked - accepted, "{scores:?}");
        // Its own threshold counts for what the rules accept.
        assert_eq!(analyze(&sidecar, ASKED).await?["cache"]["status"], "hit");
        assert_eq!(sidecar.metric(metric).await?, accepted, "{scores:?}");
    }
    Ok(())
}

#[tokio::test]
async fn nobody_is_asked_about_a_known_difference_and_a_sure_hit_comes_first() -> Outcome<()> {
    let model = Scripted::saying(1.0);
    let accepting = SecondOpinionConfig {
        accept_threshold: Some(0.5),
        below_similarity: 0.0,
        ..asked_always()
    };
    let sidecar = start(&config()?, &accepting, &model, 128).await?;
    for (stored, asked, reason) in [
        (
            "How do I turn on dark mode in the settings?",
            "How do I turn off dark mode in the settings?",
            "polarity",
        ),
        (
            "Does the train leave at 9 in the morning?",
            "Does the train leave at 8 in the morning?",
            "number",
        ),
        (
            "How long is the flight from Oslo to Rome?",
            "How long is the flight from Oslo to Milan?",
            "entity",
        ),
    ] {
        store(&sidecar, stored, BODY).await?;
        let answer = analyze(&sidecar, asked).await?;
        assert_eq!(answer["cache"]["status"], "miss", "{asked}");
        assert_eq!(turned_down(&sidecar, reason).await?, 1.0, "{asked}");
    }
    store(&sidecar, STORED, &BODY.replace("Hold it.", "reworded")).await?;
    let sure = "Steps for wiping my router back to factory settings, please";
    store(&sidecar, sure, &BODY.replace("Hold it.", "sure")).await?;
    let answer = analyze(&sidecar, REWORDED).await?;
    let body = answer["cache"]["body"].as_str().unwrap_or_default();
    assert!(body.contains("sure"), "{answer}");
    assert_eq!(model.rows(), 0);
    Ok(())
}

#[tokio::test]
async fn all_candidates_are_judged_together_and_the_best_that_passes_is_served() -> Outcome<()> {
    // The rows are two for each candidate, the most similar candidate first.
    let model = Scripted::new(|rows| {
        Ok((0..rows.len())
            .map(|at| if at < 2 { 0.1 } else { 0.9 })
            .collect())
    });
    let sidecar = start(&config()?, &asked_always(), &model, 128).await?;
    store(&sidecar, STORED, &BODY.replace("Hold it.", "nearest")).await?;
    let other = "How should I reset my router to factory settings, please?";
    store(&sidecar, other, &BODY.replace("Hold it.", "second")).await?;
    let answer = analyze(&sidecar, ASKED).await?;
    let body = answer["cache"]["body"].as_str().unwrap_or_default();
    assert!(body.contains("second"), "{answer}");
    assert_eq!(model.rows(), 4);
    assert_eq!(model.forwards.load(Ordering::Relaxed), 1);
    assert_eq!(turned_down(&sidecar, "second_opinion").await?, 1.0);
    Ok(())
}

#[tokio::test]
async fn a_model_that_fails_costs_the_hit_and_nothing_else() -> Outcome<()> {
    let model = Scripted::new(|_| Err(ForwardError::Runtime("out of memory".into())));
    let sidecar = start(&config()?, &asked_always(), &model, 128).await?;
    store(&sidecar, STORED, BODY).await?;
    let answer = analyze(&sidecar, ASKED).await?;
    assert_eq!(answer["cache"]["status"], "miss");
    assert!(answer["category"].is_object(), "{answer}");
    assert_eq!(turned_down(&sidecar, "no_second_opinion").await?, 1.0);
    assert_eq!(analyze(&sidecar, STORED).await?["cache"]["status"], "hit");
    let nan = Scripted::saying(f32::NAN);
    let sidecar = start(&config()?, &asked_always(), &nan, 128).await?;
    store(&sidecar, STORED, BODY).await?;
    assert_eq!(analyze(&sidecar, ASKED).await?["cache"]["status"], "miss");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_late_costs_the_hit_and_the_answer_is_still_in_time() -> Outcome<()> {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let model = Scripted::new(move |rows| {
        let _ = wait.recv();
        Ok(vec![1.0; rows.len()])
    });
    let mut config = config()?;
    config.sidecar.timeout_ms = 3_000;
    let sidecar = start(&config, &asked_always(), &model, 128).await?;
    store(&sidecar, STORED, BODY).await?;
    // The model is released behind the answer.
    let answer = analyze(&sidecar, ASKED).await?;
    drop(release);
    assert_eq!(answer["cache"]["status"], "miss");
    assert!(answer["category"].is_object(), "{answer}");
    assert_eq!(turned_down(&sidecar, "no_second_opinion").await?, 1.0);
    Ok(())
}

#[tokio::test]
async fn questions_that_the_model_cannot_read_whole_are_not_the_same() -> Outcome<()> {
    let model = Scripted::saying(1.0);
    let sidecar = start(&config()?, &asked_always(), &model, 16).await?;
    store(&sidecar, STORED, BODY).await?;
    let answer = analyze(&sidecar, ASKED).await?;
    assert_eq!(answer["cache"]["status"], "miss");
    assert_eq!(turned_down(&sidecar, "no_second_opinion").await?, 1.0);
    assert_eq!(model.rows(), 0);
    Ok(())
}

#[tokio::test]
async fn questions_with_a_word_that_the_model_does_not_know_are_not_the_same() -> Outcome<()> {
    let model = Scripted::saying(1.0);
    let sidecar = start(&config()?, &asked_always(), &model, 128).await?;
    // The vocabulary has no such sign.
    store(&sidecar, &format!("{STORED} \u{1f642}"), BODY).await?;
    let answer = analyze(&sidecar, &format!("{ASKED} \u{1f642}")).await?;
    assert_eq!(answer["cache"]["status"], "miss");
    assert_eq!(turned_down(&sidecar, "no_second_opinion").await?, 1.0);
    assert_eq!(model.rows(), 0);
    Ok(())
}

fn with_model(model: &str, label: Option<&str>) -> Outcome<Config> {
    let mut config = config()?;
    config.semantic_cache.second_opinion = Some(SecondOpinionConfig {
        path: format!("models/reference/{model}"),
        label: label.map(str::to_owned),
        ..asked_always()
    });
    Ok(config)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configured_model_is_loaded_listed_and_asked_and_goes_with_its_key() -> Outcome<()> {
    let mut config = with_model("roberta-nli", Some("entailment"))?;
    let sidecar = Sidecar::start_from(&config).await?;
    let models = sidecar.get("/v1/models").await?.json()?;
    let listed = models["data"].as_array().ok_or("no list")?;
    let listed = listed.iter().find(|model| model["id"] == "second_opinion");
    let listed = listed.ok_or_else(|| models.to_string())?;
    assert_eq!(listed["kind"], "cross_encoder");
    assert_eq!(
        listed["labels"],
        json!(["contradiction", "entailment", "neutral"])
    );
    let placed =
        r#"turnpike_sidecar_model_placement{model="second_opinion",device="cpu",precision="fp32"}"#;
    assert_eq!(sidecar.metric(placed).await?, 1.0);
    let body = json!({"input": "x", "heads": ["second_opinion"]});
    let refused = sidecar.post("/v1/classify", &body).await?;
    assert_eq!(refused.status, 400, "it reads no single text");
    store(&sidecar, STORED, BODY).await?;
    analyze(&sidecar, ASKED).await?;
    let rows = r#"turnpike_sidecar_batch_rows_sum{model="second_opinion"}"#;
    assert_eq!(sidecar.metric(rows).await?, 2.0);
    // Whatever the tiny model says, another threshold and label count from now on, without a load.
    let second_opinion = config.semantic_cache.second_opinion.as_mut();
    second_opinion.ok_or("no second opinion")?.threshold = 1e-9;
    sidecar.reload(&config).await?;
    assert_eq!(analyze(&sidecar, ASKED).await?["cache"]["status"], "hit");
    assert_eq!(sidecar.metric(rows).await?, 4.0, "the same queue goes on");
    config.semantic_cache.second_opinion = None;
    sidecar.reload(&config).await?;
    assert_eq!(analyze(&sidecar, ASKED).await?["cache"]["status"], "hit");
    let page = sidecar.get("/metrics").await?.text();
    let gone = |line: &str| !page.lines().any(|l| l.starts_with(line));
    assert!(gone(rows) && gone(placed), "{page}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_cannot_judge_pairs_is_a_start_error_that_says_why() -> Outcome<()> {
    for (model, label, expected) in [
        (
            "roberta-nli",
            None,
            "semantic_cache.second_opinion.label: must name the label that says that two questions mean the same; known: contradiction, entailment, neutral",
        ),
        (
            "roberta-nli",
            Some("same"),
            "semantic_cache.second_opinion.label: there is no label `same`; known: contradiction, entailment, neutral",
        ),
        ("bert-pii", None, "the model labels tokens"),
        ("xlm-roberta", None, "id2label: is missing"),
        ("nowhere", None, "nowhere/model.onnx"),
    ] {
        let config = with_model(model, label)?;
        let error = Sidecar::start_from(&config).await.err().ok_or("no error")?;
        let error = format!("{:#}", anyhow::Error::from_boxed(error));
        assert!(error.contains(expected), "{error}");
        let mut off = config;
        off.semantic_cache.enabled = false;
        Sidecar::start_from(&off).await?;
    }
    Ok(())
}
