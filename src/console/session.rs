//! The cookie of a signed-in browser: how it is named, set, read and taken away.
//!
//! Its text is 190 random bits, of which the storage knows the hash alone. `HttpOnly` keeps it from scripts, `Lax` from
//! other sites' requests; where the console stands behind TLS, `__Host-` nails it to this very host.

use std::time::Duration;

use http::HeaderMap;

use super::Console;
use crate::core::key;
use crate::core::secret::Secret;

/// The cookie's text, if there is one that could be ours.
pub(super) fn cookie<'h>(console: &Console, headers: &'h HeaderMap) -> Option<&'h str> {
    let name = name(is_secure(console));
    let lines = headers.get_all(http::header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    // Another application on this host may have set one of the same name: only the first that is well-formed counts.
    let mut own = pairs.filter(|(given, _)| *given == name).map(|(_, value)| value);
    own.find(|value| key::is_well_formed_with_prefix(PREFIX, value.as_bytes()))
}

/// Makes the text of a new session.
///
/// # Errors
/// As [`key::generate`].
pub(super) fn generate() -> Result<Secret, getrandom::Error> {
    key::generate_with_prefix(PREFIX)
}

/// The value of a `Set-Cookie`.
pub(super) fn set(console: &Console, secret: &Secret) -> String {
    write(console, secret.expose(), LASTS.as_secs())
}

pub(super) fn clear(console: &Console) -> String {
    write(console, "", 0)
}

fn write(console: &Console, value: &str, max_age_s: u64) -> String {
    let secure = is_secure(console);
    let ending = if secure { "; Secure" } else { "" };
    format!("{}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{ending}", name(secure))
}

fn name(secure: bool) -> &'static str {
    if secure { "__Host-tollgate" } else { "tollgate_session" }
}

fn is_secure(console: &Console) -> bool {
    console.gateway().site().public_url.is_some_and(|url| url.starts_with("https://"))
}

/// When a session that is used now ends, if it is not used again.
pub(super) fn end_ms(created_at_ms: i64, now_ms: i64) -> i64 {
    let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    now_ms.saturating_add(ms(IDLE_MAX)).min(created_at_ms.saturating_add(ms(LASTS)))
}

const PREFIX: &str = "tgses_";
/// Without use.
const IDLE_MAX: Duration = Duration::from_secs(14 * 24 * 3_600);
/// In all.
const LASTS: Duration = Duration::from_secs(90 * 24 * 3_600);
