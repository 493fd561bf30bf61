//! The paths that are counted: what every request, and every event of every stream, makes us do.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use tollgate::core::account::AccountId;
use tollgate::core::key::{self, KeyId, Limits};
use tollgate::core::money::{Markup, Nano, Pico};
use tollgate::core::price::{Bound, Price, Rate};
use tollgate::core::usage::Usage;
use tollgate::limits::{Limiter, LocalLimiter, Subject};
use tollgate::pipeline::meter::{Meter, Step};
use tollgate::protocol::endpoint::Endpoint::ChatCompletions;
use tollgate::protocol::request;
use tollgate::store::contract::{Change, Desk, HoldRow, Journal, NewKey, Outcome, RequestId, RequestRow};
use tollgate::store::sqlite::{Durability, Sqlite};

pub struct HotPath {
    pub name: &'static str,
    pub run: fn(u64),
    /// How often it runs the first time.
    pub times: u64,
    /// What one run consists of.
    pub units: u64,
}

pub const ALL: &[HotPath] = &[
    HotPath { name: "understand", run: understand, times: 50, units: 1 },
    HotPath { name: "admit", run: admit, times: 200, units: 1 },
    HotPath { name: "price", run: price, times: 500, units: 1 },
    HotPath { name: "meter_event", run: meter_events, times: 2, units: EVENTS },
    HotPath { name: "meter_answer", run: meter_answers, times: 50, units: 1 },
    HotPath { name: "ledger_promise", run: ledger_promises, times: 2, units: GROUP },
    HotPath { name: "ledger_hold", run: ledger_holds, times: 2, units: GROUP },
    HotPath { name: "ledger_settlement", run: ledger_settlements, times: 2, units: GROUP },
];

/// The strict pass over a body, and its edit for an upstream.
fn understand(times: u64) {
    let body = Bytes::from_static(BODY.as_bytes());
    for _ in 0..times {
        let facts = request::understand(ChatCompletions, black_box(&body)).expect("the body is well formed");
        black_box(facts.rewrite(&body, "their-model", true));
    }
}

/// The key's checksum and hash, and the count of a request in both of its windows.
fn admit(times: u64) {
    let key = key::generate().expect("the machine has a source of randomness");
    let text = key.expose().as_bytes();
    let start = Instant::now();
    let limiter = LocalLimiter::new(start);
    for number in 0..times {
        assert!(key::is_well_formed(black_box(text)));
        black_box(key::hash(text));
        let now = start + Duration::from_micros(10 * number);
        let subjects = [(Subject::Key(KeyId(1)), HIGH), (Subject::Account(AccountId(1)), HIGH)];
        let mut permit = limiter.admit(black_box(&subjects), now).expect("the limits are high");
        permit.take_tokens(1_000, now).expect("the limits are high");
        permit.true_up(300, now);
    }
}

/// The most that a request can cost, and what it did cost.
fn price(times: u64) {
    let rate =
        Rate { input: Pico(4_000_000), cached_input: Some(Pico(400_000)), output: Pico(20_000_000), ..Rate::default() };
    let price = Price { rates: vec![rate], ..Price::default() };
    let usage =
        Usage { input_text: 1_200, input_cached: 800, output_text: 340, output_reasoning: 90, ..Usage::default() };
    let bound = Bound { input_tokens: 2_400, output_tokens: 4_096, ..Bound::default() };
    let markup = Markup(1_200_000);
    for _ in 0..times {
        black_box(price.ceiling(black_box(&bound), NOW_MS, markup));
        black_box(price.bill(black_box(&usage), NOW_MS, markup).total());
    }
}

