//! The console's door: the first operator, signing in and out, links for new people, and guessing made slow.

use serde_json::json;

use crate::support::browser::{PASSWORD, first_link, links, problem, token_of};
use crate::support::*;

/// With these members of `console`.
fn gateway_with(console: &str) -> Gateway {
    let yaml = Config::new().to_yaml();
    let (before, after) =
        ("console: {listen: \"127.0.0.1:0\"}", format!("console: {{listen: \"127.0.0.1:0\", {console}}}"));
    assert!(yaml.contains(before));
    Gateway::start_yaml(&yaml.replace(before, &after))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_operator_comes_in_by_the_link_in_the_log_once() {
    let mut gateway = Gateway::start(&Config::new());
    let mut visitor = Browser::new(&gateway);
    assert_eq!(visitor.get("/api/site").await.expect(200).json()["needs_operator"], true);
    let link = first_link(&gateway);
    let facts = visitor.post("/api/invitation", json!({"token": link})).await.expect(200).json();
    assert_eq!((&facts["role"], &facts["resets"]), (&json!("operator"), &json!(null)));

    // A second start makes another one, and the first goes on to work.
    gateway.restart();
    assert_eq!(links(&gateway).len(), 2);
    let mut ada = Browser::new(&gateway);
    let me = ada.sign_up(&link, "ada").await.expect(201).json();
    assert_eq!(
        (&me["kind"], &me["role"], &me["person"]["login"]),
        (&json!("session"), &json!("operator"), &json!("ada"))
    );
    assert_eq!(me["account"]["name"], "alice", "the only account that there is becomes hers");
    assert_eq!(ada.get("/api/site").await.json()["needs_operator"], false);
    let again = Browser::new(&gateway).sign_up(&link, "eve").await;
    assert_eq!((again.status(), problem(&again).as_str()), (404, "not_found"));

    gateway.restart();
    assert_eq!(links(&gateway).len(), 2, "somebody can sign in: nothing is printed");
    visitor = Browser::new(&gateway);
    visitor.sign_in("ADA", PASSWORD).await.expect(201);
    assert_eq!(visitor.get("/api/me").await.expect(200).json()["person"]["login"], "ada");
    assert!(!gateway.log().contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_and_ends() {
    let gateway = Gateway::start(&Config::new());
    let mut ada = Browser::first_operator(&gateway).await;
    let first = Browser { cookie: ada.cookie.clone(), ..ada.clone() };

    let answer = ada.sign_in("ada", PASSWORD).await.expect(201);
    let set = answer.header("set-cookie").unwrap().to_owned();
    let attributes: Vec<&str> = set.split("; ").skip(1).collect();
    assert!(set.starts_with("tollgate_session=tgses_"), "{set}");
    assert_eq!(attributes, ["Path=/", "Max-Age=7776000", "HttpOnly", "SameSite=Lax"]);
    assert_ne!(first.cookie, ada.cookie, "each signing in makes a new one");

    let sessions = ada.get("/api/sessions").await.expect(200).json();
    let current: Vec<bool> =
        sessions["data"].as_array().unwrap().iter().map(|session| session["current"].as_bool().unwrap()).collect();
    assert_eq!((current.len(), current.iter().filter(|current| **current).count()), (2, 1), "{sessions:#}");
    assert_eq!(sessions["data"][0]["address"], "127.0.0.1");
    let other = sessions["data"].as_array().unwrap().iter().find(|session| session["current"] == false).unwrap();
    ada.delete(&format!("/api/sessions/{}", other["id"].as_str().unwrap())).await.expect(204);
    assert_eq!(first.get("/api/me").await.status(), 401);

    let out = ada.delete("/api/session").await.expect(204);
    assert!(out.header("set-cookie").unwrap().contains("tollgate_session=; Path=/; Max-Age=0"));
    let gone = ada.get("/api/me").await;
    assert_eq!((gone.status(), problem(&gone).as_str()), (401, "unauthenticated"), "the old cookie is worth nothing");
    let database = std::fs::read(gateway.folder().join("data/tollgate.db")).unwrap();
    let secret = set.split(['=', ';']).nth(1).unwrap();
    assert!(memchr::memmem::find(&database, secret.as_bytes()).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_the_other_sessions() {
    let gateway = Gateway::start(&Config::new());
    let ada = Browser::first_operator(&gateway).await;
    let mut other = Browser::new(&gateway);
    other.sign_in("ada", PASSWORD).await.expect(201);
    let change = |current: &str, new: &str| json!({"password": {"current": current, "new": new}});
    let wrong = ada.patch("/api/me", change("wrong horse", "battery staple")).await;
    assert_eq!((wrong.status(), wrong.json()["errors"][0]["field"].clone()), (400, json!("password.current")));
    let short = ada.patch("/api/me", change(PASSWORD, "123456789")).await;
    assert_eq!((short.status(), short.json()["errors"][0]["field"].clone()), (400, json!("password.new")));
    assert_eq!(other.get("/api/me").await.status(), 200);

    ada.patch("/api/me", change(PASSWORD, "battery staple")).await.expect(200);
    assert_eq!(ada.get("/api/me").await.status(), 200);
    assert_eq!(other.get("/api/me").await.status(), 401);
    assert_eq!(other.sign_in("ada", PASSWORD).await.status(), 401);
    other.sign_in("ada", "battery staple").await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_s_page_can_do_nothing_in_a_person_s_name() {
    let gateway = Gateway::start(&Config::new());
    let ada = Browser::first_operator(&gateway).await;
    let own = ada.origin.clone().unwrap();
    let no_header = Browser { own_header: false, ..ada.clone() };
    let origin = |origin: Option<&str>| Browser { origin: origin.map(str::to_owned), ..ada.clone() };
    let refused = |answer: Answer, what: &str| {
        assert_eq!((answer.status(), problem(&answer).as_str()), (403, "cross_site"), "{what}");
    };
    refused(no_header.get("/api/me").await, "without the header");
    refused(ada.also("Sec-Fetch-Site: cross-site").get("/api/me").await, "from another site");
    refused(ada.also("Sec-Fetch-Site: same-site").get("/api/me").await, "from a neighbour");
    let body = || json!({"name": "new"});
    refused(no_header.post("/api/accounts", body()).await, "without the header");
    refused(origin(None).post("/api/accounts", body()).await, "without an origin");
    for foreign in ["null", "https://evil.example", "http://127.0.0.1", &own.replace("http:", "https:")] {
        refused(origin(Some(foreign)).post("/api/accounts", body()).await, foreign);
    }
    refused(ada.also("Sec-Fetch-Site: none").post("/api/accounts", body()).await, "typed in");
    refused(ada.also("Sec-Fetch-Site: cross-site").post("/api/accounts", body()).await, "from another site");
    // Signing somebody in as somebody else is an attack as well.
    let visitor = Browser { cookie: None, ..origin(Some("https://evil.example")) };
    refused(visitor.post("/api/session", json!({"login": "ada", "password": PASSWORD})).await, "signing in");
    assert_eq!(ada.get("/api/accounts").await.json()["data"].as_array().unwrap().len(), 1, "nothing was done");

    ada.also("Sec-Fetch-Site: same-origin").post("/api/accounts", body()).await.expect(201);
    assert_eq!(ada.also("Sec-Fetch-Site: none").get("/api/me").await.status(), 200);
    // No page of another site may even ask.
    let preflight = ada.ask("OPTIONS", "/api/accounts", None).await;
    assert_eq!(preflight.status(), 405);
    assert_eq!(preflight.header("access-control-allow-origin"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_tls_the_cookie_is_nailed_to_the_host() {
    let gateway = gateway_with("public_url: \"https://gate.example/\"");
    assert!(gateway.log().contains("https://gate.example/sign-up#tginv_"), "{}", gateway.log());
    let mut ada = Browser { origin: Some("https://gate.example".into()), ..Browser::new(&gateway) };
    let answer = ada.sign_up(&first_link(&gateway), "ada").await.expect(201);
    let set = answer.header("set-cookie").unwrap();
    assert!(set.starts_with("__Host-tollgate=tgses_") && set.ends_with("; Secure"), "{set}");
    assert_eq!(ada.get("/api/me").await.status(), 200);
    let plain = Browser {
        cookie: ada.cookie.as_ref().map(|it| it.replace("__Host-tollgate", "tollgate_session")),
        ..ada.clone()
    };
    assert_eq!(plain.get("/api/me").await.status(), 401, "a cookie that anybody on the way can set is not ours");
    let local = Browser { origin: Browser::new(&gateway).origin, ..ada.clone() };
    let refused = local.post("/api/accounts", json!({"name": "new"})).await;
    assert_eq!(problem(&refused), "cross_site");
    let made = ada.post("/api/invitations", json!({"role": "customer"})).await.expect(201).json();
    assert!(made["url"].as_str().unwrap().starts_with("https://gate.example/sign-up#tginv_"));
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_slowed_down_and_say_nothing() {
    let gateway = Gateway::start(&Config::new());
    let ada = Browser::first_operator(&gateway).await;
    let visitor = Browser::new(&gateway);
    let guess = |login: &str| visitor.clone().sign_in_owned(login.to_owned(), "wrong horse");
    let (known, unknown) = (guess("ada").await, guess("nobody").await);
    assert_eq!((known.status(), known.text()), (401, unknown.text()), "the same words");
    assert_eq!(problem(&known), "wrong_credentials");

    // Many at once are no more than one after the other: four are left of five.
    let many = futures_util::future::join_all((0..40).map(|_| guess("Ada"))).await;
    let judged = many.iter().filter(|answer| answer.status() == 401).count();
    let slowed: Vec<_> = many.iter().filter(|answer| answer.status() == 429).collect();
    assert_eq!((judged, slowed.len()), (4, 36));
    let seconds: u64 = slowed[0].header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&seconds) && problem(slowed[0]) == "too_many_attempts", "{}", slowed[0].text());
    // Even the right password has to wait; who is in stays in.
    assert_eq!(visitor.clone().sign_in("ada", PASSWORD).await.status(), 429);
    assert_eq!(ada.get("/api/me").await.status(), 200);
    let right = || async { visitor.clone().sign_in("ada", PASSWORD).await };
    eventually("the login has rested", right, |answer: &Answer| answer.status() == 201).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_guesses_is_slowed_down_whatever_it_guesses() {
    let gateway = Gateway::start(&Config::new().edge("trusted_proxies: [\"127.0.0.0/8\"]"));
    let _ada = Browser::first_operator(&gateway).await;
    let from = |address: &str| Browser::new(&gateway).also(&format!("X-Forwarded-For: {address}"));
    let attacker = from("1.2.3.4, 2001:db8::1");
    for nth in 0..15 {
        let answer = attacker.clone().sign_in(&format!("nobody{nth}"), "wrong horse").await;
        assert_eq!(answer.status(), 401, "{nth}");
        let token = json!({"token": "tginv_guessed"});
        assert_eq!(attacker.post("/api/invitation", token).await.status(), 404, "{nth}");
    }
    // Another address of the same network, and another network.
    let neighbour = from("2001:db8::ffff:1");
    let slowed = neighbour.clone().sign_in("ada", PASSWORD).await;
    assert_eq!((slowed.status(), problem(&slowed).as_str()), (429, "too_many_attempts"));
    assert!(slowed.header("retry-after").unwrap().parse::<u64>().unwrap() > 300);
    from("2001:db8:1::1").sign_in("ada", PASSWORD).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_the_peer_s_unless_a_proxy_is_trusted() {
    let gateway = Gateway::start(&Config::new());
    let forged = Browser::new(&gateway).also("X-Forwarded-For: 203.0.113.9");
    let mut ada = forged.clone();
    ada.sign_up(&first_link(&gateway), "ada").await.expect(201);
    assert_eq!(ada.get("/api/sessions").await.json()["data"][0]["address"], "127.0.0.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_invited_disabled_and_given_new_passwords() {
    let gateway = Gateway::start(&Config::new());
    let ada = Browser::first_operator(&gateway).await;
    let invite = json!({"role": "customer", "account": "alice", "note": "for <b>bob</b>", "expires_in": "1d"});
    let made = ada.post("/api/invitations", invite).await.expect(201).json();
    assert_eq!((&made["status"], &made["account"]["name"]), (&json!("open"), &json!("alice")));
    let listed = ada.get("/api/invitations").await.expect(200).json();
    let shown = listed["data"].as_array().unwrap().iter().find(|one| one["id"] == made["id"]).unwrap();
    assert_eq!(shown["url"], json!(null), "the link is shown once");

    let mut bob = Browser::new(&gateway);
    for taken in ["ada", "ADA"] {
        let answer = bob.sign_up(token_of(&made), taken).await;
        assert_eq!((answer.status(), problem(&answer).as_str()), (422, "refused"), "{taken}");
    }
    for bad in ["", "=cmd()", "a b", "<script>", &"x".repeat(65)] {
        let answer = bob.sign_up(token_of(&made), bad).await;
        assert_eq!((answer.status(), answer.json()["errors"][0]["field"].clone()), (400, json!("login")), "{bad}");
    }
    let me = bob.sign_up(token_of(&made), "bob").await.expect(201).json();
    assert_eq!((&me["role"], &me["account"]["name"]), (&json!("customer"), &json!("alice")));

    // Taken back, it works no more.
    let second = ada.post("/api/invitations", json!({"role": "operator"})).await.expect(201).json();
    ada.delete(&format!("/api/invitations/{}", second["id"].as_str().unwrap())).await.expect(204);
    assert_eq!(Browser::new(&gateway).sign_up(token_of(&second), "eve").await.status(), 404);

    // A new password by link: sessions end, the login stays.
    let people = ada.get("/api/people").await.expect(200).json();
    let id = |login: &str| {
        let found = people["data"].as_array().unwrap().iter().find(|person| person["login"] == login);
        found.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let reset = ada.post(&format!("/api/people/{}/reset", id("bob")), json!({})).await.expect(201).json();
    let facts = bob.post("/api/invitation", json!({"token": token_of(&reset)})).await.expect(200).json();
    assert_eq!(facts["resets"], "bob");
    let mut fresh = Browser::new(&gateway);
    let body = json!({"invitation": token_of(&reset), "login": "", "password": "battery staple"});
    let me = fresh.enter("/api/sign-up", body).await.expect(201).json();
    assert_eq!(me["person"]["login"], "bob");
    assert_eq!(bob.get("/api/me").await.status(), 401);
    assert_eq!(bob.sign_in("bob", PASSWORD).await.status(), 401);
    let log = ada.get("/api/actions").await.expect(200).json();
    let deeds = log["data"].as_array().unwrap().iter().filter(|deed| deed["target"] == id("bob").as_str());
    let deeds: Vec<_> = deeds.map(|deed| (deed["action"].as_str().unwrap(), deed["after"].clone())).collect();
    assert_eq!(deeds[0], ("person.password", json!({"by_link": true})), "{log}");
    assert_eq!((deeds[1].0, &deeds[1].1["role"]), ("person.create", &json!("customer")));

    // Disabled: out at once, and not in again.
    ada.patch(&format!("/api/people/{}", id("bob")), json!({"status": "disabled"})).await.expect(200);
    assert_eq!(fresh.get("/api/me").await.status(), 401);
    let disabled = fresh.sign_in("bob", "battery staple").await;
    assert_eq!((disabled.status(), problem(&disabled).as_str()), (401, "wrong_credentials"));
    for change in [json!({"status": "disabled"}), json!({"role": "customer"})] {
        let last = ada.patch(&format!("/api/people/{}", id("ada")), change).await;
        assert_eq!((last.status(), problem(&last).as_str()), (422, "refused"), "the last operator stays");
    }
    let actions = ada.get("/api/actions").await.expect(200).text();
    assert!(actions.contains("ada") && !actions.contains("tginv_") && !actions.contains("argon2"), "{actions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_up_is_open_only_where_it_is() {
    let body = || json!({"login": "carol", "password": PASSWORD});
    let gateway = Gateway::start(&Config::new());
    let closed = Browser::new(&gateway).post("/api/sign-up", body()).await;
    assert_eq!((closed.status(), problem(&closed).as_str()), (403, "forbidden"));

    let gateway = gateway_with("sign_up: open");
    assert_eq!(Browser::new(&gateway).get("/api/site").await.json()["sign_up"], "open");
    let mut carol = Browser::new(&gateway);
    let me = carol.enter("/api/sign-up", body()).await.expect(201).json();
    assert_eq!((&me["role"], &me["account"]["name"]), (&json!("customer"), &json!("carol")));
    assert_eq!(me["account"]["balance"], "0");
    assert_eq!(carol.get("/api/people").await.status(), 403);
    assert_eq!(Browser::new(&gateway).post("/api/sign-up", body()).await.status(), 422, "the login is taken");
    let alice = json!({"login": "alice", "password": PASSWORD});
    assert_eq!(Browser::new(&gateway).post("/api/sign-up", alice).await.status(), 422, "the account is somebody's");
    let operator = json!({"login": "dan", "password": PASSWORD, "role": "operator"});
    assert_eq!(Browser::new(&gateway).post("/api/sign-up", operator).await.status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_are_told_what_is_wrong() {
    let gateway = Gateway::start(&Config::new());
    let ada = Browser::first_operator(&gateway).await;
    let send = async |path: &str, json: bool, body: &[u8]| {
        let mut connection = ada.connect().await;
        connection.try_send(ada.request("POST", path, json, body)).await;
        connection.answer().await
    };
    let deep = "[".repeat(100_000);
    let cases: [(&[u8], u16, &str); 10] = [
        (b"", 400, "invalid_request"),
        (b"{", 400, "invalid_request"),
        (b"null", 400, "invalid_request"),
        (b"[]", 400, "invalid_request"),
        (b"\xff\xfe{}", 400, "invalid_request"),
        (br#"{"name":"x","nmae":"y"}"#, 400, "invalid_request"),
        (br#"{"name":"x","name":"y"}"#, 400, "invalid_request"),
        (br#"{"name":{"a":1}}"#, 400, "invalid_request"),
        (br#"{"name":"a b"}"#, 400, "invalid_request"),
        (deep.as_bytes(), 413, "too_large"),
    ];
    for (body, status, code) in cases {
        let answer = send("/api/accounts", true, body).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]);
        assert_eq!((answer.status(), problem(&answer).as_str()), (status, code), "{shown}: {}", answer.text());
    }
    let nested = &deep.as_bytes()[..60_000];
    assert_eq!(send("/api/accounts", true, nested).await.status(), 400, "deep, and no stack is lost over it");
    let untyped = send("/api/accounts", false, b"{\"name\":\"x\"}").await;
    assert_eq!((untyped.status(), problem(&untyped).as_str()), (415, "unsupported_media_type"));
    let form = ada.also("Content-Type: text/plain");
    let mut connection = form.connect().await;
    connection.send(form.request("POST", "/api/accounts", false, b"{\"name\":\"x\"}")).await;
    assert_eq!(connection.answer().await.status(), 415);
    assert_eq!(ada.get("/api/accounts").await.json()["data"].as_array().unwrap().len(), 1);
    for query in ["limit=0", "limit=201", "limit=x", "limit=-1", "nothing=1", "after=%00", "limit=1&limit=2"] {
        let answer = ada.get(&format!("/api/accounts?{query}")).await;
        assert!([400, 422].contains(&answer.status()), "{query}: {}", answer.text());
    }
}
