//! An upstream that answers byte for byte as a test says, and tells what it was sent.
//!
//! It runs on a thread of its own, so that a test that waits for a process does not stop it. Requests are read whole
//! before the script is asked; each connection takes as many as come.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use super::client::{Head, head_end};
use super::{PATIENCE, wait_for};

pub struct Upstream {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _stop: oneshot::Sender<()>,
}

#[derive(Default)]
struct Seen {
    requests: Vec<Request>,
    closed: Vec<Closed>,
    connections: usize,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which connection it came over, counted from 0.
    pub connection: usize,
    pub head: Head,
    pub body: Bytes,
    pub at: Instant,
}

impl Request {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the gateway sends JSON")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// Method and target.
    pub fn line(&self) -> String {
        let line = self.head.first_line();
        line.trim_end_matches(" HTTP/1.1").to_owned()
    }
}

/// The gateway has closed a connection.
#[derive(Clone, Copy, Debug)]
pub struct Closed {
    pub connection: usize,
    pub at: Instant,
}

/// What a script waits for, set by the test; or the other way round.
#[derive(Clone)]
pub struct Signal(Arc<watch::Sender<bool>>);

impl Signal {
    pub fn new() -> Self {
        Signal(Arc::new(watch::channel(false).0))
    }

    pub fn set(&self) {
        self.0.send_replace(true);
    }

    pub async fn wait(&self) {
        let mut receiver = self.0.subscribe();
        let _ = receiver.wait_for(|set| *set).await;
    }
}

/// One answer, step by step. Without `close` at its end the connection is kept for the next request.
#[derive(Clone, Default)]
pub struct Reply(Vec<Step>);

#[derive(Clone)]
enum Step {
    Send(Bytes),
    Wait(Signal),
    Tell(Signal),
    Delay(Duration),
    Drip(Bytes, Duration, Signal),
    Hang,
    Close,
    Reset,
}

impl Reply {
    /// Exactly these bytes, head included.
    pub fn raw(bytes: impl AsRef<[u8]>) -> Self {
        Reply::default().then(bytes)
    }

    pub fn then(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.push(Step::Send(Bytes::copy_from_slice(bytes.as_ref())));
        self
    }

    /// The same bytes again and again. They are kept once, whatever the number.
    pub fn then_times(mut self, bytes: impl AsRef<[u8]>, times: usize) -> Self {
        let bytes = Bytes::copy_from_slice(bytes.as_ref());
        self.0.extend((0..times).map(|_| Step::Send(bytes.clone())));
        self
    }

    /// The same as one chunk of a chunked body.
    pub fn then_chunk(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(chunk(bytes))
    }

    /// All steps of another one behind these.
    pub fn append(mut self, other: Reply) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The end of a chunked body.
    pub fn end(self) -> Self {
        self.then("0\r\n\r\n")
    }

    /// The same chunk again and again, with a pause behind each, until the signal.
    pub fn drip_chunk(mut self, bytes: impl AsRef<[u8]>, every: Duration, until: &Signal) -> Self {
        self.0.push(Step::Drip(chunk(bytes).into(), every, until.clone()));
        self
    }

    pub fn wait(mut self, signal: &Signal) -> Self {
        self.0.push(Step::Wait(signal.clone()));
        self
    }

    pub fn tell(mut self, signal: &Signal) -> Self {
        self.0.push(Step::Tell(signal.clone()));
        self
    }

    pub fn delay(mut self, time: Duration) -> Self {
        self.0.push(Step::Delay(time));
        self
    }

    /// Nothing more, for ever.
    pub fn hang(mut self) -> Self {
        self.0.push(Step::Hang);
        self
    }

    pub fn close(mut self) -> Self {
        self.0.push(Step::Close);
        self
    }

    pub fn reset(mut self) -> Self {
        self.0.push(Step::Reset);
        self
    }

    /// A JSON answer with its length.
    pub fn json(value: &Value) -> Self {
        Reply::status(200, &[("Content-Type", "application/json")], value.to_string())
    }

    pub fn status(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("HTTP/1.1 {status} Scripted\r\n{more}Content-Length: {}\r\n\r\n", body.len());
        Reply::raw([head.as_bytes(), body].concat())
    }

    /// An error in OpenAI's shape.
    pub fn error(status: u16, message: &str) -> Self {
        let body = json!({"error": {"message": message, "type": "scripted", "code": null, "param": null}});
        Reply::status(status, &[("Content-Type", "application/json")], body.to_string())
    }

