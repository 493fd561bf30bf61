//! Typed values out of the tree, with every fault noted on the way.
//!
//! Reading never stops: what is missing or wrong becomes a fault, and a default stands in for it, so that one reading
//! finds everything. The names that a mapping is asked for are the names that it may have; nothing lists them twice.
//!
//! Always true: a value is quoted in a fault only as it stands in the file, and never in a field that holds a secret.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::expand::{Env, ExpandError, expand, is_variable_name};
use super::fault::{Fault, Findings, Position};
use super::source;
use super::tree::{Key, Node, Slip, Value, join};
use super::units::{self, Wrong};
use crate::core::secret::Secret;

/// One file being read.
pub struct Reader<'e> {
    pub file: &'e Path,
    /// `None`: the file's texts are taken as they are.
    pub env: Option<Env<'e>>,
    pub findings: &'e Findings,
}

impl<'e> Reader<'e> {
    pub fn root(&'e self, node: &'e Node) -> Place<'e> {
        Place { reader: self, node, key_at: node.at, path: String::new() }
    }

    /// Notes what stood in the way of a tree.
    pub fn slips(&self, slips: Vec<Slip>) {
        for slip in slips {
            self.findings.fault(self.finding(slip.at, &slip.path, slip.problem, String::new()));
        }
    }

    /// A fault of this file. Position 0 is the file as a whole.
    pub fn finding(&self, at: Position, path: &str, problem: String, remedy: String) -> Fault {
        let file = self.file.display().to_string();
        Fault { file, line: at.line, column: at.column, path: path.to_owned(), problem, remedy }
    }
}

/// A value and where it stands.
#[derive(Clone)]
pub struct Place<'t> {
    reader: &'t Reader<'t>,
    node: &'t Node,
    /// Where its name stands, or itself if it has none.
    key_at: Position,
    pub path: String,
}

impl<'t> Place<'t> {
    /// Notes a fault at the value.
    pub fn fault(&self, problem: impl Into<String>, remedy: impl Into<String>) {
        let fault = self.reader.finding(self.node.at, &self.path, problem.into(), remedy.into());
        self.reader.findings.fault(fault);
    }

    /// Notes a fault at the value's name: something is wrong about its being there, or about what is not in it.
    pub fn fault_at_key(&self, problem: impl Into<String>, remedy: impl Into<String>) {
        let fault = self.reader.finding(self.key_at, &self.path, problem.into(), remedy.into());
        self.reader.findings.fault(fault);
    }

    /// Notes, at the value's name, something that works but deserves a second look.
    pub fn warn(&self, problem: impl Into<String>, remedy: impl Into<String>) {
        let warning = self.reader.finding(self.key_at, &self.path, problem.into(), remedy.into());
        self.reader.findings.warn(warning);
    }

    /// Any scalar as text, expanded.
    pub fn text(&self) -> Option<String> {
        let written = self.written("text")?;
        let Some(env) = self.reader.env else { return Some(written.to_owned()) };
        match expand(written, env) {
            Ok(text) => Some(text),
            Err(ExpandError::Unset(name)) => {
                self.fault(format!("the variable {name} is not set"), format!("set it, or write ${{{name}:-default}}"));
                None
            }
            Err(ExpandError::Malformed) => {
                self.fault("holds ${ without a variable", "write ${NAME}, ${NAME:-default}, or $${ for a literal ${");
                None
            }
        }
    }

    /// A text that must not be empty.
    pub fn full_text(&self) -> Option<String> {
        let text = self.text()?;
        if text.is_empty() {
            self.fault("is empty", "");
            return None;
        }
        Some(text)
    }

