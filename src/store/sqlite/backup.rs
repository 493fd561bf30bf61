//! A consistent copy while others write.
//!
//! One read transaction spans the whole copy: without it SQLite starts again from the first page at every commit of
//! another process, and under load never ends. The write-ahead log grows meanwhile and is shortened afterwards.
//!
//! Always true: a file with the wanted name is a complete copy, checked and on disk. An unfinished one is called
//! `….partial` and is removed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::connection::fault;
use super::schema;
use crate::store::contract::StoreError;

/// Copies what `source` reads into a new file. `progress` hears the pages done and the pages in all.
pub(super) fn backup(source: &Connection, to: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError> {
    if to.symlink_metadata().is_ok() {
        return Err(StoreError::Refused(format!("{} exists already and is not overwritten", to.display())));
    }
    let mut partial = to.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let outcome = copy(source, &partial, progress).and_then(|()| publish(&partial, to).map_err(unavailable));
    if outcome.is_err() {
        // Nothing may be left, or nothing is: either way the error that counts is the first one.
        let _ = fs::remove_file(&partial);
    }
    outcome
}

fn copy(source: &Connection, to: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to).map_err(unavailable)?;
    let mut target = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(fault)?;
    // No care is needed for a file that counts only once it is whole.
    target.pragma_update(None, "synchronous", "OFF").map_err(fault)?;
    copy_pages(source, &mut target, progress)?;
    // A single file without companions, until somebody opens it to serve.
    target.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).map_err(fault)?;
    schema::quick_check(&target)?;
    target.close().map_err(|(_, error)| fault(error))
}

fn copy_pages(
    source: &Connection,
    target: &mut Connection,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), StoreError> {
    let snapshot = source.unchecked_transaction().map_err(fault)?;
    snapshot.query_row("SELECT revision FROM meta", [], |_| Ok(())).map_err(fault)?;
    let backup = Backup::new(&snapshot, target).map_err(fault)?;
    loop {
        let step = backup.step(PAGES_PER_STEP).map_err(fault)?;
        let pages = backup.progress();
        let (all, left) = (u64::try_from(pages.pagecount).unwrap_or(0), u64::try_from(pages.remaining).unwrap_or(0));
        progress(all.saturating_sub(left), all);
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            // Nobody writes through this connection and nobody else knows the copy.
            _ => return Err(StoreError::Unavailable("the copy is locked by another process".into())),
        }
    }
}

/// Gives the copy its name once it is on disk.
fn publish(partial: &Path, to: &Path) -> io::Result<()> {
    File::open(partial)?.sync_all()?;
    // Unlike a rename, a link never replaces what has come to stand there meanwhile.
    fs::hard_link(partial, to)?;
    fs::remove_file(partial)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn unavailable(error: io::Error) -> StoreError {
    StoreError::Unavailable(error.into())
}

const PAGES_PER_STEP: i32 = 1_024;
