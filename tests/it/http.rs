//! Heads, bodies and connections: what comes in reaches the upstream to the byte, what must not pass does not.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;

use crate::support::client::{http1, http2};
use crate::support::upstream::{chunk, usage};
use crate::support::*;
use crate::walk::{QUESTION, STREAMED};

const CHAT: &str = "/v1/chat/completions";

/// A request of exactly so many bytes.
fn body_of(bytes: usize) -> String {
    let text: String = (0..bytes - QUESTION.len()).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
    let body = QUESTION.replace("hi\"", &format!("hi{text}\""));
    assert_eq!(body.len(), bytes);
    body
}

/// What the upstream must get of it: another name for the model, and nothing else changed.
fn as_sent(body: &str) -> String {
    body.replacen("\"chat-model\"", "\"provider-chat\"", 1)
}

/// `assert_eq` would print megabytes.
#[track_caller]
fn assert_arrived(upstream: &Upstream, body: &str, how: &str) {
    let (arrived, expected) = (upstream.last().body, as_sent(body));
    let differs = arrived.iter().zip(expected.as_bytes()).position(|(a, b)| a != b);
    assert!(
        arrived == expected.as_bytes(),
        "{how}: {} bytes instead of {}, the first difference is at {differs:?}",
        arrived.len(),
        expected.len()
    );
}

fn chunked_head(path: &str, secret: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {secret}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
}

/// The body in chunks of all sizes.
fn chunked(body: &str) -> Vec<u8> {
    let sizes = [1, 2, 3, 17, 1_000, 65_536, 100_001];
    let (mut wire, mut rest) = (Vec::new(), body.as_bytes());
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at(rest.len().min(*size));
        wire.extend(chunk(piece));
        rest = after;
    }
    wire.extend(b"0\r\n\r\n");
    wire
}

const KIB_64: usize = 64 * 1024;
const SIZES: [usize; 6] = [100, KIB_64 - 1, KIB_64, KIB_64 + 1, 1024 * 1024, 20_000_000];

#[tokio::test]
async fn bodies_of_any_size_arrive_to_the_byte_by_length() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let mut connection = gateway.connect().await;
    for size in SIZES {
        let body = body_of(size);
        connection.send(post(CHAT, &gateway.key.secret, &body)).await;
        connection.answer().await.expect(200);
        assert_arrived(&upstream, &body, &format!("{size} bytes by length"));
    }
}

#[tokio::test]
async fn bodies_of_any_size_arrive_to_the_byte_in_chunks() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let mut connection = gateway.connect().await;
    for size in SIZES {
        let body = body_of(size);
        connection.send(chunked_head(CHAT, &gateway.key.secret)).await;
        connection.send(chunked(&body)).await;
        connection.answer().await.expect(200);
        assert_arrived(&upstream, &body, &format!("{size} bytes in chunks"));
        assert_eq!(upstream.last().header("content-length").unwrap(), as_sent(&body).len().to_string());
    }
}

#[tokio::test]
async fn bodies_of_any_size_arrive_to_the_byte_over_http2_without_a_length() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let client = http2();
    for size in SIZES {
        let body = body_of(size);
        let pieces: Vec<_> = body
            .as_bytes()
            .chunks(50_000)
            .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
            .collect();
        let answer = client
            .post(format!("http://{}{CHAT}", gateway.edge()))
            .bearer_auth(&gateway.key.secret)
            .body(reqwest::Body::wrap_stream(futures_util::stream::iter(pieces)))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
        assert_arrived(&upstream, &body, &format!("{size} bytes over HTTP/2"));
    }
}

#[tokio::test]
async fn bodies_of_no_and_one_byte_are_answered_and_the_connection_goes_on() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let mut connection = gateway.connect().await;
    for body in ["", "{", "0"] {
        connection.send(post(CHAT, &gateway.key.secret, body)).await;
        assert_eq!(connection.answer().await.expect(400).code(), "invalid_request");
        connection.send(chunked_head(CHAT, &gateway.key.secret)).await;
        connection.send(chunked(body)).await;
        assert_eq!(connection.answer().await.expect(400).code(), "invalid_request");
    }
    connection.send(post(CHAT, &gateway.key.secret, QUESTION)).await;
    connection.answer().await.expect(200);
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_streamed_answer_over_http2_is_the_same() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let mut texts = Vec::new();
    for client in [http1(), http2()] {
        let url = format!("http://{}{CHAT}", gateway.edge());
        let answer = client.post(url).bearer_auth(&gateway.key.secret).body(STREAMED).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        texts.push(answer.text().await.unwrap());
    }
    assert!(texts[0].ends_with("data: [DONE]\n\n"));
    assert_eq!(texts[0], texts[1]);
}

