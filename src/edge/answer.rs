//! Our own answers, and the heads of upstreams' answers as clients may see them.

use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};
use pingora_error::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use crate::core::api_error::ApiError;
use crate::core::catalog::Dialect;
use crate::limits::contract::{RateState, format_reset};
use crate::pipeline::Exchange;
use crate::store::contract::RequestId;

/// Writes a whole JSON answer. The connection stays usable if the request was read to its end.
///
/// # Errors
/// Pingora's, when the client is gone.
pub async fn json(session: &mut Session, exchange: &Exchange, status: u16, body: Vec<u8>) -> Result<()> {
    write(session, exchange, status, Some("application/json"), body, |_| Ok(())).await
}

/// Writes a refusal.
///
/// # Errors
/// As [`json`].
pub async fn error(session: &mut Session, exchange: &Exchange, error: &ApiError) -> Result<()> {
    let body = error.to_body(exchange.dialect, &exchange.request.to_string());
    write(session, exchange, error.status(), Some("application/json"), body, |head| {
        if let Some(seconds) = error.retry_after_s() {
            head.insert_header(header::RETRY_AFTER, seconds.to_string())?;
        }
        if let Some(should_retry) = error.should_retry() {
            head.insert_header("x-should-retry", should_retry.to_string())?;
        }
        if let ApiError::MethodNotAllowed { allow } = error {
            head.insert_header(header::ALLOW, *allow)?;
        }
        Ok(())
    })
    .await
}

/// A browser's preflight: any origin may call, with any header, and no cookies.
///
/// # Errors
/// As [`json`].
pub async fn preflight(session: &mut Session, exchange: &Exchange) -> Result<()> {
    write(session, exchange, 204, None, Vec::new(), |head| {
        head.insert_header(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS")?;
        head.insert_header(header::ACCESS_CONTROL_ALLOW_HEADERS, "*, Authorization")?;
        head.insert_header(header::ACCESS_CONTROL_MAX_AGE, "86400")
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
    let mut head = ResponseHeader::build_no_case(upstream.status, Some(HEADERS_USUAL))?;
    let is_told_anew = exchange.translation.is_some();
    match upstream.headers.get(header::CONTENT_TYPE) {
        _ if is_told_anew && !is_event_stream => head.insert_header(header::CONTENT_TYPE, "application/json")?,
        Some(media_type) => head.insert_header(header::CONTENT_TYPE, media_type)?,
        None => {}
    }
    if let Some(dropped) = exchange.dropped() {
        head.insert_header(DROPPED.clone(), dropped)?;
    }
    match upstream.headers.get(header::CONTENT_LENGTH).filter(|_| !is_event_stream && !is_told_anew) {
        Some(length) => head.insert_header(header::CONTENT_LENGTH, length)?,
        None if client_reads_chunks => {
            head.insert_header(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?
        }
        // HTTP/1.0: the answer ends with the connection.
        None => {}
    }
    if is_event_stream {
        // Proxies in front of us must not collect events either.
        head.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))?;
        head.insert_header(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"))?;
    }
    ours(&mut head, exchange)?;
    Ok(head)
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
    more: impl FnOnce(&mut ResponseHeader) -> Result<()>,
) -> Result<()> {
    let mut head = ResponseHeader::build_no_case(status, Some(HEADERS_USUAL))?;
    if let Some(media_type) = media_type {
        head.insert_header(header::CONTENT_TYPE, media_type)?;
        head.insert_header(header::CONTENT_LENGTH, body.len().to_string())?;
    }
    ours(&mut head, exchange)?;
    more(&mut head)?;
    let reusable = leave_nothing_unread(session).await;
    if !reusable {
        session.set_keepalive(None);
    }
    session.downstream_session.write_response_header(Box::new(head)).await?;
    session.downstream_session.write_response_body(Bytes::from(body), true).await
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
fn ours(head: &mut ResponseHeader, exchange: &Exchange) -> Result<()> {
    let id = exchange.request.to_string();
    if exchange.dialect == Dialect::Messages {
        head.insert_header(ANTHROPIC_REQUEST_ID.clone(), id.as_str())?;
    }
    head.insert_header(REQUEST_ID.clone(), id)?;
    head.insert_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))?;
    head.insert_header(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"))?;
    if let Some(rates) = exchange.rates(Instant::now()) {
        rate_headers(head, &rates)?;
    }
    Ok(())
}

fn rate_headers(head: &mut ResponseHeader, rates: &RateState) -> Result<()> {
    for (gauge, names) in [(&rates.requests, &RATE_HEADERS[0]), (&rates.tokens, &RATE_HEADERS[1])] {
        let Some(gauge) = gauge else { continue };
        head.insert_header(names[0].clone(), HeaderValue::from(gauge.limit))?;
        head.insert_header(names[1].clone(), HeaderValue::from(gauge.remaining))?;
        head.insert_header(names[2].clone(), format_reset(gauge.reset))?;
    }
    Ok(())
}

pub(super) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
static DROPPED: HeaderName = HeaderName::from_static("x-tollgate-dropped");
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
