//! The ledger against storage in memory: decisions, endings, durability, and the Desk's news.

mod carried;
mod properties;
mod storage;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;
use crate::core::account::AccountStatus;
use crate::core::api_error::Purse;
use crate::core::key::KeyStatus;
use crate::store::contract::{EntryKind, RequestId};
use storage::{Storage, hash};

/// A ledger over storage with one account and one key.
struct Scene {
    storage: Storage,
    ledger: Arc<Ledger>,
    account: Arc<Account>,
    key: Arc<Key>,
}

fn scene(credit: i64, budget: Option<i64>) -> Scene {
    scene_with(credit, budget, Options { collect: Duration::ZERO, ..Options::default() })
}

/// Waiters lose patience soon: what hangs here hangs for good.
fn impatient() -> Options {
    Options { collect: Duration::ZERO, commit_wait: Duration::from_millis(40), ..Options::default() }
}

fn scene_with(credit: i64, budget: Option<i64>, options: Options) -> Scene {
    let storage = Storage::default();
    let account = storage.state().add_account(Nano(credit));
    let hash = storage.state().add_key(account, budget.map(Nano));
    let (ledger, _) = Ledger::open(storage.journal(), storage.library(), options, 0).unwrap();
    let (account, key) = (ledger.account(account).unwrap(), ledger.find_key(&hash).unwrap());
    Scene { storage, ledger, account, key }
}

impl Scene {
    fn reserve(&self, amount: i64) -> Result<Hold, ReserveError> {
        self.ledger.reserve(&self.key, new_hold(), Nano(amount))
    }

    fn hold(&self, amount: i64) -> Hold {
        self.reserve(amount).expect("the purse covers it")
    }

    fn refusal(&self, amount: i64) -> ReserveError {
        self.reserve(amount).err().expect("the purse does not cover it")
    }

    fn balance(&self) -> (i64, i64) {
        let Balance { balance, held, available } = self.account.balance();
        assert_eq!(available.0, balance.0 - held.0);
        (balance.0, held.0)
    }

    /// Everything is written, and storage and memory agree.
    fn close(&self) {
        self.ledger.close().unwrap();
        let state = self.storage.state();
        assert_eq!(state.holds.len(), 0);
        assert_eq!(state.accounts[&self.account.id].balance, self.account.balance().balance);
        assert_eq!(state.keys[&self.key.id()].spent, self.key.spent());
    }
}

