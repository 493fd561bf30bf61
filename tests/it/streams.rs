//! Streamed answers: cut anywhere they are the same, nothing is held back for longer than it must be, and a break is
//! told in one event.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::upstream::{DONE_EVENT, delta_event, event, finish_event, usage, usage_event};
use crate::support::*;
use crate::walk::STREAMED;

/// A stream with everything that a parser can stumble over. The usage event is not for the client.
fn awkward_events() -> (String, String) {
    let texts = ["Grüße \u{1F600}\n\n", "data: [DONE]", "\"usage\":{\"prompt_tokens\":9}", ""];
    let mut shown = String::from(": a comment\n\n");
    for text in texts {
        shown.push_str(&delta_event(text));
    }
    shown.push_str("event: message\r\nid: 7\r\ndata: {\"choices\":[]}\r\n\r\n");
    shown.push_str(&finish_event());
    let whole = shown.clone() + &usage_event(&usage(10, 2)) + DONE_EVENT;
    (whole, shown + DONE_EVENT)
}

/// Answers with a stream that is cut where the request says.
fn cutting_upstream(whole: String) -> Upstream {
    Upstream::start(move |request, _| {
        let at = request.json()["cut"].as_u64().expect("a position") as usize;
        let (first, second) = whole.as_bytes().split_at(at);
        let mut reply = Reply::stream_head();
        if !first.is_empty() {
            // Long enough that the two are read apart, as a rule; that they are two chunks is always so.
            reply = reply.then_chunk(first).delay(Duration::from_millis(1));
        }
        if second.is_empty() { reply.end() } else { reply.then_chunk(second).end() }
    })
}

#[tokio::test]
async fn cut_at_every_byte_a_stream_is_the_same_and_costs_the_same() {
    let (whole, shown) = awkward_events();
    let upstream = cutting_upstream(whole.clone());
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let mut connection = gateway.connect().await;
    for at in 0..=whole.len() {
        let body = STREAMED.replacen('{', &format!("{{\"cut\":{at},"), 1);
        connection.send(post("/v1/chat/completions", &gateway.key.secret, body)).await;
        let answer = connection.answer().await.expect(200);
        assert!(answer.whole);
        assert_eq!(answer.text(), shown, "cut at {at}");
        for piece in &answer.pieces {
            // A carriage return ends a line; the line feed that belongs to it may come later.
            let whole =
                [&b"\n\n"[..], b"\r\n\r\n", b"\r\n\r"].iter().any(|end| piece.ends_with(end)) || **piece == *b"\n";
            assert!(whole, "cut at {at}: an event in two pieces: {:?}", String::from_utf8_lossy(piece));
        }
    }
    let count = whole.len() as u64 + 1;
    let booked = || gateway.cli(&["usage", "--by", "model"])[0]["requests"] == json!(count);
    wait_for("everything is booked", booked).await;
    let records = gateway.cli(&["requests", "--limit", "1000"]);
    for record in records.as_array().unwrap() {
        let told = [&record["charge"], &record["outcome"], &record["estimated"]];
        assert_eq!(told, [&json!("0.0000027"), &json!("ok"), &json!(false)], "{record:#}");
    }
    gateway.audit();
}

