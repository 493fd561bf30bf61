//! The action log, and requests that are repeated: what every write by hand has besides itself.
//!
//! Both are part of the write's own transaction, so nothing is done without its note and nothing is noted that was not
//! done; of two equal requests at once the second waits for the first and finds it done.
//!
//! Always true: a note has the fields that changed and no others, and what is not in [`Deed`]s is in no note: nobody
//! puts a secret or its hash into one.

use rusqlite::{Connection, Transaction, params};
use serde_json::{Map, Value};

use super::rows::{execute, first};
use crate::core::key::KeyHash;
use crate::store::contract::StoreError;
use crate::store::contract::console::{Act, Actor, Once, PersonId};

/// Something done by hand.
pub(super) struct Deed {
    action: &'static str,
    /// The public id of what it was done to.
    target: String,
    /// What a repetition is answered with, if that is not the target.
    made: Option<String>,
    before: Map<String, Value>,
    after: Map<String, Value>,
}

impl Deed {
    /// Something that came to be, with its facts as a JSON object. Facts that are null or empty say nothing.
    pub(super) fn creation(action: &'static str, target: &str, facts: Value) -> Self {
        let mut after = fields(facts);
        after.retain(|_, value| !is_empty(value));
        Deed { action, target: target.into(), made: None, before: Map::new(), after }
    }

    /// A change from one set of facts to another.
    pub(super) fn change(action: &'static str, target: &str, before: Value, after: Value) -> Self {
        let (mut before, mut after) = (fields(before), fields(after));
        before.retain(|name, value| match after.get(name) {
            Some(same) if same == value => {
                after.remove(name);
                false
            }
            _ => true,
        });
        Deed { action, target: target.into(), made: None, before, after }
    }

    /// Nothing: what was asked for stands already.
    pub(super) fn none(target: &str) -> Self {
        Deed { action: "", target: target.into(), made: None, before: Map::new(), after: Map::new() }
    }

    pub(super) fn making(self, made: impl ToString) -> Self {
        Deed { made: Some(made.to_string()), ..self }
    }

    fn changes_nothing(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }
}

/// Notes who did it, and what a repetition of the request is to be answered with.
pub(super) fn note(transaction: &Transaction<'_>, act: &Act, deed: Deed, now_ms: i64) -> Result<(), StoreError> {
    if let Some(Once { key, fingerprint }) = &act.once {
        let made = deed.made.as_deref().unwrap_or(&deed.target);
        execute(transaction, FORGET, [now_ms.saturating_sub(REMEMBERED_MS)])?;
        execute(transaction, REMEMBER, params![key.0, fingerprint.0, made, now_ms])?;
    }
    if deed.changes_nothing() {
        return Ok(());
    }
    let (kind, id, name, address) = match &act.actor {
        Actor::CommandLine => ("command_line", String::new(), "", None),
        Actor::Person { id, login, address } => ("person", person_id(transaction, *id)?, login.as_str(), *address),
        Actor::Token { id, name, address } => ("token", id.clone(), name.as_str(), *address),
    };
    let address = address.map(|address| address.to_canonical().to_string());
    let Deed { action, target, before, after, .. } = deed;
    let parameters = params![kind, id, name, address, action, target, text(before), text(after), now_ms];
    execute(transaction, ADD_ACTION, parameters).map(|_| ())
}

/// # Errors
/// [`StoreError::Repeated`] with what the earlier request made.
pub(super) fn refuse_repetition(transaction: &Transaction<'_>, act: &Act, now_ms: i64) -> Result<(), StoreError> {
    let Some(once) = &act.once else { return Ok(()) };
    earlier(transaction, once, now_ms)?.map_or(Ok(()), |made| Err(StoreError::Repeated(made)))
}

/// What the request made that this one repeats.
pub(super) fn earlier(connection: &Connection, once: &Once, now_ms: i64) -> Result<Option<String>, StoreError> {
    let parameters = params![once.key.0, now_ms.saturating_sub(REMEMBERED_MS)];
    let found = first(connection, EARLIER, parameters, |row| Ok((KeyHash(row.get(0)?), row.get(1)?)))?;
    match found {
        Some((fingerprint, _)) if fingerprint != once.fingerprint => Err(StoreError::Refused(
            "this Idempotency-Key was used for another request in the last 24 hours: choose a new one".into(),
        )),
        found => Ok(found.map(|(_, made)| made)),
    }
}

fn person_id(transaction: &Transaction<'_>, id: PersonId) -> Result<String, StoreError> {
    let found = first(transaction, "SELECT public_id FROM person WHERE id = ?1", [id.0], |row| row.get(0))?;
    found.ok_or_else(|| StoreError::Refused("whoever does this is nobody we know".into()))
}

fn fields(facts: Value) -> Map<String, Value> {
    match facts {
        Value::Object(fields) => fields,
        other => Map::from_iter([("value".to_owned(), other)]),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A page that lists actions must not grow with what somebody once put into one field.
fn text(mut fields: Map<String, Value>) -> Option<String> {
    for value in fields.values_mut() {
        let chars = value.to_string().chars().count();
        if chars > FIELD_CHARS_MAX {
            *value = Value::String(format!("… ({chars} characters)"));
        }
    }
    (!fields.is_empty()).then(|| Value::Object(fields).to_string())
}

const ADD_ACTION: &str = "
    INSERT INTO action (actor_kind, actor_id, actor, address, action, target, before, after, at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const EARLIER: &str = "SELECT fingerprint, target FROM once WHERE key = ?1 AND at_ms > ?2";

/// A bounded number, so that nobody waits for the broom; there is one at every request.
const FORGET: &str = "DELETE FROM once WHERE key IN (SELECT key FROM once WHERE at_ms <= ?1 ORDER BY at_ms LIMIT 1000)";

/// A key whose day is over and that no broom has reached yet is as good as new.
const REMEMBER: &str = "INSERT OR REPLACE INTO once (key, fingerprint, target, at_ms) VALUES (?1, ?2, ?3, ?4)";

const REMEMBERED_MS: i64 = 24 * 60 * 60 * 1_000;
const FIELD_CHARS_MAX: usize = 2_000;
