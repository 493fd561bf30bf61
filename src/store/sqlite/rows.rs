//! Between columns and the values of the contract.
//!
//! Columns are read by name, so a query may give them in any order. A word that is in no list, or a number that does
//! not fit, is an error and never a default: it means that the file is damaged or somebody edited it.
//!
//! The `SELECT`s here end before their `WHERE`, which belongs to whoever asks.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, OptionalExtension, Params, Row};
use uuid::Uuid;

use super::connection::fault;
use crate::core::account::{AccountId, AccountStatus};
use crate::core::key::{KeyHash, KeyId, KeyRecord, KeyStatus, Limits};
use crate::core::money::Nano;
use crate::store::contract::console::{
    ActionRow, CodeRow, InvitationRow, PersonAccount, PersonId, PersonRow, PersonStatus, Role, SessionRow,
};
use crate::store::contract::{
    AccountRow, AdminTokenRow, EntryKind, KeyRow, LedgerEntry, Outcome, RequestId, RequestRow, RequestView, StoreError,
};

/// All rows of a query, read by `read`.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(fault)?;
    let rows = statement.query_map(parameters, read).map_err(fault)?;
    rows.collect::<rusqlite::Result<_>>().map_err(fault)
}

/// The first row of a query, if there is one.
pub(super) fn first<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(fault)?;
    statement.query_row(parameters, read).optional().map_err(fault)
}

/// Runs a statement that gives no rows; returns how many it changed.
pub(super) fn execute(connection: &Connection, sql: &str, parameters: impl Params) -> Result<usize, StoreError> {
    connection.prepare_cached(sql).map_err(fault)?.execute(parameters).map_err(fault)
}

/// A row of `hold` as the end of a request that its process does not live to see.
pub(super) fn interrupted(row: &Row<'_>) -> rusqlite::Result<RequestRow> {
    Ok(RequestRow {
        request: row.get::<_, Stored<_>>("request")?.0,
        account: AccountId(row.get("account")?),
        key: KeyId(row.get("key")?),
        endpoint: row.get("endpoint")?,
        model: row.get("model")?,
        upstream: row.get("upstream")?,
        status: 500,
        outcome: Outcome::Interrupted,
        estimated: true,
        anomalous: false,
        streamed: row.get("streamed")?,
        input_tokens: row.get::<_, Stored<_>>("input_tokens")?.0,
        cached_input_tokens: 0,
        output_tokens: row.get::<_, Stored<_>>("output_tokens")?.0,
        reasoning_tokens: 0,
        charge: Nano(row.get("charge")?),
        cost: Nano(row.get("charge")?),
        price_version: row.get("price_version")?,
        bill: String::new(),
        started_at_ms: row.get("started_at_ms")?,
        ttft_ms: None,
        duration_ms: 0,
    })
}

pub(super) const ACCOUNTS: &str = "
    SELECT a.id, a.public_id, a.name, a.group_name, a.status, a.balance, coalesce(h.held, 0) AS held, a.created_at_ms
    FROM account a LEFT JOIN (SELECT account, sum(amount) AS held FROM hold GROUP BY account) h ON h.account = a.id";

pub(super) fn account(row: &Row<'_>) -> rusqlite::Result<AccountRow> {
    Ok(AccountRow {
        id: AccountId(row.get("id")?),
        public_id: row.get("public_id")?,
        name: row.get("name")?,
        group: row.get("group_name")?,
        status: row.get::<_, Stored<_>>("status")?.0,
        balance: Nano(row.get("balance")?),
        held: Nano(row.get("held")?),
        created_at_ms: row.get("created_at_ms")?,
    })
}

pub(super) const KEYS: &str = "
    SELECT k.id, k.public_id, k.account, k.name, k.hash, k.prefix, k.status, k.expires_at_ms, k.models, k.rpm, k.tpm,
           k.concurrency, k.budget, k.allow_ips, k.spent + k.spent_before AS spent, k.created_at_ms, k.last_used_at_ms,
           a.name AS account_name
    FROM api_key k JOIN account a ON a.id = k.account";

