//! Groups of changes, and what they leave in the books.

use super::*;

#[test]
fn a_request_goes_from_its_hold_to_its_charge() {
    let mut books = Books::new();
    books.journal.commit(&[books.hold(1, "0.5")]).unwrap();
    assert_eq!((books.account().balance, books.account().held), (units("10"), units("0.5")));
    books.journal.commit(&[books.checkpoint(1, "0.7", "0.1")]).unwrap();
    assert_eq!(books.account().held, units("0.7"));
    books.journal.commit(&[books.settle(1, "0.3")]).unwrap();

    assert_eq!((books.account().balance, books.account().held), (units("9.7"), Nano::ZERO));
    assert_eq!(books.spent(), units("0.3"));
    let view = books.library.request(request_id(1)).unwrap().unwrap();
    assert_eq!(view.row, books.end(1, "0.3"));
    assert_eq!((view.account_name.as_str(), view.key_public_id), ("alice", books.key.record.public_id.clone()));
    let entries = books.entries();
    assert_eq!(entries.len(), 2);
    let expected = LedgerEntry {
        seq: entries[0].seq,
        account: books.account.id,
        kind: EntryKind::Charge,
        amount: units("-0.3"),
        balance_after: units("9.7"),
        request: Some(request_id(1)),
        reference: None,
        note: None,
        at_ms: NOW_MS + 1_500,
    };
    assert_eq!(entries[0], expected);
    let report = books.assert_proved();
    assert_eq!((report.accounts, report.entries, report.requests, report.holds), (1, 2, 1, 0));
    assert_eq!(report.balance, units("9.7").into());
}

#[test]
fn a_group_is_one_sum_and_each_entry_has_its_balance() {
    let mut books = Books::new();
    let group: Vec<Change> = (1..=4).flat_map(|n| [books.hold(n, "1"), books.settle(n, "0.25")]).collect();
    books.journal.commit(&group).unwrap();
    let balances: Vec<Nano> = books.entries().iter().map(|entry| entry.balance_after).collect();
    assert_eq!(balances, ["9", "9.25", "9.5", "9.75", "10"].map(units));
    assert_eq!((books.spent(), books.account().held), (units("1"), Nano::ZERO));
    let day = UsageRow {
        group: "2026-09-21".into(),
        requests: 4,
        errors: 0,
        input_tokens: 400,
        cached_input_tokens: 160,
        output_tokens: 80,
        reasoning_tokens: 20,
        charge: units("1"),
        cost: units("1"),
    };
    assert_eq!(books.totals(), [day]);
    books.assert_proved();
}

#[test]
fn what_is_booked_is_not_booked_again() {
    let mut books = Books::new();
    let group = [books.hold(1, "1"), books.checkpoint(1, "1", "0.2"), books.settle(1, "0.5")];
    books.journal.commit(&group).unwrap();
    books.journal.commit(&group).unwrap();
    // Each alone, in the wrong order, and with another amount: the first word stands.
    for change in [books.settle(1, "0.7"), books.checkpoint(1, "9", "9"), books.hold(1, "1")] {
        books.journal.commit(&[change]).unwrap();
    }
    assert_eq!((books.account().balance, books.account().held), (units("9.5"), Nano::ZERO));
    assert_eq!((books.spent(), books.entries().len(), books.totals()[0].requests), (units("0.5"), 2, 1));
    books.assert_proved();
}

#[test]
fn a_second_hold_of_a_running_request_is_ignored() {
    let mut books = Books::new();
    books.journal.commit(&[books.hold(1, "1")]).unwrap();
    books.journal.commit(&[books.hold(1, "2"), books.hold(2, "3")]).unwrap();
    assert_eq!(books.account().held, units("4"));
}

