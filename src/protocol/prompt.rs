//! How much input a request holds, before anybody counts it.
//!
//! A hold must cover the real count practically always, and a tokenizer on the hot path is neither fast nor right for
//! every model. So text is counted in bytes and taken at three bytes per token (real text has four and more), and what
//! is not text counts by its kind. Pictures and recordings travel as base64: counted as text, one photo would set aside
//! a million tokens.
//!
//! Only the places where upstreams look for media are treated as media. Elsewhere a string is text, whatever it holds.

use super::json::{JsonError, Kind, Reader};

/// What a request's input holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Bytes of text, unescaped; of schemas, as they are written.
    pub(super) text_bytes: u64,
    pub(super) messages: u64,
    /// Strings of a `prompt` or an `input`.
    strings: u64,
    tools: u64,
    /// Tokens of what is not text: media and token ids.
    pub(super) other_tokens: u64,
    /// Items that name what the upstream has stored: nobody here knows how long that is.
    pub(super) references: u64,
}

impl Tally {
    /// The most tokens that this should come to.
    pub(super) fn tokens(&self) -> u64 {
        [
            self.text_bytes.div_ceil(BYTES_PER_TOKEN),
            self.messages.saturating_mul(MESSAGE_TOKENS),
            self.strings.saturating_mul(STRING_TOKENS),
            self.tools.saturating_mul(TOOL_TOKENS),
            self.other_tokens,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// The array `messages` of a chat.
    pub(super) fn messages(&mut self, reader: &mut Reader) -> Result<(), JsonError> {
        reader.array(|reader| {
            self.messages += 1;
            self.message(reader)
        })
    }

    /// The `input` of a response: a string, or items that are messages, calls of tools and their results.
    pub(super) fn items(&mut self, reader: &mut Reader) -> Result<(), JsonError> {
        match reader.kind()? {
            Kind::Array => self.messages(reader),
            _ => {
                self.messages += 1;
                self.text(reader)
            }
        }
    }

    /// A `prompt` or an `input`: a string, token ids, or an array of either. Gives how many prompts that makes.
    pub(super) fn prompts(&mut self, reader: &mut Reader) -> Result<u64, JsonError> {
        if reader.kind()? != Kind::Array {
            self.string(reader)?;
            return Ok(1);
        }
        let mut prompts: u64 = 0;
        reader.array(|reader| {
            match reader.kind()? {
                // One of the ids of a single prompt.
                Kind::Number => return self.text(reader),
                Kind::String => self.string(reader)?,
                _ => self.part(reader)?,
            }
            prompts += 1;
            Ok::<(), JsonError>(())
        })?;
        Ok(prompts.max(1))
    }

    /// The array `tools` or `functions`. Their JSON is what the model is shown, more or less, so it counts as it stands.
    pub(super) fn tools(&mut self, reader: &mut Reader) -> Result<(), JsonError> {
        if reader.kind()? != Kind::Array {
            return self.schema(reader);
        }
        reader.array(|reader| {
            self.tools += 1;
            self.schema(reader)
        })
    }

    /// One tool that was read already, of so many bytes.
    pub(super) fn add_tool(&mut self, bytes: usize) {
        self.tools += 1;
        self.add_text(bytes);
    }

    pub(super) fn schema(&mut self, reader: &mut Reader) -> Result<(), JsonError> {
        let start = reader.value_start();
        reader.skip()?;
        self.add_text(reader.position() - start);
        Ok(())
    }

    /// A value of any shape: its strings and names are text, its numbers are tokens.
    pub(super) fn text(&mut self, reader: &mut Reader) -> Result<(), JsonError> {
        match reader.kind()? {
            Kind::String => {
                self.add_text(reader.string()?.decoded_bytes);
                Ok(())
            }
            Kind::Number => {
                self.other_tokens += 1;
                reader.number().map(drop)
            }
            Kind::Array => reader.array(|reader| self.text(reader)),
            Kind::Object => reader.object(|reader, name| {
                self.add_text(name.len());
                self.text(reader)
            }),
            Kind::Bool | Kind::Null => reader.skip(),
        }
    }

    /// A string of so many bytes, read elsewhere.
    pub(super) fn plain_string(&mut self, bytes: usize) {
        self.strings += 1;
        self.add_text(bytes);
    }

    fn string(&mut self, reader: &mut Reader) -> Result<(), JsonError> {
        self.strings += 1;
        self.text(reader)
    }

    fn message(&mut self, reader: &mut Reader) -> Result<(), JsonError> {
        if reader.kind()? != Kind::Object {
            return self.text(reader);
        }
        reader.object(|reader, name| match (name, reader.kind()?) {
            ("content" | "output", _) => self.content(reader),
            ("type", Kind::String) => {
                let kind = reader.string()?;
                self.references += u64::from(kind.decoded() == "item_reference");
                self.add_text(kind.decoded_bytes);
                Ok(())
            }
            _ => self.text(reader),
        })
    }

    fn content(&mut self, reader: &mut Reader) -> Result<(), JsonError> {
        match reader.kind()? {
            Kind::Array => reader.array(|reader| self.part(reader)),
            _ => self.text(reader),
        }
    }

    /// A part of a message's content: text, or one of the media under the names that providers gave them.
    fn part(&mut self, reader: &mut Reader) -> Result<(), JsonError> {
        if reader.kind()? != Kind::Object {
            return self.text(reader);
        }
        let (mut is_document, mut source) = (false, None);
        reader.object(|reader, name| {
            let tokens = match name {
                "type" => {
                    is_document = reader.kind()? == Kind::String && reader.string()?.decoded() == "document";
                    return Ok(());
                }
                // Anthropic's: what it is a source of, its neighbour `type` says.
                "source" => {
                    source = Some(Source::read(reader, self)?);
                    return Ok(());
                }
                // The result of a tool, in parts of its own.
                "content" => return self.content(reader),
                "image_url" | "image" | "image_base64" => {
                    reader.skip()?;
                    IMAGE_TOKENS
                }
                "input_audio" => audio_tokens(reader)?,
                "audio_url" => media_tokens(reader, COMPRESSED_AUDIO_BYTES_PER_TOKEN)?,
                "video_url" => media_tokens(reader, VIDEO_BYTES_PER_TOKEN)?,
                "file" | "file_data" | "file_id" | "file_url" => media_tokens(reader, FILE_BYTES_PER_TOKEN)?,
                _ => return self.text(reader),
            };
            self.other_tokens = self.other_tokens.saturating_add(tokens);
            Ok::<(), JsonError>(())
        })?;
        let tokens = source.map_or(0, |source| source.tokens(is_document));
        self.other_tokens = self.other_tokens.saturating_add(tokens);
        Ok(())
    }

    fn add_text(&mut self, bytes: usize) {
        self.text_bytes = self.text_bytes.saturating_add(bytes as u64);
    }
}

/// `{"type": "base64", "data": …}`, or an address or an id, or, for documents, plain text or parts.
#[derive(Default)]
struct Source {
    base64_bytes: u64,
    is_text: bool,
}

impl Source {
    fn read(reader: &mut Reader, around: &mut Tally) -> Result<Source, JsonError> {
        let mut source = Source::default();
        if reader.kind()? != Kind::Object {
            around.text(reader)?;
            return Ok(source);
        }
        reader.object(|reader, name| {
            match (name, reader.kind()?) {
                ("type", Kind::String) => source.is_text = matches!(&*reader.string()?.decoded(), "text" | "content"),
                ("data", Kind::String) => source.base64_bytes = reader.string()?.decoded_bytes as u64,
                ("content", _) => around.content(reader)?,
                _ => reader.skip()?,
            }
            Ok::<(), JsonError>(())
        })?;
        if source.is_text {
            around.text_bytes = around.text_bytes.saturating_add(source.base64_bytes);
        }
        Ok(source)
    }

    fn tokens(&self, is_document: bool) -> u64 {
        match (self.is_text, is_document) {
            (true, _) => 0,
            (_, false) => IMAGE_TOKENS,
            (_, true) if self.base64_bytes < REFERENCE_BYTES_MAX => UNSEEN_MEDIA_TOKENS,
            (_, true) => tokens_of_base64(self.base64_bytes, FILE_BYTES_PER_TOKEN).max(MEDIA_TOKENS_MIN),
        }
    }
}

/// `{"data": base64, "format": "wav" or "mp3"}`.
fn audio_tokens(reader: &mut Reader) -> Result<u64, JsonError> {
    if reader.kind()? != Kind::Object {
        return media_tokens(reader, COMPRESSED_AUDIO_BYTES_PER_TOKEN);
    }
    let mut base64_bytes = 0;
    let mut bytes_per_token = COMPRESSED_AUDIO_BYTES_PER_TOKEN;
    reader.object(|reader, name| {
        match (name, reader.kind()?) {
            ("data", Kind::String) => base64_bytes = reader.string()?.decoded_bytes as u64,
            ("format", Kind::String) if reader.string()?.decoded() == "wav" => bytes_per_token = WAV_BYTES_PER_TOKEN,
            ("format", Kind::String) => {}
            _ => reader.skip()?,
        }
        Ok::<(), JsonError>(())
    })?;
    Ok(tokens_of_base64(base64_bytes, bytes_per_token))
}

/// Media of whatever shape: its strings are the data, or an address or id where they are short.
fn media_tokens(reader: &mut Reader, bytes_per_token: u64) -> Result<u64, JsonError> {
    let mut strings = Tally::default();
    strings.text(reader)?;
    if strings.text_bytes < REFERENCE_BYTES_MAX {
        return Ok(UNSEEN_MEDIA_TOKENS);
    }
    Ok(tokens_of_base64(strings.text_bytes, bytes_per_token).max(MEDIA_TOKENS_MIN))
}

fn tokens_of_base64(base64_bytes: u64, bytes_per_token: u64) -> u64 {
    (base64_bytes / 4).saturating_mul(3).div_ceil(bytes_per_token)
}

const BYTES_PER_TOKEN: u64 = 3;
/// The frame around a message.
const MESSAGE_TOKENS: u64 = 8;
const TOOL_TOKENS: u64 = 16;
/// Begin and end marks, which embedding models add to each string, and the rounding of short ones.
const STRING_TOKENS: u64 = 3;
/// A picture of high detail; most are fewer.
const IMAGE_TOKENS: u64 = 1_600;
/// 32 tokens a second, the most that a provider counts, for 8 kHz of 16 bits uncompressed …
const WAV_BYTES_PER_TOKEN: u64 = 500;
/// … and for 32 kbit/s compressed.
const COMPRESSED_AUDIO_BYTES_PER_TOKEN: u64 = 125;
/// 300 tokens a second at 1 Mbit/s.
const VIDEO_BYTES_PER_TOKEN: u64 = 400;
/// 3,000 tokens a page of 24 kB.
const FILE_BYTES_PER_TOKEN: u64 = 8;
/// One page.
const MEDIA_TOKENS_MIN: u64 = 3_000;
/// A file or a film that only the upstream sees: ten pages.
const UNSEEN_MEDIA_TOKENS: u64 = 30_000;
const REFERENCE_BYTES_MAX: u64 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(json: &str, read: impl FnOnce(&mut Tally, &mut Reader)) -> Tally {
        let mut reader = Reader::new(json.as_bytes()).unwrap();
        let mut tally = Tally::default();
        read(&mut tally, &mut reader);
        reader.finish().unwrap();
        tally
    }

    fn messages(json: &str) -> Tally {
        tally(json, |tally, reader| tally.messages(reader).unwrap())
    }

    fn prompts(json: &str) -> (Tally, u64) {
        let mut prompts = 0;
        let tally = tally(json, |tally, reader| prompts = tally.prompts(reader).unwrap());
        (tally, prompts)
    }

    #[test]
    fn text_is_counted_unescaped_and_taken_at_three_bytes_a_token() {
        let tally = messages(r#"[{"role":"user","content":"1234567"},{"role":"system","content":"\u4f60\n"}]"#);
        assert_eq!((tally.messages, tally.text_bytes, tally.other_tokens), (2, 10 + 7 + 4, 0));
        assert_eq!(tally.tokens(), 7 + 2 * 8);
        let parts = messages(r#"[{"role":"user","content":[{"type":"text","text":"1234567"}]}]"#);
        assert_eq!(parts.text_bytes, 4 + 7);
    }

    #[test]
    fn tool_calls_and_their_results_are_text() {
        let tally = messages(
            r#"[{"role":"assistant","content":null,"tool_calls":[{"id":"c1","function":{"name":"f","arguments":"{\"a\":1}"}}]},
                {"role":"tool","tool_call_id":"c1","content":"42"}]"#,
        );
        let call = ["assistant", "tool", "id", "c1", "function", "name", "f", "arguments", r#"{"a":1}"#].concat();
        assert_eq!(tally.text_bytes, (call.len() + "c1".len() + "42".len()) as u64);
    }

    #[test]
    fn a_picture_is_flat_whatever_its_size() {
        let picture = "A".repeat(3_000_000);
        for part in [
            format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{picture}","detail":"low"}}}}"#),
            format!(r#"{{"type":"input_image","image_url":"data:image/png;base64,{picture}"}}"#),
            r#"{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}"#.into(),
        ] {
            let tally = messages(&format!(r#"[{{"role":"user","content":[{part}]}}]"#));
            assert_eq!((tally.text_bytes, tally.other_tokens, tally.tokens()), (4, 1_600, 1_610));
        }
    }

    #[test]
    fn text_that_looks_like_a_picture_is_text() {
        let tally = messages(r#"[{"role":"user","content":"data:image/png;base64,AAAA"}]"#);
        assert_eq!(tally.text_bytes, 4 + 26);
        let tools = tally_tools(r#"[{"parameters":{"properties":{"image_url":{"type":"string"}}}}]"#);
        assert_eq!(tools.other_tokens, 0);
    }

    fn tally_tools(json: &str) -> Tally {
        tally(json, |tally, reader| tally.tools(reader).unwrap())
    }

    #[test]
    fn tools_count_as_they_are_written() {
        let tools = tally_tools(r#"[{"a":1}, {"b": [2]} ]"#);
        assert_eq!((tools.tools, tools.text_bytes, tools.tokens()), (2, 7 + 10, 6 + 32));
        assert_eq!(tally_tools("null").tools, 0);
    }

    #[test]
    fn recordings_files_and_films_count_by_their_bytes() {
        let data = "A".repeat(40_000);
        let other = |part: &str| messages(&format!(r#"[{{"content":[{part}]}}]"#)).other_tokens;
        assert_eq!(other(&format!(r#"{{"input_audio":{{"data":"{data}","format":"wav"}}}}"#)), 60);
        assert_eq!(other(&format!(r#"{{"input_audio":{{"format":"mp3","data":"{data}"}}}}"#)), 240);
        assert_eq!(other(&format!(r#"{{"file":{{"filename":"a.pdf","file_data":"{data}"}}}}"#)), 3_752);
        assert_eq!(other(r#"{"file":{"file_id":"file-1"}}"#), UNSEEN_MEDIA_TOKENS);
        assert_eq!(other(&format!(r#"{{"video_url":{{"url":"data:video/mp4;base64,{data}"}}}}"#)), MEDIA_TOKENS_MIN);
        assert_eq!(other(r#"{"video_url":{"url":"https://example.com/a.mp4"}}"#), UNSEEN_MEDIA_TOKENS);
    }

    #[test]
    fn prompts_are_strings_or_token_ids_or_several_of_either() {
        let shape = |json: &str| {
            let (tally, prompts) = prompts(json);
            (prompts, tally.strings, tally.text_bytes, tally.other_tokens)
        };
        assert_eq!(shape(r#""abc""#), (1, 1, 3, 0));
        assert_eq!(shape(r#"["abc","de"]"#), (2, 2, 5, 0));
        assert_eq!(shape("[1,2,3]"), (1, 0, 0, 3));
        assert_eq!(shape("[[1,2,3],[4]]"), (2, 0, 0, 4));
        assert_eq!(shape("[]"), (1, 0, 0, 0));
        assert_eq!(shape(r#"[{"text":"abc"},{"image":"QUJD"}]"#), (2, 0, 3, 1_600));
    }

    #[test]
    fn many_tiny_strings_are_not_held_for_less_than_their_marks() {
        let (tally, _) = prompts(&format!("[{}]", vec![r#""a""#; 2_048].join(",")));
        assert!(tally.tokens() >= 3 * 2_048);
    }
}
