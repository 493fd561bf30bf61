//! What all of the demo's answers have in common: ids, times, usage, errors and OpenAI's habits in requests.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

/// A refusal in OpenAI's shape.
#[derive(Debug)]
pub struct Fault {
    pub status: u16,
    message: String,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

impl Fault {
    pub fn invalid(param: &'static str, message: impl Into<String>) -> Self {
        Fault { status: 400, message: message.into(), param: Some(param), code: None }
    }

    pub fn wrong_key() -> Self {
        Fault { code: Some("invalid_api_key"), ..Self::plain(401, "Incorrect API key provided.") }
    }

    pub fn no_form() -> Self {
        Self::plain(400, "The body is not a form.")
    }

    pub fn no_such_path() -> Self {
        Self::plain(404, "There is nothing at this path.")
    }

    pub fn wrong_method() -> Self {
        Self::plain(405, "This path does not allow this method.")
    }

    fn plain(status: u16, message: impl Into<String>) -> Self {
        Fault { status, message: message.into(), param: None, code: None }
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn to_json(&self) -> Value {
        json!({"error": {
            "message": self.message, "type": "invalid_request_error", "param": self.param, "code": self.code,
        }})
    }
}

/// Where one text or a list of them may stand.
#[derive(Deserialize)]
#[serde(untagged, expecting = "neither a text nor a list of texts")]
pub enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    pub fn as_slice(&self) -> &[String] {
        match self {
            Texts::One(one) => std::slice::from_ref(one),
            Texts::Many(many) => many,
        }
    }
}

#[derive(Deserialize)]
pub struct StreamOptions {
    #[serde(default)]
    pub include_usage: bool,
}

pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| Fault::plain(400, format!("The body cannot be read: {error}.")))
}

/// How many answers are asked for.
pub fn choices(n: Option<u64>) -> Result<u64, Fault> {
    match n.unwrap_or(1) {
        n @ 1..=CHOICES_MAX => Ok(n),
        _ => Err(Fault::invalid("n", format!("'n' must be 1 to {CHOICES_MAX}."))),
    }
}

pub fn positive(param: &'static str, tokens: Option<u64>) -> Result<Option<u64>, Fault> {
    match tokens {
        Some(0) => Err(Fault::invalid(param, format!("'{param}' must be at least 1."))),
        other => Ok(other),
    }
}

pub fn stops(stop: Option<&Texts>) -> Result<&[String], Fault> {
    match stop.map_or(&[][..], Texts::as_slice) {
        stops if stops.len() <= STOPS_MAX => Ok(stops),
        _ => Err(Fault::invalid("stop", format!("'stop' can be {STOPS_MAX} texts at most."))),
    }
}

/// The usage of a text answer. Nothing is ever cached, and nobody reasons here.
pub fn usage(prompt_tokens: u64, completion_tokens: u64) -> Value {
    json!({
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens.saturating_add(completion_tokens),
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}

pub fn new_id(prefix: &str) -> String {
    format!("{prefix}{}", Uuid::now_v7().simple())
}

pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

pub const FINGERPRINT: &str = "fp_demo";
const CHOICES_MAX: u64 = 16;
const STOPS_MAX: usize = 4;
