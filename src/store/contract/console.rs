//! What the console asks of durable storage: people who sign in, codes, who did what, and lists in pages.
//!
//! Two roles more, beside those of the parent: [`Registry`] is the door (who is this, and let them in), [`Reports`] is
//! reading for pages. What people do by hand stays with the [`super::Desk`], which notes who did it.
//!
//! Always true: no secret is stored, only the hash of one (SHA-256 for what we make from the operating system's
//! generator, argon2id for what people choose); what an operator does and its note in the action log are one transaction.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{AccountRow, KeyRow};
use super::{AdminTokenRow, EntryKind, LedgerEntry, Outcome, RequestId, RequestView, StoreError, UsageRow};
use crate::core::account::{AccountId, AccountStatus};
use crate::core::key::{KeyHash, KeyId};
use crate::core::money::{Nano, NanoSum};

/// The database's own number for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PersonId(pub i64);

/// What a person may do in the console: everything, or what concerns their own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Operator,
    Customer,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Operator => "operator",
            Role::Customer => "customer",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PersonStatus {
    Active,
    Disabled,
}

impl PersonStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            PersonStatus::Active => "active",
            PersonStatus::Disabled => "disabled",
        }
    }
}

/// Somebody who signs in. A customer always has an account, an operator may have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonRow {
    pub id: PersonId,
    /// `per_…`.
    pub public_id: String,
    /// What they sign in with; compared without regard to case. A name as `core::account::check_name` allows.
    pub login: String,
    pub role: Role,
    pub status: PersonStatus,
    /// The account they act for, and its public id and name.
    pub account: Option<PersonAccount>,
    pub created_at_ms: i64,
    pub last_seen_at_ms: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonAccount {
    pub id: AccountId,
    pub public_id: String,
    pub name: String,
}

#[derive(Clone, Debug, Default)]
pub struct PersonPatch {
    pub role: Option<Role>,
    pub status: Option<PersonStatus>,
    /// `Some(None)` takes the account away: operators only.
    pub account: Option<Option<AccountId>>,
}

/// Why somebody was sent a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvitationFor {
    /// A new person. Without an account: one is made with the login's name when they accept (for the first operator, the
    /// only account that there is becomes theirs).
    NewPerson { role: Role, account: Option<AccountId> },
    /// Somebody who lost the password: they choose a new one, and their sessions end.
    Reset { person: PersonId },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInvitation {
    pub hash: KeyHash,
    pub to: InvitationFor,
    pub note: Option<String>,
    pub expires_at_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationRow {
    /// `inv_…`.
    pub public_id: String,
    pub role: Role,
    /// The account that it leads to, if it is fixed already.
    pub account: Option<PersonAccount>,
    /// The login of the person whose password it resets.
    pub resets: Option<String>,
    pub note: Option<String>,
    pub created_at_ms: i64,
    pub expires_at_ms: i64,
    pub used_at_ms: Option<i64>,
    pub revoked_at_ms: Option<i64>,
}

impl InvitationRow {
    pub fn usable(&self, now_ms: i64) -> bool {
        self.used_at_ms.is_none() && self.revoked_at_ms.is_none() && self.expires_at_ms > now_ms
    }
}

/// A signed-in browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// `ses_…`.
    pub public_id: String,
    pub created_at_ms: i64,
    pub last_seen_at_ms: i64,
    pub expires_at_ms: i64,
    pub address: Option<IpAddr>,
    /// The browser's own description, cut to 200 characters.
    pub agent: String,
}

/// A redeem code, without the code. Money waits in it until somebody types it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeRow {
    /// `cod_…`.
    pub public_id: String,
    /// The batch's name.
    pub name: String,
    /// The code's last four characters, to tell them apart in lists.
    pub ending: String,
    pub amount: Nano,
    pub note: Option<String>,
    pub created_at_ms: i64,
    pub expires_at_ms: Option<i64>,
    pub voided_at_ms: Option<i64>,
    pub redeemed_at_ms: Option<i64>,
    /// The name of the account that redeemed it.
    pub redeemed_by: Option<String>,
}

