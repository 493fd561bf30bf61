//! What a response request asks. Fields by OpenAI's API reference, "Create a model response".

use std::borrow::Cow;
use std::collections::HashSet;

use super::NAMESPACE;
use crate::core::api_error::ApiError;
use crate::protocol::convert::conversation::{
    CHAT_SEAL, Conversation, Effort, Format, Media, Part, Role, Tool, ToolChoice, Turn, joined, refuse_unless_off,
};
use crate::protocol::convert::fields::{Dropped, Fields, cannot_carry, elements, text, wrong};

pub(in crate::protocol::convert) fn read<'a>(
    body: &'a [u8],
    dropped: &mut Dropped,
) -> Result<Conversation<'a>, ApiError> {
    let mut top = Fields::body(body)?;
    let mut asked = Conversation::default();
    if let Some(instructions) = top.text("instructions")? {
        asked.turns.push(Turn { role: Role::System, parts: vec![Part::Text(instructions)] });
    }
    read_input(&mut top, &mut asked, dropped)?;
    read_tools(&mut top, &mut asked, dropped)?;
    asked.tool_choice = read_tool_choice(&mut top)?;
    asked.parallel_calls = top.boolean("parallel_tool_calls")?;
    asked.max_output_tokens = top.integer("max_output_tokens")?;
    asked.temperature = top.number("temperature")?;
    asked.top_p = top.number("top_p")?;
    if let Some(mut reasoning) = top.object("reasoning")? {
        if let Some(word) = reasoning.text("effort")? {
            asked.effort = Some((Effort::read("reasoning.effort", &word)?, "reasoning.effort"));
        }
        // Whether thoughts are shown is the other side's to say.
        reasoning.ignore(&["summary", "generate_summary", "context"]);
        reasoning.finish()?;
    }
    read_text_config(&mut top, &mut asked)?;
    asked.stream = top.boolean("stream")?.unwrap_or(false);
    refuse_kept_state(&mut top)?;
    read_include(&mut top)?;
    if let Some(mut options) = top.object("stream_options")? {
        options.ignore(&["include_obfuscation"]);
        options.finish()?;
    }
    top.ignore(&["model"]);
    top.drop(HINTS, dropped);
    top.finish()?;
    Ok(asked)
}

/// Refuses what a provider of this API would have to remember between requests.
fn refuse_kept_state(top: &mut Fields) -> Result<(), ApiError> {
    for field in ["background", "top_logprobs"] {
        refuse_unless_off(field, top.take(field))?;
    }
    for field in ["previous_response_id", "conversation", "prompt"] {
        if top.take(field).is_some() {
            return Err(ApiError::invalid_param(
                field,
                format!(
                    "'{field}' is not supported for this model here: nothing is kept between requests. Send the whole input instead."
                ),
            ));
        }
    }
    Ok(())
}

/// More to be shown of an answer. Of tools that the provider would run there is nothing to show.
fn read_include(top: &mut Fields) -> Result<(), ApiError> {
    for (at, included) in top.list("include")?.unwrap_or_default() {
        if text(included).as_deref() == Some("message.output_text.logprobs") {
            return Err(cannot_carry(&at));
        }
    }
    Ok(())
}

fn read_input<'a>(top: &mut Fields<'a>, asked: &mut Conversation<'a>, dropped: &mut Dropped) -> Result<(), ApiError> {
    let input = top.take("input").ok_or_else(|| top.missing("input"))?;
    if let Some(input) = text(input) {
        asked.turns.push(Turn { role: Role::User, parts: vec![Part::Text(input)] });
        return Ok(());
    }
    for (at, item) in elements("input", input, "a string or an array")? {
        read_item(Fields::read(at, item)?, asked, dropped)?;
    }
    Ok(())
}

