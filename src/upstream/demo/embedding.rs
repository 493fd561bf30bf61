//! Embeddings: every word has its own direction, and a text points where its words together point.
//!
//! Always true: vectors have length 1, the same text gives the same vector in every process, and texts that share words
//! are closer than texts that do not, so that a search built on it finds what it should.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::envelope::{self, Fault};
use super::words;

#[derive(Deserialize)]
struct Request {
    model: String,
    input: Input,
    dimensions: Option<usize>,
    encoding_format: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "'input' is neither text nor tokens, nor a list of them")]
enum Input {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    TokenLists(Vec<Vec<u32>>),
}

#[derive(Serialize)]
pub struct Answer {
    object: &'static str,
    data: Vec<Embedding>,
    model: String,
    usage: Usage,
}

#[derive(Serialize)]
struct Embedding {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Floats(Vec<f32>),
    /// Little-endian floats, as the official SDKs ask for.
    Base64(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
}

pub fn answer(body: &[u8]) -> Result<Answer, Fault> {
    let request: Request = envelope::read(body)?;
    let dimensions = request.dimensions.unwrap_or(DIMENSIONS_DEFAULT);
    if !(1..=DIMENSIONS_MAX).contains(&dimensions) {
        return Err(Fault::invalid("dimensions", format!("'dimensions' must be 1 to {DIMENSIONS_MAX}.")));
    }
    let encode: fn(Vec<f32>) -> Vector = match request.encoding_format.as_deref() {
        None | Some("float") => Vector::Floats,
        Some("base64") => base64,
        Some(_) => return Err(Fault::invalid("encoding_format", "'encoding_format' must be float or base64.")),
    };
    let counts = request.input.token_counts();
    if !(1..=INPUTS_MAX).contains(&counts.len()) || counts.contains(&0) {
        return Err(Fault::invalid("input", format!("'input' must be 1 to {INPUTS_MAX} texts that are not empty.")));
    }
    let prompt_tokens = counts.iter().sum();
    if prompt_tokens > REQUEST_TOKENS_MAX || counts.iter().any(|count| *count > INPUT_TOKENS_MAX) {
        let message = format!("An input can have {INPUT_TOKENS_MAX} tokens, all together {REQUEST_TOKENS_MAX}.");
        return Err(Fault::invalid("input", message));
    }
    let texts = request.input.texts();
    let embedding = |(index, text): (usize, &Vec<String>)| Embedding {
        object: "embedding",
        index,
        embedding: encode(direction(text, dimensions)),
    };
    Ok(Answer {
        object: "list",
        data: texts.iter().enumerate().map(embedding).collect(),
        model: request.model,
        usage: Usage { prompt_tokens, total_tokens: prompt_tokens },
    })
}

impl Input {
    /// How long each input is, without keeping anything of it.
    fn token_counts(&self) -> Vec<u64> {
        match self {
            Input::Text(text) => vec![words::count(text)],
            Input::Texts(texts) => texts.iter().map(|text| words::count(text)).collect(),
            Input::Tokens(tokens) => vec![tokens.len() as u64],
            Input::TokenLists(lists) => lists.iter().map(|tokens| tokens.len() as u64).collect(),
        }
    }

    /// Each input as its tokens.
    fn texts(&self) -> Vec<Vec<String>> {
        let words = |text: &String| words::pieces(text).map(|piece| piece.trim().to_lowercase()).collect();
        let numbers = |tokens: &Vec<u32>| tokens.iter().map(u32::to_string).collect();
        match self {
            Input::Text(text) => vec![words(text)],
            Input::Texts(texts) => texts.iter().map(words).collect(),
            Input::Tokens(tokens) => vec![numbers(tokens)],
            Input::TokenLists(lists) => lists.iter().map(numbers).collect(),
        }
    }
}

fn direction(tokens: &[String], dimensions: usize) -> Vec<f32> {
    let mut sum = vec![0f64; dimensions];
    for token in tokens {
        for (component, number) in sum.iter_mut().zip(numbers(token)) {
            *component += number;
        }
    }
    let length = sum.iter().map(|component| component * component).sum::<f64>().sqrt();
    if length == 0.0 {
        sum[0] = 1.0;
        return sum.into_iter().map(|component| component as f32).collect();
    }
    sum.into_iter().map(|component| (component / length) as f32).collect()
}

/// A token's own endless row of numbers between -1 and 1: digests of the token and a counter.
fn numbers(token: &str) -> impl Iterator<Item = f64> {
    let digest = move |block: u64| Sha256::new().chain_update(block.to_le_bytes()).chain_update(token).finalize();
    (0u64..).flat_map(move |block| digest(block).to_vec()).map(|byte| f64::from(byte) / 127.5 - 1.0)
}

fn base64(vector: Vec<f32>) -> Vector {
    let bytes: Vec<u8> = vector.into_iter().flat_map(f32::to_le_bytes).collect();
    Vector::Base64(STANDARD.encode(bytes))
}

const DIMENSIONS_DEFAULT: usize = 256;
const DIMENSIONS_MAX: usize = 3_072;
/// These three are OpenAI's own.
const INPUTS_MAX: usize = 2_048;
const INPUT_TOKENS_MAX: u64 = 8_192;
const REQUEST_TOKENS_MAX: u64 = 300_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<f32> {
        direction(&Input::Text(text.into()).texts()[0], 256)
    }

    fn cosine(left: &[f32], right: &[f32]) -> f32 {
        left.iter().zip(right).map(|(left, right)| left * right).sum()
    }

    #[test]
    fn vectors_have_length_one_and_similar_texts_are_close() {
        let (cat, kitten, bill) = (of("the cat sleeps here"), of("the cat sleeps there"), of("pay your bill today"));
        assert!((cosine(&cat, &cat) - 1.0).abs() < 1e-5);
        assert_eq!(cat, of("The Cat  sleeps here"));
        assert!(cosine(&cat, &kitten) > 0.5 && cosine(&cat, &bill).abs() < 0.4);
    }

    #[test]
    fn the_same_in_every_process() {
        let first = direction(&["token".into()], 4);
        let digest = Sha256::new().chain_update([0u8; 8]).chain_update("token").finalize();
        let expected: Vec<f64> = digest[..4].iter().map(|byte| f64::from(*byte) / 127.5 - 1.0).collect();
        let length = expected.iter().map(|number| number * number).sum::<f64>().sqrt();
        for (component, number) in first.iter().zip(expected) {
            assert!((f64::from(*component) - number / length).abs() < 1e-6);
        }
    }
}
