//! Every refusal that a client can hear: its status, its code, its shape, and which one comes first.

use std::time::Duration;

use serde_json::Value;

use crate::support::client::http2;
use crate::support::upstream::NobodyThere;
use crate::support::*;
use crate::walk::{QUESTION, STREAMED};

const CHAT: &str = "/v1/chat/completions";

/// A refusal is JSON in OpenAI's shape, has an id, and gives nothing of ours away.
#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status(), answer.code().as_str()), (status, code), "{}\n{}", answer.head.text(), answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("x-request-id").is_some_and(|id| id.len() > 10), "{}", answer.head.text());
    let body = answer.json();
    let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(members(&body), ["error"]);
    let mut names = members(&body["error"]);
    names.sort_unstable();
    assert_eq!(names, ["code", "message", "param", "type"]);
    assert_eq!(body["error"]["type"], code);
    assert!(body["error"]["param"].is_null() || body["error"]["param"].is_string());
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.len() > 5 && message.ends_with('.'), "{message}");
    for ours in ["u0", "u1", "127.0.0.1", "provider-", "upstream-key", "/v1", "chat/completions", "?"] {
        assert!(!message.contains(ours), "{message} names {ours}");
    }
}

fn retry_after(answer: &Answer) -> u64 {
    answer.header("retry-after").expect("it says when").parse().expect("whole seconds")
}

#[tokio::test]
async fn a_key_that_is_missing_malformed_or_unknown_is_invalid() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let key = tollgate::core::key::generate().unwrap();
    let unknown = format!("Authorization: Bearer {}", key.expose());
    let basic = format!("Authorization: Basic {}", gateway.key.secret);
    let mut mistyped = gateway.key.secret.clone().into_bytes();
    mistyped[10] ^= 1;
    let mistyped = format!("x-api-key: {}", String::from_utf8_lossy(&mistyped));
    for header in [
        None,
        Some("x-api-key: sk-short"),
        Some("Authorization: Bearer"),
        Some(&unknown),
        Some(&basic),
        Some(&mistyped),
    ] {
        let answer = gateway.send(request("POST", CHAT, header.as_slice(), QUESTION)).await;
        assert_refused(&answer, 401, "invalid_api_key");
    }
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn keys_that_may_not_say_why() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let ask = async |key: &Key| gateway.send(post(CHAT, &key.secret, QUESTION)).await;

    let ended = gateway.new_key("alice", &[]);
    gateway.cli(&["key", "update", &ended.id, "--expires", "2020-01-01"]);
    let off = gateway.new_key("alice", &[]);
    gateway.cli(&["key", "disable", &off.id]);
    let elsewhere = gateway.new_key("alice", &["--allow-ip", "203.0.113.0/24"]);
    let suspended = gateway.new_account("bob", "5");
    gateway.cli(&["account", "suspend", "bob"]);
    // Once the newest is known, all are.
    eventually("the suspension is known", async || ask(&suspended).await, |answer| answer.code() == "key_disabled")
        .await;
    // Until then it may have been answered: the server learns of the account before it learns of the suspension.
    let before = upstream.count();

    assert_refused(&ask(&ended).await, 401, "key_expired");
    assert_refused(&ask(&off).await, 403, "key_disabled");
    assert_refused(&ask(&suspended).await, 403, "key_disabled");
    assert_refused(&ask(&elsewhere).await, 403, "address_not_allowed");
    assert_eq!(upstream.count(), before);
}

#[tokio::test]
async fn money_that_does_not_suffice_is_named() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let poor = gateway.new_account("bob", "0.000001");
    let budget = gateway.new_key("alice", &["--budget", "0.000002"]);
    gateway.await_key(&budget).await;
    for (key, available) in [(&poor, "0.000001"), (&budget, "0.000002")] {
        let answer = gateway.send(post(CHAT, &key.secret, QUESTION)).await;
        assert_refused(&answer, 402, "insufficient_balance");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        // 50 tokens out alone are 0.00003.
        assert!(message.contains(available) && message.contains("0.00003"), "{message}");
        assert_eq!(answer.header("retry-after"), None);
    }
    assert_eq!(upstream.count(), 0);
    gateway.audit();
}

#[tokio::test]
async fn money_that_is_held_by_a_running_request_comes_back_later() {
    let go = Signal::new();
    let wait = go.clone();
    let upstream = Upstream::start(move |_, nth| match nth {
        0 => Reply::default().wait(&wait).then(b"").close(),
        _ => Reply::chat("hello", upstream::usage(1, 1)),
    });
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let poor = gateway.new_account("bob", "0.00005");
    gateway.await_key(&poor).await;
    let mut first = gateway.connect().await;
    first.send(post(CHAT, &poor.secret, QUESTION)).await;
    upstream.wait_for_requests(1).await;
    let second = gateway.send(post(CHAT, &poor.secret, QUESTION)).await;
    assert_refused(&second, 402, "insufficient_balance");
    assert!((1..=60).contains(&retry_after(&second)));
    go.set();
}

