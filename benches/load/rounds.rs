//! One round of one gateway: everything that is measured, from its start to the largest body.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::task::LocalSet;

use super::client::{Connection, Events, Target};
use super::gateways::{Gateway, Kind, World};
use super::mock::CONTENT_EVENTS;
use super::process::{Cpu, Process};

pub struct Settings {
    pub rounds: u64,
    /// How long the closed loop takes.
    pub span: Duration,
    pub open_streams: usize,
}

/// `None`: not measured here, or there is no process to look at.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub start_ms: Option<f64>,
    pub idle_mib: Option<f64>,
    pub answers_per_s: Option<f64>,
    pub cpu_us_per_answer: Option<f64>,
    pub cpu_us_per_event: Option<f64>,
    /// While the upstream thinks [`THINK_MS`].
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// From the request to the first piece of a stream's body, likewise.
    pub first_p50_ms: Option<f64>,
    pub first_p99_ms: Option<f64>,
    pub open_mib: Option<f64>,
    /// Streams that the upstream still writes [`LEFT_AFTER`] after all clients have gone.
    pub left_open: Option<f64>,
    /// Memory that bodies of [`BODY_BYTES`] take, one after the other, and CPU for each.
    pub body_mib: Option<f64>,
    pub body_cpu_ms: Option<f64>,
    /// Answers that were not 200, streams without their end.
    pub failures: u64,
}

pub async fn run(kind: Kind, world: &World, settings: &Settings) -> Result<Figures> {
    // Tasks of one thread: the client takes no more of the machine than it must.
    LocalSet::new().run_until(measure(kind, world, settings)).await
}

async fn measure(kind: Kind, world: &World, settings: &Settings) -> Result<Figures> {
    let mut figures = Figures::default();
    measure_traffic(kind, world, settings, &mut figures).await?;
    if !matches!(kind, Kind::Direct | Kind::Large) {
        // A fresh one: what a thousand streams have freed would be taken for the bodies, and not be seen.
        let gateway = Gateway::start(kind, world).await?;
        first_answer(&gateway.target).await?;
        if let Some(process) = &gateway.process {
            measure_bodies(process, &gateway.target, &mut figures).await?;
        }
    }
    Ok(figures)
}

async fn measure_traffic(kind: Kind, world: &World, settings: &Settings, figures: &mut Figures) -> Result<()> {
    let gateway = Gateway::start(kind, world).await?;
    let (process, target) = (gateway.process.as_ref(), &gateway.target);
    first_answer(target).await?;
    figures.start_ms = process.map(|process| millis(process.age()));
    figures.idle_mib = process.map(Process::memory_mib).transpose()?;
    // Before it counts: connections are opened, pools filled, pages touched.
    small_requests(target, settings.span / 4).await?;
    measure_answers(process, target, settings, figures).await?;
    if kind == Kind::Large {
        return Ok(());
    }
    measure_events(process, target, figures).await?;
    measure_latency(target, figures).await?;
    if let Some(process) = process {
        measure_open_streams(process, target, world, settings, figures).await?;
    }
    Ok(())
}

