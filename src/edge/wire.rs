//! HTTP/1.1 on one connection to an upstream: a request goes out, its answer comes in, piece by piece.
//!
//! Pingora connects and keeps TLS; the protocol on top is ours, because its client session writes a head and a body in
//! two packets, copies each piece of an answer, and keeps every header of it, where a gateway looks at six. Framing
//! follows RFC 9112, section 6.3, and where that leaves a choice it is refused: a body whose end two readers could see
//! in different places is no answer.
//!
//! Always true: what is read and not yet given on is bounded; a connection is given back only after a whole answer with
//! nothing behind it; each future may be dropped and asked for again, and loses nothing.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use pingora_http::ResponseHeader;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer;

/// Why there is no more of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Nothing at all came back.
    Unanswered,
    /// It ended before its end.
    Cut,
    /// It is no HTTP/1 that can be read in one way only.
    Malformed,
}

pub struct Wire<S> {
    stream: S,
    unsent: VecDeque<Bytes>,
    is_flushed: bool,
    /// Read, and not yet understood.
    unread: BytesMut,
    framing: Framing,
    interim_heads: u8,
    keep: Keep,
}

/// Where the answer's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// There has been no head.
    Unknown,
    Length(u64),
    Chunks(Chunk),
    UntilClose,
    Ended,
    Malformed,
}

/// The next thing to come, in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Size,
    Data(u64),
    DataEnd,
    Trailer { bytes: usize },
}

