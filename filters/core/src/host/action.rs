//! What both filters do to a stream.

use std::borrow::Cow;

use super::{Flow, Headers, Host, HostError, LocalReply};
use crate::metrics::Metric;
use crate::reply::Fault;
use crate::request::Endpoint;
use crate::state;

/// The LLM API that a request with these headers is for.
pub(crate) fn endpoint(headers: &Headers) -> Option<Endpoint> {
    if headers.get(":method")? != b"POST" {
        return None;
    }
    Endpoint::of_path(std::str::from_utf8(headers.get(":path")?).ok()?)
}

/// The name of a header with hyphens for underscores: some servers make no difference.
pub(crate) fn hyphenated(name: &[u8]) -> Cow<'_, [u8]> {
    if !name.contains(&b'_') {
        return Cow::Borrowed(name);
    }
    let hyphen = |&byte: &u8| if byte == b'_' { b'-' } else { byte };
    Cow::Owned(name.iter().map(hyphen).collect())
}

/// Replaces the held body and its length.
pub(crate) fn replace_body(host: &mut impl Host, body: &[u8]) -> Result<(), HostError> {
    host.set_request_header("content-length", body.len().to_string().as_bytes())?;
    host.replace_request_body(body)
}

/// Answers with an error object, counts it and shows it to the log.
pub(crate) fn refuse(host: &mut impl Host, fault: &Fault) -> Flow {
    host.count(Metric::Errors, &[fault.code()], 1);
    host.set_filter_state(state::BLOCK, fault.code().as_bytes());
    host.reply(LocalReply {
        status: fault.status(),
        headers: Vec::new(),
        body: fault.body(),
    });
    Flow::Pause
}

/// The length that a request or response announces, if it is a number.
pub(crate) fn content_length(headers: &Headers) -> Option<usize> {
    let value = std::str::from_utf8(headers.get("content-length")?).ok()?;
    value.trim().parse().ok()
}
