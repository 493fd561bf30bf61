//! Stage 5: can it be paid? Tokens per minute, then the money that the request may cost, set aside in one decision.

use std::time::Instant;

use crate::core::api_error::ApiError;
use crate::core::catalog::Model;
use crate::core::money::Nano;
use crate::core::price::Bound;
use crate::ledger::{Hold, NewHold, ReserveError};
use crate::limits::contract::Permit;
use crate::protocol::endpoint::Endpoint;
use crate::protocol::request::Facts;
use crate::store::contract::RequestId;

use super::Pipeline;
use super::authenticate::Caller;

/// Money set aside, and what for.
pub struct Reservation {
    pub hold: Hold,
    pub bound: Bound,
}

/// What is known of a request when its money is set aside.
pub struct Asked<'a> {
    pub request: RequestId,
    pub endpoint: Endpoint,
    pub facts: &'a Facts,
    pub model: &'a Model,
    pub started_at_ms: i64,
}

/// Sets aside the most that this request can cost.
///
/// The bound is the input as estimated plus every output token that the request allows. Holding less would let an
/// account with one cent start a thousand long answers at once.
///
/// # Errors
/// 402 if the money does not suffice, 429 if the tokens of this minute do not, 503 while the storage cannot write.
pub fn reserve(
    pipeline: &Pipeline,
    caller: &Caller,
    permit: &mut Permit,
    asked: &Asked<'_>,
    now: Instant,
) -> Result<Reservation, ApiError> {
    let bound = bound(asked.endpoint, asked.facts, asked.model);
    let tokens = bound.input_tokens.saturating_add(bound.output_tokens);
    permit.take_tokens(tokens, now).map_err(|refusal| ApiError::from(&refusal))?;

    let amount = asked.model.price.ceiling(&bound, asked.started_at_ms, caller.group.markup);
    let request = NewHold {
        request: asked.request,
        endpoint: asked.endpoint.label(),
        model: asked.model.name.clone(),
        streamed: asked.facts.stream,
        price_version: asked.model.price.version.clone(),
        started_at_ms: asked.started_at_ms,
    };
    match pipeline.ledger.reserve(&caller.key, request, amount) {
        Ok(hold) => Ok(Reservation { hold, bound }),
        Err(error) => Err(refused(error)),
    }
}

/// The most that an answer to this request may hold.
fn bound(endpoint: Endpoint, facts: &Facts, model: &Model) -> Bound {
    let each = match (facts.max_output_tokens, model.max_output_tokens) {
        (Some(asked), Some(most)) => asked.min(most),
        (Some(asked), None) => asked,
        (None, _) => model.output_hold,
    };
    let output_tokens = match endpoint {
        Endpoint::ChatCompletions | Endpoint::Completions | Endpoint::Responses | Endpoint::Messages => {
            each.saturating_mul(facts.choices)
        }
        Endpoint::CountTokens | Endpoint::Embeddings | Endpoint::ImagesGenerations => 0,
    };
    Bound {
        input_tokens: facts.input_tokens,
        output_tokens,
        images: facts.images,
        image_kind: facts.image_kind.clone(),
        characters: facts.characters,
        tier: facts.tier,
        ..Bound::default()
    }
}

fn refused(error: ReserveError) -> ApiError {
    match error {
        ReserveError::Insufficient { needed, available, whose, fits_later } => {
            // A balance that an unexpected charge took below zero is nothing that a client can spend.
            let available = available.max(Nano::ZERO);
            ApiError::InsufficientBalance { needed, available, whose, fits_later }
        }
        ReserveError::Unavailable(_) => ApiError::Unavailable { retry_after: STORAGE_RETRY_AFTER },
    }
}

pub const STORAGE_RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(2);
