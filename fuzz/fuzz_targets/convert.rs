//! A request or an answer in one chat dialect as each other one: JSON or a refusal, and the same however it was cut.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tollgate::core::catalog::{Dialect, UpstreamKind};
use tollgate::protocol::convert::{Shown, Target, WayBack, request};

#[derive(Arbitrary, Debug)]
struct Input {
    client: u8,
    upstream: u8,
    cut: u16,
    bytes: Vec<u8>,
}

const DIALECTS: [Dialect; 3] = [Dialect::Chat, Dialect::Messages, Dialect::Responses];

fn way_back(client: Dialect, target: &Target) -> WayBack {
    let body: &[u8] = match client {
        Dialect::Responses => br#"{"model":"m","input":"x"}"#,
        _ => br#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#,
    };
    request(client, body, target).expect("a small request converts").back
}

fn streamed(back: &WayBack, shown: &Shown, pieces: [&[u8]; 2]) -> (Vec<u8>, bool) {
    let (mut converter, mut out) = (back.stream(shown), Vec::new());
    let done = pieces.iter().try_for_each(|piece| converter.feed(piece, &mut out));
    let done = done.and_then(|()| converter.end(&mut out));
    (out, done.is_ok() && converter.ended())
}

fuzz_target!(|input: Input| {
    let Input { client, upstream, cut, bytes } = input;
    let [client, dialect] = [client, upstream].map(|choice| DIALECTS[usize::from(choice) % 3]);
    let target =
        Target { dialect, kind: UpstreamKind::Openai, model: "m", max_output_tokens: 100, inject_usage: true };
    if let Ok(converted) = request(client, &bytes, &target) {
        serde_json::from_slice::<serde_json::Value>(&converted.body).expect("JSON");
    }
    let shown = Shown { id: "1".to_owned(), model: "m".to_owned(), created_at: 0 };
    let back = way_back(client, &target);
    if let Ok(answer) = back.answer(&bytes, &shown) {
        serde_json::from_slice::<serde_json::Value>(&answer).expect("JSON");
    }
    let (one, two) = bytes.split_at(usize::from(cut) % (bytes.len() + 1));
    assert_eq!(streamed(&back, &shown, [one, two]), streamed(&back, &shown, [&bytes, b""]));
});
