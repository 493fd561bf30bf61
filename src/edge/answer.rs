//! Our own answers, and the heads of upstreams' answers as clients may see them.

use std::time::Instant;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use pingora_error::{ErrorType, OrErr, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use crate::core::api_error::ApiError;
use crate::core::catalog::Dialect;
use crate::limits::contract::{RateState, format_reset};
use crate::pipeline::Exchange;
use crate::store::contract::RequestId;

use super::relay;

/// Writes a whole JSON answer. The connection stays usable if the request was read to its end.
///
/// # Errors
/// Pingora's, when the client is gone.
pub async fn json(session: &mut Session, exchange: &Exchange, status: u16, body: Vec<u8>) -> Result<()> {
    write(session, exchange, status, Some("application/json"), body, |_| ()).await
}

/// Writes a refusal.
///
/// # Errors
/// As [`json`].
pub async fn error(session: &mut Session, exchange: &Exchange, error: &ApiError) -> Result<()> {
    let body = error.to_body(exchange.dialect, &exchange.request.to_string());
    write(session, exchange, error.status(), Some("application/json"), body, |headers| {
        if let Some(seconds) = error.retry_after_s() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(should_retry) = error.should_retry() {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static(if should_retry { "true" } else { "false" }));
        }
        if let ApiError::MethodNotAllowed { allow } = error {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
    })
    .await
}

/// A browser's preflight: any origin may call, with any header, and no cookies.
///
/// # Errors
/// As [`json`].
pub async fn preflight(session: &mut Session, exchange: &Exchange) -> Result<()> {
    write(session, exchange, 204, None, Vec::new(), |headers| {
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "*, Authorization"),
            (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    })
    .await
}

/// An upstream's head, built anew from what a client may see of it.
///
/// # Errors
/// Pingora's, if a header cannot be written, which these can.
pub fn from_upstream(
    upstream: &ResponseHeader,
    exchange: &Exchange,
    is_event_stream: bool,
    client_reads_chunks: bool,
) -> Result<ResponseHeader> {
    let mut headers = HeaderMap::with_capacity(HEADERS_USUAL);
    let is_told_anew = exchange.translation.is_some();
    match upstream.headers.get(header::CONTENT_TYPE) {
        _ if is_told_anew && !is_event_stream => headers.insert(header::CONTENT_TYPE, JSON),
        Some(media_type) => headers.insert(header::CONTENT_TYPE, media_type.clone()),
        None => None,
    };
    if let Some(dropped) = exchange.dropped() {
        headers.insert(DROPPED, value(dropped)?);
    }
    match upstream.headers.get(header::CONTENT_LENGTH).filter(|_| !is_event_stream && !is_told_anew) {
        Some(length) => headers.insert(header::CONTENT_LENGTH, length.clone()),
        None if client_reads_chunks => headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
        // HTTP/1.0: the answer ends with the connection.
        None => None,
    };
    if is_event_stream {
        // Proxies in front of us must not collect events either.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    }
    ours(&mut headers, exchange)?;
    Ok(head(upstream.status, headers))
}

/// A head whose headers are written here, by names that are known: Pingora's own way reads each name anew.
pub(super) fn head(status: StatusCode, headers: HeaderMap) -> ResponseHeader {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    (parts.status, parts.headers) = (status, headers);
    parts.into()
}

fn value(text: String) -> Result<HeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from(text)).or_err(ErrorType::InvalidHTTPHeader, "a value of ours")
}

/// The answer to a head that the front door refused, as bytes: there is no session yet.
pub fn raw_refusal(error: &ApiError) -> Vec<u8> {
    let body = error.to_json();
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut answer = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nx-request-id: {}\r\n\
         Connection: close\r\n\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        body.len(),
        RequestId::new(),
    )
    .into_bytes();
    answer.extend(body);
    answer
}

async fn write(
    session: &mut Session,
    exchange: &Exchange,
    status: u16,
    media_type: Option<&'static str>,
    body: Vec<u8>,
    more: impl FnOnce(&mut HeaderMap),
) -> Result<()> {
    let status = StatusCode::from_u16(status).or_err(ErrorType::InternalError, "a status of ours")?;
    let mut headers = HeaderMap::with_capacity(HEADERS_USUAL);
    if let Some(media_type) = media_type {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    ours(&mut headers, exchange)?;
    more(&mut headers);
    let reusable = leave_nothing_unread(session).await;
    if !reusable {
        session.set_keepalive(None);
    }
    session.downstream_session.write_response_header(Box::new(head(status, headers))).await?;
    relay::write_end(&mut session.downstream_session, Bytes::from(body)).await
}

/// A small body that nobody needs any more is read away, so that a refused client need not connect again. A large one,
/// or one that the client would send only if asked to, ends the connection instead.
async fn leave_nothing_unread(session: &mut Session) -> bool {
    if session.downstream_session.is_body_done() {
        return true;
    }
    let expects = session.req_header().headers.contains_key(header::EXPECT);
    let announced = session.req_header().headers.get(header::CONTENT_LENGTH);
    let small =
        announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok()).is_some_and(|n| n <= DRAIN_BYTES_MAX);
    if expects || !small {
        return false;
    }
    let drained = tokio::time::timeout(DRAIN_MAX, session.downstream_session.drain_request_body()).await;
    matches!(drained, Ok(Ok(())))
}

/// What every answer carries: the request's id, the key's limits, and leave for browsers to read it.
fn ours(headers: &mut HeaderMap, exchange: &Exchange) -> Result<()> {
    let id = value(exchange.request.to_string())?;
    if exchange.dialect == Dialect::Messages {
        headers.insert(ANTHROPIC_REQUEST_ID, id.clone());
    }
    headers.insert(REQUEST_ID.clone(), id);
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    if let Some(rates) = exchange.rates(Instant::now()) {
        rate_headers(headers, &rates)?;
    }
    Ok(())
}

fn rate_headers(headers: &mut HeaderMap, rates: &RateState) -> Result<()> {
    for (gauge, [limit, remaining, reset]) in [(&rates.requests, &RATE_HEADERS[0]), (&rates.tokens, &RATE_HEADERS[1])] {
        let Some(gauge) = gauge else { continue };
        headers.insert(limit, HeaderValue::from(gauge.limit));
        headers.insert(remaining, HeaderValue::from(gauge.remaining));
        headers.insert(reset, value(format_reset(gauge.reset))?);
    }
    Ok(())
}

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const DROPPED: HeaderName = HeaderName::from_static("x-tollgate-dropped");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
static RATE_HEADERS: [[HeaderName; 3]; 2] = [
    [
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ],
    [
        HeaderName::from_static("x-ratelimit-limit-tokens"),
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ],
];
/// Room for as many from the beginning. A map of headers has room for three quarters of a power of two: one more than this
/// doubles what each running stream keeps.
const HEADERS_USUAL: usize = 12;
const DRAIN_BYTES_MAX: u64 = 64 * 1024;
const DRAIN_MAX: std::time::Duration = std::time::Duration::from_secs(1);
