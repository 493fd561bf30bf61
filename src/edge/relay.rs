//! The exchange with the upstreams of a request: each in turn, until one answers.
//!
//! Pingora's own exchange sends an upstream only what it reads from the client after the upstream was chosen: a body that
//! a filter has already read is lost, and the request hangs (cloudflare/pingora#349, #816). We choose by the body, so we
//! must read it first. So this exchange takes the place of Pingora's, between its sessions and its connector, and calls
//! the filters of its `ProxyHttp` in its order. It does four more things that only this place can:
//! - a head and a small body leave in one packet;
//! - an answer's head waits until the first byte of its body may go out, so that a failover stays possible until then;
//! - a silent upstream is noticed, with one patience before the head and another between pieces;
//! - an answer whose client has left can be read to its end for its usage.

use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::ServerSession;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::{ProxyHttp, Session};

use crate::core::catalog::OnDisconnect;
use crate::pipeline::attempt::Fault;
use crate::pipeline::exchange::{End, Exchange};

use super::pool::Place;
use super::proxy::{CLIENT_WRITE_TIMEOUT, Edge, Visit};
use super::request_head;
use super::watch::{Drain, Halt};
use super::wire::{Broken, Wire};

/// The answer of the first upstream that has one, to its last byte.
///
/// # Errors
/// Nobody answered, or not to the end, or to nobody: why stands in the exchange.
pub(super) async fn relay(edge: &Edge, session: &mut Session, visit: &mut Box<Visit>) -> Result<()> {
    loop {
        let mut reused = false;
        let again = match attempt(edge, session, visit, &mut reused).await {
            Ok(()) if !visit.watch.is_client_gone() => return Ok(()),
            Ok(()) => goes_on(visit, Halt::ClientGone, reused, Instant::now()),
            Err(halt) => goes_on(visit, halt, reused, Instant::now()),
        };
        if !again {
            return Err(Error::explain(ErrorType::InternalError, "the exchange ended early"));
        }
    }
}

/// One try. `reused` tells whether its connection had been used before.
async fn attempt(edge: &Edge, session: &mut Session, visit: &mut Box<Visit>, reused: &mut bool) -> Result<(), Halt> {
    let (stream, place) = connect(edge, session, visit, reused).await?;
    let mut wire = Wire::new(stream);
    if ask(edge, visit, &mut wire).is_none() {
        return Err(Halt::Decided { again: visit.exchange.attempt_failed(Fault::Other("request"), Instant::now()) });
    }

    let mut head = wait(visit, &mut session.downstream_session, wire.head()).await?;
    edge.upstream_response_filter(session, &mut head, visit).await.map_err(|error| decided(&error))?;
    edge.response_filter(session, &mut head, visit).await.map_err(|error| decided(&error))?;
    let mut head = Some(Box::new(head));
    loop {
        let (piece, end) = wait(visit, &mut session.downstream_session, wire.piece()).await?;
        let mut body = (!piece.is_empty()).then_some(piece);
        edge.response_body_filter(session, &mut body, end, visit).map_err(|error| decided(&error))?;
        // An answer that is cut short does not end here: an error follows it.
        let is_cut = visit.exchange.end.is_some();
        give(visit, &mut session.downstream_session, &mut head, body, end && !is_cut).await?;
        if is_cut {
            return Err(Halt::Decided { again: false });
        }
        if end {
            break;
        }
    }
    if let Some((stream, patience)) = wire.reusable() {
        edge.pool.keep(stream, place, patience, Instant::now());
    }
    Ok(())
}

/// A connection to the next upstream: one that waited, or a new one.
async fn connect(
    edge: &Edge,
    session: &mut Session,
    visit: &mut Box<Visit>,
    reused: &mut bool,
) -> Result<(Stream, Place), Halt> {
    let peer = edge.upstream_peer(session, visit).await.map_err(|error| decided(&error))?;
    let place = Place::of(&peer);
    let is_stale_again = visit.exchange.attempt.as_ref().is_some_and(|attempt| attempt.stale_retried);
    // Where one connection was stale, its neighbours are.
    if !is_stale_again && let Some(stream) = edge.pool.take(place, Instant::now()) {
        *reused = true;
        return Ok((stream, place));
    }
    // Boxed: rare, and large.
    match Box::pin(edge.pool.connect(&peer)).await {
        Ok(stream) => Ok((stream, place)),
        Err(error) => {
            let reason = if is_timeout(&error) { "connect_timeout" } else { "connect" };
            let again = visit.exchange.attempt_failed(Fault::Ill(reason), Instant::now());
            Err(Halt::Decided { again })
        }
    }
}

