//! What Prometheus scrapes: every public name is there, is well-formed, and says what happened.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::upstream::{chat_events, usage};
use crate::support::*;
use crate::walk::{QUESTION, STREAMED};

/// Dashboards and alerts are built on these. A name that is missing until something happens cannot be alerted on.
const PUBLIC: [(&str, &str); 21] = [
    ("tollgate_requests_total", "counter"),
    ("tollgate_refusals_total", "counter"),
    ("tollgate_request_duration_seconds", "histogram"),
    ("tollgate_time_to_first_token_seconds", "histogram"),
    ("tollgate_inter_token_seconds", "histogram"),
    ("tollgate_overhead_seconds", "histogram"),
    ("tollgate_tokens_total", "counter"),
    ("tollgate_charged_total", "counter"),
    ("tollgate_requests_in_flight", "gauge"),
    ("tollgate_upstream_requests_total", "counter"),
    ("tollgate_upstream_up", "gauge"),
    ("tollgate_upstream_failovers_total", "counter"),
    ("tollgate_holds_open", "gauge"),
    ("tollgate_ledger_commit_seconds", "histogram"),
    ("tollgate_ledger_queue_entries", "gauge"),
    ("tollgate_charges_beyond_hold_total", "counter"),
    ("tollgate_estimated_charges_total", "counter"),
    ("tollgate_config_reloads_total", "counter"),
    ("tollgate_build_info", "gauge"),
    ("process_resident_memory_bytes", "gauge"),
    ("process_start_time_seconds", "gauge"),
];

#[tokio::test]
async fn every_public_name_is_there_after_one_request() {
    let paced = chat_events(&["hel", "lo"], usage(10, 2)).into_iter();
    let reply = paced.fold(Reply::stream_head(), |reply, event| reply.then_chunk(event).delay(PACE)).end();
    let upstream = Upstream::always(reply);
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    // Pieces that the machine was too slow to read one by one have no time between them: then once more.
    let answer_and_scrape = || async {
        answer_one(&gateway).await;
        scrape(&gateway).await
    };
    let timed = |text: &String| text.contains("tollgate_inter_token_seconds_count{");
    let text = eventually("the pieces of a stream are timed", answer_and_scrape, timed).await;
    let has = |(name, kind): &(&str, &str)| {
        let typed = text.lines().any(|line| line == format!("# TYPE {name} {kind}"));
        typed && text.lines().any(|line| line.starts_with(name))
    };
    let missing: Vec<_> = PUBLIC.iter().filter(|metric| !has(metric)).collect();
    assert!(missing.is_empty(), "missing: {missing:?}\n{text}");
}

#[tokio::test]
async fn every_name_of_ours_is_public_or_explained_here() {
    const MORE: [&str; 1] = ["tollgate_body_memory_bytes"];
    let gateway = Gateway::start(&Config::new());
    answer_one(&gateway).await;
    let text = scrape(&gateway).await;
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE tollgate_")) {
        let name = format!("tollgate_{}", line.split(' ').next().unwrap());
        let known = PUBLIC.iter().any(|(public, _)| *public == name) || MORE.contains(&name.as_str());
        assert!(known, "{name} is new: write it down");
    }
}

#[tokio::test]
async fn promtool_finds_no_fault() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    answer_one(&gateway).await;
    gateway.get("/v1/key", "sk-mistyped").await.expect(401);
    let text = scrape(&gateway).await;
    let Some((passed, words)) = promtool(&text) else {
        return eprintln!("promtool is not installed: nothing was checked");
    };
    assert!(passed && words.is_empty(), "{words}\n{text}");
}

#[tokio::test]
async fn a_request_is_counted_where_it_belongs() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    answer_one(&gateway).await;
    gateway.chat(QUESTION.replace("chat-model", "no-such-model")).await.expect(422);
    gateway.get("/v1/models", "sk-mistyped").await.expect(401);
    for (metric, expected) in [
        (r#"tollgate_requests_total{endpoint="chat_completions",model="chat-model",status="200"}"#, 1.0),
        (r#"tollgate_refusals_total{code="model_not_found"}"#, 1.0),
        (r#"tollgate_refusals_total{code="invalid_api_key"}"#, 1.0),
        (r#"tollgate_request_duration_seconds_count{endpoint="chat_completions"}"#, 2.0),
        (r#"tollgate_time_to_first_token_seconds_count{model="chat-model",upstream="u0"}"#, 1.0),
        (r#"tollgate_tokens_total{kind="input",model="chat-model"}"#, 10.0),
        (r#"tollgate_tokens_total{kind="output",model="chat-model"}"#, 2.0),
        (r#"tollgate_charged_total{model="chat-model"}"#, 0.0000027),
        (r#"tollgate_upstream_requests_total{status="200",upstream="u0"}"#, 1.0),
        (r#"tollgate_upstream_up{upstream="u0"}"#, 1.0),
        ("tollgate_overhead_seconds_count", 1.0),
        ("tollgate_requests_in_flight", 0.0),
        ("tollgate_holds_open", 0.0),
        ("tollgate_ledger_queue_entries", 0.0),
        (&format!("tollgate_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0),
    ] {
        let asked = || gateway.metric(metric);
        eventually(metric, asked, |value| (value - expected).abs() < 1e-12).await;
    }
}

#[tokio::test]
async fn what_clients_write_never_becomes_a_label() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    for canary in ["canary-model-1", "canary-model-2"] {
        gateway.chat(QUESTION.replace("chat-model", canary)).await.expect(422);
        gateway.get(&format!("/v1/{canary}"), &gateway.key.secret).await.expect(404);
        gateway.send(request("CANARY", "/v1/models", &[], "")).await;
    }
    answer_one(&gateway).await;
    let text = scrape(&gateway).await.to_lowercase();
    for forbidden in ["canary", "alice", &gateway.key.id.to_lowercase()] {
        assert!(!text.contains(forbidden), "{forbidden} is in {text}");
    }
}

/// One streamed request, and everything behind it is done.
async fn answer_one(gateway: &Gateway) {
    let answer = gateway.chat(STREAMED).await.expect(200);
    gateway.record(&answer.head).await;
}

async fn scrape(gateway: &Gateway) -> String {
    let mut connection = Connection::open(gateway.metrics_address()).await;
    connection.send(get("/metrics", "")).await;
    let answer = connection.answer().await.expect(200);
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    answer.text()
}

/// What Prometheus' own linter says; `None` where it is not installed.
fn promtool(text: &str) -> Option<(bool, String)> {
    let mut linter = Command::new("promtool");
    linter.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut linter = linter.spawn().ok()?;
    linter.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = linter.wait_with_output().unwrap();
    let words = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&words).into_owned()))
}

/// Between two events of a stream, so that they arrive as two.
const PACE: Duration = Duration::from_millis(10);
