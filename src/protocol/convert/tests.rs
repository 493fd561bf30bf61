//! Conversions by example and by property.

mod golden;
mod namespaces;
mod properties;
mod requests;

use serde_json::Value;

use super::{Converted, Shown, Target, WayBack, request};
use crate::core::api_error::ApiError;
use crate::core::catalog::{Dialect, UpstreamKind};

/// An upstream of this dialect whose model reasons and thinks adaptively, as far as names tell.
fn target(dialect: Dialect) -> Target<'static> {
    let model = if dialect == Dialect::Messages { "claude-sonnet-4-6" } else { "gpt-5.4" };
    Target { dialect, kind: UpstreamKind::Openai, model, max_output_tokens: 8_192, inject_usage: true }
}

fn convert(client: Dialect, upstream: Dialect, body: &Value) -> Result<(Value, Converted), ApiError> {
    let converted = request(client, body.to_string().as_bytes(), &target(upstream))?;
    Ok((serde_json::from_slice(&converted.body).unwrap(), converted))
}

/// The field that is named by a refusal.
#[track_caller]
fn refused(client: Dialect, upstream: Dialect, body: &Value) -> String {
    match convert(client, upstream, body) {
        Err(ApiError::InvalidRequest { message, param: Some(param) }) => {
            assert!(message.contains(&param), "{message}");
            param
        }
        Err(other) => panic!("{other:?}"),
        Ok((converted, _)) => panic!("converted to {converted}"),
    }
}

/// The way back of a small request with a tool, whose client asked for usage where it may.
fn way_back(client: Dialect, upstream: Dialect) -> WayBack {
    let body = match client {
        Dialect::Chat => {
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"x"}]}"#
        }
        Dialect::Messages => r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#,
        // In lines, as people write it: none of them may end an event.
        Dialect::Responses => {
            "{\"model\":\"m\",\"input\":\"x\",\"tools\":[\n{\"type\":\"function\",\n\"name\":\"f\"}]}"
        }
    };
    request(client, body.as_bytes(), &target(upstream)).unwrap().back
}

fn shown() -> Shown {
    Shown { id: "req1".to_owned(), model: "house-model".to_owned(), created_at: 1_764_000_000 }
}
