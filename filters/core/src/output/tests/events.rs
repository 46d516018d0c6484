//! Event streams.

use proptest::prelude::*;

use super::super::events::{Events, Wishes};
use super::super::restore::Placeholders;
use super::answers::{ALL, Api};
use super::{Stops, Unread, splits};

const ORIGINAL: &str = "a\"b\\é@example.org";

fn restore() -> Placeholders {
    let pair = |p: &str, o: &str| (p.to_owned(), o.to_owned());
    Placeholders::compile(&[pair("[EMAIL_1]", ORIGINAL), pair("[PERSON_12]", "Ann")])
}

fn restoring() -> Wishes {
    Wishes {
        placeholders: restore(),
        limit: 1 << 16,
        ..Wishes::default()
    }
}

fn guarding() -> Wishes {
    Wishes {
        guarded: true,
        holds: true,
        limit: 1 << 16,
        ..Wishes::default()
    }
}

/// What passes, and whether it was cut.
fn passed(wishes: Wishes, chunks: &[&[u8]], judge: &mut Stops) -> (Vec<u8>, bool) {
    let mut events = Events::new(wishes);
    let mut out = Vec::new();
    for (i, chunk) in chunks.iter().enumerate() {
        let end = i + 1 == chunks.len();
        let more = events.push(chunk, end, judge);
        assert!(more.is_empty() || !events.is_cut() || !out.ends_with(b"cut"));
        out.extend(more);
        if events.is_cut() {
            return (out, true);
        }
    }
    (out, false)
}

fn stops(at: &'static str) -> Stops {
    Stops {
        at: Some(at),
        ..Stops::default()
    }
}

/// `ORIGINAL` as it stands in a text of this API: a tool's arguments are JSON themselves.
fn original(api: Api) -> String {
    if api.is_tool() {
        serde_json::to_string(ORIGINAL)
            .unwrap()
            .trim_matches('"')
            .to_owned()
    } else {
        ORIGINAL.to_owned()
    }
}

#[test]
fn placeholders_are_restored_however_the_stream_is_cut() {
    for api in ALL {
        for pieces in [
            vec!["Mail [EMAIL_1] now, [PERSON_12]!"],
            vec!["Mail [EM", "AIL_1", "] now, ", "[", "PERSON_12]!"],
            vec!["Mail ", "[", "E", "", "MAIL_1] now, [PERSON_1", "2]", "!"],
        ] {
            let stream = api.stream(&pieces);
            let expected = format!("Mail {} now, Ann!", original(api));
            let mut first = None;
            for chunks in splits(stream.as_bytes()) {
                let (out, _) = passed(restoring(), &chunks, &mut Stops::default());
                if first.is_none() {
                    assert_eq!(api.read(&out), expected, "{api:?}");
                    let again = api.read_again(&out);
                    assert!(again.is_none_or(|again| again == expected), "{api:?}");
                }
                let first = first.get_or_insert_with(|| out.clone());
                assert_eq!(out, *first, "{api:?} {pieces:?}");
            }
        }
    }
}

#[test]
fn what_is_no_placeholder_passes_byte_for_byte() {
    for api in ALL {
        for pieces in [
            vec!["A list: [1, 2] and [EMAIL_2]", " ", "[EMAIL_", "x] [["],
            vec!["[EMAIL_1", " ]", "[", "P", "[PERSON"],
            vec!["\u{1}\u{7f}é😀 \\[EMAIL\\_1\\] ", "\"[PERSON_1\"", "\n"],
        ] {
            let stream = api.stream(&pieces);
            for chunks in splits(stream.as_bytes()) {
                let (out, _) = passed(restoring(), &chunks, &mut Stops::default());
                assert_eq!(String::from_utf8(out).unwrap(), stream, "{api:?}");
            }
        }
    }
}

