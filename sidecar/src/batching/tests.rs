//! The queue, with models that wait for the test or fail on purpose.

use std::sync::mpsc as std_mpsc;

use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::model::ForwardError;

/// Waits for a permit before every forward and reports the first tokens of the rows that it sees.
struct Gated {
    permits: Mutex<std_mpsc::Receiver<()>>,
    seen: mpsc::UnboundedSender<Vec<u32>>,
}

impl Model for Gated {
    type Output = u32;

    fn forward(&self, rows: &[&TokenizedText]) -> Result<Vec<u32>, ForwardError> {
        let tokens: Vec<u32> = rows.iter().map(|row| row.input_ids[0]).collect();
        let _ = self.seen.send(tokens.clone());
        let _ = self.permits.lock().unwrap().recv();
        Ok(tokens)
    }
}

struct Gate {
    batcher: Batcher<u32>,
    metrics: Metrics,
    permits: std_mpsc::Sender<()>,
    seen: mpsc::UnboundedReceiver<Vec<u32>>,
}

const LIMITS: Limits = Limits {
    max_batch_size: 4,
    max_tokens: 1000,
    max_wait: Duration::ZERO,
    queue: 6,
};

fn gate() -> Gate {
    let (permits, wait) = std_mpsc::channel();
    let (seen_sender, seen) = mpsc::unbounded_channel();
    let model = Gated {
        permits: Mutex::new(wait),
        seen: seen_sender,
    };
    let metrics = Metrics::default();
    let batcher = Batcher::start("gated", Arc::new(model), LIMITS, &metrics).unwrap();
    Gate {
        batcher,
        metrics,
        permits,
        seen,
    }
}

