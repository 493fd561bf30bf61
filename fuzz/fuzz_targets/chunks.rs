//! A chunked body: judged piece by piece, it is judged the same; and what passes is what the grammar allows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::edge::guard_chunks::Chunks;

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let (mut whole, mut parts) = (Chunks::default(), Chunks::default());
    let (first, second) = bytes.split_at(usize::from(cut) % (bytes.len() + 1));
    let whole_verdict = whole.feed(bytes);
    let parts_verdict = parts.feed(first).and_then(|()| parts.feed(second));
    assert_eq!(whole_verdict, parts_verdict);
    if whole_verdict.is_ok() {
        assert_eq!(whole, parts);
    }
});
