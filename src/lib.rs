//! Tollgate: an LLM API gateway with exact books.
//!
//! The map, floor by floor. Imports point down, never to a parent, never in a circle; `tests/it/architecture.rs` reads
//! the sources and keeps it so.
//!
//! | floor | room | what it is for |
//! |---:|---|---|
//! | 7 | [`cli`] | the command line, one file per noun |
//! | 6 | [`server`] | composition root: builds everything, reload, upgrade, shutdown |
//! | 5 | [`edge`] | Pingora, and nothing but: sockets become requests |
//! | 5 | [`console`] | axum: web pages and the admin API |
//! | 4 | [`pipeline`] | one request's path: read its stages in order and you know the product |
//! | 3 | [`ledger`] | money's only door: holds, settlement, group commit |
//! | 2 | [`config`] | the YAML as written, then as needed, or every fault |
//! | 2 | [`store`] | durable truth behind one contract: SQLite |
//! | 2 | [`limits`] | requests and tokens per minute, concurrency: exact |
//! | 2 | [`upstream`] | breakers, keys that rest, addresses; the demo upstream |
//! | 2 | [`protocol`] | bytes to facts: requests, streams, usage |
//! | 2 | [`metrics`] | every Prometheus name, once |
//! | 1 | [`core`] | what the business talks about: pure values |

pub mod cli;
pub mod config;
pub mod console;
pub mod core;
pub mod edge;
pub mod ledger;
pub mod limits;
pub mod metrics;
pub mod pipeline;
pub mod protocol;
pub mod server;
pub mod store;
pub mod upstream;
