//! Formats of the wire: bytes to facts, and the smallest edits back.
//!
//! Everything here is pure: bytes and values in, values out, no I/O and no clock. What a client or an upstream sends is
//! judged here, once, and bounded here; the floors above see facts only.
//!
//! A request: [`endpoint`] reads its path, [`request`] its body, which may be a form ([`multipart`]). An answer: [`whole`]
//! or, in events, [`stream`]. Where nobody reports tokens, [`estimate`]. Where an upstream speaks another dialect than
//! the client, [`convert`].

pub mod convert;
pub mod endpoint;
pub mod estimate;
mod facts;
mod json;
pub mod media;
pub mod multipart;
mod place;
pub mod plain;
mod prompt;
mod recording;
pub mod request;
mod scan;
pub mod sse;
pub mod stream;
mod swar;
mod tools;
pub mod usage;
pub mod whole;
