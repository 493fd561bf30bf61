//! Anthropic's Messages: whole, or as the events of a stream; and how many tokens a request has.

use serde::Deserialize;
use serde_json::{Value, json};

use super::envelope::{self, Fault};
use super::schema::{Choice, Function};
use super::turn::{self, Answer, Content, Format, Turn};
use super::words::{self, End};

#[derive(Deserialize)]
pub struct Request {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    system: Value,
    stream: Option<bool>,
    max_tokens: Option<u64>,
    stop_sequences: Option<Vec<String>>,
    tools: Option<Vec<Value>>,
    #[serde(default)]
    tool_choice: Value,
    #[serde(default)]
    output_config: Value,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Value,
}

impl Message {
    /// What tools said, where this brings their results.
    fn tool_answers(&self) -> impl Iterator<Item = &str> {
        let results = Content(&self.content).parts().filter(|block| block["type"] == "tool_result");
        results.map(|block| Content(&block["content"]).answer())
    }

    fn tokens(&self) -> u64 {
        let content = Content(&self.content);
        let inner = content.parts().map(|block| match block["type"].as_str() {
            Some("tool_use") => {
                words::count(block["name"].as_str().unwrap_or_default()) + words::count(&block["input"].to_string())
            }
            Some("tool_result") => Content(&block["content"]).tokens(),
            _ => 0,
        });
        content.tokens() + inner.sum::<u64>()
    }
}

impl Request {
    pub fn read(body: &[u8]) -> Result<Self, Fault> {
        let request: Request = envelope::read(body)?;
        if request.messages.is_empty() {
            return Err(Fault::invalid("messages", "messages: at least one message is required"));
        }
        // Programs that act for a person put system messages between the others.
        let is_known = |message: &Message| matches!(message.role.as_str(), "user" | "assistant" | "system");
        if let Some(message) = request.messages.iter().find(|message| !is_known(message)) {
            let role = words::excerpt(&message.role, ROLE_CHARS_MAX);
            return Err(Fault::invalid("messages", format!("messages: unexpected role \"{role}\"")));
        }
        Ok(request)
    }

    pub fn stream(&self) -> bool {
        self.stream == Some(true)
    }

    pub fn count(&self) -> Result<Value, Fault> {
        Ok(json!({"input_tokens": self.input_tokens(&self.turn()?)}))
    }

    pub fn whole(&self) -> Result<Value, Fault> {
        let turn = self.answerable()?;
        let answer = turn.answer(0)?;
        let content = match &answer {
            Answer::Text(said) => json!([{"type": "text", "text": said.pieces.concat()}]),
            Answer::Call { name, arguments } => {
                let input: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
                json!([{"type": "tool_use", "id": envelope::new_id("toolu_"), "name": name, "input": input}])
            }
        };
        let usage = usage(self.input_tokens(&turn), answer.tokens());
        Ok(self.message(&content, stop(&answer), usage))
    }

    pub fn events(&self) -> Result<Vec<Value>, Fault> {
        let turn = self.answerable()?;
        let answer = turn.answer(0)?;
        let input_tokens = self.input_tokens(&turn);
        let (block, deltas): (Value, Vec<Value>) = match &answer {
            Answer::Text(said) => {
                let deltas = said.pieces.iter().map(|piece| json!({"type": "text_delta", "text": piece}));
                (json!({"type": "text", "text": ""}), deltas.collect())
            }
            Answer::Call { name, arguments } => {
                // The first piece is empty, as the provider's own is.
                let pieces = [""].into_iter().chain(words::pieces(arguments));
                let deltas = pieces.map(|piece| json!({"type": "input_json_delta", "partial_json": piece}));
                let id = envelope::new_id("toolu_");
                (json!({"type": "tool_use", "id": id, "name": name, "input": {}}), deltas.collect())
            }
        };

        // Usage is cumulative: a first token at the start, all of them at the end.
        let first = usage(input_tokens, answer.tokens().min(1));
        let mut events = vec![
            json!({"type": "message_start", "message": self.message(&json!([]), (None, None), first)}),
            json!({"type": "content_block_start", "index": 0, "content_block": block}),
            json!({"type": "ping"}),
        ];
        let delta = |delta| json!({"type": "content_block_delta", "index": 0, "delta": delta});
        events.extend(deltas.into_iter().map(delta));
        let (stop_reason, stop_sequence) = stop(&answer);
        events.extend([
            json!({"type": "content_block_stop", "index": 0}),
            json!({
                "type": "message_delta",
                "delta": {"stop_reason": stop_reason, "stop_sequence": stop_sequence},
                "usage": usage(input_tokens, answer.tokens()),
            }),
            json!({"type": "message_stop"}),
        ]);
        Ok(events)
    }

