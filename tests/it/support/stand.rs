//! A stand for experiments with money: one gateway, one upstream, and requests that say themselves how the upstream
//! shall answer them.
//!
//! Unknown fields of a body pass through, so a request carries its answer's script in the field `play`. Each test then
//! reads from top to bottom: what is asked, how it is answered, what it costs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate::core::money::Nano;

use super::client::{http1, http2};
use super::gateway::{Gateway, Key};
use super::upstream::{self, DONE_EVENT, Reply, Request, Signal, Upstream};
use super::{PATIENCE, eventually, within};

/// The parts of a configuration that a test has an opinion on. The upstream is called `up`.
#[derive(Clone, Copy, Default)]
pub struct Plan<'a> {
    /// Entries of `models`.
    pub models: &'a str,
    /// Entries of `groups`; without any, `default` has no limits.
    pub groups: &'a str,
    /// More members of the upstream, in flow style.
    pub upstream: &'a str,
    /// More members of `edge`, in flow style.
    pub edge: &'a str,
    /// More upstreams: whole lines, with `BASE_URL` where this stand's upstream is meant.
    pub upstreams: &'a str,
}

impl<'a> Plan<'a> {
    pub fn models(models: &'a str) -> Self {
        Plan { models, ..Plan::default() }
    }

    pub fn to_yaml(self, upstream: &Upstream) -> String {
        let more = |members: &str| if members.is_empty() { String::new() } else { format!(", {members}") };
        let groups = if self.groups.is_empty() { "  default: {}\n" } else { self.groups };
        format!(
            "edge: {{listen: [\"127.0.0.1:0\"]{}}}\nconsole: {{listen: \"127.0.0.1:0\"}}\n\
             metrics: {{listen: \"127.0.0.1:0\"}}\nlogging: {{level: info, format: json}}\n\
             storage: {{url: \"sqlite:data/tollgate.db\", durability: normal}}\nupstreams:\n\
             \x20 up: {{kind: openai, base_url: \"{}\", api_keys: [upstream-key]{}}}\n{}groups:\n{groups}\nmodels:\n{}",
            more(self.edge),
            upstream.base_url(),
            more(self.upstream),
            self.upstreams.replace("BASE_URL", &upstream.base_url()),
            self.models,
        )
    }
}

/// How an upstream shall answer: the value of `play` in a request's body.
#[derive(Clone, Debug)]
pub struct Play(Vec<Value>);

impl Play {
    /// A whole chat completion that says `ten bytes.`.
    pub fn whole(usage: Value) -> Play {
        Play::json(upstream::chat_completion(TEN_BYTES, usage))
    }

    pub fn whole_without_usage() -> Play {
        Play::whole(Value::Null)
    }

    /// With this text where the usage stands, be it JSON or not.
    pub fn whole_text(usage: &str) -> Play {
        let body = upstream::chat_completion(TEN_BYTES, json!("USAGE")).to_string();
        Play(vec![json!({"json": body.replace("\"USAGE\"", usage)})])
    }

    pub fn json(body: Value) -> Play {
        Play(vec![json!({"json": body.to_string()})])
    }

    pub fn status(status: u16) -> Play {
        Play(vec![json!({"status": status})])
    }

    /// Closes the connection without an answer.
    pub fn nothing() -> Play {
        Play(vec![json!({"close": true})])
    }

    /// Never answers.
    pub fn silence() -> Play {
        Play(vec![json!({"hang": true})])
    }

    /// The head of a stream and nothing yet.
    pub fn head() -> Play {
        Play(vec![json!({"stream": true})])
    }

    /// The head of a JSON answer and its first half; it has a length that is never reached.
    pub fn half_json() -> Play {
        Play(vec![
            json!({"half": upstream::chat_completion(&TEN_BYTES.repeat(40), upstream::usage(5, 100)).to_string()}),
        ])
    }

    /// A JSON answer so large that it is passed on while it comes, and that stops in the middle.
    pub fn large_json_that_hangs() -> Play {
        Play(vec![json!({"large": LARGE_BYTES}), json!({"hang": true})])
    }

    pub fn deltas(self, count: usize) -> Play {
        (0..count).fold(self, |play, _| play.event(upstream::delta_event(TEN_BYTES)))
    }

    /// A piece of a stream, as it stands.
    pub fn event(mut self, event: impl Into<String>) -> Play {
        self.0.push(json!({"event": event.into()}));
        self
    }

    pub fn usage(self, usage: &Value) -> Play {
        self.event(upstream::usage_event(usage))
    }

    pub fn finish(self) -> Play {
        self.event(upstream::finish_event())
    }

