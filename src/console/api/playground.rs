//! The playground's way to the edge: a person's own request, with one of their keys, or with a key that they pasted.
//!
//! The request goes through the same door as every client's, so it is limited, held for, charged and recorded like any
//! other; nothing here decides about it. A key is never sent: a ticket stands in its place, and in it the person's own
//! address, by which address lists and guess limits judge. Bytes pass both ways as they come; when the browser goes, so
//! does the connection, and the upstream is let go at once.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::reach;
use super::schema::NotDone;
use crate::console::caller::Caller;
use crate::console::listener::ClientAddress;
use crate::console::problem::Problem;
use crate::console::{AsItCame, Console};
use crate::core::api_error::ApiError;
use crate::core::key::{self, KeyHash};
use crate::ledger::StandIn;

/// Try a model
///
/// `X-Tollgate-Key` is the id of a key of yours; or `X-Tollgate-Pasted-Key` a key's text, which anybody may have. Body and
/// answer are those of the clients' API, streamed or not, its errors too.
#[utoipa::path(post, path = "/api/playground/chat/completions", operation_id = "playground_chat", tag = "playground",
    params(("X-Tollgate-Key" = Option<String>, Header), ("X-Tollgate-Pasted-Key" = Option<String>, Header)),
    request_body = Object, responses((status = 200, description = "As the clients' API answers"), NotDone))]
pub(super) async fn chat(
    console: State<Console>,
    caller: Option<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    pass_on(console, caller, request).await
}

/// Try a completion
#[utoipa::path(post, path = "/api/playground/completions", operation_id = "playground_completions", tag = "playground",
    request_body = Object, responses((status = 200, description = "As the clients' API answers"), NotDone))]
pub(super) async fn completions(
    console: State<Console>,
    caller: Option<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    pass_on(console, caller, request).await
}

/// Try embeddings
#[utoipa::path(post, path = "/api/playground/embeddings", operation_id = "playground_embeddings", tag = "playground",
    request_body = Object, responses((status = 200, description = "As the clients' API answers"), NotDone))]
pub(super) async fn embeddings(
    console: State<Console>,
    caller: Option<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    pass_on(console, caller, request).await
}

/// Try a picture
#[utoipa::path(post, path = "/api/playground/images/generations", operation_id = "playground_images", tag = "playground",
    request_body = Object, responses((status = 200, description = "As the clients' API answers"), NotDone))]
pub(super) async fn images(
    console: State<Console>,
    caller: Option<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    pass_on(console, caller, request).await
}

/// The models of a key
#[utoipa::path(get, path = "/api/playground/models", operation_id = "playground_models", tag = "playground",
    responses((status = 200, description = "As the clients' API answers"), NotDone))]
pub(super) async fn models(
    console: State<Console>,
    caller: Option<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    pass_on(console, caller, request).await
}

/// What a tried request cost
#[utoipa::path(get, path = "/api/playground/requests/{id}", operation_id = "playground_request", tag = "playground",
    params(("id" = String, Path)), responses((status = 200, description = "As the clients' API answers"), NotDone))]
pub(super) async fn request_cost(
    console: State<Console>,
    caller: Option<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    // It becomes part of a path: nothing but the form of an id may.
    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') || id.len() > 64 {
        return Err(Problem::no_such("request"));
    }
    pass_on(console, caller, request).await
}