/// Whether the connection may carry another request, and for how long it may wait for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    No,
    Yes(Option<Duration>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub fn new(stream: S) -> Wire<S> {
        Wire {
            stream,
            unsent: VecDeque::new(),
            is_flushed: true,
            unread: BytesMut::new(),
            framing: Framing::Unknown,
            interim_heads: 0,
            keep: Keep::Yes(None),
        }
    }

    /// What is to be sent, as soon as an answer is waited for. Small pieces share packets with their neighbours.
    pub fn ask(&mut self, head: Vec<u8>, body: Vec<Bytes>) {
        self.is_flushed = false;
        let mut joined = head;
        for piece in body {
            if joined.len().saturating_add(piece.len()) <= JOINED_BYTES_MAX {
                joined.extend_from_slice(&piece);
                continue;
            }
            self.unsent.push_back(std::mem::take(&mut joined).into());
            self.unsent.push_back(piece);
        }
        self.unsent.push_back(joined.into());
    }

    /// The head of the answer, of which only what decides something is kept. Heads that announce it (100, 102, 103) are
    /// read over; the one too many is given on.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn head(&mut self) -> Result<ResponseHeader, Broken> {
        let mut looked_at = 0;
        loop {
            while let Some(end) = head_end(&self.unread, looked_at) {
                if end > HEAD_BYTES_MAX {
                    return Err(Broken::Malformed);
                }
                let head = self.read_head(end)?;
                self.unread.advance(end);
                looked_at = 0;
                if !head.status.is_informational() || head.status == 101 || self.interim_heads == INTERIM_HEADS_MAX {
                    return Ok(head);
                }
                self.interim_heads += 1;
            }
            looked_at = self.unread.len().saturating_sub(2);
            if self.unread.len() > HEAD_BYTES_MAX {
                return Err(Broken::Malformed);
            }
            let nothing_yet = self.unread.is_empty() && self.interim_heads == 0;
            if self.fill().await.map_err(|_| if nothing_yet { Broken::Unanswered } else { Broken::Cut })? == 0 {
                return Err(if nothing_yet { Broken::Unanswered } else { Broken::Cut });
            }
        }
    }

    /// The next piece of the body, as it comes, and whether it is the last. The last may be empty.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn piece(&mut self) -> Result<(Bytes, bool), Broken> {
        loop {
            let piece = self.take()?;
            let ended = self.framing == Framing::Ended;
            if ended || !piece.is_empty() {
                return Ok((piece, ended));
            }
            if self.fill().await.map_err(|_| Broken::Cut)? == 0 {
                if self.framing != Framing::UntilClose {
                    return Err(Broken::Cut);
                }
                self.framing = Framing::Ended;
            }
        }
    }

    /// The connection, if another request may be sent on it, and how long the upstream keeps it for one.
    pub fn reusable(self) -> Option<(S, Option<Duration>)> {
        let is_clean = self.framing == Framing::Ended && self.unread.is_empty() && self.is_sent();
        match self.keep {
            Keep::Yes(patience) if is_clean => Some((self.stream, patience)),
            _ => None,
        }
    }

    fn is_sent(&self) -> bool {
        self.unsent.is_empty() && self.is_flushed
    }

    /// Reads some more, and sends on meanwhile: an upstream may answer before it has heard everything.
    async fn fill(&mut self) -> io::Result<usize> {
        std::future::poll_fn(|cx| {
            if !self.is_sent()
                && let Poll::Ready(Err(_)) = self.poll_send(cx)
            {
                // What it said before it hung up can still be read.
                self.unsent.clear();
                self.is_flushed = true;
                self.keep = Keep::No;
            }
            // On the stack, so that a stream that waits keeps no room for what may come.
            let mut room = [MaybeUninit::uninit(); READ_BYTES];
            let mut read = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            self.unread.extend_from_slice(read.filled());
            Poll::Ready(Ok(read.filled().len()))
        })
        .await
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(next) = self.unsent.front_mut() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, next))?;
            if sent == 0 && !next.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            next.advance(sent);
            if next.is_empty() {
                self.unsent.pop_front();
            }
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.is_flushed = true;
        Poll::Ready(Ok(()))
    }

    /// Understands the head that ends at `end`.
    fn read_head(&mut self, end: usize) -> Result<ResponseHeader, Broken> {
        let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut []);
        let mut rules = httparse::ParserConfig::default();
        rules.allow_spaces_after_header_name_in_responses(true);
        rules
            .parse_response_with_uninit_headers(&mut parsed, &self.unread[..end], &mut slots)
            .ok()
            .filter(httparse::Status::is_complete)
            .ok_or(Broken::Malformed)?;
        let (Some(status), Some(version)) = (parsed.code, parsed.version) else { return Err(Broken::Malformed) };
        let known = StatusCode::from_u16(status).map_err(|_| Broken::Malformed)?;
        let mut fields = HeaderMap::with_capacity(KEPT.len() + 1);
        let mut length = None;
        let mut codings = 0;
        let mut keep = if version == 1 { Keep::Yes(None) } else { Keep::No };
        for header in parsed.headers.iter() {
            let (name, value) = (header.name, header.value);
            if name.eq_ignore_ascii_case("content-length") {
                let announced = content_length(value).ok_or(Broken::Malformed)?;
                if length.replace(announced).is_some_and(|before| before != announced) {
                    return Err(Broken::Malformed);
                }
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                // We asked for no coding; "chunked" alone tells where the body ends.
                codings += 1;
                if codings > 1 || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Broken::Malformed);
                }
            } else if name.eq_ignore_ascii_case("connection") {
                keep = keep.told(value);
            } else if name.eq_ignore_ascii_case("keep-alive") {
                keep = keep.limited(value);
            } else if let Some(kept) = KEPT.iter().find(|kept| name.eq_ignore_ascii_case(kept.as_str())) {
                let value = HeaderValue::from_bytes(value).map_err(|_| Broken::Malformed)?;
                fields.append(kept, value);
            }
        }
        self.framing = match (status, codings, length) {
            (100..=199, ..) => Framing::Unknown,
            (204 | 304, ..) => Framing::Ended,
            (_, 1, length) => {
                // Somebody on the way was of another opinion about where it ends.
                if length.is_some() || version == 0 {
                    keep = Keep::No;
                }
                Framing::Chunks(Chunk::Size)
            }
            (_, _, Some(0)) => Framing::Ended,
            (_, _, Some(length)) => Framing::Length(length),
            (_, _, None) => Framing::UntilClose,
        };
        if let Some(length) = length.filter(|_| matches!(self.framing, Framing::Length(_) | Framing::Ended)) {
            fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        if self.framing == Framing::UntilClose || self.keep == Keep::No {
            keep = Keep::No;
        }
        self.keep = keep;
        Ok(answer::head(known, fields))
    }

    /// What there is of the body in what was read.
    fn take(&mut self) -> Result<Bytes, Broken> {
        match &mut self.framing {
            Framing::Length(left) => {
                let here = self.unread.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= here as u64;
                if *left == 0 {
                    self.framing = Framing::Ended;
                }
                Ok(self.take_bytes(here).freeze())
            }
            Framing::Chunks(_) => self.take_chunks(),
            Framing::UntilClose => Ok(std::mem::take(&mut self.unread).freeze()),
            Framing::Unknown | Framing::Ended => Ok(Bytes::new()),
            Framing::Malformed => Err(Broken::Malformed),
        }
    }

    /// The data of all chunks that are here, as one piece. What comes before a malformed one was still an answer.
    fn take_chunks(&mut self) -> Result<Bytes, Broken> {
        let (mut at, mut data) = (0, 0..0);
        while let Framing::Chunks(next) = self.framing {
            match self.step(next, &mut at, &mut data) {
                Ok(Some(framing)) => self.framing = framing,
                Ok(None) => break,
                Err(_) => self.framing = Framing::Malformed,
            }
        }
        let mut taken = self.take_bytes(at);
        taken.truncate(data.end);
        taken.advance(data.start);
        match self.framing {
            Framing::Malformed if taken.is_empty() => Err(Broken::Malformed),
            // Whoever keeps a little data must not keep a lot of framing with it.
            _ if taken.len() < at / 4 => Ok(Bytes::copy_from_slice(&taken)),
            _ => Ok(taken.freeze()),
        }
    }

    /// So many from the beginning. All of them leave nothing behind, no room either.
    fn take_bytes(&mut self, count: usize) -> BytesMut {
        if count == self.unread.len() { std::mem::take(&mut self.unread) } else { self.unread.split_to(count) }
    }

    /// One step over a chunked body: `at` is how far it is understood, `data` what of that is data, moved together in
    /// place. What comes next, if enough is here.
    fn step(&mut self, next: Chunk, at: &mut usize, data: &mut Range<usize>) -> Result<Option<Framing>, Broken> {
        let bytes = &mut self.unread;
        let line_max = match next {
            Chunk::Size => CHUNK_LINE_BYTES_MAX,
            Chunk::Trailer { bytes: before } => TRAILER_BYTES_MAX.saturating_sub(before),
            Chunk::DataEnd | Chunk::Data(_) => 0,
        };
        if let Chunk::Data(left) = next {
            let here = (bytes.len() - *at).min(usize::try_from(left).unwrap_or(usize::MAX));
            if here == 0 {
                return Ok(None);
            }
            if data.start == data.end {
                *data = *at..*at;
            } else {
                bytes.copy_within(*at..*at + here, data.end);
            }
            data.end += here;
            *at += here;
            let left = left - here as u64;
            return Ok(Some(Framing::Chunks(if left == 0 { Chunk::DataEnd } else { Chunk::Data(left) })));
        }
        let Some(line) = line(&bytes[*at..], line_max)? else { return Ok(None) };
        *at += line.len() + 2;
        Ok(Some(match next {
            Chunk::Trailer { .. } if line.is_empty() => Framing::Ended,
            Chunk::Trailer { bytes: before } => Framing::Chunks(Chunk::Trailer { bytes: before + line.len() }),
            Chunk::Size => match chunk_size(line).ok_or(Broken::Malformed)? {
                0 => Framing::Chunks(Chunk::Trailer { bytes: 0 }),
                size => Framing::Chunks(Chunk::Data(size)),
            },
            Chunk::DataEnd | Chunk::Data(_) => Framing::Chunks(Chunk::Size),
        }))
    }
}

