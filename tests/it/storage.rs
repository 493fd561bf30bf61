//! The storage fails: nothing is delivered that cannot be written down, nobody is told that it is his fault, and all is
//! well again as soon as the storage is.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::stand::{Answer, Plan, Play, Protocol, Stand, chat, nano, streamed};
use crate::support::upstream::usage;

const MODELS: &str = r#"
  priced:
    upstreams: [{name: up}]
    price: {input: "1", output: "4"}
"#;

async fn stand() -> (Stand, String) {
    let stand = Stand::start(Plan::models(MODELS)).await;
    stand.account("alice", "10");
    let key = stand.key("alice", "").await;
    (stand, key)
}

/// Another process that writes and does not stop: nobody else can.
fn lock(stand: &Stand) -> Connection {
    let other = Connection::open(stand.database()).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    other
}

#[track_caller]
fn assert_unavailable(answer: &Answer) {
    assert_eq!((answer.status, answer.code().as_str()), (503, "server_error"), "{answer:?}");
    let seconds: u64 = answer.header("retry-after").expect("it says when").parse().unwrap();
    assert!((1..=60).contains(&seconds));
}

#[tokio::test]
async fn while_the_storage_cannot_write_paid_requests_are_refused_and_then_served_again() {
    let (stand, key) = stand().await;
    stand.chat(&key, &chat("priced", Play::whole(usage(50, 7)))).await.expect(200);
    stand.all_at_rest().await;
    let other = lock(&stand);
    let locked = Instant::now();
    // As long as nobody knows it, holds are made durable beside the books: those answers are delivered, and booked later.
    let mut delivered = 1;
    let first = loop {
        let answer = stand.chat(&key, &chat("priced", Play::whole(usage(50, 7)))).await;
        if answer.status != 200 {
            break answer;
        }
        delivered += 1;
    };
    assert_unavailable(&first);
    assert!(locked.elapsed() < Duration::from_secs(4), "{:?}", locked.elapsed());
    let asked = Instant::now();
    for body in [chat("priced", Play::whole(usage(50, 7))), streamed("priced", Play::stream(usage(50, 7)))] {
        assert_unavailable(&stand.chat(&key, &body).await);
    }
    assert!(asked.elapsed() < Duration::from_secs(1), "once it is known, nobody waits for it");
    assert_eq!(stand.upstream.count(), delivered + 1, "what cannot be paid is not sent upstream");
    stand.get(&key, "/v1/key").await.expect(200);
    stand.get("", "/readyz").await.expect(503);
    stand.get("", "/healthz").await.expect(200);

    other.execute_batch("ROLLBACK").unwrap();
    let served = || async { stand.chat(&key, &chat("priced", Play::whole(usage(50, 7)))).await.status };
    eventually("requests are served again", served, |status| *status == 200).await;
    stand.all_at_rest().await;
    stand.get("", "/readyz").await.expect(200);
    // Each answer that was delivered costs 50 × 1,000 + 7 × 4,000 nano.
    delivered += 1;
    assert_eq!(stand.balance("alice").0, nano("10").0 - 78_000 * delivered as i64);
    assert_eq!(stand.charges("alice").len(), delivered);
    assert_eq!(stand.record(&first.id()).await.charge, nano("0"));
    stand.gateway.audit();
}

#[tokio::test]
async fn an_answer_that_runs_while_the_storage_hangs_is_written_down_afterwards() {
    let (stand, key) = stand().await;
    let play = Play::head().deltas(1).gate("locked").finish().usage(&usage(50, 7)).done();
    let mut stream = stand.open(Protocol::Http1, &key, &streamed("priced", play)).await;
    stream.event().await.unwrap();
    let other = lock(&stand);
    stand.open_gate("locked");
    let id = stream.id.clone();
    assert_eq!(stream.rest().await.last().unwrap(), "data: [DONE]");
    other.execute_batch("ROLLBACK").unwrap();
    let record = stand.record(&id).await;
    assert_eq!((record.outcome.as_str(), record.charge), ("ok", nano("0.000078")));
    stand.gateway.audit();
}

/// Starts the program where it cannot run; its exit code and what it said.
fn serve(gateway: &Gateway) -> (Option<i32>, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .env_clear()
        .args(["--config", gateway.config_path().to_str().unwrap(), "serve"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while process.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            process.kill().unwrap();
            process.wait().unwrap();
            panic!("it runs where it must not");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = process.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[track_caller]
fn assert_refused_start(gateway: &Gateway, words: &str) {
    let (code, said) = serve(gateway);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.to_lowercase().contains(words), "{words:?} is not in {said:?}");
    assert!(!said.contains("panicked") && !said.contains("RUST_BACKTRACE"), "{said}");
}

#[tokio::test]
async fn a_second_server_on_the_same_file_does_not_start_and_the_first_goes_on() {
    let (stand, key) = stand().await;
    assert_refused_start(&stand.gateway, "another process");
    stand.chat(&key, &chat("priced", Play::whole(usage(1, 1)))).await.expect(200);
}

/// Books with an account in them, of a server that has ended, as `spoil` leaves them.
async fn spoiled(spoil: impl FnOnce(&std::path::Path)) -> Stand {
    let (mut stand, _) = stand().await;
    stand.gateway.stop();
    let books = Connection::open(stand.database()).unwrap();
    books.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(books);
    spoil(&stand.database());
    stand
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_in_plain_words_and_left_alone() {
    let letter = "Dear reader, this is not a database.\n".repeat(200);
    let stand = spoiled(|file| fs::write(file, &letter).unwrap()).await;
    assert_refused_start(&stand.gateway, "not a database");
    assert_eq!(fs::read_to_string(stand.database()).unwrap(), letter);
}

#[tokio::test]
async fn a_damaged_file_is_refused_in_plain_words() {
    let overwrite = |file: &std::path::Path| {
        let mut bytes = fs::read(file).unwrap();
        // All pages but the first.
        bytes[4096..].iter_mut().step_by(3).for_each(|byte| *byte = !*byte);
        fs::write(file, bytes).unwrap();
    };
    let stand = spoiled(overwrite).await;
    assert_refused_start(&stand.gateway, "damaged");
}

#[tokio::test]
async fn another_programs_database_is_refused_and_left_alone() {
    let replace = |file: &std::path::Path| {
        fs::remove_file(file).unwrap();
        Connection::open(file).unwrap().execute_batch("CREATE TABLE recipes (name TEXT)").unwrap();
    };
    let stand = spoiled(replace).await;
    let before = fs::read(stand.database()).unwrap();
    assert_refused_start(&stand.gateway, "another program");
    assert_eq!(fs::read(stand.database()).unwrap(), before);
}

#[tokio::test]
async fn a_newer_programs_file_is_refused_and_left_alone() {
    let renumber = |file: &std::path::Path| {
        Connection::open(file).unwrap().pragma_update(None, "user_version", 1_000).unwrap();
    };
    let stand = spoiled(renumber).await;
    assert_refused_start(&stand.gateway, "version 1000");
    let books = Connection::open(stand.database()).unwrap();
    let version: i64 = books.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 1_000);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named_at_the_start() {
    let (mut stand, _) = stand().await;
    stand.gateway.stop();
    let yaml = fs::read_to_string(stand.gateway.config_path()).unwrap();
    // A file stands where the folder should be.
    stand.gateway.write_config(&yaml.replace("sqlite:data/tollgate.db", "sqlite:tollgate.yaml/tollgate.db"));
    assert_refused_start(&stand.gateway, "tollgate.db");
}
