//! Transcriptions: nobody listens, but how long the recording is, and in which of the forms it is written down, is right.

use serde_json::{Value, json};

use super::envelope::Fault;
use super::form::Form;
use super::speech::SAMPLES_PER_S;
use super::words;

pub struct Request<'a> {
    form: Format,
    streams: bool,
    recording: &'a [u8],
}

/// A transcript in the form that was asked for.
pub enum Transcript {
    Json(Value),
    /// With its media type.
    Text(&'static str, String),
    Events(Vec<Value>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Verbose,
    Text,
    Srt,
    Vtt,
}

impl<'a> Request<'a> {
    pub fn read(content_type: &str, body: &'a [u8]) -> Result<Self, Fault> {
        let form = Form::read(content_type, body)?;
        let format = match form.text("response_format")? {
            "" | "json" => Format::Json,
            "verbose_json" => Format::Verbose,
            "text" => Format::Text,
            "srt" => Format::Srt,
            "vtt" => Format::Vtt,
            _ => {
                return Err(Fault::invalid(
                    "response_format",
                    "'response_format' must be json, verbose_json, text, srt or vtt.",
                ));
            }
        };
        let Some(recording) = form.get("file").filter(|file| !file.is_empty()) else {
            return Err(Fault::invalid("file", "'file' must be a recording."));
        };
        Ok(Request { form: format, streams: form.text("stream")?.eq_ignore_ascii_case("true"), recording })
    }

    pub fn answer(&self) -> Transcript {
        let seconds = self.seconds();
        let text = format!("This is the demo model. It does not listen, but the recording is {seconds} seconds long.");
        if self.streams {
            return Transcript::Events(events(&text, seconds));
        }
        let last = format!("00:{:02}:{:02}", seconds / 60 % 60, seconds % 60);
        match self.form {
            Format::Json => Transcript::Json(json!({"text": text, "usage": usage(seconds)})),
            Format::Verbose => Transcript::Json(json!({
                "task": "transcribe", "language": "english", "duration": seconds, "text": text,
                "segments": [{"id": 0, "seek": 0, "start": 0, "end": seconds, "text": text}], "usage": usage(seconds),
            })),
            Format::Text => Transcript::Text("text/plain; charset=utf-8", format!("{text}\n")),
            Format::Srt => {
                Transcript::Text("text/plain; charset=utf-8", format!("1\n00:00:00,000 --> {last},000\n{text}\n\n"))
            }
            Format::Vtt => Transcript::Text(
                "text/vtt; charset=utf-8",
                format!("WEBVTT\n\n00:00:00.000 --> {last}.000\n{text}\n\n"),
            ),
        }
    }

    /// Of a WAV file by its rate, of anything else as if it had 32 kbit/s. Begun seconds count.
    fn seconds(&self) -> u64 {
        let rate = self.recording.get(28..32).filter(|_| self.recording.starts_with(b"RIFF"));
        let rate =
            rate.and_then(|rate| rate.try_into().ok()).map(u32::from_le_bytes).filter(|rate| *rate >= SAMPLES_PER_S);
        (self.recording.len() as u64).div_ceil(u64::from(rate.unwrap_or(4_000)))
    }
}

fn usage(seconds: u64) -> Value {
    json!({"type": "duration", "seconds": seconds})
}

fn events(text: &str, seconds: u64) -> Vec<Value> {
    let delta = |piece: &str| json!({"type": "transcript.text.delta", "delta": piece});
    let done = json!({"type": "transcript.text.done", "text": text, "usage": usage(seconds)});
    words::pieces(text).map(delta).chain([done]).collect()
}
