//! Ten times more requests than can be served: what can be served still is, and the rest hears so at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::support::upstream::usage;
use crate::support::*;
use crate::{QUESTION, at_rest, quick_or_long};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overload_keeps_goodput() {
    let (seconds, service_ms): (u64, u64) = quick_or_long((3, 100), (60, 50));
    let reply = Reply::default().delay(Duration::from_millis(service_ms)).append(Reply::chat("hello", usage(10, 2)));
    let upstream = Upstream::start(move |_, _| reply.clone());
    let gateway = Gateway::start(&Config::chain(&[&upstream]).group(&format!("{{concurrency: {SLOTS}}}")));
    let request = post("/v1/chat/completions", &gateway.key.secret, QUESTION);
    let load = |clients, rate, seconds| offer(gateway.edge(), request.clone(), clients, rate, seconds);

    let closed = load(SLOTS, None, seconds).await;
    assert_eq!(closed.refused.len(), 0, "as many clients as slots: nobody is refused");
    let capacity = closed.served as f64 / closed.took.as_secs_f64();
    let probes = Probes::start(&gateway);
    let over = load(SLOTS * 10, Some(capacity * 10.0), seconds).await;
    let slowest_probe = probes.stop().await;
    let ended = Instant::now();
    at_rest(&gateway).await;
    let recovered = ended.elapsed();
    let after = load(SLOTS, None, 1).await;

    let goodput = over.served as f64 / over.took.as_secs_f64();
    let offered = (over.served + over.refused.len()) as f64 / over.took.as_secs_f64();
    let slow_refusal = over.percentile(99);
    eprintln!(
        "capacity {capacity:.0}/s; of {offered:.0}/s offered {goodput:.0}/s served; refusals p50 {:?}, p99 \
         {slow_refusal:?}; slowest probe {slowest_probe:?}; at rest after {recovered:?}, then {}/s",
        over.percentile(50),
        after.served
    );
    assert!(offered >= 4.0 * capacity, "that was no overload: {offered:.0}/s");
    assert!(goodput >= 0.8 * capacity, "{goodput:.0}/s of {capacity:.0}/s");
    assert!(slow_refusal <= Duration::from_millis(quick_or_long(1_000, 50)), "refusals took {slow_refusal:?}");
    assert!(slowest_probe <= Duration::from_secs(quick_or_long(5, 1)), "a probe waited {slowest_probe:?}");
    assert!(recovered <= Duration::from_secs(5), "it took {recovered:?} to come to rest");
    assert_eq!(after.refused.len(), 0, "nothing of the overload is left");
    assert!(after.served as f64 >= 0.7 * capacity, "afterwards {}/s", after.served);
    at_rest(&gateway).await;
    gateway.audit();
    let served = closed.served + over.served + after.served;
    assert_eq!(upstream.count(), served, "what is refused is not sent upstream");
    assert_eq!(gateway.cli(&["usage", "--by", "model"])[0]["charge"], charged(served), "what is served is charged");
}

fn charged(served: usize) -> String {
    tollgate::core::money::Nano(served as i64 * CHARGE_NANO).to_string()
}

/// What became of the requests that were offered.
#[derive(Default)]
struct Offered {
    served: usize,
    /// How long each refusal took.
    refused: Vec<Duration>,
    took: Duration,
}

impl Offered {
    fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.refused.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default()
    }
}

/// So many clients, each on a connection of its own, together at `rate` a second; without one as fast as they are
/// answered.
async fn offer(edge: SocketAddr, request: Vec<u8>, clients: usize, rate: Option<f64>, seconds: u64) -> Offered {
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    let every = rate.map(|rate| Duration::from_secs_f64(clients as f64 / rate));
    let mut running = JoinSet::new();
    for place in 0..clients {
        let first = begun + every.unwrap_or_default() * place as u32 / clients as u32;
        running.spawn(one_client(edge, request.clone(), first, every, end));
    }
    let parts = within(PATIENCE + Duration::from_secs(seconds), "the clients end", running.join_all()).await;
    let mut all = Offered { took: begun.elapsed(), ..Offered::default() };
    for part in parts {
        all.served += part.served;
        all.refused.extend(part.refused);
    }
    all
}

async fn one_client(
    edge: SocketAddr,
    request: Vec<u8>,
    first: Instant,
    every: Option<Duration>,
    end: Instant,
) -> Offered {
    let mut connection = Connection::open(edge).await;
    let mut offered = Offered::default();
    let mut ticks = every.map(|every| tokio::time::interval_at(first.into(), every));
    if let Some(ticks) = &mut ticks {
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    }
    while Instant::now() < end {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        let asked = Instant::now();
        connection.send(&request).await;
        let answer = connection.answer().await;
        match answer.status() {
            200 => offered.served += 1,
            429 | 503 => {
                assert!(answer.header("retry-after").is_some(), "{}", answer.head.text());
                offered.refused.push(asked.elapsed());
            }
            _ => panic!("{} {}", answer.head.text(), answer.text()),
        }
        if answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            connection = Connection::open(edge).await;
        }
    }
    offered
}

/// Somebody who looks whether the gateway is well, as orchestrators and Prometheus do.
struct Probes {
    stop: Arc<AtomicBool>,
    running: tokio::task::JoinHandle<Duration>,
}

impl Probes {
    fn start(gateway: &Gateway) -> Probes {
        let stop = Arc::new(AtomicBool::new(false));
        let places =
            [(gateway.edge(), "/healthz"), (gateway.edge(), "/readyz"), (gateway.metrics_address(), "/metrics")];
        Probes { stop: stop.clone(), running: tokio::spawn(probe(places, stop)) }
    }

    /// The longest that one of them had to wait.
    async fn stop(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        within(PATIENCE, "the probes end", self.running).await.unwrap()
    }
}

async fn probe(places: [(SocketAddr, &'static str); 3], stop: Arc<AtomicBool>) -> Duration {
    let mut slowest = Duration::ZERO;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        for (address, path) in places {
            let asked = Instant::now();
            let mut connection = Connection::open(address).await;
            connection.send(get(path, "")).await;
            connection.answer().await.expect(200);
            slowest = slowest.max(asked.elapsed());
        }
    }
    slowest
}

/// Running requests that the account may have: what it can be served is this, divided by how long one takes.
const SLOTS: usize = 16;
/// 10 x 150 and 2 x 600 nano.
const CHARGE_NANO: i64 = 2_700;
