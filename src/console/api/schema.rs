//! Parts of the API's description that every route shares.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Serialize;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoParams, IntoResponses, ToSchema};

/// A part of a list, as [`crate::console::listing`] answers it.
#[derive(Serialize, ToSchema)]
pub struct ListOf<T> {
    data: Vec<T>,
    /// What to send as `after` for the next part; null at the end. A part may be short, even empty, and not the last.
    next: Option<String>,
}

/// Which part of a list. With `Accept: text/csv` the answer is a spreadsheet of at most 10,000 rows;
/// where there is more, its header `Link` (`rel="next"`) says where it goes on.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what is read elsewhere")]
pub struct PagingParams {
    /// How many rows at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next` of the part before.
    after: Option<String>,
}

/// Makes a repeated request harmless for 24 hours: the same key and body give the first answer again.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes what is read elsewhere")]
pub struct IdempotencyParams {
    /// 1 to 255 visible ASCII characters, chosen by whoever asks.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
}

/// What a reading route may answer instead.
pub struct NotRead;

impl IntoResponses for NotRead {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[400, 401, 403, 404, 500, 503])
    }
}

/// What a writing route may answer instead.
pub struct NotDone;

impl IntoResponses for NotDone {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[400, 401, 403, 404, 413, 415, 422, 500, 503])
    }
}

fn problems(statuses: &[u16]) -> BTreeMap<String, RefOr<Response>> {
    let problem = |status: &u16| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let name = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
        let response = ResponseBuilder::new().description(name).content("application/problem+json", content);
        (status.to_string(), RefOr::T(response.build()))
    };
    statuses.iter().map(problem).collect()
}
