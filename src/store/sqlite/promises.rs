//! Holds on disk before they are in the database.
//!
//! An answer waits for its hold to be durable, and most requests have ended by the next commit, which then need not write
//! their holds at all. So a hold goes into a small file of fixed size first: a write over bytes that were there before and
//! one sync for a batch, where a commit of the same would change pages, their index and later the database. A commit holds
//! what was promised before it and ends its *era*, whose number is `meta.promised_through`; then the file is written from
//! its beginning again.
//!
//! Always true: a batch counts exactly if it is whole and of the era after `promised_through`; whatever else is in the
//! file, of earlier eras, of other books or half written, counts for nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::connection::Durability;
use crate::core::account::AccountId;
use crate::core::key::KeyId;
use crate::core::money::Nano;
use crate::store::contract::{HoldRow, RequestId, StoreError};

/// The file, as the one process that serves writes it.
pub(super) struct Promises {
    path: PathBuf,
    durability: Durability,
    /// `None` before the first promise and after a failure.
    file: Option<File>,
    failed_at: Option<Instant>,
    era: i64,
    /// Where the next batch of this era begins.
    end: u64,
    batch: Vec<u8>,
}

impl Promises {
    /// Nothing is promised yet in this era.
    pub(super) fn new(database: &Path, durability: Durability, era: i64) -> Self {
        Promises { path: beside(database), durability, file: None, failed_at: None, era, end: 0, batch: Vec::new() }
    }

    /// Writes a batch. False if there is no room for it; then these holds must be committed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it may not be durable: what was promised in this era must be committed, too, before
    /// more is.
    pub(super) fn add<'a>(&mut self, holds: impl Iterator<Item = &'a HoldRow>) -> Result<bool, StoreError> {
        self.batch.clear();
        self.batch.resize(HEAD, 0);
        holds.for_each(|row| put(&mut self.batch, row));
        let bytes = self.batch.len() as u64;
        if self.end + bytes > FILE_BYTES || self.failed_at.is_some_and(|at| at.elapsed() < RETRY_AFTER) {
            return Ok(false);
        }
        self.batch[4..8].copy_from_slice(&u32::try_from(bytes).expect("it fits into the file").to_le_bytes());
        self.batch[8..HEAD].copy_from_slice(&self.era.to_le_bytes());
        let checksum = crc32fast::hash(&self.batch[4..]);
        self.batch[..4].copy_from_slice(&checksum.to_le_bytes());

        let begin = self.end;
        // First: whether a failed write has left something is not known.
        self.end += bytes;
        let written = self.write_at(begin);
        self.failed_at = written.is_err().then(Instant::now);
        if written.is_err() {
            // After a failed sync the system may call pages clean that never reached the disk.
            self.file = None;
        }
        written.map(|()| true).map_err(|error| StoreError::Unavailable(error.into()))
    }

    fn write_at(&mut self, begin: u64) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(make(&self.path, self.durability)?),
        };
        file.write_all_at(&self.batch, begin)?;
        sync(file, self.durability)
    }

    /// The era that the next commit ends; `None` if nothing was promised in it.
    pub(super) fn to_end(&self) -> Option<i64> {
        (self.end > 0).then_some(self.era)
    }

    /// That commit is durable.
    pub(super) fn ended(&mut self) {
        if self.end > 0 {
            self.era = next(self.era);
            self.end = 0;
        }
    }
}

/// The era that follows. They begin at random, so that books never take each other's for their own.
pub(super) fn next(era: i64) -> i64 {
    era.wrapping_add(1)
}

