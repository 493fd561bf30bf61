//! The rules of the front door: what an HTTP/1 head must look like, on its raw bytes (RFC 9112, read strictly).

use crate::core::api_error::ApiError;

/// What a head, or the beginning of one, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Incomplete,
    /// A head of so many bytes, its empty line included.
    Pass {
        head_bytes: usize,
        chunked: bool,
    },
    /// HTTP/2 with prior knowledge: another protocol, with a parser of its own.
    Http2,
    TooLarge,
    TooSlow,
    Malformed(&'static str),
}

impl Verdict {
    pub fn to_api_error(self) -> Option<ApiError> {
        match self {
            Verdict::Incomplete | Verdict::Pass { .. } | Verdict::Http2 => None,
            Verdict::TooLarge => Some(ApiError::HeadersTooLarge),
            Verdict::TooSlow => Some(ApiError::RequestTimeout),
            Verdict::Malformed(why) => Some(ApiError::invalid(why)),
        }
    }
}

/// Judges the bytes that have come so far. Bytes before `judged_before` held no end of a head when they were last seen.
pub fn judge(bytes: &[u8], judged_before: usize) -> Verdict {
    if bytes.starts_with(HTTP2_PREFACE) {
        return Verdict::Http2;
    }
    if bytes.len() < HTTP2_PREFACE.len() && HTTP2_PREFACE.starts_with(bytes) {
        return Verdict::Incomplete;
    }
    // While it could have become the preface, the end in its middle was none.
    let judged_before = if bytes.starts_with(b"PRI ") { 0 } else { judged_before };
    let mut line_feeds = memchr::memchr_iter(b'\n', &bytes[judged_before..]).map(|at| judged_before + at);
    // A head that can no longer become right need not be waited for.
    let end = line_feeds.find_map(|at| match &bytes[..at] {
        [.., b'\r', b'\n', b'\r'] => Some(Ok(at - 3)),
        [.., b'\r'] => None,
        _ => Some(Err(Verdict::Malformed("A line of the request's head does not end with CR LF."))),
    });
    match end {
        None if bytes.len() > HEAD_BYTES_MAX => Verdict::TooLarge,
        None => Verdict::Incomplete,
        Some(Ok(end)) if end > HEAD_BYTES_MAX => Verdict::TooLarge,
        Some(Ok(end)) => match judge_head(&bytes[..end]) {
            Ok(chunked) => Verdict::Pass { head_bytes: end + 4, chunked },
            Err(verdict) => verdict,
        },
        Some(Err(verdict)) => verdict,
    }
}

/// Whether the body is chunked.
fn judge_head(head: &[u8]) -> Result<bool, Verdict> {
    let mut lines = Lines(Some(head));
    let request_line = lines.next().unwrap_or_default();
    let (method, version_1_1) = judge_request_line(request_line)?;
    let mut framing = Framing::default();
    for (count, line) in lines.enumerate() {
        if count >= HEADERS_MAX {
            return Err(Verdict::TooLarge);
        }
        framing.take(line)?;
    }
    framing.judge(method, version_1_1)?;
    Ok(framing.chunked)
}

/// Splits at CR LF: no line feed stands alone, or the head would have been refused.
struct Lines<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        let Some(at) = memchr::memchr(b'\n', rest) else {
            self.0 = None;
            return Some(rest);
        };
        let line = &rest[..at];
        self.0 = Some(&rest[at + 1..]);
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// `METHOD SP target SP HTTP/1.x`, one space each, a target in origin form.
fn judge_request_line(line: &[u8]) -> Result<(&[u8], bool), Verdict> {
    const WRONG: Verdict = Verdict::Malformed("The request line is malformed.");
    // A space too many is in the target, then, where none may be.
    let (Some(first), Some(last)) = (memchr::memchr(b' ', line), memchr::memrchr(b' ', line)) else {
        return Err(WRONG);
    };
    let Some(target) = line.get(first + 1..last) else {
        return Err(WRONG);
    };
    let (method, version) = (&line[..first], &line[last + 1..]);
    let method_ok = (1..=16).contains(&method.len()) && method.iter().all(u8::is_ascii_uppercase);
    let target_ok = (target.first() == Some(&b'/') || target == b"*") && each(target, |byte| byte.is_ascii_graphic());
    let version_1_1 = version == b"HTTP/1.1";
    if method_ok && target_ok && (version_1_1 || version == b"HTTP/1.0") {
        Ok((method, version_1_1))
    } else {
        Err(WRONG)
    }
}

