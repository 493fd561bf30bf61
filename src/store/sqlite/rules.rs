//! What holds for everything that is made by hand: how it may be called, what id it gets, how others hear of it.

use rusqlite::Transaction;
use uuid::Uuid;

use super::rows::first;
use crate::core::account::check_name;
use crate::store::contract::StoreError;

pub(super) fn check_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<(), StoreError> {
    names.into_iter().try_for_each(|name| check_name(name).map_err(StoreError::Refused))
}

/// Text that people read in lists: on one line, and not a page.
pub(super) fn check_label(what: &str, text: &str) -> Result<(), StoreError> {
    if text.is_empty() || text.chars().count() > LABEL_CHARS_MAX || text.chars().any(char::is_control) {
        return refused(format!("{what} has 1 to {LABEL_CHARS_MAX} characters, none of them a control character"));
    }
    Ok(())
}

pub(super) fn check_note(note: Option<&str>) -> Result<(), StoreError> {
    if note.is_some_and(|note| note.chars().count() > NOTE_CHARS_MAX) {
        return refused(format!("a note has at most {NOTE_CHARS_MAX} characters"));
    }
    Ok(())
}

/// What is over before it begins was meant otherwise.
pub(super) fn check_end(what: &str, expires_at_ms: Option<i64>, now_ms: i64) -> Result<(), StoreError> {
    if expires_at_ms.is_some_and(|end_ms| end_ms <= now_ms) {
        return refused(format!("{what} must end in the future"));
    }
    Ok(())
}

/// The number that a changed row is stamped with, so that running servers find it.
pub(super) fn next_revision(transaction: &Transaction<'_>) -> Result<i64, StoreError> {
    let next = first(transaction, "UPDATE meta SET revision = revision + 1 RETURNING revision", [], |row| row.get(0))?;
    next.ok_or_else(|| StoreError::Unusable("the file has lost its revision".into()))
}

/// `acc_…`, `key_…`, `adm_…`: random enough that nobody counts our customers by it.
pub(super) fn public_id(kind: &str) -> String {
    format!("{kind}_{}", Uuid::now_v7().simple())
}

pub(super) fn refused<T>(why: impl Into<String>) -> Result<T, StoreError> {
    Err(StoreError::Refused(why.into()))
}

const LABEL_CHARS_MAX: usize = 128;
const NOTE_CHARS_MAX: usize = 1_000;