#[tokio::test]
async fn an_expectation_is_answered_at_once() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let key = format!("x-api-key: {}", gateway.key.secret);
    let whole = request("POST", CHAT, &[&key, "Expect: 100-continue"], QUESTION);
    let (head, body) = whole.split_at(whole.len() - QUESTION.len());
    let mut connection = gateway.connect().await;
    for _ in 0..2 {
        connection.send(head).await;
        // The client sends nothing until it has heard this.
        assert_eq!(connection.any_head().await.status(), 100);
        connection.send(body).await;
        connection.answer().await.expect(200);
    }
    assert_arrived(&upstream, QUESTION, "expected");
    // Whoever will be refused anyway is not asked to send.
    let refused = request("POST", CHAT, &["x-api-key: sk-wrong", "Expect: 100-continue"], QUESTION);
    connection.send(&refused[..refused.len() - QUESTION.len()]).await;
    assert_eq!(connection.any_head().await.status(), 401);
}

#[tokio::test]
async fn the_largest_body_is_taken_and_one_byte_more_is_not() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]).edge("max_body: 100KiB"));
    let (most, more) = (body_of(100 * 1024), body_of(100 * 1024 + 1));
    gateway.chat(&most).await.expect(200);
    assert_arrived(&upstream, &most, "the largest");
    assert_eq!(gateway.chat(&more).await.expect(413).code(), "request_too_large");

    for (body, status) in [(&most, 200), (&more, 413)] {
        let mut connection = gateway.connect().await;
        connection.send(chunked_head(CHAT, &gateway.key.secret)).await;
        connection.try_send(chunked(body)).await;
        connection.answer().await.expect(status);
        let pieces = vec![Ok::<_, std::io::Error>(Bytes::copy_from_slice(body.as_bytes()))];
        let url = format!("http://{}{CHAT}", gateway.edge());
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        let answer = http2().post(url).bearer_auth(&gateway.key.secret).body(body).send().await.unwrap();
        assert_eq!(answer.status(), status);
    }
    assert_eq!(upstream.count(), 3);
}

#[tokio::test]
async fn what_nobody_here_knows_survives_to_the_byte() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let odd = r#" {"z" : 1.0e+2,"big":123456789012345678901234567890, "neg":-0.0,
        "messages":[ {"content":"\u00e9\/\ud83d\ude00 é","role":"user","zz":null} ],	"model" : "chat-model" ,
        "nested":{"b":[1, 2.50 ,[ ]],"a":{}},"temperature":0.30000000000000004,"max_tokens":5 } "#;
    gateway.chat(odd).await.expect(200);
    assert_arrived(&upstream, odd, "odd forms");

    let streamed = odd.replace("\"max_tokens\":5", "\"max_tokens\":5,\"stream\":true");
    gateway.chat(&streamed).await.expect(200);
    let sent = String::from_utf8(upstream.last().body.to_vec()).unwrap();
    let injected = "\"provider-chat\",\"stream_options\":{\"include_usage\":true}";
    assert_eq!(sent, as_sent(&streamed).replace("\"provider-chat\"", injected));

    let asking = streamed.replacen("\"z\"", "\"stream_options\":{\"x\":1,\"include_usage\": true},\"z\"", 1);
    gateway.chat(&asking).await.expect(200);
    assert_arrived(&upstream, &asking, "usage asked for");
}

