//! Every "no" that a client can hear.
//!
//! One closed enum alone knows status, code and words. Messages are for people, in English, and name nothing of ours:
//! no upstream, path, query or credential. The JSON is OpenAI's shape, which every SDK reads, or Anthropic's where a
//! client speaks to us as to Anthropic.

pub mod guide;

use std::time::Duration;

use super::catalog::Dialect;
use super::money::Nano;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    InvalidApiKey(KeyFault),
    KeyExpired,
    KeyDisabled,
    AccountSuspended,
    AddressNotAllowed,
    InsufficientBalance {
        needed: Nano,
        available: Nano,
        whose: Purse,
        /// Whether the request would fit if those that are running ended.
        fits_later: bool,
    },
    RateLimit {
        what: Limited,
        limit: u64,
        retry_after: Duration,
        /// False: this request alone exceeds the limit, and always will.
        can_ever_fit: bool,
    },
    ModelNotFound {
        model: String,
        /// GET `/models/{id}` answers 404 where everything else answers 422.
        by_path: bool,
    },
    RequestNotFound,
    InvalidRequest {
        message: String,
        param: Option<String>,
    },
    /// The upstream's own judgement of the request, already freed of secrets.
    RejectedUpstream {
        status: u16,
        message: String,
        param: Option<String>,
    },
    NotFound,
    MethodNotAllowed {
        allow: &'static str,
    },
    RequestTimeout,
    RequestTooLarge {
        bytes_max: u64,
    },
    /// The body is not of this type, or it is encoded.
    UnsupportedMediaType {
        takes: &'static str,
    },
    HeadersTooLarge,
    /// Ours, or no upstream could answer.
    Server,
    /// For the moment: overloaded, draining, or the storage cannot write.
    Unavailable {
        retry_after: Duration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    Missing,
    Unknown,
}

/// Whose money does not suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purse {
    Account,
    KeyBudget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    Requests,
    Tokens,
    Concurrency,
    /// Keys that do not exist, from one address.
    FailedKeys,
    /// Memory for request bodies, of all clients together.
    BodyMemory,
}

impl ApiError {
    pub fn invalid(message: impl Into<String>) -> Self {
        ApiError::InvalidRequest { message: message.into(), param: None }
    }

    pub fn invalid_param(param: impl Into<String>, message: impl Into<String>) -> Self {
        ApiError::InvalidRequest { message: message.into(), param: Some(param.into()) }
    }

    pub fn status(&self) -> u16 {
        match self {
            ApiError::InvalidApiKey(_) | ApiError::KeyExpired => 401,
            ApiError::InsufficientBalance { .. } => 402,
            ApiError::KeyDisabled | ApiError::AccountSuspended | ApiError::AddressNotAllowed => 403,
            ApiError::ModelNotFound { by_path: true, .. } | ApiError::NotFound | ApiError::RequestNotFound => 404,
            ApiError::ModelNotFound { by_path: false, .. } => 422,
            ApiError::MethodNotAllowed { .. } => 405,
            ApiError::RequestTimeout => 408,
            ApiError::RequestTooLarge { .. } => 413,
            ApiError::UnsupportedMediaType { .. } => 415,
            ApiError::RateLimit { .. } => 429,
            ApiError::HeadersTooLarge => 431,
            ApiError::InvalidRequest { .. } => 400,
            ApiError::RejectedUpstream { status, .. } => *status,
            ApiError::Server => 500,
            ApiError::Unavailable { .. } => 503,
        }
    }