    /// A text that `read` understands. What it says follows the value as written.
    pub fn parse<T>(&self, read: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        let shown = self.written("text").map(shorten)?;
        match read(&self.text()?) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.fault(format!("{shown} {}", wrong.problem), wrong.remedy);
                None
            }
        }
    }

    /// As `parse`, for values in which people hide credentials: they are not quoted.
    pub fn parse_unquoted<T>(&self, read: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        match read(&self.text()?) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.fault(wrong.problem, wrong.remedy);
                None
            }
        }
    }

    pub fn duration(&self) -> Option<Duration> {
        self.parse(units::duration)
    }

    /// A duration above zero.
    pub fn timeout(&self) -> Option<Duration> {
        self.parse(|text| match units::duration(text)? {
            Duration::ZERO => Err(Wrong::new("is no time at all", "write a duration above zero, such as 30s")),
            some => Ok(some),
        })
    }

    pub fn size(&self) -> Option<u64> {
        self.parse(units::size)
    }

    pub fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let (min, max) = (*range.start(), *range.end());
        self.parse(|text| {
            let remedy = format!("write a whole number from {min} to {max}");
            let digits = text.strip_prefix('-').unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Wrong::new("is not a whole number", remedy));
            }
            // A number of legal form that does not fit 64 bits is out of range like any other.
            match text.parse::<u64>() {
                Ok(number) if range.contains(&number) => Ok(number),
                _ if text.starts_with('-') || text.parse::<u64>().is_ok_and(|number| number < min) => {
                    Err(Wrong::new(format!("is less than {min}"), remedy))
                }
                _ => Err(Wrong::new(format!("is more than {max}"), remedy)),
            }
        })
    }

    /// An integer that fits 32 bits.
    pub fn integer_u32(&self, range: RangeInclusive<u32>) -> Option<u32> {
        let wide = u64::from(*range.start())..=u64::from(*range.end());
        self.integer(wide).and_then(|number| u32::try_from(number).ok())
    }

    pub fn boolean(&self) -> Option<bool> {
        self.choice(&[("true", true), ("false", false)])
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        self.parse(|text| match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(*value),
            None => {
                let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                Err(Wrong::new("is not known here", one_of(&names)))
            }
        })
    }

    /// A credential: a text with variables, `os.environ/NAME`, or `file:PATH`.
    pub fn secret(&self) -> Option<Secret> {
        let written = self.written("text")?;
        let text = if let Some(name) = written.strip_prefix(FROM_VARIABLE) {
            self.variable(name)?
        } else if written.starts_with(FROM_FILE) {
            let path = self.text()?;
            self.secret_file(self.beside(path.strip_prefix(FROM_FILE).unwrap_or(&path)))?
        } else {
            self.text()?
        };
        Some(Secret::new(text))
    }

    /// Whether the value stands in the file itself, rather than in a variable or another file.
    pub fn is_literal(&self) -> bool {
        let refers = |text: &str| {
            text.contains("${") || [FROM_VARIABLE, FROM_FILE].iter().any(|source| text.starts_with(source))
        };
        matches!(&self.node.value, Value::Text(text) if !text.is_empty() && !refers(text))
    }

    /// A path, relative to the file that names it.
    pub fn path_beside(&self) -> Option<PathBuf> {
        self.full_text().map(|text| self.beside(&text))
    }

    pub fn beside(&self, path: &str) -> PathBuf {
        self.reader.file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// Reads another text file that the configuration depends on.
    pub fn other_file(&self, path: &Path) -> Option<String> {
        self.reader.findings.depends_on(path);
        match source::read(path) {
            Ok(text) => Some(text),
            Err(problem) => {
                self.fault(format!("the file {} {problem}", path.display()), "");
                None
            }
        }
    }

    /// The items of a list; of nothing, none.
    pub fn items(&self) -> Vec<Place<'t>> {
        match &self.node.value {
            Value::List(items) => items.iter().enumerate().map(|(index, node)| self.item(index, node)).collect(),
            Value::Null => Vec::new(),
            other => {
                self.fault(
                    format!("must be a list, not {}", name_of(other)),
                    "write [ … ], or one line with - for each",
                );
                Vec::new()
            }
        }
    }

    /// Where this place's own findings go.
    pub fn findings(&self) -> &'t Findings {
        self.reader.findings
    }

    fn is_mapping(&self) -> bool {
        matches!(self.node.value, Value::Map(_) | Value::Null)
    }

    pub fn is_empty_list(&self) -> bool {
        matches!(&self.node.value, Value::List(items) if items.is_empty())
    }

    /// The items of a list, read; those that cannot be are left out, with a fault.
    pub fn list<T>(&self, read: impl Fn(&Place<'t>) -> Option<T>) -> Vec<T> {
        self.items().iter().filter_map(read).collect()
    }

    /// The entries of a mapping whose names are free; of nothing, none.
    pub fn entries(&self) -> Vec<(&'t str, Place<'t>)> {
        self.mapping().iter().map(|(key, node)| (key.name.as_str(), self.child(key, node))).collect()
    }

    /// The fields of a mapping whose names are ours. Whatever `read` does not ask for is unknown, and a fault.
    pub fn fields<T>(&self, read: impl FnOnce(&Fields<'t>) -> T) -> T {
        let fields = Fields { place: self.clone(), entries: self.mapping(), asked: RefCell::default() };
        let value = read(&fields);
        fields.refuse_unknown();
        value
    }

    fn mapping(&self) -> &'t [(Key, Node)] {
        match &self.node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            other => {
                self.fault(
                    format!("must be a mapping, not {}", name_of(other)),
                    "write name: value, one line for each",
                );
                &[]
            }
        }
    }

    fn child(&self, key: &Key, node: &'t Node) -> Place<'t> {
        Place { reader: self.reader, node, key_at: key.at, path: join(&self.path, &key.name) }
    }

    fn item(&self, index: usize, node: &'t Node) -> Place<'t> {
        Place { reader: self.reader, node, key_at: node.at, path: format!("{}[{index}]", self.path) }
    }

    fn written(&self, wanted: &str) -> Option<&'t str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            other => {
                self.fault(format!("must be {wanted}, not {}", name_of(other)), "");
                None
            }
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        if !is_variable_name(name) {
            self.fault("names no variable behind os.environ/", "write os.environ/NAME");
            return None;
        }
        let value = self.reader.env.and_then(|env| env(name));
        if value.is_none() {
            self.fault(format!("the variable {name} is not set"), "set it, or write another source");
        }
        value
    }

    fn secret_file(&self, path: PathBuf) -> Option<String> {
        let mut text = self.other_file(&path)?;
        text.truncate(text.trim_end_matches(['\n', '\r']).len());
        if text.is_empty() {
            self.fault(format!("the file {} is empty", path.display()), "");
            return None;
        }
        Some(text)
    }
}