#[tokio::test]
async fn of_the_clients_head_nothing_reaches_the_upstream() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let key = format!("Authorization: Bearer {}", gateway.key.secret);
    let secret = format!("x-api-key: {}", gateway.key.secret);
    let headers = [
        &key,
        &secret,
        "Cookie: session=client-secret",
        "Content-Type: application/json; charset=utf-8",
        "OpenAI-Organization: org-client",
        "OpenAI-Project: proj-client",
        "Proxy-Authorization: Basic Y2xpZW50",
        "X-Forwarded-For: 203.0.113.9",
        "Forwarded: for=203.0.113.9",
        "Referer: https://client.example/",
        "User-Agent: client/1",
        "Accept-Encoding: gzip, br",
        "TE: trailers",
        "X-Request-Id: chosen-by-the-client",
        "x-stainless-lang: python",
        "Upgrade: h2c",
        "Connection: keep-alive, upgrade",
    ];
    let answer =
        gateway.send(request("POST", &format!("{CHAT}?api-version=client"), &headers, QUESTION)).await.expect(200);
    let sent = upstream.last();
    let expected = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-request-id",
    ];
    assert_eq!(sent.head.names(), expected);
    assert_eq!(sent.header("authorization"), Some("Bearer upstream-key-0"));
    assert_eq!(sent.header("host").unwrap(), upstream.address().to_string());
    assert_eq!(sent.header("accept-encoding"), Some("identity"));
    assert_eq!(sent.header("x-request-id"), answer.header("x-request-id"));
    let head = sent.head.text();
    for theirs in ["client", "203.0.113.9", gateway.key.secret.as_str(), "python"] {
        assert!(!head.contains(theirs), "{theirs} in {head}");
    }
}

#[tokio::test]
async fn an_upstreams_own_headers_are_sent_to_it() {
    let upstream = Upstream::hello();
    let config = Config::new().upstream(&upstream, "headers: {x-tenant: blue, user-agent: tenant/2}");
    let gateway = Gateway::start(&config);
    gateway.chat(QUESTION).await.expect(200);
    assert_eq!(upstream.last().header("x-tenant"), Some("blue"));
    assert_eq!(upstream.last().header("user-agent"), Some("tenant/2"));
}

#[tokio::test]
async fn of_the_upstreams_head_only_what_the_answer_needs_reaches_the_client() {
    let theirs = [
        ("Set-Cookie", "__cf_bm=upstream-secret; path=/"),
        ("OpenAI-Organization", "upstream-org"),
        ("OpenAI-Processing-Ms", "12"),
        ("Server", "upstream-server"),
        ("X-Request-Id", "req_upstream"),
        ("X-RateLimit-Remaining-Requests", "7777"),
        ("CF-RAY", "upstream-ray"),
        ("Strict-Transport-Security", "max-age=1"),
        ("Alt-Svc", "h3=\":443\""),
        ("Access-Control-Allow-Origin", "https://upstream.example"),
        ("Via", "1.1 upstream"),
    ];
    let all = |more: &str| {
        let lines: String = theirs.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("HTTP/1.1 200 OK\r\n{lines}{more}")
    };
    let body = upstream::chat_completion("hello", usage(1, 1)).to_string();
    let plain = all(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let mut streamed = Reply::raw(all("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for event in upstream::chat_events(&["hello"], usage(1, 1)) {
        streamed = streamed.then_chunk(event);
    }
    let streamed = streamed.end();
    let upstream = Upstream::start(move |request, _| match request.json()["stream"] == true {
        true => streamed.clone(),
        false => Reply::raw(&plain),
    });
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    for body in [QUESTION, STREAMED] {
        let answer = gateway.chat(body).await.expect(200);
        assert!(
            !answer.head.text().contains("upstream") && !answer.head.text().contains("7777"),
            "{}",
            answer.head.text()
        );
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let known = [
            "access-control-allow-origin",
            "access-control-expose-headers",
            "cache-control",
            "connection",
            "content-length",
            "content-type",
            "date",
            "transfer-encoding",
            "x-accel-buffering",
            "x-request-id",
        ];
        for name in answer.head.names() {
            assert!(known.contains(&name.as_str()), "{name} in {}", answer.head.text());
        }
    }
}

#[tokio::test]
async fn a_connection_is_kept_after_every_ordinary_answer() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let poor = gateway.new_account("bob", "0");
    let slow = gateway.new_key("alice", &["--rpm", "1"]);
    gateway.await_key(&slow).await;
    let ours = &gateway.key.secret;
    gateway.send(post(CHAT, &slow.secret, QUESTION)).await.expect(200);
    let mut connection = gateway.connect().await;
    for (request, status) in [
        (post(CHAT, ours, QUESTION), 200),
        (post(CHAT, ours, STREAMED), 200),
        (post(CHAT, "sk-wrong", QUESTION), 401),
        (post(CHAT, &poor.secret, QUESTION), 402),
        (post(CHAT, &slow.secret, QUESTION), 429),
        (post("/v1/nothing", ours, QUESTION), 404),
        (request("PUT", CHAT, &[], QUESTION), 405),
        (post(CHAT, ours, "{"), 400),
        (post(CHAT, ours, QUESTION.replace("chat-model", "gpt-9")), 422),
        (get("/v1/models", ours), 200),
        (get("/healthz", ""), 200),
        (post(CHAT, ours, QUESTION), 200),
    ] {
        connection.send(&request).await;
        connection.answer().await.expect(status);
    }
    assert_eq!(upstream.connections(), 1, "the upstream's connection is kept as well");
}

#[tokio::test]
async fn a_large_refused_body_ends_the_connection_and_the_answer_arrives() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let mut connection = gateway.connect().await;
    connection.try_send(post(CHAT, "sk-wrong", body_of(5_000_000))).await;
    assert_eq!(connection.answer().await.expect(401).code(), "invalid_api_key");
    connection.closed().await;
    assert_eq!(upstream.count(), 0);
}

