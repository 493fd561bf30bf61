//! Image generations: a small picture, in colours that the prompt decides.
//!
//! The PNG is written by hand, uncompressed: a few kilobytes that every viewer opens, for no dependency.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::envelope::{self, Fault};
use super::form::Form;
use super::words;

#[derive(Deserialize)]
struct Request {
    prompt: String,
    n: Option<u64>,
    size: Option<String>,
    quality: Option<String>,
}

/// Echoes size and quality as asked, since they decide the price; the picture itself is always small.
pub fn answer(body: &[u8]) -> Result<Value, Fault> {
    draw_all(&envelope::read(body)?)
}

/// An edit is a new picture, too: of the old one only the prompt's words are left.
pub fn edit(content_type: &str, body: &[u8]) -> Result<Value, Fault> {
    let form = Form::read(content_type, body)?;
    if form.get("image").or_else(|| form.get("image[]")).is_none() {
        return Err(Fault::invalid("image", "'image' must be a picture."));
    }
    let given = |name| form.text(name).map(|text| Some(text.to_owned()).filter(|text| !text.is_empty()));
    let n = given("n")?.map(|n| n.parse().map_err(|_| Fault::invalid("n", "'n' must be an integer.")));
    draw_all(&Request {
        prompt: form.text("prompt")?.to_owned(),
        n: n.transpose()?,
        size: given("size")?,
        quality: given("quality")?,
    })
}

fn draw_all(request: &Request) -> Result<Value, Fault> {
    if request.prompt.is_empty() {
        return Err(Fault::invalid("prompt", "'prompt' must not be empty."));
    }
    let n = envelope::choices(request.n)?;
    let size = request.size.as_deref().filter(|size| *size != "auto").unwrap_or("1024x1024");
    if !is_size(size) {
        return Err(Fault::invalid("size", "'size' must be like 1024x1024."));
    }
    let quality = request.quality.as_deref().filter(|quality| *quality != "auto").unwrap_or("standard");
    let picture = |variant| json!({"b64_json": STANDARD.encode(png(&draw(&request.prompt, variant)))});
    let (input, output) = (words::count(&request.prompt), IMAGE_TOKENS.saturating_mul(n));
    Ok(json!({
        "created": envelope::now_s(),
        "background": "opaque",
        "output_format": "png",
        "quality": quality,
        "size": size,
        "data": (0..n).map(picture).collect::<Vec<_>>(),
        "usage": {
            "input_tokens": input,
            "input_tokens_details": {"text_tokens": input, "image_tokens": 0},
            "output_tokens": output,
            "output_tokens_details": {"text_tokens": 0, "image_tokens": output},
            "total_tokens": input.saturating_add(output),
        },
    }))
}

fn is_size(size: &str) -> bool {
    let is_side = |side: &str| (1..=4).contains(&side.len()) && side.bytes().all(|byte| byte.is_ascii_digit());
    size.split_once('x').is_some_and(|(width, height)| is_side(width) && is_side(height))
}

type Pixel = [u8; 3];

/// A sky from one colour to another, and a disc in a third.
fn draw(prompt: &str, variant: u64) -> Vec<Pixel> {
    let digest = Sha256::new().chain_update(variant.to_le_bytes()).chain_update(prompt).finalize();
    let colour = |at: usize| -> Pixel { [digest[at], digest[at + 1], digest[at + 2]] };
    let (top, bottom, disc) = (colour(0), colour(3), colour(6));
    let (centre_x, centre_y) = (16 + i32::from(digest[9] % 32), 16 + i32::from(digest[10] % 32));
    let radius = 6 + i32::from(digest[11] % 10);
    let pixel = |x: i32, y: i32| -> Pixel {
        if (x - centre_x).pow(2) + (y - centre_y).pow(2) <= radius.pow(2) {
            return disc;
        }
        std::array::from_fn(|channel| {
            let (top, bottom) = (i32::from(top[channel]), i32::from(bottom[channel]));
            u8::try_from(top + (bottom - top) * y / SIDE).unwrap_or(u8::MAX)
        })
    };
    (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x, y))).map(|(x, y)| pixel(x, y)).collect()
}

/// A square RGB picture as PNG (ISO/IEC 15948), its data in stored blocks (RFC 1951, 3.2.4).
fn png(pixels: &[Pixel]) -> Vec<u8> {
    let mut lines = Vec::new();
    for line in pixels.chunks(SIDE as usize) {
        lines.push(0); // filter: none
        lines.extend(line.as_flattened());
    }
    let side = SIDE.to_be_bytes();
    let eight_bit_rgb = [8, 2, 0, 0, 0];
    let header = [&side[..], &side[..], &eight_bit_rgb[..]].concat();
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    push_chunk(&mut png, *b"IHDR", &header);
    push_chunk(&mut png, *b"IDAT", &zlib_stored(&lines));
    push_chunk(&mut png, *b"IEND", &[]);
    png
}

fn push_chunk(png: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    let length = u32::try_from(data.len()).expect("a picture of 64 by 64 pixels has a few thousand bytes");
    let body = [&kind[..], data].concat();
    png.extend(length.to_be_bytes());
    png.extend(&body);
    png.extend(crc32fast::hash(&body).to_be_bytes());
}

fn zlib_stored(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = data.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).expect("blocks are cut to what 16 bits can say");
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(adler32(data).to_be_bytes());
    stream
}

fn adler32(data: &[u8]) -> u32 {
    let (low, high) = data.iter().fold((1u32, 0u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    (high << 16) | low
}

const SIDE: i32 = 64;
/// What OpenAI counts for a square picture of low quality.
const IMAGE_TOKENS: u64 = 272;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_the_published_ones() {
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
        assert_eq!(zlib_stored(b"a"), [0x78, 0x01, 1, 1, 0, 0xFE, 0xFF, b'a', 0, 0x62, 0, 0x62]);
    }

    #[test]
    fn the_png_is_whole() {
        let pixels = draw("a red barn", 0);
        let png = png(&pixels);
        let mut rest = png.strip_prefix(b"\x89PNG\r\n\x1a\n").unwrap();
        let mut kinds = Vec::new();
        while !rest.is_empty() {
            let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            let crc = u32::from_be_bytes(rest[8 + length..12 + length].try_into().unwrap());
            assert_eq!(crc, crc32fast::hash(&rest[4..8 + length]));
            kinds.push(&rest[4..8]);
            rest = &rest[12 + length..];
        }
        assert_eq!(kinds, [b"IHDR", b"IDAT", b"IEND"]);
        assert_eq!(pixels.len(), 64 * 64);
        assert_ne!(pixels, draw("a red barn", 1));
        assert_eq!(pixels, draw("a red barn", 0));
    }

    #[test]
    fn large_data_is_cut_into_blocks() {
        let stream = zlib_stored(&vec![7; 70_000]);
        assert_eq!(stream[2], 0);
        assert_eq!(stream.len(), 2 + 5 + 65_535 + 5 + 4_465 + 4);
        assert_eq!(stream[2 + 5 + 65_535], 1, "the last block says so");
    }

    #[test]
    fn sizes_are_two_numbers() {
        assert!(is_size("1024x1792") && is_size("1x1"));
        assert!(!is_size("1024") && !is_size("x") && !is_size("10240x1") && !is_size("-1x2"));
    }
}