/// Codes made together: one amount, one end.
#[derive(Clone, Debug)]
pub struct NewCodes {
    pub name: String,
    pub amount: Nano,
    pub note: Option<String>,
    pub expires_at_ms: Option<i64>,
    /// Each code's hash and last four characters.
    pub codes: Vec<(KeyHash, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CodeState {
    Open,
    Redeemed,
    Expired,
    Void,
}

/// Who does something by hand, as the action log names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// On the machine itself.
    CommandLine,
    Person {
        id: PersonId,
        login: String,
        address: Option<IpAddr>,
    },
    /// A program with an admin token, by the token's public id and name.
    Token {
        id: String,
        name: String,
        address: Option<IpAddr>,
    },
}

/// One thing done by hand: who, and for which request of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    pub actor: Actor,
    /// Set for a request that says it may be a repetition (`Idempotency-Key`).
    pub once: Option<Once>,
}

/// Makes a repeated request harmless for 24 hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// SHA-256 of who asks and of the key that they chose.
    pub key: KeyHash,
    /// SHA-256 of what is asked: method, path and body.
    pub fingerprint: KeyHash,
}

/// A line of the action log: who did what to what, and what changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionRow {
    pub seq: i64,
    /// `person`, `token` or `command_line`.
    pub actor_kind: String,
    /// The person's or the token's public id: a token's name may be another one's too. Empty for the command line.
    pub actor_id: String,
    /// The person's login or the token's name; empty for the command line.
    pub actor: String,
    /// `account.create`, `account.credit`, `key.update`, …
    pub action: String,
    /// The public id of what was acted on.
    pub target: String,
    /// JSON objects of the fields that changed; no secret is ever in them.
    pub before: Option<String>,
    pub after: Option<String>,
    pub address: Option<IpAddr>,
    pub at_ms: i64,
}

/// The door: who somebody is, and letting them in. Reads and writes; what it writes is no operator's action.
pub trait Registry: Send {
    /// Whether any active operator exists: without one, the server prints a sign-up link.
    ///
    /// # Errors
    /// [`StoreError`] if the storage does not answer, here and below.
    fn has_operator(&self) -> Result<bool, StoreError>;
    /// Makes an invitation on the program's own behalf: the first operator's.
    fn invite_first_operator(&mut self, invitation: &NewInvitation, now_ms: i64) -> Result<InvitationRow, StoreError>;
    /// The invitation with this hash, usable or not.
    fn invitation(&self, hash: &KeyHash) -> Result<Option<InvitationRow>, StoreError>;
    /// Uses an invitation up: makes the person (and their account), or sets the password and ends their sessions. One
    /// transaction. `group` is for a new account. The login is ignored for a reset.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if it cannot be used any more, or the login is taken.
    fn accept(
        &mut self,
        invitation: &KeyHash,
        login: &str,
        password: &str,
        group: &str,
        now_ms: i64,
    ) -> Result<PersonRow, StoreError>;
    /// Open sign-up: a customer with a new, empty account of the login's name.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the login or the account's name is taken.
    fn sign_up(&mut self, login: &str, password: &str, group: &str, now_ms: i64) -> Result<PersonRow, StoreError>;
    /// The person of this login and their password's hash (PHC text).
    fn credentials(&self, login: &str) -> Result<Option<(PersonRow, String)>, StoreError>;
    /// Changes a person's own password, and ends their other sessions.
    fn set_password(
        &mut self,
        person: PersonId,
        password: &str,
        keep: Option<&KeyHash>,
        now_ms: i64,
    ) -> Result<(), StoreError>;

    /// Opens a session; forgets sessions that are over.
    fn open_session(
        &mut self,
        person: PersonId,
        hash: &KeyHash,
        session: &NewSession,
        now_ms: i64,
    ) -> Result<SessionRow, StoreError>;
    /// The living session with this hash, and whose it is; `None` if it is over or its person is disabled.
    fn session(&self, hash: &KeyHash, now_ms: i64) -> Result<Option<(SessionRow, PersonRow)>, StoreError>;
    /// Notes that a session is in use, and moves its end. To be called now and then, not at every request.
    fn touch_session(&mut self, hash: &KeyHash, expires_at_ms: i64, now_ms: i64) -> Result<(), StoreError>;
    fn close_session(&mut self, hash: &KeyHash) -> Result<(), StoreError>;
    /// A person's living sessions, latest first.
    fn sessions(&self, person: PersonId, now_ms: i64) -> Result<Vec<SessionRow>, StoreError>;
    /// Ends one of a person's own sessions. `false` if there is none of this id.
    fn close_session_of(&mut self, person: PersonId, public_id: &str) -> Result<bool, StoreError>;

