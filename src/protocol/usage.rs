//! Usage objects of every provider, read into the one normal form.
//!
//! Providers agree on the shape and differ in the habits: usage in every event or in the last alone, reasoning inside the
//! output or on top of it, cached tokens under four names. [`Report`] keeps the last word of each field, and makes
//! [`Usage`], whose fields are disjoint, of all of them together.
//!
//! Always true: later reports replace, they are never added up (adding up cumulative reports is the commonest metering
//! fault there is: `pydantic/pydantic-ai#1736`, `vllm-project/vllm#7262`); zero is a report (`BerriAI/litellm#37992`); a
//! part is never larger than its whole, so no count is negative (`QuantumNous/new-api#5003`) and none above
//! [`COUNT_MAX`].

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::endpoint::Endpoint;
use crate::core::usage::{COUNT_MAX, Tier, Usage};

/// What was reported so far: the last word of each field.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    prompt: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
    input: Parts,
    output: Parts,
    beside: Beside,
    /// What summarising a conversation took, which the counts above leave out.
    compaction: Option<Compaction>,
    web_searches: Option<u64>,
    search_units: Option<u64>,
    audio_ms: Option<u64>,
    tier: Option<Tier>,
}

/// What Anthropic counts beside the input, where others count inside it.
#[derive(Clone, Copy, Debug, Default)]
struct Beside {
    read: Option<u64>,
    written: Option<u64>,
    written_5m: Option<u64>,
    written_1h: Option<u64>,
}

/// Anthropic's, of all the times that a request's conversation was summarised.
#[derive(Clone, Copy, Debug, Default)]
struct Compaction {
    input: u64,
    output: u64,
    beside: Beside,
}

/// What a total is made of, where it is told.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    cached: Option<u64>,
    cached_audio: Option<u64>,
    cached_image: Option<u64>,
    cache_write: Option<u64>,
    cache_write_12h: Option<u64>,
    reasoning: Option<u64>,
    text: Option<u64>,
    audio: Option<u64>,
    image: Option<u64>,
    video: Option<u64>,
}

/// How a report joins those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// It is the newer state of the same thing.
    Replace,
    /// It is about another thing: one more finished picture of a stream.
    Add,
}

/// A report was not, or not wholly, taken: it is not JSON, or a count in it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl Beside {
    /// True: something was cut.
    fn add_to(&self, usage: &mut Usage) -> bool {
        // Without a split, all is written for the default lifetime.
        let split = self.written_5m.unwrap_or(0).saturating_add(self.written_1h.unwrap_or(0));
        let mut written = Rest::new(self.written.unwrap_or(split));
        let long = written.take(self.written_1h);
        for (sum, more) in [
            (&mut usage.input_cached, self.read.unwrap_or(0)),
            (&mut usage.input_cache_write_1h, long),
            (&mut usage.input_cache_write, written.left),
        ] {
            *sum = sum.saturating_add(more).min(COUNT_MAX);
        }
        written.cut
    }

    fn join(&mut self, newer: &Beside, join: impl Fn(&mut Option<u64>, Option<u64>)) {
        join(&mut self.read, newer.read);
        join(&mut self.written, newer.written);
        join(&mut self.written_5m, newer.written_5m);
        join(&mut self.written_1h, newer.written_1h);
    }
}

impl Report {
    /// Takes a usage object as it stands in an answer.
    ///
    /// # Errors
    /// [`Refused`] if something in it is not a count. Where that is the input or the output itself, nothing is taken of
    /// a first report; otherwise the other fields are.
    pub fn take(&mut self, json: &[u8], join: Join) -> Result<(), Refused> {
        if !json.starts_with(b"{") {
            return Err(Refused);
        }
        let object: UsageObject = serde_json::from_slice(json).map_err(|_| Refused)?;
        let mut reader = Counts::default();
        let report = reader.report(&object);
        let head_refused = reader.head_refused;
        if head_refused && !self.is_credible() {
            return Err(Refused);
        }
        self.join(&report, join);
        // A total belongs to the numbers that it came with.
        if head_refused || report.total.is_none() && (report.prompt.is_some() || report.completion.is_some()) {
            self.total = None;
        }
        if reader.refused { Err(Refused) } else { Ok(()) }
    }

