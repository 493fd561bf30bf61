//! What stands around every answer: headers that keep a browser from being turned against us, and a net for panics.

use std::panic::AssertUnwindSafe;
use std::task::Poll;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

use super::problem::Problem;

/// Scripts, styles, fonts and pictures come from here and nowhere else, and no text ever becomes a script: neither
/// inline, nor by `eval`, nor by writing HTML (`trusted-types 'none'`: no policy may bless any).
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; \
     connect-src 'self'; img-src 'self' data:; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Around everything that the console answers.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let is_api = is_api(request.uri().path());
    let mut response = without_panic(next.run(request)).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_api {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Whether a path is one of programs: its refusals are JSON.
pub(super) fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// A fault in one answer is that answer's alone. The panic itself is logged by the process's hook.
async fn without_panic(answer: impl Future<Output = Response>) -> Response {
    let mut answer = Box::pin(answer);
    std::future::poll_fn(move |context| {
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context)));
        polled.unwrap_or_else(|_| Poll::Ready(Problem::server_error(&"a panic").into_response()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let answer = without_panic(async { panic!("on purpose") }).await;
        assert_eq!(answer.status(), 500);
    }

    #[test]
    fn only_the_api_speaks_json() {
        assert!(is_api("/api") && is_api("/api/x") && !is_api("/apis") && !is_api("/"));
    }
}