#[test]
fn the_beginning_of_a_placeholder_waits_for_the_next_piece_only() {
    let mut events = Events::new(restoring());
    let mut push = |bytes: String| {
        let out = events.push(bytes.as_bytes(), false, &mut Stops::default());
        String::from_utf8(out).unwrap()
    };
    let delta = |index: u32, key: &str, text: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":{index},\"delta\":{{\"{key}\":\"{text}\"}}}}]}}\n\n"
        )
    };
    let open = delta(0, "content", "to [EMAIL");
    assert_eq!(push(open.clone()), "");
    let other = delta(1, "content", "other choice");
    assert_eq!(push(other.clone()), "", "it may not overtake");
    let closed = push(delta(0, "content", "_1] now"));
    assert!(closed.starts_with(&delta(0, "content", "to ")), "{closed}");
    assert!(
        closed.contains(&other) && closed.contains("example.org now"),
        "{closed}"
    );
    // Another text of the same choice: this one has ended.
    let open = delta(0, "content", "[EMAIL");
    assert_eq!(push(open.clone()), "");
    let call = delta(0, "reasoning_content", "_1]");
    assert_eq!(push(call.clone()), open.clone() + &call);
    // Other choices stream on and on.
    assert_eq!(push(open.clone()), "");
    let mut sent = open;
    let mut received = String::new();
    while received.is_empty() {
        assert!(sent.len() < 34 << 10, "it waits for too long");
        sent.push_str(&other);
        received = push(other.clone());
    }
    assert_eq!(received, sent);
}

/// The text `before`, then what may not pass, then `after` bytes.
fn bad(before: usize, after: usize) -> String {
    format!(
        "{}BADWORD{}",
        "fine ".repeat(before / 5),
        " more".repeat(after / 5)
    )
}

fn pieces(text: &str, size: usize) -> Vec<&str> {
    text.as_bytes()
        .chunks(size)
        .map(|piece| std::str::from_utf8(piece).unwrap())
        .collect()
}

#[test]
fn what_may_not_pass_does_not_however_the_stream_is_cut() {
    for api in ALL {
        for (before, after, size) in [(0, 0, 4), (100, 300, 3), (700, 700, 50), (700, 40, 2000)] {
            let text = bad(before, after);
            let stream = api.stream(&pieces(&text, size));
            let whole = passed(guarding(), &[stream.as_bytes()], &mut stops("BADWORD"));
            assert!(whole.1, "{api:?} {before} is cut");
            let seen = api.read(&whole.0);
            assert!(
                text.starts_with(&seen) && seen.len() <= before,
                "{api:?}: {seen}"
            );
            assert!(whole.0.is_empty() || whole.0.ends_with(b"\n\n") || whole.0.ends_with(b"\r\n"));
            for at in (1..stream.len()).step_by(5) {
                let (a, b) = stream.as_bytes().split_at(at);
                let split = passed(guarding(), &[a, b], &mut stops("BADWORD"));
                assert_eq!(split, whole, "{api:?} at {at}");
            }
            let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
            assert_eq!(passed(guarding(), &bytes, &mut stops("BADWORD")), whole);
        }
    }
}

#[test]
fn the_beginning_of_what_may_not_pass_waits_behind_large_events_too() {
    for api in ALL {
        for first in [500, 844, 1500, 5000] {
            for between in [0, 31, 250, 500] {
                // Cut within the word, whose window ends long behind it.
                let (before, rest) = ("x".repeat(first), "y".repeat(900));
                let pieces = [&before, &"z".repeat(between), " BADWOR", "D", &rest];
                let stream = api.stream(&pieces);
                let (out, cut) = passed(guarding(), &[stream.as_bytes()], &mut stops("BADWORD"));
                let seen = api.read(&out);
                assert!(cut && !seen.contains("BAD"), "{api:?} {first} {between}");
            }
        }
    }
}

