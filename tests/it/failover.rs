//! One upstream fails, the next one answers, and the client never learns of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::upstream::{NobodyThere, chat_completion, delta_event, event, usage};
use crate::support::*;
use crate::walk::{QUESTION, STREAMED};

const HTML: &str = "<!DOCTYPE html><html><body>Bad gateway</body></html>";

fn ok_with(content_type: &str, body: &str) -> Reply {
    Reply::status(200, &[("Content-Type", content_type)], body)
}

#[tokio::test]
async fn a_large_body_is_the_same_at_each_of_five_upstreams() {
    let busy = Upstream::always(Reply::error(429, "slow down"));
    let ill = Upstream::always(Reply::error(500, "oops"));
    let closing = Upstream::always(Reply::default().close());
    let nobody = NobodyThere::new();
    let well = Upstream::hello();
    let config = Config::chain(&[&busy, &ill, &closing]).upstream_at(&nobody.base_url(), "").upstream(&well, "");
    let gateway = Gateway::start(&config);
    let body = QUESTION.replace("hi", &"0123456789".repeat(2_000_000));
    let answer = gateway.chat(&body).await.expect(200);
    assert_eq!(answer.content(), "hello");
    let expected = body.replacen("chat-model", "provider-chat", 1);
    for upstream in [&busy, &ill, &closing, &well] {
        assert_eq!(upstream.count(), 1);
        assert!(upstream.last().body == expected.as_bytes(), "the body differs: {} bytes", upstream.last().body.len());
    }
    assert_eq!(well.last().header("authorization"), Some("Bearer upstream-key-4"));
    // Only the answer is charged.
    let record = gateway.record(&answer.head).await;
    assert_eq!([&record["charge"], &record["upstream"], &record["outcome"]], ["0.0000027", "u4", "ok"]);
    assert_eq!(gateway.balance("alice"), ("99.9999973".into(), "0".into()));
    assert_eq!(gateway.audit()["requests"], 1);
}

