//! One process takes the place of another under load: nothing is refused, cut, lost or charged twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;
use tollgate::core::money::Nano;

use crate::support::client::Head;
use crate::support::gateway::SIGQUIT;
use crate::support::upstream::{DONE_EVENT, delta_event, finish_event, usage, usage_event};
use crate::support::*;
use crate::walk::{QUESTION, STREAMED};

/// A stream whose second half waits for a word from the test. Everything else is answered at once.
fn patient_upstream(go: &Signal) -> Upstream {
    let stream = Reply::stream_head().then_chunk(delta_event("hello")).wait(go).then_chunk(delta_event(" again"));
    let stream = stream.then_chunk(finish_event() + &usage_event(&usage(10, 2)) + DONE_EVENT).end();
    Upstream::start(move |request, _| match request.json()["stream"] == true {
        true => stream.clone(),
        false => Reply::chat("hello", usage(10, 2)).delay(Duration::from_millis(1)),
    })
}

/// A stream that has begun to arrive.
struct Begun {
    connection: Connection,
    head: Head,
}

impl Begun {
    async fn new(gateway: &Gateway) -> Begun {
        let mut connection = gateway.connect().await;
        connection.send(post("/v1/chat/completions", &gateway.key.secret, STREAMED)).await;
        let head = connection.head().await;
        assert_eq!(head.status(), 200, "{}", head.text());
        assert!(connection.piece().await.unwrap().is_some());
        Begun { connection, head }
    }

    async fn rest(mut self) -> Answer {
        self.connection.rest(self.head).await
    }
}

async fn begin(gateway: &Gateway, count: usize) -> Vec<Begun> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(Begun::new(gateway).await);
    }
    // Their first checkpoints are on disk.
    tokio::time::sleep(Duration::from_millis(100)).await;
    streams
}

/// Each one's rest.
async fn finish(streams: Vec<Begun>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for stream in streams {
        answers.push(stream.rest().await);
    }
    answers
}

/// The records by outcome.
fn outcomes(gateway: &Gateway, outcome: &str) -> Vec<Value> {
    let records = gateway.cli(&["requests", "--limit", "100000"]);
    let of = |record: &&Value| record["outcome"] == outcome;
    records.as_array().unwrap().iter().filter(of).cloned().collect()
}

/// The balance is the credit without the charges of all records, and no hold is left.
fn assert_books(gateway: &Gateway, charged_each: i64, count: usize) {
    let summary = gateway.audit();
    assert_eq!(summary["holds"], 0, "{summary:#}");
    let expected = Nano(100_000_000_000 - charged_each * count as i64).to_string();
    assert_eq!(gateway.balance("alice"), (expected, "0".into()));
}

/// Clients that ask without a pause until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Tally>,
}

#[derive(Default)]
struct Tally {
    answered: usize,
    sent_away: usize,
    /// From connecting to the end of the answer.
    longest: Duration,
}

