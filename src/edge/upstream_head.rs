//! What an upstream's head means: an answer, a judgement of the request, or a reason to try the next one.

use std::time::Duration;

use http::header;
use pingora_http::ResponseHeader;

use crate::pipeline::attempt::Fault;

/// What an upstream's status means, if it is not an answer. Its 400, 413 and 422 are answers: they judge the request.
pub(super) fn fault_of(head: &ResponseHeader) -> Option<Fault> {
    let rest = || retry_after(head).unwrap_or(KEY_REST);
    match head.status.as_u16() {
        // Nobody asked for it, and what it says could not be read.
        200..=299 if is_encoded(head) => Some(Fault::Ill("encoded")),
        204 | 205 => Some(Fault::Ill("no_content")),
        200..=299 | 400 | 413 | 422 => None,
        100..=199 => Some(Fault::Ill("interim_heads")),
        401 => Some(Fault::KeyRefused { reason: "401", rest: rest() }),
        402 => Some(Fault::KeyRefused { reason: "402", rest: rest() }),
        403 => Some(Fault::KeyRefused { reason: "403", rest: rest() }),
        429 => Some(Fault::KeyRefused { reason: "429", rest: rest() }),
        404 => Some(Fault::Other("404")),
        408 => Some(Fault::Ill("408")),
        500..=599 => Some(Fault::Ill("5xx")),
        _ => Some(Fault::Other("status")),
    }
}

/// Seconds only: a date would need to trust the other side's clock. Capped, because it is a number from outside.
fn retry_after(head: &ResponseHeader) -> Option<Duration> {
    let seconds: u64 = head.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.clamp(1, KEY_REST_MAX_S)))
}

fn is_encoded(head: &ResponseHeader) -> bool {
    let coding = head.headers.get(header::CONTENT_ENCODING);
    coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Empty where it is not named.
pub(super) fn media_type(head: &ResponseHeader) -> &[u8] {
    head.headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default()
}

pub(super) fn is_event_stream(head: &ResponseHeader) -> bool {
    media_type(head).get(..17).is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
}

/// A refused key rests so long where the upstream names no time.
const KEY_REST: Duration = Duration::from_secs(60);
const KEY_REST_MAX_S: u64 = 3_600;
