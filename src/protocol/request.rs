//! What a request's body says, and the smallest edit that makes it an upstream's.
//!
//! A body is read once and never serialised again: fields that nobody here knows reach the upstream byte for byte, and
//! what was judged is what is sent. An edit is a splice of the client's own memory around a few new bytes.
//!
//! Always true of [`Facts`]: every number is within the bounds below, so that the price of the dearest request cannot
//! overflow; a field of the wrong type has been refused, not ignored.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::endpoint::Endpoint;
use super::json::{JsonError, Kind, Reader};
use super::multipart::Boundary;
use super::prompt::Tally;
use super::tools::{self, Searches};
use crate::core::api_error::ApiError;
use crate::core::usage::{COUNT_MAX, ImageKind, Tier};

/// What a body says, judged once.
#[derive(Clone, Debug)]
pub struct Facts {
    pub model: String,
    pub stream: bool,
    /// Whether the client itself asked for usage in the stream.
    pub include_usage: bool,
    /// The larger, where two fields name a maximum.
    pub max_output_tokens: Option<u64>,
    /// How many answers will be generated, each with up to the maximum of tokens: `n` or `best_of`, whichever is more,
    /// for each prompt. At least 1.
    pub choices: u64,
    pub tier: Tier,
    /// Input for the hold: at least what an upstream will count, practically always.
    pub input_tokens: u64,
    /// Bytes of text in the input, media excepted.
    pub text_bytes: u64,
    /// The part of `input_tokens` that is not text: media and token ids. Where it is not zero, the reported input says
    /// nothing about bytes per token.
    pub other_tokens: u64,
    /// Pictures to be generated.
    pub images: u64,
    pub image_kind: ImageKind,
    /// Characters to be spoken, and what they are in bytes.
    pub characters: u64,
    pub spoken_bytes: u64,
    /// Searches of the web that are allowed.
    pub web_searches: u64,
    /// The field that adds input which only the upstream can see, such as a conversation that it has stored.
    pub unseen_input: Option<&'static str>,
    /// The length of a recording, by its own words.
    pub audio_ms: u64,
    /// What a search among the documents counts as.
    pub search_units: u64,
    /// A body that is a form; JSON otherwise.
    form: Option<Boundary>,
    model_span: Range<usize>,
    stream_options: StreamOptions,
}

/// Reads a body that is JSON.
///
/// # Errors
/// [`ApiError::InvalidRequest`] with the field at fault, or without one where the body as a whole is not acceptable JSON.
pub fn understand(endpoint: Endpoint, body: &[u8]) -> Result<Facts, ApiError> {
    let mut reader = Reader::new(body)?;
    if reader.kind()? != Kind::Object {
        return Err(ApiError::invalid("The body must be a JSON object."));
    }
    let mut draft = Draft::default();
    reader.object(|reader, name| draft.member(endpoint, reader, name))?;
    reader.finish()?;
    draft.into_facts(endpoint)
}

impl Facts {
    /// The body for an upstream, as pieces to be concatenated; all that is not edited shares the memory of `body`, which
    /// must be the bytes that were understood.
    ///
    /// Edited are `model`, where the upstream calls it otherwise, and `stream_options.include_usage`, where usage is to be
    /// injected into a stream whose client did not ask for it.
    pub fn rewrite(&self, body: &Bytes, upstream_model: &str, inject_usage: bool) -> Vec<Bytes> {
        let mut edits = Vec::with_capacity(2);
        if upstream_model != self.model {
            let model = match self.form {
                Some(_) => Bytes::copy_from_slice(upstream_model.as_bytes()),
                None => quote(upstream_model),
            };
            edits.push((self.model_span.clone(), model));
        }
        if inject_usage && self.stream && !self.include_usage {
            edits.push(self.stream_options.edit_to_include_usage(self.model_span.end));
        }
        edits.sort_by_key(|(span, _)| span.start);
        splice(body, edits)
    }

    /// The `Content-Type` of the body.
    pub fn content_type(&self) -> Cow<'static, str> {
        match &self.form {
            Some(boundary) => boundary.content_type().into(),
            None => "application/json".into(),
        }
    }
}

