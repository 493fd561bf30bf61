//! What is noted of what is done by hand, and what is done once though it was asked for twice.

use std::thread;

use serde_json::{Value, json};

use super::*;
use crate::core::account::AccountStatus;
use crate::core::key::{KeyHash, KeyStatus};
use crate::store::contract::console::*;

const PASSWORD: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA";

fn hash(number: u8) -> KeyHash {
    KeyHash([number; 32])
}

fn once(key: u8, fingerprint: u8) -> Act {
    Act { actor: Actor::CommandLine, once: Some(Once { key: hash(key), fingerprint: hash(fingerprint) }) }
}

fn repeated<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    match outcome {
        Err(StoreError::Repeated(made)) => made,
        other => panic!("not repeated: {other:?}"),
    }
}

fn invite(number: u8) -> NewInvitation {
    let to = InvitationFor::NewPerson { role: Role::Operator, account: None };
    NewInvitation { hash: hash(number), to, note: None, expires_at_ms: NOW_MS + DAY_MS }
}

fn codes(number: u8) -> NewCodes {
    let codes = vec![(hash(number), "WXYZ".into())];
    NewCodes { name: "fair".into(), amount: units("2"), note: None, expires_at_ms: None, codes }
}

impl Books {
    /// Oldest first, without those that made these books.
    fn actions(&self) -> Vec<ActionRow> {
        let page = Page { after: None, limit: 200 };
        let mut rows = self.sqlite.reports().unwrap().actions(&page).unwrap().rows;
        rows.reverse();
        rows.split_off(2)
    }

    fn latest(&self) -> (String, Value, Value) {
        let row = self.actions().pop().unwrap();
        let object = |text: Option<String>| text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
        (row.action, object(row.before), object(row.after))
    }
}

#[test]
fn everything_that_is_done_by_hand_is_noted_with_its_target() {
    let mut books = Books::new();
    let page = Page { after: None, limit: 9 };
    let made: Vec<_> = books.sqlite.reports().unwrap().actions(&page).unwrap().rows;
    assert_eq!(made.iter().map(|row| row.action.as_str()).collect::<Vec<_>>(), ["key.create", "account.create"]);
    assert_eq!(made[0].target, books.key.record.public_id);

    let (alice, key) = (books.account.clone(), books.key.record.clone());
    let desk = &mut books.desk;
    let suspend = AccountPatch { status: Some(AccountStatus::Suspended), ..AccountPatch::default() };
    desk.update_account(alice.id, &suspend).unwrap();
    for (kind, amount) in [(EntryKind::Credit, "1"), (EntryKind::Adjust, "-1"), (EntryKind::Refund, "1")] {
        desk.post(alice.id, kind, units(amount), None, Some("why"), NOW_MS).unwrap();
    }
    let rename = KeyPatch { name: Some("phone".into()), ..KeyPatch::default() };
    desk.update_key(key.id, &rename).unwrap();
    let new = desk.rotate_key(key.id, hash(2), "sk-2", None, NOW_MS).unwrap().record;
    let delete = KeyPatch { status: Some(KeyStatus::Deleted), ..KeyPatch::default() };
    desk.update_key(new.id, &delete).unwrap();
    let token = desk.create_admin_token("ci", hash(3), &["read".into()], NOW_MS).unwrap().public_id;
    desk.revoke_admin_token(&token, NOW_MS).unwrap();
    let invitation = desk.invite(&invite(4), NOW_MS).unwrap().public_id;
    desk.revoke_invitation(&invitation, NOW_MS).unwrap();
    let code = desk.create_codes(&codes(5), NOW_MS).unwrap()[0].public_id.clone();
    desk.redeem(&hash(5), alice.id, NOW_MS).unwrap();
    let void = desk.create_codes(&codes(6), NOW_MS).unwrap()[0].public_id.clone();
    desk.void_code(&void, NOW_MS).unwrap();
    let person = books.sqlite.registry().unwrap().sign_up("carol", PASSWORD, "default", NOW_MS).unwrap();
    let promote = PersonPatch { role: Some(Role::Operator), ..PersonPatch::default() };
    books.desk.update_person(person.id, &promote).unwrap();

    let rows = books.actions();
    let noted: Vec<_> = rows.iter().map(|row| (row.action.as_str(), row.target.as_str())).collect();
    let (alice, person) = (alice.public_id.as_str(), person.public_id.as_str());
    assert_eq!(
        noted,
        [
            ("account.update", alice),
            ("account.credit", alice),
            ("account.adjust", alice),
            ("account.refund", alice),
            ("key.update", key.public_id.as_str()),
            ("key.rotate", &key.public_id),
            ("key.delete", &new.public_id),
            ("token.create", &token),
            ("token.revoke", &token),
            ("invitation.create", &invitation),
            ("invitation.revoke", &invitation),
            ("code.create", &code),
            ("code.redeem", &code),
            ("code.create", &void),
            ("code.void", &void),
            ("person.create", person),
            ("person.update", person),
        ]
    );
    let secret = |text: &str| text.contains("argon2") || text.contains("sk-") || text.contains("hash");
    for row in rows {
        let text = format!("{:?}{:?}", row.before, row.after);
        assert!(!secret(&text) && (row.before.is_some() || row.after.is_some()), "{text}");
        // Whoever signs up does so for themselves.
        let by = if row.action == "person.create" { ("person", "carol") } else { ("command_line", "") };
        assert_eq!((row.actor_kind.as_str(), row.actor.as_str(), row.address), (by.0, by.1, None));
    }
}

