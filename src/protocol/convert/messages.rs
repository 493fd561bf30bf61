//! The dialect of Anthropic messages: read from clients and upstreams, written to both.

pub(super) mod read_answer;
pub(super) mod read_request;
pub(super) mod write_answer;
pub(super) mod write_request;

/// The signature of thinking that is a chat completion's `reasoning_content`: sent back, it can go there again.
const THINKING_SIGNATURE: &str = "reasoning_content";
