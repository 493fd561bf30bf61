//! Lists in parts, charts and figures for pages.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;
use crate::core::account::{AccountId, AccountStatus};
use crate::core::key::{KeyId, KeyStatus};
use crate::store::contract::console::*;

const MINUTE_MS: i64 = 60_000;

fn page(limit: u32) -> Page {
    Page { after: None, limit }
}

/// Follows a list to its end in parts of this size; gives its rows and in how many parts they came.
fn follow<T>(limit: u32, mut part: impl FnMut(&Page) -> Result<Paged<T>, StoreError>) -> (Vec<T>, usize) {
    let (mut rows, mut asked) = (Vec::new(), page(limit));
    for parts in 1..1_000 {
        let found = part(&asked).unwrap();
        assert!(found.rows.len() <= limit as usize);
        rows.extend(found.rows);
        match found.next {
            Some(next) => asked.after = Some(next),
            None => return (rows, parts),
        }
    }
    panic!("the list does not end");
}

impl Books {
    fn reports(&self) -> SqliteReports {
        self.sqlite.reports().unwrap()
    }

    fn commit(&mut self, rows: impl IntoIterator<Item = RequestRow>) {
        let group: Vec<Change> = rows.into_iter().map(|row| Change::Settle(Box::new(row))).collect();
        self.journal.commit(&group).unwrap();
    }
}

#[test]
fn requests_are_filtered_and_followed_to_the_end() {
    let mut books = Books::new();
    let bob = books.desk.create_account("bob", "default", Nano::ZERO, NOW_MS).unwrap().id;
    let key = books.desk.create_key(bob, &new_key("b"), NOW_MS).unwrap().record.id;
    let rows: Vec<RequestRow> = (0..40u64)
        .map(|n| {
            let started_at_ms = NOW_MS + n as i64 * MINUTE_MS;
            let mut row =
                RequestRow { request: request_id_at(started_at_ms, n), started_at_ms, ..books.end(n, "0.001") };
            if n % 2 == 0 {
                (row.account, row.key) = (bob, key);
            }
            if n % 4 == 0 {
                (row.status, row.outcome) = (429, Outcome::Rejected);
            }
            if n % 5 == 0 {
                (row.model, row.upstream, row.endpoint) = ("m5".into(), String::new(), "embeddings".into());
            }
            row
        })
        .collect();
    books.commit(rows.clone());
    let reports = books.reports();
    let none = RequestQuery::default();
    let alice = Some(books.account.id);
    type Expected = Box<dyn Fn(u64) -> bool>;
    let cases: Vec<(RequestQuery, Expected)> = vec![
        (none.clone(), Box::new(|_| true)),
        (RequestQuery { account: alice, ..none.clone() }, Box::new(|n| n % 2 == 1)),
        (RequestQuery { key: Some(key), ..none.clone() }, Box::new(|n| n % 2 == 0)),
        (RequestQuery { account: alice, key: Some(key), ..none.clone() }, Box::new(|_| false)),
        (RequestQuery { account: Some(bob), key: Some(key), failed: true, ..none.clone() }, Box::new(|n| n % 4 == 0)),
        (RequestQuery { model: Some("m5".into()), ..none.clone() }, Box::new(|n| n % 5 == 0)),
        (
            RequestQuery { upstream: Some("openai".into()), account: alice, ..none.clone() },
            Box::new(|n| n % 5 > 0 && n % 2 == 1),
        ),
        (
            RequestQuery { endpoint: Some("embeddings".into()), status: Some(200), ..none.clone() },
            Box::new(|n| n % 5 == 0 && n % 4 > 0),
        ),
        (RequestQuery { outcome: Some(Outcome::Rejected), ..none.clone() }, Box::new(|n| n % 4 == 0)),
        (RequestQuery { model: Some("never seen".into()), ..none.clone() }, Box::new(|_| false)),
        (RequestQuery { model: Some("' OR 1=1 --".into()), ..none.clone() }, Box::new(|_| false)),
        (
            RequestQuery {
                since_ms: Some(NOW_MS + 3 * MINUTE_MS),
                until_ms: Some(NOW_MS + 9 * MINUTE_MS),
                ..none.clone()
            },
            Box::new(|n| (3..9).contains(&n)),
        ),
        (RequestQuery { since_ms: Some(i64::MIN), until_ms: Some(i64::MAX), ..none }, Box::new(|_| true)),
    ];
    for (query, wanted) in cases {
        let expected: Vec<RequestRow> =
            (0..40).rev().filter(|n| wanted(*n)).map(|n| rows[n as usize].clone()).collect();
        for limit in [1, 7, 40, 10_000] {
            let (found, _) = follow(limit, |page| reports.requests(&query, page));
            let found: Vec<RequestRow> = found.into_iter().map(|view| view.row).collect();
            assert_eq!(found, expected, "{query:?} in parts of {limit}");
        }
    }
}

