//! Slows down an address that guesses keys.
//!
//! Only keys that do not exist are counted, and only their answer changes (429 instead of 401): the caller looks a key up
//! first, so a valid key from a shared address never notices its neighbours.
//!
//! A sketch is right here and wrong for paid limits: it needs the same few megabytes for one address as for a million,
//! and can only count too much. How much too much is a matter of its size, see [`COLUMNS`].

use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;
use pingora_limits::rate::{Rate, RateComponents};

use crate::core::address::Origin;

#[derive(Default)]
pub struct FailedKeys {
    /// Made when the first key fails: where none does, its memory is not needed. Behind a lock because `Rate` computes the
    /// time before it reads the start of the window: two threads at the window's end can subtract the later from the
    /// earlier. Only failed keys ever wait here.
    per_address: OnceLock<Mutex<Rate>>,
}

impl FailedKeys {
    pub fn new() -> Self {
        FailedKeys::default()
    }

    /// Counts one failed key; true if its address is over the limit, this one included.
    pub fn observe(&self, ip: IpAddr) -> bool {
        let origin = Origin::of(ip);
        let rate = self.per_address.get_or_init(|| Mutex::new(Rate::new_with_estimator_config(MINUTE, ROWS, COLUMNS)));
        let rate = rate.lock();
        rate.observe(&origin, 1);
        is_over(rate.rate_with(&origin, last_minute))
    }

    /// Whether the address is over the limit now, without counting anything.
    pub fn is_blocked(&self, ip: IpAddr) -> bool {
        let Some(rate) = self.per_address.get() else { return false };
        is_over(rate.lock().rate_with(&Origin::of(ip), last_minute))
    }
}

/// The running minute and the share of the one before that lies within the last 60 seconds. Without that share, an
/// address could double its allowance around the turn of the minute.
fn last_minute(counted: RateComponents) -> f64 {
    counted.prev_samples as f64 * (1.0 - counted.current_interval_fraction) + counted.curr_samples as f64
}

fn is_over(failed: f64) -> bool {
    failed > FAILED_PER_MINUTE_MAX
}

const FAILED_PER_MINUTE_MAX: f64 = 60.0;
const MINUTE: Duration = Duration::from_secs(60);
/// An address counts too much only where it shares a counter in every row. With 1,000 addresses failing in one minute
/// that is one in a million (1 - e^(-1000/32768) = 3 % per row, to the fourth power); the library's default of 1,024
/// columns would make it one in seven. Both windows together take 2 MiB.
const ROWS: usize = 4;
const COLUMNS: usize = 32_768;

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_sixty_first_failure_is_over() {
        let failed = FailedKeys::new();
        for _ in 0..60 {
            assert!(!failed.observe(ip("192.0.2.1")));
        }
        assert!(!failed.is_blocked(ip("192.0.2.1")));
        assert!(failed.observe(ip("192.0.2.1")));
        assert!(failed.is_blocked(ip("192.0.2.1")));
        assert!(failed.is_blocked(ip("::ffff:192.0.2.1")), "the same address, written as IPv6");
        assert!(!failed.is_blocked(ip("192.0.2.2")));
    }

    #[test]
    fn a_v6_network_is_one_origin() {
        let failed = FailedKeys::new();
        for host in 0..=60u32 {
            failed.observe(ip(&format!("2001:db8:0:1::{host:x}")));
        }
        assert!(failed.is_blocked(ip("2001:db8:0:1:ffff::")));
        assert!(!failed.is_blocked(ip("2001:db8:0:2::1")));
    }

    #[test]
    fn a_crowd_does_not_block_a_neighbour() {
        let failed = FailedKeys::new();
        for address in 0..5_000u32 {
            for _ in 0..10 {
                failed.observe(IpAddr::from(address.to_be_bytes()));
            }
        }
        let wronged = (0..5_000u32).filter(|address| failed.is_blocked(IpAddr::from(address.to_be_bytes()))).count();
        assert_eq!(wronged, 0);
    }
}
