//! What people do by hand, while a server is running or not.
//!
//! Each call is one transaction: the deed, its line in the action log, and what a repetition of the request is answered
//! with. It bumps the storage's revision and stamps it on the row that it changed: that is how a running server learns
//! of it (`news` in `library`). Postings need no stamp, they are found by their number.
//!
//! Always true: what is refused here is refused in words for the person who asked, and has changed nothing.

use jiff::Timestamp;
use rusqlite::Transaction;
use serde_json::json;

use super::accounts::{self, Posting};
use super::actions::{self, Deed};
use super::connection::{Place, Writer};
use super::{codes, credentials, people};
use crate::core::account::AccountId;
use crate::core::key::{KeyHash, KeyId};
use crate::core::money::Nano;
use crate::store::contract::console::{
    Act, Actor, CodeRow, InvitationRow, NewCodes, NewInvitation, Operation, PersonId, PersonPatch, PersonRow,
};
use crate::store::contract::{
    AccountPatch, AccountRow, AdminTokenRow, Desk, EntryKind, KeyPatch, KeyRow, LedgerEntry, NewKey, StoreError,
};

/// See [`Desk`].
pub struct SqliteDesk {
    writer: Writer,
    act: Act,
}

impl SqliteDesk {
    pub(super) fn open(place: Place) -> Result<Self, StoreError> {
        Ok(SqliteDesk { writer: Writer::open(place)?, act: Act { actor: Actor::CommandLine, once: None } })
    }

    /// Does it, unless it was done before, and notes it.
    fn write<T>(
        &mut self,
        now_ms: i64,
        work: impl FnOnce(&Transaction<'_>) -> Result<(T, Deed), StoreError>,
    ) -> Result<T, StoreError> {
        let SqliteDesk { writer, act } = self;
        let outcome = writer.write(|transaction| {
            actions::refuse_repetition(transaction, act, now_ms)?;
            let (value, deed) = work(transaction)?;
            actions::note(transaction, act, deed, now_ms)?;
            Ok(value)
        });
        // It was for this one deed. One that could not be written may be tried again as the same.
        if !matches!(outcome, Err(StoreError::Unavailable(_))) {
            act.once = None;
        }
        outcome
    }
}

impl Desk for SqliteDesk {
    fn act_for(&mut self, act: Act) {
        self.act = act;
    }

    fn note(&mut self, operation: &Operation, now_ms: i64) -> Result<(), StoreError> {
        let deed = match operation {
            Operation::Reload { taken } => Deed::creation("config.reload", "config", json!({ "taken": taken })),
            Operation::Probe { upstream, answered } => {
                Deed::creation("upstream.probe", upstream, json!({ "answered": answered }))
            }
        };
        self.write(now_ms, |_| Ok(((), deed)))
    }

    fn create_account(&mut self, name: &str, group: &str, credit: Nano, now_ms: i64) -> Result<AccountRow, StoreError> {
        self.write(now_ms, |transaction| accounts::create(transaction, name, group, credit, now_ms))
    }

    fn update_account(&mut self, id: AccountId, patch: &AccountPatch) -> Result<AccountRow, StoreError> {
        self.write(clock_ms(), |transaction| accounts::update(transaction, id, patch))
    }

    fn post(
        &mut self,
        account: AccountId,
        kind: EntryKind,
        amount: Nano,
        reference: Option<&str>,
        note: Option<&str>,
        now_ms: i64,
    ) -> Result<LedgerEntry, StoreError> {
        let posting = Posting { account, kind, amount, reference, note };
        self.write(now_ms, |transaction| posting.post(transaction, now_ms))
    }

    fn create_key(&mut self, account: AccountId, key: &NewKey, now_ms: i64) -> Result<KeyRow, StoreError> {
        self.write(now_ms, |transaction| credentials::create_key(transaction, account, key, now_ms))
    }

    fn update_key(&mut self, id: KeyId, patch: &KeyPatch) -> Result<KeyRow, StoreError> {
        self.write(clock_ms(), |transaction| credentials::update_key(transaction, id, patch))
    }

    fn rotate_key(
        &mut self,
        id: KeyId,
        hash: KeyHash,
        prefix: &str,
        old_ends_at_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<KeyRow, StoreError> {
        self.write(now_ms, |transaction| credentials::rotate_key(transaction, id, hash, prefix, old_ends_at_ms, now_ms))
    }

    fn create_admin_token(
        &mut self,
        name: &str,
        hash: KeyHash,
        scopes: &[String],
        now_ms: i64,
    ) -> Result<AdminTokenRow, StoreError> {
        self.write(now_ms, |transaction| credentials::create_token(transaction, name, hash, scopes, now_ms))
    }

    fn revoke_admin_token(&mut self, public_id: &str, now_ms: i64) -> Result<AdminTokenRow, StoreError> {
        self.write(now_ms, |transaction| credentials::revoke_token(transaction, public_id, now_ms))
    }

    fn invite(&mut self, invitation: &NewInvitation, now_ms: i64) -> Result<InvitationRow, StoreError> {
        self.write(now_ms, |transaction| people::invite(transaction, invitation, now_ms))
    }

    fn revoke_invitation(&mut self, public_id: &str, now_ms: i64) -> Result<InvitationRow, StoreError> {
        self.write(now_ms, |transaction| people::revoke_invitation(transaction, public_id, now_ms))
    }

    fn update_person(&mut self, id: PersonId, patch: &PersonPatch) -> Result<PersonRow, StoreError> {
        let now_ms = clock_ms();
        self.write(now_ms, |transaction| people::update(transaction, id, patch, now_ms))
    }

    fn create_codes(&mut self, codes: &NewCodes, now_ms: i64) -> Result<Vec<CodeRow>, StoreError> {
        self.write(now_ms, |transaction| codes::create(transaction, codes, now_ms))
    }

    fn void_code(&mut self, public_id: &str, now_ms: i64) -> Result<CodeRow, StoreError> {
        self.write(now_ms, |transaction| codes::void(transaction, public_id, now_ms))
    }

    fn redeem(&mut self, hash: &KeyHash, account: AccountId, now_ms: i64) -> Result<LedgerEntry, StoreError> {
        self.write(now_ms, |transaction| codes::redeem(transaction, hash, account, now_ms))
    }
}

/// For changes whose rows carry no moment; their notes do.
fn clock_ms() -> i64 {
    Timestamp::now().as_millisecond()
}
