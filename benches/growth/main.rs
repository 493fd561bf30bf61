//! `make bench`: does a request cost more as the gateway grows? It must not: neither with the number of keys, nor of
//! models, nor of records in the books.
//!
//! A whole request goes through every stage, in this process and without sockets: the key is checked, limits counted,
//! the body understood, a route found, money held, the call written, the answer metered and the charge booked, by the
//! ledger's own thread into a real file on disk, `durability: full`. What is counted is CPU time of all threads, since
//! a commit mostly waits. Sizes are measured in turn, round after round: criterion measures one after the other, and a
//! machine that gets busy in between would look like growth. All keys and models are in use: of many, each request of a
//! group has its own, and of one, the group shares what the ledger writes about it.
//!
//! `GROWTH_RECORDS=10000000` adds books of ten million records (some 5 GB, and minutes to write them); `GROWTH_ROUNDS`
//! (9) makes it longer or shorter.

#[path = "../books/mod.rs"]
mod books;
mod cpu;
mod gateway;

use anyhow::{Result, bail};

use cpu::Cpu;
use gateway::{Gateway, Size};

fn main() -> Result<()> {
    let rounds = number("GROWTH_ROUNDS", 9)?;
    let most_records = number("GROWTH_RECORDS", 1_000_000)?;
    let small = Size { keys: 1, models: 1, records: 10_000 };
    let records = [10_000, 100_000, 1_000_000, 10_000_000];
    let dimensions = [
        ("keys", [1, 100, 10_000].map(|keys| Size { keys, ..small }).to_vec()),
        ("models", [1, 30, 1_000].map(|models| Size { models, ..small }).to_vec()),
        (
            "records",
            records
                .into_iter()
                .filter(|records| *records <= most_records)
                .map(|records| Size { keys: 100, records, ..small })
                .collect(),
        ),
    ];
    println!("CPU µs per request: medians of {rounds} rounds of {REQUESTS} requests\n");
    println!("{:<8} {:>10} {:>8} {:>8} {:>12} {:>10}", "", "", "total", "stages", "ledger", "× smallest");
    for (name, sizes) in dimensions {
        compare(name, &sizes, rounds)?;
    }
    Ok(())
}

/// One line for each size, and how the largest compares with the smallest.
fn compare(name: &str, sizes: &[Size], rounds: u64) -> Result<()> {
    let mut gateways = Vec::new();
    for size in sizes {
        eprintln!("{name}: making {size:?}");
        gateways.push((Gateway::start(*size)?, Vec::new()));
    }
    for (gateway, _) in &mut gateways {
        gateway.serve(REQUESTS)?;
    }
    for round in 0..rounds {
        for place in 0..gateways.len() {
            let which = (place + usize::try_from(round)?) % gateways.len();
            let (gateway, costs) = &mut gateways[which];
            let before = Cpu::now()?;
            gateway.serve(REQUESTS)?;
            costs.push(Cpu::now()?.since(&before));
        }
    }
    let mut smallest = None;
    for ((_, costs), size) in gateways.iter().zip(sizes) {
        let of = |part: fn(&Cpu) -> u64| median(costs.iter().map(part).collect()) as f64 / 1e3 / REQUESTS as f64;
        let (stages, ledger) = (of(|cost| cost.caller_ns), of(|cost| cost.others_ns));
        let total = of(|cost| cost.caller_ns + cost.others_ns);
        let ratio = total / *smallest.get_or_insert(total);
        let number = match name {
            "keys" => size.keys as u64,
            "models" => size.models as u64,
            _ => size.records,
        };
        println!("{name:<8} {number:>10} {total:>8.1} {stages:>8.1} {ledger:>12.1} {ratio:>10.2}");
    }
    println!();
    Ok(())
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

fn number(name: &str, otherwise: u64) -> Result<u64> {
    let Ok(text) = std::env::var(name) else { return Ok(otherwise) };
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => bail!("{name} must be a number above 0"),
    }
}

const REQUESTS: u64 = 2_048;
