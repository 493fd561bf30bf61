//! What programs present, by hand made and taken away: keys, and admin tokens.

use rusqlite::{Transaction, params};
use serde_json::{Value, json};

use super::accounts::account;
use super::actions::Deed;
use super::rows::{self, ADMIN_TOKENS, KEYS, execute, first, list};
use super::rules::{check_label, next_revision, public_id, refused};
use crate::core::account::AccountId;
use crate::core::key::{KeyHash, KeyId, KeyRecord, KeyStatus};
use crate::core::money::Nano;
use crate::store::contract::{AdminTokenRow, KeyPatch, KeyRow, NewKey, StoreError};
use crate::store::view::seconds;

pub(super) fn create_key(
    transaction: &Transaction<'_>,
    owner: AccountId,
    new: &NewKey,
    now_ms: i64,
) -> Result<(KeyRow, Deed), StoreError> {
    let record = KeyRecord {
        id: KeyId(0),
        public_id: public_id("key"),
        account: owner,
        name: new.name.clone(),
        hash: new.hash,
        prefix: new.prefix.clone(),
        status: KeyStatus::Active,
        expires_at_ms: new.expires_at_ms,
        models: new.models.clone(),
        limits: new.limits,
        budget: new.budget,
        allow_ips: new.allow_ips.clone(),
    };
    account(transaction, owner)?;
    let row = add_key(transaction, &record, Nano::ZERO, now_ms)?;
    let mut facts = facts(&row.record);
    facts["account"] = json!(row.account_name);
    let deed = Deed::creation("key.create", &row.record.public_id, facts);
    Ok((row, deed))
}

pub(super) fn update_key(
    transaction: &Transaction<'_>,
    id: KeyId,
    patch: &KeyPatch,
) -> Result<(KeyRow, Deed), StoreError> {
    let mut row = living_key(transaction, id)?;
    let before = facts(&row.record);
    patch_key(&mut row.record, patch);
    check_key(&row.record)?;
    let record = &row.record;
    let parameters = params![
        id.0,
        record.name,
        record.status.as_str(),
        record.expires_at_ms,
        list(&record.models),
        record.limits.rpm,
        tpm(record)?,
        record.limits.concurrency,
        record.budget.map(|budget| budget.0),
        list(&record.allow_ips),
        next_revision(transaction)?,
    ];
    execute(transaction, UPDATE_KEY, parameters)?;
    let action = if record.status == KeyStatus::Deleted { "key.delete" } else { "key.update" };
    let deed = Deed::change(action, &record.public_id, before, facts(record));
    Ok((row, deed))
}

pub(super) fn rotate_key(
    transaction: &Transaction<'_>,
    id: KeyId,
    hash: KeyHash,
    prefix: &str,
    old_ends_at_ms: Option<i64>,
    now_ms: i64,
) -> Result<(KeyRow, Deed), StoreError> {
    let old = living_key(transaction, id)?;
    let old_public_id = old.record.public_id.clone();
    let record = KeyRecord { public_id: public_id("key"), hash, prefix: prefix.into(), ..old.record };
    let new = add_key(transaction, &record, old.spent, now_ms)?;
    let revision = next_revision(transaction)?;
    let old_ends_at_ms = old_ends_at_ms.filter(|end| *end > now_ms);
    match old_ends_at_ms {
        Some(end) => execute(transaction, END_KEY_LATER, [id.0, end, revision])?,
        None => execute(transaction, END_KEY, params![id.0, KeyStatus::Deleted.as_str(), revision])?,
    };
    let facts = json!({ "successor": new.record.public_id, "old_ends_at": seconds(old_ends_at_ms.unwrap_or(now_ms)) });
    let deed = Deed::creation("key.rotate", &old_public_id, facts).making(&new.record.public_id);
    Ok((new, deed))
}

pub(super) fn create_token(
    transaction: &Transaction<'_>,
    name: &str,
    hash: KeyHash,
    scopes: &[String],
    now_ms: i64,
) -> Result<(AdminTokenRow, Deed), StoreError> {
    check_label("an admin token's name", name)?;
    let public_id = public_id("adm");
    execute(transaction, ADD_ADMIN_TOKEN, params![public_id, name, hash.0, list(scopes), now_ms])?;
    let deed = Deed::creation("token.create", &public_id, json!({ "name": name, "scopes": scopes }));
    Ok((token(transaction, &public_id)?, deed))
}

pub(super) fn revoke_token(
    transaction: &Transaction<'_>,
    public_id: &str,
    now_ms: i64,
) -> Result<(AdminTokenRow, Deed), StoreError> {
    let before = token(transaction, public_id)?;
    execute(transaction, REVOKE_ADMIN_TOKEN, params![public_id, now_ms])?;
    let after = token(transaction, public_id)?;
    let facts = |row: &AdminTokenRow| json!({ "revoked_at": row.revoked_at_ms.map(seconds) });
    let deed = Deed::change("token.revoke", public_id, facts(&before), facts(&after));
    Ok((after, deed))
}

