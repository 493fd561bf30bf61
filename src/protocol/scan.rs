//! One JSON text, read while its bytes pass, for the few facts that a meter wants of it.
//!
//! A body may be 60 MB of base64 and a stream thousands of events a second: building a tree of either would cost more
//! than all else that we do. [`Scan`] is a pushdown automaton that knows where in the text it stands ([`Place`]), counts
//! generated text there, and copies the small values that matter (usage, errors) for a typed read. Words that stand
//! inside string values, or at places that look alike, cannot fool it.
//!
//! Always true: memory is bounded, by [`DEPTH_MAX`] and [`COPIED_BYTES_MAX`]; and what is found does not depend on how
//! the bytes were cut. Numbers are not judged, and `NaN` and `Infinity` pass: Python writes and reads them.

use std::ops::Range;

use super::place::Place;
use super::swar::quote_or_escape;

/// The state between two bytes of a JSON text.
#[derive(Debug, Default)]
pub(super) struct Scan {
    state: State,
    /// Where each text begins.
    root: Place,
    /// Where the value stands that comes next or is being read.
    place: Place,
    around: Vec<Container>,
    key: Key,
    /// The string being read is a key.
    in_key: bool,
    copy: Option<Copying>,
    found: Found,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Bytes of generated text, its escapes resolved.
    pub text_bytes: u64,
    /// A tool call, a picture or a sound began.
    pub call: bool,
    /// A choice gave its reason to finish.
    pub finish: bool,
    /// `choices` has an element.
    pub choice: bool,
    /// There is a `usage` beside the choices, and it is not null.
    pub usage: bool,
    /// There is an `error`, and it is not null.
    pub error: bool,
    /// Elements of the list `data`; None where there is no such list.
    pub data_entries: Option<u64>,
    /// A value that we wanted was too long to copy.
    pub overflow: bool,
    copied: Vec<u8>,
    values: Vec<(Place, Range<usize>)>,
}

impl Found {
    /// The values that were copied, as JSON, in their order.
    pub fn values(&self) -> impl Iterator<Item = (Place, &[u8])> {
        self.values.iter().map(|(place, range)| (*place, &self.copied[range.clone()]))
    }
}

impl Scan {
    pub fn new(root: Place) -> Self {
        Scan { root, place: root, ..Scan::default() }
    }

    /// Ready for the next text; buffers stay.
    pub fn reset(&mut self) {
        self.state = State::Value;
        self.place = self.root;
        self.around.clear();
        self.in_key = false;
        self.copy = None;
        let Found { mut copied, mut values, .. } = std::mem::take(&mut self.found);
        copied.clear();
        values.clear();
        self.found = Found { copied, values, ..Found::default() };
    }

    pub fn found(&self) -> &Found {
        &self.found
    }

    /// Whether the bytes so far are one whole JSON object and nothing else.
    pub fn is_whole_object(&self) -> bool {
        self.state == State::End
    }

    pub fn push(&mut self, bytes: &[u8]) {
        if let Some(copy) = &mut self.copy {
            copy.from = 0;
        }
        let mut at = 0;
        while at < bytes.len() {
            at = match self.state {
                State::String => self.string(bytes, at),
                State::Number => self.number(bytes, at),
                State::Word(letters) => self.word(bytes, at, letters),
                State::Escape => self.escape(bytes[at], at),
                State::Unicode { left, unit } => self.unicode(bytes[at], at, left, unit),
                State::Broken => return,
                _ => self.structure(bytes, at),
            };
        }
        if let Some(copy) = &self.copy {
            self.found.copy(&bytes[copy.from..]);
        }
    }

    /// A byte between strings, numbers and words.
    fn structure(&mut self, bytes: &[u8], at: usize) -> usize {
        let byte = bytes[at];
        let next = at + 1;
        match self.state {
            State::Minus if byte == b'I' => self.state = State::Word(b"nfinity"),
            State::Minus if byte.is_ascii_digit() => self.state = State::Number,
            State::Minus => self.state = State::Broken,
            _ if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') => {}
            State::Value => return self.begin_value(bytes, at),
            State::FirstElement if byte == b']' => self.close(byte, bytes, at),
            State::FirstElement => return self.begin_value(bytes, at),
            State::FirstKey if byte == b'}' => self.close(byte, bytes, at),
            State::FirstKey | State::Key if byte == b'"' => return self.members(bytes, next),
            State::Colon if byte == b':' => self.state = State::Value,
            State::After if byte == b',' => return self.next_member(bytes, next),
            State::After => self.close(byte, bytes, at),
            _ => self.state = State::Broken,
        }
        next
    }

    /// A key must follow; it does so at once unless the text is laid out for people.
    fn expect_key(&mut self, state: State, bytes: &[u8], at: usize) -> usize {
        if bytes.get(at) == Some(&b'"') {
            return self.members(bytes, at + 1);
        }
        self.state = state;
        at
    }

