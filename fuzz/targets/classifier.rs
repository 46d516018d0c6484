//! A request's texts give the same findings however often reading stops.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use turnpike_classify::Classifier;
use turnpike_core::Config;
use turnpike_core::routing::{Found, Part, Progress, Signals as _, Wanted};

static CLASSIFIER: LazyLock<Classifier> = LazyLock::new(|| Classifier::compile(&Config::default()).unwrap());

const ALL: Wanted = Wanted { topics: true, labels: true, every_part: true, jailbreak: true, toxicity: true, pii: true, names: true };

fn read(texts: &[&str], step: usize) -> Found {
    let parts = texts.iter().enumerate().map(|(at, text)| Part { text: (*text).to_owned(), topic: at == 0 });
    let mut reading = CLASSIFIER.begin(ALL, parts.collect());
    let mut asked = 0_usize;
    while CLASSIFIER.read(&mut reading, &mut || {
        asked += 1;
        asked % step != 0
    }) == Progress::Stopped
    {}
    CLASSIFIER.found(&reading)
}

fuzz_target!(|input: (u8, Vec<&str>)| {
    let (step, texts) = input;
    let whole = read(&texts, usize::MAX);
    let probabilities = whole.topics.iter().chain(&whole.guards.jailbreak);
    assert!(probabilities.clone().all(|p| (0.0..=1.0).contains(p)), "{whole:?}");
    assert_eq!(read(&texts, usize::from(step % 8) + 1), whole);
});
