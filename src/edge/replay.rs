//! A session that plays a request's body as often as there are upstreams to try.
//!
//! Pingora sends an upstream only what it reads from the client after the upstream was chosen; a body that a filter has
//! already read is lost, and the request hangs (cloudflare/pingora#349, #816). We choose by the body, so we must read it
//! first. The mend: once the body is read, the client's session is swapped for [`Replay`], which wraps it, hands the
//! prepared body to each attempt, and passes everything else through.
//!
//! It does three more things that only this place can:
//! - an answer's head waits until the first byte of its body may go out, so that a failover stays possible until then;
//! - a silent upstream is noticed, with one patience before the head and another between pieces;
//! - a client that has left can be kept from Pingora, so that an answer is read to its end for its usage.
//!
//! One file owns this, so that a hook of Pingora's own can replace it one day. The wrapped session comes back through
//! [`Stage`] when the wrapper is dropped: Pingora must have it to keep the connection alive.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;
use parking_lot::Mutex;
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::custom::CustomMessageWrite;
use pingora_core::protocols::http::custom::server::Session as CustomSession;
use pingora_core::protocols::http::{HttpTask, ServerSession};
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// What the filters and the wrapper tell each other. Locked for moments, never across a wait.
pub struct Stage(Mutex<State>);

struct State {
    /// The client's session, when the wrapper has gone.
    returned: Option<Box<ServerSession>>,
    /// What the present attempt still has to send.
    pieces: VecDeque<Bytes>,
    /// The answer's head, until the first byte of its body.
    head: Option<Box<ResponseHeader>>,
    /// How long the upstream may be silent at this point of its answer, and until when that is.
    patience: Duration,
    deadline: Instant,
    /// Read on when the client leaves.
    drain: Option<Drain>,
    /// The client has left; with a drain that was allowed, its place among the drains.
    gone: bool,
    draining: Option<OwnedSemaphorePermit>,
    on_leave: Option<Box<dyn FnOnce() + Send>>,
    /// The upstream let its deadline pass.
    silent: bool,
    /// End the exchange once what was given out is written.
    cut: bool,
}

/// Leave to read an answer to its end after its client has left: for so long, if there is a place.
#[derive(Clone)]
pub struct Drain {
    pub patience: Duration,
    pub places: Arc<Semaphore>,
}

impl State {
    fn extend_deadline(&mut self) {
        // A drain's end does not move.
        if !self.gone {
            self.deadline = Instant::now() + self.patience;
        }
    }

    /// The client has left. True if the answer is to be read on all the same.
    fn client_left(&mut self) -> bool {
        self.gone = true;
        if let Some(on_leave) = self.on_leave.take() {
            on_leave();
        }
        let Some(drain) = &self.drain else { return false };
        if self.draining.is_none() {
            self.draining = drain.places.clone().try_acquire_owned().ok();
            self.deadline = Instant::now() + drain.patience;
        }
        self.draining.is_some()
    }
}

impl Stage {
    pub fn new(now: Instant) -> Stage {
        Stage(Mutex::new(State {
            returned: None,
            pieces: VecDeque::new(),
            head: None,
            patience: Duration::ZERO,
            deadline: now,
            drain: None,
            gone: false,
            draining: None,
            on_leave: None,
            silent: false,
            cut: false,
        }))
    }

    /// A new attempt: its body, and how long its upstream may take to answer.
    pub fn begin_attempt(&self, pieces: Vec<Bytes>, patience: Duration, drain: Option<Drain>) {
        let mut state = self.0.lock();
        state.pieces = few(pieces);
        state.head = None;
        state.patience = patience;
        state.extend_deadline();
        state.drain = drain;
        state.silent = false;
        state.cut = false;
    }

    /// The upstream gave a sign of life; from now on it may be silent for so long.
    pub fn alive(&self, patience: Duration) {
        let mut state = self.0.lock();
        state.patience = patience;
        state.extend_deadline();
    }

    pub fn cut_after_write(&self) {
        self.0.lock().cut = true;
    }

    /// What shall happen at the moment when the client leaves, however long its answer is then read on.
    pub fn when_client_leaves(&self, on_leave: impl FnOnce() + Send + 'static) {
        self.0.lock().on_leave = Some(Box::new(on_leave));
    }

    pub fn client_gone(&self) -> bool {
        self.0.lock().gone
    }

    /// Pingora counts every error of this side as the client's; this one is not.
    pub fn upstream_silent(&self) -> bool {
        self.0.lock().silent
    }
}

