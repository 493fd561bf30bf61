//! People and how they are let in: invitations, passwords, the accounts that they act for.
//!
//! Always true: a login is one person's, however it is written; there is no moment without an active operator once
//! there was one; an invitation is used once.

use rusqlite::{Connection, Transaction, params};
use serde_json::{Value, json};

use super::accounts;
use super::actions::{self, Deed};
use super::rows::{self, INVITATIONS, PEOPLE, Stored, execute, first};
use super::rules::{check_end, check_names, check_note, public_id, refused};
use crate::core::account::{AccountId, folded};
use crate::core::key::KeyHash;
use crate::store::contract::StoreError;
use crate::store::contract::console::{
    Act, Actor, InvitationFor, InvitationRow, NewInvitation, PersonId, PersonPatch, PersonRow, PersonStatus, Role,
};
use crate::store::view::seconds;

pub(super) fn invite(
    transaction: &Transaction<'_>,
    new: &NewInvitation,
    now_ms: i64,
) -> Result<(InvitationRow, Deed), StoreError> {
    let row = add_invitation(transaction, new, false, now_ms)?;
    let facts = json!({
        "role": row.role,
        "account": row.account.as_ref().map(|account| &account.name),
        "resets": row.resets,
        "note": row.note,
        "expires_at": seconds(row.expires_at_ms),
    });
    let deed = Deed::creation("invitation.create", &row.public_id, facts);
    Ok((row, deed))
}

pub(super) fn invite_first_operator(
    transaction: &Transaction<'_>,
    new: &NewInvitation,
    now_ms: i64,
) -> Result<InvitationRow, StoreError> {
    if has_operator(transaction)? {
        return refused("there is an operator already, who can invite others");
    }
    if !matches!(new.to, InvitationFor::NewPerson { role: Role::Operator, .. }) {
        return refused("the first person to be invited is an operator");
    }
    add_invitation(transaction, new, true, now_ms)
}

fn add_invitation(
    transaction: &Transaction<'_>,
    new: &NewInvitation,
    is_first: bool,
    now_ms: i64,
) -> Result<InvitationRow, StoreError> {
    check_note(new.note.as_deref())?;
    check_end("an invitation", Some(new.expires_at_ms), now_ms)?;
    let (role, account, resets) = match new.to {
        InvitationFor::NewPerson { role, account } => {
            account.map(|id| accounts::account(transaction, id)).transpose()?;
            (Some(role.as_str()), account.map(|id| id.0), None)
        }
        InvitationFor::Reset { person: id } => {
            person(transaction, id)?;
            (None, None, Some(id.0))
        }
    };
    let public_id = public_id("inv");
    let NewInvitation { hash, note, expires_at_ms, .. } = new;
    let parameters = params![public_id, hash.0, is_first, role, account, resets, note, now_ms, expires_at_ms];
    execute(transaction, ADD_INVITATION, parameters)?;
    invitation_called(transaction, &public_id)
}

pub(super) fn revoke_invitation(
    transaction: &Transaction<'_>,
    public_id: &str,
    now_ms: i64,
) -> Result<(InvitationRow, Deed), StoreError> {
    if execute(transaction, REVOKE, params![public_id, now_ms])? == 0 {
        return refused("there is no such invitation that is still open");
    }
    let facts = json!({ "status": "revoked" });
    let row = invitation_called(transaction, public_id)?;
    Ok((row, Deed::creation("invitation.revoke", public_id, facts)))
}

pub(super) fn invitation(connection: &Connection, hash: &KeyHash) -> Result<Option<InvitationRow>, StoreError> {
    first(connection, &format!("{INVITATIONS} WHERE i.hash = ?1"), [hash.0], rows::invitation)
}

fn invitation_called(transaction: &Transaction<'_>, public_id: &str) -> Result<InvitationRow, StoreError> {
    let found = first(transaction, &format!("{INVITATIONS} WHERE i.public_id = ?1"), [public_id], rows::invitation)?;
    found.ok_or_else(|| StoreError::Refused("there is no such invitation".into()))
}

