//! What people do by hand.

use super::*;
use crate::core::account::{AccountId, AccountStatus};
use crate::core::key::{KeyHash, KeyId, KeyStatus};

#[test]
fn an_account_begins_with_its_credit() {
    let books = Books::new();
    let row = books.account();
    assert_eq!(row, books.account);
    assert!(row.public_id.starts_with("acc_") && row.public_id.len() == 36, "{}", row.public_id);
    assert_eq!((row.balance, row.held, row.status), (units("10"), Nano::ZERO, AccountStatus::Active));
    let entries = books.entries();
    assert_eq!((entries.len(), entries[0].kind, entries[0].balance_after), (1, EntryKind::Credit, units("10")));
    assert_eq!(books.library.account(&row.public_id).unwrap(), Some(row));
    assert_eq!(books.library.account("ALICE").unwrap(), None);
}

#[test]
fn account_names_are_plain_and_one_of_a_kind() {
    let mut books = Books::new();
    assert!(refusal(books.desk.create_account("alice", "default", Nano::ZERO, NOW_MS)).contains("alice is taken"));
    refusal(books.desk.create_account("=cmd()", "default", Nano::ZERO, NOW_MS));
    refusal(books.desk.create_account("bob", "no such\ngroup", Nano::ZERO, NOW_MS));
    refusal(books.desk.create_account("bob", "default", units("-1"), NOW_MS));
    assert_eq!(books.library.accounts().unwrap().len(), 1);
    books.desk.create_account("Alice", "default", Nano::ZERO, NOW_MS).unwrap();

    let rename = |name: &str| AccountPatch { name: Some(name.into()), ..AccountPatch::default() };
    refusal(books.desk.update_account(books.account.id, &rename("Alice")));
    refusal(books.desk.update_account(books.account.id, &rename("")));
    refusal(books.desk.update_account(AccountId(77), &rename("carol")));
    books.desk.update_account(books.account.id, &rename("alice")).unwrap();
    let patch = AccountPatch {
        name: Some("alicia".into()),
        group: Some("gold".into()),
        status: Some(AccountStatus::Suspended),
    };
    let row = books.desk.update_account(books.account.id, &patch).unwrap();
    assert_eq!((row.name.as_str(), row.group.as_str(), row.status), ("alicia", "gold", AccountStatus::Suspended));
    assert_eq!(books.library.account("alicia").unwrap(), Some(row));
}

#[test]
fn a_name_that_looks_like_an_id_does_not_hide_the_account_of_that_id() {
    let mut books = Books::new();
    let id = books.account.public_id.clone();
    books.desk.create_account(&id, "default", Nano::ZERO, NOW_MS).unwrap();
    assert_eq!(books.library.account(&id).unwrap().unwrap().name, "alice");
}

#[test]
fn a_reference_credits_once() {
    let mut books = Books::new();
    let bob = books.desk.create_account("bob", "default", Nano::ZERO, NOW_MS).unwrap();
    let (alice, desk) = (books.account.id, &mut books.desk);
    let mut pay = |account, amount, now_ms| {
        desk.post(account, EntryKind::Credit, units(amount), Some("pay-1"), Some("thanks"), now_ms)
    };
    let first = pay(alice, "5", NOW_MS).unwrap();
    assert_eq!(pay(alice, "5", NOW_MS + 1).unwrap(), first);
    assert!(refusal(pay(alice, "6", NOW_MS)).contains("pay-1"));
    refusal(pay(bob.id, "5", NOW_MS));
    // The same reference may name an entry of another kind.
    books.desk.post(alice, EntryKind::Refund, units("5"), Some("pay-1"), None, NOW_MS).unwrap();
    assert_eq!(books.account().balance, units("20"));
    assert_eq!(books.entries()[1], first);
    books.assert_proved();
}

#[test]
fn postings_that_make_no_sense_are_refused() {
    let mut books = Books::new();
    let id = books.account.id;
    let too_long = "n".repeat(1_001);
    for (account, kind, amount, reference, note) in [
        (id, EntryKind::Charge, units("-1"), None, None),
        (id, EntryKind::Credit, units("0"), None, None),
        (id, EntryKind::Credit, units("-1"), None, None),
        (id, EntryKind::Refund, units("-1"), None, None),
        (id, EntryKind::Adjust, units("0"), None, None),
        (id, EntryKind::Credit, units("1"), Some(""), None),
        (id, EntryKind::Credit, units("1"), Some("a\nb"), None),
        (id, EntryKind::Credit, units("1"), None, Some(too_long.as_str())),
        (id, EntryKind::Credit, Nano::MAX, None, None),
        (AccountId(77), EntryKind::Credit, units("1"), None, None),
    ] {
        refusal(books.desk.post(account, kind, amount, reference, note, NOW_MS));
    }
    assert_eq!((books.account().balance, books.entries().len()), (units("10"), 1));
    books.desk.post(id, EntryKind::Adjust, units("-12.5"), None, Some("mistake"), NOW_MS).unwrap();
    assert_eq!(books.account().balance, units("-2.5"));
    books.assert_proved();
}

