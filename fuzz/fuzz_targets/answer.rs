//! A whole answer, cut anywhere: its verdict and its facts are those of the body in one piece.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::core::usage::COUNT_MAX;
use tollgate::protocol::endpoint::Endpoint;
use tollgate::protocol::whole::{Verdict, WholeReader};

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (endpoint, cut, body) = input;
    let endpoint = Endpoint::ALL[usize::from(endpoint) % Endpoint::ALL.len()];
    let (mut whole, mut parts) = (WholeReader::new(endpoint), WholeReader::new(endpoint));
    whole.feed(body);
    let (first, second) = body.split_at(usize::from(cut) % (body.len() + 1));
    parts.feed(first);
    parts.feed(second);
    let verdict = whole.finish();
    assert_eq!(parts.finish(), verdict);
    assert_eq!(format!("{:?}", parts.facts()), format!("{:?}", whole.facts()));
    if let Some(usage) = &whole.facts().usage {
        assert!(usage.input_text <= COUNT_MAX && usage.output_text <= COUNT_MAX, "{usage:?}");
    }
    // What a strict parser takes for an object is never thrown away as broken.
    if serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).is_ok() {
        assert_ne!(verdict, Verdict::Broken);
    }
});
