//! The committed pairs through the real encoder and the rules: wrong answers and lost hits are both a failure.
//!
//! `cargo bench -p benches --bench cache_correctness` prints the same by kind and threshold.

mod suite;

use std::collections::HashSet;

use suite::{CrossEncoder, Judged, MiniLm, Outcome, Pair, committed, hits};
use turnpike_core::cache::SemanticCacheConfig;
use turnpike_sidecar::cache::agreement;

/// Of the pairs with different answers: the project's target.
const MOST_FALSE_HITS: f64 = 0.005;

/// Of the pairs with one answer, in both parts: 0.692 was reached; the project's target is 0.60.
const FEWEST_HITS: f64 = 0.68;

/// Of those of the second part, which were read when 0.641 was reached: 0.705 now.
const FEWEST_HITS_HELD_OUT: f64 = 0.69;

/// Of the pairs that were written to get past the rules, by which these were changed: 0.023 was reached, 0.70 by the rules that they were
/// written against.
const MOST_ADVERSARIAL_HITS: f64 = 0.03;

/// Of pairs by people who did not know the rules: one of 200 of `blind` passed, none of 250 of `unseen`.
const MOST_BLIND_FALSE_HITS: f64 = 0.0051;

/// Of their questions in other words: `rewordings`, by which the rules were changed; `blind`, half of which were read; `unseen`. The project's
/// target is missed by the last two: 0.637, 0.293 and 0.045 were reached.
const FEWEST_HITS_OF_OTHERS: [(&str, f64); 3] =
    [("rewordings", 0.62), ("blind", 0.28), ("unseen", 0.04)];

/// `accept_threshold` that docs/cache.md advises for the shipped model.
const ACCEPT_THRESHOLD: f32 = 0.9;

/// With it, of each part: the most false hits, and the fewest hits. The threshold is the first of `models/duplicate-questions/REPORT.md` with
/// less than 1 % of its pairs called the same that are not; neither it nor the model was chosen by the pairs here.
const WITH_SECOND_OPINION: [(&str, f64, f64); 6] = [
    ("development", 0.005, 0.70),
    ("held_out", 0.005, 0.72),
    ("adversarial", 0.03, 0.0),
    ("blind", 0.0051, 0.33),
    ("rewordings", 0.0, 0.64),
    ("unseen", 0.0051, 0.15),
];

#[expect(clippy::cast_precision_loss, reason = "hundreds of pairs")]
fn share((part, all): (usize, usize)) -> f64 {
    part as f64 / all.max(1) as f64
}

fn both_parts() -> Outcome<Vec<Pair>> {
    let mut pairs = committed("development")?;
    pairs.extend(committed("held_out")?);
    Ok(pairs)
}

