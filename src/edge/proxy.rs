//! The `ProxyHttp`: Pingora's filters in the order in which a request meets them, each a few lines that call a stage.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Version, header};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorSource, ErrorType, Result, RetryType};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use crate::core::api_error::ApiError;
use crate::core::catalog::OnDisconnect;
use crate::pipeline::attempt::Fault;
use crate::pipeline::exchange::{End, Exchange};
use crate::pipeline::meter::Step;
use crate::pipeline::rewrite::UpstreamCall;
use crate::pipeline::{Pipeline, reserve};

use super::guard::{CONNECTION, Connection};
use super::reception::{self, Received};
use super::replay::{self, Drain, Stage};
use super::upstream_head::{fault_of, has_no_body, is_event_stream, media_type};
use super::{answer, peer};

pub struct Edge {
    pub pipeline: Arc<Pipeline>,
}

/// One request at the edge.
pub struct Visit {
    exchange: Exchange,
    stage: Arc<Stage>,
    /// `None` on HTTP/2, where one connection carries many requests.
    connection: Option<Arc<Connection>>,
    call: Option<UpstreamCall>,
    /// Whether the head of the answer announces events.
    is_event_stream: bool,
    /// Heads of this attempt that were none of the answer: 100, 103.
    interim_heads: u8,
    /// Set by the filter that ended an attempt, together with what was decided: whether another is tried.
    decided: Option<bool>,
}

#[async_trait]
impl ProxyHttp for Edge {
    // Boxed: Pingora's futures carry it by value through many calls, each with room for a copy.
    type CTX = Box<Visit>;

    fn new_ctx(&self) -> Box<Visit> {
        let now = Instant::now();
        Box::new(Visit {
            exchange: Exchange::new(self.pipeline.clone(), now, now_ms()),
            stage: Arc::new(Stage::new(now)),
            connection: CONNECTION.try_with(Arc::clone).ok(),
            call: None,
            is_event_stream: false,
            interim_heads: 0,
            decided: None,
        })
    }

    // No compression: events must leave one by one, and a client's Accept-Encoding never reaches an upstream.
    fn init_downstream_modules(&self, _modules: &mut pingora_core::modules::http::HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, _visit: &mut Box<Visit>) -> Result<()> {
        session.set_read_timeout(Some(CLIENT_READ_TIMEOUT));
        // A client that stops reading must not hold an upstream for ever.
        session.set_write_timeout(Some(CLIENT_WRITE_TIMEOUT));
        Ok(())
    }

