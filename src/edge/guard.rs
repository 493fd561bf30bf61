//! The strict front door before Pingora's lenient one.
//!
//! Pingora is a framework: on its defaults it accepts bare line feeds, heads of 900 KB, a Content-Length beside chunks,
//! HTTP/1.1 without a Host, and a head that takes for ever (cloudflare/pingora#945 and its own FIXMEs). Two parsers that
//! read the same bytes differently are how requests are smuggled, so every HTTP/1 head is seen whole and judged here,
//! byte by byte, before Pingora sees any of it. What does not pass is answered and closed.
//!
//! Always true: at most [`HEAD_BYTES_MAX`] are remembered per connection; a head arrives within its deadline or the
//! connection ends, however slowly its bytes trickle.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Sleep;

use super::answer;
use super::guard_chunks::Chunks;
use super::guard_rules::{Verdict, judge};

tokio::task_local! {
    /// The connection that an HTTP/1 request came over, for the filters of that request.
    pub static CONNECTION: Arc<Connection>;
}

/// What the filters tell the door.
#[derive(Debug, Default)]
pub struct Connection {
    /// The request is over, with nothing of it left unread: what comes next is another head.
    next_head: AtomicBool,
}

impl Connection {
    pub fn expect_head(&self) {
        self.next_head.store(true, Ordering::Release);
    }
}

/// A client's connection, plain or TLS, with the door in it.
pub struct Guarded<S> {
    stream: S,
    about: About,
    connection: Arc<Connection>,
    header_timeout: Duration,
    state: State,
}

/// What Pingora asks of a connection besides its bytes.
pub struct About {
    pub socket: Arc<SocketDigest>,
    pub id: UniqueIDType,
    pub tls: Option<Arc<SslDigest>>,
    pub alpn: Option<ALPN>,
}

enum State {
    Head {
        bytes: BytesMut,
        deadline: Option<Pin<Box<Sleep>>>,
    },
    /// Judged; Pingora may have it.
    Deliver {
        bytes: BytesMut,
        at: usize,
        chunks: Option<Chunks>,
    },
    /// A body, of which only chunk lines are looked at, or HTTP/2.
    Flow {
        chunks: Option<Chunks>,
    },
    Refuse {
        answer: Vec<u8>,
        at: usize,
    },
    /// The answer is out; what the client still sends is taken and thrown away for a moment, because closing with unread
    /// bytes would reset the connection and take the answer with it.
    Linger {
        bytes_left: usize,
        deadline: Pin<Box<Sleep>>,
    },
    Closed,
}

impl<S> Guarded<S> {
    pub fn new(stream: S, about: About, connection: Arc<Connection>, header_timeout: Duration) -> Self {
        // HTTP/2 over TLS was agreed on; there is no head to judge.
        let state = match about.alpn {
            Some(ALPN::H2) => State::Flow { chunks: None },
            _ => State::Head { bytes: BytesMut::new(), deadline: Some(Box::pin(tokio::time::sleep(header_timeout))) },
        };
        Guarded { stream, about, connection, header_timeout, state }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guarded<S> {
    /// Goes on until the head is whole, refused, or more bytes are needed.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let State::Head { bytes, deadline } = &mut self.state else { return Poll::Ready(Ok(())) };
        loop {
            if let Some(sleep) = deadline
                && sleep.as_mut().poll(cx).is_ready()
            {
                self.state = if bytes.is_empty() { State::Closed } else { State::refuse(Verdict::TooSlow) };
                return Poll::Ready(Ok(()));
            }
            let judged_before = bytes.len().saturating_sub(3);
            bytes.reserve(READ_BYTES);
            if ready!(pin!(self.stream.read_buf(bytes)).poll(cx))? == 0 {
                self.state = State::Closed;
                return Poll::Ready(Ok(()));
            }
            match judge(bytes, judged_before) {
                Verdict::Incomplete => {
                    // From its first byte on; most heads come whole, and need no timer.
                    deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.header_timeout)));
                }
                verdict => {
                    self.state = match passed(verdict, bytes) {
                        Ok(chunks) => State::Deliver { bytes: std::mem::take(bytes), at: 0, chunks },
                        Err(refused) => State::refuse(refused),
                    };
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// The first bytes of a later head, read to where Pingora wants them. True: the head was whole, as most are, and stays
    /// there.
    fn poll_whole_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let bytes = &buf.filled()[before..];
        if bytes.is_empty() {
            self.state = State::Closed;
            return Poll::Ready(Ok(false));
        }
        self.state = match judge(bytes, 0) {
            Verdict::Incomplete => {
                let deadline = Some(Box::pin(tokio::time::sleep(self.header_timeout)));
                State::Head { bytes: bytes.into(), deadline }
            }
            verdict => match passed(verdict, bytes) {
                Ok(chunks) => {
                    self.state = State::Flow { chunks };
                    return Poll::Ready(Ok(true));
                }
                Err(refused) => State::refuse(refused),
            },
        };
        buf.set_filled(before);
        Poll::Ready(Ok(false))
    }

    fn poll_refuse(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let State::Refuse { answer, at } = &mut self.state else { return Poll::Ready(Ok(())) };
        while *at < answer.len() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &answer[*at..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *at += written;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        self.state = State::Linger { bytes_left: LINGER_BYTES_MAX, deadline: Box::pin(tokio::time::sleep(LINGER_MAX)) };
        Poll::Ready(Ok(()))
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let State::Linger { bytes_left, deadline } = &mut self.state else { return Poll::Ready(Ok(())) };
        while *bytes_left > 0 && deadline.as_mut().poll(cx).is_pending() {
            let mut chunk = [0u8; READ_BYTES];
            let mut read = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                break;
            }
            *bytes_left = bytes_left.saturating_sub(read.filled().len());
        }
        self.state = State::Closed;
        Poll::Ready(Ok(()))
    }
}

/// How the body behind a head is to be watched, of which `bytes` hold the beginning.
fn passed(verdict: Verdict, bytes: &[u8]) -> Result<Option<Chunks>, Verdict> {
    match verdict {
        Verdict::Http2 => Ok(None),
        Verdict::Pass { head_bytes, chunked } => {
            let mut chunks = chunked.then(Chunks::default);
            judge_body(&mut chunks, &bytes[head_bytes..])
                .map_err(|_| Verdict::Malformed("The body's chunks are malformed."))?;
            Ok(chunks)
        }
        refused => Err(refused),
    }
}

/// An error here reaches whoever reads the body, who answers 400.
fn judge_body(chunks: &mut Option<Chunks>, bytes: &[u8]) -> io::Result<()> {
    match chunks {
        Some(chunks) => chunks.feed(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData)),
        None => Ok(()),
    }
}

