//! Clients in every kind of trouble, or up to it: slow ones, ones that leave, ones that send what should fell us. They
//! are cut or refused in time, the others are served as if they were not there, and nothing of theirs stays behind.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::process::{descriptors, forget_peak, peak_bytes, resident_bytes};
use crate::support::stand::Random;
use crate::support::upstream::{DONE_EVENT, delta_event, finish_event, usage, usage_event};
use crate::support::*;
use crate::walk::{QUESTION, STREAMED};

const CHAT: &str = "/v1/chat/completions";
const MIB: u64 = 1024 * 1024;

/// Good clients, one after the other, while something else goes on.
async fn serve_well(gateway: &Gateway, times: usize) {
    for _ in 0..times {
        assert_eq!(gateway.chat(QUESTION).await.expect(200).content(), "hello");
    }
}

async fn assert_nothing_is_left(gateway: &Gateway, descriptors_before: usize) {
    let five = Duration::from_secs(5);
    wait_for_within(five, "all connections are closed", || descriptors(gateway) <= descriptors_before).await;
    wait_for_within(five, "nothing is held", || gateway.balance("alice").1 == "0").await;
    let running = || async {
        let in_flight = gateway.metric("tollgate_requests_in_flight").await;
        in_flight + gateway.metric("tollgate_holds_open").await
    };
    assert_eq!(eventually("nothing runs", running, |running| *running == 0.0).await, 0.0);
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_when_its_time_is_over() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]).edge("body_timeout: 800ms"));
    serve_well(&gateway, 1).await;
    let before = descriptors(&gateway);
    let trickle = |http_chunks: bool| {
        let gateway = &gateway;
        async move {
            let whole = post(CHAT, &gateway.key.secret, QUESTION);
            let head = String::from_utf8(whole[..whole.len() - QUESTION.len()].to_vec()).unwrap();
            let length = format!("Content-Length: {}", QUESTION.len());
            let head = if http_chunks { head.replace(&length, "Transfer-Encoding: chunked") } else { head };
            let mut connection = gateway.connect().await;
            connection.send(head).await;
            let started = Instant::now();
            for byte in QUESTION.bytes() {
                let piece = if http_chunks { upstream::chunk([byte]) } else { vec![byte] };
                // Each byte comes soon enough, all together do not.
                if !connection.try_send(piece).await || !connection.is_silent_for(Duration::from_millis(50)).await {
                    break;
                }
            }
            let answer = connection.answer().await.expect(408);
            assert_eq!(answer.code(), "request_timeout");
            let took = started.elapsed();
            assert!((Duration::from_millis(700)..Duration::from_millis(1_900)).contains(&took), "{took:?}");
            assert!(connection.is_closed_within(PATIENCE).await, "the rest of the body is nobody's");
        }
    };
    let slow = futures_util::future::join_all((0..40).map(|nth| trickle(nth % 2 == 0)));
    tokio::join!(slow, serve_well(&gateway, 20));
    assert_eq!(upstream.count(), 21, "half a request is sent to nobody");
    assert_nothing_is_left(&gateway, before).await;
    assert_eq!(gateway.audit()["requests"], 21);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_its_upstream_with_it() {
    let flood = Reply::stream_head().then_times(upstream::chunk(delta_event(&"x".repeat(32 * 1024))), 2_000).hang();
    let upstream = Upstream::start(move |request, _| match request.json()["stream"] == true {
        true => flood.clone(),
        false => Reply::chat("hello", usage(10, 2)),
    });
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    serve_well(&gateway, 1).await;
    let (before, memory_before) = (descriptors(&gateway), resident_bytes(&gateway));
    let mut lazy = Vec::new();
    for _ in 0..4 {
        let mut connection = gateway.connect().await;
        connection.send(post(CHAT, &gateway.key.secret, STREAMED)).await;
        assert_eq!(connection.head().await.status(), 200);
        lazy.push(connection);
    }
    for _ in 0..2 {
        let mut connection = gateway.connect().await;
        connection.send(lazy_http2(&gateway.key.secret)).await;
        lazy.push(connection);
    }
    upstream.wait_for_requests(7).await;
    let started = Instant::now();
    // Its patience with a client that takes nothing is 30 s.
    let cut = || upstream.closed().len() >= lazy.len();
    wait_for_within(Duration::from_secs(45), "the upstreams are cancelled", cut).await;
    assert!(started.elapsed() < Duration::from_secs(33), "{:?}", started.elapsed());
    let grown = peak_bytes(&gateway).saturating_sub(memory_before);
    assert!(grown <= 32 * MIB, "of 250 MiB that nobody reads {} KiB were collected", grown / 1024);
    serve_well(&gateway, 1).await;
    // Six clients and their six upstreams are gone; a cut stream of HTTP/2 leaves its connection, until that is idle.
    assert_nothing_is_left(&gateway, before + 5).await;
    let records = || gateway.cli(&["requests"]);
    wait_for("all are recorded", || records().as_array().unwrap().len() == 8).await;
    let records = records();
    let ends: Vec<_> = records.as_array().unwrap().iter().map(|record| record["outcome"].as_str().unwrap()).collect();
    let (ok, gone): (Vec<_>, Vec<_>) = ends.iter().partition(|outcome| **outcome == "ok");
    assert_eq!((ok.len(), gone), (2, vec![&"client_gone"; 6]), "{records:#}");
    drop(lazy);
    gateway.audit();
}

