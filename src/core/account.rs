//! Accounts: who pays.

use serde::{Deserialize, Serialize};

/// The database's own number for an account: small, dense, never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AccountId(pub i64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    Active,
    Suspended,
}

impl AccountStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            AccountStatus::Active => "active",
            AccountStatus::Suspended => "suspended",
        }
    }
}

/// Names are what people type on command lines and what appears in lists and CSV files, so they are plain:
/// 1 to 64 characters out of letters, digits and `. _ - @ +`, beginning with a letter or a digit.
///
/// # Errors
/// A sentence for people that says what is wrong.
pub fn check_name(name: &str) -> Result<(), String> {
    let ok = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+');
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(format!("a name has 1 to {NAME_CHARS_MAX} characters"));
    }
    if !name.chars().next().is_some_and(char::is_alphanumeric) || !name.chars().all(ok) {
        return Err(format!(
            "{name:?} is not a name: use letters, digits and . _ - @ +, beginning with a letter or a digit"
        ));
    }
    Ok(())
}

/// A login without regard to case. By way of the upper case, which is the same for both of a letter's small forms.
pub fn folded(login: &str) -> String {
    login.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// Of a name, and of a login.
pub const NAME_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn names_are_plain() {
        for name in ["alice", "a.b-c_d@e+f", "团队1", "7"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "-x", "=cmd()", "a b", "a\nb", "acc/1", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
