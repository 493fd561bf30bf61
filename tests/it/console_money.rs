//! The admin API where money is: accounts, credits, the ledger, redeem codes, and requests that are sent twice.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tollgate::core::money::NanoSum;

use crate::support::console::Console;
use crate::support::stand::{Plan, Play, Stand, chat, nano};
use crate::support::upstream::usage;
use crate::support::{eventually, wait_for};

const MODELS: &str = "  m: {upstreams: [{name: up}], price: {input: 1, output: 2}}\n";
const GROUPS: &str = "  default: {}\n  partner: {markup: \"1.5\"}\n";

async fn stand() -> Stand {
    Stand::start(Plan { groups: GROUPS, ..Plan::models(MODELS) }).await
}

#[tokio::test]
async fn an_account_is_made_found_and_changed() {
    let stand = stand().await;
    let operator = Console::operator(&stand.gateway).await;
    let made = operator.post("/api/accounts", json!({"name": "alice", "group": "partner", "credit": "10.5"})).await;
    let alice = made.expect(201);
    assert_eq!(alice["name"], "alice");
    assert_eq!(alice["balance"], "10.5");
    assert_eq!(alice["available"], "10.5");
    let id = alice["id"].as_str().unwrap();
    for named in [id, "alice"] {
        assert_eq!(operator.get(&format!("/api/accounts/{named}")).await.expect(200), alice);
    }
    operator.post("/api/accounts", json!({"name": "bob"})).await.expect(201);

    for (query, names) in [
        ("", vec!["alice", "bob", "operator"]),
        ("?q=LIC", vec!["alice"]),
        ("?q=%25", vec![]),
        ("?group=partner", vec!["alice"]),
        ("?status=suspended", vec![]),
        (&format!("?q={id}"), vec!["alice"]),
    ] {
        let found = operator.get(&format!("/api/accounts{query}")).await.expect(200);
        let listed: Vec<_> = found["data"].as_array().unwrap().iter().map(|row| row["name"].clone()).collect();
        assert_eq!(listed, names, "{query}");
    }

    let change = json!({"name": "alicia", "group": "default", "status": "suspended"});
    let changed = operator.patch(&format!("/api/accounts/{id}"), change).await.expect(200);
    assert_eq!(
        (&changed["name"], &changed["group"], &changed["status"]),
        (&json!("alicia"), &json!("default"), &json!("suspended"))
    );
    assert_eq!(changed["balance"], "10.5");
    operator.get("/api/accounts/alice").await.refused(404, "not_found");
    assert_eq!(operator.patch(&format!("/api/accounts/{id}"), json!({})).await.expect(200), changed);
}

#[tokio::test]
async fn what_an_account_cannot_be_is_refused_by_its_field() {
    let stand = stand().await;
    let operator = Console::operator(&stand.gateway).await;
    operator.post("/api/accounts", json!({"name": "alice"})).await.expect(201);
    operator.post("/api/accounts", json!({"name": "alice"})).await.refused(422, "refused");
    for (body, field) in [
        (json!({"name": ""}), "name"),
        (json!({"name": "=cmd()"}), "name"),
        (json!({"name": "a".repeat(65)}), "name"),
        (json!({"name": 7}), "name"),
        (json!({"group": "default"}), "name"),
        (json!({"name": "x", "group": "nobody"}), "group"),
        (json!({"name": "x", "credit": "-1"}), "credit"),
        (json!({"name": "x", "credit": "NaN"}), "credit"),
        (json!({"name": "x", "credit": "1e309"}), "credit"),
        (json!({"name": "x", "credit": "0.0000000001"}), "credit"),
        (json!({"name": "x", "credit": "9".repeat(40)}), "credit"),
        (json!({"name": "x", "credit": 5}), "credit"),
        (json!({"name": "x", "credit": 0.1}), "credit"),
        (json!({"name": "x", "ballance": "5"}), "ballance"),
    ] {
        let named = operator.post("/api/accounts", body.clone()).await.refused(400, "invalid_request");
        assert_eq!(named, field, "{body}");
    }
    for body in ["", "{", "[]", "null", "\"x\"", r#"{"name":"x","credit":1e309}"#, r#"{"name":"x","name":"y"}"#] {
        let said = operator.send(Method::POST, "/api/accounts", Some(body.to_owned())).await;
        said.refused(400, "invalid_request");
    }
    let deep = format!("{{\"name\":{}", "[".repeat(30_000));
    operator.send(Method::POST, "/api/accounts", Some(deep)).await.refused(400, "invalid_request");
    let large = json!({"name": "x".repeat(70_000)});
    operator.post("/api/accounts", large).await.refused(413, "too_large");
    let text = operator.with("content-type", Some("text/plain"));
    text.post("/api/accounts", json!({"name": "x"})).await.refused(415, "unsupported_media_type");
    let listed = operator.get("/api/accounts").await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 2, "nothing was made on the way: {listed}");
}

