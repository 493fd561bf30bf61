//! Answers of each dialect as each other one: `tests/golden/convert/<upstream>_to_<client>/<case>.{upstream,client}`.
//!
//! `_whole` cases are bodies, `_stream` cases streams. A `.client` is what the client gets, byte for byte, and behind it,
//! where there is one, a line `# broken: …`, or for a stream that did not come to its end `# cut`.

use std::fs;
use std::path::{Path, PathBuf};

use super::{shown, way_back};
use crate::core::catalog::Dialect;
use crate::protocol::convert::{StreamConverter, WayBack};

struct Case {
    path: PathBuf,
    back: WayBack,
    upstream: Vec<u8>,
    client: String,
}

fn cases(kind: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/convert");
    let mut cases = Vec::new();
    for (upstream, upstream_name) in DIALECTS {
        for (client, client_name) in DIALECTS {
            let Ok(entries) = fs::read_dir(folder.join(format!("{upstream_name}_to_{client_name}"))) else { continue };
            for path in entries.map(|entry| entry.unwrap().path()) {
                let name = path.file_stem().unwrap().to_str().unwrap();
                if name.ends_with(kind) && path.extension().is_some_and(|extension| extension == "upstream") {
                    let client_says = fs::read_to_string(path.with_extension("client")).unwrap_or_default();
                    let upstream_says = fs::read(&path).unwrap();
                    let back = way_back(client, upstream);
                    cases.push(Case { path, back, upstream: upstream_says, client: client_says });
                }
            }
        }
    }
    assert!(cases.len() > 3, "the golden files are not there");
    cases
}

#[track_caller]
fn check(case: &Case, got: &str, how: &str) {
    let shown = case.path.display();
    assert_eq!(got, case.client, "{shown}, {how}");
}

/// What the client gets of a stream that comes in these pieces.
fn replay<'a>(mut converter: StreamConverter, pieces: impl Iterator<Item = &'a [u8]>) -> String {
    let mut out = Vec::new();
    let mut done = Ok(());
    for piece in pieces {
        done = done.and(converter.feed(piece, &mut out));
    }
    done = done.and(converter.end(&mut out));
    // Nothing follows, whatever comes.
    let length = out.len();
    converter.feed(b": ping\n\ndata: {\"type\":\"ping\"}\n\ndata: [DONE]\n\n", &mut out).unwrap();
    converter.end(&mut out).unwrap();
    assert_eq!(out.len(), length, "more behind the end");
    let mut got = String::from_utf8(out).unwrap();
    match done {
        Err(broken) => got.push_str(&format!("# broken: {}\n", broken.0)),
        Ok(()) if !converter.ended() => got.push_str("# cut\n"),
        Ok(()) => {}
    }
    got
}

#[test]
fn whole_answers() {
    for case in cases("_whole") {
        let got = match case.back.answer(&case.upstream, &shown()) {
            Ok(body) => format!("{}\n", String::from_utf8(body).unwrap()),
            Err(broken) => format!("# broken: {}\n", broken.0),
        };
        check(&case, &got, "whole");
    }
}

#[test]
fn streams_in_one_piece_by_event_and_by_byte() {
    for case in cases("_stream") {
        let whole = replay(case.back.stream(&shown()), std::iter::once(&case.upstream[..]));
        check(&case, &whole, "in one piece");
        let events = case.upstream.split_inclusive(|byte| *byte == b'\n');
        check(&case, &replay(case.back.stream(&shown()), events), "by line");
        check(&case, &replay(case.back.stream(&shown()), case.upstream.chunks(1)), "by byte");
    }
}

/// A client must not wait for what its model has said.
#[test]
fn every_word_goes_on_at_once() {
    for case in cases("text_stream") {
        let mut converter = case.back.stream(&shown());
        let text = std::str::from_utf8(&case.upstream).unwrap();
        for event in text.split_inclusive("\n\n") {
            let mut out = Vec::new();
            converter.feed(event.as_bytes(), &mut out).unwrap();
            assert_eq!(event.contains("Grüß"), String::from_utf8(out).unwrap().contains("Grüß"), "{event}");
            if event.contains("dich") {
                break;
            }
        }
    }
}

const DIALECTS: [(Dialect, &str); 3] =
    [(Dialect::Chat, "chat"), (Dialect::Messages, "messages"), (Dialect::Responses, "responses")];
