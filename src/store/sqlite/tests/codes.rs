//! Redeem codes: each is money once.

use std::thread;

use super::*;
use crate::core::account::AccountId;
use crate::core::key::KeyHash;
use crate::store::contract::console::*;

fn hash(number: u8) -> KeyHash {
    KeyHash([number; 32])
}

fn batch(numbers: impl IntoIterator<Item = u8>, amount: &str) -> NewCodes {
    NewCodes {
        name: "launch".into(),
        amount: units(amount),
        note: Some("for the fair".into()),
        expires_at_ms: Some(NOW_MS + 1_000),
        codes: numbers.into_iter().map(|number| (hash(number), format!("{number:04}"))).collect(),
    }
}

#[test]
fn a_code_is_credited_with_its_id_as_the_reference() {
    let mut books = Books::new();
    let cursor = books.library.news(Cursor::default()).unwrap().cursor;
    let made = books.desk.create_codes(&batch([1, 2], "2.5"), NOW_MS).unwrap();
    assert_eq!((made.len(), made[0].ending.as_str(), made[1].ending.as_str()), (2, "0001", "0002"));
    assert!(made[0].public_id.starts_with("cod_") && made[0].public_id != made[1].public_id);
    let filter = CodeFilter::default();
    let listed = || books.sqlite.reports().unwrap().codes(&filter, &Page { after: None, limit: 9 }, NOW_MS).unwrap();
    assert!(made.iter().all(|row| listed().rows.contains(row)), "{:?}", listed());

    let entry = books.desk.redeem(&hash(1), books.account.id, NOW_MS + 999).unwrap();
    assert_eq!((entry.kind, entry.amount, entry.balance_after), (EntryKind::Credit, units("2.5"), units("12.5")));
    assert_eq!(entry.reference, Some(format!("code:{}", made[0].public_id)));
    assert_eq!(books.account().balance, units("12.5"));
    let rows = listed().rows;
    let spent = rows.iter().find(|row| row.public_id == made[0].public_id).unwrap();
    assert_eq!((spent.redeemed_at_ms, spent.redeemed_by.as_deref()), (Some(NOW_MS + 999), Some("alice")));
    assert_eq!(books.library.news(cursor).unwrap().entries, [entry], "a running server hears of the money");
    books.assert_proved();
}