#[tokio::test]
async fn credits_are_booked_as_they_are_meant() {
    let stand = stand().await;
    let operator = Console::operator(&stand.gateway).await;
    stand.account("alice", "0");
    let path = "/api/accounts/alice/credits";
    let first =
        operator.post(path, json!({"amount": "5", "note": "paid by card", "ref": "invoice-1"})).await.expect(201);
    assert_eq!(
        (&first["kind"], &first["amount"], &first["balance_after"]),
        (&json!("credit"), &json!("5"), &json!("5"))
    );
    assert_eq!((&first["account"], &first["ref"]), (&json!("alice"), &json!("invoice-1")));

    // The reference makes it harmless for ever, and belongs to this amount.
    let again = operator.post(path, json!({"amount": "5", "note": "paid by card", "ref": "invoice-1"})).await;
    assert_eq!(again.expect(200)["seq"], first["seq"]);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    operator.post(path, json!({"amount": "6", "note": "x", "ref": "invoice-1"})).await.refused(422, "refused");

    operator.post(path, json!({"amount": "-2.5", "kind": "adjust", "note": "booked wrongly"})).await.expect(201);
    operator.post(path, json!({"amount": "0.000000001", "kind": "refund", "note": "sorry"})).await.expect(201);
    let ledger = operator.get("/api/accounts/alice/ledger").await.expect(200);
    let told = |row: &Value| format!("{} {} {}", row["kind"], row["amount"], row["balance_after"]).replace('"', "");
    let rows: Vec<_> = ledger["data"].as_array().unwrap().iter().map(told).collect();
    assert_eq!(rows, ["refund 0.000000001 2.500000001", "adjust -2.5 2.5", "credit 5 5"]);
    let adjusted = operator.get("/api/ledger?kind=adjust&account=alice").await.expect(200);
    assert_eq!(adjusted["data"].as_array().unwrap().len(), 1);
    assert_eq!(adjusted["data"][0]["account"], "alice");

    for (body, field) in [
        (json!({"amount": "0", "note": "x"}), "amount"),
        (json!({"amount": "-1", "note": "x"}), "amount"),
        (json!({"amount": "-1", "kind": "refund", "note": "x"}), "amount"),
        (json!({"amount": 1, "note": "x"}), "amount"),
        (json!({"amount": "1e3", "note": "x"}), "amount"),
        (json!({"amount": "1"}), "note"),
        (json!({"amount": "1", "note": " "}), "note"),
        (json!({"amount": "1", "note": "n".repeat(501)}), "note"),
        (json!({"amount": "1", "note": "a\u{0}b"}), "note"),
        (json!({"amount": "1", "note": "x", "ref": ""}), "ref"),
        (json!({"amount": "1", "kind": "charge", "note": "x"}), "kind"),
    ] {
        assert_eq!(operator.post(path, body.clone()).await.refused(400, "invalid_request"), field, "{body}");
    }
    operator.post(path, json!({"amount": "9223372036.854775807", "note": "too much"})).await.refused(422, "refused");
    operator.post("/api/accounts/nobody/credits", json!({"amount": "1", "note": "x"})).await.refused(404, "not_found");
    assert_eq!(operator.get("/api/accounts/alice").await.expect(200)["balance"], "2.500000001");
    stand.gateway.audit();
}

#[tokio::test]
async fn a_credit_is_spent_within_a_second() {
    let stand = stand().await;
    let operator = Console::operator(&stand.gateway).await;
    stand.account("alice", "0");
    let key = stand.key("alice", "").await;
    let asked = chat("m", Play::whole(usage(10, 10)));
    assert_eq!(stand.chat(&key, &asked).await.status, 402);
    operator.post("/api/accounts/alice/credits", json!({"amount": "5", "note": "cash"})).await.expect(201);
    // The answer comes when the running gateway knows: no waiting.
    assert_eq!(stand.chat(&key, &asked).await.status, 200);
    operator.patch("/api/accounts/alice", json!({"status": "suspended"})).await.expect(200);
    assert_eq!(stand.chat(&key, &asked).await.status, 403);
}

