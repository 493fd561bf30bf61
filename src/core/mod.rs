//! What the business talks about: pure values. No I/O, no async, no clock.
//!
//! Everything above imports from here; nothing here imports from above.

pub mod account;
pub mod address;
pub mod admin_token;
pub mod api_error;
pub mod bill;
pub mod catalog;
pub mod csv;
pub mod key;
pub mod money;
pub mod price;
pub mod redact;
pub mod redeem_code;
pub mod secret;
pub mod tariff;
pub mod usage;
pub mod values;