    /// A whole chat completion. `usage` as in [`usage`], or null for none.
    pub fn chat(text: &str, usage: Value) -> Self {
        Reply::json(&chat_completion(text, usage))
    }

    /// The head of a streamed answer, chunked.
    pub fn stream_head() -> Self {
        Reply::raw(STREAM_HEAD)
    }

    /// A streamed chat completion: an event for each text, a finish reason, the usage unless it is null, `[DONE]`.
    pub fn chat_stream(texts: &[&str], usage: Value) -> Self {
        let mut reply = Reply::stream_head();
        for event in chat_events(texts, usage) {
            reply = reply.then_chunk(event);
        }
        reply.end()
    }
}

/// An upstream's usage, as OpenAI writes it.
pub fn usage(input: u64, output: u64) -> Value {
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

pub fn chat_completion(text: &str, usage: Value) -> Value {
    let mut body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "provider-chat",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
    });
    if !usage.is_null() {
        body["usage"] = usage;
    }
    body
}

/// The events of a streamed chat completion, each with its blank line.
pub fn chat_events(texts: &[&str], usage: Value) -> Vec<String> {
    let mut events: Vec<String> = texts.iter().map(|text| delta_event(text)).collect();
    events.push(finish_event());
    if !usage.is_null() {
        events.push(usage_event(&usage));
    }
    events.push(DONE_EVENT.into());
    events
}

pub fn delta_event(text: &str) -> String {
    event(&json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "provider-chat",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}],
    }))
}

pub fn finish_event() -> String {
    event(&json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "provider-chat",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    }))
}

pub fn usage_event(usage: &Value) -> String {
    event(&json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "provider-chat", "choices": [], "usage": usage,
    }))
}

pub fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