/// What has been read so far.
#[derive(Default)]
struct Draft {
    model: Option<(String, Range<usize>)>,
    stream: bool,
    stream_options: StreamOptions,
    max_output_tokens: Option<u64>,
    n: Option<u64>,
    best_of: Option<u64>,
    prompts: Option<u64>,
    tier: Tier,
    image_kind: ImageKind,
    characters: u64,
    spoken_bytes: u64,
    query_bytes: Option<u64>,
    documents: u64,
    /// A file was uploaded.
    file: bool,
    audio_ms: u64,
    input: Tally,
    searches: Searches,
    calls_max: Option<u64>,
    unseen_input: Option<&'static str>,
}

impl Draft {
    /// Reads one member of the body. What an endpoint does not know is none of our business there.
    fn member(&mut self, endpoint: Endpoint, reader: &mut Reader, name: &str) -> Result<(), ApiError> {
        use Endpoint::{
            AudioSpeech, ChatCompletions, Completions, CountTokens, Embeddings, ImagesGenerations, Messages,
            Moderations, Rerank, Responses,
        };
        match (name, endpoint) {
            ("model", _) => self.model = Some(read_model(reader)?),
            ("stream", _) => self.stream = read_stream(endpoint, reader)?,
            ("stream_options", _) => self.stream_options = read_stream_options(reader)?,
            ("max_tokens" | "max_completion_tokens" | "max_output_tokens", _) => {
                self.max_output_tokens = self.max_output_tokens.max(read_integer(reader, name, COUNT_MAX)?);
            }
            ("n", ImagesGenerations) => self.n = read_integer(reader, name, IMAGES_MAX)?,
            ("n", _) => self.n = read_integer(reader, name, CHOICES_MAX)?,
            ("best_of", _) => self.best_of = read_integer(reader, name, CHOICES_MAX)?,
            ("service_tier", _) => {
                self.tier = read_label(reader, name)?.map_or(Tier::Standard, |tier| Tier::from_wire(&tier));
            }
            ("messages", ChatCompletions | Messages | CountTokens) => {
                expect(reader, name, &[Kind::Array], "an array")?;
                self.input.messages(reader)?;
            }
            ("input", Responses) => {
                expect(reader, name, &[Kind::String, Kind::Array, Kind::Null], "a string or an array")?;
                self.input.items(reader)?;
            }
            ("prompt", Completions) => {
                expect(reader, name, &[Kind::String, Kind::Array, Kind::Null], "a string or an array")?;
                self.prompts = Some(self.input.prompts(reader)?);
            }
            ("prompt", ImagesGenerations) => {
                expect(reader, name, &[Kind::String], "a string")?;
                self.prompts = Some(self.input.prompts(reader)?);
            }
            ("input", Embeddings | Moderations) => {
                expect(reader, name, &[Kind::String, Kind::Array], "a string or an array")?;
                self.prompts = Some(self.input.prompts(reader)?);
            }
            ("input", AudioSpeech) => self.read_speech(reader)?,
            // The word `audio`, the default, is the sound itself.
            ("stream_format", AudioSpeech) => self.stream = read_label(reader, name)?.is_some_and(|form| form == "sse"),
            ("query", Rerank) => self.query_bytes = Some(self.read_query(reader)?),
            ("documents", Rerank) => {
                expect(reader, name, &[Kind::Array], "an array")?;
                let before = self.input;
                let documents = self.input.prompts(reader)?;
                // An empty array makes one prompt, and is none here.
                self.documents = if self.input == before { 0 } else { documents };
            }
            ("size", ImagesGenerations) => self.image_kind.size = read_label(reader, name)?.unwrap_or_default(),
            ("quality", ImagesGenerations) => self.image_kind.quality = read_label(reader, name)?.unwrap_or_default(),
            ("tools" | "functions", _) => tools::read(endpoint, reader, &mut self.input, &mut self.searches)?,
            ("max_tool_calls", Responses) => self.calls_max = read_integer(reader, name, COUNT_MAX)?,
            ("background", Responses) if read_boolean(reader, name)?.unwrap_or(false) => {
                let message = "Responses in the background are not served here: leave 'background' out.";
                return Err(ApiError::invalid_param(name, message));
            }
            ("background", Responses) => {}
            ("previous_response_id", Responses) => self.unseen(reader, "previous_response_id")?,
            ("conversation", Responses) => self.unseen(reader, "conversation")?,
            ("prompt", Responses) => self.unseen(reader, "prompt")?,
            // OpenRouter's `models` and `route`, Anthropic's `fallbacks`.
            ("models" | "route" | "fallbacks", ChatCompletions | Completions | Messages | Responses)
                if reader.kind()? != Kind::Null =>
            {
                let message =
                    format!("Another model has another price, and may not be this key's: leave '{name}' out.");
                return Err(ApiError::invalid_param(name, message));
            }
            // OpenRouter's: each is billed beside the tokens.
            ("plugins", ChatCompletions | Completions | Messages | Responses) if reader.kind()? != Kind::Null => {
                let message = "Plugins are billed beside the tokens, and have no price here: leave 'plugins' out.";
                return Err(ApiError::invalid_param(name, message));
            }
            ("speed", Messages) => read_priced_choice(reader, name, "standard")?,
            ("inference_geo", Messages) => read_priced_choice(reader, name, "global")?,
            ("response_format", _) => self.input.schema(reader)?,
            ("instructions" | "system" | "suffix" | "documents" | "prediction", _) => self.input.text(reader)?,
            _ => reader.skip()?,
        }
        Ok(())
    }