/// The same bytes in at most [`PIECES_MAX`] pieces, the smallest joined with their neighbours; in one if that is small,
/// because each piece is a packet, and copying a little costs less than sending it.
fn few(mut pieces: Vec<Bytes>) -> VecDeque<Bytes> {
    pieces.retain(|piece| !piece.is_empty());
    if pieces.len() > 1 && pieces.iter().map(Bytes::len).sum::<usize>() <= JOINED_BYTES_MAX {
        return VecDeque::from([pieces.concat().into()]);
    }
    while pieces.len() > PIECES_MAX {
        let together = |at: &usize| pieces[*at].len().saturating_add(pieces[*at + 1].len());
        let Some(at) = (0..pieces.len() - 1).min_by_key(together) else { break };
        let second = pieces.remove(at + 1);
        pieces[at] = [&pieces[at][..], &second[..]].concat().into();
    }
    pieces.into()
}

/// An alarm may ring early, never late: then it is set again.
fn set(alarm: &mut Option<Pin<Box<Sleep>>>, deadline: Instant) -> Pin<&mut Sleep> {
    let alarm = alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
    if alarm.deadline() > deadline.into() {
        alarm.as_mut().reset(deadline.into());
    }
    alarm.as_mut()
}

/// Puts the wrapper in the client session's place.
pub fn install(session: &mut Session, stage: &Arc<Stage>) {
    let placeholder = Box::new(ServerSession::new_custom(Box::new(())));
    let inner = std::mem::replace(&mut session.downstream_session, placeholder);
    let replay = Replay { inner: Some(inner), stage: stage.clone(), alarm: None };
    *session.downstream_session = ServerSession::new_custom(Box::new(replay));
}

/// Gives Pingora the client's own session back.
pub fn remove(session: &mut Session, stage: &Stage) {
    if !session.downstream_session.is_custom() {
        return;
    }
    // Dropping the wrapper returns what it wraps.
    *session.downstream_session = ServerSession::new_custom(Box::new(()));
    if let Some(inner) = stage.0.lock().returned.take() {
        session.downstream_session = inner;
    }
}

struct Replay {
    /// `None` only while being dropped.
    inner: Option<Box<ServerSession>>,
    stage: Arc<Stage>,
    /// Kept over the many short waits of one answer: setting a timer for each of them would cost more than the waits.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// What goes to the client now, and how that leaves the answer.
struct Due {
    tasks: Vec<HttpTask>,
    ended: bool,
    failure: Option<Box<Error>>,
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.stage.0.lock().returned = self.inner.take();
    }
}

impl Replay {
    fn inner(&self) -> &ServerSession {
        self.inner.as_deref().expect("the wrapped session leaves only in drop")
    }

    fn inner_mut(&mut self) -> &mut ServerSession {
        self.inner.as_deref_mut().expect("the wrapped session leaves only in drop")
    }

    /// Waits until the client leaves or the upstream has been silent for too long.
    async fn watch(&mut self) -> Result<Option<Bytes>> {
        loop {
            let (deadline, gone) = {
                let state = self.stage.0.lock();
                (state.deadline, state.gone)
            };
            let alarm = set(&mut self.alarm, deadline);
            let client = async {
                match self.inner.as_deref_mut().filter(|_| !gone) {
                    Some(inner) => inner.read_body_or_idle(true).await,
                    None => std::future::pending().await,
                }
            };
            let left = tokio::select! {
                left = client => left,
                () = alarm => {
                    // The answer's pieces have moved the deadline meanwhile, unless there were none.
                    let mut state = self.stage.0.lock();
                    if state.deadline <= Instant::now() {
                        state.silent = true;
                        return Err(Error::explain(ErrorType::ReadTimedout, SILENT_UPSTREAM).into_up());
                    }
                    self.alarm = None;
                    continue;
                }
            };
            if let Err(error) = left
                && !self.stage.0.lock().client_left()
            {
                return Err(error);
            }
        }
    }

    /// What of these goes to the client now. A head waits until something follows it.
    fn due(&self, tasks: Vec<HttpTask>) -> Due {
        let mut state = self.stage.0.lock();
        let mut due = Due { tasks: Vec::with_capacity(tasks.len() + 1), ended: false, failure: None };
        for task in tasks {
            let task = match task {
                HttpTask::Header(head, _) if head.status.is_informational() => continue,
                HttpTask::Header(head, false) => {
                    state.head = Some(head);
                    continue;
                }
                HttpTask::Failed(error) => {
                    due.failure = Some(error);
                    break;
                }
                // An answer that is cut short does not end here: an error follows it.
                HttpTask::Body(data, true) if state.cut => HttpTask::Body(data, false),
                HttpTask::Done | HttpTask::Trailer(_) if state.cut => continue,
                task => task,
            };
            if matches!(&task, HttpTask::Body(data, false) if data.as_ref().is_none_or(Bytes::is_empty)) {
                continue;
            }
            due.ended |= task.is_end();
            due.tasks.extend(state.head.take().map(|head| HttpTask::Header(head, false)));
            due.tasks.push(task);
        }
        if state.gone {
            due.tasks.clear();
        }
        due
    }
}

