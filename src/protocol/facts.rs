//! What an answer says about itself: usage, how much text there was, how it ended.
//!
//! [`Facts`] is what the rest of the gateway reads, of a streamed answer as of a whole one. [`Reading`] gathers them out
//! of one JSON text after the other, for both readers.
//!
//! Always true: the text of an error is never counted as generated text, and usage is the last that could be believed.

use std::borrow::Cow;

use serde_json::Value;

use super::endpoint::Endpoint;
use super::place::Place;
use super::scan::Found;
use super::usage::{self, Join, Report};
use crate::core::usage::{ImageKind, Tier, Usage};

/// Facts of an answer, growing as its bytes pass.
#[derive(Debug, Default)]
pub struct Facts {
    /// The last report, field by field. None: never reported, or not credible.
    pub usage: Option<Usage>,
    /// The service tier that the answer names, whether it reported usage or not.
    pub tier: Option<Tier>,
    /// Bytes of generated text: content, refusals, arguments of tool calls, visible reasoning.
    pub text_bytes: u64,
    /// Some choice carried text, a tool call or a reason to finish; a whole answer is real.
    pub content_begun: bool,
    /// A choice gave its reason to finish.
    pub finish_seen: bool,
    /// The stream said that it is whole: `[DONE]`, or its dialect's own last event.
    pub done_seen: bool,
    /// Searches of the web that the upstream made.
    pub web_searches: u64,
    /// How much sound the upstream says it heard.
    pub audio_ms: Option<u64>,
    /// What the upstream says a search counts as.
    pub search_units: Option<u64>,
    /// What the upstream said went wrong.
    pub error: Option<AnswerError>,
    /// A count was refused, or cut to what it is a part of.
    pub anomalous: bool,
}

/// An error, as an answer's body or as an event of a stream. Upstreams quote requests and name themselves in it: it is
/// for the log, and for clients only where it is known to be about the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerError {
    /// At most [`MESSAGE_BYTES_MAX`].
    pub message: String,
    /// The error's `code`, else its `type`.
    pub code: Option<String>,
}

impl AnswerError {
    /// From the value of an `error` member: an object or a string. What is neither is its own message.
    pub fn from_json(json: &[u8]) -> Self {
        let Ok(error) = serde_json::from_slice::<Value>(json) else {
            return AnswerError { message: bounded(&String::from_utf8_lossy(json)), code: None };
        };
        let word = |name| match error.get(name) {
            Some(Value::String(word)) if !word.is_empty() => Some(bounded(word)),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let message = match (&error, error.get("message")) {
            (Value::String(message), _) | (_, Some(Value::String(message))) => bounded(message),
            _ => bounded(&error.to_string()),
        };
        AnswerError { message, code: word("code").or_else(|| word("type")) }
    }
}

/// Gathers facts.
#[derive(Debug)]
pub(super) struct Reading {
    endpoint: Endpoint,
    pub facts: Facts,
    report: Report,
    /// A report of usage was there and nothing of it could be believed.
    disbelieved: bool,
    images: Option<u64>,
    image_kind: ImageKind,
}

impl Reading {
    pub fn new(endpoint: Endpoint) -> Self {
        Reading {
            endpoint,
            facts: Facts::default(),
            report: Report::default(),
            disbelieved: false,
            images: None,
            image_kind: ImageKind::default(),
        }
    }

    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// Takes what a whole JSON text says.
    pub fn absorb(&mut self, found: &Found) {
        let is_last = self.is_last_event(found);
        let facts = &mut self.facts;
        facts.text_bytes = facts.text_bytes.saturating_add(found.text_bytes);
        facts.content_begun |= found.text_bytes > 0 || found.call || found.finish || is_last;
        facts.finish_seen |= found.finish || is_last;
        facts.done_seen |= is_last;
        facts.anomalous |= found.overflow;
        self.count_searches(found);
        let finished_picture = self.finished_picture(found);
        if finished_picture {
            self.images = Some(self.images.unwrap_or(0).saturating_add(1));
            self.facts.content_begun = true;
        } else if self.endpoint.makes_pictures() && found.data_entries.is_some() {
            self.images = found.data_entries;
        }
        let news = found.values().next().is_some() || self.images.is_some();
        let join = if finished_picture { Join::Add } else { Join::Replace };
        // What stands beside the choices is the last word.
        for inner in [true, false] {
            for (place, json) in found.values() {
                if (place == Place::InnerUsage) == inner {
                    self.value(place, json, join);
                }
            }
        }
        if news {
            self.renew_usage();
        }
    }

    fn is_last_event(&self, found: &Found) -> bool {
        let last: &[&[u8]] = match self.endpoint {
            Endpoint::Responses => &[b"\"response.completed\"", b"\"response.incomplete\""],
            Endpoint::Messages => &[b"\"message_stop\""],
            Endpoint::AudioTranscriptions => &[b"\"transcript.text.done\""],
            Endpoint::AudioSpeech => &[b"\"speech.audio.done\""],
            _ => &[],
        };
        found.values().any(|(place, json)| place == Place::Type && last.contains(&json))
    }

    /// Whether an event tells of a failure without an `error` that says more.
    pub fn is_failure(&self, found: &Found) -> bool {
        let fails = |json: &[u8]| matches!(json, b"\"error\"" | b"\"response.failed\"");
        self.endpoint == Endpoint::Responses && found.values().any(|(place, json)| place == Place::Type && fails(json))
    }

