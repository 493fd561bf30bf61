//! Prices as people write them, and the digest that identifies them.
//!
//! A price is one row of prices per million tokens, or several rows with selectors, and prices of things that are not
//! tokens. The rules of selection and fallback are `core::price`'s; here we see to it that a row can always be chosen
//! and that nothing is free by oversight.
//!
//! Always true: two prices have the same version if and only if they charge alike, whatever the order of their keys.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::reader::{Fields, Place};
use super::units::{Wrong, decimal_wrong};
use crate::core::money::Pico;
use crate::core::price::{MinuteWindow, Price, Rate, UnitPrices};
use crate::core::usage::Tier;

/// Whether these fields hold a price of their own.
pub fn is_given(fields: &Fields<'_>) -> bool {
    PARTS.map(|name| fields.get(name).is_some()).contains(&true)
}

/// Reads the price among these fields: `price`, and `rates`, `unit` and the others inside it or beside it.
pub fn read(fields: &Fields<'_>) -> Price {
    let faults_before = fields.place.findings().fault_count();
    let price = match fields.get("price") {
        Some(place) => place.fields(|inside| assemble(fields, Some(inside), Origin::Own)),
        None => assemble(fields, None, Origin::Own),
    };
    refuse_empty(&price, fields, faults_before);
    price
}

/// Reads a price whose parts are the fields of a price book's entry.
pub fn read_listed(fields: &Fields<'_>) -> Price {
    let faults_before = fields.place.findings().fault_count();
    let price = assemble(fields, None, Origin::Book);
    refuse_empty(&price, fields, faults_before);
    price
}

/// Nothing priced would be everything free. What is empty because it is faulty has its faults already.
fn refuse_empty(price: &Price, fields: &Fields<'_>, faults_before: usize) {
    let is_empty = price.rates.is_empty() && price.images.is_empty() && price.unit == UnitPrices::default();
    if is_empty && fields.place.findings().fault_count() == faults_before {
        fields.get("price").as_ref().unwrap_or(&fields.place).fault_at_key("holds no price", PRICE_REMEDY);
    }
}

/// Who wrote a price: the operator, whom warnings help, or the maker of a price book.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Own,
    Book,
}

/// A row, and where it stands.
struct Row<'t> {
    rate: Rate,
    place: Place<'t>,
    /// Whether its selectors could be read: others are not compared with it otherwise.
    has_selectors: bool,
    has_input: bool,
    has_output: bool,
}

fn assemble<'t>(beside: &Fields<'t>, inside: Option<&Fields<'t>>, origin: Origin) -> Price {
    let part = |name: &'static str| {
        let (outer, inner) = (beside.get(name), inside.and_then(|inside| inside.get(name)));
        if let (Some(outer), Some(_)) = (&outer, &inner) {
            outer.fault_at_key("is given twice, inside price and beside it", "leave one out");
        }
        inner.or(outer)
    };
    let inclusive = part("threshold_inclusive").and_then(|place| place.boolean()).unwrap_or(false);
    let mut rows: Vec<Row<'t>> = inside.into_iter().filter_map(|fields| flat_row(fields)).collect();
    if let Some(place) = part("rates") {
        rows.extend(place.items().iter().map(|item| item.fields(|fields| selected_row(fields, inclusive))));
    }
    let off_peak = part("off_peak").filter(|place| !place.is_empty_list());
    check_rows(&rows, off_peak.is_some());
    if origin == Origin::Own {
        warn_of_free_output(&rows);
    }
    let mut price = Price {
        version: String::new(),
        rates: rows.into_iter().map(|row| row.rate).collect(),
        off_peak: off_peak.map_or_else(Vec::new, |place| windows(&place)),
        unit: part("unit").map_or_else(UnitPrices::default, |place| place.fields(unit_prices)),
        images: part("images").map_or_else(BTreeMap::new, |place| image_prices(&place)),
        image_estimate: part("image_estimate").map_or_else(BTreeMap::new, |place| image_prices(&place)),
    };
    price.rates.sort_by_key(selectors);
    price.off_peak.sort_by_key(|window| (window.weekdays, window.from, window.to));
    price.version = version(&price);
    price
}

/// The row that stands directly in `price`, if there is one.
fn flat_row<'t>(fields: &Fields<'t>) -> Option<Row<'t>> {
    let row = row(fields, Rate::default());
    let is_there = row.has_input || row.has_output || row.rate != Rate::default();
    is_there.then_some(row)
}

