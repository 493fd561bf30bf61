//! An audit must notice every way of changing the books behind its back.

use super::*;
use crate::core::key::KeyHash;
use crate::store::contract::console::NewCodes;

/// A storage with two accounts, two days, a rotated key, a running request and some pruned records.
fn lived() -> Books {
    let mut books = Books::new();
    let at = |day: i64, number| {
        let started_at_ms = NOW_MS + day * DAY_MS;
        let request = request_id_at(started_at_ms, number);
        Change::Settle(Box::new(RequestRow { request, started_at_ms, ..books.end(0, "0.5") }))
    };
    let group = [at(-2, 1), at(-2, 2), at(0, 3), at(0, 4), at(1, 5), books.hold(900, "1")];
    books.journal.commit(&group).unwrap();
    books.journal.commit(&[books.settle(6, "0")]).unwrap();
    books.journal.prune(NOW_MS - DAY_MS).unwrap();
    books.desk.create_account("bob", "default", units("3"), NOW_MS).unwrap();
    books.desk.rotate_key(books.key.record.id, crate::core::key::KeyHash([9; 32]), "p", None, NOW_MS).unwrap();
    books
}

/// What an audit of a copy says after `sql` was run on it with every safeguard off.
fn audit_after(books: &Books, sql: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.db");
    books.library.backup(&path, &mut |_, _| ()).unwrap();
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch(
        "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;
         DROP TRIGGER ledger_is_never_changed; DROP TRIGGER ledger_is_never_shortened;
         DROP TRIGGER redeem_code_is_spent_once; DROP TRIGGER redeem_code_is_never_forgotten;",
    )
    .unwrap();
    raw.execute_batch(sql).unwrap();
    drop(raw);
    Sqlite::open(&path, Durability::Normal).unwrap().library().unwrap().audit().unwrap().differences
}

#[test]
fn honest_books_are_proved() {
    let books = lived();
    let report = books.assert_proved();
    assert_eq!((report.accounts, report.entries, report.requests, report.holds), (2, 7, 4, 1));
    assert_eq!(report.balance, units("10.5").into());
    assert_eq!(audit_after(&books, ""), Vec::<String>::new());
}

#[test]
fn each_kind_of_tampering_is_found() {
    let books = lived();
    for (sql, words) in [
        ("UPDATE account SET balance = balance + 1 WHERE name = 'bob'", "account bob: the balance is 3.000000001, its"),
        (
            "UPDATE ledger SET amount = amount + 1 WHERE seq = 2",
            "ledger entry 2 of account alice: the balance after it",
        ),
        (
            "UPDATE ledger SET balance_after = 0 WHERE seq = 3",
            "ledger entry 3 of account alice: the balance after it is 0",
        ),
        ("DELETE FROM ledger WHERE seq = 1", "ledger entry 2 of account alice"),
        ("UPDATE ledger SET account = 77 WHERE kind = 'credit'", "number 77 (unknown)"),
        ("DELETE FROM ledger WHERE seq = 5", "the ledger has no charge for it"),
        ("UPDATE ledger SET amount = -1 WHERE seq = 5", "its record says 0.5, the ledger charges 0.000000001"),
        ("UPDATE ledger SET account = 2 WHERE seq = 5", "account bob was charged for a request of account alice"),
        ("UPDATE request SET charge = 0 WHERE charge > 0", "its record says 0, the ledger charges 0.5"),
        ("UPDATE request SET charge = 1 WHERE charge = 0", "its record says 0.000000001, the ledger has no charge"),
        ("UPDATE request SET charge = -1 WHERE charge = 0", "negative count or charge"),
        ("UPDATE request SET input_tokens = -1 WHERE charge = 0", "negative count or charge"),
        (
            "UPDATE request SET bill = 'input 1 1000;x1000000' WHERE charge > 0",
            "its record says 0.5, its bill makes it 0.000000001",
        ),
        ("UPDATE request SET bill = 'tea' WHERE charge > 0", "its bill cannot be read"),
        ("UPDATE request SET bill = 'x1', charge = 0 WHERE charge > 0", "its record says 0, the ledger charges 0.5"),
        ("DELETE FROM request WHERE charge > 0", "of which there is no record"),
        ("DELETE FROM request WHERE charge = 0", "requests is 3, the records make it 2"),
        ("UPDATE request SET output_tokens = 21 WHERE charge = 0", "output_tokens is 60, the records make it 61"),
        ("UPDATE request SET outcome = 'refused' WHERE charge = 0", "errors is 0, the records make it 1"),
        ("UPDATE api_key SET spent = spent - 1 WHERE spent > 0", "it has spent 2.499999999, its daily totals"),
        (
            "UPDATE usage_day SET charge = charge + 1 WHERE requests = 1",
            "account alice: its daily totals add up to 2.5",
        ),
        ("UPDATE usage_day SET requests = 9 WHERE requests = 3", "requests is 9, the records make it 3"),
        ("UPDATE usage_day SET key = 2 WHERE requests = 1", "daily totals of 2026-09-22, account alice, key key_"),
        // Retention took the records of this day: its money can still be proved by the ledger.
        ("UPDATE usage_day SET charge = 0 WHERE requests = 2", "account alice: its daily totals add up to 1.5, its"),
        ("DELETE FROM usage_day", "its daily totals add up to 0, its charges to 2.5"),
        (
            "UPDATE usage_span SET charge = charge - 1 WHERE span = 1440 AND requests = 1",
            "totals of all accounts of 2026-09-22, model gpt-4o-mini, upstream openai: they are not",
        ),
        ("DELETE FROM usage_span", "totals of all accounts of 2026-09-19, model"),
        (
            "UPDATE usage_span SET nth = 1 WHERE span = 1440 AND requests = 1",
            "totals of all accounts of 1970-01-02, model",
        ),
        ("UPDATE hold SET amount = -1", "its hold has a negative amount"),
        ("UPDATE hold SET request = (SELECT min(id) FROM request)", "it has ended and still holds 1"),
    ] {
        let differences = audit_after(&books, sql);
        assert!(differences.iter().any(|difference| difference.contains(words)), "{sql}: {differences:#?}");
    }
}

