//! What a chat completion says, whole or in chunks, in the habits of all who offer this API.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::protocol::convert::Read;
use crate::protocol::convert::conversation::signed_id;
use crate::protocol::convert::fields::text;
use crate::protocol::convert::list::List;
use crate::protocol::convert::reply::{Broken, Event, Stop};
use crate::protocol::endpoint::Endpoint;
use crate::protocol::usage::{Join, Report};

#[derive(Debug)]
pub(in crate::protocol::convert) struct Reader {
    /// What the ids of calls are made of that come without one.
    request_id: String,
    call: Option<OpenCall>,
    calls_ended: usize,
    report: Report,
    stopped: bool,
}

/// The call whose arguments are coming.
#[derive(Debug)]
struct OpenCall {
    index: u64,
    id: Option<String>,
    /// It is begun for the client when its name is known.
    begun: bool,
    /// Arguments that came before the name.
    early: String,
}

#[derive(Deserialize)]
struct Incoming {
    choices: Option<List<Choice>>,
    usage: Option<Box<RawValue>>,
    error: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u64,
    delta: Option<Said>,
    message: Option<Said>,
    finish_reason: Option<String>,
    /// Moonshot's place.
    usage: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Said {
    content: Option<Content>,
    reasoning_content: Option<String>,
    /// OpenRouter's, Groq's and vLLM's name for it.
    reasoning: Option<String>,
    refusal: Option<String>,
    tool_calls: Option<List<Call>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    /// Mistral's models that reason.
    Parts(List<ContentPart>),
}

#[derive(Deserialize)]
struct ContentPart {
    text: Option<String>,
    thinking: Option<List<Thought>>,
}

#[derive(Deserialize)]
struct Thought {
    text: Option<String>,
}

#[derive(Deserialize)]
struct Call {
    index: Option<u64>,
    id: Option<String>,
    function: Option<Called>,
    extra_content: Option<Extra>,
}

/// Gemini's.
#[derive(Deserialize)]
struct Extra {
    google: Option<Google>,
}

#[derive(Deserialize)]
struct Google {
    thought_signature: Option<String>,
}

#[derive(Deserialize)]
struct Called {
    name: Option<String>,
    /// Text; some local servers send the object itself.
    arguments: Option<Box<RawValue>>,
}

pub(in crate::protocol::convert) fn whole(
    body: &[u8],
    request_id: &str,
    events: &mut Vec<Event>,
) -> Result<(), Broken> {
    let mut reader = Reader::new(request_id);
    let completion = read(body)?;
    if completion.choices.as_ref().is_none_or(List::is_empty) {
        return Err(Broken("it has no choices"));
    }
    reader.absorb(completion, events)?;
    reader.end_call()
}

impl Read for Reader {
    fn event(&mut self, data: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
        if data.trim_ascii() == b"[DONE]" {
            self.end_call()?;
            events.push(Event::End);
            return Ok(());
        }
        self.absorb(read(data)?, events)
    }

    fn has_stopped(&self) -> bool {
        self.stopped
    }
}

fn read(json: &[u8]) -> Result<Incoming, Broken> {
    serde_json::from_slice(json).map_err(|_| Broken("it is no chat completion"))
}

impl Reader {
    pub fn new(request_id: &str) -> Self {
        let request_id = request_id.to_owned();
        Reader { request_id, call: None, calls_ended: 0, report: Report::default(), stopped: false }
    }

    fn absorb(&mut self, incoming: Incoming, events: &mut Vec<Event>) -> Result<(), Broken> {
        if incoming.error.is_some() {
            return Err(Broken("it says an error"));
        }
        let mut usage = incoming.usage;
        // One choice was asked for; Azure's first chunk has none.
        for choice in incoming.choices.unwrap_or_default().into_iter().filter(|choice| choice.index == 0) {
            for said in [choice.delta, choice.message].into_iter().flatten() {
                self.say(said, events)?;
            }
            self.stop(choice.finish_reason, events)?;
            usage = usage.or(choice.usage);
        }
        if let Some(usage) = usage
            && self.report.take(usage.get().as_bytes(), Join::Replace).is_ok()
        {
            events.extend(self.report.usage(Endpoint::ChatCompletions).map(|(usage, _)| Event::Usage(usage)));
        }
        Ok(())
    }

