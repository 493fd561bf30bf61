//! The `models` and `groups` of a configuration: what is sold, from whom it is bought, and to whom at what markup.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::book::{Book, Entry};
use super::prices;
use super::reader::{Fields, Place, nearest};
use super::units::decimal_wrong;
use super::upstreams::Named;
use crate::core::account;
use crate::core::catalog::{Candidate, Group, Model};
use crate::core::key::Limits;
use crate::core::money::Markup;
use crate::core::price::Price;

/// Reads all models, in their order.
pub fn read(place: &Place<'_>, upstreams: &[Named<'_>], book: &Book) -> Vec<Arc<Model>> {
    let entries = place.entries();
    let names: HashSet<&str> = entries.iter().map(|(name, _)| *name).collect();
    let mut aliases = HashMap::new();
    let read = |(name, place): (&str, Place<'_>)| {
        check_model_name(name, || place.fault_at_key(NAME_PROBLEM, ""));
        Arc::new(place.fields(|fields| {
            let aliases = read_aliases(fields, name, &names, &mut aliases);
            model(name, aliases, fields, upstreams, book)
        }))
    };
    entries.into_iter().map(read).collect()
}

/// Every name and alias, and its model.
pub fn by_name(models: &[Arc<Model>]) -> HashMap<String, Arc<Model>> {
    let names = |model: &Arc<Model>| {
        let model = Arc::clone(model);
        let names: Vec<String> = std::iter::once(&model.name).chain(&model.aliases).cloned().collect();
        names.into_iter().map(move |name| (name, Arc::clone(&model)))
    };
    models.iter().flat_map(names).collect()
}

/// Reads the groups. `default` is always among them.
pub fn groups(place: Option<&Place<'_>>) -> HashMap<String, Group> {
    let mut groups = HashMap::from([("default".to_owned(), Group::default())]);
    for (name, place) in place.map(Place::entries).unwrap_or_default() {
        if let Err(problem) = account::check_name(name) {
            place.fault_at_key(problem, "");
        }
        groups.insert(name.to_owned(), place.fields(group));
    }
    groups
}

fn group(fields: &Fields<'_>) -> Group {
    let limit = |name, max| fields.get(name).and_then(|place| place.integer(1..=max));
    let limit_u32 = |name| limit(name, u64::from(u32::MAX)).and_then(|number| u32::try_from(number).ok());
    Group {
        markup: fields.or("markup", Markup::LIST_PRICE, |place| {
            place.parse(|text| {
                Markup::parse(text)
                    .map_err(|error| decimal_wrong(text, error, "factor on list prices, such as \"1.2\""))
            })
        }),
        limits: Limits { rpm: limit_u32("rpm"), tpm: limit("tpm", TPM_MAX), concurrency: limit_u32("concurrency") },
    }
}

fn model(name: &str, aliases: Vec<String>, fields: &Fields<'_>, upstreams: &[Named<'_>], book: &Book) -> Model {
    let candidates = candidates(name, fields, upstreams);
    let listed = book.get(name).or_else(|| candidates.first().and_then(|first| book.get(&first.model)));
    let max_input_tokens = fields
        .get("max_input_tokens")
        .and_then(|place| place.integer(1..=TOKENS_MAX))
        .or_else(|| listed.and_then(|entry| entry.max_input));
    let max_output_tokens = fields
        .get("max_output_tokens")
        .and_then(|place| place.integer(1..=TOKENS_MAX))
        .or_else(|| listed.and_then(|entry| entry.max_output));
    Model {
        name: name.to_owned(),
        aliases,
        price: price(fields, listed),
        max_input_tokens,
        max_output_tokens,
        output_hold: output_hold(fields, max_output_tokens.unwrap_or(TOKENS_MAX)),
        candidates,
    }
}

/// Its own price; else the book's for its name; else the book's for what its first upstream calls it.
fn price(fields: &Fields<'_>, listed: Option<&Entry>) -> Arc<Price> {
    if prices::is_given(fields) {
        return Arc::new(prices::read(fields));
    }
    match listed {
        Some(entry) => Arc::clone(&entry.price),
        None => {
            fields.place.fault_at_key("has no price, neither here nor in a price book", prices::PRICE_REMEDY);
            Arc::default()
        }
    }
}

