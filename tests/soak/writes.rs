//! A storage that fails at every write in turn: at the first commit, at the second, and so on to the last.
//!
//! What it had done when it reported the failure is nobody's to know: nothing, everything, or, against its promise, a
//! part. And it comes back, or it does not before the process has ended. Whatever it is: each answer that was given out
//! has its record, nothing is charged twice, the books balance, and the ledger works again.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tollgate::core::account::AccountId;
use tollgate::core::key::{self, KeyHash, Limits};
use tollgate::core::money::Nano;
use tollgate::ledger::{Hold, Key, Ledger, NewHold, Options, ReserveError};
use tollgate::store::contract::*;
use tollgate::store::sqlite::{Durability, Sqlite};

use crate::quick_or_long;
use crate::support::PATIENCE;

#[test]
fn every_nth_write_fails_cleanly() {
    let commits = run(&Plan { fails_at: u64::MAX, written: Written::Nothing, lasting: false });
    assert!(commits > REQUESTS, "the requests shared their commits: there is almost nothing that can fail");
    let mut plans = Vec::new();
    for fails_at in 1..=commits {
        for written in [Written::Nothing, Written::Half, Written::All] {
            plans.extend([false, true].map(|lasting| Plan { fails_at, written, lasting }));
        }
    }
    // They mostly wait for a storage to come back.
    for together in plans.chunks(32) {
        std::thread::scope(|scope| {
            for plan in together {
                scope.spawn(move || run(plan));
            }
        });
    }
    eprintln!("{} commits, {} ways to fail", commits, plans.len());
}

/// Which commit fails, and how.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// Counted from 1.
    fails_at: u64,
    written: Written,
    /// All that follow fail as well, until the process has ended and another one begins.
    lasting: bool,
}

/// What had been written when the failure was reported.
#[derive(Clone, Copy, Debug)]
enum Written {
    Nothing,
    Half,
    All,
}

struct Failing {
    inner: Box<dyn Journal>,
    plan: Plan,
    commits: Arc<AtomicU64>,
}

impl Journal for Failing {
    fn commit(&mut self, group: &[Change]) -> Result<(), StoreError> {
        let nth = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        let fails = nth == self.plan.fails_at || self.plan.lasting && nth > self.plan.fails_at;
        let written = match self.plan.written {
            _ if !fails => group,
            Written::Nothing => &[],
            Written::Half => &group[..group.len() / 2],
            Written::All => group,
        };
        if !written.is_empty() {
            self.inner.commit(written)?;
        }
        if fails { Err(StoreError::Unavailable("it fails by plan".into())) } else { Ok(()) }
    }

    fn recover(&mut self, now_ms: i64) -> Result<Recovery, StoreError> {
        self.inner.recover(now_ms)
    }

    fn prune(&mut self, before_ms: i64) -> Result<u64, StoreError> {
        self.inner.prune(before_ms)
    }
}