#[test]
fn a_key_is_kept_as_it_was_made() {
    let mut books = Books::new();
    let new = NewKey {
        expires_at_ms: Some(NOW_MS + 1),
        models: vec!["a\",b".into(), "c".into()],
        limits: Limits { rpm: Some(u32::MAX), tpm: Some(7), concurrency: Some(1) },
        budget: Some(units("3")),
        allow_ips: vec!["203.0.113.0/24".parse().unwrap(), "::1/128".parse().unwrap()],
        ..new_key("Büro, 3. Stock")
    };
    let row = books.desk.create_key(books.account.id, &new, NOW_MS).unwrap();
    let read = books.library.key(&row.record.public_id).unwrap().unwrap();
    assert_eq!(format!("{row:?}"), format!("{read:?}"));
    let record = read.record;
    assert!(record.public_id.starts_with("key_") && record.public_id.len() == 36);
    assert_eq!((record.name, record.hash, record.prefix), (new.name.clone(), new.hash, new.prefix.clone()));
    assert_eq!((record.status, record.expires_at_ms), (KeyStatus::Active, new.expires_at_ms));
    assert_eq!((record.models, record.limits, record.budget), (new.models.clone(), new.limits, new.budget));
    assert_eq!((record.allow_ips, read.account_name.as_str()), (new.allow_ips.clone(), "alice"));
    assert_eq!((read.spent, read.created_at_ms, read.last_used_at_ms), (Nano::ZERO, NOW_MS, None));

    refusal(books.desk.create_key(books.account.id, &new, NOW_MS));
    refusal(books.desk.create_key(AccountId(77), &new_key("x"), NOW_MS));
    for name in ["", "a\u{7}b", &"x".repeat(129)] {
        refusal(books.desk.create_key(books.account.id, &new_key(name), NOW_MS));
    }
    let negative = NewKey { budget: Some(units("-1")), ..new_key("x") };
    refusal(books.desk.create_key(books.account.id, &negative, NOW_MS));
    let wild = NewKey { limits: Limits { tpm: Some(u64::MAX), ..Limits::default() }, ..new_key("x") };
    refusal(books.desk.create_key(books.account.id, &wild, NOW_MS));
}

#[test]
fn a_patch_sets_clears_and_leaves() {
    let mut books = Books::new();
    let id = books.key.record.id;
    let set = KeyPatch {
        name: Some("phone".into()),
        status: Some(KeyStatus::Disabled),
        expires_at_ms: Some(Some(NOW_MS)),
        models: Some(vec!["m".into()]),
        rpm: Some(Some(1)),
        tpm: Some(Some(2)),
        concurrency: Some(Some(3)),
        budget: Some(Some(units("4"))),
        allow_ips: Some(vec!["10.0.0.0/8".parse().unwrap()]),
    };
    books.desk.update_key(id, &set).unwrap();
    let row =
        books.desk.update_key(id, &KeyPatch { rpm: Some(None), budget: Some(None), ..KeyPatch::default() }).unwrap();
    let read = books.library.key(&row.record.public_id).unwrap().unwrap();
    assert_eq!(format!("{row:?}"), format!("{read:?}"));
    assert_eq!(read.record.limits, Limits { rpm: None, tpm: Some(2), concurrency: Some(3) });
    assert_eq!((read.record.budget, read.record.name.as_str()), (None, "phone"));
    assert_eq!((read.record.status, read.record.expires_at_ms), (KeyStatus::Disabled, Some(NOW_MS)));
    assert_eq!((read.record.models.len(), read.record.allow_ips.len()), (1, 1));
    refusal(books.desk.update_key(id, &KeyPatch { name: Some(String::new()), ..KeyPatch::default() }));
    refusal(books.desk.update_key(KeyId(77), &KeyPatch::default()));
}

