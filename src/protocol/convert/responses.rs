//! The dialect of OpenAI responses: read from clients and upstreams, written to both.

pub(super) mod read_answer;
pub(super) mod read_request;
pub(super) mod write_answer;
pub(super) mod write_request;

use std::collections::HashMap;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::fields::Fields;
use crate::core::api_error::ApiError;

/// What a response repeats of its request, in the client's own words.
#[derive(Clone, Debug, Default)]
pub(super) struct Echo {
    fields: Vec<(&'static str, Box<RawValue>)>,
    /// Functions that the client has in a namespace, with its name: other dialects know flat lists, and a call has to be
    /// told with its namespace again.
    namespaces: HashMap<String, String>,
}

impl Echo {
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let mut top = Fields::body(body)?;
        let mut echo = Echo::default();
        for (name, default) in ECHOED {
            let value = match top.take(name) {
                Some(given) => given.to_owned(),
                None => RawValue::from_string((*default).to_owned()).map_err(|_| ApiError::Server)?,
            };
            echo.fields.push((*name, value));
        }
        for (at, tool) in Fields::body(body)?.list("tools")?.unwrap_or_default() {
            echo.read_namespace(Fields::read(at, tool)?)?;
        }
        Ok(echo)
    }

    fn read_namespace(&mut self, mut tool: Fields) -> Result<(), ApiError> {
        if tool.needed_text("type")? != NAMESPACE {
            return Ok(());
        }
        let namespace = tool.needed_text("name")?;
        for (at, function) in tool.list("tools")?.unwrap_or_default() {
            let function = Fields::read(at, function)?.needed_text("name")?;
            self.namespaces.insert(function.into_owned(), namespace.clone().into_owned());
        }
        Ok(())
    }

    fn namespace_of(&self, function: &str) -> Option<&str> {
        self.namespaces.get(function).map(String::as_str)
    }
}

impl Serialize for Echo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.fields.iter().map(|(name, value)| (name, value)))
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

/// The type of a tool that is a group of functions.
const NAMESPACE: &str = "namespace";
