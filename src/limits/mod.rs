//! How much a client may ask for: requests and tokens per minute, running requests, failed keys per address.
//!
//! [`contract`] says what a limiter promises, [`local`] keeps the promise inside one process (`window` does the counting),
//! [`abuse`] slows down those who guess keys. What is paid for is counted exactly; only guessing is counted by a sketch.

pub mod abuse;
pub mod contract;
pub mod local;
mod window;

pub use abuse::FailedKeys;
pub use contract::{Gauge, Limiter, Permit, RateState, Refusal, Subject, format_reset};
pub use local::LocalLimiter;
