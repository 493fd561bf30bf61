//! How a request ended decides what it costs: each row of the public table, and what the books say about it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tollgate::core::money::Nano;

use crate::support::gateway::{SIGHUP, SIGTERM};
use crate::support::stand::{PROTOCOLS, Plan, Play, Protocol, Record, Stand, chat, nano, streamed};
use crate::support::upstream::{NobodyThere, event, usage};
use crate::support::{eventually, post, wait_for, within};

/// A token in costs 1,000 nano, one out 4,000.
const MODELS: &str = r#"
  priced:
    upstreams: [{name: up}]
    price: {input: "1", output: "4"}
"#;

async fn stand_with(upstream: &str) -> (Stand, String) {
    let stand = Stand::start(Plan { upstream, ..Plan::models(MODELS) }).await;
    stand.account("alice", "1");
    let key = stand.key("alice", "").await;
    (stand, key)
}

fn price(input_tokens: u64, output_tokens: u64) -> Nano {
    Nano(i64::try_from(input_tokens * 1_000 + output_tokens * 4_000).unwrap())
}

#[track_caller]
fn assert_reported(record: &Record, outcome: &str, input: u64, output: u64) {
    let found = (record.outcome.as_str(), record.estimated, record.input_tokens, record.output_tokens, record.charge);
    assert_eq!(found, (outcome, false, input, output, price(input, output)), "{record:?}");
}

/// The question has 40 bytes and a word around them, and this model's tokens have four bytes as long as nobody has
/// reported otherwise.
#[track_caller]
fn assert_estimated(record: &Record, outcome: &str, answer_bytes: u64) {
    let found = (record.outcome.as_str(), record.estimated, record.output_tokens);
    assert_eq!(found, (outcome, true, answer_bytes.div_ceil(4)), "{record:?}");
    assert!((10..=13).contains(&record.input_tokens), "{record:?}");
    assert_eq!(record.charge, price(record.input_tokens, record.output_tokens), "{record:?}");
}

#[track_caller]
fn assert_free(record: &Record, outcome: &str, status: u64) {
    let found = (record.outcome.as_str(), record.status, record.charge, record.input_tokens, record.output_tokens);
    assert_eq!(found, (outcome, status, Nano::ZERO, 0, 0), "{record:?}");
}