fn selected_row<'t>(fields: &Fields<'t>, inclusive: bool) -> Row<'t> {
    let faults_before = fields.place.findings().fault_count();
    let above_prompt_tokens = fields.or("above_prompt_tokens", 0, |place| place.integer(1..=THRESHOLD_MAX));
    let inclusive = fields.or("threshold_inclusive", inclusive, Place::boolean);
    // A note of the price book: these prices were computed, not published.
    let _ = fields.get("derived");
    let selected = Rate {
        tier: fields.or("tier", Tier::Standard, |place| place.choice(&TIERS)),
        above_prompt_tokens,
        threshold_inclusive: inclusive && above_prompt_tokens > 0,
        off_peak: fields.or("when", false, |place| place.choice(&[("off_peak", true)])),
        ..Rate::default()
    };
    let has_selectors = fields.place.findings().fault_count() == faults_before;
    Row { has_selectors, ..row(fields, selected) }
}

fn row<'t>(fields: &Fields<'t>, selected: Rate) -> Row<'t> {
    let price = |name| fields.get(name).and_then(|place| place.parse(per_million));
    let (input, output) = (price("input"), price("output"));
    let (audio_output, image_output) = (price("audio_output"), price("image_output"));
    let rate = Rate {
        input: input.unwrap_or_default(),
        // A model that is priced for pictures or sound only may still report plain output, which must not be free.
        output: output.or(image_output).or(audio_output).unwrap_or_default(),
        cached_input: price("cached_input"),
        cache_write: price("cache_write"),
        cache_write_1h: price("cache_write_1h"),
        cache_write_12h: price("cache_write_12h"),
        audio_input: price("audio_input"),
        cached_audio_input: price("cached_audio_input"),
        image_input: price("image_input"),
        cached_image_input: price("cached_image_input"),
        video_input: price("video_input"),
        reasoning: price("reasoning"),
        audio_output,
        image_output,
        ..selected
    };
    // Presence, not success: a price that is there and wrong has its fault already.
    let has_input = fields.get("input").is_some();
    let has_output = ["output", "audio_output", "image_output"].into_iter().any(|name| fields.get(name).is_some());
    Row { rate, place: fields.place.clone(), has_selectors: true, has_input, has_output }
}

/// Every request must find exactly one row, and no row may be free of what another asks money for.
fn check_rows(rows: &[Row<'_>], has_windows: bool) {
    let Some(first) = rows.first() else { return };
    let same = |one: &Row<'_>, other: &Row<'_>| {
        one.has_selectors && other.has_selectors && selectors(&one.rate) == selectors(&other.rate)
    };
    let base = rows.iter().find(|row| row.has_selectors && selectors(&row.rate) == selectors(&Rate::default()));
    if base.is_none() && rows.iter().all(|row| row.has_selectors) {
        first.place.fault("no row is without selectors, so that a plain request would find no price", "add one");
    }
    for (index, row) in rows.iter().enumerate() {
        if rows[..index].iter().any(|earlier| same(earlier, row)) {
            row.place.fault("an earlier row has the same selectors", "leave one out");
        }
        if !row.has_input {
            row.place.fault("has no price for input", "write input: \"0\" if that is free");
        }
        if !row.has_output && base.is_some_and(|base| base.has_output) {
            row.place.fault("has no price for output, and the row without selectors has one", "write output as well");
        }
        if row.rate.off_peak && !has_windows {
            row.place.fault("never applies: no off_peak says when", "write off_peak: [{hours_utc: [\"16:30-00:30\"]}]");
        }
    }
}

/// Warns about text that would cost nothing because nobody thought of it.
fn warn_of_free_output(rows: &[Row<'_>]) {
    for row in rows.iter().filter(|row| !row.has_output && row.rate.input > Pico(0)) {
        row.place.warn("has no price for output: text that it writes is free", "write output: \"0\" if it writes none");
    }
}

/// `[{weekdays: [1, 2], hours_utc: ["16:30-00:30"]}]`: weekdays count from Monday; without them, every day.
fn windows(place: &Place<'_>) -> Vec<MinuteWindow> {
    let rows = place.items();
    let windows = rows.iter().flat_map(|item| {
        item.fields(|fields| {
            let weekdays = fields.or("weekdays", MinuteWindow::EVERY_DAY, |place| {
                let days = place.list(|day| day.integer_u32(1..=7));
                Some(days.into_iter().fold(0, |days: u8, day| days | 1 << day.saturating_sub(1)))
            });
            let hours = fields.require("hours_utc", "write [\"16:30-00:30\"]");
            let hours = hours.map_or_else(Vec::new, |place| place.list(|item| item.parse(hours_window)));
            hours.into_iter().map(move |(from, to)| MinuteWindow { weekdays, from, to })
        })
    });
    windows.collect()
}

fn unit_prices(fields: &Fields<'_>) -> UnitPrices {
    let price = |name| fields.get(name).and_then(|place| place.parse(per_unit));
    UnitPrices {
        per_request: price("per_request").unwrap_or_default(),
        per_image: price("per_image"),
        per_audio_second: price("per_audio_second").unwrap_or_default(),
        per_million_characters: price("per_million_characters").unwrap_or_default(),
        per_search_unit: price("per_search_unit").unwrap_or_default(),
        per_page: price("per_page").unwrap_or_default(),
        per_web_search: price("per_web_search").unwrap_or_default(),
    }
}

fn image_prices(place: &Place<'_>) -> BTreeMap<String, Pico> {
    let mut prices = BTreeMap::new();
    for (kind, place) in place.entries() {
        if kind.is_empty() || !kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte)) {
            place.fault_at_key("is no kind of picture", "write quality/size or size, such as standard/1024x1024");
        } else if let Some(price) = place.parse(per_unit) {
            prices.insert(kind.to_owned(), price);
        }
    }
    prices
}

