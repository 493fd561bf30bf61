//! An answer as an Anthropic message, whole or in events. Events by Anthropic's "Streaming messages".

use serde::Serialize;
use serde_json::value::RawValue;

use crate::core::usage::Usage;
use crate::protocol::convert::conversation::arguments_object;
use crate::protocol::convert::reply::{Broken, Event, Piece, Reply, Stop, cache_written, write_event};
use crate::protocol::convert::{Shown, Write, json};

#[derive(Debug)]
pub(in crate::protocol::convert) struct Writer {
    shown: Shown,
    /// The signature of thinking.
    seal: &'static str,
    begun: bool,
    /// The block being written, and how many were.
    block: Option<Kind>,
    blocks_ended: usize,
    called: bool,
    stop: Option<Stop>,
    usage: Option<Usage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Call,
}

#[derive(Serialize)]
struct Message<'a> {
    id: String,
    r#type: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Block<'a>>,
    stop_reason: Option<&'static str>,
    stop_sequence: Option<&'a str>,
    usage: UsageFields,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text { text: &'a str },
    Thinking { thinking: &'a str, signature: &'static str },
    ToolUse { id: &'a str, name: &'a str, input: Box<RawValue> },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Outgoing<'a> {
    MessageStart { message: Message<'a> },
    ContentBlockStart { index: usize, content_block: Block<'a> },
    ContentBlockDelta { index: usize, delta: Delta<'a> },
    ContentBlockStop { index: usize },
    MessageDelta { delta: Stopped<'a>, usage: UsageFields },
    MessageStop,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Delta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'static str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
}

#[derive(Serialize)]
struct Stopped<'a> {
    stop_reason: &'static str,
    stop_sequence: Option<&'a str>,
}

#[derive(Serialize)]
struct UsageFields {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
}

pub(in crate::protocol::convert) fn whole(reply: &Reply, shown: &Shown, seal: &'static str) -> Result<Vec<u8>, Broken> {
    let stop = reply.stop();
    let mut content = Vec::new();
    for piece in &reply.pieces {
        content.push(match piece {
            Piece::Text(text) | Piece::Refusal(text) => Block::Text { text },
            Piece::Thinking(thinking) => Block::Thinking { thinking, signature: seal },
            Piece::Call { id, name, arguments } => match arguments_object(arguments) {
                Some(input) => Block::ToolUse { id, name, input },
                // The maximum of tokens cut the call short: half of one must not be made.
                None if stop == Stop::Length => continue,
                None => return Err(Broken("a call's arguments are no JSON object")),
            },
        });
    }
    Ok(json(&Message {
        content,
        stop_reason: Some(stop_reason(&stop)),
        stop_sequence: stop_sequence(&stop),
        usage: usage_fields(reply.usage.as_ref()),
        ..Message::empty(shown)
    }))
}

impl<'a> Message<'a> {
    fn empty(shown: &'a Shown) -> Self {
        Message {
            id: format!("msg_{}", shown.id),
            r#type: "message",
            role: "assistant",
            model: &shown.model,
            content: Vec::new(),
            stop_reason: None,
            stop_sequence: None,
            usage: usage_fields(None),
        }
    }
}

impl Writer {
    pub fn new(shown: Shown, seal: &'static str) -> Self {
        Writer { shown, seal, begun: false, block: None, blocks_ended: 0, called: false, stop: None, usage: None }
    }

    /// Text of the block of this kind that is open, or is opened for it.
    fn delta(&mut self, kind: Kind, delta: Delta, out: &mut Vec<u8>) {
        if self.block != Some(kind) {
            self.end_block(out);
            let block = match kind {
                Kind::Thinking => Block::Thinking { thinking: "", signature: "" },
                Kind::Text | Kind::Call => Block::Text { text: "" },
            };
            self.begin_block(kind, block, out);
        }
        write(&Outgoing::ContentBlockDelta { index: self.blocks_ended, delta }, out);
    }

    fn begin_block(&mut self, kind: Kind, content_block: Block, out: &mut Vec<u8>) {
        self.block = Some(kind);
        write(&Outgoing::ContentBlockStart { index: self.blocks_ended, content_block }, out);
    }

    fn end_block(&mut self, out: &mut Vec<u8>) {
        let Some(kind) = self.block.take() else { return };
        let index = self.blocks_ended;
        if kind == Kind::Thinking {
            let delta = Delta::Signature { signature: self.seal };
            write(&Outgoing::ContentBlockDelta { index, delta }, out);
        }
        write(&Outgoing::ContentBlockStop { index }, out);
        self.blocks_ended += 1;
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.end_block(out);
        let stop = Stop::of(self.stop.as_ref(), self.called);
        let delta = Stopped { stop_reason: stop_reason(&stop), stop_sequence: stop_sequence(&stop) };
        write(&Outgoing::MessageDelta { delta, usage: usage_fields(self.usage.as_ref()) }, out);
        write(&Outgoing::MessageStop, out);
    }
}

impl Write for Writer {
    fn event(&mut self, event: Event, out: &mut Vec<u8>) -> Result<(), Broken> {
        if let Event::Usage(usage) = &event {
            self.usage = Some(usage.clone());
        }
        if !std::mem::replace(&mut self.begun, true) {
            let usage = usage_fields(self.usage.as_ref());
            write(&Outgoing::MessageStart { message: Message { usage, ..Message::empty(&self.shown) } }, out);
        }
        match event {
            Event::Text(text) | Event::Refusal(text) => self.delta(Kind::Text, Delta::Text { text: &text }, out),
            Event::Thinking(text) => self.delta(Kind::Thinking, Delta::Thinking { thinking: &text }, out),
            Event::Call { id, name } => {
                self.called = true;
                self.end_block(out);
                let input = arguments_object("").ok_or(Broken("an empty object is none"))?;
                self.begin_block(Kind::Call, Block::ToolUse { id: &id, name: &name, input }, out);
            }
            Event::Arguments(arguments) if self.block == Some(Kind::Call) => {
                self.delta(Kind::Call, Delta::InputJson { partial_json: &arguments }, out);
            }
            Event::Arguments(_) => return Err(Broken("arguments of a call that is not open")),
            Event::Stop(stop) => self.stop = Some(stop),
            Event::Usage(_) => {}
            Event::End => self.end(out),
        }
        Ok(())
    }
}

fn write(event: &Outgoing, out: &mut Vec<u8>) {
    let name = match event {
        Outgoing::MessageStart { .. } => "message_start",
        Outgoing::ContentBlockStart { .. } => "content_block_start",
        Outgoing::ContentBlockDelta { .. } => "content_block_delta",
        Outgoing::ContentBlockStop { .. } => "content_block_stop",
        Outgoing::MessageDelta { .. } => "message_delta",
        Outgoing::MessageStop => "message_stop",
    };
    write_event(Some(name), event, out);
}

fn stop_reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::Turn => "end_turn",
        Stop::Length => "max_tokens",
        Stop::Calls => "tool_use",
        Stop::Sequence(_) => "stop_sequence",
        Stop::Filter => "refusal",
    }
}

fn stop_sequence(stop: &Stop) -> Option<&str> {
    if let Stop::Sequence(Some(sequence)) = stop { Some(sequence) } else { None }
}

/// Clients need the object; an upstream that reports nothing leaves zeros in it.
fn usage_fields(usage: Option<&Usage>) -> UsageFields {
    let unknown = Usage::default();
    let usage = usage.unwrap_or(&unknown);
    let (cached, written) = (usage.input_cached_total(), cache_written(usage));
    UsageFields {
        input_tokens: usage.input_total().saturating_sub(cached).saturating_sub(written),
        cache_creation_input_tokens: written,
        cache_read_input_tokens: cached,
        output_tokens: usage.output_total(),
    }
}
