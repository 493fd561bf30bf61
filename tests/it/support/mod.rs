//! What the tests of the whole gateway stand on: the real program, an upstream that does as it is told, and a client
//! that can misbehave.

pub mod browser;
pub mod client;
pub mod config;
pub mod console;
pub mod gateway;
pub mod process;
pub mod random;
pub mod stand;
pub mod tls;
pub mod upstream;

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

pub use browser::Browser;
pub use client::{Answer, Connection, get, post, request};
pub use config::Config;
pub use gateway::{Gateway, Key};
pub use upstream::{Reply, Signal, Upstream};

/// Nothing that these tests wait for takes longer than this, on a slow machine with an unoptimised program.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something is true.
#[track_caller]
pub fn wait_for(what: &str, condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    wait_for_within(PATIENCE, what, condition)
}

pub async fn wait_for_within(patience: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// Asks again and again until the answer is the expected one.
pub async fn eventually<T, F>(what: &str, mut ask: impl FnMut() -> F, expected: impl Fn(&T) -> bool) -> T
where
    T: Debug,
    F: Future<Output = T>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        if expected(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}; the last answer was {answer:?}");
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// The event itself, or a failed test instead of a hanging one.
pub async fn within<F: Future>(patience: Duration, what: &str, event: F) -> F::Output {
    match tokio::time::timeout(patience, event).await {
        Ok(output) => output,
        Err(_) => panic!("waited in vain: {what}"),
    }
}

const POLL_EVERY: Duration = Duration::from_millis(10);
