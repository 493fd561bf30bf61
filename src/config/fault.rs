//! What is wrong with a configuration, said so that it can be put right.
//!
//! A fault names its place twice, as file:line:column for the editor and as a dotted path for the mind, and says what to
//! write instead. Faults are collected, never thrown: whoever repairs a file wants all of them at once.
//!
//! Always true: no text of a fault comes out of a variable or a secret's file; values are quoted as they stand in the
//! configuration, before expansion.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// One thing that is wrong. `line` and `column` count from 1; 0 means the file as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub file: String,
    pub line: u64,
    pub column: u64,
    /// Such as `models.gpt-4o.price.input`; empty for the file as a whole.
    pub path: String,
    pub problem: String,
    /// What to write; empty where the problem says it all.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.problem)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// Everything that is wrong, in the order of the file. Displayed one fault a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{fault}")?;
        }
        Ok(())
    }
}

/// Where something stands in its file, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: u64,
    pub column: u64,
}

/// What reading has brought to light so far, in all files together.
#[derive(Default)]
pub struct Findings {
    faults: RefCell<Vec<Fault>>,
    warnings: RefCell<Vec<Fault>>,
    files: RefCell<Vec<PathBuf>>,
}

impl Findings {
    pub fn fault(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    pub fn warn(&self, warning: Fault) {
        self.warnings.borrow_mut().push(warning);
    }

    /// How many faults there are so far: whoever compares two counts knows whether something in between was sound.
    pub fn fault_count(&self) -> usize {
        self.faults.borrow().len()
    }

    /// Notes that the configuration depends on this file, whether it could be read or not.
    pub fn depends_on(&self, file: &Path) {
        let mut files = self.files.borrow_mut();
        if !files.iter().any(|known| known == file) {
            files.push(file.to_owned());
        }
    }

    /// Faults, warnings and files; the first two in the order of reading of the files, then of their lines.
    pub fn into_parts(self) -> (Vec<Fault>, Vec<Fault>, Vec<PathBuf>) {
        let files = self.files.into_inner();
        let in_order = |mut faults: Vec<Fault>| {
            let rank = |fault: &Fault| files.iter().position(|file| file.as_path() == Path::new(&fault.file));
            faults.sort_by_key(|fault| (rank(fault), fault.line, fault.column));
            faults
        };
        let (faults, warnings) = (in_order(self.faults.into_inner()), in_order(self.warnings.into_inner()));
        (faults, warnings, files)
    }
}