#[test]
fn a_note_has_what_changed_and_nothing_else() {
    let mut books = Books::new();
    let (id, key) = (books.account.id, books.key.record.id);
    let patch = AccountPatch { name: Some("alicia".into()), group: Some("default".into()), status: None };
    books.desk.update_account(id, &patch).unwrap();
    assert_eq!(books.latest(), ("account.update".into(), json!({"name": "alice"}), json!({"name": "alicia"})));

    let set = KeyPatch { rpm: Some(Some(9)), budget: Some(Some(units("1.5"))), ..KeyPatch::default() };
    books.desk.update_key(key, &set).unwrap();
    let limits = |rpm: Option<u32>| json!({ "rpm": rpm, "tpm": null, "concurrency": null });
    let (_, before, after) = books.latest();
    assert_eq!(before, json!({ "limits": limits(None), "budget": null }));
    assert_eq!(after, json!({ "limits": limits(Some(9)), "budget": "1.5" }));

    let entry = books.desk.post(id, EntryKind::Credit, units("5"), Some("inv-1"), Some("paid"), NOW_MS).unwrap();
    let (_, before, after) = books.latest();
    assert_eq!(before, json!({ "balance": "10" }));
    let expected = json!({ "balance": "15", "amount": "5", "entry": entry.seq, "ref": "inv-1", "note": "paid" });
    assert_eq!(after, expected);

    books.desk.create_account("bob", "default", units("2"), NOW_MS).unwrap();
    let facts = json!({ "name": "bob", "group": "default", "status": "active", "credit": "2" });
    assert_eq!(books.latest(), ("account.create".into(), Value::Null, facts));
}

#[test]
fn what_changed_nothing_or_was_refused_is_not_noted() {
    let mut books = Books::new();
    let id = books.account.id;
    let same = AccountPatch { name: Some("alice".into()), ..AccountPatch::default() };
    books.desk.update_account(id, &same).unwrap();
    books.desk.update_key(books.key.record.id, &KeyPatch::default()).unwrap();
    refusal(books.desk.create_account("alice", "default", Nano::ZERO, NOW_MS));
    refusal(books.desk.post(id, EntryKind::Credit, units("-1"), None, None, NOW_MS));
    refusal(books.desk.redeem(&hash(1), id, NOW_MS));
    assert_eq!(books.actions(), []);
    for _ in 0..2 {
        books.desk.post(id, EntryKind::Credit, units("1"), Some("pay"), None, NOW_MS).unwrap();
    }
    assert_eq!(books.actions().len(), 1, "the repeated reference moved no money");
}

