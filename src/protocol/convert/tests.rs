//! Conversions by example and by property.

mod namespaces;
mod requests;

use serde_json::Value;

use super::{Converted, Target, request};
use crate::core::api_error::ApiError;
use crate::core::catalog::{Dialect, UpstreamKind};

/// An upstream of this dialect whose model reasons and thinks adaptively, as far as names tell.
fn target(dialect: Dialect) -> Target<'static> {
    let model = if dialect == Dialect::Messages { "claude-sonnet-5" } else { "gpt-5.4" };
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
