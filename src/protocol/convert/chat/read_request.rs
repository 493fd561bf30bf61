//! What a chat completion asks. Fields by OpenAI's API reference, "Create chat completion".

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::core::api_error::ApiError;
use crate::protocol::convert::conversation::{
    Conversation, Effort, Format, Media, Part, Role, Tool, ToolChoice, Turn, refuse_unless_off,
};
use crate::protocol::convert::fields::{Dropped, Fields, cannot_carry, elements, text, wrong};

pub(in crate::protocol::convert) fn read<'a>(
    body: &'a [u8],
    dropped: &mut Dropped,
) -> Result<Conversation<'a>, ApiError> {
    let mut top = Fields::body(body)?;
    let mut asked = Conversation::default();
    for (at, message) in top.list("messages")?.ok_or_else(|| top.missing("messages"))? {
        read_message(Fields::read(at, message)?, &mut asked, dropped)?;
    }
    for (at, tool) in top.list("tools")?.unwrap_or_default() {
        asked.tools.push(read_tool(Fields::read(at, tool)?)?);
    }
    asked.tool_choice = read_tool_choice(&mut top)?;
    asked.parallel_calls = top.boolean("parallel_tool_calls")?;
    let (newer, older) = (top.integer("max_completion_tokens")?, top.integer("max_tokens")?);
    asked.max_output_tokens = newer.or(older);
    asked.temperature = top.number("temperature")?;
    asked.top_p = top.number("top_p")?;
    asked.stop = read_stop(&mut top)?;
    asked.stop_field = "stop";
    if let Some(word) = top.text("reasoning_effort")? {
        asked.effort = Some((Effort::read("reasoning_effort", &word)?, "reasoning_effort"));
    }
    asked.verbosity = top.text("verbosity")?;
    asked.format = read_format(&mut top)?;
    asked.stream = top.boolean("stream")?.unwrap_or(false);
    if let Some(mut options) = top.object("stream_options")? {
        asked.include_usage = options.boolean("include_usage")?.unwrap_or(false);
        options.ignore(&["include_obfuscation"]);
        options.finish()?;
    }
    refuse_other_answers(&mut top)?;
    top.ignore(&["model"]);
    top.drop(HINTS, dropped);
    top.finish()?;
    Ok(asked)
}

/// Refuses what would make the answer another one than a single text with calls.
fn refuse_other_answers(top: &mut Fields) -> Result<(), ApiError> {
    match top.integer("n")? {
        None | Some(1) => {}
        Some(_) => return Err(cannot_carry("n")),
    }
    for switch in ["logprobs", "top_logprobs", "logit_bias"] {
        refuse_unless_off(switch, top.take(switch))?;
    }
    for (at, modality) in top.list("modalities")?.unwrap_or_default() {
        if text(modality).as_deref() != Some("text") {
            return Err(cannot_carry(&at));
        }
    }
    Ok(())
}

fn read_message<'a>(
    mut message: Fields<'a>,
    asked: &mut Conversation<'a>,
    dropped: &mut Dropped,
) -> Result<(), ApiError> {
    match message.needed_text("role")?.as_ref() {
        "system" | "developer" => {
            let parts = read_content(&mut message, false, dropped)?;
            asked.turns.push(Turn { role: Role::System, parts });
        }
        "user" => {
            let parts = read_content(&mut message, true, dropped)?;
            asked.turns.push(Turn { role: Role::User, parts });
        }
        "assistant" => {
            let parts = read_assistant(&mut message, dropped)?;
            asked.turns.push(Turn { role: Role::Assistant, parts });
        }
        "tool" => {
            let call_id = message.needed_text("tool_call_id")?;
            let content = read_content(&mut message, true, dropped)?;
            // The answers to several calls stand in a row here, and are one turn elsewhere.
            asked.push(Role::User, Part::Result { call_id, content, is_error: false });
        }
        // `function` is what tools were called before they had ids.
        _ => return Err(wrong(&message.path("role"), "'system', 'developer', 'user', 'assistant' or 'tool'")),
    }
    message.drop(&["name"], dropped);
    message.finish()
}

fn read_assistant<'a>(message: &mut Fields<'a>, dropped: &mut Dropped) -> Result<Vec<Part<'a>>, ApiError> {
    let mut parts = Vec::new();
    if let Some(thinking) = message.text("reasoning_content")? {
        parts.push(Part::Thinking(thinking));
    }
    parts.extend(read_content(message, false, dropped)?);
    if let Some(refusal) = message.text("refusal")? {
        parts.push(Part::Text(refusal));
    }
    for (at, call) in message.list("tool_calls")?.unwrap_or_default() {
        parts.push(read_call(at, call, dropped)?);
    }
    // What an answer held beside its text, sent back by clients that keep messages whole.
    message.drop(&["annotations", "reasoning", "reasoning_details"], dropped);
    Ok(parts)
}