    /// The admin token with this hash that is not revoked.
    fn admin_token(&self, hash: &KeyHash) -> Result<Option<AdminTokenRow>, StoreError>;
    /// `last_used_at` of a token. To be called now and then.
    fn touch_admin_token(&mut self, public_id: &str, now_ms: i64) -> Result<(), StoreError>;
    /// What was made by the request that this one repeats: its target's public id (a ledger entry's `seq` as text; of a
    /// batch of codes the first one's, and the others have its name and its moment).
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the earlier request asked for something else.
    fn earlier(&self, once: &Once, now_ms: i64) -> Result<Option<String>, StoreError>;
}

#[derive(Clone, Debug)]
pub struct NewSession {
    pub expires_at_ms: i64,
    pub address: Option<IpAddr>,
    pub agent: String,
}

/// Which part of a list: at most `limit` rows after the one called `after` (an id of that list, as its rows show it).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub after: Option<String>,
    pub limit: u32,
}

/// Part of a list, and whether there is more behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paged<T> {
    pub rows: Vec<T>,
    /// What to ask for next (`Page::after`). Set also when a filter was searched for as long as one call may and there
    /// is more to search: then `rows` may be short, even empty.
    pub next: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct AccountFilter {
    /// Part of the name, or a whole id.
    pub search: Option<String>,
    pub status: Option<AccountStatus>,
    pub group: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct KeyFilter {
    pub account: Option<AccountId>,
    /// Part of the name, a beginning of the id or of the prefix.
    pub search: Option<String>,
    /// The key with this hash: somebody pasted one to ask whose it is.
    pub hash: Option<KeyHash>,
}

/// Every condition holds. Times are when the request started, `until` exclusive.
#[derive(Clone, Debug, Default)]
pub struct RequestQuery {
    pub account: Option<AccountId>,
    pub key: Option<KeyId>,
    pub model: Option<String>,
    pub upstream: Option<String>,
    pub endpoint: Option<String>,
    pub status: Option<u16>,
    pub outcome: Option<Outcome>,
    /// Everything but `ok`.
    pub failed: bool,
    pub since_ms: Option<i64>,
    pub until_ms: Option<i64>,
}

#[derive(Clone, Debug, Default)]
pub struct LedgerFilter {
    pub account: Option<AccountId>,
    pub kind: Option<EntryKind>,
}

/// A ledger entry with its account's name, for lists over all accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryView {
    pub entry: LedgerEntry,
    pub account_name: String,
}

#[derive(Clone, Debug, Default)]
pub struct CodeFilter {
    pub state: Option<CodeState>,
    /// A batch's name.
    pub name: Option<String>,
}

/// What the parts of a chart's stacks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeriesBy {
    Model,
    Key,
    Upstream,
    /// One series, named `total`.
    Total,
}

/// Totals over time, for charts. Buckets of whole days come from the daily totals; shorter ones from the request records,
/// by their index.
#[derive(Clone, Debug)]
pub struct SeriesQuery {
    pub by: SeriesBy,
    pub account: Option<AccountId>,
    pub key: Option<KeyId>,
    pub model: Option<String>,
    pub since_ms: i64,
    /// Exclusive.
    pub until_ms: i64,
    /// A whole number of minutes that divides a day, or one day.
    pub bucket_ms: i64,
}

/// One part of one bucket; parts without requests are left out. `row.group` is the part's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesRow {
    /// When the bucket begins.
    pub at_ms: i64,
    pub row: UsageRow,
}

/// Whom the largest totals are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopBy {
    Account,
    Key,
}

