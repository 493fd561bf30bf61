//! Answers to what was done: made now, or made before by the same request.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

pub fn ok(view: &impl Serialize) -> Response {
    Json(view).into_response()
}

pub fn created(view: &impl Serialize) -> Response {
    (StatusCode::CREATED, Json(view)).into_response()
}

/// What an earlier, equal request made. No secret is in it: that was shown then.
pub fn replayed(view: &impl Serialize) -> Response {
    let mark = (HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
    ([mark], Json(view)).into_response()
}
