//! OpenAI's Responses: whole, or as the numbered events of a stream.
//!
//! Nothing is kept: a request that refers to an earlier answer is refused.

use serde::Deserialize;
use serde_json::{Value, json};

use super::envelope::{self, Fault};
use super::schema::{Choice, Function};
use super::turn::{self, Answer, Content, Format, Turn};
use super::words::{self, End};

#[derive(Deserialize)]
pub struct Request {
    model: String,
    #[serde(default)]
    input: Value,
    #[serde(default)]
    instructions: Value,
    stream: Option<bool>,
    max_output_tokens: Option<u64>,
    tools: Option<Vec<Value>>,
    #[serde(default)]
    tool_choice: Value,
    #[serde(default)]
    text: Value,
    parallel_tool_calls: Option<bool>,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    previous_response_id: Value,
    #[serde(default)]
    conversation: Value,
    background: Option<bool>,
}

/// One piece of a conversation, as far as the demo hears it.
enum Item<'a> {
    Message { role: &'a str, content: Content<'a> },
    Call { name: &'a str, arguments: &'a str },
    Output(Content<'a>),
}

impl<'a> Item<'a> {
    /// `None` for what is not said aloud, such as reasoning.
    fn read(item: &'a Value) -> Option<Self> {
        let text = |name: &str| item[name].as_str().unwrap_or_default();
        match item["type"].as_str() {
            None | Some("message") => Some(Item::Message { role: text("role"), content: Content(&item["content"]) }),
            Some("function_call") => Some(Item::Call { name: text("name"), arguments: text("arguments") }),
            Some("custom_tool_call") => Some(Item::Call { name: text("name"), arguments: text("input") }),
            Some("function_call_output" | "custom_tool_call_output") => Some(Item::Output(Content(&item["output"]))),
            _ => None,
        }
    }

    fn is_said(&self) -> bool {
        !matches!(self, Item::Message { role: "system" | "developer", .. })
    }

    fn tokens(&self) -> u64 {
        match self {
            Item::Message { content, .. } | Item::Output(content) => content.tokens(),
            Item::Call { name, arguments } => words::count(name) + words::count(arguments),
        }
    }
}

/// What all objects of one answer share.
struct Identity {
    response: String,
    item: String,
    call: String,
    namespace: Option<String>,
    created_s: u64,
}

impl Identity {
    fn of(answer: &Answer, request: &Request) -> Self {
        let (item, namespace) = match answer {
            Answer::Text(_) => ("msg_", None),
            Answer::Call { name, .. } => {
                let called = request.functions().find(|(_, function)| function["name"] == name.as_str());
                ("fc_", called.and_then(|(namespace, _)| namespace))
            }
        };
        Identity {
            response: envelope::new_id("resp_"),
            item: envelope::new_id(item),
            call: envelope::new_id("call_"),
            namespace: namespace.map(str::to_owned),
            created_s: envelope::now_s(),
        }
    }

    /// The one item of the answer with as much of it as is told: `text` is the said, or the arguments.
    fn item(&self, answer: &Answer, status: &str, content: Value, text: &str) -> Value {
        match answer {
            Answer::Text(_) => json!({
                "id": self.item, "type": "message", "status": status, "role": "assistant", "content": content,
            }),
            Answer::Call { name, .. } => {
                let mut call = json!({
                    "id": self.item, "type": "function_call", "status": status, "call_id": self.call, "name": name,
                    "arguments": text,
                });
                if let Some(namespace) = &self.namespace {
                    call["namespace"] = json!(namespace);
                }
                call
            }
        }
    }
}

impl Request {
    pub fn read(body: &[u8]) -> Result<Self, Fault> {
        let request: Request = envelope::read(body)?;
        let is_empty = match &request.input {
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => true,
        };
        if is_empty {
            return Err(Fault::invalid("input", "'input' must be a text or a list of items, and not empty."));
        }
        if request.background == Some(true) {
            return Err(Fault::invalid("background", "The demo model does not work in the background."));
        }
        for (name, value) in
            [("previous_response_id", &request.previous_response_id), ("conversation", &request.conversation)]
        {
            if !value.is_null() {
                return Err(Fault::invalid(name, format!("'{name}' refers to nothing: the demo model keeps nothing.")));
            }
        }
        Ok(request)
    }

    pub fn stream(&self) -> bool {
        self.stream == Some(true)
    }

    pub fn whole(&self) -> Result<Value, Fault> {
        let turn = self.turn()?;
        let answer = turn.answer(0)?;
        let identity = Identity::of(&answer, self);
        let item = identity.item(&answer, status(&answer), json!([part(&text(&answer))]), &text(&answer));
        Ok(self.ended(&identity, &turn, &answer, item))
    }

