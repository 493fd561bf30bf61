//! Streams cut anywhere say the same and pass the same.

use super::super::facts::golden::Case;
use super::*;
use proptest::prelude::*;

/// A reader and what came out of it, feeding it the chunks.
fn replay<'a>(
    endpoint: Endpoint,
    keep_usage: bool,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (StreamReader, Vec<Bytes>) {
    let (mut reader, mut out) = (StreamReader::new(endpoint, keep_usage), Vec::new());
    for chunk in chunks {
        reader.feed(Bytes::copy_from_slice(chunk), &mut out);
        assert!(reader.held.len() <= EVENT_BYTES_MAX);
    }
    reader.finish(&mut out);
    (reader, out)
}

fn chat(stream: &str) -> (StreamReader, Vec<u8>) {
    let (reader, out) = replay(Endpoint::ChatCompletions, false, [stream.as_bytes()]);
    (reader, out.concat())
}

#[test]
fn every_golden_stream_says_the_same_however_it_is_cut() {
    for case in Case::all(true) {
        let expected = case.client_bytes();
        let check = |chunks: &[&[u8]], how: &str| {
            let (reader, out) = replay(case.endpoint, case.expect.keep_usage, chunks.iter().copied());
            case.check_facts(reader.facts(), how);
            let got = out.concat();
            let text = String::from_utf8_lossy;
            assert_eq!(text(&got), text(&expected), "bytes of {}, {how}", case.name);
            assert_eq!(got, expected);
        };
        check(&[&case.reply], "whole");
        check(&case.reply.chunks(1).collect::<Vec<_>>(), "byte by byte");
        for cut in 0..=case.reply.len() {
            let (before, after) = case.reply.split_at(cut);
            check(&[before, after], &format!("cut at {cut}"));
        }
    }
}

#[test]
fn whole_events_go_through_without_a_copy_and_in_one_piece() {
    let chunk = Bytes::from_static(b"data: {\"choices\":[]}\n\ndata: {}\n\n");
    let (mut reader, mut out) = (StreamReader::new(Endpoint::ChatCompletions, false), Vec::new());
    reader.feed(chunk.clone(), &mut out);
    assert_eq!(out.len(), 1);
    assert_eq!((out[0].as_ptr(), out[0].len()), (chunk.as_ptr(), chunk.len()));
}

#[test]
fn an_event_that_comes_in_pieces_leaves_in_one() {
    let (mut reader, mut out) = (StreamReader::new(Endpoint::ChatCompletions, false), Vec::new());
    for piece in [": c\n", "data: {\"a\"", ":1}\n", "\ndata: {}", "\n\n"] {
        reader.feed(Bytes::from(piece), &mut out);
    }
    assert_eq!(out, [": c\n", "data: {\"a\":1}\n\n", "data: {}\n\n"]);
    assert!(reader.first_event_seen());
}

#[test]
fn a_comment_is_no_first_event() {
    let (reader, out) = chat(": keep-alive\n\n: keep-alive\n\nevent: ping\n\n");
    assert!(!reader.first_event_seen());
    assert_eq!(out, b": keep-alive\n\n: keep-alive\n\nevent: ping\n\n");
}

#[test]
fn words_inside_strings_fool_nobody() {
    let trap = r#"data: {"id":"\"usage\":{\"prompt_tokens\":1}","choices":[{"delta":{"content":"{\"error\":{},\"usage\":{\"prompt_tokens\":7}}"},"logprobs":{"content":[{"token":"xxxx","text":"yyyy"}]}}]}"#;
    let (reader, out) = chat(&format!("{trap}\n\n"));
    assert_eq!(out.len(), trap.len() + 2);
    let facts = reader.facts();
    assert_eq!((facts.text_bytes, facts.usage.is_none(), facts.error.is_none()), (40, true, true));
}

#[test]
fn a_word_means_what_its_place_says() {
    let (reader, _) = chat(concat!(
        r#"data: {"text":"no","content":"no","error":null,"x":{"choices":[{"text":"no"}],"usage":{"prompt_tokens":1}},"#,
        r#""choices":[{"content":"no","delta":{"text":"no","name":"no","content":"yes","annotations":[{"content":"no"}],"#,
        r#""reasoning_details":[{"text":"no"}],"tool_calls":[{"id":"no","function":{"name":"no","arguments":"{}"}}]}}]}"#,
        "\n\n"
    ));
    assert_eq!((reader.facts().text_bytes, reader.facts().usage.is_none()), (5, true));
}

