//! Thousands of streams at a time: each costs what it costs at its beginning, and nothing is left of it at its end.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tollgate::core::money::Nano;

use crate::support::process::{descriptors, resident_bytes};
use crate::support::upstream::{DONE_EVENT, delta_event, finish_event, usage, usage_event};
use crate::support::*;
use crate::{MIB, QUESTION, STREAMED, at_rest, quick_or_long};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_stay_flat() {
    let count: usize = quick_or_long(300, 5_000);
    let (warm_up, steady) = quick_or_long((2, 4), (60, 540));
    let ends = Signal::new();
    let upstream = Upstream::start(dripping(&ends));
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    gateway.chat(QUESTION).await.expect(200);
    at_rest(&gateway).await;
    let (idle, baseline) = (resident_bytes(&gateway), descriptors(&gateway));

    let listeners = open(&gateway, count).await;
    let begun = listen(&gateway, "warming up", warm_up).await;
    let end = listen(&gateway, "steady", steady).await;
    ends.set();
    let heard = within(PATIENCE * 2, "the streams end", listeners.join_all()).await;

    let least = heard.iter().min().unwrap();
    let (growth, each) = (end.saturating_sub(begun), begun.saturating_sub(idle) / count as u64);
    eprintln!("{count} streams, {least} events or more on each; {each} bytes a stream, {growth} bytes of growth");
    assert!(*least >= steady as usize / 2, "a stream had {least} events in {steady} s");
    assert!(growth <= quick_or_long(2, 8) * MIB, "it grew by {growth} bytes in {steady} s");
    assert!(each <= quick_or_long(72, 64) * 1024, "{each} bytes a stream");

    at_rest(&gateway).await;
    let charged = Nano(CHARGE.0 * (count as i64 + 1));
    let expected = Nano(100_000_000_000 - charged.0).to_string();
    assert_eq!(gateway.balance("alice"), (expected, "0".into()));
    assert_eq!(gateway.audit()["requests"], count + 1);
    drop(upstream);
    wait_for("the descriptors are given back", || descriptors(&gateway) <= baseline).await;
}

/// A word a second until the signal, then a proper end.
fn dripping(ends: &Signal) -> impl Fn(&upstream::Request, usize) -> Reply + Send + Sync + 'static {
    let end = finish_event() + &usage_event(&usage(10, 2)) + DONE_EVENT;
    let stream = Reply::stream_head().drip_chunk(delta_event("word "), EVENT_EVERY, ends).then_chunk(end).end();
    move |request, _| match request.json()["stream"] == true {
        true => stream.clone(),
        false => Reply::chat("hello", usage(10, 2)),
    }
}

/// Opens the streams evenly over a while and waits until each has begun. Each task gives the number of its events.
async fn open(gateway: &Gateway, count: usize) -> JoinSet<usize> {
    let request = post("/v1/chat/completions", &gateway.key.secret, STREAMED);
    let (begun, mut beginnings) = tokio::sync::mpsc::channel(count);
    let mut listeners = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / OPENED_PER_S);
    for _ in 0..count {
        ticks.tick().await;
        listeners.spawn(one_stream(gateway.edge(), request.clone(), begun.clone()));
    }
    for _ in 0..count {
        within(PATIENCE, "every stream begins", beginnings.recv()).await.expect("a stream failed at its beginning");
    }
    listeners
}

/// Reads a stream to its end, which must be a good one.
async fn one_stream(edge: std::net::SocketAddr, request: Vec<u8>, begun: tokio::sync::mpsc::Sender<()>) -> usize {
    let mut connection = Connection::open(edge).await;
    connection.send(request).await;
    let head = connection.head().await;
    assert_eq!(head.status(), 200, "{}", head.text());
    let mut events = 0;
    let mut last = connection.piece().await.expect("it goes on").expect("it is not empty");
    begun.send(()).await.expect("somebody counts");
    while let Some(piece) = connection.piece().await.unwrap_or_else(|_| panic!("cut after {events} events")) {
        events += 1;
        last = piece;
    }
    assert!(last.ends_with(DONE_EVENT.as_bytes()), "it ended with {last:?}");
    events
}

/// Lets the streams run for a while; gives the memory in use at its end.
async fn listen(gateway: &Gateway, phase: &str, seconds: u64) -> u64 {
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        let pause = (end - Instant::now()).min(Duration::from_secs(quick_or_long(1, 10)));
        tokio::time::sleep(pause).await;
        eprintln!("{phase}: {} KiB, {} descriptors", resident_bytes(gateway) / 1024, descriptors(gateway));
    }
    resident_bytes(gateway)
}

const EVENT_EVERY: Duration = Duration::from_secs(1);
const OPENED_PER_S: u32 = 250;
/// Mostly the library's: its task, two header buffers, two body buffers, and the maps of four heads.
/// 10 x 150 and 2 x 600 nano.
const CHARGE: Nano = Nano(2_700);
