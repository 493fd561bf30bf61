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

use memchr::memchr2;

use super::place::Place;

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
                State::Broken => return,
                _ => {
                    self.byte(bytes, at);
                    at + 1
                }
            };
        }
        if let Some(copy) = &self.copy {
            self.found.copy(&bytes[copy.from..]);
        }
    }

    fn byte(&mut self, bytes: &[u8], at: usize) {
        let byte = bytes[at];
        let blank = matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        match self.state {
            State::Value
            | State::FirstElement
            | State::FirstKey
            | State::Key
            | State::Colon
            | State::After
            | State::End
                if blank => {}
            State::Value => self.begin_value(byte, at),
            State::FirstElement if byte == b']' => self.close(byte, bytes, at),
            State::FirstElement => self.begin_value(byte, at),
            State::FirstKey if byte == b'}' => self.close(byte, bytes, at),
            State::FirstKey | State::Key if byte == b'"' => {
                self.in_key = true;
                self.key.clear();
                self.state = State::String;
            }
            State::Colon if byte == b':' => self.state = State::Value,
            State::After if byte == b',' => self.next_member(),
            State::After => self.close(byte, bytes, at),
            State::Word(&[next, ref more @ ..]) if next == byte => {
                self.state = State::Word(more);
                if more.is_empty() {
                    self.end_value(bytes, at + 1);
                }
            }
            State::Minus if byte == b'I' => self.state = State::Word(b"nfinity"),
            State::Minus if byte.is_ascii_digit() => self.state = State::Number,
            State::Escape => self.escape(byte),
            State::Unicode { left, unit } => self.unicode(byte, left, unit),
            _ => self.state = State::Broken,
        }
    }

    fn begin_value(&mut self, byte: u8, at: usize) {
        if self.place != Place::Elsewhere {
            self.found.begin(self.place, byte);
            if self.place.is_copied() && byte != b'n' {
                let depth = self.around.len();
                self.copy = Some(Copying { place: self.place, depth, from: at, start: self.found.copied.len() });
            }
        }
        match byte {
            b'{' => self.open(Container { place: self.place, object: true }),
            // An answer is an object: a list or a word on its own is none.
            _ if self.around.is_empty() => self.state = State::Broken,
            b'[' => self.open(Container { place: self.place, object: false }),
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
    }

    fn open(&mut self, container: Container) {
        if self.around.len() == DEPTH_MAX {
            self.state = State::Broken;
            return;
        }
        self.around.push(container);
        if container.object {
            self.state = State::FirstKey;
        } else {
            self.state = State::FirstElement;
            self.place = container.place.element();
        }
    }

    fn next_member(&mut self) {
        match self.around.last() {
            Some(Container { object: true, .. }) => self.state = State::Key,
            Some(list) => {
                self.place = list.place.element();
                self.state = State::Value;
            }
            None => self.state = State::Broken,
        }
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
            self.found.end_copy(copy);
        }
    }

    fn string(&mut self, bytes: &[u8], at: usize) -> usize {
        let rest = &bytes[at..];
        let length = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
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

    fn escape(&mut self, byte: u8) {
        match byte {
            b'u' => self.state = State::Unicode { left: 4, unit: 0 },
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.end_escape(1),
            _ => self.state = State::Broken,
        }
    }

    fn unicode(&mut self, byte: u8, left: u8, unit: u32) {
        let Some(digit) = char::from(byte).to_digit(16) else {
            self.state = State::Broken;
            return;
        };
        let unit = unit * 16 + digit;
        match (left, unit) {
            (2.., _) => self.state = State::Unicode { left: left - 1, unit },
            (_, ..0x80) => self.end_escape(1),
            // Two halves of a pair make one character of four bytes.
            (_, ..0x800 | 0xD800..=0xDFFF) => self.end_escape(2),
            _ => self.end_escape(3),
        }
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
        let in_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
        let end = bytes[at..].iter().position(|byte| !in_number(byte)).map_or(bytes.len(), |length| at + length);
        if end < bytes.len() {
            self.end_value(bytes, end);
        }
        end
    }
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

    fn end_copy(&mut self, copy: Copying) {
        if self.overflow {
            self.copied.truncate(copy.start);
        } else {
            self.values.push((copy.place, copy.start..self.copied.len()));
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