#[test]
fn usage_beside_the_choices_is_the_last_word() {
    let (beside, inside) = (
        r#""usage":{"prompt_tokens":9,"completion_tokens":8}"#,
        r#""usage":{"prompt_tokens":1,"completion_tokens":1}"#,
    );
    for members in [
        format!(r#"{beside},"choices":[{{{inside}}}],"x_groq":{{{inside}}}"#),
        format!(r#""x_groq":{{{inside}}},"choices":[{{{inside}}}],{beside}"#),
    ] {
        let (reader, _) = chat(&format!("data: {{{members}}}\n\n"));
        assert_eq!(reader.facts().usage.as_ref().map(|usage| usage.output_text), Some(8), "{members}");
    }
}

#[test]
fn usage_of_a_picture_stream_adds_up_over_finished_pictures() {
    let finished = r#"{"type":"image_generation.completed","b64_json":"AAAA","size":"1024x1024","quality":"high","usage":{"input_tokens":50,"output_tokens":1056,"total_tokens":1106,"output_tokens_details":{"text_tokens":0,"image_tokens":1056}}}"#;
    let partial = r#"{"type":"image_generation.partial_image","b64_json":"AA","partial_image_index":0}"#;
    let stream = format!("data: {partial}\n\ndata: {finished}\n\ndata: {finished}\n\n");
    let (reader, out) = replay(Endpoint::ImagesGenerations, false, [stream.as_bytes()]);
    assert_eq!(out.concat(), stream.as_bytes());
    let usage = reader.facts().usage.clone().unwrap();
    assert_eq!((usage.images, usage.input_text, usage.output_image), (2, 100, 2112));
    assert_eq!(usage.image_kind.size, "1024x1024");
}

#[test]
fn a_long_event_passes_as_it_comes_and_is_still_read() {
    let long = "x".repeat(2 * EVENT_BYTES_MAX);
    let event = format!(
        "data: {{\"choices\":[],\"pad\":\"{long}\",\"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":4}}}}\n\n"
    );
    let stream = format!("{event}data: [DONE]\n\n");
    for size in [stream.len(), 16 * 1024] {
        let (reader, out) = replay(Endpoint::ChatCompletions, false, stream.as_bytes().chunks(size));
        // A part of it had to go before its end was seen, so all of it goes.
        assert_eq!(out.concat(), stream.as_bytes());
        assert_eq!(reader.facts().usage.as_ref().map(|usage| usage.output_text), Some(4));
        assert!(reader.facts().done_seen);
    }
}

#[test]
fn nothing_follows_an_error() {
    let (mut reader, mut out) = (StreamReader::new(Endpoint::ChatCompletions, true), Vec::new());
    let good = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
    reader.feed(Bytes::from(format!("{good}data: {{\"error\":\"down\"}}\n\ndata: [DONE]\n\n")), &mut out);
    reader.feed(Bytes::from_static(b"data: [DONE]\n\n"), &mut out);
    reader.finish(&mut out);
    assert_eq!(out.concat(), good.as_bytes());
    assert_eq!(reader.facts().error.as_ref().unwrap().message, "down");
    assert!(!reader.facts().done_seen);
}

#[test]
fn a_later_tier_wins_and_an_earlier_usage_gets_it() {
    let (reader, _) = chat(
        "data: {\"service_tier\":\"flex\",\"choices\":[]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\ndata: {\"service_tier\":\"priority\",\"choices\":[]}\n\n",
    );
    assert_eq!(reader.facts().usage.as_ref().unwrap().tier, crate::core::usage::Tier::Priority);
}

/// Pieces of streams, sound and unsound.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let sound = [
        "data: {\"choices\":[{\"delta\":{\"content\":\"h\\u00e9 \\\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\r\n\r\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\r\r",
        "data: {\"choices\":\ndata: [{\"finish_reason\":\"stop\"}]}\n\n",
        "event: error\ndata: {\"message\":\"x\"}\n\n",
        "data: {\"error\":{\"message\":\"x\"}}\n\n",
        ": keep-alive\n\n",
        "data: [DONE]\n\n",
    ];
    let unsound = ["data", ":", " ", "\n", "\r", "{", "}", "\"", "\\", "é", "[", "1e999", "NaN", "\u{feff}", "usage"];
    let piece = prop_oneof![
        4 => prop::sample::select(sound.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        2 => prop::sample::select(unsound.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn cutting_changes_nothing(
        stream in any_stream(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        keep_usage: bool,
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
        let (whole, whole_out) = replay(Endpoint::ChatCompletions, keep_usage, [&stream[..]]);
        let (cut, cut_out) = replay(Endpoint::ChatCompletions, keep_usage, chunks);
        prop_assert_eq!(format!("{:?}", cut.facts()), format!("{:?}", whole.facts()));
        prop_assert_eq!(cut_out.concat(), whole_out.concat());
        prop_assert_eq!(cut.first_event_seen(), whole.first_event_seen());
    }

    /// Kept whole, the output is the input up to an error or an unfinished tail.
    #[test]
    fn what_goes_out_is_what_came_in(stream in any_stream()) {
        let (mut reader, mut out) = (StreamReader::new(Endpoint::ChatCompletions, true), Vec::new());
        reader.feed(Bytes::from(stream.clone()), &mut out);
        let passed = out.concat();
        prop_assert!(stream.starts_with(&passed));
        if reader.facts().error.is_none() {
            prop_assert_eq!(&stream[passed.len()..], &reader.held);
        }
        out.clear();
        reader.finish(&mut out);
        let tail = out.concat();
        let held = &stream[passed.len()..];
        prop_assert!(tail.is_empty() || tail.strip_prefix(held).is_some_and(|end| end == b"\n" || end == b"\n\n"));
    }
}
