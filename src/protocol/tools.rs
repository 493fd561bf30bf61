//! Tools that a request offers to its model: how long their descriptions are, and which of them cost extra.
//!
//! A function runs at the client and costs the tokens of its words. A tool that the provider runs itself may be billed
//! by the call, by the minute or by another model's tokens. Searches have a price here; what has none is refused,
//! because it would be sold for nothing.

use super::endpoint::Endpoint;
use super::json::{Kind, Reader};
use super::prompt::Tally;
use crate::core::api_error::ApiError;

/// Searches of the web that a request allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Searches {
    offered: bool,
    /// What the tool itself says it may be used at most (Anthropic's `max_uses`).
    max_uses: Option<u64>,
}

impl Searches {
    /// How many to set aside money for; `calls_max` bounds the calls of all tools of a response.
    pub(super) fn bound(self, calls_max: Option<u64>) -> u64 {
        if !self.offered {
            return 0;
        }
        [self.max_uses, calls_max].into_iter().flatten().min().unwrap_or(SEARCHES_USUAL)
    }
}

/// Reads the array `tools`.
///
/// # Errors
/// A tool that has no price.
pub(super) fn read(
    endpoint: Endpoint,
    reader: &mut Reader,
    input: &mut Tally,
    searches: &mut Searches,
) -> Result<(), ApiError> {
    if !matches!(endpoint, Endpoint::Responses | Endpoint::Messages) || reader.kind()? != Kind::Array {
        return Ok(input.tools(reader)?);
    }
    let mut place = 0;
    reader.array(|reader| {
        let start = reader.value_start();
        if reader.kind()? == Kind::Object {
            read_tool(endpoint, place, reader, searches)?;
        } else {
            reader.skip()?;
        }
        input.add_tool(reader.position() - start);
        place += 1;
        Ok(())
    })
}

fn read_tool(endpoint: Endpoint, place: usize, reader: &mut Reader, searches: &mut Searches) -> Result<(), ApiError> {
    let (mut is_search, mut max_uses) = (false, None);
    reader.object(|reader, name| {
        match (name, reader.kind()?) {
            ("type", Kind::String) => {
                let kind = reader.string()?;
                let kind = kind.decoded();
                let unpriced = if endpoint == Endpoint::Responses { RESPONSES_UNPRICED } else { MESSAGES_UNPRICED };
                if let Some(known) = unpriced.iter().find(|unpriced| kind.starts_with(**unpriced)) {
                    let message = format!("The tool '{known}' has no price here and cannot be used.");
                    return Err(ApiError::invalid_param(format!("tools[{place}].type"), message));
                }
                is_search = kind.starts_with("web_search");
            }
            ("max_uses", Kind::Number) => max_uses = reader.number()?.parse().ok(),
            _ => reader.skip()?,
        }
        Ok::<(), ApiError>(())
    })?;
    if is_search {
        searches.offered = true;
        searches.max_uses = max_uses;
    }
    Ok(())
}

const RESPONSES_UNPRICED: &[&str] = &["file_search", "code_interpreter", "image_generation"];
/// The advisor is another model, at its own price.
const MESSAGES_UNPRICED: &[&str] = &["code_execution", "advisor"];
/// A turn that may search rarely does so more often.
const SEARCHES_USUAL: u64 = 5;