impl Gate {
    fn value(&self, metric: &str) -> f64 {
        let line = format!("turnpike_sidecar_{metric}{{model=\"gated\"}} ");
        let page = self.metrics.text().unwrap();
        let value = page.lines().find_map(|l| l.strip_prefix(&line));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    async fn until(&self, metric: &str, value: f64) {
        while (self.value(metric) - value).abs() > f64::EPSILON {
            tokio::task::yield_now().await;
        }
    }
}

fn row(token: u32) -> TokenizedText {
    TokenizedText {
        input_ids: vec![token],
        token_type_ids: Vec::new(),
        truncated: false,
    }
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

type Run = JoinHandle<Result<Answers<u32>, InferenceError>>;

fn spawn(batcher: &Batcher<u32>, tokens: &[u32], priority: Priority, deadline: Instant) -> Run {
    let batcher = batcher.clone();
    let rows = tokens.iter().copied().map(row).collect();
    tokio::spawn(async move { batcher.run(rows, priority, deadline).await })
}

fn route(gate: &Gate, token: u32) -> Run {
    spawn(&gate.batcher, &[token], Priority::Route, far())
}

#[tokio::test]
async fn rows_that_wait_share_a_forward_and_an_idle_model_waits_for_none() {
    let mut gate = gate();
    let first = route(&gate, 1);
    assert_eq!(gate.seen.recv().await, Some(vec![1]), "alone, at once");
    let others: Vec<Run> = [2, 3, 4].map(|token| route(&gate, token)).into();
    gate.until("rows_waiting", 3.0).await;
    gate.permits.send(()).unwrap();
    gate.permits.send(()).unwrap();
    assert_eq!(gate.seen.recv().await, Some(vec![2, 3, 4]));
    assert_eq!(first.await.unwrap().unwrap().outputs, [1]);
    for (run, token) in others.into_iter().zip([2, 3, 4]) {
        assert_eq!(run.await.unwrap().unwrap().outputs, [token]);
    }
    assert!(
        gate.metrics
            .text()
            .unwrap()
            .contains("batch_rows_sum{model=\"gated\"} 4.0")
    );
}

#[tokio::test]
async fn guards_overtake_what_nobody_waits_for() {
    let mut gate = gate();
    let first = route(&gate, 1);
    assert_eq!(gate.seen.recv().await, Some(vec![1]));
    let bulk = spawn(&gate.batcher, &[2, 3, 4], Priority::Bulk, far());
    gate.until("rows_waiting", 3.0).await;
    let guard = spawn(&gate.batcher, &[5, 6], Priority::Guard, far());
    gate.until("rows_waiting", 5.0).await;
    for _ in 0..3 {
        gate.permits.send(()).unwrap();
    }
    // In the order of arrival within the batch; which rows are in it is what priority decides.
    assert_eq!(gate.seen.recv().await, Some(vec![2, 3, 5, 6]));
    assert_eq!(gate.seen.recv().await, Some(vec![4]));
    assert_eq!(guard.await.unwrap().unwrap().outputs, [5, 6]);
    assert_eq!(bulk.await.unwrap().unwrap().outputs, [2, 3, 4]);
    assert!(first.await.unwrap().is_ok());
}

#[tokio::test]
async fn rows_whose_client_has_gone_leave_the_queue_at_once() {
    let mut gate = gate();
    let first = route(&gate, 1);
    assert_eq!(gate.seen.recv().await, Some(vec![1]));
    let gone = spawn(&gate.batcher, &[2, 2], Priority::Route, far());
    gate.until("rows_waiting", 2.0).await;
    gone.abort();
    assert!(gone.await.is_err());
    gate.until("rows_waiting", 0.0).await;
    assert!(gate.value("tokens_waiting").abs() < f64::EPSILON);
    let last = route(&gate, 3);
    gate.permits.send(()).unwrap();
    gate.permits.send(()).unwrap();
    assert!(first.await.unwrap().is_ok());
    assert!(last.await.unwrap().is_ok());
    assert_eq!(gate.seen.recv().await, Some(vec![3]));
    gate.until("rows_abandoned_total", 2.0).await;
}

#[tokio::test]
async fn rows_past_their_deadline_are_refused_and_never_run() {
    let mut gate = gate();
    let first = route(&gate, 1);
    assert_eq!(gate.seen.recv().await, Some(vec![1]));
    let soon = Instant::now() + Duration::from_millis(20);
    let late = spawn(&gate.batcher, &[2], Priority::Route, soon);
    assert_eq!(late.await.unwrap(), Err(InferenceError::DeadlinePassed));
    gate.permits.send(()).unwrap();
    assert!(first.await.unwrap().is_ok());
    let last = route(&gate, 3);
    assert_eq!(gate.seen.recv().await, Some(vec![3]));
    gate.permits.send(()).unwrap();
    assert!(last.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_takes_more_when_there_is_room() {
    let mut gate = gate();
    let mut runs = vec![route(&gate, 1)];
    assert_eq!(gate.seen.recv().await, Some(vec![1]));
    for _ in 0..LIMITS.queue {
        runs.push(route(&gate, 2));
    }
    gate.until("rows_waiting", 6.0).await;
    let refused = gate.batcher.run(vec![row(3)], Priority::Route, far()).await;
    assert_eq!(refused, Err(InferenceError::QueueFull));
    let guard = spawn(&gate.batcher, &[3], Priority::Guard, far());
    gate.until("rows_waiting", 7.0).await;
    runs.push(guard);
    for _ in 0..3 {
        gate.permits.send(()).unwrap();
    }
    for run in runs {
        assert!(run.await.unwrap().is_ok());
    }
    gate.permits.send(()).unwrap();
    assert!(
        gate.batcher
            .run(vec![row(3)], Priority::Guard, far())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn what_can_wait_keeps_nobody_out_and_a_begun_request_waits_for_room() {
    let mut gate = gate();
    let first = route(&gate, 1);
    assert_eq!(gate.seen.recv().await, Some(vec![1]));
    let batcher = gate.batcher.clone();
    let bulk = tokio::spawn(async move {
        let rows = (10..20).map(row).collect();
        batcher.run_all(rows, 2, Priority::Bulk, far()).await
    });
    gate.until("rows_waiting", 2.0).await;
    let refused = gate
        .batcher
        .run(vec![row(30), row(31)], Priority::Bulk, far())
        .await;
    assert_eq!(
        refused,
        Err(InferenceError::QueueFull),
        "half of the queue is the others'"
    );
    let route = spawn(
        &gate.batcher,
        &[40, 41, 42, 43, 44, 45],
        Priority::Route,
        far(),
    );
    gate.until("rows_waiting", 8.0).await;
    for _ in 0..20 {
        gate.permits.send(()).unwrap();
    }
    assert!(first.await.unwrap().is_ok());
    assert_eq!(
        route.await.unwrap().unwrap().outputs,
        [40, 41, 42, 43, 44, 45]
    );
    assert_eq!(
        bulk.await.unwrap().unwrap().outputs,
        (10..20).collect::<Vec<u32>>()
    );
}

#[tokio::test]
async fn what_is_too_much_for_its_time_is_refused_at_once() {
    let batcher = Batcher::start("slow", Arc::new(Slow), LIMITS, &Metrics::default()).unwrap();
    let rows = |count: usize| {
        let row = TokenizedText {
            input_ids: vec![0; 100],
            token_type_ids: Vec::new(),
            truncated: false,
        };
        vec![row; count]
    };
    assert!(batcher.run(rows(1), Priority::Bulk, far()).await.is_ok());
    let started_at = Instant::now();
    let soon = started_at + Duration::from_secs(2);
    let refused = batcher.run_all(rows(100), 1, Priority::Bulk, soon).await;
    assert_eq!(refused, Err(InferenceError::QueueFull));
    assert!(started_at.elapsed() < Duration::from_millis(500));
}

/// Takes a millisecond a token.
struct Slow;

impl Model for Slow {
    type Output = ();

    fn forward(&self, rows: &[&TokenizedText]) -> Result<Vec<()>, ForwardError> {
        let longest = rows
            .iter()
            .map(|row| row.input_ids.len())
            .max()
            .unwrap_or(0);
        std::thread::sleep(Duration::from_millis((longest * rows.len()) as u64));
        Ok(vec![(); rows.len()])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_in_time_is_refused_while_others_are_ahead() {
    let limits = Limits {
        max_batch_size: 1,
        ..LIMITS
    };
    let batcher = Batcher::start("slow", Arc::new(Slow), limits, &Metrics::default()).unwrap();
    let long = || TokenizedText {
        input_ids: vec![0; 200],
        token_type_ids: Vec::new(),
        truncated: false,
    };
    assert!(
        batcher
            .run(vec![long()], Priority::Route, far())
            .await
            .is_ok()
    );
    let ahead: Vec<_> = (0..3)
        .map(|_| {
            let batcher = batcher.clone();
            tokio::spawn(async move { batcher.run(vec![long()], Priority::Route, far()).await })
        })
        .collect();
    while batcher.0.0.lock().rows.len() < 2 {
        tokio::task::yield_now().await;
    }
    let started_at = Instant::now();
    let soon = started_at + Duration::from_millis(100);
    let refused = batcher.run(vec![long()], Priority::Route, soon).await;
    assert_eq!(refused, Err(InferenceError::QueueFull));
    assert!(
        started_at.elapsed() < Duration::from_millis(90),
        "refused before it waited"
    );
    let urgent = batcher.run(
        vec![row(1)],
        Priority::Guard,
        started_at + Duration::from_secs(2),
    );
    assert!(urgent.await.is_ok(), "guards are not behind the others");
    for run in ahead {
        assert!(run.await.unwrap().is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_request_is_answered_in_order_and_in_chunks() {
    struct First;
    impl Model for First {
        type Output = u32;
        fn forward(&self, rows: &[&TokenizedText]) -> Result<Vec<u32>, ForwardError> {
            Ok(rows.iter().map(|row| row.input_ids[0]).collect())
        }
    }
    let batcher = Batcher::start("first", Arc::new(First), LIMITS, &Metrics::default()).unwrap();
    let rows = (0..100).map(row).collect();
    let answers = batcher
        .run_all(rows, LIMITS.chunk(), Priority::Bulk, far())
        .await;
    assert_eq!(answers.unwrap().outputs, (0..100).collect::<Vec<u32>>());
    let none = batcher.run_all(vec![], 3, Priority::Bulk, far()).await;
    assert_eq!(none.unwrap().outputs, [0; 0]);
}

/// Gives token 0 no number.
struct NotANumber;

impl Model for NotANumber {
    type Output = f32;

    fn forward(&self, rows: &[&TokenizedText]) -> Result<Vec<f32>, ForwardError> {
        let answer = |row: &&TokenizedText| match row.input_ids[0] {
            0 => f32::NAN,
            token => token as f32,
        };
        Ok(rows.iter().map(answer).collect())
    }

    fn is_valid(&self, output: &f32) -> bool {
        output.is_finite()
    }
}

#[tokio::test]
async fn an_answer_that_is_no_number_fails_its_own_request_alone() {
    let model = Arc::new(NotANumber);
    let batcher = Batcher::start("nan", model, LIMITS, &Metrics::default()).unwrap();
    let run = |token| batcher.run(vec![row(7), row(token)], Priority::Route, far());
    let (good, bad) = tokio::join!(run(8), run(0));
    assert_eq!(good.unwrap().outputs, [7.0, 8.0]);
    let why = "the model's answer is not a number".to_owned();
    assert_eq!(bad, Err(InferenceError::Failed(why)));
}

/// Panics for token 0, fails for token 1, gives no answer for token 2.
struct Faulty;

impl Model for Faulty {
    type Output = ();

    fn forward(&self, rows: &[&TokenizedText]) -> Result<Vec<()>, ForwardError> {
        match rows[0].input_ids[0] {
            0 => panic!("on purpose"),
            1 => Err(ForwardError::Runtime("no memory".into())),
            2 => Ok(vec![]),
            _ => Ok(vec![()]),
        }
    }
}

#[tokio::test]
async fn a_faulty_model_fails_its_batch_and_not_the_next_one() {
    let batcher = Batcher::start("faulty", Arc::new(Faulty), LIMITS, &Metrics::default()).unwrap();
    for (token, message) in [
        (0, "the model panicked"),
        (1, "no memory"),
        (2, "the model gave 0 answers for 1 rows"),
    ] {
        let result = batcher.run(vec![row(token)], Priority::Route, far()).await;
        assert_eq!(result, Err(InferenceError::Failed(message.into())));
    }
    let result = batcher.run(vec![row(3)], Priority::Route, far()).await;
    assert!(result.is_ok());
}

#[tokio::test]
async fn the_thread_ends_with_the_last_handle() {
    let model = Arc::new(Faulty);
    let batcher = Batcher::start(
        "ends",
        Arc::<Faulty>::clone(&model) as _,
        LIMITS,
        &Metrics::default(),
    )
    .unwrap();
    let other = batcher.clone();
    drop(batcher);
    assert!(
        other
            .run(vec![row(3)], Priority::Route, far())
            .await
            .is_ok()
    );
    drop(other);
    while Arc::strong_count(&model) > 1 {
        tokio::task::yield_now().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    /// Every row of every request gets its own answer, whatever the lengths, priorities and limits.
    #[test]
    fn nothing_is_lost_or_mixed_up(
        requests in proptest::collection::vec((proptest::collection::vec(1_usize..20, 1..6), 0_u8..3), 1..20),
        max_batch_size in 1_usize..6,
        max_wait in 0_u64..3,
    ) {
        struct Lengths;
        impl Model for Lengths {
            type Output = usize;
            fn forward(&self, rows: &[&TokenizedText]) -> Result<Vec<usize>, ForwardError> {
                Ok(rows.iter().map(|row| row.input_ids.len()).collect())
            }
        }
        let limits = Limits { max_batch_size, max_tokens: 40, max_wait: Duration::from_millis(max_wait), queue: 1000 };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let batcher = Batcher::start("lengths", Arc::new(Lengths), limits, &Metrics::default()).unwrap();
            let runs: Vec<_> = requests.into_iter().map(|(lengths, priority)| {
                let batcher = batcher.clone();
                let priority = [Priority::Guard, Priority::Route, Priority::Bulk][usize::from(priority)];
                tokio::spawn(async move {
                    let rows = lengths.iter().map(|n| TokenizedText { input_ids: vec![0; *n], token_type_ids: Vec::new(), truncated: false }).collect();
                    (batcher.run(rows, priority, far()).await.map(|a| a.outputs), lengths)
                })
            }).collect();
            for run in runs {
                let (outputs, lengths) = run.await.unwrap();
                assert_eq!(outputs, Ok(lengths));
            }
        });
    }
}
