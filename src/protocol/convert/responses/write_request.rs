//! A conversation as a response request. Fields by OpenAI's API reference, "Create a model response".

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::core::api_error::ApiError;
use crate::protocol::convert::conversation::{Conversation, Format, Media, Part, Role, Tool, ToolChoice, unsigned_id};
use crate::protocol::convert::fields::{Dropped, cannot_carry};
use crate::protocol::convert::{Target, models};

#[derive(Serialize)]
pub(in crate::protocol::convert) struct Request<'a> {
    model: &'a str,
    input: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<ToolFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<ChoiceFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<TextConfig<'a>>,
    /// A client of another dialect did not ask that its conversation be kept.
    store: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item<'a> {
    Message { role: &'static str, content: Vec<Content<'a>> },
    FunctionCall { call_id: Cow<'a, str>, name: Cow<'a, str>, arguments: Cow<'a, str> },
    FunctionCallOutput { call_id: Cow<'a, str>, output: Vec<Content<'a>> },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Content<'a> {
    InputText {
        text: Cow<'a, str>,
    },
    OutputText {
        text: Cow<'a, str>,
    },
    InputImage {
        image_url: Cow<'a, str>,
    },
    InputFile {
        #[serde(skip_serializing_if = "Option::is_none")]
        filename: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_data: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_url: Option<Cow<'a, str>>,
    },
}

#[derive(Serialize)]
struct ToolFields<'a> {
    r#type: &'static str,
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Cow<'a, str>>,
    parameters: Option<&'a RawValue>,
    /// Strict unless told otherwise, in this dialect alone.
    strict: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ChoiceFields<'a> {
    Word(&'static str),
    Named { r#type: &'static str, name: Cow<'a, str> },
}

#[derive(Serialize)]
struct Reasoning {
    effort: &'static str,
    summary: &'static str,
}

#[derive(Serialize)]
struct TextConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<FormatFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum FormatFields<'a> {
    JsonObject,
    JsonSchema {
        name: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<Cow<'a, str>>,
        schema: &'a RawValue,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
    },
}

pub(in crate::protocol::convert) fn write<'a>(
    asked: Conversation<'a>,
    target: &Target<'a>,
    dropped: &mut Dropped,
) -> Result<Request<'a>, ApiError> {
    if !asked.stop.is_empty() {
        return Err(cannot_carry(asked.stop_field));
    }
    let mut input = Vec::new();
    for turn in asked.turns {
        write_turn(turn.role, turn.parts, &mut input, dropped)?;
    }
    let reasons = models::takes_effort(target.model);
    let mut effort = asked.effort;
    if let Some((_, field)) = effort.take_if(|_| !reasons) {
        dropped.note(field);
    }
    let (format, verbosity) = (asked.format.map(format), asked.verbosity);
    let has_tools = !asked.tools.is_empty();
    Ok(Request {
        model: target.model,
        input,
        tools: asked.tools.into_iter().map(tool).collect(),
        tool_choice: asked.tool_choice.and_then(|choice| tool_choice(choice, has_tools)),
        parallel_tool_calls: asked.parallel_calls.filter(|_| has_tools),
        max_output_tokens: asked.max_output_tokens,
        temperature: asked.temperature,
        top_p: asked.top_p,
        reasoning: effort.map(|(effort, _)| Reasoning { effort: effort.word(), summary: "auto" }),
        text: (format.is_some() || verbosity.is_some()).then_some(TextConfig { format, verbosity }),
        store: false,
        stream: asked.stream,
    })
}

/// A turn's items: what is said in a row is one message, calls and their answers stand on their own.
fn write_turn<'a>(
    role: Role,
    parts: Vec<Part<'a>>,
    input: &mut Vec<Item<'a>>,
    dropped: &mut Dropped,
) -> Result<(), ApiError> {
    let name = match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let mut said = Vec::new();
    for part in parts {
        let item = match part {
            Part::Call { id, name, arguments, .. } => {
                Item::FunctionCall { call_id: unsigned_id(id).0, name, arguments }
            }
            Part::Result { call_id, content: parts, is_error } => {
                let mut output = Vec::new();
                if is_error {
                    output.push(Content::InputText { text: Cow::Borrowed("Error:") });
                }
                for part in parts {
                    output.extend(content(Role::User, part, dropped)?);
                }
                Item::FunctionCallOutput { call_id: unsigned_id(call_id).0, output }
            }
            other => {
                said.extend(content(role, other, dropped)?);
                continue;
            }
        };
        if !said.is_empty() {
            input.push(Item::Message { role: name, content: std::mem::take(&mut said) });
        }
        input.push(item);
    }
    if !said.is_empty() {
        input.push(Item::Message { role: name, content: said });
    }
    Ok(())
}

fn content<'a>(role: Role, part: Part<'a>, dropped: &mut Dropped) -> Result<Option<Content<'a>>, ApiError> {
    Ok(Some(match part {
        Part::Text(text) if text.is_empty() => return Ok(None),
        Part::Text(text) if role == Role::Assistant => Content::OutputText { text },
        Part::Text(text) => Content::InputText { text },
        Part::Thinking(_) => {
            dropped.note("reasoning_content");
            return Ok(None);
        }
        Part::Image(media) => Content::InputImage { image_url: media.into_url() },
        Part::File { media: Media::Url(url), name: filename, .. } => {
            Content::InputFile { filename, file_data: None, file_url: Some(url) }
        }
        Part::File { media, name, .. } => {
            let filename = Some(name.unwrap_or(Cow::Borrowed("document.pdf")));
            Content::InputFile { filename, file_data: Some(media.into_url()), file_url: None }
        }
        Part::Call { at, .. } => return Err(cannot_carry(&at)),
        Part::Result { .. } => return Err(cannot_carry("messages")),
    }))
}

fn tool(tool: Tool) -> ToolFields {
    ToolFields {
        r#type: "function",
        name: tool.name,
        description: tool.description,
        parameters: tool.schema,
        strict: tool.strict.unwrap_or(false),
    }
}

fn tool_choice(choice: ToolChoice, has_tools: bool) -> Option<ChoiceFields> {
    Some(match choice {
        ToolChoice::Auto | ToolChoice::None if !has_tools => return None,
        ToolChoice::Auto => ChoiceFields::Word("auto"),
        ToolChoice::None => ChoiceFields::Word("none"),
        ToolChoice::Required => ChoiceFields::Word("required"),
        ToolChoice::Named(name) => ChoiceFields::Named { r#type: "function", name },
    })
}

fn format(format: Format) -> FormatFields {
    match format {
        Format::JsonObject(_) => FormatFields::JsonObject,
        Format::Schema { name, description, schema, strict } => {
            FormatFields::JsonSchema { name: name.unwrap_or(Cow::Borrowed("answer")), description, schema, strict }
        }
    }
}
