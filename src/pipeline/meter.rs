//! Stage 7: the answer, as it passes by.
//!
//! Feeds the bytes to a protocol reader and decides what the client gets, and when. Nothing is given out before the
//! answer has shown itself to be one: a stream's first event, or the whole of a JSON body. Until then the next upstream
//! can still take over, and the client never learns of it.
//!
//! Always true: pure and synchronous; what is kept back is bounded by [`KEPT_BYTES_MAX`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::core::api_error::ApiError;
use crate::core::secret::Secret;
use crate::protocol::convert::{Shown, StreamConverter, WayBack};
use crate::protocol::endpoint::Endpoint;
use crate::protocol::plain::PlainReader;
use crate::protocol::stream::{Facts, StreamReader};
use crate::protocol::whole::{Verdict, WholeReader};

use super::rejection::Rejection;

pub struct Meter {
    reader: Reader,
    /// Where the client speaks another dialect: behind the reader, which reads the upstream's own words.
    teller: Option<Teller>,
    /// Not yet given out.
    kept: Vec<Bytes>,
    kept_bytes: usize,
    /// Whether anything was given out: from then on there is no other upstream.
    released: bool,
    head_at: Instant,
    pub first_content_at: Option<Instant>,
    pub last_piece_at: Option<Instant>,
    pub pieces: u32,
}

enum Reader {
    Stream(StreamReader),
    Whole(WholeReader),
    Plain(PlainReader),
    /// An upstream's 400, 413 or 422: its message is for the client.
    Rejection(Rejection),
}

/// Says in the client's dialect what the upstream said.
enum Teller {
    Stream(StreamConverter),
    Whole(Arc<WayBack>, Shown),
}

/// What a piece of the answer means for the client.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Give this out; empty: nothing yet.
    Pass(Bytes),
    /// This is no answer, and nothing of it was given out.
    Failover(&'static str),
    /// It broke off after something was given out: give this, then the error, then end.
    Cut(Bytes),
    Rejected(ApiError),
}

impl Meter {
    pub fn stream(endpoint: Endpoint, client_wants_usage: bool, now: Instant) -> Meter {
        Meter::new(Reader::Stream(StreamReader::new(endpoint, client_wants_usage)), now)
    }

    pub fn whole(endpoint: Endpoint, now: Instant) -> Meter {
        Meter::new(Reader::Whole(WholeReader::new(endpoint)), now)
    }

    /// An answer that is neither JSON nor events.
    pub fn plain(media_type: &[u8], now: Instant) -> Meter {
        Meter::new(Reader::Plain(PlainReader::new(media_type)), now)
    }

    /// `known`: what must not be in the words that a client gets to see.
    pub fn rejection(status: u16, known: Vec<Secret>, now: Instant) -> Meter {
        Meter::new(Reader::Rejection(Rejection::new(status, known)), now)
    }

    fn new(reader: Reader, now: Instant) -> Meter {
        Meter {
            reader,
            teller: None,
            kept: Vec::new(),
            kept_bytes: 0,
            released: false,
            head_at: now,
            first_content_at: None,
            last_piece_at: None,
            pieces: 0,
        }
    }

    /// What is read is told to the client by this conversion, if any.
    pub fn told(mut self, back: Option<(Arc<WayBack>, Shown)>) -> Meter {
        self.teller = back.map(|(back, shown)| match self.reader {
            Reader::Stream(_) => Teller::Stream(back.stream(&shown)),
            _ => Teller::Whole(back, shown),
        });
        self
    }

    pub fn released(&self) -> bool {
        self.released
    }

    pub fn is_stream(&self) -> bool {
        matches!(self.reader, Reader::Stream(_))
    }

    pub fn facts(&self) -> Option<&Facts> {
        match &self.reader {
            Reader::Stream(reader) => Some(reader.facts()),
            Reader::Whole(reader) => Some(reader.facts()),
            Reader::Plain(reader) => Some(reader.facts()),
            Reader::Rejection(_) => None,
        }
    }