/// What a process that is no more has promised in this era.
///
/// # Errors
/// [`StoreError::Unavailable`] if the file cannot be read; [`StoreError::Unusable`] if a whole batch makes no sense.
pub(super) fn left_behind(database: &Path, era: i64) -> Result<Vec<HoldRow>, StoreError> {
    let path = beside(database);
    let mut bytes = Vec::new();
    match File::open(&path) {
        Ok(file) => file.take(FILE_BYTES).read_to_end(&mut bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => Err(error),
    }
    .map_err(|error| StoreError::Unavailable(error.into()))?;
    rows(&bytes, era).ok_or_else(|| StoreError::Unusable(format!("{}: a hold cannot be read", path.display())))
}

/// Those of the whole batches of this era; `None` if one holds what nobody wrote.
fn rows(mut bytes: &[u8], era: i64) -> Option<Vec<HoldRow>> {
    let mut rows = Vec::new();
    while let Some((mut batch, rest)) = whole_batch(bytes, era) {
        while !batch.is_empty() {
            rows.push(take(&mut batch)?);
        }
        bytes = rest;
    }
    Some(rows)
}

/// The rows of the first batch, and what follows it.
fn whole_batch(bytes: &[u8], era: i64) -> Option<(&[u8], &[u8])> {
    let checksum = u32::from_le_bytes(*bytes.first_chunk()?);
    let length = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    let (batch, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    let (_, body) = batch.split_at_checked(HEAD)?;
    let whole = batch[8..HEAD] == era.to_le_bytes() && crc32fast::hash(&batch[4..]) == checksum;
    whole.then_some((body, rest))
}

fn put(batch: &mut Vec<u8>, row: &HoldRow) {
    batch.extend(row.request.0.as_bytes());
    for number in [row.account.0, row.key.0, row.amount.0, row.started_at_ms, i64::from(row.streamed)] {
        batch.extend(number.to_le_bytes());
    }
    for text in [&*row.endpoint, &row.model, &row.price_version] {
        batch.extend((text.len() as u64).to_le_bytes());
        batch.extend(text.as_bytes());
    }
}

fn take(bytes: &mut &[u8]) -> Option<HoldRow> {
    let request = RequestId(Uuid::from_bytes(*bytes.split_off(..16)?.first_chunk()?));
    let mut number = || bytes.split_off(..8)?.first_chunk().copied().map(i64::from_le_bytes);
    let [account, key, amount, started_at_ms, streamed] = [number()?, number()?, number()?, number()?, number()?];
    let mut text = || {
        let length = u64::from_le_bytes(*bytes.split_off(..8)?.first_chunk()?);
        String::from_utf8(bytes.split_off(..usize::try_from(length).ok()?)?.to_vec()).ok()
    };
    Some(HoldRow {
        request,
        account: AccountId(account),
        key: KeyId(key),
        endpoint: text()?.into(),
        model: text()?,
        streamed: streamed != 0,
        amount: Nano(amount),
        price_version: text()?,
        started_at_ms,
    })
}

/// A file of zeros. A sync of bytes that have their place on the disk needs no entry in the file system's own journal.
fn make(path: &Path, durability: Durability) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&vec![0; FILE_BYTES as usize])?;
    if durability == Durability::Full {
        file.sync_all()?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(file)
}

fn sync(file: &File, durability: Durability) -> io::Result<()> {
    match durability {
        Durability::Full => file.sync_data(),
        Durability::Normal => Ok(()),
    }
}

fn beside(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-holds");
    path.into()
}

/// Checksum, length, era.
const HEAD: usize = 16;
/// Some two thousand holds: of more than one commit's time under any load.
const FILE_BYTES: u64 = 256 * 1024;
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(number: u128) -> HoldRow {
        HoldRow {
            request: RequestId(Uuid::from_u128(number)),
            account: AccountId(1),
            key: KeyId(2),
            endpoint: "chat_completions".into(),
            model: "größer".into(),
            streamed: number.is_multiple_of(2),
            amount: Nano(i64::MAX),
            price_version: String::new(),
            started_at_ms: 7,
        }
    }

    fn database(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("t.db")
    }

    #[test]
    fn what_was_promised_is_found_again_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = database(&folder);
        assert_eq!(left_behind(&path, 5).unwrap(), []);
        let mut promises = Promises::new(&path, Durability::Full, 5);
        assert!(promises.to_end().is_none());
        let holds: Vec<HoldRow> = (0..5).map(hold).collect();
        assert!(promises.add(holds[..2].iter()).unwrap() && promises.add(holds[2..].iter()).unwrap());
        assert_eq!((left_behind(&path, 5).unwrap(), left_behind(&path, 6).unwrap()), (holds, vec![]));

        // The next era's batches lie over the last one's, of which something sticks out behind.
        assert_eq!(promises.to_end(), Some(5));
        promises.ended();
        assert!(promises.add([hold(9)].iter()).unwrap());
        assert_eq!((left_behind(&path, 5).unwrap(), left_behind(&path, 6).unwrap()), (vec![], vec![hold(9)]));
    }

    #[test]
    fn any_beginning_of_the_file_and_any_wrong_byte_leave_whole_batches() {
        let folder = tempfile::tempdir().unwrap();
        let path = database(&folder);
        let mut promises = Promises::new(&path, Durability::Normal, i64::MAX);
        for number in 0..3 {
            assert!(promises.add([hold(number), hold(number + 10)].iter()).unwrap());
        }
        let bytes = std::fs::read(beside(&path)).unwrap();
        let end = promises.end as usize;
        let is_whole = |rows: &[HoldRow], batches: usize| {
            rows.len() == 2 * batches
                && rows.iter().zip([0, 10, 1, 11, 2, 12]).all(|(row, number)| *row == hold(number))
        };
        for at in 0..end {
            assert!(is_whole(&rows(&bytes[..at], i64::MAX).unwrap(), 3 * at / end), "cut at {at}");
            let mut wrong = bytes.clone();
            wrong[at] ^= 0x10;
            assert!(is_whole(&rows(&wrong, i64::MAX).unwrap(), 3 * at / end), "wrong at {at}");
        }
        assert!(is_whole(&rows(&bytes, i64::MAX).unwrap(), 3));
    }

    #[test]
    fn a_batch_that_nobody_wrote_is_refused() {
        let mut batch = vec![0; HEAD + 3];
        batch[4..8].copy_from_slice(&(HEAD as u32 + 3).to_le_bytes());
        let checksum = crc32fast::hash(&batch[4..]);
        batch[..4].copy_from_slice(&checksum.to_le_bytes());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(beside(&database(&folder)), batch).unwrap();
        assert!(matches!(left_behind(&database(&folder), 0), Err(StoreError::Unusable(_))));
    }

    #[test]
    fn a_full_file_promises_nothing_until_its_era_ends() {
        let folder = tempfile::tempdir().unwrap();
        let mut promises = Promises::new(&database(&folder), Durability::Normal, 0);
        let many: Vec<HoldRow> = (0..500).map(hold).collect();
        let batches = (0..100).take_while(|_| promises.add(many.iter()).unwrap()).count();
        assert!((2..10).contains(&batches));
        assert_eq!(left_behind(&database(&folder), 0).unwrap().len(), 500 * batches);
        promises.ended();
        assert!(promises.add(many.iter()).unwrap());
        assert_eq!(left_behind(&database(&folder), 1).unwrap().len(), 500);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_an_error_once_and_no_promise_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let path = database(&folder);
        std::fs::create_dir(beside(&path)).unwrap();
        let mut promises = Promises::new(&path, Durability::Full, 0);
        assert!(matches!(promises.add([hold(1)].iter()), Err(StoreError::Unavailable(_))));
        assert_eq!(promises.to_end(), Some(0), "who knows what was written");
        promises.ended();
        assert!(!promises.add([hold(1)].iter()).unwrap());
        std::fs::remove_dir(beside(&path)).unwrap();
        promises.failed_at = None;
        assert!(promises.add([hold(2)].iter()).unwrap());
        assert_eq!(left_behind(&path, 1).unwrap(), [hold(2)]);
    }
}
