//! Metering an answer while it passes: the work of each event of each stream.
//!
//! A gateway's cost is mostly this, since one request has hundreds of events. Network pieces come one event at a time
//! from a live model, and many together from a fast one.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tollgate::pipeline::meter::{Meter, Step};
use tollgate::protocol::endpoint::Endpoint::ChatCompletions;

criterion_group!(benches, streams, whole_answers);
criterion_main!(benches);

fn streams(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("meter/stream of 200 events");
    let events = events();
    group.throughput(Throughput::Elements(events.len() as u64));
    for events_per_piece in [1, 20] {
        let pieces: Vec<Bytes> = events.chunks(events_per_piece).map(|events| events.concat().into()).collect();
        for (taken, keeps_usage) in [("usage kept", true), ("usage taken out", false)] {
            group.bench_function(format!("{events_per_piece} to a piece, {taken}"), |bencher| {
                bencher.iter(|| stream(black_box(&pieces), keeps_usage));
            });
        }
    }
}

fn stream(pieces: &[Bytes], keeps_usage: bool) -> Meter {
    let now = Instant::now();
    let mut meter = Meter::stream(ChatCompletions, keeps_usage, now);
    for piece in pieces {
        passes(meter.feed(Some(piece.clone()), false, now));
    }
    passes(meter.feed(None, true, now));
    meter
}

fn whole_answers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("meter/whole answer");
    for (name, text_bytes) in [("400 B", 60), ("16 KB", 16_000)] {
        let body = Bytes::from(answer(text_bytes));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let now = Instant::now();
                let mut meter = Meter::whole(ChatCompletions, now);
                passes(meter.feed(Some(black_box(body.clone())), true, now));
                meter
            });
        });
    }
}

/// What is measured is an answer that passes, not a failure.
fn passes(step: Step) {
    let Step::Pass(out) = step else { panic!("the answer did not pass: {step:?}") };
    black_box(out);
}

/// Content, the reason to finish, usage and the end.
fn events() -> Vec<String> {
    let event = |rest: &str| format!("data: {{{FRAME},{rest}}}\n\n");
    let content = event(r#""choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]"#);
    let mut events = vec![content; 197];
    events.push(event(r#""choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]"#));
    events.push(event(&format!(r#""choices":[],{USAGE}"#)));
    events.push("data: [DONE]\n\n".into());
    events
}

fn answer(text_bytes: usize) -> String {
    let text = "word ".repeat(text_bytes / 5);
    let message = format!(r#"{{"role":"assistant","content":"{text}","refusal":null}}"#);
    format!(r#"{{{FRAME},"choices":[{{"index":0,"message":{message},"finish_reason":"stop"}}],{USAGE}}}"#)
}

const FRAME: &str = concat!(
    r#""id":"chatcmpl-8fJ2","object":"chat.completion.chunk","created":1790000000,"model":"gpt-4o-mini","#,
    r#""service_tier":"default","system_fingerprint":"fp_44709d6fcb""#,
);
const USAGE: &str = r#""usage":{"prompt_tokens":25,"completion_tokens":197,"total_tokens":222}"#;
