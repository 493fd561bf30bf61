//! The exact windows of one process: what is admitted, what a refusal says, and that threads never get more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::core::account::AccountId;
use crate::core::key::KeyId;
use crate::limits::contract::Permit;

const KEY: Subject = Subject::Key(KeyId(1));
const ACCOUNT: Subject = Subject::Account(AccountId(1));
const MINUTE: Duration = Duration::from_secs(60);

fn rpm(limit: u32) -> Limits {
    Limits { rpm: Some(limit), ..Limits::default() }
}

fn tpm(limit: u64) -> Limits {
    Limits { tpm: Some(limit), ..Limits::default() }
}

fn concurrency(limit: u32) -> Limits {
    Limits { concurrency: Some(limit), ..Limits::default() }
}

fn limiter() -> (LocalLimiter, Instant) {
    let started = Instant::now();
    (LocalLimiter::new(started), started)
}

/// Without `Debug` on a permit, `unwrap_err` needs this.
fn refusal(admitted: Result<Permit, Refusal>) -> Refusal {
    admitted.err().expect("a refusal")
}

#[test]
fn requests_per_minute_to_the_nanosecond() {
    let (limiter, start) = limiter();
    for _ in 0..3 {
        assert!(limiter.admit(&[(KEY, rpm(3))], start).is_ok());
    }
    let refused = refusal(limiter.admit(&[(KEY, rpm(3))], start + Duration::from_secs(20)));
    assert_eq!(refused.what, Limited::Requests);
    assert_eq!((refused.limit, refused.retry_after, refused.can_ever_fit), (3, Duration::from_secs(40), true));
    let gauge = Gauge { limit: 3, remaining: 0, reset: Duration::from_secs(40) };
    assert_eq!(refused.state, RateState { requests: Some(gauge), tokens: None });
    assert!(limiter.admit(&[(KEY, rpm(3))], start + MINUTE - Duration::from_nanos(1)).is_err());
    assert!(limiter.admit(&[(KEY, rpm(3))], start + MINUTE).is_ok());
}

#[test]
fn remaining_counts_this_request_and_is_the_tightest() {
    let (limiter, start) = limiter();
    let _other = limiter.admit(&[(ACCOUNT, rpm(10))], start).unwrap();
    let permit = limiter.admit(&[(KEY, rpm(60)), (ACCOUNT, rpm(10))], start).unwrap();
    let gauge = Gauge { limit: 10, remaining: 8, reset: MINUTE };
    assert_eq!(permit.state(start), RateState { requests: Some(gauge), tokens: None });
}

#[test]
fn all_subjects_or_none() {
    let (limiter, start) = limiter();
    let both = [(KEY, rpm(5)), (ACCOUNT, rpm(1))];
    let _first = limiter.admit(&both, start).unwrap();
    assert_eq!(refusal(limiter.admit(&both, start)).limit, 1);
    let key_only = limiter.admit(&[(KEY, rpm(5))], start).unwrap();
    assert_eq!(key_only.state(start).requests.unwrap().remaining, 3, "the refused request took nothing from the key");
}

#[test]
fn the_longest_wait_is_told() {
    let (limiter, start) = limiter();
    let later = start + Duration::from_secs(30);
    drop(limiter.admit(&[(KEY, rpm(1))], start).unwrap());
    drop(limiter.admit(&[(ACCOUNT, rpm(1))], later).unwrap());
    let refused = refusal(limiter.admit(&[(KEY, rpm(1)), (ACCOUNT, rpm(1))], later));
    assert_eq!(refused.retry_after, MINUTE);
}

#[test]
fn slots_come_back_once_on_every_way_out() {
    let (limiter, start) = limiter();
    let subjects = [(KEY, concurrency(2))];
    let mut first = limiter.admit(&subjects, start).unwrap();
    let second = limiter.admit(&subjects, start).unwrap();
    let refused = refusal(limiter.admit(&subjects, start));
    assert_eq!((refused.what, refused.retry_after), (Limited::Concurrency, Duration::from_secs(1)));
    first.release_slots();
    let third = limiter.admit(&subjects, start).unwrap();
    first.release_slots();
    drop(first);
    assert!(limiter.admit(&subjects, start).is_err(), "a slot came back twice");
    drop(second);
    let panicking = thread::spawn(move || {
        let _held = third;
        assert!(std::hint::black_box(false), "a panic while the permit is held");
    });
    assert!(panicking.join().is_err());
    let _both = (limiter.admit(&subjects, start).unwrap(), limiter.admit(&subjects, start).unwrap());
}

#[test]
fn a_request_refused_for_concurrency_burns_no_rate() {
    let (limiter, start) = limiter();
    let subjects = [(KEY, Limits { rpm: Some(2), concurrency: Some(1), tpm: None })];
    let first = limiter.admit(&subjects, start).unwrap();
    for _ in 0..10 {
        assert_eq!(refusal(limiter.admit(&subjects, start)).what, Limited::Concurrency);
    }
    drop(first);
    assert!(limiter.admit(&subjects, start).is_ok());
    assert_eq!(refusal(limiter.admit(&subjects, start)).what, Limited::Requests);
}

