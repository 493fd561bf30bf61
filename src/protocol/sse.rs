//! Server-sent events, from bytes.
//!
//! Upstreams cut a stream wherever a packet ends: inside a word, inside a UTF-8 sequence, between `\r` and `\n`.
//! [`Parser`] is told the bytes as they come and says what they are: pieces of an event's data, and the places where an
//! event, or a line that belongs to none, is over. Grammar: WHATWG HTML, 9.2.6 "Interpreting an event stream".
//!
//! Always true: nothing is copied or kept but the first bytes of a field's name and of the event's name, so memory is
//! constant; and the same bytes give the same tokens however they are cut, but for the number of [`Token::Data`] pieces.

use memchr::memchr2;

/// The state between two bytes of a stream.
#[derive(Debug, Default)]
pub struct Parser {
    line: Line,
    /// The last line ended with a carriage return: a line feed that follows belongs to it.
    after_cr: bool,
    /// The last line end was reported, so its line feed is reported too.
    at_boundary: bool,
    /// Fields of an unfinished event were seen.
    in_event: bool,
    has_data: bool,
    field: Word,
    event_name: Word,
}

/// What the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// The next part of the event's data; several data lines come joined by line feeds.
    Data(&'a [u8]),
    /// The blank line behind an event that has data.
    Event,
    /// The end of something that is no event: a comment between events, a blank line, an event without data.
    Idle,
    /// The line feed of the line end that the token before was.
    LineFeed,
}

impl Parser {
    /// The next token, with its bytes taken from the front of `rest`. None: all is read, more is needed.
    pub fn next<'a>(&mut self, rest: &mut &'a [u8]) -> Option<Token<'a>> {
        loop {
            let first = *rest.first()?;
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                *rest = &rest[1..];
                if self.at_boundary {
                    return Some(Token::LineFeed);
                }
                continue;
            }
            if let Some(token) = self.step(first, rest) {
                return Some(token);
            }
        }
    }

    /// The name in the `event:` line of the event just ended or unfinished; empty where there is none. Names longer
    /// than [`WORD_BYTES_MAX`] are cut.
    pub fn event_name(&self) -> &[u8] {
        self.event_name.bytes()
    }

    /// What an unfinished event with data lacks to be a whole one; None where there is no such event.
    pub fn missing_end(&self) -> Option<&'static [u8]> {
        let at_line_start = self.line == Line::Start && !self.after_cr;
        self.has_data.then_some(if at_line_start { b"\n" } else { b"\n\n" })
    }

    fn step<'a>(&mut self, first: u8, rest: &mut &'a [u8]) -> Option<Token<'a>> {
        match self.line {
            Line::Bom(matched) => {
                if first == BOM[usize::from(matched)] {
                    *rest = &rest[1..];
                    self.line = if matched == 2 { Line::Start } else { Line::Bom(matched + 1) };
                } else if matched == 0 {
                    self.line = Line::Start;
                } else {
                    // The first letters of an unknown field.
                    self.line = Line::Other;
                    self.in_event = true;
                }
            }
            Line::Start if first == b'\r' || first == b'\n' => return Some(self.blank_line(first, rest)),
            Line::Start => self.begin_line(first, rest),
            Line::Field => self.field(first, rest),
            Line::DataSpace => {
                skip_space(first, rest);
                self.line = Line::Data;
                // The second data line and every further one goes on behind a line feed.
                if std::mem::replace(&mut self.has_data, true) {
                    return Some(Token::Data(b"\n"));
                }
            }
            Line::NameSpace => {
                skip_space(first, rest);
                self.event_name.clear();
                self.line = Line::Name;
            }
            Line::Data | Line::Name | Line::Other | Line::Comment => {
                let (text, ended) = take_text(rest);
                match self.line {
                    Line::Data if !text.is_empty() => return Some(Token::Data(text)),
                    Line::Name => self.event_name.push(text),
                    _ => {}
                }
                if ended {
                    return self.end_line(rest);
                }
            }
        }
        None
    }

    fn begin_line(&mut self, first: u8, rest: &mut &[u8]) {
        self.at_boundary = false;
        if first == b':' {
            self.line = Line::Comment;
            return;
        }
        if !std::mem::replace(&mut self.in_event, true) {
            self.event_name.clear();
        }
        // Nearly every line of nearly every stream.
        if let Some(value) = rest.strip_prefix(b"data:") {
            *rest = value;
            self.line = Line::DataSpace;
        } else {
            self.field.clear();
            self.line = Line::Field;
        }
    }

    fn field(&mut self, first: u8, rest: &mut &[u8]) {
        if !matches!(first, b':' | b'\r' | b'\n') {
            self.field.push(&[first]);
            *rest = &rest[1..];
            return;
        }
        // A line without a colon is a field with an empty value: its line end is read as the value's.
        if first == b':' {
            *rest = &rest[1..];
        }
        self.line = match self.field.bytes() {
            b"data" => Line::DataSpace,
            b"event" => Line::NameSpace,
            _ => Line::Other,
        };
    }

    /// `rest` begins with the line's end.
    fn end_line<'a>(&mut self, rest: &mut &'a [u8]) -> Option<Token<'a>> {
        self.after_cr = rest[0] == b'\r';
        *rest = &rest[1..];
        let comment = std::mem::replace(&mut self.line, Line::Start) == Line::Comment;
        self.at_boundary = comment && !self.in_event;
        self.at_boundary.then_some(Token::Idle)
    }

    fn blank_line<'a>(&mut self, first: u8, rest: &mut &'a [u8]) -> Token<'a> {
        self.after_cr = first == b'\r';
        *rest = &rest[1..];
        self.at_boundary = true;
        self.in_event = false;
        if std::mem::take(&mut self.has_data) { Token::Event } else { Token::Idle }
    }
}

