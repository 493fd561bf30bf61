//! What a request asks, whatever its dialect.
//!
//! Each dialect is read into a [`Conversation`] and written from one, so that three dialects need three readers and
//! three writers, and a fact is carried the same way between any two. Text is borrowed from the body; schemas and
//! numbers are the bytes that the client wrote.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::fields::{cannot_carry, wrong};
use crate::core::api_error::ApiError;
use crate::protocol::json::{Kind, Reader};

#[derive(Default)]
pub(super) struct Conversation<'a> {
    pub turns: Vec<Turn<'a>>,
    pub tools: Vec<Tool<'a>>,
    pub tool_choice: Option<ToolChoice<'a>>,
    pub parallel_calls: Option<bool>,
    pub max_output_tokens: Option<u64>,
    pub temperature: Option<&'a RawValue>,
    pub top_p: Option<&'a RawValue>,
    pub stop: Vec<Cow<'a, str>>,
    /// Where `stop` stood, for when it cannot be carried.
    pub stop_field: &'static str,
    /// With the name of the field that says so, for when it cannot be carried.
    pub effort: Option<(Effort, &'static str)>,
    pub verbosity: Option<Cow<'a, str>>,
    pub format: Option<Format<'a>>,
    pub stream: bool,
    /// The client asked for usage in a stream whose dialect has it on request only.
    pub include_usage: bool,
}

pub(super) struct Turn<'a> {
    pub role: Role,
    pub parts: Vec<Part<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Instructions: what the dialects call system or developer.
    System,
    User,
    Assistant,
}

/// A piece of a turn. `at` is where it stood in the client's body, for a writer that has to refuse it.
pub(super) enum Part<'a> {
    Text(Cow<'a, str>),
    /// Reasoning that came out of a chat completion and can go back into one.
    Thinking(Cow<'a, str>),
    Image(Media<'a>),
    File {
        at: String,
        media: Media<'a>,
        name: Option<Cow<'a, str>>,
    },
    Call {
        at: String,
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        /// JSON, as text.
        arguments: Cow<'a, str>,
    },
    /// What a tool answered; it stands in a user's turn.
    Result {
        call_id: Cow<'a, str>,
        content: Vec<Part<'a>>,
        is_error: bool,
    },
}

pub(super) enum Media<'a> {
    Base64 { media_type: Cow<'a, str>, data: Cow<'a, str> },
    Url(Cow<'a, str>),
}

pub(super) struct Tool<'a> {
    pub name: Cow<'a, str>,
    pub description: Option<Cow<'a, str>>,
    pub schema: Option<&'a RawValue>,
    pub strict: Option<bool>,
}

pub(super) enum ToolChoice<'a> {
    Auto,
    None,
    Required,
    Named(Cow<'a, str>),
}

impl ToolChoice<'_> {
    /// The three words that OpenAI's two dialects share.
    pub fn from_word(path: &str, word: &str) -> Result<Self, ApiError> {
        match word {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(wrong(path, "'auto', 'none', 'required' or an object that names a tool")),
        }
    }
}

pub(super) enum Format<'a> {
    /// Any object; with the field that asks for it.
    JsonObject(&'static str),
    Schema {
        name: Option<Cow<'a, str>>,
        description: Option<Cow<'a, str>>,
        schema: &'a RawValue,
        strict: Option<bool>,
    },
}

/// How much a model shall think, in the words that the dialects share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

impl Effort {
    const WORDS: [(Effort, &'static str); 7] = [
        (Effort::None, "none"),
        (Effort::Minimal, "minimal"),
        (Effort::Low, "low"),
        (Effort::Medium, "medium"),
        (Effort::High, "high"),
        (Effort::Xhigh, "xhigh"),
        (Effort::Max, "max"),
    ];

    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(effort, _)| *effort == self).map_or("medium", |(_, word)| word)
    }

    pub fn read(path: &str, word: &str) -> Result<Self, ApiError> {
        let found = Self::WORDS.iter().find(|(_, known)| *known == word);
        found
            .map(|(effort, _)| *effort)
            .ok_or_else(|| wrong(path, "one of 'none', 'minimal', 'low', 'medium', 'high', 'xhigh' and 'max'"))
    }

    /// The effort that a budget of thinking tokens comes nearest to.
    pub fn of_budget(tokens: u64) -> Self {
        match tokens {
            ..4_096 => Effort::Low,
            4_096..16_384 => Effort::Medium,
            _ => Effort::High,
        }
    }

    /// The budget for a model that knows budgets alone; none where it shall not think.
    pub fn budget(self) -> Option<u64> {
        match self {
            Effort::None => None,
            Effort::Minimal => Some(BUDGET_MIN),
            Effort::Low => Some(2_048),
            Effort::Medium => Some(8_192),
            Effort::High => Some(24_576),
            Effort::Xhigh | Effort::Max => Some(32_768),
        }
    }
}

