//! Where a JSON string is interrupted, eight bytes at a time.
//!
//! Most strings of a request or an answer are short: to set up a search of many bytes at a time costs more than to look
//! at their few words in plain registers ("SIMD within a register"). What is longer is searched like everything long.

use memchr::memchr2;

/// The first quote or backslash.
pub(super) fn quote_or_escape(text: &[u8]) -> Option<usize> {
    let at = match in_words(text, |word| find(word, b'"') | find(word, b'\\')) {
        Ok(found) => return Some(found),
        Err(at) => at,
    };
    memchr2(b'"', b'\\', &text[at..]).map(|found| at + found)
}

/// The first quote, backslash, or byte below U+0020.
pub(super) fn quote_escape_or_control(text: &[u8]) -> Option<usize> {
    let at = match in_words(text, |word| find(word, b'"') | find(word, b'\\') | below(word, b' ')) {
        Ok(found) => return Some(found),
        Err(at) => at,
    };
    let rest = &text[at..];
    let found = memchr2(b'"', b'\\', rest);
    let run = &rest[..found.unwrap_or(rest.len())];
    let control = has_control(run).then(|| run.iter().position(|byte| *byte < b' ')).flatten();
    control.or(found).map(|found| at + found)
}

/// Where the first byte stands that `mark` sets the high bit of, or how much was looked at.
fn in_words(text: &[u8], mark: impl Fn(u64) -> u64) -> Result<usize, usize> {
    let mut at = 0;
    while at < SHORT_BYTES
        && let Some(word) = text[at..].first_chunk()
    {
        let marks = mark(u64::from_le_bytes(*word));
        if marks != 0 {
            return Ok(at + marks.trailing_zeros() as usize / 8);
        }
        at += size_of::<u64>();
    }
    Err(at)
}

// Both set the high bit of each byte that is meant, and above the first of them perhaps of others, which does not matter to
// who looks for the first (Warren, Hacker's Delight, section 6-1).

fn find(word: u64, byte: u8) -> u64 {
    below(word ^ (EACH_BYTE * u64::from(byte)), 1)
}

/// `bound` is 128 at most.
fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(EACH_BYTE * u64::from(bound)) & !word & (EACH_BYTE << 7)
}

/// Branch-free in pieces, so that the compiler compares many bytes at a time: a body may be one picture of 20 MB.
fn has_control(run: &[u8]) -> bool {
    run.chunks(64).any(|piece| piece.iter().fold(false, |found, byte| found | (*byte < b' ')))
}

const EACH_BYTE: u64 = u64::MAX / 0xFF;
const SHORT_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn they_find_what_a_look_at_each_byte_finds(
            text in proptest::collection::vec(prop_oneof![4 => Just(b'x'), 1 => any::<u8>(), 1 => 0x1du8..0x24], 0..120),
        ) {
            let stops = |byte: &u8| matches!(byte, b'"' | b'\\');
            for start in 0..text.len() {
                let text = &text[start..];
                prop_assert_eq!(quote_or_escape(text), text.iter().position(stops));
                prop_assert_eq!(quote_escape_or_control(text), text.iter().position(|byte| stops(byte) || *byte < b' '));
            }
        }
    }
}