#[test]
fn a_free_or_refused_request_leaves_a_record_and_no_entry() {
    let mut books = Books::new();
    let refused = RequestRow { outcome: Outcome::Refused, status: 402, upstream: String::new(), ..books.end(1, "0") };
    books.journal.commit(&[Change::Settle(Box::new(refused.clone())), books.settle(2, "0")]).unwrap();
    assert_eq!(books.entries().len(), 1);
    assert_eq!(books.library.request(request_id(1)).unwrap().unwrap().row, refused);
    assert_eq!((books.totals()[0].requests, books.totals()[0].errors), (2, 1));
    books.assert_proved();
}

#[test]
fn a_key_was_used_when_it_was_last_used() {
    let mut books = Books::new();
    let key = books.key.record.id;
    let used = |at_ms| Change::KeyUsed { key, at_ms };
    for group in [&[used(5), used(9), used(7)][..], &[used(8)]] {
        books.journal.commit(group).unwrap();
        let row = books.library.key(&books.key.record.public_id).unwrap().unwrap();
        assert_eq!(row.last_used_at_ms, Some(9));
    }
}

#[test]
fn a_group_with_one_impossible_change_is_refused_whole() {
    let mut books = Books::new();
    let stranger = RequestRow { account: crate::core::account::AccountId(99), ..books.end(2, "1") };
    let negative = books.end(2, "-1");
    let new_model = RequestRow { model: "brand-new".into(), ..books.end(1, "1") };
    for bad in [stranger, negative] {
        let group = [Change::Settle(Box::new(new_model.clone())), Change::Settle(Box::new(bad))];
        refusal(books.journal.commit(&group));
        assert_eq!((books.account().balance, books.entries().len()), (units("10"), 1));
    }
    // The new model's word was rolled back with the group, and must not be remembered.
    books.journal.commit(&[Change::Settle(Box::new(new_model))]).unwrap();
    assert_eq!(books.library.request(request_id(1)).unwrap().unwrap().row.model, "brand-new");
    books.assert_proved();
}

/// Each number of pages that are left stops the group at another statement.
#[test]
fn a_disk_that_fills_at_any_page_of_a_group_leaves_nothing_of_it() {
    let mut books = Books::new();
    let mut number = 0;
    let mut stopped = 0;
    for pages in 0..200 {
        let first = number;
        number += 300;
        let ends = (first..number).map(|n| RequestRow { model: format!("model-{n}"), ..books.end(n, "0.000001") });
        let group: Vec<Change> =
            ends.map(|row| Change::Settle(Box::new(row))).chain([books.hold(number, "1")]).collect();
        number += 1;
        let before = (books.account(), books.spent(), books.totals(), books.assert_proved());
        books.journal.leave_pages(pages);
        let full = books.journal.commit(&group);
        if full.is_ok() {
            break;
        }
        stopped += 1;
        assert!(matches!(full, Err(StoreError::Unavailable(_))), "{pages}: {full:?}");
        assert_eq!((books.account(), books.spent(), books.totals(), books.assert_proved()), before, "{pages}");
        // There is room again: the same group goes in, once.
        books.journal.commit(&group).unwrap();
        assert_eq!(books.account().balance, before.0.balance.checked_sub(units("0.0003")).unwrap());
        books.journal.commit(&group).unwrap();
        assert_eq!(books.account().held, before.0.held.checked_add(units("1")).unwrap());
    }
    assert!(stopped > 10, "a group needs more pages than {stopped}");
    books.assert_proved();
}

#[test]
fn a_balance_that_cannot_be_counted_is_refused() {
    let mut books = Books::new();
    let end = |n, charge| Change::Settle(Box::new(RequestRow { charge, ..books.end(n, "0") }));
    let (first, second) = (end(1, Nano::MAX), end(2, Nano::MAX));
    books.journal.commit(&[first]).unwrap();
    refusal(books.journal.commit(&[second]));
    assert_eq!(books.account().balance, Nano(10_000_000_000 - i64::MAX));
    books.assert_proved();
}

#[test]
fn wild_token_counts_do_not_spoil_the_totals() {
    let mut books = Books::new();
    let wild = |n| Change::Settle(Box::new(RequestRow { input_tokens: u64::MAX, ..books.end(n, "0") }));
    let group = [wild(1), wild(2)];
    books.journal.commit(&group).unwrap();
    assert_eq!(books.totals()[0].input_tokens, 20_000_000_000);
    books.assert_proved();
}