/// The headers that say where a request ends and whom it is for.
#[derive(Default)]
struct Framing<'a> {
    content_length: Option<&'a [u8]>,
    chunked: bool,
    hosts: u32,
}

impl<'a> Framing<'a> {
    fn take(&mut self, line: &'a [u8]) -> Result<(), Verdict> {
        let colon = memchr::memchr(b':', line).ok_or(Verdict::Malformed("A header has no colon."))?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || !name.iter().all(|byte| TOKEN[usize::from(*byte)]) {
            return Err(Verdict::Malformed("A header's name is malformed."));
        }
        if !each(value, is_field_value) {
            return Err(Verdict::Malformed("A header's value holds a control character."));
        }
        let value = value.trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = !value.is_empty() && value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
            if !digits || self.content_length.replace(value).is_some() {
                return Err(Verdict::Malformed("Content-Length must be one whole number."));
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") || self.chunked {
                return Err(Verdict::Malformed("Transfer-Encoding may only be 'chunked', once."));
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
            if value.is_empty() || !each(value, is_host) {
                return Err(Verdict::Malformed("The Host header is malformed."));
            }
        } else if is_framing_in_disguise(name) {
            return Err(Verdict::Malformed("A header's name imitates another."));
        }
        Ok(())
    }

    fn judge(&self, method: &[u8], version_1_1: bool) -> Result<(), Verdict> {
        if self.hosts > 1 || (version_1_1 && self.hosts == 0) {
            return Err(Verdict::Malformed("There must be exactly one Host header."));
        }
        if self.chunked && (self.content_length.is_some() || !version_1_1) {
            return Err(Verdict::Malformed("Transfer-Encoding does not go with Content-Length or HTTP/1.0."));
        }
        let has_body =
            self.chunked || self.content_length.is_some_and(|length| length.iter().any(|digit| *digit != b'0'));
        if has_body && !matches!(method, b"POST" | b"PUT" | b"PATCH") {
            return Err(Verdict::Malformed("This method takes no body."));
        }
        Ok(())
    }
}

/// `Transfer_Encoding` is another header to us and the same one to some servers behind proxies.
fn is_framing_in_disguise(name: &[u8]) -> bool {
    let imitates = |original: &[u8]| {
        name.len() == original.len()
            && name
                .iter()
                .zip(original)
                .all(|(byte, own)| byte.eq_ignore_ascii_case(own) || (*byte == b'_' && *own == b'-'))
    };
    imitates(b"content-length") || imitates(b"transfer-encoding")
}

/// Whether all bytes are such. Branch-free, so that the compiler compares many at a time: values are long.
fn each(bytes: &[u8], is_such: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |all, byte| all & is_such(*byte))
}

/// RFC 9110, section 5.5: visible characters, space, tab, and obsolete text above 0x7F, which is never forwarded.
fn is_field_value(byte: u8) -> bool {
    (byte == b'\t') | ((byte >= 0x20) & (byte != 0x7F))
}

/// Visible, and nothing that would make it an authority with a user, a list or a path.
fn is_host(byte: u8) -> bool {
    byte.is_ascii_graphic() & (byte != b'/') & (byte != b'@') & (byte != b',') & (byte != b'\\')
}