async fn pass_on(
    State(console): State<Console>,
    caller: Option<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let site = console.gateway().site();
    if length(&parts.headers).is_some_and(|bytes| bytes > site.body_bytes_max) {
        return Ok(too_large(site.body_bytes_max));
    }
    let address = parts.extensions.get::<ClientAddress>().copied().unwrap_or(ClientAddress::UNKNOWN);
    let key = key_of(&console, caller.as_ref(), &parts.headers).await?;
    let ticket = console.ledger().tickets.issue(StandIn { key, address: address.0 }, Instant::now());
    let ticket = ticket.map_err(|error| Problem::server_error(&error))?;
    let ticket = ticket.ok_or_else(|| Problem::unavailable("Too many are trying models. Try again in a moment."))?;

    let matched = parts.extensions.remove::<MatchedPath>();
    let under = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    debug_assert!(matched.is_some_and(|path| path.as_str().starts_with(PREFIX)));
    let base = site.base_paths.into_iter().next().unwrap_or_default();
    let mut onward = http::Request::builder()
        .method(parts.method.clone())
        .uri(format!("{base}{under}"))
        .header(header::HOST, console.edge().to_string())
        .header(header::AUTHORIZATION, format!("Bearer {}", ticket.expose()));
    if parts.method == Method::POST {
        onward = onward.header(header::CONTENT_TYPE, "application/json");
        if let Some(length) = parts.headers.get(header::CONTENT_LENGTH) {
            onward = onward.header(header::CONTENT_LENGTH, length);
        }
    }
    let onward = onward.body(body).map_err(|error| Problem::server_error(&error))?;
    let answer = tokio::time::timeout(HEAD_MAX, send(&console, onward)).await;
    let answer = answer.map_err(|_| Problem::unavailable("The gateway did not answer in time."))??;
    let (head, body) = answer.into_parts();
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    response.extensions_mut().insert(AsItCame);
    let own = response.headers_mut();
    for (name, value) in head.headers.iter().filter(|(name, _)| is_shown(name)) {
        own.insert(name.clone(), value.clone());
    }
    if head.status == StatusCode::OK {
        // Whatever stands in between must not collect events.
        own.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    }
    Ok(response)
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// In the edge's own words, which it says and hangs up: before a large body is through, they could be lost.
fn too_large(bytes_max: u64) -> Response {
    let error = ApiError::RequestTooLarge { bytes_max };
    let json = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::PAYLOAD_TOO_LARGE, json, error.to_json()).into_response()
}

/// The key that the request is to run with.
async fn key_of(console: &Console, caller: Option<&Caller>, headers: &HeaderMap) -> Result<KeyHash, Problem> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim().to_owned());
    match (text(KEY_ID), text(PASTED_KEY)) {
        (Some(id), None) => {
            let caller = caller.ok_or_else(Problem::unauthenticated)?;
            let own = reach::own(caller)?;
            // Operators see everybody's keys, and spend nobody's money but their own account's.
            let row = reach::key(console, caller, id).await?;
            (row.record.account == own).then_some(row.record.hash).ok_or_else(|| Problem::no_such("key"))
        }
        // Whether there is such a key, and whether it may, is for the edge to say.
        (None, Some(pasted)) => Ok(key::hash(pasted.as_bytes())),
        _ => Err(Problem::invalid(format!("Send either {KEY_ID}, a key's id, or {PASTED_KEY}, a key."))),
    }
}

async fn send(console: &Console, request: http::Request<Body>) -> Result<http::Response<Body>, Problem> {
    let unreachable = |error: &dyn std::fmt::Display| {
        tracing::error!("the console cannot reach the edge: {error}");
        Problem::unavailable("The gateway is not reachable for the moment.")
    };
    let stream = TcpStream::connect(console.edge()).await.map_err(|error| unreachable(&error))?;
    stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| unreachable(&error))?;
    let connection = Connection(tokio::spawn(async move { drop(connection.await) }));
    let answer = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
    Ok(answer.map(|body| Body::new(Answer { body, _connection: connection })))
}

/// The connection to the edge: it ends as soon as nobody waits for its answer.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer's body, and what it comes through.
struct Answer {
    body: Incoming,
    _connection: Connection,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn is_shown(name: &HeaderName) -> bool {
    let name = name.as_str();
    SHOWN.contains(&name) || name.starts_with("x-ratelimit-")
}

const PREFIX: &str = "/api/playground";
const KEY_ID: &str = "x-tollgate-key";
const PASTED_KEY: &str = "x-tollgate-pasted-key";
const SHOWN: [&str; 5] = ["content-type", "cache-control", "x-request-id", "retry-after", "x-should-retry"];
/// Longer than any upstream's patience for a first byte.
const HEAD_MAX: Duration = Duration::from_secs(600);
