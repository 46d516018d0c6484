use proptest::prelude::*;

use super::{Disagreement, MAX_BYTES, compare};

/// Checks a pair both ways round.
#[track_caller]
fn agree(a: &str, b: &str) {
    assert_eq!(compare(a, b), Ok(()), "{a} | {b}");
    assert_eq!(compare(b, a), Ok(()), "{b} | {a}");
}

/// Checks a pair both ways round; the name may differ, since the first difference that is found gives it.
#[track_caller]
fn disagree(a: &str, b: &str, why: Disagreement) {
    assert_eq!(compare(a, b), Err(why), "{a} | {b}");
    assert!(compare(b, a).is_err(), "{b} | {a}");
}

#[test]
fn a_negation_on_one_side_disagrees_and_on_both_sides_agrees() {
    disagree("Is it open?", "Is it not open?", Disagreement::Polarity);
    disagree(
        "Why does it stop?",
        "Why doesn't it stop?",
        Disagreement::Polarity,
    );
    disagree("Tea with milk", "Tea without milk", Disagreement::Polarity);
    disagree(
        "Ist das erlaubt?",
        "Ist das nicht erlaubt?",
        Disagreement::Polarity,
    );
    agree("Why isn't the shop open?", "Why is the shop not open?");
    agree("Is the item unavailable?", "Is the item not available?");
}

#[test]
fn a_tag_denies_nothing() {
    disagree(
        "They're safe, aren't they?",
        "They're not safe, are they?",
        Disagreement::Polarity,
    );
    agree("They're safe, aren't they?", "They are safe");
}

#[test]
fn a_negation_must_be_about_the_same() {
    disagree(
        "Which trains stop here and do not run on holidays?",
        "Which trains do not stop here and run on holidays?",
        Disagreement::Polarity,
    );
}

#[test]
fn opposites_disagree() {
    disagree(
        "Turn on the light",
        "Turn off the light",
        Disagreement::Polarity,
    );
    disagree(
        "How do I scroll up?",
        "How do I scroll down?",
        Disagreement::Polarity,
    );
    disagree(
        "How do I encrypt a disk?",
        "How do I decrypt a disk?",
        Disagreement::Polarity,
    );
    agree("Do I turn it on or off?", "Do I turn it off or on?");
}

#[test]
fn numbers_are_compared_by_value_and_units_by_name() {
    disagree(
        "What is 15 % of 80?",
        "What is 50 % of 80?",
        Disagreement::Number,
    );
    disagree(
        "What is new in 3.10?",
        "What is new in 3.1?",
        Disagreement::Number,
    );
    disagree("Is 30 °C warm?", "Is 30 °F warm?", Disagreement::Unit);
    disagree("Is 5 MB much?", "Is 5 MiB much?", Disagreement::Unit);
    agree(
        "A loan of $10,000 for 2 hours",
        "A loan of 10 k dollars for two hours",
    );
    disagree("1 1 1", "1", Disagreement::Number);
    agree("Give me one reason", "Give me a reason");
    disagree(
        "Give me one reason",
        "Give me two reasons",
        Disagreement::Number,
    );
    agree("Twenty-five people", "25 people");
    agree("two hundred and fifty grams", "250 g");
    agree("Is a 1GB file large?", "Is a 1 GB file large?");
}

#[test]
fn numbers_belong_to_their_nouns() {
    disagree(
        "Pack 3 shirts and 5 socks",
        "Pack 5 shirts and 3 socks",
        Disagreement::Order,
    );
}

#[test]
fn dates_and_tense_are_compared() {
    disagree(
        "Who is on duty today?",
        "Who is on duty tomorrow?",
        Disagreement::Date,
    );
    disagree(
        "Is it open on Monday?",
        "Is it open on Tuesday?",
        Disagreement::Date,
    );
    disagree(
        "Who is the mayor?",
        "Who was the mayor?",
        Disagreement::Date,
    );
    agree(
        "What happened on 3 May 1999?",
        "What happened on May 3, 1999?",
    );
    agree("Is it open on Mon?", "Is it open on Monday?");
}

#[test]
fn names_files_and_code_are_compared_letter_by_letter() {
    disagree("Who is Anna?", "Who is Hannah?", Disagreement::Entity);
    disagree("Open main.rs", "Open lib.rs", Disagreement::Entity);
    disagree("What does -v do?", "What does -i do?", Disagreement::Code);
    disagree("What is `a && b`?", "What is `a || b`?", Disagreement::Code);
    disagree(
        "Translate \"I ran\"",
        "Translate \"I run\"",
        Disagreement::Quote,
    );
    disagree("Write to the US", "Write to us", Disagreement::Entity);
    agree(
        "What does 'salient' mean?",
        "What is the meaning of salient?",
    );
}

