//! `make load`: what the whole gateway costs, beside a bare proxy in the same run.
//!
//! One fast mock upstream, and before it in turn: nothing, a Pingora proxy that only passes through (the floor), nginx
//! where it is installed, and the gateway with everything on: a key, limits, a price, durable books. All are processes
//! of their own on 127.0.0.1, each proxy with one thread for traffic, all built alike. They are measured in rounds, one
//! after the other in a rotating order, so that a machine that is busy meanwhile is as busy for each; the table shows
//! medians. The figure to trust is CPU time per answer, and its ratio to the floor. The gateway is there twice: with
//! fresh books, and, as far as it might matter, with 10,000 keys and a million records.
//!
//! `LOAD_ROUNDS` (5) and `LOAD_SECONDS` (3, of each measurement) make it longer or shorter; `TOLLGATE_BIN` measures
//! another binary than the one that was just built.

#[path = "../books/mod.rs"]
mod books;
mod client;
mod disk;
mod floor;
mod gateways;
mod mock;
mod process;
mod rounds;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use gateways::{Kind, World};
use rounds::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut arguments = std::env::args().skip(1);
    // `cargo bench` says `--bench`; the other two are ourselves, as processes of their own.
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("mock"), _) => runtime.block_on(mock::serve()),
        (Some("floor"), Some(upstream)) => runtime.block_on(floor::serve(upstream.parse()?)),
        _ => runtime.block_on(measure()),
    }
}

async fn measure() -> Result<()> {
    let settings = Settings {
        rounds: number("LOAD_ROUNDS", 5)?,
        span: Duration::from_secs(number("LOAD_SECONDS", 3)?),
        open_streams: open_streams()?,
    };
    eprintln!("writing books of {} records", gateways::LARGE.records);
    let world = World::make().await?;
    let mut kinds = Kind::available();
    let (mut results, mut syncs) = (Vec::new(), Vec::new());
    for round in 1..=settings.rounds {
        syncs.extend(disk::sync_times()?);
        for kind in &kinds {
            eprintln!("round {round} of {}: {}", settings.rounds, kind.name());
            let figures = rounds::run(*kind, &world, &settings).await.with_context(|| kind.name())?;
            results.push((*kind, figures));
        }
        kinds.rotate_left(1);
    }
    println!("{}", table::render(&results, settings.open_streams));
    if let (Some(p50), Some(p99)) = rounds::percentiles(syncs) {
        println!("This disk syncs a page in {p50:.2} ms, p99 {p99:.2} ms: no durable commit is faster.");
    }
    let failures: u64 = results.iter().map(|(_, figures)| figures.failures).sum();
    if failures > 0 {
        bail!("{failures} answers were not what they should be: the figures are worth nothing");
    }
    Ok(())
}

fn number(name: &str, otherwise: u64) -> Result<u64> {
    let Ok(text) = std::env::var(name) else { return Ok(otherwise) };
    match text.parse() {
        Ok(number) if (1..=1_000).contains(&number) => Ok(number),
        _ => bail!("{name} must be a number from 1 to 1000"),
    }
}

/// A thousand, if so many files may be open: a proxy needs two for each stream.
fn open_streams() -> Result<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let files = limits.lines().find(|line| line.starts_with("Max open files")).context("no limit of open files")?;
    let files: usize = files.split_whitespace().nth(3).and_then(|soft| soft.parse().ok()).unwrap_or(usize::MAX);
    Ok(1_000.min(files.saturating_sub(100) / 2))
}