impl Load {
    fn start(gateway: &Gateway) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for client in 0..6 {
            let (stop, edge) = (stop.clone(), gateway.edge());
            let question = post("/v1/chat/completions", &gateway.key.secret, QUESTION);
            let keep = client % 2 == 0;
            clients.spawn(async move {
                let (mut tally, mut kept) = (Tally::default(), None);
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let mut connection: Connection = match kept.take() {
                        Some(connection) => connection,
                        None => Connection::open(edge).await,
                    };
                    connection.send(&question).await;
                    let answer = connection.answer().await;
                    assert!(answer.whole, "an answer broke off");
                    match answer.status() {
                        200 => tally.answered += 1,
                        503 => tally.sent_away += 1,
                        status => panic!("{status}: {}", answer.text()),
                    }
                    let close = answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
                    assert!(answer.status() == 200 || close, "sent away, and asked to stay");
                    tally.longest = tally.longest.max(begun.elapsed());
                    kept = (keep && !close).then_some(connection);
                }
                tally
            });
        }
        Load { stop, clients }
    }

    async fn stop(mut self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Tally::default();
        while let Some(tally) = self.clients.join_next().await {
            let tally = tally.unwrap();
            sum.answered += tally.answered;
            sum.sent_away += tally.sent_away;
            sum.longest = sum.longest.max(tally.longest);
        }
        sum
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_nothing_is_refused_cut_or_lost() {
    let go = Signal::new();
    let upstream = patient_upstream(&go);
    let mut gateway = Gateway::start(&Config::chain(&[&upstream]).durable());
    let streams = begin(&gateway, 5).await;
    let (edge, old) = (gateway.edge(), gateway.pid());
    let load = Load::start(&gateway);
    tokio::time::sleep(Duration::from_millis(300)).await;

    let mut former = gateway.hand_over();
    assert_eq!(gateway.edge(), edge, "the socket is the same");
    assert_ne!(gateway.pid(), old);
    gateway.audit();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!former.has_ended(), "its streams still run");
    gateway.audit();
    assert_ne!(gateway.balance("alice").1, "0", "what they hold is still held");
    assert!(gateway.metric("tollgate_holds_open").await >= 5.0);

    go.set();
    for answer in finish(streams).await {
        assert!(answer.whole && answer.text().ends_with(DONE_EVENT), "{}", answer.text());
        assert_eq!(answer.content(), " again");
        let path = format!("/v1/requests/{}", answer.header("x-request-id").unwrap());
        let asked = || gateway.get(&path, &gateway.key.secret);
        let record = eventually("it is booked", asked, |answer: &Answer| answer.status() == 200).await.json();
        assert_eq!([&record["outcome"], &record["charge"]], ["ok", "0.0000027"]);
    }
    assert_eq!(former.end(), Some(0));
    let tally = load.stop().await;
    eprintln!("{} answered, {} sent away, {:?} the longest", tally.answered, tally.sent_away, tally.longest);
    assert!(tally.answered > 100, "that was no load");
    wait_for("every hold is given back", || gateway.balance("alice").1 == "0").await;
    // 10 x 150 and 2 x 600 nano each.
    assert_books(&gateway, 2_700, tally.answered + 5);
    gateway.stop();
    assert_books(&gateway, 2_700, tally.answered + 5);
}

#[tokio::test]
async fn a_stream_that_outgrows_its_hold_after_the_upgrade_goes_on() {
    let go = Signal::new();
    let words = "many words ".repeat(400);
    let mut stream = Reply::stream_head().then_chunk(delta_event("hello")).wait(&go);
    for _ in 0..5 {
        stream = stream.then_chunk(delta_event(&words)).delay(Duration::from_millis(20));
    }
    let stream = stream.then_chunk(finish_event() + &usage_event(&usage(10, 5_000)) + DONE_EVENT).end();
    let upstream = Upstream::always(stream);
    let mut gateway = Gateway::start(&Config::chain(&[&upstream]).chat_model("output_hold: 20"));
    let mut connection = gateway.connect().await;
    let unbounded = STREAMED.replace("\"max_tokens\":50,", "");
    connection.send(post("/v1/chat/completions", &gateway.key.secret, unbounded)).await;
    let head = connection.head().await;
    assert!(connection.piece().await.unwrap().is_some());
    let former = gateway.hand_over();
    go.set();
    let answer = connection.rest(head).await;
    assert!(answer.text().ends_with(DONE_EVENT), "{}", answer.text());
    let record = gateway.record(&answer.head).await;
    // 10 x 150 and 5 000 x 600 nano: far above the 20 tokens that were held at first, and not cut to ten times that.
    assert_eq!([&record["outcome"], &record["charge"]], ["ok", "0.0030015"]);
    assert_eq!(former.end(), Some(0));
    assert_books(&gateway, 3_001_500, 1);
}

