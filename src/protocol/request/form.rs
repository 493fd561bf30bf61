//! What a form says: a recording to be written down, pictures to be changed.
//!
//! Of an upload nothing is copied: the body stays as it came, and the name of the model is spliced into it as into JSON.

use super::super::multipart::{self, Boundary, Part};
use super::super::recording;
use super::*;

/// Reads a form.
///
/// # Errors
/// As [`super::understand`].
pub fn understand(endpoint: Endpoint, boundary: &Boundary, body: &[u8]) -> Result<Facts, ApiError> {
    let mut draft = Draft::default();
    for part in multipart::read(body, boundary)? {
        draft.field(endpoint, &part)?;
    }
    let facts = draft.into_facts(endpoint)?;
    Ok(Facts { form: Some(boundary.clone()), ..facts })
}

impl Draft {
    fn field(&mut self, endpoint: Endpoint, part: &Part<'_>) -> Result<(), ApiError> {
        use Endpoint::{AudioTranscriptions, ImagesEdits};
        match (part.name, endpoint) {
            ("model", _) => self.model = Some((model(part)?, part.span.clone())),
            ("stream", _) => self.stream = stream(endpoint, part)?,
            ("prompt", _) => {
                self.input.plain_string(text(part)?.len());
                self.prompts = Some(1);
            }
            ("n", ImagesEdits) => self.n = Some(integer(part, IMAGES_MAX)?),
            ("size", ImagesEdits) => self.image_kind.size = label(part)?,
            ("quality", ImagesEdits) => self.image_kind.quality = label(part)?,
            ("image" | "image[]", ImagesEdits) => {
                self.file = true;
                self.picture(part)?;
            }
            ("mask", ImagesEdits) => self.picture(part)?,
            ("file", AudioTranscriptions) => {
                self.audio_ms = recording::length_ms(file(part)?);
                self.input.other_tokens = self.audio_ms.saturating_mul(AUDIO_TOKENS_PER_S).div_ceil(1_000);
                self.file = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn picture(&mut self, part: &Part<'_>) -> Result<(), ApiError> {
        file(part)?;
        self.input.other_tokens = self.input.other_tokens.saturating_add(PICTURE_TOKENS);
        Ok(())
    }
}

fn model(part: &Part<'_>) -> Result<String, ApiError> {
    let model = text(part)?;
    if !(1..=MODEL_BYTES_MAX).contains(&model.len()) {
        return Err(wrong("model", &format!("a string of 1 to {MODEL_BYTES_MAX} bytes")));
    }
    check_model(model)?;
    Ok(model.to_owned())
}

fn stream(endpoint: Endpoint, part: &Part<'_>) -> Result<bool, ApiError> {
    let word = text(part)?;
    let stream = word.eq_ignore_ascii_case("true");
    if !stream && !word.eq_ignore_ascii_case("false") {
        return Err(wrong("stream", "true or false"));
    }
    check_stream(endpoint, stream)
}

fn integer(part: &Part<'_>, max: u64) -> Result<u64, ApiError> {
    let digits = text(part)?;
    let number = digits.parse().ok().filter(|number| (1..=max).contains(number));
    // `parse` would take a plus sign.
    number.filter(|_| !digits.starts_with('+')).ok_or_else(|| wrong(part.name, &format!("an integer from 1 to {max}")))
}

fn label(part: &Part<'_>) -> Result<String, ApiError> {
    let label = text(part)?;
    if label.len() > LABEL_BYTES_MAX {
        return Err(wrong(part.name, &format!("a string of at most {LABEL_BYTES_MAX} bytes")));
    }
    Ok(label.to_owned())
}

fn text<'a>(part: &Part<'a>) -> Result<&'a str, ApiError> {
    if part.is_file {
        return Err(wrong(part.name, "a text, not a file"));
    }
    str::from_utf8(part.value).map_err(|_| wrong(part.name, "UTF-8"))
}

fn file<'a>(part: &Part<'a>) -> Result<&'a [u8], ApiError> {
    if !part.is_file || part.value.is_empty() {
        return Err(wrong(part.name, "a file, with its name and its bytes"));
    }
    Ok(part.value)
}

