//! What every store does.

use std::time::Duration;

use futures_util::StreamExt as _;
use turnpike_sidecar::cache::{Filter, Stats, Store};
use turnpike_sidecar::encoder::Embedding;

use crate::entries::{HOUR, aged, both, embedding, entry, limits, partition};
use crate::server::{Outcome, RedisServer};

async fn body(store: &dyn Store, p: u8, question: &str) -> Outcome<Option<String>> {
    let found = store.exact(&partition(p), question).await?;
    Ok(found.map(|found| found.answer.body.clone()))
}

async fn questions(store: &dyn Store, p: u8, vector: u8, threshold: f32) -> Outcome<Vec<String>> {
    let found = store
        .nearest(&partition(p), &embedding(vector), threshold, 4)
        .await?
        .into_iter();
    Ok(found.map(|found| found.question.to_string()).collect())
}

#[tokio::test]
async fn what_is_stored_is_found_by_its_text_and_by_similar_ones() -> Outcome<()> {
    let server = RedisServer::start().await?;
    for (name, store) in both(&server).await? {
        store.store(entry(1, "q", Some(3), "answer")).await?;
        let found = store.exact(&partition(1), "q").await?.ok_or(name)?;
        assert_eq!(
            (&*found.question, &*found.answer.body),
            ("q", "answer"),
            "{name}"
        );
        assert!(
            (found.similarity - 1.0).abs() < f32::EPSILON && found.age < HOUR,
            "{name}"
        );
        let near = store.nearest(&partition(1), &embedding(4), 0.9, 4).await?;
        let [near] = &near[..] else {
            return Err(format!("{name}: {near:?}").into());
        };
        assert_eq!(near.answer, found.answer, "{name}");
        let expected = embedding(3).similarity(&embedding(4));
        assert!(
            (near.similarity - expected).abs() < 1e-3,
            "{name}: {}",
            near.similarity
        );
        assert_eq!(body(&*store, 1, "Q").await?, None, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn no_partition_is_served_from_another() -> Outcome<()> {
    let server = RedisServer::start().await?;
    for (name, store) in both(&server).await? {
        for p in 0..4 {
            for number in 0..10 {
                let question = number.to_string();
                let new = entry(p, &question, Some(number), &format!("{p} {number}"));
                store.store(new).await?;
            }
        }
        for p in 0..4 {
            assert_eq!(
                body(&*store, p, "7").await?,
                Some(format!("{p} 7")),
                "{name}"
            );
            for found in store
                .nearest(&partition(p), &embedding(5), -1.0, 40)
                .await?
            {
                assert!(
                    found.answer.body.starts_with(&p.to_string()),
                    "{name} {found:?}"
                );
            }
        }
        assert_eq!(body(&*store, 9, "7").await?, None, "{name}");
        assert!(questions(&*store, 9, 5, -1.0).await?.is_empty(), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_new_answer_to_the_same_question_replaces_the_old_one() -> Outcome<()> {
    let server = RedisServer::start().await?;
    for (name, store) in both(&server).await? {
        for answer in ["first", "second", "third"] {
            store.store(entry(1, "q", Some(1), answer)).await?;
        }
        assert_eq!(
            body(&*store, 1, "q").await?.as_deref(),
            Some("third"),
            "{name}"
        );
        let near = store.nearest(&partition(1), &embedding(2), 0.5, 4).await?;
        let bodies: Vec<&str> = near.iter().map(|found| &*found.answer.body).collect();
        assert_eq!(bodies, ["third"], "{name}");
        assert_eq!(store.stats().await?.entries, 1, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn an_entry_without_a_vector_is_found_by_its_text_alone() -> Outcome<()> {
    let server = RedisServer::start().await?;
    for (name, store) in both(&server).await? {
        store.store(entry(1, "long", None, "a")).await?;
        let mut other_length = entry(1, "other length", None, "b");
        other_length.embedding = Some(Embedding::normalized(vec![1.0; 5]));
        store.store(other_length).await?;
        assert!(questions(&*store, 1, 0, -1.0).await?.is_empty(), "{name}");
        assert_eq!(
            body(&*store, 1, "long").await?.as_deref(),
            Some("a"),
            "{name}"
        );
        assert_eq!(
            body(&*store, 1, "other length").await?.as_deref(),
            Some("b"),
            "{name}"
        );
        let wrong = Embedding::normalized(vec![1.0; 5]);
        assert_eq!(
            store.nearest(&partition(1), &wrong, -1.0, 4).await?,
            [],
            "{name}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_vector_that_was_lost_by_a_later_store_comes_back_with_the_next() -> Outcome<()> {
    let server = RedisServer::start().await?;
    for (name, store) in both(&server).await? {
        store.store(entry(1, "q", Some(1), "a")).await?;
        store.store(entry(1, "q", None, "b")).await?;
        // A removal beside it has the set built anew.
        let mut other = entry(1, "other", Some(9), "c");
        other.answer.owner = "alice".into();
        store.store(other).await?;
        let filter = Filter {
            owner: Some("alice".into()),
            ..Filter::default()
        };
        assert_eq!(store.invalidate(filter, false).await?.entries, 1, "{name}");
        assert!(questions(&*store, 1, 1, 0.9).await?.is_empty(), "{name}");
        store.store(entry(1, "q", Some(1), "d")).await?;
        assert_eq!(questions(&*store, 1, 1, 0.9).await?, ["q"], "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn an_entry_is_served_until_its_time_to_live_and_not_after() -> Outcome<()> {
    let server = RedisServer::start().await?;
    for (name, store) in both(&server).await? {
        let second = Duration::from_secs(1);
        store
            .store(aged(entry(1, "young", Some(1), "a"), HOUR - 60 * second))
            .await?;
        store
            .store(aged(entry(1, "old", Some(2), "b"), HOUR + second))
            .await?;
        assert_eq!(questions(&*store, 1, 1, 0.5).await?, ["young"], "{name}");
        assert_eq!(body(&*store, 1, "old").await?, None, "{name}");
        let age = store.exact(&partition(1), "young").await?.ok_or(name)?.age;
        assert!((HOUR - 60 * second..HOUR).contains(&age), "{name}: {age:?}");

        assert!(store.set_limits(limits(HOUR / 2)), "{name}");
        assert_eq!(
            body(&*store, 1, "young").await?,
            None,
            "{name}: a shorter time counts at once"
        );
        assert!(questions(&*store, 1, 1, 0.5).await?.is_empty(), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn candidates_come_best_first_from_the_threshold_on() -> Outcome<()> {
    let server = RedisServer::start().await?;
    for (name, store) in both(&server).await? {
        for number in [9, 1, 30, 4] {
            let question = number.to_string();
            store.store(entry(1, &question, Some(number), "a")).await?;
        }
        assert_eq!(
            questions(&*store, 1, 0, 0.7).await?,
            ["1", "4", "9"],
            "{name}"
        );
        assert_eq!(questions(&*store, 1, 0, 0.97).await?, ["1"], "{name}");
        assert_eq!(questions(&*store, 1, 0, 0.9).await?, ["1", "4"], "{name}");
        let two = store.nearest(&partition(1), &embedding(0), -1.0, 2).await?;
        assert_eq!(two.len(), 2, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn the_similarity_is_exact_to_the_third_decimal() -> Outcome<()> {
    let server = RedisServer::start().await?;
    for (name, store) in both(&server).await? {
        for number in 0..40 {
            let question = number.to_string();
            store.store(entry(1, &question, Some(number), "a")).await?;
        }
        for number in 0..40 {
            for found in store
                .nearest(&partition(1), &embedding(number), 0.0, 4)
                .await?
            {
                let expected = embedding(found.question.parse()?).similarity(&embedding(number));
                assert!(
                    (found.similarity - expected).abs() < 1e-3,
                    "{name} {found:?}"
                );
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn whatever_is_in_a_text_comes_back_as_it_was() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let huge = "x\u{1F501}".repeat(200_000);
    for (name, store) in both(&server).await? {
        for text in [
            "a\0b\r\nc",
            "}:{",
            "*?[a]",
            "{\"x\": \"\\u0000\"}",
            "é\u{202E}\u{FEFF}👩‍👩‍👧",
            "\r\n$5\r\nhello\r\n",
            "FILTER .a",
            "",
            &huge,
        ] {
            let mut new = entry(1, text, Some(1), text);
            let answer = &mut new.answer;
            (answer.owner, answer.decision, answer.category) =
                (text.into(), text.into(), text.into());
            let expected = new.answer.clone();
            store.store(new).await?;
            let found = store.exact(&partition(1), text).await?.ok_or("not found")?;
            assert_eq!(&*found.question, text, "{name}");
            assert_eq!(*found.answer, expected, "{name}");
            let filter = Filter {
                owner: Some(text.into()),
                ..Filter::default()
            };
            let near = store.nearest(&partition(1), &embedding(1), 0.99, 4).await?;
            assert_eq!(*near[0].answer, expected, "{name}");
            assert_eq!(store.invalidate(filter, false).await?.entries, 1, "{name}");
        }
        assert_eq!(store.stats().await?, Stats::default(), "{name}");
    }
    Ok(())
}

fn owned(
    p: u8,
    owner: &str,
    decision: &str,
    model: &str,
    age_s: u64,
) -> turnpike_sidecar::cache::NewEntry {
    let mut new = entry(p, &format!("{owner} {decision}"), Some(p), "a");
    let answer = &mut new.answer;
    (answer.owner, answer.decision, answer.model) = (owner.into(), decision.into(), model.into());
    aged(new, Duration::from_secs(age_s))
}

#[tokio::test]
async fn invalidation_takes_those_that_meet_every_condition_after_a_dry_run() -> Outcome<()> {
    let server = RedisServer::start().await?;
    let text = |text: &str| Some(text.to_owned());
    for (filter, expected) in [
        (
            Filter {
                owner: text("alice"),
                ..Filter::default()
            },
            2,
        ),
        (
            Filter {
                decision: text("math"),
                ..Filter::default()
            },
            2,
        ),
        (
            Filter {
                model: text("llama"),
                ..Filter::default()
            },
            1,
        ),
        (
            Filter {
                partition: Some(partition(2)),
                ..Filter::default()
            },
            1,
        ),
        (
            Filter {
                older_than: Some(Duration::from_secs(300)),
                ..Filter::default()
            },
            1,
        ),
        (
            Filter {
                owner: text("alice"),
                decision: text("math"),
                ..Filter::default()
            },
            1,
        ),
        (
            Filter {
                owner: text("bob"),
                model: text("llama"),
                ..Filter::default()
            },
            0,
        ),
        (Filter::default(), 3),
    ] {
        for (name, store) in both(&server).await? {
            store.store(owned(1, "alice", "math", "qwen", 600)).await?;
            store.store(owned(1, "alice", "law", "llama", 0)).await?;
            store.store(owned(2, "bob", "math", "qwen", 0)).await?;
            let planned = store.invalidate(filter.clone(), true).await?;
            assert_eq!(planned.entries, expected, "{name} {filter:?}");
            assert_eq!(
                store.stats().await?.entries,
                3,
                "{name}: a dry run removes nothing"
            );
            let removed = store.invalidate(filter.clone(), false).await?;
            assert_eq!(
                (removed.entries, removed.is_durable),
                (expected, true),
                "{name} {filter:?}"
            );
            assert_eq!(store.stats().await?.entries, 3 - expected, "{name}");
            // What is left is still found by similar texts, what is gone is not.
            let near = questions(&*store, 1, 1, 0.9).await?.len()
                + questions(&*store, 2, 2, 0.9).await?.len();
            assert_eq!(near, 3 - expected, "{name} {filter:?}");
            assert_eq!(store.clear().await?.entries, 3 - expected, "{name}");
            assert_eq!(store.stats().await?, Stats::default(), "{name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_export_has_a_line_for_each_entry() -> Outcome<()> {
    let server = RedisServer::start().await?;
    for (name, store) in both(&server).await? {
        for number in 0..100 {
            let question = format!("{number}\n");
            store
                .store(entry(number % 7, &question, Some(number), "{\"x\":\"\n\"}"))
                .await?;
        }
        let lines: Vec<_> = store.export().collect().await;
        assert_eq!(lines.len(), 100, "{name}");
        let mut questions = std::collections::BTreeSet::new();
        for line in lines {
            let line = line?;
            assert!(!line.contains('\n'), "{name}");
            let line: serde_json::Value = serde_json::from_str(&line)?;
            assert_eq!(line["body"], "{\"x\":\"\n\"}", "{name}");
            questions.insert(line["question"].to_string());
        }
        assert_eq!(questions.len(), 100, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn stats_count_entries_partitions_and_bytes() -> Outcome<()> {
    let server = RedisServer::start().await?;
    for (name, store) in both(&server).await? {
        assert_eq!(store.stats().await?, Stats::default(), "{name}");
        for p in 0..3 {
            store
                .store(entry(p, "a", Some(1), &"x".repeat(10_000)))
                .await?;
            store.store(entry(p, "b", None, "b")).await?;
        }
        let stats = store.stats().await?;
        assert_eq!((stats.entries, stats.partitions), (6, 3), "{name}");
        assert!(stats.bytes > 30_000, "{name}: {}", stats.bytes);
    }
    Ok(())
}
