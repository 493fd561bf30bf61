//! The one writer of a serving process.
//!
//! A group of changes is one transaction; holds that an answer waits for may be promised before it. A lock on a file
//! beside the database keeps a second server out: two of them would each believe in its own balances.
//!
//! Always true: the lock is held exactly as long as the journal lives, also if the process is killed.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Transaction, params};

use super::connection::{Place, Writer};
use super::posting::{Memory, Pace, Posting, SPAN_MINUTE, SPAN_QUARTER};
use super::promises::{self, Promises};
use super::rows::{self, all, execute, first};
use super::schema;
use crate::store::contract::{Change, Journal, Recovery, StoreError};

/// See [`Journal`].
pub struct SqliteJournal {
    writer: Writer,
    memory: Memory,
    promises: Promises,
    _serving: File,
}

impl SqliteJournal {
    pub(super) fn open(place: Place) -> Result<Self, StoreError> {
        let serving = lock(&place.path)?;
        schema::look_for_damage(&place.connect_for_reading()?)?;
        let place = Place { for_journal: true, ..place };
        let mut writer = Writer::open(place.clone())?;
        let through: i64 = writer
            .write(|transaction| first(transaction, PROMISED_THROUGH, [], |row| row.get(0)))?
            .ok_or_else(|| StoreError::Unusable("the file has lost its revision".into()))?;
        let era = promises::next(through);
        let left = promises::left_behind(&place.path, era)?;
        let promises =
            Promises::new(&place.path, place.durability, if left.is_empty() { era } else { promises::next(era) });
        let mut journal = SqliteJournal { writer, memory: Memory::default(), promises, _serving: serving };
        if !left.is_empty() {
            journal.book(|posting| {
                posting.hold(&left.iter().collect::<Vec<_>>())?;
                posting.end_era(era)
            })?;
        }
        Ok(journal)
    }

    /// See [`Writer::leave_pages`].
    #[cfg(test)]
    pub(super) fn leave_pages(&self, more: i64) {
        self.writer.leave_pages(more);
    }

    /// Books in one transaction; the work may be done twice.
    fn book<'g>(&mut self, work: impl Fn(&mut Posting<'_, 'g>) -> Result<(), StoreError>) -> Result<(), StoreError> {
        match self.book_at(Pace::Batches, &work) {
            Err(StoreError::Repeated(_)) => self.book_at(Pace::Rows, &work),
            outcome => outcome,
        }
    }

    fn book_at<'g>(
        &mut self,
        pace: Pace,
        work: &impl Fn(&mut Posting<'_, 'g>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let memory = &mut self.memory;
        let outcome = self.writer.write(|transaction| {
            let mut posting = Posting::begin(transaction, memory, pace);
            work(&mut posting)?;
            posting.finish()
        });
        if outcome.is_err() {
            self.memory.forget();
        }
        outcome
    }
}

impl Journal for SqliteJournal {
    fn commit(&mut self, group: &[Change]) -> Result<(), StoreError> {
        let era = self.promises.to_end();
        self.book(|posting| {
            posting.book(group)?;
            era.map_or(Ok(()), |era| posting.end_era(era))
        })?;
        self.promises.ended();
        self.writer.bound_log();
        Ok(())
    }

    fn promise(&mut self, holds: &[Change]) -> Result<bool, StoreError> {
        let rows = holds.iter().filter_map(|change| match change {
            Change::Hold(row) => Some(row.as_ref()),
            _ => None,
        });
        self.promises.add(rows)
    }

    fn recover(&mut self, now_ms: i64) -> Result<Recovery, StoreError> {
        let mut recovery = Recovery::default();
        // In pieces, each of which ends its holds for good: being killed here costs nothing but another start.
        loop {
            let orphans =
                self.writer.write(|transaction| all(transaction, ORPHANS, [ORPHANS_MAX], rows::interrupted))?;
            if orphans.is_empty() {
                return Ok(recovery);
            }
            self.book(|posting| orphans.iter().try_for_each(|row| posting.settle(row, now_ms)))?;
            for row in &orphans {
                recovery.holds = recovery.holds.saturating_add(1);
                recovery.charged = recovery.charged.saturating_add(row.charge);
            }
        }
    }