/// The most that a provider counts for sound (Gemini).
const AUDIO_TOKENS_PER_S: u64 = 32;
/// A portrait in high fidelity, above what it has in low (OpenAI's guide to image generation).
const PICTURE_TOKENS: u64 = 6_600;

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIO: Endpoint = Endpoint::AudioTranscriptions;
    const EDITS: Endpoint = Endpoint::ImagesEdits;
    const FILE: &str = "; filename=\"a.bin\"\r\nContent-Type: audio/wav";

    fn boundary() -> Boundary {
        Boundary::from_parameters("; boundary=xYzZY").unwrap()
    }

    /// A form of these fields; a name with a `@` before it is a file's.
    fn form(fields: &[(&str, &str)]) -> String {
        let mut form = String::new();
        for (name, value) in fields {
            let (name, more) = name.strip_prefix('@').map_or((*name, ""), |name| (name, FILE));
            form += &format!("--xYzZY\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{value}\r\n");
        }
        form + "--xYzZY--\r\n"
    }

    fn read(endpoint: Endpoint, fields: &[(&str, &str)]) -> Result<Facts, ApiError> {
        understand(endpoint, &boundary(), form(fields).as_bytes())
    }

    fn refused(endpoint: Endpoint, fields: &[(&str, &str)], param: &str) {
        match read(endpoint, fields) {
            Err(ApiError::InvalidRequest { param: found, .. }) => {
                assert_eq!(found.as_deref(), Some(param), "{fields:?}")
            }
            other => panic!("{fields:?}: {other:?}"),
        }
    }

    #[test]
    fn a_recording_is_as_long_as_it_says() {
        let sound = "\u{1}".repeat(8_000);
        let facts = read(AUDIO, &[("@file", &sound), ("model", "whisper-1"), ("prompt", "1234567")]).unwrap();
        assert_eq!((facts.model.as_str(), facts.stream, facts.audio_ms), ("whisper-1", false, 2_000));
        assert_eq!((facts.text_bytes, facts.other_tokens, facts.input_tokens), (7, 64, 3 + 3 + 64));
        assert_eq!(facts.content_type(), "multipart/form-data; boundary=xYzZY");
        for (word, streams) in [("true", true), ("True", true), ("false", false)] {
            assert_eq!(read(AUDIO, &[("model", "m"), ("stream", word), ("@file", "x")]).unwrap().stream, streams);
        }
    }

    #[test]
    fn pictures_are_counted_and_their_kind_is_known() {
        let fields = [("model", "m"), ("prompt", "a hat"), ("@image[]", "1"), ("@image[]", "2"), ("@mask", "3")];
        let kind = [("n", "2"), ("size", "1024x1536"), ("quality", "high")];
        let facts = read(EDITS, &[fields.as_slice(), &kind].concat()).unwrap();
        assert_eq!((facts.images, facts.choices, facts.other_tokens), (2, 2, 3 * PICTURE_TOKENS));
        assert_eq!(facts.image_kind, ImageKind { quality: "high".into(), size: "1024x1536".into() });
        assert_eq!(read(EDITS, &fields).unwrap().images, 1);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let (model, file) = (("model", "m"), ("@file", "x"));
        refused(AUDIO, &[file], "model");
        refused(AUDIO, &[model], "file");
        refused(AUDIO, &[model, ("file", "x")], "file");
        refused(AUDIO, &[model, ("@file", "")], "file");
        refused(AUDIO, &[model, model, file], "model");
        refused(AUDIO, &[("@model", "m"), file], "model");
        refused(AUDIO, &[("model", ""), file], "model");
        refused(AUDIO, &[("model", "a\nb"), file], "model");
        refused(AUDIO, &[("model", &"m".repeat(257)), file], "model");
        refused(AUDIO, &[model, file, ("stream", "1")], "stream");
        let (prompt, image) = (("prompt", "p"), ("@image", "x"));
        refused(EDITS, &[model, image], "prompt");
        refused(EDITS, &[model, prompt], "image");
        refused(EDITS, &[model, prompt, image, ("stream", "true")], "stream");
        for n in ["0", "11", "+1", "-1", "1.0", "", " 1", "x"] {
            refused(EDITS, &[model, prompt, image, ("n", n)], "n");
        }
    }

    #[test]
    fn an_edit_changes_the_models_name_alone_and_copies_nothing_else() {
        let body = Bytes::from(form(&[("@file", "RIFF\r\n\r\n"), ("model", "ours"), ("language", "de")]));
        let facts = understand(AUDIO, &boundary(), &body).unwrap();
        let pieces = facts.rewrite(&body, "their-model", true);
        let expected = form(&[("@file", "RIFF\r\n\r\n"), ("model", "their-model"), ("language", "de")]);
        assert_eq!(String::from_utf8(pieces.concat()).unwrap(), expected);
        assert_eq!((pieces.len(), pieces[0].as_ptr()), (3, body.as_ptr()));
        assert_eq!(facts.rewrite(&body, "ours", true), [body]);
    }
}
