//! The form of a key: any text is judged, and a key with one character changed is none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::core::{admin_token, key};

fuzz_target!(|text: &[u8]| {
    let well_formed = key::is_well_formed(text);
    assert!(!(well_formed && admin_token::is_well_formed(text)));
    let _ = key::hash(text);
    if !well_formed {
        return;
    }
    assert!(text.starts_with(b"sk-tg-") && text.len() == 44 && text.is_ascii());
    for position in 0..text.len() {
        let mut changed = text.to_vec();
        changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
        assert!(!key::is_well_formed(&changed), "CRC32 sees every single change");
    }
});
