//! What an answer says, whatever its dialect: as events while it streams, as a [`Reply`] when it is whole.

use serde::Serialize;
use thiserror::Error;

use crate::core::usage::Usage;

/// The next thing that an answer says. Calls follow each other: arguments belong to the last one that began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Thinking(String),
    Text(String),
    Refusal(String),
    Call {
        id: String,
        name: String,
    },
    Arguments(String),
    Stop(Stop),
    /// The last word on usage so far: later ones replace it.
    Usage(Usage),
    End,
}

/// Why a model stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Turn,
    Length,
    Calls,
    Sequence(Option<String>),
    Filter,
}

impl Stop {
    /// What was said, or what it must have meant: some upstreams stop for a call and name it the end of a turn.
    pub fn of(said: Option<&Stop>, called: bool) -> Stop {
        match said {
            Some(Stop::Turn) | None if called => Stop::Calls,
            Some(stop) => stop.clone(),
            None => Stop::Turn,
        }
    }
}

/// A whole answer, or what there is of it.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub pieces: Vec<Piece>,
    pub stop: Option<Stop>,
    pub usage: Option<Usage>,
    /// Of all pieces.
    bytes: usize,
}

#[derive(Debug)]
pub(super) enum Piece {
    Thinking(String),
    Text(String),
    Refusal(String),
    Call { id: String, name: String, arguments: String },
}

/// An upstream's answer that is none in its own dialect, or that no answer in the client's can say.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the upstream's answer cannot be converted: {0}")]
pub struct Broken(pub &'static str);

impl Reply {
    pub fn absorb(&mut self, event: Event) -> Result<(), Broken> {
        match (event, self.pieces.last_mut()) {
            (Event::Thinking(more), Some(Piece::Thinking(text)))
            | (Event::Text(more), Some(Piece::Text(text)))
            | (Event::Refusal(more), Some(Piece::Refusal(text)))
            | (Event::Arguments(more), Some(Piece::Call { arguments: text, .. })) => {
                text.push_str(&more);
                self.count(more.len())?;
            }
            (Event::Thinking(text), _) => self.begin(text.len(), Piece::Thinking(text))?,
            (Event::Text(text), _) => self.begin(text.len(), Piece::Text(text))?,
            (Event::Refusal(text), _) => self.begin(text.len(), Piece::Refusal(text))?,
            (Event::Call { id, name }, _) => {
                self.begin(id.len() + name.len(), Piece::Call { id, name, arguments: String::new() })?;
            }
            (Event::Arguments(_), _) => return Err(Broken("arguments without a call")),
            (Event::Stop(stop), _) => self.stop = Some(stop),
            (Event::Usage(usage), _) => self.usage = Some(usage),
            (Event::End, _) => {}
        }
        Ok(())
    }

    /// Whether this event would begin a new piece.
    pub fn begins_piece(&self, event: &Event) -> bool {
        let last = self.pieces.last();
        match event {
            Event::Thinking(_) => !matches!(last, Some(Piece::Thinking(_))),
            Event::Text(_) => !matches!(last, Some(Piece::Text(_))),
            Event::Refusal(_) => !matches!(last, Some(Piece::Refusal(_))),
            Event::Call { .. } => true,
            Event::Arguments(_) | Event::Stop(_) | Event::Usage(_) | Event::End => false,
        }
    }

    fn begin(&mut self, bytes: usize, piece: Piece) -> Result<(), Broken> {
        self.pieces.push(piece);
        self.count(bytes + PIECE_BYTES)
    }

    fn count(&mut self, bytes: usize) -> Result<(), Broken> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > REPLY_BYTES_MAX { Err(Broken("it is too long")) } else { Ok(()) }
    }

    pub fn stop(&self) -> Stop {
        let called = self.pieces.iter().any(|piece| matches!(piece, Piece::Call { .. }));
        Stop::of(self.stop.as_ref(), called)
    }
}

/// Far above the longest output of any model, in bytes.
const REPLY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a piece takes beside its text, so that a million empty ones are too long as well.
const PIECE_BYTES: usize = 128;

/// Input written to a cache, of any lifetime.
pub(super) fn cache_written(usage: &Usage) -> u64 {
    usage.input_cache_write.saturating_add(usage.input_cache_write_1h).saturating_add(usage.input_cache_write_12h)
}

/// Appends one server-sent event.
pub(super) fn write_event(name: Option<&str>, data: &impl Serialize, out: &mut Vec<u8>) {
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    let start = out.len();
    serde_json::to_writer(&mut *out, data)
        .expect("every value written here has text as its keys, and memory is no file");
    // A client's own JSON may be among it, in lines. Line ends stand between tokens only, where a blank means the same.
    out[start..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    out.extend_from_slice(b"\n\n");
}
