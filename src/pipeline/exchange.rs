//! One request, from its head to its settlement.
//!
//! The edge calls these methods from Pingora's filters, in order. The parts are filled stage by stage; what a stage
//! needs and does not find means that an earlier one refused, and there is nothing to do.
//!
//! Always true: an exchange that holds money settles it, on every way out: by [`Exchange::finish`], or, should that
//! never run (a panic, a runtime torn down), by the hold's own guard.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::core::api_error::{ApiError, Purse};
use crate::core::bill::Bill;
use crate::core::catalog::{Candidate, Dialect, Model, OnDisconnect};
use crate::core::money::Nano;
use crate::core::usage::Usage;
use crate::ledger::Hold;
use crate::limits::contract::{Permit, RateState};
use crate::protocol::convert::Shown;
use crate::protocol::endpoint::Endpoint;
use crate::protocol::media::{self, Media};
use crate::protocol::plain::is_plain;
use crate::protocol::request::{self, Facts};
use crate::store::contract::RequestId;

use super::attempt::{Attempt, Fault};
use super::authenticate::{self, Caller, Presented};
use super::memory::BodyLease;
use super::meter::{Meter, Step};
use super::reserve::{self, Asked, Reservation};
use super::rewrite::{self, AnthropicHead, UpstreamCall};
use super::route::{self, Route};
use super::translate::{Translation, spoken};
use super::{Pipeline, admit, record, settle};

pub struct Exchange {
    pub pipeline: Arc<Pipeline>,
    pub request: RequestId,
    pub started: Instant,
    pub started_at_ms: i64,
    pub endpoint: Option<Endpoint>,
    /// What the client speaks: our errors are written in it.
    pub dialect: Dialect,
    pub anthropic: AnthropicHead,
    pub caller: Option<Caller>,
    permit: Option<Permit>,
    /// What the rate limit headers say when there is no permit to ask.
    refused_rates: Option<RateState>,
    media: Media,
    pub facts: Option<Facts>,
    body: Bytes,
    _body_lease: Option<BodyLease>,
    pub route: Option<Route>,
    pub reservation: Option<Reservation>,
    pub attempt: Option<Attempt>,
    /// For the present attempt, if its upstream speaks another dialect.
    pub translation: Option<Translation>,
    pub meter: Option<Meter>,
    pub end: Option<End>,
    checkpoint_at: Option<Instant>,
    /// When the whole request had arrived.
    pub arrived: Instant,
    /// How many keys of the present upstream were refused.
    keys_refused: usize,
    /// Whether a try has failed.
    is_retry: bool,
    /// What the client was told.
    pub status: u16,
    _in_flight: Option<InFlight>,
    finished: bool,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// The whole answer went out.
    Answered,
    ClientGone,
    /// The upstream broke off after something had been given out.
    UpstreamCut,
    /// No upstream answered.
    UpstreamFailed(ApiError),
    /// The upstream judged the request wrong.
    Rejected(ApiError),
    /// We said no, before anything was sent.
    Refused(ApiError),
    /// The money ran out in the middle of a stream.
    FundsExhausted(ApiError),
}

impl End {
    /// The error to show, where there is one.
    pub fn error(&self) -> Option<&ApiError> {
        match self {
            End::UpstreamFailed(error) | End::Rejected(error) | End::Refused(error) | End::FundsExhausted(error) => {
                Some(error)
            }
            End::Answered | End::ClientGone | End::UpstreamCut => None,
        }
    }
}