#[test]
fn an_answer_without_fault_passes_byte_for_byte_and_in_time() {
    for api in ALL {
        let text = "All is well. ".repeat(200);
        let stream = api.stream(&pieces(&text, 4));
        for size in [1, 10, 1000, stream.len()] {
            let chunks: Vec<&[u8]> = stream.as_bytes().chunks(size).collect();
            let mut judge = stops("BADWORD");
            let (out, cut) = passed(guarding(), &chunks, &mut judge);
            assert_eq!(
                (String::from_utf8(out).unwrap(), cut),
                (stream.clone(), false)
            );
            assert_eq!(judge.unread, []);
        }
        let mut events = Events::new(guarding());
        let (mut sent, mut received) = (String::new(), Vec::new());
        for chunk in stream.as_bytes().chunks(100) {
            sent.push_str(std::str::from_utf8(chunk).unwrap());
            received.extend(events.push(chunk, false, &mut stops("BADWORD")));
            let (sent, received) = (api.read(sent.as_bytes()).len(), api.read(&received).len());
            assert!(sent - received <= 520, "{sent} {received}");
        }
    }
}

#[test]
fn a_text_that_is_told_again_is_judged_once() {
    for api in [Api::Responses, Api::ResponsesTool] {
        let text = "All is well. ".repeat(100);
        let mut judge = stops("BADWORD");
        let stream = api.stream(&pieces(&text, 9));
        passed(guarding(), &[stream.as_bytes()], &mut judge);
        let windows = judge.texts.len();
        let chat = Api::Chat.stream(&pieces(&text, 9));
        let mut once = stops("BADWORD");
        passed(guarding(), &[chat.as_bytes()], &mut once);
        assert_eq!(windows, once.texts.len());
        // Another text under the same cover is no repetition.
        let stream = api
            .stream(&["All is well."])
            .replacen("well.", "BADWORD", 9);
        let other = stream.replacen("BADWORD", "well.", 1);
        let (out, cut) = passed(guarding(), &[other.as_bytes()], &mut stops("BADWORD"));
        assert!(
            cut && !out.windows(7).any(|part| part == b"BADWORD"),
            "{api:?}"
        );
    }
}

#[test]
fn texts_side_by_side_do_not_wait_for_each_other() {
    let delta = |index: u32, text: &str| {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}},\"index\":{index}}}]}}\n\n"
        )
    };
    let mut events = Events::new(guarding());
    let (mut sent, mut received) = (delta(0, "one"), Vec::new());
    received.extend(events.push(sent.as_bytes(), false, &mut stops("BADWORD")));
    for i in 0..300 {
        let more = delta(1 + i % 2, "some more ");
        received.extend(events.push(more.as_bytes(), false, &mut stops("BADWORD")));
        sent.push_str(&more);
        let waits = sent.len() - received.len();
        assert!(waits < (1024 / 10 + 4) * more.len(), "{waits}");
    }
    let last = format!("{}data: [DONE]\n\n", delta(0, " and done"));
    received.extend(events.push(last.as_bytes(), false, &mut stops("BADWORD")));
    assert_eq!(String::from_utf8(received).unwrap(), sent + &last);
    // A word of one choice, however far apart its pieces are.
    for between in [0, 10, 300] {
        let others: String = (0..between).map(|_| delta(1, "some more ")).collect();
        let stream = [delta(0, "BAD"), others, delta(0, "WORD")].concat();
        let (out, cut) = passed(guarding(), &[stream.as_bytes()], &mut stops("BADWORD"));
        assert!(
            cut && !String::from_utf8(out).unwrap().contains("\"WORD"),
            "{between}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_stopped_or_passes_as_it_comes() {
    let large = format!("data: {{\"x\":\"{}\"}}\n\n", "y".repeat(3000));
    for (stream, why) in [
        ("data: hello\n\n".to_owned(), Unread::Syntax),
        ("data: {\"a\":1\n\n".to_owned(), Unread::Syntax),
        ("data: {\"a\":1".to_owned(), Unread::Syntax),
        (large, Unread::Size),
    ] {
        let stream = Api::Chat
            .stream(&["fine"])
            .replace("data: [DONE]\n\n", &stream);
        for chunks in [
            vec![stream.as_bytes()],
            stream.as_bytes().chunks(64).collect(),
        ] {
            let wishes = || Wishes {
                limit: 2000,
                ..guarding()
            };
            let mut judge = Stops {
                strict: true,
                ..Stops::default()
            };
            let (out, cut) = passed(wishes(), &chunks, &mut judge);
            assert!(cut && out.len() < stream.len(), "{stream}");
            assert_eq!(judge.unread, [why]);
            let mut judge = Stops::default();
            let (out, cut) = passed(wishes(), &chunks, &mut judge);
            assert_eq!(
                (String::from_utf8(out).unwrap(), cut),
                (stream.clone(), false)
            );
            assert_eq!(judge.unread, [why]);
        }
    }
}

#[test]
fn a_large_event_does_not_hide_those_around_it() {
    let large = format!("data: {{\"x\":\"{}\"}}\n\n", "y".repeat(3000));
    for stream in [
        Api::Chat
            .stream(&["BADWORD"])
            .replace("data: [DONE]", &(large.clone() + "data: [DONE]")),
        large.clone() + &Api::Chat.stream(&["BADWORD"]),
    ] {
        let wishes = Wishes {
            limit: 2000,
            ..guarding()
        };
        let chunks: Vec<&[u8]> = stream.as_bytes().chunks(100).collect();
        let (out, cut) = passed(wishes, &chunks, &mut stops("BADWORD"));
        assert!(cut && !String::from_utf8(out).unwrap().contains("BADWORD"));
    }
}

fn cut_at<'t>(text: &'t str, cuts: &[prop::sample::Index]) -> Vec<&'t str> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|w| &text[w[0]..w[1]]).collect()
}

