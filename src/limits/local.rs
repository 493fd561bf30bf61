//! Limits counted in this process.
//!
//! A map from subject to its state, cut into shards so that unrelated keys do not meet. A request looks its subjects up
//! once, keeps them in its permit, and holds their locks only while it counts.
//!
//! Always true:
//! - locks are taken in the order given (a key before its account) and a shard's lock never together with a subject's
//!   by a request, so nothing can wait in a circle;
//! - a subject without limits leaves no trace; one that is forgotten by [`LocalLimiter::sweep`] had nothing counted,
//!   nothing running and nobody about to count on it;
//! - a subject's time never goes back, though threads may arrive with their clocks read in another order.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::{DefaultHashBuilder, HashMap};
use parking_lot::{Mutex, MutexGuard};

use super::contract::{Gauge, Grant, Limiter, Permit, RateState, Refusal, Subject};
use super::window::{Nanos, Second, Window};
use crate::core::api_error::Limited;
use crate::core::key::Limits;

pub struct LocalLimiter {
    shards: Vec<Mutex<HashMap<Subject, Arc<Mutex<State>>>>>,
    hasher: DefaultHashBuilder,
    started: Instant,
}

impl LocalLimiter {
    /// `started` is the earliest time that will be passed in.
    pub fn new(started: Instant) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        LocalLimiter { shards, hasher: DefaultHashBuilder::default(), started }
    }

    /// Forgets subjects of which nothing counts any more. To be called every minute or so.
    pub fn sweep(&self, now: Instant) {
        let now = nanos_since(self.started, now);
        for shard in &self.shards {
            // A second owner is a permit, or a request between look-up and counting: both came by under this lock.
            shard.lock().retain(|_, state| Arc::strong_count(state) > 1 || !state.lock().is_idle(now));
        }
    }

    /// Subjects that are remembered at the moment.
    pub fn subjects(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn state_of(&self, subject: Subject) -> Arc<Mutex<State>> {
        let shard = self.hasher.hash_one(subject) as usize % SHARDS;
        Arc::clone(self.shards[shard].lock().entry(subject).or_default())
    }
}

impl Limiter for LocalLimiter {
    fn admit(&self, subjects: &[(Subject, Limits)], now: Instant) -> Result<Permit, Refusal> {
        let limited = || subjects.iter().filter(|(_, limits)| *limits != Limits::default());
        let mut ticket = Ticket {
            states: limited().map(|(subject, _)| self.state_of(*subject)).collect(),
            seats: limited().map(|(_, limits)| Seat::new(*limits)).collect(),
            started: self.started,
            holds_slots: false,
            closed: false,
        };
        ticket.admit(now)?;
        Ok(Permit::new(ticket))
    }
}

/// What is counted for one subject: about 100 bytes, and 16 more for each second of the last minute in which it was used.
#[derive(Default)]
struct State {
    requests: Window,
    tokens: Window,
    running: u32,
    latest: Nanos,
}

impl State {
    /// Brings the windows up to date; returns the time to count with.
    fn advance(&mut self, now: Nanos) -> Nanos {
        self.latest = self.latest.max(now);
        self.requests.advance(self.latest);
        self.tokens.advance(self.latest);
        self.latest
    }

    fn is_idle(&mut self, now: Nanos) -> bool {
        self.advance(now);
        self.running == 0 && self.requests.is_empty() && self.tokens.is_empty()
    }
}

/// One request. `states` and `seats` belong together, one of each per limited subject.
struct Ticket {
    states: Vec<Arc<Mutex<State>>>,
    seats: Vec<Seat>,
    started: Instant,
    holds_slots: bool,
    /// Trued up or cancelled: what it counted is final.
    closed: bool,
}

/// What a request has counted with one of its subjects.
struct Seat {
    /// Those of its admission, whatever is reloaded while it runs.
    limits: Limits,
    request_in: Option<Second>,
    tokens_in: Option<(Second, u64)>,
}

impl Seat {
    fn new(limits: Limits) -> Self {
        Seat { limits, request_in: None, tokens_in: None }
    }
}

impl Ticket {
    fn admit(&mut self, now: Instant) -> Result<(), Refusal> {
        let mut states = lock_all(&self.states, nanos_since(self.started, now));
        check(Limited::Requests, &self.seats, &states, |limits, state| {
            let limit = u64::from(limits.rpm?);
            Some(Check { limit, wait: state.requests.until_fits(1, limit, state.latest) })
        })?;
        check(Limited::Concurrency, &self.seats, &states, |limits, state| {
            let limit = limits.concurrency?;
            let wait = if state.running < limit { Duration::ZERO } else { SLOT_WAIT };
            Some(Check { limit: limit.into(), wait: (limit > 0).then_some(wait) })
        })?;
        for (seat, state) in self.seats.iter_mut().zip(&mut states) {
            let latest = state.latest;
            seat.request_in = seat.limits.rpm.map(|_| state.requests.add(1, latest));
            state.running = state.running.saturating_add(1);
        }
        self.holds_slots = true;
        Ok(())
    }
}

