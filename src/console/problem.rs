//! Every "no" of the console: `application/problem+json` (RFC 9457).
//!
//! Words are for people and name nothing of ours; what an operator needs is in the log, under the same request id.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::contract::{RequestId, StoreError};

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    retry_after_s: Option<u64>,
    request_id: Option<String>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// `limits.rpm`
    pub field: String,
    pub message: String,
}

/// A problem as it is sent.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    #[schema(example = "about:blank")]
    r#type: &'static str,
    #[schema(example = "Not Found")]
    title: &'static str,
    #[schema(example = 404)]
    status: u16,
    /// What programs look at.
    #[schema(example = "not_found")]
    code: &'static str,
    /// A sentence for people.
    #[schema(example = "There is no key of this id.")]
    detail: String,
    /// Which fields are wrong, where that can be said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// The log has more under this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, code, detail: detail.into(), errors: Vec::new(), retry_after_s: None, request_id: None }
    }

    pub fn unauthenticated() -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Sign in, or send an admin token.")
    }

    /// The same words whether the login or the password is wrong.
    pub fn wrong_credentials() -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, "wrong_credentials", "Login or password is wrong.")
    }

    pub fn forbidden(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub fn cross_site(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "cross_site", detail)
    }

    /// `what` completes "There is no … of this id.": also the answer about what belongs to somebody else.
    pub fn no_such(what: &str) -> Problem {
        Problem::not_found(format!("There is no {what} of this id."))
    }

    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub fn method_not_allowed() -> Problem {
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This path has no such method.")
    }

    /// Not understood: not JSON, an unknown field, a wrong type.
    pub fn invalid(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    /// As [`Problem::invalid`], where one field is to blame.
    pub fn invalid_field(field: &str, message: impl Into<String>) -> Problem {
        let message = message.into();
        let errors = vec![FieldError { field: field.to_owned(), message: message.clone() }];
        Problem { errors, ..Problem::invalid(format!("{field}: {message}")) }
    }

    /// Understood, and the answer is no.
    pub fn refused(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", detail)
    }

    /// As [`Problem::refused`], with every reason.
    pub fn refused_for(detail: impl Into<String>, errors: Vec<FieldError>) -> Problem {
        Problem { errors, ..Problem::refused(detail) }
    }

    pub fn too_large(bytes_max: u64) -> Problem {
        let detail = format!("The request has more than {bytes_max} bytes.");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    pub fn unsupported_media_type() -> Problem {
        let detail = "Send JSON, with the header Content-Type: application/json.";
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    pub fn too_many_attempts(retry_after_s: u64) -> Problem {
        let detail = format!("Too many attempts. Try again in {retry_after_s} seconds.");
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", detail);
        Problem { retry_after_s: Some(retry_after_s), ..problem }
    }

    /// Try again soon.
    pub fn unavailable(detail: impl Into<String>) -> Problem {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
        Problem { retry_after_s: Some(RETRY_AFTER_S), ..problem }
    }

    /// Ours to repair: logged with an id that is shown.
    pub fn server_error(cause: &dyn std::fmt::Display) -> Problem {
        let request_id = RequestId::new().to_string();
        tracing::error!(request_id, "the console failed: {cause}");
        let detail = "Something went wrong on our side.";
        let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", detail);
        Problem { request_id: Some(request_id), ..problem }
    }

    /// Whether the fault is not the caller's.
    pub fn is_ours(self: &Problem) -> bool {
        self.status.is_server_error()
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn code(&self) -> &'static str {
        self.code
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match error {
            // A key that was used for something else is a mistake of the program that asks: its own code.
            StoreError::Refused(words) if words.contains("Idempotency-Key") => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch", sentence(&words))
            }
            StoreError::Refused(words) => Problem::refused(sentence(&words)),
            StoreError::Unavailable(source) => {
                let request_id = RequestId::new().to_string();
                tracing::error!(request_id, "the storage does not answer the console: {source}");
                let problem = Problem::unavailable("The storage does not answer for the moment.");
                Problem { request_id: Some(request_id), ..problem }
            }
            StoreError::Unusable(why) => {
                let problem = Problem::server_error(&why);
                Problem {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    code: "unavailable",
                    retry_after_s: Some(RETRY_AFTER_S),
                    ..problem
                }
            }
            // Whoever asks with a key handles its repetition; without one there is none.
            StoreError::Repeated(target) => Problem::server_error(&format!("an unexpected repetition: {target}")),
        }
    }
}

/// The storage speaks in clauses, as command lines do; pages show sentences.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let Some(first) = letters.next() else { return String::new() };
    let end = if words.ends_with(['.', '!', '?']) { "" } else { "." };
    // A quoted name, or a name itself, at the beginning stays as it is.
    let first_word = words.split(' ').next().unwrap_or_default();
    let is_word = first_word.bytes().all(|byte| byte.is_ascii_lowercase());
    let first = if is_word { first.to_ascii_uppercase() } else { first };
    format!("{first}{}{end}", letters.as_str())
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail,
            errors: self.errors,
            request_id: self.request_id,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tollgate\""));
        }
        response
    }
}

const RETRY_AFTER_S: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_storage_s_clauses_become_sentences() {
        assert_eq!(sentence("the name alice is taken"), "The name alice is taken.");
        assert_eq!(sentence("\"x y\" is not a name"), "\"x y\" is not a name.");
        assert_eq!(sentence("acc_1 does not exist"), "acc_1 does not exist.");
        assert_eq!(sentence(""), "");
    }

    #[test]
    fn a_fault_of_ours_shows_no_cause() {
        let problem = Problem::from(StoreError::Unavailable("disk I/O error at /var/lib/x".into()));
        assert_eq!(problem.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(!problem.detail.contains("/var"), "{problem:?}");
        assert!(problem.request_id.is_some_and(|id| id.starts_with("req_")));
    }
}