    /// Stages 1 to 5. `Ok(true)`: answered here.
    async fn request_filter(&self, session: &mut Session, visit: &mut Box<Visit>) -> Result<bool> {
        match reception::receive(&self.pipeline, session, &mut visit.exchange).await {
            Ok(Received::ToUpstream) => {
                visit.stage.when_client_leaves(visit.exchange.slots_release());
                replay::install(session, &visit.stage);
                Ok(false)
            }
            Ok(Received::Answer(value)) => {
                visit.exchange.status = 200;
                answer::json(session, &visit.exchange, 200, value.to_string().into_bytes()).await?;
                Ok(true)
            }
            Ok(Received::Preflight) => {
                visit.exchange.status = 204;
                answer::preflight(session, &visit.exchange).await?;
                Ok(true)
            }
            Err(error) => {
                visit.exchange.refuse(&error, Instant::now());
                answer::error(session, &visit.exchange, &error).await?;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, _session: &mut Session, visit: &mut Box<Visit>) -> Result<Box<HttpPeer>> {
        let exchange = &mut visit.exchange;
        let now = Instant::now();
        visit.is_event_stream = false;
        visit.interim_heads = 0;
        visit.decided = None;
        loop {
            let Some(attempt) = exchange.next_attempt(now) else {
                exchange.end.get_or_insert(End::UpstreamFailed(ApiError::Server));
                return Err(Error::explain(ErrorType::ConnectNoRoute, "no upstream is left"));
            };
            let timeouts = attempt.candidate.upstream.timeouts;
            let Some(peer) = peer::peer(attempt) else {
                if exchange.attempt_failed(Fault::Ill("unresolved"), now) {
                    continue;
                }
                return Err(Error::explain(ErrorType::ConnectNoRoute, "the upstream's name is not resolved"));
            };
            let drain = (exchange.on_disconnect() == OnDisconnect::Drain)
                .then(|| Drain { patience: DRAIN_MAX, places: self.pipeline.drains.clone() });
            let mut call = exchange.upstream_call();
            let pieces = call.as_mut().map(|call| call.pieces.clone()).unwrap_or_default();
            // The head's own patience begins when the request can be sent.
            let patience = timeouts.connect.saturating_mul(2).saturating_add(timeouts.first_byte);
            visit.stage.begin_attempt(pieces, patience, drain);
            visit.call = call;
            return Ok(Box::new(peer));
        }
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        visit: &mut Box<Visit>,
        error: Box<Error>,
    ) -> Box<Error> {
        let reason = if is_timeout(&error) { "connect_timeout" } else { "connect" };
        let again = visit.exchange.attempt_failed(Fault::Ill(reason), Instant::now());
        retry(error, again)
    }

    /// Stage 6: the head is built from nothing.
    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        visit: &mut Box<Visit>,
    ) -> Result<()> {
        let (Some(call), Some(attempt)) = (visit.call.take(), &visit.exchange.attempt) else {
            return Err(Error::explain(ErrorType::InternalError, "there is no attempt"));
        };
        let upstream = &attempt.candidate.upstream;
        self.pipeline.metrics.overhead.observe(visit.exchange.arrived.elapsed().as_secs_f64());
        let mut fresh = RequestHeader::build_no_case("POST", call.path_and_query.as_bytes(), Some(12))?;
        fresh.insert_header(header::HOST, call.authority.as_str())?;
        fresh.insert_header(header::CONTENT_TYPE, call.content_type.as_ref())?;
        fresh.insert_header(header::CONTENT_LENGTH, HeaderValue::from(call.body_bytes()))?;
        fresh.insert_header(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"))?;
        fresh.insert_header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))?;
        fresh.insert_header(header::USER_AGENT, HeaderValue::from_static(USER_AGENT))?;
        fresh.insert_header(answer::REQUEST_ID.clone(), visit.exchange.request.to_string())?;
        if let Some((name, value)) = &call.credential {
            fresh.insert_header(*name, value.expose())?;
        }
        for (name, value) in &call.headers {
            fresh.insert_header(*name, value.as_str())?;
        }
        for (name, value) in &upstream.headers {
            fresh.insert_header(name.clone(), value.expose())?;
        }
        visit.stage.alive(upstream.timeouts.first_byte);
        *request = fresh;
        Ok(())
    }

