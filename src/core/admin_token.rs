//! Admin tokens: the credential of programs that administer, at the console's listener alone.
//!
//! Built like a key, under another prefix, so that neither is ever taken for the other: a key opens nothing on the
//! console, an admin token opens nothing on the edge.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::key;
use super::secret::Secret;

/// What a token allows. Every scope but `all` allows one thing; none implies another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Looking at everything that the console shows.
    Read,
    /// Making, changing, rotating and deleting keys.
    Keys,
    /// Making and changing accounts.
    Accounts,
    /// Adding and correcting money.
    Credit,
    /// Reloading the configuration, probing upstreams.
    Config,
    /// All of these, and those that later versions add.
    All,
}

impl Scope {
    pub const ALL: [Scope; 6] = [Scope::Read, Scope::Keys, Scope::Accounts, Scope::Credit, Scope::Config, Scope::All];

    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Keys => "keys",
            Scope::Accounts => "accounts",
            Scope::Credit => "credit",
            Scope::Config => "config",
            Scope::All => "all",
        }
    }

    /// Whether a token with this scope may do what asks for `wanted`.
    pub fn covers(self, wanted: Scope) -> bool {
        self == wanted || self == Scope::All
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Scope::ALL.map(Scope::as_str).join(", ");
        let found = Scope::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is not a scope: use {}", known()))
    }
}

/// Makes a new token from the operating system's generator.
///
/// # Errors
/// As [`key::generate`].
pub fn generate() -> Result<Secret, getrandom::Error> {
    key::generate_with_prefix(PREFIX)
}

/// Whether the text has a token's form and checksum; says nothing about whether there is such a token.
pub fn is_well_formed(text: &[u8]) -> bool {
    key::is_well_formed_with_prefix(PREFIX, text)
}

pub const PREFIX: &str = "tgadm_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_a_key_and_a_key_not_a_token() {
        let (token, key) = (generate().unwrap(), key::generate().unwrap());
        assert!(token.expose().starts_with("tgadm_"));
        assert_eq!(token.expose().len(), 44);
        assert!(is_well_formed(token.expose().as_bytes()));
        assert!(!is_well_formed(key.expose().as_bytes()));
        assert!(!key::is_well_formed(token.expose().as_bytes()));
    }

    #[test]
    fn scopes_are_read_back_and_others_refused() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
            assert!(Scope::All.covers(scope));
        }
        assert!(!Scope::Keys.covers(Scope::Read));
        assert!("root".parse::<Scope>().unwrap_err().contains("read, keys, accounts"));
    }
}