    /// A field that brings in what the upstream has stored.
    fn unseen(&mut self, reader: &mut Reader, name: &'static str) -> Result<(), ApiError> {
        if reader.kind()? != Kind::Null {
            self.unseen_input = Some(name);
        }
        Ok(reader.skip()?)
    }

    fn into_facts(mut self, endpoint: Endpoint) -> Result<Facts, ApiError> {
        let Some((model, model_span)) = self.model.take() else {
            return Err(missing("model"));
        };
        match endpoint {
            Endpoint::ChatCompletions | Endpoint::Messages | Endpoint::CountTokens if self.input.messages == 0 => {
                return Err(missing("messages"));
            }
            Endpoint::Embeddings if self.prompts.is_none() => return Err(missing("input")),
            Endpoint::Moderations if self.prompts.is_none() => return Err(missing("input")),
            Endpoint::ImagesGenerations | Endpoint::ImagesEdits if self.prompts.is_none() => {
                return Err(missing("prompt"));
            }
            Endpoint::ImagesEdits if !self.file => return Err(missing("image")),
            Endpoint::AudioSpeech if self.characters == 0 => return Err(missing("input")),
            Endpoint::AudioTranscriptions if !self.file => return Err(missing("file")),
            Endpoint::Rerank if self.query_bytes.is_none() => return Err(missing("query")),
            Endpoint::Rerank if self.documents == 0 => return Err(missing("documents")),
            _ => {}
        }
        self.repeat_query();
        let search_units = self.search_units();
        let of_each_prompt = self.n.max(self.best_of).unwrap_or(1);
        let (choices, images) = match endpoint {
            Endpoint::ChatCompletions => (of_each_prompt, 0),
            Endpoint::Responses | Endpoint::Messages | Endpoint::CountTokens => (1, 0),
            Endpoint::Completions => (of_each_prompt.saturating_mul(self.prompts.unwrap_or(1)), 0),
            Endpoint::Embeddings | Endpoint::Moderations | Endpoint::Rerank => (1, 0),
            Endpoint::AudioSpeech | Endpoint::AudioTranscriptions => (1, 0),
            Endpoint::ImagesGenerations | Endpoint::ImagesEdits => (self.n.unwrap_or(1), self.n.unwrap_or(1)),
        };
        Ok(Facts {
            model,
            stream: self.stream,
            include_usage: self.stream_options.include_usage(),
            max_output_tokens: self.max_output_tokens,
            choices,
            tier: self.tier,
            input_tokens: self.input.tokens(),
            text_bytes: self.input.text_bytes,
            other_tokens: self.input.other_tokens,
            images,
            image_kind: self.image_kind,
            web_searches: self.searches.bound(self.calls_max),
            unseen_input: self.unseen_input.or((self.input.references > 0).then_some("input")),
            characters: self.characters,
            spoken_bytes: self.spoken_bytes,
            audio_ms: self.audio_ms,
            search_units,
            form: None,
            model_span,
            stream_options: self.stream_options,
        })
    }
}