pub(super) fn key(row: &Row<'_>) -> rusqlite::Result<KeyRow> {
    let record = KeyRecord {
        id: KeyId(row.get("id")?),
        public_id: row.get("public_id")?,
        account: AccountId(row.get("account")?),
        name: row.get("name")?,
        hash: KeyHash(row.get("hash")?),
        prefix: row.get("prefix")?,
        status: row.get::<_, Stored<_>>("status")?.0,
        expires_at_ms: row.get("expires_at_ms")?,
        models: row.get::<_, Stored<_>>("models")?.0,
        limits: Limits {
            rpm: row.get("rpm")?,
            tpm: row.get::<_, Option<Stored<_>>>("tpm")?.map(|tpm| tpm.0),
            concurrency: row.get("concurrency")?,
        },
        budget: row.get::<_, Option<i64>>("budget")?.map(Nano),
        allow_ips: row.get::<_, Stored<_>>("allow_ips")?.0,
    };
    Ok(KeyRow {
        record,
        account_name: row.get("account_name")?,
        spent: Nano(row.get("spent")?),
        created_at_ms: row.get("created_at_ms")?,
        last_used_at_ms: row.get("last_used_at_ms")?,
    })
}

pub(super) const ENTRIES: &str =
    "SELECT seq, account, kind, amount, balance_after, request, reference, note, at_ms FROM ledger";

pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<LedgerEntry> {
    Ok(LedgerEntry {
        seq: row.get("seq")?,
        account: AccountId(row.get("account")?),
        kind: row.get::<_, Stored<_>>("kind")?.0,
        amount: Nano(row.get("amount")?),
        balance_after: Nano(row.get("balance_after")?),
        request: row.get::<_, Option<Stored<_>>>("request")?.map(|id| id.0),
        reference: row.get("reference")?,
        note: row.get("note")?,
        at_ms: row.get("at_ms")?,
    })
}

pub(super) const REQUESTS: &str = "
    SELECT r.id, r.account, r.key, e.text AS endpoint, m.text AS model, u.text AS upstream, p.text AS price_version,
           r.status, r.outcome, r.estimated, r.anomalous, r.streamed, r.input_tokens, r.cached_input_tokens,
           r.output_tokens, r.reasoning_tokens, r.charge, r.cost, r.bill, r.started_at_ms, r.ttft_ms, r.duration_ms,
           a.name AS account_name, k.public_id AS key_public_id
    FROM request r JOIN account a ON a.id = r.account JOIN api_key k ON k.id = r.key
         JOIN word e ON e.id = r.endpoint JOIN word m ON m.id = r.model JOIN word u ON u.id = r.upstream
         JOIN word p ON p.id = r.price_version";

pub(super) fn request(row: &Row<'_>) -> rusqlite::Result<RequestView> {
    let count = |name| row.get::<_, Stored<u64>>(name).map(|count| count.0);
    let record = RequestRow {
        request: row.get::<_, Stored<_>>("id")?.0,
        account: AccountId(row.get("account")?),
        key: KeyId(row.get("key")?),
        endpoint: row.get("endpoint")?,
        model: row.get("model")?,
        upstream: row.get("upstream")?,
        status: row.get("status")?,
        outcome: row.get::<_, Stored<_>>("outcome")?.0,
        estimated: row.get("estimated")?,
        anomalous: row.get("anomalous")?,
        streamed: row.get("streamed")?,
        input_tokens: count("input_tokens")?,
        cached_input_tokens: count("cached_input_tokens")?,
        output_tokens: count("output_tokens")?,
        reasoning_tokens: count("reasoning_tokens")?,
        charge: Nano(row.get("charge")?),
        cost: Nano(row.get("cost")?),
        price_version: row.get("price_version")?,
        bill: row.get("bill")?,
        started_at_ms: row.get("started_at_ms")?,
        ttft_ms: row.get("ttft_ms")?,
        duration_ms: row.get("duration_ms")?,
    };
    Ok(RequestView { row: record, account_name: row.get("account_name")?, key_public_id: row.get("key_public_id")? })
}