impl State {
    fn refuse(verdict: Verdict) -> State {
        match verdict.to_api_error() {
            Some(error) => State::Refuse { answer: answer::raw_refusal(&error), at: 0 },
            None => State::Closed,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Flow { chunks } => {
                    if this.connection.next_head.swap(false, Ordering::AcqRel) {
                        this.state = State::Head { bytes: BytesMut::new(), deadline: None };
                        continue;
                    }
                    let before = buf.filled().len();
                    ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
                    return Poll::Ready(judge_body(chunks, &buf.filled()[before..]));
                }
                State::Head { bytes, deadline: None } if bytes.is_empty() && buf.remaining() > 0 => {
                    if ready!(this.poll_whole_head(cx, buf))? {
                        return Poll::Ready(Ok(()));
                    }
                }
                State::Head { .. } => ready!(this.poll_head(cx))?,
                State::Deliver { bytes, at, chunks } => {
                    let rest = bytes.get(*at..).unwrap_or_default();
                    let taken = rest.len().min(buf.remaining());
                    buf.put_slice(&rest[..taken]);
                    *at += taken;
                    if *at == bytes.len() {
                        this.state = State::Flow { chunks: *chunks };
                    }
                    return Poll::Ready(Ok(()));
                }
                State::Refuse { .. } => ready!(this.poll_refuse(cx))?,
                State::Linger { .. } => ready!(this.poll_linger(cx))?,
                State::Closed => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Peek for Guarded<S> {
    /// Pingora looks for HTTP/2's preface here. The head is judged first, so what is shown is whole and bounded.
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        if self.about.tls.is_some() {
            return Ok(false);
        }
        std::future::poll_fn(|cx| {
            loop {
                match &self.state {
                    State::Head { .. } => ready!(self.poll_head(cx))?,
                    State::Refuse { .. } => ready!(self.poll_refuse(cx))?,
                    State::Linger { .. } => ready!(self.poll_linger(cx))?,
                    _ => return Poll::Ready(Ok::<(), io::Error>(())),
                }
            }
        })
        .await?;
        match &self.state {
            State::Deliver { bytes, at: 0, .. } => {
                let shown = bytes.len().min(buf.len());
                buf[..shown].copy_from_slice(&bytes[..shown]);
                Ok(true)
            }
            _ => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Shutdown for Guarded<S> {
    async fn shutdown(&mut self) {
        // The connection is going away either way.
        let _ = AsyncWriteExt::shutdown(&mut self.stream).await;
    }
}

impl<S> UniqueID for Guarded<S> {
    fn id(&self) -> UniqueIDType {
        self.about.id
    }
}

impl<S> Ssl for Guarded<S> {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.about.tls.clone()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.about.alpn.clone()
    }
}

impl<S> GetTimingDigest for Guarded<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl<S> GetProxyDigest for Guarded<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl<S> GetSocketDigest for Guarded<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.about.socket.clone())
    }
}

impl<S> fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("id", &self.about.id).finish_non_exhaustive()
    }
}

const READ_BYTES: usize = 4 * 1024;
const LINGER_BYTES_MAX: usize = 256 * 1024;
const LINGER_MAX: Duration = Duration::from_secs(1);
