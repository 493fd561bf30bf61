//! A stream in one dialect, passed on in another while it comes.
//!
//! [`Interpreter`] stands behind the reader that meters the upstream's bytes: it takes the whole events that the reader
//! lets through and hands each to the conversion. What an event says goes out with it; nothing waits for the next.
//!
//! Always true: no more of an event is kept than [`EVENT_BYTES_MAX`]; a longer one cannot be converted, so the stream is
//! broken there. A comment passes as a comment: it keeps the client's connection alive.

use super::convert::{Broken, StreamConverter};
use super::sse::{Parser, Token};
use super::stream::EVENT_BYTES_MAX;

#[derive(Debug)]
pub struct Interpreter {
    parser: Parser,
    /// Of the unfinished event.
    data: Vec<u8>,
    converter: StreamConverter,
}

impl Interpreter {
    pub fn new(converter: StreamConverter) -> Self {
        Interpreter { parser: Parser::default(), data: Vec::new(), converter }
    }

    /// Takes bytes of the upstream's stream, and appends whole events for the client.
    ///
    /// # Errors
    /// [`Broken`] where the stream cannot be told in the client's dialect. It is over then.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        let mut rest = bytes;
        while let Some(token) = self.parser.next(&mut rest) {
            match token {
                Token::Data(piece) if self.data.len() + piece.len() > EVENT_BYTES_MAX => {
                    return Err(Broken("an event is too long"));
                }
                Token::Data(piece) => self.data.extend_from_slice(piece),
                Token::Event => {
                    self.converter.event(&self.data, out)?;
                    self.data.clear();
                }
                Token::Idle => out.extend_from_slice(COMMENT),
                Token::LineFeed => {}
            }
        }
        Ok(())
    }

    /// The upstream's stream is over, and was whole.
    ///
    /// # Errors
    /// [`Broken`] if the client does not have a whole answer for all that.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        self.converter.end(out)?;
        if self.converter.ended() { Ok(()) } else { Err(Broken("it has no end")) }
    }
}

const COMMENT: &[u8] = b":\n\n";
