//! The playground: people's own requests, through the console and the same edge as everybody's.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::browser::problem;
use crate::support::upstream::{DONE_EVENT, delta_event, finish_event, usage, usage_event};
use crate::support::*;
use crate::walk::{QUESTION, STREAMED};

const CHAT: &str = "/api/playground/chat/completions";

fn body(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn with_key(browser: &Browser, id: &str) -> Browser {
    browser.also(&format!("X-Tollgate-Key: {id}"))
}

fn with_pasted(browser: &Browser, secret: &str) -> Browser {
    browser.also(&format!("X-Tollgate-Pasted-Key: {secret}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_comes_event_by_event_and_is_charged_like_any_other() {
    let go = Signal::new();
    let stream = Reply::stream_head().then_chunk(delta_event("hello")).wait(&go).then_chunk(delta_event(" again"));
    let stream = stream.then_chunk(finish_event() + &usage_event(&usage(10, 2)) + DONE_EVENT).end();
    let upstream = Upstream::always(stream);
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let ada = Browser::first_operator(&gateway).await;
    let player = with_key(&ada, &gateway.key.id).also("Accept-Encoding: gzip");
    let mut connection = player.connect().await;
    connection.send(player.request("POST", CHAT, true, STREAMED.as_bytes())).await;
    let head = connection.head().await;
    assert_eq!(head.status(), 200, "{}", head.text());
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert_eq!(head.header("content-encoding"), None, "an event must not wait for the next one");
    let first = within(PATIENCE, "the first event", connection.piece()).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("hello"), "it came before the second was sent");
    go.set();
    let answer = connection.rest(head).await;
    assert!(answer.whole && answer.text().ends_with(DONE_EVENT), "{}", answer.text());

    let record = gateway.record(&answer.head).await;
    assert_eq!((&record["outcome"], &record["account"]), (&json!("ok"), &json!("alice")));
    assert_eq!(record["key_id"], gateway.key.id.as_str());
    let id = answer.header("x-request-id").unwrap();
    let cost = player.get(&format!("/api/playground/requests/{id}")).await.expect(200).json();
    assert_eq!(cost["charge"], record["charge"]);
    assert_ne!(record["charge"], "0");
    // Neither a key nor a ticket went anywhere that it could be read.
    assert!(!upstream.last().head.text().contains("tgtk_") && !gateway.log().contains("tgtk_"));
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_browser_goes_the_upstream_is_let_go_at_once() {
    let upstream = Upstream::always(Reply::stream_head().then_chunk(delta_event("hello")).hang());
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let ada = Browser::first_operator(&gateway).await;
    let player = with_key(&ada, &gateway.key.id);
    let mut connection = player.connect().await;
    connection.send(player.request("POST", CHAT, true, STREAMED.as_bytes())).await;
    let head = connection.head().await;
    assert!(connection.piece().await.unwrap().is_some());
    drop(connection);
    within(Duration::from_secs(5), "the upstream is let go", upstream.wait_for_close(0)).await;
    let record = gateway.record(&head).await;
    assert_eq!((&record["outcome"], &record["estimated"]), (&json!("client_gone"), &json!(true)));
    assert_ne!(record["charge"], "0");

    // And before there is an answer at all.
    let silent = Upstream::always(Reply::raw("").hang());
    let gateway = Gateway::start(&Config::chain(&[&silent]));
    let ada = Browser::first_operator(&gateway).await;
    let player = with_key(&ada, &gateway.key.id);
    let mut connection = player.connect().await;
    connection.send(player.request("POST", CHAT, true, QUESTION.as_bytes())).await;
    silent.wait_for_requests(1).await;
    connection.reset();
    within(Duration::from_secs(5), "the upstream is let go", silent.wait_for_close(0)).await;
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pasted_key_needs_nobody_signed_in_and_a_wrong_one_hears_the_edge() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]).edge("max_body: 64KiB"));
    let visitor = Browser::new(&gateway);
    let player = with_pasted(&visitor, &gateway.key.secret);
    let answer = player.post(CHAT, body(QUESTION)).await.expect(200);
    assert!(answer.header("x-request-id").is_some() && !answer.content().is_empty(), "{}", answer.text());
    let models = player.get("/api/playground/models").await.expect(200).json();
    let of_the_edge = gateway.get("/v1/models", &gateway.key.secret).await.expect(200).json();
    assert_eq!(models, of_the_edge);

    for wrong in ["sk-nonsense", "tgtk_guessed", "tgadm_x", "ключ"] {
        let answer = with_pasted(&visitor, wrong).post(CHAT, body(QUESTION)).await;
        assert_eq!((answer.status(), answer.code().as_str()), (401, "invalid_api_key"), "{wrong}");
    }
    let unknown_model = QUESTION.replace("chat-model", "nothing");
    let malformed = player.post(CHAT, body(&unknown_model)).await;
    assert_eq!((malformed.status(), malformed.code().as_str()), (422, "model_not_found"));
    let large = json!({"model": "chat-model", "messages": [{"role": "user", "content": "x".repeat(100_000)}]});
    let large = player.post(CHAT, large).await;
    assert_eq!((large.status(), large.code().as_str()), (413, "request_too_large"));

    for neither in [visitor.clone(), with_key(&player, "key_1")] {
        let answer = neither.post(CHAT, body(QUESTION)).await;
        assert_eq!((answer.status(), problem(&answer).as_str()), (400, "invalid_request"));
    }
    let unknown = with_key(&visitor, &gateway.key.id).post(CHAT, body(QUESTION)).await;
    assert_eq!((unknown.status(), problem(&unknown).as_str()), (401, "unauthenticated"), "an id is no credential");
    let sly = player.get("/api/playground/requests/..%2fmodels").await;
    assert_eq!(sly.status(), 404);
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_judges_by_the_person_s_own_address() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]).edge("trusted_proxies: [\"127.0.0.0/8\"]"));
    let ada = Browser::first_operator(&gateway).await;
    let key = gateway.new_key("alice", &["--allow-ip", "203.0.113.0/24"]);
    gateway.await_key(&key).await;
    let from = |address: &str| with_key(&ada, &key.id).also(&format!("X-Forwarded-For: {address}"));
    from("203.0.113.7").post(CHAT, body(QUESTION)).await.expect(200);
    let elsewhere = from("198.51.100.7").post(CHAT, body(QUESTION)).await;
    assert_eq!((elsewhere.status(), elsewhere.code().as_str()), (403, "address_not_allowed"));

    // Operators see every key, and spend their own account's money only.
    let another = gateway.new_account("bob", "5");
    let others = with_key(&ada, &another.id).post(CHAT, body(QUESTION)).await;
    assert_eq!((others.status(), problem(&others).as_str()), (404, "not_found"));

    // Guesses count for whoever guesses, not for the console.
    let guesser = with_pasted(&Browser::new(&gateway), "sk-nonsense").also("X-Forwarded-For: 198.51.100.9");
    for _ in 0..60 {
        guesser.get("/api/playground/models").await.expect(401);
    }
    assert_eq!(guesser.get("/api/playground/models").await.status(), 429);
    let neighbour = with_pasted(&Browser::new(&gateway), "sk-nonsense").also("X-Forwarded-For: 198.51.100.10");
    assert_eq!(neighbour.get("/api/playground/models").await.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_the_playground_outlives_the_call_to_stop() {
    let go = Signal::new();
    let stream = Reply::stream_head().then_chunk(delta_event("hello")).wait(&go);
    let stream = stream.then_chunk(finish_event() + &usage_event(&usage(10, 2)) + DONE_EVENT).end();
    let upstream = Upstream::always(stream);
    let mut gateway = Gateway::start(&Config::chain(&[&upstream]));
    let ada = Browser::first_operator(&gateway).await;
    let player = with_key(&ada, &gateway.key.id);
    let mut connection = player.connect().await;
    connection.send(player.request("POST", CHAT, true, STREAMED.as_bytes())).await;
    let head = connection.head().await;
    assert!(connection.piece().await.unwrap().is_some());
    gateway.signal(gateway::SIGTERM);
    gateway.wait_for_log("running requests may finish").await;
    go.set();
    let answer = connection.rest(head).await;
    assert!(answer.whole && answer.text().ends_with(DONE_EVENT), "{}", answer.text());
    assert_eq!(gateway.wait_for_end().code(), Some(0));
    assert_eq!(gateway.audit()["holds"], 0);
}
