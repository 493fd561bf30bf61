//! Answers in every framing, cut into pieces at any place, and what is none.

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

/// What is read of an answer that comes in these pieces and then ends: its head, its body, and whether the connection
/// may be used again.
async fn read(pieces: Vec<Vec<u8>>) -> Result<(ResponseHeader, Vec<u8>, bool), Broken> {
    let (ours, mut theirs) = duplex(256);
    let upstream = tokio::spawn(async move {
        for piece in pieces {
            // Who read enough hangs up.
            let _ = theirs.write_all(&piece).await;
            tokio::task::yield_now().await;
        }
        theirs
    });
    let mut wire = Wire::new(ours);
    let read = tokio::spawn(async move {
        let head = wire.head().await?;
        let mut body = Vec::new();
        loop {
            let (piece, end) = wire.piece().await?;
            body.extend_from_slice(&piece);
            if end {
                break;
            }
        }
        Ok((head, body, wire.reusable().is_some()))
    });
    // The connection ends behind the answer.
    drop(upstream.await.unwrap());
    read.await.unwrap()
}

fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn whole(answer: &str) -> Result<(ResponseHeader, Vec<u8>, bool), Broken> {
    now(read(vec![answer.as_bytes().to_vec()]))
}

fn body(answer: &str) -> Result<(String, bool), Broken> {
    whole(answer).map(|(_, body, reusable)| (String::from_utf8(body).unwrap(), reusable))
}

fn got(text: &str, reusable: bool) -> Result<(String, bool), Broken> {
    Ok((text.to_owned(), reusable))
}

