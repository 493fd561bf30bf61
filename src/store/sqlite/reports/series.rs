//! Totals over time, for charts.
//!
//! Whole days of one account come from its daily totals, everything else from the totals of short spans, which are
//! written with each charge: so a chart costs by its buckets, and not by the requests that it shows.
//!
//! Always true: a bucket is shown whole or not at all.

use rusqlite::{Row, Transaction, named_params, params};

use super::super::posting::{EVERYBODY, SPAN_DAY, SPAN_MINUTE, SPAN_QUARTER};
use super::super::rows::{Stored, all, first};
use super::super::{connection::fault, library};
use super::lists::word;
use crate::core::money::Nano;
use crate::store::contract::StoreError;
use crate::store::contract::console::{SeriesBy, SeriesQuery, SeriesRow, TopBy, TopQuery, TopRow};

/// What the range leaves of a bucket at either end is added, so that every bucket is whole.
pub(super) fn series(snapshot: &Transaction<'_>, query: &SeriesQuery) -> Result<Vec<SeriesRow>, StoreError> {
    let buckets = Buckets::of(query)?;
    let account = match (query.account, query.key) {
        (Some(account), _) => Some(account.0),
        (None, Some(key)) => {
            first(snapshot, "SELECT account FROM api_key WHERE id = ?1", [key.0], |row| row.get::<_, i64>(0))?
        }
        (None, None) => None,
    };
    let model = match &query.model {
        None => None,
        Some(name) => match word(snapshot, name)? {
            Some(id) => Some(id),
            None => return Ok(Vec::new()),
        },
    };
    let source = Source::of(query, account);
    if source.span < SPAN_DAY {
        refuse_forgotten(snapshot, buckets.first_ms)?;
    }
    let (name, join) = match query.by {
        SeriesBy::Total => ("'total'", ""),
        SeriesBy::Model => ("w.text", "JOIN word w ON w.id = t.part"),
        SeriesBy::Upstream => ("w.text", "JOIN word w ON w.id = t.part"),
        SeriesBy::Key => ("k.public_id", "JOIN api_key k ON k.id = t.part"),
    };
    // The slots are counted out first and each is looked up: that is an index's work, whoever else has totals in it.
    let sql = format!(
        "WITH RECURSIVE slot (nth) AS (SELECT :first UNION ALL SELECT nth + 1 FROM slot WHERE nth < :last)
         SELECT t.bucket, {name} AS group_name, t.* FROM
            (SELECT slot.nth / :per_bucket AS bucket, {part} AS part, {totals}
             FROM slot CROSS JOIN {table}
             WHERE {whose} AND (:key IS NULL OR u.key = :key) AND (:model IS NULL OR u.model = :model)
             GROUP BY 1, 2) t {join}
         ORDER BY t.bucket, 2 LIMIT {limit}",
        part = part(query.by),
        totals = library::TOTALS,
        table = source.table,
        whose = source.whose,
        limit = ROWS_MAX + 1,
    );
    let mut statement = snapshot.prepare_cached(&sql).map_err(fault)?;
    let span_ms = source.span.saturating_mul(MINUTE_MS);
    let rows = statement
        .query_map(
            named_params! {
                ":first": buckets.first_ms / span_ms,
                ":last": buckets.end_ms / span_ms - 1,
                ":per_bucket": query.bucket_ms / span_ms,
                ":account": source.account,
                ":key": query.key.map(|key| key.0),
                ":model": model,
            },
            |row| series_row(row, query.bucket_ms),
        )
        .map_err(fault)?;
    let rows: Vec<SeriesRow> = rows.collect::<rusqlite::Result<_>>().map_err(fault)?;
    if rows.len() > ROWS_MAX {
        return refused(format!("this chart has more than {ROWS_MAX} points: ask for less time, or longer buckets"));
    }
    Ok(rows)
}

/// The time that a chart shows, in whole buckets.
struct Buckets {
    first_ms: i64,
    /// Exclusive.
    end_ms: i64,
}

impl Buckets {
    fn of(query: &SeriesQuery) -> Result<Self, StoreError> {
        let bucket_ms = query.bucket_ms;
        if bucket_ms < MINUTE_MS || bucket_ms % MINUTE_MS != 0 || DAY_MS % bucket_ms != 0 {
            return refused("a bucket is a whole number of minutes that divides a day".into());
        }
        // Nothing is older, and what lies beyond is as empty; so no sum below overflows.
        let (since_ms, until_ms) = (query.since_ms.clamp(0, MS_MAX), query.until_ms.clamp(0, MS_MAX));
        let first_ms = since_ms - since_ms % bucket_ms;
        let end_ms = until_ms + (bucket_ms - until_ms % bucket_ms) % bucket_ms;
        if since_ms >= until_ms {
            return refused("a chart ends after it begins".into());
        }
        if (end_ms - first_ms) / bucket_ms > ROWS_MAX as i64 {
            return refused(format!("a chart has at most {ROWS_MAX} buckets"));
        }
        Ok(Buckets { first_ms, end_ms })
    }
}