#[tokio::test]
async fn the_usage_event_is_shown_to_those_who_asked_for_it() {
    let upstream = Upstream::always(Reply::chat_stream(&["a", "b"], usage(10, 2)));
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let asking = STREAMED.replacen('{', "{\"stream_options\":{\"include_usage\":true},", 1);
    let declining = asking.replace("true}", "false}");
    for (body, shown) in [(STREAMED, false), (&asking, true), (&declining, false)] {
        let answer = gateway.chat(body).await.expect(200);
        assert_eq!(answer.text().contains("\"usage\""), shown, "{body}");
        assert_eq!(upstream.last().json()["stream_options"]["include_usage"], true, "{body}");
        assert_eq!(gateway.record(&answer.head).await["charge"], "0.0000027");
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_to_be_asked_for_usage_is_not() {
    let upstream = Upstream::always(Reply::chat_stream(&["a", "b"], Value::Null));
    let gateway = Gateway::start(&Config::new().upstream(&upstream, "stream_usage: none"));
    let answer = gateway.chat(STREAMED).await.expect(200);
    assert!(upstream.last().json().get("stream_options").is_none());
    let record = gateway.record(&answer.head).await;
    assert_eq!([&record["estimated"], &record["outcome"]], [&json!(true), &json!("ok")]);
    assert_ne!(record["charge"], "0");
}

/// The next event of a stream that is still running, with its blank line.
async fn next_event(connection: &mut Connection) -> String {
    let piece = connection.piece().await.expect("the stream goes on").expect("the stream goes on");
    String::from_utf8(piece.to_vec()).unwrap()
}

#[tokio::test]
async fn no_event_waits_for_the_next_one() {
    let signals: Vec<Signal> = (0..4).map(|_| Signal::new()).collect();
    let events = [delta_event("a"), delta_event("b"), ": ping\n\n".into(), finish_event() + DONE_EVENT];
    let mut reply = Reply::stream_head();
    for (signal, event) in signals.iter().zip(&events) {
        reply = reply.wait(signal).then_chunk(event);
    }
    let upstream = Upstream::always(reply.end());
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let mut connection = gateway.connect().await;
    connection.send(post("/v1/chat/completions", &gateway.key.secret, STREAMED)).await;
    upstream.wait_for_requests(1).await;
    for (place, (signal, event)) in signals.iter().zip(&events).enumerate() {
        signal.set();
        if place == 0 {
            assert_eq!(connection.head().await.status(), 200);
        }
        // The upstream sends nothing more until this one is here.
        assert_eq!(next_event(&mut connection).await, *event);
    }
    assert_eq!(connection.piece().await, Ok(None));
}

#[tokio::test]
async fn the_head_waits_for_the_first_event() {
    let (begun, go) = (Signal::new(), Signal::new());
    let reply = Reply::stream_head().then_chunk(": thinking\n\n").tell(&begun).wait(&go);
    let upstream = Upstream::always(reply.then_chunk(delta_event("a") + &finish_event() + DONE_EVENT).end());
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let mut connection = gateway.connect().await;
    connection.send(post("/v1/chat/completions", &gateway.key.secret, STREAMED)).await;
    begun.wait().await;
    assert!(connection.is_silent_for(Duration::from_millis(300)).await);
    go.set();
    let answer = connection.answer().await.expect(200);
    assert!(answer.text().starts_with(": thinking\n\ndata: "), "{}", answer.text());
}

#[tokio::test]
async fn comments_alone_are_held_back_for_five_seconds_at_most() {
    let mut reply = Reply::stream_head();
    for _ in 0..30 {
        reply = reply.then_chunk(": thinking\n\n").delay(Duration::from_millis(300));
    }
    let upstream = Upstream::always(reply.hang());
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let mut connection = gateway.connect().await;
    connection.send(post("/v1/chat/completions", &gateway.key.secret, STREAMED)).await;
    let started = Instant::now();
    assert_eq!(connection.head().await.status(), 200);
    assert!(next_event(&mut connection).await.starts_with(": thinking\n\n"));
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(4_500) && took < Duration::from_secs(8), "{took:?}");
}

/// One error event in our shape, as the last thing of a stream that ends properly and without `[DONE]`.
#[track_caller]
fn assert_broken_off(answer: &Answer, content: &str) {
    assert_eq!(answer.status(), 200);
    assert!(answer.whole, "the stream itself ends as it should");
    assert_eq!(answer.content(), content);
    let events = answer.events();
    assert!(!events.iter().any(|event| event.contains("[DONE]")), "{events:?}");
    let errors: Vec<_> = events.iter().filter(|event| event.starts_with("data: {\"error\"")).collect();
    assert_eq!(errors.len(), 1, "{events:?}");
    assert_eq!(events.last(), errors.last().copied());
    let error: Value = serde_json::from_str(errors[0].trim_start_matches("data: ")).unwrap();
    assert_eq!([&error["error"]["code"], &error["error"]["type"]], ["server_error", "server_error"]);
    assert!(!answer.text().contains("secret-of-upstream") && !answer.text().contains("127.0.0.1"), "{events:?}");
}

/// Every way in which an upstream can break off after two events.
fn breaks() -> Vec<(&'static str, Reply)> {
    // A pause: what breaks off before anything was given out is another upstream's to answer.
    let begun = || {
        let events = Reply::stream_head().then_chunk(delta_event("hel")).then_chunk(delta_event("lo"));
        events.delay(Duration::from_millis(100))
    };
    let error = event(&json!({"error": {"message": "secret-of-upstream at 127.0.0.1", "code": 502}}));
    let half = || delta_event("secret-of-upstream")[..40].to_owned();
    vec![
        ("an error event", begun().then_chunk(&error).end()),
        ("an error event and [DONE]", begun().then_chunk(format!("{error}{DONE_EVENT}")).end()),
        ("a named error event", begun().then_chunk("event: error\ndata: secret-of-upstream\n\n").end()),
        ("an end without an end", begun().end()),
        ("a close", begun().close()),
        ("a reset", begun().reset()),
        ("half an event", begun().then_chunk(half()).end()),
        ("half an event and a close", begun().then_chunk(half()).close()),
        ("a broken chunk", begun().then("zz\r\n")),
        ("silence", begun().hang()),
    ]
}

#[tokio::test]
async fn a_break_after_the_first_event_is_told_in_one_event_and_charged_as_delivered() {
    let replies: Vec<Reply> = breaks().into_iter().map(|(_, reply)| reply).collect();
    let upstream =
        Upstream::start(move |request, _| replies[request.json()["user"].as_u64().unwrap() as usize].clone());
    let spare = Upstream::hello();
    // Each in a gateway of its own: five cut streams would open the breaker.
    for (place, (name, _)) in breaks().into_iter().enumerate() {
        let config = Config::new().upstream(&upstream, "timeouts: {idle: 500ms}").upstream(&spare, "");
        let mut gateway = Gateway::start(&config);
        let body = STREAMED.replacen('{', &format!("{{\"user\":{place},"), 1);
        let answer = gateway.chat(body).await;
        println!("{name}: {}", answer.text());
        assert_broken_off(&answer, "hello");
        let record = gateway.record(&answer.head).await;
        let told = [&record["outcome"], &record["estimated"], &record["upstream"], &record["status"]];
        assert_eq!(told, [&json!("upstream_cut"), &json!(true), &json!("u0"), &json!(200)], "{name}");
        assert!(record["output_tokens"].as_u64().unwrap() > 0, "{name}: {record:#}");
        assert_ne!(record["charge"], "0", "{name}");
        gateway.stop();
        gateway.audit();
    }
    assert_eq!(spare.count(), 0, "nobody takes over what has begun");
}

#[tokio::test]
async fn a_plain_answer_that_breaks_off_does_not_look_whole() {
    // Larger than what is kept before anything is given out.
    let text = "a".repeat(10 * 1024 * 1024);
    let body = upstream::chat_completion(&text, usage(1, 1)).to_string();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    let cut = body.len() - 10;
    let upstream = Upstream::always(Reply::raw(head).then(&body[..cut]).close());
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let answer = gateway.chat(STREAMED.replace("true", "false")).await;
    assert_eq!((answer.status(), answer.whole), (200, false));
    let record = gateway.record(&answer.head).await;
    assert_eq!(record["outcome"], "upstream_cut");
}

#[tokio::test]
async fn a_stream_that_ends_without_its_last_blank_line_is_completed() {
    let events = delta_event("hello") + &finish_event() + DONE_EVENT.trim_end();
    let upstream = Upstream::always(Reply::stream_head().then_chunk(events).end());
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let answer = gateway.chat(STREAMED).await.expect(200);
    assert!(answer.text().ends_with(DONE_EVENT), "{}", answer.text());
    assert_eq!(gateway.record(&answer.head).await["outcome"], "ok");
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_upstream_at_once() {
    let upstream = Upstream::always(Reply::stream_head().then_chunk(delta_event("hello")).hang());
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    for (count, reset) in [(0, false), (1, true)] {
        let mut connection = gateway.connect().await;
        connection.send(post("/v1/chat/completions", &gateway.key.secret, STREAMED)).await;
        let head = connection.head().await;
        next_event(&mut connection).await;
        let left = Instant::now();
        if reset {
            connection.reset()
        } else {
            drop(connection)
        };
        let closed = upstream.wait_for_close(count).await;
        assert!(closed.saturating_duration_since(left) < Duration::from_secs(2));
        let record = gateway.record(&head).await;
        assert_eq!([&record["outcome"], &record["estimated"]], [&json!("client_gone"), &json!(true)]);
        assert_ne!(record["charge"], "0");
    }
    gateway.audit();
}
