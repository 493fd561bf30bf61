//! One strict pass over a JSON body.
//!
//! The gateway judges a body and then sends the client's own bytes on, so every later reader must see what was judged.
//! JSON leaves room to differ: of two members with one name some readers take the first and some the last, some accept
//! half a surrogate pair, and a value that one of them skips may be nested deep enough to fell the next. [`Reader`]
//! refuses all of that, also in the parts that nobody here looks at.
//!
//! It is read by descent: the caller asks for what it expects (`object`, `array`, `string` …) and skips the rest. There
//! is no tree, and nothing is copied but escaped names.
//!
//! Always true: work is linear in the body but for sorting names, whose number is bounded; the stack is bounded by
//! [`DEPTH_MAX`]; `at` stands on a character's boundary and never beyond the end.

use std::borrow::Cow;
use std::str;

use thiserror::Error;

use super::swar::quote_escape_or_control;

/// A position in a body that is valid UTF-8 throughout.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// Of all objects that are open, outermost first.
    names: Vec<Cow<'a, str>>,
    names_read: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum JsonError {
    #[error("The body is not valid JSON: {wrong} at byte {at}.")]
    Syntax { wrong: &'static str, at: usize },
    #[error("The body is nested deeper than {DEPTH_MAX} levels.")]
    TooDeep,
    #[error("The field '{name}' is given twice in one object.")]
    DuplicateName { name: String },
    #[error("An object has more than {MEMBERS_MAX} fields.")]
    TooManyMembers,
    #[error("The body has more than {NAMES_MAX} fields.")]
    TooManyNames,
    #[error("A number is longer than {NUMBER_BYTES_MAX} characters.")]
    NumberTooLong,
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Result<Self, JsonError> {
        let text = str::from_utf8(body)
            .map_err(|error| JsonError::Syntax { wrong: "text that is not UTF-8", at: error.valid_up_to() })?;
        Ok(Reader { text, at: 0, depth: 0, names: Vec::with_capacity(NAMES_FEW), names_read: 0 })
    }

    /// Asserts that nothing but white space is left.
    pub(super) fn finish(mut self) -> Result<(), JsonError> {
        if self.value_start() < self.text.len() {
            return Err(self.syntax("data after the end"));
        }
        Ok(())
    }

    /// Where the next value begins, in bytes.
    pub(super) fn value_start(&mut self) -> usize {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.as_bytes().get(self.at) {
            self.at += 1;
        }
        self.at
    }

    /// Where the last thing read ended, in bytes.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// What the next value is, judged by its first byte.
    pub(super) fn kind(&mut self) -> Result<Kind, JsonError> {
        match self.peek()? {
            b'{' => Ok(Kind::Object),
            b'[' => Ok(Kind::Array),
            b'"' => Ok(Kind::String),
            b'-' | b'0'..=b'9' => Ok(Kind::Number),
            b't' | b'f' => Ok(Kind::Bool),
            b'n' => Ok(Kind::Null),
            _ => Err(self.syntax("an unexpected character")),
        }
    }

    /// Reads an object. `member` gets each name, unescaped, and must read exactly one value.
    ///
    /// Duplicates show at the object's end: `member` may have seen both, but then the whole body is refused.
    pub(super) fn object<E: From<JsonError>>(
        &mut self,
        mut member: impl FnMut(&mut Self, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.open(b'{')?;
        let names_before = self.names.len();
        let mut more = self.peek()? != b'}';
        while more {
            let name = self.name(names_before)?;
            self.take(b':')?;
            member(self, &name)?;
            more = self.take_comma_before(b'}')?;
        }
        refuse_duplicates(&mut self.names[names_before..])?;
        self.names.truncate(names_before);
        Ok(self.close(b'}')?)
    }

    /// Reads an array. `element` must read exactly one value.
    pub(super) fn array<E: From<JsonError>>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.open(b'[')?;
        let mut more = self.peek()? != b']';
        while more {
            element(self)?;
            more = self.take_comma_before(b']')?;
        }
        Ok(self.close(b']')?)
    }

    pub(super) fn string(&mut self) -> Result<Text<'a>, JsonError> {
        self.take(b'"')?;
        let start = self.at;
        let mut decoded_bytes = 0;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            // Text of other scripts may come as escapes in a row: nothing to search for between them.
            let next = if rest.first() == Some(&b'\\') { Some(0) } else { quote_escape_or_control(rest) };
            let Some(run) = next else {
                self.at = self.text.len();
                return Err(self.syntax("an unexpected end"));
            };
            self.at += run;
            decoded_bytes += run;
            match rest[run] {
                b'"' => break,
                b'\\' => {}
                _ => return Err(self.syntax("a control character in the string")),
            }
            let (raw_bytes, char) = read_escape(&rest[run..]).ok_or_else(|| self.syntax("an invalid escape"))?;
            self.at += raw_bytes;
            decoded_bytes += char.len_utf8();
        }
        let raw = &self.text[start..self.at];
        self.at += 1;
        Ok(Text { raw, decoded_bytes })
    }

    /// Reads a number and gives it back as it was written.
    pub(super) fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.value_start();
        let length = number_length(&self.text.as_bytes()[start..]).ok_or_else(|| self.syntax("an invalid number"))?;
        if length > NUMBER_BYTES_MAX {
            return Err(JsonError::NumberTooLong);
        }
        self.at += length;
        Ok(&self.text[start..self.at])
    }

    pub(super) fn boolean(&mut self) -> Result<bool, JsonError> {
        let yes = self.peek()? == b't';
        self.word(if yes { "true" } else { "false" })?;
        Ok(yes)
    }

    /// Reads a value of any kind that nobody needs, as strictly as every other.
    pub(super) fn skip(&mut self) -> Result<(), JsonError> {
        match self.kind()? {
            Kind::Object => self.object(|reader, _| reader.skip()),
            Kind::Array => self.array(Self::skip),
            Kind::String => self.string().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::Bool => self.boolean().map(drop),
            Kind::Null => self.word("null"),
        }
    }

    /// Reads a member's name and remembers it until its object ends.
    fn name(&mut self, names_before: usize) -> Result<Cow<'a, str>, JsonError> {
        let name = self.string()?.decoded();
        if self.names.len() - names_before == MEMBERS_MAX {
            return Err(JsonError::TooManyMembers);
        }
        self.names_read += 1;
        if self.names_read > NAMES_MAX {
            return Err(JsonError::TooManyNames);
        }
        self.names.push(name.clone());
        Ok(name)
    }

    fn open(&mut self, bracket: u8) -> Result<(), JsonError> {
        self.take(bracket)?;
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(JsonError::TooDeep) } else { Ok(()) }
    }

    fn close(&mut self, bracket: u8) -> Result<(), JsonError> {
        self.take(bracket)?;
        self.depth -= 1;
        Ok(())
    }

    /// After a value: takes the comma if there is one; otherwise the `end` must follow.
    fn take_comma_before(&mut self, end: u8) -> Result<bool, JsonError> {
        match self.peek()? {
            b',' => {
                self.at += 1;
                Ok(true)
            }
            byte if byte == end => Ok(false),
            _ => Err(self.syntax("an unexpected character")),
        }
    }

    fn take(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek()? != byte {
            return Err(self.syntax("an unexpected character"));
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), JsonError> {
        let start = self.value_start();
        if !self.text[start..].starts_with(word) {
            return Err(self.syntax("an unexpected character"));
        }
        self.at += word.len();
        Ok(())
    }

    fn peek(&mut self) -> Result<u8, JsonError> {
        let start = self.value_start();
        self.text.as_bytes().get(start).copied().ok_or_else(|| self.syntax("an unexpected end"))
    }

    fn syntax(&self, wrong: &'static str) -> JsonError {
        JsonError::Syntax { wrong, at: self.at }
    }
}