/// A deleted key is as good as none.
fn living_key(transaction: &Transaction<'_>, id: KeyId) -> Result<KeyRow, StoreError> {
    let found = first(transaction, &format!("{KEYS} WHERE k.id = ?1 AND k.status <> 'deleted'"), [id.0], rows::key)?;
    found.ok_or_else(|| StoreError::Refused("there is no such key".into()))
}

fn token(transaction: &Transaction<'_>, public_id: &str) -> Result<AdminTokenRow, StoreError> {
    let sql = format!("{ADMIN_TOKENS} WHERE public_id = ?1");
    let found = first(transaction, &sql, [public_id], rows::admin_token)?;
    found.ok_or_else(|| StoreError::Refused(format!("there is no admin token {public_id}")))
}

/// Inserts the key; its `id` is given by the storage. `spent_before` is what its predecessors have spent.
fn add_key(
    transaction: &Transaction<'_>,
    record: &KeyRecord,
    spent_before: Nano,
    now_ms: i64,
) -> Result<KeyRow, StoreError> {
    check_key(record)?;
    let parameters = params![
        record.public_id,
        record.account.0,
        record.name,
        record.hash.0,
        record.prefix,
        record.status.as_str(),
        record.expires_at_ms,
        list(&record.models),
        record.limits.rpm,
        tpm(record)?,
        record.limits.concurrency,
        record.budget.map(|budget| budget.0),
        list(&record.allow_ips),
        spent_before.0,
        now_ms,
        next_revision(transaction)?,
    ];
    execute(transaction, ADD_KEY, parameters)?;
    living_key(transaction, KeyId(transaction.last_insert_rowid()))
}

fn patch_key(record: &mut KeyRecord, patch: &KeyPatch) {
    let KeyPatch { name, status, expires_at_ms, models, rpm, tpm, concurrency, budget, allow_ips } = patch.clone();
    record.name = name.unwrap_or_else(|| std::mem::take(&mut record.name));
    record.status = status.unwrap_or(record.status);
    record.expires_at_ms = expires_at_ms.unwrap_or(record.expires_at_ms);
    record.models = models.unwrap_or_else(|| std::mem::take(&mut record.models));
    record.limits.rpm = rpm.unwrap_or(record.limits.rpm);
    record.limits.tpm = tpm.unwrap_or(record.limits.tpm);
    record.limits.concurrency = concurrency.unwrap_or(record.limits.concurrency);
    record.budget = budget.unwrap_or(record.budget);
    record.allow_ips = allow_ips.unwrap_or_else(|| std::mem::take(&mut record.allow_ips));
}

fn check_key(record: &KeyRecord) -> Result<(), StoreError> {
    check_label("a key's name", &record.name)?;
    if record.budget.is_some_and(Nano::is_negative) {
        return refused("a budget must not be negative");
    }
    Ok(())
}

fn tpm(record: &KeyRecord) -> Result<Option<i64>, StoreError> {
    let stored = record.limits.tpm.map(i64::try_from).transpose();
    stored.map_err(|_| StoreError::Refused("the limit of tokens per minute is too large".into()))
}

/// What the action log may know of a key.
fn facts(record: &KeyRecord) -> Value {
    json!({
        "name": record.name,
        "status": record.status,
        "expires_at": record.expires_at_ms.map(seconds),
        "models": record.models,
        "limits": record.limits,
        "budget": record.budget,
        "allow_ips": record.allow_ips.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

const ADD_KEY: &str = "
    INSERT INTO api_key (public_id, account, name, hash, prefix, status, expires_at_ms, models, rpm, tpm, concurrency,
                         budget, allow_ips, spent_before, created_at_ms, revision)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";

const UPDATE_KEY: &str = "
    UPDATE api_key SET name = ?2, status = ?3, expires_at_ms = ?4, models = ?5, rpm = ?6, tpm = ?7, concurrency = ?8,
                       budget = ?9, allow_ips = ?10, revision = ?11
    WHERE id = ?1";

const END_KEY: &str = "UPDATE api_key SET status = ?2, revision = ?3 WHERE id = ?1";

/// Never later than it would have ended anyway.
const END_KEY_LATER: &str = "
    UPDATE api_key SET expires_at_ms = min(coalesce(expires_at_ms, ?2), ?2), revision = ?3 WHERE id = ?1";

const ADD_ADMIN_TOKEN: &str =
    "INSERT INTO admin_token (public_id, name, hash, scopes, created_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)";

/// The first revocation stays the one on record.
const REVOKE_ADMIN_TOKEN: &str =
    "UPDATE admin_token SET revoked_at_ms = coalesce(revoked_at_ms, ?2) WHERE public_id = ?1";
