//! One form for all spellings of the same JSON: members by their keys, strings unescaped, no white space, numbers as written.

use serde_json::value::RawValue;

use crate::json::Members;

/// Levels that are put in order; what is nested deeper counts as it is written. Each level reads its values once more.
const MAX_DEPTH: u32 = 8;

/// Tells the parts of a value's canonical form, each with its kind before it. What is no JSON is one part as it stands.
pub(super) fn canonical(json: &[u8], tell: &mut impl FnMut(u8, &[u8])) {
    match serde_json::from_slice::<&RawValue>(json) {
        Ok(value) => part(value.get(), MAX_DEPTH, tell),
        Err(_) => tell(b'?', json),
    }
}

fn part(json: &str, depth: u32, tell: &mut impl FnMut(u8, &[u8])) {
    let json = json.trim();
    let understood = match (json.as_bytes().first(), depth.checked_sub(1)) {
        (Some(b'{'), Some(depth)) => object(json, depth, tell),
        (Some(b'['), Some(depth)) => array(json, depth, tell),
        (Some(b'"'), _) => string(json, tell),
        _ => false,
    };
    if !understood {
        tell(b'=', json.as_bytes());
    }
}

fn object(json: &str, depth: u32, tell: &mut impl FnMut(u8, &[u8])) -> bool {
    let Ok(Members(mut members)) = serde_json::from_str(json) else {
        return false;
    };
    // Stable: of a key that comes twice, the order is kept.
    members.sort_by(|a, b| a.0.cmp(&b.0));
    tell(b'{', &count(members.len()));
    for (key, value) in members {
        tell(b'k', key.as_bytes());
        part(value.get(), depth, tell);
    }
    true
}

fn array(json: &str, depth: u32, tell: &mut impl FnMut(u8, &[u8])) -> bool {
    let Ok(values) = serde_json::from_str::<Vec<&RawValue>>(json) else {
        return false;
    };
    tell(b'[', &count(values.len()));
    for value in values {
        part(value.get(), depth, tell);
    }
    true
}

fn string(json: &str, tell: &mut impl FnMut(u8, &[u8])) -> bool {
    let Ok(text) = serde_json::from_str::<String>(json) else {
        return false;
    };
    tell(b's', text.as_bytes());
    true
}

fn count(number: usize) -> [u8; 8] {
    u64::try_from(number).unwrap_or(u64::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(json: &str) -> Vec<(u8, Vec<u8>)> {
        let mut parts = Vec::new();
        canonical(json.as_bytes(), &mut |kind, part| {
            parts.push((kind, part.to_vec()));
        });
        parts
    }

    #[test]
    fn spellings_of_the_same_value_are_told_alike() {
        let one = r#"{"b":[1.50,true,null],"a":{"y":"é","x":"a\/b"}}"#;
        let other = "{ \"a\" : {\"x\":\"a/b\", \"y\":\"\\u00e9\"},\n \"b\": [ 1.50 , true,null ] }";
        assert_eq!(told(one), told(other));
    }

    #[test]
    fn different_values_are_told_apart() {
        let values = [
            "1",
            "1.0",
            "1e0",
            "\"1\"",
            "[1]",
            "[[1]]",
            "[1,1]",
            "{\"1\":1}",
            "{\"1\":1,\"2\":1}",
            "null",
            "\"null\"",
            "{}",
            "[]",
            "\"\"",
            "[\"a\",\"b\"]",
            "[\"a,b\"]",
            "{\"k\":\"a\"}",
            "{\"a\":\"k\"}",
            "{\"a\":1,\"a\":2}",
            "{\"a\":2,\"a\":1}",
        ];
        for (at, one) in values.iter().enumerate() {
            for other in &values[..at] {
                assert_ne!(told(one), told(other), "{one} {other}");
            }
        }
    }

    #[test]
    fn depth_costs_no_stack_and_no_time() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(told(&deep).len() <= 2 * usize::try_from(MAX_DEPTH).unwrap() + 2);
        assert_eq!(told("{"), [(b'?', b"{".to_vec())]);
    }
}