#[test]
fn a_note_names_who_did_it_and_from_where() {
    let mut books = Books::new();
    let mut registry = books.sqlite.registry().unwrap();
    let carol = registry.sign_up("Carol", PASSWORD, "default", NOW_MS).unwrap();
    let address = Some("::ffff:192.0.2.7".parse().unwrap());
    let person = Actor::Person { id: carol.id, login: carol.login, address };
    let token = Actor::Token { id: "adm_1".into(), name: "ci".into(), address: None };
    for actor in [person, token] {
        books.desk.act_for(Act { actor, once: None });
        books.desk.post(books.account.id, EntryKind::Credit, units("1"), None, None, NOW_MS).unwrap();
    }
    let rows = books.actions();
    let who = |row: &ActionRow| (row.actor_kind.clone(), row.actor_id.clone(), row.actor.clone(), row.address);
    assert_eq!((rows[0].action.as_str(), &rows[0].actor_id), ("person.create", &carol.public_id), "by herself");
    assert_eq!(who(&rows[1]), ("person".into(), carol.public_id, "Carol".into(), Some("192.0.2.7".parse().unwrap())));
    assert_eq!(who(&rows[2]), ("token".into(), "adm_1".into(), "ci".into(), None));
    assert_eq!(rows[0].at_ms, NOW_MS);

    let nobody = Actor::Person { id: PersonId(77), login: "x".into(), address: None };
    books.desk.act_for(Act { actor: nobody, once: None });
    refusal(books.desk.post(books.account.id, EntryKind::Credit, units("1"), None, None, NOW_MS));
    assert_eq!(books.account().balance, units("12"));
}

#[test]
fn a_note_stays_small_whatever_is_written_into_a_field() {
    let mut books = Books::new();
    let models = (0..5_000).map(|n| format!("model-{n}\"\n")).collect();
    let patch = KeyPatch { models: Some(models), ..KeyPatch::default() };
    books.desk.update_key(books.key.record.id, &patch).unwrap();
    let (_, before, after) = books.latest();
    assert_eq!(before, json!({ "models": [] }));
    assert!(after["models"].as_str().unwrap().ends_with("characters)"), "{after}");
    assert!(after.to_string().len() < 100);
}

