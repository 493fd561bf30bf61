//! One configuration after the other, every tenth one broken: each good one comes into force, and no request notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use std::{fs, mem};

use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::support::gateway::SIGHUP;
use crate::support::process::resident_bytes;
use crate::support::random::Random;
use crate::support::upstream::{DONE_EVENT, chat_events, usage};
use crate::support::*;
use crate::{MIB, QUESTION, STREAMED, at_rest, other_than, quick_or_long};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_fail_nobody() {
    let reloads: u64 = quick_or_long(60, 1_000);
    let mut random = Random::from_environment();
    let upstreams = [Upstream::start(answer), Upstream::start(answer)];
    let gateway = Gateway::start(&in_force(0, &upstreams, &mut random));
    let traffic = Traffic::start(&gateway);
    traffic.runs().await;

    let mut ticks = tokio::time::interval(Duration::from_secs(1) / quick_or_long(20, 10));
    let mut memory = Vec::new();
    for reload in 1..=reloads {
        ticks.tick().await;
        let config = in_force(reload, &upstreams, &mut random);
        if reload % 10 == 5 {
            reload_broken(&gateway, &broken(&config, &mut random)).await;
        } else {
            reload_good(&gateway, reload, &config).await;
        }
        memory.push(resident_bytes(&gateway));
    }
    traffic.runs().await;
    let (answers, streams, failures) = traffic.stop().await;

    let (good, bad) = (gateway.metric(RELOADED).await, gateway.metric(REJECTED).await);
    let growth = memory[memory.len() - 1].saturating_sub(memory[memory.len() / 5]);
    eprintln!("{good} reloads, {bad} rejected; {answers} answers, {streams} streams; {growth} bytes of growth");
    assert!(failures.is_empty(), "{} failed: {:#?}", failures.len(), &failures[..failures.len().min(3)]);
    // Each file is read at the signal, and once or twice more because it has changed.
    let written = |broken: bool| (1..=reloads).filter(|reload| (reload % 10 == 5) == broken).count() as f64;
    assert!(good >= written(false) && bad >= written(true), "{good} and {bad}");
    assert!(good + bad <= 3.0 * reloads as f64, "{good} and {bad}: it reads again and again");
    assert!(growth <= GROWTH_MAX, "it grew by {growth} bytes");
    at_rest(&gateway).await;
    assert_eq!(gateway.audit()["requests"], answers + streams);
}

