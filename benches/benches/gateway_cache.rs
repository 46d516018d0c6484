//! What an answer from the cache takes, end to end through Envoy at one connection, beside what it saves and what it consists of.
//!
//! In one run, in turns, so that a noisy moment hits all:
//!
//! 1. `direct`: Envoy without filters answers by itself, with about as many bytes as a hit has. What client and proxy cost alone.
//! 2. `upstream`: Envoy without filters asks the LLM stand-in, which answers at once.
//! 3. `exact hit`: the same request again. No model runs, no LLM server is asked.
//! 4. `semantic hit`: the question in other words. The encoder runs, no LLM server is asked.
//! 5. `miss`: a question that is not there, only some that resemble it. The encoder runs, the rules turn those down, the stand-in
//!    answers, the answer is stored.
//! 6. `encoder`: what the sidecar itself says that tokenization and forward of the semantic hit's text take (`timing` of
//!    `/v1/analyze`), asked over its socket with a partition that holds nothing.
//! 7. `direct` and `exact hit` once more, each behind 5 ms in which nothing happens but that the client spins: what it costs that others
//!    have used the processor's caches meanwhile, and that a core must wake. A semantic hit has a pause of that kind within it, while
//!    its encoder runs, but for the sidecar, and its parts that lie before the forward.
//! 8. How long it takes to read memory again, at once and after such a pause: with the times, how quiet the machine is.
//!
//! Then `inside`: where the time of hits goes, as the sidecar's histograms say. The encoder's time there is that of the very requests
//! that hit: beside Envoy, its forward finds other things in the processor's caches than when it runs alone.
//!
//! The sidecar's counters say afterwards whether each request was what it is called; otherwise the run fails. Prints the limits of the
//! project beside the measured values; it does not fail above them, since the machine may be busy.

#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use benches::caches::{Probe, spin};
use benches::client::{Client, request};
use benches::gateway::Gateway;
use benches::load::{Connection, get, post};
use benches::report::{percentile_us, set_up};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use turnpike::render::Filters;
use turnpike_core::Config;
use turnpike_core::sidecar::ANALYZE_PATH;
use wasm_tests::harness::metrics;
use wasm_tests::standin::{Records, StandIn};

const ROUNDS: usize = 64;
const REQUESTS_A_ROUND: usize = 25;

/// Before requests that are measured behind one.
const PAUSE: Duration = Duration::from_millis(5);

/// Kinds of requests that take turns.
const KINDS: usize = 8;

/// Bytes that are read again: less than a core's own cache, and more than that but less than what cores share.
const PROBES: [usize; 2] = [256 << 10, 4 << 20];

/// Before anything is measured.
const WARM_UP: usize = 200;

/// A stored question, and the same in other words.
struct Question {
    name: &'static str,
    stored: &'static str,
    asked: &'static str,
}

const QUESTIONS: [Question; 2] = [
    Question {
        name: "short",
        stored: "How long does a sprained ankle take to heal?",
        asked: "How long does it take for a sprained ankle to heal?",
    },
    Question {
        name: "long",
        stored: "I twisted my left ankle when I ran down the stairs. It is swollen and blue, it hurts at night, and I can walk on it \
            only slowly and with a stick. How long does such a sprained ankle take to heal, and what helps against the swelling?",
        asked: "I twisted my left ankle when I ran down the stairs. It is swollen and blue, it hurts at night, and I can walk on it \
            only slowly and with a stick. How long does it take for such a sprained ankle to heal, and what helps against the swelling?",
    },
];

fn main() -> Result<()> {
    // `cargo bench` passes `--bench` to every benchmark; other arguments choose among them.
    if std::env::args()
        .skip(1)
        .any(|a| !a.starts_with("--") && !"gateway_cache".contains(&a))
    {
        return Ok(());
    }
    let runtime = Runtime::new()?;
    println!("set-up: {}", set_up());
    println!(
        "request: {} bytes, plain HTTP/1.1 on loopback, 1 connection, {} requests each, in turns of {REQUESTS_A_ROUND}; 1 worker\n",
        body(QUESTIONS[0].stored).len(),
        ROUNDS * REQUESTS_A_ROUND
    );
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let port = listener.local_addr()?.port();
    let _standin = {
        let _entered = runtime.enter();
        StandIn::start(listener, "bench", Vec::new(), Records::default())?
    };
    let config = config(port)?;
    let bench = Bench::start(&runtime, &config)?;
    bench.check_version()?;
    for question in &QUESTIONS {
        bench.run(question)?;
    }
    Ok(())
}

