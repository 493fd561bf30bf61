//! Passwords: argon2id, on threads that may wait, few at a time.
//!
//! A hash takes 19 MiB and some tens of milliseconds on purpose (OWASP, "Password Storage Cheat Sheet"). So a flood of
//! sign-ins is a flood of memory and of work, unless few are at it and few wait: the rest hears 503.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use super::problem::Problem;
use crate::core::secret::Secret;

/// Where passwords are hashed.
pub(super) struct Mill {
    working: Arc<Semaphore>,
    /// Those that work or wait.
    asked: Arc<Semaphore>,
}

impl Mill {
    pub(super) fn new() -> Mill {
        Mill { working: Arc::new(Semaphore::new(WORKING_MAX)), asked: Arc::new(Semaphore::new(ASKED_MAX)) }
    }

    /// The text to store of a new password.
    ///
    /// # Errors
    /// 503 while too many wait.
    pub(super) async fn hash(&self, password: Secret) -> Result<String, Problem> {
        let hashed = self.work(move || {
            argon2().hash_password(password.expose().as_bytes()).map(|hash: PasswordHash| hash.to_string())
        });
        hashed.await?.map_err(|error| Problem::server_error(&error))
    }

    /// Whether this is the password. Takes as long for nobody's (`None`) as for somebody's.
    ///
    /// # Errors
    /// As [`Mill::hash`].
    pub(super) async fn verify(&self, password: Secret, stored: Option<String>) -> Result<bool, Problem> {
        self.work(move || {
            let is_somebodys = stored.is_some();
            let stored = stored.unwrap_or_else(|| NOBODYS.to_owned());
            let Ok(hash) = PasswordHash::new(&stored) else { return false };
            argon2().verify_password(password.expose().as_bytes(), &hash).is_ok() && is_somebodys
        })
        .await
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let busy = || Problem::unavailable("Too many people are signing in. Try again in a moment.");
        let _asked = self.asked.clone().try_acquire_owned().map_err(|_| busy())?;
        let place = tokio::time::timeout(WAIT_MAX, self.working.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(busy()) };
        let worked = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        worked.await.map_err(|panic| Problem::server_error(&panic))
    }
}

/// Long enough that no list of leaked passwords can be tried at any useful pace; short enough to be hashed.
///
/// # Errors
/// 400 naming the field.
pub(super) fn check(field: &str, password: &str) -> Result<Secret, Problem> {
    let characters = password.chars().count();
    if !(CHARACTERS_MIN..=CHARACTERS_MAX).contains(&characters) {
        let message = format!("has {CHARACTERS_MIN} to {CHARACTERS_MAX} characters");
        return Err(Problem::invalid_field(field, message));
    }
    Ok(Secret::new(password))
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(MEMORY_KIB, PASSES, 1, None).unwrap_or_default())
}

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const CHARACTERS_MIN: usize = 10;
const CHARACTERS_MAX: usize = 200;
const WORKING_MAX: usize = 2;
const ASKED_MAX: usize = 18;
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Of a password that nobody has, with the same parameters.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IHNpZ25zIGlu$9jm9z5VLd0E2Hn2yV9mJ0m0Hq0a3o0m1yqk1l9m3Q0I";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_again_and_nothing_else_is() {
        let mill = Mill::new();
        let stored = mill.hash(Secret::new("correct horse")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(mill.verify(Secret::new("correct horse"), Some(stored.clone())).await.unwrap());
        assert!(!mill.verify(Secret::new("Correct horse"), Some(stored.clone())).await.unwrap());
        assert_ne!(mill.hash(Secret::new("correct horse")).await.unwrap(), stored, "salted");
    }

    #[tokio::test]
    async fn nobodys_password_takes_the_same_work_and_is_never_right() {
        assert!(PasswordHash::new(NOBODYS).is_ok(), "else it would take no time at all");
        assert!(!Mill::new().verify(Secret::new("nobody signs in"), None).await.unwrap());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_flood_is_turned_away() {
        let mill = Arc::new(Mill::new());
        let tries = (0..60).map(|_| {
            let mill = mill.clone();
            tokio::spawn(async move { mill.verify(Secret::new("x"), None).await })
        });
        let answers = futures_util::future::join_all(tries).await;
        let busy = answers.iter().filter(|answer| answer.as_ref().unwrap().is_err()).count();
        assert!((1..60).contains(&busy), "{busy} of 60 were turned away");
    }

    #[test]
    fn lengths_are_bounded() {
        assert!(check("password", "123456789").is_err() && check("password", &"x".repeat(201)).is_err());
        assert!(check("password", "1234567890").is_ok() && check("password", &"字".repeat(200)).is_ok());
    }
}
