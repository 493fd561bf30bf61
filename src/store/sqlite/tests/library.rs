//! Lists, totals and news.

use super::*;
use crate::core::account::AccountStatus;
use crate::core::key::{KeyHash, KeyStatus};

#[test]
fn the_beginning_is_everything_but_entries() {
    let mut books = Books::new();
    let gone = books.desk.create_key(books.account.id, &new_key("gone"), NOW_MS).unwrap();
    let delete = KeyPatch { status: Some(KeyStatus::Deleted), ..KeyPatch::default() };
    books.desk.update_key(gone.record.id, &delete).unwrap();
    let news = books.library.news(Cursor::default()).unwrap();
    assert_eq!(news.accounts, [books.account.clone()]);
    assert_eq!(news.keys.len(), 1);
    assert!(news.entries.is_empty());
    let nothing = books.library.news(news.cursor).unwrap();
    assert_eq!((nothing.accounts.len(), nothing.keys.len(), nothing.entries.len()), (0, 0, 0));
    assert_eq!(nothing.cursor, news.cursor);
}

#[test]
fn open_holds_are_told_as_recovery_would_end_them() {
    let mut books = Books::new();
    let group = [books.hold(1, "2"), books.hold(2, "3"), books.checkpoint(2, "4", "0.5"), books.hold(3, "1")];
    books.journal.commit(&group).unwrap();
    books.journal.commit(&[books.settle(3, "1")]).unwrap();
    let mut holds = books.library.holds().unwrap();
    holds.sort_by_key(|hold| hold.interrupted.request);
    let shown: Vec<_> =
        holds.iter().map(|hold| (hold.interrupted.request, hold.amount, hold.interrupted.charge)).collect();
    assert_eq!(shown, [(request_id(1), units("2"), Nano::ZERO), (request_id(2), units("4"), units("0.5"))]);

    books.journal.recover(NOW_MS).unwrap();
    assert!(books.library.holds().unwrap().is_empty());
    for hold in holds {
        let record = books.library.request(hold.interrupted.request).unwrap().unwrap().row;
        assert_eq!(record, hold.interrupted);
    }
    books.assert_proved();
}

#[test]
fn an_empty_storage_has_a_beginning_too() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(&folder.path().join("t.db"), Durability::Full).unwrap();
    let cursor = sqlite.library().unwrap().news(Cursor::default()).unwrap().cursor;
    assert_ne!(cursor, Cursor::default());
}

#[test]
fn news_is_what_was_done_by_hand_since() {
    let mut books = Books::new();
    let mut cursor = books.library.news(Cursor::default()).unwrap().cursor;
    let mut next = |books: &Books| {
        let news = books.library.news(cursor).unwrap();
        cursor = news.cursor;
        let names: Vec<String> = news.accounts.iter().map(|row| row.name.clone()).collect();
        let keys: Vec<KeyStatus> = news.keys.iter().map(|row| row.record.status).collect();
        let amounts: Vec<Nano> = news.entries.iter().map(|entry| entry.amount).collect();
        (names, keys, amounts)
    };
    let none = || (Vec::<String>::new(), Vec::<KeyStatus>::new(), Vec::<Nano>::new());

    // A server's own work is no news to it.
    let used = Change::KeyUsed { key: books.key.record.id, at_ms: NOW_MS };
    books.journal.commit(&[books.hold(9, "1"), books.settle(1, "1"), used]).unwrap();
    assert_eq!(next(&books), none());

    books.desk.post(books.account.id, EntryKind::Credit, units("2"), None, None, NOW_MS).unwrap();
    books.desk.post(books.account.id, EntryKind::Adjust, units("-1"), None, None, NOW_MS).unwrap();
    assert_eq!(next(&books), (vec![], vec![], vec![units("2"), units("-1")]));
    assert_eq!(next(&books), none());

    let suspend = AccountPatch { status: Some(AccountStatus::Suspended), ..AccountPatch::default() };
    books.desk.update_account(books.account.id, &suspend).unwrap();
    books.desk.create_account("bob", "default", units("3"), NOW_MS).unwrap();
    assert_eq!(next(&books), (vec!["alice".into(), "bob".into()], vec![], vec![units("3")]));

    // A key that ended is told, so that a server forgets it.
    books.desk.rotate_key(books.key.record.id, KeyHash([1; 32]), "p", None, NOW_MS).unwrap();
    assert_eq!(next(&books), (vec![], vec![KeyStatus::Deleted, KeyStatus::Active], vec![]));
    assert_eq!(next(&books), none());

    // What was refused is no news.
    refusal(books.desk.create_account("bob", "default", Nano::ZERO, NOW_MS));
    assert_eq!(next(&books), none());
}

