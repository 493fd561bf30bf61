//! The dialect of Anthropic messages: read from clients and upstreams, written to both.

pub(super) mod read_answer;
pub(super) mod read_request;
pub(super) mod write_answer;
pub(super) mod write_request;