impl Grant for Ticket {
    fn take_tokens(&mut self, estimate: u64, now: Instant) -> Result<(), Refusal> {
        let mut states = lock_all(&self.states, nanos_since(self.started, now));
        check(Limited::Tokens, &self.seats, &states, |limits, state| {
            let limit = limits.tpm?;
            Some(Check { limit, wait: state.tokens.until_fits(estimate, limit, state.latest) })
        })?;
        for (seat, state) in self.seats.iter_mut().zip(&mut states).filter(|(seat, _)| seat.limits.tpm.is_some()) {
            let latest = state.latest;
            seat.tokens_in = Some((state.tokens.add(estimate, latest), estimate));
        }
        Ok(())
    }

    fn true_up(&mut self, actual: u64, now: Instant) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let states = lock_all(&self.states, nanos_since(self.started, now));
        for (seat, mut state) in self.seats.iter_mut().zip(states).filter(|(seat, _)| seat.limits.tpm.is_some()) {
            let latest = state.latest;
            let (second, estimate) = seat.tokens_in.take().unwrap_or_else(|| (state.tokens.add(0, latest), 0));
            state.tokens.give_back(second, estimate.saturating_sub(actual));
            let excess = actual.saturating_sub(estimate);
            // An answer of more than a minute has outlived its estimate's second: what it used on top counts now.
            if excess > 0 && !state.tokens.add_to(second, excess) {
                state.tokens.add(excess, latest);
            }
        }
    }

    fn cancel(&mut self, now: Instant) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let states = lock_all(&self.states, nanos_since(self.started, now));
        for (seat, mut state) in self.seats.iter_mut().zip(states) {
            if let Some(second) = seat.request_in.take() {
                state.requests.give_back(second, 1);
            }
            if let Some((second, estimate)) = seat.tokens_in.take() {
                state.tokens.give_back(second, estimate);
            }
        }
    }

    fn release_slots(&mut self) {
        if std::mem::replace(&mut self.holds_slots, false) {
            for state in &self.states {
                let mut state = state.lock();
                state.running = state.running.saturating_sub(1);
            }
        }
    }

    fn state(&self, now: Instant) -> RateState {
        gauges(&self.seats, &lock_all(&self.states, nanos_since(self.started, now)))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.release_slots();
    }
}

fn lock_all(states: &[Arc<Mutex<State>>], now: Nanos) -> Vec<MutexGuard<'_, State>> {
    let mut locked: Vec<_> = states.iter().map(|state| state.lock()).collect();
    for state in &mut locked {
        state.advance(now);
    }
    locked
}

/// How one limit looks at one request.
struct Check {
    limit: u64,
    /// Until it fits; `None` if it never will.
    wait: Option<Duration>,
}

/// Refuses by the subject that keeps the request waiting longest, so that who waits as told is let in.
fn check(
    what: Limited,
    seats: &[Seat],
    states: &[MutexGuard<'_, State>],
    look: impl Fn(&Limits, &State) -> Option<Check>,
) -> Result<(), Refusal> {
    let checks = seats.iter().zip(states).filter_map(|(seat, state)| look(&seat.limits, state));
    let longest = checks.reduce(|longest, next| if next.rank() > longest.rank() { next } else { longest });
    match longest {
        Some(Check { limit, wait }) if wait != Some(Duration::ZERO) => Err(Refusal {
            what,
            limit,
            retry_after: wait.unwrap_or(NEVER_WAIT),
            can_ever_fit: wait.is_some(),
            state: gauges(seats, states),
        }),
        _ => Ok(()),
    }
}

impl Check {
    fn rank(&self) -> Duration {
        self.wait.unwrap_or(Duration::MAX)
    }
}

fn gauges(seats: &[Seat], states: &[MutexGuard<'_, State>]) -> RateState {
    let pairs = || seats.iter().zip(states);
    let gauge = |limit: u64, window: &Window, now| Gauge {
        limit,
        remaining: limit.saturating_sub(window.used()),
        reset: window.until_free(now),
    };
    RateState {
        requests: pairs()
            .filter_map(|(seat, state)| Some(gauge(seat.limits.rpm?.into(), &state.requests, state.latest)))
            .min_by_key(|gauge| gauge.remaining),
        tokens: pairs()
            .filter_map(|(seat, state)| Some(gauge(seat.limits.tpm?, &state.tokens, state.latest)))
            .min_by_key(|gauge| gauge.remaining),
    }
}

fn nanos_since(started: Instant, now: Instant) -> Nanos {
    Nanos::try_from(now.saturating_duration_since(started).as_nanos()).unwrap_or(Nanos::MAX)
}

const SHARDS: usize = 64;
/// Nobody knows when a running request ends; a second is the least that `Retry-After` can say.
const SLOT_WAIT: Duration = Duration::from_secs(1);
/// What a request that can never fit is told, since it has to be told something.
const NEVER_WAIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
