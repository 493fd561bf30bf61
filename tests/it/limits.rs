//! Limits: exact at any concurrency, for a key and for its account, and never used up by what is refused.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::stand::{Answer, PROTOCOLS, Plan, Play, Stand, chat, streamed};
use crate::support::upstream::usage;
use crate::support::{eventually, request, within};

const CHEAP: &str = r#"
  cheap:
    upstreams: [{name: up}]
    price: {input: "1", output: "4"}
"#;

async fn rich(groups: &str) -> Arc<Stand> {
    let stand = Stand::start(Plan { groups, ..Plan::models(CHEAP) }).await;
    stand.account("alice", "1000");
    Arc::new(stand)
}

fn question() -> Value {
    with_maximum(Play::whole(usage(10, 10)))
}

fn with_maximum(play: Play) -> Value {
    let mut body = chat("cheap", play);
    body["max_tokens"] = json!(100);
    body
}

/// All of these at once, spread over the keys.
async fn fire(stand: &Arc<Stand>, keys: &[String], body: &Value, times: usize) -> JoinSet<Answer> {
    let mut tasks = JoinSet::new();
    for key in keys.iter().cycle().take(times) {
        let (stand, key, body) = (stand.clone(), key.clone(), body.clone());
        tasks.spawn(async move { stand.chat(&key, &body).await });
    }
    tasks
}

#[track_caller]
fn assert_limited(answer: &Answer, words: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limit"), "{answer:?}");
    assert!(answer.text().contains(words), "{answer:?}");
    let seconds: u64 = answer.header("retry-after").expect("it says when").parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
}