/// The characters of a header's name: RFC 9110, section 5.6.2.
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
const HEADERS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn judged(head: &str) -> Verdict {
        judge(head.as_bytes(), 0)
    }

    fn with(header: &str) -> Verdict {
        judged(&format!("POST /v1/x HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n"))
    }

    #[test]
    fn ordinary_heads_pass() {
        for header in [
            "Content-Length: 5",
            "content-length:0",
            "Transfer-Encoding: chunked",
            "X-A: b\tc",
            "User-Agent: caf\u{e9}",
        ] {
            assert!(matches!(with(header), Verdict::Pass { .. }), "{header}");
        }
        assert!(matches!(judged("GET /v1/models?limit=5 HTTP/1.0\r\n\r\n"), Verdict::Pass { chunked: false, .. }));
        assert_eq!(
            judged("GET / HTTP/1.1\r\nHost: a:80\r\n\r\nrest"),
            Verdict::Pass { head_bytes: 30, chunked: false }
        );
    }

    #[test]
    fn smuggling_is_refused() {
        for header in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 3, 3",
            "Content-Length: +3",
            "Content-Length: 0x3",
            "Content-Length: ",
            "Content-Length: 99999999999999999999",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding : chunked",
            "Transfer_Encoding: chunked",
            "Content_Length: 5",
            " X-Folded: a",
            "X-A: a\r\n folded",
            "X-A: a\u{0}b",
            "X-A: a\rb",
            "Host: b",
            "no colon",
            ": empty",
        ] {
            assert!(matches!(with(header), Verdict::Malformed(_)), "{header:?}");
        }
    }

    #[test]
    fn request_lines_are_exact() {
        for line in [
            "get / HTTP/1.1",
            "GET  / HTTP/1.1",
            "GET / HTTP/1.2",
            "GET /",
            "GET http://a/ HTTP/1.1",
            "GET /\u{e9} HTTP/1.1",
            "GET x HTTP/1.1",
            "",
        ] {
            assert!(matches!(judged(&format!("{line}\r\nHost: a\r\n\r\n")), Verdict::Malformed(_)), "{line:?}");
        }
        assert!(matches!(judged("GET / HTTP/1.1\r\nContent-Length: 5\r\nHost: a\r\n\r\n"), Verdict::Malformed(_)));
        assert!(matches!(judged("POST / HTTP/1.1\r\n\r\n"), Verdict::Malformed(_)));
        assert!(matches!(judged("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Verdict::Malformed(_)));
    }

    #[test]
    fn sizes_are_bounded_before_the_end_is_seen() {
        assert_eq!(judged(&"x".repeat(HEAD_BYTES_MAX + 1)), Verdict::TooLarge);
        assert_eq!(with(&format!("X: {}", "y".repeat(HEAD_BYTES_MAX))), Verdict::TooLarge);
        assert_eq!(with("X-A: b\r\n".repeat(HEADERS_MAX).trim_end()), Verdict::TooLarge);
        assert!(matches!(judged("GET / HTTP/1.1\nHost: a"), Verdict::Malformed(_)));
    }

    #[test]
    fn http_2_is_recognised_from_its_first_byte_on() {
        for length in 1..HTTP2_PREFACE.len() {
            assert_eq!(judge(&HTTP2_PREFACE[..length], 0), Verdict::Incomplete, "{length}");
        }
        assert_eq!(judge(HTTP2_PREFACE, 0), Verdict::Http2);
        // What only began like it is a head with an end, seen late or not.
        let almost = b"PRI * HTTP/2.0\r\n\r\nSMx";
        assert!(matches!(judge(almost, 0), Verdict::Malformed(_)));
        assert_eq!(judge(almost, almost.len() - 3), judge(almost, 0));
    }

    proptest! {
        #[test]
        fn cut_anywhere_the_verdict_is_the_same(header in "[ -~\r\n]{0,60}", cut in 0usize..200) {
            let head = format!("POST /v1/x HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n");
            let cut = cut.min(head.len());
            let first = judge(&head.as_bytes()[..cut], 0);
            if first == Verdict::Incomplete {
                prop_assert_eq!(judge(head.as_bytes(), cut.saturating_sub(3)), judge(head.as_bytes(), 0));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            judge(&bytes, 0);
        }
    }
}