/// Heads that two programs could read differently. After `POST /v1/chat/completions HTTP/1.1`.
const DISGUISED: &[&str] = &[
    "Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "Host: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
    "Host: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "Host: a\r\nContent-Length: 5, 5\r\n\r\n",
    "Host: a\r\nContent-Length: +5\r\n\r\n",
    "Host: a\r\nContent-Length: 0x5\r\n\r\n",
    "Host: a\r\nContent-Length: -1\r\n\r\n",
    "Host: a\r\nContent-Length:\r\n\r\n",
    "Host: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "Host: a\r\nContent_Length: 5\r\n\r\n",
    "Host: a\r\nTransfer_Encoding: chunked\r\n\r\n",
    "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "Host: a\r\nTransfer-Encoding: identity\r\n\r\n",
    "Host: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
    "Host: a\r\nTransfer-Encoding : chunked\r\n\r\n",
    "Host: a\r\n Transfer-Encoding: chunked\r\n\r\n",
    "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "Host: a\r\nX: b\r\n folded\r\n\r\n",
    "Host: a\nX: b\r\n\r\n",
    "Host: a\r\nX: b\rY: c\r\n\r\n",
    "Host: a\r\nX: b\0c\r\n\r\n",
    "Host: a\r\nno colon\r\n\r\n",
    "Host: a\r\n: no name\r\n\r\n",
    "Host: a\r\nHost: b\r\n\r\n",
    "Host: a/b\r\n\r\n",
    "Host: user@a\r\n\r\n",
    "Host:\r\n\r\n",
    "X: no host\r\n\r\n",
];

const BAD_REQUEST_LINES: &[&str] = &[
    "POST  /v1/chat/completions HTTP/1.1",
    "POST /v1/chat/completions  HTTP/1.1",
    "POST\t/v1/chat/completions HTTP/1.1",
    " POST /v1/chat/completions HTTP/1.1",
    "POST /v1/chat/completions",
    "POST /v1/chat/completions HTTP/1.2",
    "POST /v1/chat/completions HTTP/2.0",
    "POST /v1/chat/completions http/1.1",
    "post /v1/chat/completions HTTP/1.1",
    "POST http://other/v1/chat/completions HTTP/1.1",
    "POST /v1/chat/\x7fcompletions HTTP/1.1",
    "CONNECT other:443 HTTP/1.1",
];

#[tokio::test]
async fn heads_that_can_be_read_in_two_ways_are_refused_and_the_connection_ends() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let disguised = DISGUISED.iter().map(|headers| format!("POST {CHAT} HTTP/1.1\r\n{headers}"));
    let lines = BAD_REQUEST_LINES.iter().map(|line| format!("{line}\r\nHost: a\r\n\r\n"));
    // A request hidden behind each must never be answered.
    let hidden = String::from_utf8(get("/healthz", "")).unwrap();
    for head in disguised.chain(lines) {
        let mut connection = gateway.connect().await;
        connection.try_send(format!("{head}{hidden}")).await;
        let answer = connection.answer().await;
        assert_eq!((answer.status(), answer.code().as_str()), (400, "invalid_request"), "{head:?}");
        assert!(answer.whole && answer.header("x-request-id").is_some());
        assert!(connection.is_closed_within(PATIENCE).await, "{head:?} is followed by an answer");
    }
    assert_eq!(upstream.count(), 0);
    gateway.chat(QUESTION).await.expect(200);
}