#[test]
fn each_framing_ends_where_it_says() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(body(length), got("abc", true));
    assert_eq!(body("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), got("", true));
    assert_eq!(body("HTTP/1.1 204 No Content\r\n\r\n"), got("", true));
    assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3, 3\r\n\r\nabc"), got("abc", true));
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;x=y\r\nab\r\n00a\r\n0123456789\r\n0\r\n";
    assert_eq!(body(&format!("{chunks}\r\n")), got("ab0123456789", true));
    assert_eq!(body(&format!("{chunks}x: y\r\nz: 1\r\n\r\n")), got("ab0123456789", true));
    assert_eq!(body("HTTP/1.1 200 OK\r\n\r\nto the end"), got("to the end", false));
    assert_eq!(body("HTTP/1.1 200\n\nbare"), got("bare", false));
}

#[test]
fn a_connection_is_used_again_only_if_both_sides_know_where_they_are() {
    let with = |head: &str, rest: &str| body(&format!("HTTP/1.{head}\r\nContent-Length: 1\r\n\r\na{rest}"));
    assert_eq!(with("1 200 OK", ""), got("a", true));
    assert_eq!(with("1 200 OK", "b"), got("a", false), "more came than was announced");
    assert_eq!(with("1 200 OK\r\nConnection: x, Close", ""), got("a", false));
    assert_eq!(with("0 200 OK", ""), got("a", false));
    assert_eq!(with("0 200 OK\r\nConnection: keep-alive", ""), got("a", true));
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    assert_eq!(body(both), got("a", false));
}

#[test]
fn an_upstream_says_how_long_it_keeps_a_connection() {
    let patience = |value: &[u8]| Keep::Yes(None).limited(value);
    assert_eq!(patience(b"timeout=5, max=100"), Keep::Yes(Some(Duration::from_secs(5))));
    assert_eq!(patience(b"max=100,timeout=0"), Keep::Yes(Some(Duration::ZERO)));
    assert_eq!(patience(b"timeout=-1"), Keep::Yes(None));
    assert_eq!(Keep::No.limited(b"timeout=5"), Keep::No);
}

#[test]
fn what_can_be_read_in_two_ways_is_no_answer() {
    let malformed = [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\na\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\na",
        "HTTP/2 200\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ];
    for answer in malformed {
        assert_eq!(whole(answer).map(|_| ()), Err(Broken::Malformed), "{answer}");
    }
    let many = "x: y\r\n".repeat(HEADERS_MAX + 1);
    assert_eq!(whole(&format!("HTTP/1.1 200 OK\r\n{many}\r\n")).map(|_| ()), Err(Broken::Malformed));
    let long = "y".repeat(HEAD_BYTES_MAX);
    assert_eq!(whole(&format!("HTTP/1.1 200 OK\r\nx: {long}\r\n\r\n")).map(|_| ()), Err(Broken::Malformed));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let line = "1;".to_owned() + &"x".repeat(CHUNK_LINE_BYTES_MAX);
    assert_eq!(whole(&format!("{chunked}{line}")).map(|_| ()), Err(Broken::Malformed));
    let trailer = "x: y\r\n".repeat(TRAILER_BYTES_MAX);
    assert_eq!(whole(&format!("{chunked}0\r\n{trailer}\r\n")).map(|_| ()), Err(Broken::Malformed));
}

#[test]
fn an_answer_that_ends_early_is_cut_and_one_that_never_began_is_unanswered() {
    assert_eq!(whole("").map(|_| ()), Err(Broken::Unanswered));
    for answer in [
        "HTTP/1.1 2",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    ] {
        assert_eq!(whole(answer).map(|_| ()), Err(Broken::Cut), "{answer}");
    }
}

#[test]
fn heads_that_announce_an_answer_are_read_over_up_to_a_point() {
    let early = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nRetry-After: 1\r\nServer: s\r\n\
                  Content-Length: 1\r\n\r\na";
    let (head, body, _) = whole(&(early.repeat(usize::from(INTERIM_HEADS_MAX)) + answer)).unwrap();
    assert_eq!((head.status.as_u16(), body.as_slice()), (200, &b"a"[..]));
    let mut kept: Vec<&str> = head.headers.keys().map(HeaderName::as_str).collect();
    kept.sort_unstable();
    assert_eq!(kept, ["content-length", "content-type", "retry-after"]);
    let (ours, mut theirs) = duplex(4_096);
    let status = now(async move {
        let flood = early.repeat(usize::from(INTERIM_HEADS_MAX) + 1) + answer;
        theirs.write_all(flood.as_bytes()).await.unwrap();
        Wire::new(ours).head().await.unwrap().status
    });
    assert_eq!(status, 103, "one too many");
}

/// A wire whose other end is ours.
fn wire() -> (Wire<DuplexStream>, DuplexStream) {
    let (ours, theirs) = duplex(64);
    (Wire::new(ours), theirs)
}

#[test]
fn an_upstream_may_answer_before_it_has_heard_everything() {
    now(async {
        let (mut wire, mut theirs) = wire();
        wire.ask(b"POST / HTTP/1.1\r\n\r\n".to_vec(), vec![Bytes::from(vec![b'x'; 1_000])]);
        let refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno";
        theirs.write_all(refusal).await.unwrap();
        assert_eq!(wire.head().await.unwrap().status, 413);
        assert_eq!(wire.piece().await.unwrap(), (Bytes::from_static(b"no"), true));
        assert!(wire.reusable().is_none(), "half a request is still on its way");
    });
}

#[test]
fn what_was_said_before_hanging_up_is_still_read() {
    now(async {
        let (mut wire, mut theirs) = wire();
        wire.ask(b"POST / HTTP/1.1\r\n\r\n".to_vec(), vec![Bytes::from(vec![b'x'; 1_000])]);
        theirs.write_all(b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        drop(theirs);
        assert_eq!(wire.head().await.unwrap().status, 429);
        assert_eq!(wire.piece().await.unwrap(), (Bytes::new(), true));
        assert!(wire.reusable().is_none());
    });
}

#[test]
fn all_of_a_request_is_sent_in_order_and_small_pieces_together() {
    now(async {
        let (ours, mut theirs) = duplex(1 << 20);
        let mut wire = Wire::new(ours);
        let large = Bytes::from(vec![b'l'; JOINED_BYTES_MAX]);
        let pieces = vec![Bytes::from_static(b"a"), Bytes::from_static(b"b"), large.clone(), Bytes::from_static(b"c")];
        wire.ask(b"head ".to_vec(), pieces.clone());
        assert_eq!(wire.unsent.iter().map(Bytes::len).collect::<Vec<_>>(), [7, large.len(), 1]);
        assert_eq!(wire.unsent[1].as_ptr(), large.as_ptr(), "a large piece is not copied");
        let mut sent = vec![0; 5 + 2 + large.len() + 1];
        let reading = async {
            theirs.read_exact(&mut sent).await.unwrap();
            theirs.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        };
        let (head, ()) = tokio::join!(wire.head(), reading);
        assert_eq!(head.unwrap().status, 204);
        assert_eq!(sent, [b"head ".to_vec(), pieces.concat()].concat());
        assert!(wire.reusable().is_some());
    });
}

/// The text, in chunks of these sizes.
fn chunked(text: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let mut rest = text;
    for size in sizes.iter().copied().chain([text.len()]) {
        let (chunk, after) = rest.split_at(size.min(rest.len()));
        if !chunk.is_empty() {
            out.extend(format!("{:x}\r\n", chunk.len()).bytes());
            out.extend(chunk);
            out.extend(b"\r\n");
        }
        rest = after;
    }
    out.extend(b"0\r\n\r\n");
    out
}

fn cut(bytes: &[u8], at: &[usize]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    for size in at {
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        pieces.push(piece.to_vec());
        rest = after;
    }
    pieces.push(rest.to_vec());
    pieces
}

proptest! {
    #[test]
    fn a_chunked_body_is_its_chunks_however_it_is_cut(
        text in vec(any::<u8>(), 0..3_000),
        sizes in vec(1usize..400, 0..20),
        cuts in vec(1usize..90, 0..60),
    ) {
        let (_, body, reusable) = now(read(cut(&chunked(&text, &sizes), &cuts))).unwrap();
        prop_assert_eq!(body, text);
        prop_assert!(reusable);
    }

    #[test]
    fn no_bytes_break_the_reader(
        start in prop_oneof![Just(""), Just("HTTP/1.1 200 OK\r\n"), Just("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")],
        rest in vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b'0'), Just(b'5')], 0..300),
        cuts in vec(1usize..50, 0..10),
    ) {
        let _ = now(read(cut(&[start.as_bytes(), &rest].concat(), &cuts)));
    }
}

#[test]
fn who_keeps_a_little_data_keeps_no_framing_with_it() {
    now(async {
        let (ours, mut theirs) = duplex(1 << 20);
        let mut wire = Wire::new(ours);
        let chunk = format!("1;{}\r\na\r\n", "x".repeat(1_000));
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned() + &chunk.repeat(100);
        theirs.write_all(answer.as_bytes()).await.unwrap();
        wire.head().await.unwrap();
        let (piece, end) = wire.piece().await.unwrap();
        assert!(!end && !piece.is_empty());
        assert!(piece.try_into_mut().unwrap().capacity() < 200);
    });
}
