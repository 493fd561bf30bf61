//! The first operator's way in: a link in the log, as long as nobody can sign in.

use std::sync::Arc;
use std::time::Duration;

use crate::core::key;
use crate::store::contract::console::{InvitationFor, NewInvitation, Role};
use crate::store::contract::{Storage, StoreError};

/// Prints a sign-up link if there is no active operator. Earlier links go on to work: one of them may be on somebody's
/// screen already.
pub(super) async fn offer(storage: Arc<dyn Storage>, console_url: String) {
    let made = tokio::task::spawn_blocking(move || invite(storage.as_ref())).await;
    match made {
        Ok(Ok(Some(token))) => {
            // The token stands behind `#`: browsers send that to nobody, so that it is in no proxy's log.
            tracing::warn!("nobody can sign in yet: become the first operator at {console_url}/sign-up#{token}");
        }
        Ok(Ok(None)) => {}
        Ok(Err(error)) => tracing::error!("the first operator could not be invited: {error}"),
        Err(panic) => tracing::error!("the first operator could not be invited: {panic}"),
    }
}

fn invite(storage: &dyn Storage) -> Result<Option<String>, StoreError> {
    let mut registry = storage.registry()?;
    if registry.has_operator()? {
        return Ok(None);
    }
    let token = key::generate_with_prefix("tginv_").map_err(|error| StoreError::Unavailable(error.into()))?;
    let now_ms = super::now_ms();
    let invitation = NewInvitation {
        hash: key::hash(token.expose().as_bytes()),
        to: InvitationFor::NewPerson { role: Role::Operator, account: None },
        note: None,
        expires_at_ms: now_ms.saturating_add(i64::try_from(VALID.as_millis()).unwrap_or(i64::MAX)),
    };
    registry.invite_first_operator(&invitation, now_ms)?;
    Ok(Some(token.expose().to_owned()))
}

const VALID: Duration = Duration::from_secs(7 * 24 * 3_600);
