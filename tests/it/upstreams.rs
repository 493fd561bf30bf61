//! Upstreams in every kind of trouble: what they send is bytes of a stranger. The next upstream answers, the client
//! never learns of it, memory stays what it was, and nothing is paid for.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::process::{forget_peak, peak_bytes, resident_bytes};
use crate::support::tls::TlsFront;
use crate::support::upstream::{
    NobodyThere, Request, chat_completion, chat_events, chunk, delta_event, finish_event, usage, usage_event,
};
use crate::support::*;
use crate::walk::{QUESTION, STREAMED};

/// A gateway with a model `row-N` for each reply: its first upstream replies so, its second one is well.
struct Rows {
    gateway: Gateway,
    ill: Upstream,
    well: Upstream,
}

impl Rows {
    fn start(replies: Vec<Reply>) -> Rows {
        let count = replies.len();
        let ill = Upstream::start(move |request, _| replies[row_of(request)].clone());
        let well = Upstream::hello();
        let mut config = Config::new();
        let mut models = String::new();
        for row in 0..count {
            config = config.upstream(&ill, "timeouts: {first_byte: 500ms, idle: 500ms}");
            models += &format!(
                "  row-{row}:\n    price: {}\n    upstreams: [{{name: u{row}, model: \"{row}\"}}, \
                 {{name: u{count}, model: provider-chat, priority: 1}}]\n  only-{row}:\n    price: {}\n    \
                 upstreams: [{{name: u{row}, model: \"{row}\"}}]\n",
                config::PRICE,
                config::PRICE,
            );
        }
        let gateway = Gateway::start(&config.upstream(&well, "").models(&models));
        Rows { gateway, ill, well }
    }

    /// Asks the model of this row, which falls back to the upstream that is well.
    async fn ask(&self, row: usize, question: &str) -> Answer {
        self.gateway.chat(question.replace("chat-model", &format!("row-{row}"))).await
    }

    /// Asks the model that has this row's upstream alone.
    async fn ask_alone(&self, row: usize, question: &str) -> Answer {
        self.gateway.chat(question.replace("chat-model", &format!("only-{row}"))).await
    }

    fn tries(&self, row: usize) -> usize {
        self.ill.requests().iter().filter(|request| row_of(request) == row).count()
    }
}

fn row_of(request: &Request) -> usize {
    request.json()["model"].as_str().expect("the model's name").parse().expect("the upstream knows it by its number")
}

/// An answer that would pass, were it not for the way in which it comes.
fn tempting() -> String {
    chat_completion("from the wrong upstream", usage(1, 1)).to_string()
}

fn raw(head: &str, body: impl AsRef<[u8]>) -> Reply {
    Reply::raw(head.replace('\n', "\r\n") + "\r\n").then(body)
}

/// A head with these lines before a body of the right length.
fn with_lines(lines: &str) -> Reply {
    let body = tempting();
    raw(&format!("HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: {}\n{lines}", body.len()), body)
}

fn with_status_line(line: &str) -> Reply {
    let body = tempting();
    raw(&format!("{line}\nContent-Type: application/json\nContent-Length: {}\n", body.len()), body)
}

/// A head whose lines say how long the body is, or pretend to.
fn framed(lines: &str, body: impl AsRef<[u8]>) -> Reply {
    raw(&format!("HTTP/1.1 200 OK\nContent-Type: application/json\n{lines}"), body)
}

fn trickling_head() -> Reply {
    (0..40)
        .fold(Reply::raw("HTTP/1.1 200 OK\r\nX-Slow: "), |reply, _| reply.delay(Duration::from_millis(100)).then("x"))
}

fn stream_called(lines: &str) -> Reply {
    let reply = raw(&format!("HTTP/1.1 200 OK\n{lines}Transfer-Encoding: chunked\n"), "");
    chat_events(&["from the wrong upstream"], usage(1, 1)).into_iter().fold(reply, Reply::then_chunk).end()
}

