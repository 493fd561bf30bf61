//! The gateway without its sockets: what the edge does with a request, stage after stage, in one thread.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tollgate::config;
use tollgate::core::secret::Secret;
use tollgate::ledger::{Ledger, Options};
use tollgate::limits::LocalLimiter;
use tollgate::metrics::Metrics;
use tollgate::pipeline::authenticate::Presented;
use tollgate::pipeline::meter::Step;
use tollgate::pipeline::{Exchange, Pipeline, Settings, Snapshot};
use tollgate::protocol::endpoint::Endpoint::ChatCompletions;
use tollgate::store::sqlite::{Durability, Sqlite};
use tollgate::upstream::Fleet;

use super::books::{self, Extent, scattered};

#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub keys: usize,
    pub models: usize,
    pub records: u64,
}

pub struct Gateway {
    pipeline: Arc<Pipeline>,
    runtime: Runtime,
    keys: Vec<Secret>,
    /// A request for each model.
    bodies: Vec<Bytes>,
    served: u64,
    _folder: TempDir,
}

impl Gateway {
    pub fn start(size: Size) -> Result<Gateway> {
        // Beside the build, not in /tmp: that is often memory, where a commit costs nothing.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
        let file = folder.path().join("books.db");
        let keys = books::write(&file, Extent { keys: size.keys, records: size.records });
        let storage = Sqlite::open(&file, Durability::Full)?;
        let (journal, library) = (Box::new(storage.journal()?), Box::new(storage.library()?));
        let (ledger, _) = Ledger::open(journal, library, Options::default(), now_ms())?;

        let config_file = folder.path().join("tollgate.yaml");
        fs::write(&config_file, configuration(size.models))?;
        let config = config::load(&config_file, &|_| None)?.config;
        let catalog = Arc::new(config.catalog);
        let fleet = Fleet::build(&catalog, None, None, Instant::now());
        let settings = Settings {
            base_paths: config.edge.base_paths,
            body_bytes_max: config.edge.max_body,
            body_timeout: config.edge.body_timeout,
            trusted_proxies: Vec::new(),
        };
        let pipeline = Pipeline::new(
            Snapshot::build(catalog, fleet, None),
            ledger,
            Arc::new(LocalLimiter::new(Instant::now())),
            Arc::new(Metrics::new()?),
            Box::new(storage.library()?),
            settings,
            config.edge.body_memory,
        );
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let bodies = (0..size.models).map(|number| body(&model(number))).collect();
        Ok(Gateway { pipeline: Arc::new(pipeline), runtime, keys, bodies, served: 0, _folder: folder })
    }

    /// So many requests, [`TOGETHER`] at a time, with keys and models as they come.
    pub fn serve(&mut self, requests: u64) -> Result<()> {
        let end = self.served + requests;
        while self.served < end {
            let mut running = Vec::with_capacity(TOGETHER);
            for _ in 0..TOGETHER {
                running.push(self.ask()?);
                self.served += 1;
            }
            for exchange in &mut running {
                self.answer(exchange)?;
            }
        }
        // What the last of them had the ledger write belongs to them.
        let deadline = Instant::now() + PATIENCE;
        while self.pipeline.ledger.stats().queue_entries > 0 {
            if Instant::now() > deadline {
                bail!("the ledger does not come to an end");
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// As far as the upstream's call.
    fn ask(&self) -> Result<Exchange> {
        let key = &self.keys[scattered(self.served, self.keys.len())];
        let body = self.bodies[scattered(self.served, self.bodies.len())].clone();
        let mut exchange = Exchange::new(self.pipeline.clone(), Instant::now(), now_ms());
        let caller = exchange.authenticate(Presented::One(key.expose().as_bytes()), CLIENT).map_err(refused)?;
        exchange.admit(ChatCompletions, &caller, Instant::now()).map_err(refused)?;
        exchange.judge_media(Some(b"application/json"), None).map_err(refused)?;
        let mut lease = self.pipeline.body_memory.lease();
        if !lease.grow_to(body.len() as u64) {
            bail!("there is no room for the body");
        }
        exchange.prepare(body, lease, Instant::now()).map_err(refused)?;
        exchange.next_attempt(Instant::now()).context("no upstream is usable")?;
        exchange.upstream_call().context("there is nothing to send")?;
        Ok(exchange)
    }

    /// From the answer's head to the settlement.
    fn answer(&self, exchange: &mut Exchange) -> Result<()> {
        let hold = exchange.hold().context("nothing is held")?;
        self.runtime.block_on(hold.committed())?;
        exchange.answer_begins(200, b"application/json", false, Instant::now());
        let step = exchange.answer_piece(Some(Bytes::from_static(ANSWER.as_bytes())), true, Instant::now());
        if !matches!(&step, Step::Pass(out) if out.len() >= ANSWER.len()) {
            bail!("the answer did not pass: {step:?}");
        }
        exchange.status = 200;
        exchange.finish(Instant::now());
        Ok(())
    }
}

fn refused(error: tollgate::core::api_error::ApiError) -> anyhow::Error {
    anyhow::anyhow!("a request was refused: {error:?}")
}

fn configuration(models: usize) -> String {
    let mut text = String::from(
        "storage: {url: \"sqlite:books.db\"}\n\
         upstreams:\n  mock: {kind: openai, base_url: \"http://127.0.0.1:9/v1\", api_keys: [sk-mock]}\n\
         groups:\n  default: {markup: \"1.2\", rpm: 1000000000, tpm: 1000000000000, concurrency: 1000000}\nmodels:\n",
    );
    for number in 0..models {
        let name = model(number);
        writeln!(
            text,
            "  {name}: {{upstreams: [{{name: mock, model: theirs-{number}}}], price: {{input: \"0.15\", output: \"0.60\"}}, \
             max_output_tokens: 16384, output_hold: 4096}}"
        )
        .expect("a string takes all");
    }
    text
}

fn model(number: usize) -> String {
    format!("model-{number}")
}

fn body(model: &str) -> Bytes {
    format!(
        r#"{{"model":"{model}","temperature":0.7,"max_completion_tokens":256,"messages":[{{"role":"system","content":"You are terse."}},{{"role":"user","content":"What is the capital of France, please?"}}]}}"#
    )
    .into()
}

fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since_1970.as_millis()).expect("it is not that late yet")
}

/// As many as wait for one commit together.
const TOGETHER: usize = 16;
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
const POLL: std::time::Duration = std::time::Duration::from_millis(5);
const ANSWER: &str = concat!(
    r#"{"id":"chatcmpl-9f2c8e41","object":"chat.completion","created":1790000000,"model":"theirs","#,
    r#""choices":[{"index":0,"message":{"role":"assistant","content":"The capital of France is Paris, on the Seine.","#,
    r#""refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"completion_tokens":16,"#,
    r#""total_tokens":41},"service_tier":"default","system_fingerprint":"fp_44709d6fcb"}"#,
);
