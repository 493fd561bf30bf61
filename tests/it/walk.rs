//! The straight way: a key, a request, an answer, a charge that is right to the last digit.

use serde_json::{Value, json};

use crate::support::upstream::usage;
use crate::support::*;

pub const QUESTION: &str = r#"{"model":"chat-model","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}"#;
pub const STREAMED: &str =
    r#"{"model":"chat-model","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

#[tokio::test]
async fn a_plain_answer_is_passed_on_and_charged_to_the_nano() {
    let upstream = Upstream::hello();
    let mut gateway = Gateway::start(&Config::chain(&[&upstream]));
    let answer = gateway.chat(QUESTION).await.expect(200);
    assert_eq!(answer.content(), "hello");
    let sent = upstream.last();
    assert_eq!(sent.line(), "POST /v1/chat/completions");
    assert_eq!(sent.header("authorization"), Some("Bearer upstream-key-0"));
    assert_eq!(sent.json()["model"], "provider-chat");

    let record = gateway.record(&answer.head).await;
    // 10 x 150 and 2 x 600 nano.
    assert_charged(&record, "0.0000027", [10, 0, 2, 0]);
    assert_eq!([&record["streamed"], &record["estimated"]], [false, false]);
    assert_eq!([&record["outcome"], &record["endpoint"]], ["ok", "chat_completions"]);
    assert_eq!([&record["account"], &record["upstream"], &record["model"]], ["alice", "u0", "chat-model"]);
    assert_eq!([&record["status"], &record["key_id"]], [&json!(200), &json!(gateway.key.id)]);
    assert_books(&gateway, "99.9999973", 1);
    gateway.stop();
    gateway.audit();
}

#[tokio::test]
async fn a_streamed_answer_costs_the_same_as_a_plain_one() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let answer = gateway.chat(STREAMED).await.expect(200);
    assert!(answer.whole && answer.header("content-type").unwrap().starts_with("text/event-stream"));
    assert_eq!(answer.content(), "hello");
    assert_eq!(answer.events().last().unwrap(), "data: [DONE]");
    let record = gateway.record(&answer.head).await;
    assert_charged(&record, "0.0000027", [10, 0, 2, 0]);
    assert_eq!([&record["streamed"], &record["outcome"]], [&json!(true), &json!("ok")]);
    assert!(record["ttft_ms"].is_u64() && record["duration_ms"].is_u64(), "{record:#}");
    assert_books(&gateway, "99.9999973", 1);
}

#[tokio::test]
async fn cached_and_reasoning_tokens_have_prices_of_their_own() {
    let usage = json!({
        "prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100,
        "prompt_tokens_details": {"cached_tokens": 600}, "completion_tokens_details": {"reasoning_tokens": 40},
    });
    let upstream = Upstream::always(Reply::chat("hello", usage));
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let answer = gateway.chat(QUESTION.replace("50", "500")).await.expect(200);
    // 400 x 150, 600 x 75, 100 x 600 nano.
    assert_charged(&gateway.record(&answer.head).await, "0.000165", [1000, 600, 100, 40]);
}

#[tokio::test]
async fn the_groups_markup_is_applied_before_the_one_rounding() {
    let upstream = Upstream::always(Reply::chat("hello", usage(1, 0)));
    let config = Config::chain(&[&upstream]).group("{markup: \"1.5\"}").price("{input: \"0.0001\", output: \"1\"}");
    let gateway = Gateway::start(&config);
    let answer = gateway.chat(QUESTION).await.expect(200);
    // A tenth of a nano and a half of that: rounded up, once.
    assert_charged(&gateway.record(&answer.head).await, "0.000000001", [1, 0, 0, 0]);
}