fn output_hold(fields: &Fields<'_>, output_max: u64) -> u64 {
    let Some(place) = fields.get("output_hold") else { return OUTPUT_HOLD_TOKENS.min(output_max) };
    match place.integer(1..=TOKENS_MAX) {
        Some(hold) if hold > output_max => {
            place.fault(format!("is more than max_output_tokens, {output_max}"), "write that or less");
            output_max
        }
        Some(hold) => hold,
        None => OUTPUT_HOLD_TOKENS,
    }
}

/// The model's upstreams, sorted by priority.
fn candidates(model: &str, fields: &Fields<'_>, upstreams: &[Named<'_>]) -> Vec<Candidate> {
    let Some(place) = fields.get("upstreams") else {
        fields.place.fault_at_key("has no upstream", UPSTREAMS_REMEDY);
        return Vec::new();
    };
    if place.is_empty_list() {
        place.fault("names no upstream", UPSTREAMS_REMEDY);
    }
    let mut candidates = place.list(|item| item.fields(|fields| candidate(model, fields, upstreams)));
    candidates.sort_by_key(|candidate| candidate.priority);
    candidates
}

fn candidate(model: &str, fields: &Fields<'_>, upstreams: &[Named<'_>]) -> Option<Candidate> {
    let name = fields.require("name", "write the name of an upstream");
    let model = fields.or("model", model.to_owned(), Place::full_text);
    let priority = fields.or("priority", 0, |place| place.integer_u32(0..=PRIORITY_MAX));
    let weight = fields.or("weight", 1, |place| place.integer_u32(1..=WEIGHT_MAX));
    let place = name?;
    let name = place.text()?;
    let Some(named) = upstreams.iter().find(|named| named.upstream.name == name) else {
        let known = || upstreams.iter().map(|named| named.upstream.name.as_str());
        let remedy = match nearest(&name, known()) {
            Some(near) => format!("did you mean {near}?"),
            None => "name one of upstreams".to_owned(),
        };
        place.fault("no upstream has this name", remedy);
        return None;
    };
    Some(Candidate { upstream: Arc::clone(&named.upstream), model, priority, weight })
}

/// Aliases that nobody else has: not another model's name, not an alias taken before.
fn read_aliases(
    fields: &Fields<'_>,
    model: &str,
    names: &HashSet<&str>,
    taken: &mut HashMap<String, String>,
) -> Vec<String> {
    let Some(place) = fields.get("aliases") else { return Vec::new() };
    let mut aliases = Vec::new();
    for item in place.items() {
        let Some(alias) = item.full_text() else { continue };
        check_model_name(&alias, || item.fault(NAME_PROBLEM, ""));
        if names.contains(alias.as_str()) {
            item.fault("is the name of a model already", "leave it out");
        } else if let Some(owner) = taken.get(&alias) {
            item.fault(format!("is an alias of {owner} already"), "leave it out");
        } else {
            taken.insert(alias.clone(), model.to_owned());
            aliases.push(alias);
        }
    }
    aliases
}

/// Names stand in requests, paths, tables and metrics.
fn check_model_name(name: &str, fault: impl FnOnce()) {
    let legal = |c: char| !c.is_whitespace() && !c.is_control();
    if name.is_empty() || name.chars().count() > MODEL_NAME_CHARS_MAX || !name.chars().all(legal) {
        fault();
    }
}

const NAME_PROBLEM: &str = "is not a name: use 1 to 128 characters without spaces";
const MODEL_NAME_CHARS_MAX: usize = 128;
const UPSTREAMS_REMEDY: &str = "write upstreams: [{name: NAME}]";
const WEIGHT_MAX: u32 = 1_000;
const PRIORITY_MAX: u32 = 1_000;
/// What is set aside for an answer of which nobody says how long it may be.
const OUTPUT_HOLD_TOKENS: u64 = 4_096;
const TOKENS_MAX: u64 = 1_000_000_000;
const TPM_MAX: u64 = 1_000_000_000_000;
