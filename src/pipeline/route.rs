//! Stage 4: who can answer? The model's upstreams that are usable now, in the order in which they will be tried.

use std::sync::Arc;
use std::time::Instant;

use crate::core::api_error::ApiError;
use crate::core::catalog::{Candidate, Model};
use crate::core::money::Pico;
use crate::core::price::Price;
use crate::protocol::endpoint::{Endpoint, Measure};
use crate::protocol::estimate::Calibration;

use super::Snapshot;
use super::authenticate::Caller;
use super::translate::spoken;

/// Candidates of one model, fixed for one request: a reload does not touch it.
pub struct Route {
    pub snapshot: Arc<Snapshot>,
    pub model: Arc<Model>,
    /// What a token of this model has been in bytes.
    pub calibration: Arc<Calibration>,
    order: Vec<usize>,
    next: usize,
}

impl Route {
    /// The next upstream to try.
    pub fn advance(&mut self) -> Option<Candidate> {
        let index = *self.order.get(self.next)?;
        self.next += 1;
        self.model.candidates.get(index).cloned()
    }

    /// The one that [`advance`](Self::advance) will take.
    pub fn upcoming(&self) -> Option<&Candidate> {
        self.model.candidates.get(*self.order.get(self.next)?)
    }

    pub fn has_more(&self) -> bool {
        self.next < self.order.len()
    }

    /// Gives back the candidate taken last: it has another key to try.
    pub fn step_back(&mut self) {
        self.next = self.next.saturating_sub(1);
    }
}

/// # Errors
/// 422 if the model does not exist or is not this key's; 400 if it has no upstream for this endpoint; 500 if none of
/// them is usable at the moment. Tokens can be counted without any.
pub fn route(
    snapshot: Arc<Snapshot>,
    caller: &Caller,
    endpoint: Endpoint,
    asked_model: &str,
    now: Instant,
) -> Result<Route, ApiError> {
    let model = find(&snapshot, caller, asked_model)
        .ok_or_else(|| ApiError::ModelNotFound { model: shown(asked_model), by_path: false })?;
    let is_needed = endpoint != Endpoint::CountTokens;
    let is_spoken = || model.candidates.iter().any(|candidate| spoken(candidate, endpoint).is_some());
    if is_needed && !(is_priced(&model.price, endpoint) && is_spoken()) {
        let message = format!("The model '{}' cannot be used with this endpoint.", model.name);
        return Err(ApiError::invalid_param("model", message));
    }
    let mut order = snapshot.fleet.order(&model, now);
    let asked_at = |index: &usize| model.candidates.get(*index).and_then(|candidate| spoken(candidate, endpoint));
    order.retain(|index| asked_at(index).is_some());
    // Among equals, those who speak the client's dialect come first: what is not converted loses nothing.
    order.sort_by_key(|index| {
        let priority = model.candidates.get(*index).map(|candidate| candidate.priority);
        (priority, asked_at(index) != Some(endpoint))
    });
    if is_needed && order.is_empty() {
        return Err(ApiError::Server);
    }
    let calibration = snapshot.calibration(&model.name);
    Ok(Route { snapshot, model, calibration, order, next: 0 })
}

/// A model by name or alias, if this key may use it. A key's list may name either.
pub fn find(snapshot: &Snapshot, caller: &Caller, name: &str) -> Option<Arc<Model>> {
    let model = snapshot.catalog.model(name)?;
    let allowed = caller.record.allows_model(name) || caller.record.allows_model(&model.name);
    allowed.then(|| model.clone())
}

/// Whether the model's price says what an answer of this endpoint costs. A model that is sold by the second of sound would
/// chat for nothing.
fn is_priced(price: &Price, endpoint: Endpoint) -> bool {
    let unit = &price.unit;
    let by_measure = match endpoint.measure() {
        Measure::Tokens => false,
        Measure::Pictures => price.prices_pictures(),
        Measure::Characters => unit.per_million_characters > Pico(0),
        Measure::AudioTime => unit.per_audio_second > Pico(0),
        Measure::SearchUnits => unit.per_search_unit > Pico(0),
        Measure::Reported | Measure::Nothing => true,
    };
    by_measure || !price.rates.is_empty() || unit.per_request > Pico(0)
}

/// Model names come from clients and go into messages: a short, printable piece is enough.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(128).collect()
}