#[test]
fn a_search_for_what_is_rare_goes_on_in_the_next_part() {
    let mut books = Books::new();
    let rare = RequestRow { status: 418, ..books.end(1, "0") };
    let common: Vec<RequestRow> = (2..20_102).map(|n| books.end(n, "0")).collect();
    books.commit([rare.clone()]);
    books.commit(common);
    let reports = books.reports();
    let query = RequestQuery { status: Some(418), account: Some(books.account.id), ..RequestQuery::default() };
    let part = reports.requests(&query, &page(10)).unwrap();
    assert!(part.rows.is_empty());
    let looked_at: RequestId = part.next.clone().unwrap().parse().unwrap();
    assert_eq!(looked_at, request_id(102), "after 20,000 of them");
    let rest = reports.requests(&query, &Page { after: part.next, limit: 10 }).unwrap();
    assert_eq!(rest.rows.iter().map(|view| view.row.clone()).collect::<Vec<_>>(), [rare]);
    assert_eq!(rest.next, None);
}

#[test]
fn a_cursor_that_is_none_is_refused() {
    let books = Books::new();
    let reports = books.reports();
    let after = |text: &str| Page { after: Some(text.into()), limit: 10 };
    for text in
        ["", "1", "x", "req_1", "0190a0a0-0000-7000-8000-000000000000", "acc_none", "-1", "99999999999999999999", "'"]
    {
        refusal(reports.requests(&RequestQuery::default(), &after(text)));
        refusal(reports.accounts(&AccountFilter::default(), &after(text)));
        refusal(reports.keys(&KeyFilter::default(), &after(text)));
        refusal(reports.people(&after(text)));
        refusal(reports.invitations(&after(text)));
        refusal(reports.codes(&CodeFilter::default(), &after(text), NOW_MS));
    }
    for text in ["", "x", "0", "-1", "1.5", "99999999999999999999"] {
        refusal(reports.ledger(&LedgerFilter::default(), &after(text)));
        refusal(reports.actions(&after(text)));
    }
}

