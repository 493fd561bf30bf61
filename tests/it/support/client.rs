//! A client that can send any bytes and stop anywhere, and the ordinary one for HTTP/2.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{PATIENCE, within};

/// A POST of JSON with a key, on a connection that is kept.
pub fn post(path: &str, secret: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let key = format!("Authorization: Bearer {secret}");
    request("POST", path, &[&key, "Content-Type: application/json"], body)
}

pub fn get(path: &str, secret: &str) -> Vec<u8> {
    let key = format!("Authorization: Bearer {secret}");
    let headers: &[&str] = if secret.is_empty() { &[] } else { &[&key] };
    format!("GET {path} HTTP/1.1\r\nHost: gateway\r\n{}\r\n", lines(headers)).into_bytes()
}

/// Any request with whole header lines; its length is added.
pub fn request(method: &str, path: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: gateway\r\n{}Content-Length: {}\r\n\r\n",
        lines(headers),
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn lines(headers: &[&str]) -> String {
    headers.iter().map(|header| format!("{header}\r\n")).collect()
}

/// The head of a request or an answer.
#[derive(Clone, Debug)]
pub struct Head {
    raw: Bytes,
}

impl Head {
    pub fn parse(bytes: &[u8]) -> Head {
        Head { raw: Bytes::copy_from_slice(bytes) }
    }

    pub fn first_line(&self) -> &str {
        self.text().split("\r\n").next().unwrap_or_default()
    }

    /// The status; 0 for a request.
    pub fn status(&self) -> u16 {
        self.first_line().split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let pair = |line: &'_ str| line.split_once(':').map(|(name, _)| name.len());
        self.text().split("\r\n").skip(1).filter_map(move |line| {
            let at = pair(line)?;
            Some((&line[..at], line[at + 1..].trim()))
        })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The names of all headers, in lower case, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.headers().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.raw).expect("heads are text")
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub head: Head,
    /// The chunks as they came, or the body in one piece.
    pub pieces: Vec<Bytes>,
    /// False if the connection ended before the body did.
    pub whole: bool,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    pub fn body(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body()).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body()) {
            Ok(value) => value,
            Err(error) => panic!("{error}: {} {}", self.head.text(), self.text()),
        }
    }

    /// The error's code; empty where there is none.
    pub fn code(&self) -> String {
        let value: Value = serde_json::from_slice(&self.body()).unwrap_or_default();
        value["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The events of a stream, without their blank lines.
    pub fn events(&self) -> Vec<String> {
        let text = self.text();
        text.split("\n\n").filter(|event| !event.is_empty()).map(str::to_owned).collect()
    }

    /// The content of a chat answer, streamed or not.
    pub fn content(&self) -> String {
        let value: Value = serde_json::from_slice(&self.body()).unwrap_or_default();
        if let Some(content) = value["choices"][0]["message"]["content"].as_str() {
            return content.to_owned();
        }
        let data = |event: &String| serde_json::from_str::<Value>(event.strip_prefix("data: ")?).ok();
        let events = self.events();
        let parsed = events.iter().filter_map(data);
        parsed.filter_map(|event| Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned())).collect()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status(), status, "{}\n{}", self.head.text(), self.text());
        self
    }
}

