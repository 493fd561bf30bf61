//! The upstream: answers like a chat model, at next to no cost, and as the question tells it to.
//!
//! Every word that is not needed to keep a real client and a real proxy content is left out. In a question,
//! `think=MS` delays the answer, `pace=MS` puts that time between two events of a stream, and `events=N` says how many
//! there are. `GET /streams` tells how many streams are being read at the moment.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Runs until it is killed. The first line of its output is its address.
pub async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A client that leaves is no fault of ours.
        tokio::spawn(async move { converse(stream).await.ok() });
    }
}

async fn converse(mut stream: TcpStream) -> Result<()> {
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        let Some(request_bytes) = whole_request(&buffer) else {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let request: Vec<u8> = buffer.drain(..request_bytes).collect();
        // Orders stand at the end of a question, and nobody has any for a large one.
        let orders = &request[..request_bytes.min(ORDERS_WITHIN)];
        if let Some(think) = number(orders, "think=") {
            let think = Duration::from_millis(think);
            // A thread's sleep is exact to some microseconds, the runtime's to a millisecond.
            tokio::task::spawn_blocking(move || std::thread::sleep(think)).await?;
        }
        if request.starts_with(b"GET /streams") {
            let count = OPEN.load(Ordering::Relaxed).to_string();
            let length = count.len();
            stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{count}").as_bytes()).await?;
        } else if memmem::find(orders, br#""stream":true"#).is_some() {
            let pace = number(orders, "pace=").map(Duration::from_millis);
            let events = number(orders, "events=").unwrap_or(CONTENT_EVENTS);
            answer_in_events(&mut stream, pace, events).await?;
        } else {
            stream.write_all(WHOLE.as_bytes()).await?;
        }
    }
}

/// Counts a stream for as long as somebody reads it.
struct Open;

impl Open {
    fn new() -> Open {
        OPEN.fetch_add(1, Ordering::Relaxed);
        Open
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The length of the first request in the buffer, when all of it has come.
fn whole_request(buffer: &[u8]) -> Option<usize> {
    let head_bytes = memmem::find(buffer, b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&buffer[..head_bytes]).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let request_bytes = head_bytes + length.unwrap_or(0);
    (buffer.len() >= request_bytes).then_some(request_bytes)
}

fn number(request: &[u8], word: &str) -> Option<u64> {
    let rest = &request[memmem::find(request, word.as_bytes())? + word.len()..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// Each event in a write of its own, as live models send them.
async fn answer_in_events(stream: &mut TcpStream, pace: Option<Duration>, events: u64) -> Result<()> {
    let _open = Open::new();
    stream.write_all(EVENTS_HEAD.as_bytes()).await?;
    let content = chunk(CONTENT);
    for _ in 0..events {
        if let Some(pace) = pace {
            // Nothing is to come: who is heard of here has left.
            if tokio::time::timeout(pace, stream.read_u8()).await.is_ok() {
                bail!("the client left");
            }
        }
        stream.write_all(&content).await?;
    }
    let mut last = chunk(FINISH);
    last.extend(chunk(USAGE));
    last.extend(chunk("[DONE]"));
    last.extend_from_slice(b"0\r\n\r\n");
    stream.write_all(&last).await?;
    Ok(())
}

/// One event, in HTTP/1.1's chunked coding.
fn chunk(data: &str) -> Vec<u8> {
    let event = format!("data: {data}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}

/// Of a stream, unless the question says otherwise.
pub const CONTENT_EVENTS: u64 = 200;

static OPEN: AtomicU64 = AtomicU64::new(0);
const ORDERS_WITHIN: usize = 4 * 1024;

const WHOLE: &str = concat!(
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 394\r\n\r\n",
    r#"{"id":"chatcmpl-9f2c8e41","object":"chat.completion","created":1790000000,"model":"load-model","#,
    r#""choices":[{"index":0,"message":{"role":"assistant","content":"The capital of France is Paris, on the Seine.","#,
    r#""refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"completion_tokens":16,"#,
    r#""total_tokens":41},"service_tier":"default","system_fingerprint":"fp_44709d6fcb"}"#,
);
const EVENTS_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";
const CONTENT: &str = concat!(
    r#"{"id":"chatcmpl-9f2c8e41","object":"chat.completion.chunk","created":1790000000,"model":"load-model","#,
    r#""choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]}"#,
);
const FINISH: &str = concat!(
    r#"{"id":"chatcmpl-9f2c8e41","object":"chat.completion.chunk","created":1790000000,"model":"load-model","#,
    r#""choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}"#,
);
const USAGE: &str = concat!(
    r#"{"id":"chatcmpl-9f2c8e41","object":"chat.completion.chunk","created":1790000000,"model":"load-model","#,
    r#""choices":[],"usage":{"prompt_tokens":25,"completion_tokens":200,"total_tokens":225}}"#,
);