/// An error event is the last of a broken stream.
#[track_caller]
fn assert_broken_off(events: &[String], deltas: usize, code: &str) {
    let (last, before) = events.split_last().expect("there are events");
    let error: Value = serde_json::from_str(last.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(error["error"]["code"], code, "{events:?}");
    let found = before.iter().filter(|event| event.contains("ten bytes.")).count();
    assert_eq!(found, deltas, "{events:?}");
    assert!(events.iter().all(|event| !event.contains("[DONE]")));
}

// The whole answer came.

#[tokio::test]
async fn a_whole_answer_with_usage_costs_what_was_reported() {
    let (stand, key) = stand_with("").await;
    for protocol in PROTOCOLS {
        for body in [chat("priced", Play::whole(usage(50, 7))), streamed("priced", Play::stream(usage(50, 7)))] {
            let answer = stand.post_over(protocol, &key, CHAT, &body).await.expect(200);
            let record = stand.record(&answer.id()).await;
            assert_reported(&record, "ok", 50, 7);
            assert_eq!((record.status, record.streamed), (200, body["stream"] == true));
        }
    }
    stand.gateway.audit();
}

#[tokio::test]
async fn a_stream_with_a_finish_and_usage_is_whole_without_done() {
    let (stand, key) = stand_with("").await;
    let play = Play::head().deltas(2).finish().usage(&usage(50, 7));
    let answer = stand.chat(&key, &streamed("priced", play.clone().end())).await.expect(200);
    assert_reported(&stand.record(&answer.id()).await, "ok", 50, 7);
    // A connection that breaks behind all that was to be said changes nothing about its price.
    let stream = stand.open(Protocol::Http1, &key, &streamed("priced", play.close())).await;
    let id = stream.id.clone();
    assert_eq!(stream.rest().await.iter().filter(|event| event.contains("ten bytes.")).count(), 2);
    assert_eq!(stand.record(&id).await.charge, price(50, 7));
}

#[tokio::test]
async fn a_whole_answer_without_usage_costs_an_estimate() {
    let (stand, key) = stand_with("").await;
    for protocol in PROTOCOLS {
        for (body, bytes) in
            [(chat("priced", Play::whole_without_usage()), 10), (streamed("priced", Play::stream_without_usage()), 30)]
        {
            let answer = stand.post_over(protocol, &key, CHAT, &body).await.expect(200);
            assert_estimated(&stand.record(&answer.id()).await, "ok", bytes);
        }
    }
    assert_eq!(stand.metric("tollgate_estimated_charges_total{reason=\"usage_missing\"}").await, 4.0);
    stand.gateway.audit();
}

// The client left.

/// Leaves a request that has not been answered yet: closes, or resets.
async fn leave_before_the_head(stand: &Stand, key: &str, body: &Value, gate: &str, reset: bool) -> Instant {
    let mut connection = stand.gateway.connect().await;
    connection.send(post(CHAT, key, body.to_string())).await;
    stand.reached(gate).await;
    if reset {
        connection.reset();
    } else {
        drop(connection);
    }
    Instant::now()
}

async fn assert_closed_within_a_second(stand: &Stand, left: Instant) {
    let connection = stand.upstream.last().connection;
    let closed = stand.upstream.wait_for_close(connection).await;
    assert!(closed < left + Duration::from_secs(1), "the upstream is cancelled at once");
}

#[tokio::test]
async fn a_client_that_leaves_before_anything_came_pays_nothing() {
    let (stand, key) = stand_with("").await;
    let mut ended = 0;
    for (gate, streams, reset) in [("a", false, false), ("b", false, true), ("c", true, false), ("d", true, true)] {
        let play = Play::whole(usage(50, 7)).gated(gate);
        let body = if streams { streamed("priced", play) } else { chat("priced", play) };
        let left = leave_before_the_head(&stand, &key, &body, gate, reset).await;
        assert_closed_within_a_second(&stand, left).await;
        ended += 1;
        let record = stand.records("alice", ended).await.remove(0);
        assert_eq!((record.outcome.as_str(), record.charge), ("client_gone", Nano::ZERO), "{record:?}");
    }
    let body = streamed("priced", Play::whole(usage(50, 7)).gated("e"));
    let asked = tokio::time::timeout(Duration::from_secs(10), async {
        tokio::select! {
            _ = stand.open(Protocol::H2c, &key, &body) => panic!("it is not answered"),
            () = stand.reached("e") => Instant::now(),
        }
    });
    assert_closed_within_a_second(&stand, asked.await.unwrap()).await;
    let record = stand.records("alice", ended + 1).await.remove(0);
    assert_eq!((record.outcome.as_str(), record.charge), ("client_gone", Nano::ZERO), "{record:?}");
    assert!(stand.charges("alice").is_empty());
    stand.gateway.audit();
}

#[tokio::test]
async fn a_client_that_leaves_after_the_first_event_pays_an_estimate_of_what_had_come() {
    let (stand, key) = stand_with("").await;
    for protocol in PROTOCOLS {
        let mut stream = stand.open(protocol, &key, &streamed("priced", Play::stream_that_hangs(1))).await;
        stream.event().await.unwrap();
        let id = stream.id.clone();
        drop(stream);
        assert_closed_within_a_second(&stand, Instant::now()).await;
        let record = stand.record(&id).await;
        assert_estimated(&record, "client_gone", 10);
        assert_eq!(record.status, 200);
    }
    stand.gateway.audit();
}

#[tokio::test]
async fn a_client_that_resets_after_the_first_event_pays_the_same() {
    let (stand, key) = stand_with("").await;
    let mut connection = stand.gateway.connect().await;
    connection.send(post(CHAT, &key, streamed("priced", Play::stream_that_hangs(1)).to_string())).await;
    let head = connection.head().await;
    connection.piece().await.unwrap().unwrap();
    connection.reset();
    assert_closed_within_a_second(&stand, Instant::now()).await;
    assert_estimated(&stand.record(head.header("x-request-id").unwrap()).await, "client_gone", 10);
}

#[tokio::test]
async fn a_client_that_leaves_between_usage_and_done_pays_what_was_reported() {
    let (stand, key) = stand_with("").await;
    for protocol in PROTOCOLS {
        let play = Play::head().deltas(2).finish().usage(&usage(50, 7)).hang();
        let mut body = streamed("priced", play);
        body["stream_options"] = json!({"include_usage": true});
        let mut stream = stand.open(protocol, &key, &body).await;
        while !stream.event().await.unwrap().contains("\"usage\"") {}
        let id = stream.id.clone();
        drop(stream);
        assert_reported(&stand.record(&id).await, "client_gone", 50, 7);
    }
    stand.gateway.audit();
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_json_answer_pays_an_estimate() {
    let (stand, key) = stand_with("").await;
    stand.cli("account credit alice 1000");
    let rich = || async { stand.get(&key, "/v1/key").await.json()["account"]["balance"].clone() };
    eventually("the credit is seen", rich, |balance| balance.as_str().is_some_and(|balance| balance.len() > 3)).await;
    for protocol in PROTOCOLS {
        let mut answer = stand.open(protocol, &key, &chat("priced", Play::large_json_that_hangs())).await;
        answer.piece().await.unwrap();
        let id = answer.id.clone();
        drop(answer);
        assert_closed_within_a_second(&stand, Instant::now()).await;
        let record = stand.record(&id).await;
        assert_eq!((record.outcome.as_str(), record.estimated), ("client_gone", true), "{record:?}");
        // What is passed on while it comes is more than 8 MiB, at about four bytes for a token.
        assert!(record.output_tokens > 2_000_000, "{record:?}");
    }
    stand.gateway.audit();
}

#[tokio::test]
async fn with_drain_the_upstream_is_read_to_its_end_and_the_reported_usage_is_due() {
    for protocol in PROTOCOLS {
        let (stand, _) = stand_with("on_disconnect: drain").await;
        let key = stand.key("alice", "--concurrency 1").await;
        let play = Play::head().deltas(1).gate("more").deltas(5).finish().usage(&usage(50, 20)).done();
        let mut stream = stand.open(protocol, &key, &streamed("priced", play)).await;
        stream.event().await.unwrap();
        let id = stream.id.clone();
        drop(stream);
        // Its place is free although it is still being read.
        let next = chat("priced", Play::whole(usage(1, 1)));
        let status = || async { stand.chat(&key, &next).await.status };
        let freed = eventually("the place is free", status, |status| *status == 200);
        within(Duration::from_secs(1), "the place is free", freed).await;
        assert!(stand.upstream.closed().is_empty(), "the upstream is not cut off");
        let holds = || stand.metric("tollgate_holds_open");
        eventually("its hold alone is open", holds, |open| *open == 1.0).await;
        stand.open_gate("more");
        assert_reported(&stand.record(&id).await, "client_gone", 50, 20);
        stand.gateway.audit();
    }
}

#[tokio::test]
async fn with_drain_a_json_answer_that_nobody_waits_for_costs_what_was_reported() {
    let (stand, _) = stand_with("on_disconnect: drain").await;
    let key = stand.key("alice", "--concurrency 1").await;
    for (gate, reported) in [("few", usage(50, 1)), ("many", usage(50, 300))] {
        let output = reported["completion_tokens"].as_u64().unwrap();
        let body = chat("priced", Play::whole(reported).gated(gate));
        leave_before_the_head(&stand, &key, &body, gate, false).await;
        // Its place is free: it was noticed.
        let status = || async { stand.chat(&key, &chat("unknown", Play::silence())).await.status };
        eventually("the place is free", status, |status| *status == 422).await;
        stand.open_gate(gate);
        let count = if gate == "few" { 1 } else { 2 };
        let record = stand.records("alice", count).await.remove(0);
        assert_reported(&record, "client_gone", 50, output);
    }
    stand.gateway.audit();
}

// The upstream failed.

fn error_event() -> String {
    event(&json!({"error": {"message": "overloaded", "type": "server_error"}}))
}

#[tokio::test]
async fn an_upstream_that_breaks_off_after_content_leaves_an_estimate_of_what_was_delivered() {
    for protocol in PROTOCOLS {
        let (stand, key) = stand_with("timeouts: {idle: 1s}").await;
        for play in [
            Play::stream_that_breaks_off(3),
            Play::stream_that_hangs(3),
            Play::head().deltas(3).given_out().event(error_event()).done(),
        ] {
            let stream = stand.open(protocol, &key, &streamed("priced", play)).await;
            let (id, status) = (stream.id.clone(), stream.status);
            assert_eq!(status, 200);
            assert_broken_off(&stream.rest().await, 3, "server_error");
            let record = stand.record(&id).await;
            assert_estimated(&record, "upstream_cut", 30);
            assert_eq!(record.status, 200);
        }
        stand.gateway.audit();
    }
}

#[tokio::test]
async fn an_upstream_that_breaks_off_before_content_costs_nothing() {
    for play in [
        Play::head().close(),
        Play::head().hang(),
        Play::head().event(error_event()).done(),
        Play::half_json().close(),
        Play::half_json().hang(),
        Play::nothing(),
        Play::silence(),
    ] {
        let (stand, key) = stand_with("timeouts: {first_byte: 1s, idle: 1s}").await;
        let answer = stand.chat(&key, &streamed("priced", play.clone())).await.expect(500);
        assert_eq!(answer.code(), "server_error");
        assert_free(&stand.record(&answer.id()).await, "upstream_failed", 500);
        assert!(stand.charges("alice").is_empty(), "{play:?}");
        stand.gateway.audit();
    }
}

#[tokio::test]
async fn a_role_alone_is_no_content() {
    let (stand, key) = stand_with("").await;
    let role = event(&json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}));
    let stream = stand.open(Protocol::Http1, &key, &streamed("priced", Play::head().event(role).close())).await;
    let id = stream.id.clone();
    assert_broken_off(&stream.rest().await, 0, "server_error");
    assert_free(&stand.record(&id).await, "upstream_failed", 200);
}

