//! Any history gives the same books, however it is cut into groups and how often it is repeated.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::core::account::AccountId;
use crate::core::key::KeyId;

#[derive(Clone, Debug)]
enum Step {
    Change(Change),
    Credit(AccountId, Nano),
}

const ACCOUNTS: [AccountId; 2] = [AccountId(1), AccountId(2)];

/// Steps about few requests, so that they meet: doubled ends, ends without a hold, holds after the end.
fn step() -> impl Strategy<Value = Step> {
    let request = (0..10u64, 0..2usize, 0..1_000_000i64, 0..3i64);
    prop_oneof![
        request.clone().prop_map(|(n, who, amount, day)| Step::Change(Change::Hold(Box::new(HoldRow {
            request: request_id(n),
            account: ACCOUNTS[who],
            key: KeyId(ACCOUNTS[who].0),
            endpoint: "embeddings".into(),
            model: format!("m{}", n % 3),
            streamed: n % 2 == 0,
            amount: Nano(amount),
            price_version: "v1".into(),
            started_at_ms: NOW_MS + day * DAY_MS,
        })))),
        request.clone().prop_map(|(n, _, amount, tokens)| Step::Change(Change::Checkpoint(Box::new(CheckpointRow {
            request: request_id(n),
            hold: Nano(amount),
            charge: Nano(amount / 2),
            upstream: "u".into(),
            input_tokens: tokens.unsigned_abs(),
            output_tokens: n,
        })))),
        request.prop_map(|(n, who, charge, day)| Step::Change(Change::Settle(Box::new(RequestRow {
            request: request_id(n),
            account: ACCOUNTS[who],
            key: KeyId(ACCOUNTS[who].0),
            endpoint: "embeddings".into(),
            model: format!("m{}", n % 3),
            upstream: "u".into(),
            status: 200,
            outcome: Outcome::ALL[(charge % 7).unsigned_abs() as usize],
            estimated: n % 2 == 0,
            anomalous: n % 3 == 0,
            streamed: n % 2 == 0,
            input_tokens: n,
            cached_input_tokens: n / 2,
            output_tokens: charge.unsigned_abs(),
            reasoning_tokens: 0,
            charge: Nano(if charge % 4 == 0 { 0 } else { charge }),
            cost: Nano(charge / 2),
            price_version: format!("v{day}"),
            bill: if charge % 4 == 0 { String::new() } else { bill(Nano(charge)) },
            started_at_ms: NOW_MS + day * DAY_MS,
            ttft_ms: (n % 2 == 0).then_some(7),
            duration_ms: 9,
        })))),
        (0..2i64, 0..100i64).prop_map(|(who, at_ms)| Step::Change(Change::KeyUsed { key: KeyId(who + 1), at_ms })),
        (0..2usize, 1..1_000_000i64).prop_map(|(who, amount)| Step::Credit(ACCOUNTS[who], Nano(amount))),
    ]
}

/// Without the checkpoints that come before their hold: no process can write one.
fn possible(steps: Vec<Step>) -> Vec<Step> {
    let mut held = HashSet::new();
    let mut keep = |step: &Step| match step {
        Step::Change(Change::Hold(row)) => {
            held.insert(row.request);
            true
        }
        Step::Change(Change::Checkpoint(row)) => held.contains(&row.request),
        _ => true,
    };
    steps.into_iter().filter(|step| keep(step)).collect()
}

struct TwoAccounts {
    _folder: TempDir,
    journal: SqliteJournal,
    desk: SqliteDesk,
    library: SqliteLibrary,
}

fn open() -> TwoAccounts {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(&folder.path().join("t.db"), Durability::Normal).unwrap();
    let mut desk = sqlite.desk().unwrap();
    for (name, id) in ["a", "b"].iter().zip(ACCOUNTS) {
        assert_eq!(desk.create_account(name, "default", units("1"), NOW_MS).unwrap().id, id);
        assert_eq!(desk.create_key(id, &new_key(name), NOW_MS).unwrap().record.id, KeyId(id.0));
    }
    let (journal, library) = (sqlite.journal().unwrap(), sqlite.library().unwrap());
    TwoAccounts { _folder: folder, journal, desk, library }
}