pub(super) const ADMIN_TOKENS: &str =
    "SELECT public_id, name, scopes, created_at_ms, revoked_at_ms, last_used_at_ms FROM admin_token";

pub(super) fn admin_token(row: &Row<'_>) -> rusqlite::Result<AdminTokenRow> {
    Ok(AdminTokenRow {
        public_id: row.get("public_id")?,
        name: row.get("name")?,
        scopes: row.get::<_, Stored<_>>("scopes")?.0,
        created_at_ms: row.get("created_at_ms")?,
        revoked_at_ms: row.get("revoked_at_ms")?,
        last_used_at_ms: row.get("last_used_at_ms")?,
    })
}

pub(super) const PEOPLE: &str = "
    SELECT p.id, p.public_id, p.login, p.role, p.status, p.account, a.public_id AS account_public_id,
           a.name AS account_name, p.created_at_ms, p.last_seen_at_ms
    FROM person p LEFT JOIN account a ON a.id = p.account";

pub(super) fn person(row: &Row<'_>) -> rusqlite::Result<PersonRow> {
    Ok(PersonRow {
        id: PersonId(row.get("id")?),
        public_id: row.get("public_id")?,
        login: row.get("login")?,
        role: row.get::<_, Stored<_>>("role")?.0,
        status: row.get::<_, Stored<_>>("status")?.0,
        account: person_account(row)?,
        created_at_ms: row.get("created_at_ms")?,
        last_seen_at_ms: row.get("last_seen_at_ms")?,
    })
}

fn person_account(row: &Row<'_>) -> rusqlite::Result<Option<PersonAccount>> {
    let Some(id) = row.get("account")? else { return Ok(None) };
    let (public_id, name) = (row.get("account_public_id")?, row.get("account_name")?);
    Ok(Some(PersonAccount { id: AccountId(id), public_id, name }))
}

pub(super) const INVITATIONS: &str = "
    SELECT i.id, i.public_id, coalesce(i.role, p.role) AS role, a.id AS account, a.public_id AS account_public_id,
           a.name AS account_name, p.login AS resets, i.note, i.created_at_ms, i.expires_at_ms, i.used_at_ms,
           i.revoked_at_ms
    FROM invitation i LEFT JOIN person p ON p.id = i.resets LEFT JOIN account a ON a.id = coalesce(i.account, p.account)";

pub(super) fn invitation(row: &Row<'_>) -> rusqlite::Result<InvitationRow> {
    Ok(InvitationRow {
        public_id: row.get("public_id")?,
        role: row.get::<_, Stored<_>>("role")?.0,
        account: person_account(row)?,
        resets: row.get("resets")?,
        note: row.get("note")?,
        created_at_ms: row.get("created_at_ms")?,
        expires_at_ms: row.get("expires_at_ms")?,
        used_at_ms: row.get("used_at_ms")?,
        revoked_at_ms: row.get("revoked_at_ms")?,
    })
}

pub(super) const SESSIONS: &str = "
    SELECT public_id, person, created_at_ms, last_seen_at_ms, expires_at_ms, address, agent FROM session";

pub(super) fn session(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    Ok(SessionRow {
        public_id: row.get("public_id")?,
        created_at_ms: row.get("created_at_ms")?,
        last_seen_at_ms: row.get("last_seen_at_ms")?,
        expires_at_ms: row.get("expires_at_ms")?,
        address: row.get::<_, Option<Stored<_>>>("address")?.map(|address| address.0),
        agent: row.get("agent")?,
    })
}

pub(super) const CODES: &str = "
    SELECT c.id, c.public_id, c.name, c.ending, c.amount, c.note, c.created_at_ms, c.expires_at_ms, c.voided_at_ms,
           c.redeemed_at_ms, a.name AS redeemed_by
    FROM redeem_code c LEFT JOIN account a ON a.id = c.redeemed_by";

