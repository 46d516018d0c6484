use super::*;
use crate::model::MODEL;

fn found(text: &str) -> Vec<(Kind, &str)> {
    let model = Model::read(MODEL).unwrap();
    let names = Names::read(NAMES, &model).unwrap();
    let mut findings = Vec::new();
    names.detect(&model, text, &mut findings);
    findings
        .iter()
        .map(|f| (f.kind, &text[f.start..f.end]))
        .collect()
}

#[test]
fn persons_places_and_addresses_are_found() {
    assert_eq!(
        found("Please call Maria Schneider tomorrow."),
        [(Kind::Person, "Maria Schneider")]
    );
    assert_eq!(
        found("What is the weather in Lisbon?"),
        [(Kind::Gpe, "Lisbon")]
    );
    assert_eq!(
        found("Send it to 12 Baker Street, please."),
        [(Kind::StreetAddress, "12 Baker Street")]
    );
}

#[test]
fn ordinary_words_with_capital_letters_are_none() {
    for text in [
        "How do I install Python on Ubuntu with Docker Compose?",
        "Write a SQL query that counts Orders in January.",
        "Which of the following is an example of a Market Economy?",
        "NullPointerException at line 12 of the log",
        "",
        "\n\n",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn python_and_the_crate_agree() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../models/classifier/names-parity.jsonl"
    );
    let model = Model::read(MODEL).unwrap();
    let names = Names::read(NAMES, &model).unwrap();
    let rows = std::fs::read_to_string(path).unwrap();
    assert_eq!(rows.lines().count(), 300);
    for row in rows.lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let text = row["text"].as_str().unwrap();
        let mut findings = Vec::new();
        names.detect(&model, text, &mut findings);
        let theirs = row["found"].as_array().unwrap();
        assert_eq!(
            findings.len(),
            theirs.len(),
            "{text}: {findings:?} {theirs:?}"
        );
        for (ours, theirs) in findings.iter().zip(theirs) {
            assert_eq!(ours.kind.name(), theirs["type"].as_str().unwrap(), "{text}");
            assert_eq!(
                (ours.start as u64, ours.end as u64),
                (
                    theirs["start"].as_u64().unwrap(),
                    theirs["end"].as_u64().unwrap()
                ),
                "{text}"
            );
            assert!(
                (f64::from(ours.score) - theirs["score"].as_f64().unwrap()).abs() < 1e-3,
                "{text}: {ours:?} {theirs}"
            );
        }
    }
}

#[test]
fn a_file_for_another_model_is_refused() {
    let model = Model::read(MODEL).unwrap();
    let mut other = NAMES.to_vec();
    let at = other
        .windows(19)
        .position(|w| w == b"turnpike-classifier")
        .unwrap();
    other[at] = b'T';
    assert!(
        Names::read(&other, &model)
            .unwrap_err()
            .to_string()
            .contains("this version reads")
    );
    assert!(Names::read(&NAMES[..1000], &model).is_err());
}