    /// Takes members as nearly all of them come, whole and plain and with nothing between them, and stops at the first
    /// that is otherwise. `at` is behind a key's opening quote.
    fn members(&mut self, bytes: &[u8], mut at: usize) -> usize {
        let parent = self.around.last().map_or(Place::Elsewhere, |container| container.place);
        loop {
            let rest = &bytes[at..];
            let length = quote_or_escape(rest).unwrap_or(rest.len());
            let [b'"', b':', ..] = rest[length..] else {
                self.in_key = true;
                self.key.clear();
                self.state = State::String;
                return at;
            };
            self.place = parent.member(&rest[..length]);
            let value = at + length + 2;
            let Some(end) = self.plain_value(bytes, value) else {
                self.state = State::Value;
                return value;
            };
            let [b',', b'"', ..] = bytes[end..] else {
                self.state = State::After;
                return end;
            };
            at = end + 2;
        }
    }

    /// Takes a string without escapes, a number or a word of which the end is there; gives that end.
    fn plain_value(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        let rest = &bytes[at..];
        let length = match rest {
            [b'"', inside @ ..] => 2 + quote_or_escape(inside).filter(|length| inside[*length] == b'"')?,
            [b'0'..=b'9', ..] => number_length(rest)?,
            [b'n', b'u', b'l', b'l', ..] | [b't', b'r', b'u', b'e', ..] => 4,
            [b'f', b'a', b'l', b's', b'e', ..] => 5,
            _ => return None,
        };
        let byte = rest[0];
        if self.place != Place::Elsewhere {
            self.found.begin(self.place, byte);
            if byte == b'"' {
                self.found.string(self.place, length - 2);
            }
            if self.place.is_copied() && byte != b'n' {
                let start = self.found.copied.len();
                self.found.copy(&rest[..length]);
                self.found.end_copy(self.place, start);
            }
        }
        Some(at + length)
    }

    fn begin_value(&mut self, bytes: &[u8], at: usize) -> usize {
        let byte = bytes[at];
        if self.place != Place::Elsewhere {
            self.found.begin(self.place, byte);
            if self.place.is_copied() && byte != b'n' {
                let depth = self.around.len();
                self.copy = Some(Copying { place: self.place, depth, from: at, start: self.found.copied.len() });
            }
        }
        let next = at + 1;
        match byte {
            b'{' => return self.open(Container { place: self.place, object: true }, bytes, next),
            // An answer is an object: a list or a word on its own is none.
            _ if self.around.is_empty() => self.state = State::Broken,
            b'[' => return self.open(Container { place: self.place, object: false }, bytes, next),
            b'"' => self.state = State::String,
            b'0'..=b'9' => self.state = State::Number,
            b'-' => self.state = State::Minus,
            b't' => self.state = State::Word(b"rue"),
            b'f' => self.state = State::Word(b"alse"),
            b'n' => self.state = State::Word(b"ull"),
            b'N' => self.state = State::Word(b"aN"),
            b'I' => self.state = State::Word(b"nfinity"),
            _ => self.state = State::Broken,
        }
        next
    }

    fn open(&mut self, container: Container, bytes: &[u8], next: usize) -> usize {
        if self.around.len() == DEPTH_MAX {
            self.state = State::Broken;
            return next;
        }
        self.around.push(container);
        if container.object {
            return self.expect_key(State::FirstKey, bytes, next);
        }
        self.state = State::FirstElement;
        self.place = container.place.element();
        next
    }

    fn next_member(&mut self, bytes: &[u8], next: usize) -> usize {
        match self.around.last() {
            Some(Container { object: true, .. }) => return self.expect_key(State::Key, bytes, next),
            Some(list) => {
                self.place = list.place.element();
                self.state = State::Value;
            }
            None => self.state = State::Broken,
        }
        next
    }

    fn close(&mut self, byte: u8, bytes: &[u8], at: usize) {
        let closes = |container: &Container| byte == if container.object { b'}' } else { b']' };
        if self.around.pop_if(|container| closes(container)).is_some() {
            self.end_value(bytes, at + 1);
        } else {
            self.state = State::Broken;
        }
    }

    /// A value is over just before `end`.
    fn end_value(&mut self, bytes: &[u8], end: usize) {
        let depth = self.around.len();
        self.state = if depth == 0 { State::End } else { State::After };
        if let Some(copy) = self.copy.take_if(|copy| copy.depth == depth) {
            self.found.copy(&bytes[copy.from..end]);
            self.found.end_copy(copy.place, copy.start);
        }
    }

    fn string(&mut self, bytes: &[u8], at: usize) -> usize {
        let rest = &bytes[at..];
        let length = quote_or_escape(rest).unwrap_or(rest.len());
        if self.in_key {
            self.key.push(&rest[..length]);
        } else {
            self.found.string(self.place, length);
        }
        let Some(stop) = rest.get(length) else { return bytes.len() };
        let next = at + length + 1;
        if *stop == b'\\' {
            self.state = State::Escape;
        } else if std::mem::take(&mut self.in_key) {
            let parent = self.around.last().map_or(Place::Elsewhere, |container| container.place);
            self.place = parent.member(self.key.bytes());
            self.state = State::Colon;
        } else {
            self.end_value(bytes, next);
        }
        next
    }

