//! What is watched while an upstream answers: whether the client is still there, and whether the upstream is.
//!
//! A client that has left ends the exchange at once, unless the upstream is configured to be drained: then its answer is
//! read on for its usage, for so long and by so many at most.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora_core::protocols::http::ServerSession;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

use super::wire::Broken;

pub struct Watch {
    /// How long the upstream may be silent at this point of its answer, and until when that is.
    patience: Duration,
    deadline: Instant,
    /// Kept over the many short waits of one answer: setting a timer for each of them would cost more than the waits.
    alarm: Option<Pin<Box<Sleep>>>,
    drain: Option<Drain>,
    is_client_gone: bool,
    draining: Option<OwnedSemaphorePermit>,
}

/// Leave to read an answer to its end after its client has left: for so long, if there is a place.
pub struct Drain {
    pub patience: Duration,
    pub places: Arc<Semaphore>,
}

/// Why an attempt goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    Broken(Broken),
    /// The upstream let its deadline pass.
    Silent,
    ClientGone,
    /// A filter has ended it: whether another is tried.
    Decided {
        again: bool,
    },
}

impl Watch {
    pub fn new(now: Instant) -> Watch {
        Watch {
            patience: Duration::ZERO,
            deadline: now,
            alarm: None,
            drain: None,
            is_client_gone: false,
            draining: None,
        }
    }

    /// A new attempt begins.
    pub fn begin(&mut self, patience: Duration, drain: Option<Drain>) {
        self.drain = drain;
        self.alive(patience);
    }

    /// The upstream gave a sign of life; from now on it may be silent for so long.
    pub fn alive(&mut self, patience: Duration) {
        self.patience = patience;
        self.still_alive();
    }

    /// The same, for as long as before.
    pub fn still_alive(&mut self) {
        // A drain's end does not move.
        if !self.is_client_gone {
            self.deadline = Instant::now() + self.patience;
        }
    }

    pub fn is_client_gone(&self) -> bool {
        self.is_client_gone
    }

    /// The client has left. True if the answer is to be read on all the same.
    pub fn client_left(&mut self) -> bool {
        self.is_client_gone = true;
        let Some(drain) = &self.drain else { return false };
        if self.draining.is_none() {
            self.draining = drain.places.clone().try_acquire_owned().ok();
            self.deadline = Instant::now() + drain.patience;
        }
        self.draining.is_some()
    }

    /// What the upstream does next. `on_leave` is called at the moment when the client leaves, however long its answer is
    /// then read on.
    pub async fn wait<T>(
        &mut self,
        client: &mut ServerSession,
        upstream: impl Future<Output = Result<T, Broken>>,
        on_leave: impl FnOnce(),
    ) -> Result<T, Halt> {
        let mut upstream = pin!(upstream);
        let mut on_leave = Some(on_leave);
        loop {
            let alarm = set(&mut self.alarm, self.deadline);
            tokio::select! {
                biased;
                next = &mut upstream => return next.map_err(Halt::Broken),
                left = client.read_body_or_idle(true), if !self.is_client_gone => {
                    if left.is_ok() {
                        continue;
                    }
                    if let Some(on_leave) = on_leave.take() {
                        on_leave();
                    }
                    if !self.client_left() {
                        return Err(Halt::ClientGone);
                    }
                }
                () = alarm => {
                    // The answer's pieces have moved the deadline meanwhile, unless there were none.
                    if self.deadline <= Instant::now() {
                        return Err(Halt::Silent);
                    }
                    self.alarm = None;
                }
            }
        }
    }
}

/// An alarm may ring early, never late: then it is set again.
fn set(alarm: &mut Option<Pin<Box<Sleep>>>, deadline: Instant) -> Pin<&mut Sleep> {
    let alarm = alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
    if alarm.deadline() > deadline.into() {
        alarm.as_mut().reset(deadline.into());
    }
    alarm.as_mut()
}
