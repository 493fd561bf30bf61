//! What an Anthropic message request asks. Fields by Anthropic's API reference, "Create a message".

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::core::api_error::ApiError;
use crate::protocol::convert::conversation::{
    CHAT_SEAL, Conversation, Effort, Format, Media, Part, Role, Tool, ToolChoice, Turn,
};
use crate::protocol::convert::fields::{Dropped, Fields, cannot_carry, elements, text, wrong};

pub(in crate::protocol::convert) fn read<'a>(
    body: &'a [u8],
    dropped: &mut Dropped,
) -> Result<Conversation<'a>, ApiError> {
    let mut top = Fields::body(body)?;
    let mut asked = Conversation::default();
    let system = read_content(&mut top, "system", Place::System, dropped)?;
    if !system.is_empty() {
        asked.turns.push(Turn { role: Role::System, parts: system });
    }
    for (at, message) in top.list("messages")?.ok_or_else(|| top.missing("messages"))? {
        asked.turns.push(read_message(Fields::read(at, message)?, dropped)?);
    }
    for (at, tool) in top.list("tools")?.unwrap_or_default() {
        asked.tools.push(read_tool(Fields::read(at, tool)?, dropped)?);
    }
    read_tool_choice(&mut top, &mut asked)?;
    asked.max_output_tokens = top.integer("max_tokens")?;
    asked.temperature = top.number("temperature")?;
    asked.top_p = top.number("top_p")?;
    asked.stop_field = "stop_sequences";
    for (at, stop) in top.list(asked.stop_field)?.unwrap_or_default() {
        asked.stop.push(text(stop).ok_or_else(|| wrong(&at, "a string"))?);
    }
    read_thinking(&mut top, &mut asked, dropped)?;
    read_output_config(&mut top, &mut asked, dropped)?;
    asked.stream = top.boolean("stream")?.unwrap_or(false);
    top.ignore(&["model"]);
    top.drop(HINTS, dropped);
    top.finish()?;
    Ok(asked)
}

fn read_message<'a>(mut message: Fields<'a>, dropped: &mut Dropped) -> Result<Turn<'a>, ApiError> {
    let (role, place) = match message.needed_text("role")?.as_ref() {
        "user" => (Role::User, Place::User),
        "assistant" => (Role::Assistant, Place::Assistant),
        "system" => (Role::System, Place::System),
        _ => return Err(wrong(&message.path("role"), "'user' or 'assistant'")),
    };
    let parts = read_content(&mut message, "content", place, dropped)?;
    message.finish()?;
    Ok(Turn { role, parts })
}

/// Whose content it is, which decides what may stand in it.
#[derive(Clone, Copy)]
enum Place {
    System,
    User,
    Assistant,
    Result,
}

/// Content: a string, or a list of blocks.
fn read_content<'a>(
    object: &mut Fields<'a>,
    name: &str,
    place: Place,
    dropped: &mut Dropped,
) -> Result<Vec<Part<'a>>, ApiError> {
    let Some(content) = object.take(name) else { return Ok(Vec::new()) };
    if let Some(content) = text(content) {
        return Ok(vec![Part::Text(content)]);
    }
    let at = object.path(name);
    let mut parts = Vec::new();
    for (at, block) in elements(&at, content, "a string or an array")? {
        parts.extend(read_block(Fields::read(at, block)?, place, dropped)?);
    }
    Ok(parts)
}

fn read_block<'a>(mut block: Fields<'a>, place: Place, dropped: &mut Dropped) -> Result<Option<Part<'a>>, ApiError> {
    let part = match (block.needed_text("type")?.as_ref(), place) {
        ("text", _) => {
            let text = block.needed_text("text")?;
            block.drop(&["citations"], dropped);
            Some(Part::Text(text))
        }
        ("image", Place::User | Place::Result) => {
            let mut source = block.needed_object("source")?;
            let kind = source.needed_text("type")?;
            let media = read_media(&kind, &mut source)?;
            source.finish()?;
            block.drop(&["transformations"], dropped);
            Some(Part::Image(media))
        }
        ("document", Place::User | Place::Result) => Some(read_document(&mut block, dropped)?),
        ("tool_result", Place::User) => {
            let call_id = block.needed_text("tool_use_id")?;
            let is_error = block.boolean("is_error")?.unwrap_or(false);
            let content = read_content(&mut block, "content", Place::Result, dropped)?;
            Some(Part::Result { call_id, content, is_error })
        }
        ("tool_use", Place::Assistant) => {
            let (id, name) = (block.needed_text("id")?, block.needed_text("name")?);
            let input = block.raw_object("input")?;
            block.ignore(&["caller"]);
            let arguments = Cow::Borrowed(input.map_or("{}", RawValue::get));
            Some(Part::Call { at: block.path("input"), id, name, arguments })
        }
        ("thinking", Place::Assistant) => {
            let thinking = block.needed_text("thinking")?;
            let signature = block.text("signature")?;
            // Anthropic's own thinking is signed for Anthropic.
            let ours = signature.is_some_and(|signature| signature == CHAT_SEAL);
            if !ours {
                dropped.note("thinking");
            }
            ours.then_some(Part::Thinking(thinking))
        }
        ("redacted_thinking", Place::Assistant) => {
            dropped.note("thinking");
            block.ignore(&["data"]);
            None
        }
        _ => return Err(cannot_carry(&block.path("type"))),
    };
    block.drop(&["cache_control"], dropped);
    block.finish()?;
    Ok(part)
}

