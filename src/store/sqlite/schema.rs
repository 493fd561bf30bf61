//! The database's identity and shape: whose file it is, which version, and the way from one version to the next.
//!
//! A migration and its version number are one transaction, so a process that is killed while migrating leaves the old
//! version or the new one. Two processes may open a new file at once: the second waits and finds nothing left to do.
//!
//! Always true: a file that is not ours, or that a newer program has written, is not touched.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::connection::fault;
use crate::store::contract::StoreError;

/// Checks that the file is ours, or empty, and brings it to the present version.
///
/// # Errors
/// [`StoreError::Unusable`] in words for people.
pub(super) fn prepare(connection: &mut Connection) -> Result<(), StoreError> {
    let version = check(&connection.unchecked_transaction().map_err(fault)?)?;
    for (number, script) in (1..).zip(MIGRATIONS).filter(|(number, _)| *number > version) {
        migrate(connection, number, script)?;
    }
    // Only now: the mode is written into the file, and a stranger's file stays as it is.
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(fault)?;
    if mode != "wal" {
        return Err(StoreError::Unusable("its file system cannot hold a write-ahead log".into()));
    }
    Ok(())
}

/// The version that the file has.
///
/// # Errors
/// [`StoreError::Unavailable`] if it cannot be read.
pub(super) fn version(connection: &Connection) -> Result<u32, StoreError> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(fault)
}

/// Looks for damage before the journal writes: every page of a small file. A large file would keep a starting server
/// waiting, so there the tables' first pages have to do.
///
/// # Errors
/// [`StoreError::Unusable`] if there is any.
pub(super) fn look_for_damage(connection: &Connection) -> Result<(), StoreError> {
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).map_err(fault)?;
    let page_bytes: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(fault)?;
    if pages.saturating_mul(page_bytes) < CHECKED_BYTES_MAX {
        return quick_check(connection);
    }
    for table in TABLES {
        let first =
            connection.query_row(&format!("SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT 1)"), [], |_| Ok(()));
        first.map_err(fault)?;
    }
    Ok(())
}

/// Reads every page.
///
/// # Errors
/// [`StoreError::Unusable`] with the first fault found.
pub(super) fn quick_check(connection: &Connection) -> Result<(), StoreError> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(fault)?;
    if verdict == "ok" {
        return Ok(());
    }
    // SQLite heads its findings with a line that says which file; the finding itself is the last line.
    let finding = verdict.lines().last().unwrap_or_default();
    Err(StoreError::Unusable(format!("the file is damaged ({finding}): restore it from a backup")))
}

fn migrate(connection: &mut Connection, number: i64, script: &str) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fault)?;
    if check(&transaction)? >= number {
        return Ok(());
    }
    apply(&transaction, number, script).map_err(fault)?;
    transaction.commit().map_err(fault)
}

fn apply(transaction: &Transaction<'_>, number: i64, script: &str) -> rusqlite::Result<()> {
    transaction.execute_batch(script)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", number)
}

/// The file's version; 0 is an empty file. In a transaction, as another process may be making the file right now.
fn check(snapshot: &Transaction<'_>) -> Result<i64, StoreError> {
    let number = |pragma| snapshot.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map_err(fault);
    let (application, version) = (number("application_id")?, number("user_version")?);
    if application != APPLICATION_ID {
        let tables: i64 =
            snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(fault)?;
        if application != 0 || version != 0 || tables != 0 {
            return Err(StoreError::Unusable("the file is another program's database".into()));
        }
    }
    let known = MIGRATIONS.len();
    if usize::try_from(version).is_ok_and(|version| version <= known) {
        return Ok(version);
    }
    Err(StoreError::Unusable(format!(
        "the file has version {version}, and this program knows versions up to {known}: start the newer program again"
    )))
}

/// "TOLL" in ASCII.
const APPLICATION_ID: i64 = 0x544F_4C4C;

/// In order; the first makes version 1. A script that was ever released is never edited.
const MIGRATIONS: [&str; 4] = [
    include_str!("../migrations/0001_books.sql"),
    include_str!("../migrations/0002_people.sql"),
    include_str!("../migrations/0003_bill.sql"),
    include_str!("../migrations/0004_promises.sql"),
];

const TABLES: [&str; 16] = [
    "meta",
    "account",
    "api_key",
    "ledger",
    "hold",
    "word",
    "request",
    "usage_day",
    "usage_span",
    "admin_token",
    "person",
    "session",
    "invitation",
    "redeem_code",
    "action",
    "once",
];

const CHECKED_BYTES_MAX: i64 = 64 * 1024 * 1024;
