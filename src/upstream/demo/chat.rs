//! Chat completions: whole, or as the chunks of a stream.

use serde::Deserialize;
use serde_json::{Value, json};

use super::envelope::{self, FINGERPRINT, Fault, StreamOptions, Texts};
use super::schema::{self, Tool};
use super::words;

#[derive(Deserialize)]
pub struct Request {
    model: String,
    messages: Vec<Message>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    n: Option<u64>,
    stop: Option<Texts>,
    tools: Option<Vec<Tool>>,
    #[serde(default)]
    tool_choice: Value,
    #[serde(default)]
    response_format: Value,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Value,
}

impl Message {
    fn text(&self) -> String {
        let parts = self.content.as_array().into_iter().flatten().filter_map(|part| part["text"].as_str());
        self.content.as_str().map_or_else(|| parts.collect::<Vec<_>>().join("\n"), str::to_owned)
    }

    fn tokens(&self) -> u64 {
        let parts = self.content.as_array().into_iter().flatten();
        let images = parts.filter(|part| part["type"] == "image_url").count() as u64;
        words::count(&self.text()) + images * IMAGE_TOKENS + MESSAGE_TOKENS
    }
}

/// One of the answers that a request gets.
enum Choice {
    Text(words::Said),
    Call { id: String, name: String, arguments: String },
}

impl Choice {
    fn finish_reason(&self) -> &'static str {
        match self {
            Choice::Text(said) => said.finish_reason,
            Choice::Call { .. } => "tool_calls",
        }
    }

    fn tokens(&self) -> u64 {
        match self {
            Choice::Text(said) => said.pieces.len() as u64,
            Choice::Call { name, arguments, .. } => words::count(name) + words::count(arguments),
        }
    }

    fn message(&self) -> Value {
        match self {
            Choice::Text(said) => {
                json!({"role": "assistant", "content": said.pieces.concat(), "refusal": null, "annotations": []})
            }
            Choice::Call { id, name, arguments } => json!({
                "role": "assistant", "content": null, "refusal": null, "annotations": [],
                "tool_calls": [
                    {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}},
                ],
            }),
        }
    }

    /// The message cut up: the role first, then piece by piece.
    fn deltas(&self) -> Vec<Value> {
        match self {
            Choice::Text(said) => {
                let first = json!({"role": "assistant", "content": "", "refusal": null});
                let rest = said.pieces.iter().map(|piece| json!({"content": piece}));
                [first].into_iter().chain(rest).collect()
            }
            Choice::Call { id, name, arguments } => {
                let call = json!({
                    "index": 0, "id": id, "type": "function", "function": {"name": name, "arguments": ""},
                });
                let first = json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": [call]});
                let rest = words::pieces(arguments)
                    .map(|piece| json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}));
                [first].into_iter().chain(rest).collect()
            }
        }
    }
}

impl Request {
    pub fn read(body: &[u8]) -> Result<Self, Fault> {
        let request: Request = envelope::read(body)?;
        if request.messages.is_empty() {
            return Err(Fault::invalid("messages", "'messages' must not be empty."));
        }
        if request.stream_options.is_some() && !request.stream() {
            return Err(Fault::invalid("stream_options", "'stream_options' is only allowed with 'stream'."));
        }
        Ok(request)
    }

    pub fn stream(&self) -> bool {
        self.stream == Some(true)
    }

    pub fn whole(&self) -> Result<Value, Fault> {
        let choices = self.choices()?;
        let shown = choices.iter().enumerate().map(|(index, choice)| {
            json!({
                "index": index, "message": choice.message(), "logprobs": null, "finish_reason": choice.finish_reason(),
            })
        });
        Ok(json!({
            "id": envelope::new_id("chatcmpl-"),
            "object": "chat.completion",
            "created": envelope::now_s(),
            "model": self.model,
            "choices": shown.collect::<Vec<_>>(),
            "usage": self.usage(&choices),
            "service_tier": "default",
            "system_fingerprint": FINGERPRINT,
        }))
    }

