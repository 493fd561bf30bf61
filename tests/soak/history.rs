//! Pages over months of requests: what the console asks of the storage takes no longer because the books have grown.
//!
//! The quick form runs every question on few records and sees that each is answered; which indexes serve them is proved
//! beside the statements themselves. The long form has ten million records and holds the answers to their time.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tollgate::core::account::AccountId;
use tollgate::core::key::KeyId;
use tollgate::core::money::Nano;
use tollgate::store::contract::console::*;
use tollgate::store::contract::*;
use tollgate::store::sqlite::{Durability, Sqlite};

use crate::quick_or_long;

#[test]
fn pages_are_quick_over_months_of_requests() {
    let (records, accounts) = quick_or_long((20_000, 50), (10_000_000, 2_000));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let storage = Sqlite::open(&path, Durability::Normal).unwrap();
    let now_ms = jiff::Timestamp::now().as_millisecond();
    make_accounts(&storage, accounts, now_ms);
    let begun = Instant::now();
    fill(&path, records, accounts, now_ms);
    let bytes = std::fs::metadata(&path).unwrap().len();
    eprintln!("{records} records of {accounts} accounts in {bytes} bytes, written in {:?}", begun.elapsed());

    let (reports, library) = (storage.reports().unwrap(), storage.library().unwrap());
    let day = UsageFilter { by: UsageBy::Day, account: None, from_day: None, to_day: None };
    let total: u64 = library.usage(&day).unwrap().iter().map(|row| row.requests).sum();
    assert_eq!(total, records, "the daily totals are those of the records");

    let mut slow = Vec::new();
    for (name, ask) in questions(now_ms) {
        let mut times: Vec<Duration> = (0..ROUNDS)
            .map(|_| {
                let begun = Instant::now();
                let rows = ask(&reports, &library);
                assert!(rows > 0, "{name}: an empty answer measures nothing");
                begun.elapsed()
            })
            .collect();
        let cold = times.remove(0);
        times.sort_unstable();
        let warm = times[times.len() / 2];
        eprintln!("{name:<45} {:>9.2} ms, at first {:>9.2} ms", ms(warm), ms(cold));
        let within = if FAR.contains(&name) { FAR_WITHIN } else { WITHIN };
        if warm > within {
            slow.push((name, within));
        }
    }
    assert!(slow.is_empty(), "slower than they may be: {slow:?}");
}

type Question = Box<dyn Fn(&dyn Reports, &dyn Library) -> usize>;

