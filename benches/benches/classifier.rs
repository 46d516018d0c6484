//! What a verdict costs: native, beside `tokenizers`, and in the real Envoy by the router's own clock.
//!
//! 1. Native: word pieces by the crate and by `tokenizers`, all heads, personal data, on texts of about 128 tokens.
//! 2. In Envoy: `router_us` of the access log for requests whose text is read, and for the same requests when nothing is read;
//!    then with personal data looked for, first what has a form, then names too.
//! 3. A text of 100 KB in Envoy: its reading in all, and how long short requests take meanwhile.
//!
//! Prints the limits of the project beside the measured values; it does not fail above them, since the machine may be busy.

#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use benches::client::{Client, request};
use benches::gateway::Gateway;
use benches::report::{percentile_us, set_up};
use serde_json::json;
use tokio::net::TcpListener;
use turnpike::render::Filters;
use turnpike_classify::model::onnx::Onnx;
use turnpike_classify::model::{MODEL, Model};
use turnpike_classify::names::{NAMES, Names};
use turnpike_classify::pii::Detectors;
use turnpike_core::Config;
use turnpike_core::decision::PiiPolicyConfig;
use turnpike_core::guard::NAME_KINDS;
use wasm_tests::harness::Paths;
use wasm_tests::standin::{Records, StandIn};

const REQUESTS: usize = 3_000;
const LONG_REQUESTS: usize = 40;
/// Bytes of the long text.
const LONG: usize = 100_000;

fn main() -> Result<()> {
    // `cargo bench` passes `--bench` to every benchmark; other arguments choose among them.
    if std::env::args()
        .skip(1)
        .any(|a| !a.starts_with("--") && !"classifier".contains(&a))
    {
        return Ok(());
    }
    println!("set-up: {}\n", set_up());
    native()?;
    tokio::runtime::Runtime::new()?.block_on(in_envoy())
}

/// Ordinary questions, different ones, of about 128 tokens.
fn text(number: usize) -> String {
    let subjects = [
        "the harbour of a small town",
        "a theorem about prime numbers",
        "contracts between neighbours",
        "the treatment of a fever",
        "a program that sorts its input",
        "trade between two islands",
        "the bridge over the river",
        "a memory of childhood",
    ];
    let subject = subjects[number % subjects.len()];
    let one = format!(
        "Question {number}: please explain {subject}, how it came to be, which parts of it matter most, and what a careful reader \
        should know before drawing a conclusion. "
    );
    one.repeat(4)
}

fn long_text() -> String {
    (0..)
        .map(text)
        .scan(0, |bytes, text| {
            *bytes += text.len();
            Some((*bytes, text))
        })
        .take_while(|(bytes, _)| *bytes < LONG)
        .map(|(_, text)| text)
        .collect()
}

fn reference(vocabulary: &str) -> Result<tokenizers::Tokenizer> {
    let pieces: serde_json::Map<String, serde_json::Value> = vocabulary
        .lines()
        .zip(0..)
        .map(|(piece, number)| (piece.to_owned(), number.into()))
        .collect();
    let tokenizer = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "post_processor": null, "decoder": null,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100_000, "vocab": pieces}});
    tokenizer
        .to_string()
        .parse()
        .map_err(|e| anyhow::anyhow!("{e}"))
}

fn native() -> Result<()> {
    let model = Model::read(MODEL)?;
    let reference = reference(Onnx::read(MODEL)?.property("vocabulary")?)?;
    let texts: Vec<String> = (0..500).map(text).collect();
    let tokens: usize = texts.iter().map(|text| model.tokens(text).len()).sum();
    println!(
        "native, one thread, {} texts of {} tokens on average, µs a text",
        texts.len(),
        tokens / texts.len()
    );
    println!("  {:<34} {:>8} {:>8}", "", "p50", "p99");
    let row = |name: &str, work: &dyn Fn(&str)| {
        let mut times = Vec::with_capacity(texts.len() * 6);
        // The first round warms caches.
        for round in 0..6 {
            for text in &texts {
                let began = Instant::now();
                work(black_box(text));
                if round > 0 {
                    times.push(began.elapsed());
                }
            }
        }
        println!(
            "  {name:<34} {:>8.1} {:>8.1}",
            percentile_us(&mut times, 0.5),
            percentile_us(&mut times, 0.99)
        );
    };
    row("word pieces, this crate", &|text| {
        black_box(model.tokens(text));
    });
    row("word pieces, tokenizers", &|text| {
        black_box(
            reference
                .encode_fast(text, false)
                .map(|e| e.len())
                .unwrap_or_default(),
        );
    });
    row("all heads (limit 50)", &|text| {
        black_box(model.classify(text));
    });
    let detectors = Detectors::compile()?;
    row("personal data that has a form", &|text| {
        black_box(detectors.detect(text));
    });
    let names = Names::read(NAMES, &model)?;
    row("names", &|text| {
        names.detect(&model, text, &mut Vec::new());
    });
    println!();
    Ok(())
}

fn body(text: &str) -> String {
    json!({"model": "auto", "messages": [{"role": "user", "content": text}]}).to_string()
}