impl Keep {
    /// What a `Connection` header makes of it.
    fn told(self, value: &[u8]) -> Keep {
        let mut keep = self;
        for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if token.eq_ignore_ascii_case(b"close") {
                return Keep::No;
            }
            if token.eq_ignore_ascii_case(b"keep-alive") && keep == Keep::No {
                keep = Keep::Yes(None);
            }
        }
        keep
    }

    /// `Keep-Alive: timeout=5, max=1000`
    fn limited(self, value: &[u8]) -> Keep {
        let Keep::Yes(_) = self else { return self };
        let seconds = value.split(|byte| *byte == b',').find_map(|pair| {
            let seconds = pair.trim_ascii().strip_prefix(b"timeout=")?;
            std::str::from_utf8(seconds).ok()?.trim().parse().ok()
        });
        Keep::Yes(seconds.map(Duration::from_secs))
    }
}

/// Where a head ends that may begin at the beginning: behind its empty line. `from`: what was looked at before.
fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes.get(from..)?).map(|at| from + at).find_map(|at| match &bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// Digits only; a list of equal numbers is one of them.
fn content_length(value: &[u8]) -> Option<u64> {
    let mut numbers = value.split(|byte| *byte == b',').map(|number| {
        let digits = number.trim_ascii();
        let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(digits).ok().filter(|_| plain)?.parse::<u64>().ok()
    });
    let first = numbers.next()??;
    numbers.all(|number| number == Some(first)).then_some(first)
}

/// The line that begins here, without its end; `None` while that has not come.
fn line(bytes: &[u8], bytes_max: usize) -> Result<Option<&[u8]>, Broken> {
    let looked_at = &bytes[..bytes.len().min(bytes_max.saturating_add(2))];
    match memchr::memchr(b'\n', looked_at) {
        Some(end) if end > 0 && bytes[end - 1] == b'\r' => Ok(Some(&bytes[..end - 1])),
        Some(_) => Err(Broken::Malformed),
        None if looked_at.len() > bytes_max + 1 => Err(Broken::Malformed),
        None => Ok(None),
    }
}

/// Hexadecimal digits, and an extension that nobody needs.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    digits.iter().try_fold(0u64, |size, digit| Some(size << 4 | u64::from(char::from(*digit).to_digit(16)?)))
}

/// What of a head means something to the filters, besides its length.
static KEPT: [HeaderName; 3] = [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::RETRY_AFTER];
/// An upstream that says more often that an answer will come is taken at its word no longer.
const INTERIM_HEADS_MAX: u8 = 16;
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 128;
const CHUNK_LINE_BYTES_MAX: usize = 1_024;
const TRAILER_BYTES_MAX: usize = 8 * 1_024;
/// A piece up to this size is copied to share a packet: that costs less than a packet.
const JOINED_BYTES_MAX: usize = 64 * 1024;
/// As much as Pingora's own buffer below, which is passed by then and takes no memory.
const READ_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests;