/// Waits for what the writer does by itself, after a moment.
fn eventually<T>(look: impl Fn() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        match look() {
            Some(found) => return found,
            None if std::time::Instant::now() > deadline => panic!("it never came"),
            None => thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn new_hold() -> NewHold {
    NewHold {
        request: RequestId::new(),
        endpoint: "chat",
        model: "m".into(),
        streamed: true,
        price_version: "v1".into(),
        started_at_ms: 7,
    }
}

fn record(charge: i64) -> RequestRow {
    RequestRow {
        request: RequestId::new(),
        account: AccountId(0),
        key: KeyId(0),
        endpoint: "chat".into(),
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
        charge: Nano(charge),
        price_version: "v1".into(),
        cost: Nano::ZERO,
        bill: String::new(),
        started_at_ms: 7,
        ttft_ms: Some(1),
        duration_ms: 2,
    }
}

// Decisions.

#[test]
fn ten_thousand_parallel_reservations_on_money_for_a_hundred_admit_a_hundred() {
    let scene = scene(100 * 7, None);
    let start = std::sync::Barrier::new(64);
    let try_many = |thread: usize| {
        let tries = 10_000 / 64 + usize::from(thread < 10_000 % 64);
        start.wait();
        (0..tries).filter_map(|_| scene.reserve(7).ok()).collect::<Vec<_>>()
    };
    let holds: Vec<Hold> = thread::scope(|scope| {
        let threads: Vec<_> = (0..64).map(|thread| scope.spawn(move || try_many(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(holds.len(), 100);
    assert_eq!(scene.balance(), (700, 700));
    assert_eq!(scene.ledger.stats().holds_open, 100);
    holds.into_iter().for_each(|hold| assert_eq!(hold.settle(record(7)), Nano(7)));
    assert_eq!(scene.balance(), (0, 0));
    scene.close();
}

#[test]
fn a_budget_is_as_exact_as_a_balance() {
    let scene = scene(1_000_000, Some(30));
    let admitted = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..50 {
                    if let Ok(hold) = scene.reserve(3) {
                        admitted.fetch_add(1, Ordering::Relaxed);
                        hold.settle(record(3));
                    }
                }
            });
        }
    });
    assert_eq!((admitted.into_inner(), scene.key.spent(), scene.key.budget_left()), (10, Nano(30), Some(Nano(0))));
    scene.close();
}

#[test]
fn a_refusal_says_whose_money_is_short_and_takes_nothing_from_the_other() {
    let scene = scene(100, Some(60));
    let running = scene.hold(50);
    let insufficient = |needed, available, whose, fits_later| ReserveError::Insufficient {
        needed: Nano(needed),
        available: Nano(available),
        whose,
        fits_later,
    };
    assert_eq!(scene.refusal(20), insufficient(20, 10, Purse::KeyBudget, true));
    assert_eq!(scene.refusal(61), insufficient(61, 50, Purse::Account, false), "never fits the budget");
    assert_eq!(scene.refusal(101), insufficient(101, 50, Purse::Account, false));
    assert_eq!((scene.balance(), scene.key.budget_left()), ((100, 50), Some(Nano(10))));
    running.settle(record(10));
    assert_eq!((scene.balance(), scene.key.budget_left()), ((90, 0), Some(Nano(50))));
    scene.hold(50).settle(record(0));
    scene.close();
}

#[test]
fn a_free_request_needs_no_money_but_no_debt_either() {
    let scene = scene(0, Some(0));
    scene.hold(0).settle(record(0));
    scene.hold(-5).settle(record(-5));
    assert_eq!(scene.balance(), (0, 0));
    scene.storage.state().post(scene.account.id, EntryKind::Adjust, Nano(-1), None);
    scene.ledger.follow().unwrap();
    assert!(matches!(scene.refusal(0), ReserveError::Insufficient { fits_later: false, .. }));
    scene.close();
}

#[test]
fn an_extension_is_decided_like_a_reservation() {
    let scene = scene(100, Some(90));
    let (mut first, second) = (scene.hold(40), scene.hold(40));
    assert_eq!(first.extend(Nano(11)), Err(InsufficientFunds));
    assert_eq!(first.extend(Nano(10)), Ok(()));
    assert_eq!(first.extend(Nano(i64::MAX)), Err(InsufficientFunds));
    assert_eq!((first.amount(), scene.balance()), (Nano(50), (100, 90)));
    drop(second);
    assert_eq!(first.extend(Nano(i64::MIN)), Ok(()));
    assert_eq!((first.settle(record(50)), scene.balance()), (Nano(50), (50, 0)));
    scene.close();
}

// Endings.

#[test]
fn a_charge_beyond_its_hold_is_booked_in_full_up_to_ten_times() {
    let scene = scene(1_000, None);
    assert_eq!(scene.hold(100).settle(record(1_000)), Nano(1_000));
    assert_eq!(scene.balance(), (0, 0));
    let stats = scene.ledger.stats();
    assert_eq!((stats.charges_beyond_hold, stats.beyond_hold, stats.charges_anomalous), (1, Nano(900), 0));
    scene.close();
}

#[test]
fn a_charge_beyond_belief_is_cut_to_the_hold() {
    let scene = scene(1_000, None);
    let hold = scene.hold(100);
    let request = hold.request();
    assert_eq!(hold.settle(record(1_001)), Nano(100));
    let stats = scene.ledger.stats();
    assert_eq!((stats.charges_beyond_hold, stats.charges_anomalous), (0, 1));
    scene.close();
    let row = scene.storage.state().requests[&request].clone();
    assert_eq!((row.charge, row.anomalous, row.account, row.key), (Nano(100), true, scene.account.id, scene.key.id()));
}

#[test]
fn a_dropped_hold_ends_as_interrupted_by_its_last_checkpoint() {
    let scene = scene(100, None);
    let (mut seen, unseen) = (scene.hold(30), scene.hold(30));
    let requests = (seen.request(), unseen.request());
    seen.checkpoint(Nano(4), "u", 3, 1);
    seen.checkpoint(Nano(9), "u", 3, 6);
    drop((seen, unseen));
    assert_eq!(scene.balance(), (91, 0));
    scene.close();
    let state = scene.storage.state();
    let (seen, unseen) = (&state.requests[&requests.0], &state.requests[&requests.1]);
    assert_eq!((seen.outcome, seen.charge, seen.estimated), (Outcome::Interrupted, Nano(9), true));
    assert_eq!((seen.upstream.as_str(), seen.input_tokens, seen.output_tokens), ("u", 3, 6));
    assert_eq!((seen.model.as_str(), seen.price_version.as_str(), seen.started_at_ms), ("m", "v1", 7));
    assert_eq!((unseen.outcome, unseen.charge, unseen.estimated), (Outcome::Interrupted, Nano(0), true));
}

#[test]
fn a_panic_gives_the_hold_back() {
    let scene = scene(100, None);
    let ended = thread::scope(|scope| {
        scope
            .spawn(|| {
                let mut hold = scene.hold(60);
                hold.checkpoint(Nano(1), "u", 1, 0);
                std::panic::resume_unwind(Box::new("a stage failed"));
            })
            .join()
    });
    assert!(ended.is_err());
    assert_eq!((scene.balance(), scene.ledger.stats().holds_open), ((99, 0), 0));
    scene.close();
}

#[test]
fn a_refused_request_leaves_a_record_and_no_charge() {
    let scene = scene(100, None);
    let row = RequestRow { account: scene.account.id, key: scene.key.id(), ..record(5) };
    scene.ledger.record_refused(row.clone());
    scene.close();
    let state = scene.storage.state();
    assert_eq!((state.requests[&row.request].outcome, state.entries.len()), (Outcome::Refused, 1));
}

#[test]
fn a_key_s_use_is_written_once_in_five_minutes() {
    let scene = scene(100, None);
    for now_ms in [1_000, 2_000, 300_999, 301_000, 301_001] {
        scene.ledger.key_used(&scene.key, now_ms);
    }
    scene.close();
    assert_eq!(scene.storage.state().uses, [(scene.key.id(), 1_000), (scene.key.id(), 301_000)]);
}

// Durability.

#[tokio::test]
async fn many_requests_share_a_commit() {
    let scene = scene(1_000, None);
    scene.storage.hang(true);
    let holds: Vec<Hold> = (0..1_000).map(|_| scene.hold(1)).collect();
    scene.storage.hang(false);
    for hold in &holds {
        hold.committed().await.unwrap();
    }
    assert_eq!(scene.storage.state().holds.len(), 1_000);
    // The one that was under way, and the rest.
    assert!(scene.ledger.stats().commits <= 2);
    drop(holds);
    scene.close();
    assert_eq!(scene.storage.state().commits.iter().sum::<usize>(), 2_000);
}

#[tokio::test]
async fn every_waiter_hears_of_the_commit() {
    let scene = scene(100, None);
    scene.storage.hang(true);
    let waiters: Vec<_> = (0..100)
        .map(|_| {
            let hold = scene.hold(1);
            tokio::spawn(async move {
                let answer = hold.committed().await;
                hold.settle(record(1));
                answer
            })
        })
        .collect();
    // Every task gets its turn to wait before there is anything to hear.
    tokio::task::yield_now().await;
    scene.storage.hang(false);
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), Ok(()));
    }
    scene.close();
}