    /// The normal form, and whether a part had to be cut to its whole. None while input or output are unknown.
    pub fn usage(&self, endpoint: Endpoint) -> Option<(Usage, bool)> {
        let mut usage = Usage::default();
        if matches!(endpoint, Endpoint::Embeddings | Endpoint::Rerank) {
            // No output here; some report the total alone (Jina, Voyage).
            let clamped = self.split_input(self.prompt.or(self.total)?, &mut usage);
            return Some((usage, clamped));
        }
        if endpoint == Endpoint::Messages {
            let clamped = self.split_message(self.prompt?, self.completion?, &mut usage);
            return Some((usage, clamped));
        }
        let other = |one: Option<u64>| self.total?.checked_sub(one?);
        let prompt = self.prompt.or_else(|| other(self.completion))?;
        let completion = self.completion.or_else(|| other(self.prompt))?;
        let (prompt, input) = self.with_sound(endpoint, prompt, completion);
        let clamped_input = input.split_input(prompt, &mut usage);
        let (output, clamped_reasoning) = self.output(prompt, completion);
        usage.output_reasoning = output.reasoning;
        let clamped_output = self.split_output(output.rest, endpoint, &mut usage);
        Some((usage, clamped_input | clamped_reasoning | clamped_output))
    }

    /// Of what was heard, Mistral counts the sound in the total alone: there it is input, and no output.
    fn with_sound(&self, endpoint: Endpoint, prompt: u64, completion: u64) -> (u64, Report) {
        let untold = self.total.and_then(|total| total.checked_sub(prompt.saturating_add(completion)));
        let Some(sound) = untold.filter(|sound| endpoint == Endpoint::AudioTranscriptions && *sound > 0) else {
            return (prompt, *self);
        };
        let audio = self.input.audio.unwrap_or(0).saturating_add(sound);
        (prompt.saturating_add(sound), Report { input: Parts { audio: Some(audio), ..self.input }, ..*self })
    }

    /// Sound that was heard.
    pub fn audio_ms(&self) -> Option<u64> {
        self.audio_ms
    }

    /// What a search counts as.
    pub fn search_units(&self) -> Option<u64> {
        self.search_units
    }

    /// The service tier that the report itself names.
    pub fn tier(&self) -> Option<Tier> {
        self.tier
    }

    /// Anthropic's: cached and written tokens are beside the input, thinking is inside the output. True: something was
    /// cut.
    fn split_message(&self, input: u64, output: u64, usage: &mut Usage) -> bool {
        let mut output = Rest::new(output);
        usage.input_text = input;
        let mut cut = self.beside.add_to(usage);
        if let Some(compaction) = &self.compaction {
            usage.input_text = usage.input_text.saturating_add(compaction.input).min(COUNT_MAX);
            output.left = output.left.saturating_add(compaction.output).min(COUNT_MAX);
            cut |= compaction.beside.add_to(usage);
        }
        usage.output_reasoning = output.take(self.output.reasoning);
        usage.output_text = output.left;
        usage.web_searches = self.web_searches.unwrap_or(0);
        cut | output.cut
    }

    fn is_credible(&self) -> bool {
        self.prompt.is_some() || self.completion.is_some()
    }

    fn join(&mut self, newer: &Report, join: Join) {
        let field = |mine: &mut Option<u64>, newer: Option<u64>| {
            if let Some(newer) = newer {
                let before = if join == Join::Add { mine.unwrap_or(0) } else { 0 };
                *mine = Some(before.saturating_add(newer).min(COUNT_MAX));
            }
        };
        field(&mut self.prompt, newer.prompt);
        field(&mut self.completion, newer.completion);
        field(&mut self.total, newer.total);
        self.beside.join(&newer.beside, field);
        self.compaction = newer.compaction.or(self.compaction);
        field(&mut self.web_searches, newer.web_searches);
        field(&mut self.search_units, newer.search_units);
        field(&mut self.audio_ms, newer.audio_ms);
        self.tier = newer.tier.or(self.tier);
        for (mine, newer) in [(&mut self.input, &newer.input), (&mut self.output, &newer.output)] {
            field(&mut mine.cached, newer.cached);
            field(&mut mine.cached_audio, newer.cached_audio);
            field(&mut mine.cached_image, newer.cached_image);
            field(&mut mine.cache_write, newer.cache_write);
            field(&mut mine.cache_write_12h, newer.cache_write_12h);
            field(&mut mine.reasoning, newer.reasoning);
            field(&mut mine.text, newer.text);
            field(&mut mine.audio, newer.audio);
            field(&mut mine.image, newer.image);
            field(&mut mine.video, newer.video);
        }
    }

