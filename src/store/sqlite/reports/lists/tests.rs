//! Which indexes serve the lists: none may read its table from one end to the other, or sort it.

use super::*;
use crate::core::account::AccountId;
use crate::core::key::{KeyHash, KeyId};
use crate::store::contract::Outcome;
use crate::store::sqlite::{Durability, Sqlite};

#[test]
fn every_list_is_read_in_the_order_of_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let connection = Sqlite::open(&folder.path().join("t.db"), Durability::Normal).unwrap().place.connect().unwrap();
    connection.execute("INSERT INTO word (text) VALUES ('m')", []).unwrap();
    let account = Some(AccountId(1));
    let request = |query: RequestQuery| requests(&connection, &query).unwrap().unwrap();
    let (key, failed, model) = (Some(KeyId(1)), true, Some("m".to_owned()));
    let mixed =
        RequestQuery { failed, model, status: Some(200), outcome: Some(Outcome::Ok), ..RequestQuery::default() };
    let timed = RequestQuery { since_ms: Some(1), until_ms: Some(2), ..mixed.clone() };
    let kind = |kind, account| ledger(&LedgerFilter { account, kind: Some(kind) });
    let codes_of =
        |name: Option<&str>| codes(&CodeFilter { state: Some(CodeState::Open), name: name.map(str::to_owned) }, 7);
    let search = Some("x".to_owned());
    for (list, index) in [
        (accounts(&AccountFilter { search: search.clone(), ..AccountFilter::default() }).unwrap(), "a USING INDEX"),
        (keys(&KeyFilter { search: search.clone(), ..KeyFilter::default() }).unwrap(), "k USING INTEGER PRIMARY KEY"),
        (keys(&KeyFilter { account, search, hash: None }).unwrap(), "k USING INDEX api_key_account"),
        (
            keys(&KeyFilter { account, search: None, hash: Some(KeyHash([0; 32])) }).unwrap(),
            "k USING INDEX sqlite_auto",
        ),
        (request(RequestQuery::default()), "r USING PRIMARY KEY"),
        (request(mixed.clone()), "r USING PRIMARY KEY"),
        (request(timed.clone()), "r USING PRIMARY KEY"),
        (request(RequestQuery { account, ..timed.clone() }), "r USING INDEX request_account"),
        (request(RequestQuery { account, key, ..timed }), "r USING INDEX request_key"),
        (request(RequestQuery { key, ..mixed }), "r USING INDEX request_key"),
        (ledger(&LedgerFilter::default()), "l USING INTEGER PRIMARY KEY"),
        (ledger(&LedgerFilter { account, kind: None }), "l USING INDEX ledger_account"),
        (kind(EntryKind::Charge, None), "l USING INTEGER PRIMARY KEY"),
        (kind(EntryKind::Charge, account), "l USING INDEX ledger_account ("),
        (kind(EntryKind::Credit, None), "l USING INDEX ledger_by_hand"),
        (kind(EntryKind::Credit, account), "l USING INDEX ledger_account_by_hand"),
        (people(), "p USING INTEGER PRIMARY KEY"),
        (invitations(), "i USING INTEGER PRIMARY KEY"),
        (codes_of(None), "c USING INTEGER PRIMARY KEY"),
        (codes_of(Some("n")), "c USING INDEX redeem_code_name"),
        (actions(), "action USING INTEGER PRIMARY KEY"),
    ] {
        // Somewhere in the middle of the list.
        let beyond = if list.newest_first { "<" } else { ">" };
        let mut ranges = list.ranges.clone();
        ranges.and(&format!("{} {beyond} ?", list.order), [Value::Null]);
        assert_served(&connection, &list.scan_statement(&ranges), index);
        ranges.append(&list.filters);
        assert_served(&connection, &list.statement(&ranges, 51), index);
    }
}

fn assert_served(connection: &Connection, sql: &str, index: &str) {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let nothing = vec![Value::Null; statement.parameter_count()];
    let plan = statement.query_map(params_from_iter(nothing), |row| row.get::<_, String>("detail")).unwrap();
    let plan: Vec<String> = plan.map(Result::unwrap).collect();
    let covering = index.replace("USING INDEX", "USING COVERING INDEX");
    let served = plan
        .iter()
        .any(|step| step.contains(&format!("SEARCH {index}")) || step.contains(&format!("SEARCH {covering}")));
    // What is scanned is `hold`, which has the requests that run right now.
    let scans = plan
        .iter()
        .any(|step| step.starts_with("SCAN") && !["SCAN hold", "SCAN h"].iter().any(|small| step.starts_with(small)));
    let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE FOR ORDER BY"));
    assert!(served && !scans && !sorts, "{index}: {sql}\n{plan:#?}");
}
