//! Stage 1: who is asking?
//!
//! The checksum in a key refuses mistypes and guesses before any look-up; the look-up is one hash map read. Keys that do
//! not exist are counted per address, and an address that guesses is slowed down; a valid key from there never is.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::core::account::AccountStatus;
use crate::core::api_error::{ApiError, KeyFault, Limited};
use crate::core::catalog::Group;
use crate::core::key::{self, KeyRecord, KeyStatus};
use crate::ledger::{self, Key};
use crate::limits::FailedKeys;

use super::Pipeline;

/// The key of a request and what it may do, as of now.
#[derive(Clone)]
pub struct Caller {
    pub key: Arc<Key>,
    pub record: Arc<KeyRecord>,
    pub group: Group,
}

/// What stood in the headers that can carry a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented<'a> {
    Nothing,
    One(&'a [u8]),
    /// Two headers with different keys: whose request is it?
    Conflicting,
}

impl<'a> Presented<'a> {
    /// Adds what one more header holds. The same key twice is one key.
    pub fn and(self, text: &'a [u8]) -> Presented<'a> {
        match self {
            Presented::Nothing => Presented::One(text),
            Presented::One(first) if first == text => self,
            _ => Presented::Conflicting,
        }
    }
}

/// # Errors
/// 401, 403; 429 for an address that guesses keys; 400 for two different keys.
pub fn authenticate(
    pipeline: &Pipeline,
    presented: Presented<'_>,
    address: IpAddr,
    now_ms: i64,
) -> Result<Caller, ApiError> {
    let text = match presented {
        Presented::Nothing => return Err(failed(&pipeline.failed_keys, address, KeyFault::Missing)),
        Presented::Conflicting => return Err(ApiError::invalid("Two different API keys were given.")),
        Presented::One(text) => text,
    };
    let unknown = || failed(&pipeline.failed_keys, address, KeyFault::Unknown);
    let (hash, address) = if ledger::is_ticket(text) {
        let stand_in = pipeline.ledger.tickets.redeem(text, Instant::now()).ok_or_else(unknown)?;
        (stand_in.key, stand_in.address)
    } else if key::is_well_formed(text) {
        (key::hash(text), address)
    } else {
        return Err(unknown());
    };
    let Some(key) = pipeline.ledger.find_key(&hash) else {
        return Err(failed(&pipeline.failed_keys, address, KeyFault::Unknown));
    };
    let record = key.record();
    if record.expires_at_ms.is_some_and(|end| end <= now_ms) {
        return Err(ApiError::KeyExpired);
    }
    match record.status {
        KeyStatus::Active => {}
        KeyStatus::Disabled => return Err(ApiError::KeyDisabled),
        KeyStatus::Deleted => return Err(failed(&pipeline.failed_keys, address, KeyFault::Unknown)),
    }
    if key.account.status() != AccountStatus::Active {
        return Err(ApiError::AccountSuspended);
    }
    if !record.allows_address(address) {
        return Err(ApiError::AddressNotAllowed);
    }
    let group = pipeline.snapshot().catalog.group(&key.account.group());
    pipeline.ledger.key_used(&key, now_ms);
    Ok(Caller { key, record, group })
}

/// A request without any key is no guess and counts for nothing.
fn failed(failed_keys: &FailedKeys, address: IpAddr, fault: KeyFault) -> ApiError {
    if fault == KeyFault::Unknown && failed_keys.observe(address) {
        return ApiError::RateLimit {
            what: Limited::FailedKeys,
            limit: 60,
            retry_after: std::time::Duration::from_secs(60),
            can_ever_fit: true,
        };
    }
    ApiError::InvalidApiKey(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_in_two_headers_is_one_key() {
        assert_eq!(Presented::Nothing.and(b"a").and(b"a"), Presented::One(b"a"));
        assert_eq!(Presented::Nothing.and(b"a").and(b"b"), Presented::Conflicting);
        assert_eq!(Presented::Nothing.and(b"a").and(b"b").and(b"a"), Presented::Conflicting);
    }
}