/// Where in a line we stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// At the stream's start: so many bytes of a byte order mark were seen.
    Bom(u8),
    Start,
    Field,
    /// Behind the colon, where one space may stand.
    DataSpace,
    NameSpace,
    Data,
    Name,
    Other,
    Comment,
}

impl Default for Line {
    fn default() -> Self {
        Line::Bom(0)
    }
}

/// The first bytes of a word, whatever its length.
#[derive(Debug, Default)]
struct Word {
    bytes: [u8; WORD_BYTES_MAX],
    length: usize,
}

impl Word {
    fn push(&mut self, more: &[u8]) {
        let taken = more.len().min(WORD_BYTES_MAX - self.length);
        self.bytes[self.length..self.length + taken].copy_from_slice(&more[..taken]);
        self.length += taken;
    }

    fn clear(&mut self) {
        self.length = 0;
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

fn skip_space(first: u8, rest: &mut &[u8]) {
    if first == b' ' {
        *rest = &rest[1..];
    }
}

/// Takes what stands before the line's end, and says whether that end is there.
fn take_text<'a>(rest: &mut &'a [u8]) -> (&'a [u8], bool) {
    let (text, behind) = rest.split_at(memchr2(b'\r', b'\n', rest).unwrap_or(rest.len()));
    *rest = behind;
    (text, !behind.is_empty())
}

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Longer than every name that means something to us.
const WORD_BYTES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a stream says, whatever the number of pieces.
    #[derive(Debug, PartialEq, Eq)]
    enum Said {
        Event { name: Vec<u8>, data: Vec<u8> },
        Idle,
        LineFeed,
    }

