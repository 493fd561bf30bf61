//! Pricing: the most that a request can cost, and what it did cost. Once each per request, under nobody's lock.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tollgate::core::money::{Markup, Pico};
use tollgate::core::price::{Bound, Price, Rate};
use tollgate::core::usage::{Tier, Usage};

criterion_group!(benches, pricing);
criterion_main!(benches);

fn pricing(criterion: &mut Criterion) {
    let usage =
        Usage { input_text: 1_200, input_cached: 800, output_text: 340, output_reasoning: 90, ..Usage::default() };
    let bound = Bound { input_tokens: 2_400, output_tokens: 4_096, ..Bound::default() };
    let markup = Markup(1_200_000);
    for (name, price) in [("one row", one_row()), ("ten rows", ten_rows())] {
        let mut group = criterion.benchmark_group(format!("price/{name}"));
        group.throughput(Throughput::Elements(1));
        group.bench_function("ceiling", |bencher| bencher.iter(|| price.ceiling(black_box(&bound), NOW_MS, markup)));
        group.bench_function("cost", |bencher| bencher.iter(|| price.cost(black_box(&usage), NOW_MS, markup)));
    }
}

fn one_row() -> Price {
    Price { rates: vec![rate(Tier::Standard, 0)], ..Price::default() }
}

/// Tiers and a threshold, as the dearest models have them.
fn ten_rows() -> Price {
    let tiers = [Tier::Standard, Tier::Batch, Tier::Flex, Tier::Priority, Tier::Ultrafast];
    let rates = tiers.into_iter().flat_map(|tier| [rate(tier, 0), rate(tier, 272_000)]).collect();
    Price { rates, ..Price::default() }
}

fn rate(tier: Tier, above_prompt_tokens: u64) -> Rate {
    Rate {
        tier,
        above_prompt_tokens,
        input: Pico(4_000_000),
        cached_input: Some(Pico(400_000)),
        output: Pico(20_000_000),
        ..Rate::default()
    }
}

const NOW_MS: i64 = 1_790_000_000_000;
