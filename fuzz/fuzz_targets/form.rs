//! A form: its parts stand where they are said to stand, written again they are the same form, and a new model's name
//! changes that name alone.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tollgate::protocol::endpoint::Endpoint;
use tollgate::protocol::multipart::{Boundary, read};
use tollgate::protocol::request::understand_form;

fuzz_target!(|input: (bool, &str, &[u8])| {
    let (edits, parameters, body) = input;
    let boundary = Boundary::from_parameters(parameters)
        .or_else(|| Boundary::from_parameters("; boundary=b"))
        .expect("a letter is a boundary");
    let named = boundary.content_type();
    let again = named.strip_prefix("multipart/form-data").and_then(Boundary::from_parameters);
    assert_eq!(again.as_ref(), Some(&boundary), "what upstreams are told is what was read");
    if let Ok(parts) = read(body, &boundary) {
        for part in &parts {
            assert_eq!(&body[part.span.clone()], part.value);
        }
    }
    let endpoint = if edits { Endpoint::ImagesEdits } else { Endpoint::AudioTranscriptions };
    let Ok(facts) = understand_form(endpoint, &boundary, body) else { return };
    let bytes = Bytes::copy_from_slice(body);
    assert_eq!(facts.rewrite(&bytes, &facts.model, true).concat(), body, "nothing to edit");
    let rewritten = facts.rewrite(&bytes, "their-model", true).concat();
    let values = |body: &[u8]| -> Vec<(String, Vec<u8>)> {
        let parts = read(body, &boundary).expect("an edit keeps it a form");
        parts.into_iter().map(|part| (part.name.to_owned(), part.value.to_vec())).collect()
    };
    let mut expected = values(body);
    for (name, value) in &mut expected {
        if name == "model" {
            *value = b"their-model".to_vec();
        }
    }
    assert_eq!(values(&rewritten), expected);
});