#[test]
fn requests_come_in_pages_newest_first() {
    let mut books = Books::new();
    let bob = books.desk.create_account("bob", "default", Nano::ZERO, NOW_MS).unwrap();
    let key = books.desk.create_key(bob.id, &new_key("b"), NOW_MS).unwrap().record.id;
    let group: Vec<Change> = (0..10)
        .map(|n| match n % 2 {
            0 => books.settle(n, "0.1"),
            _ => Change::Settle(Box::new(RequestRow { account: bob.id, key, ..books.end(n, "0.1") })),
        })
        .collect();
    books.journal.commit(&group).unwrap();
    let list = |account, key, before: Option<u64>, limit| {
        let filter = RequestFilter { account, key, before: before.map(request_id), limit };
        let views = books.library.requests(&filter).unwrap();
        views.iter().map(|view| view.row.request).collect::<Vec<_>>()
    };
    let ids = |numbers: &[u64]| numbers.iter().map(|number| request_id(*number)).collect::<Vec<_>>();
    assert_eq!(list(None, None, None, 3), ids(&[9, 8, 7]));
    assert_eq!(list(None, None, Some(7), 2), ids(&[6, 5]));
    assert_eq!(list(Some(bob.id), None, Some(7), 9), ids(&[5, 3, 1]));
    assert_eq!(list(None, Some(books.key.record.id), None, 2), ids(&[8, 6]));
    assert_eq!(list(Some(bob.id), Some(key), None, 1), ids(&[9]));
    assert_eq!(list(Some(books.account.id), Some(key), None, 9), ids(&[]));
    assert_eq!(books.library.request(request_id(77)).unwrap(), None);

    let pages = books.library.ledger(bob.id, None, 2).unwrap();
    assert_eq!(pages.iter().map(|entry| entry.request).collect::<Vec<_>>(), [Some(request_id(9)), Some(request_id(7))]);
    let rest = books.library.ledger(bob.id, Some(pages[1].seq), 99).unwrap();
    assert_eq!(rest.len(), 3);
}

#[test]
fn every_list_has_an_index() {
    let books = Books::new();
    let raw = books.raw();
    for (sql, index) in [
        ("SELECT * FROM request r WHERE r.id < ?1 AND r.account = ?2 ORDER BY r.id DESC LIMIT 9", "request_account"),
        ("SELECT * FROM request r WHERE r.id < ?1 AND r.key = ?2 ORDER BY r.id DESC LIMIT 9", "request_key"),
        ("SELECT * FROM ledger WHERE account = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT 9", "ledger_account"),
        ("SELECT max(seq) FROM ledger WHERE kind <> 'charge'", "ledger_by_hand"),
        ("SELECT * FROM ledger WHERE kind <> 'charge' AND seq > ?1 ORDER BY seq", "ledger_by_hand"),
        ("SELECT 1 FROM ledger WHERE request = ?1 AND kind = 'charge'", "ledger_request"),
        ("SELECT * FROM api_key WHERE revision > ?1", "api_key_revision"),
    ] {
        let mut statement = raw.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let unbound = vec![0; statement.parameter_count()];
        let plan: Vec<String> = statement
            .query_map(rusqlite::params_from_iter(unbound), |row| row.get("detail"))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(plan[0].contains(index) && plan.len() == 1, "{sql}: {plan:?}");
    }
}

#[test]
fn usage_adds_up_by_each_name() {
    let mut books = Books::new();
    let bob = books.desk.create_account("bob", "default", Nano::ZERO, NOW_MS).unwrap();
    let key = books.desk.create_key(bob.id, &new_key("b"), NOW_MS).unwrap().record;
    let next_day = RequestRow {
        account: bob.id,
        key: key.id,
        model: "claude".into(),
        upstream: "anthropic".into(),
        outcome: Outcome::UpstreamCut,
        started_at_ms: NOW_MS + DAY_MS,
        ..books.end(3, "0.7")
    };
    let group = [books.settle(1, "0.1"), books.settle(2, "0.2"), Change::Settle(Box::new(next_day))];
    books.journal.commit(&group).unwrap();
    let totals = |by, account, from_day, to_day| {
        let filter = UsageFilter { by, account, from_day, to_day };
        let rows = books.library.usage(&filter).unwrap();
        rows.into_iter().map(|row| (row.group, row.requests, row.errors, row.charge.to_string())).collect::<Vec<_>>()
    };
    let row = |group: &str, requests, errors, charge: &str| (group.to_string(), requests, errors, charge.to_string());
    let (first, second) = (row("2026-09-21", 2, 0, "0.3"), row("2026-09-22", 1, 1, "0.7"));
    assert_eq!(totals(UsageBy::Day, None, None, None), [first.clone(), second.clone()]);
    let claude_first = [row("claude", 1, 1, "0.7"), row("gpt-4o-mini", 2, 0, "0.3")];
    assert_eq!(totals(UsageBy::Model, None, None, None), claude_first);
    assert_eq!(totals(UsageBy::Account, None, None, None), [row("bob", 1, 1, "0.7"), row("alice", 2, 0, "0.3")]);
    assert_eq!(totals(UsageBy::Upstream, Some(books.account.id), None, None), [row("openai", 2, 0, "0.3")]);
    assert_eq!(totals(UsageBy::Key, Some(bob.id), None, None), [row(&key.public_id, 1, 1, "0.7")]);
    let day = i32::try_from(NOW_MS / DAY_MS).unwrap();
    assert_eq!(totals(UsageBy::Day, None, Some(day), Some(day)), [first]);
    assert_eq!(totals(UsageBy::Day, None, Some(day + 1), None), [second]);
    assert_eq!(totals(UsageBy::Day, None, None, Some(day - 1)), []);
}

#[test]
fn a_reader_cannot_write_and_answers_a_ping() {
    let books = Books::new();
    books.library.ping().unwrap();
    let storage: &dyn Storage = &books.sqlite;
    storage.library().unwrap().ping().unwrap();
    let reader = books.sqlite.place.connect_for_reading().unwrap();
    assert!(reader.execute("UPDATE meta SET revision = 0", []).is_err());
}
