//! Where the facts stand in an answer: a map of each dialect.
//!
//! A word such as `content` means generated text in a message, tokens in `logprobs` and a web page in `annotations`; so
//! every key is read at its place. What is not on the map is [`Place::Elsewhere`], with all that is inside it.

use super::endpoint::Endpoint;

/// The meaning of a value in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// The answer itself.
    #[default]
    Top,
    Choices,
    Choice,
    /// A `message`, or a stream's `delta`.
    Message,
    /// Generated text: a string, or a list of parts that hold strings.
    Text,
    Calls,
    /// A tool call, a picture, a sound: generated, whether there is text in it or not.
    Call,
    FinishReason,
    /// Usage beside the choices.
    Usage,
    /// Usage elsewhere: inside a choice (Moonshot), in Groq's own object, or in the `meta` of a reranking (Cohere).
    InnerUsage,
    Groq,
    Meta,
    Error,
    ServiceTier,
    /// The kind of an event of a picture stream.
    Type,
    Size,
    Quality,
    /// The list of pictures.
    Data,
    DataEntry,
    /// What was heard, as a whole or in an event: in the last of its events the text stands again.
    Transcript,
    TranscriptEvent,
    /// Seconds of sound.
    Duration,
    /// An event of a stream of speech, and the sound in it.
    SpeechEvent,
    Sound,
    /// A whole response.
    Response,
    /// An event of a response's stream.
    ResponseEvent,
    /// The response as an event shows it: its text has been streamed already.
    StreamedResponse,
    Items,
    /// What a response consists of: a message, reasoning, a call of a tool.
    Item,
    StreamedItems,
    StreamedItem,
    ItemType,
    /// What a call of a tool does: a search, or opening what one has found.
    Action,
    ActionType,
    /// What tools used that the provider ran itself.
    ToolUsage,
    SearchUsage,
    /// A whole message, or an event of its stream: their members do not collide.
    AnthropicMessage,
    Blocks,
    /// What a message consists of: text, thinking, a call of a tool.
    Block,
    BlockDelta,
    /// A tool's input, written as an object: every string in it is generated.
    ToolInput,
    Elsewhere,
}

impl Place {
    /// The place of an answer, or of an event of a streamed one.
    pub fn root(endpoint: Endpoint, streamed: bool) -> Place {
        match endpoint {
            Endpoint::Responses if streamed => Place::ResponseEvent,
            Endpoint::Responses => Place::Response,
            Endpoint::Messages | Endpoint::CountTokens => Place::AnthropicMessage,
            Endpoint::AudioTranscriptions if streamed => Place::TranscriptEvent,
            Endpoint::AudioTranscriptions => Place::Transcript,
            Endpoint::AudioSpeech => Place::SpeechEvent,
            _ => Place::Top,
        }
    }

    /// The place of a member of the object at this place.
    pub fn member(self, key: &[u8]) -> Place {
        match (self, key) {
            (Place::Elsewhere, _) => Place::Elsewhere,
            (Place::Top, b"choices") => Place::Choices,
            (Place::Top, b"usage") => Place::Usage,
            (Place::Top, b"error") => Place::Error,
            (Place::Top, b"service_tier") => Place::ServiceTier,
            (Place::Top, b"x_groq") => Place::Groq,
            (Place::Top, b"type") => Place::Type,
            (Place::Top, b"size") => Place::Size,
            (Place::Top, b"quality") => Place::Quality,
            (Place::Top, b"data") => Place::Data,
            (Place::Top, b"meta") => Place::Meta,
            (Place::Meta, b"billed_units" | b"tokens") => Place::InnerUsage,
            (Place::Choice, b"delta" | b"message") => Place::Message,
            (Place::Choice, b"text") => Place::Text,
            (Place::Choice, b"finish_reason") => Place::FinishReason,
            (Place::Choice | Place::Groq, b"usage") => Place::InnerUsage,
            // `reasoning_details` repeats `reasoning` (OpenRouter) and stays elsewhere.
            (Place::Message, b"content" | b"refusal" | b"reasoning_content" | b"reasoning") => Place::Text,
            (Place::Message, b"tool_calls" | b"images") => Place::Calls,
            (Place::Message, b"function_call" | b"audio") => Place::Call,
            (Place::Call, b"function" | b"custom") => Place::Call,
            (Place::Call, b"arguments" | b"input" | b"transcript") => Place::Text,
            // Parts of a message: `{"type": "text", "text": …}`; Mistral's thinking is a list of them.
            (Place::Text, b"text" | b"thinking" | b"refusal") => Place::Text,
            (Place::Top | Place::Choice | Place::Message | Place::Call | Place::Text, _) => Place::Elsewhere,
            (Place::ToolInput, _) => Place::ToolInput,
            _ => self
                .member_of_response(key)
                .or_else(|| self.member_of_message(key))
                .or_else(|| self.member_of_audio(key))
                .unwrap_or(Place::Elsewhere),
        }
    }

