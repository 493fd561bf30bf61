//! A streamed answer: what the client gets of it, and what it says.
//!
//! Bytes go through as they came. [`StreamReader`] reads along, and holds back no more than an event's beginning until
//! its end has come, so that every event is written in one piece. Two things do not reach the client: the usage event
//! that we asked for and the client did not, and an upstream's error event with all behind it; what went wrong is in
//! [`Facts::error`], for the caller to say in its own words.
//!
//! Always true: memory is bounded by [`EVENT_BYTES_MAX`]. A longer event is read like any other, but passes on as it
//! comes. Facts, and the client's bytes but for such events, do not depend on how the stream was cut.

use bytes::Bytes;

use super::endpoint::Endpoint;
use super::facts::Reading;
use super::place::Place;
use super::scan::Scan;
use super::sse::{Parser, Token};

pub use super::facts::{AnswerError, Facts};

#[derive(Debug)]
pub struct StreamReader {
    parser: Parser,
    scan: Scan,
    payload: Payload,
    reading: Reading,
    keep_usage: bool,
    first_event_seen: bool,
    /// Bytes of the unfinished event.
    event_bytes: usize,
    /// These bytes, unless they are too many and went on already.
    held: Vec<u8>,
    /// What became of the last event: a line feed that comes late shares its fate.
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pass,
    TakeOut,
    /// The stream is over, for the client.
    End,
}

impl StreamReader {
    /// `keep_usage`: the client asked for the usage event.
    pub fn new(endpoint: Endpoint, keep_usage: bool) -> Self {
        StreamReader {
            parser: Parser::default(),
            scan: Scan::new(Place::root(endpoint, true)),
            payload: Payload::default(),
            reading: Reading::new(endpoint),
            keep_usage,
            first_event_seen: false,
            event_bytes: 0,
            held: Vec::new(),
            fate: Fate::Pass,
        }
    }

    /// Takes bytes as they arrived, and appends what the client shall get: whole events, each byte as it came.
    pub fn feed(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) {
        let mut rest = &chunk[..];
        // Whole events of this chunk that pass and are not yet in `out`; what stands before is dealt with.
        let mut passing = 0..0;
        while self.fate != Fate::End
            && let Some(token) = self.parser.next(&mut rest)
        {
            if let Token::Data(piece) = token {
                self.payload.push(piece, self.parser.event_name());
                self.scan.push(piece);
                continue;
            }
            let end = chunk.len() - rest.len();
            if token != Token::LineFeed {
                self.fate = self.judge(token, self.event_bytes + end - passing.end);
            }
            self.event_bytes = 0;
            match self.fate {
                Fate::Pass if self.held.is_empty() => passing.end = end,
                Fate::Pass => {
                    self.held.extend_from_slice(&chunk[..end]);
                    out.push(std::mem::take(&mut self.held).into());
                    passing = end..end;
                }
                Fate::TakeOut | Fate::End => {
                    self.held.clear();
                    append(out, &chunk, passing);
                    passing = end..end;
                }
            }
        }
        let unfinished = passing.end;
        append(out, &chunk, passing);
        if self.fate != Fate::End {
            self.hold(chunk.slice(unfinished..), out);
        }
    }

    /// The stream's end. Upstreams cut there: an event that lacks its blank line alone is read, and completed for the
    /// client; half an event is neither.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) {
        let Some(missing_end) = self.parser.missing_end().filter(|_| self.fate != Fate::End) else { return };
        if self.scan.is_whole_object() || self.payload.is_done() {
            self.feed(Bytes::from_static(missing_end), out);
        }
        self.held = Vec::new();
        self.fate = Fate::End;
    }

    pub fn facts(&self) -> &Facts {
        &self.reading.facts
    }

    /// Whether an event has come: comments are none.
    pub fn first_event_seen(&self) -> bool {
        self.first_event_seen
    }

    /// Reads what has just ended, of so many bytes, and decides what becomes of it.
    fn judge(&mut self, token: Token<'_>, bytes: usize) -> Fate {
        if token != Token::Event {
            return Fate::Pass;
        }
        self.first_event_seen = true;
        let fate = self.read_event();
        self.scan.reset();
        self.payload.head.clear();
        // Of a longer event a part has passed.
        if fate == Fate::TakeOut && bytes > EVENT_BYTES_MAX { Fate::Pass } else { fate }
    }

    fn read_event(&mut self) -> Fate {
        let named_error = self.parser.event_name() == b"error";
        let found = self.scan.found();
        if self.scan.is_whole_object() && (found.error || self.reading.is_failure(found) && !named_error) {
            self.reading.fail(found);
            return Fate::End;
        }
        if named_error {
            self.reading.facts.error = Some(AnswerError::from_json(&self.payload.head));
            return Fate::End;
        }
        if self.payload.is_done() {
            self.reading.facts.done_seen = true;
        } else if self.scan.is_whole_object() {
            self.reading.absorb(found);
            let usage_alone = found.usage && !found.choice && self.reading.endpoint().takes_stream_options();
            if usage_alone && !self.keep_usage {
                return Fate::TakeOut;
            }
        }
        Fate::Pass
    }

    /// Keeps the beginning of an unfinished event.
    fn hold(&mut self, beginning: Bytes, out: &mut Vec<Bytes>) {
        self.event_bytes = self.event_bytes.saturating_add(beginning.len());
        if self.event_bytes <= EVENT_BYTES_MAX {
            self.held.extend_from_slice(&beginning);
            return;
        }
        if !self.held.is_empty() {
            out.push(std::mem::take(&mut self.held).into());
        }
        if !beginning.is_empty() {
            out.push(beginning);
        }
    }
}

/// An event's data, as far as it is kept.
#[derive(Debug, Default)]
struct Payload {
    head: Vec<u8>,
}

impl Payload {
    fn push(&mut self, piece: &[u8], event_name: &[u8]) {
        let bytes_max = if event_name == b"error" { ERROR_BYTES_MAX } else { DONE_BYTES_MAX };
        let taken = piece.len().min(bytes_max.saturating_sub(self.head.len()));
        self.head.extend_from_slice(&piece[..taken]);
    }

    fn is_done(&self) -> bool {
        self.head.trim_ascii() == b"[DONE]"
    }
}

/// Appends a part of the chunk, without copying it.
fn append(out: &mut Vec<Bytes>, chunk: &Bytes, part: std::ops::Range<usize>) {
    if !part.is_empty() {
        out.push(chunk.slice(part));
    }
}

/// What is held of an unfinished event, at most.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// Enough for `[DONE]` with blanks around it.
const DONE_BYTES_MAX: usize = 16;

/// What is read of an event named `error` whose data says no error of its own.
const ERROR_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests;