#[tokio::test]
async fn an_upstreams_refusal_costs_nothing() {
    let (stand, key) = stand_with("").await;
    for (theirs, ours, outcome) in [
        (500, 500, "upstream_failed"),
        (404, 500, "upstream_failed"),
        (400, 400, "rejected"),
        (413, 413, "rejected"),
        (422, 422, "rejected"),
        (401, 500, "upstream_failed"),
    ] {
        let answer = stand.chat(&key, &streamed("priced", Play::status(theirs))).await;
        assert_eq!(answer.status, ours, "{theirs}");
        assert_free(&stand.record(&answer.id()).await, outcome, ours.into());
    }
    assert!(stand.charges("alice").is_empty());
    stand.gateway.audit();
}

#[tokio::test]
async fn an_upstream_that_is_not_there_costs_nothing() {
    let nobody = NobodyThere::new();
    let upstreams = format!("  nobody: {{kind: openai, base_url: \"{}\", api_keys: [k]}}\n", nobody.base_url());
    let models =
        format!("{MODELS}  gone:\n    upstreams: [{{name: nobody}}]\n    price: {{input: \"1\", output: \"4\"}}\n");
    let stand = Stand::start(Plan { upstreams: &upstreams, ..Plan::models(&models) }).await;
    stand.account("alice", "1");
    let key = stand.key("alice", "").await;
    let answer = stand.chat(&key, &chat("gone", Play::silence())).await.expect(500);
    assert_free(&stand.record(&answer.id()).await, "upstream_failed", 500);
}

