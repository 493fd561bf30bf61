//! What shows only after hours, or under too much of everything: many streams, endless reloads, ten times the load, a
//! storage full of history, writes that fail one after the other.
//!
//! Each test has a quick form of some seconds, and a long one with `TOLLGATE_SOAK=1` (`make soak`). Both print what they
//! measured. `TOLLGATE_SEED` repeats their choices.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(dead_code, unused_imports, reason = "shared with the other tests, which need more of it")]
#[path = "it/support/mod.rs"]
mod support;

// Pages over months of requests.
#[path = "soak/history.rs"]
mod history;
// Ten times more requests than can be served.
#[path = "soak/overload.rs"]
mod overload;
// One configuration after the other, some of them broken.
#[path = "soak/reloads.rs"]
mod reloads;
// A start with years of history.
#[path = "soak/start.rs"]
mod start;
// Thousands of streams at a time.
#[path = "soak/streams.rs"]
mod streams;
// A storage that fails at every write in turn.
#[path = "soak/writes.rs"]
mod writes;

use support::{Answer, Gateway, eventually};

const QUESTION: &str = r#"{"model":"chat-model","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}"#;
const STREAMED: &str =
    r#"{"model":"chat-model","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

const MIB: u64 = 1024 * 1024;

/// One of two sizes of the same test.
fn quick_or_long<T>(quick: T, long: T) -> T {
    if std::env::var_os("TOLLGATE_SOAK").is_some_and(|value| value == "1") { long } else { quick }
}

/// Everything that ran is settled and written.
async fn at_rest(gateway: &Gateway) {
    for gauge in ["tollgate_holds_open", "tollgate_ledger_queue_entries"] {
        eventually(gauge, || gateway.metric(gauge), |value| *value == 0.0).await;
    }
}

/// A status, or the whole answer if it is another one.
fn other_than(status: u16, answer: &Answer) -> Option<String> {
    (answer.status() != status).then(|| format!("{} {}", answer.head.text(), answer.text()))
}
