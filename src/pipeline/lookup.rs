//! What a key may ask about itself and about what is sold: the GET routes.
//!
//! Nothing here costs anything or counts against a limit. The names of upstreams are the operator's business and do not
//! appear.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::core::api_error::ApiError;
use crate::core::catalog::{Dialect, Model};
use crate::core::money::{Markup, Nano, Pico};
use crate::core::price::{Price, Rate};
use crate::core::usage::Tier;
use crate::store::contract::RequestId;
use crate::store::view;

use super::authenticate::Caller;
use super::reserve::STORAGE_RETRY_AFTER;
use super::route;
use super::{Pipeline, Snapshot};

/// The client's list shape, plus `pricing`. Every model that this key may use, by its name and by each alias.
pub fn models(snapshot: &Snapshot, caller: &Caller, dialect: Dialect) -> Value {
    let named = snapshot.catalog.models.iter().flat_map(|model| {
        let names = std::iter::once(&model.name).chain(&model.aliases);
        names.map(move |name| (name, model))
    });
    let data: Vec<Value> = named
        .filter(|(name, _)| route::find(snapshot, caller, name).is_some())
        .map(|(name, model)| model_object(name, model, snapshot, caller, dialect))
        .collect();
    match dialect {
        Dialect::Messages => {
            let (first, last) = (data.first().map(|model| &model["id"]), data.last().map(|model| &model["id"]));
            json!({"first_id": first, "last_id": last, "has_more": false, "data": data})
        }
        Dialect::Chat | Dialect::Responses => json!({"object": "list", "data": data}),
    }
}

/// # Errors
/// 404 for a model that does not exist or is not this key's: the same answer for both.
pub fn model(snapshot: &Snapshot, caller: &Caller, name: &str, dialect: Dialect) -> Result<Value, ApiError> {
    let model = route::find(snapshot, caller, name)
        .ok_or_else(|| ApiError::ModelNotFound { model: name.chars().take(128).collect(), by_path: true })?;
    Ok(model_object(name, &model, snapshot, caller, dialect))
}

/// The presented key's own state.
pub fn key(caller: &Caller) -> Value {
    let (record, account) = (&caller.record, &caller.key.account);
    let balance = account.balance();
    json!({
        "id": record.public_id,
        "name": record.name,
        "status": record.status.as_str(),
        "expires_at": record.expires_at_ms.map(view::seconds),
        "models": record.models,
        "limits": {"rpm": record.limits.rpm, "tpm": record.limits.tpm, "concurrency": record.limits.concurrency},
        "budget": record.budget,
        "spent": caller.key.spent(),
        "account": {
            "name": account.name().to_string(),
            "balance": balance.balance,
            "held": balance.held,
            "available": balance.available,
        },
    })
}

/// What one request of this key cost. Asks the storage: call it off the request threads.
///
/// # Errors
/// 404 for another key's request as for one that never was; 503 if the storage does not answer.
pub fn request(pipeline: &Pipeline, caller: &Caller, id: &str) -> Result<Value, ApiError> {
    let Ok(id) = id.parse::<RequestId>() else { return Err(ApiError::RequestNotFound) };
    let found = pipeline.library.lock().request(id);
    let entry = found.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "the storage does not answer");
        ApiError::Unavailable { retry_after: STORAGE_RETRY_AFTER }
    })?;
    let entry = entry.filter(|entry| entry.row.key == caller.record.id).ok_or(ApiError::RequestNotFound)?;
    let mut shown = json!(view::RequestView::from(&entry));
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("upstream");
    }
    Ok(shown)
}

/// The shape that OpenAI-style chat clients query for a balance: what was spent and what is left, together.
pub fn billing_subscription(caller: &Caller) -> Value {
    let (spent, left) = spent_and_left(caller);
    let total = dollars(spent.saturating_add(left));
    json!({
        "object": "billing_subscription",
        "has_payment_method": true,
        "soft_limit_usd": total,
        "hard_limit_usd": total,
        "system_hard_limit_usd": total,
        "access_until": caller.record.expires_at_ms.map_or(0, |ms| ms / 1_000),
    })
}

/// `total_usage` is in hundredths of the currency unit.
pub fn billing_usage(caller: &Caller) -> Value {
    let (spent, _) = spent_and_left(caller);
    json!({"object": "list", "total_usage": dollars(Nano(spent.0.saturating_mul(100)))})
}

/// What this key has spent, and what it can still spend: its budget or its account's balance, whichever is less.
fn spent_and_left(caller: &Caller) -> (Nano, Nano) {
    let spent = caller.key.spent();
    let available = caller.key.account.balance().available.max(Nano::ZERO);
    let left = match caller.record.budget {
        Some(budget) => available.min(budget.saturating_sub(spent).max(Nano::ZERO)),
        None => available,
    };
    (spent, left)
}

/// These clients read a JSON number. It is shown, never computed with.
fn dollars(amount: Nano) -> Value {
    serde_json::from_str(&amount.to_string()).unwrap_or(Value::Null)
}

fn model_object(name: &str, model: &Arc<Model>, snapshot: &Snapshot, caller: &Caller, dialect: Dialect) -> Value {
    let pricing = pricing(&model.price, caller.group.markup, &snapshot.catalog.currency);
    if dialect == Dialect::Messages {
        return json!({
            "type": "model",
            "id": name,
            "display_name": name,
            // Nobody here knows: Anthropic's word for that is the epoch.
            "created_at": "1970-01-01T00:00:00Z",
            "max_input_tokens": model.max_input_tokens,
            "max_tokens": model.max_output_tokens,
            "pricing": pricing,
        });
    }
    json!({
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "tollgate",
        "max_output_tokens": model.max_output_tokens,
        "pricing": pricing,
    })
}

/// What this caller pays: list price times the group's markup. Token prices are per million tokens.
fn pricing(price: &Price, markup: Markup, currency: &str) -> Value {
    let token = |pico: Pico| pico.times(markup).display_per_million();
    let unit = |pico: Pico| pico.times(markup).display_per_unit();
    let base = price.rates.iter().find(|rate| is_base(rate));
    let mut shown = json!({"currency": currency, "token_price_unit": "per_million_tokens"});
    if let Some(rate) = base {
        shown["input"] = token(rate.input).into();
        shown["cached_input"] = token(rate.cached_input.unwrap_or(rate.input)).into();
        shown["output"] = token(rate.output).into();
    }
    for (name, pico) in [
        ("per_request", price.unit.per_request),
        ("per_audio_second", price.unit.per_audio_second),
        ("per_million_characters", price.unit.per_million_characters),
        ("per_search_unit", price.unit.per_search_unit),
        ("per_web_search", price.unit.per_web_search),
    ] {
        if pico.0 > 0 {
            shown[name] = unit(pico).into();
        }
    }
    if let Some(per_image) = price.unit.per_image {
        shown["per_image"] = unit(per_image).into();
    }
    if !price.images.is_empty() {
        shown["images"] = price.images.iter().map(|(kind, pico)| (kind.clone(), Value::from(unit(*pico)))).collect();
    }
    shown
}

fn is_base(rate: &Rate) -> bool {
    rate.tier == Tier::Standard && rate.above_prompt_tokens == 0 && !rate.off_peak
}