/// What the console's pages ask, each as the page does. Each says how much it was told.
fn questions(now_ms: i64) -> Vec<(&'static str, Question)> {
    // The first account has more requests than most together, the middle one a few a day.
    let (busy, quiet) = (Some(AccountId(1)), Some(AccountId(25)));
    let series = move |by, account, days, minutes| -> Question {
        let bucket_ms = minutes * MINUTE_MS;
        let until_ms = now_ms - now_ms % bucket_ms + bucket_ms;
        let since_ms = if days == 0 { until_ms - 60 * MINUTE_MS } else { until_ms - days * DAY_MS };
        let query = SeriesQuery { by, account, key: None, model: None, since_ms, until_ms, bucket_ms };
        Box::new(move |reports, _| reports.series(&query).unwrap().len())
    };
    let requests = move |query: RequestQuery| -> Question {
        Box::new(move |reports, _| {
            let found = reports.requests(&query, &Page { after: None, limit: 50 }).unwrap();
            // What is rare may not be among the first that one call looks at.
            1 + found.rows.len()
        })
    };
    let latency = move |account| -> Question {
        Box::new(move |reports, _| reports.latency(account, now_ms - DAY_MS).unwrap().sample as usize)
    };
    let top = move |by, account, days: i64| -> Question {
        let today = i32::try_from(now_ms / DAY_MS).unwrap();
        let (from_day, to_day) = (today - i32::try_from(days).unwrap() + 1, today);
        let query = TopQuery { by, account, from_day, to_day, limit: 5 };
        Box::new(move |reports, _| reports.top(&query).unwrap().len())
    };
    let any = RequestQuery::default();
    let rare = RequestQuery { status: Some(503), model: Some("model-11".into()), ..any.clone() };
    let last_week =
        RequestQuery { since_ms: Some(now_ms - 8 * DAY_MS), until_ms: Some(now_ms - 7 * DAY_MS), ..any.clone() };
    vec![
        ("series of an hour, all accounts", series(SeriesBy::Model, None, 0, 1)),
        ("series of 24 hours, all accounts", series(SeriesBy::Model, None, 1, 15)),
        ("series of 7 days, all accounts", series(SeriesBy::Model, None, 7, 60)),
        ("series of 30 days, all accounts", series(SeriesBy::Model, None, 30, 1_440)),
        ("series of 90 days by upstream, all accounts", series(SeriesBy::Upstream, None, 90, 1_440)),
        ("series of 24 hours, busy account", series(SeriesBy::Model, busy, 1, 15)),
        ("series of 24 hours by key, busy account", series(SeriesBy::Key, busy, 1, 15)),
        ("series of 7 days, busy account", series(SeriesBy::Model, busy, 7, 60)),
        ("series of 30 days, busy account", series(SeriesBy::Model, busy, 30, 1_440)),
        ("series of 24 hours, quiet account", series(SeriesBy::Model, quiet, 1, 15)),
        ("series of 90 days, quiet account", series(SeriesBy::Model, quiet, 90, 1_440)),
        ("latency, all accounts", latency(None)),
        ("latency, busy account", latency(busy)),
        ("latency, quiet account", latency(quiet)),
        ("top accounts of 24 hours", top(TopBy::Account, None, 1)),
        ("top accounts of 30 days", top(TopBy::Account, None, 30)),
        ("top keys of 24 hours", top(TopBy::Key, None, 1)),
        ("top keys of 30 days", top(TopBy::Key, None, 30)),
        ("top keys of 30 days, busy account", top(TopBy::Key, busy, 30)),
        ("standing", Box::new(move |reports, _| reports.standing(now_ms).unwrap().accounts as usize)),
        ("facts", Box::new(|reports, _| reports.facts().unwrap().accounts as usize)),
        ("requests, first page", requests(any.clone())),
        ("requests, busy account", requests(RequestQuery { account: busy, ..any.clone() })),
        ("requests, quiet account", requests(RequestQuery { account: quiet, ..any.clone() })),
        ("requests of a key", requests(RequestQuery { key: Some(KeyId(2)), ..any.clone() })),
        ("requests, failed", requests(RequestQuery { failed: true, ..any.clone() })),
        ("requests, a rare kind", requests(rare.clone())),
        ("requests, a rare kind of the busy account", requests(RequestQuery { account: busy, ..rare })),
        ("requests of a day last week", requests(last_week.clone())),
        ("requests, rare, of a day last week", requests(RequestQuery { status: Some(503), ..last_week })),
        (
            "requests, a model that never was",
            Box::new(move |reports, _| {
                let never = RequestQuery { model: Some("never".into()), ..any.clone() };
                reports.requests(&never, &Page { after: None, limit: 50 }).unwrap().rows.len() + 1
            }),
        ),
        (
            "accounts, first page",
            Box::new(|reports, _| {
                reports.accounts(&AccountFilter::default(), &Page { after: None, limit: 50 }).unwrap().rows.len()
            }),
        ),
        (
            "accounts, searched",
            Box::new(|reports, _| {
                let filter = AccountFilter { search: Some("t-7".into()), ..AccountFilter::default() };
                reports.accounts(&filter, &Page { after: None, limit: 50 }).unwrap().rows.len()
            }),
        ),
        (
            "keys, searched",
            Box::new(|reports, _| {
                let filter = KeyFilter { search: Some("first".into()), ..KeyFilter::default() };
                reports.keys(&filter, &Page { after: None, limit: 50 }).unwrap().rows.len()
            }),
        ),
    ]
}

fn make_accounts(storage: &Sqlite, accounts: u64, now_ms: i64) {
    let mut desk = storage.desk().unwrap();
    for number in 0..accounts {
        let account = desk.create_account(&format!("account-{number}"), "default", Nano(1), now_ms).unwrap();
        for name in ["first", "second"] {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            hash[8] = name.as_bytes()[0];
            let key = NewKey {
                name: name.into(),
                hash: tollgate::core::key::KeyHash(hash),
                prefix: "sk-tg-abcd…wxyz".into(),
                expires_at_ms: None,
                models: Vec::new(),
                limits: tollgate::core::key::Limits::default(),
                budget: None,
                allow_ips: Vec::new(),
            };
            desk.create_key(account.id, &key, now_ms).unwrap();
        }
    }
}

