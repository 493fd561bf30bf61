//! An answer as a response, whole or in events. Events by OpenAI's API reference, "Streaming events".
//!
//! The last event repeats the whole answer, so the answer is kept while it streams.

use serde::Serialize;

use super::Echo;
use crate::core::usage::Usage;
use crate::protocol::convert::reply::{Broken, Event, Piece, Reply, Stop, cache_written, write_event};
use crate::protocol::convert::{Shown, Write, json};

#[derive(Debug)]
pub(in crate::protocol::convert) struct Writer {
    about: About,
    begun: bool,
    sequence_number: u64,
    reply: Reply,
}

/// What every event may have to say beside the answer.
#[derive(Clone, Debug)]
pub(in crate::protocol::convert) struct About {
    pub shown: Shown,
    pub echo: Echo,
    /// The encrypted copy of thoughts; empty where there is none.
    pub seal: &'static str,
}

#[derive(Serialize)]
struct Response<'a> {
    id: String,
    object: &'static str,
    created_at: u64,
    status: &'static str,
    background: bool,
    error: Option<()>,
    incomplete_details: Option<Incomplete>,
    model: &'a str,
    output: Vec<Item<'a>>,
    /// Nothing is kept here.
    store: bool,
    usage: Option<UsageFields>,
    #[serde(flatten)]
    echo: &'a Echo,
}

#[derive(Serialize)]
struct Incomplete {
    reason: &'static str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item<'a> {
    Message {
        id: String,
        status: &'static str,
        role: &'static str,
        content: Vec<Part<'a>>,
    },
    FunctionCall {
        id: String,
        status: &'static str,
        call_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
        name: &'a str,
        arguments: &'a str,
    },
    Reasoning {
        id: String,
        summary: Vec<Part<'a>>,
        #[serde(skip_serializing_if = "str::is_empty")]
        encrypted_content: &'static str,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    OutputText { text: &'a str, annotations: [(); 0], logprobs: [(); 0] },
    Refusal { refusal: &'a str },
    SummaryText { text: &'a str },
}

/// Every event: each kind has some of the fields.
#[derive(Default, Serialize)]
struct Outgoing<'a> {
    r#type: &'static str,
    sequence_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Response<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Item<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<Part<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<[(); 0]>,
}

#[derive(Serialize)]
struct UsageFields {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Serialize)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

pub(in crate::protocol::convert) fn whole(reply: &Reply, about: &About) -> Vec<u8> {
    json(&ended(reply, about))
}

/// The response as it is at its end.
fn ended<'a>(reply: &'a Reply, about: &'a About) -> Response<'a> {
    let reason = match reply.stop() {
        Stop::Length => Some("max_output_tokens"),
        Stop::Filter => Some("content_filter"),
        _ => None,
    };
    let last = reply.pieces.len().wrapping_sub(1);
    let status = |index| if reason.is_some() && index == last { "incomplete" } else { "completed" };
    let items = reply.pieces.iter().enumerate();
    Response {
        status: if reason.is_some() { "incomplete" } else { "completed" },
        incomplete_details: reason.map(|reason| Incomplete { reason }),
        output: items.map(|(index, piece)| item(index, piece, status(index), about)).collect(),
        usage: reply.usage.as_ref().map(usage_fields),
        ..Response::begun(about)
    }
}

impl<'a> Response<'a> {
    fn begun(about: &'a About) -> Self {
        Response {
            id: format!("resp_{}", about.shown.id),
            object: "response",
            created_at: about.shown.created_at,
            status: "in_progress",
            background: false,
            error: None,
            incomplete_details: None,
            model: &about.shown.model,
            output: Vec::new(),
            store: false,
            usage: None,
            echo: &about.echo,
        }
    }
}

/// A piece as an item of the output. While it is in progress it is empty.
fn item<'a>(index: usize, piece: &'a Piece, status: &'static str, about: &'a About) -> Item<'a> {
    let id = item_id(index, piece, &about.shown);
    let open = status == "in_progress";
    match piece {
        Piece::Call { id: call_id, name, arguments } => {
            let (namespace, arguments) = (about.echo.namespace_of(name), if open { "" } else { arguments.as_str() });
            Item::FunctionCall { id, status, call_id, namespace, name, arguments }
        }
        Piece::Thinking(_) => {
            let summary = if open { Vec::new() } else { vec![part(piece, false)] };
            Item::Reasoning { id, summary, encrypted_content: about.seal }
        }
        Piece::Text(_) | Piece::Refusal(_) => {
            let content = if open { Vec::new() } else { vec![part(piece, false)] };
            Item::Message { id, status, role: "assistant", content }
        }
    }
}

fn part(piece: &Piece, empty: bool) -> Part<'_> {
    let text = |text| if empty { "" } else { text };
    match piece {
        Piece::Text(said) => Part::OutputText { text: text(said), annotations: [], logprobs: [] },
        Piece::Refusal(said) => Part::Refusal { refusal: text(said) },
        Piece::Thinking(said) | Piece::Call { arguments: said, .. } => Part::SummaryText { text: text(said) },
    }
}

fn item_id(index: usize, piece: &Piece, shown: &Shown) -> String {
    let kind = match piece {
        Piece::Thinking(_) => "rs",
        Piece::Text(_) | Piece::Refusal(_) => "msg",
        Piece::Call { .. } => "fc",
    };
    format!("{kind}_{}_{index}", shown.id)
}

impl Writer {
    pub fn new(about: About) -> Self {
        Writer { about, begun: false, sequence_number: 0, reply: Reply::default() }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        for name in ["response.created", "response.in_progress"] {
            let response = Some(Response::begun(&self.about));
            write(Outgoing { response, ..Outgoing::of(name) }, &mut self.sequence_number, out);
        }
    }