fn read_document<'a>(block: &mut Fields<'a>, dropped: &mut Dropped) -> Result<Part<'a>, ApiError> {
    let name = block.text("title")?;
    block.drop(&["context"], dropped);
    if let Some(mut citations) = block.object("citations")? {
        if citations.boolean("enabled")? == Some(true) {
            return Err(cannot_carry(&citations.path("enabled")));
        }
        citations.finish()?;
    }
    let mut source = block.needed_object("source")?;
    let kind = source.needed_text("type")?;
    let part = if kind == "text" {
        source.ignore(&["media_type"]);
        Part::Text(source.needed_text("data")?)
    } else {
        Part::File { at: source.path("type"), media: read_media(&kind, &mut source)?, name }
    };
    source.finish()?;
    Ok(part)
}

fn read_media<'a>(kind: &str, source: &mut Fields<'a>) -> Result<Media<'a>, ApiError> {
    match kind {
        "base64" => {
            Ok(Media::Base64 { media_type: source.needed_text("media_type")?, data: source.needed_text("data")? })
        }
        "url" => Ok(Media::Url(source.needed_text("url")?)),
        // `file`: what a provider keeps is known to that provider alone.
        _ => Err(cannot_carry(&source.path("type"))),
    }
}

fn read_tool<'a>(mut tool: Fields<'a>, dropped: &mut Dropped) -> Result<Tool<'a>, ApiError> {
    if tool.text("type")?.is_some_and(|kind| kind != "custom") {
        return Err(cannot_carry(&tool.path("type")));
    }
    let read = Tool {
        name: tool.needed_text("name")?,
        description: tool.text("description")?,
        schema: tool.raw_object("input_schema")?,
        strict: tool.boolean("strict")?,
    };
    tool.drop(&["cache_control", "defer_loading", "eager_input_streaming", "input_examples"], dropped);
    tool.finish()?;
    Ok(read)
}

fn read_tool_choice<'a>(top: &mut Fields<'a>, asked: &mut Conversation<'a>) -> Result<(), ApiError> {
    let Some(mut choice) = top.object("tool_choice")? else { return Ok(()) };
    asked.tool_choice = Some(match choice.needed_text("type")?.as_ref() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(choice.needed_text("name")?),
        _ => return Err(wrong("tool_choice.type", "'auto', 'any', 'tool' or 'none'")),
    });
    asked.parallel_calls = choice.boolean("disable_parallel_tool_use")?.map(|disabled| !disabled);
    choice.finish()
}

fn read_thinking(top: &mut Fields, asked: &mut Conversation, dropped: &mut Dropped) -> Result<(), ApiError> {
    let Some(mut thinking) = top.object("thinking")? else { return Ok(()) };
    match thinking.needed_text("type")?.as_ref() {
        "enabled" => {
            let budget = thinking.integer("budget_tokens")?.ok_or_else(|| thinking.missing("budget_tokens"))?;
            asked.effort = Some((Effort::of_budget(budget), "thinking"));
        }
        // How long to think is the model's to decide, unless `output_config.effort` says more.
        "adaptive" => {}
        // Nothing switches thinking off in every model of another maker.
        _ => dropped.note("thinking"),
    }
    thinking.ignore(&["display"]);
    thinking.finish()
}

fn read_output_config<'a>(
    top: &mut Fields<'a>,
    asked: &mut Conversation<'a>,
    dropped: &mut Dropped,
) -> Result<(), ApiError> {
    let mut format = top.object("output_format")?;
    if let Some(mut config) = top.object("output_config")? {
        if let Some(word) = config.text("effort")? {
            asked.effort = Some((Effort::read("output_config.effort", &word)?, "output_config.effort"));
        }
        format = config.object("format")?.or(format);
        config.drop(&["task_budget"], dropped);
        config.finish()?;
    }
    let Some(mut format) = format else { return Ok(()) };
    if format.needed_text("type")? != "json_schema" {
        return Err(cannot_carry(&format.path("type")));
    }
    let schema = format.raw_object("schema")?.ok_or_else(|| format.missing("schema"))?;
    format.finish()?;
    asked.format = Some(Format::Schema { name: None, description: None, schema, strict: Some(true) });
    Ok(())
}

/// They tune how an answer is made, found again or accounted, not what is asked.
const HINTS: &[&str] = &[
    "cache_control",
    "context_management",
    "diagnostics",
    "metadata",
    "service_tier",
    "speed",
    "top_k",
    "user_profile_id",
];
