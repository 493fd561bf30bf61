//! Every refusal in words: when it happens and what to do about it. The public error table is made of this.
//!
//! Status and code are asked of the errors themselves, so the table cannot say anything else than the edge does. A
//! variant without a row does not compile: the patterns below are one exhaustive match.

use std::time::Duration;

use super::{ApiError, KeyFault, Limited, Purse};
use crate::core::money::Nano;

/// One row of the error table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Names the row for translations; not part of the API.
    pub id: &'static str,
    pub status: u16,
    pub code: &'static str,
    pub when: &'static str,
    pub remedy: &'static str,
    /// Whether the same request may succeed later without anything being changed.
    pub retry: bool,
}

/// The words for one variant.
struct Words {
    id: &'static str,
    when: &'static str,
    remedy: &'static str,
}

macro_rules! guide {
    ($($pattern:pat, $example:expr => $id:literal, $when:literal, $remedy:literal;)*) => {
        fn examples() -> Vec<ApiError> {
            vec![$($example),*]
        }

        fn words(error: &ApiError) -> Words {
            match error {
                $($pattern => Words { id: $id, when: $when, remedy: $remedy },)*
            }
        }
    };
}

impl ApiError {
    /// All that a client can hear, ordered by status.
    pub fn guide() -> Vec<Entry> {
        let mut entries: Vec<Entry> = examples().iter().map(Entry::of).collect();
        entries.sort_by_key(|entry| entry.status);
        entries
    }
}

impl Entry {
    fn of(error: &ApiError) -> Entry {
        let Words { id, when, remedy } = words(error);
        // What the official SDKs retry, and they obey a "no".
        let retry = matches!(error.status(), 408 | 429 | 500..) && error.should_retry() != Some(false);
        Entry { id, status: error.status(), code: error.code(), when, remedy, retry }
    }
}

guide! {
    ApiError::InvalidRequest { .. }, ApiError::invalid("") => "invalid_request",
        "The body is not JSON, misses `model`, or has a field of a wrong type or twice.",
        "Correct the field that `param` and `message` name.";
    ApiError::RejectedUpstream { .. }, ApiError::RejectedUpstream { status: 400, message: String::new(), param: None }
        => "rejected_upstream",
        "The model's provider does not accept this request. The message is the provider's.",
        "Correct what the message says. The status can also be 413 (`request_too_large`) or 422.";
    ApiError::InvalidApiKey(_), ApiError::InvalidApiKey(KeyFault::Unknown) => "invalid_api_key",
        "No key was sent, or it does not exist.",
        "Check the key, and that it is sent as `Authorization: Bearer`.";
    ApiError::KeyExpired, ApiError::KeyExpired => "key_expired",
        "The key is past its end.",
        "Create a new key, or give this one a later end.";
    ApiError::InsufficientBalance { .. }, ApiError::InsufficientBalance {
        needed: Nano::ZERO, available: Nano::ZERO, whose: Purse::Account, fits_later: false,
    } => "insufficient_balance",
        "The balance, or the key's budget, does not cover what the request may cost at most.",
        "Top up, raise the budget, or ask for fewer tokens with `max_completion_tokens`.";
    ApiError::KeyDisabled, ApiError::KeyDisabled => "key_disabled",
        "The key was switched off.",
        "Switch it on again in the console.";
    ApiError::AccountSuspended, ApiError::AccountSuspended => "account_suspended",
        "The key's account is suspended.",
        "Ask the operator of this gateway.";
    ApiError::AddressNotAllowed, ApiError::AddressNotAllowed => "address_not_allowed",
        "The key may be used from certain addresses only, and this is none of them.",
        "Call from an allowed address, or change the key's list.";
    ApiError::NotFound, ApiError::NotFound => "not_found",
        "There is nothing at this path.",
        "Compare the URL with the list of endpoints above.";
    ApiError::RequestNotFound, ApiError::RequestNotFound => "request_not_found",
        "`GET /requests/{id}`: no such request of this key.",
        "Use the key that made the request, a moment after its answer ended.";
    ApiError::ModelNotFound { by_path: true, .. }, ApiError::ModelNotFound { model: String::new(), by_path: true }
        => "model_not_found_by_path",
        "`GET /models/{id}`: no such model, or not for this key.",
        "Take an id from `GET /models`.";
    ApiError::MethodNotAllowed { .. }, ApiError::MethodNotAllowed { allow: "" } => "method_not_allowed",
        "The path exists, but not with this method.",
        "Use the method that the `Allow` header names.";
    ApiError::RequestTimeout, ApiError::RequestTimeout => "request_timeout",
        "The request did not arrive whole in time.",
        "Send it again; check the connection.";
    ApiError::RequestTooLarge { .. }, ApiError::RequestTooLarge { bytes_max: 0 } => "request_too_large",
        "The body is larger than this gateway accepts.",
        "Send less: smaller images, fewer messages.";
    ApiError::UnsupportedMediaType { .. }, ApiError::UnsupportedMediaType { takes: "application/json" }
        => "unsupported_media_type",
        "The body is not plain JSON (an upload: a form with a boundary), or it is compressed.",
        "Send `Content-Type: application/json`, or `multipart/form-data` for uploads, and no `Content-Encoding`.";
    ApiError::ModelNotFound { by_path: false, .. }, ApiError::ModelNotFound { model: String::new(), by_path: false }
        => "model_not_found",
        "No model of this name, or this key may not use it.",
        "Take an id from `GET /models`, or allow the model to the key.";
    ApiError::RateLimit { can_ever_fit: true, .. }, ApiError::RateLimit {
        what: Limited::Requests, limit: 0, retry_after: Duration::ZERO, can_ever_fit: true,
    } => "rate_limit",
        "Too many requests, tokens or running requests; or too many wrong keys from one address.",
        "Wait as long as `Retry-After` says. The official SDKs do so by themselves.";
    ApiError::RateLimit { can_ever_fit: false, .. }, ApiError::RateLimit {
        what: Limited::Tokens, limit: 0, retry_after: Duration::ZERO, can_ever_fit: false,
    } => "rate_limit_never_fits",
        "This request alone is larger than the limit of tokens per minute (`x-should-retry: false`).",
        "Make it smaller; waiting does not help.";
    ApiError::HeadersTooLarge, ApiError::HeadersTooLarge => "headers_too_large",
        "The request's headers are too large.",
        "Send fewer or shorter headers.";
    ApiError::Server, ApiError::Server => "server_error",
        "Something failed on our side, or no provider of the model could answer. Nothing is charged.",
        "Try again. If it persists, report the `x-request-id`.";
    ApiError::Unavailable { .. }, ApiError::Unavailable { retry_after: Duration::ZERO } => "unavailable",
        "The gateway is overloaded or restarting for the moment.",
        "Try again after `Retry-After` seconds.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_example_stands_in_its_own_row() {
        let examples = examples();
        let ids: std::collections::HashSet<_> = examples.iter().map(|error| words(error).id).collect();
        assert_eq!(ids.len(), examples.len(), "an example is taken by another one's pattern");
    }

    #[test]
    fn the_order_is_by_status_and_what_never_fits_is_not_retried() {
        let guide = ApiError::guide();
        assert!(guide.is_sorted_by_key(|entry| entry.status));
        let retried: Vec<_> = guide.iter().filter(|entry| entry.retry).map(|entry| entry.id).collect();
        assert_eq!(retried, ["request_timeout", "rate_limit", "server_error", "unavailable"]);
    }
}