    /// Is this an answer, or a reason to try the next upstream?
    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        upstream: &mut ResponseHeader,
        visit: &mut Box<Visit>,
    ) -> Result<()> {
        let now = Instant::now();
        if upstream.status.is_informational() && visit.interim_heads < INTERIM_HEADS_MAX {
            visit.interim_heads += 1;
            return Ok(());
        }
        let exchange = &mut visit.exchange;
        if let Some(fault) = fault_of(upstream) {
            let again = exchange.attempt_failed(fault, now);
            return Err(visit.decide(again));
        }
        // Long done, usually: the upstream takes longer than a commit. No byte of an answer before this.
        if let Some(hold) = exchange.hold()
            && hold.committed().await.is_err()
        {
            let error = ApiError::Unavailable { retry_after: reserve::STORAGE_RETRY_AFTER };
            exchange.end = Some(End::UpstreamFailed(error));
            return Err(visit.decide(false));
        }
        visit.is_event_stream = is_event_stream(upstream);
        exchange.answer_begins(upstream.status.as_u16(), media_type(upstream), visit.is_event_stream, now);
        if let Some(attempt) = &exchange.attempt {
            visit.stage.alive(attempt.candidate.upstream.timeouts.idle);
        }
        if has_no_body(upstream) {
            // The body filter hears nothing of a body that is not there.
            let step = exchange.answer_piece(None, true, now);
            visit.take_step(step, now)?;
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        visit: &mut Box<Visit>,
    ) -> Result<()> {
        if !head.status.is_informational() {
            let chunks = session.req_header().version != Version::HTTP_10;
            *head = answer::from_upstream(head, &visit.exchange, visit.is_event_stream, chunks)?;
            visit.exchange.status = head.status.as_u16();
        }
        Ok(())
    }

    /// Stage 7. Synchronous and pure: numbers and bytes, no lock across work, no storage.
    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        visit: &mut Box<Visit>,
    ) -> Result<Option<Duration>> {
        let now = Instant::now();
        let exchange = &mut visit.exchange;
        if exchange.end.is_some() {
            // It was ended early; what still comes is nobody's.
            *body = None;
            return Ok(None);
        }
        if let Some(attempt) = exchange.attempt.as_ref().filter(|_| body.is_some()) {
            visit.stage.alive(attempt.candidate.upstream.timeouts.idle);
        }
        if visit.stage.client_gone() {
            exchange.client_left();
        }
        let step = exchange.answer_piece(body.take(), end, now);
        let out = visit.take_step(step, now)?;
        *body = (!out.is_empty()).then_some(out);
        Ok(None)
    }

    /// Decides whether a broken try may be repeated. Pingora's own never repeats a POST.
    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        _session: &mut Session,
        mut error: Box<Error>,
        visit: &mut Box<Visit>,
        client_reused: bool,
    ) -> Box<Error> {
        let now = Instant::now();
        let exchange = &mut visit.exchange;
        if let Some(again) = visit.decided {
            return retry(error, again);
        }
        if exchange.end.is_some() {
            return retry(error, false);
        }
        if visit.stage.client_gone() && !visit.stage.upstream_silent() {
            exchange.end = Some(End::ClientGone);
            exchange.client_left();
            return retry(error, false);
        }
        if exchange.meter.as_ref().is_some_and(|meter| meter.released()) {
            if visit.stage.client_gone() {
                // The drain's patience is over.
                exchange.end = Some(End::ClientGone);
            } else {
                exchange.cut(now);
            }
            return retry(error, false);
        }
        let timed_out = visit.stage.upstream_silent() || is_timeout(&error);
        let stale = client_reused && !timed_out && exchange.meter.is_none();
        if stale && let Some(attempt) = exchange.attempt.as_mut().filter(|attempt| !attempt.stale_retried) {
            // The pool's connection had been closed by the other side: nothing was wrong with the request.
            attempt.stale_retried = true;
            error.as_up();
            return retry(error, true);
        }
        let reason = if timed_out { "timeout" } else { "connection" };
        let again = exchange.attempt_failed(Fault::Ill(reason), now);
        retry(error, again)
    }

    /// The last word to the client: a JSON error, or, in a stream that has begun, one error event.
    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, visit: &mut Box<Visit>) -> FailToProxy {
        replay::remove(session, &visit.stage);
        let exchange = &mut visit.exchange;
        if exchange.end.is_none() {
            let by_client = *error.esource() == ErrorSource::Downstream;
            exchange.end = Some(if by_client { End::ClientGone } else { End::UpstreamFailed(ApiError::Server) });
        }
        let end = exchange.end.clone().unwrap_or(End::ClientGone);
        if end == End::ClientGone {
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        }
        let begun = session.response_written().is_some_and(|head| !head.status.is_informational());
        let shown = end.error().cloned().unwrap_or(ApiError::Server);
        if !begun
            && matches!(end, End::UpstreamFailed(ApiError::Server))
            && let Some(counted) = exchange.counted_here()
        {
            exchange.status = 200;
            exchange.end = Some(End::Answered);
            session.set_keepalive(None);
            let written = answer::json(session, exchange, 200, counted.to_string().into_bytes()).await;
            return FailToProxy { error_code: 200, can_reuse_downstream: written.is_ok() };
        }
        if !begun {
            exchange.status = shown.status();
            // Pingora closes the connection after a failed attempt, whatever we return: the client must not reuse it.
            session.set_keepalive(None);
            let written = answer::error(session, exchange, &shown).await;
            return FailToProxy { error_code: shown.status(), can_reuse_downstream: written.is_ok() };
        }
        if visit.is_event_stream {
            let event = Bytes::from(shown.to_sse_event(exchange.dialect, &exchange.request.to_string()));
            let written = session.downstream_session.write_response_body(event, true).await;
            return FailToProxy { error_code: shown.status(), can_reuse_downstream: written.is_ok() };
        }
        // A JSON body that broke off must not look whole: the connection ends.
        FailToProxy { error_code: shown.status(), can_reuse_downstream: false }
    }

    /// Stages 8 and 9: Pingora calls this once for every request, after the last byte.
    async fn logging(&self, session: &mut Session, error: Option<&Error>, visit: &mut Box<Visit>) {
        replay::remove(session, &visit.stage);
        let exchange = &mut visit.exchange;
        if error.is_some() && exchange.end.is_none() {
            exchange.end = Some(End::ClientGone);
        }
        if visit.stage.client_gone() {
            exchange.client_left();
            if matches!(exchange.end, None | Some(End::Answered)) {
                exchange.end = Some(End::ClientGone);
            }
        }
        exchange.finish(Instant::now());
        if let Some(connection) = visit.connection.as_ref().filter(|_| session.is_body_done()) {
            connection.expect_head();
        }
    }

    // Our own log line says it all, once; Pingora's would name paths and addresses.
    fn suppress_error_log(&self, _session: &Session, _visit: &Box<Visit>, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _visit: &Box<Visit>,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

impl Visit {
    /// Ends the attempt from within a filter.
    fn decide(&mut self, again: bool) -> Box<Error> {
        self.decided = Some(again);
        retry(Error::explain(ErrorType::InternalError, "the attempt ended").into_up(), again)
    }

    /// What a piece of the answer means for the attempt. What is to go out, if it goes on.
    fn take_step(&mut self, step: Step, now: Instant) -> Result<Bytes> {
        let exchange = &mut self.exchange;
        match step {
            Step::Pass(out) => Ok(out),
            Step::Failover(reason) => {
                let again = exchange.attempt_failed(Fault::Ill(reason), now);
                Err(self.decide(again))
            }
            Step::Rejected(error) => {
                exchange.status = error.status();
                exchange.end = Some(End::Rejected(error));
                Err(self.decide(false))
            }
            Step::Cut(out) => {
                if exchange.end.is_none() {
                    exchange.cut(now);
                }
                // What was read before the break still goes out; the error follows in `fail_to_proxy`.
                self.stage.cut_after_write();
                Ok(out)
            }
        }
    }
}

fn is_timeout(error: &Error) -> bool {
    use ErrorType::{ConnectTimedout, ReadTimedout, TLSHandshakeTimedout, WriteTimedout};
    matches!(error.etype(), ConnectTimedout | ReadTimedout | TLSHandshakeTimedout | WriteTimedout)
}

fn retry(mut error: Box<Error>, again: bool) -> Box<Error> {
    error.retry = RetryType::Decided(again);
    error
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

const USER_AGENT: &str = concat!("tollgate/", env!("CARGO_PKG_VERSION"));
/// Between two reads of a body; the whole body has a deadline of its own.
const CLIENT_READ_TIMEOUT: Duration = Duration::from_secs(30);
const CLIENT_WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// An upstream that says more often that an answer will come is taken at its word no longer.
const INTERIM_HEADS_MAX: u8 = 16;
/// An answer whose client has left is read for its usage no longer than this.
const DRAIN_MAX: Duration = Duration::from_secs(120);
