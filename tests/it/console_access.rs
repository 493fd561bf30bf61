//! Every route of the console against everybody who might call it, and the document that describes them.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use tollgate::console::access::{RULES, Who};
use tollgate::console::api;
use tollgate::core::admin_token::Scope;

use crate::support::browser::problem;
use crate::support::*;

/// What a caller hears at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    /// Whatever the route itself answers.
    Open,
    Unauthenticated,
    Forbidden,
    CrossSite,
}

impl Door {
    fn seen(answer: &Answer) -> Door {
        match answer.status() {
            401 => Door::Unauthenticated,
            403 => match problem(answer).as_str() {
                "cross_site" => Door::CrossSite,
                _ => Door::Forbidden,
            },
            _ => Door::Open,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// No credential, no header.
    Stranger,
    /// No credential, from our own pages.
    Visitor,
    Customer,
    Operator,
    Token(Scope),
    /// A model key, and text that is nothing, where a token belongs.
    NoToken,
}

/// The law in other words than the table's own: what is expected of a rule for each role.
fn expected(who: Who, role: Role) -> Door {
    use Door::{CrossSite, Forbidden, Open, Unauthenticated};
    match (who, role) {
        (Who::Anybody, _) => Open,
        (_, Role::NoToken) => Unauthenticated,
        (Who::Visitor | Who::Playground, Role::Stranger) => CrossSite,
        (Who::Visitor | Who::Playground, Role::Token(_)) => Forbidden,
        (Who::Visitor | Who::Playground, _) => Open,
        (_, Role::Stranger | Role::Visitor) => Unauthenticated,
        (Who::Person, Role::Token(_)) => Forbidden,
        (Who::Person | Who::Known, _) => Open,
        (Who::Operator(_), Role::Customer) => Forbidden,
        (Who::Member(_) | Who::Operator(_), Role::Customer | Role::Operator) => Open,
        (Who::Member(_) | Who::Operator(_), Role::Token(Scope::All)) => Open,
        (Who::Member(wanted) | Who::Operator(wanted), Role::Token(scope)) if scope == wanted => Open,
        (Who::Member(_) | Who::Operator(_), Role::Token(_)) => Forbidden,
    }
}

/// Routes that customers may call, written down once more by hand: a slip in the table must not go unseen.
const FOR_CUSTOMERS: &str = "\
    DELETE /api/keys/{id}
    DELETE /api/session
    DELETE /api/sessions/{id}
    GET /api/accounts
    GET /api/accounts/{id}
    GET /api/accounts/{id}/ledger
    GET /api/keys
    GET /api/keys/{id}
    GET /api/me
    GET /api/models
    GET /api/openapi.json
    GET /api/overview
    GET /api/playground/models
    GET /api/playground/requests/{id}
    GET /api/requests
    GET /api/requests/{id}
    GET /api/sessions
    GET /api/site
    GET /api/usage
    GET /api/usage/series
    PATCH /api/keys/{id}
    PATCH /api/me
    POST /api/invitation
    POST /api/keys
    POST /api/keys/{id}/rotate
    POST /api/playground/chat/completions
    POST /api/playground/completions
    POST /api/playground/embeddings
    POST /api/playground/images/generations
    POST /api/redeem
    POST /api/session
    POST /api/sign-up";

#[tokio::test(flavor = "multi_thread")]
async fn every_route_opens_for_whom_it_is_meant_and_for_nobody_else() {
    let gateway = Gateway::start(&Config::new());
    let operator = Browser::first_operator(&gateway).await;
    let customer = operator.customer("bob").await;
    let stranger = Browser { own_header: false, origin: None, ..Browser::new(&gateway) };
    let mut callers = vec![
        (Role::Stranger, stranger),
        (Role::Visitor, Browser::new(&gateway)),
        (Role::Customer, customer),
        (Role::Operator, operator),
        (Role::NoToken, Browser::with_bearer(&gateway, &gateway.key.secret)),
        (Role::NoToken, Browser::with_bearer(&gateway, "tgadm_nonsense")),
    ];
    callers.extend(Scope::ALL.map(|scope| (Role::Token(scope), Browser::with_scopes(&gateway, scope.as_str()))));

    let (mut faults, mut customers) = (Vec::new(), BTreeSet::new());
    for rule in RULES {
        let route = format!("{} {}", rule.method, rule.path);
        // Names that nothing has, and a field that no body has: who is let in changes nothing.
        let path = rule.path.replace("{id}", "nobody_1").replace("{name}", "nobody");
        let body = (rule.method != "GET").then(|| json!({"no_such_field": 1}));
        for (role, caller) in &callers {
            let signs_out = route == "DELETE /api/session" && caller.cookie.is_some();
            let caller = if signs_out { &signed_in_again(caller, *role).await } else { caller };
            let answer = caller.ask(rule.method.as_str(), &path, body.clone()).await;
            let (seen, expected) = (Door::seen(&answer), expected(rule.who, *role));
            if seen != expected {
                faults.push(format!("{route} for {role:?}: {seen:?}, not {expected:?}: {}", answer.text()));
            }
            if answer.status() >= 500 {
                faults.push(format!("{route} for {role:?}: {}", answer.text()));
            }
            if *role == Role::Customer && seen == Door::Open {
                customers.insert(route.clone());
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let by_hand: BTreeSet<String> = FOR_CUSTOMERS.lines().map(|line| line.trim().to_owned()).collect();
    assert_eq!(customers, by_hand);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_makes_nothing_that_may_do_more_than_itself() {
    let gateway = Gateway::start(&Config::new());
    let operator = Browser::first_operator(&gateway).await;
    operator.customer("bob").await;
    let token = Browser::with_scopes(&gateway, "accounts");
    let people = operator.get("/api/people").await.expect(200).json();
    let id = |login: &str| {
        let found = people["data"].as_array().unwrap().iter().find(|person| person["login"] == login);
        found.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (ada, bob) = (id("ada"), id("bob"));
    for (method, path, body) in [
        ("POST", "/api/accounts".to_owned(), json!({"name": "rich", "credit": "1000000"})),
        ("POST", "/api/invitations".to_owned(), json!({"role": "operator"})),
        ("POST", format!("/api/people/{ada}/reset"), json!({})),
        ("PATCH", format!("/api/people/{bob}"), json!({"role": "operator"})),
        ("PATCH", format!("/api/people/{ada}"), json!({"status": "disabled"})),
    ] {
        let answer = token.ask(method, &path, Some(body)).await;
        assert_eq!((answer.status(), problem(&answer).as_str()), (403, "forbidden"), "{method} {path}");
    }
    token.post("/api/accounts", json!({"name": "poor"})).await.expect(201);
    token.post("/api/invitations", json!({"role": "customer", "account": "poor"})).await.expect(201);
    token.post(&format!("/api/people/{bob}/reset"), json!({})).await.expect(201);
    let all = Browser::with_scopes(&gateway, "all");
    all.post("/api/invitations", json!({"role": "operator"})).await.expect(201);
}

/// One more session of the same person, which may end.
async fn signed_in_again(caller: &Browser, role: Role) -> Browser {
    let login = if role == Role::Operator { "ada" } else { "bob" };
    let mut again = Browser { cookie: None, ..caller.clone() };
    again.sign_in(login, browser::PASSWORD).await.expect(201);
    again
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_route_is_no_route_for_everybody() {
    let gateway = Gateway::start(&Config::new());
    let operator = Browser::first_operator(&gateway).await;
    for caller in [&operator, &Browser::new(&gateway), &Browser::with_scopes(&gateway, "all")] {
        for path in ["/api", "/api/", "/api/nothing", "/api/keys/", "/api/keys/a/b/c", "/api//keys", "/API/keys"] {
            let answer = caller.get(path).await;
            assert_eq!(answer.status(), 404, "{path}: {}", answer.text());
            if path.starts_with("/api") {
                assert_eq!(problem(&answer), "not_found", "{path}");
            }
        }
        let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];
        for path in RULES.iter().map(|rule| rule.path).collect::<BTreeSet<_>>() {
            let there = |method: &&str| RULES.iter().any(|rule| rule.path == path && rule.method == **method);
            for method in methods.iter().filter(|method| !there(method)) {
                let answer = caller.ask(method, &path.replace("{id}", "x").replace("{name}", "x"), None).await;
                assert_eq!(
                    (answer.status(), problem(&answer).as_str()),
                    (405, "method_not_allowed"),
                    "{method} {path}"
                );
                let allowed = answer.header("allow").unwrap_or_default().to_owned();
                assert!(!allowed.is_empty() && !allowed.contains(method), "{method} {path}: {allowed}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_somebody_else_does_not_exist() {
    let gateway = Gateway::start(&Config::new());
    let operator = Browser::first_operator(&gateway).await;
    let (bob, eve) = (operator.customer("bob").await, operator.customer("eve").await);
    let account = bob.get("/api/me").await.expect(200).json()["account"]["id"].as_str().unwrap().to_owned();
    let key = bob.post("/api/keys", json!({"name": "laptop"})).await.expect(201).json();
    let (id, secret) = (key["id"].as_str().unwrap(), key["key"].as_str().unwrap());
    operator
        .post(&format!("/api/accounts/{account}/credits"), json!({"amount": "5", "note": "hello"}))
        .await
        .expect(201);
    let body = r#"{"model":"chat-model","messages":[{"role":"user","content":"hello"}]}"#;
    let answered = gateway.send(post("/v1/chat/completions", secret, body)).await.expect(200);
    let request = answered.header("x-request-id").unwrap().to_owned();
    let path = format!("/api/requests/{request}");
    let written = || async { bob.get(&path).await };
    eventually("the request is recorded", written, |answer: &Answer| answer.status() == 200).await;
    let session = bob.get("/api/sessions").await.json()["data"][0]["id"].as_str().unwrap().to_owned();

    let theirs: Vec<(&str, String, Value)> = vec![
        ("GET", format!("/api/accounts/{account}"), Value::Null),
        ("GET", "/api/accounts/bob".into(), Value::Null),
        ("GET", format!("/api/accounts/{account}/ledger"), Value::Null),
        ("GET", format!("/api/keys/{id}"), Value::Null),
        ("PATCH", format!("/api/keys/{id}"), json!({"status": "disabled"})),
        ("POST", format!("/api/keys/{id}/rotate"), json!({})),
        ("DELETE", format!("/api/keys/{id}"), Value::Null),
        ("GET", path.clone(), Value::Null),
        ("GET", format!("/api/keys?account={account}"), Value::Null),
        ("GET", format!("/api/requests?account={account}"), Value::Null),
        ("GET", format!("/api/usage?by=day&account={account}"), Value::Null),
        ("GET", format!("/api/usage/series?by=model&account={account}&range=24h"), Value::Null),
        ("DELETE", format!("/api/sessions/{session}"), Value::Null),
    ];
    for (method, path, body) in &theirs {
        let body = (*method != "GET" && !body.is_null()).then(|| body.clone());
        let answer = eve.ask(method, path, body).await;
        assert_eq!((answer.status(), problem(&answer).as_str()), (404, "not_found"), "{method} {path}");
    }
    let chat = eve.also(&format!("X-Tollgate-Key: {id}")).post("/api/playground/chat/completions", json!({})).await;
    assert_eq!((chat.status(), problem(&chat).as_str()), (404, "not_found"));

    // Nothing of it was done, and lists are narrowed without a word.
    assert_eq!(bob.get(&format!("/api/keys/{id}")).await.expect(200).json()["status"], "active");
    assert_eq!(gateway.send(post("/v1/chat/completions", secret, body)).await.status(), 200);
    for list in ["/api/keys", "/api/requests", "/api/usage?by=day"] {
        assert_eq!(eve.get(list).await.expect(200).json()["data"], json!([]), "{list}");
        assert!(!bob.get(list).await.expect(200).json()["data"].as_array().unwrap().is_empty(), "{list}");
    }
    let accounts = eve.get("/api/accounts").await.expect(200).json();
    assert_eq!(accounts["data"].as_array().unwrap().len(), 1, "{accounts:#}");
    assert_eq!(accounts["data"][0]["name"], "eve");
}

#[test]
fn every_described_route_has_a_rule_and_every_rule_is_described() {
    let document = serde_json::to_value(api::document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| format!("{method} {path}")))
        .collect();
    let ruled = RULES.iter().filter(|rule| rule.path != "/api/openapi.json");
    let ruled: BTreeSet<String> =
        ruled.map(|rule| format!("{} {}", rule.method.as_str().to_lowercase(), rule.path)).collect();
    assert_eq!(described, ruled);

    let mut ids = BTreeSet::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap_or_default();
            assert!(!id.is_empty() && ids.insert(id.to_owned()), "{method} {path}: {id:?}");
            assert!(operation["summary"].is_string(), "{method} {path}");
            assert!(operation["security"].is_array(), "{method} {path}");
        }
    }
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    let document = serde_json::to_value(api::document()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference}"));
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect_references<'d>(value: &'d Value, found: &mut Vec<&'d str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| collect_references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        _ => {}
    }
}

/// The document is kept in the repository, so that a change of the API is seen as one. `TOLLGATE_BLESS=1` writes it.
#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_the_one_that_is_kept_and_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/openapi.json");
    let now = api::document().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("TOLLGATE_BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == now,
        "src/console/openapi.json is not the API's any more: run with TOLLGATE_BLESS=1 and look at it"
    );
    let gateway = Gateway::start(&Config::new());
    let stranger = Browser { own_header: false, ..Browser::new(&gateway) };
    let served = stranger.get("/api/openapi.json").await.expect(200).json();
    assert_eq!(served, serde_json::from_str::<Value>(&kept).unwrap());
}
