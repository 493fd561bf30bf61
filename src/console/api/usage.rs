//! Usage: totals, and totals over time for charts.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::schema::NotRead;
use super::series::{Chart, OTHER};
use super::span::{Bucket, Buckets, Range, add};
use super::{answer, field, reach};
use crate::console::caller::Caller;
use crate::console::input::{Form, Paging, Query};
use crate::console::listing::list;
use crate::console::problem::Problem;
use crate::console::{Console, now_ms};
use crate::core::account::AccountId;
use crate::core::admin_token::Scope;
use crate::core::money::Nano;
use crate::core::values;
use crate::store::contract::console::SeriesBy;
use crate::store::contract::{UsageBy, UsageFilter, UsageRow};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UsageQuery {
    /// What the rows are by; `account` and `upstream` are for operators.
    by: UsageBy,
    /// An account's name or id.
    account: Option<String>,
    /// The first day (UTC), as `2026-11-01`.
    from: Option<String>,
    /// The last day, included.
    to: Option<String>,
}

/// Totals. The first field is called what they are by.
#[derive(Serialize, ToSchema)]
pub(super) struct UsageTotals {
    #[schema(value_type = Vec<Object>)]
    data: Vec<Row>,
    total: Row,
    /// Totals are not divided into parts.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Row {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    group: HashMap<&'static str, String>,
    requests: u64,
    errors: u64,
    input_tokens: u64,
    cached_input_tokens: u64,
    output_tokens: u64,
    reasoning_tokens: u64,
    charge: Nano,
}

impl Row {
    fn new(row: &UsageRow, group: HashMap<&'static str, String>) -> Row {
        Row {
            group,
            requests: row.requests,
            errors: row.errors,
            input_tokens: row.input_tokens,
            cached_input_tokens: row.cached_input_tokens,
            output_tokens: row.output_tokens,
            reasoning_tokens: row.reasoning_tokens,
            charge: row.charge,
        }
    }
}

/// Totals by day, model, key, account or upstream
#[utoipa::path(get, path = "/api/usage", operation_id = "get_usage", tag = "usage",
    params(UsageQuery), responses((status = 200, body = UsageTotals), NotRead))]
pub(super) async fn usage(
    State(console): State<Console>,
    caller: Caller,
    Query(query): Query<UsageQuery>,
    paging: Paging,
) -> Result<Response, Problem> {
    if matches!(query.by, UsageBy::Account | UsageBy::Upstream) {
        caller.operator(Scope::Read)?;
    }
    let account = reach::accounts(&console, &caller, query.account).await?;
    let day = |name: &str, text: Option<String>| text.map(|text| field::field(name, values::day(&text))).transpose();
    let (from_day, to_day) = (day("from", query.from)?, day("to", query.to)?);
    if from_day.zip(to_day).is_some_and(|(from, to)| from > to) {
        return Err(Problem::invalid_field("to", "is before from"));
    }
    let filter = UsageFilter { by: query.by, account, from_day, to_day };
    let rows = console.look_up(move |library| library.usage(&filter)).await?;
    let names = match query.by {
        UsageBy::Key => key_names(&console, account).await?,
        _ => HashMap::new(),
    };
    let mut sum = UsageRow::default();
    rows.iter().for_each(|row| add(&mut sum, row));
    let by = word(query.by);
    let data: Vec<Row> = rows
        .iter()
        .map(|row| {
            let mut group = HashMap::from([(by, row.group.clone())]);
            group.extend(names.get(&row.group).map(|name| ("name", name.clone())));
            Row::new(row, group)
        })
        .collect();
    if paging.form != Form::Json {
        let named: &[&str] = if query.by == UsageBy::Key { &[by, "name"] } else { &[by] };
        return Ok(list(paging.form, "usage", &[named, &COUNTS].concat(), data, None));
    }
    Ok(answer::ok(&UsageTotals { data, total: Row::new(&sum, HashMap::new()), next: None }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SeriesParams {
    /// What the parts are; `model` if not given. `upstream` is for operators.
    by: Option<SeriesBy>,
    /// The stretch that ends now; `24h` if neither it nor `since` is given.
    range: Option<Range>,
    /// RFC 3339; together with `until` and `bucket`.
    since: Option<String>,
    until: Option<String>,
    bucket: Option<Bucket>,
    account: Option<String>,
    /// A key's id.
    key: Option<String>,
    model: Option<String>,
}

/// Totals over time, for charts
#[utoipa::path(get, path = "/api/usage/series", operation_id = "get_usage_series", tag = "usage",
    params(SeriesParams), responses((status = 200, body = Chart), NotRead))]
pub(super) async fn series(
    State(console): State<Console>,
    caller: Caller,
    Query(query): Query<SeriesParams>,
) -> Result<Response, Problem> {
    let by = query.by.unwrap_or(SeriesBy::Model);
    if by == SeriesBy::Upstream {
        caller.operator(Scope::Read)?;
    }
    let buckets = match (query.range, query.since) {
        (Some(_), Some(_)) => return Err(Problem::invalid_field("range", "stands for since; send one of them")),
        (None, Some(since)) => {
            let since = field::moment("since", &since)?;
            let until = query.until.map(|text| field::moment("until", &text)).transpose()?;
            Buckets::between(since, until.unwrap_or_else(Timestamp::now), query.bucket.unwrap_or(Bucket::Hour))?
        }
        (range, None) if query.until.is_none() && query.bucket.is_none() => {
            Buckets::latest(range.unwrap_or_default(), now_ms())
        }
        (_, None) => return Err(Problem::invalid_field("since", "is missing beside until or bucket")),
    };
    let account = reach::accounts(&console, &caller, query.account).await?;
    let key = match query.key {
        Some(id) => Some(reach::key(&console, &caller, id).await?.record.id),
        None => None,
    };
    let mut wanted = buckets.query(by);
    (wanted.account, wanted.key, wanted.model) = (account, key, query.model);
    let rows = console.report(move |reports| reports.series(&wanted)).await?;
    let mut chart = Chart::new(buckets, &rows);
    if by == SeriesBy::Key {
        let names = key_names(&console, account).await?;
        for part in chart.series.iter_mut().filter(|part| part.name != OTHER) {
            let name = names.get(&part.name).cloned().unwrap_or_else(|| part.name.clone());
            part.key = Some(std::mem::replace(&mut part.name, name));
        }
    }
    Ok(answer::ok(&chart))
}

/// What people call the keys that there are. A key that was deleted keeps its id in old totals.
pub(super) async fn key_names(
    console: &Console,
    account: Option<AccountId>,
) -> Result<HashMap<String, String>, Problem> {
    let keys = console.look_up(move |library| library.keys(account)).await?;
    Ok(keys.into_iter().map(|row| (row.record.public_id, row.record.name)).collect())
}

fn word(by: UsageBy) -> &'static str {
    match by {
        UsageBy::Day => "day",
        UsageBy::Model => "model",
        UsageBy::Key => "key",
        UsageBy::Account => "account",
        UsageBy::Upstream => "upstream",
    }
}

const COUNTS: [&str; 7] =
    ["requests", "errors", "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "charge"];