#[tokio::test]
async fn a_failed_group_is_kept_and_written_later_in_order() {
    let scene = scene(100, None);
    scene.storage.state().failures = 2;
    let mut hold = scene.hold(10);
    hold.checkpoint(Nano(3), "u", 1, 1);
    hold.committed().await.unwrap();
    assert!(scene.ledger.healthy());
    assert_eq!(scene.ledger.stats().commit_failures, 2);
    drop(hold);
    scene.close();
    assert_eq!(scene.balance(), (97, 0));
}

#[tokio::test]
async fn storage_that_cannot_write_refuses_new_holds_and_ends_old_ones() {
    let scene = scene_with(100, None, impatient());
    let old = scene.hold(10);
    while old.committed().await.is_err() {}
    scene.storage.state().failures = usize::MAX;
    let unlucky = scene.hold(10);
    while scene.ledger.healthy() {
        thread::yield_now();
    }
    assert_eq!(unlucky.committed().await, Err(LedgerUnavailable));
    assert_eq!(scene.refusal(10), ReserveError::Unavailable(LedgerUnavailable));
    assert_eq!(scene.balance(), (100, 20), "a refusal holds nothing");
    old.settle(record(5));
    scene.storage.state().failures = 0;
    while unlucky.committed().await.is_err() {}
    assert!(scene.ledger.healthy());
    unlucky.settle(record(0));
    scene.ledger.close().unwrap();
    assert_eq!(scene.storage.state().accounts[&scene.account.id].balance, Nano(95));
}

