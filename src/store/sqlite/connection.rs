//! Connections to the database file: opened in one way, failing in one way.
//!
//! [`Writer`] is how everything is written. After a failed write or sync nobody knows which pages reached the disk, so
//! it drops the connection and opens another for the next try; SQLite then sees only what was committed.
//!
//! Always true: a transaction is committed whole or rolled back, and no path out of here leaves one open.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::store::contract::StoreError;

/// What a commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The loss of power: each commit waits for the disk.
    Full,
    /// The death of the process; a loss of power may take the last commits with it, and never tears one.
    Normal,
}

/// Where the database is and how hard its commits are.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) durability: Durability,
    /// Whether it is for a journal's writing, which is bounded and comes out of this very database. So rows are not checked
    /// to refer to rows that exist, six references to a request, but proved by the audit; and what it takes to undo a
    /// statement stays in memory, where reports may have to sort more than that holds.
    pub(super) for_journal: bool,
}

impl Place {
    /// A connection that may write.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the file is gone: only `Sqlite::open` may make one, else a server whose file was
    /// moved away would go on with empty books.
    pub(super) fn connect(&self) -> Result<Connection, StoreError> {
        let connection = Connection::open_with_flags(&self.path, FLAGS).map_err(fault)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(fault)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        connection.execute_batch(PRAGMAS).map_err(fault)?;
        let synchronous = match self.durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        };
        connection.pragma_update(None, "synchronous", synchronous).map_err(fault)?;
        connection.pragma_update(None, "foreign_keys", !self.for_journal).map_err(fault)?;
        if self.for_journal {
            connection.pragma_update(None, "temp_store", "MEMORY").map_err(fault)?;
        }
        Ok(connection)
    }

    /// A connection that refuses to write. It opens the file for writing all the same: a reader that could not would
    /// leave the write-ahead log behind whenever it is the last one out.
    pub(super) fn connect_for_reading(&self) -> Result<Connection, StoreError> {
        let connection = self.connect()?;
        connection.pragma_update(None, "query_only", true).map_err(fault)?;
        Ok(connection)
    }
}

/// A connection for transactions that write.
pub(super) struct Writer {
    place: Place,
    /// `None` after a failure: the next write opens a new one.
    connection: Option<Connection>,
}

impl Writer {
    pub(super) fn open(place: Place) -> Result<Self, StoreError> {
        let connection = place.connect()?;
        Ok(Writer { place, connection: Some(connection) })
    }

    /// A disk that is full once the file has so many pages more, until the next connection.
    #[cfg(test)]
    pub(super) fn leave_pages(&self, more: i64) {
        let connection = self.connection.as_ref().expect("the last write was good");
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("it can be read");
        connection
            .query_row(&format!("PRAGMA max_page_count = {}", pages + more), [], |_| Ok(()))
            .expect("it can be set");
    }

    /// Does the work in one transaction and commits it.
    ///
    /// # Errors
    /// The work's own; or why it could not be committed. In both cases nothing was written.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.place.connect()?,
        };
        let outcome = transact(&mut connection, work);
        if matches!(outcome, Ok(_) | Err(StoreError::Refused(_) | StoreError::Repeated(_))) {
            self.connection = Some(connection);
        }
        outcome
    }

    /// Starts the write-ahead log anew when it has grown large. SQLite does this by itself unless there is always
    /// somebody reading: then the log is copied into the database but never shortened. Waits for nobody: it is tried
    /// after each group, and sooner or later falls between two readers.
    pub(super) fn bound_log(&mut self) {
        let mut log = self.place.path.clone().into_os_string();
        log.push("-wal");
        let small = std::fs::metadata(log).map_or(true, |file| file.len() <= LOG_BYTES_MAX);
        let Some(connection) = self.connection.as_ref().filter(|_| !small) else { return };
        // Best effort: a log that could not be shortened harms nobody today, and a real fault shows at the next commit.
        let _ = connection.busy_timeout(Duration::ZERO);
        let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        let _ = connection.busy_timeout(BUSY_TIMEOUT);
    }
}

fn transact<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    // Immediate: a transaction that began as a reader may find at its first write that it can never become a writer.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fault)?;
    let value = work(&transaction)?;
    transaction.commit().map_err(fault)?;
    Ok(value)
}

/// What an error of SQLite means to those who wanted something stored.
pub(super) fn fault(error: rusqlite::Error) -> StoreError {
    let Some(code) = error.sqlite_error_code() else {
        return StoreError::Unusable(format!("a row cannot be read: {error}"));
    };
    match code {
        ErrorCode::NotADatabase => StoreError::Unusable("the file is not a database".into()),
        ErrorCode::DatabaseCorrupt => StoreError::Unusable(format!("the file is damaged ({error})")),
        ErrorCode::ConstraintViolation => StoreError::Refused(format!("this would break the books: {error}")),
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::DiskFull
        | ErrorCode::ReadOnly
        | ErrorCode::SystemIoFailure
        | ErrorCode::CannotOpen
        | ErrorCode::PermissionDenied
        | ErrorCode::OutOfMemory
        | ErrorCode::OperationInterrupted
        | ErrorCode::OperationAborted
        | ErrorCode::FileLockingProtocolFailed => StoreError::Unavailable(error.into()),
        _ => StoreError::Unusable(error.to_string()),
    }
}