pub(super) fn code(row: &Row<'_>) -> rusqlite::Result<CodeRow> {
    Ok(CodeRow {
        public_id: row.get("public_id")?,
        name: row.get("name")?,
        ending: row.get("ending")?,
        amount: Nano(row.get("amount")?),
        note: row.get("note")?,
        created_at_ms: row.get("created_at_ms")?,
        expires_at_ms: row.get("expires_at_ms")?,
        voided_at_ms: row.get("voided_at_ms")?,
        redeemed_at_ms: row.get("redeemed_at_ms")?,
        redeemed_by: row.get("redeemed_by")?,
    })
}

pub(super) const ACTIONS: &str =
    "SELECT seq, actor_kind, actor_id, actor, action, target, before, after, address, at_ms FROM action";

pub(super) fn action(row: &Row<'_>) -> rusqlite::Result<ActionRow> {
    Ok(ActionRow {
        seq: row.get("seq")?,
        actor_kind: row.get("actor_kind")?,
        actor_id: row.get("actor_id")?,
        actor: row.get("actor")?,
        action: row.get("action")?,
        target: row.get("target")?,
        before: row.get("before")?,
        after: row.get("after")?,
        address: row.get::<_, Option<Stored<_>>>("address")?.map(|address| address.0),
        at_ms: row.get("at_ms")?,
    })
}

/// A list as one column: a JSON array of strings, so that no separator can be part of an item.
pub(super) fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    serde_json::to_string(&items).expect("strings are always JSON")
}

/// A value as its column holds it.
pub(super) struct Stored<T>(pub(super) T);

impl FromSql for Stored<RequestId> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 16]>::column_result(value).map(|bytes| Stored(RequestId(Uuid::from_bytes(bytes))))
    }
}

impl FromSql for Stored<u64> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = value.as_i64()?;
        u64::try_from(number).map(Stored).map_err(|_| FromSqlError::OutOfRange(number))
    }
}

impl FromSql for Stored<AccountStatus> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        one_of(value, &[AccountStatus::Active, AccountStatus::Suspended], AccountStatus::as_str)
    }
}

impl FromSql for Stored<KeyStatus> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        one_of(value, &[KeyStatus::Active, KeyStatus::Disabled, KeyStatus::Deleted], KeyStatus::as_str)
    }
}

impl FromSql for Stored<Role> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        one_of(value, &[Role::Operator, Role::Customer], Role::as_str)
    }
}

impl FromSql for Stored<PersonStatus> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        one_of(value, &[PersonStatus::Active, PersonStatus::Disabled], PersonStatus::as_str)
    }
}

impl FromSql for Stored<IpAddr> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map(Stored).map_err(FromSqlError::other)
    }
}

impl FromSql for Stored<EntryKind> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let kinds = [EntryKind::Charge, EntryKind::Credit, EntryKind::Adjust, EntryKind::Refund];
        one_of(value, &kinds, EntryKind::as_str)
    }
}

impl FromSql for Stored<Outcome> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        one_of(value, &Outcome::ALL, Outcome::as_str)
    }
}

impl FromSql for Stored<Vec<String>> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Stored).map_err(FromSqlError::other)
    }
}

impl FromSql for Stored<Vec<IpNet>> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let texts = Stored::<Vec<String>>::column_result(value)?.0;
        let nets: Result<_, _> = texts.iter().map(|text| IpNet::from_str(text)).collect();
        nets.map(Stored).map_err(FromSqlError::other)
    }
}

fn one_of<T: Copy>(value: ValueRef<'_>, known: &[T], word: fn(T) -> &'static str) -> FromSqlResult<Stored<T>> {
    let text = value.as_str()?;
    let found = known.iter().copied().find(|candidate| word(*candidate) == text);
    found.map(Stored).ok_or_else(|| FromSqlError::Other(format!("{text:?} is not a known word").into()))
}