/// Whatever is no answer and is not in the list of `failover`.
fn no_answers() -> Vec<(&'static str, Reply)> {
    let body = tempting();
    let length = body.len();
    let gzip_lies = [b"\x1f\x8b\x08\0\0\0\0\0\0\x03".as_slice(), body.as_bytes()].concat();
    let gzip = [("Content-Encoding", "gzip"), ("Content-Type", "application/json")];
    let interim = |line: &str| Reply::default().then_times(format!("HTTP/1.1 {line}\r\n\r\n"), 10_000);
    let many = |count: usize| (0..count).map(|n| format!("X-Many-{n}: {}\n", "x".repeat(90))).collect::<String>();
    vec![
        ("encoded bytes", Reply::status(200, &gzip, &gzip_lies)),
        ("an answer that calls itself encoded", Reply::status(200, &gzip, &body)),
        (
            "a stream that calls itself encoded",
            stream_called("Content-Type: text/event-stream\nContent-Encoding: br\n"),
        ),
        ("encoded bytes in events", Reply::stream_head().then_chunk(&gzip_lies).end()),
        ("events called JSON", stream_called("Content-Type: application/json\n")),
        ("JSON called events", Reply::status(200, &[("Content-Type", "text/event-stream")], &body)),
        ("words", Reply::status(200, &[("Content-Type", "text/plain")], "I would rather not.")),
        ("a list", Reply::status(200, &[("Content-Type", "application/json")], format!("[{body}]"))),
        ("two answers in one", Reply::status(200, &[("Content-Type", "application/json")], body.repeat(2))),
        ("ten thousand times 100", interim("100 Continue").then(with_lines_bytes())),
        ("ten thousand early hints", interim("103 Early Hints\r\nLink: </x>").then(with_lines_bytes())),
        ("another protocol", raw("HTTP/1.1 101 Switching Protocols\nUpgrade: x\nConnection: upgrade\n", &body)),
        ("another protocol and an answer", raw("HTTP/1.1 101 Switching Protocols\n", with_lines_bytes())),
        ("no content, with some", raw(&format!("HTTP/1.1 204 No Content\nContent-Length: {length}\n"), &body)),
        ("reset content, with some", raw(&format!("HTTP/1.1 205 Reset Content\nContent-Length: {length}\n"), &body)),
        ("not modified, with some", raw(&format!("HTTP/1.1 304 Not Modified\nContent-Length: {length}\n"), &body)),
        ("moved", raw(&format!("HTTP/1.1 308 Moved\nLocation: /v1/x\nContent-Length: {length}\n"), &body)),
        ("a teapot", raw(&format!("HTTP/1.1 418 I'm a teapot\nContent-Length: {length}\n"), &body)),
        ("two megabytes of headers", with_lines(&many(20_000))),
        ("a header of two megabytes", with_lines(&format!("X-Long: {}\n", "x".repeat(2_000_000)))),
        ("three hundred headers", with_lines(&many(300))),
        ("a length that is too short", framed(&format!("Content-Length: {}\n", length - 10), &body)),
        ("a negative length", framed(&format!("Content-Length: -{length}\n"), &body)),
        ("two lengths", framed(&format!("Content-Length: {length}\nContent-Length: {}\n", length - 10), &body)),
        ("a length that is no number", framed("Content-Length: all\n", &body).close()),
        ("a length beyond all numbers", framed("Content-Length: 99999999999999999999999\n", &body).close()),
        ("a length and chunks", framed("Content-Length: 5\nTransfer-Encoding: chunked\n", &body).close()),
        ("a coding nobody knows", framed("Transfer-Encoding: gzip, chunked\n", chunk(&gzip_lies)).end()),
        ("a chunk without a size", framed("Transfer-Encoding: chunked\n", format!("\r\n{body}\r\n0\r\n\r\n")).close()),
        (
            "a chunk size in words",
            framed("Transfer-Encoding: chunked\n", format!("all\r\n{body}\r\n0\r\n\r\n")).close(),
        ),
        (
            "a chunk without an end",
            framed("Transfer-Encoding: chunked\n", format!("FFFFFFFFFFFFFFFFF\r\n{body}")).close(),
        ),
        ("two status lines", with_status_line("HTTP/1.1 200 OK\nHTTP/1.1 200 OK")),
        ("no status", with_status_line("HTTP/1.1")),
        ("a status of two digits", with_status_line("HTTP/1.1 20 OK")),
        ("a status of four digits", with_status_line("HTTP/1.1 2000 OK")),
        ("the status 999", with_status_line("HTTP/1.1 999 OK")),
        ("HTTP/2 in letters", with_status_line("HTTP/2.0 200 OK")),
        ("a NUL in a header", with_lines("X-Odd: a\0b\n")),
        ("a header without a name", with_lines(": nameless\n")),
        ("a head that trickles", trickling_head()),
        ("half a head and silence", Reply::raw("HTTP/1.1 200 OK\r\nContent-").hang()),
        ("half an answer and silence", framed(&format!("Content-Length: {length}\n"), &body[..40]).hang()),
        ("half an event and silence", Reply::stream_head().then_chunk(&delta_event("wrong")[..20]).hang()),
    ]
}