#[test]
fn accounts_are_found_by_a_part_of_their_name() {
    let mut books = Books::new();
    for (name, group) in [("al_ce", "vip"), ("al.b", "default"), ("zoe", "vip")] {
        books.desk.create_account(name, group, Nano::ZERO, NOW_MS).unwrap();
    }
    let zoe = books.library.account("zoe").unwrap().unwrap();
    let suspend = AccountPatch { status: Some(AccountStatus::Suspended), ..AccountPatch::default() };
    books.desk.update_account(zoe.id, &suspend).unwrap();
    books.journal.commit(&[books.hold(1, "2")]).unwrap();
    let reports = books.reports();
    let names = |filter: &AccountFilter| {
        let (rows, _) = follow(2, |page| reports.accounts(filter, page));
        rows.into_iter().map(|row| row.name).collect::<Vec<_>>()
    };
    let searched = |text: &str| names(&AccountFilter { search: Some(text.into()), ..AccountFilter::default() });
    assert_eq!(names(&AccountFilter::default()), ["al.b", "al_ce", "alice", "zoe"]);
    assert_eq!(searched("AL"), ["al.b", "al_ce", "alice"]);
    assert_eq!(searched("l_c"), ["al_ce"]);
    assert_eq!(searched("%"), [""; 0]);
    assert_eq!(searched("\\"), [""; 0]);
    assert_eq!(searched(&zoe.public_id), ["zoe"]);
    refusal(reports.accounts(&AccountFilter { search: Some("x".repeat(201)), ..AccountFilter::default() }, &page(1)));
    let group = Some("vip".to_owned());
    assert_eq!(names(&AccountFilter { group: group.clone(), ..AccountFilter::default() }), ["al_ce", "zoe"]);
    let status = Some(AccountStatus::Active);
    assert_eq!(names(&AccountFilter { group, status, search: None }), ["al_ce"]);
    let alice = AccountFilter { search: Some("alice".into()), ..AccountFilter::default() };
    assert_eq!(reports.accounts(&alice, &page(5)).unwrap().rows, [books.account()]);
}

#[test]
fn keys_are_found_by_name_beginning_and_hash() {
    let mut books = Books::new();
    let bob = books.desk.create_account("bob", "default", Nano::ZERO, NOW_MS).unwrap().id;
    let [server, gone] =
        ["Server", "gone"].map(|name| books.desk.create_key(bob, &new_key(name), NOW_MS).unwrap().record);
    let delete = KeyPatch { status: Some(KeyStatus::Deleted), ..KeyPatch::default() };
    books.desk.update_key(gone.id, &delete).unwrap();
    let reports = books.reports();
    let names = |filter: &KeyFilter| {
        let (rows, _) = follow(1, |page| reports.keys(filter, page));
        rows.into_iter().map(|row| row.record.name).collect::<Vec<_>>()
    };
    let none = KeyFilter::default();
    assert_eq!(names(&none), ["Server", "laptop"]);
    assert_eq!(names(&KeyFilter { account: Some(bob), ..none.clone() }), ["Server"]);
    for search in ["serv", &server.public_id[..12], &server.prefix[..10]] {
        assert_eq!(
            names(&KeyFilter { account: Some(bob), search: Some(search.into()), hash: None }),
            ["Server"],
            "{search}"
        );
    }
    assert_eq!(names(&KeyFilter { search: Some("gone".into()), ..none.clone() }), [""; 0]);
    assert_eq!(names(&KeyFilter { hash: Some(server.hash), ..none.clone() }), ["Server"]);
    assert_eq!(names(&KeyFilter { hash: Some(gone.hash), ..none.clone() }), [""; 0]);
    assert_eq!(names(&KeyFilter { hash: Some(server.hash), account: Some(books.account.id), search: None }), [""; 0]);
}

#[test]
fn entries_of_each_kind_are_listed_with_their_account() {
    let mut books = Books::new();
    let bob = books.desk.create_account("bob", "default", units("3"), NOW_MS).unwrap().id;
    books.desk.post(bob, EntryKind::Adjust, units("-1"), None, Some("why"), NOW_MS).unwrap();
    books.journal.commit(&[books.settle(1, "0.5"), books.settle(2, "0.25")]).unwrap();
    let reports = books.reports();
    let amounts = |account, kind| {
        let (rows, _) = follow(1, |page| reports.ledger(&LedgerFilter { account, kind }, page));
        rows.into_iter().map(|row| format!("{} {}", row.account_name, row.entry.amount)).collect::<Vec<_>>()
    };
    assert_eq!(amounts(None, None), ["alice -0.25", "alice -0.5", "bob -1", "bob 3", "alice 10"]);
    assert_eq!(amounts(Some(books.account.id), None), ["alice -0.25", "alice -0.5", "alice 10"]);
    assert_eq!(amounts(Some(books.account.id), Some(EntryKind::Credit)), ["alice 10"]);
    assert_eq!(amounts(None, Some(EntryKind::Credit)), ["bob 3", "alice 10"]);
    assert_eq!(amounts(None, Some(EntryKind::Charge)), ["alice -0.25", "alice -0.5"]);
    assert_eq!(amounts(None, Some(EntryKind::Refund)), [""; 0]);
    let entry = reports.entry(1).unwrap().unwrap();
    assert_eq!((entry.account_name.as_str(), entry.entry.amount), ("alice", units("10")));
    assert_eq!(reports.entry(99).unwrap(), None);
}