/// One connection to the gateway.
pub struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
    /// How the body that is being read is framed.
    framing: Framing,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Framing {
    Length(usize),
    Chunked,
    ToTheEnd,
    Done,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address).await.expect("somebody listens");
        stream.set_nodelay(true).expect("a socket can");
        Connection { stream, buffer: BytesMut::new(), framing: Framing::Done }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(PATIENCE, "the gateway reads", self.stream.write_all(bytes.as_ref())).await.expect("it can be written");
    }

    /// Sends what the other side may not want to read to its end.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        within(PATIENCE, "the gateway reads", self.stream.write_all(bytes.as_ref())).await.is_ok()
    }

    /// The next head, interim ones included.
    pub async fn any_head(&mut self) -> Head {
        let end = loop {
            if let Some(end) = head_end(&self.buffer) {
                break end;
            }
            assert!(self.more().await, "the connection ended before a head: {:?}", self.buffer);
        };
        let head = Head::parse(&self.buffer.split_to(end));
        self.framing = match (head.status(), head.header("transfer-encoding"), head.header("content-length")) {
            (100..200 | 204 | 304, ..) => Framing::Done,
            (_, Some(_), _) => Framing::Chunked,
            (_, None, Some(length)) => Framing::Length(length.parse().expect("a number")),
            (_, None, None) => Framing::ToTheEnd,
        };
        head
    }

    /// The next final head.
    pub async fn head(&mut self) -> Head {
        for _ in 0..10 {
            let head = self.any_head().await;
            if head.status() >= 200 {
                return head;
            }
        }
        panic!("one interim answer after another")
    }

    /// The next piece of the body: a chunk, or what there is of a body of known length. `Ok(None)`: it is whole;
    /// `Err`: it broke off.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, BrokenOff> {
        match self.framing {
            Framing::Done | Framing::Length(0) => Ok(None),
            Framing::Length(left) => {
                if self.buffer.is_empty() && !self.more().await {
                    return Err(BrokenOff);
                }
                let piece = self.buffer.split_to(self.buffer.len().min(left)).freeze();
                self.framing = Framing::Length(left - piece.len());
                Ok(Some(piece))
            }
            Framing::ToTheEnd => {
                if self.buffer.is_empty() && !self.more().await {
                    self.framing = Framing::Done;
                    return Ok(None);
                }
                Ok(Some(self.buffer.split().freeze()))
            }
            Framing::Chunked => self.chunk().await,
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, BrokenOff> {
        let line_end = loop {
            match memchr::memmem::find(&self.buffer, b"\r\n") {
                Some(at) => break at,
                None if self.more().await => {}
                None => return Err(BrokenOff),
            }
        };
        let line = std::str::from_utf8(&self.buffer[..line_end]).expect("a chunk's length is text");
        let length = usize::from_str_radix(line.trim(), 16).expect("a chunk's length");
        while self.buffer.len() < line_end + 2 + length + 2 {
            if !self.more().await {
                return Err(BrokenOff);
            }
        }
        self.buffer.advance(line_end + 2);
        let piece = self.buffer.split_to(length).freeze();
        self.buffer.advance(2);
        if length == 0 {
            self.framing = Framing::Done;
            return Ok(None);
        }
        Ok(Some(piece))
    }

    /// Everything that is left of the body.
    pub async fn rest(&mut self, head: Head) -> Answer {
        let mut pieces = Vec::new();
        loop {
            match self.piece().await {
                Ok(Some(piece)) => pieces.push(piece),
                Ok(None) => return Answer { head, pieces, whole: true },
                Err(BrokenOff) => return Answer { head, pieces, whole: false },
            }
        }
    }

    pub async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        self.rest(head).await
    }

    /// Waits until the other side has closed; what it still sends is thrown away.
    pub async fn closed(&mut self) {
        while self.more().await {
            self.buffer.clear();
        }
    }

    /// Whether the other side closes without a word, within `time`.
    pub async fn is_closed_within(&mut self, time: Duration) -> bool {
        matches!(tokio::time::timeout(time, self.more()).await, Ok(false))
    }

    /// Whether nothing has come so far and the connection is open, for as long as `time`.
    pub async fn is_silent_for(&mut self, time: Duration) -> bool {
        self.buffer.is_empty() && tokio::time::timeout(time, self.stream.readable()).await.is_err()
    }

    /// Says that nothing more will be sent.
    pub async fn finish_sending(&mut self) {
        self.stream.shutdown().await.expect("it is open");
    }

    /// Ends the connection without a goodbye.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("a socket can");
    }

    /// False when the other side has closed.
    async fn more(&mut self) -> bool {
        self.buffer.reserve(64 * 1024);
        let read = within(PATIENCE, "the gateway answers", self.stream.read_buf(&mut self.buffer)).await;
        matches!(read, Ok(1..))
    }
}

/// A body that ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenOff;

/// Behind the blank line.
pub fn head_end(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// HTTP/2 with prior knowledge.
pub fn http2() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().http2_prior_knowledge().timeout(PATIENCE * 2).build().expect("a client")
}

/// Ordinary HTTP/1.1 with a pool of connections.
pub fn http1() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().http1_only().timeout(PATIENCE * 2).build().expect("a client")
}
