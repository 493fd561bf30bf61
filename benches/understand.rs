//! Reading a request's body, and editing it for an upstream.
//!
//! Both run once per request on a thread that other streams wait for, so the largest body sets everybody's delay. Text
//! is read byte by byte; pictures travel as base64, which is skipped fast or not at all.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tollgate::protocol::endpoint::Endpoint::ChatCompletions;
use tollgate::protocol::request::understand;

criterion_group!(benches, reading, editing);
criterion_main!(benches);

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("understand");
    for (name, body) in bodies() {
        group.sample_size(if body.len() > 1_000_000 { 20 } else { 100 });
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| understand(ChatCompletions, black_box(&body)).expect("the body is well formed"));
        });
    }
}

/// The model's name and the wish for usage: the time must not depend on the size.
fn editing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rewrite");
    for (name, body) in bodies() {
        let facts = understand(ChatCompletions, &body).expect("the body is well formed");
        group.bench_function(name, |bencher| bencher.iter(|| facts.rewrite(black_box(&body), "their-model", true)));
    }
}

fn bodies() -> [(&'static str, Bytes); 4] {
    [
        ("213 B", chat(SHORT_QUESTION)),
        ("60 KB", chat(&conversation(60_000))),
        ("5 MB", chat(&photo(5_000_000))),
        ("20 MB", chat(&photo(20_000_000))),
    ]
}

fn chat(messages: &str) -> Bytes {
    let head = r#"{"model":"gpt-4o-mini","stream":true,"temperature":0.7,"max_completion_tokens":256,"messages":["#;
    format!("{head}{messages}]}}").into()
}

/// Turns of text with the escapes that prose and code have.
fn conversation(bytes: usize) -> String {
    let turn = concat!(
        r#"{"role":"user","content":"He said: \"It is 20\u00b0 outside\".\n\nfn main() {\n\tprintln!(\"hi\");\n}\n"},"#,
        r#"{"role":"assistant","content":"That prints one word. Compile it with rustc, then run what came out of it."},"#,
    );
    let turns = turn.repeat(bytes / turn.len());
    turns.trim_end_matches(',').to_owned()
}

fn photo(bytes: usize) -> String {
    let data = "iVBORw0KGgoAAAANSUhEUg+/".repeat(bytes / 24);
    let question = r#"{"type":"text","text":"What is on this picture?"}"#;
    let picture = format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}"#);
    format!(r#"{{"role":"user","content":[{question},{picture}]}}"#)
}

const SHORT_QUESTION: &str = concat!(
    r#"{"role":"system","content":"You are terse."},"#,
    r#"{"role":"user","content":"What is the capital of France, please?"}"#,
);
