//! [`Fault`] as an HTTP response.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use turnpike_core::reply::{ErrorObject, Fault};

/// A request that is refused.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) Fault);

/// Every answer that is not what was asked for, as an OpenAI error object.
#[derive(Debug, utoipa::IntoResponses)]
#[expect(dead_code, reason = "it describes responses and is never made")]
pub(super) enum Refusals {
    /// The request is wrong; the message says where.
    #[response(status = 400)]
    BadRequest(#[to_schema] ErrorObject),
    /// There is no such model.
    #[response(status = 404)]
    NotFound(#[to_schema] ErrorObject),
    /// The body is too large.
    #[response(status = 413)]
    TooLarge(#[to_schema] ErrorObject),
    /// The model failed.
    #[response(status = 500)]
    Internal(#[to_schema] ErrorObject),
    /// No model, place or time yet; `retry-after` says when to try again.
    #[response(status = 503)]
    Overloaded(#[to_schema] ErrorObject),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self(fault)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let json = [(header::CONTENT_TYPE, "application/json")];
        let mut response = (status, json, self.0.body()).into_response();
        let more = match status {
            StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, "1")),
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
            _ => None,
        };
        if let Some((name, value)) = more {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
