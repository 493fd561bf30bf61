//! Whole answers cut anywhere say the same, and what is no answer is known for it.

use super::super::facts::golden::Case;
use super::*;
use proptest::prelude::*;

fn read<'a>(endpoint: Endpoint, chunks: impl IntoIterator<Item = &'a [u8]>) -> (Verdict, WholeReader) {
    let mut reader = WholeReader::new(endpoint);
    chunks.into_iter().for_each(|chunk| reader.feed(chunk));
    (reader.finish(), reader)
}

fn verdict(body: &str) -> Verdict {
    read(Endpoint::ChatCompletions, [body.as_bytes()]).0
}

#[test]
fn every_golden_answer_says_the_same_however_it_is_cut() {
    for case in Case::all(false) {
        let check = |chunks: &[&[u8]], how: &str| {
            let (verdict, reader) = read(case.endpoint, chunks.iter().copied());
            let verdict = format!("{verdict:?}").to_lowercase();
            assert_eq!(Some(&verdict), case.expect.verdict.as_ref(), "{}, {how}", case.name);
            case.check_facts(reader.facts(), how);
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
fn only_one_whole_object_is_whole() {
    for body in
        ["{}", " \r\n\t{ }\n", r#"{"a":[],"b":[1,{}],"c":-1.5e+3}"#, r#"{"error":null}"#, r#"{"a":NaN,"b":-Infinity}"#]
    {
        assert_eq!(verdict(body), Verdict::Whole, "{body}");
    }
    for body in [r#"{"error":{}}"#, r#"{"error":"x"}"#, r#"{"choices":[],"error":{"message":"m"}}"#] {
        assert_eq!(verdict(body), Verdict::Error, "{body}");
    }
    let broken = [
        "",
        " ",
        "[]",
        "null",
        "\"a\"",
        "1",
        "<html></html>",
        "{",
        "{}}",
        "{} {}",
        "{},",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{,}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[,1]}"#,
        r#"{"a":[1}"#,
        r#"{"a":{]}"#,
        r#"{"a":1"#,
        r#"{"a":tru}"#,
        r#"{"a":trux}"#,
        r#"{"a":-}"#,
        r#"{"a":-N}"#,
        r#"{"a":"\x"}"#,
        r#"{"a":"\u12g4"}"#,
        r#"{"a":"b}"#,
        r#"{a:1}"#,
        r#"{"a" 1}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"error":"x""#,
        "data: {}\n\n",
    ];
    for body in broken {
        assert_eq!(verdict(body), Verdict::Broken, "{body}");
    }
    assert_eq!(verdict(&format!("{{\"a\":{}1{}}}", "[".repeat(127), "]".repeat(127))), Verdict::Whole);
    assert_eq!(verdict(&format!("{{\"a\":{}1{}}}", "[".repeat(128), "]".repeat(128))), Verdict::Broken);
}

#[test]
fn text_is_counted_without_its_escapes() {
    for (written, bytes) in [
        ("abc", 3),
        (r#"\"\\\n\/"#, 4),
        (r"\u0041", 1),
        (r"\u00e9", 2),
        (r"\u4e2d", 3),
        (r"\ud83d\ude00", 4),
        ("é中😀", 9),
    ] {
        let body = format!("{{\"choices\":[{{\"message\":{{\"content\":\"{written}\"}}}}]}}");
        let (_, reader) = read(Endpoint::ChatCompletions, body.as_bytes().chunks(1));
        assert_eq!(reader.facts().text_bytes, bytes, "{written}");
    }
}

#[test]
fn text_grows_before_the_end() {
    let mut reader = WholeReader::new(Endpoint::ChatCompletions);
    reader.feed(br#"{"choices":[{"message":{"content":"hel"#);
    assert_eq!(reader.facts().text_bytes, 3);
    assert!(reader.facts().content_begun);
    reader.feed(b"lo");
    assert_eq!(reader.facts().text_bytes, 5);
    assert_eq!(reader.finish(), Verdict::Broken);
    assert!(reader.facts().usage.is_none());
}

#[test]
fn large_pictures_pass_unread_and_what_stands_behind_them_counts() {
    let mut reader = WholeReader::new(Endpoint::ImagesGenerations);
    reader.feed(br#"{"created":1,"data":[{"b64_json":""#);
    let chunk = vec![b'A'; 64 * 1024];
    (0..1_000).for_each(|_| reader.feed(&chunk));
    reader.feed(br#""},{"url":"x"}],"usage":{"input_tokens":5,"output_tokens":7,"total_tokens":12}}"#);
    assert_eq!(reader.finish(), Verdict::Whole);
    let usage = reader.facts().usage.clone().unwrap();
    assert_eq!((usage.images, usage.input_text, usage.output_image), (2, 5, 7));
    assert!(format!("{:?}", reader.scan).len() < 8 * 1024, "the picture was kept");
}

#[test]
fn a_value_too_long_to_copy_is_not_reported() {
    let long = "x".repeat(100_000);
    let body =
        format!("{{\"choices\":[],\"usage\":{{\"prompt_tokens\":1,\"completion_tokens\":1,\"pad\":\"{long}\"}}}}");
    for size in [body.len(), 1_000] {
        let (verdict, reader) = read(Endpoint::ChatCompletions, body.as_bytes().chunks(size));
        assert_eq!(verdict, Verdict::Whole);
        assert!(reader.facts().usage.is_none() && reader.facts().anomalous);
    }
}

/// Any JSON at all, of little depth.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e300..1e300f64).prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    let key = prop_oneof![any::<String>(), prop::sample::select(KEYS).prop_map(Into::into)];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::vec((key.clone(), inner), 0..8)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

const KEYS: &[&str] =
    &["choices", "usage", "error", "delta", "message", "content", "text", "data", "service_tier", "prompt_tokens"];

proptest! {
    /// Against a reader of another make: every object is whole, and nothing less is.
    #[test]
    fn judges_as_a_full_parser_does(value in any_json(), cut in any::<prop::sample::Index>()) {
        let body = value.to_string();
        let expected = match value.as_object() {
            None => Verdict::Broken,
            Some(object) if object.get("error").is_some_and(|error| !error.is_null()) => Verdict::Error,
            Some(_) => Verdict::Whole,
        };
        prop_assert_eq!(verdict(&body), expected);
        let cut = cut.index(body.len());
        prop_assert_eq!(read(Endpoint::ChatCompletions, [&body.as_bytes()[..cut]]).0, Verdict::Broken);
    }

    #[test]
    fn text_is_as_long_as_a_full_parser_finds_it(text: String) {
        let body = serde_json::json!({"choices": [{"message": {"content": text}}]}).to_string();
        let (_, reader) = read(Endpoint::ChatCompletions, body.as_bytes().chunks(3));
        prop_assert_eq!(reader.facts().text_bytes, text.len() as u64);
    }

    #[test]
    fn cutting_any_bytes_changes_nothing(
        pieces in prop::collection::vec(prop_oneof![
            prop::sample::select(PIECES).prop_map(<[u8]>::to_vec),
            prop::collection::vec(any::<u8>(), 0..4),
        ], 0..40),
        size in 1..9usize,
    ) {
        let body = pieces.concat();
        let (whole_verdict, whole) = read(Endpoint::ImagesGenerations, [&body[..]]);
        let (cut_verdict, cut) = read(Endpoint::ImagesGenerations, body.chunks(size));
        prop_assert_eq!(cut_verdict, whole_verdict);
        prop_assert_eq!(format!("{:?}", cut.facts()), format!("{:?}", whole.facts()));
    }
}

const PIECES: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\u00",
    b"12",
    b"-",
    b"null",
    b"true",
    b"\"usage\":{",
    b"\"choices\":[{",
    b"\"message\":{\"content\":\"",
    b"\"data\":[",
    b"\"prompt_tokens\":3,",
    b"\"completion_tokens\":4}",
    b"\"error\":",
    b" ",
];
