//! The JSON reader: what the grammar has and nothing else, bounded in depth, duplicates found.

use std::collections::HashSet;
use std::fmt;

use proptest::prelude::*;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::*;

fn read(body: impl AsRef<[u8]>) -> Result<(), JsonError> {
    let mut reader = Reader::new(body.as_ref())?;
    reader.skip()?;
    reader.finish()
}

fn is_syntax_error(body: impl AsRef<[u8]>) -> bool {
    matches!(read(body), Err(JsonError::Syntax { .. }))
}

#[test]
fn accepts_what_the_grammar_has() {
    for body in [
        "null",
        " true\t\r\n",
        "false",
        "0",
        "-0",
        "-12.50e+10",
        "1E-7",
        "123456789012345678901234567890",
        "1e999",
        r#""""#,
        r#""\"\\\/\b\f\n\r\t""#,
        r#""\u0000\ud83d\ude00 é \u00E9""#,
        "\"\u{7f}\u{2028}\"",
        "[]",
        "{ }",
        r#"[ 1 , [ ] , { "a" : null } ]"#,
        r#"{"":0,"a":{"a":{"a":1}},"b":{"a":2}}"#,
    ] {
        assert_eq!(read(body), Ok(()), "{body}");
    }
}

#[test]
fn refuses_what_the_grammar_has_not() {
    for body in [
        "",
        " ",
        "nul",
        "nulL",
        "truefalse",
        "True",
        "NaN",
        "Infinity",
        "-Infinity",
        "-",
        "+1",
        "01",
        "-01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x1",
        "1_0",
        "'a'",
        "\"",
        "\"a",
        r#""\"#,
        r#""\x41""#,
        r#""\u12""#,
        r#""\u12G4""#,
        r#""\u+123""#,
        r#""\U0041""#,
        "\"\n\"",
        "\"\u{0}\"",
        "\"\u{1f}\"",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{1:2}",
        "{\"a\":1]",
        "{} {}",
        "1 2",
        "[]]",
        "// a\n1",
        "[1,/* */2]",
        "\u{feff}{}",
        "{}\u{0}",
        "\u{a0}1",
        "\u{c}1",
    ] {
        assert!(is_syntax_error(body), "{body:?}: {:?}", read(body));
    }
}

#[test]
fn refuses_bytes_that_are_not_utf_8_wherever_they_stand() {
    for body in [&b"\"\xff\""[..], b"\"\xc0\xaf\"", b"\"\xed\xa0\x80\"", b"\xff\xfe{\0}\0", b"{}\x80", b"\"\xe2\x82\""]
    {
        assert!(is_syntax_error(body), "{body:?}");
    }
}

