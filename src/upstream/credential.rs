//! Which of an upstream's keys a request carries.
//!
//! Keys take turns. One that the provider refuses (401, 403, 429) rests, so that requests stop failing on it while the
//! others carry on; it comes back by itself, because a quota refills and a provider's outage of sign-in ends.
//!
//! Always true: a key that rests is not picked; keys that do not rest are picked equally often.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::core::secret::Secret;

pub struct KeyRing {
    keys: Vec<Key>,
    turn: AtomicUsize,
    started: Instant,
}

struct Key {
    secret: Secret,
    /// In milliseconds since `started`; in the past for a key that does not rest.
    rests_until_ms: AtomicU64,
}

/// A key's turn. `secret` is `None` for an upstream that asks for none.
pub struct Pick<'a> {
    pub index: usize,
    pub secret: Option<&'a Secret>,
}

impl KeyRing {
    /// `started` is the earliest time that will be passed in.
    pub fn new(secrets: &[Secret], started: Instant) -> Self {
        let key = |secret: &Secret| Key { secret: secret.clone(), rests_until_ms: AtomicU64::new(0) };
        KeyRing { keys: secrets.iter().map(key).collect(), turn: AtomicUsize::new(0), started }
    }

    /// The next key in turn, or `None` while all of them rest.
    pub fn pick(&self, now: Instant) -> Option<Pick<'_>> {
        if self.keys.is_empty() {
            return Some(Pick { index: 0, secret: None });
        }
        // Turns are counted among the keys that are awake: skipping a resting one would hand its turns to its neighbour.
        let awake: Vec<usize> = (0..self.keys.len()).filter(|index| self.is_awake(*index, now)).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(awake.len())?;
        let index = awake[turn];
        Some(Pick { index, secret: Some(&self.keys[index].secret) })
    }

    pub fn usable(&self, now: Instant) -> bool {
        self.keys.is_empty() || (0..self.keys.len()).any(|index| self.is_awake(index, now))
    }

    /// Lets a refused key rest, at most an hour; never shortens a rest. [`REST_DEFAULT`] where the provider names no time.
    pub fn rest(&self, index: usize, now: Instant, rest: Duration) {
        if let Some(key) = self.keys.get(index) {
            let until = self.millis(now + rest.min(REST_MAX));
            key.rests_until_ms.fetch_max(until, Ordering::Relaxed);
        }
    }

    /// How many keys there are, and how many of them rest.
    pub fn counts(&self, now: Instant) -> (usize, usize) {
        let resting = (0..self.keys.len()).filter(|index| !self.is_awake(*index, now)).count();
        (self.keys.len(), resting)
    }

    /// Whether these are its keys, in this order.
    pub fn holds(&self, secrets: &[Secret]) -> bool {
        self.keys.iter().map(|key| &key.secret).eq(secrets)
    }

    fn is_awake(&self, index: usize, now: Instant) -> bool {
        self.keys[index].rests_until_ms.load(Ordering::Relaxed) <= self.millis(now)
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

/// How long a refused key rests when the provider does not say.
pub const REST_DEFAULT: Duration = Duration::from_secs(60);
/// A provider that says "tomorrow" is asked again in an hour: quotas are raised by hand.
const REST_MAX: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(count: usize) -> (KeyRing, Instant) {
        let started = Instant::now();
        let secrets: Vec<_> = (0..count).map(|index| Secret::new(format!("key-{index}"))).collect();
        (KeyRing::new(&secrets, started), started)
    }

    /// How often each key is picked in `rounds` turns.
    fn picks(ring: &KeyRing, now: Instant, rounds: usize) -> Vec<usize> {
        let mut picks = vec![0; ring.keys.len()];
        for _ in 0..rounds {
            let pick = ring.pick(now).unwrap();
            assert_eq!(pick.secret, Some(&ring.keys[pick.index].secret));
            picks[pick.index] += 1;
        }
        picks
    }

    #[test]
    fn keys_take_turns_and_resting_ones_are_left_out_fairly() {
        let (ring, now) = ring(4);
        assert_eq!(picks(&ring, now, 40), [10, 10, 10, 10]);
        ring.rest(1, now, REST_DEFAULT);
        assert_eq!(picks(&ring, now, 30), [10, 0, 10, 10]);
        assert_eq!(ring.counts(now), (4, 1));
        assert_eq!(picks(&ring, now + REST_DEFAULT, 40), [10, 10, 10, 10]);
    }

    #[test]
    fn nobody_is_picked_while_all_rest() {
        let (ring, now) = ring(2);
        ring.rest(0, now, Duration::from_secs(10));
        ring.rest(1, now, Duration::from_secs(20));
        assert!(ring.pick(now).is_none() && !ring.usable(now));
        let later = now + Duration::from_secs(10);
        assert_eq!(ring.pick(later).unwrap().index, 0);
        assert!(ring.usable(later));
    }

    #[test]
    fn a_rest_is_never_shortened_nor_longer_than_an_hour() {
        let (ring, now) = ring(1);
        ring.rest(0, now, Duration::MAX);
        ring.rest(0, now, Duration::from_secs(1));
        assert!(!ring.usable(now + Duration::from_secs(3_599)));
        assert!(ring.usable(now + Duration::from_secs(3_600)));
        ring.rest(7, now, REST_DEFAULT);
    }

    #[test]
    fn an_upstream_without_keys_is_called_without_one() {
        let (ring, now) = ring(0);
        ring.rest(0, now, REST_DEFAULT);
        let pick = ring.pick(now).unwrap();
        assert!(pick.secret.is_none() && ring.usable(now));
    }
}