impl Draft {
    fn read_speech(&mut self, reader: &mut Reader) -> Result<(), ApiError> {
        expect(reader, "input", &[Kind::String], "a string")?;
        let spoken = reader.string()?;
        self.characters = spoken.decoded().chars().count() as u64;
        self.spoken_bytes = spoken.decoded_bytes as u64;
        self.input.plain_string(spoken.decoded_bytes);
        Ok(())
    }

    /// Its bytes; text for some, an object with a picture or a text for others.
    fn read_query(&mut self, reader: &mut Reader) -> Result<u64, ApiError> {
        expect(reader, "query", &[Kind::String, Kind::Object], "a string")?;
        let before = self.input.text_bytes;
        self.input.prompts(reader)?;
        Ok(self.input.text_bytes - before)
    }

    /// Each document is read together with the query, and is counted so (Voyage's and Jina's documentation of rerankers).
    fn repeat_query(&mut self) {
        let repeated = self.query_bytes.unwrap_or(0).saturating_mul(self.documents.saturating_sub(1));
        self.input.text_bytes = self.input.text_bytes.saturating_add(repeated);
    }

    /// A unit is a query among up to 100 documents; a longer document than 500 tokens counts as several (Cohere).
    fn search_units(&self) -> u64 {
        let more = self.input.tokens() / SEARCH_DOCUMENT_TOKENS;
        self.documents.saturating_add(more).div_ceil(SEARCH_UNIT_DOCUMENTS)
    }
}

/// Where `stream_options` stands, and what it says about usage.
#[derive(Clone, Debug, Default)]
enum StreamOptions {
    #[default]
    Absent,
    Null(Range<usize>),
    Object {
        /// Behind the opening brace.
        inside: usize,
        is_empty: bool,
        include_usage: Option<(Range<usize>, bool)>,
    },
}

impl StreamOptions {
    fn include_usage(&self) -> bool {
        matches!(self, StreamOptions::Object { include_usage: Some((_, true)), .. })
    }

