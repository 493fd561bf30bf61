//! The admin API where people look: lists in parts and as spreadsheets, totals, one request's bill, prices.

use std::collections::HashSet;

use serde_json::{Value, json};
use tollgate::core::money::Nano;

use crate::support::console::Console;
use crate::support::stand::{Plan, Play, Stand, chat, nano};
use crate::support::upstream::usage;

const MODELS: &str = "  m: {upstreams: [{name: up}], price: {input: 1, cached_input: \"0.5\", output: 2}}\n  \
                      n: {aliases: [nn], upstreams: [{name: up, model: far}], price: {input: \"0.15\", output: \"0.6\"}}\n";
const GROUPS: &str = "  default: {}\n  partner: {markup: \"1.2\"}\n";

/// `alice` (a partner) and `bob` have 100 each; `alice` is also a customer who can sign in.
async fn stand() -> (Stand, Console, Console) {
    let stand = Stand::start(Plan { groups: GROUPS, ..Plan::models(MODELS) }).await;
    let operator = Console::operator(&stand.gateway).await;
    stand.account_in("partner", "alice", "100");
    stand.account("bob", "100");
    let alice = operator.customer(&stand.gateway, "alice", "alice").await;
    (stand, operator, alice)
}

fn sum(rows: &[Value], field: &str) -> Nano {
    rows.iter().fold(Nano::ZERO, |sum, row| sum.saturating_add(nano(row[field].as_str().unwrap())))
}

fn column(rows: &[Value], field: &str) -> Vec<String> {
    rows.iter().map(|row| row[field].to_string().trim_matches('"').to_owned()).collect()
}

#[tokio::test]
async fn a_list_in_parts_is_whole_while_rows_are_added() {
    let (stand, operator, alice) = stand().await;
    let key = |nth: usize| json!({"name": format!("key {nth}")});
    let mut made = Vec::new();
    for nth in 0..9 {
        made.push(alice.post("/api/keys", key(nth)).await.expect(201)["id"].as_str().unwrap().to_owned());
        let credit = json!({"amount": "1", "note": format!("n{nth}")});
        operator.post("/api/accounts/alice/credits", credit).await.expect(201);
    }
    for (path, field, count) in [("/api/keys", "id", 9), ("/api/accounts/alice/ledger", "seq", 10)] {
        let mut seen = Vec::new();
        let mut after: Option<String> = None;
        for part in 0..3 {
            let found = alice.part(path, 4, after.as_deref()).await;
            let rows = found["data"].as_array().unwrap();
            assert!(rows.len() <= 4, "{path}");
            seen.extend(column(rows, field));
            after = found["next"].as_str().map(str::to_owned);
            assert_eq!(after.is_some(), part < 2, "{path} part {part}: {found}");
            // What is new is at the front, and no part is moved by it.
            alice.post("/api/keys", json!({"name": "late"})).await.expect(201);
            let credit = json!({"amount": "1", "note": "late"});
            operator.post("/api/accounts/alice/credits", credit).await.expect(201);
        }
        let distinct: HashSet<_> = seen.iter().collect();
        assert_eq!((seen.len(), distinct.len()), (count, count), "{path}: {seen:?}");
        if path == "/api/keys" {
            assert!(seen.iter().rev().eq(made.iter()), "newest first: {seen:?}");
            for key in alice.all("/api/keys?q=late", 200).await {
                alice.delete(&format!("/api/keys/{}", key["id"].as_str().unwrap())).await.expect(204);
            }
            let late = operator.all("/api/accounts/alice/ledger", 200).await.len();
            assert_eq!(late, 13);
            break;
        }
    }

    let key = stand.key("alice", "").await;
    for _ in 0..5 {
        assert_eq!(stand.chat(&key, &chat("m", Play::whole(usage(10, 10)))).await.status, 200);
    }
    operator.requests(5).await;
    let mut seen = Vec::new();
    let mut after = None;
    for _ in 0..3 {
        let found = alice.part("/api/requests", 2, after.as_deref()).await;
        seen.extend(column(found["data"].as_array().unwrap(), "id"));
        after = found["next"].as_str().map(str::to_owned);
        assert_eq!(stand.chat(&key, &chat("m", Play::whole(usage(10, 10)))).await.status, 200);
    }
    let distinct: HashSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), distinct.len(), after), (5, 5, None), "{seen:?}");
    assert!(seen.is_sorted_by(|a, b| a > b), "{seen:?}");

    operator.requests(8).await;
    for path in ["/api/accounts", "/api/keys", "/api/requests", "/api/ledger", "/api/redeem-codes", "/api/actions"] {
        for query in ["limit=0", "limit=201", "limit=-1", "limit=x", "limit=1e2"] {
            assert_eq!(
                operator.get(&format!("{path}?{query}")).await.refused(400, "invalid_request"),
                "limit",
                "{path}"
            );
        }
        operator.get(&format!("{path}?after=nothing")).await.refused(422, "refused");
        operator.get(&format!("{path}?nothing=1")).await.refused(400, "invalid_request");
        assert!(operator.all(path, 1).await.len() == operator.all(path, 200).await.len(), "{path}");
    }
}