#[tokio::test]
async fn limits_say_when_to_come_back() {
    let upstream = Upstream::always(Reply::default().hang());
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let rpm = gateway.new_key("alice", &["--rpm", "1"]);
    let tpm = gateway.new_key("alice", &["--tpm", "10"]);
    let one = gateway.new_key("alice", &["--concurrency", "1"]);
    gateway.await_key(&one).await;
    let mut running = Vec::new();
    for key in [&rpm, &one] {
        let mut connection = gateway.connect().await;
        connection.send(post(CHAT, &key.secret, QUESTION)).await;
        running.push(connection);
    }
    upstream.wait_for_requests(2).await;
    for key in [&rpm, &one] {
        let answer = gateway.send(post(CHAT, &key.secret, QUESTION)).await;
        assert_refused(&answer, 429, "rate_limit");
        assert!((1..=60).contains(&retry_after(&answer)));
        assert_ne!(answer.header("x-should-retry"), Some("false"));
    }
    let never = gateway.send(post(CHAT, &tpm.secret, QUESTION)).await;
    assert_refused(&never, 429, "rate_limit");
    assert_eq!((never.header("x-should-retry"), never.header("retry-after")), (Some("false"), None));
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn a_model_that_is_not_there_or_not_this_keys_is_not_found() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let narrow = gateway.new_key("alice", &["--models", "embed-model"]);
    gateway.await_key(&narrow).await;
    let unknown = gateway.chat(QUESTION.replace("chat-model", "gpt-9")).await;
    let hidden = gateway.send(post(CHAT, &narrow.secret, QUESTION)).await;
    for answer in [&unknown, &hidden] {
        assert_refused(answer, 422, "model_not_found");
        assert_eq!(answer.json()["error"]["param"], "model");
    }
    // What is hidden and what is not there look the same.
    assert_eq!(unknown.text().replace("gpt-9", "chat-model"), hidden.text());
    assert_refused(&gateway.get("/v1/models/gpt-9", &gateway.key.secret).await, 404, "model_not_found");
    assert_refused(&gateway.get("/v1/models/chat-model", &narrow.secret).await, 404, "model_not_found");
    let listed = gateway.get("/v1/models", &narrow.secret).await.expect(200).json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    assert_refused(&gateway.get("/v1/requests/nothing", &narrow.secret).await, 404, "not_found");
}

