//! Keys: the credential that a client presents.
//!
//! `sk-tg-` + 32 base62 characters from the operating system's generator + 6 base62 characters that are the CRC32 of
//! everything before them. The checksum refuses a mistyped or guessed key without a look-up, and lets scanners tell a
//! leaked key from noise (GitHub's token format has the same idea). 32 base62 characters are 190 bits, so a plain
//! SHA-256 at rest suffices: there is nothing to guess.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::account::AccountId;
use super::money::Nano;
use super::secret::Secret;

/// The database's own number for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyId(pub i64);

/// SHA-256 of a key's whole text: what is stored and looked up.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    Active,
    Disabled,
    /// Rotated away or deleted: as good as unknown, kept for the history of its requests.
    Deleted,
}

impl KeyStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            KeyStatus::Active => "active",
            KeyStatus::Disabled => "disabled",
            KeyStatus::Deleted => "deleted",
        }
    }
}

/// Per minute and at a time. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Limits {
    pub rpm: Option<u32>,
    pub tpm: Option<u64>,
    pub concurrency: Option<u32>,
}

/// What a key may do. Immutable: a change makes a new one.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    pub id: KeyId,
    /// `key_…`, as the outside sees it.
    pub public_id: String,
    pub account: AccountId,
    pub name: String,
    pub hash: KeyHash,
    /// The first characters and the last four, for lists.
    pub prefix: String,
    pub status: KeyStatus,
    pub expires_at_ms: Option<i64>,
    /// Empty: every model.
    pub models: Vec<String>,
    pub limits: Limits,
    /// The most that this key may spend in its life.
    pub budget: Option<Nano>,
    /// Empty: every address.
    pub allow_ips: Vec<IpNet>,
}

impl KeyRecord {
    pub fn allows_model(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|name| name == model)
    }

    pub fn allows_address(&self, address: IpAddr) -> bool {
        self.allow_ips.is_empty() || self.allow_ips.iter().any(|net| net.contains(&address.to_canonical()))
    }
}

/// Makes a new key from the operating system's generator.
///
/// # Errors
/// The generator's, which on Linux means that the machine has no entropy source at all.
pub fn generate() -> Result<Secret, getrandom::Error> {
    generate_with_prefix(PREFIX)
}

/// The same form for other credentials of ours: the prefix says which door a leaked one opens.
///
/// # Errors
/// As [`generate`].
pub fn generate_with_prefix(prefix: &str) -> Result<Secret, getrandom::Error> {
    let random_end = prefix.len().saturating_add(RANDOM_CHARS);
    let mut text = String::with_capacity(random_end.saturating_add(CHECKSUM_CHARS));
    text.push_str(prefix);
    let mut bytes = [0u8; 64];
    while text.len() < random_end {
        getrandom::fill(&mut bytes)?;
        // 248 is the largest multiple of 62 in a byte: rejecting the rest keeps every character equally likely.
        let fair = bytes.iter().filter(|byte| **byte < 248).map(|byte| BASE62[usize::from(byte % 62)]);
        for character in fair.take(random_end.saturating_sub(text.len())) {
            text.push(char::from(character));
        }
    }
    let checksum = checksum(text.as_bytes());
    text.extend(checksum.iter().map(|byte| char::from(*byte)));
    Ok(Secret::new(text))
}

/// Whether the text has a key's form and checksum; says nothing about whether anybody holds such a key.
pub fn is_well_formed(text: &[u8]) -> bool {
    is_well_formed_with_prefix(PREFIX, text)
}

/// The same for a credential made by [`generate_with_prefix`].
pub fn is_well_formed_with_prefix(prefix: &str, text: &[u8]) -> bool {
    let Some((body, written)) = text.split_last_chunk::<CHECKSUM_CHARS>() else { return false };
    let Some(random) = body.strip_prefix(prefix.as_bytes()) else { return false };
    random.len() == RANDOM_CHARS && random.iter().all(u8::is_ascii_alphanumeric) && *written == checksum(body)
}

pub fn hash(text: &[u8]) -> KeyHash {
    KeyHash(Sha256::digest(text).into())
}

/// How a key looks in lists: enough to recognise, too little to use.
pub fn display_prefix(text: &str) -> String {
    let shown = PREFIX.len() + 4;
    match (text.get(..shown), text.get(text.len().saturating_sub(4)..)) {
        (Some(head), Some(tail)) if text.len() > shown + 4 => format!("{head}…{tail}"),
        _ => "…".into(),
    }
}

/// CRC-32 (ISO-HDLC) in base62, most significant digit first, always six digits.
fn checksum(text: &[u8]) -> [u8; CHECKSUM_CHARS] {
    let mut rest = crc32fast::hash(text);
    let mut digits = [b'0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

pub const PREFIX: &str = "sk-tg-";
const RANDOM_CHARS: usize = 32;
const CHECKSUM_CHARS: usize = 6;
pub const KEY_CHARS: usize = PREFIX.len() + RANDOM_CHARS + CHECKSUM_CHARS;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_new_key_is_well_formed_and_its_own() {
        let (first, second) = (generate().unwrap(), generate().unwrap());
        assert!(is_well_formed(first.expose().as_bytes()));
        assert_ne!(first.expose(), second.expose());
        assert_eq!(first.expose().len(), 44);
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        // CRC-32 of "123456789" is 0xCBF43926 (its standard check value) = 3421780262 = 3jZRhu in base 62.
        let mut value = 0u64;
        for digit in checksum(b"123456789") {
            let position = BASE62.iter().position(|candidate| *candidate == digit).unwrap();
            value = value * 62 + position as u64;
        }
        assert_eq!(value, 0xCBF4_3926);
    }

    #[test]
    fn one_wrong_character_is_refused() {
        let key = generate().unwrap();
        for position in 0..KEY_CHARS {
            let mut text = key.expose().as_bytes().to_vec();
            text[position] = if text[position] == b'a' { b'b' } else { b'a' };
            assert!(!is_well_formed(&text), "position {position}");
        }
    }

    #[test]
    fn the_prefix_gives_nothing_away() {
        let key = generate().unwrap();
        let shown = display_prefix(key.expose());
        assert_eq!(shown.chars().count(), 15);
        assert!(shown.starts_with("sk-tg-"));
        assert_eq!(display_prefix("short"), "…");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(!is_well_formed(&bytes));
        }
    }
}
