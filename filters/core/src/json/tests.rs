use proptest::prelude::*;

use super::*;

/// What a document looks like from a sink, with string parts joined.
#[derive(Default, Debug, PartialEq)]
struct Record(Vec<String>, String);

impl Sink for Record {
    fn open(&mut self, container: Container, at: usize) {
        self.0.push(format!("{container:?} at {at}"));
    }
    fn close(&mut self, container: Container, end: usize) {
        self.0.push(format!("end of {container:?} {end}"));
    }
    fn key(&mut self, key: &[u8], end: usize) {
        self.0
            .push(format!("key {} {end}", String::from_utf8_lossy(key)));
    }
    fn string_start(&mut self, at: usize) {
        self.0.push(format!("string at {at}"));
    }
    fn string_part(&mut self, raw: &[u8]) {
        self.1.extend(raw.iter().map(|&b| char::from(b)));
    }
    fn string_end(&mut self, end: usize) {
        let text = std::mem::take(&mut self.1);
        self.0.push(format!("string {text} {end}"));
    }
    fn scalar(&mut self, raw: &[u8], end: usize) {
        self.0
            .push(format!("scalar {} {end}", String::from_utf8_lossy(raw)));
    }
}

fn lex(pieces: &[&[u8]]) -> Result<Record, JsonError> {
    let (mut lexer, mut record) = (Lexer::new(), Record::default());
    for piece in pieces {
        lexer.push(piece, &mut record)?;
    }
    lexer.finish(&mut record)?;
    Ok(record)
}

#[test]
fn a_document_is_told_with_offsets_and_unescaped_keys() {
    let record = lex(&[br#" {"mod\u0065l":"a\"b", "n":[-1.5e3,true,null,{}] } "#]).unwrap();
    insta::assert_debug_snapshot!(record.0);
}

#[test]
fn every_split_tells_the_same() {
    let document =
        r#"{"usage":{"prompt_tokens":12,"x\u00e9":[1,2.5,"é\n\ud83d\ude00"]},"ok":false}"#
            .as_bytes();
    let whole = lex(&[document]).unwrap();
    for at in 0..=document.len() {
        let (a, b) = document.split_at(at);
        assert_eq!(lex(&[a, b]).unwrap(), whole, "split at {at}");
    }
    let bytes: Vec<&[u8]> = document.chunks(1).collect();
    assert_eq!(lex(&bytes).unwrap(), whole);
}

#[test]
fn broken_documents_are_refused_where_they_break() {
    for (document, kind, offset) in [
        ("", JsonErrorKind::Incomplete, 0),
        ("{", JsonErrorKind::Incomplete, 1),
        ("{\"a\":1", JsonErrorKind::Incomplete, 6),
        ("{\"a\" 1}", JsonErrorKind::Unexpected, 5),
        ("{a:1}", JsonErrorKind::Unexpected, 1),
        ("{\"a\":1,}", JsonErrorKind::Unexpected, 7),
        ("[1,]", JsonErrorKind::Unexpected, 3),
        ("[1}", JsonErrorKind::Unexpected, 2),
        ("01", JsonErrorKind::Unexpected, 1),
        ("-", JsonErrorKind::Incomplete, 1),
        ("1.", JsonErrorKind::Incomplete, 2),
        ("+1", JsonErrorKind::Unexpected, 0),
        ("nul", JsonErrorKind::Incomplete, 3),
        ("nule", JsonErrorKind::Unexpected, 3),
        ("{} {}", JsonErrorKind::Unexpected, 3),
        ("\"a\nb\"", JsonErrorKind::Unexpected, 2),
        ("\"\\x\"", JsonErrorKind::Unexpected, 2),
        ("\"\\u12g4\"", JsonErrorKind::Unexpected, 5),
        ("NaN", JsonErrorKind::Unexpected, 0),
    ] {
        assert_eq!(
            lex(&[document.as_bytes()]).unwrap_err(),
            JsonError { kind, offset },
            "{document}"
        );
    }
    let deep = "[".repeat(usize::from(MAX_DEPTH) + 1);
    assert_eq!(
        lex(&[deep.as_bytes()]).unwrap_err().kind,
        JsonErrorKind::TooDeep
    );
}

#[test]
fn escapes_are_decoded() {
    let mut out = Vec::new();
    unescape_into(
        br#"a\n\t\"\\\/\b\f\r\u00e9\ud83d\ude00\ud800x\udc00"#,
        &mut out,
    );
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "a\n\t\"\\/\u{8}\u{c}\ré😀\u{fffd}x\u{fffd}"
    );
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map(".{0,6}", inner, 0..5)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_serde_json_writes_is_accepted_at_any_split(value in any_json(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4)) {
        let text = serde_json::to_vec(&value).unwrap();
        let mut at: Vec<usize> = cuts.iter().map(|c| c.index(text.len() + 1)).collect();
        at.sort_unstable();
        let mut pieces: Vec<&[u8]> = Vec::new();
        let mut from = 0;
        for cut in at {
            pieces.push(&text[from..cut]);
            from = cut;
        }
        pieces.push(&text[from..]);
        prop_assert_eq!(lex(&pieces).unwrap(), lex(&[&text]).unwrap());
    }

    #[test]
    fn mutated_documents_are_judged_as_serde_json_judges_them(value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = serde_json::to_vec(&value).unwrap();
        let index = at.index(text.len());
        text[index] = byte;
        // UTF-8 is checked by the caller, numbers of any size are fine for us, lone surrogates are replaced.
        prop_assume!(std::str::from_utf8(&text).is_ok());
        if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&text) {
            prop_assume!(!error.to_string().contains("surrogate"));
            prop_assume!(!error.to_string().contains("number out of range"));
            prop_assert!(lex(&[&text]).is_err(), "{}", String::from_utf8_lossy(&text));
        } else {
            prop_assert!(lex(&[&text]).is_ok(), "{}", String::from_utf8_lossy(&text));
        }
    }
}
