//! A conversation as Anthropic's Messages API takes it. Fields by its API reference, "Create a message".

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::core::api_error::ApiError;
use crate::protocol::convert::Target;
use crate::protocol::convert::conversation::{
    BUDGET_MIN, Conversation, Effort, Format, Media, Part, Role, Tool, ToolChoice, arguments_object, unsigned_id,
};
use crate::protocol::convert::fields::{Dropped, cannot_carry, is_empty_object, wrong};
use crate::protocol::convert::models::{self, Sampling};

#[derive(Serialize)]
pub(in crate::protocol::convert) struct Request<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<ToolFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<ChoiceFields<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: Cow<'a, str>,
    },
    Image {
        source: Source<'a>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<Cow<'a, str>>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block<'a>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 { media_type: Cow<'a, str>, data: Cow<'a, str> },
    Url { url: Cow<'a, str> },
}

#[derive(Serialize)]
struct ToolFields<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Cow<'a, str>>,
    input_schema: Cow<'a, RawValue>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    strict: bool,
}

#[derive(Serialize)]
struct ChoiceFields<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_parallel_tool_use: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Thinking {
    Adaptive { display: &'static str },
    Enabled { budget_tokens: u64 },
    Disabled,
}

#[derive(Default, Serialize)]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<SchemaFormat<'a>>,
}

#[derive(Serialize)]
struct SchemaFormat<'a> {
    r#type: &'static str,
    schema: &'a RawValue,
}