pub fn chunk(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

pub const DONE_EVENT: &str = "data: [DONE]\n\n";
pub const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

impl Upstream {
    /// Answers each request with what `script` says of it; the second argument counts the requests from 0.
    pub fn start(script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Upstream {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (stop, stopped) = oneshot::channel();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        listener.set_nonblocking(true).expect("a socket can");
        let address = listener.local_addr().expect("it is bound");
        let script: Arc<Script> = Arc::new(script);
        let shared = seen.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
            runtime.block_on(async move {
                tokio::select! {
                    () = accept(listener, script, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Upstream { address, seen, _stop: stop }
    }

    /// The same answer to every request.
    pub fn always(reply: Reply) -> Upstream {
        Upstream::start(move |_, _| reply.clone())
    }

    /// A chat upstream that says `hello` for 10 tokens in and 2 out, streamed where it is asked to.
    pub fn hello() -> Upstream {
        Upstream::start(|request, _| {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            if body["stream"] == true {
                Reply::chat_stream(&["hel", "lo"], usage(10, 2))
            } else {
                Reply::chat("hello", usage(10, 2))
            }
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen().requests.clone()
    }

    pub fn count(&self) -> usize {
        self.seen().requests.len()
    }

    pub fn connections(&self) -> usize {
        self.seen().connections
    }

    /// The newest request.
    #[track_caller]
    pub fn last(&self) -> Request {
        self.seen().requests.last().cloned().expect("a request has come")
    }

    pub fn closed(&self) -> Vec<Closed> {
        self.seen().closed.clone()
    }

    pub async fn wait_for_requests(&self, count: usize) {
        wait_for("requests reach the upstream", || self.count() >= count).await;
    }

    /// Waits until the gateway has closed this connection, and says when it was.
    pub async fn wait_for_close(&self, connection: usize) -> Instant {
        let closed = || self.closed().into_iter().find(|closed| closed.connection == connection);
        wait_for("the gateway closes its connection", || closed().is_some()).await;
        closed().expect("it was there").at
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panics with it")
    }
}

/// An address where nobody listens. It stays reserved: the socket is bound and does not listen.
pub struct NobodyThere(tokio::net::TcpSocket);

impl NobodyThere {
    pub fn new() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket can be made");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("there is a free port");
        NobodyThere(socket)
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.0.local_addr().expect("it is bound"))
    }
}

type Script = dyn Fn(&Request, usize) -> Reply + Send + Sync;

async fn accept(listener: std::net::TcpListener, script: Arc<Script>, seen: Arc<Mutex<Seen>>) {
    let listener = TcpListener::from_std(listener).expect("it does not block");
    while let Ok((stream, _)) = listener.accept().await {
        let connection = {
            let mut seen = seen.lock().expect("nobody panics with it");
            seen.connections += 1;
            seen.connections - 1
        };
        tokio::spawn(serve(stream, connection, script.clone(), seen.clone()));
    }
}

async fn serve(stream: TcpStream, connection: usize, script: Arc<Script>, seen: Arc<Mutex<Seen>>) {
    let _ = stream.set_nodelay(true);
    let (mut reader, mut writer) = stream.into_split();
    let mut buffer = BytesMut::new();
    while let Some((head, body)) = read_request(&mut reader, &mut buffer).await {
        let request = Request { connection, head, body, at: Instant::now() };
        let nth = {
            let mut seen = seen.lock().expect("nobody panics with it");
            seen.requests.push(request.clone());
            seen.requests.len() - 1
        };
        let reply = script(&request, nth);
        let goes_on = tokio::select! {
            goes_on = perform(&mut writer, reply) => goes_on,
            () = closed(&mut reader, &mut buffer) => break,
        };
        match goes_on {
            Next::Request => {}
            Next::Close => return,
            Next::Reset => {
                if let Ok(stream) = reader.reunite(writer) {
                    let _ = stream.set_zero_linger();
                }
                return;
            }
        }
    }
    seen.lock().expect("nobody panics with it").closed.push(Closed { connection, at: Instant::now() });
}

enum Next {
    Request,
    Close,
    Reset,
}

async fn perform(writer: &mut OwnedWriteHalf, reply: Reply) -> Next {
    for step in reply.0 {
        match step {
            Step::Send(bytes) => send(writer, &bytes).await,
            Step::Wait(signal) => signal.wait().await,
            Step::Tell(signal) => signal.set(),
            Step::Delay(time) => tokio::time::sleep(time).await,
            Step::Drip(bytes, every, until) => drip(writer, &bytes, every, &until).await,
            Step::Hang => std::future::pending().await,
            Step::Close => return Next::Close,
            Step::Reset => return Next::Reset,
        }
    }
    Next::Request
}

async fn send(writer: &mut OwnedWriteHalf, bytes: &[u8]) {
    if writer.write_all(bytes).await.is_err() {
        // Whoever reads notices that the other side has gone.
        std::future::pending::<()>().await;
    }
}

async fn drip(writer: &mut OwnedWriteHalf, bytes: &[u8], every: Duration, until: &Signal) {
    loop {
        send(writer, bytes).await;
        if tokio::time::timeout(every, until.wait()).await.is_ok() {
            return;
        }
    }
}

/// Returns when the other side has closed. What it sends meanwhile is kept.
async fn closed(reader: &mut OwnedReadHalf, buffer: &mut BytesMut) {
    while matches!(reader.read_buf(buffer).await, Ok(1..)) {}
}

/// A whole request; `None` when there is no more.
async fn read_request(reader: &mut OwnedReadHalf, buffer: &mut BytesMut) -> Option<(Head, Bytes)> {
    let end = loop {
        if let Some(end) = head_end(buffer) {
            break end;
        }
        more(reader, buffer).await?;
    };
    let head = Head::parse(&buffer.split_to(end));
    if head.header("transfer-encoding").is_some() {
        return read_chunks(reader, buffer).await.map(|body| (head, body));
    }
    let length = head.header("content-length").map_or(0, |length| length.parse().expect("a number"));
    while buffer.len() < length {
        more(reader, buffer).await?;
    }
    Some((head, buffer.split_to(length).freeze()))
}

async fn read_chunks(reader: &mut OwnedReadHalf, buffer: &mut BytesMut) -> Option<Bytes> {
    let mut body = BytesMut::new();
    loop {
        let line_end = loop {
            match memchr::memmem::find(buffer, b"\r\n") {
                Some(at) => break at,
                None => more(reader, buffer).await?,
            }
        };
        let line = buffer.split_to(line_end + 2);
        let length = usize::from_str_radix(std::str::from_utf8(&line).ok()?.trim(), 16).ok()?;
        while buffer.len() < length + 2 {
            more(reader, buffer).await?;
        }
        body.extend_from_slice(&buffer.split_to(length));
        let _ = buffer.split_to(2);
        if length == 0 {
            return Some(body.freeze());
        }
    }
}

async fn more(reader: &mut OwnedReadHalf, buffer: &mut BytesMut) -> Option<()> {
    buffer.reserve(64 * 1024);
    match tokio::time::timeout(PATIENCE * 4, reader.read_buf(buffer)).await {
        Ok(Ok(1..)) => Some(()),
        _ => None,
    }
}
