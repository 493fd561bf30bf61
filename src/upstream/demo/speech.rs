//! Speech: a tone for each word, higher for some than for others, as WAV.
//!
//! It is no voice, but every player plays it, and it is as long as the text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::envelope::{self, Fault};
use super::words;

#[derive(Deserialize)]
pub struct Request {
    input: String,
    #[serde(default)]
    stream_format: String,
}

impl Request {
    pub fn read(body: &[u8]) -> Result<Self, Fault> {
        let request: Request = envelope::read(body)?;
        match request.input.chars().count() {
            1..=INPUT_CHARS_MAX => Ok(request),
            _ => Err(Fault::invalid("input", format!("'input' must have 1 to {INPUT_CHARS_MAX} characters."))),
        }
    }

    pub fn streams(&self) -> bool {
        self.stream_format == "sse"
    }

    /// A whole WAV file.
    pub fn whole(&self) -> Vec<u8> {
        let samples: Vec<u8> = words::pieces(&self.input).flat_map(tone).collect();
        wav(&samples)
    }

    /// The same file in pieces, then what it took.
    pub fn events(&self) -> Vec<Value> {
        let file = self.whole();
        let sound = |piece: &[u8]| json!({"type": "speech.audio.delta", "audio": STANDARD.encode(piece)});
        let (input, output) = (words::count(&self.input), (file.len() / TOKEN_SAMPLES + 1) as u64);
        let usage = json!({"input_tokens": input, "output_tokens": output, "total_tokens": input + output});
        let done = json!({"type": "speech.audio.done", "usage": usage});
        file.chunks(EVENT_BYTES).map(sound).chain([done]).collect()
    }
}

/// A triangle wave that fades out, of 8 bits: a word's letters decide its pitch.
fn tone(word: &str) -> Vec<u8> {
    let period = 20 + word.bytes().fold(0, |sum: usize, byte| sum + usize::from(byte)) % 40;
    let sample = |at: usize| {
        let (place, half) = (at % period, period / 2);
        let height = place.abs_diff(half) * 2 * LOUDNESS / period;
        let faded = height * (WORD_SAMPLES - at) / WORD_SAMPLES;
        u8::try_from(128 + faded).unwrap_or(u8::MAX)
    };
    (0..WORD_SAMPLES).map(sample).collect()
}

/// RIFF WAVE: mono, 8 kHz, 8 bits without a sign.
fn wav(samples: &[u8]) -> Vec<u8> {
    let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
    let rate = SAMPLES_PER_S.to_le_bytes();
    let parts: [&[u8]; 11] = [
        b"RIFF",
        &size(samples.len() + 36),
        b"WAVEfmt ",
        &16u32.to_le_bytes(),
        // PCM, one channel.
        &[1, 0, 1, 0],
        &rate,
        &rate,
        &[1, 0, 8, 0],
        b"data",
        &size(samples.len()),
        samples,
    ];
    parts.concat()
}

pub const SAMPLES_PER_S: u32 = 8_000;
/// A fifth of a second.
const WORD_SAMPLES: usize = 1_600;
/// Twenty tokens a second.
const TOKEN_SAMPLES: usize = 400;
const LOUDNESS: usize = 100;
const EVENT_BYTES: usize = 8_000;
/// OpenAI's own bound.
const INPUT_CHARS_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_fifth_of_a_second_in_a_whole_file() {
        let request = Request { input: "three short words".into(), stream_format: String::new() };
        let file = request.whole();
        assert_eq!(file.len(), 44 + 3 * 1_600);
        assert_eq!((&file[..4], &file[8..16], &file[36..40]), (&b"RIFF"[..], &b"WAVEfmt "[..], &b"data"[..]));
        assert_eq!(u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize, file.len() - 8);
        assert_eq!(u32::from_le_bytes(file[40..44].try_into().unwrap()) as usize, file.len() - 44);
        assert!(file[44..].iter().any(|sample| *sample > 200), "it can be heard");
    }
}
