//! Chat completions: whole, or as the chunks of a stream.

use serde::Deserialize;
use serde_json::{Value, json};

use super::envelope::{self, FINGERPRINT, Fault, StreamOptions, Texts};
use super::schema::{Choice, Function};
use super::turn::{self, Answer, Content, Format, Turn};
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
    tools: Option<Vec<Value>>,
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
    #[serde(default)]
    tool_calls: Value,
}

impl Message {
    fn is_said(&self) -> bool {
        !matches!(self.role.as_str(), "system" | "developer")
    }

    fn tokens(&self) -> u64 {
        let texts = |call: &Value| -> u64 {
            let function = &call["function"];
            [&function["name"], &function["arguments"]].into_iter().filter_map(Value::as_str).map(words::count).sum()
        };
        let calls: u64 = self.tool_calls.as_array().into_iter().flatten().map(texts).sum();
        Content(&self.content).tokens() + calls
    }
}

fn finish_reason(answer: &Answer) -> &'static str {
    match answer {
        Answer::Text(said) => said.end.finish_reason(),
        Answer::Call { .. } => "tool_calls",
    }
}

fn message(answer: &Answer) -> Value {
    match answer {
        Answer::Text(said) => {
            json!({"role": "assistant", "content": said.pieces.concat(), "refusal": null, "annotations": []})
        }
        Answer::Call { name, arguments } => json!({
            "role": "assistant", "content": null, "refusal": null, "annotations": [],
            "tool_calls": [{
                "id": envelope::new_id("call_"), "type": "function",
                "function": {"name": name, "arguments": arguments},
            }],
        }),
    }
}

/// The message cut up: the role first, then piece by piece.
fn deltas(answer: &Answer) -> Vec<Value> {
    match answer {
        Answer::Text(said) => {
            let first = json!({"role": "assistant", "content": "", "refusal": null});
            let rest = said.pieces.iter().map(|piece| json!({"content": piece}));
            [first].into_iter().chain(rest).collect()
        }
        Answer::Call { name, arguments } => {
            let call = json!({
                "index": 0, "id": envelope::new_id("call_"), "type": "function",
                "function": {"name": name, "arguments": ""},
            });
            let first = json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": [call]});
            let rest = words::pieces(arguments)
                .map(|piece| json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}));
            [first].into_iter().chain(rest).collect()
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
        let turn = self.turn()?;
        let answers = self.answers(&turn)?;
        let shown = answers.iter().enumerate().map(|(index, answer)| {
            json!({
                "index": index, "message": message(answer), "logprobs": null, "finish_reason": finish_reason(answer),
            })
        });
        Ok(json!({
            "id": envelope::new_id("chatcmpl-"),
            "object": "chat.completion",
            "created": envelope::now_s(),
            "model": self.model,
            "choices": shown.collect::<Vec<_>>(),
            "usage": self.usage(&turn, &answers),
            "service_tier": "default",
            "system_fingerprint": FINGERPRINT,
        }))
    }

    /// All answers grow side by side, then each ends, then the usage where it is asked for.
    pub fn chunks(&self) -> Result<Vec<Value>, Fault> {
        let turn = self.turn()?;
        let answers = self.answers(&turn)?;
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

        let deltas: Vec<_> = answers.iter().map(deltas).collect();
        let steps = deltas.iter().map(Vec::len).max().unwrap_or(0);
        let grown = (0..steps).flat_map(|step| {
            let deltas = deltas.iter().enumerate();
            deltas.filter_map(move |(index, deltas)| Some((index, deltas.get(step)?)))
        });
        let mut chunks: Vec<_> = grown.map(|(index, content)| delta(index, content, None)).collect();
        let ends = answers.iter().enumerate();
        chunks.extend(ends.map(|(index, answer)| delta(index, &json!({}), Some(finish_reason(answer)))));
        if wants_usage {
            let mut last = with_choices(json!([]));
            last["usage"] = self.usage(&turn, &answers);
            chunks.push(last);
        }
        Ok(chunks)
    }

    fn turn(&self) -> Result<Turn<'_>, Fault> {
        let asked = self.messages.iter().rev().find(|message| message.role == "user");
        let said = self.messages.iter().rev().filter(|message| message.is_said());
        let mut tool_answers: Vec<_> = said
            .take_while(|message| message.role == "tool")
            .map(|message| Content(&message.content).answer())
            .collect();
        tool_answers.reverse();
        let functions = self.tools.iter().flatten().filter(|tool| tool["function"].is_object());
        let functions = functions.map(|tool| {
            let function = &tool["function"];
            Function::read(&function["name"], &function["description"], &function["parameters"])
        });
        Ok(Turn {
            prompt: asked.and_then(|message| Content(&message.content).last_text()).unwrap_or_default(),
            tool_answers,
            functions: functions.collect::<Result<_, _>>()?,
            choice: match (self.tool_choice.as_str(), self.tool_choice["function"]["name"].as_str()) {
                (_, Some(name)) => Choice::Named(name),
                (Some("none"), _) => Choice::Never,
                (Some("required"), _) => Choice::Any,
                _ => Choice::Auto,
            },
            format: match self.response_format["type"].as_str() {
                Some("json_object") => Format::Object,
                Some("json_schema") => Format::Schema(&self.response_format["json_schema"]["schema"]),
                _ => Format::Text,
            },
            stops: envelope::stops(self.stop.as_ref())?,
            tokens_max: envelope::positive("max_tokens", self.max_completion_tokens.or(self.max_tokens))?,
        })
    }

    fn answers(&self, turn: &Turn<'_>) -> Result<Vec<Answer>, Fault> {
        let n = usize::try_from(envelope::choices(self.n)?).unwrap_or(1);
        (0..n).map(|variant| turn.answer(variant)).collect()
    }

    fn usage(&self, turn: &Turn<'_>, answers: &[Answer]) -> Value {
        let prompt = turn::prompt_tokens(self.messages.iter().map(Message::tokens), &turn.functions);
        envelope::usage(prompt, answers.iter().map(Answer::tokens).sum())
    }
}