/// Every answer that is none, streamed or not.
fn no_answers() -> Vec<(&'static str, Reply)> {
    let refused = event(&json!({"error": {"message": "overloaded"}}));
    vec![
        ("401", Reply::error(401, "who are you")),
        ("402", Reply::error(402, "pay")),
        ("403", Reply::error(403, "no")),
        ("404", Reply::error(404, "no such model")),
        ("408", Reply::error(408, "too slow")),
        ("429", Reply::error(429, "slow down")),
        ("500", Reply::error(500, "oops")),
        ("502 with HTML", Reply::status(502, &[("Content-Type", "text/html")], HTML)),
        ("503", Reply::error(503, "later")),
        ("529", Reply::error(529, "overloaded")),
        ("a redirect", Reply::status(302, &[("Location", "http://127.0.0.1/")], "")),
        ("HTML", ok_with("text/html", HTML)),
        ("HTML called JSON", ok_with("application/json", HTML)),
        ("half a JSON", ok_with("application/json", &chat_completion("x", usage(1, 1)).to_string()[..50])),
        ("nothing", ok_with("application/json", "")),
        ("nothing in chunks", Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").end()),
        ("no content", Reply::raw("HTTP/1.1 204 No Content\r\n\r\n")),
        ("an error called an answer", ok_with("application/json", r#"{"error":{"message":"overloaded"}}"#)),
        ("an error as the first event", Reply::stream_head().then_chunk(&refused).end()),
        ("an error behind a comment", Reply::stream_head().then_chunk(": hi\n\n").then_chunk(&refused).end()),
        ("an empty stream", Reply::stream_head().end()),
        ("a stream of comments", Reply::stream_head().then_chunk(": hi\n\n").end()),
        ("half an event", Reply::stream_head().then_chunk(&delta_event("x")[..20]).close()),
        ("a close", Reply::default().close()),
        ("a reset", Reply::default().reset()),
        ("half a head", Reply::raw("HTTP/1.1 200 OK\r\nContent-").close()),
        ("no HTTP", Reply::raw("SSH-2.0-OpenSSH_9.6\r\n\r\n").close()),
        ("a body that is too short", Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"choices\"").close()),
        ("silence", Reply::default().hang()),
        ("silence behind the head", Reply::stream_head().hang()),
    ]
}

#[tokio::test]
async fn whatever_is_no_answer_the_next_upstream_gives_one() {
    let well = Upstream::hello();
    for (name, reply) in no_answers() {
        let failing = Upstream::always(reply);
        let config = Config::new().upstream(&failing, "timeouts: {first_byte: 500ms, idle: 500ms}").upstream(&well, "");
        let gateway = Gateway::start(&config);
        // A key that was refused rests, so each gateway is asked once.
        for body in [if name.contains("stream") || name.contains("event") { STREAMED } else { QUESTION }] {
            let answer = gateway.chat(body).await;
            assert_eq!((answer.status(), answer.content().as_str()), (200, "hello"), "{name}: {}", answer.text());
            assert_eq!(failing.count(), 1, "{name}");
            let record = gateway.record(&answer.head).await;
            assert_eq!([&record["charge"], &record["upstream"]], ["0.0000027", "u1"], "{name}");
        }
        gateway.audit();
    }
}

#[tokio::test]
async fn an_upstreams_judgement_of_the_request_is_the_clients_business() {
    let spare = Upstream::hello();
    let words = "'max_tokens' is too large; key sk-proj-abcdef1234567890abcdef at http://10.0.0.1:80/v1 is fine.";
    for (status, code) in [(400, "invalid_request"), (413, "request_too_large"), (422, "invalid_request")] {
        let judging = Upstream::always(Reply::error(status, words));
        let gateway = Gateway::start(&Config::chain(&[&judging, &spare]));
        for body in [QUESTION, STREAMED] {
            let answer = gateway.chat(body).await.expect(status);
            assert_eq!(answer.code(), code);
            let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.starts_with("'max_tokens' is too large;"), "{message}");
            assert!(!message.contains("abcdef") && !message.contains("10.0.0.1"), "{message}");
            let record = gateway.record(&answer.head).await;
            assert_eq!([&record["outcome"], &record["charge"]], ["rejected", "0"]);
            assert_eq!(record["status"], status);
        }
        assert_eq!(judging.count(), 2);
        gateway.audit();
        let terse = Upstream::always(Reply::status(status, &[], ""));
        let gateway = Gateway::start(&Config::chain(&[&terse, &spare]));
        assert_eq!(gateway.chat(QUESTION).await.expect(status).code(), code, "a judgement without words");
    }
    assert_eq!(spare.count(), 0);
}

#[tokio::test]
async fn when_all_fail_the_last_word_is_server_error() {
    let first = Upstream::always(Reply::error(429, "slow down"));
    let second = Upstream::always(Reply::error(404, "what"));
    let third = Upstream::always(Reply::error(403, "no"));
    let gateway = Gateway::start(&Config::chain(&[&first, &second, &third]));
    let answer = gateway.chat(QUESTION).await.expect(500);
    assert_eq!(answer.code(), "server_error");
    let record = gateway.record(&answer.head).await;
    assert_eq!(
        [&record["outcome"], &record["charge"], &record["status"]],
        [&json!("upstream_failed"), &json!("0"), &json!(500)]
    );
    assert_eq!([first.count(), second.count(), third.count()], [1, 1, 1]);
    assert_eq!(gateway.balance("alice"), ("100".into(), "0".into()));
    assert_eq!(gateway.cli(&["ledger", "--account", "alice"]).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_connection_that_went_stale_is_no_failure() {
    // Each connection serves one request and closes on the second, as behind a load balancer that was restarted.
    let served = std::sync::Mutex::new(std::collections::HashSet::new());
    let upstream = Upstream::start(move |request, _| {
        if served.lock().unwrap().insert(request.connection) {
            Reply::chat("hello", usage(1, 1)).delay(Duration::ZERO)
        } else {
            Reply::default().close()
        }
    });
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    for _ in 0..3 {
        // Several at a time, so that the pool holds several.
        let mut running = Vec::new();
        for _ in 0..4 {
            let mut connection = gateway.connect().await;
            connection.send(post("/v1/chat/completions", &gateway.key.secret, QUESTION)).await;
            running.push(connection);
        }
        for mut connection in running {
            connection.answer().await.expect(200);
        }
    }
    assert!(upstream.count() > 12, "no connection was stale");
    assert_eq!(gateway.metric("tollgate_upstream_up{upstream=\"u0\"}").await, 1.0);
    wait_for("everything is booked", || gateway.audit()["requests"] == 12).await;
}

#[tokio::test]
async fn a_fresh_connection_that_closes_without_an_answer_is_not_tried_again() {
    let closing = Upstream::always(Reply::default().close());
    let gateway = Gateway::start(&Config::chain(&[&closing]));
    gateway.chat(QUESTION).await.expect(500);
    assert_eq!(closing.count(), 1);
}

#[tokio::test]
async fn a_refused_key_rests_and_its_sibling_is_used() {
    let upstream = Upstream::start(|request, _| match request.header("authorization") {
        Some("Bearer tired") => Reply::status(429, &[("Retry-After", "30")], "{}"),
        _ => Reply::chat("hello", usage(1, 1)),
    });
    let gateway = Gateway::start(&Config::new().upstream(&upstream, "api_keys: [tired, fresh]"));
    for _ in 0..10 {
        gateway.chat(QUESTION).await.expect(200);
    }
    let tired = upstream.requests().iter().filter(|sent| sent.header("authorization") == Some("Bearer tired")).count();
    // The refused try was repeated with the other key.
    assert_eq!((tired, upstream.count()), (1, 11));
    assert_eq!(gateway.metric("tollgate_upstream_up{upstream=\"u0\"}").await, 1.0, "a refused key is no illness");
}

#[tokio::test]
async fn a_key_rests_for_as_long_as_the_upstream_says() {
    let upstream = Upstream::start(|_, nth| match nth {
        0 => Reply::status(429, &[("Retry-After", "1")], "{}"),
        _ => Reply::chat("hello", usage(1, 1)),
    });
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    gateway.chat(QUESTION).await.expect(500);
    let rests = upstream.last().at;
    // Its only key rests: the upstream is not asked.
    gateway.chat(QUESTION).await.expect(500);
    assert_eq!(upstream.count(), 1);
    eventually("the key is awake", || gateway.chat(QUESTION), |answer| answer.status() == 200).await;
    let rested = upstream.last().at - rests;
    assert!(rested >= Duration::from_millis(950) && rested < Duration::from_secs(5), "{rested:?}");
}

#[tokio::test]
async fn after_five_failures_an_upstream_is_left_alone() {
    let ill = Upstream::always(Reply::error(500, "oops"));
    let well = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&ill, &well]));
    for _ in 0..12 {
        assert_eq!(gateway.chat(QUESTION).await.expect(200).content(), "hello");
    }
    assert_eq!((ill.count(), well.count()), (5, 12));
    assert_eq!(gateway.metric("tollgate_upstream_up{upstream=\"u0\"}").await, 0.0);
    assert_eq!(gateway.metric("tollgate_upstream_up{upstream=\"u1\"}").await, 1.0);
    assert_eq!(gateway.metric("tollgate_upstream_failovers_total{reason=\"5xx\",upstream=\"u0\"}").await, 5.0);
}