/// The example configuration, with this stand-in and time enough that no lookup is given up.
fn config(port: u16) -> Result<Config> {
    let text = fs::read_to_string(wasm_tests::harness::root().join("envoy/config.yaml"))?;
    let mut config = Config::from_value(serde_saphyr::from_str(&text)?)?;
    config.sidecar.timeout_ms = 5_000;
    for endpoint in &mut config.vllm_endpoints {
        endpoint.address = "127.0.0.1".into();
        endpoint.port = port;
    }
    Ok(config)
}

/// A request of about 1 KB; the text of the user is what the encoder reads.
fn body(text: &str) -> String {
    let system = "You are a helpful assistant of a clinic, and answer briefly. ".repeat(13);
    json!({
        "model": "auto",
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": text}],
        "temperature": 0.2,
    })
    .to_string()
}

/// Times of one kind of request.
type Times = Vec<Duration>;

/// All that is measured for one question.
#[derive(Default)]
struct Measured {
    direct: Times,
    upstream: Times,
    exact: Times,
    semantic: Times,
    miss: Times,
    encoder: Times,
    direct_paused: Times,
    exact_paused: Times,
    /// Of a turn of exact hits, and of one of semantic hits.
    inside: [Vec<Inside>; 2],
}

/// Means of the requests of one turn, in seconds.
#[derive(Debug, Clone, Copy)]
struct Inside {
    client: f64,
    sidecar: f64,
    tokenization: f64,
    queue: f64,
    forward: f64,
    cache: f64,
}

impl Inside {
    fn encoder(&self) -> f64 {
        self.tokenization + self.forward
    }

    /// Of a turn that the client measured as `times`, from the sums of the sidecar before and behind it.
    fn new(times: &[Duration], before: &[f64; 5], behind: &[f64; 5]) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
        let count = times.len() as f64;
        let [sidecar, tokenization, queue, forward, cache] =
            std::array::from_fn(|at| (behind[at] - before[at]) / count);
        Self {
            client: times.iter().sum::<Duration>().as_secs_f64() / count,
            sidecar,
            tokenization,
            queue,
            forward,
            cache,
        }
    }
}

/// Who is asked.
struct Bench<'r> {
    runtime: &'r Runtime,
    direct: Gateway,
    upstream: Gateway,
    cached: Gateway,
}

/// How many lookups the sidecar has answered, by result.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Lookups {
    exact: f64,
    semantic: f64,
    miss: f64,
}

impl<'r> Bench<'r> {
    fn start(runtime: &'r Runtime, config: &Config) -> Result<Self> {
        // What the stand-in says to such a question.
        let answer = wasm_tests::standin::answer("qwen3-8b", QUESTIONS[0].stored);
        let answer =
            json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": answer}}]});
        let answer = format!("{:<700}", answer.to_string());
        runtime.block_on(async {
            Ok(Self {
                runtime,
                direct: Gateway::start_direct("direct", config, &answer, 1).await?,
                upstream: Gateway::start("upstream", config, Filters::NONE, &[], 1).await?,
                cached: Gateway::start_with_sidecar("cached", config, 1).await?,
            })
        })
    }

    fn run(&self, question: &Question) -> Result<()> {
        let (stored, asked) = (body(question.stored), body(question.asked));
        // The one without filters needs a model's name of its own to find the way.
        let named = stored.replace("\"auto\"", "\"qwen3-8b\"");
        let mut direct = Client::connect(self.direct.port, &stored)?;
        let mut upstream = Client::connect(self.upstream.port, &named)?;
        let mut exact = Client::connect(self.cached.port, &stored)?;
        let mut semantic = Client::connect(self.cached.port, &asked)?;
        let mut miss = Client::connect(self.cached.port, &stored)?;
        let mut encoder = self.connect()?;
        let mut others = others(question);
        exact.ask()?;
        self.wait_until_stored(&mut exact)?;
        for _ in 0..WARM_UP {
            direct.ask()?;
            upstream.ask()?;
            exact.ask()?;
            semantic.ask()?;
            self.analyze(&mut encoder, question.asked)?;
            miss.send(&others.next().context("no more questions")?)?;
        }
        let before = self.lookups()?;
        let mut measured = Measured::default();
        let mut probes = PROBES.map(Probe::new);
        for round in 0..ROUNDS {
            for probe in &mut probes {
                probe.sample(PAUSE);
            }
            for kind in 0..KINDS {
                let kind = (round + kind) % KINDS;
                let hits = match kind {
                    2 => Some((&mut exact, &mut measured.exact, 0)),
                    3 => Some((&mut semantic, &mut measured.semantic, 1)),
                    _ => None,
                };
                if let Some((client, times, at)) = hits {
                    let before = self.sums()?;
                    for _ in 0..REQUESTS_A_ROUND {
                        times.push(client.ask()?);
                    }
                    let of_turn = &times[times.len() - REQUESTS_A_ROUND..];
                    let inside = Inside::new(of_turn, &before, &self.sums()?);
                    measured.inside[at].push(inside);
                    continue;
                }
                for _ in 0..REQUESTS_A_ROUND {
                    match kind {
                        0 => measured.direct.push(direct.ask()?),
                        1 => measured.upstream.push(upstream.ask()?),
                        4 => measured
                            .encoder
                            .push(self.analyze(&mut encoder, question.asked)?),
                        5 => {
                            spin(PAUSE);
                            measured.direct_paused.push(direct.ask()?);
                        }
                        6 => {
                            spin(PAUSE);
                            measured.exact_paused.push(exact.ask()?);
                        }
                        _ => {
                            let request = others.next().context("no more questions")?;
                            let started_at = Instant::now();
                            miss.send(&request)?;
                            measured.miss.push(started_at.elapsed());
                        }
                    }
                }
            }
        }
        check(before, self.lookups()?)?;
        report(question, &mut measured);
        for (bytes, mut probe) in PROBES.into_iter().zip(probes) {
            let (at_once, paused) = probe.median_ns();
            println!(
                "  one of the cache lines of {} KiB is read again in {at_once:.1} ns at once, in {paused:.1} ns after a pause",
                bytes >> 10
            );
        }
        println!();
        Ok(())
    }

