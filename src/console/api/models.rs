//! Models: what is sold, and for how much.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::schema::{ListOf, NotRead};
use crate::console::Console;
use crate::console::caller::Caller;
use crate::console::input::{Nothing, Paging, Query};
use crate::console::listing::list;
use crate::console::problem::Problem;
use crate::core::catalog::Model;
use crate::core::money::Markup;
use crate::core::tariff::Tariff;

/// A model that clients may ask for.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelView {
    id: String,
    aliases: Vec<String>,
    /// What an answer can be at most.
    max_output_tokens: Option<u64>,
    /// What the caller's group pays; operators see list prices.
    pricing: Tariff,
    price_version: String,
    /// Whether an upstream could answer for it now.
    available: bool,
    /// For operators: who serves it, in the order of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstreams: Option<Vec<CandidateView>>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CandidateView {
    name: String,
    /// The model's name over there.
    model: String,
    /// The lower number first.
    priority: u32,
    weight: u32,
    up: bool,
}

/// Models and prices
#[utoipa::path(get, path = "/api/models", operation_id = "list_models", tag = "models",
    responses((status = 200, body = ListOf<ModelView>), NotRead))]
pub(super) async fn list_models(
    State(console): State<Console>,
    caller: Caller,
    Query(Nothing {}): Query<Nothing>,
    paging: Paging,
) -> Result<Response, Problem> {
    let catalog = console.gateway().catalog();
    let markup = match caller.own_account().filter(|_| !caller.is_operator()) {
        None => Markup::LIST_PRICE,
        Some(own) => {
            let id = own.public_id.clone();
            let account = console.look_up(move |library| library.account(&id)).await?;
            catalog.group(&account.map(|row| row.group).unwrap_or_default()).markup
        }
    };
    let up: Vec<String> =
        console.gateway().upstreams().into_iter().filter(|state| state.usable).map(|state| state.name).collect();
    let shown = |model: &Model| view(model, markup, &catalog.currency, &up, caller.is_operator());
    let data = catalog.models.iter().map(|model| shown(model)).collect();
    Ok(list(paging.form, "models", &COLUMNS, data, None))
}

fn view(model: &Model, markup: Markup, currency: &str, up: &[String], with_upstreams: bool) -> ModelView {
    let candidates: Vec<CandidateView> = model
        .candidates
        .iter()
        .map(|candidate| CandidateView {
            name: candidate.upstream.name.clone(),
            model: candidate.model.clone(),
            priority: candidate.priority,
            weight: candidate.weight,
            up: up.contains(&candidate.upstream.name),
        })
        .collect();
    ModelView {
        id: model.name.clone(),
        aliases: model.aliases.clone(),
        max_output_tokens: model.max_output_tokens,
        pricing: Tariff::new(&model.price, markup, currency),
        price_version: model.price.version.clone(),
        available: candidates.iter().any(|candidate| candidate.up),
        upstreams: with_upstreams.then_some(candidates),
    }
}

/// Rows of prices do not fit into a cell: a spreadsheet has what does.
const COLUMNS: [&str; 6] = ["id", "aliases", "max_output_tokens", "pricing.currency", "price_version", "available"];