#[tokio::test]
async fn a_get_with_a_body_is_refused() {
    let gateway = Gateway::start(&Config::new());
    let mut connection = gateway.connect().await;
    connection.send(request("GET", "/healthz", &[], "GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    assert_eq!(connection.answer().await.expect(400).code(), "invalid_request");
    assert!(connection.is_closed_within(PATIENCE).await);
}

#[tokio::test]
async fn what_follows_a_request_is_judged_as_strictly() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let bad = format!("POST {CHAT} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n");
    // On a kept connection.
    let mut connection = gateway.connect().await;
    connection.send(post(CHAT, &gateway.key.secret, QUESTION)).await;
    connection.answer().await.expect(200);
    connection.send(&bad).await;
    connection.answer().await.expect(400);
    assert!(connection.is_closed_within(PATIENCE).await);
    // In the same packet: refused, or not answered at all.
    for first in [get("/healthz", ""), post(CHAT, &gateway.key.secret, QUESTION)] {
        let mut connection = gateway.connect().await;
        connection.send([&first, bad.as_bytes()].concat()).await;
        connection.answer().await.expect(200);
        connection.try_send(get("/healthz", "")).await;
        if !connection.is_closed_within(PATIENCE).await {
            connection.answer().await.expect(400);
            assert!(connection.is_closed_within(PATIENCE).await);
        }
    }
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn broken_chunks_are_refused() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    for broken in ["zz\r\nabc\r\n0\r\n\r\n", "-1\r\n", "5\r\nabc\r\n0\r\n\r\nxxxxx", "fffffffffffffffff\r\n"] {
        let mut connection = gateway.connect().await;
        connection.send(chunked_head(CHAT, &gateway.key.secret)).await;
        connection.try_send(broken).await;
        connection.finish_sending().await;
        assert_eq!(connection.answer().await.expect(400).code(), "invalid_request", "{broken:?}");
        assert!(connection.is_closed_within(PATIENCE).await, "{broken:?}");
    }
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn a_head_that_trickles_is_cut() {
    let gateway = Gateway::start(&Config::new().edge("header_timeout: 400ms"));
    let started = Instant::now();
    let mut connection = gateway.connect().await;
    let head = get("/healthz", "");
    // A byte now and then: each comes soon enough, all together do not.
    for byte in head.iter().cycle().take(200) {
        connection.try_send([if *byte == b'\r' { b'a' } else { *byte }]).await;
        if !connection.is_silent_for(Duration::from_millis(20)).await {
            break;
        }
    }
    assert_eq!(connection.answer().await.expect(408).code(), "request_timeout");
    assert!(connection.is_closed_within(PATIENCE).await);
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(3), "{took:?}");
    // One that says nothing at all just ends.
    let mut silent = gateway.connect().await;
    assert!(silent.is_closed_within(Duration::from_secs(3)).await);
}

#[tokio::test]
async fn a_head_in_many_pieces_is_one_head() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let mut connection = gateway.connect().await;
    for byte in post(CHAT, &gateway.key.secret, QUESTION) {
        connection.send([byte]).await;
    }
    connection.answer().await.expect(200);
    assert_arrived(&upstream, QUESTION, "byte by byte");
}

#[tokio::test]
async fn http_1_0_gets_an_answer_that_it_understands() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let whole =
        String::from_utf8(post(CHAT, &gateway.key.secret, QUESTION)).unwrap().replacen("HTTP/1.1", "HTTP/1.0", 1);
    let mut connection = gateway.connect().await;
    connection.send(whole).await;
    let answer = connection.answer().await.expect(200);
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(answer.json(), upstream::chat_completion("hello", usage(10, 2)));
    assert!(connection.is_closed_within(PATIENCE).await);
}

#[tokio::test]
async fn a_client_that_leaves_within_its_body_costs_nothing() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let whole = post(CHAT, &gateway.key.secret, body_of(100_000));
    for cut in [whole.len() / 2, whole.len() - 1] {
        let mut connection = gateway.connect().await;
        connection.send(&whole[..cut]).await;
        connection.reset();
    }
    gateway.chat(QUESTION).await.expect(200);
    assert_eq!(upstream.count(), 1);
    // A hold that was only promised is in the books no earlier than its charge.
    wait_for("the answer is booked", || gateway.audit()["requests"] == json!(1)).await;
    wait_for("nothing is held", || gateway.balance("alice").1 == "0").await;
    assert_eq!(gateway.audit()["requests"], json!(1));
}