    fn connect(&self) -> Result<Connection> {
        let socket = self.cached.sidecar_socket();
        self.runtime.block_on(Connection::open(&socket))
    }

    /// Tokenization and forward of a text, as the sidecar says.
    fn analyze(&self, connection: &mut Connection, text: &str) -> Result<Duration> {
        let lookup = json!({"partition": "0".repeat(64), "similarity_threshold": 0.85});
        let ask = post(ANALYZE_PATH, &json!({"text": text, "cache": lookup}));
        let (status, answer) = self.runtime.block_on(connection.exchange(&ask))?;
        ensure!(status == 200, "the sidecar answered {status}");
        let answer: Value = serde_json::from_slice(answer)?;
        let micros = |name: &str| answer["timing"][name].as_u64().unwrap_or_default();
        let micros = micros("tokenization_us") + micros("inference_us");
        Ok(Duration::from_micros(micros))
    }

    fn wait_until_stored(&self, client: &mut Client) -> Result<()> {
        let started_at = Instant::now();
        let hits = self.lookups()?.exact;
        while started_at.elapsed() < Duration::from_secs(20) {
            client.ask()?;
            if self.lookups()?.exact > hits {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the answer is not stored")
    }

    /// `cargo bench` alone does not build the sidecar: one of another commit would be measured without a word.
    fn check_version(&self) -> Result<()> {
        let samples = self.samples()?;
        let mut hashes = samples.iter().filter_map(|s| s.labels.get("git_hash"));
        let hash = hashes.next().map_or("unknown", String::as_str);
        ensure!(
            hash == turnpike_sidecar::GIT_HASH,
            "turnpike-sidecar is of commit {hash}, this benchmark of {}; build it first: make bench",
            turnpike_sidecar::GIT_HASH
        );
        Ok(())
    }

    fn samples(&self) -> Result<Vec<metrics::Sample>> {
        let mut connection = self.connect()?;
        let (_, page) = self
            .runtime
            .block_on(connection.exchange(&get("/metrics")))?;
        Ok(metrics::parse(std::str::from_utf8(page)?))
    }

    /// Seconds that the sidecar has spent on analyses, and on their parts.
    fn sums(&self) -> Result<[f64; 5]> {
        let samples = self.samples()?;
        let sum = |name: &str, label: &str, value: &str| {
            let name = format!("turnpike_sidecar_{name}_duration_seconds_sum");
            let of = |s: &&metrics::Sample| {
                s.name == name && s.labels.get(label).is_some_and(|l| l == value)
            };
            samples.iter().find(of).map_or(0.0, |sample| sample.value)
        };
        Ok([
            sum("request", "path", ANALYZE_PATH),
            sum("stage", "stage", "tokenization"),
            sum("queue", "model", "encoder"),
            sum("forward", "model", "encoder"),
            sum("stage", "stage", "cache"),
        ])
    }

    fn lookups(&self) -> Result<Lookups> {
        let samples = self.samples()?;
        let count = |result: &str| {
            let of = |s: &&metrics::Sample| {
                s.name == "turnpike_sidecar_cache_lookups_total"
                    && s.labels.get("result").is_some_and(|r| r == result)
            };
            samples.iter().find(of).map_or(0.0, |sample| sample.value)
        };
        Ok(Lookups {
            exact: count("exact"),
            semantic: count("semantic"),
            miss: count("miss"),
        })
    }
}

/// The asked question with a number in it, of another user: near enough to each other that rules must turn them down.
fn others(question: &Question) -> impl Iterator<Item = Vec<u8>> {
    let asked = question.asked;
    (0..).map(move |number: usize| request("bob", &body(&format!("{asked} {number}"))))
}

/// Every request was what it is called: one lookup each, and those of `encoder` miss, too.
fn check(before: Lookups, after: Lookups) -> Result<()> {
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let each = (ROUNDS * REQUESTS_A_ROUND) as f64;
    let counted = Lookups {
        exact: after.exact - before.exact,
        semantic: after.semantic - before.semantic,
        miss: after.miss - before.miss,
    };
    let expected = Lookups {
        exact: 2.0 * each,
        semantic: each,
        miss: 2.0 * each,
    };
    ensure!(counted == expected, "{counted:?} instead of {expected:?}");
    Ok(())
}

fn report(question: &Question, measured: &mut Measured) {
    println!("{} question, {} bytes", question.name, question.asked.len());
    println!(
        "  {:<36} {:>9} {:>9} {:>9}",
        "", "p50 µs", "p90 µs", "p99 µs"
    );
    let rows = [
        ("direct: Envoy answers by itself", &mut measured.direct),
        ("upstream: Envoy and the stand-in", &mut measured.upstream),
        ("exact hit", &mut measured.exact),
        ("semantic hit", &mut measured.semantic),
        ("miss with lookup, stored", &mut measured.miss),
        ("encoder: tokenization and forward", &mut measured.encoder),
        ("direct, behind a pause", &mut measured.direct_paused),
        ("exact hit, behind a pause", &mut measured.exact_paused),
    ];
    let mut found = Vec::new();
    for (name, times) in rows {
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| percentile_us(times, share));
        println!("  {name:<36} {p50:>9.0} {p90:>9.0} {p99:>9.0}");
        found.push((p50, p99));
    }
    let &[
        direct,
        upstream,
        exact,
        semantic,
        miss,
        encoder,
        direct_paused,
        exact_paused,
    ] = found.as_slice()
    else {
        return;
    };
    println!(
        "  {:<36} {:>9} {:>9}   limit of p50",
        "differences", "p50 µs", "p99 µs"
    );
    let line = |name: &str, of: (f64, f64), less: &[(f64, f64)], limit: &str| {
        let p50 = of.0 - less.iter().map(|l| l.0).sum::<f64>();
        let p99 = of.1 - less.iter().map(|l| l.1).sum::<f64>();
        println!("  {name:<36} {p50:>9.0} {p99:>9.0}   {limit}");
    };
    line("exact hit - direct", exact, &[direct], "600");
    line("semantic hit - encoder", semantic, &[encoder], "1000");
    line(
        "semantic hit - encoder - direct",
        semantic,
        &[encoder, direct],
        "",
    );
    line(
        "exact hit - direct, behind a pause",
        exact_paused,
        &[direct_paused],
        "",
    );
    line(
        "what a pause adds to an exact hit",
        exact_paused,
        &[exact],
        "",
    );
    line("miss - upstream", miss, &[upstream], "");
    line("miss - upstream - encoder", miss, &[upstream, encoder], "");
    inside(measured);
    println!(
        "  ratios of p50: exact hit {:.2} of upstream; semantic hit {:.2} of the encoder; miss {:.2} of upstream and encoder",
        exact.0 / upstream.0,
        semantic.0 / encoder.0,
        miss.0 / (upstream.0 + encoder.0)
    );
}

/// The medians of all turns' means.
fn inside(measured: &Measured) {
    println!(
        "  {:<36} {:>9} {:>9}",
        "inside, medians of turns' means", "exact µs", "semantic"
    );
    let line = |name: &str, of: &dyn Fn(&Inside) -> f64| {
        let [exact, semantic] = [0, 1].map(|at| {
            let seconds = measured.inside[at].iter().map(of);
            let mut times: Times = seconds
                .map(|s| Duration::from_secs_f64(s.max(0.0)))
                .collect();
            percentile_us(&mut times, 0.5)
        });
        println!("  {name:<36} {exact:>9.0} {semantic:>9.0}");
    };
    line("client", &|i| i.client);
    line("outside the sidecar", &|i| i.client - i.sidecar);
    line("sidecar", &|i| i.sidecar);
    line("  tokenization", &|i| i.tokenization);
    line("  waiting for the model's thread", &|i| i.queue);
    line("  forward", &|i| i.forward);
    line("  cache", &|i| i.cache);
    line("  the rest", &|i| {
        i.sidecar - i.encoder() - i.queue - i.cache
    });
    line("client - its own encoder", &|i| i.client - i.encoder());
}