/// The head and body of [`tempting`], as they stand on the wire.
fn with_lines_bytes() -> String {
    let body = tempting();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn whatever_bytes_come_that_are_no_answer_the_next_upstream_gives_one() {
    let (names, replies): (Vec<_>, Vec<_>) = no_answers().into_iter().unzip();
    let rows = Rows::start(replies);
    let mut faults = Vec::new();
    for (row, name) in names.iter().enumerate() {
        for (tries, question) in [QUESTION, STREAMED].into_iter().enumerate() {
            let answer = rows.ask(row, question).await;
            if (answer.status(), answer.content().as_str(), rows.tries(row)) != (200, "hello", tries + 1) {
                faults.push(format!("{name}, {} tries: {}\n{}", rows.tries(row), answer.head.text(), answer.text()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    assert_eq!(rows.well.count(), names.len() * 2);
    let answers = || rows.gateway.audit()["requests"] == names.len() * 2;
    wait_for("everything is booked", answers).await;
    // 10 tokens at 0.15 and 2 at 0.60 for a million, each time; the failed tries cost nothing.
    let spent: f64 = 100.0 - rows.gateway.balance("alice").0.parse::<f64>().unwrap();
    assert!((spent - 0.000_002_7 * names.len() as f64 * 2.0).abs() < 1e-9, "{spent}");
}

/// Odd ways in which whole answers come: question, reply, and the body that the client gets.
fn odd_answers() -> Vec<(&'static str, &'static str, Reply, Vec<u8>)> {
    let whole = chat_completion("hello", usage(10, 2)).to_string();
    let (before, text) = whole.split_at(whole.find("hello").unwrap());
    let ill_formed = [before.as_bytes(), b"\xff\xc3", text.as_bytes()].concat();
    let event = delta_event("hello");
    let ill_event = [&event.as_bytes()[..event.find("hello").unwrap()], b"\xff\xc3hello\"}}]}\n\n"].concat();
    let ending = finish_event() + &usage_event(&usage(10, 2)) + "data: [DONE]\n\n";
    let shown_ending = finish_event() + "data: [DONE]\n\n";
    let stream = |first: &[u8]| Reply::stream_head().then_chunk(first).then_chunk(&ending).end();
    let shown = |first: &[u8]| [first, shown_ending.as_bytes()].concat();
    let bom = [b"\xef\xbb\xbf", event.as_bytes()].concat();
    let json = |more: &str, body: &[u8]| raw(&format!("HTTP/1.1 200 OK\nContent-Type: application/json\n{more}"), body);
    let length = format!("Content-Length: {}\n", whole.len());
    let interim = Reply::default().then_times("HTTP/1.1 100 Continue\r\n\r\n", 3).then(format!(
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n{}\r\n{whole}",
        length.replace('\n', "\r\n")
    ));
    let chunked = format!("5;name=value\r\n{}\r\n", &whole[..5]).into_bytes();
    let chunked = [chunked, chunk(&whole[5..]), b"0\r\nX-Trailer: x\r\n\r\n".to_vec()].concat();
    vec![
        ("bytes that are no UTF-8", QUESTION, Reply::status(200, &[], &ill_formed), ill_formed.clone()),
        ("a stream with bytes that are no UTF-8", STREAMED, stream(&ill_event), shown(&ill_event)),
        ("a stream with a byte order mark", STREAMED, stream(&bom), shown(&bom)),
        ("some interim answers", QUESTION, interim, whole.clone().into()),
        (
            "JSON called text",
            QUESTION,
            Reply::status(200, &[("Content-Type", "text/plain")], &whole),
            whole.clone().into(),
        ),
        ("JSON of no type", QUESTION, Reply::status(200, &[], &whole), whole.clone().into()),
        ("sixty headers", QUESTION, json(&("X-A: b\n".repeat(60) + &length), whole.as_bytes()), whole.clone().into()),
        (
            "chunks with extensions and trailers",
            QUESTION,
            json("Transfer-Encoding: chunked\n", &chunked),
            whole.clone().into(),
        ),
        ("an answer that ends with its connection", QUESTION, json("", whole.as_bytes()).close(), whole.clone().into()),
        (
            "an answer of HTTP/1.0",
            QUESTION,
            raw("HTTP/1.0 200 OK\nContent-Type: application/json\n", &whole).close(),
            whole.clone().into(),
        ),
    ]
}

#[tokio::test]
async fn what_is_odd_and_can_be_read_passes_to_the_byte_and_costs_what_it_says() {
    let odd = odd_answers();
    let rows = Rows::start(odd.iter().map(|(_, _, reply, _)| reply.clone()).collect());
    for (row, (name, question, _, expected)) in odd.iter().enumerate() {
        let answer = rows.ask(row, question).await;
        assert_eq!(answer.status(), 200, "{name}: {}", answer.text());
        assert!(answer.whole, "{name}");
        assert_eq!(String::from_utf8_lossy(&answer.body()), String::from_utf8_lossy(expected), "{name}");
        assert!(answer.body() == *expected, "{name}");
        let record = rows.gateway.record(&answer.head).await;
        assert_eq!([&record["charge"], &record["outcome"]], ["0.0000027", "ok"], "{name}: {record}");
    }
    assert_eq!(rows.well.count(), 0);
}

#[tokio::test]
async fn bytes_behind_an_answer_are_never_the_next_answer() {
    let forged = chat_completion("forged", usage(1, 1)).to_string();
    let forged = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{forged}", forged.len());
    let late = Signal::new();
    let first = Reply::chat("hello", usage(10, 2)).then(&forged);
    let second = Reply::chat("hello", usage(10, 2)).wait(&late).then(&forged);
    let third = Reply::chat_stream(&["hel", "lo"], usage(10, 2)).then(&forged);
    let upstream = Upstream::start(move |_, nth| match nth {
        0 => first.clone(),
        1 => second.clone(),
        2 => third.clone(),
        _ => Reply::chat("hello", usage(10, 2)),
    });
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let mut used = Vec::new();
    for question in [QUESTION, QUESTION, STREAMED, QUESTION, QUESTION] {
        let nth = upstream.count();
        assert_eq!(gateway.chat(question).await.expect(200).content(), "hello");
        used.push(upstream.last().connection);
        if nth == 1 {
            // It comes while the connection rests in the pool.
            late.set();
            upstream.wait_for_close(upstream.last().connection).await;
        }
    }
    // The first three spoiled their connections.
    assert_eq!(upstream.count(), 5);
    for (nth, spoiled) in used[..3].iter().enumerate() {
        let again = used[nth + 1..].contains(spoiled);
        assert!(!again, "a connection that says more than it was asked is not used again: {used:?}");
    }
}

fn about_a_second(time: Duration) -> bool {
    (Duration::from_millis(900)..Duration::from_millis(2_000)).contains(&time)
}

#[tokio::test]
async fn silence_is_cut_at_the_set_time_before_the_head_and_in_the_middle() {
    let half_stream = || Reply::stream_head().then_chunk(delta_event("hello"));
    let slowly = chat_events(&["a", "b", "c"], usage(10, 2)).into_iter();
    let slowly = slowly.fold(Reply::stream_head(), |reply, event| reply.then_chunk(event).delay(SLOWLY)).end();
    let replies = [Reply::default().hang(), half_stream().hang(), trickling_head(), slowly, Reply::default().hang()];
    let replies_count = replies.len();
    let upstream = Upstream::start(move |request, _| replies[row_of(request)].clone());
    let mut config = Config::new();
    let mut models = String::new();
    for row in 0..replies_count {
        config = config.upstream(&upstream, "timeouts: {first_byte: 1s, idle: 1s}");
        let price = config::PRICE;
        models += &format!("  only-{row}:\n    price: {price}\n    upstreams: [{{name: u{row}, model: \"{row}\"}}]\n");
    }
    let gateway = Gateway::start(&config.models(&models));
    let ask = |row: usize, text_bytes: usize| {
        let (gateway, upstream) = (&gateway, &upstream);
        async move {
            let question = STREAMED.replace("hi", &"x".repeat(text_bytes));
            let answer = gateway.chat(question.replace("chat-model", &format!("only-{row}"))).await;
            let request = upstream.requests().into_iter().find(|request| row_of(request) == row).unwrap();
            (answer, request.at.elapsed(), request.connection)
        }
    };
    // A large body is sent in several pieces.
    let (silent, stuck, trickling, slow, large) =
        tokio::join!(ask(0, 2), ask(1, 2), ask(2, 2), ask(3, 2), ask(4, 3_000_000));
    for (answer, took, connection) in [&silent, &trickling, &large] {
        assert_eq!((answer.status(), answer.code().as_str()), (500, "server_error"));
        assert!(about_a_second(*took), "{took:?}");
        upstream.wait_for_close(*connection).await;
    }
    let (answer, took, connection) = &stuck;
    assert_eq!((answer.status(), answer.content().as_str()), (200, "hello"));
    assert!(answer.events().last().unwrap().contains("\"server_error\""), "{}", answer.text());
    assert!(about_a_second(*took), "{took:?}");
    upstream.wait_for_close(*connection).await;
    let (answer, took, _) = &slow;
    assert_eq!((answer.content().as_str(), answer.events().last().unwrap().as_str()), ("abc", "data: [DONE]"));
    assert!(*took > Duration::from_secs(1), "slow as a whole, and never silent for long: {took:?}");
    wait_for("nothing is held", || gateway.balance("alice").1 == "0").await;
    let running = || gateway.metric("tollgate_requests_in_flight");
    eventually("nothing runs", running, |running| *running == 0.0).await;
    gateway.audit();
}

const SLOWLY: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_certificate_that_cannot_be_trusted_is_a_failed_connection() {
    let (behind, well) = (Upstream::hello(), Upstream::hello());
    let front = TlsFront::start(&behind, "127.0.0.1");
    let another = TlsFront::start(&behind, "another.example");
    let folder = tempfile::tempdir().unwrap();
    let ca = |name: &str, front: &TlsFront| {
        let path = folder.path().join(name);
        std::fs::write(&path, &front.ca_pem).unwrap();
        format!("tls: {{ca: \"{}\"}}", path.display())
    };
    let expired = TlsFront::start_expired(&behind, "127.0.0.1");
    let expired_ca = ca("expired.pem", &expired);
    let (front_ca, another_ca) = (ca("front.pem", &front), ca("another.pem", &another));
    let plain_as_tls = behind.base_url().replace("http://", "https://");
    let tls_as_plain = front.base_url("127.0.0.1").replace("https://", "http://");
    for (name, base_url, more) in [
        ("nobody vouches for it", front.base_url("127.0.0.1"), ""),
        ("another one is vouched for", front.base_url("127.0.0.1"), another_ca.as_str()),
        ("it is another host's", another.base_url("127.0.0.1"), another_ca.as_str()),
        ("it has expired", expired.base_url("127.0.0.1"), expired_ca.as_str()),
        ("there is no TLS", plain_as_tls, ""),
        ("there is TLS", tls_as_plain, ""),
    ] {
        let gateway = Gateway::start(&Config::new().upstream_at(&base_url, more).upstream(&well, ""));
        let answered = well.count();
        for question in [QUESTION, STREAMED] {
            assert_eq!(gateway.chat(question).await.expect(200).content(), "hello", "{name}");
        }
        assert_eq!((behind.count(), well.count()), (0, answered + 2), "{name}");
    }
    for (name, more) in [("vouched for", front_ca.as_str()), ("not looked at", "tls: {verify: false}")] {
        let config = Config::new().upstream_at(&front.base_url("127.0.0.1"), more).upstream(&well, "");
        let gateway = Gateway::start(&config);
        let answered = (behind.count(), well.count());
        for question in [QUESTION, STREAMED] {
            assert_eq!(gateway.chat(question).await.expect(200).content(), "hello", "{name}");
        }
        assert_eq!((behind.count(), well.count()), (answered.0 + 2, answered.1), "{name}");
    }
}

/// Reads an answer to its end without keeping it. Its length, and its first and last bytes.
async fn drink(gateway: &Gateway, question: &str) -> (u16, usize, Vec<u8>) {
    let mut connection = gateway.connect().await;
    connection.send(post("/v1/chat/completions", &gateway.key.secret, question)).await;
    let head = connection.head().await;
    let (mut bytes, mut last) = (0, Vec::new());
    while let Some(piece) = connection.piece().await.expect("the answer is whole") {
        bytes += piece.len();
        last = piece.to_vec();
    }
    (head.status(), bytes, last)
}

const MIB: u64 = 1024 * 1024;
/// 64 KiB each.
const HUNDRED_MEGABYTES: usize = 1_600;

/// What the allocator may hold on to: a thread that had no long event yet.
const SLACK_BYTES: u64 = 2 * MIB;
const WARMING: usize = 8;

fn endless_line(pieces: usize) -> Reply {
    Reply::stream_head()
        .then_chunk(r#"data: {"choices":[{"index":0,"delta":{"content":""#)
        .then_times(chunk("x".repeat(64 * 1024)), pieces)
        .then_chunk("\"},\"finish_reason\":null}]}\n\n")
        .then_chunk(finish_event() + &usage_event(&usage(10, 2)) + "data: [DONE]\n\n")
        .end()
}

#[tokio::test]
async fn a_line_of_a_hundred_megabytes_passes_through_little_memory() {
    let upstream = Upstream::start(|_, nth| endless_line(if nth < WARMING { 64 } else { HUNDRED_MEGABYTES }));
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    // What first long events need, they need once: the allocator keeps it for each of its threads.
    futures_util::future::join_all((0..WARMING).map(|_| drink(&gateway, STREAMED))).await;
    forget_peak(&gateway);
    let before = resident_bytes(&gateway);
    let (status, bytes, last) = drink(&gateway, STREAMED).await;
    let grown = peak_bytes(&gateway).saturating_sub(before);
    assert!((status, bytes > HUNDRED_MEGABYTES * 64 * 1024) == (200, true), "{status}, {bytes}");
    assert!(last.ends_with(b"data: [DONE]\n\n"));
    assert!(grown <= 4 * MIB + SLACK_BYTES, "memory grew by {} KiB", grown / 1024);
    wait_for("all are charged as reported", || gateway.balance("alice") == ("99.9999757".into(), "0".into())).await;
}

#[tokio::test]
async fn answers_and_refusals_of_a_hundred_megabytes_are_not_kept() {
    let answer = chat_completion("TEXT", usage(10, 2)).to_string();
    let (before_text, after_text) = answer.split_once("TEXT").unwrap();
    let length = answer.len() - 4 + HUNDRED_MEGABYTES * 64 * 1024;
    let endless = move |status: &str| {
        raw(&format!("HTTP/1.1 {status}\nContent-Type: application/json\nContent-Length: {length}\n"), before_text)
            .then_times("x".repeat(64 * 1024), HUNDRED_MEGABYTES)
            .then(after_text)
    };
    let replies = [endless("200 OK"), endless("400 Bad Request"), endless("500 Oops")];
    let upstream = Upstream::start(move |_, nth| replies[nth].clone());
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    // An answer is kept up to 8 MiB, and joined before it is given out; a refusal up to 64 KiB.
    for (status, bytes_min, growth_max) in [(200, length, 64 * MIB), (400, 1, 8 * MIB), (500, 1, 8 * MIB)] {
        forget_peak(&gateway);
        let before = resident_bytes(&gateway);
        let (shown, bytes, _) = drink(&gateway, QUESTION).await;
        assert!(shown == status && bytes >= bytes_min, "{shown}, {bytes}");
        let grown = peak_bytes(&gateway).saturating_sub(before);
        assert!(grown <= growth_max, "{status}: memory grew by {} KiB", grown / 1024);
    }
    wait_for("one is charged", || gateway.balance("alice") == ("99.9999973".into(), "0".into())).await;
}

#[tokio::test]
async fn a_time_to_come_back_is_believed_only_if_it_is_one() {
    let absurd =
        ["1000000000", "-5", "NaN", "18446744073709551616", "Wed, 21 Oct 2099 07:28:00 GMT", "1e9", "", "soon"];
    let reply = |value: &str| Reply::status(429, &[("Retry-After", value)], "{}");
    let rows = Rows::start(absurd.iter().map(|value| reply(value)).collect());
    for (row, value) in absurd.iter().enumerate() {
        for _ in 0..2 {
            let answer = rows.ask(row, QUESTION).await.expect(200);
            assert_eq!((answer.content().as_str(), answer.header("retry-after")), ("hello", None), "{value}");
        }
        let answer = rows.ask_alone(row, QUESTION).await.expect(500);
        assert_eq!(answer.header("retry-after"), None, "{value}");
        // Whatever it said, its key rests for a while.
        assert_eq!(rows.tries(row), 1, "{value}");
    }
}

#[tokio::test]
async fn our_own_credential_refused_is_never_the_clients_fault() {
    let words = "Incorrect API key provided: upstream-key-0. Visit https://billing.example to pay.";
    let refusals = [401, 402, 403, 404, 407, 429].map(|status| (status, Reply::error(status, words)));
    let asking = [("WWW-Authenticate", "Bearer realm=\"billing\""), ("Retry-After", "7"), ("Location", "/pay")];
    let rows = Rows::start(
        refusals
            .iter()
            .map(|(status, _)| Reply::status(*status, &asking, format!("{{\"error\":\"{words}\"}}")))
            .collect(),
    );
    for (row, (status, _)) in refusals.iter().enumerate() {
        for question in [QUESTION, STREAMED] {
            let answer = rows.ask_alone(row, question).await.expect(500);
            assert_eq!(answer.code(), "server_error", "{status}");
            let all = format!("{}{}", answer.head.text(), answer.text()).to_lowercase();
            for theirs in ["incorrect", "upstream-key", "billing", "authenticate", "retry-after", "location"] {
                assert!(!all.contains(theirs), "{status}: {theirs} in {all}");
            }
        }
    }
    wait_for("nothing is charged or held", || rows.gateway.balance("alice") == ("100".into(), "0".into())).await;
}

#[tokio::test]
async fn of_a_flapping_upstream_no_client_hears() {
    let flapping = Upstream::start(|_, nth| match nth % 2 {
        0 => Reply::chat("hello", usage(10, 2)),
        _ => Reply::default().reset(),
    });
    let well = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&flapping, &well]));
    let asking = (0..ASKING).map(|_| async {
        for _ in 0..20 {
            assert_eq!(gateway.chat(QUESTION).await.expect(200).content(), "hello");
        }
    });
    futures_util::future::join_all(asking).await;
    assert_eq!(gateway.metric("tollgate_upstream_up{upstream=\"u0\"}").await, 0.0, "its breaker is open");
    // Five failures are ten requests; every stale connection is tried once more; some were under way.
    assert!((9..=20 + 2 * ASKING).contains(&flapping.count()), "{}", flapping.count());
    wait_for("everything is booked", || gateway.audit()["requests"] == ASKING * 20).await;
}

/// Clients at a time.
const ASKING: usize = 8;

#[tokio::test]
async fn a_request_tries_each_key_once_and_a_dying_provider_is_left_alone() {
    let (refusing, busy) = (Upstream::always(Reply::error(401, "no")), Upstream::always(Reply::error(429, "no")));
    let ill = Upstream::always(Reply::error(503, "oops"));
    let nobody = NobodyThere::new();
    let config = Config::new()
        .upstream(&refusing, "api_keys: [a, b, c]")
        .upstream(&busy, "api_keys: [d, e]")
        .upstream_at(&nobody.base_url(), "")
        .upstream(&ill, "");
    let gateway = Gateway::start(&config);
    gateway.chat(QUESTION).await.expect(500);
    assert_eq!([refusing.count(), busy.count(), ill.count()], [3, 2, 1]);
    let asked = Instant::now();
    for _ in 0..50 {
        gateway.chat(QUESTION).await.expect(500);
    }
    assert_eq!([refusing.count(), busy.count(), ill.count()], [3, 2, 5], "keys rest, and breakers open");
    assert!(asked.elapsed() < Duration::from_secs(5), "what is known to fail fails fast");
    wait_for("nothing is charged or held", || gateway.balance("alice") == ("100".into(), "0".into())).await;
}

#[tokio::test]
async fn a_stale_connection_is_tried_again_once_and_no_more() {
    // Well once, and from then on it closes whatever it is asked.
    let dying = Upstream::start(|_, nth| match nth {
        0 => Reply::chat("hello", usage(10, 2)),
        _ => Reply::default().close(),
    });
    let gateway = Gateway::start(&Config::chain(&[&dying]));
    gateway.chat(QUESTION).await.expect(200);
    gateway.chat(QUESTION).await.expect(500);
    // The pooled connection, unless the second request was faster than the pool, and a fresh one.
    let pooled = dying.requests()[1].connection == 0;
    assert_eq!(dying.count(), if pooled { 3 } else { 2 });
    let sent: Vec<Value> = dying.requests().iter().map(Request::json).collect();
    assert!(sent.iter().all(|body| body["messages"] == json!([{"role": "user", "content": "hi"}])));
}