#[test]
fn refuses_half_a_surrogate_pair() {
    for text in [
        r"\ud800",
        r"\ud800x",
        r"\ud800\n",
        r"\ud800\u0041",
        r"\ud800\ud800",
        r"\udc00",
        r"\udfff\ud800",
        r"\uDBFF\uE000",
    ] {
        assert!(is_syntax_error(format!("\"{text}\"")), "{text}");
        assert!(is_syntax_error(format!("{{\"{text}\":1}}")), "{text}");
    }
    assert_eq!(read(r#""\uDBFF\uDFFF""#), Ok(()));
}

#[test]
fn says_where_it_stopped() {
    assert_eq!(read(r#"{"a": tru}"#), Err(JsonError::Syntax { wrong: "an unexpected character", at: 6 }));
    assert_eq!(read("[1, 2"), Err(JsonError::Syntax { wrong: "an unexpected end", at: 5 }));
    assert_eq!(read(b"[\"\xff\"]"), Err(JsonError::Syntax { wrong: "text that is not UTF-8", at: 2 }));
}

#[test]
fn finds_duplicates_at_any_depth_and_through_escapes() {
    let duplicate = |name: &str| Err(JsonError::DuplicateName { name: name.into() });
    assert_eq!(read(r#"{"model":1,"x":2,"model":3}"#), duplicate("model"));
    assert_eq!(read(r#"{"model":1,"mod\u0065l":3}"#), duplicate("model"));
    assert_eq!(read(r#"{"\ud83d\ude00":1,"😀":3}"#), duplicate("😀"));
    assert_eq!(read(r#"{"":1,"":3}"#), duplicate(""));
    assert_eq!(read(r#"[[{"a":[{"b":{"c":1,"d":2,"c":3}}]}]]"#), duplicate("c"));
    assert_eq!(read(r#"{"a":{"x":1},"b":{"x":1,"y":{"x":2}},"x":3}"#), Ok(()));
    assert_eq!(read(r#"{"a":1,"A":2,"a ":3}"#), Ok(()));
}

#[test]
fn finds_a_duplicate_among_any_number_of_names() {
    for count in [2, NAMES_FEW, NAMES_FEW + 1, 100, MEMBERS_MAX] {
        let distinct: Vec<String> = (0..count).map(|index| format!("\"n{index}\":{{\"n0\":0}}")).collect();
        assert_eq!(read(format!("{{{}}}", distinct.join(","))), Ok(()), "{count}");
        for (first, second) in [(0, count - 1), (count / 2, count / 2 + 1), (0, 1)] {
            let mut members = distinct.clone();
            if second < count {
                members[second] = members[first].clone();
                let expected = Err(JsonError::DuplicateName { name: format!("n{first}") });
                assert_eq!(read(format!("{{{}}}", members.join(","))), expected, "{first} and {second} of {count}");
            }
        }
    }
}

#[test]
fn depth_is_bounded_in_parts_that_nobody_reads() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(read(nested(DEPTH_MAX)), Ok(()));
    assert_eq!(read(nested(DEPTH_MAX + 1)), Err(JsonError::TooDeep));
    assert_eq!(read("[".repeat(100_000)), Err(JsonError::TooDeep));
    assert_eq!(read(r#"{"a":"#.repeat(100_000)), Err(JsonError::TooDeep));
    // Siblings do not add up.
    assert_eq!(read(format!("[{}]", vec![nested(DEPTH_MAX - 1); 100].join(","))), Ok(()));
}

#[test]
fn names_are_bounded_per_object_and_in_all() {
    let object = |count: usize| {
        let members: Vec<String> = (0..count).map(|index| format!("\"{index}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    assert_eq!(read(object(MEMBERS_MAX)), Ok(()));
    assert_eq!(read(object(MEMBERS_MAX + 1)), Err(JsonError::TooManyMembers));
    assert_eq!(read(object(1_000_000)), Err(JsonError::TooManyMembers));
    assert_eq!(read(format!("[{}]", vec![r#"{"a":0}"#; NAMES_MAX].join(","))), Ok(()));
    assert_eq!(read(format!("[{}]", vec![r#"{"a":0}"#; 1_000_000].join(","))), Err(JsonError::TooManyNames));
}

#[test]
fn numbers_are_bounded_in_length() {
    assert_eq!(read("9".repeat(NUMBER_BYTES_MAX)), Ok(()));
    assert_eq!(read("9".repeat(100_000)), Err(JsonError::NumberTooLong));
}

#[test]
fn a_shown_name_is_short() {
    let name = "é".repeat(100_000);
    let Err(error) = read(format!("{{\"{name}\":1,\"{name}\":2}}")) else { panic!("a duplicate was accepted") };
    assert!(error.to_string().len() < 300);
}

#[test]
fn control_characters_are_found_in_every_place_of_a_long_string() {
    for at in 0..200 {
        let mut text = [b'x'; 200];
        text[at] = 0x1f;
        assert!(is_syntax_error([b"\"", &text[..], b"\""].concat()), "at {at}");
    }
}

#[test]
fn spans_are_of_the_value_alone() {
    let text = r#" { "a" : [1, "]"] , "b":-1.5e3 }"#;
    let mut reader = Reader::new(text.as_bytes()).unwrap();
    let mut spans = Vec::new();
    reader
        .object(|reader, name| {
            let start = reader.value_start();
            reader.skip()?;
            spans.push((name.to_owned(), &text[start..reader.position()]));
            Ok::<(), JsonError>(())
        })
        .unwrap();
    reader.finish().unwrap();
    assert_eq!(spans, [("a".to_owned(), r#"[1, "]"]"#), ("b".to_owned(), "-1.5e3")]);
}

/// The same rules told to another parser: what it accepts, and how deep it is.
struct Reference {
    depth: usize,
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReferenceVisitor)
    }
}

struct ReferenceVisitor;

impl<'de> Visitor<'de> for ReferenceVisitor {
    type Value = Reference;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Reference, E> {
        Ok(Reference { depth: 0 })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Reference, E> {
        Ok(Reference { depth: 0 })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Reference, E> {
        Ok(Reference { depth: 0 })
    }

    fn visit_u64<E>(self, _: u64) -> Result<Reference, E> {
        Ok(Reference { depth: 0 })
    }

    fn visit_f64<E>(self, _: f64) -> Result<Reference, E> {
        Ok(Reference { depth: 0 })
    }

    fn visit_str<E>(self, _: &str) -> Result<Reference, E> {
        Ok(Reference { depth: 0 })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Reference, A::Error> {
        let mut depth = 0;
        while let Some(element) = elements.next_element::<Reference>()? {
            depth = depth.max(element.depth);
        }
        Ok(Reference { depth: depth + 1 })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Reference, A::Error> {
        let (mut depth, mut names) = (0, HashSet::new());
        while let Some((name, value)) = members.next_entry::<String, Reference>()? {
            if !names.insert(name) {
                return Err(de::Error::custom("duplicate"));
            }
            depth = depth.max(value.depth);
        }
        Ok(Reference { depth: depth + 1 })
    }
}

/// None where the other parser refuses a number for its size, on which the grammar is silent.
fn reference_accepts(body: &[u8]) -> Option<bool> {
    match serde_json::from_slice::<Reference>(body) {
        Ok(value) => Some(value.depth <= DEPTH_MAX),
        Err(error) if error.to_string().contains("number out of range") => None,
        Err(_) => Some(false),
    }
}

fn any_string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-c]{0,3}",
        2 => any::<char>().prop_filter("quotes and controls are for the mutations", |char| *char >= ' ' && !matches!(char, '"' | '\\'))
            .prop_map(String::from),
        2 => prop::sample::select(vec![r"\n", r#"\""#, r"\\", r"\/", r"\u0061", r"\u00e9", r"\uD83D\uDE00", r"\u0000"])
            .prop_map(String::from),
        1 => prop::sample::select(vec![r"\ud800", r"\udc00", r"\x", r"\u00g0", "\t"]).prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..3).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false"]).prop_map(String::from),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?",
        any_string(),
    ];
    let name = prop_oneof!["\"[a-z]{0,4}\"", any_string()];
    leaf.prop_recursive(6, 64, 20, move |value| {
        let space = prop::sample::select(vec!["", "", " ", "\n\t "]);
        prop_oneof![
            (prop::collection::vec(value.clone(), 0..5), space.clone())
                .prop_map(|(elements, space)| format!("[{space}{}{space}]", elements.join(&format!("{space},")))),
            (prop::collection::vec((name.clone(), value), 0..20), space).prop_map(|(members, space)| {
                let members: Vec<String> =
                    members.into_iter().map(|(name, value)| format!("{name}{space}:{space}{value}")).collect();
                format!("{{{space}{}{space}}}", members.join(&format!("{space},")))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(1_000)))]

    #[test]
    fn accepts_what_another_strict_parser_accepts(body in any_json()) {
        if let Some(expected) = reference_accepts(body.as_bytes()) {
            prop_assert_eq!(read(&body).is_ok(), expected, "{:?}", read(&body));
        }
    }

    #[test]
    fn agrees_also_on_damaged_bodies(body in any_json(), damage in prop::collection::vec((any::<prop::sample::Index>(), 0..3, any::<u8>()), 1..4)) {
        let mut body = body.into_bytes();
        for (index, how, byte) in damage {
            let at = index.index(body.len() + 1);
            match how {
                0 => body.insert(at, byte),
                1 if at < body.len() => body[at] = byte,
                _ if at < body.len() => drop(body.remove(at)),
                _ => body.push(b'"'),
            }
        }
        if let Some(expected) = reference_accepts(&body) {
            prop_assert_eq!(read(&body).is_ok(), expected, "{:?}", read(&body));
        }
    }

    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(body);
    }

    #[test]
    fn no_json_characters_panic(body in r#"[\[\]{}:,"\\ud80123eE.+\-a ]{0,60}"#) {
        prop_assert_eq!(read(&body).is_ok(), reference_accepts(body.as_bytes()).unwrap_or(read(&body).is_ok()));
    }

    #[test]
    fn strings_come_back_however_they_were_escaped(text in any::<String>()) {
        let plain = serde_json::to_string(&text).unwrap();
        let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        for json in [plain, format!("\"{escaped}\"")] {
            let string = Reader::new(json.as_bytes()).unwrap().string().unwrap();
            prop_assert_eq!(string.decoded(), &*text);
            prop_assert_eq!(string.decoded_bytes, text.len());
        }
    }
}