/// Writes the records, oldest first, and the totals that the journal would have made of them. Their money has no ledger
/// entries: no page here reads those by more than an index.
fn fill(path: &Path, records: u64, accounts: u64, now_ms: i64) {
    let books = Connection::open(path).unwrap();
    books.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -2000000; PRAGMA temp_store = FILE;").unwrap();
    let indexes: Vec<(String, String)> = {
        let sql =
            "SELECT name, sql FROM sqlite_schema WHERE tbl_name = 'request' AND type = 'index' AND sql IS NOT NULL";
        let mut statement = books.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    // An index is made faster of all its rows at once.
    let drops: String = indexes.iter().map(|(name, _)| format!("DROP INDEX {name};")).collect();
    let makes: String = indexes.iter().map(|(_, sql)| format!("{sql};")).collect();
    let words: String =
        (0..12).map(|n| format!("('model-{n}'), ")).chain((0..3).map(|n| format!("('upstream-{n}'), "))).collect();
    let span_ms = 90 * DAY_MS;
    let first_ms = now_ms - span_ms;
    books
        .execute_batch(&format!(
            "BEGIN; {drops}
             INSERT INTO word (text) VALUES {words} ('chat_completions'), ('v1');
             -- Numbers that look like chance, and are the same each time. Few accounts have most requests.
             WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {records} - 1),
             chance AS MATERIALIZED (SELECT i, {first_ms} + i * {span_ms} / {records} AS at_ms,
                    (i * 2654435761 + 12345) % 4294967296 / 4294967296.0 AS a, (i * 40503 + i / 7 * 9973) % 1000003 AS b FROM n),
             request_of AS (SELECT i, at_ms, a, b, 1 + CAST(a * a * a * a * a * {accounts} AS INTEGER) AS account FROM chance)
             INSERT INTO request (id, account, key, endpoint, model, upstream, price_version, status, outcome, estimated,
                 anomalous, streamed, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, charge, cost, bill,
                 started_at_ms, ttft_ms, duration_ms)
             SELECT unhex(printf('%012x7%03x8%015x', at_ms, b % 4096, i)), account, account * 2 - (b % 3 > 0),
                 (SELECT id FROM word WHERE text = 'chat_completions'), 1 + b % 12, 13 + b % 12 % 3,
                 (SELECT id FROM word WHERE text = 'v1'), iif(b % 500 = 1, 429, 200), iif(b % 500 = 1, 'rejected', 'ok'), 0, 0, b % 2,
                 b % 4000, b % 1000, b % 700, 0, b * 3, b * 3,
                 printf('input %d 150000;cached_input %d 75000;output %d 600000;x1000000', b % 3000, b % 1000, b % 700),
                 at_ms, 100 + b % 900, 1000 + b % 9000
             FROM request_of;
             {makes}
             INSERT INTO usage_day
             SELECT started_at_ms / 86400000 AS day, account, key, model, upstream, {SUMS} FROM request
             GROUP BY day, account, key, model, upstream;
             INSERT INTO usage_span
             SELECT 1440, day, 0, 0, model, upstream, {SUMS_OF_SUMS} FROM usage_day GROUP BY day, model, upstream;
             INSERT INTO usage_span
             SELECT 1, started_at_ms / 60000 AS nth, account, key, model, upstream, {SUMS} FROM request
             WHERE started_at_ms >= {kept_ms} GROUP BY nth, account, key, model, upstream;
             INSERT INTO usage_span
             SELECT s.span, nth / s.span AS number, 0, 0, model, upstream, {SUMS_OF_SUMS}
             FROM usage_span u JOIN (SELECT 1 AS span UNION ALL SELECT 15) s
             WHERE u.span = 1 GROUP BY s.span, number, model, upstream;
             COMMIT; PRAGMA wal_checkpoint(TRUNCATE);",
            kept_ms = now_ms - 15 * DAY_MS,
        ))
        .unwrap();
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

const SUMS: &str = "count(*), sum(outcome <> 'ok'), sum(input_tokens), sum(cached_input_tokens), sum(output_tokens),
    sum(reasoning_tokens), sum(charge), sum(cost)";
const SUMS_OF_SUMS: &str =
    "sum(requests), sum(errors), sum(input_tokens), sum(cached_input_tokens), sum(output_tokens),
    sum(reasoning_tokens), sum(charge), sum(cost)";
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;
const ROUNDS: usize = 8;
/// Of one answer that was asked for before. Generous for one that is asked for among many others.
const WITHIN: Duration = Duration::from_millis(50);
/// These add up a million totals and more, when somebody asks for weeks in place of the day that pages begin with.
const FAR: [&str; 3] = ["series of 7 days, busy account", "top accounts of 30 days", "top keys of 30 days"];
const FAR_WITHIN: Duration = Duration::from_millis(300);