/// Runs the scenario on a new storage and checks what is left. Gives the number of commits that were tried.
fn run(plan: &Plan) -> u64 {
    let storage = Storage::new();
    let commits = Arc::new(AtomicU64::new(0));
    let inner = Box::new(storage.sqlite.journal().unwrap());
    let (ledger, _) = storage.open(Box::new(Failing { inner, plan: *plan, commits: commits.clone() }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let ends = runtime.block_on(scenario(&storage, &ledger, plan));
    let closed = ledger.close();
    assert!(closed.is_ok() || plan.lasting, "{plan:?}: {closed:?}");
    let before = storage.balance(&ledger);
    drop(ledger);

    let (ledger, recovery) = storage.reopen();
    if closed.is_ok() {
        assert_eq!((recovery.holds, storage.balance(&ledger)), (0, before), "{plan:?}");
    }
    storage.check(&ledger, &ends, closed.is_ok(), plan);
    // And it works.
    let key = ledger.find_key(&storage.hash).unwrap();
    runtime.block_on(async {
        let hold = ledger.reserve(&key, new_hold(), HELD).expect("it takes money again");
        hold.committed().await.expect("it writes again");
        hold.settle(record(Nano(1)));
    });
    ledger.close().unwrap();
    assert_eq!(storage.audit(plan).holds, 0);
    commits.load(Ordering::Relaxed)
}

/// How a request ended, as its client saw it.
struct End {
    request: RequestId,
    /// Its hold was durable, so the answer went out.
    delivered: bool,
    charge: Nano,
    /// What the last checkpoint says that it costs.
    checkpoint: Nano,
}

/// Requests that end in every way, one after the other, each step with a commit of its own.
async fn scenario(storage: &Storage, ledger: &Ledger, plan: &Plan) -> Vec<End> {
    let key = ledger.find_key(&storage.hash).unwrap();
    let mut ends = Vec::new();
    for number in 0..REQUESTS {
        if number == REQUESTS / 2 {
            storage.credit(CREDIT_MORE);
            ledger.follow().unwrap();
        }
        ledger.key_used(&key, 300_000 * number as i64);
        let Some(hold) = reserve(ledger, &key, plan).await else { continue };
        ends.push(one_request(ledger, hold, number, plan).await);
    }
    ends
}

/// `None`: the storage is known not to write, and will not before the end.
async fn reserve(ledger: &Ledger, key: &Arc<Key>, plan: &Plan) -> Option<Hold> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ledger.reserve(key, new_hold(), HELD) {
            Ok(hold) => return Some(hold),
            Err(ReserveError::Unavailable(_)) if plan.lasting => return None,
            Err(ReserveError::Unavailable(_)) if Instant::now() < deadline => tokio::time::sleep(POLL_EVERY).await,
            Err(error) => panic!("{plan:?}: {error:?}"),
        }
    }
}

async fn one_request(ledger: &Ledger, mut hold: Hold, number: u64, plan: &Plan) -> End {
    let request = hold.request();
    if hold.committed().await.is_err() {
        // As the pipeline does: nothing went out, nothing is charged.
        let charge = hold.settle(RequestRow { status: 503, ..record(Nano::ZERO) });
        return End { request, delivered: false, charge, checkpoint: Nano::ZERO };
    }
    let mut checkpoint = Nano::ZERO;
    if !number.is_multiple_of(3) {
        checkpoint = Nano(7);
        hold.extend(Nano(50)).unwrap();
        hold.checkpoint(checkpoint, "u", 1, 1);
        written(ledger, plan).await;
    }
    let charge = match number % 4 {
        0 => hold.settle(record(Nano(11))),
        1 => hold.settle(record(Nano(900))),
        2 => {
            drop(hold);
            checkpoint
        }
        _ => hold.settle(record(Nano::ZERO)),
    };
    written(ledger, plan).await;
    End { request, delivered: true, charge, checkpoint }
}

