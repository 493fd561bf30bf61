//! The `ProxyHttp`: Pingora's filters in the order in which a request meets them, each a few lines that call a stage.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::Version;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorSource, ErrorType, Result, RetryType};
use pingora_http::ResponseHeader;
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use crate::core::api_error::ApiError;
use crate::pipeline::attempt::Fault;
use crate::pipeline::exchange::{End, Exchange};
use crate::pipeline::meter::Step;
use crate::pipeline::{Pipeline, reserve};

use super::guard::{CONNECTION, Connection};
use super::pool::Pool;
use super::reception::{self, Received};
use super::upstream_head::{fault_of, is_event_stream, media_type};
use super::watch::Watch;
use super::{answer, peer, relay};

pub struct Edge {
    pub pipeline: Arc<Pipeline>,
    pub pool: Arc<Pool>,
}

/// One request at the edge.
pub struct Visit {
    pub(super) exchange: Exchange,
    pub(super) watch: Watch,
    /// `None` on HTTP/2, where one connection carries many requests.
    connection: Option<Arc<Connection>>,
    /// Whether the head of the answer announces events.
    is_event_stream: bool,
}

#[async_trait]
impl ProxyHttp for Edge {
    // Boxed: Pingora's futures carry it by value through many calls, each with room for a copy.
    type CTX = Box<Visit>;

    fn new_ctx(&self) -> Box<Visit> {
        let now = Instant::now();
        Box::new(Visit {
            exchange: Exchange::new(self.pipeline.clone(), now, now_ms()),
            connection: CONNECTION.try_with(Arc::clone).ok(),
            is_event_stream: false,
            watch: Watch::new(now),
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
        // Boxed: a stream that runs keeps no room for its reception.
        let received = Box::pin(reception::receive(&self.pipeline, session, &mut visit.exchange)).await;
        match received {
            Ok(Received::ToUpstream) => {
                relay::relay(self, session, visit).await?;
                Ok(true)
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

    /// The next upstream that may be called, as Pingora connects to it.
    async fn upstream_peer(&self, _session: &mut Session, visit: &mut Box<Visit>) -> Result<Box<HttpPeer>> {
        let exchange = &mut visit.exchange;
        let now = Instant::now();
        visit.is_event_stream = false;
        loop {
            let Some(attempt) = exchange.next_attempt(now) else {
                exchange.end.get_or_insert(End::UpstreamFailed(ApiError::Server));
                return Err(Error::explain(ErrorType::ConnectNoRoute, "no upstream is left"));
            };
            if let Some(peer) = peer::peer(attempt) {
                return Ok(Box::new(peer));
            }
            if !exchange.attempt_failed(Fault::Ill("unresolved"), now) {
                return Err(Error::explain(ErrorType::ConnectNoRoute, "the upstream's name is not resolved"));
            }
        }
    }

    /// Is this an answer, or a reason to try the next upstream?
    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        upstream: &mut ResponseHeader,
        visit: &mut Box<Visit>,
    ) -> Result<()> {
        let now = Instant::now();
        let exchange = &mut visit.exchange;
        if let Some(fault) = fault_of(upstream) {
            return Err(ended(exchange.attempt_failed(fault, now)));
        }
        // Long done, usually: the upstream takes longer than a commit. No byte of an answer before this.
        if let Some(hold) = exchange.hold()
            && hold.committed().await.is_err()
        {
            let error = ApiError::Unavailable { retry_after: reserve::STORAGE_RETRY_AFTER };
            exchange.end = Some(End::UpstreamFailed(error));
            return Err(ended(false));
        }
        visit.is_event_stream = is_event_stream(upstream);
        exchange.answer_begins(upstream.status.as_u16(), media_type(upstream), visit.is_event_stream, now);
        if let Some(attempt) = &exchange.attempt {
            visit.watch.alive(attempt.candidate.upstream.timeouts.idle);
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        visit: &mut Box<Visit>,
    ) -> Result<()> {
        let chunks = session.req_header().version != Version::HTTP_10;
        *head = answer::from_upstream(head, &visit.exchange, visit.is_event_stream, chunks)?;
        visit.exchange.status = head.status.as_u16();
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
        visit.watch.still_alive();
        let step = visit.exchange.answer_piece(body.take(), end, now);
        let out = visit.take_step(step, now)?;
        *body = (!out.is_empty()).then_some(out);
        Ok(None)
    }

    /// The last word to the client: a JSON error, or, in a stream that has begun, one error event.
    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, visit: &mut Box<Visit>) -> FailToProxy {
        let exchange = &mut visit.exchange;
        if exchange.end.is_none() {
            let by_client = *error.esource() == ErrorSource::Downstream;
            exchange.end = Some(if by_client { End::ClientGone } else { End::UpstreamFailed(ApiError::Server) });
        }
        let end = exchange.end.clone().unwrap_or(End::ClientGone);
        if end == End::ClientGone || visit.watch.is_client_gone() {
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
            let written = answer::json(session, exchange, 200, counted.to_string().into_bytes()).await;
            return FailToProxy { error_code: 200, can_reuse_downstream: written.is_ok() };
        }
        if !begun {
            exchange.status = shown.status();
            let written = answer::error(session, exchange, &shown).await;
            return FailToProxy { error_code: shown.status(), can_reuse_downstream: written.is_ok() };
        }
        if visit.is_event_stream {
            let event = Bytes::from(shown.to_sse_event(exchange.dialect, &exchange.request.to_string()));
            let written = relay::write_end(&mut session.downstream_session, event).await;
            return FailToProxy { error_code: shown.status(), can_reuse_downstream: written.is_ok() };
        }
        // A JSON body that broke off must not look whole: the connection ends.
        FailToProxy { error_code: shown.status(), can_reuse_downstream: false }
    }

    /// Stages 8 and 9: Pingora calls this once for every request, after the last byte.
    async fn logging(&self, session: &mut Session, error: Option<&Error>, visit: &mut Box<Visit>) {
        let exchange = &mut visit.exchange;
        if error.is_some() && exchange.end.is_none() {
            exchange.end = Some(End::ClientGone);
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
    /// What a piece of the answer means for the attempt. What is to go out, if it goes on.
    fn take_step(&mut self, step: Step, now: Instant) -> Result<Bytes> {
        let exchange = &mut self.exchange;
        match step {
            Step::Pass(out) => Ok(out),
            Step::Failover(reason) => Err(ended(exchange.attempt_failed(Fault::Ill(reason), now))),
            Step::Rejected(error) => {
                exchange.status = error.status();
                exchange.end = Some(End::Rejected(error));
                Err(ended(false))
            }
            Step::Cut(out) => {
                if exchange.end.is_none() {
                    exchange.cut(now);
                }
                // What was read before the break still goes out; the error follows in `fail_to_proxy`.
                Ok(out)
            }
        }
    }
}

/// A filter ends the attempt: is another tried?
fn ended(again: bool) -> Box<Error> {
    let mut error = Error::explain(ErrorType::InternalError, "the attempt ended").into_up();
    error.retry = RetryType::Decided(again);
    error
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Between two reads of a body; the whole body has a deadline of its own.
const CLIENT_READ_TIMEOUT: Duration = Duration::from_secs(30);
pub(super) const CLIENT_WRITE_TIMEOUT: Duration = Duration::from_secs(30);
