//! What a request tells the stand-in to do, in its own `x-standin-*` headers.
//!
//! A test scripts the server through the gateway, so no server has to be set up per test and tests run in parallel.
//! An unknown or malformed header is answered with 400: a typo in a test must not look like a passing test.

use std::str::FromStr;

use hyper::HeaderMap;
use serde::{Deserialize, Serialize};

/// Start of every scripting header.
pub(super) const PREFIX: &str = "x-standin-";

/// Token counts of one answer, named as the OpenAI API names them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// Prompt tokens that the server had cached.
    pub cached_tokens: u64,
}

/// A call of a tool that an answer makes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    /// Name of the function.
    pub name: String,
    /// Its arguments: JSON in a text, as the OpenAI API has it.
    pub arguments: String,
}

/// Orders for one request. The default answers as a healthy vLLM does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// `tag`: the name under which the record of this request is found.
    pub tag: String,
    /// `status`: HTTP status; from 400 on the body is an error object.
    pub status: Option<u16>,
    /// `error`: message of that error object.
    pub error: Option<String>,
    /// `delay-headers-ms`: wait before the response headers.
    pub delay_headers_ms: u64,
    /// `delay-pieces-ms`: wait before every piece but the first.
    pub delay_pieces_ms: u64,
    /// `hold-headers`: wait before the response headers until the test releases the tag.
    pub hold_headers: bool,
    /// `hold-after`: write so many pieces, then wait until the test releases the tag.
    pub hold_after: Option<usize>,
    /// `abort-after`: write so many pieces, then cut the connection.
    pub abort_after: Option<usize>,
    /// `split`: cut the whole body into pieces of so many bytes, each written and flushed alone.
    pub split: Option<usize>,
    /// `usage`: `prompt,completion` or `prompt,completion,cached` instead of the real counts.
    pub usage: Option<Usage>,
    /// `tokens`: length of the answer.
    pub tokens: Option<usize>,
    /// `content`: the answer, as a JSON string (so that it may hold line ends and any script).
    pub content: Option<String>,
    /// `tool-calls`: a JSON list of [`ToolCall`]; the answer makes them and, unless `content` is ordered, says nothing.
    pub tool_calls: Vec<ToolCall>,
    /// `finish-reason`: instead of `stop`, `length` or `tool_calls`.
    pub finish_reason: Option<String>,
    /// `crlf`: SSE lines end in CRLF.
    pub crlf: bool,
    /// `no-usage`: never say how many tokens there were, as some servers do.
    pub no_usage: bool,
    /// `null-usage`: chunks before the last carry `"usage":null`, as OpenAI does and vLLM does not.
    pub null_usage: bool,
    /// `chunked`: a JSON body without `content-length`.
    pub chunked: bool,
    /// `body`: the whole body, as a JSON string, instead of an answer.
    pub body: Option<String>,
    /// `content-type`: instead of the one that fits.
    pub content_type: Option<String>,
    /// `cache-control`: a header of the answer.
    pub cache_control: Option<String>,
    /// `content-encoding`: what the answer says it is encoded in; its bytes are not.
    pub content_encoding: Option<String>,
}

impl Script {
    /// Reads the scripting headers of a request.
    ///
    /// # Errors
    /// A text that names the header which is unknown, repeated, or does not parse.
    pub fn read(headers: &HeaderMap) -> Result<Self, String> {
        let mut script = Self::default();
        for name in headers.keys() {
            let Some(order) = name.as_str().strip_prefix(PREFIX) else {
                continue;
            };
            let mut values = headers.get_all(name).iter();
            let value = values
                .next()
                .map(|v| std::str::from_utf8(v.as_bytes()).unwrap_or_default());
            let (Some(value), None) = (value, values.next()) else {
                return Err(format!("{name}: must be given once"));
            };
            script
                .set(order, value)
                .map_err(|e| format!("{name}: {e}"))?;
        }
        Ok(script)
    }

    fn set(&mut self, order: &str, value: &str) -> Result<(), String> {
        match order {
            "tag" => self.tag = value.to_owned(),
            "status" => self.status = Some(number(value)?),
            "error" => self.error = Some(value.to_owned()),
            "delay-headers-ms" => self.delay_headers_ms = number(value)?,
            "delay-pieces-ms" => self.delay_pieces_ms = number(value)?,
            "hold-headers" => self.hold_headers = flag(value)?,
            "hold-after" => self.hold_after = Some(number(value)?),
            "abort-after" => self.abort_after = Some(number(value)?),
            "split" => self.split = Some(number::<usize>(value)?.max(1)),
            "usage" => self.usage = Some(usage(value)?),
            "tokens" => self.tokens = Some(number(value)?),
            "content" => self.content = Some(json_string(value)?),
            "tool-calls" => self.tool_calls = calls(value)?,
            "finish-reason" => self.finish_reason = Some(value.to_owned()),
            "crlf" => self.crlf = flag(value)?,
            "no-usage" => self.no_usage = flag(value)?,
            "null-usage" => self.null_usage = flag(value)?,
            "chunked" => self.chunked = flag(value)?,
            "body" => self.body = Some(json_string(value)?),
            "content-type" => self.content_type = Some(value.to_owned()),
            "cache-control" => self.cache_control = Some(value.to_owned()),
            "content-encoding" => self.content_encoding = Some(value.to_owned()),
            _ => return Err("unknown order".into()),
        }
        Ok(())
    }
}

fn number<T: FromStr>(value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("not a number in range: {value:?}"))
}

fn flag(value: &str) -> Result<bool, String> {
    match value {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(format!("neither 0 nor 1: {value:?}")),
    }
}

fn json_string(value: &str) -> Result<String, String> {
    serde_json::from_str(value).map_err(|e| format!("not a JSON string: {e}"))
}

fn calls(value: &str) -> Result<Vec<ToolCall>, String> {
    serde_json::from_str(value).map_err(|e| format!("not a list of tool calls: {e}"))
}

fn usage(value: &str) -> Result<Usage, String> {
    let counts: Vec<u64> = value.split(',').map(number).collect::<Result<_, _>>()?;
    match *counts.as_slice() {
        [prompt_tokens, completion_tokens] => Ok(Usage {
            prompt_tokens,
            completion_tokens,
            cached_tokens: 0,
        }),
        [prompt_tokens, completion_tokens, cached_tokens] => Ok(Usage {
            prompt_tokens,
            completion_tokens,
            cached_tokens,
        }),
        _ => Err(format!(
            "neither prompt,completion nor prompt,completion,cached: {value:?}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn read(headers: &[(&'static str, &'static str)]) -> Result<Script, String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        Script::read(&map)
    }

    #[test]
    fn orders_are_read_from_headers() {
        let script = read(&[
            ("x-standin-split", "7"),
            ("x-standin-usage", "11,3"),
            ("x-standin-content", r#""a\n\u0431""#),
            ("user-agent", "curl"),
        ])
        .unwrap();
        assert_eq!(script.split, Some(7));
        assert_eq!(script.usage.unwrap().completion_tokens, 3);
        assert_eq!(script.content.as_deref(), Some("a\nб"));
    }

    #[test]
    fn a_typo_is_an_error_that_names_the_header() {
        for (name, value) in [
            ("x-standin-splitt", "7"),
            ("x-standin-split", "seven"),
            ("x-standin-usage", "1"),
            ("x-standin-crlf", "yes"),
            ("x-standin-tool-calls", r#"[{"name":"f"}]"#),
        ] {
            assert!(read(&[(name, value)]).unwrap_err().starts_with(name));
        }
        assert!(read(&[("x-standin-split", "1"), ("x-standin-split", "2")]).is_err());
    }
}