/// Stage 6: the request as the upstream shall see it.
fn ask(edge: &Edge, visit: &mut Visit, wire: &mut Wire<Stream>) -> Option<()> {
    let exchange = &visit.exchange;
    let call = exchange.upstream_call()?;
    let upstream = &exchange.attempt.as_ref()?.candidate.upstream;
    let head = request_head::write(&call, upstream, exchange.request)?;
    edge.pipeline.metrics.overhead.observe(exchange.arrived.elapsed().as_secs_f64());
    let drain = (exchange.on_disconnect() == OnDisconnect::Drain)
        .then(|| Drain { patience: DRAIN_MAX, places: edge.pipeline.drains.clone() });
    visit.watch.begin(upstream.timeouts.first_byte, drain);
    wire.ask(head, call.pieces);
    Some(())
}

async fn wait<T>(
    visit: &mut Visit,
    client: &mut ServerSession,
    upstream: impl Future<Output = Result<T, Broken>>,
) -> Result<T, Halt> {
    let Visit { watch, exchange, .. } = visit;
    watch.wait(client, upstream, || left(exchange)).await
}

/// The client has left.
fn left(exchange: &mut Exchange) {
    exchange.client_left();
    // Many do not wait for the end of a body whose last event they have read.
    if exchange.is_told_to_the_end() {
        exchange.end.get_or_insert(End::Answered);
    }
}

/// Writes what may go to the client now. A head waits until something follows it.
async fn give(
    visit: &mut Visit,
    client: &mut ServerSession,
    head: &mut Option<Box<ResponseHeader>>,
    body: Option<Bytes>,
    end: bool,
) -> Result<(), Halt> {
    if visit.watch.is_client_gone() || (body.is_none() && !end) {
        return Ok(());
    }
    let written = write(client, head.take(), body.unwrap_or_default(), end).await;
    // While we waited for a slow client, nobody looked whether the upstream was silent.
    visit.watch.still_alive();
    if written.is_err() {
        left(&mut visit.exchange);
        if !visit.watch.client_left() {
            return Err(Halt::ClientGone);
        }
    }
    Ok(())
}

async fn write(client: &mut ServerSession, head: Option<Box<ResponseHeader>>, body: Bytes, end: bool) -> Result<()> {
    if let Some(head) = head {
        client.write_response_header(head).await?;
    }
    if end { write_end(client, body).await } else { client.write_response_body(body, false).await }
}

/// The last of an answer. Pingora's own limit is for data; what it writes behind the last of them has none.
pub(super) async fn write_end(client: &mut ServerSession, body: Bytes) -> Result<()> {
    let written = tokio::time::timeout(CLIENT_WRITE_TIMEOUT, client.write_response_body(body, true)).await;
    written.unwrap_or_else(|_| Error::e_explain(ErrorType::WriteTimedout, "the client reads no more"))
}

/// Whether another try follows; if none does, why stands in the exchange.
fn goes_on(visit: &mut Visit, halt: Halt, reused: bool, now: Instant) -> bool {
    let exchange = &mut visit.exchange;
    if visit.watch.is_client_gone() {
        // Nobody is left to whom another could answer.
        exchange.end.get_or_insert(End::ClientGone);
        return false;
    }
    if let Halt::Decided { again } = halt {
        return again;
    }
    if exchange.end.is_some() {
        return false;
    }
    if exchange.meter.as_ref().is_some_and(|meter| meter.released()) {
        exchange.cut(now);
        return false;
    }
    if reused
        && halt == Halt::Broken(Broken::Unanswered)
        && let Some(attempt) = exchange.attempt.as_mut().filter(|attempt| !attempt.stale_retried)
    {
        // The pool's connection had been closed by the other side: nothing was wrong with the request.
        attempt.stale_retried = true;
        return true;
    }
    let reason = if halt == Halt::Silent { "timeout" } else { "connection" };
    exchange.attempt_failed(Fault::Ill(reason), now)
}

/// A filter has ended the attempt.
fn decided(error: &Error) -> Halt {
    Halt::Decided { again: error.retry() }
}

fn is_timeout(error: &Error) -> bool {
    matches!(error.etype(), ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout)
}

/// An answer whose client has left is read for its usage no longer than this.
const DRAIN_MAX: Duration = Duration::from_secs(120);