#[test]
fn codes_are_held_against_the_ledger() {
    let mut books = Books::new();
    books.desk.create_account("bob", "default", Nano::ZERO, NOW_MS).unwrap();
    let codes = (1..=2).map(|n| (KeyHash([n; 32]), format!("000{n}"))).collect();
    let batch = NewCodes { name: "fair".into(), amount: units("2"), note: None, expires_at_ms: None, codes };
    books.desk.create_codes(&batch, NOW_MS).unwrap();
    books.desk.redeem(&KeyHash([1; 32]), books.account.id, NOW_MS).unwrap();
    assert_eq!(audit_after(&books, ""), Vec::<String>::new());
    for (sql, words) in [
        ("UPDATE redeem_code SET amount = 1 WHERE id = 1", "it was worth 0.000000001, the ledger credits 2"),
        (
            "UPDATE redeem_code SET redeemed_by = 2 WHERE id = 1",
            "account bob redeemed it, account alice was credited 2",
        ),
        (
            "UPDATE redeem_code SET redeemed_at_ms = 1, redeemed_by = 1 WHERE id = 2",
            "it was redeemed for 2, the ledger has no credit",
        ),
        ("UPDATE redeem_code SET redeemed_at_ms = NULL, redeemed_by = NULL", "no such code was redeemed"),
        ("DELETE FROM redeem_code", "no such code was redeemed"),
    ] {
        let differences = audit_after(&books, sql);
        assert!(matches!(differences.as_slice(), [one] if one.contains(words)), "{sql}: {differences:#?}");
    }
}

#[test]
fn a_ruined_ledger_does_not_fill_the_memory() {
    let mut books = Books::new();
    let group: Vec<Change> = (0..1_500).map(|n| books.settle(n, "0.001")).collect();
    books.journal.commit(&group).unwrap();
    let differences = audit_after(&books, "UPDATE ledger SET balance_after = seq % 2");
    assert_eq!((differences.len(), differences[1_000].as_str()), (1_001, "and 501 more"));
}

#[test]
fn sums_beyond_all_money_are_told_and_do_not_stop_it() {
    let books = Books::new();
    let most = "INSERT INTO ledger (account, kind, amount, balance_after, at_ms) VALUES (1, 'credit', 9223372036854775807, 0, 0);";
    let differences = audit_after(&books, &most.repeat(2));
    assert!(differences.iter().any(|difference| difference.contains("18446744083.709551614")), "{differences:#?}");
}