fn read_call<'a>(at: String, call: &'a RawValue, dropped: &mut Dropped) -> Result<Part<'a>, ApiError> {
    let mut call = Fields::read(at.clone(), call)?;
    expect_function(&mut call)?;
    let id = call.needed_text("id")?;
    let mut function = call.needed_object("function")?;
    let name = function.needed_text("name")?;
    let arguments = function.text("arguments")?.unwrap_or_default();
    let at = function.path("arguments");
    function.finish()?;
    call.ignore(&["index"]);
    call.drop(&["extra_content"], dropped);
    call.finish()?;
    Ok(Part::Call { at, id, name, arguments })
}

/// A message's content: a string, or a list of parts. `media`: pictures and files may be among them.
fn read_content<'a>(message: &mut Fields<'a>, media: bool, dropped: &mut Dropped) -> Result<Vec<Part<'a>>, ApiError> {
    let Some(content) = message.take("content") else { return Ok(Vec::new()) };
    if let Some(content) = text(content) {
        return Ok(vec![Part::Text(content)]);
    }
    let at = message.path("content");
    let parts = elements(&at, content, "a string or an array")?;
    parts.into_iter().map(|(at, part)| read_part(Fields::read(at, part)?, media, dropped)).collect()
}

fn read_part<'a>(mut part: Fields<'a>, media: bool, dropped: &mut Dropped) -> Result<Part<'a>, ApiError> {
    let read = match part.needed_text("type")?.as_ref() {
        "text" => Part::Text(part.needed_text("text")?),
        "refusal" => Part::Text(part.needed_text("refusal")?),
        "image_url" if media => {
            let mut image = part.needed_object("image_url")?;
            let url = image.needed_text("url")?;
            image.drop(&["detail"], dropped);
            let media = Media::from_url(&image.path("url"), url)?;
            image.finish()?;
            Part::Image(media)
        }
        "file" if media => {
            let mut file = part.needed_object("file")?;
            let data = file.text("file_data")?.ok_or_else(|| file_is_elsewhere(&file))?;
            let (at, name) = (file.path("file_data"), file.text("filename")?);
            file.finish()?;
            Part::File { media: Media::from_url(&at, data)?, at, name }
        }
        _ => return Err(cannot_carry(&part.path("type"))),
    };
    part.drop(&["cache_control", "prompt_cache_breakpoint"], dropped);
    part.finish()?;
    Ok(read)
}

/// A file that the provider keeps is known to that provider alone.
fn file_is_elsewhere(file: &Fields) -> ApiError {
    cannot_carry(&file.path("file_id"))
}

fn read_tool(mut tool: Fields) -> Result<Tool, ApiError> {
    expect_function(&mut tool)?;
    let mut function = tool.needed_object("function")?;
    let read = Tool {
        name: function.needed_text("name")?,
        description: function.text("description")?,
        schema: function.raw_object("parameters")?,
        strict: function.boolean("strict")?,
    };
    function.finish()?;
    tool.finish()?;
    Ok(read)
}

fn expect_function(object: &mut Fields) -> Result<(), ApiError> {
    match object.text("type")? {
        Some(kind) if kind != "function" => Err(cannot_carry(&object.path("type"))),
        _ => Ok(()),
    }
}

fn read_tool_choice<'a>(top: &mut Fields<'a>) -> Result<Option<ToolChoice<'a>>, ApiError> {
    let Some(raw) = top.take("tool_choice") else { return Ok(None) };
    if let Some(word) = text(raw) {
        return ToolChoice::from_word("tool_choice", &word).map(Some);
    }
    let mut choice = Fields::read("tool_choice".to_owned(), raw)?;
    expect_function(&mut choice)?;
    let mut function = choice.needed_object("function")?;
    let name = function.needed_text("name")?;
    function.finish()?;
    choice.finish()?;
    Ok(Some(ToolChoice::Named(name)))
}

fn read_stop<'a>(top: &mut Fields<'a>) -> Result<Vec<Cow<'a, str>>, ApiError> {
    let Some(raw) = top.take("stop") else { return Ok(Vec::new()) };
    if let Some(one) = text(raw) {
        return Ok(vec![one]);
    }
    let list = elements("stop", raw, "a string or an array")?;
    list.into_iter().map(|(at, stop)| text(stop).ok_or_else(|| wrong(&at, "a string"))).collect()
}

fn read_format<'a>(top: &mut Fields<'a>) -> Result<Option<Format<'a>>, ApiError> {
    let Some(mut format) = top.object("response_format")? else { return Ok(None) };
    let read = match format.needed_text("type")?.as_ref() {
        "text" => None,
        "json_object" => Some(Format::JsonObject("response_format")),
        "json_schema" => {
            let mut inside = format.needed_object("json_schema")?;
            let schema = inside.raw_object("schema")?.ok_or_else(|| inside.missing("schema"))?;
            let (name, description) = (inside.text("name")?, inside.text("description")?);
            let strict = inside.boolean("strict")?;
            inside.finish()?;
            Some(Format::Schema { name, description, schema, strict })
        }
        _ => return Err(cannot_carry("response_format.type")),
    };
    format.finish()?;
    Ok(read)
}

/// They tune how an answer is made, found again or accounted, not what is asked.
const HINTS: &[&str] = &[
    "frequency_penalty",
    "metadata",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "seed",
    "service_tier",
    "store",
    "user",
    "top_k",
    "min_p",
    "repetition_penalty",
];