#[test]
fn tokens_are_taken_trued_up_and_given_back() {
    let (limiter, start) = limiter();
    let subjects = [(KEY, tpm(100)), (ACCOUNT, tpm(1_000))];
    let mut permit = limiter.admit(&subjects, start).unwrap();
    permit.take_tokens(80, start).unwrap();
    let remaining = |permit: &Permit, now| permit.state(now).tokens.unwrap().remaining;
    assert_eq!(remaining(&permit, start), 20);

    let mut second = limiter.admit(&subjects, start).unwrap();
    let refused = second.take_tokens(21, start).unwrap_err();
    assert_eq!((refused.what, refused.limit, refused.can_ever_fit), (Limited::Tokens, 100, true));
    assert_eq!(refused.retry_after, MINUTE);

    permit.true_up(30, start + Duration::from_secs(5));
    permit.true_up(90, start + Duration::from_secs(5));
    permit.cancel(start);
    assert_eq!(remaining(&permit, start + Duration::from_secs(5)), 70, "the first end is final");

    second.take_tokens(21, start).unwrap();
    second.true_up(500, start + Duration::from_secs(7));
    assert_eq!(remaining(&second, start + Duration::from_secs(7)), 0);
    assert_eq!(remaining(&second, start + MINUTE + Duration::from_secs(5)), 100, "debts leave with their second");
}

#[test]
fn a_request_too_large_by_itself_is_told_so() {
    let (limiter, start) = limiter();
    let mut permit = limiter.admit(&[(KEY, tpm(100))], start).unwrap();
    assert!(!permit.take_tokens(u64::MAX, start).unwrap_err().can_ever_fit);
    assert!(!refusal(limiter.admit(&[(KEY, rpm(0))], start)).can_ever_fit);
    assert!(!refusal(limiter.admit(&[(KEY, concurrency(0))], start)).can_ever_fit);
    permit.take_tokens(100, start).unwrap();
}

#[test]
fn excess_of_a_long_answer_counts_at_its_end() {
    let (limiter, start) = limiter();
    let mut permit = limiter.admit(&[(KEY, tpm(100))], start).unwrap();
    permit.take_tokens(10, start).unwrap();
    let end = start + Duration::from_secs(90);
    permit.true_up(50, end);
    assert_eq!(permit.state(end).tokens.unwrap().remaining, 60);
}

#[test]
fn tokens_without_an_estimate_count_at_the_end() {
    let (limiter, start) = limiter();
    let mut permit = limiter.admit(&[(KEY, tpm(100))], start).unwrap();
    permit.true_up(u64::MAX, start);
    assert_eq!(permit.state(start).tokens.unwrap().remaining, 0);
}

#[test]
fn cancelling_uses_up_nothing() {
    let (limiter, start) = limiter();
    let subjects = [(KEY, Limits { rpm: Some(1), tpm: Some(10), concurrency: Some(1) })];
    for _ in 0..5 {
        let mut permit = limiter.admit(&subjects, start).unwrap();
        permit.take_tokens(10, start).unwrap();
        permit.cancel(start + Duration::from_secs(2));
    }
    let state = limiter.admit(&subjects, start).unwrap().state(start);
    assert_eq!((state.requests.unwrap().remaining, state.tokens.unwrap().remaining), (0, 10));
}

#[test]
fn a_changed_limit_holds_at_once() {
    let (limiter, start) = limiter();
    for _ in 0..5 {
        drop(limiter.admit(&[(KEY, rpm(10))], start).unwrap());
    }
    assert!(limiter.admit(&[(KEY, rpm(5))], start).is_err());
    assert!(limiter.admit(&[(KEY, rpm(6))], start).is_ok());
}

#[test]
fn sweeping_forgets_only_what_no_longer_counts() {
    let (limiter, start) = limiter();
    let _unlimited = limiter.admit(&[(Subject::Key(KeyId(9)), Limits::default())], start).unwrap();
    assert_eq!(limiter.subjects(), 0);
    let mut running = limiter.admit(&[(KEY, concurrency(1))], start).unwrap();
    drop(limiter.admit(&[(ACCOUNT, rpm(1))], start).unwrap());
    limiter.sweep(start + MINUTE - Duration::from_nanos(1));
    assert_eq!(limiter.subjects(), 2);
    limiter.sweep(start + MINUTE);
    assert_eq!(limiter.subjects(), 1, "the account's minute is over");
    running.release_slots();
    limiter.sweep(start + 2 * MINUTE);
    assert_eq!(limiter.subjects(), 1, "a permit may still count tokens");
    drop(running);
    limiter.sweep(start + 2 * MINUTE);
    assert_eq!(limiter.subjects(), 0);
}

