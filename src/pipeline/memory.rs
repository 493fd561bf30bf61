//! How much memory all request bodies may hold together.
//!
//! A body is read whole before an upstream is chosen, so its memory is ours until the answer is complete. Beyond the
//! budget a request is refused at once instead of the process growing until it is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::core::api_error::{ApiError, Limited};

pub struct BodyMemory {
    bytes_max: u64,
    used: AtomicU64,
}

/// A share of the budget; given back when dropped.
pub struct BodyLease {
    memory: Arc<BodyMemory>,
    bytes: u64,
}

impl BodyMemory {
    pub fn new(bytes_max: u64) -> Arc<BodyMemory> {
        Arc::new(BodyMemory { bytes_max, used: AtomicU64::new(0) })
    }

    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub fn lease(self: &Arc<Self>) -> BodyLease {
        BodyLease { memory: self.clone(), bytes: 0 }
    }

    fn take(&self, bytes: u64) -> bool {
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= self.bytes_max)
        });
        taken.is_ok()
    }
}

impl BodyLease {
    /// Grows the share to `bytes`; false, and nothing taken, if the budget does not allow it.
    #[must_use]
    pub fn grow_to(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more > 0 && !self.memory.take(more) {
            return false;
        }
        self.bytes = self.bytes.max(bytes);
        true
    }
}

impl Drop for BodyLease {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// All bodies together hold too much.
pub fn too_much_held() -> ApiError {
    ApiError::RateLimit { what: Limited::BodyMemory, limit: 0, retry_after: Duration::from_secs(1), can_ever_fit: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_never_exceeded_and_always_given_back() {
        let memory = BodyMemory::new(100);
        let mut first = memory.lease();
        assert!(first.grow_to(60));
        assert!(first.grow_to(40), "a lease does not shrink");
        let mut second = memory.lease();
        assert!(!second.grow_to(41));
        assert!(second.grow_to(40));
        assert!(!first.grow_to(u64::MAX));
        assert_eq!(memory.used(), 100);
        drop((first, second));
        assert_eq!(memory.used(), 0);
    }
}