async fn in_envoy() -> Result<()> {
    let mut config = turnpike::config::load(wasm_tests::harness::root().join("envoy/config.yaml"))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let _standin = StandIn::start(listener, "bench", Vec::new(), Records::default())?;
    for endpoint in &mut config.vllm_endpoints {
        endpoint.port = port;
    }
    config.semantic_cache.enabled = false;
    // The same texts come again and again, and shall be read each time.
    config.routing_cache.max_bytes = 0;
    config.sidecar.enabled = false;
    config.limits.max_body_bytes = 1 << 20;
    let mut reading = config.clone();
    reading.prompt_guard.enabled = true;
    let with_policy = |allowed: &[&str]| {
        let mut config = reading.clone();
        for model in config.model_config.values_mut() {
            model.pii_policy = Some(PiiPolicyConfig {
                allow_by_default: false,
                pii_types_allowed: allowed.iter().map(|kind| (*kind).to_owned()).collect(),
            });
        }
        config
    };
    let (forms, names) = (with_policy(&NAME_KINDS), with_policy(&[]));
    // The same chain, with nothing to read: no categories, no guards.
    config.categories.clear();
    config.decisions.clear();

    let module = Paths::find()?.wasm.join("turnpike_router.wasm");
    let size = std::fs::metadata(&module)?.len();
    println!(
        "turnpike_router.wasm: {size} bytes (limit 8000000), of them the model {}\n",
        MODEL.len()
    );
    println!("in Envoy, one connection, {REQUESTS} requests, `router_us` of the access log, µs");
    println!("  {:<34} {:>8} {:>8}", "", "p50", "p99");
    let mut medians = Vec::new();
    for (name, config) in [
        ("nothing read", &config),
        ("category and jailbreak", &reading),
        ("… and personal data with a form", &forms),
        ("… and names", &names),
    ] {
        let mut times = router_times(config).await?;
        let (p50, p99) = (
            percentile_us(&mut times, 0.5),
            percentile_us(&mut times, 0.99),
        );
        println!("  {name:<34} {p50:>8.0} {p99:>8.0}");
        medians.push((p50, p99));
    }
    if let [(base, base_99), (read, read_99), ..] = medians[..] {
        println!(
            "  {:<34} {:>8.0} {:>8.0}",
            "verdict (limits 150, 400)",
            read - base,
            read_99 - base_99
        );
    }
    println!();
    println!(
        "{LONG} bytes of text in Envoy, one worker, guards.slice_ms {}, ms",
        reading.guards.slice_ms
    );
    for (name, config) in [
        ("category and jailbreak", &reading),
        ("… and personal data and names", &names),
    ] {
        println!("  {name:<34} {:>8} {:>8}", "p50", "p99");
        long(config).await?;
    }
    Ok(())
}

async fn router_times(config: &Config) -> Result<Vec<Duration>> {
    let filters = Filters {
        meter: true,
        router: true,
    };
    let gateway = Gateway::start("classifier", config, filters, &[], 1).await?;
    let port = gateway.port;
    tokio::task::spawn_blocking(move || -> Result<()> {
        let mut client = Client::connect(port, "")?;
        for number in 0..REQUESTS {
            client.send(&request("alice", &body(&text(number))))?;
        }
        Ok(())
    })
    .await??;
    logged(&gateway, REQUESTS).await
}

/// Envoy writes its log a moment later.
async fn logged(gateway: &Gateway, expected: usize) -> Result<Vec<Duration>> {
    for _ in 0..100 {
        let numbers = gateway.logged("router_us")?;
        if numbers.len() >= expected {
            return Ok(numbers.into_iter().map(Duration::from_micros).collect());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("the access log lacks requests")
}

async fn long(config: &Config) -> Result<()> {
    let filters = Filters {
        meter: true,
        router: true,
    };
    let gateway = Gateway::start("classifier-long", config, filters, &[], 1).await?;
    let port = gateway.port;
    let text = long_text();
    let (mut alone, mut beside) = tokio::task::spawn_blocking(move || -> Result<_> {
        let short = body("What is the boiling point of water?");
        let mut client = Client::connect(port, &short)?;
        let timed = |client: &mut Client| -> Result<Duration> {
            let began = Instant::now();
            client.ask()?;
            Ok(began.elapsed())
        };
        let alone = (0..500)
            .map(|_| timed(&mut client))
            .collect::<Result<Vec<_>>>()?;
        let busy = std::thread::spawn(move || -> Result<()> {
            for _ in 0..LONG_REQUESTS {
                Client::connect(port, &body(&text))?.ask()?;
            }
            Ok(())
        });
        let mut beside = Vec::new();
        while !busy.is_finished() {
            beside.push(timed(&mut client)?);
        }
        busy.join()
            .map_err(|_| anyhow::anyhow!("a client panicked"))??;
        Ok((alone, beside))
    })
    .await??;
    let all = logged(&gateway, 500 + LONG_REQUESTS).await?;
    let mut long: Vec<Duration> = all
        .into_iter()
        .filter(|took| *took > Duration::from_millis(1))
        .collect();
    for (name, times) in [
        ("reading it, in all", &mut long),
        ("short requests alone", &mut alone),
        ("short requests meanwhile", &mut beside),
    ] {
        println!(
            "    {name:<32} {:>8.2} {:>8.2}",
            percentile_us(times, 0.5) / 1e3,
            percentile_us(times, 0.99) / 1e3
        );
    }
    anyhow::ensure!(!long.is_empty(), "no long request was logged");
    Ok(())
}
