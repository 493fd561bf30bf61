//! The admin API's keys: what is made works at once, what is ended ends at once, and nobody reaches another one's.

use serde_json::{Value, json};

use crate::support::console::Console;
use crate::support::stand::{Plan, Play, Stand, chat};
use crate::support::upstream::usage;

const MODELS: &str = "  m: {upstreams: [{name: up}], price: {input: 1, output: 2}}\n  \
                      n: {aliases: [nn], upstreams: [{name: up}], price: {input: 1, output: 2}}\n";

async fn stand() -> (Stand, Console) {
    let stand = Stand::start(Plan::models(MODELS)).await;
    let operator = Console::operator(&stand.gateway).await;
    stand.account("alice", "10");
    (stand, operator)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

async fn status(stand: &Stand, key: &Value) -> u16 {
    stand.chat(text(&key["key"]), &chat("m", Play::whole(usage(1, 1)))).await.status
}

#[tokio::test]
async fn a_key_works_when_the_answer_comes_and_ends_when_it_is_ended() {
    let (stand, operator) = stand().await;
    let wish = json!({"account": "alice", "name": "laptop", "expires_in": "30d", "models": ["m", "nn", "m"],
                      "limits": {"rpm": 60, "tpm": 100_000, "concurrency": 5}, "budget": "3.00",
                      "allow_ips": ["127.0.0.1", "203.0.113.7/24"]});
    let key = operator.post("/api/keys", wish).await.expect(201);
    assert_eq!(key["limits"], json!({"rpm": 60, "tpm": 100_000, "concurrency": 5}));
    assert_eq!((&key["models"], &key["budget"]), (&json!(["m", "nn"]), &json!("3")));
    assert_eq!(key["allow_ips"], json!(["127.0.0.1/32", "203.0.113.0/24"]));
    assert_eq!((&key["account"], &key["status"]), (&json!("alice"), &json!("active")));
    assert_eq!(status(&stand, &key).await, 200);

    let path = format!("/api/keys/{}", text(&key["id"]));
    let shown = operator.get(&path).await.expect(200);
    assert!(shown.get("key").is_none(), "{shown}");
    assert_eq!((&shown["prefix"], &shown["name"]), (&key["prefix"], &json!("laptop")));

    operator.patch(&path, json!({"status": "disabled"})).await.expect(200);
    assert_eq!(status(&stand, &key).await, 403);
    operator.patch(&path, json!({"status": "active", "models": ["n"]})).await.expect(200);
    assert_eq!(status(&stand, &key).await, 422);
    operator.patch(&path, json!({"models": null, "allow_ips": ["192.0.2.1"]})).await.expect(200);
    assert_eq!(status(&stand, &key).await, 403);
    operator.patch(&path, json!({"allow_ips": null, "expires_at": "2020-01-01T00:00:00Z"})).await.expect(200);
    assert_eq!(status(&stand, &key).await, 401);

    operator.patch(&path, json!({"limits": {"tpm": null, "rpm": 7}})).await.expect(200);
    let now = operator.patch(&path, json!({"expires_at": null, "budget": null, "name": "desk"})).await.expect(200);
    assert_eq!(now["limits"], json!({"rpm": 7, "tpm": null, "concurrency": 5}), "what is left out stays");
    assert_eq!((&now["expires_at"], &now["budget"], &now["name"]), (&Value::Null, &Value::Null, &json!("desk")));
    let free = operator.patch(&path, json!({"limits": null})).await.expect(200);
    assert_eq!(free["limits"], json!({"rpm": null, "tpm": null, "concurrency": null}));
    assert_eq!(status(&stand, &key).await, 200);

    assert!(operator.delete(&path).await.expect(204).is_null());
    assert_eq!(status(&stand, &key).await, 401);
    assert_eq!(operator.get("/api/keys").await.expect(200)["data"], json!([]));
    assert_eq!(operator.get(&path).await.expect(200)["status"], "deleted", "its requests still name it");
    operator.patch(&path, json!({"status": "active"})).await.refused(404, "not_found");
    operator.delete(&path).await.refused(404, "not_found");
    operator.post(&format!("{path}/rotate"), json!({})).await.refused(404, "not_found");
}

#[tokio::test]
async fn what_a_key_cannot_be_is_refused_by_its_field() {
    let (_stand, operator) = stand().await;
    let made = operator.post("/api/keys", json!({"account": "alice", "name": "k"})).await.expect(201);
    let path = format!("/api/keys/{}", text(&made["id"]));
    let many: Vec<String> = (0..300).map(|nth| format!("10.0.{}.{}", nth / 256, nth % 256)).collect();
    let shared = [
        (json!({"name": ""}), "name"),
        (json!({"name": "a\nb"}), "name"),
        (json!({"name": "x".repeat(129)}), "name"),
        (json!({"name": ["x"]}), "name"),
        (json!({"expires_in": "1 month"}), "expires_in"),
        (json!({"expires_in": "-1d"}), "expires_in"),
        (json!({"expires_in": 30}), "expires_in"),
        (json!({"expires_at": "tomorrow"}), "expires_at"),
        (json!({"expires_at": "2099-01-01T00:00:00Z", "expires_in": "1d"}), "expires_in"),
        (json!({"models": ["no-such-model"]}), "models"),
        (json!({"models": [""]}), "models"),
        (json!({"models": "m"}), "models"),
        (json!({"limits": {"rpm": 0}}), "limits.rpm"),
        (json!({"limits": {"rpm": -1}}), "limits.rpm"),
        (json!({"limits": {"rpm": 1.5}}), "limits.rpm"),
        (json!({"limits": {"rpm": "60"}}), "limits.rpm"),
        (json!({"limits": {"rpm": 4_294_967_296_u64}}), "limits.rpm"),
        (json!({"limits": {"concurrency": 0}}), "limits.concurrency"),
        (json!({"budget": "-0.01"}), "budget"),
        (json!({"budget": "NaN"}), "budget"),
        (json!({"budget": 3}), "budget"),
        (json!({"budget": "1e309"}), "budget"),
        (json!({"allow_ips": ["localhost"]}), "allow_ips"),
        (json!({"allow_ips": ["10.0.0.0/33"]}), "allow_ips"),
        (json!({"allow_ips": many}), "allow_ips"),
        (json!({"spent": "0"}), "spent"),
    ];
    for (body, field) in &shared {
        let mut whole = json!({"account": "alice", "name": "k"});
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        assert_eq!(&operator.post("/api/keys", whole.clone()).await.refused(400, "invalid_request"), field, "{whole}");
        assert_eq!(&operator.patch(&path, body.clone()).await.refused(400, "invalid_request"), field, "{body}");
    }
    for (body, field) in [
        (json!({"account": "alice"}), "name"),
        (json!({"account": "alice", "name": "k", "expires_at": "2020-01-01T00:00:00Z"}), "expires_at"),
        (json!({"account": "alice", "name": "k", "expires_in": "0s"}), "expires_in"),
    ] {
        assert_eq!(operator.post("/api/keys", body.clone()).await.refused(400, "invalid_request"), field, "{body}");
    }
    operator.post("/api/keys", json!({"account": "nobody", "name": "k"})).await.refused(404, "not_found");
    operator.patch(&path, json!({"status": "deleted"})).await.refused(400, "invalid_request");
    operator.patch(&path, json!({"limits": {"tpm": u64::MAX}})).await.refused(422, "refused");
    let rotate = format!("{path}/rotate");
    assert_eq!(operator.post(&rotate, json!({"keep_old": "day"})).await.refused(400, "invalid_request"), "keep_old");
    assert_eq!(operator.get(&path).await.expect(200)["name"], "k", "nothing changed on the way");
}

#[tokio::test]
async fn a_rotated_key_hands_over() {
    let (stand, operator) = stand().await;
    let wish = json!({"account": "alice", "name": "laptop", "limits": {"rpm": 60}, "budget": "3"});
    let first = operator.post("/api/keys", wish).await.expect(201);
    let rotate = |key: &Value| format!("/api/keys/{}/rotate", text(&key["id"]));
    let second = operator.post(&rotate(&first), json!({"keep_old": "24h"})).await.expect(201);
    assert_ne!(first["id"], second["id"]);
    for field in ["name", "limits", "budget", "account"] {
        assert_eq!(first[field], second[field], "{field}");
    }
    assert_eq!((status(&stand, &first).await, status(&stand, &second).await), (200, 200));
    assert!(operator.get(&format!("/api/keys/{}", text(&first["id"]))).await.expect(200)["expires_at"].is_string());

    let third = operator.post(&rotate(&second), json!({})).await.expect(201);
    assert_eq!((status(&stand, &second).await, status(&stand, &third).await), (401, 200));
}

#[tokio::test]
async fn a_key_is_found_by_what_people_have_of_it() {
    let (stand, operator) = stand().await;
    stand.account("bob", "0");
    let mut made = Vec::new();
    for (account, name) in [("alice", "laptop"), ("alice", "100% ci"), ("bob", "laptop")] {
        made.push(operator.post("/api/keys", json!({"account": account, "name": name})).await.expect(201));
    }
    let found = |who: Console, query: String| async move {
        let rows = who.get(&format!("/api/keys{query}")).await.expect(200)["data"].clone();
        rows.as_array().unwrap().iter().map(|row| row["id"].clone()).collect::<Vec<_>>()
    };
    let ids = |nths: &[usize]| nths.iter().map(|nth| made[*nth]["id"].clone()).collect::<Vec<_>>();
    let whole = text(&made[1]["key"]).to_owned();
    for (query, nths) in [
        (String::new(), vec![2, 1, 0]),
        ("?account=alice".into(), vec![1, 0]),
        ("?q=LAPT".into(), vec![2, 0]),
        ("?q=%25".into(), vec![1]),
        ("?q=_".into(), vec![]),
        (format!("?q={}", text(&made[0]["id"])), vec![0]),
        (format!("?q={whole}"), vec![1]),
        (format!("?account=bob&q={whole}"), vec![]),
    ] {
        assert_eq!(found(operator.clone(), query.clone()).await, ids(&nths), "{query}");
    }
    assert!(!stand.gateway.log().contains(&whole), "a pasted key is written nowhere");
    let alice = operator.customer(&stand.gateway, "alice", "alice").await;
    assert_eq!(found(alice.clone(), "?q=laptop".into()).await, ids(&[0]));
    assert_eq!(found(alice, format!("?q={}", text(&made[2]["key"]))).await, ids(&[]), "bob's is not hers to find");
}

#[tokio::test]
async fn what_belongs_to_somebody_else_does_not_exist() {
    let (stand, operator) = stand().await;
    stand.account("bob", "10");
    let alice = operator.customer(&stand.gateway, "alice", "alice").await;
    let bobs = operator.post("/api/keys", json!({"account": "bob", "name": "bobs"})).await.expect(201);
    assert_eq!(status(&stand, &bobs).await, 200);
    let request = operator.requests(1).await.remove(0);
    let account = operator.get("/api/accounts/bob").await.expect(200);
    let (key, account, request) = (text(&bobs["id"]), text(&account["id"]), text(&request["id"]));

    for path in [
        format!("/api/accounts/{account}"),
        "/api/accounts/bob".into(),
        format!("/api/accounts/{account}/ledger"),
        format!("/api/keys/{key}"),
        format!("/api/requests/{request}"),
        "/api/keys?account=bob".into(),
        "/api/requests?account=bob".into(),
        format!("/api/requests?key={key}"),
        "/api/usage?by=day&account=bob".into(),
        "/api/usage/series?account=bob".into(),
        format!("/api/usage/series?key={key}"),
    ] {
        let theirs = alice.get(&path).await.refused(404, "not_found");
        let nobodys = path.replace(key, "key_none").replace(request, "req_0").replace(account, "acc_none");
        let nobodys = nobodys.replace("bob", "nobody");
        assert_eq!(theirs, alice.get(&nobodys).await.refused(404, "not_found"), "{path}: the same words");
    }
    let theirs = format!("/api/keys/{key}");
    alice.patch(&theirs, json!({"name": "mine"})).await.refused(404, "not_found");
    alice.delete(&theirs).await.refused(404, "not_found");
    alice.post(&format!("{theirs}/rotate"), json!({})).await.refused(404, "not_found");
    alice.post("/api/keys", json!({"account": "bob", "name": "k"})).await.refused(404, "not_found");
    assert_eq!(status(&stand, &bobs).await, 200, "nothing happened to it");

    let own = alice.post("/api/keys", json!({"name": "own"})).await.expect(201);
    assert_eq!(own["account"], "alice");
    for path in ["/api/accounts", "/api/keys", "/api/requests"] {
        let rows = alice.get(path).await.expect(200)["data"].clone();
        let foreign = rows.as_array().unwrap().iter().find(|row| row["account"] == "bob" || row["name"] == "bob");
        assert_eq!(foreign, None, "{path}");
    }
    for path in
        ["/api/ledger", "/api/upstreams", "/api/audit", "/api/actions", "/api/health", "/api/config", "/api/people"]
    {
        alice.get(path).await.refused(403, "forbidden");
    }
    alice.get("/api/usage?by=account").await.refused(403, "forbidden");
    alice.get("/api/requests?upstream=up").await.refused(403, "forbidden");
    alice.get("/api/overview?scope=all").await.refused(403, "forbidden");
}

#[tokio::test]
async fn nobody_gets_an_account_by_a_name_that_looks_like_an_id() {
    let (stand, operator) = stand().await;
    let alice = operator.get("/api/accounts/alice").await.expect(200);
    let name = format!("x{}", text(&alice["id"]));
    operator.post("/api/accounts", json!({"name": name})).await.expect(201);
    let person = operator.customer(&stand.gateway, "alice", "alice").await;
    let listed = person.get("/api/accounts").await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["data"][0]["id"], alice["id"]);
}