/// Everything that can be read, without the random public ids.
fn contents(books: &TwoAccounts) -> String {
    let accounts: Vec<_> =
        books.library.accounts().unwrap().iter().map(|row| (row.id, row.balance, row.held)).collect();
    let keys = books.library.keys(None).unwrap();
    let keys: Vec<_> = keys.iter().map(|row| (row.record.id, row.spent, row.last_used_at_ms)).collect();
    let ledgers = ACCOUNTS.map(|account| books.library.ledger(account, None, 1_000).unwrap());
    let filter = RequestFilter { limit: 1_000, ..RequestFilter::default() };
    let requests: Vec<_> = books.library.requests(&filter).unwrap().into_iter().map(|view| view.row).collect();
    let filter = UsageFilter { by: UsageBy::Model, account: None, from_day: None, to_day: None };
    format!("{accounts:#?}{keys:#?}{ledgers:#?}{requests:#?}{:#?}", books.library.usage(&filter).unwrap())
}

/// Credits are settled against charges, account by account.
fn assert_balanced(books: &TwoAccounts, steps: &[Step]) {
    let mut expected: HashMap<AccountId, i64> = ACCOUNTS.map(|account| (account, 1_000_000_000)).into();
    for step in steps {
        if let Step::Credit(account, amount) = step {
            *expected.get_mut(account).unwrap() += amount.0;
        }
    }
    let filter = RequestFilter { limit: 1_000, ..RequestFilter::default() };
    for view in books.library.requests(&filter).unwrap() {
        *expected.get_mut(&view.row.account).unwrap() -= view.row.charge.0;
    }
    for row in books.library.accounts().unwrap() {
        assert_eq!(row.balance.0, expected[&row.id], "account {}", row.name);
    }
    assert_eq!(books.library.audit().unwrap().differences, Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn cuts_and_repetitions_change_nothing(steps in proptest::collection::vec(step(), 0..60).prop_map(possible),
                                           cuts in proptest::collection::vec((1..8usize, 1..4usize, 0..3usize), 60)) {
        let mut plain = open();
        for step in &steps {
            match step {
                Step::Change(change) => plain.journal.commit(std::slice::from_ref(change)).unwrap(),
                Step::Credit(account, amount) => {
                    plain.desk.post(*account, EntryKind::Credit, *amount, None, None, NOW_MS).unwrap();
                }
            }
        }
        assert_balanced(&plain, &steps);

        let mut cut = open();
        let mut done: Vec<Vec<Change>> = Vec::new();
        let (mut rest, mut cuts) = (steps.as_slice(), cuts.iter());
        while let Some(step) = rest.first() {
            if let Step::Credit(account, amount) = step {
                cut.desk.post(*account, EntryKind::Credit, *amount, None, None, NOW_MS).unwrap();
                rest = &rest[1..];
                continue;
            }
            let (length, times, back) = *cuts.next().unwrap();
            let group: Vec<Change> = rest.iter().take(length).map_while(|step| match step {
                Step::Change(change) => Some(change.clone()),
                Step::Credit(..) => None,
            }).collect();
            rest = &rest[group.len()..];
            done.push(group);
            // The last group again and again, as after an answer that got lost; or some groups before it, too.
            for _ in 0..times {
                cut.journal.commit(done.last().unwrap()).unwrap();
            }
            for group in &done[done.len().saturating_sub(back)..] {
                cut.journal.commit(group).unwrap();
            }
        }
        prop_assert_eq!(contents(&cut), contents(&plain));

        // And after a crash: no hold is left, and the books are right.
        for books in [&mut cut, &mut plain] {
            books.journal.recover(NOW_MS).unwrap();
            prop_assert!(books.library.accounts().unwrap().iter().all(|row| row.held == Nano::ZERO));
            assert_balanced(books, &steps);
        }
        prop_assert_eq!(contents(&cut), contents(&plain));
    }
}