fn shown(judged: &[&Judged]) -> String {
    let lines = judged
        .iter()
        .map(|j| format!("{:.3} {:?} {:?}", j.similarity, j.pair, j.refused));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn wrong_answers_are_rare_and_repeated_questions_hit() -> Outcome<()> {
    let judged = MiniLm::load()?.judge(both_parts()?)?;
    let threshold = SemanticCacheConfig::default().similarity_threshold;
    let wrong: Vec<&Judged> = judged
        .iter()
        .filter(|j| !j.pair.same && j.is_hit(threshold, true))
        .collect();
    let false_hits = share(hits(&judged, false, threshold, true));
    assert!(
        false_hits < MOST_FALSE_HITS,
        "{false_hits}\n{}",
        shown(&wrong)
    );
    let hit_rate = share(hits(&judged, true, threshold, true));
    assert!(hit_rate >= FEWEST_HITS, "{hit_rate}");
    let held_out = judged.iter().skip(committed("development")?.len());
    let hit_rate = share(hits(held_out, true, threshold, true));
    assert!(hit_rate >= FEWEST_HITS_HELD_OUT, "held out: {hit_rate}");
    Ok(())
}

#[test]
fn the_rules_alone_refuse_what_an_encoder_would_let_pass() -> Outcome<()> {
    let wrong: Vec<Pair> = both_parts()?
        .into_iter()
        .filter(|p| !p.same && agreement::compare(&p.a, &p.b).is_ok())
        .collect();
    let all = both_parts()?.iter().filter(|p| !p.same).count();
    assert!(share((wrong.len(), all)) < MOST_FALSE_HITS, "{wrong:#?}");
    Ok(())
}

#[test]
fn few_pairs_of_others_pass_the_rules() -> Outcome<()> {
    let model = MiniLm::load()?;
    let threshold = SemanticCacheConfig::default().similarity_threshold;
    for (part, most) in [
        ("adversarial", MOST_ADVERSARIAL_HITS),
        ("blind", MOST_BLIND_FALSE_HITS),
        ("unseen", MOST_BLIND_FALSE_HITS),
    ] {
        let judged = model.judge(committed(part)?)?;
        let false_hits = share(hits(&judged, false, threshold, true));
        assert!(false_hits < most, "{part}: {false_hits}");
    }
    Ok(())
}

#[test]
fn questions_in_other_words_hit_as_often_as_was_measured() -> Outcome<()> {
    let model = MiniLm::load()?;
    let threshold = SemanticCacheConfig::default().similarity_threshold;
    for (part, fewest) in FEWEST_HITS_OF_OTHERS {
        let judged = model.judge(committed(part)?)?;
        let hit_rate = share(hits(&judged, true, threshold, true));
        assert!(hit_rate >= fewest, "{part}: {hit_rate}");
    }
    Ok(())
}

#[test]
fn it_makes_no_difference_which_of_the_two_was_stored() -> Outcome<()> {
    let of_others = ["adversarial", "blind", "rewordings", "unseen"].map(committed);
    let of_others = of_others.into_iter().collect::<Outcome<Vec<_>>>()?;
    for pair in both_parts()?
        .into_iter()
        .chain(of_others.into_iter().flatten())
    {
        let verdict = |asked: &str, stored: &str| {
            agreement::compare(asked, stored).map_err(agreement::Disagreement::is_certain)
        };
        let (one, other) = (verdict(&pair.a, &pair.b), verdict(&pair.b, &pair.a));
        assert_eq!(one, other, "{pair:?}");
    }
    Ok(())
}

#[test]
fn the_shipped_second_opinion_accepts_what_was_measured() -> Outcome<()> {
    let (encoder, model) = (MiniLm::load()?, CrossEncoder::load()?);
    let threshold = SemanticCacheConfig::default().similarity_threshold;
    for (part, most, fewest) in WITH_SECOND_OPINION {
        let judged = encoder.judge(committed(part)?)?;
        let mut found = [true, false].map(|same| hits(&judged, same, threshold, true));
        for pair in judged.iter().filter(|pair| pair.is_open(threshold)) {
            let opinion = model.judge(&[pair])?.pop().flatten();
            if opinion.is_some_and(|opinion| opinion >= ACCEPT_THRESHOLD) {
                found[usize::from(!pair.pair.same)].0 += 1;
            }
        }
        let [hit_rate, false_hits] = found.map(share);
        assert!(hit_rate >= fewest, "{part}: {hit_rate}");
        assert!(false_hits <= most, "{part}: {false_hits}");
    }
    Ok(())
}

#[test]
fn every_pair_stands_once_and_there_are_enough_of_them() -> Outcome<()> {
    let pairs = both_parts()?;
    let distinct: HashSet<(&str, &str)> = pairs.iter().map(|p| (&*p.a, &*p.b)).collect();
    assert_eq!(distinct.len(), pairs.len());
    assert!(pairs.iter().all(|p| p.kind != "all"), "each has a kind");
    let same = pairs.iter().filter(|p| p.same).count();
    assert!(
        same >= 300 && pairs.len() - same >= 300,
        "{same} of {}",
        pairs.len()
    );
    Ok(())
}
