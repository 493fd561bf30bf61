//! The rules of the front door for chunked bodies (RFC 9112, section 7.1, read strictly).
//!
//! A line feed inside a chunk extension ends the line for some parsers and not for others; behind a proxy of the other
//! kind that is a smuggled request. So chunk lines are judged byte by byte as they pass, and Pingora's parser never sees
//! one that two parsers could read differently.

/// Where in a chunked body the last byte stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    state: State,
    /// Of the chunk being read: what its size line said so far, then what is left of its data.
    size: u64,
    /// Of the present line: digits, extension bytes or trailer bytes.
    count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// A line of the trailer section; the empty one ends the body.
    Trailer {
        empty: bool,
    },
    TrailerLf {
        last: bool,
    },
    End,
}

/// A byte that does not belong where it stands.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

impl Default for Chunks {
    /// Before the first byte of a body.
    fn default() -> Chunks {
        Chunks { state: State::Size, size: 0, count: 0 }
    }
}

impl Chunks {
    /// Takes the next bytes of the connection. What follows the body's end is not looked at.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut rest = bytes;
        while let Some(byte) = rest.first() {
            if self.state == State::Data {
                // Data is skipped, not looked at.
                let skipped = rest.len().min(usize::try_from(self.size).unwrap_or(usize::MAX));
                self.size -= skipped as u64;
                rest = &rest[skipped..];
                if self.size == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            if self.state == State::End {
                return Ok(());
            }
            self.step(*byte)?;
            rest = &rest[1..];
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) -> Result<(), Malformed> {
        self.state = match (self.state, byte) {
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if self.count < SIZE_DIGITS_MAX => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                self.size = (self.size << 4) | u64::from(digit);
                self.count += 1;
                State::Size
            }
            (State::Size, b'\r') if self.count > 0 => State::SizeLf,
            (State::Size, b';') if self.count > 0 => self.line(State::Extension),
            (State::Extension, b'\r') => State::SizeLf,
            (State::Extension, b'\t' | 0x20..=0x7E) if self.count < EXTENSION_BYTES_MAX => {
                self.count += 1;
                State::Extension
            }
            (State::SizeLf, b'\n') if self.size == 0 => self.line(State::Trailer { empty: true }),
            (State::SizeLf, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => self.line(State::Size),
            (State::Trailer { empty }, b'\r') => State::TrailerLf { last: empty },
            (State::Trailer { .. }, b'\t' | 0x20..=0x7E) if self.count < TRAILER_BYTES_MAX => {
                self.count += 1;
                State::Trailer { empty: false }
            }
            (State::TrailerLf { last: true }, b'\n') => State::End,
            (State::TrailerLf { last: false }, b'\n') => State::Trailer { empty: true },
            _ => return Err(Malformed),
        };
        Ok(())
    }

    fn line(&mut self, state: State) -> State {
        self.count = 0;
        state
    }
}

/// 2^60 bytes: far above any body, far below an overflow.
const SIZE_DIGITS_MAX: u32 = 15;
const EXTENSION_BYTES_MAX: u32 = 64;
/// All trailers of a body together; they are thrown away.
const TRAILER_BYTES_MAX: u32 = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fed(body: &str) -> Result<State, Malformed> {
        let mut chunks = Chunks::default();
        chunks.feed(body.as_bytes()).map(|()| chunks.state)
    }

    #[test]
    fn honest_bodies_pass() {
        for body in ["0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "A;x=\"y z\"\r\n0123456789\r\n0;e\r\nT: v\r\n\r\nGET /"] {
            assert_eq!(fed(body), Ok(State::End), "{body:?}");
        }
    }

    #[test]
    fn ambiguous_lines_do_not() {
        for body in [
            "3;a\nabc\r\n0\r\n\r\n",
            "3\nabc\r\n0\r\n\r\n",
            "3\rabc",
            "0x3\r\nabc\r\n",
            "+3\r\nabc\r\n",
            " 3\r\nabc\r\n",
            "3 \r\nabc\r\n",
            "\r\nabc",
            ";a\r\n",
            "3\r\nabcd\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "1000000000000000\r\n",
            "0\r\nT: a\nX: b\r\n\r\n",
            "0\r\n\n",
        ] {
            assert_eq!(fed(body), Err(Malformed), "{body:?}");
        }
        assert_eq!(fed(&format!("3;{}\r\n", "x".repeat(65))), Err(Malformed));
    }

    proptest! {
        #[test]
        fn cut_anywhere_it_is_the_same(chunks in proptest::collection::vec("[a-z\r\n]{1,20}", 0..5), cut in 0usize..200) {
            let mut body: String = chunks.iter().map(|data| format!("{:x}\r\n{data}\r\n", data.len())).collect();
            body.push_str("0\r\n\r\n");
            let cut = cut.min(body.len());
            let mut judge = Chunks::default();
            prop_assert_eq!(judge.feed(&body.as_bytes()[..cut]), Ok(()));
            prop_assert_eq!(judge.feed(&body.as_bytes()[cut..]), Ok(()));
            prop_assert_eq!(judge.state, State::End);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Chunks::default().feed(&bytes);
        }
    }
}
