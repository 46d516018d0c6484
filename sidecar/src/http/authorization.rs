//! The token that callers over TCP must know, or 401.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::Refusal;
use crate::access::{Access, OPEN_PATHS};

/// Serves the request if it holds the token, or is for a path that needs none. Nothing else of it is read before.
pub(super) async fn authorize(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    if OPEN_PATHS.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match access.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(fault) => Refusal(fault).into_response(),
    }
}
