//! Collects what is written until it is flushed.
//!
//! Pingora writes a head, a chunk's size, its data and its end one by one, and flushes when they belong together: one
//! packet then, and one TLS record. As tokio's `BufWriter`, but a connection that waits keeps no room: most do, for the
//! next event or the next request.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub struct Cork<S> {
    stream: S,
    held: Vec<u8>,
    /// How much of it has been written.
    written: usize,
}

impl<S> Cork<S> {
    pub fn new(stream: S) -> Cork<S> {
        Cork { stream, held: Vec::new(), written: 0 }
    }
}

impl<S: AsyncWrite + Unpin> Cork<S> {
    fn poll_let_go(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.held.len() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.held[self.written..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        (self.held, self.written) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cork<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.held.len().saturating_add(bytes.len()) > HELD_BYTES_MAX {
            ready!(this.poll_let_go(cx))?;
        }
        if bytes.len() > HELD_BYTES_MAX {
            return Pin::new(&mut this.stream).poll_write(cx, bytes);
        }
        if this.held.is_empty() {
            this.held.reserve(bytes.len().max(HELD_BYTES_USUAL));
        }
        this.held.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_let_go(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_let_go(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Cork<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, bytes)
    }
}

/// More than this is worth a packet of its own.
const HELD_BYTES_MAX: usize = 16 * 1024;
/// A head, or an event with its chunk's lines.
const HELD_BYTES_USUAL: usize = 512;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn parts_leave_together_when_they_are_flushed() {
        let (ours, mut theirs) = duplex(1 << 20);
        let mut cork = Cork::new(ours);
        cork.write_all(b"a").await.unwrap();
        cork.write_all(b"b").await.unwrap();
        let mut read = [0; 8];
        let early = tokio::time::timeout(std::time::Duration::from_millis(20), theirs.read(&mut read)).await;
        assert!(early.is_err(), "nothing was flushed");
        cork.flush().await.unwrap();
        assert_eq!(theirs.read(&mut read).await.unwrap(), 2);
        assert_eq!(cork.held.capacity(), 0, "no room is kept");
        cork.write_all(b"c").await.unwrap();
        cork.shutdown().await.unwrap();
        assert_eq!(theirs.read(&mut read).await.unwrap(), 1);
        assert_eq!(theirs.read(&mut read).await.unwrap(), 0);
    }

    proptest! {
        #[test]
        fn all_bytes_arrive_in_order(
            sizes in proptest::collection::vec((0usize..40_000, any::<bool>()), 0..12),
            pipe in 1usize..5_000,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (sent, got) = runtime.block_on(async {
                let (ours, mut theirs) = duplex(pipe);
                let reading = tokio::spawn(async move {
                    let mut got = Vec::new();
                    theirs.read_to_end(&mut got).await.unwrap();
                    got
                });
                let mut cork = Cork::new(ours);
                let mut sent = Vec::new();
                for (number, (size, flushed)) in sizes.into_iter().enumerate() {
                    let bytes = vec![number as u8; size];
                    cork.write_all(&bytes).await.unwrap();
                    sent.extend(bytes);
                    if flushed {
                        cork.flush().await.unwrap();
                    }
                }
                cork.shutdown().await.unwrap();
                drop(cork);
                (sent, reading.await.unwrap())
            });
            prop_assert_eq!(sent, got);
        }
    }
}