/// The fields of a mapping, and which of them have been asked for.
pub struct Fields<'t> {
    pub place: Place<'t>,
    entries: &'t [(Key, Node)],
    asked: RefCell<Vec<&'static str>>,
}

impl<'t> Fields<'t> {
    /// The field, if it is there. A name with nothing behind it is not there: people comment out what follows.
    pub fn get(&self, name: &'static str) -> Option<Place<'t>> {
        self.asked.borrow_mut().push(name);
        let (key, node) = self.entries.iter().find(|(key, _)| key.name == name)?;
        if matches!(node.value, Value::Null) {
            return None;
        }
        Some(self.place.child(key, node))
    }

    /// The field; its absence is a fault.
    pub fn require(&self, name: &'static str, remedy: &str) -> Option<Place<'t>> {
        let place = self.get(name);
        // Something that is no mapping at all has its fault already.
        if place.is_none() && self.place.is_mapping() {
            let at = Place { path: join(&self.place.path, name), ..self.place.clone() };
            at.fault_at_key("is missing", remedy);
        }
        place
    }

    /// The field as read, or this value if it is absent or faulty.
    pub fn or<T>(&self, name: &'static str, default: T, read: impl FnOnce(&Place<'t>) -> Option<T>) -> T {
        self.get(name).and_then(|place| read(&place)).unwrap_or(default)
    }

    /// The mapping behind a name, read field by field; an absent one has no fields.
    pub fn section<T>(&self, name: &'static str, read: impl FnOnce(&Fields<'t>) -> T) -> T {
        match self.get(name) {
            Some(place) => place.fields(read),
            None => {
                let place = Place { path: join(&self.place.path, name), ..self.place.clone() };
                read(&Fields { place, entries: &[], asked: RefCell::default() })
            }
        }
    }

    fn refuse_unknown(&self) {
        let mut asked = self.asked.borrow_mut();
        asked.sort_unstable();
        asked.dedup();
        for (key, node) in self.entries.iter().filter(|(key, _)| !asked.contains(&key.name.as_str())) {
            let remedy = match nearest(&key.name, asked.iter().copied()) {
                Some(name) => format!("did you mean {name}?"),
                None => format!("known here: {}", asked.join(", ")),
            };
            self.place.child(key, node).fault_at_key("is not a known field", remedy);
        }
    }
}

/// The one of these names that somebody who wrote `name` may have meant.
pub fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, known)| *distance <= known.chars().count().div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// `write a, b or c`.
fn one_of(names: &[&str]) -> String {
    match names.split_last() {
        None => "leave it out".to_owned(),
        Some((last, [])) => format!("write {last}"),
        Some((last, rest)) => format!("write {} or {last}", rest.join(", ")),
    }
}

/// A value as written, in quotes and not too long.
fn shorten(written: &str) -> String {
    match written.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", &written[..end]),
        None => format!("{written:?}"),
    }
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Text(_) => "a single value",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}

/// LiteLLM's word for a variable.
const FROM_VARIABLE: &str = "os.environ/";
const FROM_FILE: &str = "file:";
const SHOWN_CHARS_MAX: usize = 60;