pub(in crate::protocol::convert) fn write<'a>(
    mut asked: Conversation<'a>,
    target: &Target<'a>,
    dropped: &mut Dropped,
) -> Result<Request<'a>, ApiError> {
    let max_tokens = asked.max_output_tokens.unwrap_or(target.max_output_tokens);
    let (thinking, effort) = think(&mut asked, max_tokens, target.model, dropped);
    sample(&mut asked, target.model, dropped)?;
    if asked.verbosity.is_some() {
        dropped.note("verbosity");
    }
    let format = match asked.format {
        None => None,
        Some(Format::Schema { schema, .. }) => Some(SchemaFormat { r#type: "json_schema", schema }),
        Some(Format::JsonObject(field)) => return Err(cannot_carry(field)),
    };
    let (mut system, mut messages) = (Vec::new(), Vec::<Message>::new());
    for turn in asked.turns {
        let role = match turn.role {
            // Instructions stand apart over there, wherever they stood here.
            Role::System => {
                blocks(turn.parts, &mut system, dropped)?;
                continue;
            }
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        match messages.last_mut() {
            Some(last) if last.role == role => blocks(turn.parts, &mut last.content, dropped)?,
            _ => {
                let mut content = Vec::new();
                blocks(turn.parts, &mut content, dropped)?;
                messages.push(Message { role, content });
            }
        }
        // An empty turn says nothing and would be refused.
        messages.pop_if(|last| last.content.is_empty());
    }
    // Answers to calls come first in their turn, by Anthropic's rule.
    for message in &mut messages {
        message.content.sort_by_key(|block| !matches!(block, Block::ToolResult { .. }));
    }
    let tool_choice = tool_choice(asked.tool_choice, asked.parallel_calls, !asked.tools.is_empty());
    let output_config = OutputConfig { effort, format };
    Ok(Request {
        model: target.model,
        max_tokens,
        system,
        messages,
        tools: asked.tools.into_iter().map(tool).collect(),
        tool_choice,
        stop_sequences: asked.stop,
        temperature: asked.temperature,
        top_p: asked.top_p,
        thinking,
        output_config: (output_config.effort.is_some() || output_config.format.is_some()).then_some(output_config),
        stream: asked.stream,
    })
}

fn blocks<'a>(parts: Vec<Part<'a>>, into: &mut Vec<Block<'a>>, dropped: &mut Dropped) -> Result<(), ApiError> {
    for part in parts {
        let block = match part {
            // Blank text is refused over there, and clients send it beside calls.
            Part::Text(text) if text.trim().is_empty() => continue,
            Part::Text(text) => Block::Text { text },
            Part::Thinking(_) => {
                // Anthropic takes thinking back with its own signature only.
                dropped.note("reasoning_content");
                continue;
            }
            Part::Image(media) => Block::Image { source: source(media) },
            Part::File { at, media, name } => {
                let is_pdf = match &media {
                    Media::Base64 { media_type, .. } => media_type == "application/pdf",
                    Media::Url(_) => true,
                };
                if !is_pdf {
                    return Err(wrong(&at, "a PDF for this model"));
                }
                Block::Document { source: source(media), title: name }
            }
            Part::Call { at, id, name, arguments } => {
                let input = arguments_object(&arguments).ok_or_else(|| wrong(&at, "a JSON object, as text"))?;
                Block::ToolUse { id: unsigned_id(id).0, name, input }
            }
            Part::Result { call_id, content: parts, is_error } => {
                let mut content = Vec::new();
                blocks(parts, &mut content, dropped)?;
                Block::ToolResult { tool_use_id: unsigned_id(call_id).0, content, is_error }
            }
        };
        into.push(block);
    }
    Ok(())
}

fn source(media: Media) -> Source {
    match media {
        Media::Base64 { media_type, data } => Source::Base64 { media_type, data },
        Media::Url(url) => Source::Url { url },
    }
}

fn tool(tool: Tool) -> ToolFields {
    let any_object = || RawValue::from_string(r#"{"type":"object","properties":{}}"#.to_owned());
    let input_schema = match tool.schema {
        Some(schema) if !is_empty_object(schema) => Cow::Borrowed(schema),
        // Nothing at all is no schema over there.
        _ => Cow::Owned(any_object().expect("an object is written above")),
    };
    ToolFields { name: tool.name, description: tool.description, input_schema, strict: tool.strict.unwrap_or(false) }
}

fn tool_choice<'a>(
    asked: Option<ToolChoice<'a>>,
    parallel_calls: Option<bool>,
    has_tools: bool,
) -> Option<ChoiceFields<'a>> {
    let one_at_a_time = parallel_calls == Some(false) && has_tools;
    let (r#type, name) = match asked {
        None if one_at_a_time => ("auto", None),
        None => return None,
        Some(ToolChoice::Auto | ToolChoice::None) if !has_tools => return None,
        Some(ToolChoice::Auto) => ("auto", None),
        Some(ToolChoice::None) => ("none", None),
        Some(ToolChoice::Required) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(name)),
    };
    Some(ChoiceFields { r#type, name, disable_parallel_tool_use: one_at_a_time && r#type != "none" })
}

/// How the model is told to think. Thinking has conditions over there: where what was asked outright does not meet
/// them, the effort, a hint, gives way; where a sampling knob does not, the knob does.
fn think(
    asked: &mut Conversation,
    max_tokens: u64,
    model: &str,
    dropped: &mut Dropped,
) -> (Option<Thinking>, Option<&'static str>) {
    let Some((effort, field)) = asked.effort else { return (None, None) };
    if effort == Effort::None {
        return (Some(Thinking::Disabled), None);
    }
    let budget = effort.budget().unwrap_or(BUDGET_MIN).min(max_tokens.saturating_sub(1));
    let thinks_adaptively = models::thinks_adaptively(model);
    let forced = matches!(asked.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
    // With a budget, the turn that called the tools must begin with its thinking, which the client does not have.
    let has_room = thinks_adaptively || budget >= BUDGET_MIN && !asked.awaits_reply_to_calls();
    if forced || !has_room {
        dropped.note(field);
        return (None, None);
    }
    drop_hint(&mut asked.temperature, "temperature", dropped);
    drop_hint(&mut asked.top_p, "top_p", dropped);
    if !thinks_adaptively {
        return (Some(Thinking::Enabled { budget_tokens: budget }), None);
    }
    let word = if effort == Effort::Minimal { Effort::Low } else { effort }.word();
    // Who asks for an effort has shown an interest in the thoughts; newer models hide them unless told.
    (Some(Thinking::Adaptive { display: "summarized" }), Some(word))
}

/// Leaves out the sampling knobs that the model does not take.
fn sample(asked: &mut Conversation, model: &str, dropped: &mut Dropped) -> Result<(), ApiError> {
    let takes = models::takes_sampling(model);
    if takes == Sampling::Neither {
        drop_hint(&mut asked.temperature, "temperature", dropped);
    }
    if takes == Sampling::Neither || takes == Sampling::Either && asked.temperature.is_some() {
        drop_hint(&mut asked.top_p, "top_p", dropped);
    }
    match asked.temperature.map(|temperature| temperature.get().parse::<f64>()) {
        Some(Ok(temperature)) if temperature > 1.0 => Err(wrong("temperature", "at most 1 for this model")),
        _ => Ok(()),
    }
}

fn drop_hint<T>(hint: &mut Option<T>, name: &'static str, dropped: &mut Dropped) {
    if hint.take().is_some() {
        dropped.note(name);
    }
}