    pub fn done(self) -> Play {
        self.event(DONE_EVENT).end()
    }

    /// The end of the body, whatever stood in it.
    pub fn end(mut self) -> Play {
        self.0.push(json!({"end": true}));
        self
    }

    /// Three deltas, the finish, the usage, `[DONE]`.
    pub fn stream(usage: Value) -> Play {
        Play::head().deltas(3).finish().usage(&usage).done()
    }

    pub fn stream_without_usage() -> Play {
        Play::head().deltas(3).finish().done()
    }

    pub fn stream_with_usage_text(usage: &str) -> Play {
        let event = upstream::usage_event(&json!("USAGE")).replace("\"USAGE\"", usage);
        Play::head().deltas(3).finish().event(event).done()
    }

    pub fn stream_that_breaks_off(deltas: usize) -> Play {
        Play::head().deltas(deltas).given_out().close()
    }

    pub fn stream_that_hangs(deltas: usize) -> Play {
        Play::head().deltas(deltas).hang()
    }

    /// Time for what was sent to reach the client: what breaks off before is another upstream's to answer.
    pub fn given_out(mut self) -> Play {
        self.0.push(json!({"pause": 100}));
        self
    }

    /// Waits here until the test opens this gate.
    pub fn gate(mut self, name: &str) -> Play {
        self.0.push(json!({"gate": name}));
        self
    }

    /// Waits before the first byte until the test opens this gate.
    pub fn gated(mut self, name: &str) -> Play {
        self.0.insert(0, json!({"gate": name}));
        self
    }

    pub fn close(mut self) -> Play {
        self.0.push(json!({"close": true}));
        self
    }

    pub fn hang(mut self) -> Play {
        self.0.push(json!({"hang": true}));
        self
    }

    pub fn into_value(self) -> Value {
        Value::Array(self.0)
    }

    fn perform(play: &Value, gates: &Gates) -> Reply {
        let steps = play.as_array().expect("the request says how it is answered");
        steps.iter().fold(Reply::default(), |reply, step| {
            let (name, value) = step.as_object().and_then(|step| step.iter().next()).expect("a step has a name");
            let text = value.as_str().unwrap_or_default();
            match name.as_str() {
                "json" => reply.then(json_answer(text, text.len())),
                "half" => reply.then(json_answer(&text[..text.len() / 2], text.len())),
                "large" => {
                    let bytes = usize::try_from(value.as_u64().expect("a length")).expect("it fits");
                    let answer = upstream::chat_completion(&"x".repeat(bytes), Value::Null).to_string();
                    reply.then(json_answer(&answer[..bytes], answer.len()))
                }
                "status" => {
                    let status = value.as_u64().expect("a status");
                    let body = r#"{"error":{"message":"scripted","type":"scripted","code":null}}"#;
                    reply.then(format!(
                        "HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    ))
                }
                "stream" => reply.then(upstream::STREAM_HEAD),
                "event" => reply.then_chunk(text),
                "end" => reply.end(),
                "gate" => {
                    let gate = gates.get(text);
                    reply.tell(&gate.reached).wait(&gate.open)
                }
                "pause" => reply.delay(Duration::from_millis(value.as_u64().expect("milliseconds"))),
                "close" => reply.close(),
                "hang" => reply.hang(),
                _ => panic!("no such step: {step}"),
            }
        })
    }
}

fn json_answer(body: &str, length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// Places where plays wait for the test, and the test for plays.
#[derive(Clone, Default)]
struct Gates(Arc<Mutex<HashMap<String, Gate>>>);

#[derive(Clone)]
struct Gate {
    reached: Signal,
    open: Signal,
}

impl Gates {
    fn get(&self, name: &str) -> Gate {
        let mut gates = self.0.lock().expect("nobody panics with it");
        gates.entry(name.into()).or_insert_with(|| Gate { reached: Signal::new(), open: Signal::new() }).clone()
    }
}

/// The protocol between client and gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    H2c,
}

pub const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::H2c];

pub struct Stand {
    pub gateway: Gateway,
    pub upstream: Upstream,
    gates: Gates,
    http1: reqwest::Client,
    h2c: reqwest::Client,
}

impl Stand {
    /// A running gateway without any account.
    pub async fn start(plan: Plan<'_>) -> Stand {
        let gates = Gates::default();
        let plays = gates.clone();
        let script = move |request: &Request, _| Play::perform(&request.json()["play"], &plays);
        let upstream = Upstream::start(script);
        let mut gateway = Gateway::prepare_yaml(&plan.to_yaml(&upstream));
        gateway.launch();
        Stand { gateway, upstream, gates, http1: http1(), h2c: http2() }
    }