/// Counts a running request for as long as it lives.
struct InFlight(Arc<crate::metrics::Metrics>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

impl Exchange {
    pub fn new(pipeline: Arc<Pipeline>, now: Instant, now_ms: i64) -> Exchange {
        Exchange {
            pipeline,
            request: RequestId::new(),
            started: now,
            started_at_ms: now_ms,
            endpoint: None,
            dialect: Dialect::Chat,
            anthropic: AnthropicHead::default(),
            caller: None,
            permit: None,
            refused_rates: None,
            media: Media::Json,
            facts: None,
            body: Bytes::new(),
            _body_lease: None,
            route: None,
            reservation: None,
            attempt: None,
            translation: None,
            meter: None,
            end: None,
            checkpoint_at: None,
            arrived: now,
            keys_refused: 0,
            is_retry: false,
            status: 0,
            _in_flight: None,
            finished: false,
        }
    }

    /// # Errors
    /// As [`authenticate::authenticate`].
    pub fn authenticate(&mut self, presented: Presented<'_>, address: IpAddr) -> Result<Caller, ApiError> {
        let caller = authenticate::authenticate(&self.pipeline, presented, address, self.started_at_ms)?;
        self.caller = Some(caller.clone());
        Ok(caller)
    }

    /// # Errors
    /// 429; 503 while draining or while the storage cannot write.
    pub fn admit(&mut self, endpoint: Endpoint, caller: &Caller, now: Instant) -> Result<(), ApiError> {
        self.endpoint = Some(endpoint);
        if self.pipeline.is_draining() || !self.pipeline.ledger.healthy() {
            return Err(ApiError::Unavailable { retry_after: reserve::STORAGE_RETRY_AFTER });
        }
        match admit::admit(&self.pipeline, caller, now) {
            Ok(permit) => self.permit = Some(permit),
            Err(refusal) => {
                let error = ApiError::from(&refusal);
                self.refused_rates = Some(refusal.state);
                return Err(error);
            }
        }
        self.pipeline.metrics.in_flight.inc();
        self._in_flight = Some(InFlight(self.pipeline.metrics.clone()));
        Ok(())
    }

    /// Judges what the body is said to be, before it is read.
    ///
    /// # Errors
    /// As [`media::judge`].
    pub fn judge_media(&mut self, media_type: Option<&[u8]>, encoding: Option<&[u8]>) -> Result<(), ApiError> {
        let endpoint = self.endpoint.ok_or(ApiError::Server)?;
        self.media = media::judge(endpoint, media_type, encoding)?;
        Ok(())
    }

    /// Understands the body, finds who can answer it, and sets aside its price. `Some`: the answer itself, for which no
    /// upstream is needed.
    ///
    /// # Errors
    /// 400, 422, 429, 402, 500, 503, in this order of precedence.
    pub fn prepare(&mut self, body: Bytes, lease: BodyLease, now: Instant) -> Result<Option<Value>, ApiError> {
        let (Some(endpoint), Some(caller), Some(permit)) = (self.endpoint, &self.caller, &mut self.permit) else {
            return Err(ApiError::Server);
        };
        self.arrived = now;
        let facts = match &self.media {
            Media::Json => request::understand(endpoint, &body)?,
            Media::Form(boundary) => request::understand_form(endpoint, boundary, &body)?,
        };
        let facts = self.facts.insert(facts);
        let route = route::route(self.pipeline.snapshot(), caller, endpoint, &facts.model, now)?;
        let route = self.route.insert(route);
        let mut untold = None;
        while let Some(candidate) = route.upcoming() {
            match translation(&self.pipeline, endpoint, &body, &route.model, candidate) {
                Ok(translation) => {
                    self.translation = translation;
                    break;
                }
                Err(error) => untold = Some(error),
            }
            route.advance();
        }
        if let Some(error) = untold.filter(|_| !route.has_more()) {
            return Err(error);
        }
        let asked =
            Asked { request: self.request, endpoint, facts, model: &route.model, started_at_ms: self.started_at_ms };
        self.reservation = Some(reserve::reserve(&self.pipeline, caller, permit, &asked, now)?);
        self.body = body;
        self._body_lease = Some(lease);
        let is_answered_here = endpoint == Endpoint::CountTokens && !route.has_more();
        Ok(if is_answered_here { self.counted_here() } else { None })
    }

    /// How many tokens the input has, where no upstream can say: its answers have taught how many bytes a token has.
    pub fn counted_here(&self) -> Option<Value> {
        let (route, facts) = (self.route.as_ref()?, self.facts.as_ref()?);
        let tokens = route.calibration.input_tokens(facts.text_bytes).saturating_add(facts.other_tokens);
        (self.endpoint == Some(Endpoint::CountTokens)).then(|| json!({"input_tokens": tokens}))
    }

    /// We say no. A refused request uses up nothing, and its answer's headers already say so.
    pub fn refuse(&mut self, error: &ApiError, now: Instant) {
        self.status = error.status();
        self.end = Some(End::Refused(error.clone()));
        if let Some(mut permit) = self.permit.take() {
            permit.cancel(now);
            self.refused_rates = Some(permit.state(now));
        }
    }

    /// The next try, if there is one: picks an upstream that may be called now and writes its request.
    pub fn next_attempt(&mut self, now: Instant) -> Option<&Attempt> {
        // A stale pooled connection is tried again with the same upstream: the attempt is still there.
        if self.attempt.is_none() {
            let route = self.route.as_mut()?;
            self.attempt = loop {
                let candidate = route.advance()?;
                if !self.translation.as_ref().is_some_and(|made| made.is_for(&candidate)) {
                    let endpoint = self.endpoint?;
                    match translation(&self.pipeline, endpoint, &self.body, &route.model, &candidate) {
                        Ok(translation) => self.translation = translation,
                        Err(_) => continue,
                    }
                }
                let member = route.snapshot.fleet.member(&candidate.upstream.name)?.clone();
                if let Some(attempt) = Attempt::begin(candidate, member, self.is_retry, now) {
                    break Some(attempt);
                }
            };
        }
        self.meter = None;
        self.attempt.as_ref()
    }

    pub fn upstream_call(&self) -> Option<UpstreamCall> {
        let (endpoint, facts, attempt) = (self.endpoint?, self.facts.as_ref()?, self.attempt.as_ref()?);
        let candidate = &attempt.candidate;
        let asked_at = spoken(candidate, endpoint)?;
        let pieces = match &self.translation {
            Some(translation) => vec![translation.body.clone()],
            None => rewrite::splice(endpoint, facts, &self.body, candidate),
        };
        Some(rewrite::rewrite(asked_at, facts, pieces, candidate, attempt.secret.as_ref(), &self.anthropic))
    }

    /// A try failed. True: another upstream can take over. False: this was the last word, and it is in `end`.
    pub fn attempt_failed(&mut self, fault: Fault, now: Instant) -> bool {
        let metrics = self.pipeline.metrics.clone();
        if let Some(mut attempt) = self.attempt.take() {
            attempt.failed(fault, &metrics, now);
            self.is_retry = true;
            if let (Fault::KeyRefused { .. }, Some(route)) = (fault, &mut self.route) {
                // Another key of the same upstream may do, each once.
                self.keys_refused += 1;
                if self.keys_refused < attempt.candidate.upstream.api_keys.len() && attempt.member.usable(now) {
                    route.step_back();
                } else {
                    self.keys_refused = 0;
                }
            }
            let more = self.route.as_ref().is_some_and(Route::has_more);
            tracing::warn!(
                request_id = %self.request, upstream = attempt.upstream_name(), reason = fault.reason(), more,
                "upstream failed"
            );
            if more {
                let labels = [attempt.upstream_name(), fault.reason()];
                metrics.upstream_failovers.with_label_values(&labels).inc();
                self.meter = None;
                return true;
            }
            // Keep it: the record names the upstream that was tried last.
            self.attempt = Some(attempt);
        }
        if self.end.is_none() {
            self.end = Some(End::UpstreamFailed(ApiError::Server));
        }
        false
    }

    /// An answer of this type has begun: chooses how it is read.
    pub fn answer_begins(&mut self, status: u16, media_type: &[u8], is_event_stream: bool, now: Instant) {
        let (Some(endpoint), Some(facts)) = (self.endpoint, &self.facts) else { return };
        let candidate = self.attempt.as_ref().map(|attempt| &attempt.candidate);
        let asked_at = candidate.and_then(|candidate| spoken(candidate, endpoint)).unwrap_or(endpoint);
        let back = self.translation.as_ref().map(|made| (made.back.clone(), self.shown()));
        if let Some(attempt) = &mut self.attempt {
            attempt.answered(status, &self.pipeline.metrics);
        }
        self.meter = Some(match status {
            400 | 413 | 422 => {
                let known = self.attempt.as_ref().map(Attempt::secrets).unwrap_or_default();
                Meter::rejection(status, known, now)
            }
            // An upstream reports because we asked, or unasked; the client gets its report only if the client asked, or if
            // its dialect has a place for it that is not the upstream's.
            _ if is_event_stream => Meter::stream(asked_at, facts.include_usage || back.is_some(), now).told(back),
            _ if is_plain(endpoint, media_type) => Meter::plain(media_type, now),
            _ => Meter::whole(asked_at, now).told(back),
        });
    }

    /// What a converted answer says of itself where the upstream's own words would say whose it is.
    fn shown(&self) -> Shown {
        Shown {
            id: self.request.to_string().trim_start_matches("req_").to_owned(),
            model: self.facts.as_ref().map(|facts| facts.model.clone()).unwrap_or_default(),
            created_at: u64::try_from(self.started_at_ms / 1_000).unwrap_or_default(),
        }
    }

    /// Hints that do not reach the upstream, because its dialect has no place for them.
    pub fn dropped(&self) -> Option<String> {
        let translation = self.translation.as_ref()?;
        let beta = self.anthropic.beta.is_some().then_some("anthropic-beta");
        let dropped: Vec<&str> = translation.dropped.iter().copied().chain(beta).collect();
        (!dropped.is_empty()).then(|| dropped.join(", "))
    }

    /// One piece of the answer.
    pub fn answer_piece(&mut self, chunk: Option<Bytes>, end: bool, now: Instant) -> Step {
        let Some(meter) = &mut self.meter else { return Step::Pass(chunk.unwrap_or_default()) };
        let released_before = meter.released();
        let step = meter.feed(chunk, end, now);
        let released = meter.released();
        if ((released && !released_before) || matches!(step, Step::Rejected(_)))
            && let Some(attempt) = &mut self.attempt
        {
            attempt.succeeded(now);
        }
        if released && !end {
            let due = self.checkpoint_at.is_none_or(|at| now.saturating_duration_since(at) >= CHECKPOINT_EVERY);
            if due {
                self.checkpoint_at = Some(now);
                self.checkpoint();
            }
            if let Some(error) = self.extend_hold() {
                self.end = Some(End::FundsExhausted(error));
                let Step::Pass(out) = step else { return step };
                return Step::Cut(out);
            }
        }
        step
    }

    /// The answer broke off after something of it had been given out.
    pub fn cut(&mut self, now: Instant) {
        let metrics = self.pipeline.metrics.clone();
        if let Some(attempt) = &mut self.attempt {
            attempt.failed(Fault::Ill("cut"), &metrics, now);
        }
        self.end = Some(End::UpstreamCut);
    }

    /// What the request would cost if the process died now.
    fn checkpoint(&mut self) {
        let (usage, _) = settle::usage_so_far(self);
        let charge = self.cost(&usage);
        let upstream = self.attempt.as_ref().map(|attempt| attempt.candidate.upstream.name.clone()).unwrap_or_default();
        if let Some(reservation) = &mut self.reservation {
            reservation.hold.checkpoint(charge, &upstream, usage.input_total(), usage.output_total());
        }
    }

    /// A stream that nears what was set aside for it sets aside more; the error if the balance cannot.
    fn extend_hold(&mut self) -> Option<ApiError> {
        let (route, caller) = (self.route.as_ref()?, self.caller.as_ref()?);
        let text_bytes = self.meter.as_ref()?.facts()?.text_bytes;
        let reservation = self.reservation.as_mut()?;
        let seen = route.calibration.output_tokens(text_bytes);
        // Pictures and embeddings say nothing in words, and were set aside for as a whole.
        if seen == 0 || seen.saturating_mul(10) < reservation.bound.output_tokens.saturating_mul(9) {
            return None;
        }
        let mut bound = reservation.bound.clone();
        bound.output_tokens = bound.output_tokens.saturating_add(route.model.output_hold.max(seen / 4));
        let ceiling = route.model.price.ceiling(&bound, self.started_at_ms, caller.group.markup);
        let more = ceiling.saturating_sub(reservation.hold.amount()).max(Nano::ZERO);
        if reservation.hold.extend(more).is_err() {
            return Some(ApiError::InsufficientBalance {
                needed: more,
                available: caller.key.account.balance().available.max(Nano::ZERO),
                whose: Purse::Account,
                fits_later: false,
            });
        }
        reservation.bound = bound;
        None
    }

    /// What this usage costs this caller for this model, at the prices the request started with.
    pub fn cost(&self, usage: &Usage) -> Nano {
        self.bill(usage).map_or(Nano::ZERO, |bill| bill.total())
    }

    /// The same, line by line.
    pub fn bill(&self, usage: &Usage) -> Option<Bill> {
        let (route, caller) = (self.route.as_ref()?, self.caller.as_ref()?);
        Some(route.model.price.bill(usage, self.started_at_ms, caller.group.markup))
    }

    pub fn rates(&self, now: Instant) -> Option<RateState> {
        self.permit.as_ref().map(|permit| permit.state(now)).or(self.refused_rates)
    }

    pub fn hold(&self) -> Option<&Hold> {
        self.reservation.as_ref().map(|reservation| &reservation.hold)
    }

    /// The client has left: its place is free at once, whatever still has to be read.
    pub fn client_left(&mut self) {
        if let Some(permit) = &mut self.permit {
            permit.release_slots();
        }
    }

    /// Whether a stream has said all it has to say: what is left of the answer is its end.
    pub fn is_told_to_the_end(&self) -> bool {
        // Only chat has something to say behind its usage.
        let by_usage = self.dialect != Dialect::Chat;
        let facts = self.meter.as_ref().and_then(Meter::facts);
        facts.is_some_and(|facts| facts.done_seen || (by_usage && facts.finish_seen && facts.usage.is_some()))
    }

    pub fn on_disconnect(&self) -> OnDisconnect {
        self.attempt.as_ref().map_or(OnDisconnect::Cancel, |attempt| attempt.candidate.upstream.on_disconnect)
    }

    /// The end: settles and records, once.
    pub fn finish(&mut self, now: Instant) {
        if self.finished {
            return;
        }
        self.finished = true;
        let end = self.end.get_or_insert(End::Answered).clone();
        if let Some(mut permit) = self.permit.take() {
            let (usage, _) = settle::usage_so_far(self);
            permit.true_up(usage.input_total().saturating_add(usage.output_total()), now);
        }
        let settled = settle::settle(self, &end, now);
        record::record(self, &end, settled.as_ref(), now);
    }
}

/// `None` for a candidate that speaks the client's dialect.
fn translation(
    pipeline: &Pipeline,
    endpoint: Endpoint,
    body: &Bytes,
    model: &Model,
    candidate: &Candidate,
) -> Result<Option<Translation>, ApiError> {
    let to = spoken(candidate, endpoint).filter(|asked_at| *asked_at != endpoint).and_then(Endpoint::dialect);
    let (Some(from), Some(to)) = (endpoint.dialect(), to) else { return Ok(None) };
    Translation::make(&pipeline.body_memory, from, body, model, candidate, to).map(Some)
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Pingora runs `logging` for every request it finishes; a panic in a filter is the exception.
        if !self.finished && self.reservation.is_some() && !std::thread::panicking() {
            self.end.get_or_insert(End::ClientGone);
            self.finish(Instant::now());
        }
    }
}

/// A running stream's cost is written down at least this often, so that a crash loses no more.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(4);