async fn assert_exactly(mut tasks: JoinSet<Answer>, served: usize, words: &str) {
    let mut admitted = 0;
    while let Some(answer) = tasks.join_next().await {
        match answer.unwrap() {
            answer if answer.status == 200 => admitted += 1,
            answer => assert_limited(&answer, words),
        }
    }
    assert_eq!(admitted, served);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_five_hundred_at_once_a_key_with_sixty_a_minute_gets_sixty() {
    let stand = rich("").await;
    let key = stand.key("alice", "--rpm 60").await;
    let tasks = fire(&stand, &[key], &question(), 500).await;
    assert_exactly(tasks, 60, "60 requests per minute").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accounts_requests_per_minute_hold_for_all_its_keys_together() {
    let stand = rich("  default: {rpm: 60}\n").await;
    stand.account("bob", "1000");
    let keys = [stand.key("alice", "").await, stand.key("alice", "--rpm 1000").await, stand.key("alice", "").await];
    let other = stand.key("bob", "").await;
    let tasks = fire(&stand, &keys, &question(), 500).await;
    assert_exactly(tasks, 60, "60 requests per minute").await;
    stand.chat(&other, &question()).await.expect(200);
}

/// What a request counts in tokens when it comes in.
async fn estimate(stand: &Stand) -> u64 {
    let key = stand.key("alice", "--tpm 1000000").await;
    let answer = stand.chat(&key, &question()).await.expect(200);
    1_000_000 - number(&answer, "x-ratelimit-remaining-tokens")
}

fn number(answer: &Answer, header: &str) -> u64 {
    answer.header(header).unwrap_or_else(|| panic!("no {header}: {answer:?}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_per_minute_are_as_exact() {
    for (groups, whose) in [("", "key"), ("  default: {tpm: TPM}\n", "account")] {
        let estimate = estimate(&*rich("").await).await;
        assert!((100..200).contains(&estimate), "an answer of 100 tokens and a short question: {estimate}");
        let limit = (estimate * 10 + estimate / 2).to_string();
        let stand = rich(&groups.replace("TPM", &limit)).await;
        let flags = if whose == "key" { format!("--tpm {limit}") } else { String::new() };
        let keys = [stand.key("alice", &flags).await];
        let body = with_maximum(Play::whole(usage(10, 10)).gated("all"));
        let mut tasks = fire(&stand, &keys, &body, 50).await;
        for _ in 0..40 {
            let refused = tasks.join_next().await.unwrap().unwrap();
            assert_limited(&refused, &format!("{limit} tokens per minute"));
        }
        stand.open_gate("all");
        assert_exactly(tasks, 10, "").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_requests_are_as_exact_and_their_places_come_back() {
    for (groups, flags) in [("", "--concurrency 5"), ("  default: {concurrency: 5}\n", "")] {
        let stand = rich(groups).await;
        let keys = [stand.key("alice", flags).await];
        for round in ["first", "second"] {
            let body = with_maximum(Play::whole(usage(10, 10)).gated(round));
            let mut tasks = fire(&stand, &keys, &body, 50).await;
            for _ in 0..45 {
                assert_limited(&tasks.join_next().await.unwrap().unwrap(), "5 requests at a time");
            }
            stand.open_gate(round);
            assert_exactly(tasks, 5, "").await;
            // An answer's last byte leaves a moment before its place does.
            stand.all_at_rest().await;
        }
    }
}

#[tokio::test]
async fn a_refused_request_uses_up_nothing() {
    let stand = rich("").await;
    stand.account("poor", "0.01");
    let key = stand.key("poor", "--rpm 3 --tpm 100000 --concurrency 1").await;
    let mut dear = question();
    dear["max_tokens"] = json!(50_000);
    let mut too_long = question();
    too_long["max_tokens"] = json!(200_000);
    let mut faulty = question();
    faulty["max_tokens"] = json!(-1);
    let unknown = chat("unknown", Play::whole(usage(1, 1)));
    for _ in 0..3 {
        for (status, body) in [(402, &dear), (429, &too_long), (400, &faulty), (422, &unknown)] {
            let refused = stand.chat(&key, body).await.expect(status);
            assert_eq!(number(&refused, "x-ratelimit-remaining-requests"), 3, "{status}");
            assert_eq!(number(&refused, "x-ratelimit-remaining-tokens"), 100_000, "{status}");
        }
    }
    for remaining in [2, 1, 0] {
        let answer = stand.chat(&key, &question()).await.expect(200);
        assert_eq!(number(&answer, "x-ratelimit-remaining-requests"), remaining);
        stand.all_at_rest().await;
    }
    for _ in 0..3 {
        assert_limited(&stand.chat(&key, &question()).await, "3 requests per minute");
    }
    assert_eq!(stand.upstream.count(), 3);
}

/// `1s`, `12ms`, `8.64s`, `6m0s`.
fn is_a_reset(text: &str) -> bool {
    let seconds = |text: &str| text.strip_suffix('s').is_some_and(|number| number.parse::<f64>().is_ok());
    let millis = |text: &str| text.strip_suffix("ms").is_some_and(|number| number.parse::<u32>().is_ok());
    let minutes = |text: &str| text.split_once('m').is_some_and(|(m, s)| m.parse::<u32>().is_ok() && seconds(s));
    seconds(text) || millis(text) || minutes(text)
}

#[tokio::test]
async fn the_headers_say_limit_remaining_and_reset_as_openai_writes_them() {
    let stand = rich("  default: {rpm: 1000, tpm: 50000}\n").await;
    let key = stand.key("alice", "--rpm 60").await;
    for remaining in ["59", "58", "57"] {
        let answer = stand.chat(&key, &question()).await.expect(200);
        assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("60"), "the narrower of two limits is told");
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some(remaining));
        assert_eq!(answer.header("x-ratelimit-limit-tokens"), Some("50000"));
        for kind in ["requests", "tokens"] {
            let reset = answer.header(&format!("x-ratelimit-reset-{kind}")).unwrap();
            assert!(is_a_reset(reset), "{reset}");
        }
    }
    let refused = stand.chat(&key, &chat("unknown", Play::silence())).await.expect(422);
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), Some("57"));
}

#[tokio::test]
async fn where_no_limit_applies_no_header_speaks_of_one() {
    let stand = rich("").await;
    let key = stand.key("alice", "").await;
    let answer = stand.chat(&key, &question()).await.expect(200);
    for kind in ["limit", "remaining", "reset"] {
        assert_eq!(answer.header(&format!("x-ratelimit-{kind}-requests")), None);
        assert_eq!(answer.header(&format!("x-ratelimit-{kind}-tokens")), None);
    }
}

async fn asked(stand: &Stand, key: &str) -> u16 {
    stand.chat(key, &question()).await.status
}

#[tokio::test]
async fn a_place_is_free_as_soon_as_the_client_has_left() {
    let stand = rich("").await;
    for protocol in PROTOCOLS {
        let key = stand.key("alice", "--concurrency 1").await;
        let mut stream = stand.open(protocol, &key, &streamed("cheap", Play::stream_that_hangs(1))).await;
        assert!(stream.event().await.is_some());
        assert_limited(&stand.chat(&key, &question()).await, "1 requests at a time");
        drop(stream);
        let next = eventually("the place is free", || asked(&stand, &key), |status| *status != 429);
        let patience = Duration::from_secs(1);
        assert_eq!(within(patience, "the place is free", next).await, 200, "{protocol:?}");
    }
}

#[tokio::test]
async fn tokens_are_trued_up_at_the_end() {
    let stand = rich("").await;
    let estimate = estimate(&stand).await;
    // Fewer than thought, then more, so that a debt is left that those who come next wait for.
    let key = stand.key("alice", "--tpm 1000").await;
    let cases = [(usage(10, 5), 1_000 - estimate), (usage(10, 975), 985 - estimate)];
    for (reported, remaining) in cases {
        let answer = stand.chat(&key, &with_maximum(Play::whole(reported))).await.expect(200);
        assert_eq!(number(&answer, "x-ratelimit-remaining-tokens"), remaining);
        stand.all_at_rest().await;
    }
    assert_limited(&stand.chat(&key, &question()).await, "1000 tokens per minute");
}

#[tokio::test]
async fn a_request_that_can_never_fit_is_told_not_to_come_again() {
    let stand = rich("").await;
    let key = stand.key("alice", "--tpm 100").await;
    let refused = stand.chat(&key, &question()).await.expect(429);
    assert_eq!((refused.code().as_str(), refused.header("x-should-retry")), ("rate_limit", Some("false")));
    assert!(refused.text().contains("alone exceeds"), "{refused:?}");
    let later = stand.key("alice", "--rpm 1").await;
    stand.chat(&later, &question()).await.expect(200);
    let waits = stand.chat(&later, &question()).await.expect(429);
    assert_ne!(waits.header("x-should-retry"), Some("false"));
}

#[tokio::test]
async fn questions_about_the_key_do_not_count() {
    let stand = rich("").await;
    let key = stand.key("alice", "--rpm 1 --concurrency 1").await;
    for _ in 0..20 {
        for path in ["/v1/key", "/v1/models", "/v1/models/cheap", "/v1/dashboard/billing/subscription"] {
            stand.get(&key, path).await.expect(200);
        }
    }
    stand.chat(&key, &question()).await.expect(200);
    stand.chat(&key, &question()).await.expect(429);
    stand.get(&key, "/v1/key").await.expect(200);
}

#[tokio::test]
async fn an_address_that_guesses_is_slowed_down_and_a_good_key_from_there_is_not() {
    let stand = rich("").await;
    let good = stand.key("alice", "").await;
    // A mistyped key and one with a right checksum that nobody has.
    let never_made = tollgate::core::key::generate().unwrap();
    let bad = ["sk-tg-mistyped", never_made.expose()];
    for attempt in 0..60 {
        // Waiting for `good` may have guessed already: its first questions came before the key was known.
        let refused = stand.get(bad[attempt % 2], "/v1/key").await;
        assert!([401, 429].contains(&refused.status), "{refused:?}");
    }
    for key in bad.iter().cycle().take(6) {
        let refused = stand.get(key, "/v1/key").await.expect(429);
        assert_eq!(refused.code(), "rate_limit");
        let seconds = number(&refused, "retry-after");
        assert!((1..=60).contains(&seconds));
        stand.chat(&good, &question()).await.expect(200);
    }
}

#[tokio::test]
async fn keys_that_are_switched_off_or_over_are_no_guesses() {
    let stand = rich("").await;
    let (disabled, over) = (stand.new_key("alice", ""), stand.new_key("alice", "--expires 1s"));
    stand.cli(&format!("key disable {}", disabled.id));
    // The keys are read in the order in which they were made: who knows the last one knows them all.
    stand.key("alice", "").await;
    let code = || async { stand.get(&over.secret, "/v1/key").await.code() };
    eventually("the key is over", code, |code| code == "key_expired").await;
    for _ in 0..80 {
        assert_eq!(stand.get(&disabled.secret, "/v1/key").await.expect(403).code(), "key_disabled");
        assert_eq!(stand.get(&over.secret, "/v1/key").await.expect(401).code(), "key_expired");
    }
    stand.get("sk-tg-mistyped", "/v1/key").await.expect(401);
}

/// The status of a question that comes through these hops.
async fn through(stand: &Stand, key: &str, forwarded_for: &[&str]) -> u16 {
    let mut headers = vec![format!("Authorization: Bearer {key}"), "Content-Type: application/json".into()];
    headers.extend(forwarded_for.iter().map(|hops| format!("X-Forwarded-For: {hops}")));
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let answer = stand.gateway.send(request("POST", "/v1/chat/completions", &headers, question().to_string())).await;
    if answer.status() == 403 {
        assert_eq!(answer.code(), "address_not_allowed");
    }
    answer.status()
}

#[tokio::test]
async fn an_address_list_believes_forwarded_addresses_of_trusted_proxies_only() {
    let edge = r#"trusted_proxies: ["127.0.0.0/8", "192.0.2.0/24"]"#;
    let behind_proxies = Stand::start(Plan { edge, ..Plan::models(CHEAP) }).await;
    let alone = Stand::start(Plan::models(CHEAP)).await;
    for stand in [&behind_proxies, &alone] {
        stand.account("alice", "10");
    }
    let flags = "--allow-ip 203.0.113.0/24,2001:db8::/32";
    let key = behind_proxies.key("alice", flags).await;
    for (hops, status) in [
        (&["203.0.113.7"][..], 200),
        (&["203.0.113.7, 192.0.2.1"], 200),
        (&["198.51.100.1, 203.0.113.7"], 200),
        (&["198.51.100.1", "203.0.113.7"], 200),
        (&["2001:db8::1"], 200),
        (&["::ffff:203.0.113.7"], 200),
        (&[], 403),
        (&["198.51.100.1"], 403),
        // What the client wrote itself stands on the left.
        (&["203.0.113.7, 198.51.100.1"], 403),
        (&["203.0.113.7", "198.51.100.1, 192.0.2.1"], 403),
        (&["203.0.113.7, nonsense"], 403),
    ] {
        assert_eq!(through(&behind_proxies, &key, hops).await, status, "{hops:?}");
    }
    let key = alone.key("alice", flags).await;
    assert_eq!(through(&alone, &key, &["203.0.113.7"]).await, 403, "nobody is trusted");
    let local = alone.key("alice", "--allow-ip 127.0.0.1").await;
    assert_eq!(through(&alone, &local, &["203.0.113.7"]).await, 200);
}
