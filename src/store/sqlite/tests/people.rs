//! People: how they come in, sign in, and stop being let in.

use std::net::IpAddr;
use std::thread;

use super::*;
use crate::core::account::AccountId;
use crate::core::key::KeyHash;
use crate::store::contract::console::*;

const PASSWORD: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA";
const OTHER: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$b3RoZXI";
const END_MS: i64 = NOW_MS + DAY_MS;

fn hash(number: u8) -> KeyHash {
    KeyHash([number; 32])
}

fn invitation(number: u8, role: Role, account: Option<AccountId>) -> NewInvitation {
    let to = InvitationFor::NewPerson { role, account };
    NewInvitation { hash: hash(number), to, note: Some("hello".into()), expires_at_ms: END_MS }
}

fn reset(number: u8, person: PersonId) -> NewInvitation {
    NewInvitation { hash: hash(number), to: InvitationFor::Reset { person }, note: None, expires_at_ms: END_MS }
}

/// An empty storage and its door.
fn nobody() -> (TempDir, Sqlite, SqliteDesk, SqliteRegistry) {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(&folder.path().join("t.db"), Durability::Normal).unwrap();
    let (desk, registry) = (sqlite.desk().unwrap(), sqlite.registry().unwrap());
    (folder, sqlite, desk, registry)
}

impl Books {
    fn registry(&self) -> SqliteRegistry {
        self.sqlite.registry().unwrap()
    }

    /// A person who was invited by hand.
    fn person(&mut self, number: u8, role: Role, login: &str) -> PersonRow {
        self.desk.invite(&invitation(number, role, None), NOW_MS).unwrap();
        self.registry().accept(&hash(number), login, PASSWORD, "default", NOW_MS).unwrap()
    }
}

fn account_name(person: &PersonRow) -> &str {
    &person.account.as_ref().unwrap().name
}

fn sign_in(registry: &mut SqliteRegistry, person: PersonId, number: u8, now_ms: i64) -> SessionRow {
    let address = Some("::ffff:192.0.2.7".parse().unwrap());
    let session = NewSession { expires_at_ms: now_ms + 1_000, address, agent: "é".repeat(300) };
    registry.open_session(person, &hash(number), &session, now_ms).unwrap()
}

fn disable() -> PersonPatch {
    PersonPatch { status: Some(PersonStatus::Disabled), ..PersonPatch::default() }
}

fn demote() -> PersonPatch {
    PersonPatch { role: Some(Role::Customer), ..PersonPatch::default() }
}

#[test]
fn the_first_operator_takes_the_only_account_and_no_second_one_comes_that_way() {
    let mut books = Books::new();
    let mut registry = books.registry();
    assert!(!registry.has_operator().unwrap());
    refusal(registry.invite_first_operator(&invitation(1, Role::Customer, None), NOW_MS));
    let first = registry.invite_first_operator(&invitation(1, Role::Operator, None), NOW_MS).unwrap();
    registry.invite_first_operator(&invitation(2, Role::Operator, None), NOW_MS).unwrap();
    assert!(first.public_id.starts_with("inv_") && first.usable(NOW_MS) && first.account.is_none());

    let root = registry.accept(&hash(1), "Root", PASSWORD, "gold", NOW_MS).unwrap();
    assert_eq!((root.login.as_str(), root.role, root.status), ("Root", Role::Operator, PersonStatus::Active));
    assert!(root.public_id.starts_with("per_"));
    assert_eq!(account_name(&root), "alice");
    assert_eq!(books.account().group, "default", "an account that is taken over stays as it is");
    assert!(registry.has_operator().unwrap());

    // The other link is in some old log.
    assert!(!registry.invitation(&hash(2)).unwrap().unwrap().usable(NOW_MS));
    refusal(registry.accept(&hash(2), "mallory", PASSWORD, "default", NOW_MS));
    refusal(registry.invite_first_operator(&invitation(3, Role::Operator, None), NOW_MS));
    let second = books.person(4, Role::Operator, "second");
    assert_eq!(account_name(&second), "second");
}

