//! A start with years of history: it takes no longer and needs no more memory than the first one.

use std::time::{Duration, Instant};

use tollgate::core::money::Nano;
use tollgate::store::contract::{AccountRow, Change, Journal, KeyRow, Library, Outcome, RequestId, RequestRow};
use tollgate::store::sqlite::{Durability, Sqlite};

use crate::support::process::resident_bytes;
use crate::support::random::Random;
use crate::support::*;
use crate::{MIB, QUESTION, at_rest, quick_or_long};

#[tokio::test]
async fn a_million_rows_do_not_slow_a_start() {
    let rows: u64 = quick_or_long(30_000, 1_000_000);
    let upstream = Upstream::hello();
    let mut empty = prepared(&upstream);
    let (_, empty_bytes) = first_answer(&mut empty).await;
    empty.stop();

    let mut full = prepared(&upstream);
    let expired = write_history(&full, rows);
    let (took, full_bytes) = first_answer(&mut full).await;
    let more = full_bytes.saturating_sub(empty_bytes);
    eprintln!("{rows} rows: paid answer after {took:?}, {more} bytes more than {empty_bytes} without them");
    assert!(took <= STARTS_WITHIN, "it took {took:?}");
    assert!(more <= 16 * MIB, "{more} bytes more");

    // What is past its retention goes while the gateway serves.
    let kept = rows - expired + 1;
    let path = full.folder().join("data/tollgate.db");
    let library = Sqlite::open(&path, Durability::Normal).unwrap().library().unwrap();
    let records = || library.audit().unwrap().requests;
    wait_for_within(PATIENCE * 4, "old records are removed", || records() == kept).await;
    at_rest(&full).await;
    full.stop();
    let summary = full.audit();
    assert_eq!((&summary["entries"], &summary["requests"]), (&(rows + 2).into(), &kept.into()), "{summary}");
    assert_eq!(full.balance("alice").0, left(rows + 1));
}

fn prepared(upstream: &Upstream) -> Gateway {
    let mut gateway = Gateway::prepare_yaml(&Config::chain(&[upstream]).to_yaml());
    gateway.key = gateway.new_account("alice", "100");
    gateway
}

/// How long it took from the start of the program to the end of a paid answer, and the memory in use then.
async fn first_answer(gateway: &mut Gateway) -> (Duration, u64) {
    let begun = Instant::now();
    gateway.launch();
    gateway.chat(QUESTION).await.expect(200);
    (begun.elapsed(), resident_bytes(gateway))
}

/// Writes charged requests of the last 120 days into the storage, as the gateway itself does. Gives how many of them
/// are past their retention of 90 days.
fn write_history(gateway: &Gateway, rows: u64) -> u64 {
    let mut random = Random::from_environment();
    let storage = Sqlite::open(&gateway.folder().join("data/tollgate.db"), Durability::Normal).unwrap();
    let library = storage.library().unwrap();
    let account = library.account("alice").unwrap().unwrap();
    let key = library.key(&gateway.key.id).unwrap().unwrap();
    let mut journal = storage.journal().unwrap();
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let mut expired = 0;
    for first in (0..rows).step_by(GROUP) {
        let end = (first + GROUP as u64).min(rows);
        let group: Vec<Change> = (first..end)
            .map(|number| {
                let age_ms = (rows - number) * 120 * DAY_MS / (rows + 1);
                // Nobody knows on which side of the end a minute more or less is.
                let age_ms = if age_ms.abs_diff(90 * DAY_MS) < DAY_MS { 91 * DAY_MS } else { age_ms };
                expired += u64::from(age_ms > 90 * DAY_MS);
                request(&account, &key, now_ms - age_ms as i64, number, &mut random)
            })
            .collect();
        journal.commit(&group).unwrap();
    }
    expired
}

fn request(account: &AccountRow, key: &KeyRow, started_at_ms: i64, number: u64, random: &mut Random) -> Change {
    // Version 7 begins with the time; the rest makes it one of a kind, at random places as real ones are.
    let mut tail = [0; 10];
    tail[..2].copy_from_slice(&random.next().to_be_bytes()[..2]);
    tail[2..].copy_from_slice(&number.to_be_bytes());
    let id = uuid::Builder::from_unix_timestamp_millis(started_at_ms as u64, &tail).into_uuid();
    Change::Settle(Box::new(RequestRow {
        request: RequestId(id),
        account: account.id,
        key: key.record.id,
        endpoint: "chat_completions".into(),
        model: ["chat-model", "embed-model", "image-model"][random.below(3) as usize].into(),
        upstream: "u0".into(),
        status: 200,
        outcome: Outcome::Ok,
        estimated: false,
        anomalous: false,
        streamed: random.below(2) == 0,
        input_tokens: 10,
        cached_input_tokens: 0,
        output_tokens: 2,
        reasoning_tokens: 0,
        charge: CHARGE,
        price_version: "v1".into(),
        cost: Nano::ZERO,
        bill: String::new(),
        started_at_ms,
        ttft_ms: Some(random.between(100, 2_000) as u32),
        duration_ms: random.between(2_000, 20_000) as u32,
    }))
}

/// What is left of 100 after so many charges.
fn left(charges: u64) -> String {
    Nano(100_000_000_000 - CHARGE.0 * charges as i64).to_string()
}

const STARTS_WITHIN: Duration = Duration::from_secs(2);
const GROUP: usize = 4_096;
const DAY_MS: u64 = 86_400_000;
/// 10 x 150 and 2 x 600 nano, as the gateway charges `QUESTION`.
const CHARGE: Nano = Nano(2_700);
