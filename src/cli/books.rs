//! The storage that the configuration names, and what people call the things in it.
//!
//! An account is called by its name or id, a key by its id or a beginning of it that fits one key only. Whoever mistypes
//! a name is told the nearest that exists.

use anyhow::{Context, anyhow, bail};
use jiff::Timestamp;

use crate::config::Config;
use crate::core::key::KeyStatus;
use crate::server;
use crate::store::contract::{AccountRow, Desk, KeyRow, Library, Storage};

pub(super) struct Books {
    pub(super) config: Config,
    storage: Box<dyn Storage>,
    /// One moment for the whole command: what it writes and what it shows agree.
    pub(super) now_ms: i64,
}

impl Books {
    pub(super) fn open(config: Config) -> anyhow::Result<Self> {
        let storage = server::open_storage(&config.storage)?;
        Ok(Books { config, storage, now_ms: Timestamp::now().as_millisecond() })
    }

    pub(super) fn desk(&self) -> anyhow::Result<Box<dyn Desk>> {
        Ok(self.storage.desk()?)
    }

    pub(super) fn library(&self) -> anyhow::Result<Box<dyn Library>> {
        Ok(self.storage.library()?)
    }

    /// The account of this name or id.
    pub(super) fn account(&self, called: &str) -> anyhow::Result<AccountRow> {
        let library = self.library()?;
        if let Some(row) = library.account(called)? {
            return Ok(row);
        }
        let accounts = library.accounts()?;
        Err(unknown("account", called, accounts.iter().map(|row| row.name.as_str())))
    }

    /// The key of this id, or the only one whose id begins so. Deleted keys are found by their whole id alone.
    pub(super) fn key(&self, called: &str) -> anyhow::Result<KeyRow> {
        let library = self.library()?;
        if let Some(row) = library.key(called)? {
            return Ok(row);
        }
        let keys = library.keys(None)?;
        let position = only_one_beginning(called, "key", keys.iter().map(|row| row.record.public_id.as_str()))?;
        keys.into_iter().nth(position).context("the list of keys is shorter than it was")
    }

    /// The same for a change, which a deleted key no longer takes.
    pub(super) fn living_key(&self, called: &str) -> anyhow::Result<KeyRow> {
        let row = self.key(called)?;
        if row.record.status == KeyStatus::Deleted {
            bail!("the key {} has been deleted", row.record.public_id);
        }
        Ok(row)
    }
}

/// "There is no …", with the nearest that there is.
pub(super) fn unknown<'a>(what: &str, called: &str, known: impl Iterator<Item = &'a str>) -> anyhow::Error {
    match nearest(called, known) {
        Some(name) => anyhow!("there is no {what} {called:?}; did you mean {name:?}?"),
        None => anyhow!("there is no {what} {called:?}"),
    }
}

/// The known name that needs the fewest typing mistakes to become this one, if they are few.
pub(super) fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mistakes_max = wanted.chars().count().div_ceil(3);
    known
        .map(|name| (strsim::damerau_levenshtein(&wanted.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(mistakes, _)| *mistakes <= mistakes_max)
        .min()
        .map(|(_, name)| name)
}

/// Where in the list the only id stands that begins so.
pub(super) fn only_one_beginning<'a>(
    beginning: &str,
    what: &str,
    ids: impl Iterator<Item = &'a str>,
) -> anyhow::Result<usize> {
    if beginning.len() < BEGINNING_CHARS_MIN {
        bail!("there is no {what} {beginning:?}; a shortened id has at least {BEGINNING_CHARS_MIN} characters");
    }
    let mut fitting = ids.enumerate().filter(|(_, id)| id.starts_with(beginning));
    match (fitting.next(), fitting.next()) {
        (Some((position, _)), None) => Ok(position),
        (Some((_, first)), Some((_, second))) => {
            bail!("{beginning:?} fits more than one {what}, such as {first} and {second}")
        }
        (None, _) => bail!("there is no {what} {beginning:?}"),
    }
}

/// The kind, and eight digits behind it: fewer fit by accident, and the command may delete.
const BEGINNING_CHARS_MIN: usize = "key_".len() + 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let known = ["default", "alice", "vip"];
        assert_eq!(nearest("defualt", known.into_iter()), Some("default"));
        assert_eq!(nearest("Alise", known.into_iter()), Some("alice"));
        assert_eq!(nearest("zebra", known.into_iter()), None);
        assert_eq!(nearest("", known.into_iter()), None);
        assert!(unknown("account", "alic", known.into_iter()).to_string().contains("did you mean \"alice\""));
    }

    #[test]
    fn a_beginning_fits_one_id_or_is_refused() {
        let find = |beginning: &str| {
            let ids = ["key_0123456789", "key_0123456799", "key_1123456789"];
            only_one_beginning(beginning, "key", ids.into_iter()).map_err(|error| error.to_string())
        };
        assert_eq!(find("key_11234567"), Ok(2));
        assert_eq!(find("key_012345678"), Ok(0));
        assert!(find("key_01234567").unwrap_err().contains("more than one"));
        assert!(find("key_1").unwrap_err().contains("at least 12"));
        assert!(find("key_9999999999").unwrap_err().contains("there is no key"));
        assert!(find("").is_err());
    }
}