    type Read = (Vec<(usize, Said)>, Vec<u8>, Option<&'static [u8]>);

    /// Everything said, each with the position behind it, and the data of the unfinished event.
    fn read(chunks: &[&[u8]]) -> Read {
        let (mut parser, mut said, mut data, mut before) = (Parser::default(), Vec::new(), Vec::new(), 0);
        for chunk in chunks {
            let mut rest = *chunk;
            while let Some(token) = parser.next(&mut rest) {
                let position = before + chunk.len() - rest.len();
                let what = match token {
                    Token::Data(piece) => {
                        data.extend(piece);
                        continue;
                    }
                    Token::Event => Said::Event { name: parser.event_name().to_vec(), data: std::mem::take(&mut data) },
                    Token::Idle => Said::Idle,
                    Token::LineFeed => Said::LineFeed,
                };
                said.push((position, what));
            }
            assert!(rest.is_empty());
            before += chunk.len();
        }
        (said, data, parser.missing_end())
    }

    fn events(stream: &str) -> Vec<(String, String)> {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (said, ..) = read(&[stream.as_bytes()]);
        said.into_iter()
            .filter_map(|(_, said)| match said {
                Said::Event { name, data } => Some((text(name), text(data))),
                _ => None,
            })
            .collect()
    }

    fn data(stream: &str) -> Vec<String> {
        events(stream).into_iter().map(|(_, data)| data).collect()
    }

    #[test]
    fn line_ends_of_all_three_kinds() {
        for end in ["\n", "\r\n", "\r"] {
            let stream = "data: a|data: b||: note||data:c||".replace('|', end);
            assert_eq!(data(&stream), ["a\nb", "c"], "{end:?}");
        }
    }

    #[test]
    fn one_space_is_taken_and_no_more() {
        assert_eq!(data("data:a\n\ndata:  b \n\ndata:\n\ndata\n\n"), ["a", " b ", "", ""]);
    }

    #[test]
    fn other_fields_and_nameless_events_are_no_data() {
        assert_eq!(data("id: 1\nretry: 5\ndatas: x\ndat: y\n\nevent: ping\n\n data: x\n\n"), [""; 0]);
        let named = events("event: error\ndata: a\n\ndata: b\n\nevent: x\ndata: c\nevent:done\n\n");
        assert_eq!(named, [("error", "a"), ("", "b"), ("done", "c")].map(|(n, d)| (n.into(), d.into())));
    }

    #[test]
    fn a_byte_order_mark_is_skipped_at_the_start_alone() {
        assert_eq!(data("\u{feff}data: a\n\n\u{feff}data: b\n\n"), ["a"]);
        assert_eq!(data("\u{fec0}data: a\n\ndata: b\n\n"), ["b"]);
    }

    #[test]
    fn comments_end_at_their_line_unless_inside_an_event() {
        let (said, ..) = read(&[b": a\ndata: x\n: b\n\n:\n"]);
        let ends: Vec<usize> = said.iter().map(|(end, _)| *end).collect();
        assert_eq!(ends, [4, 17, 19]);
        assert_eq!(said[1].1, Said::Event { name: vec![], data: b"x".to_vec() });
    }

    #[test]
    fn says_what_an_unfinished_event_lacks() {
        for (stream, missing) in [
            ("data: a\n\n", None),
            (": a", None),
            ("event: a\n", None),
            ("data: a", Some("\n\n")),
            ("data: a\n", Some("\n")),
            ("data: a\r\n", Some("\n")),
            ("data: a\r", Some("\n\n")),
        ] {
            let end = read(&[stream.as_bytes()]).2;
            assert_eq!(end, missing.map(str::as_bytes), "{stream:?}");
            if let Some(end) = end {
                let (said, rest, _) = read(&[stream.as_bytes(), end]);
                assert!(rest.is_empty());
                assert!(said.iter().any(|(_, said)| matches!(said, Said::Event { .. })), "{stream:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn cutting_changes_nothing(
            parts in prop::collection::vec(prop::sample::select(PARTS), 0..24),
            cuts in prop::collection::vec(0..200usize, 0..12),
        ) {
            let stream = parts.concat();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            let whole = read(&[&stream]);
            prop_assert_eq!(&read(&chunks), &whole);
            prop_assert_eq!(&read(&bytes), &whole);
        }
    }

    const PARTS: &[&[u8]] = &[
        b"data",
        b":",
        b" ",
        b"\n",
        b"\r",
        b"\r\n",
        b"event",
        b"data: ",
        b"{}",
        b"\xEF\xBB\xBF",
        b"\xEF\xBB",
        b"x",
        b"\n\n",
        b": c",
    ];
}
