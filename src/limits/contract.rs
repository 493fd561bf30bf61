//! What a limiter promises, whether it counts in this process or for many.
//!
//! A request is counted against its key and its account together: either all of them let it in, or nothing is taken from
//! any. Letting one go first would let a busy key eat an account's minute with requests that are then refused
//! (BerriAI/litellm#39309).
//!
//! Always true:
//! - in no 60 seconds are more requests admitted, or more estimated tokens taken, than the limit says;
//! - a permit gives its slots back exactly once, on every way out, panics included.

use std::time::{Duration, Instant};

use crate::core::account::AccountId;
use crate::core::api_error::{ApiError, Limited};
use crate::core::key::{KeyId, Limits};

pub trait Limiter: Send + Sync {
    /// Takes one request and one slot from every subject, or nothing from anybody.
    ///
    /// Each subject stands in `subjects` once, a key before its account. The limits are those of this moment: a changed
    /// limit holds from the next call on, against what was already counted.
    ///
    /// # Errors
    /// [`Refusal`] for the first kind that does not fit: requests before running requests.
    fn admit(&self, subjects: &[(Subject, Limits)], now: Instant) -> Result<Permit, Refusal>;
}

/// Who has limits of their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Subject {
    Key(KeyId),
    Account(AccountId),
}

/// An admitted request. Dropping it frees its slots; what it counted per minute stays counted.
#[must_use = "dropping a permit ends the request for the limiter"]
pub struct Permit(Box<dyn Grant>);

/// What stands behind a [`Permit`]. Its `Drop` does what [`Grant::release_slots`] does.
pub trait Grant: Send + Sync {
    fn take_tokens(&mut self, estimate: u64, now: Instant) -> Result<(), Refusal>;
    fn true_up(&mut self, actual: u64, now: Instant);
    fn cancel(&mut self, now: Instant);
    fn release_slots(&mut self);
    fn state(&self, now: Instant) -> RateState;
}

impl Permit {
    pub fn new(grant: impl Grant + 'static) -> Self {
        Permit(Box::new(grant))
    }

    /// Takes the tokens that the request is expected to need, from every subject or from none. Once per request.
    ///
    /// # Errors
    /// [`Refusal`] if they do not fit now, or (`can_ever_fit` is false) exceed a limit by themselves. Nothing was taken
    /// then, but the request itself still counts until [`Permit::cancel`].
    pub fn take_tokens(&mut self, estimate: u64, now: Instant) -> Result<(), Refusal> {
        self.0.take_tokens(estimate, now)
    }

    /// Puts the real number in the estimate's place, also above the limit: a debt that those who come next wait for.
    ///
    /// Unused tokens go back to the second that they were taken from, if that still counts. The first `true_up` or
    /// [`Permit::cancel`] is final; others do nothing.
    pub fn true_up(&mut self, actual: u64, now: Instant) {
        self.0.true_up(actual, now);
    }

    /// Gives back the request and its tokens: one that is refused further on uses up nothing.
    pub fn cancel(&mut self, now: Instant) {
        self.0.cancel(now);
    }

    /// Frees the slots before the end: the client has left, and only the upstream's answer is still being read.
    pub fn release_slots(&mut self) {
        self.0.release_slots();
    }

    pub fn state(&self, now: Instant) -> RateState {
        self.0.state(now)
    }
}

/// Why, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub what: Limited,
    pub limit: u64,
    /// Until it fits, if nobody else comes in between; for running requests a guess.
    pub retry_after: Duration,
    /// False: the limit is too small for this request even when nothing else is counted.
    pub can_ever_fit: bool,
    pub state: RateState,
}

impl From<&Refusal> for ApiError {
    fn from(refusal: &Refusal) -> Self {
        ApiError::RateLimit {
            what: refusal.what,
            limit: refusal.limit,
            retry_after: refusal.retry_after,
            can_ever_fit: refusal.can_ever_fit,
        }
    }
}

/// What the `x-ratelimit-*` headers say: per kind the subject with the fewest left, nothing where no such limit applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateState {
    pub requests: Option<Gauge>,
    pub tokens: Option<Gauge>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    pub limit: u64,
    pub remaining: u64,
    /// Until the whole limit is free again, if nobody else comes in between.
    pub reset: Duration,
}

/// A reset time as OpenAI writes it, which is how Go prints durations: `0s`, `12ms`, `1s`, `8.64s`, `6m0s`, `1h0m0s`.
/// Rounded up to a millisecond, so that who waits as told is not early.
pub fn format_reset(duration: Duration) -> String {
    let up = u64::from(!duration.subsec_nanos().is_multiple_of(1_000_000));
    let within_second = u64::from(duration.subsec_millis()) + up;
    let millis_total = duration.as_secs().saturating_mul(1_000).saturating_add(within_second);
    if millis_total > 0 && millis_total < 1_000 {
        return format!("{millis_total}ms");
    }
    let (seconds_total, millis) = (millis_total / 1_000, millis_total % 1_000);
    let (hours, minutes, seconds) = (seconds_total / 3_600, seconds_total / 60 % 60, seconds_total % 60);
    let mut text = String::with_capacity(RESET_BYTES_USUAL);
    let mut push = |number: u64, unit: &str| {
        text.push_str(&number.to_string());
        text.push_str(unit);
    };
    if hours > 0 {
        push(hours, "h");
    }
    if hours > 0 || minutes > 0 {
        push(minutes, "m");
    }
    if millis == 0 {
        push(seconds, "s");
        return text;
    }
    push(seconds, ".");
    // The leading one keeps the zeros behind it.
    text.push_str((1_000 + millis).to_string()[1..].trim_end_matches('0'));
    text.push('s');
    text
}

/// `59m59.999s`, and room to spare.
const RESET_BYTES_USUAL: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_read_like_openais() {
        for (millis, text) in [
            (0, "0s"),
            (12, "12ms"),
            (999, "999ms"),
            (1_000, "1s"),
            (8_640, "8.64s"),
            (59_001, "59.001s"),
            (60_000, "1m0s"),
            (360_000, "6m0s"),
            (61_500, "1m1.5s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(format_reset(Duration::from_millis(millis)), text);
        }
        assert_eq!(format_reset(Duration::from_nanos(1)), "1ms");
        assert_eq!(format_reset(Duration::from_nanos(999_000_001)), "1s");
        assert!(!format_reset(Duration::MAX).is_empty());
    }
}
