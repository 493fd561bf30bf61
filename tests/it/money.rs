//! Money: parallel requests never overdraw, every charge is the usage times its price, and no report creates money.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tollgate::core::money::Nano;

use crate::support::stand::{Answer, PROTOCOLS, Plan, Play, Protocol, Random, Stand, chat, nano, streamed};
use crate::support::upstream::{chat_completion, usage};

/// Input is free here and an answer of a hundred tokens is asked for, so that a request's hold is what it costs.
const HUNDREDTH: &str = r#"
  hundredth:
    upstreams: [{name: up}]
    price: {input: "0", output: "100"}
"#;

fn hundredth(play: Play) -> Value {
    let mut body = chat("hundredth", play);
    body["max_tokens"] = json!(100);
    body
}

fn hundred_tokens() -> Play {
    Play::whole(usage(1, 100))
}

/// Sends the same request so many times, at most [`AT_ONCE`] at a time, and counts the statuses.
async fn fire(stand: &Arc<Stand>, key: &str, body: &Value, times: usize) -> (usize, Vec<Answer>) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..times {
        let (stand, key, body, room) = (stand.clone(), key.to_owned(), body.clone(), room.clone());
        tasks.spawn(async move {
            let _room = room.acquire().await.unwrap();
            stand.chat(&key, &body).await
        });
    }
    let answers = tasks.join_all().await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    (served.len(), refused)
}