#[test]
fn a_customer_who_is_promoted_ends_the_first_operators_links_too() {
    let mut books = Books::new();
    let mut registry = books.registry();
    let carol = books.person(1, Role::Customer, "carol");
    registry.invite_first_operator(&invitation(2, Role::Operator, None), NOW_MS).unwrap();
    let promote = PersonPatch { role: Some(Role::Operator), ..PersonPatch::default() };
    books.desk.update_person(carol.id, &promote).unwrap();
    refusal(registry.accept(&hash(2), "mallory", PASSWORD, "default", NOW_MS));
}

#[test]
fn an_operator_without_an_account_to_take_gets_one_whose_name_is_free() {
    let (_folder, _sqlite, mut desk, mut registry) = nobody();
    registry.invite_first_operator(&invitation(1, Role::Operator, None), NOW_MS).unwrap();
    let root = registry.accept(&hash(1), "root", PASSWORD, "default", NOW_MS).unwrap();
    assert_eq!(account_name(&root), "root");

    for name in ["ann", "ann-2"] {
        desk.create_account(name, "default", Nano::ZERO, NOW_MS).unwrap();
    }
    desk.invite(&invitation(2, Role::Operator, None), NOW_MS).unwrap();
    assert_eq!(account_name(&registry.accept(&hash(2), "ann", PASSWORD, "default", NOW_MS).unwrap()), "ann-3");
}

#[test]
fn the_only_account_is_not_taken_from_a_customer() {
    let mut books = Books::new();
    let mut registry = books.registry();
    books.desk.invite(&invitation(1, Role::Customer, Some(books.account.id)), NOW_MS).unwrap();
    let carol = registry.accept(&hash(1), "carol", PASSWORD, "default", NOW_MS).unwrap();
    assert_eq!(account_name(&carol), "alice");
    registry.invite_first_operator(&invitation(2, Role::Operator, None), NOW_MS).unwrap();
    assert_eq!(account_name(&registry.accept(&hash(2), "root", PASSWORD, "default", NOW_MS).unwrap()), "root");
}

#[test]
fn a_customers_own_account_has_their_name_or_they_choose_another() {
    let mut books = Books::new();
    let mut registry = books.registry();
    books.desk.invite(&invitation(1, Role::Customer, None), NOW_MS).unwrap();
    assert!(refusal(registry.accept(&hash(1), "alice", PASSWORD, "gold", NOW_MS)).contains("alice is taken"));
    refusal(registry.accept(&hash(1), "no name\n", PASSWORD, "gold", NOW_MS));
    refusal(registry.accept(&hash(1), "carol", "correct horse", "gold", NOW_MS));
    assert_eq!(books.library.accounts().unwrap().len(), 1, "what was refused has left nothing");
    let carol = registry.accept(&hash(1), "carol", PASSWORD, "gold", NOW_MS).unwrap();
    let account = books.library.account("carol").unwrap().unwrap();
    assert_eq!((account.group.as_str(), account.balance), ("gold", Nano::ZERO));
    assert_eq!(carol.account.unwrap().public_id, account.public_id);
}

#[test]
fn what_is_made_at_the_door_is_news_to_a_running_server() {
    let books = Books::new();
    let cursor = books.library.news(Cursor::default()).unwrap().cursor;
    books.registry().sign_up("carol", PASSWORD, "default", NOW_MS).unwrap();
    let news = books.library.news(cursor).unwrap();
    assert_eq!(news.accounts.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["carol"]);
}