#[tokio::test]
async fn storage_that_hangs_is_found_out_by_those_who_wait() {
    let scene = scene_with(100, None, impatient());
    scene.storage.hang(true);
    let hold = scene.hold(10);
    assert!(scene.ledger.healthy(), "nobody knows yet");
    assert_eq!(hold.committed().await, Err(LedgerUnavailable));
    assert!(!scene.ledger.healthy());
    scene.storage.hang(false);
    while hold.committed().await.is_err() {}
    assert!(scene.ledger.healthy());
}

#[test]
fn a_filling_queue_keeps_its_room_for_the_ends_of_running_requests() {
    let scene = scene_with(1_000, None, Options { queue_max: 40, ..impatient() });
    scene.storage.hang(true);
    let row = RequestRow { account: scene.account.id, key: scene.key.id(), ..record(0) };
    for _ in 0..30 {
        scene.ledger.record_refused(RequestRow { request: RequestId::new(), ..row.clone() });
    }
    let stats = scene.ledger.stats();
    assert_eq!((stats.queue_entries, stats.notes_dropped), (11, 19));
    let holds: Vec<Hold> = std::iter::from_fn(|| scene.reserve(1).ok()).collect();
    assert_eq!((holds.len(), scene.ledger.healthy()), (10, false));
    drop(holds);
    assert_eq!((scene.ledger.stats().queue_entries, scene.balance()), (31, (1_000, 0)));
    scene.storage.hang(false);
    while !scene.ledger.healthy() {
        thread::yield_now();
    }
}

#[test]
fn checkpoints_do_not_pile_up_while_storage_hangs() {
    let scene = scene(100, None);
    scene.storage.hang(true);
    let mut hold = scene.hold(50);
    (1..=1_000).for_each(|charge| hold.checkpoint(Nano(charge % 50), "u", 1, 1));
    hold.checkpoint(Nano(42), "u", 1, 42);
    assert_eq!(scene.ledger.stats().queue_entries, 2, "the hold and its first checkpoint");
    drop(hold);
    assert_eq!(scene.balance(), (58, 0), "but the last one counts");
    scene.storage.hang(false);
    scene.close();
}

