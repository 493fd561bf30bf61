//! What the rest of the program asks of durable storage, whatever database is behind it.
//!
//! Roles, because they run on different threads and have different rights:
//! - [`Journal`]: the one writer of a serving process. Takes groups of [`Change`]s, commits each group whole.
//! - [`Desk`]: what people do by hand, from the command line and the console: accounts, keys, credits. Each call is one
//!   transaction. Works while another process is serving.
//! - [`Library`]: reading. Never blocks the writer.
//! - [`Registry`] and [`Reports`], in [`console`]: the console's door and its pages.
//!
//! Always true, in any implementation: an account's balance is the sum of its ledger entries; a ledger entry is never
//! changed or removed; a request has at most one charge, whatever is replayed.

pub mod console;

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::core::account::{AccountId, AccountStatus};
use crate::core::key::{KeyHash, KeyId, KeyRecord, KeyStatus, Limits};
use crate::core::money::{Nano, NanoSum};
use console::{
    Act, CodeRow, InvitationRow, NewCodes, NewInvitation, Operation, PersonId, PersonPatch, PersonRow, Registry,
    Reports,
};

/// The request's id, ours: a UUID version 7, so ids sort by time. The client sees it as `x-request-id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId(pub Uuid);

impl RequestId {
    pub fn new() -> Self {
        RequestId(Uuid::now_v7())
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; uuid::fmt::Simple::LENGTH];
        f.write_str("req_")?;
        f.write_str(self.0.simple().encode_lower(&mut digits))
    }
}

impl FromStr for RequestId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text.strip_prefix("req_").unwrap_or(text)).map(RequestId)
    }
}

/// How a request ended. The public table of CONTRACT section 4 says what each costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    ClientGone,
    UpstreamCut,
    UpstreamFailed,
    Rejected,
    Refused,
    Interrupted,
}

impl Outcome {
    pub const ALL: [Outcome; 7] = [
        Outcome::Ok,
        Outcome::ClientGone,
        Outcome::UpstreamCut,
        Outcome::UpstreamFailed,
        Outcome::Rejected,
        Outcome::Refused,
        Outcome::Interrupted,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::ClientGone => "client_gone",
            Outcome::UpstreamCut => "upstream_cut",
            Outcome::UpstreamFailed => "upstream_failed",
            Outcome::Rejected => "rejected",
            Outcome::Refused => "refused",
            Outcome::Interrupted => "interrupted",
        }
    }
}

/// Money set aside for a running request, as it is written when the request is admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRow {
    pub request: RequestId,
    pub account: AccountId,
    pub key: KeyId,
    pub endpoint: Cow<'static, str>,
    pub model: String,
    pub streamed: bool,
    pub amount: Nano,
    pub price_version: String,
    pub started_at_ms: i64,
}

/// What a running request would cost if the process died now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointRow {
    pub request: RequestId,
    /// The hold's present size: a stream may have extended it.
    pub hold: Nano,
    pub charge: Nano,
    pub upstream: String,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// A request's end: all that is kept of it. Tokens and money are final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRow {
    pub request: RequestId,
    pub account: AccountId,
    pub key: KeyId,
    pub endpoint: String,
    pub model: String,
    /// Empty when none was called.
    pub upstream: String,
    pub status: u16,
    pub outcome: Outcome,
    pub estimated: bool,
    /// The charge was cut to the hold because usage was beyond belief.
    pub anomalous: bool,
    pub streamed: bool,
    pub input_tokens: u64,
    pub cached_input_tokens: u64,
    pub output_tokens: u64,
    pub reasoning_tokens: u64,
    /// Never negative.
    pub charge: Nano,
    /// What the same costs by the price list, before the group's markup: never negative, and not for customers' eyes.
    #[serde(default)]
    pub cost: Nano,
    pub price_version: String,
    /// The charge line by line, as [`Bill`](crate::core::bill::Bill) writes it; empty where nothing was charged, or a
    /// checkpoint was. Of an anomalous charge: what was not believed.
    #[serde(default)]
    pub bill: String,
    pub started_at_ms: i64,
    /// Until the first byte of content; `None` when none came.
    pub ttft_ms: Option<u32>,
    pub duration_ms: u32,
}

