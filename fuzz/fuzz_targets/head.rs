//! The head of a request: judged piece by piece as it arrives, it is judged the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::edge::guard_rules::{Verdict, judge};
use tollgate::protocol::endpoint;

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let whole = judge(bytes, 0);
    let cut = usize::from(cut) % (bytes.len() + 1);
    let first = judge(&bytes[..cut], 0);
    match first {
        // What was seen to hold no end is not looked at again, but for the bytes that an end could begin in.
        Verdict::Incomplete => assert_eq!(judge(bytes, cut.saturating_sub(3)), whole),
        Verdict::Pass { head_bytes, .. } => {
            assert!(head_bytes <= cut);
            assert_eq!(whole, first, "what follows a head does not change it");
        }
        _ => {}
    }
    if let Verdict::Pass { head_bytes, .. } = whole {
        let head = std::str::from_utf8(&bytes[..head_bytes]).unwrap_or_default();
        assert!(!head.contains('\0') && !head.replace("\r\n", "").contains(['\r', '\n']), "{head:?}");
        let mut line = head.split(' ');
        if let (Some(method), Some(path)) = (line.next(), line.next()) {
            let _ = endpoint::resolve(method, path, &["/v1".into(), "/api/v1".into()]);
        }
    }
});