    /// Only an answer needs a limit; counting does not.
    fn answerable(&self) -> Result<Turn<'_>, Fault> {
        match self.max_tokens {
            None => Err(Fault::invalid("max_tokens", "max_tokens: Field required")),
            Some(0) => Err(Fault::invalid("max_tokens", "max_tokens: must be at least 1")),
            Some(_) => self.turn(),
        }
    }

    fn turn(&self) -> Result<Turn<'_>, Fault> {
        let mut asked = self.messages.iter().rev().filter(|message| message.role == "user");
        let tool_answers = match self.messages.iter().rev().find(|message| message.role != "system") {
            Some(last) => last.tool_answers().collect(),
            None => Vec::new(),
        };
        let is_function = |tool: &&Value| matches!(tool["type"].as_str(), None | Some("custom"));
        let functions = self.tools.iter().flatten().filter(is_function);
        let functions =
            functions.map(|tool| Function::read(&tool["name"], &tool["description"], &tool["input_schema"]));
        let format = &self.output_config["format"];
        Ok(Turn {
            prompt: asked.find_map(|message| Content(&message.content).last_text()).unwrap_or_default(),
            tool_answers,
            functions: functions.collect::<Result<_, _>>()?,
            choice: match (self.tool_choice["type"].as_str(), self.tool_choice["name"].as_str()) {
                (Some("tool"), Some(name)) => Choice::Named(name),
                (Some("none"), _) => Choice::Never,
                (Some("any"), _) => Choice::Any,
                _ => Choice::Auto,
            },
            format: match format["type"].as_str() {
                Some("json_schema") => Format::Schema(&format["schema"]),
                _ => Format::Text,
            },
            stops: self.stop_sequences.as_deref().unwrap_or_default(),
            tokens_max: self.max_tokens,
        })
    }

    fn input_tokens(&self, turn: &Turn<'_>) -> u64 {
        let system = (!self.system.is_null()).then(|| Content(&self.system).tokens());
        let messages = self.messages.iter().map(Message::tokens);
        turn::prompt_tokens(system.into_iter().chain(messages), &turn.functions)
    }

    fn message(&self, content: &Value, stop: (Option<&str>, Option<&str>), usage: Value) -> Value {
        json!({
            "id": envelope::new_id("msg_"),
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": stop.0,
            "stop_sequence": stop.1,
            "usage": usage,
        })
    }
}

/// A refusal in Anthropic's shape.
pub fn refusal(fault: &Fault) -> Value {
    let kind = match fault.status {
        401 => "authentication_error",
        404 => "not_found_error",
        _ => "invalid_request_error",
    };
    json!({
        "type": "error",
        "error": {"type": kind, "message": fault.message()},
        "request_id": envelope::new_id("req_"),
    })
}

/// Cached tokens are beside the input here; the demo has none.
fn usage(input_tokens: u64, output_tokens: u64) -> Value {
    json!({
        "input_tokens": input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output_tokens,
        "service_tier": "standard",
    })
}

/// The reason, and the stop word if it is that.
fn stop(answer: &Answer) -> (Option<&str>, Option<&str>) {
    match answer {
        Answer::Call { .. } => (Some("tool_use"), None),
        Answer::Text(said) => match &said.end {
            End::Done => (Some("end_turn"), None),
            End::StopWord(word) => (Some("stop_sequence"), Some(word)),
            End::Length => (Some("max_tokens"), None),
        },
    }
}

const ROLE_CHARS_MAX: usize = 40;