#[test]
fn the_action_log_refuses_to_be_rewritten() {
    let books = Books::new();
    for sql in ["UPDATE action SET actor = 'x'", "DELETE FROM action", "UPDATE action SET seq = seq WHERE seq = 1"] {
        let error = books.raw().execute(sql, []).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
}

#[test]
fn a_repeated_request_is_told_what_the_first_one_made() {
    let mut books = Books::new();
    let (id, key, registry) = (books.account.id, books.key.record.id, books.sqlite.registry().unwrap());
    let desk = &mut books.desk;
    let mut asked = 0;
    let mut twice = |ask: &mut dyn FnMut(&mut SqliteDesk) -> Result<String, StoreError>| {
        asked += 1;
        desk.act_for(once(asked, 1));
        let made = ask(desk).unwrap();
        desk.act_for(once(asked, 1));
        assert_eq!(repeated(ask(desk)), made);
        assert_eq!(registry.earlier(&once(asked, 1).once.unwrap(), NOW_MS).unwrap(), Some(made));
    };
    twice(&mut |desk| desk.create_account("bob", "default", units("1"), NOW_MS).map(|row| row.public_id));
    twice(&mut |desk| desk.create_key(id, &new_key("k"), NOW_MS).map(|row| row.record.public_id));
    twice(&mut |desk| desk.rotate_key(key, hash(200), "p", None, NOW_MS).map(|row| row.record.public_id));
    twice(&mut |desk| {
        desk.post(id, EntryKind::Credit, units("1"), None, None, NOW_MS).map(|entry| entry.seq.to_string())
    });
    twice(&mut |desk| desk.create_codes(&codes(9), NOW_MS).map(|rows| rows[0].public_id.clone()));
    twice(&mut |desk| desk.redeem(&hash(9), id, NOW_MS).map(|entry| entry.seq.to_string()));
    twice(&mut |desk| desk.invite(&invite(10), NOW_MS).map(|row| row.public_id));
    // A reference that was booked before, and now comes with a key of its own.
    books.desk.post(id, EntryKind::Refund, units("1"), Some("r"), None, NOW_MS).unwrap();
    let seq = books.entries()[0].seq.to_string();
    for expected in [None, Some(seq)] {
        books.desk.act_for(once(100, 1));
        let outcome = books.desk.post(id, EntryKind::Refund, units("1"), Some("r"), None, NOW_MS);
        assert_eq!(outcome.err().map(|error| repeated(Err::<(), _>(error))), expected);
    }
    assert_eq!(books.account().balance, units("14"));
    assert_eq!(books.actions().len(), 8, "{:?}", books.actions());
    books.assert_proved();
}

#[test]
fn the_same_idempotency_key_for_another_request_is_refused() {
    let mut books = Books::new();
    let id = books.account.id;
    let mut credit = |act: Act, now_ms: i64| {
        books.desk.act_for(act);
        books.desk.post(id, EntryKind::Credit, units("1"), None, None, now_ms)
    };
    credit(once(1, 1), NOW_MS).unwrap();
    assert!(refusal(credit(once(1, 2), NOW_MS)).contains("Idempotency-Key"));
    credit(once(2, 2), NOW_MS).unwrap();
    // A day later it is a new one; a day minus a moment later it is not.
    repeated(credit(once(1, 1), NOW_MS + DAY_MS - 1));
    credit(once(1, 2), NOW_MS + DAY_MS).unwrap();
    repeated(credit(once(1, 2), NOW_MS + DAY_MS));
    let registry = books.sqlite.registry().unwrap();
    assert!(refusal(registry.earlier(&once(1, 1).once.unwrap(), NOW_MS + DAY_MS)).contains("Idempotency-Key"));
    assert_eq!(registry.earlier(&once(2, 2).once.unwrap(), NOW_MS + DAY_MS).unwrap(), None);
    let kept: i64 = books.raw().query_row("SELECT count(*) FROM once", [], |row| row.get(0)).unwrap();
    assert_eq!((kept, books.account().balance), (1, units("13")));
}

#[test]
fn a_request_that_was_refused_may_be_asked_again() {
    let mut books = Books::new();
    books.desk.act_for(once(2, 1));
    refusal(books.desk.create_account("alice", "default", Nano::ZERO, NOW_MS));
    let rename = AccountPatch { name: Some("alicia".into()), ..AccountPatch::default() };
    books.desk.update_account(books.account.id, &rename).unwrap();
    books.desk.act_for(once(2, 1));
    books.desk.create_account("alice", "default", Nano::ZERO, NOW_MS).unwrap();
}

#[test]
fn a_repetition_is_for_one_deed() {
    let mut books = Books::new();
    let id = books.account.id;
    books.desk.act_for(once(1, 1));
    for _ in 0..2 {
        books.desk.post(id, EntryKind::Credit, units("1"), None, None, NOW_MS).unwrap();
    }
    assert_eq!(books.account().balance, units("12"));
}

#[test]
fn twenty_equal_requests_at_once_are_done_once() {
    let books = Books::new();
    let id = books.account.id;
    let outcomes: Vec<_> = thread::scope(|scope| {
        let sqlite = &books.sqlite;
        let ask = || {
            let mut desk = sqlite.desk()?;
            desk.act_for(once(1, 1));
            desk.post(id, EntryKind::Credit, units("1"), None, None, NOW_MS)
        };
        let threads: Vec<_> = (0..20).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (done, again): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1);
    let seq = done.into_iter().next().unwrap().unwrap().seq.to_string();
    for outcome in again {
        assert_eq!(repeated(outcome), seq);
    }
    assert_eq!(books.assert_proved().balance, units("11").into());
}