/// Uses an invitation up, for a new person or for a new password.
pub(super) fn accept(
    transaction: &Transaction<'_>,
    hash: &KeyHash,
    login: &str,
    password: &str,
    group: &str,
    now_ms: i64,
) -> Result<PersonRow, StoreError> {
    let used = first(transaction, USE, params![hash.0, now_ms], |row| {
        let role = row.get::<_, Option<Stored<Role>>>(0)?.map(|role| role.0);
        Ok((role, row.get::<_, Option<i64>>(1)?.map(AccountId), row.get::<_, Option<i64>>(2)?.map(PersonId)))
    })?;
    match used {
        Some((_, _, Some(id))) => {
            if person(transaction, id)?.status == PersonStatus::Disabled {
                return refused("this person may not sign in any more");
            }
            set_password(transaction, id, password, None, now_ms)?;
            person(transaction, id)
        }
        Some((Some(role), account, None)) => {
            refuse_taken(transaction, login)?;
            let account = match (account, role) {
                (Some(account), _) => account,
                (None, Role::Operator) => operators_account(transaction, login, group, now_ms)?,
                (None, Role::Customer) => accounts::add(transaction, login, group, now_ms)?,
            };
            add_person(transaction, login, password, role, account, now_ms)
        }
        _ => refused("this invitation cannot be used any more: ask for a new one"),
    }
}

/// Open sign-up.
pub(super) fn sign_up(
    transaction: &Transaction<'_>,
    login: &str,
    password: &str,
    group: &str,
    now_ms: i64,
) -> Result<PersonRow, StoreError> {
    refuse_taken(transaction, login)?;
    let account = accounts::add(transaction, login, group, now_ms)?;
    add_person(transaction, login, password, Role::Customer, account, now_ms)
}

/// The account of an operator who was invited to none. Whoever set the machine up has often made one account before:
/// it becomes the first operator's.
fn operators_account(
    transaction: &Transaction<'_>,
    login: &str,
    group: &str,
    now_ms: i64,
) -> Result<AccountId, StoreError> {
    if let Some(only) = first(transaction, ONLY_ACCOUNT, [], |row| row.get(0).map(AccountId))? {
        return Ok(only);
    }
    // No end of names is taken in a row: each is the name of an account that exists.
    let mut name = login.to_owned();
    for number in 2_u64.. {
        if !accounts::is_taken(transaction, &name)? {
            break;
        }
        name = format!("{login}-{number}");
    }
    accounts::add(transaction, &name, group, now_ms)
}

fn add_person(
    transaction: &Transaction<'_>,
    login: &str,
    password: &str,
    role: Role,
    account: AccountId,
    now_ms: i64,
) -> Result<PersonRow, StoreError> {
    check_names([login])?;
    check_password(password)?;
    refuse_taken(transaction, login)?;
    let status = PersonStatus::Active.as_str();
    let parameters =
        params![public_id("per"), login, folded(login), role.as_str(), status, account.0, password, now_ms];
    execute(transaction, ADD_PERSON, parameters)?;
    let id = PersonId(transaction.last_insert_rowid());
    execute(transaction, REVOKE_FIRST, [now_ms])?;
    let made = person(transaction, id)?;
    let deed = Deed::creation("person.create", &made.public_id, facts(&made));
    actions::note(transaction, &Act { actor: themselves(&made), once: None }, deed, now_ms)?;
    Ok(made)
}

/// Whoever has a link, or a password, acts for themselves.
fn themselves(person: &PersonRow) -> Actor {
    Actor::Person { id: person.id, login: person.login.clone(), address: None }
}

/// Ends the person's sessions but the one that is kept, and every link to choose another password.
pub(super) fn set_password(
    transaction: &Transaction<'_>,
    id: PersonId,
    password: &str,
    keep: Option<&KeyHash>,
    now_ms: i64,
) -> Result<(), StoreError> {
    check_password(password)?;
    if execute(transaction, "UPDATE person SET password = ?2 WHERE id = ?1", params![id.0, password])? == 0 {
        return refused("there is no such person");
    }
    let changed = person(transaction, id)?;
    let deed = Deed::creation("person.password", &changed.public_id, json!({ "by_link": keep.is_none() }));
    actions::note(transaction, &Act { actor: themselves(&changed), once: None }, deed, now_ms)?;
    execute(transaction, REVOKE_RESETS, [id.0, now_ms])?;
    execute(transaction, END_SESSIONS, params![id.0, keep.map(|hash| hash.0)]).map(|_| ())
}

