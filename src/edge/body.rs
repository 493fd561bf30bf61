//! Reads a request's body, once and whole, inside every limit: its size, the memory of all bodies together, and a
//! deadline for all of it (a timeout per read would let a byte a minute live for ever).

use std::pin::pin;

use bytes::{Bytes, BytesMut};
use futures_util::future::poll_immediate;
use http::header;
use pingora_proxy::Session;

use crate::core::api_error::ApiError;
use crate::pipeline::Pipeline;
use crate::pipeline::memory::{BodyLease, too_much_held};

/// # Errors
/// 413, 408; 429 while all bodies together hold too much; 400 if the client's framing breaks.
pub async fn read(session: &mut Session, pipeline: &Pipeline) -> Result<(Bytes, BodyLease), ApiError> {
    let bytes_max = pipeline.settings.body_bytes_max;
    let announced = announced_bytes(session);
    if announced.is_some_and(|bytes| bytes > bytes_max) {
        return Err(ApiError::RequestTooLarge { bytes_max });
    }
    let mut lease = pipeline.body_memory.lease();
    if !lease.grow_to(announced.unwrap_or(0)) {
        return Err(too_much_held());
    }
    answer_expectation(session).await?;
    let body = {
        let mut collecting = pin!(collect(session, announced, bytes_max, &mut lease));
        // A small body came with its head: no timer for that.
        match poll_immediate(&mut collecting).await {
            Some(body) => body,
            None => tokio::time::timeout(pipeline.settings.body_timeout, collecting)
                .await
                .unwrap_or(Err(ApiError::RequestTimeout)),
        }
    };
    Ok((body?, lease))
}

async fn collect(
    session: &mut Session,
    announced: Option<u64>,
    bytes_max: u64,
    lease: &mut BodyLease,
) -> Result<Bytes, ApiError> {
    // The lease holds what was announced, so room for it is bounded; and room takes no memory before bytes fill it. To
    // grow into it step by step would copy a large body over and over, and hold it twice.
    let expected = usize::try_from(announced.unwrap_or(0)).unwrap_or(usize::MAX);
    let mut body = BytesMut::new();
    let mut first: Option<Bytes> = None;
    loop {
        let read = session.downstream_session.read_request_body().await;
        let Some(chunk) = read.map_err(|_| ApiError::invalid("The request's body is incomplete or malformed."))? else {
            break;
        };
        if chunk.is_empty() {
            continue;
        }
        // The usual small body arrives in one piece and is not copied again.
        if first.is_none() && body.is_empty() {
            if chunk.len() as u64 > bytes_max {
                return Err(ApiError::RequestTooLarge { bytes_max });
            }
            if !lease.grow_to(chunk.len() as u64) {
                return Err(too_much_held());
            }
            first = Some(chunk);
            continue;
        }
        if let Some(first) = first.take() {
            body.reserve(expected.max(first.len() * 2));
            body.extend_from_slice(&first);
        }
        let length = body.len() as u64 + chunk.len() as u64;
        if length > bytes_max {
            return Err(ApiError::RequestTooLarge { bytes_max });
        }
        if !lease.grow_to(length) {
            return Err(too_much_held());
        }
        if body.capacity() - body.len() < chunk.len() {
            // Nothing was announced.
            body.reserve(body.len().max(chunk.len()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(first.unwrap_or_else(|| body.freeze()))
}

fn announced_bytes(session: &Session) -> Option<u64> {
    let length = session.req_header().headers.get(header::CONTENT_LENGTH)?;
    // Digits only, judged by the front door and by Pingora; too many of them are too large.
    Some(length.to_str().ok()?.parse().unwrap_or(u64::MAX))
}

/// Nobody else answers `Expect: 100-continue` when a filter reads the body; curl would wait a second.
async fn answer_expectation(session: &mut Session) -> Result<(), ApiError> {
    let Some(expected) = session.req_header().headers.get(header::EXPECT) else { return Ok(()) };
    if !expected.as_bytes().eq_ignore_ascii_case(b"100-continue") {
        return Err(ApiError::invalid("The Expect header may only say '100-continue'."));
    }
    let downstream = &mut session.downstream_session;
    // Pingora ends a connection whose answer begins before the body has come; this one is not the answer.
    downstream.set_close_on_response_before_downstream_finish(false);
    let written = downstream.write_continue_response().await;
    downstream.set_close_on_response_before_downstream_finish(true);
    written.map_err(|_| ApiError::invalid("The connection broke."))
}
