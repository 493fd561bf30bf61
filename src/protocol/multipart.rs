//! Multipart forms (RFC 7578), read strictly.
//!
//! A form is judged here and the client's own bytes are sent on, so every later reader must find the parts that were
//! judged. Readers of forms differ more than those of JSON: some take a bare line feed for the end of a line, some
//! ignore what stands before the first delimiter, some decode a part, some unescape a name, and of two parts with one
//! name some take the first. [`read`] refuses all of that. No honest client sends it: a boundary is random, so that it
//! stands nowhere but in delimiters.
//!
//! Always true: nothing of a part's value is copied or looked at, but for the boundary; work is linear in the body; the
//! number of parts and the size of their heads are bounded.

use std::ops::Range;

use memchr::memmem;
use thiserror::Error;

use crate::core::api_error::ApiError;

/// What stands between the parts of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary(String);

/// One field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    pub name: &'a str,
    /// Whether it has a file's name: some readers look for such parts in another place.
    pub is_file: bool,
    pub value: &'a [u8],
    /// Where the value stands in the body.
    pub span: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FormError {
    #[error("The body is not a form: it does not begin with the boundary that its Content-Type names.")]
    NoStart,
    #[error("The form is incomplete: its last boundary is missing.")]
    Cut,
    #[error("The form's boundary stands where it separates no parts, at byte {at}.")]
    StrayBoundary { at: usize },
    #[error("There is data behind the form's end.")]
    DataBehindEnd,
    #[error("The form has more than {PARTS_MAX} fields.")]
    TooManyParts,
    #[error("The head of a form's field, at byte {at}, {wrong}.")]
    Head { at: usize, wrong: &'static str },
    #[error("The field '{name}' is given twice.")]
    Duplicate { name: String },
}

impl Boundary {
    /// From what follows `multipart/form-data` in a `Content-Type`. None: there is no boundary that every reader would
    /// take for the same.
    pub fn from_parameters(text: &str) -> Option<Boundary> {
        let parameters = parameters(text)?;
        let (_, boundary) = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("boundary"))?;
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte);
        let fits = (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()) && boundary.bytes().all(legal);
        fits.then(|| Boundary((*boundary).to_owned()))
    }

    /// The `Content-Type` of a form with this boundary.
    pub fn content_type(&self) -> String {
        // Not every reader knows quotes, so they are for boundaries that need them.
        let quote = if self.0.bytes().all(is_token) { "" } else { "\"" };
        format!("multipart/form-data; boundary={quote}{}{quote}", self.0)
    }
}

/// Takes a form apart.
///
/// # Errors
/// [`FormError`], for whatever another reader may take apart otherwise.
pub fn read<'a>(body: &'a [u8], boundary: &Boundary) -> Result<Vec<Part<'a>>, FormError> {
    let delimiter = format!("--{}", boundary.0);
    let finder = memmem::Finder::new(&delimiter);
    if !body.starts_with(delimiter.as_bytes()) {
        return Err(FormError::NoStart);
    }
    let mut parts: Vec<Part<'a>> = Vec::new();
    let mut at = delimiter.len();
    loop {
        let rest = &body[at..];
        if let Some(behind) = rest.strip_prefix(b"--") {
            return if matches!(behind, b"" | b"\r\n") { Ok(parts) } else { Err(FormError::DataBehindEnd) };
        }
        if !rest.starts_with(b"\r\n") {
            return Err(if rest.len() < 2 { FormError::Cut } else { FormError::StrayBoundary { at } });
        }
        let head_at = at + 2;
        let window = &body[head_at..body.len().min(head_at + HEAD_BYTES_MAX)];
        let head_end = memmem::find(window, b"\r\n\r\n");
        let head_bytes = head_end.ok_or(FormError::Head { at: head_at, wrong: "has no end, or is too long" })?;
        let head = &window[..head_bytes];
        let value_at = head_at + head_bytes + 4;
        let next = value_at + finder.find(&body[value_at..]).ok_or(FormError::Cut)?;
        let value = body[value_at..next].strip_suffix(b"\r\n").ok_or(FormError::StrayBoundary { at: next })?;
        if finder.find(head).is_some() {
            return Err(FormError::StrayBoundary { at: head_at });
        }
        let head = Head::read(head).map_err(|wrong| FormError::Head { at: head_at, wrong })?;
        if parts.len() == PARTS_MAX {
            return Err(FormError::TooManyParts);
        }
        if !may_repeat(head.name) && parts.iter().any(|part| part.name == head.name) {
            return Err(FormError::Duplicate { name: head.name.to_owned() });
        }
        let span = value_at..value_at + value.len();
        parts.push(Part { name: head.name, is_file: head.is_file, value, span });
        at = next + delimiter.len();
    }
}

/// Lists are written by repeating a name; OpenAI's own documentation repeats `image`, too.
fn may_repeat(name: &str) -> bool {
    name.ends_with("[]") || name == "image"
}