#[test]
fn prepositions_that_say_something_are_compared() {
    disagree("Hotels in Oslo", "Hotels near Oslo", Disagreement::Order);
    disagree("Books by Orwell", "Books about Orwell", Disagreement::Order);
    disagree(
        "A gift for my aunt",
        "A gift from my aunt",
        Disagreement::Order,
    );
    disagree(
        "Do all cats purr?",
        "Do some cats purr?",
        Disagreement::Polarity,
    );
    disagree(
        "Can I pay with a gift card?",
        "Can I pay for a gift card?",
        Disagreement::Order,
    );
}

#[test]
fn signs_are_compared_where_they_mean_something() {
    disagree("What is 6 / 3?", "What is 6 - 3?", Disagreement::Code);
    disagree("Is 3 ≥ 2?", "Is 3 ≤ 2?", Disagreement::Code);
    disagree(
        "What does 🙂 mean?",
        "What does 🙁 mean?",
        Disagreement::Entity,
    );
    disagree(
        "What does ! mean in Rust?",
        "What does ? mean in Rust?",
        Disagreement::Code,
    );
    agree("Où est la gare ?", "Où est la gare?");
    agree("- Where is the station", "Where is the station?");
}

#[test]
fn things_that_changed_places_disagree_and_phrases_that_moved_do_not() {
    disagree(
        "Is A1 faster than B2?",
        "Is B2 faster than A1?",
        Disagreement::Order,
    );
    disagree(
        "Trains from Rome to Bari",
        "Trains from Bari to Rome",
        Disagreement::Order,
    );
    disagree(
        "Does fear cause anger?",
        "Does anger cause fear?",
        Disagreement::Order,
    );
    disagree(
        "Did Spain beat Italy?",
        "Was Spain beaten by Italy?",
        Disagreement::Order,
    );
    agree(
        "In Java, how do I sort a list?",
        "How do I sort a list in Java?",
    );
    agree("Compare tea and coffee", "Compare coffee and tea");
}

#[test]
fn small_words_count_in_their_places() {
    for (a, b) in [
        ("Who pays the bank?", "Who does the bank pay?"),
        (
            "What causes high blood pressure?",
            "What does high blood pressure cause?",
        ),
        ("When can you cancel my loan?", "When can I cancel my loan?"),
        ("Can they see my balance?", "Can I see my balance?"),
        (
            "Can my wife inherit if I die?",
            "Can I inherit if my wife dies?",
        ),
        ("Can I leave for six months?", "Can I leave in six months?"),
        ("Who do I report to?", "Who do I report?"),
        (
            "How often should I take the tablets?",
            "How often can I take the tablets?",
        ),
        (
            "Does my policy cover the flood?",
            "Did my policy cover the flood?",
        ),
        ("When do I get paid?", "When do I pay?"),
        (
            "Do I need a passport or a visa?",
            "Do I need a passport and a visa?",
        ),
        (
            "Can I cancel because I am ill?",
            "Can I cancel if I am ill?",
        ),
        (
            "Can a foreign student join a company?",
            "Can a student join a foreign company?",
        ),
        ("Is overtime never paid?", "Is overtime rarely paid?"),
        (
            "Is lunch included and dinner not?",
            "Is lunch not included and dinner is?",
        ),
        (
            "Tell me if I can cancel online.",
            "Tell me how I can cancel online.",
        ),
        ("Do employees get a bonus?", "How do employees get a bonus?"),
        ("Revoke all tokens", "Revoke a token"),
        ("What is travel insurance?", "How much is travel insurance?"),
        (
            "How do I remove Rust from a Mac?",
            "How do I remove rust from a Mac?",
        ),
    ] {
        assert!(compare(a, b).is_err(), "{a} | {b}");
        assert!(compare(b, a).is_err(), "{b} | {a}");
    }
}

#[test]
fn small_words_that_say_nothing_are_details() {
    agree("How is bread baked?", "How do I bake bread?");
    agree("Who is Nvidia's CEO?", "Who is the CEO of Nvidia?");
    agree(
        "Translate this into Greek.",
        "Could you please translate this into Greek for me?",
    );
    agree("Is it possible to get a refund?", "Can I get a refund?");
    agree("How can I renew my visa?", "How do you renew a visa?");
    agree(
        "Should I use tabs or spaces?",
        "Should I use spaces or tabs?",
    );
    agree(
        "If my flight is late, can I cancel the hotel?",
        "Can I cancel the hotel if my flight is late?",
    );
}

#[test]
fn what_is_asked_must_be_the_same() {
    disagree(
        "Where was it built?",
        "When was it built?",
        Disagreement::Question,
    );
    disagree(
        "Can I cancel the order?",
        "How do I cancel the order?",
        Disagreement::Question,
    );
    disagree(
        "How do I write a will?",
        "Write a will.",
        Disagreement::Question,
    );
    agree("What is a lease?", "Explain what a lease is.");
    agree("How tall is the tower?", "What is the height of the tower?");
    agree(
        "Why is the sky blue?",
        "What is the reason the sky is blue?",
    );
}

