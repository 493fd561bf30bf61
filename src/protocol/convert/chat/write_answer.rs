//! An answer as a chat completion, whole or in chunks. Fields by OpenAI's API reference.

use serde::Serialize;

use crate::core::usage::Usage;
use crate::protocol::convert::reply::{Broken, Event, Piece, Reply, Stop, cache_written, write_event};
use crate::protocol::convert::{Shown, Write, json};

#[derive(Debug)]
pub(in crate::protocol::convert) struct Writer {
    shown: Shown,
    id: String,
    include_usage: bool,
    begun: bool,
    calls: usize,
    stop: Option<Stop>,
    usage: Option<Usage>,
}

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice<'a>>,
    /// Of a chunk: absent unless asked for, null until it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<UsageFields>>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Delta<'a>>,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[Call<'a>; 1]>,
}

#[derive(Serialize)]
struct Call<'a> {
    /// Of a chunk only.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

#[derive(Serialize)]
struct UsageFields {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

pub(in crate::protocol::convert) fn whole(reply: &Reply, shown: &Shown) -> Vec<u8> {
    let mut message =
        Message { role: "assistant", content: None, reasoning_content: None, refusal: None, tool_calls: Vec::new() };
    let add = |to: &mut Option<String>, text: &str| to.get_or_insert_default().push_str(text);
    for piece in &reply.pieces {
        match piece {
            Piece::Text(text) => add(&mut message.content, text),
            Piece::Thinking(text) => add(&mut message.reasoning_content, text),
            Piece::Refusal(text) => add(&mut message.refusal, text),
            Piece::Call { id, name, arguments } => message.tool_calls.push(Call {
                index: None,
                id: Some(id),
                r#type: Some("function"),
                function: Function { name: Some(name), arguments },
            }),
        }
    }
    // Null is for a message that is calls or a refusal; one that says nothing has no text.
    if message.tool_calls.is_empty() && message.refusal.is_none() {
        message.content.get_or_insert_default();
    }
    let finish_reason = Some(finish_reason(&reply.stop()));
    let choice = Choice { index: 0, message: Some(message), delta: None, logprobs: None, finish_reason };
    json(&Completion {
        id: &completion_id(shown),
        object: "chat.completion",
        created: shown.created_at,
        model: &shown.model,
        choices: vec![choice],
        usage: reply.usage.as_ref().map(|usage| Some(usage_fields(usage))),
    })
}

impl Writer {
    pub fn new(shown: Shown, include_usage: bool) -> Self {
        let id = completion_id(&shown);
        Writer { shown, id, include_usage, begun: false, calls: 0, stop: None, usage: None }
    }

    fn delta(&self, delta: Delta, out: &mut Vec<u8>) {
        self.chunk(
            vec![Choice { index: 0, message: None, delta: Some(delta), logprobs: None, finish_reason: None }],
            None,
            out,
        );
    }

    fn chunk(&self, choices: Vec<Choice>, usage: Option<UsageFields>, out: &mut Vec<u8>) {
        let chunk = Completion {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.shown.created_at,
            model: &self.shown.model,
            choices,
            usage: self.include_usage.then_some(usage),
        };
        write_event(None, &chunk, out);
    }

    fn end(&self, out: &mut Vec<u8>) {
        let finish_reason = Some(finish_reason(&Stop::of(self.stop.as_ref(), self.calls > 0)));
        let delta = Some(Delta::default());
        self.chunk(vec![Choice { index: 0, message: None, delta, logprobs: None, finish_reason }], None, out);
        if let Some(usage) = self.usage.as_ref().filter(|_| self.include_usage) {
            self.chunk(Vec::new(), Some(usage_fields(usage)), out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

impl Write for Writer {
    fn event(&mut self, event: Event, out: &mut Vec<u8>) -> Result<(), Broken> {
        if !std::mem::replace(&mut self.begun, true) {
            self.delta(Delta { role: Some("assistant"), content: Some(""), ..Delta::default() }, out);
        }
        match event {
            Event::Text(text) => self.delta(Delta { content: Some(&text), ..Delta::default() }, out),
            Event::Thinking(text) => self.delta(Delta { reasoning_content: Some(&text), ..Delta::default() }, out),
            Event::Refusal(text) => self.delta(Delta { refusal: Some(&text), ..Delta::default() }, out),
            Event::Call { id, name } => {
                let function = Function { name: Some(&name), arguments: "" };
                let call = Call { index: Some(self.calls), id: Some(&id), r#type: Some("function"), function };
                self.delta(Delta { tool_calls: Some([call]), ..Delta::default() }, out);
                self.calls += 1;
            }
            Event::Arguments(arguments) => {
                let index = self.calls.checked_sub(1).ok_or(Broken("arguments without a call"))?;
                let function = Function { name: None, arguments: &arguments };
                let call = Call { index: Some(index), id: None, r#type: None, function };
                self.delta(Delta { tool_calls: Some([call]), ..Delta::default() }, out);
            }
            Event::Stop(stop) => self.stop = Some(stop),
            Event::Usage(usage) => self.usage = Some(usage),
            Event::End => self.end(out),
        }
        Ok(())
    }
}

fn completion_id(shown: &Shown) -> String {
    format!("chatcmpl-{}", shown.id)
}

fn finish_reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::Turn | Stop::Sequence(_) => "stop",
        Stop::Length => "length",
        Stop::Calls => "tool_calls",
        Stop::Filter => "content_filter",
    }
}

fn usage_fields(usage: &Usage) -> UsageFields {
    let (prompt_tokens, completion_tokens) = (usage.input_total(), usage.output_total());
    UsageFields {
        prompt_tokens,
        completion_tokens,
        total_tokens: prompt_tokens.saturating_add(completion_tokens),
        prompt_tokens_details: PromptDetails {
            cached_tokens: usage.input_cached_total(),
            cache_write_tokens: cache_written(usage),
        },
        completion_tokens_details: CompletionDetails { reasoning_tokens: usage.output_reasoning },
    }
}
