//! A place for every request, or 503 at the door.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::Refusal;
use crate::service::Service;

/// Serves the request while it holds one of `sidecar.max_concurrent_requests` places. A client that leaves drops the
/// future, and with it the place and the job in the queue.
pub(super) async fn admit(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let place = match service.enter() {
        Ok(place) => place,
        Err(fault) => return Refusal(fault).into_response(),
    };
    let in_progress = InProgress::new(&service);
    let response = next.run(request).await;
    drop(in_progress);
    drop(place);
    response
}

/// Counts a request as in progress, also when its future is dropped.
struct InProgress<'a>(&'a Service);

impl<'a> InProgress<'a> {
    fn new(service: &'a Service) -> Self {
        service.metrics.requests_in_progress.inc();
        Self(service)
    }
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.0.metrics.requests_in_progress.dec();
    }
}