#[tokio::test]
async fn spreadsheets_run_nothing() {
    let (stand, operator, alice) = stand().await;
    alice.post("/api/keys", json!({"name": "=HYPERLINK(\"http://x\",\"y\")", "models": ["m", "n"]})).await.expect(201);
    operator.post("/api/accounts/alice/credits", json!({"amount": "1", "note": "@SUM(1,2)"})).await.expect(201);
    operator
        .post("/api/accounts/alice/credits", json!({"amount": "-1", "kind": "adjust", "note": "-1+1"}))
        .await
        .expect(201);
    let key = stand.key("alice", "").await;
    assert_eq!(stand.chat(&key, &chat("m", Play::whole(usage(10, 10)))).await.status, 200);
    operator.requests(1).await;

    let sheet = alice.csv("/api/keys").await.expect_whole(200);
    assert_eq!(sheet.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(sheet.header("content-disposition").unwrap().starts_with("attachment; filename=\"keys"), "{sheet:?}");
    assert!(sheet.text.starts_with("id,prefix,name,account,status,expires_at,models,limits.rpm,"), "{}", sheet.text);
    assert!(
        sheet.text.contains(",\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\",alice,active,,m n,,,,,0,,"),
        "{}",
        sheet.text
    );

    let sheet = alice.csv("/api/accounts/alice/ledger").await.expect_whole(200);
    assert!(sheet.text.contains(",\"'@SUM(1,2)\"\r\n"), "{}", sheet.text);
    assert!(sheet.text.contains(",adjust,-1,") && sheet.text.contains(",'-1+1\r\n"), "{}", sheet.text);

    let sheet = alice.csv("/api/requests?limit=1").await.expect_whole(200);
    assert_eq!(sheet.text.lines().count(), 2, "{}", sheet.text);
    assert!(sheet.text.contains(",m,,200,ok,"), "the upstream is not the customer's business: {}", sheet.text);
    assert!(operator.csv("/api/requests").await.text.contains(",m,up,200,ok,"));

    for path in ["/api/accounts", "/api/ledger", "/api/models", "/api/upstreams", "/api/usage?by=key", "/api/people"] {
        let sheet = operator.csv(path).await.expect_whole(200);
        let columns = sheet.text.lines().next().unwrap().split(',').count();
        assert!(columns > 3 && sheet.text.lines().count() > 1, "{path}: {}", sheet.text);
    }
    let empty = operator.csv("/api/redeem-codes").await.expect_whole(200);
    assert_eq!(empty.text.lines().count(), 1, "the names of the columns stand there even so");
}

#[tokio::test]
async fn totals_charts_and_the_overview_agree_with_the_ledger() {
    let (stand, operator, alice) = stand().await;
    let (hers, his) = (stand.key("alice", "--name laptop").await, stand.key("bob", "").await);
    for (key, model, output) in [(&hers, "m", 100), (&hers, "nn", 200), (&his, "m", 300)] {
        assert_eq!(stand.chat(key, &chat(model, Play::whole(usage(1_000, output)))).await.status, 200);
    }
    assert_eq!(stand.chat(&hers, &chat("m", Play::status(400))).await.status, 400);
    stand.all_at_rest().await;
    operator.requests(4).await;
    let charged =
        |account: &str| stand.charges(account).into_iter().fold(Nano::ZERO, |sum, charge| sum.saturating_add(charge));
    let (hers, both) = (charged("alice"), charged("alice").saturating_add(charged("bob")));

    for (who, spent, requests) in [(&alice, hers, 3), (&operator, both, 4)] {
        for by in ["day", "model", "key"] {
            let found = who.get(&format!("/api/usage?by={by}")).await.expect(200);
            let rows = found["data"].as_array().unwrap();
            assert_eq!(sum(rows, "charge"), spent, "{found}");
            assert_eq!(nano(found["total"]["charge"].as_str().unwrap()), spent, "{found}");
            assert_eq!(
                (&found["total"]["requests"], &found["total"]["errors"]),
                (&json!(requests), &json!(1)),
                "{found}"
            );
            assert!(rows.iter().all(|row| row[by].is_string()), "{found}");
        }
        for query in ["", "?by=key", "?by=total", "?range=1h", "?range=30d&by=key"] {
            let chart = who.get(&format!("/api/usage/series{query}")).await.expect(200);
            let buckets = chart["at"].as_array().unwrap().len();
            let series = chart["series"].as_array().unwrap();
            let charges: Vec<Value> =
                series.iter().flat_map(|part| part["charge"].as_array().unwrap().clone()).collect();
            assert_eq!(charges.len(), buckets * series.len(), "{query}");
            let shown =
                charges.iter().fold(Nano::ZERO, |sum, charge| sum.saturating_add(nano(charge.as_str().unwrap())));
            assert_eq!(shown, spent, "{query}: {chart}");
        }
    }
    let by_key = alice.get("/api/usage?by=key").await.expect(200);
    assert_eq!(by_key["data"][0]["name"], "laptop");
    let chart = alice.get("/api/usage/series?by=key").await.expect(200);
    assert_eq!(
        (&chart["series"][0]["name"], &chart["series"][0]["key"]),
        (&json!("laptop"), &by_key["data"][0]["key"])
    );
    assert_eq!(operator.get("/api/usage?by=account&account=bob").await.expect(200)["data"][0]["account"], "bob");
    assert_eq!(operator.get("/api/usage?by=upstream").await.expect(200)["data"].as_array().unwrap().len(), 1);

    let one = alice.get("/api/overview?range=24h").await.expect(200);
    assert_eq!(nano(one["spend"]["today"].as_str().unwrap()), hers, "{one}");
    assert_eq!(nano(one["spend"]["range"].as_str().unwrap()), hers);
    assert_eq!((&one["requests"]["total"], &one["requests"]["errors"]), (&json!(3), &json!(1)));
    assert_eq!((one["recent"].as_array().unwrap().len(), &one["account"]["name"]), (3, &json!("alice")));
    assert!(one["recent"].as_array().unwrap().iter().all(|row| row["upstream"].is_null()), "{one}");
    assert!(one["days_left"].is_u64() && one.get("health").is_none() && one["standing"].is_null(), "{one}");
    let all = operator.get("/api/overview?scope=all&range=7d").await.expect(200);
    assert_eq!(nano(all["spend"]["range"].as_str().unwrap()), both);
    assert_eq!((&all["requests"]["total"], &all["standing"]["accounts"]), (&json!(4), &json!(3)));
    // Alice pays a fifth above the list, Bob the list; three charges were rounded. Customers see nothing of it.
    let margin = |name: &str| nano(all["margin"][name].as_str().unwrap());
    assert_eq!(margin("range").saturating_add(margin("cost")), both);
    assert!((margin("range").0 - hers.0 / 6).abs() <= 3 && margin("range") > Nano::ZERO, "{all}");
    assert!(one["margin"].is_null() && !one.to_string().contains("\"cost\""), "{one}");
    assert_eq!(
        (all["top_accounts"].as_array().unwrap().len(), all["top_keys"].as_array().unwrap().len()),
        (2, 2),
        "{all}"
    );
    assert_eq!((&all["health"]["storage_ok"], &all["health"]["upstreams_down"]), (&json!(true), &json!([])));

    for (path, field) in [
        ("/api/usage?by=hour", "by"),
        ("/api/usage?by=day&from=2026-13-01", "from"),
        ("/api/usage?by=day&from=2026-11-02&to=2026-11-01", "to"),
        ("/api/usage/series?range=1y", "range"),
        ("/api/usage/series?since=yesterday", "since"),
        ("/api/usage/series?since=2026-01-01T00:00:00Z&until=2025-01-01T00:00:00Z", "until"),
        ("/api/usage/series?since=2020-01-01T00:00:00Z&bucket=1m", "bucket"),
        ("/api/usage/series?bucket=1h", "since"),
        ("/api/usage/series?range=1h&since=2026-01-01T00:00:00Z", "range"),
    ] {
        let said = operator.get(path).await.refused(400, "invalid_request");
        assert!(said == field || said.contains(field) || said.contains("unknown variant"), "{path}: {said}");
    }
}

#[tokio::test]
async fn a_bill_adds_up_to_the_charge() {
    let (stand, operator, alice) = stand().await;
    let key = stand.key("alice", "--name laptop").await;
    let mut used = usage(1_000, 333);
    used["prompt_tokens_details"] = json!({"cached_tokens": 400});
    assert_eq!(stand.chat(&key, &chat("m", Play::whole(used))).await.status, 200);
    assert_eq!(stand.chat(&key, &chat("m", Play::status(400))).await.status, 400);
    let listed = operator.requests(2).await;
    let (refused, charged) = (&listed[0], &listed[1]);

    let path = format!("/api/requests/{}", charged["id"].as_str().unwrap());
    let told = alice.get(&path).await.expect(200);
    assert_eq!(
        (&told["key_name"], &told["account"], &told["upstream"]),
        (&json!("laptop"), &json!("alice"), &Value::Null)
    );
    assert_eq!(operator.get(&path).await.expect(200)["upstream"], "up");
    let bill = &told["bill"];
    let line = |item: &str| bill["lines"].as_array().unwrap().iter().find(|line| line["item"] == item).unwrap().clone();
    assert_eq!((&line("input")["quantity"], &line("input")["unit_price"]), (&json!("600"), &json!("1")));
    assert_eq!((&line("cached_input")["quantity"], &line("cached_input")["amount"]), (&json!("400"), &json!("0.0002")));
    assert_eq!((&line("output")["amount"], &line("output")["unit"]), (&json!("0.000666"), &json!("tokens")));
    // 600 × 1 + 400 × 0.5 + 333 × 2 = 1466 millionths, and a fifth more for partners.
    assert_eq!((&bill["list_total"], &bill["markup"]), (&json!("0.001466"), &json!("1.2")));
    assert_eq!((&bill["total"], &told["charge"]), (&json!("0.0017592"), &json!("0.0017592")));
    let entry = alice.get("/api/accounts/alice/ledger?kind=charge").await.expect(200)["data"][0].clone();
    assert_eq!((&entry["seq"], &entry["request_id"]), (&told["ledger_seq"], &told["id"]));

    let told = alice.get(&format!("/api/requests/{}", refused["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(
        (&told["charge"], &told["ledger_seq"], &told["bill"]),
        (&json!("0"), &Value::Null, &Value::Null),
        "{told}"
    );
    for id in ["req_none", "x", "req_00000000000000000000000000000000", "%00"] {
        alice.get(&format!("/api/requests/{id}")).await.refused(404, "not_found");
    }

    for (query, count) in [
        ("", 2),
        ("?failed=1", 1),
        ("?failed=0", 2),
        ("?status=200", 1),
        ("?outcome=ok", 1),
        ("?model=m&endpoint=chat_completions", 2),
        ("?model=nothing", 0),
        ("?since=2020-01-01T00:00:00Z&until=2099-01-01T00:00:00Z", 2),
        ("?until=2020-01-01T00:00:00Z", 0),
    ] {
        let found = alice.get(&format!("/api/requests{query}")).await.expect(200);
        assert_eq!(found["data"].as_array().unwrap().len(), count, "{query}");
    }
    for query in ["failed=yes", "status=99999", "status=x", "outcome=good", "since=now"] {
        alice.get(&format!("/api/requests?{query}")).await.refused(400, "invalid_request");
    }
}

#[tokio::test]
async fn customers_read_what_they_pay() {
    let (_stand, operator, alice) = stand().await;
    let find = |models: &Value, id: &str| {
        models["data"].as_array().unwrap().iter().find(|row| row["id"] == id).unwrap().clone()
    };
    let (list, hers) = (operator.get("/api/models").await.expect(200), alice.get("/api/models").await.expect(200));
    let (list, hers) = (find(&list, "n"), find(&hers, "n"));
    assert_eq!(
        (&list["pricing"]["rates"][0]["input"], &hers["pricing"]["rates"][0]["input"]),
        (&json!("0.15"), &json!("0.18"))
    );
    assert_eq!(
        (&hers["pricing"]["currency"], &hers["available"], &hers["aliases"]),
        (&json!("USD"), &json!(true), &json!(["nn"]))
    );
    assert!(hers.get("upstreams").is_none(), "{hers}");
    assert_eq!(list["upstreams"], json!([{"name": "up", "model": "far", "priority": 0, "weight": 1, "up": true}]));
}

#[tokio::test]
async fn another_s_id_is_no_place_to_go_on_after() {
    let (stand, operator, alice) = stand().await;
    let mine = alice.post("/api/keys", json!({"name": "mine"})).await.expect(201)["id"].as_str().unwrap().to_owned();
    let his = stand.new_key("bob", "").id;
    let after = |id: &str| format!("/api/keys?after={id}");
    alice.get(&after(&mine)).await.expect(200);
    operator.get(&after(&his)).await.expect(200);
    let unknown = alice.get(&after("key_00000000000000000000000000000000")).await;
    let others = alice.get(&after(&his)).await;
    assert_eq!((others.status, others.json()["detail"].clone()), (unknown.status, unknown.json()["detail"].clone()));
    assert!(others.status.is_client_error());
}

#[tokio::test]
async fn what_a_free_group_costs_is_believed_as_far_as_a_charge_would_be() {
    let groups = "  default: {}\n  friends: {markup: \"0\"}\n";
    let stand = Stand::start(Plan { groups, ..Plan::models(MODELS) }).await;
    let operator = Console::operator(&stand.gateway).await;
    stand.account_in("friends", "alice", "1");
    let key = stand.key("alice", "").await;
    assert_eq!(stand.chat(&key, &chat("m", Play::whole(usage(10, 1_000_000_000)))).await.status, 200);
    operator.requests(1).await;
    let all = operator.get("/api/overview?scope=all").await.expect(200);
    let cost = nano(all["margin"]["cost"].as_str().unwrap());
    assert_eq!((&all["spend"]["range"], &all["requests"]["total"]), (&json!("0"), &json!(1)), "{all}");
    assert!(cost > Nano::ZERO && cost < Nano(1_000_000_000), "a thousand million tokens would be 2000: {all}");
}