#[tokio::test]
async fn what_we_refuse_is_no_entry_in_the_ledger() {
    let (stand, key) = stand_with("").await;
    let mut dear = chat("priced", Play::silence());
    dear["max_tokens"] = json!(100_000_000);
    let refused = stand.chat(&key, &dear).await.expect(402);
    assert_free(&stand.record(&refused.id()).await, "refused", 402);
    stand.chat(&key, &chat("unknown", Play::silence())).await.expect(422);
    stand.chat(&key, &json!({"model": "priced"})).await.expect(400);
    assert!(stand.charges("alice").is_empty());
    assert_eq!((stand.balance("alice"), stand.upstream.count()), (nano("1"), 0));
    stand.gateway.audit();
}

// The answer is longer than the money.

/// A token out costs 100,000 nano, and ten of them are set aside at a time.
const SHORT_HOLDS: &str = r#"
  short:
    upstreams: [{name: up}]
    price: {input: "0", output: "100"}
    output_hold: 10
"#;

/// Ten bytes at a time, each when the client `name` has read the one before.
fn step_by_step(name: &str, steps: usize) -> Value {
    let play = (0..steps).fold(Play::head(), |play, step| play.deltas(1).gate(&format!("{name} {step}")));
    streamed("short", play.finish().usage(&usage(1, 100)).done())
}