/// Waits until all that was queued is durable, or never will be.
async fn written(ledger: &Ledger, plan: &Plan) {
    let deadline = Instant::now() + PATIENCE;
    while ledger.stats().queue_entries > 0 && (ledger.healthy() || !plan.lasting) {
        assert!(Instant::now() < deadline, "{plan:?}: it is never written");
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// A storage with one account and one key.
struct Storage {
    _folder: tempfile::TempDir,
    sqlite: Sqlite,
    path: PathBuf,
    account: AccountId,
    hash: KeyHash,
}

impl Storage {
    fn new() -> Storage {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("books.db");
        let sqlite = Sqlite::open(&path, Durability::Normal).unwrap();
        let mut desk = sqlite.desk().unwrap();
        let account = desk.create_account("alice", "default", CREDIT, 0).unwrap().id;
        let text = key::generate().unwrap();
        let hash = key::hash(text.expose().as_bytes());
        let key = NewKey {
            name: "key".into(),
            hash,
            prefix: key::display_prefix(text.expose()),
            expires_at_ms: None,
            models: Vec::new(),
            limits: Limits::default(),
            budget: None,
            allow_ips: Vec::new(),
        };
        desk.create_key(account, &key, 0).unwrap();
        Storage { _folder: folder, sqlite, path, account, hash }
    }

    fn open(&self, journal: Box<dyn Journal>) -> (Arc<Ledger>, Recovery) {
        let options = Options {
            collect: Duration::ZERO,
            linger: Duration::ZERO,
            commit_wait: Duration::from_millis(quick_or_long(500, 2_000)),
            close_wait: Duration::from_millis(quick_or_long(100, 2_000)),
            ..Options::default()
        };
        Ledger::open(journal, Box::new(self.sqlite.library().unwrap()), options, 1).unwrap()
    }

    /// As the next process does, as soon as the dying one has let go.
    fn reopen(&self) -> (Arc<Ledger>, Recovery) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.sqlite.journal() {
                Ok(journal) => return self.open(Box::new(journal)),
                Err(StoreError::Refused(_)) if Instant::now() < deadline => std::thread::sleep(POLL_EVERY),
                Err(error) => panic!("{}: {error:?}", self.path.display()),
            }
        }
    }

    fn credit(&self, amount: Nano) {
        self.sqlite.desk().unwrap().post(self.account, EntryKind::Credit, amount, None, None, 1).unwrap();
    }

    /// Balance and held, in memory.
    fn balance(&self, ledger: &Ledger) -> (Nano, Nano) {
        let balance = ledger.account(self.account).unwrap().balance();
        (balance.balance, balance.held)
    }

    fn audit(&self, plan: &Plan) -> AuditReport {
        let report = self.sqlite.library().unwrap().audit().unwrap();
        assert_eq!(report.differences, Vec::<String>::new(), "{plan:?}");
        report
    }

    /// The books after it all. `whole`: everything was written in the end.
    fn check(&self, ledger: &Ledger, ends: &[End], whole: bool, plan: &Plan) {
        assert_eq!(self.audit(plan).holds, 0, "{plan:?}");
        let library = self.sqlite.library().unwrap();
        let entries = library.ledger(self.account, None, 1_000).unwrap();
        let charges: Vec<_> = entries.iter().filter(|entry| entry.kind == EntryKind::Charge).collect();
        let charged: HashSet<_> = charges.iter().filter_map(|entry| entry.request).collect();
        assert_eq!(charged.len(), charges.len(), "{plan:?}: charged twice");
        let mut sum = Nano::ZERO;
        for end in ends {
            let row = library.request(end.request).unwrap().map(|view| view.row);
            assert!(row.is_some() || !end.delivered, "{plan:?}: an answer without a record");
            let charge = row.map_or(Nano::ZERO, |row| row.charge);
            let as_ended = charge == end.charge;
            // A process that could not write the end is believed what it wrote before.
            let as_died = !whole && (charge == end.checkpoint || charge == Nano::ZERO);
            assert!(as_ended || as_died, "{plan:?}: {charge} instead of {}", end.charge);
            sum = sum.saturating_add(charge);
        }
        let expected = CREDIT.saturating_add(CREDIT_MORE).saturating_sub(sum);
        assert_eq!(self.balance(ledger), (expected, Nano::ZERO), "{plan:?}");
        assert_eq!(ledger.find_key(&self.hash).unwrap().spent(), sum, "{plan:?}");
    }
}

fn new_hold() -> NewHold {
    NewHold {
        request: RequestId::new(),
        endpoint: "chat_completions",
        model: "m".into(),
        streamed: true,
        price_version: "v1".into(),
        started_at_ms: 7,
    }
}

/// A good end. The ledger knows whose it is.
fn record(charge: Nano) -> RequestRow {
    RequestRow {
        request: RequestId::new(),
        account: AccountId(0),
        key: tollgate::core::key::KeyId(0),
        endpoint: "chat_completions".into(),
        model: "m".into(),
        upstream: "u".into(),
        status: 200,
        outcome: Outcome::Ok,
        estimated: false,
        anomalous: false,
        streamed: true,
        input_tokens: 1,
        cached_input_tokens: 0,
        output_tokens: 1,
        reasoning_tokens: 0,
        charge,
        price_version: "v1".into(),
        cost: Nano::ZERO,
        bill: String::new(),
        started_at_ms: 7,
        ttft_ms: Some(1),
        duration_ms: 2,
    }
}

const REQUESTS: u64 = 8;
const CREDIT: Nano = Nano(1_000_000);
const CREDIT_MORE: Nano = Nano(1_000);
const HELD: Nano = Nano(100);
const POLL_EVERY: Duration = Duration::from_millis(2);
