//! Usage in every shape that providers give it, and in those that nobody should believe.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

/// After all these reports of a chat.
fn chat(reports: &[Value]) -> Option<(Usage, bool)> {
    let mut report = Report::default();
    for json in reports {
        report.take(json.to_string().as_bytes(), Join::Replace).unwrap();
    }
    report.usage(Endpoint::ChatCompletions)
}

fn output(prompt: u64, completion: u64, reasoning: Option<u64>, total: Option<u64>) -> (u64, u64, bool) {
    let details = reasoning.map(|reasoning| json!({"reasoning_tokens": reasoning}));
    let report = json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total,
                        "completion_tokens_details": details});
    let (usage, clamped) = chat(&[report]).unwrap();
    (usage.output_text, usage.output_reasoning, clamped)
}

#[test]
fn the_total_tells_where_reasoning_is() {
    // Inside, as the total says, and as is supposed without one.
    assert_eq!(output(10, 50, Some(30), Some(60)), (20, 30, false));
    assert_eq!(output(10, 50, Some(30), None), (20, 30, false));
    // On top, whether it is the larger part or the smaller.
    assert_eq!(output(32, 9, Some(94), Some(135)), (9, 94, false));
    assert_eq!(output(10, 50, Some(30), Some(90)), (50, 30, false));
    // On top beside something else that the total counts.
    assert_eq!(output(10, 5, Some(30), Some(50)), (5, 30, false));
    // Told by the total alone.
    assert_eq!(output(20, 198, None, Some(623)), (603, 0, false));
    assert_eq!(output(20, 198, Some(0), Some(623)), (603, 0, false));
    // A total that is too small says nothing; more reasoning than output is cut.
    assert_eq!(output(10, 50, None, Some(3)), (50, 0, false));
    assert_eq!(output(10, 5, Some(30), Some(15)), (0, 5, true));
}

#[test]
fn the_last_word_of_each_field_counts_and_nothing_is_added_up() {
    let report =
        |completion| json!({"prompt_tokens": 7, "completion_tokens": completion, "total_tokens": 7 + completion});
    let (usage, _) = chat(&[report(1), report(2), report(3), json!({"completion_tokens": null})]).unwrap();
    assert_eq!((usage.input_text, usage.output_text), (7, 3));
    // A stale total must not turn into output, nor hide it.
    let (usage, _) = chat(&[report(90), json!({"prompt_tokens": 7, "completion_tokens": 4})]).unwrap();
    assert_eq!((usage.input_text, usage.output_text), (7, 4));
}

#[test]
fn cached_tokens_have_four_names() {
    for report in [
        json!({"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 4}}),
        json!({"input_tokens": 10, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 4}}),
        json!({"prompt_tokens": 10, "completion_tokens": 1, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6}),
        json!({"prompt_tokens": 10, "completion_tokens": 1, "cached_tokens": 4}),
        json!({"prompt_tokens": 10, "completion_tokens": 1, "cached_tokens": 4, "prompt_tokens_details": null}),
    ] {
        let (usage, clamped) = chat(&[report]).unwrap();
        assert_eq!((usage.input_text, usage.input_cached, usage.output_text, clamped), (6, 4, 1, false));
    }
}

#[test]
fn a_refused_head_leaves_what_was_known() {
    let mut report = Report::default();
    let bad = br#"{"prompt_tokens":5,"completion_tokens":-1}"#;
    assert_eq!(report.take(bad, Join::Replace), Err(Refused));
    assert!(report.usage(Endpoint::ChatCompletions).is_none());
    report.take(br#"{"prompt_tokens":4,"completion_tokens":3,"total_tokens":7}"#, Join::Replace).unwrap();
    assert_eq!(report.take(bad, Join::Replace), Err(Refused));
    let (usage, _) = report.usage(Endpoint::ChatCompletions).unwrap();
    assert_eq!((usage.input_text, usage.output_text), (5, 3));
}

#[test]
fn sounds_may_overlap_what_is_cached() {
    let details = json!({"cached_tokens": 64, "audio_tokens": 90, "text_tokens": 10});
    let (usage, clamped) =
        chat(&[json!({"prompt_tokens": 100, "completion_tokens": 0, "prompt_tokens_details": details})]).unwrap();
    assert_eq!((usage.input_cached, usage.input_audio, usage.input_text, clamped), (64, 36, 0, false));
}

fn any_count() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (0..2_000u64).prop_map(Into::into),
        1 => (COUNT_MAX - 2..COUNT_MAX + 3).prop_map(Into::into),
        1 => any::<i64>().prop_map(Into::into),
        1 => any::<f64>().prop_map(Into::into),
        1 => Just(Value::Null),
        1 => prop::sample::select(vec![json!("5"), json!([5]), json!({"n": 5}), json!(true)]),
    ]
}

fn any_object(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::collection::hash_map(prop::sample::select(names), any_count(), 0..names.len())
        .prop_map(|members| Value::Object(members.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()))
}

fn any_report() -> impl Strategy<Value = Value> {
    (any_object(HEADS), any_object(DETAILS), any_object(DETAILS)).prop_map(|(mut report, input, output)| {
        report["prompt_tokens_details"] = input;
        report["completion_tokens_details"] = output;
        report
    })
}

const HEADS: &[&str] =
    &["prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "cached_tokens"];
const DETAILS: &[&str] = &[
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "text_tokens",
    "audio_tokens",
    "image_tokens",
    "video_tokens",
];

fn is_count(value: &Value) -> Option<u64> {
    value.as_u64().filter(|count| *count <= COUNT_MAX)
}

proptest! {
    /// Whatever is reported, the parts make up their whole, and no field is beyond reason.
    #[test]
    fn parts_make_up_the_whole(reports in prop::collection::vec(any_report(), 1..4), add: bool) {
        let join = if add { Join::Add } else { Join::Replace };
        for endpoint in Endpoint::ALL {
            let mut report = Report::default();
            for json in &reports {
                let _ = report.take(json.to_string().as_bytes(), join);
            }
            let Some((usage, _)) = report.usage(endpoint) else { continue };
            prop_assert!(usage.input_total() <= COUNT_MAX);
            for field in [usage.output_text, usage.output_reasoning, usage.output_audio, usage.output_image] {
                prop_assert!(field <= COUNT_MAX);
            }
            if let Some(prompt) = report.prompt.filter(|_| endpoint != Endpoint::AudioTranscriptions) {
                prop_assert_eq!(usage.input_total(), prompt);
            }
            let generates =
                !matches!(endpoint, Endpoint::Embeddings | Endpoint::Rerank);
            if generates && let (Some(prompt), Some(completion)) = (report.prompt, report.completion) {
                let reasoning = report.output.reasoning.unwrap_or(0);
                let by_total = report.total.unwrap_or(0).saturating_sub(prompt);
                let output = usage.output_total();
                prop_assert!(output == completion || output == completion + reasoning || output == by_total);
            }
        }
    }

    /// A single report of sound numbers is taken as it stands.
    #[test]
    fn sound_numbers_are_taken(prompt in 0..=COUNT_MAX, completion in 0..=COUNT_MAX) {
        let report = json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion});
        let mut taken = Report::default();
        // Their sum may be beyond what is believed of a total.
        let whole = taken.take(report.to_string().as_bytes(), Join::Replace).is_ok();
        prop_assert_eq!(whole, is_count(&report["total_tokens"]).is_some());
        let (usage, clamped) = taken.usage(Endpoint::ChatCompletions).unwrap();
        prop_assert_eq!((usage.input_text, usage.output_text, clamped), (prompt, completion, false));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Report::default().take(&bytes, Join::Replace);
    }
}