fn read_item<'a>(mut item: Fields<'a>, asked: &mut Conversation<'a>, dropped: &mut Dropped) -> Result<(), ApiError> {
    match item.text("type")?.as_deref() {
        None | Some("message") => {
            let role = match item.needed_text("role")?.as_ref() {
                "system" | "developer" => Role::System,
                "user" => Role::User,
                "assistant" => Role::Assistant,
                _ => return Err(wrong(&item.path("role"), "'system', 'developer', 'user' or 'assistant'")),
            };
            let parts = read_content(&mut item, "content", role == Role::User, dropped)?;
            item.ignore(&["phase"]);
            match role {
                // What an assistant said and what it called are items of one turn.
                Role::Assistant => parts.into_iter().for_each(|part| asked.push(role, part)),
                _ => asked.turns.push(Turn { role, parts }),
            }
        }
        Some("function_call") => {
            let (at, id) = (item.path("arguments"), item.needed_text("call_id")?);
            let (name, arguments) = (item.needed_text("name")?, item.needed_text("arguments")?);
            item.ignore(&["caller", "namespace"]);
            asked.push(Role::Assistant, Part::Call { at, id, name, arguments });
        }
        Some("function_call_output") => {
            let call_id = item.needed_text("call_id")?;
            let content = read_content(&mut item, "output", true, dropped)?;
            item.ignore(&["caller", "name"]);
            asked.push(Role::User, Part::Result { call_id, content, is_error: false });
        }
        Some("reasoning") => match read_reasoning(&mut item)? {
            Some(thinking) => asked.push(Role::Assistant, Part::Thinking(thinking)),
            // Encrypted for the provider that made it.
            None => dropped.note("input.reasoning"),
        },
        Some(_) => return Err(cannot_carry(&item.path("type"))),
    }
    item.ignore(&["id", "status"]);
    item.finish()
}

fn read_reasoning<'a>(item: &mut Fields<'a>) -> Result<Option<Cow<'a, str>>, ApiError> {
    let ours = item.text("encrypted_content")?.is_some_and(|content| content == CHAT_SEAL);
    let mut thoughts = Vec::new();
    for (at, part) in item.list("summary")?.unwrap_or_default() {
        let mut part = Fields::read(at, part)?;
        thoughts.push(part.needed_text("text")?);
        part.ignore(&["type"]);
        part.finish()?;
    }
    item.ignore(&["content"]);
    Ok((ours && !thoughts.is_empty()).then(|| joined(thoughts)))
}

/// Content: a string, or a list of parts. `media`: pictures and files may be among them.
fn read_content<'a>(
    item: &mut Fields<'a>,
    name: &str,
    media: bool,
    dropped: &mut Dropped,
) -> Result<Vec<Part<'a>>, ApiError> {
    let content = item.take(name).ok_or_else(|| item.missing(name))?;
    if let Some(content) = text(content) {
        return Ok(vec![Part::Text(content)]);
    }
    let at = item.path(name);
    let parts = elements(&at, content, "a string or an array")?;
    parts.into_iter().map(|(at, part)| read_part(Fields::read(at, part)?, media, dropped)).collect()
}

fn read_part<'a>(mut part: Fields<'a>, media: bool, dropped: &mut Dropped) -> Result<Part<'a>, ApiError> {
    let read = match part.needed_text("type")?.as_ref() {
        "input_text" | "output_text" | "text" => Part::Text(part.needed_text("text")?),
        "refusal" => Part::Text(part.needed_text("refusal")?),
        "input_image" if media => {
            let url = part.text("image_url")?.ok_or_else(|| cannot_carry(&part.path("file_id")))?;
            part.drop(&["detail"], dropped);
            Part::Image(Media::from_url(&part.path("image_url"), url)?)
        }
        "input_file" if media => {
            let (data, url) = (part.text("file_data")?, part.text("file_url")?);
            let field = if data.is_some() { "file_data" } else { "file_url" };
            let at = part.path(field);
            let file = data.or(url).ok_or_else(|| cannot_carry(&part.path("file_id")))?;
            part.drop(&["detail"], dropped);
            Part::File { media: Media::from_url(&at, file)?, name: part.text("filename")?, at }
        }
        _ => return Err(cannot_carry(&part.path("type"))),
    };
    part.ignore(&["annotations", "logprobs"]);
    part.drop(&["prompt_cache_breakpoint"], dropped);
    part.finish()?;
    Ok(read)
}