    /// Waits until a play stands before this gate.
    pub async fn reached(&self, gate: &str) {
        within(PATIENCE, gate, self.gates.get(gate).reached.wait()).await;
    }

    pub fn open_gate(&self, gate: &str) {
        self.gates.get(gate).open.set();
    }

    /// A command line that must succeed.
    #[track_caller]
    pub fn cli(&self, line: &str) -> Value {
        self.gateway.cli(&line.split_whitespace().collect::<Vec<_>>())
    }

    pub fn account(&self, name: &str, credit: &str) {
        self.account_in("default", name, credit);
    }

    pub fn account_in(&self, group: &str, name: &str, credit: &str) {
        self.cli(&format!("account create {name} --group {group}"));
        if credit != "0" {
            self.cli(&format!("account credit {name} {credit}"));
        }
    }

    /// A key that the running program may not know yet.
    pub fn new_key(&self, account: &str, flags: &str) -> Key {
        self.gateway.new_key(account, &flags.split_whitespace().collect::<Vec<_>>())
    }

    /// A key that works.
    pub async fn key(&self, account: &str, flags: &str) -> String {
        let key = self.new_key(account, flags);
        self.gateway.await_key(&key).await;
        key.secret
    }

    fn client(&self, protocol: Protocol) -> &reqwest::Client {
        match protocol {
            Protocol::Http1 => &self.http1,
            Protocol::H2c => &self.h2c,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gateway.edge())
    }

    pub async fn post(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.post_over(Protocol::Http1, key, path, body).await
    }

    pub async fn post_over(&self, protocol: Protocol, key: &str, path: &str, body: &Value) -> Answer {
        let request = self.client(protocol).post(self.url(path)).bearer_auth(key).json(body);
        Answer::of(request.send().await.expect("the gateway answers")).await
    }

    pub async fn chat(&self, key: &str, body: &Value) -> Answer {
        self.post(key, CHAT, body).await
    }

    pub async fn get(&self, key: &str, path: &str) -> Answer {
        let request = self.http1.get(self.url(path)).bearer_auth(key);
        Answer::of(request.send().await.expect("the gateway answers")).await
    }

    /// A chat's answer, to be read event by event. Dropping it is leaving.
    pub async fn open(&self, protocol: Protocol, key: &str, body: &Value) -> Stream {
        let request = self.client(protocol).post(self.url(CHAT)).bearer_auth(key).json(body);
        let response = within(PATIENCE, "a head", request.send()).await.expect("the gateway answers");
        Stream { status: response.status().as_u16(), id: id_of(response.headers()), response, text: String::new() }
    }

    pub fn balance(&self, account: &str) -> Nano {
        nano(&self.gateway.balance(account).0)
    }

    /// Waits until nothing of an account's is held and everything is written down. A hold need not be in the books before
    /// its charge is, so the books alone do not tell whether a request has ended.
    pub async fn at_rest(&self, account: &str) {
        self.all_at_rest().await;
        let held = || async { self.gateway.balance(account).1 };
        eventually("the account's holds end", held, |held| held == "0").await;
    }

    /// Waits until no request holds money and everything is written down.
    pub async fn all_at_rest(&self) {
        let open = || async {
            let holds = self.metric("tollgate_holds_open").await;
            holds + self.metric("tollgate_ledger_queue_entries").await
        };
        eventually("all holds end", open, |open| *open == 0.0).await;
    }

    /// The records of an account, newest first, once there are as many.
    pub async fn records(&self, account: &str, count: usize) -> Vec<Record> {
        let line = format!("requests --account {account} --limit 100000");
        let all = || async { self.cli(&line).as_array().cloned().unwrap_or_default() };
        let all = eventually("the requests are recorded", all, |all| all.len() >= count).await;
        assert_eq!(all.len(), count, "{all:#?}");
        all.iter().map(|value| self.read_record(value)).collect()
    }

    /// The record of one request, once it is there.
    pub async fn record(&self, id: &str) -> Record {
        let found = || async {
            let all = self.cli("requests --limit 1000");
            all.as_array().and_then(|all| all.iter().find(|record| record["id"] == id).cloned())
        };
        let found = eventually("the request is recorded", found, Option::is_some).await;
        self.read_record(&found.expect("it is there"))
    }

    fn read_record(&self, value: &Value) -> Record {
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let count = |field: &str| value[field].as_u64().expect("a count");
        let (anomalous, bill) = self.read_books(&text("id"));
        Record {
            anomalous,
            bill,
            charge: nano(&text("charge")),
            outcome: text("outcome"),
            price_version: text("price_version"),
            status: count("status"),
            estimated: value["estimated"].as_bool().expect("a boolean"),
            streamed: value["streamed"].as_bool().expect("a boolean"),
            input_tokens: count("input_tokens"),
            output_tokens: count("output_tokens"),
            id: text("id"),
        }
    }