/// Reads all events and opens a gate after each.
async fn walk(stand: &Stand, key: &str, name: &str) -> (String, Vec<String>) {
    let mut stream = stand.open(Protocol::Http1, key, &step_by_step(name, 40)).await;
    assert_eq!(stream.status, 200);
    let mut events = Vec::new();
    while let Some(event) = stream.event().await {
        stand.open_gate(&format!("{name} {}", events.len()));
        events.push(event);
    }
    (stream.id, events)
}

#[tokio::test]
async fn a_stream_that_outgrows_its_hold_sets_aside_more() {
    let stand = Stand::start(Plan::models(SHORT_HOLDS)).await;
    stand.account("alice", "1");
    let key = stand.key("alice", "").await;
    let (id, events) = walk(&stand, &key, "one").await;
    assert_eq!(events.last().unwrap(), "data: [DONE]");
    let record = stand.record(&id).await;
    assert_eq!((record.outcome.as_str(), record.charge), ("ok", nano("0.01")));
    assert_eq!(stand.metric("tollgate_charges_beyond_hold_total").await, 0.0);
    stand.gateway.audit();
}

#[tokio::test]
async fn a_stream_that_outgrows_the_balance_ends_and_costs_what_was_delivered() {
    let stand = Stand::start(Plan::models(SHORT_HOLDS)).await;
    stand.account("alice", "0.0025");
    let key = stand.key("alice", "").await;
    let (id, events) = walk(&stand, &key, "one").await;
    let delivered = events.len() - 1;
    assert_broken_off(&events, delivered, "insufficient_balance");
    assert!((4..=10).contains(&delivered), "{delivered} pieces of two and a half tokens for 25");
    let record = stand.record(&id).await;
    let tokens = i64::try_from(delivered * 10).unwrap();
    let due = Nano((tokens + 3) / 4 * 100_000);
    assert_eq!((record.charge, record.estimated, record.status), (due, true, 200), "{record:?}");
    assert_eq!(stand.balance("alice"), nano("0.0025").saturating_sub(due));
    assert!(stand.balance("alice") >= Nano::ZERO);
    stand.gateway.audit();
}

#[tokio::test]
async fn streams_that_extend_their_holds_side_by_side_never_overdraw() {
    let stand = Arc::new(Stand::start(Plan::models(SHORT_HOLDS)).await);
    stand.account("alice", "0.05");
    let key = stand.key("alice", "").await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let (stand, key) = (stand.clone(), key.clone());
        tasks.spawn(async move { walk(&stand, &key, &format!("stream {number}")).await.1 });
    }
    let ends = tasks.join_all().await;
    // All want 0.01 and there is a quarter of that for each.
    assert!(ends.iter().any(|events| events.last().unwrap().contains("insufficient_balance")));
    stand.all_at_rest().await;
    let spent: i64 = stand.charges("alice").iter().map(|charge| charge.0).sum();
    assert_eq!(stand.balance("alice"), nano("0.05").saturating_sub(Nano(spent)));
    assert!(stand.balance("alice") >= Nano::ZERO, "{}", stand.balance("alice"));
    stand.gateway.audit();
}

// The process ended.

