//! A conversation as a chat completion's request. Fields by OpenAI's API reference, in the form that most of those who
//! offer this API understand: text as one string, one maximum of tokens.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::core::api_error::ApiError;
use crate::protocol::convert::conversation::{
    Conversation, Effort, Format, Media, Part, Role, Tool, ToolChoice, Turn, joined, unsigned_id,
};
use crate::protocol::convert::fields::{Dropped, cannot_carry};
use crate::protocol::convert::{Target, models};

#[derive(Serialize)]
pub(in crate::protocol::convert) struct Request<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<ToolFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<ChoiceFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<FormatFields<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Default, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<ContentPart<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ContentPart<'a> {
    Text { text: Cow<'a, str> },
    ImageUrl { image_url: ImageUrl<'a> },
    File { file: File<'a> },
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: Cow<'a, str>,
}

#[derive(Serialize)]
struct File<'a> {
    filename: Cow<'a, str>,
    file_data: Cow<'a, str>,
}

#[derive(Serialize)]
struct Call<'a> {
    id: Cow<'a, str>,
    r#type: &'static str,
    function: Called<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<Extra>,
}

/// Gemini's.
#[derive(Serialize)]
struct Extra {
    google: Google,
}

#[derive(Serialize)]
struct Google {
    thought_signature: String,
}

#[derive(Serialize)]
struct Called<'a> {
    name: Cow<'a, str>,
    arguments: Cow<'a, str>,
}

#[derive(Serialize)]
struct ToolFields<'a> {
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ChoiceFields<'a> {
    Word(&'static str),
    Named { r#type: &'static str, function: Name<'a> },
}

#[derive(Serialize)]
struct Name<'a> {
    name: Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum FormatFields<'a> {
    JsonObject,
    JsonSchema { json_schema: SchemaFields<'a> },
}

#[derive(Serialize)]
struct SchemaFields<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Cow<'a, str>>,
    schema: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

pub(in crate::protocol::convert) fn write<'a>(
    asked: Conversation<'a>,
    target: &Target<'a>,
    dropped: &mut Dropped,
) -> Result<Request<'a>, ApiError> {
    let mut messages = Vec::new();
    for turn in in_a_row(asked.turns) {
        match turn.role {
            Role::System => messages.extend(system(turn.parts)),
            Role::User => user(turn.parts, &mut messages)?,
            Role::Assistant => messages.extend(assistant(turn.parts, models::signs_calls(target.model))),
        }
    }
    let new_maximum = models::takes_new_maximum(target.kind, target.model);
    let has_tools = !asked.tools.is_empty();
    let reasons = models::takes_effort(target.model);
    Ok(Request {
        model: target.model,
        messages,
        tools: asked.tools.into_iter().map(tool).collect(),
        tool_choice: asked.tool_choice.and_then(|choice| tool_choice(choice, has_tools)),
        // On is how it is anyway, and not everybody knows the field.
        parallel_tool_calls: asked.parallel_calls.filter(|parallel| !parallel && has_tools),
        max_tokens: asked.max_output_tokens.filter(|_| !new_maximum),
        max_completion_tokens: asked.max_output_tokens.filter(|_| new_maximum),
        temperature: asked.temperature,
        top_p: asked.top_p,
        stop: asked.stop,
        reasoning_effort: effort(asked.effort, reasons, dropped),
        verbosity: hint(asked.verbosity, reasons, "verbosity", dropped),
        response_format: asked.format.map(format),
        stream: asked.stream,
        stream_options: (asked.stream && target.inject_usage).then_some(StreamOptions { include_usage: true }),
    })
}

/// Instructions that follow each other are one message: the templates of many open models take a single one.
fn in_a_row(turns: Vec<Turn>) -> Vec<Turn> {
    let mut merged = Vec::<Turn>::with_capacity(turns.len());
    for mut turn in turns {
        match merged.last_mut() {
            Some(last) if last.role == Role::System && turn.role == Role::System => last.parts.append(&mut turn.parts),
            _ => merged.push(turn),
        }
    }
    merged
}

fn system(parts: Vec<Part>) -> Option<Message> {
    let content = texts(parts)?;
    Some(Message { role: "system", content: Some(Content::Text(content)), ..Message::default() })
}