#[test]
fn a_wild_cost_never_keeps_a_charge_from_being_written() {
    let mut books = Books::new();
    let wild = |n| Change::Settle(Box::new(RequestRow { cost: Nano::MAX, ..books.end(n, "0.5") }));
    let (together, later) = ([wild(1), wild(2)], [wild(3)]);
    books.journal.commit(&together).unwrap();
    books.journal.commit(&later).unwrap();
    let total = &books.totals()[0];
    assert_eq!((total.requests, total.charge, total.cost), (3, units("1.5"), Nano::MAX));
    assert_eq!(books.account().balance, units("8.5"));
}

#[test]
fn holds_of_a_dead_process_end_by_their_last_checkpoint() {
    let mut books = Books::new();
    books.journal.commit(&[books.hold(1, "1"), books.hold(2, "1"), books.checkpoint(2, "1", "0.4")]).unwrap();
    let recovery = books.journal.recover(NOW_MS + 9).unwrap();
    assert_eq!(recovery, Recovery { holds: 2, charged: units("0.4") });
    assert_eq!((books.account().balance, books.account().held), (units("9.6"), Nano::ZERO));
    let ended = |n| books.library.request(request_id(n)).unwrap().unwrap().row;
    let expected = RequestRow {
        bill: String::new(),
        status: 500,
        outcome: Outcome::Interrupted,
        estimated: true,
        input_tokens: 90,
        cached_input_tokens: 0,
        output_tokens: 7,
        reasoning_tokens: 0,
        ttft_ms: None,
        duration_ms: 0,
        ..books.end(2, "0.4")
    };
    assert_eq!(ended(2), expected);
    assert_eq!((ended(1).charge, ended(1).upstream.as_str(), ended(1).input_tokens), (Nano::ZERO, "", 0));
    assert_eq!(books.entries()[0].at_ms, NOW_MS + 9);
    assert_eq!(books.journal.recover(NOW_MS + 10).unwrap(), Recovery::default());
    books.assert_proved();
}

#[test]
fn promised_holds_are_found_by_whoever_comes_next() {
    let mut books = Books::new();
    let (first, second) = (books.hold(1, "1"), books.hold(2, "2"));
    assert!(books.journal.promise(std::slice::from_ref(&first)).unwrap());
    assert!(books.journal.promise(std::slice::from_ref(&second)).unwrap());
    assert_eq!(books.account().held, Nano::ZERO, "nobody need see them yet");
    books.reopen();
    assert_eq!(books.account().held, units("3"));
    // They are in the books now, and are not found again when they have ended.
    books.journal.commit(&[books.settle(1, "0.5"), books.settle(2, "0")]).unwrap();
    books.reopen();
    assert_eq!(books.journal.recover(NOW_MS).unwrap(), Recovery::default());
    assert_eq!((books.account().balance, books.account().held), (units("9.5"), Nano::ZERO));
    books.assert_proved();
}

#[test]
fn a_commit_ends_what_was_promised_before_it() {
    let mut books = Books::new();
    let (ended, running) = (books.hold(1, "1"), books.hold(2, "2"));
    assert!(books.journal.promise(&[ended.clone(), running.clone()]).unwrap());
    books.journal.commit(&[ended, running, books.settle(1, "0.5")]).unwrap();
    assert_eq!(books.account().held, units("2"));
    let later = books.hold(3, "3");
    assert!(books.journal.promise(&[later]).unwrap());
    books.reopen();
    assert_eq!(books.account().held, units("5"));
    assert_eq!(books.journal.recover(NOW_MS).unwrap().holds, 2);
    books.assert_proved();
}

#[test]
fn a_failed_commit_leaves_what_was_promised() {
    let mut books = Books::new();
    let hold = books.hold(1, "1");
    assert!(books.journal.promise(std::slice::from_ref(&hold)).unwrap());
    refusal(books.journal.commit(&[hold, Change::Settle(Box::new(books.end(1, "-1")))]));
    books.reopen();
    assert_eq!(books.account().held, units("1"));
}

