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
    let bound = bound(asked.endpoint, asked.facts, asked.model)?;
    let tokens = bound.input_tokens.saturating_add(bound.output_tokens);
    permit.take_tokens(tokens, now).map_err(|refusal| ApiError::from(&refusal))?;

    let amount = match asked.endpoint.is_free() {
        true => Nano::ZERO,
        false => asked.model.price.ceiling(&bound, asked.started_at_ms, caller.group.markup),
    };
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

/// The most that this request and its answer may hold.
///
/// # Errors
/// 400 if part of the input is stored with the upstream and nobody knows how much the model can take at most.
fn bound(endpoint: Endpoint, facts: &Facts, model: &Model) -> Result<Bound, ApiError> {
    if endpoint.is_free() {
        return Ok(Bound::default());
    }
    let input_tokens = match (facts.unseen_input, model.max_input_tokens) {
        (None, _) => facts.input_tokens,
        (Some(_), Some(most)) => most.max(facts.input_tokens),
        (Some(field), None) => {
            let message = format!("'{field}' needs a model whose longest input is known here: send the whole input.");
            return Err(ApiError::invalid_param(field, message));
        }
    };
    let each = match (facts.max_output_tokens, model.max_output_tokens) {
        (Some(asked), Some(most)) => asked.min(most),
        (Some(asked), None) => asked,
        (None, _) => model.output_hold,
    };
    let output_tokens = match endpoint {
        Endpoint::ChatCompletions | Endpoint::Completions | Endpoint::Responses | Endpoint::Messages => {
            each.saturating_mul(facts.choices)
        }
        Endpoint::AudioTranscriptions => each,
        Endpoint::AudioSpeech => {
            let spoken = facts.spoken_bytes.saturating_mul(SPEECH_TOKENS_PER_BYTE_MAX);
            model.max_output_tokens.map_or(spoken, |most| spoken.min(most))
        }
        _ => 0,
    };
    Ok(Bound {
        // What is found on the web is input too.
        input_tokens: input_tokens.saturating_add(facts.web_searches.saturating_mul(SEARCH_INPUT_TOKENS)),
        output_tokens,
        images: facts.images,
        image_kind: facts.image_kind.clone(),
        characters: facts.characters,
        web_searches: facts.web_searches,
        audio_ms: facts.audio_ms,
        search_units: facts.search_units,
        tier: facts.tier,
    })
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

/// What one search brings in; OpenAI's smaller models count exactly this.
const SEARCH_INPUT_TOKENS: u64 = 8_000;
/// Slow speech; see [`super::settle`] for what is usual.
const SPEECH_TOKENS_PER_BYTE_MAX: u64 = 3;
pub const STORAGE_RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(2);