/// One step of the journal. Order matters and is kept.
///
/// All but new holds can be written as text: a process that has been replaced lets its successor write the ends of what
/// it still runs, and takes on nothing new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Inserts the hold. A second one of the same request is ignored.
    #[serde(skip)]
    Hold(Box<HoldRow>),
    /// Updates the hold; nothing happens if it is already settled.
    Checkpoint(Box<CheckpointRow>),
    /// In one go: the hold's removal, the request record and, if the charge is above zero, its ledger entry, the
    /// account's balance, the key's spending and the daily totals. A second one of the same request is ignored whole.
    Settle(Box<RequestRow>),
    /// `last_used_at` of a key.
    KeyUsed { key: KeyId, at_ms: i64 },
}

/// What can go wrong with storage, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Full, read-only, locked, I/O error: nothing was written; the same call may succeed later.
    #[error("the storage cannot write for the moment")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Damaged, foreign or of a newer version: stop and say so.
    #[error("the storage cannot be used: {0}")]
    Unusable(String),
    /// The answer is no: a name that is taken, an account that does not exist, a reference used for another amount.
    #[error("{0}")]
    Refused(String),
    /// The same request was done before ([`console::Once`]); this is the public id of what it made (the `seq` of a
    /// ledger entry). Nothing was done again.
    #[error("this request was done before: {0}")]
    Repeated(String),
}

/// The serving process's writer. One per storage; a second `open` in another process is refused.
pub trait Journal: Send {
    /// Commits the whole group or nothing of it. May be called again with the same group after an error: every change
    /// is harmless when repeated.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when nothing was written.
    fn commit(&mut self, group: &[Change]) -> Result<(), StoreError>;

    /// Makes these holds as durable as a commit would, at less cost, without booking them: the next group that is
    /// committed begins with all that was promised before it. Whoever opens the journal next books what nobody did.
    ///
    /// False if that is not possible now, or not at all: then they must be committed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if they may not be durable: as above.
    fn promise(&mut self, _holds: &[Change]) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Ends every hold that a dead process left behind by its last checkpoint, as `interrupted`. Before listening.
    ///
    /// # Errors
    /// As `commit`.
    fn recover(&mut self, now_ms: i64) -> Result<Recovery, StoreError>;

    /// Removes request records that started before this moment. The ledger and the daily totals stay. Bounded work: at
    /// most some thousand rows a call; returns how many went.
    ///
    /// # Errors
    /// As `commit`.
    fn prune(&mut self, before_ms: i64) -> Result<u64, StoreError>;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recovery {
    pub holds: u64,
    pub charged: Nano,
}

/// A hold on disk whose request runs in another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenHold {
    /// As of its last checkpoint.
    pub amount: Nano,
    /// The record of its request if that broke off now: recovery would write the same.
    pub interrupted: RequestRow,
}

/// An account as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    pub id: AccountId,
    /// `acc_…`.
    pub public_id: String,
    pub name: String,
    pub group: String,
    pub status: AccountStatus,
    pub balance: Nano,
    /// Sum of the open holds on disk.
    pub held: Nano,
    pub created_at_ms: i64,
}

/// A key as stored: what it may do, and what became of it.
#[derive(Clone, Debug)]
pub struct KeyRow {
    pub record: KeyRecord,
    pub account_name: String,
    pub spent: Nano,
    pub created_at_ms: i64,
    pub last_used_at_ms: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct NewKey {
    pub name: String,
    pub hash: KeyHash,
    pub prefix: String,
    pub expires_at_ms: Option<i64>,
    pub models: Vec<String>,
    pub limits: Limits,
    pub budget: Option<Nano>,
    pub allow_ips: Vec<ipnet::IpNet>,
}

/// `None` leaves a field as it is; `Some(None)` clears it.
#[derive(Clone, Debug, Default)]
pub struct KeyPatch {
    pub name: Option<String>,
    pub status: Option<KeyStatus>,
    pub expires_at_ms: Option<Option<i64>>,
    pub models: Option<Vec<String>>,
    pub rpm: Option<Option<u32>>,
    pub tpm: Option<Option<u64>>,
    pub concurrency: Option<Option<u32>>,
    pub budget: Option<Option<Nano>>,
    pub allow_ips: Option<Vec<ipnet::IpNet>>,
}

#[derive(Clone, Debug, Default)]
pub struct AccountPatch {
    pub name: Option<String>,
    pub group: Option<String>,
    pub status: Option<AccountStatus>,
}

/// `credit`, `charge`, `adjust`, `refund`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    Credit,
    Charge,
    Adjust,
    Refund,
}

