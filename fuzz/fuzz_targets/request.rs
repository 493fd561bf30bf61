//! A request's body: what we judged is what a parser sees, and an edit changes the edited fields alone.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tollgate::protocol::endpoint::Endpoint;
use tollgate::protocol::request::understand;

fuzz_target!(|input: (u8, &[u8])| {
    let (endpoint, body) = input;
    let endpoint = Endpoint::ALL[usize::from(endpoint) % Endpoint::ALL.len()];
    let facts = match understand(endpoint, body) {
        Ok(facts) => facts,
        Err(error) => {
            assert_eq!(error.status(), 400);
            return;
        }
    };
    let bytes = Bytes::copy_from_slice(body);
    // A number beyond a double's range is valid JSON, and its sender's own affair; this parser knows it not.
    let Ok(mut expected) = serde_json::from_slice::<Value>(body) else { return };
    assert_eq!(expected["model"], json!(facts.model));
    let upstream_model = "an \"upstream\"'s\\name";
    let injects = endpoint.takes_stream_options();
    let rewritten = facts.rewrite(&bytes, upstream_model, injects).concat();
    expected["model"] = json!(upstream_model);
    if facts.stream && injects {
        assert_eq!(expected["stream"], json!(true));
        expected["stream_options"]["include_usage"] = json!(true);
    }
    assert_eq!(serde_json::from_slice::<Value>(&rewritten).expect("an edit keeps it JSON"), expected);
    assert_eq!(facts.rewrite(&bytes, &facts.model, false).concat(), body, "nothing to edit");
});