#[tokio::test]
async fn heads_that_never_end_disturb_nobody() {
    // The long form is a part of `make soak`.
    let long = std::env::var_os("TOLLGATE_SOAK").is_some_and(|value| value == "1");
    let (heads, patience) = if long { (4_000, Duration::from_secs(15)) } else { (1_000, Duration::from_secs(5)) };
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]).edge("header_timeout: 3s"));
    serve_well(&gateway, 1).await;
    let (before, memory_before) = (descriptors(&gateway), resident_bytes(&gateway));
    let mut slow = Vec::new();
    for _ in 0..heads {
        let mut connection = gateway.connect().await;
        connection.send("POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nX-Slow: ").await;
        slow.push((connection, Instant::now()));
    }
    let good = futures_util::future::join_all((0..4).map(|_| serve_well(&gateway, 10)));
    let bad = futures_util::future::join_all(slow.into_iter().map(|(mut connection, opened)| async move {
        connection.closed().await;
        assert!(opened.elapsed() < patience, "{:?}", opened.elapsed());
    }));
    tokio::join!(good, bad);
    let grown = peak_bytes(&gateway).saturating_sub(memory_before);
    assert!(grown <= heads * 32 * 1024, "32 KiB for each: {} KiB", grown / 1024);
    assert_eq!(upstream.count(), 41);
    assert_nothing_is_left(&gateway, before + 4).await;
}

/// An answer whose connection is not kept, so that no descriptor stays in a pool.
fn long_stream() -> Reply {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    let events = (0..20)
        .fold(Reply::raw(head), |reply, _| reply.then_chunk(delta_event("ten bytes.")).delay(Duration::from_millis(2)));
    events.then_chunk(finish_event() + &usage_event(&usage(10, 40)) + DONE_EVENT).end().close()
}

/// Leaves at some point: within the request, before the answer, or within the answer.
async fn leave_somewhere(gateway: &Gateway, request: &[u8], point: u64, reset: bool) {
    let mut connection = gateway.connect().await;
    let request_bytes = request.len() as u64;
    if point < request_bytes {
        connection.send(&request[..point as usize]).await;
    } else {
        connection.send(request).await;
        let mut left = point - request_bytes;
        if left > 0 && connection.head().await.status() == 200 {
            while left > 1 && matches!(connection.piece().await, Ok(Some(_))) {
                left -= 1;
            }
        }
    }
    if reset {
        connection.reset();
    }
}