#[test]
fn a_deleted_key_is_gone_but_its_history_is_not() {
    let mut books = Books::new();
    books.journal.commit(&[books.settle(1, "1")]).unwrap();
    let id = books.key.record.id;
    books.desk.update_key(id, &KeyPatch { status: Some(KeyStatus::Deleted), ..KeyPatch::default() }).unwrap();
    assert!(books.library.keys(None).unwrap().is_empty());
    let row = books.library.key(&books.key.record.public_id).unwrap().unwrap();
    assert_eq!((row.record.status, row.spent), (KeyStatus::Deleted, units("1")));
    refusal(books.desk.update_key(id, &KeyPatch { status: Some(KeyStatus::Active), ..KeyPatch::default() }));
    refusal(books.desk.rotate_key(id, KeyHash([1; 32]), "p", None, NOW_MS));
    assert!(books.library.request(request_id(1)).unwrap().is_some());
    // Its running requests still end.
    books.journal.commit(&[books.settle(2, "1")]).unwrap();
    assert_eq!(books.spent(), units("2"));
    books.assert_proved();
}

#[test]
fn rotation_hands_over_rights_and_spending() {
    let mut books = Books::new();
    books.journal.commit(&[books.settle(1, "1")]).unwrap();
    let old = books.key.record.id;
    let patch = KeyPatch { budget: Some(Some(units("3"))), status: Some(KeyStatus::Disabled), ..KeyPatch::default() };
    books.desk.update_key(old, &patch).unwrap();

    let second = books.desk.rotate_key(old, KeyHash([2; 32]), "sk-2", Some(NOW_MS + 10), NOW_MS).unwrap();
    assert_ne!(second.record.public_id, books.key.record.public_id);
    assert_eq!((second.record.hash, second.record.prefix.as_str()), (KeyHash([2; 32]), "sk-2"));
    assert_eq!((second.record.name.as_str(), second.record.budget), ("laptop", Some(units("3"))));
    assert_eq!(second.record.status, KeyStatus::Disabled, "a rotation enables nothing");
    assert_eq!((second.spent, second.record.expires_at_ms), (units("1"), None));
    let kept = books.library.key(&books.key.record.public_id).unwrap().unwrap().record;
    assert_eq!((kept.status, kept.expires_at_ms), (KeyStatus::Disabled, Some(NOW_MS + 10)));

    // The old key never gains time, and the third inherits all that was spent before it.
    let charge = RequestRow { key: second.record.id, ..books.end(2, "0.5") };
    books.journal.commit(&[Change::Settle(Box::new(charge))]).unwrap();
    books.desk.rotate_key(old, KeyHash([3; 32]), "sk-3", Some(NOW_MS + 99), NOW_MS).unwrap();
    let kept = books.library.key(&books.key.record.public_id).unwrap().unwrap().record;
    assert_eq!(kept.expires_at_ms, Some(NOW_MS + 10));
    let third = books.desk.rotate_key(second.record.id, KeyHash([4; 32]), "sk-4", None, NOW_MS).unwrap();
    assert_eq!(third.spent, units("1.5"));
    let ended = books.library.key(&second.record.public_id).unwrap().unwrap().record;
    assert_eq!(ended.status, KeyStatus::Deleted);
    // An end that has come already is at once.
    books.desk.rotate_key(third.record.id, KeyHash([5; 32]), "sk-5", Some(NOW_MS), NOW_MS).unwrap();
    assert_eq!(books.library.key(&third.record.public_id).unwrap().unwrap().record.status, KeyStatus::Deleted);
    books.assert_proved();
}

#[test]
fn admin_tokens_are_listed_and_revoked_once() {
    let mut books = Books::new();
    let scopes = ["read".to_string(), "keys".to_string()];
    let made = books.desk.create_admin_token("ci", KeyHash([7; 32]), &scopes, NOW_MS).unwrap();
    assert!(made.public_id.starts_with("adm_"));
    assert_eq!((made.scopes.as_slice(), made.revoked_at_ms), (&scopes[..], None));
    assert_eq!(books.library.admin_tokens().unwrap(), std::slice::from_ref(&made));
    for now_ms in [NOW_MS + 1, NOW_MS + 2] {
        let revoked = books.desk.revoke_admin_token(&made.public_id, now_ms).unwrap();
        assert_eq!(revoked.revoked_at_ms, Some(NOW_MS + 1));
    }
    refusal(books.desk.revoke_admin_token("adm_0", NOW_MS));
    refusal(books.desk.create_admin_token("\n", KeyHash([8; 32]), &scopes, NOW_MS));
}

#[test]
fn the_ledger_refuses_to_be_rewritten() {
    let books = Books::new();
    for sql in ["UPDATE ledger SET note = 'x'", "DELETE FROM ledger", "UPDATE ledger SET amount = amount WHERE seq = 1"]
    {
        let error = books.raw().execute(sql, []).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
    assert_eq!(books.entries().len(), 1);
}