fn assert_insufficient(answer: &Answer, needed: &str) {
    assert_eq!(answer.status, 402, "{answer:?}");
    let error = &answer.json()["error"];
    assert_eq!(error["code"], "insufficient_balance");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(&format!("up to {needed},")), "{message}");
    let available: Nano = message.rsplit(' ').next().unwrap().trim_end_matches('.').parse().unwrap();
    assert!(available >= Nano::ZERO && available < nano(needed), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_parallel_requests_spend_a_balance_for_a_hundred_to_exactly_nothing() {
    let stand = Arc::new(Stand::start(Plan::models(HUNDREDTH)).await);
    stand.account("alice", "1");
    let key = stand.key("alice", "").await;
    let (served, refused) = fire(&stand, &key, &hundredth(hundred_tokens()), 10_000).await;
    assert_eq!((served, refused.len()), (100, 9_900));
    refused.iter().for_each(|answer| assert_insufficient(answer, "0.01"));
    stand.at_rest("alice").await;
    assert_eq!(stand.balance("alice"), Nano::ZERO);
    assert_eq!(stand.charges("alice"), vec![nano("0.01"); 100]);
    stand.gateway.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keys_budget_inside_a_rich_account_is_as_exact() {
    let stand = Arc::new(Stand::start(Plan::models(HUNDREDTH)).await);
    stand.account("alice", "1000");
    let key = stand.key("alice", "--budget 0.5").await;
    let (served, refused) = fire(&stand, &key, &hundredth(hundred_tokens()), 2_000).await;
    assert_eq!((served, refused.len()), (50, 1_950));
    for answer in &refused {
        assert_insufficient(answer, "0.01");
        assert!(answer.text().contains("key's remaining budget"), "{answer:?}");
    }
    stand.at_rest("alice").await;
    assert_eq!(stand.balance("alice"), nano("999.5"));
    let own = stand.get(&key, "/v1/key").await.json();
    assert_eq!((own["budget"].as_str(), own["spent"].as_str()), (Some("0.5"), Some("0.5")));
    stand.gateway.audit();
}

#[tokio::test]
async fn a_credit_lets_requests_through_again_within_a_second() {
    let stand = Stand::start(Plan::models(HUNDREDTH)).await;
    stand.account("alice", "0.005");
    let key = stand.key("alice", "").await;
    let body = hundredth(hundred_tokens());
    let refused = stand.chat(&key, &body).await;
    assert_insufficient(&refused, "0.01");
    assert!(refused.text().contains("0.005"), "{refused:?}");
    stand.cli("account credit alice 0.005");
    let credited = Instant::now();
    while stand.chat(&key, &body).await.status != 200 {
        assert!(credited.elapsed() < Duration::from_secs(1), "a credit is seen within a second");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stand.at_rest("alice").await;
    assert_eq!(stand.balance("alice"), Nano::ZERO);
}

#[tokio::test]
async fn a_402_says_retry_after_only_while_running_requests_hold_the_money() {
    let stand = Arc::new(Stand::start(Plan::models(HUNDREDTH)).await);
    stand.account("alice", "0.01");
    let key = stand.key("alice", "").await;
    let running = {
        let (stand, key) = (stand.clone(), key.clone());
        let body = hundredth(hundred_tokens().gated("go"));
        tokio::spawn(async move { stand.chat(&key, &body).await })
    };
    stand.reached("go").await;
    let body = hundredth(hundred_tokens());
    let while_held = stand.chat(&key, &body).await;
    assert_insufficient(&while_held, "0.01");
    let seconds: u64 = while_held.header("retry-after").expect("it fits when the other has ended").parse().unwrap();
    assert!((1..=60).contains(&seconds));
    let larger = json!({"model": "hundredth", "messages": [{"role": "user", "content": "x"}], "max_tokens": 101});
    let never = stand.chat(&key, &larger).await;
    assert_eq!((never.status, never.header("retry-after")), (402, None), "more than there is at all");
    stand.open_gate("go");
    assert_eq!(running.await.unwrap().status, 200);
    stand.at_rest("alice").await;
    let spent = stand.chat(&key, &body).await;
    assert_eq!((spent.status, spent.header("retry-after")), (402, None), "{spent:?}");
}

/// A token out costs 100,000 nano, and an answer has 500 at most.
const BOUNDED: &str = r#"
  bounded:
    upstreams: [{name: up}]
    price: {input: "0", output: "100"}
    max_output_tokens: 500
    output_hold: 50
"#;

#[tokio::test]
async fn a_hold_covers_every_token_of_every_answer_that_was_asked_for() {
    let stand = Stand::start(Plan::models(BOUNDED)).await;
    stand.account("alice", "0.000001");
    let key = stand.key("alice", "").await;
    for (asked, needed) in [
        (json!({}), "0.005"),
        (json!({"max_tokens": 1}), "0.0001"),
        (json!({"max_completion_tokens": 200}), "0.02"),
        (json!({"max_tokens": 1, "max_completion_tokens": 200}), "0.02"),
        (json!({"max_tokens": 1_000_000}), "0.05"),
        (json!({"max_tokens": 100, "n": 4}), "0.04"),
        (json!({"n": 3}), "0.015"),
    ] {
        let mut body = chat("bounded", Play::silence());
        body.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
        let refused = stand.chat(&key, &body).await;
        assert_insufficient(&refused, needed);
        assert!(refused.text().contains("0.000001"), "the available amount is named: {refused:?}");
    }
    assert_eq!(stand.upstream.count(), 0);
}

const TIERED: &str = r#"
  tiered:
    upstreams: [{name: up}]
    rates:
      - {input: "1", output: "4"}
      - {tier: priority, input: "2", output: "8"}
      - {above_prompt_tokens: 1000, input: "3", output: "12"}
"#;

#[tokio::test]
async fn the_tier_that_the_answer_names_and_the_length_of_the_prompt_choose_the_row() {
    let stand = Stand::start(Plan::models(TIERED)).await;
    stand.account("alice", "10");
    let key = stand.key("alice", "").await;
    for (tier, prompt, due) in [
        (Value::Null, 100, 500_000),
        (json!("priority"), 100, 1_000_000),
        (json!("unheard-of"), 100, 500_000),
        (Value::Null, 1_000, 1_400_000),
        (Value::Null, 1_001, 4_203_000),
    ] {
        let mut completion = chat_completion("hello", usage(prompt, 100));
        completion["service_tier"] = tier.clone();
        let mut body = chat("tiered", Play::json(completion));
        body["service_tier"] = json!("flex");
        let answer = stand.chat(&key, &body).await.expect(200);
        assert_eq!(stand.record(&answer.id()).await.charge, Nano(due), "{tier} {prompt}");
    }
    stand.gateway.audit();
}

const PRICED: &str = r#"
  priced:
    upstreams: [{name: up}]
    price: {input: "1", cached_input: "0.25", output: "4", reasoning: "8"}
  plain:
    upstreams: [{name: up}]
    price: {input: "1", output: "4"}
  free:
    upstreams: [{name: up}]
    price: {input: "0", output: "0"}
"#;
const MARKED_UP: &str = r#"
  default: {}
  reseller: {markup: "1.000001"}
"#;

#[tokio::test]
async fn a_charge_keeps_its_bill() {
    let stand = Stand::start(Plan { groups: MARKED_UP, ..Plan::models(PRICED) }).await;
    stand.account_in("reseller", "alice", "10");
    let key = stand.key("alice", "").await;
    let mut reported = usage(100, 20);
    reported["prompt_tokens_details"] = json!({"cached_tokens": 60});
    reported["completion_tokens_details"] = json!({"reasoning_tokens": 5});
    for body in [chat("priced", Play::whole(reported.clone())), streamed("priced", Play::stream(reported))] {
        let record = stand.record(&stand.chat(&key, &body).await.id()).await;
        let lines = "input 40 1000000;cached_input 60 250000;output 15 4000000;reasoning 5 8000000";
        assert_eq!(record.bill, format!("{lines};x1000001"));
        // 40,000 + 15,000 + 60,000 + 40,000 nano, times 1.000001, rounded up.
        assert_eq!(record.charge, Nano(155_001));
    }
    // Where nothing is charged there is nothing to show.
    let free = stand.chat(&key, &chat("free", Play::whole(usage(100, 20)))).await;
    let failed = stand.chat(&key, &chat("plain", Play::status(500))).await;
    for answer in [free, failed] {
        let record = stand.record(&answer.id()).await;
        assert_eq!((record.charge, record.bill.as_str()), (Nano::ZERO, ""), "{answer:?}");
    }
    stand.gateway.audit();
}

/// What one request with this usage costs an account of this group.
async fn charge_for(stand: &Stand, key: &str, model: &str, reported: Value) -> Nano {
    let answer = stand.chat(key, &chat(model, Play::whole(reported))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    stand.record(&answer.id()).await.charge
}

#[tokio::test]
async fn each_kind_of_token_has_its_price_and_a_missing_price_falls_back() {
    let stand = Stand::start(Plan::models(PRICED)).await;
    stand.account("alice", "10");
    let key = stand.key("alice", "").await;
    let reported = json!({
        "prompt_tokens": 1_000, "completion_tokens": 500, "total_tokens": 1_500,
        "prompt_tokens_details": {"cached_tokens": 400}, "completion_tokens_details": {"reasoning_tokens": 300}
    });
    // 600 × 1 + 400 × 0.25 + 200 × 4 + 300 × 8, in millionths.
    assert_eq!(charge_for(&stand, &key, "priced", reported.clone()).await, nano("0.0039"));
    // 1000 × 1 + 500 × 4.
    assert_eq!(charge_for(&stand, &key, "plain", reported).await, nano("0.003"));
    let zero = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0});
    assert_eq!(charge_for(&stand, &key, "priced", zero).await, Nano::ZERO, "present and zero is zero");
    stand.gateway.audit();
}

#[tokio::test]
async fn a_groups_markup_multiplies_and_the_sum_is_rounded_up_once() {
    let stand = Stand::start(Plan { groups: MARKED_UP, ..Plan::models(PRICED) }).await;
    stand.account_in("default", "list", "10");
    stand.account_in("reseller", "marked", "10");
    let (list, marked) = (stand.key("list", "").await, stand.key("marked", "").await);
    // One token of 1 per million is 1,000 nano; times 1.000001 it is 1,000.001, which is 1,001.
    for (tokens, at_list, marked_up) in [(1, 1_000, 1_001), (999, 999_000, 999_001), (1_000, 1_000_000, 1_000_001)] {
        let reported = usage(tokens, 0);
        assert_eq!(charge_for(&stand, &list, "plain", reported.clone()).await, Nano(at_list));
        assert_eq!(charge_for(&stand, &marked, "plain", reported).await, Nano(marked_up));
    }
    stand.gateway.audit();
}

#[tokio::test]
async fn a_free_model_answers_an_empty_account_and_writes_no_ledger_entry() {
    let stand = Stand::start(Plan::models(PRICED)).await;
    stand.account("alice", "0");
    let key = stand.key("alice", "").await;
    assert_eq!(charge_for(&stand, &key, "free", usage(1_000, 1_000)).await, Nano::ZERO);
    assert_eq!(stand.cli("ledger --account alice"), json!([]));
    assert_eq!(stand.chat(&key, &chat("plain", Play::whole(usage(1, 1)))).await.status, 402);
    stand.gateway.audit();
}

#[tokio::test]
async fn a_charge_beyond_its_hold_is_booked_in_full_and_counted() {
    let stand = Stand::start(Plan::models(HUNDREDTH)).await;
    stand.account("alice", "0.01");
    let key = stand.key("alice", "").await;
    let body = hundredth(Play::whole(usage(1, 300)));
    let answer = stand.chat(&key, &body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(stand.record(&answer.id()).await.charge, nano("0.03"));
    stand.at_rest("alice").await;
    assert_eq!(stand.balance("alice"), nano("-0.02"));
    assert_eq!(stand.metric("tollgate_charges_beyond_hold_total").await, 1.0);
    let refused = stand.chat(&key, &body).await;
    assert_insufficient(&refused, "0.01");
    assert!(refused.text().contains("balance is 0."), "a debt is nothing to spend: {refused:?}");
    stand.gateway.audit();
}

#[tokio::test]
async fn a_report_of_a_billion_tokens_is_cut_to_the_hold_and_flagged() {
    let stand = Stand::start(Plan::models(HUNDREDTH)).await;
    stand.account("alice", "1");
    let key = stand.key("alice", "").await;
    let body = hundredth(Play::whole(usage(1, 1_000_000_000)));
    let answer = stand.chat(&key, &body).await;
    let record = stand.record(&answer.id()).await;
    assert_eq!((record.charge, record.anomalous), (nano("0.01"), true));
    // What was not believed is kept, for people to see.
    assert_eq!(record.bill, "input 1 0;output 1000000000 100000000;x1000000");
    let ordinary = stand.chat(&key, &hundredth(hundred_tokens())).await;
    assert!(!stand.record(&ordinary.id()).await.anomalous);
    stand.gateway.audit();
}

/// Texts, because most of these are no JSON that a library would write.
const NONSENSE: [&str; 10] = [
    r#"{"prompt_tokens":-1000000,"completion_tokens":-1000000}"#,
    r#"{"prompt_tokens":"1000","completion_tokens":"-5"}"#,
    r#"{"prompt_tokens":1000000000000000000,"completion_tokens":1000000000000000000}"#,
    r#"{"prompt_tokens":1e400,"completion_tokens":-1e400}"#,
    r#"{"prompt_tokens":0.5,"completion_tokens":1.5}"#,
    r#"{"prompt_tokens":null,"completion_tokens":null}"#,
    r#"{"prompt_tokens":10,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":1000000}}"#,
    r#"{"prompt_tokens":10,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":-1000000}}"#,
    r#"{"prompt_tokens":[1],"completion_tokens":{"a":1}}"#,
    r#"[]"#,
];

#[tokio::test]
async fn nonsense_for_usage_never_moves_the_balance_upwards_and_is_not_free() {
    let stand = Stand::start(Plan::models(PRICED)).await;
    stand.account("alice", "10");
    let key = stand.key("alice", "").await;
    let mut balance = nano("10");
    for nonsense in NONSENSE {
        for body in
            [chat("priced", Play::whole_text(nonsense)), streamed("priced", Play::stream_with_usage_text(nonsense))]
        {
            let answer = stand.chat(&key, &body).await;
            assert_eq!(answer.status, 200, "{nonsense}: {answer:?}");
            let record = stand.record(&answer.id()).await;
            stand.at_rest("alice").await;
            let after = stand.balance("alice");
            assert_eq!(balance.saturating_sub(after), record.charge, "{nonsense}");
            assert!(after < balance, "{nonsense} cost nothing: {record:?}");
            balance = after;
        }
    }
    stand.gateway.audit();
}

#[tokio::test]
async fn the_same_answer_costs_the_same_streamed_or_whole_over_http1_and_http2() {
    let stand = Stand::start(Plan::models(PRICED)).await;
    stand.account("alice", "10");
    let key = stand.key("alice", "").await;
    for protocol in PROTOCOLS {
        for streams in [false, true] {
            let reported = usage(1_234, 567);
            let body = match streams {
                true => streamed("priced", Play::stream(reported)),
                false => chat("priced", Play::whole(reported)),
            };
            let answer = stand.post_over(protocol, &key, "/v1/chat/completions", &body).await;
            assert_eq!(answer.status, 200);
            let record = stand.record(&answer.id()).await;
            assert_eq!((record.charge, record.outcome.as_str()), (nano("0.003502"), "ok"), "{protocol:?} {streams}");
            assert_eq!(record.streamed, streams);
        }
    }
    stand.gateway.audit();
}

const PICTURES: &str = r#"
  by_kind:
    upstreams: [{name: up}]
    images: {standard/1024x1024: "0.04", hd/1024x1024: "0.08", hd/1024x1536: "0.12"}
  by_piece:
    upstreams: [{name: up}]
    unit: {per_image: "0.02"}
  by_token:
    upstreams: [{name: up}]
    price: {input: "5", output: "40"}
    image_estimate: {standard/1024x1024: "0.042"}
  vectors:
    upstreams: [{name: up}]
    price: {input: "0.02", output: "0"}
"#;

async fn picture_charge(stand: &Stand, key: &str, mut body: Value, answer: Value) -> (Nano, bool) {
    body["prompt"] = json!("a lighthouse");
    body["play"] = Play::json(answer).into_value();
    let answered = stand.post(key, "/v1/images/generations", &body).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    let record = stand.record(&answered.id()).await;
    (record.charge, record.estimated)
}

#[tokio::test]
async fn pictures_cost_by_the_answers_size_quality_and_number() {
    let stand = Stand::start(Plan::models(PICTURES)).await;
    stand.account("alice", "10");
    let key = stand.key("alice", "").await;
    let picture = json!({"b64_json": "aGk="});
    let two = json!({"created": 1, "data": [picture, picture], "size": "1024x1536", "quality": "hd"});
    let asked = json!({"model": "by_kind", "n": 2, "size": "1024x1024", "quality": "hd"});
    assert_eq!(picture_charge(&stand, &key, asked.clone(), two).await.0, nano("0.24"), "the answer's size wins");
    let one = json!({"created": 1, "data": [picture]});
    assert_eq!(picture_charge(&stand, &key, asked, one.clone()).await.0, nano("0.08"), "the answer's number wins");
    let plain = json!({"model": "by_kind"});
    assert_eq!(picture_charge(&stand, &key, plain, one.clone()).await.0, nano("0.04"));
    let three = json!({"created": 1, "data": [picture, picture, picture]});
    let by_piece = json!({"model": "by_piece", "n": 3});
    assert_eq!(picture_charge(&stand, &key, by_piece, three).await.0, nano("0.06"));
    stand.gateway.audit();
}

#[tokio::test]
async fn a_picture_billed_by_tokens_is_not_free_when_no_tokens_are_reported() {
    let stand = Stand::start(Plan::models(PICTURES)).await;
    stand.account("alice", "10");
    let key = stand.key("alice", "").await;
    let picture = json!({"b64_json": "aGk="});
    let silent = json!({"created": 1, "data": [picture, picture]});
    let (charge, estimated) = picture_charge(&stand, &key, json!({"model": "by_token", "n": 2}), silent).await;
    assert!(estimated && charge >= nano("0.084"), "{charge} {estimated}");
    let told = json!({
        "created": 1, "data": [picture],
        "usage": {"input_tokens": 100, "output_tokens": 1_000, "total_tokens": 1_100}
    });
    let (charge, estimated) = picture_charge(&stand, &key, json!({"model": "by_token"}), told).await;
    assert_eq!((charge, estimated), (nano("0.0405"), false));
    stand.gateway.audit();
}

/// It goes out as it comes, and has no words by which its hold could be outgrown.
#[tokio::test]
async fn a_picture_too_large_to_keep_needs_no_more_than_its_hold() {
    let stand = Stand::start(Plan::models(PICTURES)).await;
    stand.account("alice", "0.05");
    let key = stand.key("alice", "").await;
    let told = json!({
        "created": 1, "data": [{"b64_json": "A".repeat(12 * 1024 * 1024)}],
        "usage": {"input_tokens": 100, "output_tokens": 1_000, "total_tokens": 1_100}
    });
    let (charge, estimated) = picture_charge(&stand, &key, json!({"model": "by_token"}), told).await;
    assert_eq!((charge, estimated), (nano("0.0405"), false));
    stand.gateway.audit();
}

#[tokio::test]
async fn embeddings_cost_their_input() {
    let stand = Stand::start(Plan::models(PICTURES)).await;
    stand.account("alice", "1");
    let key = stand.key("alice", "").await;
    let vectors = json!({
        "object": "list", "model": "vectors", "data": [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}],
        "usage": {"prompt_tokens": 7, "total_tokens": 7}
    });
    let body = json!({"model": "vectors", "input": ["one", "two"], "play": Play::json(vectors).into_value()});
    let answer = stand.post(&key, "/v1/embeddings", &body).await;
    let record = stand.record(&answer.id()).await;
    assert_eq!((record.charge, record.input_tokens, record.output_tokens), (Nano(140), 7, 0));
    stand.gateway.audit();
}

/// Models whose upstreams may fail: so many that no breaker ends the experiment.
fn failing_models() -> (String, String) {
    let upstream =
        |number| format!("  ill-{number}: {{kind: openai, base_url: \"BASE_URL\", api_keys: [upstream-key]}}\n");
    let model = |number| {
        format!(
            "  failing-{number}:\n    upstreams: [{{name: ill-{number}}}]\n    \
             price: {{input: \"1\", output: \"4\"}}\n"
        )
    };
    ((0..FAILING).map(upstream).collect(), (0..FAILING).map(model).collect())
}

/// One request that ends in one of all ways.
async fn some_ending(stand: &Stand, key: &str, way: u64, size: u64) {
    let play = match way {
        0 => Play::whole(usage(size, size)),
        1 => Play::whole_without_usage(),
        2 => Play::status(500),
        3 => Play::status(400),
        4 | 5 => Play::stream(usage(size, size)),
        6 => Play::stream_without_usage(),
        7 => Play::stream_that_breaks_off(3),
        _ => Play::stream_that_hangs(2),
    };
    let model = if [2, 7].contains(&way) { format!("failing-{}", size % FAILING) } else { "priced".into() };
    let body = if way < 4 { chat(&model, play) } else { streamed(&model, play) };
    if way < 8 {
        // A connection cannot be used again after a broken stream; a stream of HTTP/2 is nothing to its neighbours.
        let protocol = if way == 7 { Protocol::H2c } else { Protocol::Http1 };
        stand.post_over(protocol, key, "/v1/chat/completions", &body).await;
        return;
    }
    // The client leaves after the first event.
    let mut stream = stand.open(Protocol::Http1, key, &body).await;
    if stream.status == 200 {
        stream.event().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credits_are_balances_plus_charges_after_any_mix_of_endings() {
    let mut random = Random::from_env();
    let (upstreams, failing) = failing_models();
    let models = format!("{PRICED}{failing}");
    let stand = Arc::new(Stand::start(Plan { upstreams: &upstreams, ..Plan::models(&models) }).await);
    let mut keys = Vec::new();
    let mut credits = Nano::ZERO;
    for number in 0..50 {
        // Some are too poor for what they will ask.
        let credit = Nano(i64::try_from(random.below(120_000_000)).unwrap());
        credits = credits.saturating_add(credit);
        stand.account(&format!("account-{number}"), &credit.to_string());
        keys.push(stand.new_key(&format!("account-{number}"), ""));
    }
    for key in &keys {
        stand.gateway.await_key(key).await;
    }
    let answered = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for key in keys {
        let plan: Vec<(u64, u64)> = (0..12).map(|_| (random.below(9), random.below(3_000))).collect();
        let (stand, answered) = (stand.clone(), answered.clone());
        tasks.spawn(async move {
            for (way, size) in plan {
                some_ending(&stand, &key.secret, way, size).await;
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(answered.load(Ordering::Relaxed), 600);
    stand.all_at_rest().await;
    let accounts = stand.cli("account list");
    let balances = sum(accounts.as_array().unwrap(), "balance");
    let requests = stand.cli("requests --limit 10000");
    let requests = requests.as_array().unwrap();
    for outcome in ["ok", "client_gone", "upstream_cut", "upstream_failed", "rejected", "refused"] {
        assert!(requests.iter().any(|request| request["outcome"] == outcome), "none ended as {outcome}");
    }
    let charges = sum(requests, "charge");
    assert_eq!(credits, balances.saturating_add(charges));
    assert_eq!(stand.metric("tollgate_holds_open").await, 0.0);
    stand.gateway.audit();
}

fn sum(rows: &[Value], field: &str) -> Nano {
    rows.iter().map(|row| nano(row[field].as_str().unwrap())).fold(Nano::ZERO, Nano::saturating_add)
}

const AT_ONCE: usize = 500;
const FAILING: u64 = 40;