    /// Searches of a response are each an item. A stream tells of each when it is done, and of all in its last event; what
    /// that says of those that are billed is the last word.
    fn count_searches(&mut self, found: &Found) {
        if self.endpoint != Endpoint::Responses {
            return;
        }
        let count = |wanted: Place, words: &[&[u8]]| {
            found.values().filter(|(place, json)| *place == wanted && words.contains(json)).count() as u64
        };
        let calls = count(Place::ItemType, &[b"\"web_search_call\""]);
        // Looking into what was found is a call too, and no search.
        let looks = count(Place::ActionType, &[b"\"open_page\"", b"\"find_in_page\""]);
        let searches = calls.saturating_sub(looks);
        let value = |wanted: Place| found.values().find(|(place, _)| *place == wanted).map(|(_, json)| json);
        let facts = &mut self.facts;
        facts.content_begun |= calls > 0;
        match value(Place::Type).unwrap_or_default() {
            b"\"response.output_item.added\"" => {}
            b"\"response.output_item.done\"" => facts.web_searches = facts.web_searches.saturating_add(searches),
            _ => facts.web_searches = facts.web_searches.max(searches),
        }
        if let Some(billed) = value(Place::SearchUsage).and_then(usage::searches) {
            facts.web_searches = billed;
        }
    }

    /// An error in place of an answer, or of the rest of it.
    pub fn fail(&mut self, found: &Found) {
        let json = found.values().filter(|(place, _)| *place == Place::Error).map(|(_, json)| json).last();
        self.facts.error = Some(json.map(AnswerError::from_json).unwrap_or_default());
    }

    /// One more finished picture of a stream of pictures, which has its own usage: the only reports that add up.
    fn finished_picture(&self, found: &Found) -> bool {
        let finished = |(place, json): (Place, &[u8])| {
            place == Place::Type && matches!(json, b"\"image_generation.completed\"" | b"\"image_edit.completed\"")
        };
        self.endpoint.makes_pictures() && found.values().any(finished)
    }

    fn value(&mut self, place: Place, json: &[u8], join: Join) {
        match place {
            Place::Usage | Place::InnerUsage => {
                let refused = self.report.take(json, join).is_err();
                self.facts.anomalous |= refused;
                self.disbelieved |= refused;
            }
            // Beside a report it is not rounded as the bill is.
            Place::Duration => {
                self.facts.audio_ms = usage::milliseconds(&serde_json::from_slice(json).unwrap_or_default())
            }
            Place::ServiceTier => self.facts.tier = short_word(json).map(|tier| Tier::from_wire(&tier)),
            Place::Size => self.image_kind.size = short_word(json).unwrap_or_default().into_owned(),
            Place::Quality => self.image_kind.quality = short_word(json).unwrap_or_default().into_owned(),
            _ => {}
        }
    }

    fn renew_usage(&mut self) {
        self.facts.audio_ms = self.report.audio_ms().or(self.facts.audio_ms);
        self.facts.search_units = self.report.search_units();
        let mut usage = match self.report.usage(self.endpoint) {
            Some((usage, clamped)) => {
                self.facts.anomalous |= clamped;
                usage
            }
            // Pictures that are sold by the piece come without a report of tokens.
            None if self.images.is_some() && !self.disbelieved => Usage::default(),
            None => return,
        };
        if let Some(images) = self.images {
            usage.images = images;
            usage.image_kind = self.image_kind.clone();
        }
        // Anthropic names the tier in the report itself.
        self.facts.tier = self.report.tier().or(self.facts.tier);
        usage.tier = self.facts.tier.unwrap_or_default();
        self.facts.web_searches = self.facts.web_searches.max(usage.web_searches);
        usage.web_searches = self.facts.web_searches;
        self.facts.usage = Some(usage);
    }
}

/// A string that names one of few things.
fn short_word(json: &[u8]) -> Option<Cow<'_, str>> {
    let word: Cow<'_, str> = match json {
        // Every event may name the tier: usually there is nothing to resolve in it.
        [b'"', word @ .., b'"'] if word.iter().all(u8::is_ascii_alphanumeric) => str::from_utf8(word).ok()?.into(),
        _ => serde_json::from_slice::<String>(json).ok()?.into(),
    };
    (word.len() <= WORD_BYTES_MAX).then_some(word)
}

fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned()
}

/// Of an error's message and of its code.
pub const MESSAGE_BYTES_MAX: usize = 1024;

const WORD_BYTES_MAX: usize = 64;

#[cfg(test)]
pub(super) mod golden;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_in_every_shape() {
        let read = |json: &str| {
            let AnswerError { message, code } = AnswerError::from_json(json.as_bytes());
            (message, code)
        };
        let some = |word: &str| Some(word.to_owned());
        assert_eq!(read(r#""over\u0021""#), ("over!".into(), None));
        assert_eq!(read(r#"{"message":"m","code":"c","type":"t"}"#), ("m".into(), some("c")));
        assert_eq!(read(r#"{"message":"m","code":502}"#), ("m".into(), some("502")));
        assert_eq!(read(r#"{"message":"m","code":null,"type":"t"}"#), ("m".into(), some("t")));
        assert_eq!(read(r#"{"detail":"d"}"#), (r#"{"detail":"d"}"#.into(), None));
        assert_eq!(read("upstream is down"), ("upstream is down".into(), None));
        assert_eq!(read(""), (String::new(), None));
    }

    #[test]
    fn messages_are_bounded_at_a_character() {
        let error = AnswerError::from_json(format!("{{\"message\":\"{}\"}}", "é1".repeat(1_000)).as_bytes());
        assert!(error.message.len() <= MESSAGE_BYTES_MAX && error.message.len() > MESSAGE_BYTES_MAX - 4);
    }
}
