//! The dialect of OpenAI responses: read from clients and upstreams, written to both.

pub(super) mod read_answer;
pub(super) mod read_request;
pub(super) mod write_answer;
pub(super) mod write_request;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::fields::Fields;
use crate::core::api_error::ApiError;

/// What a response repeats of its request, in the client's own words.
#[derive(Clone, Debug, Default)]
pub(super) struct Echo(Vec<(&'static str, Box<RawValue>)>);

impl Echo {
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let mut top = Fields::body(body)?;
        let mut echo = Vec::with_capacity(ECHOED.len());
        for (name, default) in ECHOED {
            let value = match top.take(name) {
                Some(given) => given.to_owned(),
                None => RawValue::from_string((*default).to_owned()).map_err(|_| ApiError::Server)?,
            };
            echo.push((*name, value));
        }
        Ok(Echo(echo))
    }
}

impl Serialize for Echo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Each with what it is when nobody says.
const ECHOED: &[(&str, &str)] = &[
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_p", "null"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
];

/// The encrypted content of reasoning that is a chat completion's `reasoning_content`: sent back, it can go there again.
const REASONING_MARK: &str = "reasoning_content";