#[test]
fn a_degree_is_no_detail() {
    disagree(
        "Which is the largest lake?",
        "Which is a large lake?",
        Disagreement::Degree,
    );
    agree(
        "What is the quickest way home?",
        "What is the fastest way home?",
    );
}

#[test]
fn politeness_endings_and_spelling_are_details() {
    agree(
        "How do I peel garlic?",
        "Hello! Could you please tell me how to peel garlic? Thanks!",
    );
    agree("How do I organise files?", "How do I organize the files?");
    agree("What is the best recipe?", "What is the best reciepe?");
    disagree(
        "Translate thank you",
        "Translate hello",
        Disagreement::Content,
    );
}

#[test]
fn a_word_on_one_side_alone_disagrees() {
    disagree(
        "How do I cook rice?",
        "How do I cook rice in a microwave?",
        Disagreement::Content,
    );
    disagree(
        "Is sushi safe?",
        "Is sushi safe during pregnancy?",
        Disagreement::Content,
    );
    disagree("Who are you?", "Who am I?", Disagreement::Question);
}

#[test]
fn a_word_without_a_match_is_named_where_nothing_else_is_known_to_differ() {
    for (a, b, why) in [
        (
            "How do I mend a leaking garden hose?",
            "How do I seal a leaking garden hose?",
            Disagreement::Content,
        ),
        (
            "How do I mend a leaking garden hose in Kenya?",
            "How do I seal a leaking garden hose in Ghana?",
            Disagreement::Entity,
        ),
        (
            "How do I mend a hose within 3 days?",
            "How do I seal a hose within 5 days?",
            Disagreement::Number,
        ),
        (
            "Which tent keeps the largest dog dry?",
            "Which shelter keeps the large dog dry?",
            Disagreement::Degree,
        ),
        (
            "How do I ship a tent from Rome to Oslo?",
            "How do I move a tent from Oslo to Rome?",
            Disagreement::Order,
        ),
        (
            "Can I trim my roses in winter?",
            "Should I cut my roses in winter?",
            Disagreement::Date,
        ),
        (
            "List the causes of the war.",
            "Explain the causes of the war.",
            Disagreement::Question,
        ),
    ] {
        disagree(a, b, why);
        assert_eq!(why.is_certain(), why != Disagreement::Content);
    }
}

#[test]
fn other_languages_agree_by_their_words_and_disagree_across_scripts() {
    agree("¿Dónde está mi pedido?", "Hola, ¿dónde está mi pedido?");
    disagree("Привет мир", "Hello world", Disagreement::Language);
    disagree("首都はどこですか", "首都在哪里", Disagreement::Language);
}

#[test]
fn of_long_texts_only_the_same_agree() {
    let long = "word ".repeat(MAX_BYTES / 4);
    agree(&long, &format!(" {long}"));
    disagree(&long, "word", Disagreement::Length);
}

#[test]
fn names_are_distinct() {
    let names: std::collections::HashSet<_> = Disagreement::ALL.iter().map(|d| d.name()).collect();
    assert_eq!(names.len(), Disagreement::ALL.len());
}

/// Pieces that questions are made of, and signs that the reading treats specially.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "how", "what", "is", "not", "isn't", "the", "from", "to", "Rome", "A", "10k", "3-4",
            "$5", "%", "°C", "MB", "'", "\"", "`", "```", "«", "”", ",", ".", "?", "\n", "-",
            "e-mail", "twenty", "hundred", "and", "one", "best", "unlike", "please", "US", "x()",
            "don't", "d'", "首都", "не", "è", "ß", "İ", "🙂", "turn", "on", "off", "1.000,5", "st",
            "k",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,4}",
    ];
    let glue = prop::sample::select(vec![" ", "", "  "]);
    prop::collection::vec((piece, glue), 0..24).prop_map(|parts| {
        parts
            .into_iter()
            .flat_map(|(p, g)| [p, g.to_owned()])
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_two_texts_can_be_compared_and_their_order_makes_no_difference(a in texts(), b in texts()) {
        prop_assert_eq!(compare(&a, &b).is_ok(), compare(&b, &a).is_ok());
    }

    #[test]
    fn a_text_agrees_with_itself_but_for_spaces_around_it(text in texts()) {
        prop_assert_eq!(compare(&text, &format!(" {text}\n")), Ok(()));
        let mut again = text.clone();
        again.push_str(" .");
        prop_assert_eq!(compare(&text, &again).is_ok(), compare(&again, &text).is_ok());
    }
}