    fn escape(&mut self, byte: u8, at: usize) -> usize {
        match byte {
            b'u' => self.state = State::Unicode { left: 4, unit: 0 },
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.end_escape(1),
            _ => self.state = State::Broken,
        }
        at + 1
    }

    fn unicode(&mut self, byte: u8, at: usize, left: u8, unit: u32) -> usize {
        let Some(digit) = char::from(byte).to_digit(16) else {
            self.state = State::Broken;
            return at;
        };
        let unit = unit * 16 + digit;
        match (left, unit) {
            (2.., _) => self.state = State::Unicode { left: left - 1, unit },
            (_, ..0x80) => self.end_escape(1),
            // Two halves of a pair make one character of four bytes.
            (_, ..0x800 | 0xD800..=0xDFFF) => self.end_escape(2),
            _ => self.end_escape(3),
        }
        at + 1
    }

    /// An escape is over that stands for so many bytes of UTF-8.
    fn end_escape(&mut self, bytes: usize) {
        self.state = State::String;
        if self.in_key {
            // No name that we know is written with escapes.
            self.key.push(b"\\");
        } else {
            self.found.string(self.place, bytes);
        }
    }

    fn number(&mut self, bytes: &[u8], at: usize) -> usize {
        let end = number_length(&bytes[at..]).map_or(bytes.len(), |length| at + length);
        if end < bytes.len() {
            self.end_value(bytes, end);
        }
        end
    }

    /// A bare word, of which these letters are still to come.
    fn word(&mut self, bytes: &[u8], at: usize, letters: &'static [u8]) -> usize {
        let end = bytes.len().min(at + letters.len());
        match letters.strip_prefix(&bytes[at..end]) {
            Some([]) => self.end_value(bytes, end),
            Some(more) => self.state = State::Word(more),
            None => self.state = State::Broken,
        }
        end
    }
}

/// How many of the first bytes are a number's; None if all are, and more may follow.
fn number_length(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
}

impl Found {
    fn begin(&mut self, place: Place, byte: u8) {
        if byte == b'n' {
            return;
        }
        match place {
            Place::Choice => self.choice = true,
            Place::Call | Place::Item | Place::Block => self.call |= byte == b'{',
            Place::Sound => self.call = true,
            Place::Usage => self.usage = true,
            Place::Error => self.error = true,
            Place::Data if byte == b'[' => self.data_entries = Some(0),
            Place::DataEntry => self.data_entries = self.data_entries.map(|entries| entries.saturating_add(1)),
            _ => {}
        }
    }

    /// So many bytes of a string value.
    fn string(&mut self, place: Place, bytes: usize) {
        match place {
            Place::Text | Place::ToolInput => self.text_bytes = self.text_bytes.saturating_add(bytes as u64),
            // Some upstreams send an empty reason with every event.
            Place::FinishReason => self.finish |= bytes > 0,
            _ => {}
        }
    }

    fn copy(&mut self, bytes: &[u8]) {
        if self.copied.len() + bytes.len() <= COPIED_BYTES_MAX {
            self.copied.extend_from_slice(bytes);
        } else {
            self.overflow = true;
        }
    }

    fn end_copy(&mut self, place: Place, start: usize) {
        if self.overflow {
            self.copied.truncate(start);
        } else {
            self.values.push((place, start..self.copied.len()));
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Value,
    /// Behind `[`: a value, or the end.
    FirstElement,
    /// Behind `{`: a key, or the end.
    FirstKey,
    Key,
    Colon,
    /// Behind a value: a comma, or the end of what is around it.
    After,
    String,
    Escape,
    /// Inside `\u`: hex digits that are left, and what those before them said.
    Unicode {
        left: u8,
        unit: u32,
    },
    Minus,
    Number,
    /// Inside a bare word, of which these letters are still to come.
    Word(&'static [u8]),
    End,
    Broken,
}

#[derive(Clone, Copy, Debug)]
struct Container {
    place: Place,
    object: bool,
}

/// A value that is being copied.
#[derive(Clone, Copy, Debug)]
struct Copying {
    place: Place,
    /// Containers around it.
    depth: usize,
    /// Where in the bytes at hand its uncopied part begins.
    from: usize,
    /// Where in the copy it begins.
    start: usize,
}

/// A key, as far as it can matter.
#[derive(Debug, Default)]
struct Key {
    bytes: [u8; KEY_BYTES_MAX],
    length: usize,
}

impl Key {
    fn push(&mut self, more: &[u8]) {
        let length = self.length.saturating_add(more.len());
        if let Some(room) = self.bytes.get_mut(self.length..length) {
            room.copy_from_slice(more);
        }
        self.length = length;
    }

    fn clear(&mut self) {
        self.length = 0;
    }

    /// Empty when it is longer than every key that we know.
    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Deeper than any answer; `serde_json` reads no deeper either.
const DEPTH_MAX: usize = 128;

/// All values copied from one text. Usage objects have about 1 KiB, error messages that quote a request more.
const COPIED_BYTES_MAX: usize = 64 * 1024;

const KEY_BYTES_MAX: usize = 32;
