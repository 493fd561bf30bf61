//! One round of one gateway: everything that is measured, from its start to a thousand open streams.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::task::LocalSet;

use super::client::{Connection, Events, Target};
use super::gateways::{Gateway, Kind, Mock};
use super::mock::CONTENT_EVENTS;
use super::process::Process;

pub struct Settings {
    pub rounds: u64,
    /// How long each measurement takes.
    pub span: Duration,
    pub open_streams: usize,
}

/// `None`: this one has no process of its own to look at.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub start_ms: Option<f64>,
    pub idle_mib: Option<f64>,
    pub answers_per_s: f64,
    pub cpu_us_per_answer: Option<f64>,
    pub cpu_us_per_event: Option<f64>,
    /// While the upstream thinks [`THINK_MS`].
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub open_mib: Option<f64>,
    /// Answers that were not 200, streams without their end.
    pub failures: u64,
}

pub async fn run(kind: Kind, mock: &Mock, settings: &Settings) -> Result<Figures> {
    // Tasks of one thread: the client takes no more of the machine than it must.
    LocalSet::new().run_until(measure(kind, mock, settings)).await
}

async fn measure(kind: Kind, mock: &Mock, settings: &Settings) -> Result<Figures> {
    let gateway = Gateway::start(kind, mock).await?;
    let (process, target) = (gateway.process.as_ref(), &gateway.target);
    first_answer(target).await?;
    let mut figures = Figures { start_ms: process.map(|process| millis(process.age())), ..Figures::default() };
    figures.idle_mib = process.map(Process::memory_mib).transpose()?;
    // Before it counts: connections are opened, pools filled, pages touched.
    small_requests(target, settings.span / 4).await?;
    measure_answers(process, target, settings, &mut figures).await?;
    measure_events(process, target, &mut figures).await?;
    measure_latency(target, settings, &mut figures).await?;
    measure_open_streams(process, target, settings, &mut figures).await?;
    Ok(figures)
}

/// Asks again and again until it is there.
async fn first_answer(target: &Target) -> Result<()> {
    let (request, deadline) = (target.request(false, ""), Instant::now() + PATIENCE);
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
    figures.answers_per_s = answers as f64 / took.as_secs_f64();
    figures.cpu_us_per_answer = process.map(|_| micros(after - before) / answers.max(1) as f64);
    figures.failures += failures;
    Ok(())
}

/// A closed loop: each connection asks again as soon as it has its answer. Gives answers and failures.
async fn small_requests(target: &Target, span: Duration) -> Result<(u64, u64)> {
    let deadline = Instant::now() + span;
    let request = Rc::new(target.request(false, ""));
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
    let request = Rc::new(target.request(true, &format!("pace={PACE_MS}")));
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
    figures.cpu_us_per_event =
        process.map(|_| cpu(process)).transpose()?.map(|after| micros(after - before) / count as f64);
    Ok(())
}

/// A calm rate, and an upstream that takes its time: what a user feels.
async fn measure_latency(target: &Target, settings: &Settings, figures: &mut Figures) -> Result<()> {
    let request = Rc::new(target.request(false, &format!("think={THINK_MS}")));
    let idle: Rc<std::cell::RefCell<Vec<Connection>>> = Rc::default();
    let mut ticks = tokio::time::interval(Duration::from_millis(1_000 / RATE_PER_S));
    let mut tasks = Vec::new();
    for _ in 0..(settings.span.as_secs() * RATE_PER_S) {
        ticks.tick().await;
        let pooled = idle.borrow_mut().pop();
        let (target, request, idle) = (target.clone(), request.clone(), idle.clone());
        tasks.push(tokio::task::spawn_local(async move {
            let mut connection = match pooled {
                Some(connection) => connection,
                None => target.connect().await?,
            };
            let begun = Instant::now();
            let status = connection.ask(&request, |_| ()).await?;
            let took = begun.elapsed();
            idle.borrow_mut().push(connection);
            anyhow::Ok((status, took))
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        let (status, took) = within(PATIENCE, task).await??;
        figures.failures += u64::from(status != 200);
        times.push(took);
    }
    times.sort();
    figures.p50_ms = millis(times[times.len() / 2]);
    figures.p99_ms = millis(times[times.len() * 99 / 100]);
    Ok(())
}

/// Memory while so many streams are open, each with its first event behind it.
async fn measure_open_streams(
    process: Option<&Process>,
    target: &Target,
    settings: &Settings,
    figures: &mut Figures,
) -> Result<()> {
    let Some(process) = process else { return Ok(()) };
    let request = Rc::new(target.request(true, "pace=1000"));
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
    for task in tasks {
        task.abort();
    }
    Ok(())
}

async fn within<T>(span: Duration, task: tokio::task::JoinHandle<T>) -> Result<T> {
    Ok(tokio::time::timeout(span, task).await.with_context(|| format!("no end after {span:?}"))??)
}

fn cpu(process: Option<&Process>) -> Result<Duration> {
    process.map_or(Ok(Duration::ZERO), Process::cpu)
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
const RATE_PER_S: u64 = 100;
const THINK_MS: u64 = 50;
/// For whatever should take no time at all.
const PATIENCE: Duration = Duration::from_secs(30);
