//! One run of a command: what it is given, and how it ends.

use std::path::PathBuf;
use std::process::ExitCode;

use super::books::Books;
use super::output::Output;
use crate::config::{self, Faults, Loaded};

/// What every command is given.
pub(super) struct Invocation {
    pub(super) config_path: PathBuf,
    pub(super) output: Output,
}

impl Invocation {
    /// Reads the whole configuration, even for a command that needs only its storage: one rule, and a fault is seen
    /// by whoever comes first.
    pub(super) fn load(&self) -> Result<Loaded, Faults> {
        let loaded = config::load(&self.config_path, &|name| std::env::var(name).ok())?;
        for file in &loaded.files {
            self.output.detail(&format!("read {}", file.display()));
        }
        Ok(loaded)
    }

    /// The configuration and the storage that it names.
    pub(super) fn books(&self) -> anyhow::Result<Books> {
        let loaded = self.load()?;
        for warning in &loaded.warnings {
            self.output.detail(&format!("warning: {warning}"));
        }
        Books::open(loaded.config)
    }
}

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, and the answer is yes.
    Done = 0,
    /// The work failed, or the answer is no.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Misused = 2,
}

impl Exit {
    pub fn of(error: &anyhow::Error) -> Self {
        if error.is::<Faults>() || error.is::<Misuse>() { Exit::Misused } else { Exit::Failed }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// A command line that is well-formed and still makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Misuse(pub(super) String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_and_misuse_exit_with_two() {
        assert_eq!(Exit::of(&Faults(Vec::new()).into()), Exit::Misused);
        assert_eq!(Exit::of(&Misuse("no".into()).into()), Exit::Misused);
        assert_eq!(Exit::of(&anyhow::anyhow!("no")), Exit::Failed);
    }
}
