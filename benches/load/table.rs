//! The table: one row for each gateway, medians over the rounds, and what stands beside the floor.

use comfy_table::{CellAlignment, Table, presets};

use super::gateways::Kind;
use super::rounds::Figures;

/// `open_streams`: how many were open for the memory figure.
pub fn render(results: &[(Kind, Figures)], open_streams: usize) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(COLUMNS);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut kinds: Vec<Kind> = results.iter().map(|(kind, _)| *kind).collect();
    kinds.sort();
    kinds.dedup();
    for kind in kinds {
        table.add_row(row(results, kind));
    }
    format!("{table}\n{LEGEND}\n{open_streams} streams were open for \"MiB open\".")
}

fn row(results: &[(Kind, Figures)], kind: Kind) -> Vec<String> {
    let of = |kind: Kind, figure: fn(&Figures) -> Option<f64>| {
        median(results.iter().filter(|(of, _)| *of == kind).filter_map(|(_, figures)| figure(figures)).collect())
    };
    let plain = |figure, decimals| shown(of(kind, figure), decimals);
    let ratio = |figure| shown(of(kind, figure).zip(of(Kind::Floor, figure)).map(|(ours, floor)| ours / floor), 2);
    let added = |figure| match kind {
        Kind::Direct => shown(of(kind, figure), 2),
        _ => of(kind, figure)
            .zip(of(Kind::Direct, figure))
            .map_or_else(none, |(with, without)| format!("{:+.2}", with - without)),
    };
    vec![
        kind.name().into(),
        plain(|figures| figures.cpu_us_per_answer, 1),
        ratio(|figures| figures.cpu_us_per_answer),
        plain(|figures| Some(figures.answers_per_s), 0),
        plain(|figures| figures.cpu_us_per_event, 1),
        ratio(|figures| figures.cpu_us_per_event),
        added(|figures| Some(figures.p50_ms)),
        added(|figures| Some(figures.p99_ms)),
        plain(|figures| figures.idle_mib, 1),
        plain(|figures| figures.open_mib, 1),
        plain(|figures| figures.start_ms, 0),
        results.iter().filter(|(of, _)| *of == kind).map(|(_, figures)| figures.failures).sum::<u64>().to_string(),
    ]
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn shown(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(none, |value| format!("{value:.decimals$}"))
}

fn none() -> String {
    "–".into()
}

const COLUMNS: [&str; 12] = [
    "",
    "CPU µs/answer",
    "× floor",
    "answers/s",
    "CPU µs/event",
    "× floor",
    "p50 ms",
    "p99 ms",
    "idle MiB",
    "MiB open",
    "start ms",
    "failures",
];
const LEGEND: &str = "\
CPU of the proxy's process: 16 connections in a closed loop; 50 streams of 200 events, 20 ms apart.
p50 and p99 at 100 requests a second while the upstream thinks 50 ms: direct, and what each adds to that.
MiB: PSS after the first answer, and with many open streams. start: from exec to the first answer with 200.";
