//! Stage 2: is there room? Requests per minute and running requests, of the key and of its account, in one decision.

use std::time::Instant;

use crate::limits::contract::{Permit, Refusal, Subject};

use super::Pipeline;
use super::authenticate::Caller;

/// # Errors
/// 429, with what the rate limit headers say at that moment.
pub fn admit(pipeline: &Pipeline, caller: &Caller, now: Instant) -> Result<Permit, Refusal> {
    let subjects = [
        (Subject::Key(caller.record.id), caller.record.limits),
        (Subject::Account(caller.record.account), caller.group.limits),
    ];
    pipeline.limits.admit(&subjects, now)
}
