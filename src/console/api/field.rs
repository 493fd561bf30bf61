//! Fields of bodies and queries: what they say, or which of them is wrong.

use std::fmt::Display;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::super::problem::Problem;
use crate::core::money::Nano;
use crate::core::values;

/// A field's value, or a refusal that names the field.
pub fn field<T>(name: &str, read: Result<T, impl Display>) -> Result<T, Problem> {
    read.map_err(|fault| Problem::invalid_field(name, fault.to_string()))
}

/// An amount of money of either sign.
pub fn amount(name: &str, text: &str) -> Result<Nano, Problem> {
    field(name, text.parse::<Nano>())
}

/// An amount of money from zero up.
pub fn not_negative(name: &str, text: &str) -> Result<Nano, Problem> {
    match amount(name, text)? {
        amount if amount.is_negative() => Err(Problem::invalid_field(name, "must not be negative")),
        amount => Ok(amount),
    }
}

pub fn duration(name: &str, text: &str) -> Result<Duration, Problem> {
    field(name, values::duration(text))
}

/// A moment as RFC 3339 has it.
pub fn moment(name: &str, text: &str) -> Result<Timestamp, Problem> {
    field(name, text.parse::<Timestamp>().map_err(|_| "use a moment such as 2026-12-31T18:00:00Z"))
}

pub fn moment_ms(name: &str, text: Option<&str>) -> Result<Option<i64>, Problem> {
    text.map(|text| moment(name, text).map(Timestamp::as_millisecond)).transpose()
}

/// When something ends: a moment, or a span from now, never both.
pub fn end_ms(at: Option<&str>, after: Option<&str>, now_ms: i64) -> Result<Option<i64>, Problem> {
    let expiry = match (at, after) {
        (Some(_), Some(_)) => {
            return Err(Problem::invalid_field("expires_in", "stands for expires_at; send one of them"));
        }
        (Some(text), None) => values::Expiry::AtMs(moment("expires_at", text)?.as_millisecond()),
        (None, Some(text)) => values::Expiry::After(duration("expires_in", text)?),
        (None, None) => return Ok(None),
    };
    Ok(expiry.at_ms(now_ms))
}

/// As [`end_ms`], for something that begins now: an end that is over is a mistake.
pub fn coming_end_ms(at: Option<&str>, after: Option<&str>, now_ms: i64) -> Result<Option<i64>, Problem> {
    match end_ms(at, after, now_ms)? {
        Some(end_ms) if end_ms <= now_ms => {
            let name = if at.is_some() { "expires_at" } else { "expires_in" };
            Err(Problem::invalid_field(name, "is not in the future"))
        }
        end_ms => Ok(end_ms),
    }
}

/// A line for people of at most so many characters.
pub fn line(name: &str, text: &str, chars_max: usize) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > chars_max {
        return Err(Problem::invalid_field(name, format!("use 1 to {chars_max} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::invalid_field(name, "use no control characters"));
    }
    Ok(text.to_owned())
}

/// Tells a field that is null from one that is not there, by `#[serde(default, deserialize_with = "present")]`.
pub fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// `1` or `true` in a query.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" | "" => Ok(false),
        _ => Err(serde::de::Error::custom("use 1 or 0")),
    }
}
