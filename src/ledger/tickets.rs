//! Tickets: what stands in a key's place for one request.
//!
//! The console sends people's own requests through the edge, and neither it nor a browser has any key's text. So it asks
//! for a ticket: random, good for one request within half a minute, and known to this process alone. Whoever redeems it is
//! judged as the key itself would be, from the address of the person behind it.
//!
//! Always true: a ticket works at most once; there are never more than [`TICKETS_MAX`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::core::key::{self, KeyHash};
use crate::core::secret::Secret;

#[derive(Default)]
pub struct Tickets(Mutex<HashMap<KeyHash, (StandIn, Instant)>>);

/// Which key, and who uses it from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandIn {
    /// Of the key; there may be no such key.
    pub key: KeyHash,
    pub address: IpAddr,
}

impl Tickets {
    /// A new ticket; `None` while there are too many that nobody has redeemed.
    ///
    /// # Errors
    /// As [`key::generate`].
    pub fn issue(&self, stand_in: StandIn, now: Instant) -> Result<Option<Secret>, getrandom::Error> {
        let text = key::generate_with_prefix(PREFIX)?;
        let mut tickets = self.0.lock();
        if tickets.len() >= TICKETS_MAX {
            tickets.retain(|_, (_, end)| *end > now);
        }
        if tickets.len() >= TICKETS_MAX {
            return Ok(None);
        }
        let Some(end) = now.checked_add(VALID) else { return Ok(None) };
        tickets.insert(key::hash(text.expose().as_bytes()), (stand_in, end));
        Ok(Some(text))
    }

    /// What a ticket stands for, once.
    pub fn redeem(&self, text: &[u8], now: Instant) -> Option<StandIn> {
        let (stand_in, end) = self.0.lock().remove(&key::hash(text))?;
        (end > now).then_some(stand_in)
    }
}

/// Whether this could be a ticket, and is certainly no key.
pub fn is_ticket(text: &[u8]) -> bool {
    text.starts_with(PREFIX.as_bytes())
}

const PREFIX: &str = "tgtk_";
const VALID: Duration = Duration::from_secs(30);
const TICKETS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn stand_in() -> StandIn {
        StandIn { key: key::hash(b"sk"), address: IpAddr::from([203, 0, 113, 7]) }
    }

    #[test]
    fn a_ticket_works_once_and_not_for_long() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let text = tickets.issue(stand_in(), now).unwrap().unwrap();
        assert!(is_ticket(text.expose().as_bytes()) && !key::is_well_formed(text.expose().as_bytes()));
        assert_eq!(tickets.redeem(text.expose().as_bytes(), now), Some(stand_in()));
        assert_eq!(tickets.redeem(text.expose().as_bytes(), now), None);
        let late = tickets.issue(stand_in(), now).unwrap().unwrap();
        assert_eq!(tickets.redeem(late.expose().as_bytes(), now + VALID), None);
        assert_eq!(tickets.redeem(b"tgtk_guessed", now), None);
    }

    #[test]
    fn there_is_an_end_to_them() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        for _ in 0..TICKETS_MAX {
            assert!(tickets.issue(stand_in(), now).unwrap().is_some());
        }
        assert!(tickets.issue(stand_in(), now).unwrap().is_none());
        assert!(tickets.issue(stand_in(), now + VALID).unwrap().is_some(), "those that are over make room");
    }
}