    /// All choices grow side by side, then each ends, then the usage where it is asked for.
    pub fn chunks(&self) -> Result<Vec<Value>, Fault> {
        let choices = self.choices()?;
        let wants_usage = self.stream_options.as_ref().is_some_and(|options| options.include_usage);
        let mut chunk = json!({
            "id": envelope::new_id("chatcmpl-"),
            "object": "chat.completion.chunk",
            "created": envelope::now_s(),
            "model": self.model,
            "service_tier": "default",
            "system_fingerprint": FINGERPRINT,
        });
        if wants_usage {
            chunk["usage"] = Value::Null;
        }
        let with_choices = |choices: Value| {
            let mut chunk = chunk.clone();
            chunk["choices"] = choices;
            chunk
        };
        let delta = |index: usize, delta: &Value, finish_reason: Option<&str>| {
            with_choices(json!([{"index": index, "delta": delta, "logprobs": null, "finish_reason": finish_reason}]))
        };

        let deltas: Vec<_> = choices.iter().map(Choice::deltas).collect();
        let steps = deltas.iter().map(Vec::len).max().unwrap_or(0);
        let grown = (0..steps).flat_map(|step| {
            let deltas = deltas.iter().enumerate();
            deltas.filter_map(move |(index, deltas)| Some((index, deltas.get(step)?)))
        });
        let mut chunks: Vec<_> = grown.map(|(index, content)| delta(index, content, None)).collect();
        let ends = choices.iter().enumerate();
        chunks.extend(ends.map(|(index, choice)| delta(index, &json!({}), Some(choice.finish_reason()))));
        if wants_usage {
            let mut last = with_choices(json!([]));
            last["usage"] = self.usage(&choices);
            chunks.push(last);
        }
        Ok(chunks)
    }

    fn choices(&self) -> Result<Vec<Choice>, Fault> {
        let tokens_max = self.max_completion_tokens.or(self.max_tokens);
        let tokens_max = envelope::positive("max_tokens", tokens_max)?;
        let n = envelope::choices(self.n)?;
        let asked = self.messages.iter().rev().find(|message| message.role == "user");
        let prompt = asked.map(Message::text).unwrap_or_default();
        let stops = envelope::stops(self.stop.as_ref())?;

        // A tool that has just answered is not called again, unless it is forced.
        let answered = self.messages.last().filter(|message| message.role == "tool").map(Message::text);
        let tools = self.tools.as_deref().unwrap_or_default();
        let heard = if answered.is_some() { String::new() } else { words::excerpt(&prompt, HEARD_CHARS_MAX) };
        let function = schema::choose(tools, &self.tool_choice, &heard)?;
        let choice = |variant: u64| match function {
            Some(function) => Choice::Call {
                id: envelope::new_id("call_"),
                name: function.name.clone(),
                arguments: schema::arguments(function, &prompt),
            },
            None => {
                let text = self.text(&prompt, answered.as_deref(), usize::try_from(variant).unwrap_or(0));
                Choice::Text(words::say(&text, stops, tokens_max))
            }
        };
        Ok((0..n).map(choice).collect())
    }

    fn text(&self, prompt: &str, tool_answer: Option<&str>, variant: usize) -> String {
        let text = match tool_answer {
            Some(answer) => format!("The tool answered: {}", words::excerpt(answer, 400)),
            None => words::reply(prompt, variant),
        };
        match self.response_format["type"].as_str() {
            Some("json_object") => json!({"answer": text}).to_string(),
            Some("json_schema") => schema::fill(&self.response_format["json_schema"]["schema"], prompt).to_string(),
            _ => text,
        }
    }

    fn usage(&self, choices: &[Choice]) -> Value {
        let prompt = self.messages.iter().map(Message::tokens).sum::<u64>() + REPLY_TOKENS;
        envelope::usage(prompt, choices.iter().map(Choice::tokens).sum())
    }
}

/// What OpenAI's chat format adds around each message, and before the answer.
const MESSAGE_TOKENS: u64 = 3;
const REPLY_TOKENS: u64 = 3;
/// Where a tool's name is looked for.
const HEARD_CHARS_MAX: usize = 2_000;
/// An image at low detail, as OpenAI counts it.
const IMAGE_TOKENS: u64 = 85;
