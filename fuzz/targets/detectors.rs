//! Findings lie on characters of the text, in order, with a score that means something, in a text as a whole and in pieces.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use turnpike_classify::Classifier;
use turnpike_classify::pii::Detectors;
use turnpike_core::Config;

static CLASSIFIER: LazyLock<Classifier> = LazyLock::new(|| Classifier::compile(&Config::default()).unwrap());
static DETECTORS: LazyLock<Detectors> = LazyLock::new(|| Detectors::compile().unwrap());

fuzz_target!(|text: &str| {
    let mut end = 0;
    for finding in DETECTORS.detect(text) {
        assert!(finding.start >= end && finding.end > finding.start, "{finding:?}");
        assert!(text.get(finding.start..finding.end).is_some(), "{finding:?}");
        assert!((0.0..=1.0).contains(&finding.score), "{finding:?}");
        end = finding.end;
    }
    // As the filter does, in pieces.
    for finding in CLASSIFIER.personal_data(text) {
        assert!(text.get(finding.start..finding.end).is_some(), "{finding:?}");
    }
});