pub(super) fn update(
    transaction: &Transaction<'_>,
    id: PersonId,
    patch: &PersonPatch,
    now_ms: i64,
) -> Result<(PersonRow, Deed), StoreError> {
    let before = person(transaction, id)?;
    let (role, status) = (patch.role.unwrap_or(before.role), patch.status.unwrap_or(before.status));
    let account = patch.account.unwrap_or(before.account.as_ref().map(|account| account.id));
    account.map(|id| accounts::account(transaction, id)).transpose()?;
    if role == Role::Customer && account.is_none() {
        return refused("a customer needs an account");
    }
    let parameters = params![id.0, role.as_str(), status.as_str(), account.map(|id| id.0)];
    execute(transaction, UPDATE_PERSON, parameters)?;
    if before.role == Role::Operator && before.status == PersonStatus::Active && !has_operator(transaction)? {
        return refused("this is the last active operator: make another one first");
    }
    execute(transaction, REVOKE_FIRST, [now_ms])?;
    if status == PersonStatus::Disabled {
        execute(transaction, END_SESSIONS, params![id.0, None::<&[u8]>])?;
    }
    let after = person(transaction, id)?;
    let deed = Deed::change("person.update", &after.public_id, facts(&before), facts(&after));
    Ok((after, deed))
}

pub(super) fn has_operator(connection: &Connection) -> Result<bool, StoreError> {
    first(connection, ACTIVE_OPERATOR, [], |_| Ok(())).map(|found| found.is_some())
}

pub(super) fn person(connection: &Connection, id: PersonId) -> Result<PersonRow, StoreError> {
    let found = first(connection, &format!("{PEOPLE} WHERE p.id = ?1"), [id.0], rows::person)?;
    found.ok_or_else(|| StoreError::Refused("there is no such person".into()))
}

fn refuse_taken(transaction: &Transaction<'_>, login: &str) -> Result<(), StoreError> {
    match first(transaction, "SELECT 1 FROM person WHERE folded = ?1", [folded(login)], |_| Ok(()))? {
        Some(()) => refused(format!("the login {login} is taken")),
        None => Ok(()),
    }
}

/// A guard against our own mistakes: what people choose never comes here itself.
fn check_password(password: &str) -> Result<(), StoreError> {
    if password.starts_with("$argon2id$") { Ok(()) } else { refused("a password is kept as its argon2id hash alone") }
}

fn facts(row: &PersonRow) -> Value {
    let account = row.account.as_ref().map(|account| &account.name);
    json!({ "login": row.login, "role": row.role, "status": row.status, "account": account })
}

const ADD_INVITATION: &str = "
    INSERT INTO invitation (public_id, hash, first, role, account, resets, note, created_at_ms, expires_at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const USE: &str = "
    UPDATE invitation SET used_at_ms = ?2
    WHERE hash = ?1 AND used_at_ms IS NULL AND revoked_at_ms IS NULL AND expires_at_ms > ?2
    RETURNING role, account, resets";

const REVOKE: &str = "
    UPDATE invitation SET revoked_at_ms = ?2
    WHERE public_id = ?1 AND used_at_ms IS NULL AND revoked_at_ms IS NULL AND expires_at_ms > ?2";

/// Once there is an operator, operators invite: a link in an old log must not make another one.
const REVOKE_FIRST: &str = "
    UPDATE invitation SET revoked_at_ms = ?1
    WHERE first AND used_at_ms IS NULL AND revoked_at_ms IS NULL
          AND EXISTS (SELECT 1 FROM person WHERE role = 'operator' AND status = 'active')";

const REVOKE_RESETS: &str =
    "UPDATE invitation SET revoked_at_ms = ?2 WHERE resets = ?1 AND used_at_ms IS NULL AND revoked_at_ms IS NULL";

const ADD_PERSON: &str = "
    INSERT INTO person (public_id, login, folded, role, status, account, password, created_at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const UPDATE_PERSON: &str = "UPDATE person SET role = ?2, status = ?3, account = ?4 WHERE id = ?1";

const END_SESSIONS: &str = "DELETE FROM session WHERE person = ?1 AND hash IS NOT ?2";

const ACTIVE_OPERATOR: &str = "SELECT 1 FROM person WHERE role = 'operator' AND status = 'active' LIMIT 1";

/// The one account that there is, while nobody has it and no operator has ever been.
const ONLY_ACCOUNT: &str = "
    SELECT max(id) FROM account
    WHERE NOT EXISTS (SELECT 1 FROM person WHERE role = 'operator' OR person.account = account.id)
    HAVING (SELECT count(*) FROM account) = 1 AND count(*) = 1";