/// A restored copy, with the other's promises beside it.
#[test]
fn no_books_take_the_promises_of_others() {
    let mut books = Books::new();
    let copy = books.folder.path().join("copy.db");
    books.library.backup(&copy, &mut |_, _| ()).unwrap();
    books.journal.commit(&[books.settle(1, "1")]).unwrap();
    for number in 2..4 {
        let hold = books.hold(number, "1");
        assert!(books.journal.promise(std::slice::from_ref(&hold)).unwrap());
        books.journal.commit(&[hold]).unwrap();
    }
    assert!(books.journal.promise(&[books.hold(9, "1")]).unwrap());
    std::fs::copy(books.folder.path().join("t.db-holds"), books.folder.path().join("copy.db-holds")).unwrap();
    let sqlite = Sqlite::open(&copy, Durability::Full).unwrap();
    assert_eq!(sqlite.journal().unwrap().recover(NOW_MS).unwrap(), Recovery::default());

    let other = Books::new();
    std::fs::copy(books.folder.path().join("t.db-holds"), other.folder.path().join("t.db-holds")).unwrap();
    let Books { sqlite, journal, .. } = other;
    drop(journal);
    assert_eq!(sqlite.journal().unwrap().recover(NOW_MS).unwrap(), Recovery::default());
}

#[test]
fn any_number_of_holds_is_recovered() {
    let mut books = Books::new();
    let holds: Vec<Change> = (0..2_500).map(|n| books.hold(n, "0.001")).collect();
    books.journal.commit(&holds).unwrap();
    assert_eq!(books.journal.recover(NOW_MS).unwrap().holds, 2_500);
    assert_eq!(books.account().held, Nano::ZERO);
}

#[test]
fn retention_takes_records_and_nothing_else() {
    let mut books = Books::new();
    let at = |day: i64, number| {
        let started_at_ms = NOW_MS + day * DAY_MS;
        let request = request_id_at(started_at_ms, number);
        Change::Settle(Box::new(RequestRow { request, started_at_ms, ..books.end(0, "0.0001") }))
    };
    let old: Vec<Change> = (0..5_003).map(|n| at(0, n)).collect();
    let new = [at(1, 1), at(2, 2)];
    books.journal.commit(&old).unwrap();
    books.journal.commit(&new).unwrap();
    let (balance, totals) = (books.account().balance, books.totals());
    let before_ms = NOW_MS + DAY_MS;
    let pruned: Vec<u64> = (0..2).map(|_| books.journal.prune(before_ms).unwrap()).collect();
    assert_eq!(pruned, [5_000, 3], "bounded work, and a record of the very moment stays");
    // Then, as long ago as these are, the totals of each of the three minutes and quarters.
    let pruned: Vec<u64> = (0..3).map(|_| books.journal.prune(before_ms).unwrap()).collect();
    assert_eq!(pruned, [6, 3, 0]);
    assert_eq!((books.account().balance, books.totals()), (balance, totals));
    // What was pruned stays booked: a replay brings neither the record nor the charge back.
    books.journal.commit(&old[..2]).unwrap();
    assert_eq!(books.assert_proved().requests, 2);
    assert_eq!(books.assert_proved().entries, 5_006);
}

#[test]
fn one_journal_at_a_time() {
    let books = Books::new();
    let why = refusal(books.sqlite.journal().map(|_| ()));
    assert!(why.contains("another process serves"), "{why}");
    // Also by another name of the same file.
    let alias = books.folder.path().join("alias.db");
    std::os::unix::fs::symlink(books.folder.path().join("t.db"), &alias).unwrap();
    refusal(Sqlite::open(&alias, Durability::Full).unwrap().journal().map(|_| ()));
    let Books { sqlite, journal, .. } = books;
    drop(journal);
    sqlite.journal().unwrap();
}
