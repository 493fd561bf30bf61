//! What a request used, in one normal form for every provider.
//!
//! Providers report the same facts with other names and other habits: cached tokens inside the input (OpenAI) or
//! beside it (Anthropic), reasoning inside the output or on top of it. `protocol` reads each of them into [`Usage`],
//! whose fields are disjoint: no token is counted in two of them, so a price is a plain sum of products.

use serde::{Deserialize, Serialize};

/// Disjoint counts. Every field is at most [`COUNT_MAX`]; readers refuse what is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Text input that was neither read from nor written to a cache.
    pub input_text: u64,
    pub input_cached: u64,
    /// Written to the provider's cache with its default lifetime (Anthropic 5 minutes, OpenAI 30 minutes).
    pub input_cache_write: u64,
    /// Written with a lifetime of one hour (Anthropic).
    pub input_cache_write_1h: u64,
    /// Written with a lifetime of twelve hours (OpenAI).
    pub input_cache_write_12h: u64,
    pub input_audio: u64,
    pub input_cached_audio: u64,
    pub input_image: u64,
    pub input_cached_image: u64,
    pub input_video: u64,
    /// Visible text, tool calls and rejected predictions.
    pub output_text: u64,
    pub output_reasoning: u64,
    pub output_audio: u64,
    pub output_image: u64,
    /// Finished pictures, and what the answer (else the request) says they look like.
    pub images: u64,
    pub image_kind: ImageKind,
    pub audio_ms: u64,
    pub characters: u64,
    pub search_units: u64,
    pub pages: u64,
    pub web_searches: u64,
    /// The service tier that the answer names.
    pub tier: Tier,
}

impl Usage {
    /// All input, cached and written included: this picks the long-context row and is what clients see as input.
    pub fn input_total(&self) -> u64 {
        [
            self.input_text,
            self.input_cached,
            self.input_cache_write,
            self.input_cache_write_1h,
            self.input_cache_write_12h,
            self.input_audio,
            self.input_cached_audio,
            self.input_image,
            self.input_cached_image,
            self.input_video,
        ]
        .iter()
        .fold(0, |sum: u64, count| sum.saturating_add(*count))
    }

    /// Input served from a cache, of any kind.
    pub fn input_cached_total(&self) -> u64 {
        self.input_cached.saturating_add(self.input_cached_audio).saturating_add(self.input_cached_image)
    }

    /// All output, reasoning included.
    pub fn output_total(&self) -> u64 {
        self.output_text
            .saturating_add(self.output_reasoning)
            .saturating_add(self.output_audio)
            .saturating_add(self.output_image)
    }
}

/// The size and quality of generated pictures, as providers write them; empty when unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageKind {
    pub quality: String,
    pub size: String,
}

/// A provider's service tier. Closed, because a tier chooses a price: what we do not know is standard.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    #[default]
    Standard,
    Batch,
    Flex,
    Priority,
    Ultrafast,
}

impl Tier {
    /// From the `service_tier` of an answer or a request. `fast` is what clients may ask for; it is served, and
    /// reported back, as `priority` (OpenAI API reference, `service_tier`).
    pub fn from_wire(text: &str) -> Tier {
        match text {
            "batch" => Tier::Batch,
            "flex" => Tier::Flex,
            "priority" | "fast" => Tier::Priority,
            "ultrafast" => Tier::Ultrafast,
            _ => Tier::Standard,
        }
    }
}

/// No request has more tokens than this. A larger report is nonsense and counts as not reported.
pub const COUNT_MAX: u64 = 1_000_000_000;