#[tokio::test]
async fn wherever_clients_leave_nothing_of_theirs_stays() {
    let upstream = Upstream::always(long_stream());
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    gateway.chat(STREAMED).await.expect(200);
    wait_for("the first answer is booked", || gateway.balance("alice").1 == "0").await;
    let before = descriptors(&gateway);
    let mut random = Random::from_env();
    let request = post(CHAT, &gateway.key.secret, STREAMED);
    for _ in 0..10 {
        // Half of the points in the request, the others in the 25 pieces of the answer.
        let length = request.len() as u64;
        let mut points = Vec::new();
        for _ in 0..5 {
            let within_request = random.below(2) == 0;
            let point = if within_request { random.below(length) } else { length + random.below(25) };
            points.push((point, random.below(2) == 0));
        }
        let leaving = points.into_iter().map(|(point, reset)| leave_somewhere(&gateway, &request, point, reset));
        futures_util::future::join_all(leaving).await;
    }
    assert_nothing_is_left(&gateway, before).await;
    gateway.audit();
    gateway.chat(STREAMED).await.expect(200);
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_however_large_its_question_was() {
    let upstream = Upstream::always(Reply::default().hang());
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let large = STREAMED.replace("hi", &"x".repeat(3_000_000));
    // Where the usage is asked for decides in how many pieces a question is sent.
    let options_last = large.replace("}]}", "}],\"stream_options\":{\"x\":1}}");
    for (nth, question) in [QUESTION.into(), STREAMED.into(), large, options_last].into_iter().enumerate() {
        let mut connection = gateway.connect().await;
        connection.send(post(CHAT, &gateway.key.secret, &question)).await;
        upstream.wait_for_requests(nth + 1).await;
        drop(connection);
        let left = Instant::now();
        let closed_at = upstream.wait_for_close(upstream.last().connection).await;
        assert!(closed_at.saturating_duration_since(left) < Duration::from_secs(1), "question {nth}");
    }
    wait_for("nothing is held", || gateway.balance("alice") == ("100".into(), "0".into())).await;
}

/// Bodies that must not be understood, whoever reads them.
fn hostile_bodies() -> Vec<(&'static str, Vec<u8>)> {
    let with = |member: &str| QUESTION.replacen('{', &format!("{{{member},"), 1).into_bytes();
    let maximum = |number: &str| QUESTION.replace("50", number).into_bytes();
    let names: String = (0..1_000_000).map(|n| format!("\"k{n}\":0,")).collect();
    let utf16: Vec<u8> = QUESTION.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let nested =
        |open: &str, close: &str, depth: usize| with(&format!("\"x\":{}0{}", open.repeat(depth), close.repeat(depth)));
    vec![
        ("a name twice in a message", QUESTION.replace("\"role\"", "\"role\":\"system\",\"role\"").into()),
        ("a name twice by escape", QUESTION.replace("\"role\"", "\"rol\\u0065\":\"system\",\"role\"").into()),
        ("the model twice by escape", with(r#""\u006d\u006f\u0064\u0065\u006c":"embed-model""#)),
        ("a name twice where nobody looks", with(r#""x":[{"a":{"b":1,"b":1}}]"#)),
        ("a name twice by surrogates", with(r#""x":{"\ud83d\ude00":1,"😀":2}"#)),
        ("65 arrays", nested("[", "]", 65)),
        ("65 objects", nested("{\"a\":", "}", 65)),
        ("a hundred thousand arrays", nested("[", "]", 100_000)),
        ("a hundred thousand that never close", [b"{\"x\":".as_slice(), "[".repeat(100_000).as_bytes()].concat()),
        ("a million names", with(&format!("\"x\":{{{names}\"end\":0}}"))),
        ("a million names and one twice", with(&format!("\"x\":{{{names}\"k0\":0}}"))),
        ("NaN", with("\"temperature\":NaN")),
        ("Infinity", with("\"temperature\":-Infinity")),
        ("a plus", maximum("+5")),
        ("a leading zero", maximum("05")),
        ("hexadecimal", maximum("0x10")),
        ("a bare point", with("\"temperature\":1.")),
        ("minus a billion", maximum("-1000000000")),
        ("none", maximum("0")),
        ("a fraction", maximum("1.0")),
        ("an exponent", maximum("1e9")),
        ("twenty digits", maximum("99999999999999999999")),
        ("a hundred thousand digits", maximum(&"9".repeat(100_000))),
        ("half a surrogate pair", QUESTION.replace("hi", r"\ud800").into()),
        ("the other half", QUESTION.replace("hi", r"\udc00\ud800").into()),
        ("a NUL", QUESTION.replace("hi", "h\0i").into()),
        ("a line break in a text", QUESTION.replace("hi", "h\ni").into()),
        ("a control character in the model", QUESTION.replace("chat-model", r"chat-model\u0000").into()),
        ("a byte order mark", [b"\xef\xbb\xbf", QUESTION.as_bytes()].concat()),
        (
            "bytes that are no UTF-8",
            [&QUESTION.as_bytes()[..QUESTION.len() - 5], b"\xff", &QUESTION.as_bytes()[QUESTION.len() - 5..]].concat(),
        ),
        ("UTF-16", utf16),
        ("a comment", QUESTION.replacen('{', "{/* */", 1).into()),
        ("a comma too many", QUESTION.replacen(",\"messages\"", ",,\"messages\"", 1).into()),
        ("single quotes", QUESTION.replace('"', "'").into()),
        ("two bodies", QUESTION.repeat(2).into()),
    ]
}

#[tokio::test]
async fn hostile_json_is_refused_at_once() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    for (name, body) in hostile_bodies() {
        let started = Instant::now();
        let answer = gateway.chat(&body).await;
        let took = started.elapsed();
        assert_eq!((answer.status(), answer.code().as_str()), (400, "invalid_request"), "{name}: {}", answer.text());
        assert!(answer.text().len() < 2_000, "{name}: the answer is no echo");
        assert!(took < Duration::from_millis(500), "{name}: {took:?}");
    }
    assert_eq!(upstream.count(), 0);
    assert_eq!(gateway.balance("alice"), ("100".into(), "0".into()));
}

#[tokio::test]
async fn what_the_upstream_reads_is_what_was_judged() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let with = |member: &str| QUESTION.replacen('{', &format!("{{{member},"), 1);
    let deep = with(&format!("\"x\":{}{}", "[".repeat(60), "]".repeat(60)));
    let long = with(&format!("\"x\":\"{}\"", r#"\u00e9\\\"\/\b\f\n\r\t\ud83d\ude00"#.repeat(1_000)));
    for body in [
        QUESTION.to_owned(),
        format!(" \t\r\n{QUESTION}\r\n "),
        QUESTION.replace("chat-model", r"\u0063hat-model"),
        QUESTION.replace("\"model\"", r#""\u006dodel""#),
        with(r#""x":{"model":"embed-model","stream":true}"#),
        with(r#""x":"\"model\":\"embed-model\"""#),
        with(r#""":{"":[]}"#),
        with(r#""Model":"embed-model","MODEL":1"#),
        with(r#""x":[-0,0.0,1E+2,123456789012345678,true,false,null]"#),
        with(r#""x":"\u0000\u2028\u2029\ufeff""#),
        with(r#""__proto__":{"model":"embed-model"}"#),
        deep,
        long,
    ] {
        gateway.chat(&body).await.expect(200);
        let mut judged: Value = serde_json::from_str(&body).unwrap();
        judged["model"] = json!("provider-chat");
        assert_eq!(upstream.last().json(), judged, "{body}");
    }
}

#[tokio::test]
async fn no_trick_with_paths_leads_anywhere() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let tricks = [
        "/v1/chat/../chat/completions",
        "/v1/./chat/completions",
        "/v1/chat/completions/.",
        "/v1/chat/completions/..;/",
        "/v1/chat//completions",
        "/v1//chat/completions",
        "//gateway/v1/chat/completions",
        "/v1/chat/completions%20",
        "/v1/chat/completions%0d%0aX-Evil:%201",
        "/v1/chat%2fcompletions",
        "/v1/chat%5ccompletions",
        "/v1/chat\\completions",
        "/v1/ch%61t/completions",
        "/v1/chat/completions;x=1",
        "/v1/chat/completions/",
        "/v1/chat/completions.json",
        "/v1/CHAT/completions",
        "/v1/v1/v1/chat/completions",
        "/api/v1/v1/v1/chat/completions",
        "/%76%31/chat/completions",
        "/v1/%2e%2e/%2e%2e/etc/passwd",
        "/v1/..%c0%af..%c0%afetc/passwd",
        "/..%00/v1/chat/completions",
        "/api/accounts",
        "/api/openapi.json",
        "/metrics",
        "/admin",
        "/.git/config",
        "/.env",
        "/console",
        "/v1/completions/../../metrics",
        "*",
    ];
    for path in tricks {
        let answer = gateway.send(post(path, &gateway.key.secret, QUESTION)).await;
        assert!(matches!(answer.status(), 400 | 404), "{path}: {}", answer.head.text());
        assert!(matches!(answer.code().as_str(), "invalid_request" | "not_found"), "{path}: {}", answer.text());
        assert!(!answer.text().contains("passwd") && !answer.head.text().contains("Evil"), "{path}");
    }
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn nothing_that_a_client_writes_becomes_a_header_or_a_log_line() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let forged = r#"{\"level\":\"INFO\",\"message\":\"forged\"}"#;
    let key = format!("Authorization: Bearer {}", gateway.key.secret);
    for text in [
        format!(r"x\r\nX-Forged: 1\r\n\r\n{forged}"),
        format!(r"x\n{forged}"),
        format!(r"x\u2028{forged}"),
        format!(r"x\u0085{forged}"),
        format!(r"x\u001b[2K\u001b[1A{forged}"),
        format!(r"x\u202e{forged}"),
        forged.to_owned(),
    ] {
        let unknown = QUESTION.replace("chat-model", &text);
        let user = QUESTION.replacen('{', &format!("{{\"user\":\"{text}\",\"metadata\":{{\"x\":\"{text}\"}},"), 1);
        for (body, statuses) in [(unknown, [400, 422]), (user, [200, 200])] {
            let odd =
                ["X-Client-Request-Id: {\"message\":\"forged\"}", "User-Agent: x\t{\"message\":\"forged\"} \u{85}"];
            let answer = gateway.send(request("POST", CHAT, &[&key, odd[0], odd[1]], body)).await;
            assert!(statuses.contains(&answer.status()), "{text}: {}", answer.text());
            assert!(!answer.head.text().to_lowercase().contains("forged"), "{}", answer.head.text());
        }
    }
    for head in upstream.requests().iter().map(|request| &request.head) {
        assert!(!head.text().to_lowercase().contains("forged"), "{}", head.text());
    }
    for line in gateway.log_lines() {
        let parsed: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert_ne!(parsed["message"], "forged");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

/// Frames of HTTP/2 (RFC 9113, 4.1) and header fields of HPACK (RFC 7541, 6), as no well-behaved library sends them.
mod frames {
    pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;

    pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// A literal field; `indexed`: to be remembered in the dynamic table.
    pub fn field(name: &[u8], value: &[u8], indexed: bool) -> Vec<u8> {
        [vec![if indexed { 0x40 } else { 0 }], string(name), string(value)].concat()
    }

    fn string(bytes: &[u8]) -> Vec<u8> {
        // An integer with a prefix of seven bits (RFC 7541, 5.1).
        let mut out = Vec::new();
        if bytes.len() < 127 {
            out.push(bytes.len() as u8);
        } else {
            out.push(127);
            let mut rest = bytes.len() - 127;
            while rest >= 128 {
                out.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            out.push(rest as u8);
        }
        out.extend(bytes);
        out
    }

    /// The pseudo fields of a POST, and a key.
    pub fn request(secret: &str) -> Vec<u8> {
        // 0x83 and 0x86 stand for POST and http.
        let key = field(b"authorization", format!("Bearer {secret}").as_bytes(), false);
        let path = field(b":path", b"/v1/chat/completions", false);
        [vec![0x83, 0x86], path, field(b":authority", b"gateway", false), key].concat()
    }
}

/// A request for a stream whose client gives no leave to send any of it.
fn lazy_http2(secret: &str) -> Vec<u8> {
    use frames::*;
    let no_window = [&[0, 4], &0u32.to_be_bytes()[..]].concat();
    [
        PREFACE.to_vec(),
        frame(SETTINGS, 0, 0, &no_window),
        frame(HEADERS, END_HEADERS, 1, &request(secret)),
        frame(DATA, END_STREAM, 1, STREAMED.as_bytes()),
    ]
    .concat()
}

type Attack = (&'static str, Vec<u8>);

/// Each is one connection's bytes behind the preface.
fn attacks(secret: &str) -> Vec<Attack> {
    use frames::*;
    let head = request(secret);
    let odd = |nth: u32| nth * 2 + 1;
    let reset = |nth: u32| {
        let stream = odd(nth);
        [frame(HEADERS, END_HEADERS, stream, &head), frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
    };
    // An increment of nothing is the client's error, and the stream's end.
    let made_to_reset = |nth: u32| {
        let stream = odd(nth);
        [frame(HEADERS, END_HEADERS, stream, &head), frame(WINDOW_UPDATE, 0, stream, &0u32.to_be_bytes())].concat()
    };
    let bomb = field(b"x-bomb", &[b'x'; 3_900], true);
    // Index 62 is the newest field of the dynamic table.
    let bombs = |nth: u32| [&head[..], if nth == 0 { &bomb } else { &[] }, &[0xBE; 12_000]].concat();
    let endless = frame(CONTINUATION, 0, 1, &field(b"x-more", &[b'x'; 8_000], false));
    let empty = frame(CONTINUATION, 0, 1, &[]);
    vec![
        ("rapid reset", (0..5_000).flat_map(reset).collect()),
        ("a thousand streams", (0..1_000).flat_map(|nth| frame(HEADERS, END_HEADERS, odd(nth), &head)).collect()),
        ("a bomb of headers", (0..50).flat_map(|nth| frame(HEADERS, END_HEADERS, odd(nth), &bombs(nth))).collect()),
        ("a head without an end", [frame(HEADERS, 0, 1, &head), endless.repeat(2_000)].concat()),
        ("a head of nothing, without an end", [frame(HEADERS, 0, 1, &head), empty.repeat(100_000)].concat()),
        ("resets that we are made to send", (0..5_000).flat_map(made_to_reset).collect()),
        ("data of nothing", [frame(HEADERS, END_HEADERS, 1, &head), frame(DATA, 0, 1, &[]).repeat(100_000)].concat()),
        ("settings", frame(SETTINGS, 0, 0, &[]).repeat(50_000)),
        ("pings", frame(PING, 0, 0, &[0; 8]).repeat(50_000)),
        ("frames too long", [vec![0xFF, 0xFF, 0xFF, HEADERS, 0, 0, 0, 0, 1], vec![0; 1_000_000]].concat()),
        ("a stream that is none", frame(HEADERS, END_HEADERS, 2, &head)),
        ("no HPACK", frame(HEADERS, END_HEADERS, 1, &[0xFF; 2_000])),
    ]
}

#[tokio::test]
async fn floods_of_http2_are_borne() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]).edge("header_timeout: 2s, body_timeout: 2s"));
    serve_well(&gateway, 1).await;
    let before = descriptors(&gateway);
    for (name, bytes) in attacks(&gateway.key.secret) {
        forget_peak(&gateway);
        let memory_before = resident_bytes(&gateway);
        let flood = async {
            let flooding = (0..3).map(|_| async {
                let mut connection = gateway.connect().await;
                let settings = frames::frame(frames::SETTINGS, 0, 0, &[]);
                connection.try_send([frames::PREFACE, &settings].concat()).await;
                for piece in bytes.chunks(64 * 1024) {
                    if !connection.try_send(piece).await {
                        break;
                    }
                }
                // The gateway may wait for more; the client has nothing to add.
                connection.is_closed_within(Duration::from_millis(100)).await;
            });
            futures_util::future::join_all(flooding).await
        };
        tokio::join!(flood, serve_well(&gateway, 10));
        let grown = peak_bytes(&gateway).saturating_sub(memory_before);
        assert!(grown <= 16 * MIB, "{name}: memory grew by {} KiB", grown / 1024);
    }
    assert_eq!(upstream.count(), 1 + 10 * attacks("").len(), "of the floods nothing got through");
    assert_nothing_is_left(&gateway, before + 4).await;
    let answer = client::http2().get(format!("http://{}/healthz", gateway.edge())).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}