/// What the head of a part says.
struct Head<'a> {
    name: &'a str,
    is_file: bool,
}

impl<'a> Head<'a> {
    fn read(head: &'a [u8]) -> Result<Head<'a>, &'static str> {
        let head = str::from_utf8(head).map_err(|_| "is not UTF-8")?;
        let mut found: Option<Head<'a>> = None;
        let mut charset_is_plain = true;
        let mut names: Vec<&str> = Vec::new();
        for line in head.split("\r\n") {
            // A line that begins with a blank continues the one before, for some.
            let (name, value) = line.split_once(':').ok_or("has a line without a colon")?;
            if !is_token_text(name) || value.contains(char::is_control) {
                return Err("is malformed");
            }
            if names.len() == HEADERS_MAX || names.iter().any(|other| other.eq_ignore_ascii_case(name)) {
                return Err("has too many headers, or one of them twice");
            }
            names.push(name);
            let value = value.trim_matches(' ');
            if name.eq_ignore_ascii_case("content-disposition") {
                found = Some(Head::disposition(value)?);
            } else if name.eq_ignore_ascii_case("content-type") {
                charset_is_plain = has_plain_charset(value)?;
            } else if name.eq_ignore_ascii_case("content-transfer-encoding")
                && !["binary", "8bit", "7bit"].iter().any(|plain| value.eq_ignore_ascii_case(plain))
            {
                return Err("names an encoding: fields are sent as they are");
            }
        }
        let head = found.ok_or("has no Content-Disposition")?;
        if !head.is_file && !charset_is_plain {
            return Err("names a charset other than UTF-8");
        }
        // RFC 7578, 4.6: a field of this name changes how the others are read.
        if head.name == "_charset_" {
            return Err("is for a '_charset_', which is not taken: forms are UTF-8");
        }
        Ok(head)
    }

    fn disposition(value: &'a str) -> Result<Head<'a>, &'static str> {
        let malformed = "has a malformed Content-Disposition";
        let kind_end = value.find([';', ' ']).ok_or(malformed)?;
        let (kind, rest) = value.split_at(kind_end);
        if !kind.eq_ignore_ascii_case("form-data") {
            return Err("is not that of a form's field");
        }
        let (mut name, mut is_file) = (None, false);
        for (parameter, value) in parameters(rest).ok_or(malformed)? {
            if parameter.eq_ignore_ascii_case("name") {
                name = Some(value);
            } else if parameter.eq_ignore_ascii_case("filename") || parameter.eq_ignore_ascii_case("filename*") {
                is_file = true;
            } else {
                return Err(malformed);
            }
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte);
        let name = name.ok_or("names no field")?;
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(legal) {
            return Err("names a field with other characters than letters, digits, '_', '-', '.' and '[]'");
        }
        Ok(Head { name, is_file })
    }
}

/// Whether a text of this `Content-Type` reads as UTF-8 reads it, as far as that is ASCII.
fn has_plain_charset(content_type: &str) -> Result<bool, &'static str> {
    let (essence, rest) = content_type.split_at(content_type.find(';').unwrap_or(content_type.len()));
    if essence.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/")) {
        return Err("holds a form within the form");
    }
    let parameters = parameters(rest).ok_or("has a malformed Content-Type")?;
    let charset = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("charset"));
    let plain = ["utf-8", "us-ascii", "iso-8859-1"];
    Ok(charset.is_none_or(|(_, charset)| plain.iter().any(|plain| charset.eq_ignore_ascii_case(plain))))
}

/// `; name=value` again and again, where a value is a token or stands in quotes. None if it can be read in two ways:
/// a name given twice, or a backslash, which some take for an escape and some for itself.
fn parameters(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    let mut rest = text.trim_matches(' ');
    while !rest.is_empty() {
        let (name, after) = rest.strip_prefix(';')?.trim_start_matches(' ').split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').filter(|(value, _)| !value.contains('\\'))?,
            None => {
                let (value, after) = after.split_at(after.find([';', ' ']).unwrap_or(after.len()));
                value.bytes().all(is_token).then_some((value, after))?
            }
        };
        let is_new = !found.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if !is_new || !is_token_text(name) || found.len() == PARAMETERS_MAX {
            return None;
        }
        found.push((name, value));
        rest = after.trim_start_matches(' ');
    }
    Some(found)
}

fn is_token_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token)
}

/// RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl From<FormError> for ApiError {
    fn from(error: FormError) -> ApiError {
        match &error {
            FormError::Duplicate { name } => ApiError::invalid_param(name, error.to_string()),
            _ => ApiError::invalid(error.to_string()),
        }
    }
}

/// RFC 2046, 5.1.1.
const BOUNDARY_BYTES_MAX: usize = 70;
/// Sixteen pictures and every field that any provider knows fit.
const PARTS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 4_096;
const HEADERS_MAX: usize = 8;
const PARAMETERS_MAX: usize = 4;
const NAME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests;