/// Asks again and again until it is there.
async fn first_answer(target: &Target) -> Result<()> {
    let (request, deadline) = (target.question(false, ""), Instant::now() + PATIENCE);
    while Instant::now() < deadline {
        if let Ok(mut connection) = target.connect().await
            && connection.ask(&request, |_| ()).await.is_ok_and(|status| status == 200)
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bail!("no answer with 200 within {PATIENCE:?}")
}

async fn measure_answers(
    process: Option<&Process>,
    target: &Target,
    settings: &Settings,
    figures: &mut Figures,
) -> Result<()> {
    let (before, begun) = (cpu(process)?, Instant::now());
    let (answers, failures) = small_requests(target, settings.span).await?;
    let (after, took) = (cpu(process)?, begun.elapsed());
    figures.answers_per_s = Some(answers as f64 / took.as_secs_f64());
    figures.cpu_us_per_answer = process.map(|_| micros(after.since(before)) / answers.max(1) as f64);
    figures.failures += failures;
    Ok(())
}

/// A closed loop: each connection asks again as soon as it has its answer. Gives answers and failures.
async fn small_requests(target: &Target, span: Duration) -> Result<(u64, u64)> {
    let deadline = Instant::now() + span;
    let request = Rc::new(target.question(false, ""));
    let mut tasks = Vec::new();
    for _ in 0..CONNECTIONS {
        let (mut connection, request) = (target.connect().await?, request.clone());
        tasks.push(tokio::task::spawn_local(async move {
            let (mut answers, mut failures) = (0u64, 0u64);
            while Instant::now() < deadline {
                match connection.ask(&request, |_| ()).await? {
                    200 => answers += 1,
                    _ => failures += 1,
                }
            }
            anyhow::Ok((answers, failures))
        }));
    }
    let mut sum = (0, 0);
    for task in tasks {
        let (answers, failures) = within(span + PATIENCE, task).await??;
        sum = (sum.0 + answers, sum.1 + failures);
    }
    Ok(sum)
}

/// Streams side by side whose events come one by one, as a model writes them.
async fn measure_events(process: Option<&Process>, target: &Target, figures: &mut Figures) -> Result<()> {
    let before = cpu(process)?;
    let request = Rc::new(target.question(true, &format!("pace={PACE_MS}")));
    let mut tasks = Vec::new();
    for number in 0..STREAMS {
        let (target, request) = (target.clone(), request.clone());
        tasks.push(tokio::task::spawn_local(async move {
            // Not all at the same moment.
            tokio::time::sleep(Duration::from_millis(number * PACE_MS / STREAMS)).await;
            let mut events = Events::default();
            let status = target.connect().await?.ask(&request, |piece| events.feed(piece)).await?;
            anyhow::Ok((status, events))
        }));
    }
    let mut count = 0;
    for task in tasks {
        let (status, events) = within(STREAM_TIME * 2 + PATIENCE, task).await??;
        count += events.count;
        figures.failures += u64::from(status != 200 || !events.done || events.count < CONTENT_EVENTS);
    }
    let after = cpu(process)?;
    figures.cpu_us_per_event = process.map(|_| micros(after.since(before)) / count as f64);
    Ok(())
}

/// A calm rate, and an upstream that takes its time: what a user feels.
async fn measure_latency(target: &Target, figures: &mut Figures) -> Result<()> {
    let whole = at_a_rate(target, target.question(false, &format!("think={THINK_MS}")), figures).await?;
    (figures.p50_ms, figures.p99_ms) = percentiles(whole.iter().map(|answer| answer.whole).collect());
    let streamed = target.question(true, &format!("think={THINK_MS} events=4"));
    let streamed = at_a_rate(target, streamed, figures).await?;
    (figures.first_p50_ms, figures.first_p99_ms) = percentiles(streamed.iter().map(|answer| answer.first).collect());
    Ok(())
}

/// How long an answer took.
struct Took {
    /// Until the first piece of its body.
    first: Duration,
    whole: Duration,
}

/// An open loop: requests begin when it is time, whether or not those before have their answers.
async fn at_a_rate(target: &Target, request: Vec<u8>, figures: &mut Figures) -> Result<Vec<Took>> {
    let request = Rc::new(request);
    let idle: Rc<RefCell<Vec<Connection>>> = Rc::default();
    let mut ticks = tokio::time::interval(Duration::from_millis(1_000 / RATE_PER_S));
    let mut tasks = Vec::new();
    for _ in 0..SAMPLES {
        ticks.tick().await;
        let pooled = idle.borrow_mut().pop();
        let (target, request, idle) = (target.clone(), request.clone(), idle.clone());
        tasks.push(tokio::task::spawn_local(async move {
            let mut connection = match pooled {
                Some(connection) => connection,
                None => target.connect().await?,
            };
            let (begun, mut first) = (Instant::now(), None);
            let on_piece = |_: &[u8]| first = first.or_else(|| Some(begun.elapsed()));
            let status = connection.ask(&request, on_piece).await?;
            let whole = begun.elapsed();
            idle.borrow_mut().push(connection);
            anyhow::Ok((status, Took { first: first.unwrap_or(whole), whole }))
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        let (status, took) = within(PATIENCE, task).await??;
        figures.failures += u64::from(status != 200);
        all.push(took);
    }
    Ok(all)
}

/// The 50th and the 99th, in milliseconds.
pub fn percentiles(mut times: Vec<Duration>) -> (Option<f64>, Option<f64>) {
    times.sort();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().map(millis);
    (at(50), at(99))
}

/// Memory while so many streams are open, each with its first event behind it; then every client leaves.
async fn measure_open_streams(
    process: &Process,
    target: &Target,
    world: &World,
    settings: &Settings,
    figures: &mut Figures,
) -> Result<()> {
    let request = Rc::new(target.question(true, "pace=1000"));
    let open = Rc::new(Cell::new(0));
    let mut tasks = Vec::new();
    for _ in 0..settings.open_streams {
        let (mut connection, request, open) = (target.connect().await?, request.clone(), open.clone());
        tasks.push(tokio::task::spawn_local(async move {
            let mut begun = false;
            let on_piece = |_: &[u8]| {
                open.set(open.get() + usize::from(!begun));
                begun = true;
            };
            connection.ask(&request, on_piece).await
        }));
    }
    let deadline = Instant::now() + PATIENCE;
    while open.get() < settings.open_streams && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    figures.failures += (settings.open_streams - open.get()) as u64;
    figures.open_mib = Some(process.memory_mib()?);
    let all = world.open_streams().await?;
    figures.failures += (settings.open_streams as u64).saturating_sub(all);
    for task in &tasks {
        task.abort();
    }
    for task in tasks {
        // It was aborted, or its answer has broken off: gone either way.
        task.await.ok();
    }
    tokio::time::sleep(LEFT_AFTER).await;
    figures.left_open = Some(world.open_streams().await? as f64);
    Ok(())
}

/// The largest that people send: pictures inside a question.
async fn measure_bodies(process: &Process, target: &Target, figures: &mut Figures) -> Result<()> {
    let request = target.picture(BODY_BYTES);
    let mut connection = target.connect().await?;
    process.forget_peak()?;
    let (resident, before) = (process.resident_mib()?, process.cpu()?);
    for _ in 0..BODIES {
        let asked = connection.ask(&request, |_| ());
        let status = tokio::time::timeout(PATIENCE, asked).await.context("no answer to a large body")??;
        figures.failures += u64::from(status != 200);
    }
    figures.body_cpu_ms = Some(millis(process.cpu()?.since(before)) / f64::from(BODIES));
    figures.body_mib = Some(process.peak_mib()? - resident);
    Ok(())
}

async fn within<T>(span: Duration, task: tokio::task::JoinHandle<T>) -> Result<T> {
    Ok(tokio::time::timeout(span, task).await.with_context(|| format!("no end after {span:?}"))??)
}

fn cpu(process: Option<&Process>) -> Result<Cpu> {
    process.map_or(Ok(Cpu::default()), Process::cpu)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

const CONNECTIONS: usize = 16;
const STREAMS: u64 = 50;
const PACE_MS: u64 = 20;
const STREAM_TIME: Duration = Duration::from_millis(PACE_MS * CONTENT_EVENTS);
const RATE_PER_S: u64 = 200;
/// Enough for a 99th percentile.
const SAMPLES: u64 = 1_000;
const THINK_MS: u64 = 50;
const LEFT_AFTER: Duration = Duration::from_secs(3);
pub const BODY_BYTES: usize = 20_000_000;
const BODIES: u32 = 3;
/// For whatever should take no time at all.
const PATIENCE: Duration = Duration::from_secs(30);
