//! What callers send: bodies, queries, and which part of a list. Everything is bounded, and nothing unknown is skipped over.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use http::{HeaderMap, Uri, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::caller::Caller;
use super::problem::Problem;
use crate::core::key::KeyHash;
use crate::store::contract::console::{Once, Page};

/// A JSON body. That unknown fields are refused is up to the type (`deny_unknown_fields`). No body at all is `{}`.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Body<T>, Problem> {
        let (parts, body) = request.into_parts();
        parse(&read(&parts.headers, body).await?).map(Body)
    }
}

/// A JSON body of a request that may say that it is a repetition (`Idempotency-Key`).
pub struct Asked<T> {
    pub body: T,
    pub once: Option<Once>,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request(mut request: Request, state: &S) -> Result<Asked<T>, Problem> {
        let caller = {
            let (mut parts, body) = request.into_parts();
            let caller = <Caller as FromRequestParts<S>>::from_request_parts(&mut parts, state).await?;
            request = Request::from_parts(parts, body);
            caller
        };
        let (parts, body) = request.into_parts();
        let bytes = read(&parts.headers, body).await?;
        let once = once_of(&parts, &caller, &bytes)?;
        Ok(Asked { body: parse(&bytes)?, once })
    }
}

/// The repetition's mark: who asks, with which key of their own, for what.
fn once_of(parts: &Parts, caller: &Caller, body: &[u8]) -> Result<Option<Once>, Problem> {
    let Some(key) = parts.headers.get("idempotency-key").map(|value| value.as_bytes()) else { return Ok(None) };
    if !(1..=IDEMPOTENCY_KEY_MAX).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
        let problem = format!("Idempotency-Key has 1 to {IDEMPOTENCY_KEY_MAX} visible ASCII characters.");
        return Err(Problem::invalid(problem));
    }
    // No part can hold a line break: the boundaries between them are certain. The body comes last.
    let digest = |parts: &[&[u8]]| KeyHash(Sha256::digest(parts.join(&b'\n')).into());
    Ok(Some(Once {
        key: digest(&[caller.public_id().as_bytes(), key]),
        fingerprint: digest(&[parts.method.as_str().as_bytes(), parts.uri.path().as_bytes(), body]),
    }))
}

async fn read(headers: &HeaderMap, body: axum::body::Body) -> Result<Bytes, Problem> {
    let body = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await;
    let bytes = match body {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(Problem::too_large(BODY_BYTES_MAX as u64)),
        Ok(Err(_)) => return Err(Problem::invalid("The body broke off.")),
        Err(_) => {
            return Err(Problem::new(
                http::StatusCode::REQUEST_TIMEOUT,
                "invalid_request",
                "The body came too slowly.",
            ));
        }
    };
    if !bytes.is_empty() && !is_json(headers) {
        return Err(Problem::unsupported_media_type());
    }
    Ok(bytes)
}

fn is_json(headers: &HeaderMap) -> bool {
    let encoded = headers.contains_key(header::CONTENT_ENCODING);
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") && !encoded
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    match Json::<T>::from_bytes(bytes) {
        Ok(Json(value)) => Ok(value),
        Err(JsonRejection::JsonDataError(error)) => Err(blame(&error)),
        Err(error) => Err(Problem::invalid(format!("The body is not JSON: {}.", cause(&error)))),
    }
}

/// Which field it was, where the parser knows: it writes `limits.rpm: invalid type: …`.
fn blame(error: &dyn std::error::Error) -> Problem {
    let cause = cause(error);
    // The place in the text helps nobody who sends it from a program.
    let cause = cause.rsplit_once(" at line ").map_or(cause.as_str(), |(words, _)| words);
    match cause.split_once(": ") {
        Some((field, message)) if !field.contains([' ', '`']) => Problem::invalid_field(field, message),
        _ => match named_field(cause) {
            Some(field) => Problem::invalid_field(field, cause),
            None => Problem::invalid(format!("The body is not as it should be: {cause}.")),
        },
    }
}

/// The field in "missing field `name`", "unknown field `nmae`, expected …".
fn named_field(cause: &str) -> Option<&str> {
    let rest = ["missing field `", "unknown field `", "duplicate field `"].into_iter();
    rest.filter_map(|words| cause.strip_prefix(words)).next()?.split('`').next()
}

/// The innermost words.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// A query, apart from which part of a list is asked for ([`Paging`]). Unknown parameters are up to the type.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query<T>, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let own = query.split('&').filter(|pair| !is_paging(pair)).collect::<Vec<_>>().join("&");
        deserialize(&own).map(Query)
    }
}

fn is_paging(pair: &str) -> bool {
    matches!(pair.split('=').next(), Some("limit" | "after"))
}

fn deserialize<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let uri: Uri = format!("/?{query}").parse().map_err(|_| Problem::invalid("The query is not understood."))?;
    match axum::extract::Query::<T>::try_from_uri(&uri) {
        Ok(axum::extract::Query(value)) => Ok(value),
        Err(error) => Err(match blame(&error) {
            problem if problem.detail().starts_with("The body") => {
                Problem::invalid(format!("The query is not as it should be: {}.", cause(&error)))
            }
            problem => problem,
        }),
    }
}