    pub fn events(&self) -> Result<Vec<Value>, Fault> {
        let turn = self.turn()?;
        let answer = turn.answer(0)?;
        let identity = Identity::of(&answer, self);
        let begun = self.response(&identity, "in_progress", json!([]), &Value::Null);
        let text = text(&answer);

        let of_item = |kind: &str, more: Value| {
            let mut event = json!({"type": kind, "item_id": identity.item, "output_index": 0});
            if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
                event.extend(more);
            }
            event
        };
        let opened = identity.item(&answer, "in_progress", json!([]), "");
        let mut events = vec![
            json!({"type": "response.created", "response": begun}),
            json!({"type": "response.in_progress", "response": begun}),
            json!({"type": "response.output_item.added", "output_index": 0, "item": opened}),
        ];
        match &answer {
            Answer::Text(said) => {
                let at = |more: Value| {
                    let mut more = more;
                    more["content_index"] = json!(0);
                    more
                };
                events.push(of_item("response.content_part.added", at(json!({"part": part("")}))));
                events.extend(
                    said.pieces.iter().map(|piece| {
                        of_item("response.output_text.delta", at(json!({"delta": piece, "logprobs": []})))
                    }),
                );
                events.push(of_item("response.output_text.done", at(json!({"text": text, "logprobs": []}))));
                events.push(of_item("response.content_part.done", at(json!({"part": part(&text)}))));
            }
            Answer::Call { name, .. } => {
                let kind = "response.function_call_arguments";
                events.extend(
                    words::pieces(&text).map(|piece| of_item(&format!("{kind}.delta"), json!({"delta": piece}))),
                );
                events.push(of_item(&format!("{kind}.done"), json!({"name": name, "arguments": text})));
            }
        }
        let item = identity.item(&answer, status(&answer), json!([part(&text)]), &text);
        events.push(json!({"type": "response.output_item.done", "output_index": 0, "item": item}));
        let ended = self.ended(&identity, &turn, &answer, item);
        events.push(json!({"type": format!("response.{}", status(&answer)), "response": ended}));
        for (number, event) in events.iter_mut().enumerate() {
            event["sequence_number"] = json!(number);
        }
        Ok(events)
    }

    fn items(&self) -> impl DoubleEndedIterator<Item = Item<'_>> {
        let alone = self.input.is_string().then_some(Item::Message { role: "user", content: Content(&self.input) });
        alone.into_iter().chain(Content(&self.input).parts().filter_map(Item::read))
    }

    /// The functions, each with the namespace that it may be in.
    fn functions(&self) -> impl Iterator<Item = (Option<&str>, &Value)> {
        let tools = self.tools.iter().flatten().flat_map(|tool| {
            let inner = Content(&tool["tools"]).parts().filter(|_| tool["type"] == "namespace");
            [(None, tool)].into_iter().chain(inner.map(|inner| (tool["name"].as_str(), inner)))
        });
        tools.filter(|(_, tool)| tool["type"] == "function")
    }

    fn turn(&self) -> Result<Turn<'_>, Fault> {
        let asked = self.items().rev().find_map(|item| match item {
            Item::Message { role: "user", content } => Some(content),
            _ => None,
        });
        let mut tool_answers: Vec<_> = self
            .items()
            .rev()
            .filter(Item::is_said)
            .map_while(|item| match item {
                Item::Output(content) => Some(content.answer()),
                _ => None,
            })
            .collect();
        tool_answers.reverse();
        let functions = self.functions();
        let functions =
            functions.map(|(_, tool)| Function::read(&tool["name"], &tool["description"], &tool["parameters"]));
        let format = &self.text["format"];
        Ok(Turn {
            prompt: asked.and_then(Content::last_text).unwrap_or_default(),
            tool_answers,
            functions: functions.collect::<Result<_, _>>()?,
            choice: match (self.tool_choice.as_str(), self.tool_choice["name"].as_str()) {
                (_, Some(name)) => Choice::Named(name),
                (Some("none"), _) => Choice::Never,
                (Some("required"), _) => Choice::Any,
                _ => Choice::Auto,
            },
            format: match format["type"].as_str() {
                Some("json_object") => Format::Object,
                Some("json_schema") => Format::Schema(&format["schema"]),
                _ => Format::Text,
            },
            stops: &[],
            tokens_max: envelope::positive("max_output_tokens", self.max_output_tokens)?,
        })
    }

    fn ended(&self, identity: &Identity, turn: &Turn<'_>, answer: &Answer, item: Value) -> Value {
        let instructions = self.instructions.is_string().then(|| Content(&self.instructions).tokens());
        let items = self.items().map(|item| item.tokens());
        let input = turn::prompt_tokens(instructions.into_iter().chain(items), &turn.functions);
        let output = answer.tokens();
        let usage = json!({
            "input_tokens": input,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": input.saturating_add(output),
        });
        self.response(identity, status(answer), json!([item]), &usage)
    }

    fn response(&self, identity: &Identity, status: &str, output: Value, usage: &Value) -> Value {
        let or = |value: &Value, default: Value| if value.is_null() { default } else { value.clone() };
        let incomplete = match status {
            "incomplete" => json!({"reason": "max_output_tokens"}),
            _ => Value::Null,
        };
        json!({
            "id": identity.response,
            "object": "response",
            "created_at": identity.created_s,
            "status": status,
            "background": false,
            "error": null,
            "incomplete_details": incomplete,
            "instructions": self.instructions,
            "max_output_tokens": self.max_output_tokens,
            "metadata": or(&self.metadata, json!({})),
            "model": self.model,
            "output": output,
            "parallel_tool_calls": self.parallel_tool_calls.unwrap_or(true),
            "previous_response_id": null,
            "reasoning": {"effort": null, "summary": null},
            "service_tier": "default",
            "store": false,
            "temperature": 1.0,
            "text": or(&self.text, json!({"format": {"type": "text"}})),
            "tool_choice": or(&self.tool_choice, json!("auto")),
            "tools": self.tools.as_deref().unwrap_or_default(),
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": usage,
            "user": null,
        })
    }
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// What is said, or the arguments of the call.
fn text(answer: &Answer) -> String {
    match answer {
        Answer::Text(said) => said.pieces.concat(),
        Answer::Call { arguments, .. } => arguments.clone(),
    }
}

fn status(answer: &Answer) -> &'static str {
    match answer {
        Answer::Text(said) if said.end == End::Length => "incomplete",
        _ => "completed",
    }
}