#[tokio::test]
async fn who_waits_for_a_hold_does_not_wait_for_the_ends_of_others() {
    let scene = scene_with(100, None, Options { linger: Duration::from_secs(600), ..Options::default() });
    let ended = scene.hold(10);
    ended.committed().await.unwrap();
    ended.settle(record(5));
    let waiting = scene.hold(10);
    waiting.committed().await.unwrap();
    assert_eq!(scene.storage.state().commits, [1, 1], "two holds, each alone");
    assert_eq!(scene.storage.state().holds.len(), 2);
    drop(waiting);
    scene.close();
    assert_eq!(scene.balance(), (95, 0));
}

#[tokio::test]
async fn a_promised_hold_whose_request_has_ended_is_committed_with_its_end() {
    let scene = scene_with(100, None, Options { linger: Duration::from_secs(600), ..Options::default() });
    scene.storage.state().promising = true;
    let (ended, other) = (scene.hold(10), scene.hold(10));
    ended.committed().await.unwrap();
    let third = scene.hold(10);
    third.committed().await.unwrap();
    assert_eq!(scene.storage.state().promised.len(), 3, "also the one that nobody asked for");
    ended.settle(record(5));
    drop((other, third));
    assert!(scene.storage.state().commits.is_empty());
    scene.close();
    assert_eq!(scene.storage.state().commits, [6]);
    assert_eq!((scene.balance(), scene.ledger.stats().queue_entries), ((95, 0), 0));
}

#[tokio::test]
async fn a_promised_hold_that_runs_on_is_committed_by_itself() {
    let scene = scene(100, None);
    scene.storage.state().promising = true;
    let hold = scene.hold(10);
    hold.committed().await.unwrap();
    eventually(|| scene.storage.state().holds.contains_key(&hold.request()).then_some(()));
    // Without anybody waiting it is promised, too.
    let quiet = scene.hold(10);
    eventually(|| (!scene.storage.state().promised.is_empty()).then_some(()));
    drop((hold, quiet));
    scene.close();
    assert_eq!(scene.balance(), (100, 0));
}

#[tokio::test]
async fn a_promise_that_fails_is_a_commit_of_all_that_was_promised() {
    let scene = scene_with(100, None, Options { linger: Duration::from_secs(600), ..Options::default() });
    scene.storage.state().promising = true;
    let first = scene.hold(10);
    first.committed().await.unwrap();
    scene.storage.state().failures = 1;
    let second = scene.hold(10);
    second.committed().await.unwrap();
    assert!(scene.ledger.healthy());
    assert_eq!((scene.storage.state().commits.clone(), scene.ledger.stats().commit_failures), (vec![2], 0));
    let third = scene.hold(10);
    third.committed().await.unwrap();
    assert_eq!(scene.storage.state().promised.len(), 1, "and then they are promised again");
    drop((first, second, third));
    scene.close();
}

#[tokio::test]
async fn what_nobody_waits_for_is_written_all_the_same() {
    let scene = scene(100, None);
    let request = RequestRow { account: scene.account.id, key: scene.key.id(), ..record(0) };
    scene.ledger.record_refused(request.clone());
    eventually(|| scene.storage.state().requests.get(&request.request).cloned());
    // Holds that are waited for again and again do not put it off.
    scene.hold(1).settle(record(1));
    for _ in 0..20 {
        scene.hold(0).committed().await.unwrap();
        thread::sleep(Duration::from_millis(2));
    }
    eventually(|| (scene.storage.state().accounts[&scene.account.id].balance == Nano(99)).then_some(()));
}

#[tokio::test]
async fn checkpoints_reach_the_journal_with_the_hold_s_present_size() {
    let scene = scene(100, None);
    let mut hold = scene.hold(10);
    hold.extend(Nano(5)).unwrap();
    hold.checkpoint(Nano(3), "u", 1, 1);
    let request = hold.request();
    let stored = || scene.storage.state().holds.get(&request).and_then(|(_, checkpoint)| checkpoint.clone());
    let first = eventually(stored);
    assert_eq!((first.hold, first.charge), (Nano(15), Nano(3)));
    hold.checkpoint(Nano(4), "u", 1, 2);
    eventually(|| stored().filter(|checkpoint| checkpoint.charge == Nano(4)));
}