proptest! {
    #[test]
    fn any_text_in_any_pieces_is_restored(
        words in prop::collection::vec(prop::sample::select(vec!["[EMAIL_1]", "[PERSON_12]", "[EMAIL", "[", "]", "_1]", "\\", "\"", "word", " "]), 0..12),
        api in prop::sample::select(ALL.to_vec()),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        at in any::<prop::sample::Index>(),
    ) {
        let text = words.concat();
        let stream = api.stream(&cut_at(&text, &cuts));
        let (a, b) = stream.as_bytes().split_at(at.index(stream.len() + 1));
        let (out, _) = passed(restoring(), &[a, b], &mut Stops::default());
        let expected = text.replace("[EMAIL_1]", &original(api)).replace("[PERSON_12]", "Ann");
        prop_assert_eq!(api.read(&out), expected.clone());
        if let Some(again) = api.read_again(&out) {
            prop_assert_eq!(again, expected);
        }
    }

    #[test]
    fn no_text_passes_that_may_not(
        before in "[a-z ]{0,1200}",
        after in "[a-z ]{0,900}",
        api in prop::sample::select(ALL.to_vec()),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        at in any::<prop::sample::Index>(),
    ) {
        let text = format!("{before}BADWORD{after}");
        let stream = api.stream(&cut_at(&text, &cuts));
        let whole = passed(guarding(), &[stream.as_bytes()], &mut stops("BADWORD"));
        let (a, b) = stream.as_bytes().split_at(at.index(stream.len() + 1));
        prop_assert_eq!(&passed(guarding(), &[a, b], &mut stops("BADWORD")), &whole);
        prop_assert!(whole.1);
        prop_assert!(before.starts_with(&api.read(&whole.0)));
    }

    #[test]
    fn any_bytes_pass_where_nothing_is_found(
        stream in "(data: |[da:t \\r\\n\\[\\]{}\"EMAIL_1,x]){0,60}",
        at in any::<prop::sample::Index>(),
        guarded in any::<bool>(),
    ) {
        let wishes = || Wishes { placeholders: restore(), guarded, holds: guarded, limit: 64 };
        let (a, b) = stream.as_bytes().split_at(at.index(stream.len() + 1));
        let (out, cut) = passed(wishes(), &[a, b], &mut Stops::default());
        prop_assert!(!cut);
        prop_assert_eq!(String::from_utf8(out).unwrap(), stream);
    }
}
