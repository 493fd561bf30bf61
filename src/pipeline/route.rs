//! Stage 4: who can answer? The model's upstreams that are usable now, in the order in which they will be tried.

use std::sync::Arc;
use std::time::Instant;

use crate::core::api_error::ApiError;
use crate::core::catalog::{Candidate, Model, UpstreamKind};
use crate::protocol::endpoint::Endpoint;

use super::Snapshot;
use super::authenticate::Caller;

/// Candidates of one model, fixed for one request: a reload does not touch it.
pub struct Route {
    pub snapshot: Arc<Snapshot>,
    pub model: Arc<Model>,
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
    if is_needed && !model.candidates.iter().any(|candidate| serves(candidate, endpoint)) {
        let message = format!("The model '{}' cannot be used with this endpoint.", model.name);
        return Err(ApiError::invalid_param("model", message));
    }
    let mut order = snapshot.fleet.order(&model, now);
    order.retain(|index| model.candidates.get(*index).is_some_and(|candidate| serves(candidate, endpoint)));
    if is_needed && order.is_empty() {
        return Err(ApiError::Server);
    }
    Ok(Route { snapshot, model, order, next: 0 })
}

/// A model by name or alias, if this key may use it. A key's list may name either.
pub fn find(snapshot: &Snapshot, caller: &Caller, name: &str) -> Option<Arc<Model>> {
    let model = snapshot.catalog.model(name)?;
    let allowed = caller.record.allows_model(name) || caller.record.allows_model(&model.name);
    allowed.then(|| model.clone())
}

fn serves(candidate: &Candidate, endpoint: Endpoint) -> bool {
    let upstream = &candidate.upstream;
    match endpoint.dialect() {
        Some(dialect) => upstream.speaks.contains(&dialect),
        None => upstream.kind != UpstreamKind::Anthropic,
    }
}

/// Model names come from clients and go into messages: a short, printable piece is enough.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(128).collect()
}