/// A string as it was written, known to be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Text<'a> {
    /// Between the quotes.
    raw: &'a str,
    /// What it comes to without escapes. Every escape is longer than its character, so equal lengths mean none.
    pub(super) decoded_bytes: usize,
}

impl<'a> Text<'a> {
    pub(super) fn decoded(self) -> Cow<'a, str> {
        if self.decoded_bytes == self.raw.len() {
            return Cow::Borrowed(self.raw);
        }
        let mut decoded = String::with_capacity(self.decoded_bytes);
        let mut rest = self.raw;
        while let Some(run) = rest.find('\\') {
            let (raw_bytes, char) = read_escape(&rest.as_bytes()[run..]).expect("the reader has judged every escape");
            decoded.push_str(&rest[..run]);
            decoded.push(char);
            rest = &rest[run + raw_bytes..];
        }
        decoded.push_str(rest);
        Cow::Owned(decoded)
    }
}

/// The character of the escape that `bytes` begin with, and how many bytes it takes. None if it is not one.
fn read_escape(bytes: &[u8]) -> Option<(usize, char)> {
    let char = match bytes.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return read_unicode_escape(bytes),
        _ => return None,
    };
    Some((2, char))
}

/// `\uXXXX`, or two of them that are a surrogate pair. Half a pair is no character and is refused.
fn read_unicode_escape(bytes: &[u8]) -> Option<(usize, char)> {
    let first = hex_unit(bytes.get(2..6)?)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((6, char::from_u32(first)?));
    }
    let second = hex_unit(bytes.get(6..12)?.strip_prefix(b"\\u")?)?;
    if !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    Some((12, char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))?))
}

fn hex_unit(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |unit, digit| Some((unit << 4) | char::from(*digit).to_digit(16)?))
}

/// How many of the first bytes are a number by RFC 8259 section 6.
fn number_length(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && bytes[at] == b'0') {
        return None;
    }
    at += whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
        let exponent = digits(at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    Some(at)
}

/// Pairs for a few names; sorting for many, which no choice of names can make slow as it can a hash table.
fn refuse_duplicates(names: &mut [Cow<'_, str>]) -> Result<(), JsonError> {
    let duplicate = if names.len() <= NAMES_FEW {
        (1..names.len()).find(|later| names[..*later].contains(&names[*later]))
    } else {
        names.sort_unstable_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        (1..names.len()).find(|later| names[later - 1] == names[*later])
    };
    match duplicate {
        Some(index) => Err(JsonError::DuplicateName { name: names[index].chars().take(NAME_CHARS_SHOWN).collect() }),
        None => Ok(()),
    }
}

/// Objects and arrays in one another.
pub(super) const DEPTH_MAX: usize = 64;
/// Far above any schema or `logit_bias`; a million names in one object end here.
const MEMBERS_MAX: usize = 4_096;
/// In the whole body: conversations of tens of thousands of messages fit.
const NAMES_MAX: usize = 131_072;
/// Python reads up to 4,300 digits of an integer and fails beyond; nobody needs a tenth of it.
const NUMBER_BYTES_MAX: usize = 256;
const NAMES_FEW: usize = 16;
const NAME_CHARS_SHOWN: usize = 64;

#[cfg(test)]
mod tests;
