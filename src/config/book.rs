//! The price book: list prices by model name, for models that give none of their own.
//!
//! It is data, often copied from elsewhere, so nothing in it is expanded. Its prices are checked like any others.

use std::collections::HashMap;
use std::sync::Arc;

use super::fault::Position;
use super::prices;
use super::reader::{Fields, Place, Reader};
use super::tree;
use crate::core::price::Price;

#[derive(Default)]
pub struct Book {
    entries: HashMap<String, Entry>,
    pub currency: Option<String>,
}

#[derive(Clone)]
pub struct Entry {
    pub price: Arc<Price>,
    /// What a request can be at most, in tokens.
    pub max_input: Option<u64>,
    /// What an answer can be at most, in tokens.
    pub max_output: Option<u64>,
}

impl Book {
    pub fn get(&self, model: &str) -> Option<&Entry> {
        self.entries.get(model)
    }
}

/// Reads the book whose path stands at `place`.
pub fn read(place: &Place<'_>) -> Option<Book> {
    let path = place.path_beside()?;
    let text = place.other_file(&path)?;
    let reader = Reader { file: &path, env: None, findings: place.findings() };
    let root = match tree::parse(&text) {
        Ok(root) => root,
        Err(slips) => {
            reader.slips(slips);
            return None;
        }
    };
    let book = reader.root(&root).fields(|fields| Book {
        currency: currency(fields),
        entries: fields.get("models").map_or_else(HashMap::new, |place| {
            let entries = place.entries();
            entries.into_iter().map(|(name, place)| (name.to_owned(), place.fields(entry))).collect()
        }),
    });
    if book.entries.is_empty() {
        let problem = "holds no models, so it is not a price book".to_owned();
        reader.findings.fault(reader.finding(Position::default(), "", problem, String::new()));
    }
    Some(book)
}

/// The book's own head: which form it has and what its numbers mean.
fn currency(fields: &Fields<'_>) -> Option<String> {
    if let Some(place) = fields.get("version") {
        place.choice(&[("1", ())]);
    }
    if let Some(place) = fields.get("token_price_unit") {
        place.choice(&[("per_million_tokens", ())]);
    }
    fields.get("currency").and_then(|place| place.text())
}

fn entry(fields: &Fields<'_>) -> Entry {
    // Notes for people, and for tools that choose a model.
    for name in ["vendor", "kind", "sunset", "retired"] {
        let _ = fields.get(name);
    }
    Entry {
        max_input: fields.get("max_input").and_then(|place| place.integer(1..=u64::from(u32::MAX))),
        max_output: fields.get("max_output").and_then(|place| place.integer(1..=u64::from(u32::MAX))),
        price: Arc::new(prices::read_listed(fields)),
    }
}