#[tokio::test]
async fn what_is_asked_twice_is_done_once() {
    let stand = stand().await;
    let operator = Console::operator(&stand.gateway).await;
    stand.account("alice", "0");
    let wish = || json!({"name": "bob", "credit": "3"});
    let first = operator.post_once("one", "/api/accounts", wish()).await;
    let again = operator.post_once("one", "/api/accounts", wish()).await;
    assert_eq!(first.expect(201), again.expect(200));
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), (None, Some("true")));
    for (path, body) in
        [("/api/accounts", json!({"name": "carol"})), ("/api/keys", json!({"account": "alice", "name": "k"}))]
    {
        operator.post_once("one", path, body).await.refused(422, "idempotency_mismatch");
    }
    // Somebody else's key of the same letters is another one.
    let program = Console::token(&stand.gateway, "all");
    program.post_once("one", "/api/accounts", json!({"name": "carol"})).await.expect(201);

    let credit = || json!({"amount": "5", "note": "cash"});
    let path = "/api/accounts/alice/credits";
    let all = join_all((0..20).map(|_| operator.post_once("two", path, credit()))).await;
    let made: Vec<_> = all.iter().filter(|said| said.status == 201).collect();
    assert_eq!(made.len(), 1, "{all:?}");
    for said in all.iter().filter(|said| said.status != 201) {
        assert_eq!(said.expect(200), made[0].json());
    }
    assert_eq!(operator.get("/api/accounts/alice").await.expect(200)["balance"], "5");

    for wrong in ["", "two words", &"x".repeat(256)] {
        operator.post_once(wrong, path, credit()).await.refused(400, "invalid_request");
    }
    stand.gateway.audit();
}