#[test]
fn an_invitation_lets_in_one_however_many_come_at_once() {
    let mut books = Books::new();
    books.desk.invite(&invitation(1, Role::Customer, None), NOW_MS).unwrap();
    let outcomes: Vec<_> = thread::scope(|scope| {
        let sqlite = &books.sqlite;
        let come = |n| move || sqlite.registry()?.accept(&hash(1), &format!("p{n}"), PASSWORD, "default", NOW_MS);
        let guests: Vec<_> = (0..12).map(|n| scope.spawn(come(n))).collect();
        guests.into_iter().map(|guest| guest.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for outcome in outcomes.into_iter().filter(Result::is_err) {
        refusal(outcome);
    }
    assert_eq!(books.library.accounts().unwrap().len(), 2);
}

#[test]
fn an_invitation_that_cannot_be_used_says_no_more_than_that() {
    let mut books = Books::new();
    let mut registry = books.registry();
    for number in 1..=3 {
        books.desk.invite(&invitation(number, Role::Customer, None), NOW_MS).unwrap();
    }
    registry.accept(&hash(1), "used", PASSWORD, "default", NOW_MS).unwrap();
    let id = registry.invitation(&hash(2)).unwrap().unwrap().public_id;
    let revoked = books.desk.revoke_invitation(&id, NOW_MS + 1).unwrap();
    assert_eq!(revoked.revoked_at_ms, Some(NOW_MS + 1));
    let words = refusal(registry.accept(&hash(1), "x", PASSWORD, "default", NOW_MS));
    assert_eq!(refusal(registry.accept(&hash(2), "x", PASSWORD, "default", NOW_MS)), words);
    assert_eq!(refusal(registry.accept(&hash(3), "x", PASSWORD, "default", END_MS)), words);
    assert_eq!(refusal(registry.accept(&hash(99), "x", PASSWORD, "default", NOW_MS)), words);

    let used = registry.invitation(&hash(1)).unwrap().unwrap().public_id;
    for id in [id.as_str(), used.as_str(), "inv_0"] {
        refusal(books.desk.revoke_invitation(id, NOW_MS));
    }
    assert_eq!(registry.invitation(&hash(99)).unwrap(), None);
    let late = NewInvitation { expires_at_ms: NOW_MS, ..invitation(4, Role::Customer, None) };
    refusal(books.desk.invite(&late, NOW_MS));
    refusal(books.desk.invite(&invitation(5, Role::Customer, Some(AccountId(77))), NOW_MS));
    refusal(books.desk.invite(&reset(6, PersonId(77)), NOW_MS));
    refusal(books.desk.invite(&invitation(3, Role::Customer, None), NOW_MS));
}

#[test]
fn a_login_is_one_persons_however_it_is_written() {
    let books = Books::new();
    let mut registry = books.registry();
    for (login, same) in [("Zoë", "zOË"), ("straße", "STRASSE"), ("ΝΙΚΟΣ", "νικοσ"), ("νικος2", "ΝΙΚΟΣ2")]
    {
        let person = registry.sign_up(login, PASSWORD, "default", NOW_MS).unwrap();
        assert!(refusal(registry.sign_up(same, PASSWORD, "default", NOW_MS)).contains("taken"), "{same}");
        let (found, password) = registry.credentials(same).unwrap().unwrap();
        assert_eq!((found, password.as_str()), (person, PASSWORD));
    }
    assert_eq!(registry.credentials("nobody").unwrap(), None);
    // The account's name is taken, the login is not.
    refusal(registry.sign_up("alice", PASSWORD, "default", NOW_MS));
    for login in ["", "-x", "=cmd()", "a b", "<b>", &"x".repeat(65)] {
        refusal(registry.sign_up(login, PASSWORD, "default", NOW_MS));
    }
    assert_eq!(books.library.accounts().unwrap().len(), 5);
}

#[test]
fn a_reset_gives_another_password_and_ends_what_the_old_one_opened() {
    let mut books = Books::new();
    let mut registry = books.registry();
    let carol = books.person(1, Role::Customer, "carol");
    sign_in(&mut registry, carol.id, 10, NOW_MS);
    let row = books.desk.invite(&reset(2, carol.id), NOW_MS).unwrap();
    assert_eq!((row.resets.as_deref(), row.role, row.account), (Some("carol"), Role::Customer, carol.account.clone()));
    books.desk.invite(&reset(3, carol.id), NOW_MS).unwrap();

    let person = registry.accept(&hash(2), "ignored!", OTHER, "ignored", NOW_MS).unwrap();
    assert_eq!((person.id, person.login.as_str()), (carol.id, "carol"));
    assert_eq!(registry.credentials("carol").unwrap().unwrap().1, OTHER);
    assert_eq!(registry.session(&hash(10), NOW_MS).unwrap(), None);
    refusal(registry.accept(&hash(3), "", PASSWORD, "", NOW_MS));

    books.desk.invite(&reset(4, carol.id), NOW_MS).unwrap();
    books.desk.update_person(carol.id, &disable()).unwrap();
    refusal(registry.accept(&hash(4), "", PASSWORD, "", NOW_MS));
    assert_eq!(registry.credentials("carol").unwrap().unwrap().1, OTHER);
}

#[test]
fn a_session_lives_until_its_end_and_no_use_wakes_it_again() {
    let mut books = Books::new();
    let mut registry = books.registry();
    let carol = books.person(1, Role::Customer, "carol");
    let made = sign_in(&mut registry, carol.id, 10, NOW_MS);
    assert!(made.public_id.starts_with("ses_"));
    assert_eq!(made.address, Some("192.0.2.7".parse::<IpAddr>().unwrap()));
    assert_eq!(made.agent.chars().count(), 200);
    let (found, person) = registry.session(&hash(10), NOW_MS + 999).unwrap().unwrap();
    assert_eq!((found, person.id, person.last_seen_at_ms), (made, carol.id, Some(NOW_MS)));
    assert_eq!(registry.session(&hash(11), NOW_MS).unwrap(), None);

    registry.touch_session(&hash(10), NOW_MS + 5_000, NOW_MS + 500).unwrap();
    let (found, person) = registry.session(&hash(10), NOW_MS + 4_999).unwrap().unwrap();
    assert_eq!((found.last_seen_at_ms, found.expires_at_ms), (NOW_MS + 500, NOW_MS + 5_000));
    assert_eq!(person.last_seen_at_ms, Some(NOW_MS + 500));
    assert_eq!(registry.session(&hash(10), NOW_MS + 5_000).unwrap(), None);
    registry.touch_session(&hash(10), NOW_MS + 99_000, NOW_MS + 5_000).unwrap();
    assert_eq!(registry.session(&hash(10), NOW_MS + 5_000).unwrap(), None);

    sign_in(&mut registry, carol.id, 12, NOW_MS + 6_000);
    let kept: i64 = books.raw().query_row("SELECT count(*) FROM session", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 1, "what is over is forgotten");
    registry.close_session(&hash(12)).unwrap();
    assert_eq!(registry.session(&hash(12), NOW_MS + 6_000).unwrap(), None);
}

#[test]
fn people_close_their_own_sessions_and_no_others() {
    let mut books = Books::new();
    let mut registry = books.registry();
    let (carol, dave) = (books.person(1, Role::Customer, "carol"), books.person(2, Role::Customer, "dave"));
    let older = sign_in(&mut registry, carol.id, 10, NOW_MS);
    let newer = sign_in(&mut registry, carol.id, 11, NOW_MS + 1);
    let foreign = sign_in(&mut registry, dave.id, 12, NOW_MS);
    assert_eq!(registry.sessions(carol.id, NOW_MS + 2).unwrap(), [newer.clone(), older.clone()]);
    assert_eq!(registry.sessions(carol.id, NOW_MS + 1_000).unwrap(), std::slice::from_ref(&newer));
    assert!(!registry.close_session_of(carol.id, &foreign.public_id).unwrap());
    assert!(registry.close_session_of(carol.id, &older.public_id).unwrap());
    assert!(!registry.close_session_of(carol.id, &older.public_id).unwrap());
    assert!(registry.session(&hash(12), NOW_MS).unwrap().is_some());

    sign_in(&mut registry, carol.id, 13, NOW_MS + 2);
    registry.set_password(carol.id, OTHER, Some(&hash(11)), NOW_MS + 3).unwrap();
    assert_eq!(registry.sessions(carol.id, NOW_MS + 3).unwrap(), [newer]);
    refusal(registry.set_password(carol.id, "correct horse", None, NOW_MS));
    refusal(registry.set_password(PersonId(77), OTHER, None, NOW_MS));
    assert_eq!(registry.sessions(dave.id, NOW_MS).unwrap().len(), 1);
}

#[test]
fn sessions_do_not_pile_up() {
    let mut books = Books::new();
    let mut registry = books.registry();
    let carol = books.person(1, Role::Customer, "carol");
    for number in 0..60 {
        sign_in(&mut registry, carol.id, 100 + number, NOW_MS + i64::from(number));
    }
    let sessions = registry.sessions(carol.id, NOW_MS + 60).unwrap();
    assert_eq!((sessions.len(), sessions[49].created_at_ms), (50, NOW_MS + 10));
}

#[test]
fn a_disabled_person_is_out_at_once_and_stays_out() {
    let mut books = Books::new();
    let mut registry = books.registry();
    let carol = books.person(1, Role::Customer, "carol");
    sign_in(&mut registry, carol.id, 10, NOW_MS);
    assert_eq!(books.desk.update_person(carol.id, &disable()).unwrap().status, PersonStatus::Disabled);
    assert!(registry.sessions(carol.id, NOW_MS).unwrap().is_empty());
    let again = NewSession { expires_at_ms: END_MS, address: None, agent: String::new() };
    refusal(registry.open_session(carol.id, &hash(11), &again, NOW_MS));
    // A session that has come into the file in another way does not count either.
    let sql = "INSERT INTO session VALUES (zeroblob(32), 'ses_x', ?1, 0, 0, 9000000000000000, NULL, '')";
    books.raw().execute(sql, [carol.id.0]).unwrap();
    assert_eq!(registry.session(&hash(0), NOW_MS).unwrap(), None);
}

#[test]
fn the_last_active_operator_stays_one() {
    let mut books = Books::new();
    let (root, second) = (books.person(1, Role::Operator, "root"), books.person(2, Role::Operator, "second"));
    books.desk.update_person(second.id, &disable()).unwrap();
    for patch in [disable(), demote()] {
        assert!(refusal(books.desk.update_person(root.id, &patch)).contains("last active operator"));
    }
    let enable = PersonPatch { status: Some(PersonStatus::Active), ..PersonPatch::default() };
    books.desk.update_person(second.id, &enable).unwrap();
    assert_eq!(books.desk.update_person(root.id, &demote()).unwrap().role, Role::Customer);
    refusal(books.desk.update_person(second.id, &disable()));
}

#[test]
fn two_operators_who_disable_each_other_leave_one() {
    let mut books = Books::new();
    for round in 0..10_u8 {
        let ids: Vec<_> =
            (0..2_u8).map(|n| books.person(10 + 2 * round + n, Role::Operator, &format!("op{round}-{n}")).id).collect();
        books.raw().execute("UPDATE person SET status = 'disabled' WHERE id < ?1", [ids[0].0]).unwrap();
        let disabled: usize = thread::scope(|scope| {
            let sqlite = &books.sqlite;
            let attempts: Vec<_> =
                ids.iter().map(|id| scope.spawn(|| sqlite.desk()?.update_person(*id, &disable()))).collect();
            attempts.into_iter().map(|attempt| usize::from(attempt.join().unwrap().is_ok())).sum()
        });
        assert_eq!(disabled, 1);
        assert!(books.registry().has_operator().unwrap());
    }
}

#[test]
fn a_customer_always_has_an_account() {
    let mut books = Books::new();
    let (root, carol) = (books.person(1, Role::Operator, "root"), books.person(2, Role::Customer, "carol"));
    let give = |account| PersonPatch { account: Some(account), ..PersonPatch::default() };
    refusal(books.desk.update_person(carol.id, &give(None)));
    refusal(books.desk.update_person(carol.id, &give(Some(AccountId(77)))));
    refusal(books.desk.update_person(PersonId(77), &PersonPatch::default()));
    let moved = books.desk.update_person(carol.id, &give(Some(books.account.id))).unwrap();
    assert_eq!(account_name(&moved), "alice");
    assert_eq!(books.desk.update_person(root.id, &give(None)).unwrap().account, None);
}

#[test]
fn an_admin_token_opens_until_it_is_revoked() {
    let mut books = Books::new();
    let mut registry = books.registry();
    let made = books.desk.create_admin_token("ci", hash(7), &["read".into()], NOW_MS).unwrap();
    assert_eq!(registry.admin_token(&hash(7)).unwrap(), Some(made.clone()));
    assert_eq!(registry.admin_token(&hash(8)).unwrap(), None);
    for (at_ms, latest) in [(NOW_MS + 5, NOW_MS + 5), (NOW_MS, NOW_MS + 5)] {
        registry.touch_admin_token(&made.public_id, at_ms).unwrap();
        assert_eq!(registry.admin_token(&hash(7)).unwrap().unwrap().last_used_at_ms, Some(latest));
    }
    books.desk.revoke_admin_token(&made.public_id, NOW_MS).unwrap();
    assert_eq!(registry.admin_token(&hash(7)).unwrap(), None);
}
