//! The storage against its contract, on real files.

mod actions;
mod audit;
mod codes;
mod desk;
mod files;
mod journal;
mod library;
mod people;
mod properties;
mod reports;

use rusqlite::Connection;
use tempfile::TempDir;
use uuid::Builder;

use super::*;
use crate::core::bill::{Bill, Item};
use crate::core::key::{self, Limits};
use crate::core::money::{Markup, Nano, NanoSum, Pico};
use crate::store::contract::*;

/// 2026-09-21, 14:13:20 UTC.
const NOW_MS: i64 = 1_790_000_000_000;
const DAY_MS: i64 = 86_400_000;

/// A storage with one account, which has ten units and one key.
struct Books {
    folder: TempDir,
    sqlite: Sqlite,
    journal: SqliteJournal,
    desk: SqliteDesk,
    library: SqliteLibrary,
    account: AccountRow,
    key: KeyRow,
}

impl Books {
    fn new() -> Books {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = Sqlite::open(&folder.path().join("t.db"), Durability::Normal).unwrap();
        let mut desk = sqlite.desk().unwrap();
        let account = desk.create_account("alice", "default", units("10"), NOW_MS).unwrap();
        let key = desk.create_key(account.id, &new_key("laptop"), NOW_MS).unwrap();
        let (journal, library) = (sqlite.journal().unwrap(), sqlite.library().unwrap());
        Books { folder, sqlite, journal, desk, library, account, key }
    }

    /// As if the process had died, and another begun.
    fn reopen(&mut self) {
        // The lock goes with the journal, so there is another in between.
        let elsewhere = tempfile::tempdir().unwrap();
        let other = Sqlite::open(&elsewhere.path().join("t.db"), Durability::Normal).unwrap();
        self.journal = other.journal().unwrap();
        self.journal = self.sqlite.journal().unwrap();
    }

    fn hold(&self, number: u64, amount: &str) -> Change {
        Change::Hold(Box::new(HoldRow {
            request: request_id(number),
            account: self.account.id,
            key: self.key.record.id,
            endpoint: "chat/completions".into(),
            model: "gpt-4o-mini".into(),
            streamed: true,
            amount: units(amount),
            price_version: "v1".into(),
            started_at_ms: NOW_MS,
        }))
    }

    fn end(&self, number: u64, charge: &str) -> RequestRow {
        RequestRow {
            request: request_id(number),
            account: self.account.id,
            key: self.key.record.id,
            endpoint: "chat/completions".into(),
            model: "gpt-4o-mini".into(),
            upstream: "openai".into(),
            status: 200,
            outcome: Outcome::Ok,
            estimated: false,
            anomalous: false,
            streamed: true,
            input_tokens: 100,
            cached_input_tokens: 40,
            output_tokens: 20,
            reasoning_tokens: 5,
            charge: units(charge),
            price_version: "v1".into(),
            cost: units(charge),
            bill: bill(units(charge)),
            started_at_ms: NOW_MS,
            ttft_ms: Some(200),
            duration_ms: 1_500,
        }
    }

    fn settle(&self, number: u64, charge: &str) -> Change {
        Change::Settle(Box::new(self.end(number, charge)))
    }

    fn checkpoint(&self, number: u64, hold: &str, charge: &str) -> Change {
        Change::Checkpoint(Box::new(CheckpointRow {
            request: request_id(number),
            hold: units(hold),
            charge: units(charge),
            upstream: "openai".into(),
            input_tokens: 90,
            output_tokens: 7,
        }))
    }

    fn account(&self) -> AccountRow {
        self.library.account("alice").unwrap().unwrap()
    }

    fn spent(&self) -> Nano {
        self.library.key(&self.key.record.public_id).unwrap().unwrap().spent
    }

    fn entries(&self) -> Vec<LedgerEntry> {
        self.library.ledger(self.account.id, None, 1_000).unwrap()
    }

    fn totals(&self) -> Vec<UsageRow> {
        let filter = UsageFilter { by: UsageBy::Day, account: None, from_day: None, to_day: None };
        self.library.usage(&filter).unwrap()
    }

    fn assert_proved(&self) -> AuditReport {
        let report = self.library.audit().unwrap();
        assert_eq!(report.differences, Vec::<String>::new());
        report
    }

    fn raw(&self) -> Connection {
        Connection::open(self.folder.path().join("t.db")).unwrap()
    }
}

/// One line, for the whole charge.
fn bill(charge: Nano) -> String {
    let mut bill = Bill::new(Markup::LIST_PRICE);
    bill.put(Item::PerRequest, 1, Pico(charge.0.unsigned_abs() * 1_000));
    if charge > Nano::ZERO { bill.to_string() } else { String::new() }
}

fn units(text: &str) -> Nano {
    text.parse().unwrap()
}

/// Ids in the order of their numbers, all of the moment [`NOW_MS`].
fn request_id(number: u64) -> RequestId {
    request_id_at(NOW_MS, number)
}

fn request_id_at(ms: i64, number: u64) -> RequestId {
    let mut tail = [0; 10];
    tail[2..].copy_from_slice(&number.to_be_bytes());
    RequestId(Builder::from_unix_timestamp_millis(u64::try_from(ms).unwrap(), &tail).into_uuid())
}

fn new_key(name: &str) -> NewKey {
    let text = key::generate().unwrap();
    NewKey {
        name: name.into(),
        hash: key::hash(text.expose().as_bytes()),
        prefix: key::display_prefix(text.expose()),
        expires_at_ms: None,
        models: Vec::new(),
        limits: Limits::default(),
        budget: None,
        allow_ips: Vec::new(),
    }
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    match outcome {
        Err(StoreError::Refused(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}
