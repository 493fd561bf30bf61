//! `kill -9` of the real program under load, again and again: what was delivered is in the books, once, and they balance.
//!
//! Each round runs a few hundred requests a second and notes what every client got, kills the program at a random
//! moment, starts it again on the same storage, and compares. Some rounds kill it a second time while it recovers.
//!
//! `TOLLGATE_CRASH_ROUNDS` sets how many rounds (20). `TOLLGATE_SEED` repeats a run's moments and requests; the seed is
//! printed, though a machine's own timing repeats with nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(dead_code, unused_imports, reason = "shared with the other tests, which need more of it")]
#[path = "it/support/mod.rs"]
mod support;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate::core::money::Nano;

use support::random::{Random, number};
use support::upstream::{STREAM_HEAD, chat_completion, chat_events, usage};
use support::{Config, Gateway, Key, PATIENCE, Reply, Upstream};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_delivered_is_missing_and_nothing_is_charged_twice_after_kill_9() {
    let rounds = number("TOLLGATE_CRASH_ROUNDS").unwrap_or(ROUNDS);
    let mut random = Random::from_environment();
    let upstream = Upstream::start(slow_answer);
    let mut gateway = Gateway::prepare_yaml(&Config::chain(&[&upstream]).durable().to_yaml());
    let payers = ACCOUNTS.map(|name| gateway.new_account(name, CREDIT));
    gateway.launch();

    let mut deliveries = Vec::new();
    for round in 0..rounds {
        let moment = Duration::from_millis(random.between(150, 900));
        deliveries.extend(load_until_killed(&mut gateway, &payers, &mut random, moment).await);
        if round % 4 == 3 {
            kill_while_recovering(&gateway, Duration::from_millis(random.between(1, 120)));
        }
        let started = Instant::now();
        gateway.launch();
        let until_ready = started.elapsed();
        check_books(&gateway, &deliveries);
        let again = until_ready + paid_request_works(&gateway, &payers[0]).await;
        eprintln!("round {round}: {} deliveries so far, served again after {again:?}", deliveries.len());
        assert!(again < SERVES_WITHIN, "it took {again:?} to serve again");
    }
    gateway.stop();
    check_books(&gateway, &deliveries);
    check_that_it_was_a_test(&gateway, &deliveries, rounds);
}

/// An answer whose head at least has reached a client.
#[derive(Clone, Debug)]
struct Delivery {
    request: String,
    whole: bool,
}

/// Runs clients until the program dies at `moment`; gives what those got whose answer had begun.
async fn load_until_killed(
    gateway: &mut Gateway,
    payers: &[Key],
    random: &mut Random,
    moment: Duration,
) -> Vec<Delivery> {
    let client = client();
    let delivered = Arc::new(Mutex::new(Vec::new()));
    let mut clients = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / REQUESTS_PER_S);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let deadline = Instant::now() + moment;
    while Instant::now() < deadline {
        ticks.tick().await;
        while let Some(done) = clients.try_join_next() {
            done.unwrap();
        }
        if clients.len() < RUNNING_MAX {
            let payer = &payers[random.below(payers.len() as u64) as usize];
            let request = request(&client, gateway.edge(), payer, random);
            let delivered = delivered.clone();
            clients.spawn(async move {
                if let Some(delivery) = deliver(request).await {
                    delivered.lock().unwrap().push(delivery);
                }
            });
        }
    }
    gateway.kill();
    support::within(PATIENCE, "clients notice that the gateway died", async {
        while let Some(done) = clients.join_next().await {
            done.unwrap();
        }
    })
    .await;
    std::mem::take(&mut delivered.lock().unwrap())
}

fn request(client: &reqwest::Client, edge: SocketAddr, payer: &Key, random: &mut Random) -> reqwest::RequestBuilder {
    let body = json!({
        "model": "chat-model", "stream": random.below(2) == 0, "max_tokens": 50,
        "messages": [{"role": "user", "content": "x".repeat(random.between(1, 400) as usize)}],
    });
    client.post(format!("http://{edge}/v1/chat/completions")).bearer_auth(&payer.secret).json(&body)
}

/// `None` if nothing came.
async fn deliver(request: reqwest::RequestBuilder) -> Option<Delivery> {
    let mut answer = request.send().await.ok()?;
    assert_eq!(answer.status(), 200);
    let request = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    loop {
        match answer.chunk().await {
            Ok(Some(_)) => {}
            end => return Some(Delivery { request, whole: end.is_ok() }),
        }
    }
}

