//! Between the chat dialects: a request into its upstream's, the answer back into its client's.
//!
//! Every dialect is read into what it says ([`conversation`], [`reply`]) and written from that. A request converts or is
//! refused with the field that has no place on the other side; hints that only tune are left out and named. The way back
//! is a [`WayBack`], which knows what the answer must show of the request.
//!
//! Always true: nothing is dropped without a name; no input makes it panic; memory is bounded by the body that came, and
//! of a stream by what a single answer can be.

mod chat;
mod conversation;
mod fields;
mod list;
mod messages;
mod models;
mod reply;
mod responses;

use std::fmt::Debug;

use crate::core::api_error::ApiError;
use crate::core::catalog::{Dialect, UpstreamKind};

pub use reply::Broken;

use super::sse::{Parser, Token};
use super::stream::EVENT_BYTES_MAX;
use conversation::CHAT_SEAL;
use fields::Dropped;
use reply::{Event, Reply};
use responses::Echo;
use responses::write_answer::About;

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub dialect: Dialect,
    pub kind: UpstreamKind,
    /// The model's name over there.
    pub model: &'a str,
    /// What an answer can be at most, for a dialect that must be told and a client that did not.
    pub max_output_tokens: u64,
    /// Ask a chat completion's stream for its usage, whether the client did or not.
    pub inject_usage: bool,
}

#[derive(Debug)]
pub struct Converted {
    pub body: Vec<u8>,
    /// Hints that have no place over there, by their names.
    pub dropped: Vec<&'static str>,
    pub back: WayBack,
}

/// What the answer's conversion must know of the request.
#[derive(Debug)]
pub struct WayBack {
    upstream: Dialect,
    client: Dialect,
    /// The client asked for usage in the stream.
    include_usage: bool,
    echo: Echo,
}

/// What a client sees of who answered it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The request's own id, of which the answer's ids are made.
    pub id: String,
    pub model: String,
    /// Seconds since 1970.
    pub created_at: u64,
}

/// Converts a request's body, which has passed [`understand`](super::request::understand).
///
/// # Errors
/// [`ApiError::InvalidRequest`] with the field that is wrong, or that cannot be carried.
pub fn request(client: Dialect, body: &[u8], target: &Target) -> Result<Converted, ApiError> {
    let mut dropped = Dropped::default();
    let asked = match client {
        Dialect::Chat => chat::read_request::read(body, &mut dropped)?,
        Dialect::Messages => messages::read_request::read(body, &mut dropped)?,
        Dialect::Responses => responses::read_request::read(body, &mut dropped)?,
    };
    let echo = match client {
        Dialect::Responses => Echo::read(body)?,
        _ => Echo::default(),
    };
    let include_usage = asked.include_usage;
    let body = match target.dialect {
        Dialect::Chat => json(&chat::write_request::write(asked, target, &mut dropped)?),
        Dialect::Messages => json(&messages::write_request::write(asked, target, &mut dropped)?),
        Dialect::Responses => json(&responses::write_request::write(asked, target, &mut dropped)?),
    };
    let back = WayBack { upstream: target.dialect, client, include_usage, echo };
    Ok(Converted { body, dropped: dropped.0, back })
}

impl WayBack {
    /// Converts a whole answer.
    ///
    /// # Errors
    /// [`Broken`] if it is no answer of the upstream's dialect, or has arguments of a call that are no JSON.
    pub fn answer(&self, body: &[u8], shown: &Shown) -> Result<Vec<u8>, Broken> {
        let mut events = Vec::new();
        match self.upstream {
            Dialect::Chat => chat::read_answer::whole(body, &shown.id, &mut events)?,
            Dialect::Messages => messages::read_answer::whole(body, &mut events)?,
            Dialect::Responses => responses::read_answer::whole(body, &mut events)?,
        }
        let mut reply = Reply::default();
        events.into_iter().try_for_each(|event| reply.absorb(event))?;
        match self.client {
            Dialect::Chat => Ok(chat::write_answer::whole(&reply, shown)),
            Dialect::Messages => messages::write_answer::whole(&reply, shown, self.seal()),
            Dialect::Responses => Ok(responses::write_answer::whole(&reply, &self.about(shown))),
        }
    }

