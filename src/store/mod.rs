//! Durable truth: one contract, and the databases behind it.

pub mod contract;
pub mod sqlite;
pub mod view;