/// Plain answers after a moment; streams with a moment between two words. Both report usage.
fn slow_answer(request: &support::upstream::Request, nth: usize) -> Reply {
    let pause = Duration::from_millis(5 + nth as u64 * 7 % 40);
    let reply = Reply::default().delay(pause);
    if request.json()["stream"] != true {
        let body = chat_completion("well", usage(11, 3)).to_string();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length";
        return reply.then(format!("{head}: {}\r\n\r\n{body}", body.len()));
    }
    let events = chat_events(&["well", " it", " is", " a", " gate"], usage(13, 5));
    let reply = reply.then(STREAM_HEAD);
    events.into_iter().fold(reply, |reply, event| reply.then_chunk(event).delay(pause / 2)).end()
}

/// Starts the program and kills it again while it settles what the last one left, or just after.
fn kill_while_recovering(gateway: &Gateway, moment: Duration) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.arg("--config").arg(gateway.config_path()).arg("serve");
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(moment);
    process.kill().unwrap();
    process.wait().unwrap();
}

fn check_books(gateway: &Gateway, deliveries: &[Delivery]) {
    let summary = gateway.audit();
    assert_eq!(summary["holds"], 0, "a hold was left over: {summary}");
    let outcomes = outcomes(gateway);
    for delivery in deliveries {
        let outcome = outcomes.get(&delivery.request).map(String::as_str);
        let known = matches!(outcome, Some("ok" | "client_gone" | "interrupted"));
        assert!(known, "{delivery:?} was delivered; its record says {outcome:?}");
    }
    for account in ACCOUNTS {
        check_account(gateway, account);
    }
}

/// How each request ended, by its id; one record each.
fn outcomes(gateway: &Gateway) -> HashMap<String, String> {
    let mut outcomes = HashMap::new();
    for record in list(gateway, &["requests", "--limit", "100000"]) {
        let twice = outcomes.insert(text(&record, "id"), text(&record, "outcome"));
        assert_eq!(twice, None, "two records of one request: {record}");
    }
    outcomes
}

/// One charge per request at most, and the balance is what was paid in without them.
fn check_account(gateway: &Gateway, account: &str) {
    let mut charges: BTreeMap<String, Nano> = BTreeMap::new();
    let mut credits = Nano::ZERO;
    for entry in list(gateway, &["ledger", "--account", account, "--limit", "100000"]) {
        let amount: Nano = text(&entry, "amount").parse().unwrap();
        match entry["kind"].as_str().unwrap() {
            "charge" => {
                let twice = charges.insert(text(&entry, "request_id"), amount);
                assert_eq!(twice, None, "charged twice: {entry}");
            }
            "credit" => credits.0 += amount.0,
            kind => panic!("nobody made an entry of kind {kind}"),
        }
    }
    let charged: i64 = charges.values().map(|charge| charge.0).sum();
    let shown = gateway.cli(&["account", "show", account]);
    assert_eq!(text(&shown, "balance"), Nano(credits.0 + charged).to_string(), "{account}");
    assert_eq!((text(&shown, "held"), credits.to_string()), ("0".into(), CREDIT.into()), "{account}");
}

/// Gives how long it took.
async fn paid_request_works(gateway: &Gateway, payer: &Key) -> Duration {
    let body = json!({"model": "chat-model", "messages": [{"role": "user", "content": "hi"}]});
    let started = Instant::now();
    let post = client().post(format!("http://{}/v1/chat/completions", gateway.edge()));
    let answer = post.bearer_auth(&payer.secret).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", gateway.log());
    answer.bytes().await.unwrap();
    started.elapsed()
}

/// Kills that hit nothing prove nothing.
fn check_that_it_was_a_test(gateway: &Gateway, deliveries: &[Delivery], rounds: u64) {
    let outcomes = outcomes(gateway);
    let count = |outcome: &str| outcomes.values().filter(|other| *other == outcome).count();
    let whole = deliveries.iter().filter(|delivery| delivery.whole).count();
    let broken = deliveries.len() - whole;
    eprintln!(
        "{whole} whole answers, {broken} broken ones; {} records: {} ok, {} interrupted",
        outcomes.len(),
        count("ok"),
        count("interrupted")
    );
    assert!(whole as u64 > rounds, "almost nothing was delivered");
    assert!(broken > 0 && count("interrupted") > 0, "no kill hit a running request");
}

fn list(gateway: &Gateway, arguments: &[&str]) -> Vec<Value> {
    match gateway.cli(arguments) {
        Value::Array(items) => items,
        other => panic!("not a list: {other}"),
    }
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("{field} in {value}")).to_owned()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

const ROUNDS: u64 = 20;
const REQUESTS_PER_S: u32 = 200;
/// Clients that run at a time: a slow machine gets less load, not a growing heap of it.
const RUNNING_MAX: usize = 128;
const ACCOUNTS: [&str; 3] = ["alice", "bob", "carol"];
const CREDIT: &str = "1000";
/// From the start of the program to the end of a paid answer.
const SERVES_WITHIN: Duration = Duration::from_secs(2);