impl EntryKind {
    pub fn as_str(self) -> &'static str {
        match self {
            EntryKind::Credit => "credit",
            EntryKind::Charge => "charge",
            EntryKind::Adjust => "adjust",
            EntryKind::Refund => "refund",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    pub seq: i64,
    pub account: AccountId,
    pub kind: EntryKind,
    /// Signed: a charge is negative.
    pub amount: Nano,
    pub balance_after: Nano,
    pub request: Option<RequestId>,
    pub reference: Option<String>,
    pub note: Option<String>,
    pub at_ms: i64,
}

/// A stored admin token, without the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminTokenRow {
    /// `adm_…`.
    pub public_id: String,
    pub name: String,
    pub scopes: Vec<String>,
    pub created_at_ms: i64,
    pub revoked_at_ms: Option<i64>,
    pub last_used_at_ms: Option<i64>,
}

/// What people do by hand. Each call that changes something notes it in the action log, in the same transaction.
pub trait Desk: Send {
    /// Who does what follows. Until it is called: the command line.
    fn act_for(&mut self, act: Act);

    /// Notes what somebody did to the gateway and not to the storage.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it cannot be written.
    fn note(&mut self, operation: &Operation, now_ms: i64) -> Result<(), StoreError>;

    /// # Errors
    /// [`StoreError::Refused`] if the name is taken.
    fn create_account(&mut self, name: &str, group: &str, credit: Nano, now_ms: i64) -> Result<AccountRow, StoreError>;

    /// # Errors
    /// [`StoreError::Refused`] if there is no such account or the new name is taken.
    fn update_account(&mut self, id: AccountId, patch: &AccountPatch) -> Result<AccountRow, StoreError>;

    /// Adds money (`Credit`, above zero) or corrects (`Adjust`, either sign). With a reference, the same call twice adds
    /// once and returns the first entry; the same reference for another account or amount is refused.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the account does not exist or the balance would overflow.
    fn post(
        &mut self,
        account: AccountId,
        kind: EntryKind,
        amount: Nano,
        reference: Option<&str>,
        note: Option<&str>,
        now_ms: i64,
    ) -> Result<LedgerEntry, StoreError>;

    /// # Errors
    /// [`StoreError::Refused`] if there is no such account.
    fn create_key(&mut self, account: AccountId, key: &NewKey, now_ms: i64) -> Result<KeyRow, StoreError>;

    /// # Errors
    /// [`StoreError::Refused`] if there is no such key.
    fn update_key(&mut self, id: KeyId, patch: &KeyPatch) -> Result<KeyRow, StoreError>;

    /// Makes a successor with the same rights (and the same spending so far). The old key ends at `old_ends_at_ms`, or
    /// at once.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if there is no such key.
    fn rotate_key(
        &mut self,
        id: KeyId,
        hash: KeyHash,
        prefix: &str,
        old_ends_at_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<KeyRow, StoreError>;

    /// # Errors
    /// As `commit`.
    fn create_admin_token(
        &mut self,
        name: &str,
        hash: KeyHash,
        scopes: &[String],
        now_ms: i64,
    ) -> Result<AdminTokenRow, StoreError>;

    /// # Errors
    /// [`StoreError::Refused`] if there is no such token.
    fn revoke_admin_token(&mut self, public_id: &str, now_ms: i64) -> Result<AdminTokenRow, StoreError>;

    /// # Errors
    /// [`StoreError::Refused`] if what it is for does not exist.
    fn invite(&mut self, invitation: &NewInvitation, now_ms: i64) -> Result<InvitationRow, StoreError>;

    /// # Errors
    /// [`StoreError::Refused`] if there is no such invitation that is still open.
    fn revoke_invitation(&mut self, public_id: &str, now_ms: i64) -> Result<InvitationRow, StoreError>;

    /// Disabling a person ends their sessions. The last active operator stays one.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if there is no such person or account, for a customer without an account, and for the
    /// last active operator.
    fn update_person(&mut self, id: PersonId, patch: &PersonPatch) -> Result<PersonRow, StoreError>;

    /// # Errors
    /// [`StoreError::Refused`] for an amount that is not above zero.
    fn create_codes(&mut self, codes: &NewCodes, now_ms: i64) -> Result<Vec<CodeRow>, StoreError>;

    /// # Errors
    /// [`StoreError::Refused`] if there is no such code, or it was redeemed.
    fn void_code(&mut self, public_id: &str, now_ms: i64) -> Result<CodeRow, StoreError>;

    /// Credits the code's amount to the account, once for ever.
    ///
    /// # Errors
    /// [`StoreError::Refused`], in the same words for a code that does not exist, was redeemed, is over or void.
    fn redeem(&mut self, hash: &KeyHash, account: AccountId, now_ms: i64) -> Result<LedgerEntry, StoreError>;
}

/// A page of request records, newest first.
#[derive(Clone, Debug, Default)]
pub struct RequestFilter {
    pub account: Option<AccountId>,
    pub key: Option<KeyId>,
    /// Only records older than this one.
    pub before: Option<RequestId>,
    pub limit: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageBy {
    Day,
    Model,
    Key,
    Account,
    Upstream,
}

#[derive(Clone, Debug)]
pub struct UsageFilter {
    pub by: UsageBy,
    pub account: Option<AccountId>,
    /// UTC days since 1970-01-01, both inclusive.
    pub from_day: Option<i32>,
    pub to_day: Option<i32>,
}

/// Totals from the daily totals, which are written with each charge: they equal the ledger to the nano.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageRow {
    /// The day (`2026-11-23`), model, key (its public id), account (its name) or upstream.
    pub group: String,
    pub requests: u64,
    /// Those whose outcome is not `ok`.
    pub errors: u64,
    pub input_tokens: u64,
    pub cached_input_tokens: u64,
    pub output_tokens: u64,
    pub reasoning_tokens: u64,
    pub charge: Nano,
    /// By the price list. Operators' margin is what was charged above it.
    pub cost: Nano,
}

/// A request as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestView {
    pub row: RequestRow,
    pub account_name: String,
    pub key_public_id: String,
}