#[tokio::test]
async fn embeddings_cost_their_input() {
    let body = json!({
        "object": "list", "model": "provider-embed", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    });
    let upstream = Upstream::always(Reply::json(&body));
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let answer = gateway.post("/v1/embeddings", r#"{"model":"embed-model","input":"hello"}"#).await.expect(200);
    assert_eq!(answer.json(), body);
    assert_eq!(upstream.last().line(), "POST /v1/embeddings");
    let record = gateway.record(&answer.head).await;
    // 7 x 20 nano.
    assert_charged(&record, "0.00000014", [7, 0, 0, 0]);
    assert_eq!(record["endpoint"], "embeddings");
}

#[tokio::test]
async fn pictures_cost_by_their_number() {
    let body = json!({"created": 1, "data": [{"b64_json": "AAAA"}, {"b64_json": "BBBB"}]});
    let upstream = Upstream::always(Reply::json(&body));
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let asked = r#"{"model":"image-model","prompt":"a cat","n":2,"size":"1024x1024"}"#;
    let answer = gateway.post("/v1/images/generations", asked).await.expect(200);
    assert_eq!(answer.json(), body);
    let record = gateway.record(&answer.head).await;
    assert_eq!([&record["charge"], &record["endpoint"]], ["0.08", "images_generations"]);
    assert_books(&gateway, "99.92", 1);
}

#[tokio::test]
async fn every_base_path_and_a_doubled_version_lead_to_the_same_endpoint() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let paths = ["/v1", "/api/v1", "/v1/v1", "/api/v1/v1"];
    for path in paths {
        gateway.post(&format!("{path}/chat/completions?key=ignored"), QUESTION).await.expect(200);
        assert_eq!(upstream.last().line(), "POST /v1/chat/completions", "{path}");
    }
    assert_eq!(upstream.count(), paths.len());
    gateway.post("/v1/v1/v1/chat/completions", QUESTION).await.expect(404);
    assert_eq!(upstream.count(), paths.len());
}

#[tokio::test]
async fn the_key_is_taken_from_any_of_its_four_headers() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let secret = gateway.key.secret.clone();
    for header in ["Authorization: Bearer", "authorization: bearer", "x-api-key:", "api-key:", "X-Goog-Api-Key:"] {
        let header = format!("{header} {secret}");
        gateway.send(request("POST", "/v1/chat/completions", &[&header], QUESTION)).await.expect(200);
        assert!(!upstream.last().head.text().contains(&secret), "{header}");
    }
    // The same key twice is one key, two different ones are a mistake.
    let twice = [format!("Authorization: Bearer {secret}"), format!("x-api-key: {secret}")];
    let twice = request("POST", "/v1/chat/completions", &[&twice[0], &twice[1]], QUESTION);
    gateway.send(twice).await.expect(200);
    let conflicting = [format!("Authorization: Bearer {secret}"), "x-api-key: sk-other".into()];
    let conflicting = request("POST", "/v1/chat/completions", &[&conflicting[0], &conflicting[1]], QUESTION);
    assert_eq!(gateway.send(conflicting).await.expect(400).code(), "invalid_request");
}

#[tokio::test]
async fn the_demo_upstream_answers_without_any_provider() {
    let gateway = Gateway::start(&Config::new());
    let plain = gateway.chat(QUESTION).await.expect(200);
    assert!(!plain.content().is_empty());
    let streamed = gateway.chat(STREAMED).await.expect(200);
    assert!(!streamed.content().is_empty());
    assert_eq!(streamed.events().last().unwrap(), "data: [DONE]");
    let embedded = gateway.post("/v1/embeddings", r#"{"model":"embed-model","input":"hello"}"#).await.expect(200);
    assert!(embedded.json()["data"][0]["embedding"].is_array());
    let asked = r#"{"model":"image-model","prompt":"a cat","size":"1024x1024"}"#;
    let drawn = gateway.post("/v1/images/generations", asked).await.expect(200);
    assert_eq!(drawn.json()["data"].as_array().unwrap().len(), 1);
    for answer in [plain, streamed, embedded, drawn] {
        let record = gateway.record(&answer.head).await;
        assert_ne!(record["charge"], "0", "{record:#}");
        assert_eq!([&record["estimated"], &record["outcome"]], [&json!(false), &json!("ok")]);
    }
    assert_eq!(gateway.audit()["requests"], 4);
    assert!(gateway.log().contains("demo"));
}

#[tokio::test]
async fn a_key_sees_its_models_itself_and_its_requests() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let secret = &gateway.key.secret;
    let models = gateway.get("/v1/models", secret).await.expect(200).json();
    let names: Vec<_> = models["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["chat-model", "embed-model", "image-model"]);
    let model = gateway.get("/v1/models/chat-model", secret).await.expect(200).json();
    assert_eq!(model, models["data"][0]);
    assert!(model["pricing"].is_object(), "{model:#}");

    let answer = gateway.chat(QUESTION).await.expect(200);
    let record = gateway.record(&answer.head).await;
    let path = format!("/v1/requests/{}", answer.header("x-request-id").unwrap());
    let own = gateway.get(&path, secret).await.expect(200).json();
    for field in ["id", "charge", "input_tokens", "output_tokens", "outcome"] {
        assert_eq!(own[field], record[field], "{field}");
    }
    let state = gateway.get("/v1/key", secret).await.expect(200).json();
    assert_eq!([&state["id"], &state["spent"]], [&json!(gateway.key.id), &json!("0.0000027")]);
    assert_eq!(
        state["account"],
        json!({"name": "alice", "balance": "99.9999973", "held": "0", "available": "99.9999973"})
    );
    gateway.get("/healthz", "").await.expect(200);
    gateway.get("/readyz", "").await.expect(200);
}

#[tokio::test]
async fn another_keys_request_is_not_shown() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let answer = gateway.chat(QUESTION).await.expect(200);
    gateway.record(&answer.head).await;
    let other = gateway.new_account("bob", "1");
    gateway.await_key(&other).await;
    let path = format!("/v1/requests/{}", answer.header("x-request-id").unwrap());
    gateway.get(&path, &other.secret).await.expect(404);
}