#[tokio::test]
async fn secrets_are_not_shown_to_a_repetition() {
    let stand = stand().await;
    let operator = Console::operator(&stand.gateway).await;
    stand.account("alice", "0");
    let wish = || json!({"account": "alice", "name": "laptop"});
    let all = join_all((0..10).map(|_| operator.post_once("k", "/api/keys", wish()))).await;
    let made: Vec<_> = all.iter().filter(|said| said.status == 201).collect();
    assert_eq!(made.len(), 1);
    let key = made[0].json();
    assert!(key["key"].as_str().unwrap().starts_with("sk-tg-"));
    for said in all.iter().filter(|said| said.status != 201) {
        let replayed = said.expect(200);
        assert_eq!(replayed["id"], key["id"]);
        assert!(replayed.get("key").is_none(), "{replayed}");
    }
    let rotate = format!("/api/keys/{}/rotate", key["id"].as_str().unwrap());
    let turned = operator.post_once("r", &rotate, json!({})).await.expect(201);
    let again = operator.post_once("r", &rotate, json!({})).await.expect(200);
    assert_eq!(turned["id"], again["id"]);
    assert!(turned.get("key").is_some() && again.get("key").is_none());

    let codes = || json!({"name": "batch", "amount": "1", "count": 3});
    let made = operator.post_once("c", "/api/redeem-codes", codes()).await.expect(201);
    let again = operator.post_once("c", "/api/redeem-codes", codes()).await.expect(200);
    let ids = |value: &Value| -> Vec<String> {
        let mut ids: Vec<_> = value["data"].as_array().unwrap().iter().map(|row| row["id"].to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&made), ids(&again));
    assert!(again["data"].as_array().unwrap().iter().all(|row| row.get("code").is_none()), "{again}");
    assert_eq!(operator.get("/api/redeem-codes").await.expect(200)["data"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_code_is_redeemed_once_however_it_is_typed() {
    let stand = stand().await;
    let operator = Console::operator(&stand.gateway).await;
    stand.account("alice", "1");
    let alice = operator.customer(&stand.gateway, "alice", "alice").await;
    let wish = json!({"name": "=autumn", "amount": "2.5", "count": 3, "expires_in": "30d", "note": "workshop"});
    let made = operator.post("/api/redeem-codes", wish).await.expect(201);
    let code = |nth: usize| made["data"][nth]["code"].as_str().unwrap().to_owned();
    assert!(code(0).ends_with(made["data"][0]["ending"].as_str().unwrap()));

    let typed = code(0).to_lowercase().replace('-', " ");
    let booked = alice.post("/api/redeem", json!({"code": typed})).await.expect(201);
    assert_eq!(
        (&booked["amount"], &booked["balance"], &booked["account"]),
        (&json!("2.5"), &json!("3.5"), &json!("alice"))
    );
    let twice = alice.post("/api/redeem", json!({"code": code(0)})).await;
    let words = twice.refused(422, "refused");

    let id = made["data"][1]["id"].as_str().unwrap();
    assert_eq!(operator.delete(&format!("/api/redeem-codes/{id}")).await.expect(200)["state"], "void");
    assert_eq!(alice.post("/api/redeem", json!({"code": code(1)})).await.refused(422, "refused"), words);
    let spent = made["data"][0]["id"].as_str().unwrap();
    operator.delete(&format!("/api/redeem-codes/{spent}")).await.refused(422, "refused");
    operator.delete("/api/redeem-codes/cod_none").await.refused(422, "refused");

    // Two people, one code: one of them has the money.
    stand.account("bob", "0");
    let bob = operator.customer(&stand.gateway, "bob", "bob").await;
    let both = join_all([&alice, &bob].map(|person| person.post("/api/redeem", json!({"code": code(2)})))).await;
    let mut statuses: Vec<u16> = both.iter().map(|said| said.status.as_u16()).collect();
    statuses.sort();
    assert_eq!(statuses, [201, 422]);

    for (query, count) in
        [("", 3), ("?state=open", 0), ("?state=redeemed", 2), ("?state=void", 1), ("?name=%3Dautumn", 3)]
    {
        let listed = operator.get(&format!("/api/redeem-codes{query}")).await.expect(200);
        assert_eq!(listed["data"].as_array().unwrap().len(), count, "{query}");
        assert!(listed["data"].as_array().unwrap().iter().all(|row| row.get("code").is_none()));
    }
    let sheet = operator.csv("/api/redeem-codes").await.expect_whole(200);
    assert!(sheet.text.contains(",'=autumn,"), "{}", sheet.text);
    stand.gateway.audit();
}

#[tokio::test]
async fn who_guesses_codes_is_slowed_down() {
    let stand = stand().await;
    let operator = Console::operator(&stand.gateway).await;
    stand.account("alice", "0");
    let alice = operator.customer(&stand.gateway, "alice", "alice").await;
    for text in ["", "TG-", "hello", "TG-UUUUU-UUUUU-UUUUU-UUUUU", "sk-tg-x"] {
        assert_eq!(alice.post("/api/redeem", json!({"code": text})).await.refused(400, "invalid_request"), "code");
    }
    let guess = |nth: usize| json!({"code": format!("TG-{nth:020}")});
    for nth in 0..5 {
        alice.post("/api/redeem", guess(nth)).await.refused(422, "refused");
    }
    let said = alice.post("/api/redeem", guess(5)).await;
    said.refused(429, "too_many_attempts");
    let seconds: u64 = said.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&seconds), "{seconds}");
    // It is about codes alone.
    alice.get("/api/me").await.expect(200);
    operator.post("/api/redeem", guess(9)).await.refused(422, "refused");

    for (body, field) in [
        (json!({"name": "x", "amount": "0", "count": 1}), "amount"),
        (json!({"name": "x", "amount": "-1", "count": 1}), "amount"),
        (json!({"name": "x", "amount": "1", "count": 0}), "count"),
        (json!({"name": "x", "amount": "1", "count": 1001}), "count"),
        (json!({"name": "x", "amount": "1", "count": 1.5}), "count"),
        (json!({"name": "x", "amount": "1", "count": -1}), "count"),
        (json!({"name": "", "amount": "1", "count": 1}), "name"),
        (json!({"name": "x", "amount": "1", "count": 1, "expires_in": "0s"}), "expires_in"),
        (json!({"name": "x", "amount": "1", "count": 1, "expires_in": "soon"}), "expires_in"),
    ] {
        let named = operator.post("/api/redeem-codes", body.clone()).await.refused(400, "invalid_request");
        assert_eq!(named, field, "{body}");
    }
}

#[tokio::test]
async fn what_is_done_by_hand_is_noted_without_secrets() {
    let stand = stand().await;
    let operator = Console::operator(&stand.gateway).await;
    let program = Console::token(&stand.gateway, "all");
    operator.post("/api/accounts", json!({"name": "alice", "credit": "5"})).await.expect(201);
    let key = operator.post("/api/keys", json!({"account": "alice", "name": "laptop"})).await.expect(201);
    let id = key["id"].as_str().unwrap();
    operator.patch(&format!("/api/keys/{id}"), json!({"name": "desk", "budget": "3"})).await.expect(200);
    let turned = program.post(&format!("/api/keys/{id}/rotate"), json!({})).await.expect(201);
    let codes = operator.post("/api/redeem-codes", json!({"name": "b", "amount": "1", "count": 2})).await.expect(201);

    let log = operator.all("/api/actions", 3).await;
    let find =
        |action: &str| log.iter().find(|row| row["action"] == action).unwrap_or_else(|| panic!("{action}: {log:#?}"));
    let update = find("key.update");
    assert_eq!(update["actor"], json!({"kind": "person", "name": "operator"}));
    assert_eq!((&update["target"], &update["address"]), (&json!(id), &json!("127.0.0.1")));
    assert_eq!((&update["before"]["name"], &update["after"]["name"]), (&json!("laptop"), &json!("desk")));
    assert_eq!(find("key.rotate")["actor"]["kind"], "token");
    find("account.create");
    find("code.create");
    let seqs: Vec<_> = log.iter().map(|row| row["seq"].as_i64().unwrap()).collect();
    assert!(seqs.is_sorted_by(|a, b| a > b), "{seqs:?}");
    let text = Value::from(log.clone()).to_string();
    for secret in [&key["key"], &turned["key"], &codes["data"][0]["code"], &codes["data"][1]["code"]] {
        let secret = secret.as_str().unwrap();
        assert!(!text.contains(secret) && !stand.gateway.log().contains(secret));
    }
    let sheet = operator.csv("/api/actions").await.expect_whole(200);
    assert!(sheet.text.starts_with("seq,at,actor.kind,actor.name,action,"), "{}", sheet.text);
    wait_for("the log is whole", || stand.gateway.log().contains("ready")).await;
    let audited = || async { operator.get("/api/audit").await.expect(200) };
    let proof = eventually("the books are proved", audited, |proof| proof["ok"] == true).await;
    assert_eq!((&proof["differences"], &proof["balance"]), (&json!([]), &json!("5")));
}

#[tokio::test]
async fn a_repeated_success_buys_no_more_guesses() {
    let stand = stand().await;
    let operator = Console::operator(&stand.gateway).await;
    stand.account("alice", "0");
    let alice = operator.customer(&stand.gateway, "alice", "alice").await;
    let made = operator.post("/api/redeem-codes", json!({"name": "one", "amount": "1", "count": 1})).await.expect(201);
    let good = json!({"code": made["data"][0]["code"]});
    alice.post_once("again", "/api/redeem", good.clone()).await.expect(201);
    let guess = |nth: usize| json!({"code": format!("TG-{nth:020}")});
    for nth in 0..5 {
        alice.post("/api/redeem", guess(nth)).await.refused(422, "refused");
        if nth < 4 {
            alice.post_once("again", "/api/redeem", good.clone()).await.expect(200);
        }
    }
    alice.post("/api/redeem", guess(5)).await.refused(429, "too_many_attempts");
}

#[tokio::test]
async fn sums_beyond_what_one_account_can_have_are_exact() {
    let stand = stand().await;
    let operator = Console::operator(&stand.gateway).await;
    for name in ["whale", "shark"] {
        stand.account(name, "9000000000.000000001");
    }
    stand.account("debtor", "0");
    let debt = json!({"amount": "-0.000000002", "kind": "adjust", "note": "to see"});
    operator.post("/api/accounts/debtor/credits", debt).await.expect(201);
    let accounts = operator.all("/api/accounts", 50).await;
    let sum = accounts.iter().map(|row| i128::from(nano(row["balance"].as_str().unwrap()).0)).sum();
    assert!(sum > i128::from(i64::MAX));
    let overview = operator.get("/api/overview?scope=all").await.expect(200);
    assert_eq!(overview["standing"]["balance"], json!(NanoSum(sum)), "{overview}");
    assert_eq!(operator.get("/api/audit").await.expect(200)["balance"], json!(NanoSum(sum)));
}
