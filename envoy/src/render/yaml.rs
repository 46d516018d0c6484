//! JSON values as YAML that people read: `@type` and `name` first, then the rest by name.

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::Value;

use crate::VERSION;

/// Keys that tell what an object is.
const FIRST: [&str; 6] = [
    "@type",
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "stat_prefix",
];

/// A bootstrap as a YAML file that says where it comes from.
///
/// # Errors
/// When the YAML writer refuses a value.
pub fn to_yaml(document: &Value) -> Result<String, serde_saphyr::ser::Error> {
    Ok(heading() + &body(document)?)
}

/// The comment that says where a file comes from.
pub(super) fn heading() -> String {
    format!("# Rendered by turnpike {VERSION}; change config.yaml and render again.\n")
}

/// One document without a comment.
pub(super) fn body(document: &Value) -> Result<String, serde_saphyr::ser::Error> {
    ordered(document, &FIRST)
}

/// One document whose objects begin with the keys in `first`, in that order.
///
/// # Errors
/// When the YAML writer refuses a value.
pub(crate) fn ordered(
    document: &Value,
    first: &[&str],
) -> Result<String, serde_saphyr::ser::Error> {
    let options = serde_saphyr::ser_options! {
        prefer_block_scalars: false,
    };
    let document = Ordered {
        value: document,
        first,
    };
    serde_saphyr::to_string_with_options(&document, options)
}

struct Ordered<'a> {
    value: &'a Value,
    first: &'a [&'a str],
}

impl<'a> Ordered<'a> {
    fn with(&self, value: &'a Value) -> Self {
        Self { value, ..*self }
    }
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Object(map) => {
                let mut out = serializer.serialize_map(Some(map.len()))?;
                let first = self.first.iter().filter_map(|key| map.get_key_value(*key));
                let rest = map
                    .iter()
                    .filter(|(key, _)| !self.first.contains(&key.as_str()));
                for (key, value) in first.chain(rest) {
                    out.serialize_entry(key, &self.with(value))?;
                }
                out.end()
            }
            Value::Array(list) => {
                let mut out = serializer.serialize_seq(Some(list.len()))?;
                for value in list {
                    out.serialize_element(&self.with(value))?;
                }
                out.end()
            }
            scalar => scalar.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_looks_like_another_type_stays_a_string() {
        let document = json!({
            "@type": "t", "name": "yes", "a": ["1", "1s", "null", "~", "", "0x1f", "1e3", "a: b", "#c", "%D%", "- x", "no\nyes", "🙂", "12:30"],
            "b": {"c": [], "d": {}, "e": null, "f": 1.5, "g": true},
        });
        let yaml = to_yaml(&document).unwrap();
        assert_eq!(crate::config::parse(&yaml).unwrap(), document);
    }

    #[test]
    fn what_yaml_1_1_takes_for_another_type_is_quoted() {
        let words = json!([
            "on",
            "Off",
            "yes",
            "NO",
            "y",
            "N",
            "1_000",
            "017",
            "1:30",
            "2001-01-01",
            "+1",
            ".5",
            "=",
            "<<"
        ]);
        let yaml = body(&words).unwrap();
        for line in yaml.lines() {
            assert!(line.contains(['"', '\'']), "{line}");
        }
    }

    #[test]
    fn the_kind_and_name_of_an_object_stand_first() {
        let yaml = to_yaml(&json!({"a": 1, "name": "http", "@type": "t"})).unwrap();
        let lines: Vec<&str> = yaml.lines().skip(1).collect();
        assert_eq!(lines, ["\"@type\": t", "name: http", "a: 1"]);
    }
}