    /// What the command line does not show.
    fn read_books(&self, id: &str) -> (bool, String) {
        let books = rusqlite::Connection::open(self.database()).expect("the books can be read");
        let id = id.trim_start_matches("req_").replace('-', "").to_uppercase();
        let query = "SELECT anomalous, bill FROM request WHERE hex(id) = ?1";
        books.query_row(query, [id], |row| Ok((row.get(0)?, row.get(1)?))).expect("the request is recorded")
    }

    pub fn database(&self) -> std::path::PathBuf {
        self.gateway.folder().join("data/tollgate.db")
    }

    /// The charges in an account's ledger.
    pub fn charges(&self, account: &str) -> Vec<Nano> {
        let ledger = self.cli(&format!("ledger --account {account} --limit 100000"));
        let charges = ledger.as_array().expect("a list").iter().filter(|entry| entry["kind"] == "charge");
        charges.map(|entry| nano(entry["amount"].as_str().expect("an amount")).saturating_neg()).collect()
    }

    pub async fn metric(&self, name: &str) -> f64 {
        self.gateway.metric(name).await
    }
}

/// What the books say about one request.
#[derive(Clone, Debug)]
pub struct Record {
    pub id: String,
    pub outcome: String,
    pub status: u64,
    pub charge: Nano,
    pub estimated: bool,
    pub anomalous: bool,
    pub bill: String,
    pub streamed: bool,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub price_version: String,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: reqwest::header::HeaderMap,
    body: Bytes,
    /// False if it broke off.
    pub whole: bool,
}

impl Answer {
    async fn of(mut response: reqwest::Response) -> Answer {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        let whole = loop {
            match within(PATIENCE, "the answer goes on", response.chunk()).await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        Answer { status, headers, body: body.into(), whole }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("headers are text"))
    }

    pub fn id(&self) -> String {
        id_of(&self.headers)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The error's code; empty where there is none.
    pub fn code(&self) -> String {
        let value: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        value["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// An answer on its way.
pub struct Stream {
    pub status: u16,
    pub id: String,
    response: reqwest::Response,
    text: String,
}

impl Stream {
    /// The next event without its blank line; `None` at the end.
    pub async fn event(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = event.to_owned();
                self.text = rest.to_owned();
                return Some(event);
            }
            let chunk = within(PATIENCE, "the stream goes on", self.response.chunk()).await;
            self.text.push_str(std::str::from_utf8(&chunk.ok()??).expect("these streams are ASCII"));
        }
    }

    /// The next bytes, whatever they are.
    pub async fn piece(&mut self) -> Option<Bytes> {
        within(PATIENCE, "the answer goes on", self.response.chunk()).await.ok()?
    }

    /// All events that still come.
    pub async fn rest(mut self) -> Vec<String> {
        let mut events = Vec::new();
        while let Some(event) = self.event().await {
            events.push(event);
        }
        events
    }
}

fn id_of(headers: &reqwest::header::HeaderMap) -> String {
    headers.get("x-request-id").expect("every answer has an id").to_str().expect("an id is text").to_owned()
}

/// A chat with 40 bytes of text, which is about 10 tokens.
pub fn chat(model: &str, play: Play) -> Value {
    let content = "twenty bytes of text".repeat(2);
    json!({"model": model, "messages": [{"role": "user", "content": content}], "play": play.into_value()})
}

pub fn streamed(model: &str, play: Play) -> Value {
    let mut body = chat(model, play);
    body["stream"] = json!(true);
    body
}

#[track_caller]
pub fn nano(text: &str) -> Nano {
    text.parse().unwrap_or_else(|_| panic!("no amount: {text:?}"))
}

/// Numbers that look like chance and can be had again: the seed is printed, and `TOLLGATE_SEED` sets it.
pub struct Random(u64);

impl Random {
    pub fn from_env() -> Random {
        let chosen = std::env::var("TOLLGATE_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = chosen.unwrap_or_else(|| u64::from(std::process::id()));
        println!("TOLLGATE_SEED={seed}");
        Random(seed)
    }

    /// SplitMix64 (Steele, Lea, Flood 2014), modulo the bound; the bias does not matter here.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Above what the gateway keeps back of a JSON answer.
const LARGE_BYTES: usize = 12 * 1024 * 1024;
const TEN_BYTES: &str = "ten bytes.";
const CHAT: &str = "/v1/chat/completions";
