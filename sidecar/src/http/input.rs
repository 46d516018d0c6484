//! `input` of a request: a text, or several.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use utoipa::openapi::schema::{ArrayBuilder, OneOfBuilder, Schema};
use utoipa::openapi::{ObjectBuilder, RefOr, Type};
use utoipa::{PartialSchema, ToSchema};

/// Inputs of one request, OpenAI's own limit.
const MAX_INPUTS: usize = 2048;

/// A text, or up to 2048 of them. Token ids are not taken.
///
/// Read in one pass, which ends at the first text too many: a body of a million empty texts costs no more than its bytes.
#[derive(Debug)]
pub(super) struct Input(pub(super) Vec<String>);

pub(super) fn out_of_range(texts: usize) -> String {
    format!("must have 1 to {MAX_INPUTS} texts, got {texts}")
}

const EXPECTED: &str = "a string or an array of strings (token ids are not taken: they mean something to one tokenizer alone; \
                        LangChain sends them unless `check_embedding_ctx_length=False`)";

struct InputVisitor;

impl<'de> Visitor<'de> for InputVisitor {
    type Value = Input;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Input, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Input, E> {
        Ok(Input(vec![text]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Input, A::Error> {
        let mut texts = Vec::new();
        while let Some(Text(text)) = sequence.next_element()? {
            if texts.len() == MAX_INPUTS {
                return Err(A::Error::custom(out_of_range_or_more()));
            }
            texts.push(text);
        }
        Ok(Input(texts))
    }
}

fn out_of_range_or_more() -> String {
    format!("must have 1 to {MAX_INPUTS} texts, got more")
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InputVisitor)
    }
}

/// One text of several.
struct Text(String);

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Text, E> {
        Ok(Text(text))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

impl PartialSchema for Input {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let texts = ArrayBuilder::new()
            .items(text())
            .min_items(Some(1))
            .max_items(Some(MAX_INPUTS));
        let either = OneOfBuilder::new().item(text()).item(texts);
        Schema::from(either.description(Some(
            "A text, or 1 to 2048 of them. Token ids are not taken.",
        )))
        .into()
    }
}

impl ToSchema for Input {}
