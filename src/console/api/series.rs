//! Totals over time, as a chart wants them: one column of numbers per part, a number for each bucket.

use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::span::{Buckets, add};
use crate::core::money::Nano;
use crate::store::contract::UsageRow;
use crate::store::contract::console::SeriesRow;
use crate::store::view::seconds;

/// A chart's numbers. Every list has one entry per bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Chart {
    /// How long a bucket is, in seconds.
    pub bucket_s: i64,
    pub since: String,
    /// Exclusive.
    pub until: String,
    /// When each bucket begins.
    pub at: Vec<String>,
    /// The largest first; what is not among the first six is together under `other`.
    pub series: Vec<Series>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Series {
    /// The model's, key's or upstream's name; `total`; `other`.
    pub name: String,
    /// The key's id, where the parts are keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub requests: Vec<u64>,
    pub errors: Vec<u64>,
    pub input_tokens: Vec<u64>,
    pub cached_input_tokens: Vec<u64>,
    pub output_tokens: Vec<u64>,
    pub charge: Vec<Nano>,
}

impl Chart {
    pub fn new(buckets: Buckets, rows: &[SeriesRow]) -> Chart {
        Chart {
            bucket_s: buckets.length_ms / 1_000,
            since: seconds(buckets.since_ms),
            until: seconds(buckets.until_ms()),
            at: buckets.moments(),
            series: parts(buckets, rows),
        }
    }
}

fn parts(buckets: Buckets, rows: &[SeriesRow]) -> Vec<Series> {
    let mut totals: HashMap<&str, UsageRow> = HashMap::new();
    for SeriesRow { row, .. } in rows {
        add(totals.entry(&row.group).or_default(), row);
    }
    let mut ranking: Vec<(&str, UsageRow)> = totals.into_iter().collect();
    ranking.sort_by(|(a_name, a), (b_name, b)| {
        (b.charge, b.requests).cmp(&(a.charge, a.requests)).then_with(|| a_name.cmp(b_name))
    });
    let shown = ranking.iter().take(PARTS_MAX).map(|(name, _)| *name);
    let mut parts: Vec<Series> = shown.map(|name| Series::zero(name, buckets.count)).collect();
    if ranking.len() > PARTS_MAX {
        parts.push(Series::zero(OTHER, buckets.count));
    }
    for SeriesRow { at_ms, row } in rows {
        let Some(index) = buckets.index(*at_ms) else { continue };
        let place = ranking.iter().take(PARTS_MAX).position(|(name, _)| *name == row.group).unwrap_or(PARTS_MAX);
        if let Some(part) = parts.get_mut(place) {
            part.add(index, row);
        }
    }
    parts
}

impl Series {
    fn zero(name: &str, count: usize) -> Series {
        Series {
            name: name.to_owned(),
            key: None,
            requests: vec![0; count],
            errors: vec![0; count],
            input_tokens: vec![0; count],
            cached_input_tokens: vec![0; count],
            output_tokens: vec![0; count],
            charge: vec![Nano::ZERO; count],
        }
    }

    fn add(&mut self, index: usize, row: &UsageRow) {
        let plus = |counts: &mut Vec<u64>, count: u64| counts[index] = counts[index].saturating_add(count);
        plus(&mut self.requests, row.requests);
        plus(&mut self.errors, row.errors);
        plus(&mut self.input_tokens, row.input_tokens);
        plus(&mut self.cached_input_tokens, row.cached_input_tokens);
        plus(&mut self.output_tokens, row.output_tokens);
        self.charge[index] = self.charge[index].saturating_add(row.charge);
    }
}

/// As many as colours that can be told apart.
const PARTS_MAX: usize = 6;
pub const OTHER: &str = "other";

#[cfg(test)]
mod tests {
    use super::super::span::{DAY_MS, Range};
    use super::*;

    fn row(at_ms: i64, group: &str, requests: u64, charge: i64) -> SeriesRow {
        let row = UsageRow { group: group.into(), requests, charge: Nano(charge), ..UsageRow::default() };
        SeriesRow { at_ms, row }
    }

    #[test]
    fn every_bucket_has_a_number_and_nothing_is_lost() {
        let buckets = Buckets::latest(Range::Month, 100 * DAY_MS + 5);
        let first_ms = buckets.since_ms;
        let mut rows: Vec<_> = (0..9).map(|part| row(first_ms, &format!("m{part}"), 1, 100 - part)).collect();
        rows.push(row(first_ms + DAY_MS, "m8", 5, 1_000));
        rows.push(row(first_ms + 30 * DAY_MS, "m0", 7, 7));
        let chart = Chart::new(buckets, &rows);
        let names: Vec<_> = chart.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["m8", "m0", "m1", "m2", "m3", "m4", "other"]);
        assert!(chart.series.iter().all(|series| series.charge.len() == 30 && series.errors.len() == 30));
        assert_eq!(chart.at.len(), 30);
        assert_eq!((chart.series[0].requests[0], chart.series[0].requests[1]), (1, 5));
        assert_eq!(chart.series[6].requests[0], 3);
        let shown: u64 = chart.series.iter().flat_map(|series| &series.requests).sum();
        assert_eq!(shown, 14, "what lies outside the buckets is not shown");
    }

    #[test]
    fn equal_parts_have_a_fixed_order() {
        let buckets = Buckets::latest(Range::Hour, DAY_MS);
        let rows =
            [row(buckets.since_ms, "b", 1, 0), row(buckets.since_ms, "a", 1, 0), row(buckets.since_ms, "c", 2, 0)];
        let names: Vec<_> = Chart::new(buckets, &rows).series.into_iter().map(|series| series.name).collect();
        assert_eq!(names, ["c", "a", "b"]);
    }
}