    fn prune(&mut self, before_ms: i64) -> Result<u64, StoreError> {
        self.writer.write(|transaction| prune(transaction, before_ms))
    }
}

/// Removes the oldest records, by the time inside their ids: the table is in that order, so this finds them at once.
/// When there are none left, the totals of short spans that no chart may ask for any more.
fn prune(transaction: &Transaction<'_>, before_ms: i64) -> Result<u64, StoreError> {
    let oldest = first(transaction, OLDEST, params![first_id_at(before_ms), PRUNED_MAX], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, Option<[u8; 16]>>(1)?, row.get::<_, Option<i64>>(2)?))
    })?;
    let Some((count, Some(through), Some(started_at_ms))) = oldest else { return prune_spans(transaction) };
    execute(transaction, "DELETE FROM request WHERE id <= ?1", [through])?;
    execute(transaction, PRUNED, params![through, started_at_ms])?;
    Ok(u64::try_from(count).expect("a count is not negative"))
}

fn prune_spans(transaction: &Transaction<'_>) -> Result<u64, StoreError> {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let before_minute = now_ms / 60_000 - SPANS_KEPT_MINUTES;
    for span in [SPAN_MINUTE, SPAN_QUARTER] {
        let parameters = [span, before_minute / span, PRUNED_MAX];
        let through: Option<i64> = first(transaction, OLDEST_SPANS, parameters, |row| row.get(0))?.flatten();
        let Some(through) = through else { continue };
        let gone = execute(transaction, "DELETE FROM usage_span WHERE span = ?1 AND nth <= ?2", [span, through])?;
        // By what went, and not by the clock: that may have been wrong for a moment.
        execute(transaction, PRUNED_SPANS, [through.saturating_add(1).saturating_mul(span)])?;
        return Ok(u64::try_from(gone).unwrap_or(u64::MAX));
    }
    Ok(0)
}

/// The smallest id that a request of this moment can have.
pub(super) fn first_id_at(ms: i64) -> [u8; 16] {
    // A UUID version 7 begins with 48 bits of milliseconds.
    let ms = ms.clamp(0, (1 << 48) - 1);
    let mut id = [0; 16];
    id[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
    id
}

fn lock(database: &Path) -> Result<File, StoreError> {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(|error| StoreError::Unavailable(error.into()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(StoreError::Refused(format!("another process serves {}", database.display())))
        }
        Err(TryLockError::Error(error)) => Err(StoreError::Unavailable(error.into())),
    }
}

const PROMISED_THROUGH: &str = "SELECT promised_through FROM meta";

const ORPHANS: &str = "SELECT * FROM hold ORDER BY request LIMIT ?1";

const OLDEST: &str = "
    SELECT count(*), max(id), max(started_at_ms)
    FROM (SELECT id, started_at_ms FROM request WHERE id < ?1 ORDER BY id LIMIT ?2)";

const PRUNED: &str = "
    UPDATE meta SET pruned_through = max(pruned_through, ?1), pruned_day = max(pruned_day, ?2 / 86400000)";

const OLDEST_SPANS: &str = "
    SELECT max(nth) FROM (SELECT nth FROM usage_span WHERE span = ?1 AND nth < ?2 ORDER BY nth LIMIT ?3)";

const PRUNED_SPANS: &str = "UPDATE meta SET spans_from = max(spans_from, ?1)";

const ORPHANS_MAX: i64 = 1_000;
const PRUNED_MAX: i64 = 5_000;
/// A week, the week before to compare it with, and a day because neither begins at midnight.
const SPANS_KEPT_MINUTES: i64 = 15 * 1_440;
