//! The client: HTTP/1.1 by hand, since a library's own cost and delays would be measured as the gateway's.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Where to ask, and as whom.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    /// Empty: without one.
    pub key: String,
}

impl Target {
    /// A small request, ready to be sent. `words` go into the question, where the mock looks for its orders.
    pub fn question(&self, stream: bool, words: &str) -> Vec<u8> {
        self.post(&format!(
            r#"{{"model":"load-model","stream":{stream},"max_tokens":256,"messages":[{{"role":"user","content":"{QUESTION} {words}"}}]}}"#
        ))
    }

    /// A request with a picture of about so many bytes.
    pub fn picture(&self, bytes: usize) -> Vec<u8> {
        let data = "iVBORw0KGgoAAAANSUhEUg+/".repeat(bytes / 24);
        self.post(&format!(
            r#"{{"model":"load-model","max_tokens":256,"messages":[{{"role":"user","content":[{{"type":"text","text":"{QUESTION}"}},{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}]}}]}}"#
        ))
    }

    fn post(&self, body: &str) -> Vec<u8> {
        let (address, key, length) = (self.address, &self.key, body.len());
        let authorization = if key.is_empty() { String::new() } else { format!("authorization: Bearer {key}\r\n") };
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             {authorization}content-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    pub async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: Vec::with_capacity(16 * 1024) })
    }
}

/// A connection that is kept.
pub struct Connection {
    stream: TcpStream,
    /// Read, and not yet used.
    buffer: Vec<u8>,
}

/// How an answer's end is known.
enum Framing {
    Length(usize),
    Chunked,
}

impl Connection {
    /// Asks and reads the whole answer, each piece of whose body goes to `on_piece`. Gives the status.
    pub async fn ask(&mut self, request: &[u8], mut on_piece: impl FnMut(&[u8])) -> Result<u16> {
        self.stream.write_all(request).await?;
        let (status, framing) = self.head().await?;
        match framing {
            Framing::Length(bytes) => self.bytes(bytes, &mut on_piece).await?,
            Framing::Chunked => self.chunks(&mut on_piece).await?,
        }
        Ok(status)
    }

    async fn head(&mut self) -> Result<(u16, Framing)> {
        let end = loop {
            match memmem::find(&self.buffer, b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.read().await?,
            }
        };
        let head = std::str::from_utf8(&self.buffer[..end])?.to_ascii_lowercase();
        self.buffer.drain(..end);
        let status =
            head.get(9..12).and_then(|status| status.parse().ok()).context("no status in the answer's head")?;
        let header = |name| head.lines().filter_map(|line| line.split_once(": ")).find(|header| header.0 == name);
        let framing = match (header("content-length"), header("transfer-encoding")) {
            (Some((_, length)), _) => Framing::Length(length.parse()?),
            (None, Some((_, "chunked"))) => Framing::Chunked,
            _ => bail!("the answer's end cannot be known: {head}"),
        };
        Ok((status, framing))
    }

    async fn bytes(&mut self, mut left: usize, on_piece: &mut impl FnMut(&[u8])) -> Result<()> {
        while left > 0 {
            if self.buffer.is_empty() {
                self.read().await?;
            }
            let taken = left.min(self.buffer.len());
            on_piece(&self.buffer[..taken]);
            self.buffer.drain(..taken);
            left -= taken;
        }
        Ok(())
    }

    async fn chunks(&mut self, on_piece: &mut impl FnMut(&[u8])) -> Result<()> {
        loop {
            let line = loop {
                match memmem::find(&self.buffer, b"\r\n") {
                    Some(line) => break line,
                    None => self.read().await?,
                }
            };
            let bytes = usize::from_str_radix(std::str::from_utf8(&self.buffer[..line])?, 16)?;
            self.buffer.drain(..line + 2);
            self.bytes(bytes, on_piece).await?;
            self.bytes(2, &mut |_: &[u8]| ()).await?;
            if bytes == 0 {
                return Ok(());
            }
        }
    }

    async fn read(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => bail!("the connection was closed inside an answer"),
            _ => Ok(()),
        }
    }
}

/// Counts events, however they are cut.
#[derive(Default)]
pub struct Events {
    pub count: u64,
    pub done: bool,
    after_line_feed: bool,
}

impl Events {
    pub fn feed(&mut self, piece: &[u8]) {
        for byte in piece {
            let line_feed = *byte == b'\n';
            // An event ends with an empty line.
            if line_feed && self.after_line_feed {
                self.count += 1;
            }
            self.after_line_feed = line_feed;
        }
        self.done |= memmem::find(piece, b"[DONE]").is_some();
    }
}

const QUESTION: &str = "What is the capital of France, and on which river does it lie? Answer in one sentence, please.";