    /// The stable word that programs compare.
    pub fn code(&self) -> &'static str {
        match self {
            ApiError::InvalidApiKey(_) => "invalid_api_key",
            ApiError::KeyExpired => "key_expired",
            ApiError::KeyDisabled | ApiError::AccountSuspended => "key_disabled",
            ApiError::AddressNotAllowed => "address_not_allowed",
            ApiError::InsufficientBalance { .. } => "insufficient_balance",
            ApiError::RateLimit { .. } => "rate_limit",
            ApiError::ModelNotFound { .. } => "model_not_found",
            ApiError::InvalidRequest { .. } => "invalid_request",
            ApiError::RejectedUpstream { status: 413, .. } | ApiError::RequestTooLarge { .. } => "request_too_large",
            ApiError::RejectedUpstream { .. } => "invalid_request",
            ApiError::NotFound | ApiError::RequestNotFound => "not_found",
            ApiError::MethodNotAllowed { .. } => "method_not_allowed",
            ApiError::RequestTimeout => "request_timeout",
            ApiError::UnsupportedMediaType { .. } => "unsupported_media_type",
            ApiError::HeadersTooLarge => "headers_too_large",
            ApiError::Server | ApiError::Unavailable { .. } => "server_error",
        }
    }

    /// The field that is at fault, where there is one.
    pub fn param(&self) -> Option<&str> {
        match self {
            ApiError::InvalidRequest { param, .. } | ApiError::RejectedUpstream { param, .. } => param.as_deref(),
            ApiError::ModelNotFound { by_path: false, .. } => Some("model"),
            _ => None,
        }
    }

    pub fn message(&self) -> String {
        match self {
            ApiError::InvalidApiKey(KeyFault::Missing) => {
                "No API key was given. Send it as 'Authorization: Bearer YOUR_KEY'.".into()
            }
            ApiError::InvalidApiKey(KeyFault::Unknown) => "The API key is not valid.".into(),
            ApiError::KeyExpired => "The API key has expired.".into(),
            ApiError::KeyDisabled => "The API key is disabled.".into(),
            ApiError::AccountSuspended => "The account of this API key is suspended.".into(),
            ApiError::AddressNotAllowed => "The API key may not be used from this address.".into(),
            ApiError::InsufficientBalance { needed, available, whose, .. } => {
                let purse = match whose {
                    Purse::Account => "account's available balance",
                    Purse::KeyBudget => "key's remaining budget",
                };
                format!("This request may cost up to {needed}, but the {purse} is {available}.")
            }
            ApiError::RateLimit { what, limit, can_ever_fit, .. } => match what {
                Limited::Requests => format!("The limit of {limit} requests per minute is reached."),
                Limited::Tokens if *can_ever_fit => format!("The limit of {limit} tokens per minute is reached."),
                Limited::Tokens => format!("This request alone exceeds the limit of {limit} tokens per minute."),
                Limited::Concurrency => format!("The limit of {limit} requests at a time is reached."),
                Limited::FailedKeys => "Too many invalid API keys from this address.".into(),
                Limited::BodyMemory => "Too many large requests at a time.".into(),
            },
            ApiError::ModelNotFound { model, .. } => {
                format!("The model '{model}' does not exist or is not available to this API key.")
            }
            ApiError::RequestNotFound => "No such request of this API key.".into(),
            ApiError::InvalidRequest { message, .. } | ApiError::RejectedUpstream { message, .. } => message.clone(),
            ApiError::NotFound => "There is nothing at this path.".into(),
            ApiError::MethodNotAllowed { allow } => format!("This path allows {allow} only."),
            ApiError::RequestTimeout => "The request did not arrive in time.".into(),
            ApiError::RequestTooLarge { bytes_max } => format!("The request is larger than {bytes_max} bytes."),
            ApiError::UnsupportedMediaType { takes } => {
                format!("The request's body must be plain: 'Content-Type: {takes}' and no Content-Encoding.")
            }
            ApiError::HeadersTooLarge => "The request's headers are too large.".into(),
            ApiError::Server => "The request could not be served. Try again later.".into(),
            ApiError::Unavailable { .. } => "The service is busy for the moment. Try again shortly.".into(),
        }
    }

    /// Whole seconds for `Retry-After`, 1 to 60: SDKs give up beyond 120, and zero would be a stampede.
    pub fn retry_after_s(&self) -> Option<u64> {
        let after = match self {
            ApiError::RateLimit { can_ever_fit: false, .. } => return None,
            ApiError::RateLimit { retry_after, .. } | ApiError::Unavailable { retry_after } => *retry_after,
            ApiError::InsufficientBalance { fits_later: true, .. } => Duration::from_secs(5),
            _ => return None,
        };
        let rounded_up = after.as_millis().div_ceil(1_000);
        Some(u64::try_from(rounded_up).unwrap_or(u64::MAX).clamp(1, 60))
    }

    /// `x-should-retry`, which the official SDKs obey before anything else.
    pub fn should_retry(&self) -> Option<bool> {
        match self {
            ApiError::RateLimit { can_ever_fit: false, .. } => Some(false),
            _ => None,
        }
    }

    /// `{"error": {"message", "type", "code", "param"}}`.
    pub fn to_json(&self) -> Vec<u8> {
        let body = serde_json::json!({"error": {
            "message": self.message(), "type": self.code(), "code": self.code(), "param": self.param(),
        }});
        body.to_string().into_bytes()
    }

    /// As the client's dialect writes it: Anthropic's names the request and has no codes of ours.
    pub fn to_body(&self, dialect: Dialect, request_id: &str) -> Vec<u8> {
        match dialect {
            Dialect::Chat | Dialect::Responses => self.to_json(),
            Dialect::Messages => {
                let body = serde_json::json!({
                    "type": "error",
                    "error": {"type": self.anthropic_type(), "message": self.message()},
                    "request_id": request_id,
                });
                body.to_string().into_bytes()
            }
        }
    }

    /// The same as the last event of a stream that had begun. No `[DONE]` follows: the SDKs raise it as an error.
    pub fn to_sse_event(&self, dialect: Dialect, request_id: &str) -> Vec<u8> {
        let mut event = Vec::new();
        let data = match dialect {
            Dialect::Chat => self.to_json(),
            Dialect::Responses => {
                event.extend(b"event: error\n");
                self.to_response_event()
            }
            Dialect::Messages => {
                event.extend(b"event: error\n");
                self.to_body(dialect, request_id)
            }
        };
        event.extend(b"data: ");
        event.extend(data);
        event.extend(b"\n\n");
        event
    }

    /// Clients of Responses read an error event's own fields, or its `error`: both say the same.
    fn to_response_event(&self) -> Vec<u8> {
        let (message, code, param) = (self.message(), self.code(), self.param());
        let event = serde_json::json!({
            "type": "error", "sequence_number": 0, "message": message, "code": code, "param": param,
            "error": {"message": message, "type": code, "code": code, "param": param},
        });
        event.to_string().into_bytes()
    }

    /// Anthropic's word for the status (Anthropic API reference, "Errors").
    fn anthropic_type(&self) -> &'static str {
        match self.status() {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            408 => "timeout_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            500 => "api_error",
            503 => "overloaded_error",
            _ => "invalid_request_error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_has_all_four_fields() {
        let json: serde_json::Value = serde_json::from_slice(&ApiError::KeyExpired.to_json()).unwrap();
        let error = json["error"].as_object().unwrap();
        assert_eq!(error.len(), 4);
        assert_eq!(error["code"], "key_expired");
        assert_eq!(error["type"], "key_expired");
        assert!(error["param"].is_null());
    }

    #[test]
    fn anthropics_shape_has_its_types_and_the_request() {
        let shown = |error: ApiError| -> serde_json::Value {
            serde_json::from_slice(&error.to_body(Dialect::Messages, "req_1")).unwrap()
        };
        let expired = shown(ApiError::KeyExpired);
        let words = serde_json::json!({"type": "authentication_error", "message": "The API key has expired."});
        assert_eq!(expired, serde_json::json!({"type": "error", "error": words, "request_id": "req_1"}));
        for (error, kind) in [
            (ApiError::invalid("no"), "invalid_request_error"),
            (ApiError::ModelNotFound { model: "m".into(), by_path: false }, "invalid_request_error"),
            (ApiError::ModelNotFound { model: "m".into(), by_path: true }, "not_found_error"),
            (ApiError::AccountSuspended, "permission_error"),
            (ApiError::RequestTooLarge { bytes_max: 1 }, "request_too_large"),
            (ApiError::Server, "api_error"),
            (ApiError::Unavailable { retry_after: Duration::ZERO }, "overloaded_error"),
        ] {
            assert_eq!(shown(error)["error"]["type"], kind);
        }
    }

    #[test]
    fn an_error_in_a_stream_is_one_event_in_every_dialect() {
        for (dialect, start) in [
            (Dialect::Chat, "data: {\"error\":{"),
            (Dialect::Responses, "event: error\ndata: {"),
            (Dialect::Messages, "event: error\ndata: {"),
        ] {
            let event = String::from_utf8(ApiError::Server.to_sse_event(dialect, "req_1")).unwrap();
            assert!(event.starts_with(start) && event.ends_with("}\n\n"), "{event}");
            let data = event.trim_end().rsplit_once("data: ").unwrap().1;
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            assert_eq!(data["error"]["message"], ApiError::Server.message());
        }
    }

    #[test]
    fn retry_after_is_one_to_sixty_seconds() {
        let limited = |retry_after, can_ever_fit| ApiError::RateLimit {
            what: Limited::Requests,
            limit: 1,
            retry_after,
            can_ever_fit,
        };
        assert_eq!(limited(Duration::ZERO, true).retry_after_s(), Some(1));
        assert_eq!(limited(Duration::from_millis(1_001), true).retry_after_s(), Some(2));
        assert_eq!(limited(Duration::from_secs(1_000_000), true).retry_after_s(), Some(60));
        assert_eq!(limited(Duration::from_secs(1), false).retry_after_s(), None);
        assert_eq!(limited(Duration::from_secs(1), false).should_retry(), Some(false));
    }
}