    /// Converts an answer that streams.
    pub fn stream(&self, shown: &Shown) -> StreamConverter {
        let reader: Box<dyn Read> = match self.upstream {
            Dialect::Chat => Box::new(chat::read_answer::Reader::new(&shown.id)),
            Dialect::Messages => Box::new(messages::read_answer::Reader::default()),
            Dialect::Responses => Box::new(responses::read_answer::Reader::default()),
        };
        let writer: Box<dyn Write> = match self.client {
            Dialect::Chat => Box::new(chat::write_answer::Writer::new(shown.clone(), self.include_usage)),
            Dialect::Messages => Box::new(messages::write_answer::Writer::new(shown.clone(), self.seal())),
            Dialect::Responses => Box::new(responses::write_answer::Writer::new(self.about(shown))),
        };
        StreamConverter {
            parser: Parser::default(),
            data: Vec::new(),
            reader,
            writer,
            events: Vec::new(),
            state: State::Open,
        }
    }

    /// Thoughts of a chat completion alone can go back to where they came from.
    fn seal(&self) -> &'static str {
        if self.upstream == Dialect::Chat { CHAT_SEAL } else { "" }
    }

    fn about(&self, shown: &Shown) -> About {
        About { shown: shown.clone(), echo: self.echo.clone(), seal: self.seal() }
    }
}

/// An upstream's stream in, the client's events out.
#[derive(Debug)]
pub struct StreamConverter {
    parser: Parser,
    /// Of the unfinished event.
    data: Vec<u8>,
    reader: Box<dyn Read>,
    writer: Box<dyn Write>,
    events: Vec<Event>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The last event is written.
    Ended,
    /// Cut, or none of its dialect.
    Broken,
}

impl StreamConverter {
    /// Takes bytes of the upstream's stream, however it was cut, and appends whole events for the client. What an event
    /// says goes out with it; behind the end, nothing does.
    ///
    /// # Errors
    /// [`Broken`] where the stream is none of its dialect, or says an error. It is over then, and what the client hears of
    /// it is the caller's to say.
    pub fn feed(&mut self, mut chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        while self.state == State::Open
            && let Some(token) = self.parser.next(&mut chunk)
        {
            match token {
                Token::Data(piece) if self.data.len() + piece.len() > EVENT_BYTES_MAX => {
                    self.state = State::Broken;
                    return Err(Broken("an event is too long"));
                }
                Token::Data(piece) => self.data.extend_from_slice(piece),
                Token::Event => {
                    let mut data = std::mem::take(&mut self.data);
                    self.event(&data, out)?;
                    data.clear();
                    self.data = data;
                }
                // A comment keeps the client's connection alive as it kept ours.
                Token::Idle => out.extend_from_slice(b":\n\n"),
                Token::LineFeed => {}
            }
        }
        Ok(())
    }

    /// Takes the data of one event.
    fn event(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        self.convert(out, |reader, events| reader.event(data, events))
    }

    /// The upstream's stream is over. One that had said all but its end is ended for the client; of one that was cut,
    /// [`ended`](Self::ended) stays false.
    ///
    /// # Errors
    /// As [`feed`](Self::feed): a last event may lack its blank line alone.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        if let Some(missing_end) = self.parser.missing_end()
            && (self.data.ends_with(b"}") || self.data.trim_ascii() == b"[DONE]")
        {
            self.feed(missing_end, out)?;
        }
        let done = self.convert(out, |reader, events| {
            if reader.has_stopped() {
                events.push(Event::End);
            }
            Ok(())
        });
        if self.state == State::Open {
            self.state = State::Broken;
        }
        done
    }

    /// Whether the client has the whole answer.
    pub fn ended(&self) -> bool {
        self.state == State::Ended
    }

    fn convert(
        &mut self,
        out: &mut Vec<u8>,
        read: impl FnOnce(&mut dyn Read, &mut Vec<Event>) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        if self.state != State::Open {
            return Ok(());
        }
        let mut done = read(&mut *self.reader, &mut self.events);
        for event in self.events.drain(..) {
            if done.is_err() || self.state != State::Open {
                break;
            }
            if event == Event::End {
                self.state = State::Ended;
            }
            done = self.writer.event(event, out);
        }
        if done.is_err() {
            self.state = State::Broken;
        }
        done
    }
}

trait Read: Debug + Send + Sync {
    fn event(&mut self, data: &[u8], events: &mut Vec<Event>) -> Result<(), Broken>;

    /// Whether the model said why it stopped: nothing but the end can follow.
    fn has_stopped(&self) -> bool;
}

trait Write: Debug + Send + Sync {
    fn event(&mut self, event: Event, out: &mut Vec<u8>) -> Result<(), Broken>;
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("every value written here has text as its keys, and memory is no file")
}

#[cfg(test)]
mod tests;
