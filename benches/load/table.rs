//! The table: a line for each figure, a column for each gateway, medians over the rounds.

use comfy_table::{CellAlignment, Table, presets};

use super::gateways::{Kind, LARGE};
use super::rounds::{BODY_BYTES, Figures};

/// `open_streams`: how many were open for the memory figure.
pub fn render(results: &[(Kind, Figures)], open_streams: usize) -> String {
    let mut kinds: Vec<Kind> = results.iter().map(|(kind, _)| *kind).collect();
    kinds.sort();
    kinds.dedup();
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let names = kinds.iter().map(|kind| kind.name());
    table.set_header(std::iter::once("").chain(names).chain([RATIO]));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for line in LINES {
        let mut cells = vec![line.name.to_owned()];
        cells.extend(kinds.iter().map(|kind| cell(results, line, *kind)));
        cells.push(ratio(results, line).unwrap_or_default());
        table.add_row(cells);
    }
    let failures = kinds.iter().map(|kind| {
        let failures = results.iter().filter(|(of, _)| of == kind).map(|(_, figures)| figures.failures);
        failures.sum::<u64>().to_string()
    });
    table.add_row(std::iter::once("failures".to_owned()).chain(failures).chain([String::new()]));
    format!(
        "{table}\n{LEGEND}\n{open_streams} streams were open for \"MiB, streams open\". A large body has {} MB. Large books: {} keys, \
         {} records.",
        BODY_BYTES / 1_000_000,
        LARGE.keys,
        LARGE.records,
    )
}

struct Line {
    name: &'static str,
    of: fn(&Figures) -> Option<f64>,
    decimals: usize,
    shows: Shows,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    Median,
    /// The least of all rounds: the machine at its calmest.
    Best,
    /// The direct figure, and what each adds to it.
    Added,
}

fn cell(results: &[(Kind, Figures)], line: &Line, kind: Kind) -> String {
    let decimals = line.decimals;
    let Some(value) = value(results, line, kind) else { return "–".into() };
    match self::value(results, line, Kind::Direct).filter(|_| line.shows == Shows::Added && kind != Kind::Direct) {
        Some(direct) => format!("{:+.decimals$}", value - direct),
        None => format!("{value:.decimals$}"),
    }
}

fn ratio(results: &[(Kind, Figures)], line: &Line) -> Option<String> {
    let (ours, floor) = (value(results, line, Kind::Tollgate)?, value(results, line, Kind::Floor)?);
    (line.shows != Shows::Added && floor > 0.0).then(|| format!("{:.2}", ours / floor))
}

fn value(results: &[(Kind, Figures)], line: &Line, kind: Kind) -> Option<f64> {
    let of_kind = results.iter().filter(|(of, _)| *of == kind);
    let mut values: Vec<f64> = of_kind.filter_map(|(_, figures)| (line.of)(figures)).collect();
    values.sort_by(f64::total_cmp);
    let place = if line.shows == Shows::Best { 0 } else { values.len() / 2 };
    values.get(place).copied()
}

const LINES: &[Line] = &[
    Line { name: "CPU µs/answer", of: |it| it.cpu_us_per_answer, decimals: 1, shows: Shows::Median },
    Line { name: "… best round", of: |it| it.cpu_us_per_answer, decimals: 1, shows: Shows::Best },
    Line { name: "CPU µs/event", of: |it| it.cpu_us_per_event, decimals: 1, shows: Shows::Median },
    Line { name: "… best round", of: |it| it.cpu_us_per_event, decimals: 1, shows: Shows::Best },
    Line { name: "answers/s", of: |it| it.answers_per_s, decimals: 0, shows: Shows::Median },
    Line { name: "p50 ms", of: |it| it.p50_ms, decimals: 2, shows: Shows::Added },
    Line { name: "p99 ms", of: |it| it.p99_ms, decimals: 2, shows: Shows::Added },
    Line { name: "first token p50 ms", of: |it| it.first_p50_ms, decimals: 2, shows: Shows::Added },
    Line { name: "first token p99 ms", of: |it| it.first_p99_ms, decimals: 2, shows: Shows::Added },
    Line { name: "MiB, idle", of: |it| it.idle_mib, decimals: 1, shows: Shows::Median },
    Line { name: "MiB, streams open", of: |it| it.open_mib, decimals: 1, shows: Shows::Median },
    Line { name: "streams left after 3 s", of: |it| it.left_open, decimals: 0, shows: Shows::Median },
    Line { name: "large body, MiB more", of: |it| it.body_mib, decimals: 1, shows: Shows::Median },
    Line { name: "large body, CPU ms", of: |it| it.body_cpu_ms, decimals: 1, shows: Shows::Median },
    Line { name: "start ms", of: |it| it.start_ms, decimals: 0, shows: Shows::Median },
];
const RATIO: &str = "tollgate / floor";
const LEGEND: &str = "\
CPU of the proxy's process: 16 connections in a closed loop; 50 streams of 200 events, 20 ms apart.
p50, p99 and the first token: 200 requests a second while the upstream thinks 50 ms; direct, and what each adds to that.
MiB: PSS after the first answer, and with many open streams; what large bodies, one at a time, add at their peak.
Streams left: what the upstream still writes 3 s after all clients have gone. Start: from exec to the first 200.";
