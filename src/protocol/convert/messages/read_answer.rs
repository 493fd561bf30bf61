//! What an Anthropic message says, whole or streamed. Events by Anthropic's "Streaming messages".

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::core::usage::{COUNT_MAX, Usage};
use crate::protocol::convert::Read;
use crate::protocol::convert::fields::is_empty_object;
use crate::protocol::convert::list::List;
use crate::protocol::convert::reply::{Broken, Event, Stop};

#[derive(Debug, Default)]
pub(in crate::protocol::convert) struct Reader {
    block: Option<OpenBlock>,
    usage: Reported,
    stopped: bool,
}

#[derive(Debug)]
struct OpenBlock {
    index: u64,
    /// Of a call: whether its arguments have begun. None for every other block.
    call_arguments: Option<bool>,
}

#[derive(Deserialize)]
struct Incoming {
    r#type: String,
    message: Option<Message>,
    #[serde(default)]
    index: u64,
    content_block: Option<Block>,
    delta: Option<Delta>,
    usage: Option<Reported>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<List<Block>>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
    usage: Option<Reported>,
}

#[derive(Deserialize)]
struct Block {
    r#type: String,
    text: Option<String>,
    thinking: Option<String>,
    id: Option<String>,
    name: Option<String>,
    input: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Delta {
    r#type: Option<String>,
    text: Option<String>,
    thinking: Option<String>,
    partial_json: Option<String>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
}

/// Counts as they were last reported, field by field.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reported {
    input_tokens: Value,
    cache_read_input_tokens: Value,
    cache_creation_input_tokens: Value,
    output_tokens: Value,
    output_tokens_details: Details,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    thinking_tokens: Value,
}

pub(in crate::protocol::convert) fn whole(body: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
    let message: Message = serde_json::from_slice(body).map_err(|_| Broken("it is no message"))?;
    let mut reader = Reader::default();
    for (index, block) in message.content.ok_or(Broken("it has no content"))?.into_iter().enumerate() {
        reader.begin_block(index as u64, block, events)?;
        reader.end_block(events);
    }
    reader.report(message.usage, events);
    reader.stop(message.stop_reason, message.stop_sequence, events);
    Ok(())
}

impl Read for Reader {
    fn event(&mut self, data: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
        let incoming: Incoming = serde_json::from_slice(data).map_err(|_| Broken("an event is none of a message"))?;
        match incoming.r#type.as_str() {
            "message_start" => self.report(incoming.message.and_then(|message| message.usage), events),
            "content_block_start" => {
                let block = incoming.content_block.ok_or(Broken("a block begins without being one"))?;
                self.end_block(events);
                self.begin_block(incoming.index, block, events)?;
            }
            "content_block_delta" => {
                let delta = incoming.delta.ok_or(Broken("a delta without one"))?;
                self.delta(incoming.index, delta, events)?;
            }
            "content_block_stop" => self.end_block(events),
            "message_delta" => {
                self.end_block(events);
                self.report(incoming.usage, events);
                if let Some(delta) = incoming.delta {
                    self.stop(delta.stop_reason, delta.stop_sequence, events);
                }
            }
            "message_stop" => {
                self.end_block(events);
                events.push(Event::End);
            }
            "error" => return Err(Broken("it says an error")),
            // `ping`, and what is yet to come: Anthropic asks that unknown events be passed over.
            _ => {}
        }
        Ok(())
    }

    fn has_stopped(&self) -> bool {
        self.stopped
    }
}

impl Reader {
    fn begin_block(&mut self, index: u64, block: Block, events: &mut Vec<Event>) -> Result<(), Broken> {
        let mut call_arguments = None;
        match block.r#type.as_str() {
            "text" => say(block.text, Event::Text, events),
            "thinking" => say(block.thinking, Event::Thinking, events),
            "tool_use" => {
                let (Some(id), Some(name)) = (block.id, block.name) else {
                    return Err(Broken("a call without an id or a name"));
                };
                events.push(Event::Call { id, name });
                // A stream begins with an empty object, and the arguments follow as text.
                let input = block.input.filter(|input| !is_empty_object(input));
                call_arguments = Some(input.is_some());
                say(input.map(|input| input.get().to_owned()), Event::Arguments, events);
            }
            // Encrypted thinking, and the provider's own tools, which no converted request can ask for.
            _ => {}
        }
        self.block = Some(OpenBlock { index, call_arguments });
        Ok(())
    }

    fn delta(&mut self, index: u64, delta: Delta, events: &mut Vec<Event>) -> Result<(), Broken> {
        match delta.r#type.as_deref() {
            Some("text_delta") => say(delta.text, Event::Text, events),
            Some("thinking_delta") => say(delta.thinking, Event::Thinking, events),
            Some("input_json_delta") => match &mut self.block {
                Some(block) if block.index == index => {
                    if let Some(begun) = &mut block.call_arguments {
                        *begun |= delta.partial_json.as_ref().is_some_and(|json| !json.is_empty());
                        say(delta.partial_json, Event::Arguments, events);
                    }
                }
                _ => return Err(Broken("arguments of a call that is not open")),
            },
            // Signatures and citations.
            _ => {}
        }
        Ok(())
    }

    fn end_block(&mut self, events: &mut Vec<Event>) {
        if let Some(OpenBlock { call_arguments: Some(false), .. }) = self.block.take() {
            events.push(Event::Arguments("{}".to_owned()));
        }
    }

    fn stop(&mut self, reason: Option<String>, sequence: Option<String>, events: &mut Vec<Event>) {
        let Some(reason) = reason else { return };
        self.stopped = true;
        events.push(Event::Stop(match reason.as_str() {
            "max_tokens" | "model_context_window_exceeded" => Stop::Length,
            "tool_use" => Stop::Calls,
            "stop_sequence" => Stop::Sequence(sequence),
            "refusal" => Stop::Filter,
            _ => Stop::Turn,
        }));
    }

    fn report(&mut self, newer: Option<Reported>, events: &mut Vec<Event>) {
        let Some(newer) = newer else { return };
        let mine = &mut self.usage;
        for (field, newer) in [
            (&mut mine.input_tokens, newer.input_tokens),
            (&mut mine.cache_read_input_tokens, newer.cache_read_input_tokens),
            (&mut mine.cache_creation_input_tokens, newer.cache_creation_input_tokens),
            (&mut mine.output_tokens, newer.output_tokens),
            (&mut mine.output_tokens_details.thinking_tokens, newer.output_tokens_details.thinking_tokens),
        ] {
            if count(&newer).is_some() {
                *field = newer;
            }
        }
        events.extend(self.usage.normal().map(Event::Usage));
    }
}

impl Reported {
    fn normal(&self) -> Option<Usage> {
        let output = count(&self.output_tokens)?;
        let thinking = count(&self.output_tokens_details.thinking_tokens).unwrap_or(0).min(output);
        Some(Usage {
            input_text: count(&self.input_tokens)?,
            input_cached: count(&self.cache_read_input_tokens).unwrap_or(0),
            input_cache_write: count(&self.cache_creation_input_tokens).unwrap_or(0),
            output_text: output - thinking,
            output_reasoning: thinking,
            ..Usage::default()
        })
    }
}

fn say(text: Option<String>, event: fn(String) -> Event, events: &mut Vec<Event>) {
    events.extend(text.filter(|text| !text.is_empty()).map(event));
}

fn count(value: &Value) -> Option<u64> {
    value.as_u64().filter(|count| *count <= COUNT_MAX)
}
