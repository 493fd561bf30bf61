//! Stage 6, where an upstream does not speak the client's dialect: the request in words that it understands, and what
//! the way back must know.
//!
//! Every try converts the client's own body, never a conversion of it: what one upstream has no place for, the next may
//! have. Usage is read from the upstream's own bytes before they are converted, so the charge is the same in each
//! dialect.

use std::sync::Arc;

use bytes::Bytes;

use crate::core::api_error::ApiError;
use crate::core::catalog::{Candidate, Dialect, Model, StreamUsage, UpstreamKind};
use crate::protocol::convert::{self, Target, WayBack};
use crate::protocol::endpoint::Endpoint;

use super::memory::{BodyLease, BodyMemory, too_much_held};

/// A request in another dialect than its client's.
pub struct Translation {
    /// What it was written for.
    upstream: String,
    model: String,
    pub body: Bytes,
    /// Hints of the client's that have no place over there.
    pub dropped: Vec<&'static str>,
    pub back: Arc<WayBack>,
    _lease: BodyLease,
}

impl Translation {
    /// `client`: the dialect of the body; `spoken`: the endpoint that the candidate will be asked at.
    ///
    /// # Errors
    /// 400 with the field that cannot be carried; 429 if there is no memory for it.
    pub fn make(
        memory: &Arc<BodyMemory>,
        client: Dialect,
        body: &Bytes,
        model: &Model,
        candidate: &Candidate,
        spoken: Dialect,
    ) -> Result<Translation, ApiError> {
        let work = lease(memory, (body.len() as u64).saturating_mul(WORK_FACTOR))?;
        let target = Target {
            dialect: spoken,
            kind: candidate.upstream.kind,
            model: &candidate.model,
            max_output_tokens: model.max_output_tokens.unwrap_or(model.output_hold),
            inject_usage: candidate.upstream.stream_usage == StreamUsage::Inject,
        };
        let converted = convert::request(client, body, &target)?;
        drop(work);
        let lease = lease(memory, converted.body.len() as u64)?;
        Ok(Translation {
            upstream: candidate.upstream.name.clone(),
            model: candidate.model.clone(),
            body: converted.body.into(),
            dropped: converted.dropped,
            back: Arc::new(converted.back),
            _lease: lease,
        })
    }

    /// Whether it can be sent to this candidate as it is.
    pub fn is_for(&self, candidate: &Candidate) -> bool {
        self.upstream == candidate.upstream.name && self.model == candidate.model
    }
}

fn lease(memory: &Arc<BodyMemory>, bytes: u64) -> Result<BodyLease, ApiError> {
    let mut lease = memory.lease();
    if lease.grow_to(bytes) { Ok(lease) } else { Err(too_much_held()) }
}

/// At which of its endpoints this candidate answers a request to `endpoint`: the same where it speaks the client's
/// dialect, that of another dialect where it speaks that. None: it cannot.
pub fn spoken(candidate: &Candidate, endpoint: Endpoint) -> Option<Endpoint> {
    let upstream = &candidate.upstream;
    let Some(dialect) = endpoint.dialect() else {
        return (upstream.kind != UpstreamKind::Anthropic).then_some(endpoint);
    };
    if upstream.speaks.contains(&dialect) {
        return Some(endpoint);
    }
    if endpoint == Endpoint::CountTokens {
        return None;
    }
    let other = PREFERRED.into_iter().find(|other| upstream.speaks.contains(other))?;
    Some(Endpoint::of(other))
}

/// Chat completions have a place for the least that is only one provider's own.
const PREFERRED: [Dialect; 3] = [Dialect::Chat, Dialect::Messages, Dialect::Responses];
/// A body is read in parts that share its memory, and written once more: together this many times its size, amply.
const WORK_FACTOR: u64 = 4;