#[tokio::test]
async fn weights_share_and_priorities_come_first() {
    let (one, three, never) = (Upstream::hello(), Upstream::hello(), Upstream::hello());
    let config = Config::new()
        .upstream(&one, "")
        .routed("priority: 0, weight: 1")
        .upstream(&three, "")
        .routed("priority: 0, weight: 3")
        .upstream(&never, "")
        .routed("priority: 1, weight: 100");
    let gateway = Gateway::start(&config);
    let mut connection = gateway.connect().await;
    for _ in 0..300 {
        connection.send(post("/v1/chat/completions", &gateway.key.secret, QUESTION)).await;
        connection.answer().await.expect(200);
    }
    // 225 of 300 with a standard deviation of 7.5: six of them are never seen.
    assert!(three.count().abs_diff(225) <= 45, "{} of 300", three.count());
    assert_eq!((one.count() + three.count(), never.count()), (300, 0));
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_pays_nothing() {
    let upstream = Upstream::always(Reply::default().hang());
    let spare = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream, &spare]));
    let mut connection = gateway.connect().await;
    connection.send(post("/v1/chat/completions", &gateway.key.secret, QUESTION)).await;
    upstream.wait_for_requests(1).await;
    drop(connection);
    upstream.wait_for_close(0).await;
    let records = || gateway.cli(&["requests"]);
    wait_for("the request is recorded", || records()[0]["outcome"] == "client_gone").await;
    assert_eq!(records()[0]["charge"], "0");
    assert_eq!(spare.count(), 0, "nobody is there to answer to");
    assert_eq!(gateway.balance("alice"), ("100".into(), "0".into()));
}

#[tokio::test]
async fn failover_works_over_http2_as_well() {
    let ill = Upstream::always(Reply::error(500, "oops"));
    let well = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&ill, &well]));
    let url = format!("http://{}/v1/chat/completions", gateway.edge());
    let body = QUESTION.replace("hi", &"0123456789".repeat(100_000));
    let client = client::http2();
    let answer = client.post(url).bearer_auth(&gateway.key.secret).body(body.clone()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let value: Value = answer.json().await.unwrap();
    assert_eq!(value["choices"][0]["message"]["content"], "hello");
    assert!(well.last().body == body.replacen("chat-model", "provider-chat", 1).as_bytes());
}

#[tokio::test]
async fn upstreams_that_all_fail_are_not_each_asked_for_every_request() {
    // A 404 opens no breaker: without a budget each of these would knock at every door.
    let unknown = || Upstream::always(Reply::error(404, "no such model"));
    let (first, second) = (unknown(), unknown());
    let gateway = Gateway::start(&Config::chain(&[&first, &second]));
    let started = Instant::now();
    for _ in 0..60 {
        gateway.chat(QUESTION).await.expect(500);
    }
    assert_eq!(first.count(), 60);
    // Twenty, and one more each second.
    let allowed = 20 + usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    assert!((20..=allowed).contains(&second.count()), "{} of {allowed}", second.count());
    gateway.audit();
}
