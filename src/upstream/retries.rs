//! How often an upstream may fail those who come to it because another failed them.
//!
//! A breaker counts what makes an upstream ill. A 404, a refused key, one failure every three seconds open no breaker,
//! yet each sends the request on to the next upstream; with several of them in trouble, every request would knock at every
//! door. So second tries that fail are paid for out of a budget: [`FAILURES`] of them, one more each second, and one more
//! for every [`SUCCESSES`] answers. An upstream that has used it up gets first tries only.
//!
//! Always true: an upstream that answers is never refused a second try, however many come at once: failing over to a
//! healthy one is the promise, and only failures cost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

#[derive(Default)]
pub struct RetryBudget {
    debt: Mutex<Option<Debt>>,
    /// Whether there is any: answers look here first, and mostly find none.
    in_debt: AtomicBool,
}

/// What failed second tries have used up, in parts of which [`SUCCESSES`] make one failure.
#[derive(Clone, Copy)]
struct Debt {
    parts: u32,
    /// Since when time has not been counted.
    since: Instant,
}

impl RetryBudget {
    /// Whether a second try may go there now.
    pub fn allows(&self, now: Instant) -> bool {
        !self.in_debt.load(Ordering::Relaxed) || self.parts(now) < FAILURES * SUCCESSES
    }

    /// A second try failed.
    pub fn spend(&self, now: Instant) {
        let mut debt = self.debt.lock();
        let before = debt.map_or(0, |debt| debt.at(now).parts);
        let parts = before.saturating_add(SUCCESSES).min(FAILURES * SUCCESSES);
        *debt = Some(Debt { parts, since: now });
        self.in_debt.store(true, Ordering::Relaxed);
    }

    /// It answered, a first or a second try.
    pub fn earn(&self, now: Instant) {
        if !self.in_debt.load(Ordering::Relaxed) {
            return;
        }
        let mut debt = self.debt.lock();
        *debt = debt.and_then(|debt| match debt.at(now) {
            Debt { parts: 0 | 1, .. } => None,
            Debt { parts, since } => Some(Debt { parts: parts - 1, since }),
        });
        self.in_debt.store(debt.is_some(), Ordering::Relaxed);
    }

    fn parts(&self, now: Instant) -> u32 {
        self.debt.lock().map_or(0, |debt| debt.at(now).parts)
    }
}

impl Debt {
    /// What is left of it: whole seconds are taken off, the rest of a second stays to be counted.
    fn at(self, now: Instant) -> Debt {
        let seconds = now.saturating_duration_since(self.since).as_secs();
        let forgiven = u32::try_from(seconds).unwrap_or(u32::MAX).saturating_mul(SUCCESSES);
        Debt { parts: self.parts.saturating_sub(forgiven), since: self.since + Duration::from_secs(seconds) }
    }
}

const FAILURES: u32 = 20;
const SUCCESSES: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(times: u32, now: Instant) -> RetryBudget {
        let budget = RetryBudget::default();
        (0..times).for_each(|_| budget.spend(now));
        budget
    }

    #[test]
    fn twenty_failures_use_it_up_and_a_second_buys_one_more() {
        let now = Instant::now();
        assert!(spent(19, now).allows(now));
        let budget = spent(50, now);
        assert!(!budget.allows(now) && !budget.allows(now + Duration::from_millis(999)));
        let later = now + Duration::from_secs(1);
        assert!(budget.allows(later));
        budget.spend(later);
        assert!(!budget.allows(later + Duration::from_millis(999)), "one more, not two");
        assert!(budget.allows(later + Duration::from_secs(1)));
    }

    #[test]
    fn ten_answers_buy_one_more() {
        let now = Instant::now();
        let budget = spent(20, now);
        budget.earn(now);
        assert!(budget.allows(now), "less than all of it is spent");
        budget.spend(now);
        (0..10).for_each(|_| budget.earn(now));
        budget.spend(now);
        assert!(!budget.allows(now));
    }

    #[test]
    fn what_was_spent_is_forgotten_in_the_end() {
        let now = Instant::now();
        let budget = spent(20, now);
        (0..500).for_each(|_| budget.earn(now));
        assert!(!budget.in_debt.load(Ordering::Relaxed));
        assert!(spent(20, now).allows(now + Duration::from_secs(86_400)));
    }

    #[test]
    fn answers_cost_nothing() {
        let (budget, now) = (RetryBudget::default(), Instant::now());
        (0..10_000).for_each(|_| budget.earn(now));
        assert!(budget.allows(now));
    }
}