#[test]
fn fifty_at_once_redeem_it_once() {
    let mut books = Books::new();
    let bob = books.desk.create_account("bob", "default", Nano::ZERO, NOW_MS).unwrap().id;
    books.desk.create_codes(&batch([1], "3"), NOW_MS).unwrap();
    let outcomes: Vec<_> = thread::scope(|scope| {
        let sqlite = &books.sqlite;
        let payees = [books.account.id, bob];
        let threads: Vec<_> =
            (0..50).map(|n| scope.spawn(move || sqlite.desk()?.redeem(&hash(1), payees[n % 2], NOW_MS))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut won = 0;
    for outcome in outcomes {
        match outcome {
            Ok(entry) => {
                won += 1;
                assert_eq!(entry.amount, units("3"));
            }
            refused => assert_eq!(refusal(refused), "this code cannot be redeemed"),
        }
    }
    assert_eq!((won, books.assert_proved().balance), (1, units("13").into()));
}

#[test]
fn whoever_guesses_learns_nothing_of_codes_that_were() {
    let mut books = Books::new();
    let made = books.desk.create_codes(&batch([1, 2, 3], "1"), NOW_MS).unwrap();
    let id = books.account.id;
    books.desk.redeem(&hash(1), id, NOW_MS).unwrap();
    books.desk.void_code(&made[1].public_id, NOW_MS).unwrap();
    let words = refusal(books.desk.redeem(&hash(99), id, NOW_MS));
    assert_eq!(refusal(books.desk.redeem(&hash(1), id, NOW_MS)), words);
    assert_eq!(refusal(books.desk.redeem(&hash(2), id, NOW_MS)), words);
    assert_eq!(refusal(books.desk.redeem(&hash(3), id, NOW_MS + 1_000)), words);
    refusal(books.desk.redeem(&hash(3), AccountId(77), NOW_MS));
    books.desk.redeem(&hash(3), id, NOW_MS + 999).unwrap();
    assert_eq!(books.assert_proved().balance, units("12").into());
}

#[test]
fn a_code_without_an_end_waits_for_ever() {
    let mut books = Books::new();
    books.desk.create_codes(&NewCodes { expires_at_ms: None, ..batch([1], "1") }, NOW_MS).unwrap();
    books.desk.redeem(&hash(1), books.account.id, i64::MAX).unwrap();
}

#[test]
fn money_that_was_paid_out_is_not_taken_back_by_voiding() {
    let mut books = Books::new();
    let made = books.desk.create_codes(&batch([1, 2], "1"), NOW_MS).unwrap();
    books.desk.redeem(&hash(1), books.account.id, NOW_MS).unwrap();
    refusal(books.desk.void_code(&made[0].public_id, NOW_MS));
    refusal(books.desk.void_code("cod_0", NOW_MS));
    for now_ms in [NOW_MS + 1, NOW_MS + 2] {
        assert_eq!(books.desk.void_code(&made[1].public_id, now_ms).unwrap().voided_at_ms, Some(NOW_MS + 1));
    }
}

#[test]
fn codes_that_make_no_sense_are_refused_and_a_batch_is_made_whole() {
    let mut books = Books::new();
    for wrong in [
        batch([1], "0"),
        batch([1], "-1"),
        batch([], "1"),
        NewCodes { codes: vec![(hash(1), "0001".into()); 1_001], ..batch([], "1") },
        NewCodes { expires_at_ms: Some(NOW_MS), ..batch([1], "1") },
        NewCodes { name: String::new(), ..batch([1], "1") },
        NewCodes { name: "a\nb".into(), ..batch([1], "1") },
        NewCodes { note: Some("n".repeat(1_001)), ..batch([1], "1") },
        batch([1, 2, 3, 1], "1"),
    ] {
        refusal(books.desk.create_codes(&wrong, NOW_MS));
    }
    let kept: i64 = books.raw().query_row("SELECT count(*) FROM redeem_code", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 0);
}

#[test]
fn no_posting_takes_the_place_of_a_codes_credit() {
    let mut books = Books::new();
    let made = books.desk.create_codes(&batch([1], "1"), NOW_MS).unwrap();
    let (reference, id) = (format!("code:{}", made[0].public_id), books.account.id);
    for kind in [EntryKind::Credit, EntryKind::Adjust, EntryKind::Refund] {
        refusal(books.desk.post(id, kind, units("1"), Some(&reference), None, NOW_MS));
    }
    books.desk.redeem(&hash(1), id, NOW_MS).unwrap();
    assert_eq!(books.account().balance, units("11"));
}

#[test]
fn a_credit_that_cannot_be_counted_leaves_the_code_as_it_was() {
    let mut books = Books::new();
    books.desk.create_codes(&batch([1], "1"), NOW_MS).unwrap();
    let id = books.account.id;
    let most = Nano::MAX.checked_sub(units("10")).unwrap();
    books.desk.post(id, EntryKind::Adjust, most, None, None, NOW_MS).unwrap();
    assert!(refusal(books.desk.redeem(&hash(1), id, NOW_MS)).contains("beyond what can be counted"));
    books.desk.post(id, EntryKind::Adjust, units("-5"), None, None, NOW_MS).unwrap();
    books.desk.redeem(&hash(1), id, NOW_MS).unwrap();
    books.assert_proved();
}

#[test]
fn a_spent_code_refuses_to_be_rewritten() {
    let mut books = Books::new();
    books.desk.create_codes(&batch([1], "1"), NOW_MS).unwrap();
    books.desk.redeem(&hash(1), books.account.id, NOW_MS).unwrap();
    for sql in [
        "UPDATE redeem_code SET redeemed_at_ms = NULL, redeemed_by = NULL",
        "UPDATE redeem_code SET amount = 1",
        "DELETE FROM redeem_code",
    ] {
        books.raw().execute(sql, []).unwrap_err();
    }
    refusal(books.desk.redeem(&hash(1), books.account.id, NOW_MS));
}
