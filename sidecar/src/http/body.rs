//! A JSON body, with refusals that say where the mistake is.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use turnpike_core::reply::Fault;
use turnpike_core::sidecar::MAX_BODY_BYTES;

use super::BODY_TIMEOUT;
use super::error::Refusal;

/// The body of a request, whatever its `content-type` says.
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let read = tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state));
        let bytes = match read.await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                return Err(Refusal(Fault::TooLarge(MAX_BODY_BYTES)));
            }
            Ok(Err(_)) => return Err(unreadable("could not be read".into())),
            Err(_) => {
                let seconds = BODY_TIMEOUT.as_secs();
                return Err(unreadable(format!(
                    "did not arrive within {seconds} seconds"
                )));
            }
        };
        parse(&bytes).map(JsonBody).map_err(Refusal)
    }
}

fn unreadable(why: String) -> Refusal {
    Refusal(Fault::BadRequest(format!("The request body {why}.")))
}

/// One JSON document; serde's message has line and column, and the path of the key stands before it.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|e| {
        let path = e.path().to_string();
        let message = e.into_inner().to_string();
        Fault::BadRequest(if path == "." {
            message
        } else {
            format!("{path}: {message}")
        })
    })?;
    deserializer
        .end()
        .map_err(|e| Fault::BadRequest(e.to_string()))?;
    Ok(value)
}