/// Functions, and those that are grouped in namespaces beside them: other dialects know one flat list.
fn read_tools<'a>(top: &mut Fields<'a>, asked: &mut Conversation<'a>, dropped: &mut Dropped) -> Result<(), ApiError> {
    let mut is_grouped = false;
    for (at, tool) in top.list("tools")?.unwrap_or_default() {
        let mut tool = Fields::read(at, tool)?;
        match tool.needed_text("type")?.as_ref() {
            "function" => asked.tools.push(read_function(tool, dropped)?),
            NAMESPACE => {
                is_grouped = true;
                for (at, function) in tool.list("tools")?.unwrap_or_default() {
                    let mut function = Fields::read(at, function)?;
                    if function.needed_text("type")? != "function" {
                        return Err(cannot_carry(&function.path("type")));
                    }
                    asked.tools.push(read_function(function, dropped)?);
                }
                if tool.take("description").is_some() {
                    dropped.note("tools.description");
                }
                tool.ignore(&["name"]);
                tool.finish()?;
            }
            _ => return Err(cannot_carry(&tool.path("type"))),
        }
    }
    let mut names = HashSet::new();
    match asked.tools.iter().find(|tool| !names.insert(&tool.name)) {
        Some(tool) if is_grouped => Err(ApiError::invalid_param(
            "tools",
            format!(
                "'tools' has two functions '{}' in different namespaces, which this model cannot tell apart.",
                tool.name
            ),
        )),
        _ => Ok(()),
    }
}

fn read_function<'a>(mut tool: Fields<'a>, dropped: &mut Dropped) -> Result<Tool<'a>, ApiError> {
    let read = Tool {
        name: tool.needed_text("name")?,
        description: tool.text("description")?,
        schema: tool.raw_object("parameters")?,
        strict: tool.boolean("strict")?,
    };
    tool.drop(&["defer_loading", "output_schema"], dropped);
    tool.finish()?;
    Ok(read)
}

fn read_tool_choice<'a>(top: &mut Fields<'a>) -> Result<Option<ToolChoice<'a>>, ApiError> {
    let Some(raw) = top.take("tool_choice") else { return Ok(None) };
    if let Some(word) = text(raw) {
        return ToolChoice::from_word("tool_choice", &word).map(Some);
    }
    let mut choice = Fields::read("tool_choice".to_owned(), raw)?;
    if choice.needed_text("type")? != "function" {
        return Err(cannot_carry("tool_choice.type"));
    }
    let name = choice.needed_text("name")?;
    choice.ignore(&["namespace"]);
    choice.finish()?;
    Ok(Some(ToolChoice::Named(name)))
}

fn read_text_config<'a>(top: &mut Fields<'a>, asked: &mut Conversation<'a>) -> Result<(), ApiError> {
    let Some(mut config) = top.object("text")? else { return Ok(()) };
    asked.verbosity = config.text("verbosity")?;
    if let Some(mut format) = config.object("format")? {
        asked.format = match format.needed_text("type")?.as_ref() {
            "text" => None,
            "json_object" => Some(Format::JsonObject("text.format")),
            "json_schema" => Some(Format::Schema {
                name: format.text("name")?,
                description: format.text("description")?,
                schema: format.raw_object("schema")?.ok_or_else(|| format.missing("schema"))?,
                strict: format.boolean("strict")?,
            }),
            _ => return Err(cannot_carry("text.format.type")),
        };
        format.finish()?;
    }
    config.finish()
}

/// They tune how an answer is made, found again or accounted, not what is asked.
const HINTS: &[&str] = &[
    "client_metadata",
    "context_management",
    "max_tool_calls",
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "truncation",
    "user",
];