#[tokio::test]
async fn sigterm_lets_a_running_stream_finish_and_settle_and_refuses_new_connections() {
    let (mut stand, key) = stand_with("").await;
    let play = Play::head().deltas(1).gate("stop").deltas(2).finish().usage(&usage(50, 7)).done();
    let mut stream = stand.open(Protocol::Http1, &key, &streamed("priced", play)).await;
    stream.event().await.unwrap();
    let edge = stand.gateway.edge();
    stand.gateway.signal(SIGTERM);
    let refused = || std::net::TcpStream::connect(edge).is_err();
    wait_for("new connections are refused", refused).await;
    stand.open_gate("stop");
    let id = stream.id.clone();
    assert_eq!(stream.rest().await.last().unwrap(), "data: [DONE]");
    assert_eq!(stand.gateway.wait_for_end().code(), Some(0), "{}", stand.gateway.log());
    assert_reported(&stand.record(&id).await, "ok", 50, 7);
    stand.gateway.audit();
}

/// What the last checkpoint of the only running request says that it cost.
fn checkpoint(stand: &Stand) -> i64 {
    let books = rusqlite::Connection::open(stand.database()).unwrap();
    books.query_row("SELECT coalesce(max(charge), 0) FROM hold", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn after_a_kill_a_stream_costs_what_its_last_checkpoint_shows() {
    let (mut stand, key) = stand_with("").await;
    let mut stream = stand.open(Protocol::Http1, &key, &streamed("priced", Play::stream_that_hangs(3))).await;
    stream.event().await.unwrap();
    wait_for("the checkpoint is written", || checkpoint(&stand) > 0).await;
    let expected = Nano(checkpoint(&stand));
    assert!(expected >= price(10, 0), "at least the estimated input");
    stand.gateway.kill();
    stand.gateway.launch();
    let record = stand.record(&stream.id).await;
    assert_eq!((record.outcome.as_str(), record.charge), ("interrupted", expected), "{record:?}");
    assert_eq!(stand.gateway.balance("alice"), (nano("1").saturating_sub(expected).to_string(), "0".into()));
    stand.gateway.audit();
    stand.chat(&key, &chat("priced", Play::whole(usage(1, 1)))).await.expect(200);
}

#[tokio::test]
async fn after_a_kill_a_request_without_a_checkpoint_costs_nothing() {
    let (mut stand, key) = stand_with("").await;
    let mut connection = stand.gateway.connect().await;
    connection.send(post(CHAT, &key, chat("priced", Play::silence().gated("sent")).to_string())).await;
    let held = || stand.gateway.balance("alice").1 != "0";
    wait_for("the hold is written", held).await;
    stand.gateway.kill();
    stand.gateway.launch();
    let record = stand.records("alice", 1).await.remove(0);
    assert_eq!((record.outcome.as_str(), record.charge), ("interrupted", Nano::ZERO));
    assert_eq!(stand.gateway.balance("alice"), ("1".into(), "0".into()));
    stand.gateway.audit();
}

// The price changed under way.

#[tokio::test]
async fn a_request_keeps_the_price_of_its_reservation_across_a_reload() {
    let (stand, key) = stand_with("").await;
    let play = Play::head().deltas(1).gate("reload").finish().usage(&usage(50, 7)).done();
    let mut stream = stand.open(Protocol::Http1, &key, &streamed("priced", play)).await;
    stream.event().await.unwrap();
    let dearer = Plan::models(MODELS).to_yaml(&stand.upstream).replace("input: \"1\"", "input: \"10\"");
    stand.gateway.write_config(&dearer);
    stand.gateway.signal(SIGHUP);
    let cost = || async {
        let answer = stand.chat(&key, &chat("priced", Play::whole(usage(50, 7)))).await.expect(200);
        stand.record(&answer.id()).await
    };
    let dearer = Nano(50 * 10_000 + 7 * 4_000);
    let after = eventually("the new price is in force", cost, |record| record.charge == dearer).await;
    stand.open_gate("reload");
    let id = stream.id.clone();
    assert_eq!(stream.rest().await.last().unwrap(), "data: [DONE]");
    let pinned = stand.record(&id).await;
    assert_reported(&pinned, "ok", 50, 7);
    assert_ne!(pinned.price_version, after.price_version);
    stand.gateway.audit();
}

const CHAT: &str = "/v1/chat/completions";