/// Where the totals are read that serve a query best.
struct Source {
    table: &'static str,
    /// Binds its rows to `slot.nth` and `:account`.
    whose: String,
    /// How many minutes a row is for.
    span: i64,
    account: i64,
}

impl Source {
    fn of(query: &SeriesQuery, account: Option<i64>) -> Self {
        let whole_days = query.bucket_ms == DAY_MS;
        // Keys are with their accounts, and nowhere else.
        let everybody = account.is_none() && query.by != SeriesBy::Key;
        let accounts = if account.is_some() || everybody { "u.account = :account" } else { "u.account > :account" };
        let account = account.unwrap_or(EVERYBODY);
        if whole_days && !everybody {
            let whose = format!("u.day = slot.nth AND {accounts}");
            return Source { table: "usage_day u", whose, span: SPAN_DAY, account };
        }
        let span = match everybody {
            true if whole_days => SPAN_DAY,
            true if query.bucket_ms % (SPAN_QUARTER * MINUTE_MS) == 0 => SPAN_QUARTER,
            _ => SPAN_MINUTE,
        };
        let whose = format!("u.span = {span} AND u.nth = slot.nth AND {accounts}");
        Source { table: "usage_span u", whose, span, account }
    }
}

/// Who used most on these days.
pub(super) fn top(snapshot: &Transaction<'_>, query: &TopQuery) -> Result<Vec<TopRow>, StoreError> {
    let (part, table) = match query.by {
        TopBy::Account => ("u.account", "account"),
        TopBy::Key => ("u.key", "api_key"),
    };
    let whose = if query.account.is_some() { "u.account = ?3" } else { "?3 IS NULL" };
    let sql = format!(
        "WITH RECURSIVE slot (nth) AS (SELECT ?1 UNION ALL SELECT nth + 1 FROM slot WHERE nth < ?2)
         SELECT n.public_id, n.name, t.requests, t.charge FROM
            (SELECT {part} AS part, sum(u.requests) AS requests, sum(u.charge) AS charge
             FROM slot CROSS JOIN usage_day u WHERE u.day = slot.nth AND {whose}
             GROUP BY 1 ORDER BY 3 DESC, 2 DESC, 1 LIMIT ?4) t JOIN {table} n ON n.id = t.part
         ORDER BY t.charge DESC, t.requests DESC, t.part"
    );
    // Nobody asks for more; a range of thousands of years would only count days.
    let from_day = query.from_day.max(query.to_day.saturating_sub(DAYS_MAX));
    let parameters = params![from_day, query.to_day, query.account.map(|id| id.0), query.limit.clamp(1, TOPS_MAX)];
    all(snapshot, &sql, parameters, |row| {
        Ok(TopRow {
            public_id: row.get("public_id")?,
            name: row.get("name")?,
            requests: row.get::<_, Stored<_>>("requests")?.0,
            charge: Nano(row.get("charge")?),
        })
    })
}

fn part(by: SeriesBy) -> &'static str {
    match by {
        SeriesBy::Total => "0",
        SeriesBy::Model => "u.model",
        SeriesBy::Upstream => "u.upstream",
        SeriesBy::Key => "u.key",
    }
}

/// Totals of short spans do not go back for ever, and a chart of their absence would be a lie.
fn refuse_forgotten(snapshot: &Transaction<'_>, first_ms: i64) -> Result<(), StoreError> {
    let from = first(snapshot, "SELECT spans_from FROM meta", [], |row| row.get::<_, i64>(0))?.unwrap_or(0);
    if first_ms >= from.saturating_mul(MINUTE_MS) {
        return Ok(());
    }
    refused("totals of less than a day are kept for fifteen days: ask for whole days, or less time".into())
}

fn series_row(row: &Row<'_>, bucket_ms: i64) -> rusqlite::Result<SeriesRow> {
    let bucket = row.get::<_, Stored<u64>>("bucket")?.0;
    let at_ms = i64::try_from(bucket).unwrap_or(i64::MAX).saturating_mul(bucket_ms);
    Ok(SeriesRow { at_ms, row: library::usage(row)? })
}

fn refused<T>(why: String) -> Result<T, StoreError> {
    Err(StoreError::Refused(why))
}

const DAYS_MAX: i32 = 3_660;
const TOPS_MAX: u32 = 100;
const ROWS_MAX: usize = 10_000;
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;
/// The year 9999.
const MS_MAX: i64 = 253_402_300_800_000;