/// As the rooms that write them do, so that this does not depend on those.
const PEOPLE: &str = "
    INSERT INTO person (id, public_id, login, folded, role, status, account, password, created_at_ms) VALUES
        (1, 'per_1', 'Olga', 'olga', 'operator', 'active', NULL, '$x', 1), (2, 'per_2', 'ali', 'ali', 'customer', 'disabled', 1, '$x', 2);
    INSERT INTO invitation (public_id, hash, first, role, account, resets, created_at_ms, expires_at_ms) VALUES
        ('inv_1', zeroblob(32), 0, 'customer', 1, NULL, 1, 2), ('inv_2', randomblob(32), 0, NULL, NULL, 2, 3, 4);
    INSERT INTO redeem_code (public_id, hash, name, ending, amount, created_at_ms, expires_at_ms, voided_at_ms, redeemed_at_ms, redeemed_by) VALUES
        ('cod_open', randomblob(32), 'gift', 'AAAA', 5, 1, NULL, NULL, NULL, NULL), ('cod_over', randomblob(32), 'gift', 'BBBB', 6, 1, 100, NULL, NULL, NULL),
        ('cod_void', randomblob(32), 'gift', 'CCCC', 7, 1, NULL, 50, NULL, NULL), ('cod_used', randomblob(32), 'other', 'DDDD', 8, 1, NULL, NULL, 60, 1);
    INSERT INTO action (actor_kind, actor_id, actor, address, action, target, before, after, at_ms) VALUES
        ('person', 'per_1', 'Olga', '192.0.2.7', 'account.create', 'acc_1', NULL, '{\"name\":\"x\"}', 5), ('command_line', '', '', NULL, 'credit', 'acc_1', NULL, NULL, 6);";

