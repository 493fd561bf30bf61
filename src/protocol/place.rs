//! Where the facts stand in an answer: the map of the OpenAI dialects.
//!
//! A word such as `content` means generated text in a message, tokens in `logprobs` and a web page in `annotations`; so
//! every key is read at its place. What is not on the map is [`Place::Elsewhere`], with all that is inside it.

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
    /// Usage elsewhere: inside a choice (Moonshot) or Groq's own object.
    InnerUsage,
    Groq,
    Error,
    ServiceTier,
    /// The kind of an event of a picture stream.
    Type,
    Size,
    Quality,
    /// The list of pictures.
    Data,
    DataEntry,
    Elsewhere,
}

impl Place {
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
            _ => Place::Elsewhere,
        }
    }

    /// The place of an element of the list at this place.
    pub fn element(self) -> Place {
        match self {
            Place::Choices => Place::Choice,
            Place::Calls => Place::Call,
            Place::Data => Place::DataEntry,
            Place::Text => Place::Text,
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
                | Place::Size
                | Place::Quality
        )
    }
}
