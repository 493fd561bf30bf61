//! Admission: is this a key of ours, and is there room for one more request?
//!
//! The first stages of every request, refused ones included: what an attacker can make us do for nothing.

use std::cell::Cell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tollgate::core::account::AccountId;
use tollgate::core::key::{self, KeyId, Limits};
use tollgate::limits::{Limiter, LocalLimiter, Subject};

criterion_group!(benches, limits, keys);
criterion_main!(benches);

/// Counting a request, its tokens and its end, with its key and its account.
fn limits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("admit");
    group.throughput(Throughput::Elements(1));
    for (name, keys) in [("1 key", 1), ("10,000 keys", 10_000)] {
        let start = Instant::now();
        let limiter = LocalLimiter::new(start);
        let requests = Cell::new(0u32);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                // A clock of our own: a hundred thousand requests a second, so that the windows move as under load.
                let number = requests.replace(requests.get() + 1);
                let now = start + Duration::from_micros(10) * number;
                let key = i64::from(number % keys);
                let subjects = [(Subject::Key(KeyId(key)), HIGH), (Subject::Account(AccountId(key / 10)), HIGH)];
                let mut permit = limiter.admit(black_box(&subjects), now).expect("the limits are high");
                permit.take_tokens(1_000, now).expect("the limits are high");
                permit.true_up(300, now);
            });
        });
    }
}

fn keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("key");
    group.throughput(Throughput::Elements(1));
    let key = key::generate().expect("the machine has a source of randomness");
    let text = key.expose().as_bytes();
    group.bench_function("checksum", |bencher| bencher.iter(|| key::is_well_formed(black_box(text))));
    group.bench_function("hash", |bencher| bencher.iter(|| key::hash(black_box(text))));
}

/// On, and never reached.
const HIGH: Limits = Limits { rpm: Some(u32::MAX), tpm: Some(u64::MAX / 2), concurrency: Some(u32::MAX) };