#[test]
fn people_invitations_codes_and_actions_are_listed_newest_first() {
    let books = Books::new();
    let actions_before = books.reports().actions(&page(100)).unwrap().rows.len();
    books.raw().execute_batch(PEOPLE).unwrap();
    let reports = books.reports();
    let (people, _) = follow(1, |page| reports.people(page));
    assert_eq!(people.iter().map(|row| row.login.as_str()).collect::<Vec<_>>(), ["ali", "Olga"]);
    assert_eq!(reports.person("per_2").unwrap().as_ref(), Some(&people[0]));
    assert_eq!(people[0].account.as_ref().map(|account| account.name.as_str()), Some("alice"));
    assert_eq!(reports.person("per_9").unwrap(), None);
    let (invitations, _) = follow(1, |page| reports.invitations(page));
    let shown: Vec<_> = invitations.iter().map(|row| (row.public_id.as_str(), row.resets.as_deref())).collect();
    assert_eq!(shown, [("inv_2", Some("ali")), ("inv_1", None)]);
    let codes = |state, name: Option<&str>| {
        let filter = CodeFilter { state, name: name.map(Into::into) };
        let (rows, _) = follow(1, |page| reports.codes(&filter, page, 100));
        rows.into_iter().map(|row| row.public_id.trim_start_matches("cod_").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(codes(None, None), ["used", "void", "over", "open"]);
    assert_eq!(codes(None, Some("gift")), ["void", "over", "open"]);
    assert_eq!(codes(Some(CodeState::Open), Some("gift")), ["open"]);
    assert_eq!(codes(Some(CodeState::Expired), None), ["over"]);
    assert_eq!(codes(Some(CodeState::Void), None), ["void"]);
    assert_eq!(codes(Some(CodeState::Redeemed), Some("gift")), [""; 0]);
    assert_eq!(codes(Some(CodeState::Redeemed), None), ["used"]);
    let (actions, _) = follow(1, |page| reports.actions(page));
    assert_eq!(actions.len(), actions_before + 2);
    assert_eq!((actions[0].action.as_str(), actions[1].actor.as_str()), ("credit", "Olga"));
    // A code that is over at this very moment cannot be redeemed any more.
    assert_eq!(reports.standing(100).unwrap().codes_open, NanoSum(5));
    assert_eq!(reports.standing(99).unwrap().codes_open, NanoSum(11));
}

#[test]
fn figures_say_what_is_there() {
    let mut books = Books::new();
    books.desk.create_account("bob", "default", units("3"), NOW_MS).unwrap();
    books.journal.commit(&[books.hold(1, "2"), books.settle(2, "0.5")]).unwrap();
    let reports = books.reports();
    let standing =
        Standing { balance: units("12.5").into(), held: units("2").into(), accounts: 2, codes_open: NanoSum(0) };
    assert_eq!(reports.standing(NOW_MS).unwrap(), standing);
    let facts = reports.facts().unwrap();
    assert_eq!((facts.accounts, facts.keys, facts.people, facts.ledger_entries), (2, 1, 0, 3));
    assert!(facts.file_bytes > 0 && facts.log_bytes > 0 && facts.schema_version >= 3, "{facts:?}");
}

#[test]
fn latency_is_that_of_the_latest_good_requests() {
    let mut books = Books::new();
    let reports = books.reports();
    assert_eq!(reports.latency(None, 0).unwrap(), Latency::default());
    let mut rows: Vec<RequestRow> = (1..=100u64)
        .map(|n| {
            let n32 = n as u32;
            // Ten tokens after the first, in as many milliseconds as its number.
            RequestRow { ttft_ms: Some(n32 * 10), duration_ms: n32 * 11, output_tokens: 11, ..books.end(n, "0") }
        })
        .collect();
    rows.push(RequestRow { outcome: Outcome::Refused, ttft_ms: None, duration_ms: 0, ..books.end(101, "0") });
    let old = NOW_MS - DAY_MS;
    rows.push(RequestRow { request: request_id_at(old, 1), started_at_ms: old, duration_ms: 1, ..books.end(0, "0") });
    books.commit(rows);
    let expected = Latency {
        sample: 100,
        ttft_p50_ms: Some(500),
        ttft_p95_ms: Some(950),
        duration_p50_ms: Some(550),
        duration_p95_ms: Some(1_045),
        tokens_per_second: Some(1_000 * 1_000 / 5_050),
    };
    assert_eq!(reports.latency(None, NOW_MS).unwrap(), expected);
    assert_eq!(reports.latency(Some(books.account.id), NOW_MS).unwrap(), expected);
    assert_eq!(reports.latency(Some(AccountId(99)), NOW_MS).unwrap(), Latency::default());
    assert_eq!(reports.latency(None, 0).unwrap().sample, 101);
}

#[test]
fn a_chart_that_cannot_be_drawn_is_refused() {
    let mut books = Books::new();
    let reports = books.reports();
    let query = SeriesQuery {
        by: SeriesBy::Total,
        account: None,
        key: None,
        model: None,
        since_ms: NOW_MS,
        until_ms: NOW_MS + DAY_MS,
        bucket_ms: MINUTE_MS,
    };
    for bucket_ms in [i64::MIN, -MINUTE_MS, 0, 1, 59_999, 7 * MINUTE_MS, 2 * DAY_MS, i64::MAX] {
        refusal(reports.series(&SeriesQuery { bucket_ms, ..query.clone() }));
    }
    refusal(reports.series(&SeriesQuery { until_ms: NOW_MS, ..query.clone() }));
    refusal(reports.series(&SeriesQuery { until_ms: i64::MAX, ..query.clone() }));
    assert_eq!(reports.series(&SeriesQuery { model: Some("no such".into()), ..query.clone() }).unwrap(), []);
    assert_eq!(reports.series(&SeriesQuery { key: Some(KeyId(99)), ..query.clone() }).unwrap(), []);

    // Two months after, the minutes are gone, the days are not, and nobody is told zeros.
    books.commit([books.end(1, "0.5")]);
    assert_eq!(reports.series(&query).unwrap().len(), 1);
    while books.journal.prune(0).unwrap() > 0 {}
    let why = refusal(reports.series(&query));
    assert!(why.contains("fifteen days"), "{why}");
    assert_eq!(reports.series(&SeriesQuery { bucket_ms: DAY_MS, ..query.clone() }).unwrap().len(), 1);
    let later = SeriesQuery { since_ms: NOW_MS + 15 * MINUTE_MS, ..query };
    assert_eq!(reports.series(&later).unwrap(), []);
    books.assert_proved();
}

/// When, whose, which model, which upstream, whether it failed, what it cost.
type Request = (i64, bool, usize, usize, bool, i64);

fn any_request() -> impl Strategy<Value = Request> {
    (0..3 * 1_440i64, any::<bool>(), 0..3usize, 0..2usize, any::<bool>(), 0..1_000i64)
}

#[test]
fn an_older_file_gets_the_totals_that_it_would_have() {
    let mut books = Books::new();
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let at = |age_ms: i64, n| {
        let started_at_ms = now_ms - age_ms;
        RequestRow { request: request_id_at(started_at_ms, n), started_at_ms, ..books.end(n, "0.5") }
    };
    // Of the last days, and of a day whose minutes nobody keeps.
    let rows = [at(0, 1), at(1, 2), at(20 * MINUTE_MS, 3), at(14 * DAY_MS, 4), at(40 * DAY_MS, 5)];
    books.commit(rows);
    let spans = |books: &Books| {
        let raw = books.raw();
        let mut statement = raw.prepare("SELECT * FROM usage_span").unwrap();
        let columns = 0..statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            columns.clone().map(|column| row.get(column)).collect::<rusqlite::Result<Vec<i64>>>()
        };
        statement.query_map([], row).unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    let written = spans(&books);
    let younger = |row: &&Vec<i64>| row[0] == 1_440 || row[1] * row[0] >= (now_ms - 15 * DAY_MS) / MINUTE_MS;
    let kept: Vec<Vec<i64>> = written.iter().filter(younger).cloned().collect();
    assert_eq!(written.len() - kept.len(), 3, "a minute of the account, and a minute and a quarter of all");
    // As version 2 left it.
    books
        .raw()
        .execute_batch(
            "DROP TABLE usage_span; DROP INDEX ledger_account_by_hand; ALTER TABLE request DROP COLUMN bill;
         ALTER TABLE request DROP COLUMN cost; ALTER TABLE usage_day DROP COLUMN cost;
         ALTER TABLE meta DROP COLUMN spans_from; ALTER TABLE meta DROP COLUMN promised_through;
         PRAGMA user_version = 2;",
        )
        .unwrap();
    Sqlite::open(&books.folder.path().join("t.db"), Durability::Normal).unwrap();
    assert_eq!(spans(&books), kept);
    books.assert_proved();
    let query = SeriesQuery {
        by: SeriesBy::Total,
        account: None,
        key: None,
        model: None,
        since_ms: now_ms - 16 * DAY_MS,
        until_ms: now_ms,
        bucket_ms: 15 * MINUTE_MS,
    };
    refusal(books.reports().series(&query));
    assert_eq!(books.reports().series(&SeriesQuery { bucket_ms: DAY_MS, ..query }).unwrap().len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Every chart shows what the records add up to, wherever its totals come from, and however they were grouped when
    /// they were written.
    #[test]
    fn charts_add_up_to_the_records(requests in proptest::collection::vec(any_request(), 1..60), group in 1..20usize,
                                    replays in 0..5usize) {
        let mut books = Books::new();
        let bob = books.desk.create_account("bob", "default", Nano::ZERO, NOW_MS).unwrap().id;
        let bobs_key = books.desk.create_key(bob, &new_key("b"), NOW_MS).unwrap().record;
        let rows: Vec<RequestRow> = requests.iter().zip(0..).map(|((minute, is_bobs, model, upstream, failed, charge), n)| {
            let started_at_ms = NOW_MS + minute * MINUTE_MS;
            RequestRow {
                request: request_id_at(started_at_ms, n),
                started_at_ms,
                account: if *is_bobs { bob } else { books.account.id },
                key: if *is_bobs { bobs_key.id } else { books.key.record.id },
                model: ["a", "b", "c"][*model].into(),
                upstream: ["", "u"][*upstream].into(),
                outcome: if *failed { Outcome::UpstreamFailed } else { Outcome::Ok },
                charge: Nano(*charge),
                ..books.end(n, "0")
            }
        }).collect();
        for part in rows.chunks(group) {
            books.commit(part.to_vec());
        }
        books.commit(rows.iter().take(replays).cloned());
        let reports = books.reports();
        let keys: HashMap<KeyId, String> =
            [&bobs_key, &books.key.record].into_iter().map(|key| (key.id, key.public_id.clone())).collect();
        let (since_ms, until_ms) = (NOW_MS + 77 * MINUTE_MS, NOW_MS + 2 * DAY_MS);
        for by in [SeriesBy::Total, SeriesBy::Model, SeriesBy::Upstream, SeriesBy::Key] {
            for minutes in [1, 5, 15, 60, 720, 1_440] {
                for (account, key, model) in [
                    (None, None, None), (Some(bob), None, None), (None, Some(bobs_key.id), None), (None, None, Some("b")),
                    (Some(books.account.id), Some(bobs_key.id), None), (Some(bob), Some(bobs_key.id), Some("a")),
                ] {
                    let bucket_ms = minutes * MINUTE_MS;
                    let begin_ms = since_ms / bucket_ms * bucket_ms;
                    let end_ms = (until_ms + bucket_ms - 1) / bucket_ms * bucket_ms;
                    let mut expected: BTreeMap<(i64, String), UsageRow> = BTreeMap::new();
                    for row in rows.iter().filter(|row| (begin_ms..end_ms).contains(&row.started_at_ms)) {
                        let is_wanted = account.is_none_or(|account| row.account == account)
                            && key.is_none_or(|key| row.key == key)
                            && model.is_none_or(|model| row.model == model);
                        let part = match by {
                            SeriesBy::Total => "total".to_owned(),
                            SeriesBy::Model => row.model.clone(),
                            SeriesBy::Upstream => row.upstream.clone(),
                            SeriesBy::Key => keys[&row.key].clone(),
                        };
                        if is_wanted {
                            let at_ms = row.started_at_ms / bucket_ms * bucket_ms;
                            let sum = expected.entry((at_ms, part.clone())).or_default();
                            sum.group = part;
                            sum.requests += 1;
                            sum.errors += u64::from(row.outcome != Outcome::Ok);
                            sum.input_tokens += row.input_tokens;
                            sum.cached_input_tokens += row.cached_input_tokens;
                            sum.output_tokens += row.output_tokens;
                            sum.reasoning_tokens += row.reasoning_tokens;
                            sum.charge = sum.charge.saturating_add(row.charge);
                        }
                    }
                    let expected: Vec<SeriesRow> =
                        expected.into_iter().map(|((at_ms, _), row)| SeriesRow { at_ms, row }).collect();
                    let query = SeriesQuery { by, account, key, model: model.map(Into::into), since_ms, until_ms, bucket_ms };
                    prop_assert_eq!(reports.series(&query).unwrap(), expected, "{:?}", query);
                }
            }
        }
        books.assert_proved();
    }
}