    /// Splits the input. Cached and written tokens are inside it, in these dialects. True: something was cut.
    fn split_input(&self, prompt: u64, usage: &mut Usage) -> bool {
        let parts = &self.input;
        let mut rest = Rest::new(prompt);
        let mut cached = Rest::new(rest.take(parts.cached));
        let mut written = Rest::new(rest.take(parts.cache_write));
        usage.input_cached_audio = cached.take(parts.cached_audio);
        usage.input_cached_image = cached.take(parts.cached_image);
        usage.input_cached = cached.left;
        usage.input_cache_write_12h = written.take(parts.cache_write_12h);
        usage.input_cache_write = written.left;
        // Sounds and pictures are told with their cached share, which is counted already.
        let fresh = |all: Option<u64>, cached: u64| all.map(|all| all.saturating_sub(cached));
        let mut fresh_rest = Rest::new(rest.left);
        usage.input_audio = fresh_rest.take(fresh(parts.audio, usage.input_cached_audio));
        usage.input_image = fresh_rest.take(fresh(parts.image, usage.input_cached_image));
        usage.input_video = fresh_rest.take(parts.video);
        usage.input_text = fresh_rest.left;
        // Where the cached share is not told, sounds may overlap what is cached: they are cut, and that is no fault.
        let beyond = [parts.audio, parts.image, parts.video].into_iter().flatten().any(|part| part > prompt);
        rest.cut | cached.cut | written.cut | beyond
    }

    /// Whether reasoning is inside the completion or on top of it: the total decides, not the brand.
    ///
    /// It is inside at OpenAI, on top at xAI and at Gemini, and either mistake is on record
    /// (`Wei-Shaw/sub2api#5771`, `promptfoo/promptfoo#9507`). The second value: something was cut.
    fn output(&self, prompt: u64, completion: u64) -> (Output, bool) {
        let reasoning = self.output.reasoning.unwrap_or(0);
        let gap = self.total.and_then(|total| total.checked_sub(prompt.saturating_add(completion))).unwrap_or(0);
        if reasoning == 0 {
            // Output that only the total tells of: Gemini's thoughts (`mozilla-ai/any-llm#1290`).
            return (Output { reasoning, rest: completion.saturating_add(gap) }, false);
        }
        if gap == reasoning || gap > reasoning && reasoning > completion {
            return (Output { reasoning, rest: completion }, false);
        }
        let inside = reasoning.min(completion);
        (Output { reasoning: inside, rest: completion - inside }, inside < reasoning)
    }

    /// Splits the output that is not reasoning. True: something was cut.
    fn split_output(&self, output: u64, endpoint: Endpoint, usage: &mut Usage) -> bool {
        let parts = &self.output;
        let mut rest = Rest::new(output);
        usage.output_audio = rest.take(parts.audio);
        if endpoint == Endpoint::AudioSpeech {
            usage.output_text = rest.take(parts.text);
            usage.output_audio = usage.output_audio.saturating_add(rest.left);
        } else if endpoint.makes_pictures() {
            // What is not told to be text is picture: the details are optional.
            usage.output_text = rest.take(parts.text);
            usage.output_image = rest.left;
        } else {
            usage.output_image = rest.take(parts.image);
            usage.output_text = rest.left;
        }
        rest.cut
    }
}

struct Output {
    reasoning: u64,
    rest: u64,
}

/// A whole from which parts are taken.
struct Rest {
    left: u64,
    cut: bool,
}

impl Rest {
    fn new(whole: u64) -> Self {
        Rest { left: whole, cut: false }
    }

