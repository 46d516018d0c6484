//! `GET /openapi.json`: the paths of the sidecar, from the types that they take and give.

use axum::body::Bytes;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use turnpike_core::reply::{ErrorBody, ErrorObject};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};

/// Where it is.
pub(super) const PATH: &str = "/openapi.json";

/// What stands above the paths.
pub(super) fn about() -> OpenApi {
    let license = LicenseBuilder::new()
        .name("Apache-2.0")
        .identifier(Some("Apache-2.0"));
    let info = InfoBuilder::new()
        .title("turnpike-sidecar")
        .version(crate::VERSION)
        .description(Some(
            "Embeddings, classification and the semantic cache beside the proxy. Over TCP, `sidecar.tcp_access` may ask for a bearer token.",
        ))
        .license(Some(license.build()));
    // What responses refer to is not found by the macros.
    let errors = ComponentsBuilder::new()
        .schema_from::<ErrorObject>()
        .schema_from::<ErrorBody>();
    OpenApiBuilder::new()
        .info(info)
        .components(Some(errors.build()))
        .build()
}

/// The finished document.
pub(super) fn document(api: &OpenApi) -> Bytes {
    api.to_json().unwrap_or_default().into()
}

/// Gives it.
pub(super) fn response(document: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}