#[tokio::test]
async fn without_a_successor_nothing_changes() {
    let upstream = Upstream::hello();
    let mut gateway = Gateway::start(&Config::chain(&[&upstream]));
    let mut kept = gateway.connect().await;
    for _ in 0..2 {
        gateway.signal(SIGQUIT);
        gateway.wait_for_log("no successor waits").await;
        kept.send(post("/v1/chat/completions", &gateway.key.secret, QUESTION)).await;
        let answer = kept.answer().await.expect(200);
        assert_eq!(answer.header("connection").map(str::to_lowercase).as_deref(), Some("keep-alive"));
    }
    gateway.chat(QUESTION).await.expect(200);
    wait_for("it is booked", || outcomes(&gateway, "ok").len() == 3).await;
    gateway.stop();
    assert_books(&gateway, 2_700, 3);
}

#[tokio::test]
async fn a_successor_that_cannot_start_changes_nothing() {
    let go = Signal::new();
    let upstream = patient_upstream(&go);
    let mut gateway = Gateway::start(&Config::chain(&[&upstream]));
    let streams = begin(&gateway, 1).await;
    // The port of the new configuration is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = Config::chain(&[&upstream]).to_yaml();
    let metrics = format!("metrics: {{listen: \"{}\"}}", taken.local_addr().unwrap());
    gateway.write_config(&config.replace("metrics: {listen: \"127.0.0.1:0\"}", &metrics));
    gateway.prepare_successor();
    gateway.signal(SIGQUIT);
    gateway.wait_for_log("not replaced, this process goes on serving").await;
    assert!(gateway.log().contains("the successor cannot start"), "{}", gateway.log());
    gateway.chat(QUESTION).await.expect(200);
    go.set();
    assert!(finish(streams).await[0].text().ends_with(DONE_EVENT));
    wait_for("it is booked", || outcomes(&gateway, "ok").len() == 2).await;

    // The next one can.
    gateway.write_config(&config);
    let former = gateway.hand_over();
    assert_eq!(former.end(), Some(0));
    gateway.chat(QUESTION).await.expect(200);
    wait_for("it is booked", || outcomes(&gateway, "ok").len() == 3).await;
    assert_books(&gateway, 2_700, 3);
}

#[tokio::test]
async fn a_successor_whose_books_do_not_open_gives_the_work_back() {
    let go = Signal::new();
    let upstream = patient_upstream(&go);
    let mut gateway = Gateway::start(&Config::chain(&[&upstream]));
    let streams = begin(&gateway, 2).await;
    // Its configuration names a storage that cannot be used; the two meet all the same.
    let database = gateway.folder().join("data/tollgate.db");
    let other = gateway.folder().join("data/other.db");
    std::fs::write(&other, "this is not a database, and it is long enough to look like something else").unwrap();
    let yaml = Config::chain(&[&upstream]).to_yaml();
    gateway.write_config(&yaml.replace("sqlite:data/tollgate.db", "sqlite:data/other.db"));
    std::os::unix::fs::symlink(
        gateway.folder().join("data/other.db.upgrade"),
        database.with_file_name("tollgate.db.upgrade"),
    )
    .unwrap();
    gateway.prepare_successor();
    gateway.signal(SIGQUIT);
    gateway.wait_for_log("not replaced, this process goes on serving").await;
    gateway.write_config(&yaml);
    gateway.chat(QUESTION).await.expect(200);
    go.set();
    for answer in finish(streams).await {
        assert!(answer.text().ends_with(DONE_EVENT));
    }
    wait_for("it is booked", || outcomes(&gateway, "ok").len() == 3).await;
    gateway.stop();
    assert_books(&gateway, 2_700, 3);
}