/// Everything that changed for a running server since it last asked.
#[derive(Clone, Debug, Default)]
pub struct News {
    pub accounts: Vec<AccountRow>,
    pub keys: Vec<KeyRow>,
    /// Entries other than charges: the server books its own charges itself.
    pub entries: Vec<LedgerEntry>,
    pub cursor: Cursor,
}

/// How far a reader of [`News`] has read. The default is the beginning: everything is new, and the balances of
/// `accounts` already contain all entries, so `entries` is empty then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    pub revision: i64,
    pub seq: i64,
}

/// Result of proving the books.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    pub accounts: u64,
    pub entries: u64,
    pub requests: u64,
    pub holds: u64,
    pub balance: NanoSum,
    /// Empty when the books are right; else one sentence per difference.
    pub differences: Vec<String>,
}

/// Reading.
pub trait Library: Send {
    /// # Errors
    /// [`StoreError`] if the storage does not answer, here and below.
    fn news(&self, since: Cursor) -> Result<News, StoreError>;
    /// Every hold that is open on disk, in no order.
    fn holds(&self) -> Result<Vec<OpenHold>, StoreError>;
    /// By name or public id.
    fn account(&self, name_or_id: &str) -> Result<Option<AccountRow>, StoreError>;
    fn accounts(&self) -> Result<Vec<AccountRow>, StoreError>;
    /// By public id.
    fn key(&self, public_id: &str) -> Result<Option<KeyRow>, StoreError>;
    /// Deleted keys are left out.
    fn keys(&self, account: Option<AccountId>) -> Result<Vec<KeyRow>, StoreError>;
    fn admin_tokens(&self) -> Result<Vec<AdminTokenRow>, StoreError>;
    /// Newest first.
    fn ledger(&self, account: AccountId, before_seq: Option<i64>, limit: u32) -> Result<Vec<LedgerEntry>, StoreError>;
    fn request(&self, id: RequestId) -> Result<Option<RequestView>, StoreError>;
    /// Newest first.
    fn requests(&self, filter: &RequestFilter) -> Result<Vec<RequestView>, StoreError>;
    fn usage(&self, filter: &UsageFilter) -> Result<Vec<UsageRow>, StoreError>;
    /// Recomputes everything from the entries, on one snapshot.
    fn audit(&self) -> Result<AuditReport, StoreError>;
    /// A consistent copy while others write. Refuses to overwrite.
    fn backup(&self, to: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError>;
    /// Cheap proof that storage answers.
    fn ping(&self) -> Result<(), StoreError>;
}

/// One storage in its three roles: what a server and the command line hold, without naming the database behind it.
pub trait Storage: Send + Sync {
    /// # Errors
    /// [`StoreError::Refused`] if another process serves this storage.
    fn journal(&self) -> Result<Box<dyn Journal>, StoreError>;
    /// # Errors
    /// [`StoreError`] if the storage does not answer, here and below.
    fn desk(&self) -> Result<Box<dyn Desk>, StoreError>;
    fn library(&self) -> Result<Box<dyn Library>, StoreError>;
    fn registry(&self) -> Result<Box<dyn Registry>, StoreError>;
    fn reports(&self) -> Result<Box<dyn Reports>, StoreError>;
}