/// A stream, an event to a piece, with a report of usage that the client did not ask for.
fn meter_events(times: u64) {
    let event = |rest: &str| Bytes::from(format!("data: {{{FRAME},{rest}}}\n\n"));
    let content = event(r#""choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]"#);
    let mut events = vec![content; EVENTS as usize - 3];
    events.push(event(r#""choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]"#));
    events.push(event(&format!(r#""choices":[],{USAGE}"#)));
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    for _ in 0..times {
        let now = Instant::now();
        let mut meter = Meter::stream(ChatCompletions, false, now);
        for event in &events {
            passes(meter.feed(Some(event.clone()), false, now));
        }
        passes(meter.feed(None, true, now));
    }
}

fn meter_answers(times: u64) {
    let message = r#"{"role":"assistant","content":"Paris lies on the Seine.","refusal":null}"#;
    let body = format!(r#"{{{FRAME},"choices":[{{"index":0,"message":{message},"finish_reason":"stop"}}],{USAGE}}}"#);
    let body = Bytes::from(body);
    for _ in 0..times {
        let now = Instant::now();
        let mut meter = Meter::whole(ChatCompletions, now);
        passes(meter.feed(Some(black_box(body.clone())), true, now));
    }
}

/// What is counted is an answer that passes, not a failure.
fn passes(step: Step) {
    let Step::Pass(out) = step else { panic!("the answer did not pass: {step:?}") };
    black_box(out);
}

/// Groups of holds that answers wait for.
fn ledger_promises(times: u64) {
    let mut books = Books::open();
    for _ in 0..times {
        let group: Vec<Change> = (0..GROUP).map(|_| books.hold(RequestId::new())).collect();
        assert!(books.journal.promise(&group).expect("the disk works"), "there is room for a few");
    }
}

/// Groups of holds whose requests run on.
fn ledger_holds(times: u64) {
    let mut books = Books::open();
    for _ in 0..times {
        let group: Vec<Change> = (0..GROUP).map(|_| books.hold(RequestId::new())).collect();
        books.journal.commit(&group).expect("the disk works");
    }
}

/// Groups of settlements, of requests whose holds are on disk.
fn ledger_settlements(times: u64) {
    let mut books = Books::open();
    let requests: Vec<RequestId> = (0..GROUP * 2 * 5).map(|_| RequestId::new()).collect();
    // As many for few times as for many: what comes before does not count.
    let holds: Vec<Change> = requests.iter().map(|request| books.hold(*request)).collect();
    books.journal.commit(&holds).expect("the disk works");
    for part in requests.chunks(GROUP as usize).take(usize::try_from(times).expect("a few")) {
        let group: Vec<Change> = part.iter().map(|request| books.settlement(*request)).collect();
        books.journal.commit(&group).expect("the disk works");
    }
}

/// A database file with one account and one key.
struct Books {
    journal: Box<dyn Journal>,
    account: AccountId,
    key: KeyId,
    _folder: TempDir,
}

impl Books {
    fn open() -> Books {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder can be written");
        let sqlite = Sqlite::open(&folder.path().join("books.db"), Durability::Normal).expect("the file can be made");
        let mut desk = sqlite.desk().expect("the file can be written");
        let account = desk.create_account("bench", "default", Nano(1_000_000_000_000), NOW_MS).expect("a free name").id;
        let new_key = NewKey {
            name: "bench".into(),
            hash: key::hash(b"key"),
            prefix: "sk-tg-…".into(),
            expires_at_ms: None,
            models: Vec::new(),
            limits: Limits::default(),
            budget: None,
            allow_ips: Vec::new(),
        };
        let key = desk.create_key(account, &new_key, NOW_MS).expect("the key is new").record.id;
        let journal = Box::new(sqlite.journal().expect("nobody else serves the file"));
        Books { journal, account, key, _folder: folder }
    }

    fn hold(&self, request: RequestId) -> Change {
        Change::Hold(Box::new(HoldRow {
            request,
            account: self.account,
            key: self.key,
            endpoint: ENDPOINT.into(),
            model: MODEL.into(),
            streamed: false,
            amount: Nano(1_000),
            price_version: PRICE_VERSION.into(),
            started_at_ms: NOW_MS,
        }))
    }

    fn settlement(&self, request: RequestId) -> Change {
        Change::Settle(Box::new(RequestRow {
            request,
            account: self.account,
            key: self.key,
            endpoint: ENDPOINT.into(),
            model: MODEL.into(),
            upstream: "mock".into(),
            status: 200,
            outcome: Outcome::Ok,
            estimated: false,
            anomalous: false,
            streamed: false,
            input_tokens: 25,
            cached_input_tokens: 0,
            output_tokens: 16,
            reasoning_tokens: 0,
            charge: Nano(100),
            cost: Nano(100),
            price_version: PRICE_VERSION.into(),
            bill: String::new(),
            started_at_ms: NOW_MS,
            ttft_ms: Some(200),
            duration_ms: 1_500,
        }))
    }
}

const EVENTS: u64 = 200;
const GROUP: u64 = 32;
const NOW_MS: i64 = 1_790_000_000_000;
const ENDPOINT: &str = "chat_completions";
const MODEL: &str = "gpt-4o-mini";
const PRICE_VERSION: &str = "v1";
/// On, and never reached.
const HIGH: Limits = Limits { rpm: Some(u32::MAX), tpm: Some(u64::MAX / 2), concurrency: Some(u32::MAX) };
const BODY: &str = concat!(
    r#"{"model":"gpt-4o-mini","stream":true,"temperature":0.7,"max_completion_tokens":256,"messages":["#,
    r#"{"role":"system","content":"You are terse."},"#,
    r#"{"role":"user","content":"What is the capital of France, please?"}]}"#,
);
const FRAME: &str = concat!(
    r#""id":"chatcmpl-8fJ2","object":"chat.completion.chunk","created":1790000000,"model":"gpt-4o-mini","#,
    r#""service_tier":"default","system_fingerprint":"fp_44709d6fcb""#,
);
const USAGE: &str = r#""usage":{"prompt_tokens":25,"completion_tokens":197,"total_tokens":222}"#;