#[tokio::test]
async fn if_the_new_process_dies_the_old_one_writes_the_ends_of_its_streams_itself() {
    let go = Signal::new();
    let upstream = patient_upstream(&go);
    let mut gateway = Gateway::start(&Config::chain(&[&upstream]));
    let streams = begin(&gateway, 3).await;
    let former = gateway.hand_over();
    gateway.chat(QUESTION).await.expect(200);
    wait_for("it is booked", || outcomes(&gateway, "ok").len() == 1).await;
    let lost = Begun::new(&gateway).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    gateway.kill();

    go.set();
    for answer in finish(streams).await {
        assert!(answer.whole && answer.text().ends_with(DONE_EVENT), "{}", answer.text());
    }
    assert_eq!(former.end(), Some(0));
    assert!(!lost.rest().await.whole);
    assert_eq!(outcomes(&gateway, "ok").len(), 4, "the old one has written them");
    gateway.launch();
    let interrupted = outcomes(&gateway, "interrupted");
    assert_eq!(interrupted.len(), 1, "the new one's own");
    let charge: Nano = interrupted[0]["charge"].as_str().unwrap().parse().unwrap();
    let summary = gateway.audit();
    assert_eq!(summary["holds"], 0, "{summary:#}");
    assert_eq!(gateway.balance("alice").0, Nano(100_000_000_000 - 4 * 2_700 - charge.0).to_string());
}

#[tokio::test]
async fn if_the_new_process_is_stopped_first_the_old_one_writes_again() {
    let go = Signal::new();
    let upstream = patient_upstream(&go);
    let mut gateway = Gateway::start(&Config::chain(&[&upstream]));
    let streams = begin(&gateway, 3).await;
    let former = gateway.hand_over();
    gateway.chat(QUESTION).await.expect(200);
    gateway.stop();
    go.set();
    assert!(finish(streams).await.iter().all(|answer| answer.text().ends_with(DONE_EVENT)));
    assert_eq!(former.end(), Some(0));
    assert_books(&gateway, 2_700, 4);
    gateway.launch();
    assert_books(&gateway, 2_700, 4);
}