    /// Takes one piece as it arrived; `end` with the last one, which may be empty.
    pub fn feed(&mut self, chunk: Option<Bytes>, end: bool, now: Instant) -> Step {
        let chunk = chunk.unwrap_or_default();
        if !chunk.is_empty() {
            self.last_piece_at = Some(now);
            self.pieces = self.pieces.saturating_add(1);
        }
        let step = match &mut self.reader {
            Reader::Rejection(rejection) => {
                rejection.feed(&chunk);
                match end {
                    true if rejection.is_about_credit() => Step::Failover("credit"),
                    true => Step::Rejected(rejection.to_api_error()),
                    false => Step::Pass(Bytes::new()),
                }
            }
            Reader::Stream(_) => self.feed_stream(chunk, end, now),
            Reader::Whole(_) => self.feed_whole(chunk, end),
            Reader::Plain(_) => self.feed_plain(chunk, end),
        };
        if self.first_content_at.is_none() && self.released && self.facts().is_some_and(|facts| facts.content_begun) {
            self.first_content_at = Some(now);
        }
        step
    }

    fn feed_stream(&mut self, chunk: Bytes, end: bool, now: Instant) -> Step {
        let Reader::Stream(reader) = &mut self.reader else { return Step::Pass(chunk) };
        let mut out = std::mem::take(&mut self.kept);
        self.kept_bytes = 0;
        let mut news = if self.teller.is_some() { Vec::new() } else { std::mem::take(&mut out) };
        reader.feed(chunk, &mut news);
        if end {
            reader.finish(&mut news);
        }
        let facts = reader.facts();
        let mut whole = facts.done_seen || facts.finish_seen;
        match &mut self.teller {
            Some(Teller::Stream(converter)) => {
                let mut told = Vec::new();
                let mut done = news.iter().try_for_each(|bytes| converter.feed(bytes, &mut told));
                if end && whole && facts.error.is_none() {
                    done = done.and_then(|()| converter.end(&mut told));
                    whole = converter.ended();
                }
                out.push(told.into());
                if let Err(broken) = done {
                    tracing::warn!(error = &broken as &dyn std::error::Error, "a stream cannot be converted");
                    return if self.released { Step::Cut(join(out)) } else { Step::Failover("untold_stream") };
                }
            }
            _ => out = news,
        }
        if facts.error.is_some() {
            return if self.released { Step::Cut(join(out)) } else { Step::Failover("error_event") };
        }
        if end && !whole {
            return if self.released { Step::Cut(join(out)) } else { Step::Failover("empty_stream") };
        }
        let waited = now.saturating_duration_since(self.head_at) >= COMMENTS_ALONE_MAX;
        let kept_bytes: usize = out.iter().map(Bytes::len).sum();
        if self.released || reader.first_event_seen() || (waited && kept_bytes > 0) || kept_bytes > COMMENT_BYTES_MAX {
            self.released = self.released || kept_bytes > 0;
            return Step::Pass(join(out));
        }
        self.kept_bytes = kept_bytes;
        self.kept = out;
        Step::Pass(Bytes::new())
    }

    fn feed_whole(&mut self, chunk: Bytes, end: bool) -> Step {
        let Reader::Whole(reader) = &mut self.reader else { return Step::Pass(chunk) };
        reader.feed(&chunk);
        if !end {
            if self.released {
                return Step::Pass(chunk);
            }
            self.kept_bytes = self.kept_bytes.saturating_add(chunk.len());
            self.kept.push(chunk);
            if self.kept_bytes <= KEPT_BYTES_MAX {
                return Step::Pass(Bytes::new());
            }
            if self.teller.is_some() {
                return Step::Failover("body_too_large");
            }
            // Too much to keep (large pictures): from here on it goes through as it comes.
            self.released = true;
            self.kept_bytes = 0;
            return Step::Pass(join(std::mem::take(&mut self.kept)));
        }
        let mut out = std::mem::take(&mut self.kept);
        out.push(chunk);
        match (reader.finish(), self.released) {
            (Verdict::Whole, _) => match &self.teller {
                Some(Teller::Whole(back, shown)) => match back.answer(&join(out), shown) {
                    Ok(told) => {
                        self.released = true;
                        Step::Pass(told.into())
                    }
                    Err(broken) => {
                        tracing::warn!(error = &broken as &dyn std::error::Error, "an answer cannot be converted");
                        Step::Failover("untold_body")
                    }
                },
                _ => {
                    self.released = true;
                    Step::Pass(join(out))
                }
            },
            (Verdict::Broken, false) => Step::Failover("broken_body"),
            (Verdict::Error, false) => Step::Failover("error_body"),
            (Verdict::Broken | Verdict::Error, true) => Step::Cut(Bytes::new()),
        }
    }
}

