//! An upstream inside the program, so that everything can be seen working without a provider's key.
//!
//! It speaks OpenAI's API, and Anthropic's Messages, over HTTP on a loopback port, exactly like a provider: requests reach
//! it through the same path, the same failover and the same metering as any other upstream. What it says is made of a few
//! canned paragraphs.
//!
//! Always true: nobody is answered without the token, which lives in this process only; other users of the machine can
//! reach the port, but not the model.

mod chat;
mod completion;
mod embedding;
mod envelope;
mod form;
mod image;
mod messages;
mod moderation;
mod ranking;
mod responses;
mod schema;
mod speech;
mod transcription;
mod turn;
mod words;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use futures_util::stream;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use crate::core::secret::Secret;
use envelope::Fault;
use transcription::Transcript;

/// Serves until `shutdown` is done, then finishes the answers that have begun.
///
/// # Errors
/// Those of accepting connections.
pub async fn serve(
    listener: TcpListener,
    token: Secret,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "words may arrive late");
        }
    });
    axum::serve(listener, router(&token, PACE)).with_graceful_shutdown(shutdown).await
}

/// `pace` is the time between two words of a stream.
fn router(token: &Secret, pace: Duration) -> Router {
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(chat_completions))
        .route("/v1/responses", post(answer_responses))
        .route(MESSAGES, post(answer_messages))
        .route("/v1/messages/count_tokens", post(count_tokens))
        .route("/v1/completions", post(completions))
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/images/generations", post(image_generations))
        .route("/v1/images/edits", post(image_edits))
        .route("/v1/audio/speech", post(audio_speech))
        .route("/v1/audio/transcriptions", post(audio_transcriptions))
        .route("/v1/moderations", post(moderations))
        .route("/v1/rerank", post(rerank))
        .fallback(|| async { Fault::no_such_path() })
        .method_not_allowed_fallback(|| async { Fault::wrong_method() })
        // How large a body may be is the gateway's decision, and nobody else gets past the token.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(digest(token.expose()), require_token))
        .with_state(pace)
}

/// Compares digests: how long that takes tells nothing about the token.
async fn require_token(State(expected): State<[u8; 32]>, request: Request, next: Next) -> Response {
    let presented = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match presented.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) if digest(token) == expected => next.run(request).await,
        _ if request.uri().path().starts_with(MESSAGES) => messages_refusal(&Fault::wrong_key()),
        _ => Fault::wrong_key().into_response(),
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

async fn models() -> impl IntoResponse {
    let model = |id: &&str| json!({"id": id, "object": "model", "created": MODELS_CREATED_S, "owned_by": "demo"});
    Json(json!({"object": "list", "data": MODELS.iter().map(model).collect::<Vec<_>>()}))
}

async fn chat_completions(State(pace): State<Duration>, body: Bytes) -> Result<Response, Fault> {
    let request = chat::Request::read(&body)?;
    Ok(if request.stream() { paced(chunks(&request.chunks()?), pace) } else { Json(request.whole()?).into_response() })
}

async fn completions(State(pace): State<Duration>, body: Bytes) -> Result<Response, Fault> {
    let request = completion::Request::read(&body)?;
    Ok(if request.stream() { paced(chunks(&request.chunks()?), pace) } else { Json(request.whole()?).into_response() })
}

async fn answer_responses(State(pace): State<Duration>, body: Bytes) -> Result<Response, Fault> {
    let request = responses::Request::read(&body)?;
    Ok(if request.stream() { paced(named(&request.events()?), pace) } else { Json(request.whole()?).into_response() })
}

async fn answer_messages(State(pace): State<Duration>, body: Bytes) -> Response {
    let answer = messages::Request::read(&body).and_then(|request| {
        let stream = || request.events().map(|events| paced(named(&events), pace));
        if request.stream() { stream() } else { Ok(Json(request.whole()?).into_response()) }
    });
    answer.unwrap_or_else(|fault| messages_refusal(&fault))
}

async fn count_tokens(body: Bytes) -> Response {
    let count = messages::Request::read(&body).and_then(|request| request.count());
    count.map_or_else(|fault| messages_refusal(&fault), |count| Json(count).into_response())
}

fn messages_refusal(fault: &Fault) -> Response {
    (fault.status(), Json(messages::refusal(fault))).into_response()
}

async fn embeddings(body: Bytes) -> Result<impl IntoResponse, Fault> {
    embedding::answer(&body).map(Json)
}

async fn image_generations(body: Bytes) -> Result<impl IntoResponse, Fault> {
    image::answer(&body).map(Json)
}

async fn image_edits(headers: HeaderMap, body: Bytes) -> Result<impl IntoResponse, Fault> {
    image::edit(content_type(&headers), &body).map(Json)
}

async fn audio_speech(State(pace): State<Duration>, body: Bytes) -> Result<Response, Fault> {
    let request = speech::Request::read(&body)?;
    if request.streams() {
        return Ok(paced(request.events().iter().map(plain).collect(), pace));
    }
    Ok(([(header::CONTENT_TYPE, "audio/wav")], request.whole()).into_response())
}

async fn audio_transcriptions(
    State(pace): State<Duration>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Fault> {
    Ok(match transcription::Request::read(content_type(&headers), &body)?.answer() {
        Transcript::Json(value) => Json(value).into_response(),
        Transcript::Text(media_type, text) => ([(header::CONTENT_TYPE, media_type)], text).into_response(),
        Transcript::Events(events) => paced(events.iter().map(plain).collect(), pace),
    })
}

async fn moderations(body: Bytes) -> Result<impl IntoResponse, Fault> {
    moderation::answer(&body).map(Json)
}

async fn rerank(body: Bytes) -> Result<impl IntoResponse, Fault> {
    ranking::answer(&body).map(Json)
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn plain(event: &Value) -> Bytes {
    Bytes::from(format!("data: {event}\n\n"))
}

/// Events without names, and `[DONE]` at the end.
fn chunks(chunks: &[Value]) -> Vec<Bytes> {
    chunks.iter().map(plain).chain([Bytes::from_static(b"data: [DONE]\n\n")]).collect()
}

/// Events that are named by their type.
fn named(events: &[Value]) -> Vec<Bytes> {
    let name = |event: &Value| event["type"].as_str().unwrap_or_default().to_owned();
    events.iter().map(|event| Bytes::from(format!("event: {}\ndata: {event}\n\n", name(event)))).collect()
}

/// A stream: the first event at once, the others as if they were being thought of.
fn paced(events: Vec<Bytes>, pace: Duration) -> Response {
    let stream = stream::unfold(events.into_iter().enumerate(), move |mut rest| async move {
        let (position, event) = rest.next()?;
        if position > 0 && !pace.is_zero() {
            tokio::time::sleep(pace).await;
        }
        Some((Ok::<_, Infallible>(event), rest))
    });
    let head = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (head, Body::from_stream(stream)).into_response()
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.status(), Json(self.to_json())).into_response()
    }
}

impl Fault {
    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

const MESSAGES: &str = "/v1/messages";
const MODELS: [&str; 7] =
    ["demo-chat", "demo-embed", "demo-image", "demo-speech", "demo-transcribe", "demo-moderate", "demo-rerank"];
/// 2026-01-01: SDKs expect a date.
const MODELS_CREATED_S: u64 = 1_767_225_600;
/// About the speed of a mid-sized model, and slow enough to watch.
const PACE: Duration = Duration::from_millis(25);

#[cfg(test)]
mod tests;