/// A good configuration that differs from the others in all that a reload can change, and says which one it is.
fn in_force(number: u64, upstreams: &[Upstream; 2], random: &mut Random) -> Config {
    let used: &[&Upstream] = match random.below(3) {
        0 => &[&upstreams[0]],
        1 => &[&upstreams[1], &upstreams[0]],
        _ => &[&upstreams[1]],
    };
    let price = format!(r#"{{input: "0.{}", output: "0.{}"}}"#, random.between(1, 99), random.between(1, 99));
    let group = format!("{{markup: \"1.{}\", rpm: {}}}", random.below(10), random.between(1_000_000, 2_000_000));
    let marker = marker(number);
    let model = format!(
        "  {marker}:\n    upstreams: [{{name: u0, model: provider-chat}}]\n    price: {{input: \"1\", output: \"1\"}}\n"
    );
    Config::chain(used).price(&price).group(&group).models(&model)
}

fn marker(number: u64) -> String {
    format!("marker-{number}-model")
}

/// The same with one of the faults that people make.
fn broken(config: &Config, random: &mut Random) -> String {
    let whole = config.to_yaml();
    match random.below(4) {
        0 => config.clone().price(r#"{input: "-1", output: "1"}"#).to_yaml(),
        1 => config.clone().more("unheard_of: 1\n").to_yaml(),
        // Written in two steps, and read between them.
        2 => whole[..whole.find("models:").unwrap() + 3].to_owned(),
        _ => String::new(),
    }
}

async fn reload_good(gateway: &Gateway, number: u64, config: &Config) {
    put(gateway, &config.to_yaml());
    let asked = || gateway.get("/v1/models", &gateway.key.secret);
    let listed = |answer: &Answer| answer.status() == 200 && answer.text().contains(&marker(number));
    eventually("the new configuration is in force", asked, listed).await;
}

async fn reload_broken(gateway: &Gateway, yaml: &str) {
    let before = gateway.metric(REJECTED).await;
    put(gateway, yaml);
    eventually("the broken one is rejected", || gateway.metric(REJECTED), |rejected| *rejected > before).await;
}

/// Another file takes the place, so that nobody reads half of it by chance; then the signal.
fn put(gateway: &Gateway, yaml: &str) {
    let beside = gateway.folder().join("tollgate.yaml.new");
    fs::write(&beside, yaml).unwrap();
    fs::rename(&beside, gateway.config_path()).unwrap();
    gateway.signal(SIGHUP);
}

/// Clients that ask without a pause, some for streams that outlive several reloads.
struct Traffic {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    answers: AtomicUsize,
    streams: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Traffic {
    fn start(gateway: &Gateway) -> Traffic {
        let (shared, mut clients) = (Arc::new(Shared::default()), JoinSet::new());
        for body in [QUESTION, QUESTION, QUESTION, QUESTION, STREAMED, STREAMED, STREAMED] {
            let request = post("/v1/chat/completions", &gateway.key.secret, body);
            clients.spawn(ask_on_and_on(shared.clone(), gateway.edge(), request, body == STREAMED));
        }
        Traffic { shared, clients }
    }

    /// Waits until more of each kind has been answered.
    async fn runs(&self) {
        for count in [&self.shared.answers, &self.shared.streams] {
            let before = count.load(Ordering::Relaxed);
            wait_for("requests are answered", || count.load(Ordering::Relaxed) > before).await;
        }
    }

    /// How many answers and streams there were, and what went wrong.
    async fn stop(self) -> (usize, usize, Vec<String>) {
        self.shared.stop.store(true, Ordering::Relaxed);
        within(PATIENCE, "the clients end", self.clients.join_all()).await;
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let failures = mem::take(&mut *self.shared.failures.lock());
        (count(&self.shared.answers), count(&self.shared.streams), failures)
    }
}

async fn ask_on_and_on(shared: Arc<Shared>, edge: std::net::SocketAddr, request: Vec<u8>, streamed: bool) {
    let mut connection = Connection::open(edge).await;
    while !shared.stop.load(Ordering::Relaxed) {
        connection.send(&request).await;
        let answer = connection.answer().await;
        let good = if streamed { answer.text().ends_with(DONE_EVENT) } else { answer.content() == "hello" };
        if let Some(failure) = other_than(200, &answer) {
            shared.failures.lock().push(failure);
        } else if !answer.whole || !good {
            shared.failures.lock().push(format!("cut: {}", answer.text()));
        }
        if !answer.whole {
            connection = Connection::open(edge).await;
        }
        let count = if streamed { &shared.streams } else { &shared.answers };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn answer(request: &upstream::Request, _: usize) -> Reply {
    if request.json()["stream"] != true {
        return Reply::default().delay(Duration::from_millis(5)).append(Reply::chat("hello", usage(10, 2)));
    }
    let events = chat_events(&["a"; 10], usage(10, 10));
    let pause = Duration::from_millis(50);
    events.into_iter().fold(Reply::stream_head(), |reply, event| reply.delay(pause).then_chunk(event)).end()
}

/// The storage's cache, 16 MiB, fills up meanwhile. The configurations themselves leave nothing.
const GROWTH_MAX: u64 = 20 * MIB;
const RELOADED: &str = "tollgate_config_reloads_total{result=\"ok\"}";
const REJECTED: &str = "tollgate_config_reloads_total{result=\"rejected\"}";