impl Meter {
    /// Nothing in it could tell of a failure, so there is nothing to wait for.
    fn feed_plain(&mut self, chunk: Bytes, end: bool) -> Step {
        let Reader::Plain(reader) = &mut self.reader else { return Step::Pass(chunk) };
        reader.feed(&chunk);
        self.released |= !chunk.is_empty();
        if end && !self.released { Step::Failover("empty_body") } else { Step::Pass(chunk) }
    }
}

/// Usually there is one piece, which goes out as it is.
fn join(mut pieces: Vec<Bytes>) -> Bytes {
    pieces.retain(|piece| !piece.is_empty());
    match pieces.len() {
        0 => Bytes::new(),
        1 => pieces.swap_remove(0),
        _ => {
            let mut joined = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
            for piece in &pieces {
                joined.extend_from_slice(piece);
            }
            joined.freeze()
        }
    }
}

/// Comments keep a client's connection alive: after this long they are passed on, and with them the head.
const COMMENTS_ALONE_MAX: Duration = Duration::from_secs(5);
const COMMENT_BYTES_MAX: usize = 64 * 1024;
/// A JSON answer up to this size is seen whole before any of it is given out.
pub const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::catalog::{Dialect, UpstreamKind};
    use crate::protocol::convert::{self, Target};

    fn chunk(text: &str) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(text.as_bytes()))
    }

    const CONTENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";

    #[test]
    fn a_streams_first_event_opens_the_way() {
        let now = Instant::now();
        let mut meter = Meter::stream(Endpoint::ChatCompletions, false, now);
        assert_eq!(meter.feed(chunk(": waiting\n\n"), false, now), Step::Pass(Bytes::new()));
        assert!(!meter.released());
        let Step::Pass(out) = meter.feed(chunk(CONTENT), false, now) else { panic!("content passes") };
        assert!(out.starts_with(b": waiting"));
        assert!(out.ends_with(CONTENT.as_bytes()));
        assert!(meter.first_content_at.is_some());
    }

    #[test]
    fn comments_alone_are_kept_back_for_five_seconds() {
        let start = Instant::now();
        let mut meter = Meter::stream(Endpoint::ChatCompletions, false, start);
        assert_eq!(meter.feed(chunk(": a\n\n"), false, start), Step::Pass(Bytes::new()));
        let later = start + COMMENTS_ALONE_MAX;
        assert_eq!(meter.feed(chunk(": b\n\n"), false, later), Step::Pass(Bytes::from_static(b": a\n\n: b\n\n")));
        assert!(meter.released());
    }

    #[test]
    fn an_error_first_is_a_failover_and_later_a_cut() {
        let now = Instant::now();
        let error = "data: {\"error\":{\"message\":\"overloaded\"}}\n\n";
        let mut first = Meter::stream(Endpoint::ChatCompletions, false, now);
        assert_eq!(first.feed(chunk(error), false, now), Step::Failover("error_event"));
        let mut later = Meter::stream(Endpoint::ChatCompletions, false, now);
        later.feed(chunk(CONTENT), false, now);
        assert_eq!(later.feed(chunk(error), false, now), Step::Cut(Bytes::new()));
    }

    #[test]
    fn a_converted_stream_is_the_same_however_it_is_cut() {
        let now = Instant::now();
        let question = br#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
        let target = Target {
            dialect: Dialect::Chat,
            kind: UpstreamKind::Openai,
            model: "m",
            max_output_tokens: 9,
            inject_usage: true,
        };
        let back = Arc::new(convert::request(Dialect::Messages, question, &target).unwrap().back);
        let shown = Shown { id: "1".into(), model: "m".into(), created_at: 1 };
        let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n";
        let stop = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
        let stream = [": waiting\n\n", CONTENT, stop, usage, "data: [DONE]\n\n"].concat();
        let told = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let mut meter =
                Meter::stream(Endpoint::ChatCompletions, true, now).told(Some((back.clone(), shown.clone())));
            let mut told = Vec::new();
            for piece in pieces {
                let Step::Pass(out) = meter.feed(Some(Bytes::copy_from_slice(piece)), false, now) else { panic!() };
                told.extend_from_slice(&out);
            }
            let Step::Pass(out) = meter.feed(None, true, now) else { panic!("it is whole") };
            told.extend_from_slice(&out);
            assert_eq!(meter.facts().unwrap().usage.as_ref().map(|usage| usage.output_text), Some(1));
            String::from_utf8(told).unwrap()
        };
        let whole = told(&mut [stream.as_bytes()].into_iter());
        assert!(whole.starts_with(":\n\n") && whole.contains("\n\nevent: message_start\n"), "{whole}");
        assert!(whole.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"), "{whole}");
        assert_eq!(told(&mut stream.as_bytes().chunks(1)), whole);
        for cut in 1..stream.len() {
            let (before, after) = stream.as_bytes().split_at(cut);
            assert_eq!(told(&mut [before, after].into_iter()), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_stream_without_an_end_is_cut() {
        let now = Instant::now();
        let mut meter = Meter::stream(Endpoint::ChatCompletions, false, now);
        meter.feed(chunk(CONTENT), false, now);
        assert_eq!(meter.feed(None, true, now), Step::Cut(Bytes::new()));
        let mut empty = Meter::stream(Endpoint::ChatCompletions, false, now);
        assert_eq!(empty.feed(None, true, now), Step::Failover("empty_stream"));
    }

    #[test]
    fn sound_goes_through_as_it_comes_and_silence_is_no_answer() {
        let now = Instant::now();
        let mut meter = Meter::plain(b"audio/mpeg", now);
        assert_eq!(meter.feed(None, false, now), Step::Pass(Bytes::new()));
        assert!(!meter.released());
        assert_eq!(meter.feed(chunk("ID3"), false, now), Step::Pass(Bytes::from_static(b"ID3")));
        assert!(meter.released() && meter.first_content_at.is_some());
        assert_eq!(meter.feed(None, true, now), Step::Pass(Bytes::new()));
        assert_eq!(Meter::plain(b"audio/mpeg", now).feed(None, true, now), Step::Failover("empty_body"));
    }

    #[test]
    fn a_json_answer_is_given_out_whole_or_not_at_all() {
        let now = Instant::now();
        let mut meter = Meter::whole(Endpoint::ChatCompletions, now);
        assert_eq!(meter.feed(chunk("{\"choices\":"), false, now), Step::Pass(Bytes::new()));
        assert_eq!(meter.feed(chunk("[]}"), true, now), Step::Pass(Bytes::from_static(b"{\"choices\":[]}")));
        for broken in ["<html>", "{\"choices\":", ""] {
            let mut meter = Meter::whole(Endpoint::ChatCompletions, now);
            assert_eq!(meter.feed(chunk(broken), true, now), Step::Failover("broken_body"), "{broken}");
        }
        let mut error = Meter::whole(Endpoint::ChatCompletions, now);
        assert_eq!(error.feed(chunk("{\"error\":{\"message\":\"no\"}}"), true, now), Step::Failover("error_body"));
    }
}
