//! Redeem codes: money on a slip of paper.
//!
//! `TG-` and four groups of five characters of Crockford's base32 (crockford.com/base32.html): 100 bits from the
//! operating system's generator, so a plain SHA-256 at rest suffices, and nobody finds one by trying. Codes are read
//! aloud and typed from paper: case, spaces and dashes do not matter, and the letters that the alphabet leaves out for
//! looking like digits are read as those.

use super::key::{self, KeyHash};
use super::secret::Secret;

/// A code in its one canonical form.
pub struct RedeemCode(Secret);

impl RedeemCode {
    /// # Errors
    /// As [`key::generate`].
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0u8; SYMBOLS];
        getrandom::fill(&mut bytes)?;
        // 256 is a multiple of 32, so each symbol is equally likely.
        let symbols = bytes.map(|byte| ALPHABET[usize::from(byte % 32)]);
        Ok(Self::of(&symbols))
    }

    /// Reads what somebody typed; `None` for what no code looks like.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TYPED_BYTES_MAX {
            return None;
        }
        let mut typed: Vec<u8> = Vec::with_capacity(PREFIX.len() + SYMBOLS);
        for character in text.chars().filter(|c| !c.is_whitespace() && !DASHES.contains(c)) {
            typed.push(u8::try_from(character.to_ascii_uppercase()).ok()?);
        }
        let symbols = match typed.len().checked_sub(SYMBOLS) {
            Some(0) => &typed[..],
            Some(_) => typed.strip_prefix(PREFIX.as_bytes())?,
            None => return None,
        };
        let symbols: Option<Vec<u8>> = symbols.iter().map(|symbol| read_symbol(*symbol)).collect();
        Some(Self::of(&symbols?.try_into().ok()?))
    }

    fn of(symbols: &[u8; SYMBOLS]) -> Self {
        let groups = symbols.chunks(GROUP).map(|group| group.iter().map(|symbol| char::from(*symbol)).collect());
        let groups: Vec<String> = groups.collect();
        RedeemCode(Secret::new(format!("{PREFIX}-{}", groups.join("-"))))
    }

    /// The whole text, for whoever made it.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What is stored and looked up.
    pub fn hash(&self) -> KeyHash {
        key::hash(self.expose().as_bytes())
    }

    /// The last four characters, to tell codes apart in lists.
    pub fn ending(&self) -> &str {
        let text = self.expose();
        &text[text.len() - 4..]
    }
}

fn read_symbol(symbol: u8) -> Option<u8> {
    let symbol = match symbol {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    ALPHABET.contains(&symbol).then_some(symbol)
}

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const PREFIX: &str = "TG";
const SYMBOLS: usize = 20;
const GROUP: usize = 5;
/// What word processors make of a dash.
const DASHES: [char; 5] = ['-', '\u{2010}', '\u{2011}', '\u{2013}', '\u{2014}'];
/// A code with a space after every character, and more.
const TYPED_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let canonical = "TG-01ABC-DEFGH-JKMNP-QRSTV";
        for typed in [
            canonical,
            "tg-01abc-defgh-jkmnp-qrstv",
            " TG 01ABC DEFGH JKMNP QRSTV\n",
            "TG01ABCDEFGHJKMNPQRSTV",
            "01ABCDEFGHJKMNPQRSTV",
            "tg\u{2013}oiabc\u{2011}defgh-jkmnp-qrstv",
            "TG-OLABC-DEFGH-JKMNP-QRSTV",
        ] {
            let code = RedeemCode::parse(typed).unwrap_or_else(|| panic!("{typed:?}"));
            assert_eq!(code.expose(), canonical);
            assert_eq!(code.ending(), "RSTV");
        }
    }

    #[test]
    fn what_is_no_code_is_not_read() {
        for typed in [
            "",
            "TG",
            "TG-01ABC-DEFGH-JKMNP-QRST",
            "TG-01ABC-DEFGH-JKMNP-QRSTVW",
            "TX-01ABC-DEFGH-JKMNP-QRSTV",
            "TG-U1ABC-DEFGH-JKMNP-QRSTV",
            "TG-01ABC-DEFGH-JKMNP-QRSТV",
            "'; DROP TABLE code; --",
            &"0 ".repeat(100),
        ] {
            assert!(RedeemCode::parse(typed).is_none(), "{typed:?}");
        }
    }

    #[test]
    fn codes_differ_and_are_read_back() {
        let codes: Vec<_> = (0..100).map(|_| RedeemCode::generate().unwrap()).collect();
        for code in &codes {
            assert_eq!(RedeemCode::parse(code.expose()).unwrap().hash(), code.hash());
        }
        let distinct: HashSet<_> = codes.iter().map(RedeemCode::expose).collect();
        assert_eq!(distinct.len(), codes.len());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = RedeemCode::parse(&text);
        }
    }
}
