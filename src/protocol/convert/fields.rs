//! A JSON object's members, taken one by one, so that nothing in a request is overlooked.
//!
//! A conversion that skips what it does not know changes what was asked without a word. Here every member is taken by
//! its name, or dropped by its name, and [`Fields::finish`] refuses the rest. Values stay the text that they were
//! written as: the order of a schema's properties and the digits of its numbers reach the other side as they came.
//!
//! Always true: a member that is null counts as absent; an error names the member by its path from the body's root.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::list::List;
use crate::core::api_error::ApiError;

pub(super) struct Fields<'a> {
    /// The object's path; empty for the body itself.
    at: String,
    members: Vec<(String, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    pub fn body(body: &'a [u8]) -> Result<Self, ApiError> {
        let raw = serde_json::from_slice(body).map_err(|_| ApiError::invalid("The body is not valid JSON."))?;
        Self::read(String::new(), raw)
    }

    pub fn read(at: String, raw: &'a RawValue) -> Result<Self, ApiError> {
        match serde_json::from_str(raw.get()) {
            Ok(Members(members)) => Ok(Fields { at, members }),
            Err(_) => Err(wrong(&at, "an object")),
        }
    }

    /// The path of a member.
    pub fn path(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) }
    }

    /// A member's value as it was written.
    pub fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let index = self.members.iter().position(|(member, _)| member == name)?;
        let (_, value) = self.members.swap_remove(index);
        (value.get() != "null").then_some(value)
    }

    pub fn text(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, ApiError> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        text(raw).map(Some).ok_or_else(|| wrong(&self.path(name), "a string"))
    }

    pub fn needed_text(&mut self, name: &str) -> Result<Cow<'a, str>, ApiError> {
        self.text(name)?.ok_or_else(|| self.missing(name))
    }

    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.take(name).map(RawValue::get) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(wrong(&self.path(name), "true or false")),
        }
    }

    /// A number as it was written.
    pub fn number(&mut self, name: &str) -> Result<Option<&'a RawValue>, ApiError> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        if raw.get().starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            Ok(Some(raw))
        } else {
            Err(wrong(&self.path(name), "a number"))
        }
    }

    pub fn integer(&mut self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        raw.get().parse().map(Some).map_err(|_| wrong(&self.path(name), "a positive integer"))
    }

    /// The elements of a list, each with its path.
    pub fn list(&mut self, name: &str) -> Result<Option<Vec<(String, &'a RawValue)>>, ApiError> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        elements(&self.path(name), raw, "an array").map(Some)
    }

    pub fn object(&mut self, name: &str) -> Result<Option<Fields<'a>>, ApiError> {
        let path = self.path(name);
        self.take(name).map(|raw| Fields::read(path, raw)).transpose()
    }

    pub fn needed_object(&mut self, name: &str) -> Result<Fields<'a>, ApiError> {
        self.object(name)?.ok_or_else(|| self.missing(name))
    }

    /// The value of `name` that must be an object and is handed on as it was written.
    pub fn raw_object(&mut self, name: &str) -> Result<Option<&'a RawValue>, ApiError> {
        match self.take(name) {
            Some(raw) if !raw.get().starts_with('{') => Err(wrong(&self.path(name), "an object")),
            raw => Ok(raw),
        }
    }

    /// Takes hints out, and notes those that were given.
    pub fn drop(&mut self, hints: &[&'static str], dropped: &mut Dropped) {
        for hint in hints {
            if self.take(hint).is_some_and(|value| value.get() != "[]") {
                dropped.note(hint);
            }
        }
    }

    /// Takes out what says nothing to a model: identities and states of what an answer was made of.
    pub fn ignore(&mut self, names: &[&str]) {
        self.members.retain(|(member, _)| !names.contains(&member.as_str()));
    }

    pub fn missing(&self, name: &str) -> ApiError {
        let path = self.path(name);
        ApiError::invalid_param(&path, format!("'{path}' is required."))
    }

    /// Asserts that nothing is left.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.members.iter().find(|(_, value)| value.get() != "null") {
            Some((name, _)) => Err(cannot_carry(&self.path(name))),
            None => Ok(()),
        }
    }
}

/// Names of hints that could not be carried, each once.
#[derive(Debug, Default)]
pub(super) struct Dropped(pub Vec<&'static str>);

impl Dropped {
    pub fn note(&mut self, hint: &'static str) {
        if !self.0.contains(&hint) {
            self.0.push(hint);
        }
    }
}

/// A string's text, borrowed where it has no escapes: a picture may be 20 MB.
pub(super) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inside = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inside));
    }
    serde_json::from_str(raw.get()).ok().map(Cow::Owned)
}

/// The elements of a list, each with its path. `must_be`: what could stand here.
pub(super) fn elements<'a>(
    at: &str,
    raw: &'a RawValue,
    must_be: &str,
) -> Result<Vec<(String, &'a RawValue)>, ApiError> {
    if !raw.get().starts_with('[') {
        return Err(wrong(at, must_be));
    }
    let elements: List<&RawValue, ELEMENTS_MAX> = serde_json::from_str(raw.get())
        .map_err(|_| ApiError::invalid_param(at, format!("'{at}' has more than {ELEMENTS_MAX} elements.")))?;
    Ok(elements.into_iter().enumerate().map(|(index, element)| (format!("{at}[{index}]"), element)).collect())
}

pub(super) fn is_empty_object(json: &RawValue) -> bool {
    json.get().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).is_none_or(|inside| inside.trim().is_empty())
}

pub(super) fn wrong(path: &str, must_be: &str) -> ApiError {
    ApiError::invalid_param(path, format!("'{path}' must be {must_be}."))
}

/// The refusal of what has no place in the dialect of the model's provider.
pub(super) fn cannot_carry(path: &str) -> ApiError {
    ApiError::invalid_param(
        path,
        format!(
            "'{path}' is not supported for this model here: its provider speaks another API, which has no place for it."
        ),
    )
}

/// An object in its order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A body has no room for more objects than this; numbers and short strings are what it could hold millions of.
const ELEMENTS_MAX: usize = 65_536;