/// What seals thoughts that are a chat completion's `reasoning_content`, where other dialects have a signature or an
/// encrypted copy: sent back with it, they can go there again, as some makers of models that reason want it.
pub(super) const CHAT_SEAL: &str = "reasoning_content";

/// Anthropic takes no smaller one.
pub(super) const BUDGET_MIN: u64 = 1_024;

impl<'a> Conversation<'a> {
    /// Adds to the last turn if it is of this role, else begins one.
    pub fn push(&mut self, role: Role, part: Part<'a>) {
        match self.turns.last_mut() {
            Some(turn) if turn.role == role => turn.parts.push(part),
            _ => self.turns.push(Turn { role, parts: vec![part] }),
        }
    }

    /// Whether a tool's answer is what the model will read next: its own thinking before the call would belong there.
    pub fn awaits_reply_to_calls(&self) -> bool {
        let is_result = |part: &Part| matches!(part, Part::Result { .. });
        self.turns.last().is_some_and(|turn| turn.role == Role::User && turn.parts.iter().any(is_result))
    }
}

impl<'a> Media<'a> {
    /// A picture's or a file's address: `data:` with base64, or http.
    pub fn from_url(path: &str, url: Cow<'a, str>) -> Result<Self, ApiError> {
        if url.starts_with("http://") || url.starts_with("https://") {
            return Ok(Media::Url(url));
        }
        let parts = |url: &str| {
            let rest = url.strip_prefix("data:")?;
            let comma = rest.find(',')?;
            let media_type = rest[..comma].strip_suffix(";base64")?;
            // Parameters such as a charset are no part of what the other side calls a media type.
            let type_end = media_type.find(';').unwrap_or(media_type.len());
            (type_end > 0).then_some(("data:".len() + type_end, "data:".len() + comma + 1))
        };
        let Some((type_end, data_start)) = parts(&url) else {
            return Err(wrong(path, "an http URL, or a data URL with a media type and base64"));
        };
        Ok(match url {
            Cow::Borrowed(url) => {
                Media::Base64 { media_type: url["data:".len()..type_end].into(), data: url[data_start..].into() }
            }
            Cow::Owned(url) => Media::Base64 {
                media_type: url["data:".len()..type_end].to_owned().into(),
                data: url[data_start..].to_owned().into(),
            },
        })
    }

    pub fn into_url(self) -> Cow<'a, str> {
        match self {
            Media::Url(url) => url,
            Media::Base64 { media_type, data } => format!("data:{media_type};base64,{data}").into(),
        }
    }
}

/// Text that becomes one string: blocks are apart for the client's own bookkeeping, the model reads them in a row.
pub(super) fn joined(texts: Vec<Cow<'_, str>>) -> Cow<'_, str> {
    match <[_; 1]>::try_from(texts) {
        Ok([text]) => text,
        Err(texts) => texts.join("\n\n").into(),
    }
}

/// A call's arguments as the object that they must be on the other side.
///
/// They came as text inside a string, where nobody judged them yet: they are as strictly read as a body is.
pub(super) fn arguments_object(arguments: &str) -> Option<Box<RawValue>> {
    if arguments.trim().is_empty() {
        return RawValue::from_string("{}".to_owned()).ok();
    }
    let mut reader = Reader::new(arguments.as_bytes()).ok()?;
    if reader.kind().ok()? != Kind::Object {
        return None;
    }
    reader.skip().ok()?;
    reader.finish().ok()?;
    RawValue::from_string(arguments.to_owned()).ok()
}

/// The id of a call that its model signed.
///
/// Gemini refuses its own calls without the signature that it gave them (Google's "Thought signatures"), and no other
/// dialect has a place for it. Clients send an id back as it came, so it goes along in there.
pub(super) fn signed_id(id: &str, signature: &str) -> String {
    format!("{id}{SIGNATURE_MARK}{signature}")
}

/// A call's own id, and its signature.
pub(super) fn unsigned_id(id: Cow<'_, str>) -> (Cow<'_, str>, Option<String>) {
    let Some((own, signature)) = id.split_once(SIGNATURE_MARK) else { return (id, None) };
    (Cow::Owned(own.to_owned()), Some(signature.to_owned()))
}

const SIGNATURE_MARK: &str = "~thought-signature~";

/// Refuses a switch that is on and has no place; off is how the other side is anyway.
pub(super) fn refuse_unless_off(path: &str, value: Option<&RawValue>) -> Result<(), ApiError> {
    match value.map(RawValue::get) {
        None | Some("false" | "0" | "{}" | "[]") => Ok(()),
        Some(_) => Err(cannot_carry(path)),
    }
}
