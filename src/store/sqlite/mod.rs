//! The storage of one machine: a single SQLite file.
//!
//! One writer serves ([`SqliteJournal`]), people write now and then beside it ([`SqliteDesk`]), and readers
//! ([`SqliteLibrary`]) see a consistent past without stopping either. SQL is written here and nowhere else.
//!
//! - `connection` how connections are opened and how they fail; `schema` whose file it is and its versions
//! - `journal` groups of changes, as `posting` books them, and holds in `promises` before that; `library`, `audit`, `backup` as their names say
//! - `desk` what people do by hand to `accounts`, `credentials`, `people`, `codes`; each deed is noted in `actions`
//! - `registry` the console's door, `reports` its pages
//! - `rows` between columns and values, `statements` of many rows, `rules` for what is made by hand
//!
//! Always true: the file, its logs, its lock and the folder made for them are the owner's alone.

mod accounts;
mod actions;
mod audit;
mod backup;
mod codes;
mod connection;
mod credentials;
mod desk;
mod journal;
mod library;
mod people;
mod posting;
mod promises;
mod registry;
mod reports;
mod rows;
mod rules;
mod schema;
mod statements;

#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

pub use connection::Durability;
pub use desk::SqliteDesk;
pub use journal::SqliteJournal;
pub use library::SqliteLibrary;
pub use registry::SqliteRegistry;
pub use reports::SqliteReports;

use crate::store::contract::console::{Registry, Reports};
use crate::store::contract::{Desk, Journal, Library, Storage, StoreError};
use connection::Place;

/// A database file that was found, or made, in order.
#[derive(Clone, Debug)]
pub struct Sqlite {
    place: Place,
}

impl Sqlite {
    /// Opens the file, or makes it and its folder, and brings it to the present version.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if it is damaged, another program's, or a newer version's, or if its place cannot be
    /// written to; [`StoreError::Unavailable`] if it is locked or the disk is full.
    pub fn open(path: &Path, durability: Durability) -> Result<Sqlite, StoreError> {
        if rusqlite::version_number() < LIBRARY_VERSION_MIN {
            return Err(StoreError::Unusable(format!(
                "SQLite {} is too old: 3.51.3 is the first that cannot damage a write-ahead log",
                rusqlite::version()
            )));
        }
        Self::prepare(path, durability).map_err(|error| name_file(error, path))
    }

    fn prepare(path: &Path, durability: Durability) -> Result<Sqlite, StoreError> {
        make(path)?;
        // Two ways to the same file must lead to the same lock.
        let path = path.canonicalize().map_err(|error| no_place("it cannot be found", &error))?;
        let place = Place { path, durability, for_journal: false };
        schema::prepare(&mut place.connect()?)?;
        Ok(Sqlite { place })
    }

    /// The one writer of a serving process.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if another process, or another journal of this one, serves the file.
    pub fn journal(&self) -> Result<SqliteJournal, StoreError> {
        SqliteJournal::open(self.place.clone()).map_err(|error| name_file(error, &self.place.path))
    }

    /// # Errors
    /// [`StoreError::Unavailable`] if the file cannot be opened, here and below.
    pub fn desk(&self) -> Result<SqliteDesk, StoreError> {
        SqliteDesk::open(self.place.clone())
    }

    /// # Errors
    /// As `desk`.
    pub fn library(&self) -> Result<SqliteLibrary, StoreError> {
        SqliteLibrary::open(&self.place)
    }

    /// # Errors
    /// As `desk`.
    pub fn registry(&self) -> Result<SqliteRegistry, StoreError> {
        SqliteRegistry::open(self.place.clone())
    }

    /// # Errors
    /// As `desk`.
    pub fn reports(&self) -> Result<SqliteReports, StoreError> {
        SqliteReports::open(self.place.clone())
    }
}

impl Storage for Sqlite {
    fn journal(&self) -> Result<Box<dyn Journal>, StoreError> {
        Ok(Box::new(Sqlite::journal(self)?))
    }

    fn desk(&self) -> Result<Box<dyn Desk>, StoreError> {
        Ok(Box::new(Sqlite::desk(self)?))
    }

    fn library(&self) -> Result<Box<dyn Library>, StoreError> {
        Ok(Box::new(Sqlite::library(self)?))
    }

    fn registry(&self) -> Result<Box<dyn Registry>, StoreError> {
        Ok(Box::new(Sqlite::registry(self)?))
    }

    fn reports(&self) -> Result<Box<dyn Reports>, StoreError> {
        Ok(Box::new(Sqlite::reports(self)?))
    }
}

/// Makes an empty file, with its folder, where there is none. SQLite gives its log the same mode.
///
/// A file that exists is not opened here: closing it again would drop every lock that SQLite holds on it in this
/// process (POSIX locks belong to the process, not to the descriptor).
fn make(path: &Path) -> Result<(), StoreError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| no_place(&format!("the folder {} cannot be made", folder.display()), &error))?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(no_place("the file cannot be made", &error)),
        Err(_) if fs::metadata(path).is_ok_and(|file| !file.is_file()) => {
            Err(StoreError::Unusable("this is not a file".into()))
        }
        Err(_) => Ok(()),
    }
}

fn no_place(what: &str, error: &io::Error) -> StoreError {
    StoreError::Unusable(format!("{what} ({error})"))
}

/// Start-up errors are read by people, who have more than one file.
fn name_file(error: StoreError, path: &Path) -> StoreError {
    let path = path.display();
    match error {
        StoreError::Unusable(why) => StoreError::Unusable(format!("{path}: {why}")),
        StoreError::Unavailable(why) => StoreError::Unavailable(format!("{path}: {why}").into()),
        answer @ (StoreError::Refused(_) | StoreError::Repeated(_)) => answer,
    }
}

/// Older ones can damage a write-ahead log when a checkpoint and a commit race (<https://sqlite.org/wal.html>,
/// "the WAL-reset bug").
const LIBRARY_VERSION_MIN: i32 = 3_051_003;