fn per_million(text: &str) -> Result<Pico, Wrong> {
    Pico::per_million(text).map_err(|error| decimal_wrong(text, error, "price per million tokens, such as \"0.15\""))
}

fn per_unit(text: &str) -> Result<Pico, Wrong> {
    Pico::per_unit(text).map_err(|error| decimal_wrong(text, error, "price of one, such as \"0.04\""))
}

/// `16:30-00:30` as minutes of the day. An end at midnight is the day's end, so that `00:00-00:00` is a whole day.
fn hours_window(text: &str) -> Result<(u16, u16), Wrong> {
    let minute = |text: &str| {
        let (hours, minutes) = text.split_once(':')?;
        let number = |text: &str, max: u16| {
            let legal = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u16>().ok().filter(|number| legal && *number <= max)
        };
        Some(number(hours, 23)?.saturating_mul(60).saturating_add(number(minutes, 59)?))
    };
    text.split_once('-')
        .and_then(|(from, to)| Some((minute(from)?, minute(to)?)))
        .map(|(from, to)| (from, if to == 0 { DAY_MINUTES } else { to }))
        .filter(|(from, to)| from != to)
        .ok_or_else(|| Wrong::new("is not a span of hours", "write one such as \"16:30-00:30\", in UTC"))
}

fn selectors(rate: &Rate) -> (Tier, u64, bool) {
    (rate.tier, rate.above_prompt_tokens, rate.off_peak)
}

/// The first 16 hexadecimal digits of the SHA-256 of a rendering that depends on nothing but the prices. Changing the
/// rendering changes every version, so it is spelled out rather than derived.
fn version(price: &Price) -> String {
    let mut text = String::from("tollgate price 1\n");
    let pico = |price: Option<Pico>| price.map_or_else(|| "-".to_owned(), |price| price.0.to_string());
    for rate in &price.rates {
        let (tier, above, off_peak) = selectors(rate);
        let tier = TIERS.iter().find(|(_, known)| *known == tier).map_or("", |(name, _)| name);
        let prices = [Some(rate.input), Some(rate.output)].into_iter().chain(optional_prices(rate));
        let prices: Vec<String> = prices.map(pico).collect();
        let inclusive = rate.threshold_inclusive;
        text += &format!("rate {tier} {above} {inclusive} {off_peak} {}\n", prices.join(" "));
    }
    for MinuteWindow { weekdays, from, to } in &price.off_peak {
        text += &format!("off_peak {weekdays} {from} {to}\n");
    }
    let unit = &price.unit;
    let units = [
        Some(unit.per_request),
        unit.per_image,
        Some(unit.per_audio_second),
        Some(unit.per_million_characters),
        Some(unit.per_search_unit),
        Some(unit.per_page),
        Some(unit.per_web_search),
    ];
    text += &format!("unit {}\n", units.map(pico).join(" "));
    for (table, prices) in [("image", &price.images), ("estimate", &price.image_estimate)] {
        for (kind, price) in prices {
            text += &format!("{table} {kind} {}\n", price.0);
        }
    }
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn optional_prices(rate: &Rate) -> [Option<Pico>; 12] {
    [
        rate.cached_input,
        rate.cache_write,
        rate.cache_write_1h,
        rate.cache_write_12h,
        rate.audio_input,
        rate.cached_audio_input,
        rate.image_input,
        rate.cached_image_input,
        rate.video_input,
        rate.reasoning,
        rate.audio_output,
        rate.image_output,
    ]
}

const PARTS: [&str; 7] = ["price", "rates", "off_peak", "threshold_inclusive", "unit", "images", "image_estimate"];
const TIERS: [(&str, Tier); 5] = [
    ("standard", Tier::Standard),
    ("batch", Tier::Batch),
    ("flex", Tier::Flex),
    ("priority", Tier::Priority),
    ("ultrafast", Tier::Ultrafast),
];
pub const PRICE_REMEDY: &str = "write price: {input: \"0.15\", output: \"0.60\"}, per million tokens";
const THRESHOLD_MAX: u64 = 1_000_000_000;
const DAY_MINUTES: u16 = 1_440;