/// Who used most. UTC days since 1970-01-01, both inclusive.
#[derive(Clone, Debug)]
pub struct TopQuery {
    pub by: TopBy,
    /// Only this account, and its keys.
    pub account: Option<AccountId>,
    pub from_day: i32,
    pub to_day: i32,
    pub limit: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopRow {
    pub public_id: String,
    pub name: String,
    pub requests: u64,
    pub charge: Nano,
}

/// How long the latest requests waited, out of at most [`LATENCY_SAMPLE_MAX`] of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Latency {
    /// How many requests the rest is computed from.
    pub sample: u32,
    pub ttft_p50_ms: Option<u32>,
    pub ttft_p95_ms: Option<u32>,
    pub duration_p50_ms: Option<u32>,
    pub duration_p95_ms: Option<u32>,
    /// Mean output tokens a second after the first, of streams.
    pub tokens_per_second: Option<u32>,
}

pub const LATENCY_SAMPLE_MAX: u32 = 5_000;

/// Sizes and counts of the storage, for the operator's health page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct StorageFacts {
    pub file_bytes: u64,
    pub log_bytes: u64,
    pub accounts: u64,
    pub keys: u64,
    pub people: u64,
    pub ledger_entries: u64,
    /// The version of the database's shape.
    pub schema_version: u32,
}

/// Totals of the operator's overview that are no sum over requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Sum of all balances, and of what running requests hold.
    pub balance: NanoSum,
    pub held: NanoSum,
    pub accounts: u64,
    /// Sum of the amounts in codes that can still be redeemed.
    pub codes_open: NanoSum,
}

/// What operators do that changes nothing in the storage. The action log has it all the same, with how it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The configuration was read again, and taken over or not.
    Reload { taken: bool },
    /// An upstream was asked whether it is there.
    Probe { upstream: String, answered: bool },
}

/// Reading for pages. Every answer comes from one snapshot and is bounded work.
pub trait Reports: Send {
    /// By name.
    ///
    /// # Errors
    /// [`StoreError`] if the storage does not answer, here and below; [`StoreError::Refused`] for a cursor that is none.
    fn accounts(&self, filter: &AccountFilter, page: &Page) -> Result<Paged<AccountRow>, StoreError>;
    /// Newest first; deleted keys are left out. `after` is a key's public id.
    fn keys(&self, filter: &KeyFilter, page: &Page) -> Result<Paged<KeyRow>, StoreError>;
    /// Newest first; `after` is a request's id (`req_…`).
    fn requests(&self, query: &RequestQuery, page: &Page) -> Result<Paged<RequestView>, StoreError>;
    /// Newest first; `after` is an entry's `seq`.
    fn ledger(&self, filter: &LedgerFilter, page: &Page) -> Result<Paged<EntryView>, StoreError>;
    /// One entry, for a repeated credit.
    fn entry(&self, seq: i64) -> Result<Option<EntryView>, StoreError>;
    /// The entry that a request was charged with.
    fn charge_of(&self, request: RequestId) -> Result<Option<LedgerEntry>, StoreError>;
    /// Newest first, by public id.
    fn people(&self, page: &Page) -> Result<Paged<PersonRow>, StoreError>;
    fn person(&self, public_id: &str) -> Result<Option<PersonRow>, StoreError>;
    fn invitations(&self, page: &Page) -> Result<Paged<InvitationRow>, StoreError>;
    fn codes(&self, filter: &CodeFilter, page: &Page, now_ms: i64) -> Result<Paged<CodeRow>, StoreError>;
    /// The action log, newest first; `after` is a `seq`.
    fn actions(&self, page: &Page) -> Result<Paged<ActionRow>, StoreError>;
    /// At most 10,000 rows; more buckets or parts than that are refused.
    fn series(&self, query: &SeriesQuery) -> Result<Vec<SeriesRow>, StoreError>;
    /// By charge, then by requests. At most some hundred rows.
    fn top(&self, query: &TopQuery) -> Result<Vec<TopRow>, StoreError>;
    /// Of the latest requests of this account (or of all) since then.
    fn latency(&self, account: Option<AccountId>, since_ms: i64) -> Result<Latency, StoreError>;
    fn standing(&self, now_ms: i64) -> Result<Standing, StoreError>;
    fn facts(&self) -> Result<StorageFacts, StoreError>;
}
