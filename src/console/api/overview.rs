//! The overview: an account's, or the operator's of all accounts, in few and bounded queries.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::requests::shown;
use super::schema::NotRead;
use super::series::Chart;
use super::span::{Buckets, DAY_MS, Range, total};
use super::{answer, reach};
use crate::console::caller::Caller;
use crate::console::input::Query;
use crate::console::problem::Problem;
use crate::console::{Console, now_ms};
use crate::core::admin_token::Scope;
use crate::core::money::{Nano, NanoSum};
use crate::store::contract::RequestView as RequestEntry;
use crate::store::contract::console::{
    Latency, Page, RequestQuery, SeriesBy, SeriesRow, Standing, TopBy, TopQuery, TopRow,
};
use crate::store::view::{AccountView, RequestView};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Whose {
    /// The caller's own account.
    Account,
    /// All of them: for operators.
    All,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OverviewQuery {
    /// `24h` if not given.
    range: Option<Range>,
    /// `account` if not given; `all` for operators and tokens that act for none.
    scope: Option<Whose>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Overview<'a> {
    range: Range,
    account: Option<AccountView<'a>>,
    /// With the scope `all`.
    standing: Option<StandingView>,
    spend: Spend,
    /// With the scope `all`.
    margin: Option<Margin>,
    requests: Requests,
    /// How long the balance lasts at the mean pace of the last seven days; null without a pace.
    days_left: Option<u64>,
    /// Of the latest requests of the range.
    latency: Latency,
    /// By model.
    series: Chart,
    /// The latest requests.
    recent: Vec<RequestView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_accounts: Option<Vec<Top>>,
    top_keys: Vec<Top>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Health>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct StandingView {
    balance: NanoSum,
    held: NanoSum,
    accounts: u64,
    codes_open: NanoSum,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Spend {
    range: Nano,
    /// The range before this one.
    previous_range: Nano,
    today: Nano,
    yesterday: Nano,
    this_month: Nano,
    last_month: Nano,
}

/// What was charged above the price list, in the range and in the one before. Groups' markups make it; requests of before
/// the upgrade that brought this figure have none.
#[derive(Serialize, ToSchema)]
pub(super) struct Margin {
    /// What the range's requests cost by the price list.
    cost: Nano,
    range: Nano,
    previous_range: Nano,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Requests {
    total: u64,
    errors: u64,
    previous_total: u64,
}

/// Who used most in the range's days.
#[derive(Serialize, ToSchema)]
pub(super) struct Top {
    /// An account's or a key's name.
    name: String,
    /// A key's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    requests: u64,
    charge: Nano,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    upstreams_down: Vec<String>,
    holds_open: u64,
    in_flight: u64,
    storage_ok: bool,
}

/// What the overview shows, at once
#[utoipa::path(get, path = "/api/overview", operation_id = "get_overview", tag = "usage",
    params(OverviewQuery), responses((status = 200, body = Overview), NotRead))]
pub(super) async fn overview(
    State(console): State<Console>,
    caller: Caller,
    Query(query): Query<OverviewQuery>,
) -> Result<Response, Problem> {
    let acts_for_none = caller.is_operator() && caller.own_account().is_none();
    let scope = query.scope.unwrap_or(if acts_for_none { Whose::All } else { Whose::Account });
    let account = match scope {
        Whose::All => {
            caller.operator(Scope::Read)?;
            None
        }
        Whose::Account => {
            let own = caller.own_account().map(|own| own.public_id.clone());
            let own = own.ok_or_else(|| Problem::forbidden("You act for no account: ask for the scope all."))?;
            Some(reach::account(&console, &caller, own).await?)
        }
    };
    let whose = account.as_ref().map(|row| row.id);
    let (now_ms, range) = (now_ms(), query.range.unwrap_or_default());
    let buckets = Buckets::latest(range, now_ms);
    // Months are calendar months, so days are asked for as far back as the last one may begin.
    let days = Buckets::days(62, now_ms);
    let figures = console
        .report(move |reports| {
            let series = |buckets: Buckets, by: SeriesBy| {
                let mut wanted = buckets.query(by);
                wanted.account = whose;
                reports.series(&wanted)
            };
            let day = |at_ms: i64| i32::try_from(at_ms.div_euclid(DAY_MS)).unwrap_or(i32::MAX);
            let (from_day, to_day) = (day(buckets.since_ms), day(buckets.until_ms().saturating_sub(1)));
            let tops = |by: TopBy| {
                let rows = reports.top(&TopQuery { by, account: whose, from_day, to_day, limit: TOPS })?;
                Ok(rows.into_iter().map(|row| top(row, by)).collect::<Vec<_>>())
            };
            let latest = RequestQuery { account: whose, ..RequestQuery::default() };
            Ok(Figures {
                chart: series(buckets, SeriesBy::Model)?,
                before: series(buckets.before(), SeriesBy::Total)?,
                days: series(days, SeriesBy::Total)?,
                latency: reports.latency(whose, buckets.since_ms)?,
                recent: reports.requests(&latest, &Page { after: None, limit: RECENT })?.rows,
                standing: match whose {
                    None => Some(reports.standing(now_ms)?),
                    Some(_) => None,
                },
                top_keys: tops(TopBy::Key)?,
                top_accounts: match whose {
                    None => Some(tops(TopBy::Account)?),
                    Some(_) => None,
                },
            })
        })
        .await?;
    let now = total(&figures.chart, buckets.since_ms, buckets.until_ms());
    let before = buckets.before();
    let previous = total(&figures.before, before.since_ms, before.until_ms());
    let balance = account.as_ref().map(|row| row.balance.saturating_sub(row.held));
    Ok(answer::ok(&Overview {
        range,
        account: account.as_ref().map(AccountView::from),
        standing: figures.standing.map(|standing| StandingView {
            balance: standing.balance,
            held: standing.held,
            accounts: standing.accounts,
            codes_open: standing.codes_open,
        }),
        spend: spend(&figures.days, now.charge, previous.charge, now_ms),
        margin: whose.is_none().then(|| Margin {
            cost: now.cost,
            range: now.charge.saturating_sub(now.cost),
            previous_range: previous.charge.saturating_sub(previous.cost),
        }),
        requests: Requests { total: now.requests, errors: now.errors, previous_total: previous.requests },
        days_left: balance.and_then(|balance| days_left(balance, &figures.days, now_ms)),
        latency: figures.latency,
        series: Chart::new(buckets, &figures.chart),
        recent: figures.recent.iter().map(|entry| shown(entry, &caller)).collect(),
        top_accounts: figures.top_accounts,
        top_keys: figures.top_keys,
        health: whose.is_none().then(|| health(&console)),
    }))
}

/// What one reading of the storage gives.
struct Figures {
    chart: Vec<SeriesRow>,
    before: Vec<SeriesRow>,
    days: Vec<SeriesRow>,
    latency: Latency,
    recent: Vec<RequestEntry>,
    standing: Option<Standing>,
    top_keys: Vec<Top>,
    top_accounts: Option<Vec<Top>>,
}

fn spend(days: &[SeriesRow], range: Nano, previous_range: Nano, now_ms: i64) -> Spend {
    let today_ms = now_ms.saturating_sub(now_ms.rem_euclid(DAY_MS));
    let (this_month_ms, last_month_ms) = months(now_ms);
    let between = |from_ms, until_ms| total(days, from_ms, until_ms).charge;
    Spend {
        range,
        previous_range,
        today: between(today_ms, i64::MAX),
        yesterday: between(today_ms.saturating_sub(DAY_MS), today_ms),
        this_month: between(this_month_ms, i64::MAX),
        last_month: between(last_month_ms, this_month_ms),
    }
}

/// When this month and the one before begin, in UTC.
fn months(now_ms: i64) -> (i64, i64) {
    let today = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC).date();
    let begin = |date: jiff::civil::Date| {
        let first = date.first_of_month().to_zoned(jiff::tz::TimeZone::UTC);
        first.map_or(0, |first| first.timestamp().as_millisecond())
    };
    (begin(today), begin(today.first_of_month().yesterday().unwrap_or(today)))
}

fn days_left(available: Nano, days: &[SeriesRow], now_ms: i64) -> Option<u64> {
    let today_ms = now_ms.saturating_sub(now_ms.rem_euclid(DAY_MS));
    let week = total(days, today_ms.saturating_sub(7 * DAY_MS), today_ms).charge;
    // A young account has no full week behind it: its days so far count, today among them.
    let first_ms = days.iter().map(|row| row.at_ms).min()?;
    let (spent, over) = match first_ms < today_ms {
        true => (week, ((today_ms - first_ms) / DAY_MS).clamp(1, 7)),
        false => (total(days, today_ms, i64::MAX).charge, 1),
    };
    if spent <= Nano::ZERO {
        return None;
    }
    let left = i128::from(available.0.max(0)) * i128::from(over) / i128::from(spent.0);
    u64::try_from(left).ok()
}

fn top(row: TopRow, by: TopBy) -> Top {
    let key = (by == TopBy::Key).then_some(row.public_id);
    Top { name: row.name, key, requests: row.requests, charge: row.charge }
}

fn health(console: &Console) -> Health {
    let health = console.gateway().health();
    let upstreams = console.gateway().upstreams();
    Health {
        upstreams_down: upstreams.into_iter().filter(|state| !state.usable).map(|state| state.name).collect(),
        holds_open: health.ledger.holds_open,
        in_flight: health.requests_in_flight,
        storage_ok: health.ledger_healthy,
    }
}

const RECENT: u32 = 8;
const TOPS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::UsageRow;

    fn day(at_ms: i64, charge: i64) -> SeriesRow {
        SeriesRow { at_ms, row: UsageRow { charge: Nano(charge), ..UsageRow::default() } }
    }

    #[test]
    fn months_are_calendar_months() {
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let (this, last) = months(at("2027-01-31T23:59:59Z"));
        assert_eq!((this, last), (at("2027-01-01T00:00:00Z"), at("2026-12-01T00:00:00Z")));
        let (this, last) = months(at("2026-03-01T00:00:00Z"));
        assert_eq!((this, last), (at("2026-03-01T00:00:00Z"), at("2026-02-01T00:00:00Z")));
    }

    #[test]
    fn the_balance_lasts_as_long_as_the_pace_of_the_last_week() {
        let now_ms = 100 * DAY_MS + 5_000;
        let week: Vec<_> = (93..100).map(|nth| day(nth * DAY_MS, 10)).collect();
        assert_eq!(days_left(Nano(100), &week, now_ms), Some(10));
        assert_eq!(days_left(Nano(-5), &week, now_ms), Some(0));
        assert_eq!(days_left(Nano(100), &[], now_ms), None);
        assert_eq!(days_left(Nano(100), &[day(100 * DAY_MS, 50)], now_ms), Some(2), "the first day counts as one");
        assert_eq!(days_left(Nano(100), &[day(98 * DAY_MS, 10), day(99 * DAY_MS, 10)], now_ms), Some(10));
        assert_eq!(days_left(Nano::MAX, &[day(99 * DAY_MS, 1)], now_ms), Some(u64::try_from(i64::MAX).unwrap()));
    }
}