#[tokio::test]
async fn bodies_that_are_not_requests_are_refused() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let deep = format!(r#"{{"model":"chat-model","messages":[{{}}],"x":{}{}}}"#, "[".repeat(65), "]".repeat(65));
    let with = |member: &str| QUESTION.replacen('{', &format!("{{{member},"), 1);
    let cases = [
        (String::new(), Value::Null),
        ("not json".into(), Value::Null),
        ("[]".into(), Value::Null),
        (QUESTION[..QUESTION.len() - 1].into(), Value::Null),
        (format!("{QUESTION}x"), Value::Null),
        (deep, Value::Null),
        (QUESTION.replace("\"model\"", "\"modell\""), "model".into()),
        (QUESTION.replace("\"chat-model\"", "7"), "model".into()),
        (QUESTION.replace("\"chat-model\"", "\"\""), "model".into()),
        (with(r#""n":0"#), "n".into()),
        (with(r#""n":1.5"#), "n".into()),
        (with(r#""n":"2""#), "n".into()),
        (with(r#""max_completion_tokens":-1"#), "max_completion_tokens".into()),
        (with(r#""stream":"yes""#), "stream".into()),
        (with(r#""max_tokens":3"#), "max_tokens".into()),
        (with(r#""mod\u0065l":"other""#), "model".into()),
    ];
    for (body, param) in cases {
        let answer = gateway.chat(&body).await;
        assert_refused(&answer, 400, "invalid_request");
        assert_eq!(answer.json()["error"]["param"], param, "{body}");
    }
    assert_eq!(upstream.count(), 0);
    assert_eq!(gateway.balance("alice"), ("100".into(), "0".into()));
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    for path in
        ["/", "/v2/models", "/v1", "/v1/", "/v1/chat", "/v1/chat/completions/", "/V1/models", "/chat/completions"]
    {
        assert_refused(&gateway.get(path, &gateway.key.secret).await, 404, "not_found");
    }
    for path in [
        "/v1/../v1/models",
        "//v1/models",
        "/v1/%2e%2e/models",
        "/v1/models%00",
        "/v1%2fmodels",
        "/v1/chat;x/completions",
    ] {
        assert_refused(&gateway.get(path, &gateway.key.secret).await, 400, "invalid_request");
    }
    for (method, path, allow) in [
        ("GET", CHAT, "POST"),
        ("PUT", CHAT, "POST"),
        ("DELETE", "/v1/embeddings", "POST"),
        ("POST", "/v1/models", "GET"),
        ("POST", "/v1/key", "GET"),
        ("POST", "/healthz", "GET"),
    ] {
        let answer = gateway.send(request(method, path, &[], "")).await;
        assert_refused(&answer, 405, "method_not_allowed");
        assert!(answer.header("allow").unwrap().split(", ").any(|method| method == allow), "{}", answer.head.text());
    }
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn browsers_preflights_are_answered_without_a_key() {
    let gateway = Gateway::start(&Config::new());
    let asked = ["Origin: https://app.example", "Access-Control-Request-Method: POST"];
    for path in [CHAT, "/api/v1/models"] {
        let answer = gateway.send(request("OPTIONS", path, &asked, "")).await.expect(204);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert!(answer.header("access-control-allow-methods").unwrap().contains("POST"));
        assert!(answer.header("access-control-allow-headers").unwrap().to_lowercase().contains("authorization"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
    let refused = gateway.send(request("POST", CHAT, &[asked[0]], QUESTION)).await;
    assert_refused(&refused, 401, "invalid_api_key");
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    assert_refused(&gateway.send(request("OPTIONS", "/nowhere", &[], "")).await, 404, "not_found");
}

#[tokio::test]
async fn other_media_types_and_encoded_bodies_are_unsupported() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let key = format!("x-api-key: {}", gateway.key.secret);
    for header in [
        "Content-Type: text/plain",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: multipart/form-data; boundary=x",
        "Content-Encoding: gzip",
    ] {
        let answer = gateway.send(request("POST", CHAT, &[&key, header], QUESTION)).await;
        assert_refused(&answer, 415, "unsupported_media_type");
    }
    assert_eq!(upstream.count(), 0);
    for header in ["Content-Type: application/json; charset=utf-8", "Content-Type: Application/JSON", "X-No: type"] {
        gateway.send(request("POST", CHAT, &[&key, header], QUESTION)).await.expect(200);
    }
}

#[tokio::test]
async fn what_is_too_large_or_too_slow() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]).edge("max_body: 1KiB, body_timeout: 300ms"));
    let large = gateway.chat(QUESTION.replace("hi", &"a".repeat(1024))).await;
    assert_refused(&large, 413, "request_too_large");
    let head = format!("X-Long: {}", "a".repeat(40_000));
    assert_refused(&gateway.send(request("POST", CHAT, &[&head], QUESTION)).await, 431, "headers_too_large");
    let many: Vec<String> = (0..150).map(|count| format!("X-{count}: a")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_refused(&gateway.send(request("POST", CHAT, &many, QUESTION)).await, 431, "headers_too_large");
    // All but its last byte.
    let whole = post(CHAT, &gateway.key.secret, QUESTION);
    assert_refused(&gateway.send(&whole[..whole.len() - 1]).await, 408, "request_timeout");
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn an_upstreams_fault_is_ours_and_named_nowhere() {
    let nobody = NobodyThere::new();
    let upstream = Upstream::always(Reply::error(500, "provider-chat at 127.0.0.1 is out of order"));
    let gateway = Gateway::start(&Config::new().upstream_at(&nobody.base_url(), "").upstream(&upstream, ""));
    for body in [QUESTION, STREAMED] {
        let answer = gateway.chat(body).await;
        assert_refused(&answer, 500, "server_error");
        let record = gateway.record(&answer.head).await;
        assert_eq!([&record["charge"], &record["outcome"]], ["0", "upstream_failed"]);
    }
    assert_eq!(gateway.balance("alice"), ("100".into(), "0".into()));
    gateway.audit();
}

#[tokio::test]
async fn no_usable_upstream_is_not_ready() {
    let refusing = Upstream::always(Reply::error(401, "who are you"));
    let gateway = Gateway::start(&Config::chain(&[&refusing]));
    gateway.get("/readyz", "").await.expect(200);
    assert_refused(&gateway.chat(QUESTION).await, 500, "server_error");
    // Its only key rests.
    let answer = gateway.get("/readyz", "").await;
    assert_refused(&answer, 503, "server_error");
    assert!((1..=60).contains(&retry_after(&answer)));
    gateway.get("/healthz", "").await.expect(200);
}

#[tokio::test]
async fn while_draining_the_running_finish_and_new_ones_are_refused() {
    let (begun, go) = (Signal::new(), Signal::new());
    let reply = Reply::default().tell(&begun).wait(&go);
    let whole = upstream::chat_completion("hello", upstream::usage(10, 2)).to_string();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", whole.len());
    let upstream = Upstream::always(reply.then(head + &whole));
    let mut gateway = Gateway::start(&Config::chain(&[&upstream]));
    // Open before it stops accepting.
    let mut running = gateway.connect().await;
    let mut late = gateway.connect().await;
    running.send(post(CHAT, &gateway.key.secret, QUESTION)).await;
    begun.wait().await;
    late.send(get("/healthz", "")).await;
    late.answer().await.expect(200);
    gateway.signal(gateway::SIGTERM);
    gateway.wait_for_log("stopping").await;
    if late.try_send(post(CHAT, &gateway.key.secret, QUESTION)).await
        && !late.is_closed_within(Duration::from_secs(5)).await
    {
        let answer = late.answer().await;
        assert_refused(&answer, 503, "server_error");
        assert!((1..=60).contains(&retry_after(&answer)));
    }
    go.set();
    assert_eq!(running.answer().await.expect(200).content(), "hello");
    assert_eq!(gateway.wait_for_end().code(), Some(0));
    assert_eq!(gateway.audit()["requests"], 1);
}

#[tokio::test]
async fn of_two_reasons_the_earlier_one_is_told() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let limited = gateway.new_key("alice", &["--rpm", "1"]);
    let poor = gateway.new_account("bob", "0");
    gateway.await_key(&poor).await;
    let (broken, other_model) = ("{", QUESTION.replace("chat-model", "gpt-9"));
    // Path before key.
    assert_refused(&gateway.send(post("/v1/nothing", "sk-wrong", broken)).await, 404, "not_found");
    // Key before everything in the body.
    assert_refused(&gateway.send(post(CHAT, "sk-wrong", broken)).await, 401, "invalid_api_key");
    // Rate before body.
    gateway.send(post(CHAT, &limited.secret, QUESTION)).await.expect(200);
    assert_refused(&gateway.send(post(CHAT, &limited.secret, broken)).await, 429, "rate_limit");
    // Body before model: a wrong type beside a wrong name.
    let both = other_model.replace("50", "\"many\"");
    assert_refused(&gateway.send(post(CHAT, &poor.secret, both)).await, 400, "invalid_request");
    // Model before balance.
    assert_refused(&gateway.send(post(CHAT, &poor.secret, other_model)).await, 422, "model_not_found");
    assert_refused(&gateway.send(post(CHAT, &poor.secret, QUESTION)).await, 402, "insufficient_balance");
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_refused_request_uses_up_nothing() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let one = gateway.new_key("alice", &["--rpm", "1"]);
    gateway.await_key(&one).await;
    for _ in 0..3 {
        let answer = gateway.send(post(CHAT, &one.secret, "{")).await;
        assert_refused(&answer, 400, "invalid_request");
        assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("1"));
    }
    let answer = gateway.send(post(CHAT, &one.secret, QUESTION)).await.expect(200);
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("0"));
    let refused = gateway.send(post(CHAT, &one.secret, QUESTION)).await;
    assert_refused(&refused, 429, "rate_limit");
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), Some("0"));
    assert!(refused.header("x-ratelimit-reset-requests").unwrap().ends_with('s'));
}

#[tokio::test]
async fn guessing_keys_is_slowed_down_and_a_valid_key_is_not() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let mut connection = gateway.connect().await;
    let mut codes = Vec::new();
    for _ in 0..62 {
        connection.send(post(CHAT, "sk-guess", QUESTION)).await;
        codes.push(connection.answer().await.code());
    }
    assert!(codes[..60].iter().all(|code| code == "invalid_api_key"), "{codes:?}");
    assert_eq!(codes[61], "rate_limit", "{codes:?}");
    gateway.chat(QUESTION).await.expect(200);
}

#[tokio::test]
async fn over_http2_refusals_are_the_same() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let client = http2();
    let url = |path: &str| format!("http://{}{path}", gateway.edge());
    for (key, path, status, code) in [
        ("sk-wrong", CHAT, 401, "invalid_api_key"),
        (&gateway.key.secret, "/v1/nothing", 404, "not_found"),
        (&gateway.key.secret, "/v1/models", 405, "method_not_allowed"),
    ] {
        let answer = client.post(url(path)).bearer_auth(key).body(QUESTION).send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert!(answer.headers().contains_key("x-request-id"));
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["code"], code);
    }
}