    /// `model_end` is behind the value of `model`, where a new member can be put.
    fn edit_to_include_usage(&self, model_end: usize) -> (Range<usize>, Bytes) {
        let (span, text): (_, &'static [u8]) = match self {
            StreamOptions::Absent => (model_end..model_end, br#","stream_options":{"include_usage":true}"#),
            StreamOptions::Null(span) => (span.clone(), br#"{"include_usage":true}"#),
            StreamOptions::Object { include_usage: Some((span, _)), .. } => (span.clone(), b"true"),
            StreamOptions::Object { inside, is_empty: true, .. } => (*inside..*inside, br#""include_usage":true"#),
            StreamOptions::Object { inside, .. } => (*inside..*inside, br#""include_usage":true,"#),
        };
        (span, Bytes::from_static(text))
    }
}

fn read_model(reader: &mut Reader) -> Result<(String, Range<usize>), ApiError> {
    expect(reader, "model", &[Kind::String], "a string")?;
    let start = reader.value_start();
    let text = reader.string()?;
    if !(1..=MODEL_BYTES_MAX).contains(&text.decoded_bytes) {
        return Err(wrong("model", &format!("a string of 1 to {MODEL_BYTES_MAX} bytes")));
    }
    let model = text.decoded().into_owned();
    check_model(&model)?;
    Ok((model, start..reader.position()))
}

fn check_model(model: &str) -> Result<(), ApiError> {
    if model.chars().any(char::is_control) {
        return Err(wrong("model", "a string without control characters"));
    }
    Ok(())
}

fn read_stream(endpoint: Endpoint, reader: &mut Reader) -> Result<bool, ApiError> {
    check_stream(endpoint, read_boolean(reader, "stream")?.unwrap_or(false))
}

fn check_stream(endpoint: Endpoint, stream: bool) -> Result<bool, ApiError> {
    if stream && !endpoint.streams() {
        return Err(ApiError::invalid_param("stream", "This endpoint does not stream."));
    }
    Ok(stream)
}

fn read_stream_options(reader: &mut Reader) -> Result<StreamOptions, ApiError> {
    expect(reader, "stream_options", &[Kind::Object, Kind::Null], "an object")?;
    let start = reader.value_start();
    if reader.kind()? == Kind::Null {
        reader.skip()?;
        return Ok(StreamOptions::Null(start..reader.position()));
    }
    let (mut is_empty, mut include_usage) = (true, None);
    reader.object(|reader, name| {
        is_empty = false;
        if name != "include_usage" {
            return Ok(reader.skip()?);
        }
        let start = reader.value_start();
        let asked = read_boolean(reader, "stream_options.include_usage")?.unwrap_or(false);
        include_usage = Some((start..reader.position(), asked));
        Ok::<(), ApiError>(())
    })?;
    Ok(StreamOptions::Object { inside: start + 1, is_empty, include_usage })
}

fn read_boolean(reader: &mut Reader, param: &str) -> Result<Option<bool>, ApiError> {
    expect(reader, param, &[Kind::Bool, Kind::Null], "true or false")?;
    if reader.kind()? == Kind::Null {
        reader.skip()?;
        return Ok(None);
    }
    Ok(Some(reader.boolean()?))
}

/// A positive integer in plain digits. `5.0` and `5e0` are integers to some readers and not to others, so to nobody here.
fn read_integer(reader: &mut Reader, param: &str, max: u64) -> Result<Option<u64>, ApiError> {
    let number = match reader.kind()? {
        Kind::Null => return reader.skip().map(|()| None).map_err(ApiError::from),
        // Grammar has no plus sign, so `parse` accepts nothing but digits.
        Kind::Number => reader.number()?.parse().ok(),
        _ => None,
    };
    match number.filter(|number| (1..=max).contains(number)) {
        None => Err(wrong(param, &format!("an integer from 1 to {max}"))),
        number => Ok(number),
    }
}

/// A short string that chooses among a provider's words.
fn read_label(reader: &mut Reader, param: &str) -> Result<Option<String>, ApiError> {
    expect(reader, param, &[Kind::String, Kind::Null], "a string")?;
    if reader.kind()? == Kind::Null {
        reader.skip()?;
        return Ok(None);
    }
    let text = reader.string()?;
    if text.decoded_bytes > LABEL_BYTES_MAX {
        return Err(wrong(param, &format!("a string of at most {LABEL_BYTES_MAX} bytes")));
    }
    Ok(Some(text.decoded().into_owned()))
}

/// A field whose other choices multiply the price, by factors that no price list here has.
fn read_priced_choice(reader: &mut Reader, param: &str, only: &str) -> Result<(), ApiError> {
    match read_label(reader, param)? {
        Some(label) if label != only => {
            let message = format!("'{param}' can only be '{only}' here: anything else has no price.");
            Err(ApiError::invalid_param(param, message))
        }
        _ => Ok(()),
    }
}

fn expect(reader: &mut Reader, param: &str, kinds: &[Kind], must_be: &str) -> Result<(), ApiError> {
    if kinds.contains(&reader.kind()?) { Ok(()) } else { Err(wrong(param, must_be)) }
}

fn wrong(param: &str, must_be: &str) -> ApiError {
    ApiError::invalid_param(param, format!("'{param}' must be {must_be}."))
}

fn missing(param: &str) -> ApiError {
    ApiError::invalid_param(param, format!("'{param}' is required and must not be empty."))
}

fn quote(text: &str) -> Bytes {
    serde_json::Value::from(text).to_string().into()
}

/// `edits` are in order and do not overlap.
fn splice(body: &Bytes, edits: Vec<(Range<usize>, Bytes)>) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(edits.len() * 2 + 1);
    let mut at = 0;
    for (span, replacement) in edits {
        pieces.push(body.slice(at..span.start));
        pieces.push(replacement);
        at = span.end;
    }
    pieces.push(body.slice(at..));
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

impl From<JsonError> for ApiError {
    fn from(error: JsonError) -> ApiError {
        match &error {
            JsonError::DuplicateName { name } => ApiError::invalid_param(name, error.to_string()),
            _ => ApiError::invalid(error.to_string()),
        }
    }
}

const MODEL_BYTES_MAX: usize = 256;
const LABEL_BYTES_MAX: usize = 64;
const SEARCH_UNIT_DOCUMENTS: u64 = 100;
const SEARCH_DOCUMENT_TOKENS: u64 = 500;
/// OpenAI's own bound of `n`.
const CHOICES_MAX: u64 = 128;
const IMAGES_MAX: u64 = 10;

mod form;

pub use form::understand as understand_form;

#[cfg(test)]
mod tests;
