//! An answer that is neither JSON nor events: sound, or the bare text of a recording.
//!
//! It says nothing about itself but its bytes, so what it costs is known from its request.

use super::endpoint::Endpoint;
use super::facts::Facts;

#[derive(Debug)]
pub struct PlainReader {
    is_text: bool,
    facts: Facts,
}

impl PlainReader {
    /// `media_type`: as the answer's head names it.
    pub fn new(media_type: &[u8]) -> Self {
        let is_text = media_type.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"text/"));
        PlainReader { is_text, facts: Facts::default() }
    }

    pub fn feed(&mut self, chunk: &[u8]) {
        self.facts.content_begun |= !chunk.is_empty();
        if self.is_text {
            self.facts.text_bytes = self.facts.text_bytes.saturating_add(chunk.len() as u64);
        }
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }
}

/// Whether an endpoint's answer of this type is no JSON and does not pretend to be a page: what stands between an upstream and us
/// answers with pages, and they are nobody's recording.
pub fn is_plain(endpoint: Endpoint, media_type: &[u8]) -> bool {
    let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let is_json = essence.len() >= 4 && essence[essence.len() - 4..].eq_ignore_ascii_case(b"json");
    // Without a type, speech is sound and a transcript is JSON: that is what clients get who ask for nothing else.
    let may_be = if essence.is_empty() { endpoint == Endpoint::AudioSpeech } else { endpoint.answers_plainly() };
    may_be && !is_json && !essence.eq_ignore_ascii_case(b"text/html")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_and_text_are_plain_and_pages_are_not() {
        use Endpoint::{AudioSpeech, AudioTranscriptions, ChatCompletions};
        for plain in ["audio/mpeg", "audio/wav; rate=24000", "application/octet-stream", "text/plain; charset=utf-8"] {
            let plain = plain.as_bytes();
            assert!(is_plain(AudioSpeech, plain) && is_plain(AudioTranscriptions, plain));
            assert!(!is_plain(ChatCompletions, plain));
        }
        assert!(is_plain(AudioSpeech, b"") && !is_plain(AudioTranscriptions, b""));
        for other in ["application/json", "application/problem+JSON; charset=utf-8", "text/html", "Text/HTML; x=y"] {
            assert!(!is_plain(AudioSpeech, other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn the_bytes_of_a_text_are_counted_and_those_of_a_sound_are_not() {
        for (media_type, text_bytes) in [("text/plain", 3), ("Text/VTT", 3), ("audio/mpeg", 0), ("", 0)] {
            let mut reader = PlainReader::new(media_type.as_bytes());
            reader.feed(b"");
            assert!(!reader.facts().content_begun);
            reader.feed(b"abc");
            assert_eq!((reader.facts().content_begun, reader.facts().text_bytes), (true, text_bytes), "{media_type}");
        }
    }
}