#[tokio::test]
async fn the_command_line_takes_effect_in_a_running_server() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let poor = gateway.new_account("bob", "0");
    gateway.await_key(&poor).await;
    let ask = || gateway.send(post("/v1/chat/completions", &poor.secret, QUESTION));
    assert_eq!(ask().await.expect(402).code(), "insufficient_balance");
    gateway.cli(&["account", "credit", "bob", "1"]);
    eventually("the credit is there", ask, |answer| answer.status() == 200).await;
    gateway.cli(&["key", "disable", &poor.id]);
    eventually("the key is off", ask, |answer| answer.code() == "key_disabled").await;
    gateway.cli(&["key", "enable", &poor.id]);
    eventually("the key is on", ask, |answer| answer.status() == 200).await;
    gateway.cli(&["account", "suspend", "bob"]);
    eventually("the account is off", ask, |answer| answer.code() == "key_disabled").await;
}

#[tokio::test]
async fn what_was_charged_outlives_the_process() {
    let upstream = Upstream::hello();
    let mut gateway = Gateway::start(&Config::chain(&[&upstream]));
    let answer = gateway.chat(QUESTION).await.expect(200);
    let record = gateway.record(&answer.head).await;
    gateway.kill();
    gateway.audit();
    gateway.launch();
    assert_eq!(gateway.record(&answer.head).await, record);
    assert_books(&gateway, "99.9999973", 1);
    gateway.chat(QUESTION).await.expect(200);
    gateway.stop();
    assert_eq!(gateway.audit()["requests"], 2);
}

/// The charge, and input, cached input, output and reasoning tokens.
#[track_caller]
fn assert_charged(record: &Value, charge: &str, tokens: [u64; 4]) {
    assert_eq!(record["charge"], charge, "{record:#}");
    let counted = ["input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens"];
    assert_eq!(counted.map(|field| record[field].as_u64().unwrap()), tokens, "{record:#}");
}

/// Alice's balance in the account, in the ledger and in the totals, and nothing held any more.
#[track_caller]
fn assert_books(gateway: &Gateway, balance: &str, requests: u64) {
    assert_eq!(gateway.balance("alice"), (balance.to_owned(), "0".to_owned()));
    let ledger = gateway.cli(&["ledger", "--account", "alice"]);
    assert_eq!([&ledger[0]["kind"], &ledger[0]["balance_after"]], ["charge", balance]);
    let usage = gateway.cli(&["usage", "--by", "account"]);
    assert_eq!([&usage[0]["account"], &usage[0]["requests"]], [&json!("alice"), &json!(requests)]);
    let summary = gateway.audit();
    assert_eq!([&summary["holds"], &summary["balance"]], [&json!(0), &json!(balance)]);
}