const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// `cell_size_check` and `trusted_schema` cost nothing and stop a damaged or doctored file early. A page that many groups
/// change is copied into the database once in so many pages of the log, which are read in milliseconds after a crash.
const PRAGMAS: &str = "
    PRAGMA cell_size_check = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA wal_autocheckpoint = 4000;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA cache_size = -16384;
";

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// More than there are different statements, so each is compiled once per connection.
const STATEMENTS_CACHED: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &tempfile::TempDir) -> Place {
        let path = folder.path().join("t.db");
        std::fs::File::create(&path).unwrap();
        Place { path, durability: Durability::Normal, for_journal: false }
    }

    fn add(writer: &mut Writer, value: i64) -> Result<(), StoreError> {
        writer.write(|tx| tx.execute("INSERT INTO t VALUES (?1)", [value]).map(|_| ()).map_err(fault))
    }

    fn sum(place: &Place) -> i64 {
        place.connect().unwrap().query_row("SELECT coalesce(sum(x), 0) FROM t", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn what_cannot_be_written_now_can_be_written_later() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(&folder);
        let mut writer = Writer::open(place.clone()).unwrap();
        writer.write(|tx| tx.execute_batch("CREATE TABLE t (x INTEGER NOT NULL) STRICT").map_err(fault)).unwrap();
        for (pragma, value) in [("query_only", 1), ("max_page_count", 2)] {
            writer.connection.as_ref().unwrap().pragma_update(None, pragma, value).unwrap();
            let big = "x".repeat(100_000);
            let refused =
                writer.write(|tx| tx.execute("CREATE TABLE u AS SELECT ?1", [&big]).map(|_| ()).map_err(fault));
            assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{pragma}: {refused:?}");
            assert!(writer.connection.is_none(), "a connection that failed is not used again");
            add(&mut writer, 1).unwrap();
        }
        assert_eq!(sum(&place), 2);
    }

    #[test]
    fn a_locked_file_is_unavailable() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(&folder);
        let mut writer = Writer::open(place.clone()).unwrap();
        writer.write(|tx| tx.execute_batch("CREATE TABLE t (x INTEGER NOT NULL) STRICT").map_err(fault)).unwrap();
        let other = place.connect().unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        writer.connection.as_ref().unwrap().busy_timeout(Duration::ZERO).unwrap();
        assert!(matches!(add(&mut writer, 1), Err(StoreError::Unavailable(_))));
        other.execute_batch("ROLLBACK").unwrap();
        add(&mut writer, 1).unwrap();
        assert_eq!(sum(&place), 1);
    }

    #[test]
    fn failing_work_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(&folder);
        let mut writer = Writer::open(place.clone()).unwrap();
        writer.write(|tx| tx.execute_batch("CREATE TABLE t (x INTEGER NOT NULL) STRICT").map_err(fault)).unwrap();
        let refused: Result<(), _> = writer.write(|tx| {
            tx.execute("INSERT INTO t VALUES (7)", []).map_err(fault)?;
            Err(StoreError::Refused("no".into()))
        });
        assert!(matches!(refused, Err(StoreError::Refused(_))));
        assert!(matches!(
            writer.write(|tx| tx.execute("INSERT INTO t VALUES (NULL)", []).map_err(fault)),
            Err(StoreError::Refused(_))
        ));
        assert_eq!(sum(&place), 0);
    }

    #[test]
    fn a_file_that_went_away_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(&folder);
        std::fs::remove_file(&place.path).unwrap();
        assert!(matches!(place.connect(), Err(StoreError::Unavailable(_))));
        assert!(!place.path.exists());
    }

    #[test]
    fn a_log_that_readers_kept_long_is_shortened_when_they_leave() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(&folder);
        let mut writer = Writer::open(place.clone()).unwrap();
        writer.connection.as_ref().unwrap().pragma_update(None, "journal_mode", "WAL").unwrap();
        writer.write(|tx| tx.execute_batch("CREATE TABLE t (x BLOB NOT NULL) STRICT").map_err(fault)).unwrap();
        let reader = place.connect_for_reading().unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        for _ in 0..17 {
            writer.write(|tx| tx.execute("INSERT INTO t VALUES (zeroblob(4194304))", []).map_err(fault)).unwrap();
        }
        let log_bytes = || std::fs::metadata(folder.path().join("t.db-wal")).unwrap().len();
        writer.bound_log();
        assert!(log_bytes() > LOG_BYTES_MAX);
        reader.execute_batch("COMMIT").unwrap();
        writer.bound_log();
        assert_eq!(log_bytes(), 0);
    }
}
