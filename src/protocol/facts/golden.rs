//! Answers of real shapes, and what they say: `tests/golden/<dialect>/<case>.{reply,expect}`.
//!
//! A `.reply` is the bytes of an answer's body. Its `.expect` is JSON: the facts (of `usage` the fields that are not
//! zero), and for streams what the client gets: all, less the events `taken_out`, and nothing from `ends_before` on.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{AnswerError, Facts};
use crate::core::usage::Usage;
use crate::protocol::endpoint::Endpoint;

pub(in crate::protocol) struct Case {
    pub name: String,
    pub endpoint: Endpoint,
    pub reply: Vec<u8>,
    pub expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::protocol) struct Expect {
    pub stream: bool,
    #[serde(default)]
    pub keep_usage: bool,
    usage: Option<Map<String, Value>>,
    text_bytes: u64,
    audio_ms: Option<u64>,
    search_units: Option<u64>,
    flags: Vec<String>,
    error: Option<(String, Option<String>)>,
    /// Streams: events that the client does not get; each stands once in the reply.
    #[serde(default)]
    taken_out: Vec<String>,
    ends_before: Option<String>,
    /// What is added to a last event that was cut behind its data.
    #[serde(default)]
    completed_with: String,
    /// Whole answers.
    pub verdict: Option<String>,
}

impl Case {
    /// Streams, or whole answers.
    pub fn all(stream: bool) -> Vec<Case> {
        let mut cases = Vec::new();
        for (directory, endpoint) in DIRECTORIES {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(directory);
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "reply") {
                    let name = path.display().to_string();
                    let expect = fs::read(path.with_extension("expect")).unwrap();
                    let expect = serde_json::from_slice(&expect).unwrap_or_else(|error| panic!("{name}: {error}"));
                    cases.push(Case { name, endpoint, reply: fs::read(&path).unwrap(), expect });
                }
            }
        }
        cases.retain(|case| case.expect.stream == stream);
        assert!(cases.len() > 10, "the golden files are not there");
        cases
    }

    pub fn check_facts(&self, facts: &Facts, how: &str) {
        let name = &self.name;
        let usage = facts.usage.as_ref().map(fields);
        assert_eq!(usage, self.expect.usage, "usage of {name}, {how}");
        assert_eq!(facts.text_bytes, self.expect.text_bytes, "text of {name}, {how}");
        assert_eq!(facts.audio_ms, self.expect.audio_ms, "sound of {name}, {how}");
        assert_eq!(facts.search_units, self.expect.search_units, "searches of {name}, {how}");
        assert_eq!(flags(facts), self.expect.flags, "flags of {name}, {how}");
        let error = self.expect.error.clone().map(|(message, code)| AnswerError { message, code });
        assert_eq!(facts.error, error, "error of {name}, {how}");
    }

    pub fn client_bytes(&self) -> Vec<u8> {
        let mut bytes = self.reply.clone();
        if let Some(end) = &self.expect.ends_before {
            bytes.truncate(position(&bytes, end.as_bytes(), &self.name));
        }
        for event in &self.expect.taken_out {
            let at = position(&bytes, event.as_bytes(), &self.name);
            bytes.drain(at..at + event.len());
        }
        bytes.extend(self.expect.completed_with.as_bytes());
        bytes
    }
}

fn position(bytes: &[u8], part: &[u8], name: &str) -> usize {
    let found: Vec<usize> = memchr::memmem::find_iter(bytes, part).collect();
    assert_eq!(found.len(), 1, "{:?} in {name}", String::from_utf8_lossy(part));
    found[0]
}

fn flags(facts: &Facts) -> Vec<&'static str> {
    [
        (facts.content_begun, "content_begun"),
        (facts.finish_seen, "finish_seen"),
        (facts.done_seen, "done_seen"),
        (facts.anomalous, "anomalous"),
    ]
    .into_iter()
    .filter_map(|(set, name)| set.then_some(name))
    .collect()
}

fn fields(usage: &Usage) -> Map<String, Value> {
    let fields = json!({
        "input_text": usage.input_text,
        "input_cached": usage.input_cached,
        "input_cache_write": usage.input_cache_write,
        "input_cache_write_1h": usage.input_cache_write_1h,
        "input_cache_write_12h": usage.input_cache_write_12h,
        "input_audio": usage.input_audio,
        "input_cached_audio": usage.input_cached_audio,
        "input_image": usage.input_image,
        "input_cached_image": usage.input_cached_image,
        "input_video": usage.input_video,
        "output_text": usage.output_text,
        "output_reasoning": usage.output_reasoning,
        "output_audio": usage.output_audio,
        "output_image": usage.output_image,
        "images": usage.images,
        "web_searches": usage.web_searches,
        "quality": usage.image_kind.quality,
        "size": usage.image_kind.size,
        "tier": usage.tier,
    });
    let Value::Object(mut fields) = fields else { unreachable!("an object is written above") };
    fields.retain(|_, value| *value != json!(0) && *value != json!("") && *value != json!("standard"));
    fields
}

const DIRECTORIES: [(&str, Endpoint); 10] = [
    ("chat", Endpoint::ChatCompletions),
    ("responses", Endpoint::Responses),
    ("messages", Endpoint::Messages),
    ("completions", Endpoint::Completions),
    ("embeddings", Endpoint::Embeddings),
    ("images", Endpoint::ImagesGenerations),
    ("transcriptions", Endpoint::AudioTranscriptions),
    ("speech", Endpoint::AudioSpeech),
    ("moderations", Endpoint::Moderations),
    ("rerank", Endpoint::Rerank),
];
