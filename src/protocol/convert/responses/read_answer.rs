//! What a response says, whole or streamed. Events by OpenAI's API reference, "Streaming events".

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::protocol::convert::Read;
use crate::protocol::convert::list::List;
use crate::protocol::convert::reply::{Broken, Event, Stop};
use crate::protocol::endpoint::Endpoint;
use crate::protocol::usage::{Join, Report};

#[derive(Debug, Default)]
pub(in crate::protocol::convert) struct Reader {
    /// The call whose arguments are coming.
    call: Option<OpenCall>,
}

#[derive(Debug)]
struct OpenCall {
    output_index: u64,
    begun: bool,
}

#[derive(Deserialize)]
struct Incoming {
    r#type: String,
    #[serde(default)]
    output_index: u64,
    #[serde(default)]
    summary_index: u64,
    item: Option<Item>,
    delta: Option<String>,
    arguments: Option<String>,
    response: Option<Response>,
}

#[derive(Deserialize)]
struct Response {
    status: Option<String>,
    output: Option<List<Item>>,
    incomplete_details: Option<Incomplete>,
    usage: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    r#type: String,
    content: Option<List<Part>>,
    summary: Option<List<Part>>,
    call_id: Option<String>,
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    refusal: Option<String>,
}

pub(in crate::protocol::convert) fn whole(body: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
    let mut response: Response = serde_json::from_slice(body).map_err(|_| Broken("it is no response"))?;
    for item in response.output.take().ok_or(Broken("it has no output"))? {
        say_item(item, events)?;
    }
    end(response, events)
}

impl Read for Reader {
    fn event(&mut self, data: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
        let incoming: Incoming = serde_json::from_slice(data).map_err(|_| Broken("an event is none of a response"))?;
        match incoming.r#type.as_str() {
            "response.output_text.delta" => say(incoming.delta, Event::Text, events),
            "response.refusal.delta" => say(incoming.delta, Event::Refusal, events),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                say(incoming.delta, Event::Thinking, events);
            }
            "response.reasoning_summary_part.added" if incoming.summary_index > 0 => {
                events.push(Event::Thinking("\n\n".to_owned()));
            }
            "response.output_item.added" => {
                if let Some(item) = incoming.item.filter(|item| item.r#type == "function_call") {
                    events.push(begin_call(item.call_id, item.name)?);
                    self.call = Some(OpenCall { output_index: incoming.output_index, begun: false });
                }
            }
            "response.function_call_arguments.delta" => {
                let call = self.open_call(incoming.output_index)?;
                call.begun = true;
                say(incoming.delta, Event::Arguments, events);
            }
            // Some servers give the arguments here alone.
            "response.function_call_arguments.done" => {
                let call = self.open_call(incoming.output_index)?;
                if !std::mem::replace(&mut call.begun, true) {
                    say(incoming.arguments, Event::Arguments, events);
                }
            }
            "response.completed" | "response.incomplete" => {
                end(incoming.response.ok_or(Broken("it ends without the response"))?, events)?;
                events.push(Event::End);
            }
            "response.failed" | "error" => return Err(Broken("it says an error")),
            // What repeats the above, and what is yet to come.
            _ => {}
        }
        Ok(())
    }

    /// The reason to stop comes with the end.
    fn has_stopped(&self) -> bool {
        false
    }
}

impl Reader {
    fn open_call(&mut self, output_index: u64) -> Result<&mut OpenCall, Broken> {
        let open = self.call.as_mut().filter(|call| call.output_index == output_index);
        open.ok_or(Broken("arguments of a call that is not open"))
    }
}

fn begin_call(id: Option<String>, name: Option<String>) -> Result<Event, Broken> {
    match (id, name) {
        (Some(id), Some(name)) => Ok(Event::Call { id, name }),
        _ => Err(Broken("a call without an id or a name")),
    }
}

fn say_item(item: Item, events: &mut Vec<Event>) -> Result<(), Broken> {
    match item.r#type.as_str() {
        "message" => {
            for part in item.content.unwrap_or_default() {
                say(part.text, Event::Text, events);
                say(part.refusal, Event::Refusal, events);
            }
        }
        "reasoning" => {
            let summary = item.summary.filter(|summary| !summary.is_empty()).or(item.content).unwrap_or_default();
            let thoughts: Vec<String> = summary.into_iter().filter_map(|part| part.text).collect();
            say(Some(thoughts.join("\n\n")), Event::Thinking, events);
        }
        "function_call" => {
            events.push(begin_call(item.call_id, item.name)?);
            say(item.arguments, Event::Arguments, events);
        }
        // The provider's own tools, which no converted request can ask for.
        _ => {}
    }
    Ok(())
}

/// Why it stopped, and what it used.
fn end(response: Response, events: &mut Vec<Event>) -> Result<(), Broken> {
    let reason = response.incomplete_details.and_then(|details| details.reason);
    events.push(Event::Stop(match (response.status.as_deref(), reason.as_deref()) {
        (Some("failed" | "cancelled"), _) => return Err(Broken("it says an error")),
        (Some("incomplete"), Some("content_filter")) => Stop::Filter,
        (Some("incomplete"), _) => Stop::Length,
        _ => Stop::Turn,
    }));
    let mut report = Report::default();
    if let Some(usage) = response.usage
        && report.take(usage.get().as_bytes(), Join::Replace).is_ok()
    {
        events.extend(report.usage(Endpoint::ChatCompletions).map(|(usage, _)| Event::Usage(usage)));
    }
    Ok(())
}

fn say(text: Option<String>, event: fn(String) -> Event, events: &mut Vec<Event>) {
    events.extend(text.filter(|text| !text.is_empty()).map(event));
}