    /// Never more than is left.
    fn take(&mut self, part: Option<u64>) -> u64 {
        let wanted = part.unwrap_or(0);
        let taken = wanted.min(self.left);
        self.cut |= taken < wanted;
        self.left -= taken;
        taken
    }
}

/// Chooses among a provider's names for a count, and notes what was none.
#[derive(Default)]
struct Counts {
    refused: bool,
    /// The input or the output itself was refused.
    head_refused: bool,
}

impl Counts {
    fn report(&mut self, object: &UsageObject) -> Report {
        let prompt = self.head(&[&object.prompt_tokens, &object.input_tokens]);
        let completion = self.head(&[&object.completion_tokens, &object.output_tokens]);
        let total = self.first(&[&object.total_tokens]);
        let input = object.prompt_tokens_details.as_ref().or(object.input_tokens_details.as_ref());
        let input = input.or(object.input_token_details.as_ref());
        let mut input = input.map(|details| self.parts(details)).unwrap_or_default();
        if input.cached.is_none() {
            // DeepSeek, then Moonshot.
            input.cached = self.first(&[&object.prompt_cache_hit_tokens, &object.cached_tokens]);
        }
        let output = object.completion_tokens_details.as_ref().or(object.output_tokens_details.as_ref());
        let mut output = output.map(|details| self.parts(details)).unwrap_or_default();
        if output.reasoning.is_none() {
            // SGLang.
            output.reasoning = self.first(&[&object.reasoning_tokens]);
        }
        let beside = self.beside(object);
        let compaction = object.iterations.as_ref().and_then(|iterations| self.compaction(iterations));
        let web_searches = self.first(&[&object.server_tool_use.unwrap_or_default().web_search_requests]);
        let tier = object.service_tier.as_ref().and_then(Value::as_str).map(Tier::from_wire);
        let search_units = self.first(&[&object.search_units]);
        let seconds = object.seconds.as_ref().or(object.prompt_audio_seconds.as_ref());
        let audio_ms = seconds.and_then(milliseconds);
        self.refused |= seconds.is_some() && audio_ms.is_none();
        Report {
            prompt,
            completion,
            total,
            input,
            output,
            beside,
            compaction,
            web_searches,
            search_units,
            audio_ms,
            tier,
        }
    }

    fn beside(&mut self, object: &UsageObject) -> Beside {
        let created = object.cache_creation.unwrap_or_default();
        Beside {
            read: self.first(&[&object.cache_read_input_tokens]),
            written: self.first(&[&object.cache_creation_input_tokens]),
            written_5m: self.first(&[&created.ephemeral_5m_input_tokens]),
            written_1h: self.first(&[&created.ephemeral_1h_input_tokens]),
        }
    }

    /// The sum over those iterations that the totals leave out.
    fn compaction(&mut self, iterations: &Value) -> Option<Compaction> {
        let iterations = Vec::<UsageObject>::deserialize(iterations).ok()?;
        let mut sum = None;
        for one in iterations.iter().filter(|one| one.kind.as_ref().is_some_and(|kind| kind == "compaction")) {
            let add = |sum: &mut u64, more: Option<u64>| *sum = sum.saturating_add(more.unwrap_or(0)).min(COUNT_MAX);
            let sum = sum.get_or_insert_with(Compaction::default);
            add(&mut sum.input, self.first(&[&one.input_tokens]));
            add(&mut sum.output, self.first(&[&one.output_tokens]));
            let beside = self.beside(one);
            sum.beside.join(&beside, |mine, more| {
                if more.is_some() {
                    add(mine.get_or_insert(0), more);
                }
            });
        }
        sum
    }

    fn parts(&mut self, details: &Details) -> Parts {
        let cached = details.cached_tokens_details.unwrap_or_default();
        let written = details.cache_write_tokens_details.unwrap_or_default();
        Parts {
            cached: self.first(&[&details.cached_tokens]),
            cached_audio: self.first(&[&cached.audio_tokens]),
            cached_image: self.first(&[&cached.image_tokens]),
            cache_write: self.first(&[&details.cache_write_tokens]),
            cache_write_12h: self.first(&[&written.ttl_12h_tokens]),
            reasoning: self.first(&[&details.reasoning_tokens, &details.thinking_tokens]),
            text: self.first(&[&details.text_tokens]),
            audio: self.first(&[&details.audio_tokens]),
            image: self.first(&[&details.image_tokens]),
            video: self.first(&[&details.video_tokens]),
        }
    }