    /// OpenAI's Responses. In a stream, text comes in deltas and is then repeated, in events that end a part, an item
    /// and the whole.
    fn member_of_response(self, key: &[u8]) -> Option<Place> {
        Some(match (self, key) {
            (Place::ResponseEvent, b"type") => Place::Type,
            (Place::ResponseEvent, b"delta") => Place::Text,
            (Place::ResponseEvent, b"response") => Place::StreamedResponse,
            (Place::ResponseEvent, b"item") => Place::StreamedItem,
            (Place::Response, b"output") => Place::Items,
            (Place::Response, b"status") => Place::FinishReason,
            (Place::StreamedResponse, b"output") => Place::StreamedItems,
            (Place::Response | Place::StreamedResponse, b"usage") => Place::Usage,
            (Place::Response | Place::StreamedResponse, b"service_tier") => Place::ServiceTier,
            (Place::Response | Place::StreamedResponse | Place::ResponseEvent, b"error") => Place::Error,
            (Place::Response | Place::StreamedResponse, b"tool_usage") => Place::ToolUsage,
            (Place::ToolUsage, b"web_search") => Place::SearchUsage,
            (Place::Item | Place::StreamedItem, b"type") => Place::ItemType,
            (Place::Item | Place::StreamedItem, b"action") => Place::Action,
            (Place::Action, b"type") => Place::ActionType,
            (Place::Item, b"content" | b"summary" | b"arguments" | b"input" | b"code") => Place::Text,
            _ => return None,
        })
    }

    /// Anthropic's Messages.
    fn member_of_message(self, key: &[u8]) -> Option<Place> {
        Some(match (self, key) {
            (Place::AnthropicMessage, b"type") => Place::Type,
            (Place::AnthropicMessage, b"message") => Place::AnthropicMessage,
            (Place::AnthropicMessage, b"content") => Place::Blocks,
            (Place::AnthropicMessage, b"content_block") => Place::Block,
            (Place::AnthropicMessage, b"delta") => Place::BlockDelta,
            (Place::AnthropicMessage, b"usage") => Place::Usage,
            (Place::AnthropicMessage, b"error") => Place::Error,
            (Place::AnthropicMessage | Place::BlockDelta, b"stop_reason") => Place::FinishReason,
            (Place::Block | Place::BlockDelta, b"text" | b"thinking") => Place::Text,
            (Place::BlockDelta, b"partial_json") => Place::Text,
            (Place::Block, b"input") => Place::ToolInput,
            _ => return None,
        })
    }

    /// Transcriptions and speech.
    fn member_of_audio(self, key: &[u8]) -> Option<Place> {
        Some(match (self, key) {
            (Place::Transcript, b"text") | (Place::TranscriptEvent, b"delta") => Place::Text,
            (Place::Transcript, b"duration") => Place::Duration,
            (Place::Transcript | Place::TranscriptEvent | Place::SpeechEvent, b"type") => Place::Type,
            (Place::Transcript | Place::TranscriptEvent | Place::SpeechEvent, b"usage") => Place::Usage,
            (Place::Transcript | Place::TranscriptEvent | Place::SpeechEvent, b"error") => Place::Error,
            (Place::SpeechEvent, b"audio") => Place::Sound,
            _ => return None,
        })
    }

    /// The place of an element of the list at this place.
    pub fn element(self) -> Place {
        match self {
            Place::Choices => Place::Choice,
            Place::Calls => Place::Call,
            Place::Data => Place::DataEntry,
            Place::Text => Place::Text,
            Place::Items => Place::Item,
            Place::StreamedItems => Place::StreamedItem,
            Place::Blocks => Place::Block,
            Place::ToolInput => Place::ToolInput,
            _ => Place::Elsewhere,
        }
    }

    /// Whether the value is small and wanted as a whole.
    pub fn is_copied(self) -> bool {
        matches!(
            self,
            Place::Usage
                | Place::InnerUsage
                | Place::Error
                | Place::ServiceTier
                | Place::Type
                | Place::ItemType
                | Place::ActionType
                | Place::SearchUsage
                | Place::Duration
                | Place::Size
                | Place::Quality
        )
    }
}
