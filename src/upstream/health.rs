//! When to leave an upstream alone.
//!
//! Five failures in ten seconds open its breaker: for thirty seconds nobody waits for it. Then one request at a time goes
//! there as a probe. If it succeeds the breaker closes, if it fails thirty more seconds pass.
//!
//! What counts as a failure is the caller's decision (connecting, time-outs, 5xx; never a refused key).
//!
//! Always true:
//! - at most one probe is under way, and a probe that ends without a verdict makes room for the next;
//! - only the probe closes an open breaker: what was under way before it opened says nothing about now.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub struct Breaker(Mutex<State>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    Closed,
    Open,
    /// The next request is a probe, or one is under way.
    HalfOpen,
}

enum State {
    /// Times of the latest failures, oldest first: fewer than [`FAILURES_MAX`].
    Closed {
        failures: VecDeque<Instant>,
    },
    Open {
        until: Instant,
    },
    Probing,
}

impl Breaker {
    pub fn new() -> Self {
        Breaker(Mutex::new(State::closed()))
    }

    /// Whether [`Breaker::begin`] would let a request through. Takes nothing.
    pub fn allows(&self, now: Instant) -> bool {
        match &*self.0.lock() {
            State::Closed { .. } => true,
            State::Open { until } => *until <= now,
            State::Probing => false,
        }
    }

    /// Lets a request through, as the probe if it is time for one; `None` if the upstream is to be left alone.
    pub fn begin(self: &Arc<Self>, now: Instant) -> Option<Attempt> {
        let mut state = self.0.lock();
        let probe = match &*state {
            State::Closed { .. } => false,
            State::Open { until } if *until <= now => true,
            State::Open { .. } | State::Probing => return None,
        };
        if probe {
            *state = State::Probing;
        }
        drop(state);
        Some(Attempt { breaker: Arc::clone(self), probe_since: probe.then_some(now) })
    }

    /// Counts a failure of an attempt that had already succeeded: a stream that was cut in the middle.
    pub fn failed_late(&self, now: Instant) {
        self.0.lock().count_failure(now);
    }

    pub fn state(&self, now: Instant) -> BreakerState {
        match &*self.0.lock() {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { until } if *until > now => BreakerState::Open,
            State::Open { .. } | State::Probing => BreakerState::HalfOpen,
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn closed() -> Self {
        State::Closed { failures: VecDeque::new() }
    }

    fn count_failure(&mut self, now: Instant) {
        let State::Closed { failures } = self else { return };
        failures.retain(|failed| now.saturating_duration_since(*failed) < FAILURES_SPAN);
        failures.push_back(now);
        if failures.len() >= FAILURES_MAX {
            *self = State::Open { until: now + OPEN_FOR };
        }
    }
}

/// One request under way. Dropped without a verdict (the client left, the key was refused) it counts as nothing.
#[must_use = "an attempt that is dropped counts neither as success nor as failure"]
pub struct Attempt {
    breaker: Arc<Breaker>,
    /// Set while this is the probe: when it began.
    probe_since: Option<Instant>,
}

impl Attempt {
    /// The upstream works. To be called as soon as that is known: a probe keeps everybody else waiting.
    pub fn succeeded(mut self) {
        if self.probe_since.take().is_some() {
            *self.breaker.0.lock() = State::closed();
        }
    }

    pub fn failed(mut self, now: Instant) {
        let mut state = self.breaker.0.lock();
        match self.probe_since.take() {
            Some(_) => *state = State::Open { until: now + OPEN_FOR },
            None => state.count_failure(now),
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(since) = self.probe_since.take() {
            *self.breaker.0.lock() = State::Open { until: since };
        }
    }
}

const FAILURES_MAX: usize = 5;
const FAILURES_SPAN: Duration = Duration::from_secs(10);
const OPEN_FOR: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    fn fail(breaker: &Arc<Breaker>, now: Instant) {
        breaker.begin(now).unwrap().failed(now);
    }

    fn opened(now: Instant) -> Arc<Breaker> {
        let breaker = Arc::new(Breaker::new());
        for _ in 0..5 {
            fail(&breaker, now);
        }
        assert_eq!(breaker.state(now), BreakerState::Open);
        breaker
    }

    #[test]
    fn five_failures_in_ten_seconds_open_it() {
        let (breaker, start) = (Arc::new(Breaker::new()), Instant::now());
        for millis in [0, 3_000, 6_000, 9_000, 10_000] {
            fail(&breaker, after(start, millis));
        }
        assert_eq!(breaker.state(after(start, 10_000)), BreakerState::Closed, "the first is ten seconds old");
        fail(&breaker, after(start, 10_001));
        assert_eq!(breaker.state(after(start, 10_001)), BreakerState::Open);
        assert!(!breaker.allows(after(start, 10_001)));
        assert!(breaker.begin(after(start, 40_000)).is_none());
        assert_eq!(breaker.state(after(start, 40_001)), BreakerState::HalfOpen);
    }

    #[test]
    fn one_probe_decides() {
        let start = Instant::now();
        let breaker = opened(start);
        let later = after(start, 30_000);
        assert!(breaker.allows(later));
        let probe = breaker.begin(later).unwrap();
        assert!(!breaker.allows(later));
        assert!(breaker.begin(later).is_none());
        probe.failed(after(start, 31_000));
        assert!(breaker.begin(after(start, 60_999)).is_none());
        breaker.begin(after(start, 61_000)).unwrap().succeeded();
        assert_eq!(breaker.state(after(start, 61_000)), BreakerState::Closed);
        fail(&breaker, after(start, 61_000));
        assert_eq!(breaker.state(after(start, 61_000)), BreakerState::Closed, "old failures are forgotten");
    }

    #[test]
    fn an_abandoned_probe_frees_its_place() {
        let start = Instant::now();
        let breaker = opened(start);
        let later = after(start, 30_000);
        drop(breaker.begin(later).unwrap());
        let probe = breaker.begin(later).expect("the place is free");
        assert!(breaker.begin(later).is_none());
        probe.succeeded();
        assert_eq!(breaker.state(later), BreakerState::Closed);
    }

    #[test]
    fn stragglers_change_nothing() {
        let start = Instant::now();
        let breaker = Arc::new(Breaker::new());
        let stragglers: Vec<_> = (0..3).map(|_| breaker.begin(start).unwrap()).collect();
        for _ in 0..5 {
            fail(&breaker, start);
        }
        let later = after(start, 30_000);
        let probe = breaker.begin(later).unwrap();
        for (index, straggler) in stragglers.into_iter().enumerate() {
            match index {
                0 => straggler.succeeded(),
                1 => straggler.failed(later),
                _ => drop(straggler),
            }
        }
        breaker.failed_late(later);
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
        assert!(breaker.begin(later).is_none(), "the probe is still the only one");
        probe.succeeded();
        assert_eq!(breaker.state(later), BreakerState::Closed);
    }

    #[test]
    fn cut_streams_count() {
        let (breaker, now) = (Arc::new(Breaker::new()), Instant::now());
        for _ in 0..5 {
            breaker.begin(now).unwrap().succeeded();
            breaker.failed_late(now);
        }
        assert_eq!(breaker.state(now), BreakerState::Open);
    }

    #[test]
    fn many_threads_get_one_probe() {
        let start = Instant::now();
        let breaker = opened(start);
        let later = after(start, 30_000);
        let probes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| breaker.begin(later))).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(probes.len(), 1);
    }
}