#[async_trait]
impl CustomSession for Replay {
    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if no_body_expected {
            return self.watch().await;
        }
        Ok(self.stage.0.lock().pieces.pop_front())
    }

    fn is_body_done(&mut self) -> bool {
        self.stage.0.lock().pieces.is_empty()
    }

    fn is_body_empty(&mut self) -> bool {
        self.stage.0.lock().pieces.is_empty()
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        None
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let Due { tasks, ended, failure } = self.due(tasks);
        if !tasks.is_empty() {
            let written = self.inner_mut().response_duplex_vec(tasks).await;
            let mut state = self.stage.0.lock();
            // While we waited for a slow client, nobody looked whether the upstream was silent.
            state.extend_deadline();
            if let Err(error) = written
                && !state.client_left()
            {
                return Err(error);
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        if self.stage.0.lock().cut {
            return Err(Error::explain(ErrorType::InternalError, "the answer was ended early").into_up());
        }
        Ok(ended)
    }

    async fn finish(&mut self) -> Result<()> {
        if self.stage.client_gone() { Ok(()) } else { self.inner_mut().finish_body().await }
    }

    // Everything below passes through.

    fn req_header(&self) -> &RequestHeader {
        self.inner().req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.inner_mut().req_header_mut()
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.inner_mut().read_request_body().await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.inner_mut().drain_request_body().await
    }

    async fn write_response_header(&mut self, resp: Box<ResponseHeader>, _end: bool) -> Result<()> {
        self.inner_mut().write_response_header(resp).await
    }

    async fn write_response_header_ref(&mut self, resp: &ResponseHeader, _end: bool) -> Result<()> {
        self.inner_mut().write_response_header_ref(resp).await
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.inner_mut().write_response_body(data, end).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.inner_mut().write_response_trailers(trailers).await
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.inner_mut().set_read_timeout(timeout);
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.inner().get_read_timeout()
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.inner_mut().set_write_timeout(timeout);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.inner().get_write_timeout()
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.inner_mut().set_total_drain_timeout(timeout);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.inner().get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.inner().request_summary()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.inner().response_written()
    }

    async fn shutdown(&mut self, _code: u32, _ctx: &str) {
        self.inner_mut().shutdown().await;
    }

    fn body_bytes_sent(&self) -> usize {
        self.inner().body_bytes_sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.inner().body_bytes_read()
    }

    fn digest(&self) -> Option<&Digest> {
        self.inner().digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.inner_mut().digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.inner().client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.inner().server_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.inner().to_h1_raw()
    }

    // The wrapper keeps the body itself.
    fn enable_retry_buffering(&mut self) {}

    fn retry_buffer_truncated(&self) -> bool {
        false
    }

    // Custom messages are a feature of protocols that we do not speak.

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(
        &mut self,
    ) -> Option<Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>> {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _reader: Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>,
    ) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _writer: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}

/// Pingora's pipe to the upstream takes four pieces. One that fills it to the brim would keep Pingora from asking us for
/// more, and with that from hearing that the client has left or that the upstream is silent.
const PIECES_MAX: usize = 3;
const JOINED_BYTES_MAX: usize = 64 * 1024;
const SILENT_UPSTREAM: &str = "the upstream was silent for too long";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_pieces_are_the_same_bytes_and_large_ones_are_not_copied() {
        let large = Bytes::from(vec![b'x'; JOINED_BYTES_MAX]);
        let piece = |text: &'static str| Bytes::from_static(text.as_bytes());
        let all = vec![piece("{"), piece("model"), large.clone(), piece(""), piece("usage"), piece("}")];
        let few = few(all.clone());
        assert_eq!(few.len(), PIECES_MAX);
        assert_eq!(Vec::from(few.clone()).concat(), all.concat());
        assert_eq!(few[1].as_ptr(), large.as_ptr());
        assert_eq!(super::few(vec![piece(""), piece("a")]), [piece("a")]);
        assert_eq!(super::few(vec![piece("a"), piece("b")]), [piece("ab")]);
        assert!(super::few(vec![piece("")]).is_empty());
    }
}