    fn say(&mut self, said: Said, events: &mut Vec<Event>) -> Result<(), Broken> {
        let mut say = |text: Option<String>, event: fn(String) -> Event| {
            events.extend(text.filter(|text| !text.is_empty()).map(event));
        };
        say(said.reasoning_content.or(said.reasoning), Event::Thinking);
        match said.content {
            Some(Content::Text(text)) => say(Some(text), Event::Text),
            Some(Content::Parts(parts)) => {
                for part in parts {
                    let thoughts = part.thinking.unwrap_or_default();
                    thoughts.into_iter().for_each(|thought| say(thought.text, Event::Thinking));
                    say(part.text, Event::Text);
                }
            }
            None => {}
        }
        say(said.refusal, Event::Refusal);
        for (place, call) in said.tool_calls.unwrap_or_default().into_iter().enumerate() {
            self.call(place, call, events)?;
        }
        Ok(())
    }

    /// A part of a call. Its index tells which, and where everything has one index, a new id does.
    fn call(&mut self, place: usize, call: Call, events: &mut Vec<Event>) -> Result<(), Broken> {
        let id = call.id.filter(|id| !id.is_empty());
        let index = call.index.unwrap_or(place as u64);
        let continues = self
            .call
            .as_ref()
            .is_some_and(|open| open.index == index && (id.is_none() || open.id.is_none() || id == open.id));
        if !continues {
            if self.call.as_ref().is_some_and(|open| index < open.index) {
                return Err(Broken("a call goes on behind the next one"));
            }
            self.end_call()?;
            self.call = Some(OpenCall { index, id: None, begun: false, early: String::new() });
        }
        let called = self.calls_ended;
        let Some(open) = &mut self.call else { return Ok(()) };
        open.id = id.or(open.id.take());
        let Some(function) = call.function else { return Ok(()) };
        if let Some(name) = function.name.filter(|name| !name.is_empty() && !open.begun) {
            open.begun = true;
            // Without an id the answer to the call could not be told from others.
            let id = open.id.clone().unwrap_or_else(|| format!("call_{}_{called}", self.request_id));
            let signature = call.extra_content.and_then(|extra| extra.google?.thought_signature);
            let id = signature.map_or(id.clone(), |signature| signed_id(&id, &signature));
            events.push(Event::Call { id, name });
            if !open.early.is_empty() {
                events.push(Event::Arguments(std::mem::take(&mut open.early)));
            }
        }
        let arguments = match function.arguments {
            Some(raw) if raw.get() == "null" => return Ok(()),
            Some(raw) => text(&raw).map_or_else(|| raw.get().to_owned(), Cow::into_owned),
            None => return Ok(()),
        };
        if open.begun {
            events.extend(Some(arguments).filter(|text| !text.is_empty()).map(Event::Arguments));
        } else if open.early.len() + arguments.len() <= EARLY_BYTES_MAX {
            open.early.push_str(&arguments);
        } else {
            return Err(Broken("a call without a name"));
        }
        Ok(())
    }

    fn end_call(&mut self) -> Result<(), Broken> {
        match self.call.take() {
            Some(OpenCall { begun: false, .. }) => Err(Broken("a call without a name")),
            Some(_) => {
                self.calls_ended += 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn stop(&mut self, reason: Option<String>, events: &mut Vec<Event>) -> Result<(), Broken> {
        // Some upstreams send an empty reason with every chunk.
        let Some(reason) = reason.filter(|reason| !reason.is_empty()) else { return Ok(()) };
        let stop = match reason.as_str() {
            "length" | "max_tokens" | "model_length" => Stop::Length,
            "tool_calls" | "function_call" => Stop::Calls,
            "content_filter" | "safety" | "sensitive" => Stop::Filter,
            "error" => return Err(Broken("it says an error")),
            _ => Stop::Turn,
        };
        self.stopped = true;
        events.push(Event::Stop(stop));
        Ok(())
    }
}

const EARLY_BYTES_MAX: usize = 64 * 1024;