    fn head(&mut self, names: &[&Count]) -> Option<u64> {
        let refused_before = std::mem::take(&mut self.refused);
        let count = self.first(names);
        self.head_refused |= self.refused;
        self.refused |= refused_before;
        count
    }

    /// The first name that is there decides.
    fn first(&mut self, names: &[&Count]) -> Option<u64> {
        match names.iter().find(|count| !matches!(count, Count::Absent))? {
            Count::Is(count) => Some(*count),
            _ => {
                self.refused = true;
                None
            }
        }
    }
}

/// The object as it is written, in all its spellings.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct UsageObject {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    /// Pictures; some gateways write them beside the two above, as zeros, so those come first.
    input_tokens: Count,
    output_tokens: Count,
    prompt_tokens_details: Option<Details>,
    completion_tokens_details: Option<Details>,
    input_tokens_details: Option<Details>,
    output_tokens_details: Option<Details>,
    prompt_cache_hit_tokens: Count,
    cached_tokens: Count,
    reasoning_tokens: Count,
    /// Transcriptions, where OpenAI writes the word so.
    input_token_details: Option<Details>,
    seconds: Option<Value>,
    /// Mistral.
    prompt_audio_seconds: Option<Value>,
    search_units: Count,
    // Anthropic's.
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_creation: Option<CacheCreation>,
    /// The steps that a request took, each an object like this one and of a type.
    iterations: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<Value>,
    server_tool_use: Option<ServerTools>,
    service_tier: Option<Value>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Count,
    ephemeral_1h_input_tokens: Count,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct ServerTools {
    web_search_requests: Count,
}

/// A response's own report of the searches that are billed: `{"num_requests": …}`.
pub(super) fn searches(json: &[u8]) -> Option<u64> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Searches {
        num_requests: Count,
    }
    match serde_json::from_slice::<Searches>(json).ok()?.num_requests {
        Count::Is(count) => Some(count),
        Count::Absent | Count::Refused => None,
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Count,
    cached_tokens_details: Option<CachedDetails>,
    cache_write_tokens: Count,
    cache_write_tokens_details: Option<WrittenDetails>,
    reasoning_tokens: Count,
    thinking_tokens: Count,
    text_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
    video_tokens: Count,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct CachedDetails {
    audio_tokens: Count,
    image_tokens: Count,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct WrittenDetails {
    ttl_12h_tokens: Count,
}

/// Seconds, which may have a fraction and at some stand in quotes, as milliseconds.
pub(super) fn milliseconds(seconds: &Value) -> Option<u64> {
    let seconds = seconds.as_f64().or_else(|| seconds.as_str()?.parse().ok())?;
    let ms = (seconds * 1_000.0).round();
    // Not a number is in no range.
    (0.0..=COUNT_MAX as f64).contains(&ms).then_some(ms as u64)
}

/// A number of tokens, if that is what stands there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Count {
    #[default]
    Absent,
    /// Negative, fractional, no number, or above [`COUNT_MAX`].
    Refused,
    Is(u64),
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

/// Takes whatever stands there: one odd field must not hide the others.
struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count")
    }

    fn visit_u64<E>(self, count: u64) -> Result<Count, E> {
        Ok(if count <= COUNT_MAX { Count::Is(count) } else { Count::Refused })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Count, E> {
        // What is not negative comes as `u64`.
        Ok(Count::Refused)
    }

    fn visit_f64<E>(self, count: f64) -> Result<Count, E> {
        let fits = count.fract() == 0.0 && (0.0..=COUNT_MAX as f64).contains(&count);
        Ok(if fits { Count::Is(count as u64) } else { Count::Refused })
    }

    fn visit_unit<E>(self) -> Result<Count, E> {
        Ok(Count::Absent)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
        Ok(Count::Refused)
    }

    fn visit_str<E>(self, _: &str) -> Result<Count, E> {
        Ok(Count::Refused)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Count, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Count::Refused)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Count, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Count::Refused)
    }
}

#[cfg(test)]
mod tests;
