//! The ledger on a real file: what a durable hold and its settlement cost, alone and in company.
//!
//! A commit waits for the disk, so the figure to look at is how much a group shares one: requests per second must grow
//! with the requests that run at the same time.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tollgate::core::key::{self, KeyHash, Limits};
use tollgate::core::money::Nano;
use tollgate::ledger::{Hold, Key, Ledger, NewHold, Options};
use tollgate::store::contract::{Change, Desk, HoldRow, Journal, NewKey, Outcome, RequestId, RequestRow};
use tollgate::store::sqlite::{Durability, Sqlite};

criterion_group!(benches, requests, commits, key_lookup);
criterion_main!(benches);

/// Holds that are waited for and then settled: a settlement is written before the next round's holds are, so each
/// round pays for both.
fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger/reserve and settle, durability full");
    group.sample_size(20);
    let books = Books::new(1, Durability::Full);
    let (ledger, key) = books.open();
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime starts");
    for running in [1, 16, 256] {
        group.throughput(Throughput::Elements(running));
        group.bench_function(format!("{running} at a time"), |bencher| {
            bencher.iter(|| reserve_and_settle(&ledger, &key, running, &runtime));
        });
    }
    ledger.close().expect("all is written");
}

fn reserve_and_settle(ledger: &Ledger, key: &Arc<Key>, running: u64, runtime: &Runtime) {
    let holds: Vec<Hold> =
        (0..running).map(|_| ledger.reserve(key, new_hold(), Nano(1_000)).expect("there is money for ever")).collect();
    // Written in order: when the last is durable, all are.
    let last = holds.last().expect("at least one is running");
    runtime.block_on(last.committed()).expect("the disk works");
    for hold in holds {
        let row = request_row(hold.request(), key);
        hold.settle(row);
    }
}

/// One transaction of the journal with so many requests in it, and nothing around it.
fn commits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger/commit");
    group.sample_size(20);
    for (name, durability) in [("full", Durability::Full), ("normal", Durability::Normal)] {
        let books = Books::new(1, durability);
        let (ledger, key) = books.open();
        ledger.close().expect("nothing is left to write");
        let mut journal = books.sqlite.journal().expect("nobody else serves the file");
        for requests in [1, 32, 512] {
            group.throughput(Throughput::Elements(requests));
            group.bench_function(format!("{requests} requests, durability {name}"), |bencher| {
                let group_of_changes = || (0..requests).flat_map(|_| changes(&key)).collect::<Vec<_>>();
                let commit = |changes: Vec<Change>| journal.commit(&changes).expect("the disk works");
                bencher.iter_batched(group_of_changes, commit, BatchSize::PerIteration);
            });
        }
    }
}

fn key_lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger/find_key");
    group.throughput(Throughput::Elements(1));
    let books = Books::new(10_000, Durability::Normal);
    let (ledger, _) = books.open();
    group.bench_function("among 10,000 keys", |bencher| {
        let mut hashes = books.hashes.iter().cycle();
        bencher.iter(|| ledger.find_key(black_box(hashes.next().expect("a cycle has no end"))));
    });
}

/// A database file with one rich account and its keys.
struct Books {
    sqlite: Sqlite,
    hashes: Vec<KeyHash>,
    _folder: TempDir,
}

impl Books {
    fn new(keys: usize, durability: Durability) -> Books {
        // Beside the build, not in /tmp: that is often memory, where a commit costs nothing.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder can be written");
        let file = folder.path().join("books.db");
        let hashes = fill(&file, keys);
        let sqlite = Sqlite::open(&file, durability).expect("the file can be opened");
        Books { sqlite, hashes, _folder: folder }
    }

    fn open(&self) -> (Arc<Ledger>, Arc<Key>) {
        let journal = self.sqlite.journal().expect("nobody else serves the file");
        let library = self.sqlite.library().expect("the file can be read");
        let (ledger, _) =
            Ledger::open(Box::new(journal), Box::new(library), Options::default(), NOW_MS).expect("the books open");
        let key = ledger.find_key(&self.hashes[0]).expect("the key was just made");
        (ledger, key)
    }
}

fn fill(file: &Path, keys: usize) -> Vec<KeyHash> {
    // Preparing is not what is measured: it need not wait for the disk.
    let sqlite = Sqlite::open(file, Durability::Normal).expect("the file can be made");
    let mut desk = sqlite.desk().expect("the file can be written");
    let account = desk.create_account("bench", "default", RICH, NOW_MS).expect("the name is free");
    let hashes: Vec<KeyHash> = (0..keys).map(|number| key::hash(format!("key {number}").as_bytes())).collect();
    for hash in &hashes {
        desk.create_key(account.id, &new_key(*hash), NOW_MS).expect("the key is new");
    }
    hashes
}

fn new_key(hash: KeyHash) -> NewKey {
    NewKey {
        name: "bench".into(),
        hash,
        prefix: "sk-tg-…".into(),
        expires_at_ms: None,
        models: Vec::new(),
        limits: Limits::default(),
        budget: None,
        allow_ips: Vec::new(),
    }
}

fn new_hold() -> NewHold {
    NewHold {
        request: RequestId::new(),
        endpoint: ENDPOINT,
        model: MODEL.into(),
        streamed: false,
        price_version: PRICE_VERSION.into(),
        started_at_ms: NOW_MS,
    }
}

/// What one request has the journal write.
fn changes(key: &Key) -> [Change; 2] {
    let request = RequestId::new();
    let hold = HoldRow {
        request,
        account: key.account.id,
        key: key.id(),
        endpoint: ENDPOINT.into(),
        model: MODEL.into(),
        streamed: false,
        amount: Nano(1_000),
        price_version: PRICE_VERSION.into(),
        started_at_ms: NOW_MS,
    };
    [Change::Hold(Box::new(hold)), Change::Settle(Box::new(request_row(request, key)))]
}

fn request_row(request: RequestId, key: &Key) -> RequestRow {
    RequestRow {
        request,
        account: key.account.id,
        key: key.id(),
        endpoint: ENDPOINT.into(),
        model: MODEL.into(),
        upstream: "mock".into(),
        status: 200,
        outcome: Outcome::Ok,
        estimated: false,
        anomalous: false,
        streamed: false,
        input_tokens: 25,
        cached_input_tokens: 0,
        output_tokens: 16,
        reasoning_tokens: 0,
        charge: Nano(100),
        price_version: PRICE_VERSION.into(),
        cost: Nano::ZERO,
        bill: String::new(),
        started_at_ms: NOW_MS,
        ttft_ms: Some(200),
        duration_ms: 1_500,
    }
}

const ENDPOINT: &str = "chat_completions";
const MODEL: &str = "gpt-4o-mini";
const PRICE_VERSION: &str = "v1";
const NOW_MS: i64 = 1_790_000_000_000;
/// A billion units.
const RICH: Nano = Nano(1_000_000_000_000_000_000);