/// `signs`: the model wants the signatures of its calls.
fn assistant(parts: Vec<Part>, signs: bool) -> Option<Message> {
    let (mut tool_calls, mut thoughts, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Call { id, name, arguments, .. } => {
                let (id, signature) = unsigned_id(id);
                let extra_content =
                    signature.filter(|_| signs).map(|thought_signature| Extra { google: Google { thought_signature } });
                tool_calls.push(Call { id, r#type: "function", function: Called { name, arguments }, extra_content });
            }
            Part::Thinking(text) => thoughts.push(text),
            other => rest.push(other),
        }
    }
    let content = texts(rest);
    let reasoning_content = (!thoughts.is_empty()).then(|| joined(thoughts));
    if content.is_none() && tool_calls.is_empty() {
        return None;
    }
    Some(Message {
        role: "assistant",
        content: content.map(Content::Text),
        reasoning_content,
        tool_calls,
        tool_call_id: None,
    })
}

/// A user's turn: the answers to calls, each a message of its own, then what the user says.
fn user<'a>(parts: Vec<Part<'a>>, messages: &mut Vec<Message<'a>>) -> Result<(), ApiError> {
    let (mut said, mut shown) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Result { call_id, content, is_error } => {
                messages.push(result(call_id, content, is_error, &mut shown)?);
            }
            other => said.push(other),
        }
    }
    shown.extend(said);
    if shown.is_empty() {
        return Ok(());
    }
    let only_text = shown.iter().all(|part| matches!(part, Part::Text(_)));
    let content = match only_text {
        true => texts(shown).map(Content::Text),
        false => Some(Content::Parts(shown.into_iter().map(content_part).collect::<Result<_, _>>()?)),
    };
    messages.extend(content.map(|content| Message { role: "user", content: Some(content), ..Message::default() }));
    Ok(())
}

/// A tool's answer. It can be nothing but text here: pictures and files follow in the user's message behind it.
fn result<'a>(
    call_id: Cow<'a, str>,
    content: Vec<Part<'a>>,
    is_error: bool,
    shown: &mut Vec<Part<'a>>,
) -> Result<Message<'a>, ApiError> {
    let (said, media): (Vec<_>, Vec<_>) = content.into_iter().partition(|part| matches!(part, Part::Text(_)));
    let mut text = match texts(said) {
        Some(text) => text,
        None if media.is_empty() => Cow::Borrowed(""),
        None => Cow::Borrowed("The result is attached to the message that follows."),
    };
    if is_error {
        text = format!("Error: {text}").into();
    }
    shown.extend(media);
    Ok(Message {
        role: "tool",
        content: Some(Content::Text(text)),
        tool_call_id: Some(unsigned_id(call_id).0),
        ..Message::default()
    })
}

fn texts(parts: Vec<Part>) -> Option<Cow<str>> {
    let text = |part| if let Part::Text(text) = part { Some(text) } else { None };
    let texts: Vec<_> = parts.into_iter().filter_map(text).filter(|text| !text.is_empty()).collect();
    (!texts.is_empty()).then(|| joined(texts))
}

fn content_part(part: Part) -> Result<ContentPart, ApiError> {
    match part {
        Part::Text(text) => Ok(ContentPart::Text { text }),
        Part::Image(media) => Ok(ContentPart::ImageUrl { image_url: ImageUrl { url: media.into_url() } }),
        Part::File { media: media @ Media::Base64 { .. }, name, .. } => {
            let filename = name.unwrap_or(Cow::Borrowed("document.pdf"));
            Ok(ContentPart::File { file: File { filename, file_data: media.into_url() } })
        }
        Part::File { at, .. } | Part::Call { at, .. } => Err(cannot_carry(&at)),
        Part::Thinking(_) | Part::Result { .. } => Err(cannot_carry("messages")),
    }
}

fn tool(tool: Tool) -> ToolFields {
    let function =
        Function { name: tool.name, description: tool.description, parameters: tool.schema, strict: tool.strict };
    ToolFields { r#type: "function", function }
}

fn tool_choice(choice: ToolChoice, has_tools: bool) -> Option<ChoiceFields> {
    Some(match choice {
        ToolChoice::Auto | ToolChoice::None if !has_tools => return None,
        ToolChoice::Auto => ChoiceFields::Word("auto"),
        ToolChoice::None => ChoiceFields::Word("none"),
        ToolChoice::Required => ChoiceFields::Word("required"),
        ToolChoice::Named(name) => ChoiceFields::Named { r#type: "function", function: Name { name } },
    })
}

fn format(format: Format) -> FormatFields {
    match format {
        Format::JsonObject(_) => FormatFields::JsonObject,
        Format::Schema { name, description, schema, strict } => FormatFields::JsonSchema {
            json_schema: SchemaFields { name: name.unwrap_or(Cow::Borrowed("answer")), description, schema, strict },
        },
    }
}

fn effort(asked: Option<(Effort, &'static str)>, reasons: bool, dropped: &mut Dropped) -> Option<&'static str> {
    let (effort, field) = asked?;
    hint(Some(effort.word()), reasons, field, dropped)
}

/// A hint for models that reason; others refuse it.
fn hint<T>(asked: Option<T>, reasons: bool, field: &'static str, dropped: &mut Dropped) -> Option<T> {
    if asked.is_some() && !reasons {
        dropped.note(field);
        return None;
    }
    asked
}