#[tokio::test]
async fn if_the_old_process_dies_the_new_one_settles_its_streams_without_a_restart() {
    let go = Signal::new();
    let upstream = patient_upstream(&go);
    let mut gateway = Gateway::start(&Config::chain(&[&upstream]));
    let streams = begin(&gateway, 3).await;
    let held = gateway.balance("alice").1;
    let former = gateway.hand_over();
    assert_eq!(gateway.balance("alice").1, held);
    let shown = || async { gateway.get("/v1/key", &gateway.key.secret).await.json() };
    assert_eq!(shown().await["account"]["held"], held.as_str(), "memory knows it too");
    former.kill();
    for answer in finish(streams).await {
        assert!(!answer.whole);
    }
    wait_for("they are settled", || outcomes(&gateway, "interrupted").len() == 3).await;
    assert_eq!(shown().await["account"]["held"], "0");
    assert_eq!(gateway.audit()["holds"], 0);
    let charges = outcomes(&gateway, "interrupted");
    let charged: i64 = charges.iter().map(|row| row["charge"].as_str().unwrap().parse::<Nano>().unwrap().0).sum();
    assert!(charged > 0, "a checkpoint says what had come");
    assert_eq!(gateway.balance("alice").0, Nano(100_000_000_000 - charged).to_string());
    assert_eq!(shown().await["account"]["balance"], Nano(100_000_000_000 - charged).to_string());
    gateway.chat(QUESTION).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_http2_change_over_without_an_error() {
    let go = Signal::new();
    go.set();
    let upstream = patient_upstream(&go);
    let mut gateway = Gateway::start(&Config::chain(&[&upstream]));
    let stop = Arc::new(AtomicBool::new(false));
    let (client, url) = (client::http2(), format!("http://{}/v1/chat/completions", gateway.edge()));
    let mut clients = JoinSet::new();
    for client_number in 0..4 {
        let body = if client_number % 2 == 0 { QUESTION } else { STREAMED };
        let (stop, request) = (stop.clone(), client.post(&url).bearer_auth(&gateway.key.secret).body(body));
        clients.spawn(async move {
            let (mut answered, mut sent_away) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                let request = request.try_clone().unwrap();
                let answer = request.send().await.unwrap();
                match answer.status().as_u16() {
                    200 => answered += 1,
                    503 => sent_away += 1,
                    status => panic!("{status}"),
                }
                answer.bytes().await.unwrap();
            }
            (answered, sent_away)
        });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let former = tokio::task::block_in_place(|| gateway.hand_over());
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    let (mut answered, mut sent_away) = (0, 0);
    while let Some(counts) = clients.join_next().await {
        let counts = counts.unwrap();
        answered += counts.0;
        sent_away += counts.1;
    }
    eprintln!("{answered} answered, {sent_away} sent away");
    drop(client);
    assert_eq!(former.end(), Some(0));
    wait_for("every hold is given back", || gateway.balance("alice").1 == "0").await;
    assert_books(&gateway, 2_700, answered);
}

/// Whoever dies, and whenever: what is left serves or says that it does not, and the books are right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_of_an_upgrade_the_books_stay_right() {
    let go = Signal::new();
    let upstream = patient_upstream(&go);
    let mut gateway = Gateway::start(&Config::chain(&[&upstream]));
    let mut random = stand::Random::from_env();
    for round in 0..8 {
        let streams = begin(&gateway, 3).await;
        let asked = gateway.chat(QUESTION).await.expect(200);
        gateway.prepare_successor();
        gateway.signal(SIGQUIT);
        tokio::time::sleep(Duration::from_millis(random.below(500))).await;
        match round % 2 {
            0 => gateway.kill(),
            _ => gateway.kill_successor(),
        }
        tokio::time::sleep(Duration::from_millis(random.below(200))).await;
        gateway.audit();
        gateway.kill_all();
        drop(streams);
        gateway.launch();
        // Its end is written behind the answer; the process may not have lived to see that.
        let outcome = gateway.record(&asked.head).await["outcome"].clone();
        assert!(outcome == "ok" || outcome == "interrupted", "{outcome}");
        let summary = gateway.audit();
        assert_eq!(summary["holds"], 0, "{summary:#}");
    }
    // One record each, and none twice.
    let recorded = ["ok", "interrupted", "client_gone"].map(|outcome| outcomes(&gateway, outcome).len());
    assert_eq!(recorded.iter().sum::<usize>(), 8 * 4, "{recorded:?}");
}

#[tokio::test]
async fn one_upgrade_after_the_other() {
    let upstream = Upstream::hello();
    let mut gateway = Gateway::start(&Config::chain(&[&upstream]));
    for round in 1..=3 {
        gateway.chat(QUESTION).await.expect(200);
        let former = gateway.hand_over();
        assert_eq!(former.end(), Some(0));
        let ended = || gateway.log().matches("the process before this one has ended").count() == round;
        wait_for("the new one knows", ended).await;
    }
    assert_books(&gateway, 2_700, 3);
}

#[tokio::test]
async fn while_the_last_upgrade_is_under_way_there_is_no_next_one() {
    let go = Signal::new();
    let upstream = patient_upstream(&go);
    let mut gateway = Gateway::start(&Config::chain(&[&upstream]));
    let streams = begin(&gateway, 1).await;
    let former = gateway.hand_over();
    gateway.prepare_successor();
    gateway.signal(SIGQUIT);
    gateway.wait_for_log("the process before this one still runs requests").await;
    gateway.chat(QUESTION).await.expect(200);
    // Another one must not push in.
    let (code, _, words) = gateway.run(&["serve", "--upgrade"]);
    assert_eq!(code, Some(1));
    assert!(words.contains("another process waits already"), "{words}");
    go.set();
    assert!(finish(streams).await[0].text().ends_with(DONE_EVENT));
    assert_eq!(former.end(), Some(0));
}