    /// What an event says of the piece that it went to.
    fn delta(&mut self, delta: &str, out: &mut Vec<u8>) {
        let Some(piece) = self.reply.pieces.last() else { return };
        let name = match piece {
            Piece::Text(_) => "response.output_text.delta",
            Piece::Refusal(_) => "response.refusal.delta",
            Piece::Thinking(_) => "response.reasoning_summary_text.delta",
            Piece::Call { .. } => "response.function_call_arguments.delta",
        };
        let event = Outgoing { delta: Some(delta), ..self.of_last_piece(name, piece) };
        write(event, &mut self.sequence_number, out);
    }

    fn begin_item(&mut self, out: &mut Vec<u8>) {
        let Some(piece) = self.reply.pieces.last() else { return };
        let index = self.reply.pieces.len() - 1;
        let added = Outgoing {
            output_index: Some(index),
            item: Some(item(index, piece, "in_progress", &self.about)),
            ..Outgoing::of("response.output_item.added")
        };
        write(added, &mut self.sequence_number, out);
        let name = match piece {
            Piece::Text(_) | Piece::Refusal(_) => "response.content_part.added",
            Piece::Thinking(_) => "response.reasoning_summary_part.added",
            Piece::Call { .. } => return,
        };
        let event = Outgoing { part: Some(part(piece, true)), logprobs: None, ..self.of_last_piece(name, piece) };
        write(event, &mut self.sequence_number, out);
    }

    /// Says the last item once more, whole.
    fn end_item(&mut self, status: &'static str, out: &mut Vec<u8>) {
        let Some(piece) = self.reply.pieces.last() else { return };
        let index = self.reply.pieces.len() - 1;
        let (done, part_done) = match piece {
            Piece::Text(_) => ("response.output_text.done", Some("response.content_part.done")),
            Piece::Refusal(_) => ("response.refusal.done", Some("response.content_part.done")),
            Piece::Thinking(_) => {
                ("response.reasoning_summary_text.done", Some("response.reasoning_summary_part.done"))
            }
            Piece::Call { .. } => ("response.function_call_arguments.done", None),
        };
        let mut event = self.of_last_piece(done, piece);
        match piece {
            Piece::Text(text) | Piece::Thinking(text) => event.text = Some(text),
            Piece::Refusal(text) => event.refusal = Some(text),
            Piece::Call { name, arguments, .. } => {
                event.name = Some(name);
                event.arguments = Some(arguments);
            }
        }
        write(event, &mut self.sequence_number, out);
        if let Some(name) = part_done {
            let event = Outgoing { part: Some(part(piece, false)), logprobs: None, ..self.of_last_piece(name, piece) };
            write(event, &mut self.sequence_number, out);
        }
        let event = Outgoing {
            output_index: Some(index),
            item: Some(item(index, piece, status, &self.about)),
            ..Outgoing::of("response.output_item.done")
        };
        write(event, &mut self.sequence_number, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let is_whole = !matches!(self.reply.stop(), Stop::Length | Stop::Filter);
        self.end_item(if is_whole { "completed" } else { "incomplete" }, out);
        let name = if is_whole { "response.completed" } else { "response.incomplete" };
        let response = Some(ended(&self.reply, &self.about));
        write(Outgoing { response, ..Outgoing::of(name) }, &mut self.sequence_number, out);
    }

    fn of_last_piece<'a>(&self, name: &'static str, piece: &'a Piece) -> Outgoing<'a> {
        let index = self.reply.pieces.len() - 1;
        let is_content = matches!(piece, Piece::Text(_) | Piece::Refusal(_));
        Outgoing {
            output_index: Some(index),
            item_id: Some(item_id(index, piece, &self.about.shown)),
            content_index: is_content.then_some(0),
            summary_index: matches!(piece, Piece::Thinking(_)).then_some(0),
            logprobs: matches!(piece, Piece::Text(_)).then_some([]),
            ..Outgoing::of(name)
        }
    }
}

impl Outgoing<'_> {
    fn of(name: &'static str) -> Self {
        Outgoing { r#type: name, ..Outgoing::default() }
    }
}

impl Write for Writer {
    fn event(&mut self, event: Event, out: &mut Vec<u8>) -> Result<(), Broken> {
        if !std::mem::replace(&mut self.begun, true) {
            self.begin(out);
        }
        let delta = match &event {
            Event::Text(text) | Event::Thinking(text) | Event::Refusal(text) | Event::Arguments(text) => text.clone(),
            Event::Call { .. } => String::new(),
            Event::End => {
                self.end(out);
                return Ok(());
            }
            Event::Stop(_) | Event::Usage(_) => return self.reply.absorb(event),
        };
        if self.reply.begins_piece(&event) {
            self.end_item("completed", out);
            self.reply.absorb(event)?;
            self.begin_item(out);
        } else {
            self.reply.absorb(event)?;
        }
        if !delta.is_empty() {
            self.delta(&delta, out);
        }
        Ok(())
    }
}

fn write(event: Outgoing, sequence_number: &mut u64, out: &mut Vec<u8>) {
    write_event(Some(event.r#type), &Outgoing { sequence_number: *sequence_number, ..event }, out);
    *sequence_number += 1;
}

fn usage_fields(usage: &Usage) -> UsageFields {
    let (input_tokens, output_tokens) = (usage.input_total(), usage.output_total());
    UsageFields {
        input_tokens,
        input_tokens_details: InputDetails {
            cached_tokens: usage.input_cached_total(),
            cache_write_tokens: cache_written(usage),
        },
        output_tokens,
        output_tokens_details: OutputDetails { reasoning_tokens: usage.output_reasoning },
        total_tokens: input_tokens.saturating_add(output_tokens),
    }
}