/// A route that takes no parameters of its own.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Which part of a list, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paging {
    pub page: Page,
    pub form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    Csv {
        /// Where the same spreadsheet goes on, up to the cursor: `/api/keys?q=a&after=`.
        onward: String,
    },
}

#[derive(serde::Deserialize)]
struct PagingQuery {
    limit: Option<u32>,
    after: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Paging {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Paging, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let own = query.split('&').filter(|pair| is_paging(pair)).collect::<Vec<_>>().join("&");
        let PagingQuery { limit, after } = deserialize(&own)?;
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Problem::invalid_field("limit", format!("is from 1 to {LIMIT_MAX}")));
        }
        let form = form_of(parts);
        let limit = if form == Form::Json { limit } else { CSV_ROWS_MAX };
        Ok(Paging { page: Page { after: after.filter(|after| !after.is_empty()), limit }, form })
    }
}

/// A spreadsheet for whoever names `text/csv` first.
fn form_of(parts: &Parts) -> Form {
    let accept = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first = accept.split([',', ';']).next().unwrap_or_default().trim();
    if !first.eq_ignore_ascii_case("text/csv") {
        return Form::Json;
    }
    let own = parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !is_paging(pair));
    let query: String = own.flat_map(|pair| [pair, "&"]).collect();
    Form::Csv { onward: format!("{}?{query}after=", parts.uri.path()) }
}

pub const BODY_BYTES_MAX: usize = 64 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(20);
const IDEMPOTENCY_KEY_MAX: usize = 255;
const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;
/// Of a list as CSV.
pub const CSV_ROWS_MAX: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wish {
        name: String,
        limits: Option<Limits>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        rpm: Option<u32>,
    }

    #[track_caller]
    fn refused(body: &str) -> String {
        let problem = parse::<Wish>(body.as_bytes()).unwrap_err();
        assert_eq!(problem.code(), "invalid_request");
        problem.detail().to_owned()
    }

    #[test]
    fn a_faulty_body_is_told_by_its_field() {
        assert!(refused("").contains("missing field `name`"), "{}", refused(""));
        assert!(refused("{").starts_with("The body is not JSON"), "{}", refused("{"));
        assert!(refused(r#"{"name":"x","limits":{"rpm":1e309}}"#).contains("out of range"));
        let typed = refused(r#"{"name":"x","limits":{"rpm":"7"}}"#);
        assert!(typed.starts_with("limits.rpm: invalid type"), "{typed}");
        assert!(!typed.contains(" at line "), "{typed}");
        let unknown = refused(r#"{"name":"x","nmae":1}"#);
        assert!(unknown.starts_with("nmae: unknown field"), "{unknown}");
        assert!(refused(r#"{"name":"x","name":"y"}"#).contains("duplicate field"));
        assert!(refused("[]").contains("invalid"), "{}", refused("[]"));
    }

    async fn paging(uri: &str, accept: &str) -> Result<Paging, Problem> {
        let request = http::Request::builder().uri(uri).header(header::ACCEPT, accept).body(()).unwrap();
        Paging::from_request_parts(&mut request.into_parts().0, &()).await
    }

    #[tokio::test]
    async fn a_part_of_a_list_is_bounded() {
        let page = |after: Option<&str>, limit| Page { after: after.map(str::to_owned), limit };
        let found = paging("/x?q=1&after=req_1&limit=200", "*/*").await.unwrap();
        assert_eq!(found, Paging { page: page(Some("req_1"), 200), form: Form::Json });
        assert_eq!(paging("/x", "").await.unwrap().page, page(None, 50));
        let csv = paging("/x?limit=3", "text/csv, */*").await.unwrap();
        assert_eq!(csv, Paging { page: page(None, 10_000), form: Form::Csv { onward: "/x?after=".into() } });
        let onward = paging("/x?q=1&after=req_1&limit=9&m=%3E", "text/csv").await.unwrap().form;
        assert_eq!(onward, Form::Csv { onward: "/x?q=1&m=%3E&after=".into() });
        for wrong in ["0", "201", "-1", "1e3", "99999999999", "x"] {
            assert!(paging(&format!("/x?limit={wrong}"), "").await.is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_query_knows_its_own_parameters_only() {
        let query = |uri: &str| {
            let mut parts = http::Request::builder().uri(uri).body(()).unwrap().into_parts().0;
            async move { Query::<Limits>::from_request_parts(&mut parts, &()).await.map(|query| query.0) }
        };
        assert_eq!(query("/x?limit=3&rpm=5&after=a").await.ok(), Some(Limits { rpm: Some(5) }));
        let unknown = query("/x?rmp=5").await.unwrap_err();
        assert!(unknown.detail().contains("rmp"), "{unknown:?}");
        assert!(query("/x?rpm=x").await.is_err());
    }
}
