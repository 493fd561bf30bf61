//! The door: who somebody is, and letting them in.
//!
//! Looking up happens at every request of a browser, so it has a connection of its own that never waits for a writer.

use rusqlite::{Connection, Transaction, params};

use super::actions;
use super::connection::{Place, Writer, fault};
use super::people::{self, person};
use super::rows::{self, ADMIN_TOKENS, PEOPLE, SESSIONS, all, execute, first};
use super::rules::{public_id, refused};
use crate::core::account::folded;
use crate::core::key::KeyHash;
use crate::store::contract::console::{
    InvitationRow, NewInvitation, NewSession, Once, PersonId, PersonRow, PersonStatus, Registry, SessionRow,
};
use crate::store::contract::{AdminTokenRow, StoreError};

/// See [`Registry`].
pub struct SqliteRegistry {
    reader: Connection,
    writer: Writer,
}

impl SqliteRegistry {
    pub(super) fn open(place: Place) -> Result<Self, StoreError> {
        Ok(SqliteRegistry { reader: place.connect_for_reading()?, writer: Writer::open(place)? })
    }

    fn execute(&mut self, sql: &str, parameters: impl rusqlite::Params) -> Result<usize, StoreError> {
        self.writer.write(|transaction| execute(transaction, sql, parameters))
    }
}

impl Registry for SqliteRegistry {
    fn has_operator(&self) -> Result<bool, StoreError> {
        people::has_operator(&self.reader)
    }

    fn invite_first_operator(&mut self, invitation: &NewInvitation, now_ms: i64) -> Result<InvitationRow, StoreError> {
        self.writer.write(|transaction| people::invite_first_operator(transaction, invitation, now_ms))
    }

    fn invitation(&self, hash: &KeyHash) -> Result<Option<InvitationRow>, StoreError> {
        people::invitation(&self.reader, hash)
    }

    fn accept(
        &mut self,
        invitation: &KeyHash,
        login: &str,
        password: &str,
        group: &str,
        now_ms: i64,
    ) -> Result<PersonRow, StoreError> {
        self.writer.write(|transaction| people::accept(transaction, invitation, login, password, group, now_ms))
    }

    fn sign_up(&mut self, login: &str, password: &str, group: &str, now_ms: i64) -> Result<PersonRow, StoreError> {
        self.writer.write(|transaction| people::sign_up(transaction, login, password, group, now_ms))
    }

    fn credentials(&self, login: &str) -> Result<Option<(PersonRow, String)>, StoreError> {
        let snapshot = self.reader.unchecked_transaction().map_err(fault)?;
        let sql = format!("{PEOPLE} WHERE p.folded = ?1");
        let Some(row) = first(&snapshot, &sql, [folded(login)], rows::person)? else { return Ok(None) };
        let password = first(&snapshot, "SELECT password FROM person WHERE id = ?1", [row.id.0], |row| row.get(0))?;
        Ok(password.map(|password| (row, password)))
    }

    fn set_password(
        &mut self,
        person: PersonId,
        password: &str,
        keep: Option<&KeyHash>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        self.writer.write(|transaction| people::set_password(transaction, person, password, keep, now_ms))
    }

    fn open_session(
        &mut self,
        person: PersonId,
        hash: &KeyHash,
        session: &NewSession,
        now_ms: i64,
    ) -> Result<SessionRow, StoreError> {
        self.writer.write(|transaction| open_session(transaction, person, hash, session, now_ms))
    }

    fn session(&self, hash: &KeyHash, now_ms: i64) -> Result<Option<(SessionRow, PersonRow)>, StoreError> {
        let snapshot = self.reader.unchecked_transaction().map_err(fault)?;
        let sql = format!("{SESSIONS} WHERE hash = ?1 AND expires_at_ms > ?2");
        let found = first(&snapshot, &sql, params![hash.0, now_ms], |row| {
            Ok((rows::session(row)?, PersonId(row.get("person")?)))
        })?;
        let Some((session, id)) = found else { return Ok(None) };
        let person = person(&snapshot, id)?;
        Ok((person.status == PersonStatus::Active).then_some((session, person)))
    }

    fn touch_session(&mut self, hash: &KeyHash, expires_at_ms: i64, now_ms: i64) -> Result<(), StoreError> {
        self.writer.write(|transaction| {
            let id = first(transaction, TOUCH_SESSION, params![hash.0, now_ms, expires_at_ms], |row| row.get(0))?;
            id.map_or(Ok(()), |id| saw(transaction, PersonId(id), now_ms))
        })
    }