#[test]
fn sixteen_threads_get_exactly_the_limit() {
    let (limiter, start) = limiter();
    let admitted = AtomicUsize::new(0);
    let subjects = [(KEY, rpm(1_000)), (ACCOUNT, rpm(777))];
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..200 {
                    limiter.sweep(start);
                    let now = start + Duration::from_millis(17);
                    admitted.fetch_add(usize::from(limiter.admit(&subjects, now).is_ok()), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 777);
}

#[test]
fn sixteen_threads_never_run_more_than_the_limit() {
    let (limiter, start) = limiter();
    let (running, highest) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..500 {
                    if let Ok(permit) = limiter.admit(&[(KEY, concurrency(3))], start) {
                        highest.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::yield_now();
                        running.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                }
            });
        }
    });
    assert!((1..=3).contains(&highest.into_inner()));
    assert!(limiter.admit(&[(KEY, concurrency(1))], start).is_ok(), "every slot came back");
}

/// What was let in, as a plain list of times in milliseconds and amounts.
#[derive(Default)]
struct Model(Vec<(u64, u64)>);

impl Model {
    /// The documented rule: a use counts until 60 s after the last use in its second.
    fn counted(&self, now: u64) -> u64 {
        let last_in = |second| self.0.iter().filter(|(at, _)| at / 1_000 == second).map(|(at, _)| *at).max();
        self.0.iter().filter(|(at, _)| last_in(at / 1_000).unwrap() + 60_000 > now).map(|(_, amount)| amount).sum()
    }

    /// The promise: the most in any 60 seconds, wherever they begin.
    fn most_in_a_minute(&self) -> u64 {
        let sum_from = |from: u64| -> u64 {
            self.0.iter().filter(|(at, _)| (from..from + 60_000).contains(at)).map(|(_, amount)| amount).sum()
        };
        self.0.iter().map(|(at, _)| sum_from(*at)).max().unwrap_or(0)
    }
}

proptest! {
    #[test]
    fn requests_agree_with_a_list(limit in 1..12u32, steps in proptest::collection::vec(0..9_000u64, 1..150)) {
        let (limiter, start) = limiter();
        let (mut model, mut now) = (Model::default(), 0);
        for step in steps {
            now += step;
            let at = start + Duration::from_millis(now);
            let fits = model.counted(now) < u64::from(limit);
            match limiter.admit(&[(KEY, rpm(limit))], at) {
                Ok(permit) => {
                    prop_assert!(fits);
                    model.0.push((now, 1));
                    prop_assert_eq!(permit.state(at).requests.unwrap().remaining, u64::from(limit) - model.counted(now));
                }
                Err(refused) => {
                    prop_assert!(!fits);
                    let wait_ms = refused.retry_after.as_millis() as u64;
                    prop_assert!((1..=60_000).contains(&wait_ms));
                    prop_assert!(model.counted(now + wait_ms) < u64::from(limit), "who waits as told is let in");
                    prop_assert!(model.counted(now + wait_ms - 1) >= u64::from(limit), "and could not have come earlier");
                }
            }
            prop_assert!(model.most_in_a_minute() <= u64::from(limit));
        }
    }

    #[test]
    fn tokens_agree_with_a_list(steps in proptest::collection::vec((0..9_000u64, 1..130u64), 1..100)) {
        let (limiter, start) = limiter();
        let (mut model, mut now) = (Model::default(), 0);
        for (step, estimate) in steps {
            now += step;
            let at = start + Duration::from_millis(now);
            let mut permit = limiter.admit(&[(KEY, tpm(100))], at).unwrap();
            let fits = model.counted(now) + estimate <= 100;
            match permit.take_tokens(estimate, at) {
                Ok(()) => {
                    prop_assert!(fits);
                    model.0.push((now, estimate));
                }
                Err(refused) => {
                    prop_assert!(!fits);
                    prop_assert_eq!(refused.can_ever_fit, estimate <= 100);
                    let wait_ms = refused.retry_after.as_millis() as u64;
                    prop_assert!(!refused.can_ever_fit || model.counted(now + wait_ms) + estimate <= 100);
                }
            }
            prop_assert!(model.most_in_a_minute() <= 100);
        }
    }

    #[test]
    fn no_order_of_calls_leaves_a_slot_or_panics(
        calls in proptest::collection::vec((0..6u8, any::<u64>(), 0..100_000u64), 1..60),
    ) {
        let (limiter, start) = limiter();
        let subjects = [(KEY, Limits { rpm: Some(50), tpm: Some(u64::MAX), concurrency: Some(4) }), (ACCOUNT, tpm(7))];
        let mut permits = Vec::new();
        for (call, amount, at_ms) in calls {
            let now = start + Duration::from_millis(at_ms);
            let picked = permits.len().checked_sub(1).map(|last| amount as usize % (last + 1));
            match (call, picked) {
                (0 | 1, _) => permits.extend(limiter.admit(&subjects, now)),
                (2, Some(index)) => { let _ = permits[index].take_tokens(amount, now); }
                (3, Some(index)) => permits[index].true_up(amount, now),
                (4, Some(index)) => permits[index].cancel(now),
                (_, Some(index)) => drop(permits.swap_remove(index)),
                _ => {}
            }
            prop_assert!(permits.len() <= 4);
        }
        drop(permits);
        limiter.sweep(start + Duration::from_secs(1_000));
        prop_assert_eq!(limiter.subjects(), 0);
    }
}
