//! The reception: path, key, rate and concurrency, body, model, balance, in this order, each with its refusal.

use std::sync::Arc;
use std::time::Instant;

use http::header::{self, HeaderValue};
use pingora_proxy::Session;
use serde_json::Value;

use crate::core::api_error::ApiError;
use crate::core::catalog::Dialect;
use crate::pipeline::authenticate::{Caller, authenticate};
use crate::pipeline::{Exchange, Pipeline, lookup, reserve};
use crate::protocol::endpoint::{Endpoint, Route, resolve};

use super::{body, head};

/// What is to be done with a request that was let in.
pub(super) enum Received {
    ToUpstream,
    Answer(Value),
    Preflight,
}

/// Path, key, rate and concurrency, body, model, balance: in this order.
pub(super) async fn receive(
    pipeline: &Arc<Pipeline>,
    session: &mut Session,
    exchange: &mut Exchange,
) -> Result<Received, ApiError> {
    let request = session.req_header();
    let path = head::raw_path(request);
    if head::is_anthropic(request, path) {
        exchange.dialect = Dialect::Messages;
    }
    let route = resolve(request.method.as_str(), path, &pipeline.settings.base_paths)?;
    match route {
        Route::Preflight => return Ok(Received::Preflight),
        Route::Health => return Ok(Received::Answer(serde_json::json!({"status": "ok"}))),
        Route::Ready => return ready(pipeline).await,
        _ => {}
    }
    let address = head::client_address(session, &pipeline.settings.trusted_proxies);
    let presented = head::presented(request);
    if let Route::Proxy(endpoint) = route {
        exchange.dialect = endpoint.dialect().unwrap_or(Dialect::Chat);
        let caller = exchange.authenticate(presented, address)?;
        if exchange.dialect == Dialect::Messages {
            exchange.anthropic = head::for_anthropic(request)?;
        }
        return take_in(pipeline, session, exchange, endpoint, &caller).await;
    }
    let caller = authenticate(pipeline, presented, address, exchange.started_at_ms)?;
    let snapshot = pipeline.snapshot();
    Ok(Received::Answer(match route {
        Route::Models => lookup::models(&snapshot, &caller, exchange.dialect),
        Route::Model(name) => lookup::model(&snapshot, &caller, &name, exchange.dialect)?,
        Route::StoredResponse => return Err(ApiError::invalid(NOTHING_STORED)),
        Route::Key => lookup::key(&caller),
        Route::Request(id) => look_up_request(pipeline, caller, id.to_owned()).await?,
        Route::BillingSubscription => lookup::billing_subscription(&caller),
        Route::BillingUsage => lookup::billing_usage(&caller),
        Route::Proxy(_) | Route::Preflight | Route::Health | Route::Ready => return Err(ApiError::NotFound),
    }))
}

async fn take_in(
    pipeline: &Pipeline,
    session: &mut Session,
    exchange: &mut Exchange,
    endpoint: Endpoint,
    caller: &Caller,
) -> Result<Received, ApiError> {
    exchange.admit(endpoint, caller, Instant::now())?;
    let header = |name| session.req_header().headers.get(name).map(HeaderValue::as_bytes);
    exchange.judge_media(header(header::CONTENT_TYPE), header(header::CONTENT_ENCODING))?;
    let (body, lease) = body::read(session, pipeline).await?;
    match exchange.prepare(body, lease, Instant::now())? {
        Some(answer) => Ok(Received::Answer(answer)),
        None => Ok(Received::ToUpstream),
    }
}

async fn look_up_request(pipeline: &Arc<Pipeline>, caller: Caller, id: String) -> Result<Value, ApiError> {
    let shared = pipeline.clone();
    // The storage is read on a thread that may wait.
    let found = tokio::task::spawn_blocking(move || lookup::request(&shared, &caller, &id)).await;
    found.unwrap_or(Err(ApiError::Server))
}

async fn ready(pipeline: &Arc<Pipeline>) -> Result<Received, ApiError> {
    let shared = pipeline.clone();
    let answers = tokio::task::spawn_blocking(move || shared.library.lock().ping().is_ok()).await.unwrap_or(false);
    let usable = pipeline.snapshot().fleet.usable(Instant::now());
    if answers && usable && pipeline.ledger.healthy() && !pipeline.is_draining() {
        Ok(Received::Answer(serde_json::json!({"status": "ready"})))
    } else {
        Err(ApiError::Unavailable { retry_after: reserve::STORAGE_RETRY_AFTER })
    }
}

/// What is stored of a response is the upstream's, under our credential: no key owns any of it.
const NOTHING_STORED: &str = "Responses are not stored here: they cannot be fetched, cancelled or deleted.";