    fn close_session(&mut self, hash: &KeyHash) -> Result<(), StoreError> {
        self.execute("DELETE FROM session WHERE hash = ?1", [hash.0]).map(|_| ())
    }

    fn sessions(&self, person: PersonId, now_ms: i64) -> Result<Vec<SessionRow>, StoreError> {
        let sql =
            format!("{SESSIONS} WHERE person = ?1 AND expires_at_ms > ?2 ORDER BY last_seen_at_ms DESC, public_id");
        all(&self.reader, &sql, [person.0, now_ms], rows::session)
    }

    fn close_session_of(&mut self, person: PersonId, public_id: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM session WHERE person = ?1 AND public_id = ?2";
        self.execute(sql, params![person.0, public_id]).map(|closed| closed > 0)
    }

    fn admin_token(&self, hash: &KeyHash) -> Result<Option<AdminTokenRow>, StoreError> {
        let sql = format!("{ADMIN_TOKENS} WHERE hash = ?1 AND revoked_at_ms IS NULL");
        first(&self.reader, &sql, [hash.0], rows::admin_token)
    }

    fn touch_admin_token(&mut self, public_id: &str, now_ms: i64) -> Result<(), StoreError> {
        self.execute(TOUCH_ADMIN_TOKEN, params![public_id, now_ms]).map(|_| ())
    }

    fn earlier(&self, once: &Once, now_ms: i64) -> Result<Option<String>, StoreError> {
        actions::earlier(&self.reader, once, now_ms)
    }
}

fn open_session(
    transaction: &Transaction<'_>,
    id: PersonId,
    hash: &KeyHash,
    session: &NewSession,
    now_ms: i64,
) -> Result<SessionRow, StoreError> {
    if person(transaction, id)?.status == PersonStatus::Disabled {
        return refused("this person may not sign in any more");
    }
    execute(transaction, FORGET_SESSIONS, [now_ms])?;
    execute(transaction, BOUND_SESSIONS, [id.0])?;
    let address = session.address.map(|address| address.to_canonical());
    let row = SessionRow {
        public_id: public_id("ses"),
        created_at_ms: now_ms,
        last_seen_at_ms: now_ms,
        expires_at_ms: session.expires_at_ms,
        address,
        agent: session.agent.chars().take(AGENT_CHARS_MAX).collect(),
    };
    let address = address.map(|address| address.to_string());
    let parameters = params![hash.0, row.public_id, id.0, now_ms, row.expires_at_ms, address, row.agent];
    execute(transaction, ADD_SESSION, parameters)?;
    saw(transaction, id, now_ms)?;
    Ok(row)
}

fn saw(transaction: &Transaction<'_>, id: PersonId, now_ms: i64) -> Result<(), StoreError> {
    execute(transaction, SAW, [id.0, now_ms]).map(|_| ())
}

const ADD_SESSION: &str = "
    INSERT INTO session (hash, public_id, person, created_at_ms, last_seen_at_ms, expires_at_ms, address, agent)
    VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7)";

/// A session that is over stays over.
const TOUCH_SESSION: &str = "
    UPDATE session SET last_seen_at_ms = max(last_seen_at_ms, ?2), expires_at_ms = ?3
    WHERE hash = ?1 AND expires_at_ms > ?2 RETURNING person";

const SAW: &str = "UPDATE person SET last_seen_at_ms = max(coalesce(last_seen_at_ms, 0), ?2) WHERE id = ?1";

const TOUCH_ADMIN_TOKEN: &str =
    "UPDATE admin_token SET last_used_at_ms = max(coalesce(last_used_at_ms, 0), ?2) WHERE public_id = ?1";

const FORGET_SESSIONS: &str = "DELETE FROM session WHERE expires_at_ms <= ?1";

/// A program that signs in anew for every request must not fill the storage: the longest unused sessions make room.
const BOUND_SESSIONS: &str = "
    DELETE FROM session WHERE person = ?1 AND hash NOT IN (
      SELECT hash FROM session WHERE person = ?1 ORDER BY last_seen_at_ms DESC LIMIT 49
    )";

const AGENT_CHARS_MAX: usize = 200;
