//! Usage times price, against integers without an end.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use num_bigint::BigUint;
use tollgate::core::money::{Markup, Nano, Pico};
use tollgate::core::price::{Price, Rate};
use tollgate::core::usage::Usage;

#[derive(Arbitrary, Debug)]
struct Input {
    /// Tokens: text, cached, written for 5 minutes and for an hour, answered, reasoned.
    counts: [u64; 6],
    input: u64,
    output: u64,
    cached_input: Option<u64>,
    cache_write: Option<u64>,
    cache_write_1h: Option<u64>,
    reasoning: Option<u64>,
    per_request: u64,
    markup_ppm: u32,
}

fuzz_target!(|given: Input| {
    let [text, cached, write, write_1h, answered, reasoned] = given.counts;
    let rate = Rate {
        input: Pico(given.input),
        output: Pico(given.output),
        cached_input: given.cached_input.map(Pico),
        cache_write: given.cache_write.map(Pico),
        cache_write_1h: given.cache_write_1h.map(Pico),
        reasoning: given.reasoning.map(Pico),
        ..Rate::default()
    };
    let mut price = Price { rates: vec![rate], ..Price::default() };
    price.unit.per_request = Pico(given.per_request);
    let usage = Usage {
        input_text: text,
        input_cached: cached,
        input_cache_write: write,
        input_cache_write_1h: write_1h,
        output_text: answered,
        output_reasoning: reasoned,
        ..Usage::default()
    };
    let write_price = given.cache_write.unwrap_or(given.input);
    let products = [
        (text, given.input),
        (cached, given.cached_input.unwrap_or(given.input)),
        (write, write_price),
        (write_1h, given.cache_write_1h.unwrap_or(write_price)),
        (answered, given.output),
        (reasoned, given.reasoning.unwrap_or(given.output)),
        (1, given.per_request),
    ];
    let pico: BigUint = products.iter().map(|(count, pico)| BigUint::from(*count) * BigUint::from(*pico)).sum();
    // Parts per million of markup, and a thousand pico to the nano: one division, rounded up.
    let divisor = BigUint::from(1_000_000_000u64);
    let nano = (pico * BigUint::from(given.markup_ppm) + (&divisor - 1u32)) / divisor;
    let expected = i64::try_from(nano).unwrap_or(i64::MAX);
    assert_eq!(price.cost(&usage, 0, Markup(given.markup_ppm)), Nano(expected));
});
