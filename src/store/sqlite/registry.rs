//! The door: who somebody is, and letting them in.

use super::connection::Place;
use crate::core::key::KeyHash;
use crate::store::contract::console::*;
use crate::store::contract::*;

/// See [`Registry`].
pub struct SqliteRegistry {
    _place: Place,
}

impl SqliteRegistry {
    pub(super) fn open(place: Place) -> Result<Self, StoreError> {
        Ok(SqliteRegistry { _place: place })
    }
}

impl Registry for SqliteRegistry {
    fn has_operator(&self) -> Result<bool, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn invite_first_operator(
        &mut self,
        _invitation: &NewInvitation,
        _now_ms: i64,
    ) -> Result<InvitationRow, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn invitation(&self, _hash: &KeyHash) -> Result<Option<InvitationRow>, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn accept(
        &mut self,
        _invitation: &KeyHash,
        _login: &str,
        _password: &str,
        _group: &str,
        _now_ms: i64,
    ) -> Result<PersonRow, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn sign_up(&mut self, _login: &str, _password: &str, _group: &str, _now_ms: i64) -> Result<PersonRow, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn credentials(&self, _login: &str) -> Result<Option<(PersonRow, String)>, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn set_password(
        &mut self,
        _person: PersonId,
        _password: &str,
        _keep: Option<&KeyHash>,
        _now_ms: i64,
    ) -> Result<(), StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn open_session(
        &mut self,
        _person: PersonId,
        _hash: &KeyHash,
        _session: &NewSession,
        _now_ms: i64,
    ) -> Result<SessionRow, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn session(&self, _hash: &KeyHash, _now_ms: i64) -> Result<Option<(SessionRow, PersonRow)>, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn touch_session(&mut self, _hash: &KeyHash, _expires_at_ms: i64, _now_ms: i64) -> Result<(), StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn close_session(&mut self, _hash: &KeyHash) -> Result<(), StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn sessions(&self, _person: PersonId, _now_ms: i64) -> Result<Vec<SessionRow>, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn close_session_of(&mut self, _person: PersonId, _public_id: &str) -> Result<bool, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn admin_token(&self, _hash: &KeyHash) -> Result<Option<AdminTokenRow>, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn touch_admin_token(&mut self, _public_id: &str, _now_ms: i64) -> Result<(), StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn earlier(&self, _once: &Once, _now_ms: i64) -> Result<Option<String>, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
}