#[test]
fn commits_are_reported() {
    let (tell, told) = mpsc::channel();
    let on_commit: OnCommit = Box::new(move |took, entries| tell.send((took, entries)).unwrap_or(()));
    let scene = scene_with(100, None, Options { on_commit, ..impatient() });
    scene.hold(1).settle(record(1));
    scene.close();
    assert_eq!(told.try_iter().map(|(_, entries)| entries).sum::<usize>(), 2);
}

/// Like a scene, but told when the journal is let go.
struct Watched {
    storage: Storage,
    released: mpsc::Receiver<()>,
    ledger: Arc<Ledger>,
    key: Arc<Key>,
}

fn open_watched(credit: i64, options: Options) -> Watched {
    let storage = Storage::default();
    let account = storage.state().add_account(Nano(credit));
    let hash = storage.state().add_key(account, None);
    let (journal, released) = storage.watched_journal();
    let (ledger, _) = Ledger::open(journal, storage.library(), options, 0).unwrap();
    let key = ledger.find_key(&hash).unwrap();
    Watched { storage, released, ledger, key }
}

#[test]
fn closing_writes_what_is_queued_and_releases_the_journal() {
    let Watched { storage, released, ledger, key } = open_watched(1_000, Options::default());
    for _ in 0..500 {
        ledger.reserve(&key, new_hold(), Nano(2)).unwrap().settle(record(1));
    }
    ledger.close().unwrap();
    assert_eq!(released.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    assert_eq!(storage.state().requests.len(), 500);
    assert_eq!(storage.state().accounts[&key.account.id].balance, Nano(500));
    let refused = ledger.reserve(&key, new_hold(), Nano(2)).err();
    assert_eq!(refused, Some(ReserveError::Unavailable(LedgerUnavailable)));
    assert_eq!(key.account.balance().held, Nano::ZERO);
    assert!(!ledger.healthy());
    assert!(ledger.close().is_ok(), "twice is harmless");
}

#[test]
fn closing_under_load_leaves_no_money_behind() {
    let scene = scene(1_000_000, None);
    let holds: Vec<Hold> = thread::scope(|scope| {
        let until_refused = || std::iter::from_fn(|| scene.reserve(1).ok()).take(100_000).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(until_refused)).collect();
        while scene.ledger.stats().holds_open == 0 {
            thread::yield_now();
        }
        scene.ledger.close().unwrap();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(scene.balance(), (1_000_000, holds.len() as i64));
    assert_eq!(scene.storage.state().holds.len(), holds.len(), "what was admitted was written");
}

#[tokio::test]
async fn closing_does_not_wait_for_ever_and_recovery_finds_the_rest() {
    let options = || Options { close_wait: Duration::from_millis(20), ..Options::default() };
    let opened = open_watched(100, options());
    let mut hold = opened.ledger.reserve(&opened.key, new_hold(), Nano(10)).unwrap();
    hold.checkpoint(Nano(4), "u", 1, 1);
    let later = opened.ledger.reserve(&opened.key, new_hold(), Nano(0)).unwrap();
    later.committed().await.unwrap();
    eventually(|| opened.storage.state().holds[&hold.request()].1.clone());
    opened.storage.state().failures = usize::MAX;
    hold.settle(record(6));
    assert!(opened.ledger.close().is_err());
    assert!(opened.released.recv().is_err(), "the writer gives up and lets go");
    later.settle(record(0));
    opened.storage.state().failures = 0;
    let (next, recovery) = Ledger::open(opened.storage.journal(), opened.storage.library(), options(), 0).unwrap();
    assert_eq!((recovery.holds, recovery.charged), (2, Nano(4)));
    let Balance { balance, held, .. } = next.account(opened.key.account.id).unwrap().balance();
    assert_eq!((balance, held), (Nano(96), Nano(0)));
}

#[test]
fn the_last_user_ends_the_writer() {
    let Watched { storage, released, ledger, key } = open_watched(100, Options::default());
    let hold = ledger.reserve(&key, new_hold(), Nano(10)).unwrap();
    drop(ledger);
    hold.settle(record(10));
    assert!(released.recv().is_err(), "nothing is ever sent: the journal is gone");
    assert_eq!(storage.state().accounts[&key.account.id].balance, Nano(90));
}

#[test]
fn pruning_goes_on_until_nothing_is_left() {
    let scene = scene(100, None);
    scene.storage.state().prunable = vec![1, 1_000, 1_000];
    scene.ledger.prune(0);
    while !scene.storage.state().prunable.is_empty() {
        thread::yield_now();
    }
    scene.close();
}

// The Desk's news.

#[test]
fn credits_arrive_once_and_beside_our_own_charges() {
    let scene = scene(100, None);
    scene.hold(40).settle(record(40));
    scene.storage.state().credit(scene.account.id, Nano(7));
    for _ in 0..3 {
        scene.ledger.follow().unwrap();
    }
    assert_eq!(scene.balance(), (67, 0));
    scene.close();
    scene.ledger.follow().unwrap();
    assert_eq!(scene.balance(), (67, 0), "our own charges are never read back");
}

#[test]
fn an_account_that_is_first_seen_with_a_credit_has_it_once() {
    let scene = scene(0, None);
    let hash = {
        let mut state = scene.storage.state();
        let account = state.add_account(Nano(50));
        state.credit(account, Nano(5));
        state.add_key(account, None)
    };
    assert!(scene.ledger.find_key(&hash).is_none());
    scene.ledger.follow().unwrap();
    let key = scene.ledger.find_key(&hash).unwrap();
    assert_eq!(key.account.balance().balance, Nano(55));
    scene.storage.state().credit(key.account.id, Nano(1));
    scene.ledger.follow().unwrap();
    assert_eq!(key.account.balance().balance, Nano(56));
}

#[test]
fn changed_facts_replace_the_old_ones_and_money_stays() {
    let scene = scene(100, None);
    let hold = scene.hold(30);
    {
        let mut state = scene.storage.state();
        state.change_account(scene.account.id, |row| {
            (row.name, row.group, row.status) = ("renamed".into(), "gold".into(), AccountStatus::Suspended);
        });
        state.change_key(scene.key.id(), |record| record.budget = Some(Nano(40)));
    }
    scene.ledger.follow().unwrap();
    assert_eq!((&*scene.account.name(), &*scene.account.group()), ("renamed", "gold"));
    assert_eq!(scene.account.status(), AccountStatus::Suspended);
    assert_eq!((scene.balance(), scene.key.budget_left()), ((100, 30), Some(Nano(10))));
    hold.settle(record(30));
    scene.close();
}

#[test]
fn a_deleted_key_is_unknown_and_its_running_request_is_still_settled() {
    let scene = scene(100, None);
    let hold = scene.hold(30);
    scene.storage.state().change_key(scene.key.id(), |record| record.status = KeyStatus::Disabled);
    scene.ledger.follow().unwrap();
    assert_eq!(scene.ledger.find_key(&hash(1)).unwrap().record().status, KeyStatus::Disabled);
    scene.storage.state().change_key(scene.key.id(), |record| record.status = KeyStatus::Deleted);
    scene.ledger.follow().unwrap();
    assert!(scene.ledger.find_key(&hash(1)).is_none() && scene.ledger.key(scene.key.id()).is_none());
    hold.settle(record(30));
    assert_eq!(scene.balance(), (70, 0));
    scene.close();
}

#[test]
fn a_key_is_found_by_its_present_hash_only() {
    let scene = scene(100, None);
    scene.storage.state().change_key(scene.key.id(), |record| record.hash = hash(99));
    scene.ledger.follow().unwrap();
    assert!(scene.ledger.find_key(&hash(1)).is_none());
    assert!(Arc::ptr_eq(&scene.ledger.find_key(&hash(99)).unwrap(), &scene.key));
}
