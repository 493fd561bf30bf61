//! The older text completions: whole, or as the chunks of a stream.

use serde::Deserialize;
use serde_json::{Value, json};

use super::envelope::{self, FINGERPRINT, Fault, StreamOptions, Texts};
use super::words::{self, Said};

#[derive(Deserialize)]
pub struct Request {
    model: String,
    prompt: Texts,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    n: Option<u64>,
    stop: Option<Texts>,
}

impl Request {
    pub fn read(body: &[u8]) -> Result<Self, Fault> {
        let request: Request = envelope::read(body)?;
        if !(1..=PROMPTS_MAX).contains(&request.prompt.as_slice().len()) {
            return Err(Fault::invalid("prompt", format!("'prompt' must be 1 to {PROMPTS_MAX} texts.")));
        }
        Ok(request)
    }

    pub fn stream(&self) -> bool {
        self.stream == Some(true)
    }

    pub fn whole(&self) -> Result<Value, Fault> {
        let choices = self.choices()?;
        let shown = choices.iter().enumerate().map(|(index, said)| {
            json!({
                "text": said.pieces.concat(), "index": index, "logprobs": null, "finish_reason": said.end.finish_reason(),
            })
        });
        let mut answer = self.envelope();
        answer["choices"] = shown.collect();
        answer["usage"] = self.usage(&choices);
        Ok(answer)
    }

    pub fn chunks(&self) -> Result<Vec<Value>, Fault> {
        let choices = self.choices()?;
        let wants_usage = self.stream_options.as_ref().is_some_and(|options| options.include_usage);
        let mut envelope = self.envelope();
        if wants_usage {
            envelope["usage"] = Value::Null;
        }
        let chunk = |index: usize, text: &str, finish_reason: Option<&str>| {
            let mut chunk = envelope.clone();
            chunk["choices"] = json!([
                {"text": text, "index": index, "logprobs": null, "finish_reason": finish_reason},
            ]);
            chunk
        };
        let mut chunks = Vec::new();
        for (index, said) in choices.iter().enumerate() {
            chunks.extend(said.pieces.iter().map(|piece| chunk(index, piece, None)));
            chunks.push(chunk(index, "", Some(said.end.finish_reason())));
        }
        if wants_usage {
            let mut last = envelope.clone();
            last["choices"] = json!([]);
            last["usage"] = self.usage(&choices);
            chunks.push(last);
        }
        Ok(chunks)
    }

    /// `n` for each prompt, in the order of the prompts.
    fn choices(&self) -> Result<Vec<Said>, Fault> {
        let tokens_max = envelope::positive("max_tokens", self.max_tokens)?;
        let n = usize::try_from(envelope::choices(self.n)?).unwrap_or(1);
        let stops = envelope::stops(self.stop.as_ref())?;
        let prompts = self.prompt.as_slice().iter();
        let say = |prompt: &String, variant| words::say(&words::reply(prompt, variant), stops, tokens_max);
        Ok(prompts.flat_map(|prompt| (0..n).map(move |variant| say(prompt, variant))).collect())
    }

    fn envelope(&self) -> Value {
        json!({
            "id": envelope::new_id("cmpl-"),
            "object": "text_completion",
            "created": envelope::now_s(),
            "model": self.model,
            "system_fingerprint": FINGERPRINT,
        })
    }

    fn usage(&self, choices: &[Said]) -> Value {
        let prompt = self.prompt.as_slice().iter().map(|prompt| words::count(prompt)).sum();
        envelope::usage(prompt, choices.iter().map(|said| said.pieces.len() as u64).sum())
    }
}

const PROMPTS_MAX: usize = 20;
