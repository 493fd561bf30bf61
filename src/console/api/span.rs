//! Stretches of time, cut into the buckets of a chart.
//!
//! Always true: buckets begin at whole multiples of their length since 1970 (UTC), so that the same moment falls into
//! the same bucket however often a page is loaded, and the last one contains now.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::problem::Problem;
use crate::store::contract::UsageRow;
use crate::store::contract::console::{SeriesBy, SeriesQuery, SeriesRow};
use crate::store::view::seconds;

/// The stretch that ends now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Range {
    #[serde(rename = "1h")]
    Hour,
    #[default]
    #[serde(rename = "24h")]
    Day,
    #[serde(rename = "7d")]
    Week,
    #[serde(rename = "30d")]
    Month,
    #[serde(rename = "90d")]
    Quarter,
}

/// How long a bucket is: each divides a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Bucket {
    #[serde(rename = "1m")]
    Minute,
    #[serde(rename = "5m")]
    FiveMinutes,
    #[serde(rename = "15m")]
    QuarterHour,
    #[serde(rename = "1h")]
    Hour,
    #[serde(rename = "6h")]
    QuarterDay,
    #[serde(rename = "1d")]
    Day,
}

impl Bucket {
    fn length_ms(self) -> i64 {
        match self {
            Bucket::Minute => MINUTE_MS,
            Bucket::FiveMinutes => 5 * MINUTE_MS,
            Bucket::QuarterHour => 15 * MINUTE_MS,
            Bucket::Hour => 60 * MINUTE_MS,
            Bucket::QuarterDay => 360 * MINUTE_MS,
            Bucket::Day => DAY_MS,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buckets {
    pub since_ms: i64,
    pub length_ms: i64,
    pub count: usize,
}

impl Buckets {
    pub fn latest(range: Range, now_ms: i64) -> Buckets {
        let (bucket, count) = match range {
            Range::Hour => (Bucket::Minute, 60),
            Range::Day => (Bucket::QuarterHour, 96),
            Range::Week => (Bucket::Hour, 168),
            Range::Month => (Bucket::Day, 30),
            Range::Quarter => (Bucket::Day, 90),
        };
        Buckets::ending_with(now_ms, bucket.length_ms(), count)
    }

    /// Whole UTC days, today included.
    pub fn days(count: usize, now_ms: i64) -> Buckets {
        Buckets::ending_with(now_ms, DAY_MS, count)
    }

    fn ending_with(now_ms: i64, length_ms: i64, count: usize) -> Buckets {
        let last_ms = now_ms.saturating_sub(now_ms.rem_euclid(length_ms));
        Buckets { since_ms: last_ms.saturating_sub(length_ms.saturating_mul(as_i64(count) - 1)), length_ms, count }
    }

    /// The buckets that cover everything from `since` to before `until`.
    ///
    /// # Errors
    /// 400 for a stretch that is empty, turned round or too long for its buckets.
    pub fn between(since: Timestamp, until: Timestamp, bucket: Bucket) -> Result<Buckets, Problem> {
        let (since_ms, until_ms) = (since.as_millisecond(), until.as_millisecond());
        if since_ms >= until_ms {
            return Err(Problem::invalid_field("until", "is not after since"));
        }
        let length_ms = bucket.length_ms();
        let since_ms = since_ms.saturating_sub(since_ms.rem_euclid(length_ms));
        let count = usize::try_from((until_ms - since_ms + length_ms - 1) / length_ms).unwrap_or(usize::MAX);
        if count > BUCKETS_MAX {
            let longest = format!("makes {count} buckets; at most {BUCKETS_MAX} are shown, use longer ones");
            return Err(Problem::invalid_field("bucket", longest));
        }
        Ok(Buckets { since_ms, length_ms, count })
    }

    pub fn until_ms(self) -> i64 {
        self.since_ms.saturating_add(self.length_ms.saturating_mul(as_i64(self.count)))
    }

    /// As many of the same length, just before.
    pub fn before(self) -> Buckets {
        Buckets { since_ms: self.since_ms.saturating_sub(self.until_ms() - self.since_ms), ..self }
    }

    pub fn moments(self) -> Vec<String> {
        (0..self.count).map(|index| seconds(self.since_ms + self.length_ms * as_i64(index))).collect()
    }

    pub fn index(self, at_ms: i64) -> Option<usize> {
        let index = usize::try_from(at_ms.checked_sub(self.since_ms)?.div_euclid(self.length_ms)).ok()?;
        (index < self.count).then_some(index)
    }

    pub fn query(self, by: SeriesBy) -> SeriesQuery {
        SeriesQuery {
            by,
            account: None,
            key: None,
            model: None,
            since_ms: self.since_ms,
            until_ms: self.until_ms(),
            bucket_ms: self.length_ms,
        }
    }
}

/// Adds one row of totals to another; the name stays. What overflows stays at the end of the scale.
pub fn add(sum: &mut UsageRow, row: &UsageRow) {
    sum.requests = sum.requests.saturating_add(row.requests);
    sum.errors = sum.errors.saturating_add(row.errors);
    sum.input_tokens = sum.input_tokens.saturating_add(row.input_tokens);
    sum.cached_input_tokens = sum.cached_input_tokens.saturating_add(row.cached_input_tokens);
    sum.output_tokens = sum.output_tokens.saturating_add(row.output_tokens);
    sum.reasoning_tokens = sum.reasoning_tokens.saturating_add(row.reasoning_tokens);
    sum.charge = sum.charge.saturating_add(row.charge);
    sum.cost = sum.cost.saturating_add(row.cost);
}

/// The sum over the buckets that begin in `[since, until)`.
pub fn total(rows: &[SeriesRow], since_ms: i64, until_ms: i64) -> UsageRow {
    let mut sum = UsageRow::default();
    for row in rows.iter().filter(|row| (since_ms..until_ms).contains(&row.at_ms)) {
        add(&mut sum, &row.row);
    }
    sum
}

fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

const MINUTE_MS: i64 = 60_000;
pub const DAY_MS: i64 = 86_400_000;
/// A day in minutes: more points than a screen has pixels for.
const BUCKETS_MAX: usize = 1_440;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_795_415_700_125;

    #[test]
    fn a_range_ends_with_the_bucket_of_now() {
        for (range, count, length_ms) in [
            (Range::Hour, 60, MINUTE_MS),
            (Range::Day, 96, 15 * MINUTE_MS),
            (Range::Week, 168, 60 * MINUTE_MS),
            (Range::Month, 30, DAY_MS),
            (Range::Quarter, 90, DAY_MS),
        ] {
            let buckets = Buckets::latest(range, NOW_MS);
            assert_eq!((buckets.count, buckets.length_ms), (count, length_ms));
            assert_eq!(buckets.since_ms % length_ms, 0);
            assert_eq!(buckets.index(NOW_MS), Some(count - 1));
            assert_eq!(buckets.index(buckets.since_ms), Some(0));
            assert_eq!(buckets.index(buckets.since_ms - 1), None);
            assert_eq!(buckets.index(buckets.until_ms()), None);
            assert_eq!(buckets.before().until_ms(), buckets.since_ms);
            assert_eq!(buckets.moments().len(), count);
        }
    }

    #[test]
    fn a_stretch_is_covered_whole() {
        let moment = |text: &str| text.parse::<Timestamp>().unwrap();
        let (since, until) = (moment("2026-11-23T06:35:01Z"), moment("2026-11-23T08:00:00.001Z"));
        let buckets = Buckets::between(since, until, Bucket::Hour).unwrap();
        assert_eq!(buckets.moments(), ["2026-11-23T06:00:00Z", "2026-11-23T07:00:00Z", "2026-11-23T08:00:00Z"]);
        assert!(Buckets::between(until, since, Bucket::Hour).is_err());
        assert!(Buckets::between(since, since, Bucket::Hour).is_err());
        assert!(Buckets::between(Timestamp::MIN, Timestamp::MAX, Bucket::Minute).is_err());
    }
}
