//! What was used in the last 60 seconds, exactly.
//!
//! Uses are counted per second, and a second's count leaves as a whole, 60 s after the last use in it. So no use leaves
//! before it is 60 s old, which makes "never more than N in any 60 seconds" hold without an exception, and none stays
//! longer than 61 s. Counting 60 whole seconds of a clock instead would admit 2 N around a second's edge.
//!
//! Always true: slots are in order of time, one per second, at most 61 of them; all arithmetic saturates.

use std::collections::VecDeque;
use std::time::Duration;

/// Nanoseconds since the limiter was made.
pub type Nanos = u64;

/// Whole seconds since the limiter was made.
pub type Second = u64;

#[derive(Default)]
pub struct Window {
    /// Grows with use: a key that asks once a minute needs one slot.
    slots: VecDeque<Slot>,
}

#[derive(Clone, Copy)]
struct Slot {
    last: Nanos,
    count: u64,
}

impl Slot {
    fn second(self) -> Second {
        self.last / SECOND
    }

    fn leaves(self) -> Nanos {
        self.last.saturating_add(SPAN)
    }
}

impl Window {
    /// Forgets what has left. Every other method expects this for the same `now`, which must not go back.
    pub fn advance(&mut self, now: Nanos) {
        while self.slots.front().is_some_and(|slot| slot.leaves() <= now) {
            self.slots.pop_front();
        }
    }

    pub fn used(&self) -> u64 {
        self.slots.iter().fold(0, |used, slot| used.saturating_add(slot.count))
    }

    /// Returns the second in which it was counted, for [`Window::give_back`].
    pub fn add(&mut self, count: u64, now: Nanos) -> Second {
        let second = now / SECOND;
        match self.slots.back_mut() {
            Some(slot) if slot.second() == second => {
                slot.last = now;
                slot.count = slot.count.saturating_add(count);
            }
            _ => self.slots.push_back(Slot { last: now, count }),
        }
        second
    }

    /// Adds to a second that may have passed; false if it has left.
    pub fn add_to(&mut self, second: Second, count: u64) -> bool {
        let slot = self.slot_mut(second);
        let found = slot.is_some();
        if let Some(slot) = slot {
            slot.count = slot.count.saturating_add(count);
        }
        found
    }

    /// Does nothing if the second has left: what it held is free already.
    pub fn give_back(&mut self, second: Second, count: u64) {
        if let Some(slot) = self.slot_mut(second) {
            slot.count = slot.count.saturating_sub(count);
        }
    }

    fn slot_mut(&mut self, second: Second) -> Option<&mut Slot> {
        self.slots.iter_mut().rev().find(|slot| slot.second() == second)
    }

    /// How long until `count` more fit under `limit`: zero if they do now, `None` if they never will.
    pub fn until_fits(&self, count: u64, limit: u64, now: Nanos) -> Option<Duration> {
        let room = limit.checked_sub(count)?;
        let mut used = 0u64;
        // From the newest backwards: the first slot that is too much has to leave, and with it all that are older.
        for slot in self.slots.iter().rev() {
            used = used.saturating_add(slot.count);
            if used > room {
                return Some(Duration::from_nanos(slot.leaves().saturating_sub(now)));
            }
        }
        Some(Duration::ZERO)
    }

    /// How long until nothing is counted any more.
    pub fn until_free(&self, now: Nanos) -> Duration {
        let last_used = self.slots.iter().rev().find(|slot| slot.count > 0);
        Duration::from_nanos(last_used.map_or(0, |slot| slot.leaves().saturating_sub(now)))
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

const SECOND: Nanos = 1_000_000_000;
const SPAN: Nanos = 60 * SECOND;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_second_leaves_as_a_whole() {
        let mut window = Window::default();
        window.add(1, 100);
        window.add(2, SECOND - 1);
        window.advance(SPAN + 100);
        assert_eq!(window.used(), 3, "the second's last use is not 60 s old");
        assert_eq!(window.until_free(SPAN + 100), Duration::from_nanos(SECOND - 101));
        window.advance(SPAN + SECOND - 1);
        assert_eq!(window.used(), 0);
    }

    #[test]
    fn the_wait_is_that_of_the_slot_in_the_way() {
        let mut window = Window::default();
        for second in 0..3 {
            window.add(10, second * SECOND);
        }
        let now = 3 * SECOND;
        let wait = |count| window.until_fits(count, 30, now).map(|wait| wait.as_secs());
        assert_eq!(wait(0), Some(0));
        assert_eq!(wait(1), Some(57));
        assert_eq!(wait(10), Some(57));
        assert_eq!(wait(11), Some(58));
        assert_eq!(wait(30), Some(59));
        assert_eq!(wait(31), None);
    }

    #[test]
    fn hostile_counts_saturate() {
        let mut window = Window::default();
        window.add(u64::MAX, 0);
        let second = window.add(u64::MAX, 1);
        window.add(u64::MAX, 5 * SECOND);
        assert_eq!(window.used(), u64::MAX);
        assert!(window.until_fits(1, u64::MAX, 5 * SECOND).unwrap() > Duration::ZERO);
        assert_eq!(window.until_fits(u64::MAX, u64::MAX - 1, 5 * SECOND), None);
        window.give_back(second, u64::MAX);
        window.give_back(second, 1);
        assert_eq!(window.used(), u64::MAX);
        window.advance(Nanos::MAX);
    }

    proptest! {
        #[test]
        fn never_more_slots_than_seconds(steps in proptest::collection::vec(0..3 * SECOND, 1..400)) {
            let (mut window, mut now) = (Window::default(), 0);
            for step in steps {
                now += step;
                window.advance(now);
                window.add(1, now);
                prop_assert!(window.slots.len() <= 61);
            }
        }
    }
}
