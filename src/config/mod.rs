//! The configuration: one YAML file, read whole and checked whole.
//!
//! ```text
//! source -> tree -> reader -> gateway, upstreams, models (prices, book) -> Config
//!  text     YAML    typed      as needed; every fault is collected on the way
//! ```
//!
//! A gateway that half understands its configuration loses money quietly, so an unknown field, a bad number or an unset
//! variable stops it; and since whoever repairs a file wants all of its faults, none of them ends the reading.
//!
//! Always true: what [`load`] returns can be served as it is. Secrets are [`Secret`](crate::core::secret::Secret)s, and
//! no fault repeats one.

mod book;
mod expand;
mod fault;
mod gateway;
mod models;
mod pem;
mod prices;
mod reader;
mod source;
#[cfg(test)]
mod tests;
mod tree;
mod units;
mod upstreams;

use std::path::{Path, PathBuf};

use book::Book;
use fault::{Findings, Position};
use reader::{Fields, Place, Reader};
use upstreams::Named;

use crate::core::catalog::Catalog;

pub use expand::Env;
pub use fault::{Fault, Faults};
pub use gateway::{
    Console, Durability, Edge, EdgeTls, LogFormat, LogLevel, Logging, Metrics, SignUp, Storage, StorageUrl,
};

/// Everything that the process is told.
#[derive(Debug)]
pub struct Config {
    pub edge: Edge,
    pub console: Console,
    pub metrics: Metrics,
    pub storage: Storage,
    pub logging: Logging,
    pub catalog: Catalog,
}

/// A configuration without faults.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// What works but deserves a second look.
    pub warnings: Vec<Fault>,
    /// Every file that was read: a change of one of them is a change of the configuration.
    pub files: Vec<PathBuf>,
}

/// Reads, expands and checks a configuration and all files that it names.
///
/// # Errors
/// [`Faults`]: everything that is wrong, in the order of the file.
pub fn load(path: &Path, env: Env<'_>) -> Result<Loaded, Faults> {
    let findings = Findings::default();
    let config = read(&Reader { file: path, env: Some(env), findings: &findings });
    let (faults, warnings, files) = findings.into_parts();
    match config {
        Some(config) if faults.is_empty() => Ok(Loaded { config, warnings, files }),
        _ => Err(Faults(faults)),
    }
}

/// `None` if the file is not even YAML. Otherwise a configuration in which defaults stand in for whatever is faulty.
fn read(reader: &Reader<'_>) -> Option<Config> {
    reader.findings.depends_on(reader.file);
    let text = match source::read(reader.file) {
        Ok(text) => text,
        Err(problem) => {
            let fault = reader.finding(Position::default(), "", format!("the file {problem}"), String::new());
            reader.findings.fault(fault);
            return None;
        }
    };
    match tree::parse(&text) {
        Ok(root) => Some(reader.root(&root).fields(config)),
        Err(slips) => {
            reader.slips(slips);
            None
        }
    }
}

fn config(fields: &Fields<'_>) -> Config {
    let mut listeners = Vec::new();
    let config = Config {
        edge: fields.section("edge", |edge| gateway::edge(edge, &mut listeners)),
        console: fields.section("console", |console| gateway::console(console, &mut listeners)),
        metrics: fields.section("metrics", |metrics| gateway::metrics(metrics, &mut listeners)),
        storage: fields.section("storage", gateway::storage),
        logging: fields.section("logging", gateway::logging),
        catalog: catalog(fields),
    };
    fields.section("cluster", gateway::cluster);
    gateway::check_listeners(&listeners);
    config
}

fn catalog(fields: &Fields<'_>) -> Catalog {
    let currency = fields.section("billing", |billing| billing.or("currency", "USD".to_owned(), currency));
    let upstreams = fields.get("upstreams").map_or_else(Vec::new, |place| upstreams::read(&place));
    let book = fields.get("price_book").and_then(|place| price_book(&place, &currency)).unwrap_or_default();
    let models = match fields.get("models") {
        Some(place) => models::read(&place, &upstreams, &book),
        None => Vec::new(),
    };
    if models.is_empty() {
        fields.place.warn("sells no models: every request will be refused", "write models: and what they cost");
    }
    warn_of_unused(&upstreams, |name| {
        models.iter().flat_map(|model| &model.candidates).any(|candidate| candidate.upstream.name == name)
    });
    Catalog {
        by_name: models::by_name(&models),
        models,
        upstreams: upstreams.into_iter().map(|named| named.upstream).collect(),
        groups: models::groups(fields.get("groups").as_ref()),
        currency,
    }
}

/// An ISO 4217 code.
fn currency(place: &Place<'_>) -> Option<String> {
    place.parse(|text| match text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        true => Ok(text.to_owned()),
        false => Err(units::Wrong::new("is not a currency", "write three capital letters, such as USD")),
    })
}

/// The book, if it is in our currency: its numbers are taken as they are.
fn price_book(place: &Place<'_>, currency: &str) -> Option<Book> {
    let book = book::read(place)?;
    if let Some(other) = book.currency.as_deref().filter(|other| *other != currency) {
        let problem = format!("its prices are in {}, and billing.currency is {currency}", other.escape_debug());
        place.fault(problem, "use a book in that currency");
    }
    Some(book)
}

fn warn_of_unused(upstreams: &[Named<'_>], is_used: impl Fn(&str) -> bool) {
    for named in upstreams.iter().filter(|named| !is_used(&named.upstream.name)) {
        named.place.warn("no model uses this upstream", "name it in a model's upstreams, or leave it out");
    }
}
