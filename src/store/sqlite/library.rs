//! Reading: lists, totals, and what a running server has to hear of.
//!
//! Every answer comes from one snapshot of the database; writers are not delayed by it.

use std::path::Path;

use rusqlite::{Connection, Row, params};

use super::audit;
use super::backup;
use super::connection::{Place, fault};
use super::rows::{self, ACCOUNTS, ADMIN_TOKENS, ENTRIES, KEYS, REQUESTS, Stored, all, first};
use crate::core::account::AccountId;
use crate::core::money::Nano;
use crate::store::contract::{
    AccountRow, AdminTokenRow, AuditReport, Cursor, KeyRow, LedgerEntry, Library, News, OpenHold, RequestFilter,
    RequestId, RequestView, StoreError, UsageBy, UsageFilter, UsageRow,
};

/// See [`Library`].
pub struct SqliteLibrary {
    connection: Connection,
}

impl SqliteLibrary {
    pub(super) fn open(place: &Place) -> Result<Self, StoreError> {
        Ok(SqliteLibrary { connection: place.connect_for_reading()? })
    }
}

impl Library for SqliteLibrary {
    fn news(&self, since: Cursor) -> Result<News, StoreError> {
        let snapshot = self.connection.unchecked_transaction().map_err(fault)?;
        let cursor = first(&snapshot, CURSOR, [], |row| Ok(Cursor { revision: row.get(0)?, seq: row.get(1)? }))?
            .ok_or_else(|| StoreError::Unusable("the file has lost its revision".into()))?;
        if cursor == since {
            return Ok(News { cursor, ..News::default() });
        }
        let accounts = all(
            &snapshot,
            &format!("{ACCOUNTS} WHERE a.revision > ?1 ORDER BY a.id"),
            [since.revision],
            rows::account,
        )?;
        if since == Cursor::default() {
            let keys = all(&snapshot, &format!("{KEYS} WHERE k.status <> 'deleted' ORDER BY k.id"), [], rows::key)?;
            return Ok(News { accounts, keys, entries: Vec::new(), cursor });
        }
        let keys = all(&snapshot, &format!("{KEYS} WHERE k.revision > ?1 ORDER BY k.id"), [since.revision], rows::key)?;
        let entries = format!("{ENTRIES} WHERE kind <> 'charge' AND seq > ?1 ORDER BY seq");
        let entries = all(&snapshot, &entries, [since.seq], rows::entry)?;
        Ok(News { accounts, keys, entries, cursor })
    }

    fn holds(&self) -> Result<Vec<OpenHold>, StoreError> {
        all(&self.connection, "SELECT * FROM hold", [], |row| {
            Ok(OpenHold { amount: Nano(row.get("amount")?), interrupted: rows::interrupted(row)? })
        })
    }

    fn account(&self, name_or_id: &str) -> Result<Option<AccountRow>, StoreError> {
        // An id wins over a name that looks like one.
        let sql = format!("{ACCOUNTS} WHERE a.public_id = ?1 OR a.name = ?1 ORDER BY a.public_id = ?1 DESC LIMIT 1");
        first(&self.connection, &sql, [name_or_id], rows::account)
    }

    fn accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        all(&self.connection, &format!("{ACCOUNTS} ORDER BY a.name"), [], rows::account)
    }

    fn key(&self, public_id: &str) -> Result<Option<KeyRow>, StoreError> {
        first(&self.connection, &format!("{KEYS} WHERE k.public_id = ?1"), [public_id], rows::key)
    }

    fn keys(&self, account: Option<AccountId>) -> Result<Vec<KeyRow>, StoreError> {
        let living = format!("{KEYS} WHERE k.status <> 'deleted'");
        match account {
            Some(AccountId(id)) => {
                all(&self.connection, &format!("{living} AND k.account = ?1 ORDER BY k.id"), [id], rows::key)
            }
            None => all(&self.connection, &format!("{living} ORDER BY k.id"), [], rows::key),
        }
    }

    fn admin_tokens(&self) -> Result<Vec<AdminTokenRow>, StoreError> {
        all(&self.connection, &format!("{ADMIN_TOKENS} ORDER BY id"), [], rows::admin_token)
    }

    fn ledger(&self, account: AccountId, before_seq: Option<i64>, limit: u32) -> Result<Vec<LedgerEntry>, StoreError> {
        let sql = format!("{ENTRIES} WHERE account = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3");
        let parameters = params![account.0, before_seq.unwrap_or(i64::MAX), limit];
        all(&self.connection, &sql, parameters, rows::entry)
    }

    fn request(&self, id: RequestId) -> Result<Option<RequestView>, StoreError> {
        first(&self.connection, &format!("{REQUESTS} WHERE r.id = ?1"), [id.0.as_bytes()], rows::request)
    }

    fn requests(&self, filter: &RequestFilter) -> Result<Vec<RequestView>, StoreError> {
        let mut sql = format!("{REQUESTS} WHERE r.id < ?1");
        // The conditions are fixed text, so there are four statements, each with the index that serves it.
        if filter.account.is_some() {
            sql.push_str(" AND r.account = ?2");
        }
        if filter.key.is_some() {
            sql.push_str(" AND r.key = ?3");
        }
        sql.push_str(" ORDER BY r.id DESC LIMIT ?4");
        let before = filter.before.map_or([0xFF; 16], |id| id.0.into_bytes());
        let mut statement = self.connection.prepare_cached(&sql).map_err(fault)?;
        let (account, key) = (filter.account.map(|id| id.0), filter.key.map(|id| id.0));
        let parameters = params![before, account, key, filter.limit];
        let rows = statement.query_map(parameters, rows::request).map_err(fault)?;
        rows.collect::<rusqlite::Result<_>>().map_err(fault)
    }

    fn usage(&self, filter: &UsageFilter) -> Result<Vec<UsageRow>, StoreError> {
        let (name, join, order) = match filter.by {
            UsageBy::Day => ("date(u.day * 86400, 'unixepoch')", "", "1"),
            UsageBy::Model => ("w.text", "JOIN word w ON w.id = u.model", BY_CHARGE),
            UsageBy::Upstream => ("w.text", "JOIN word w ON w.id = u.upstream", BY_CHARGE),
            UsageBy::Key => ("k.public_id", "JOIN api_key k ON k.id = u.key", BY_CHARGE),
            UsageBy::Account => ("a.name", "JOIN account a ON a.id = u.account", BY_CHARGE),
        };
        let whose = if filter.account.is_some() { "AND u.account = ?3" } else { "AND ?3 IS NULL" };
        let sql = format!(
            "SELECT {name} AS group_name, {TOTALS} FROM usage_day u {join}
             WHERE u.day BETWEEN ?1 AND ?2 {whose} GROUP BY 1 ORDER BY {order}"
        );
        let (from, to) = (filter.from_day.unwrap_or(0), filter.to_day.unwrap_or(i32::MAX));
        all(&self.connection, &sql, params![from, to, filter.account.map(|id| id.0)], usage)
    }

    fn audit(&self) -> Result<AuditReport, StoreError> {
        let snapshot = self.connection.unchecked_transaction().map_err(fault)?;
        audit::audit(&snapshot)
    }

    fn backup(&self, to: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError> {
        backup::backup(&self.connection, to, progress)
    }

    fn ping(&self) -> Result<(), StoreError> {
        first(&self.connection, "SELECT revision FROM meta", [], |_| Ok(())).map(|_| ())
    }
}

pub(super) fn usage(row: &Row<'_>) -> rusqlite::Result<UsageRow> {
    let count = |name| row.get::<_, Stored<u64>>(name).map(|count| count.0);
    Ok(UsageRow {
        group: row.get("group_name")?,
        requests: count("requests")?,
        errors: count("errors")?,
        input_tokens: count("input_tokens")?,
        cached_input_tokens: count("cached_input_tokens")?,
        output_tokens: count("output_tokens")?,
        reasoning_tokens: count("reasoning_tokens")?,
        charge: Nano(row.get("charge")?),
        cost: Nano(row.get("cost")?),
    })
}

const CURSOR: &str = "
    SELECT revision, (SELECT coalesce(max(seq), 0) FROM ledger WHERE kind <> 'charge') FROM meta";

pub(super) const TOTALS: &str = "
    sum(u.requests) AS requests, sum(u.errors) AS errors, sum(u.input_tokens) AS input_tokens,
    sum(u.cached_input_tokens) AS cached_input_tokens, sum(u.output_tokens) AS output_tokens,
    sum(u.reasoning_tokens) AS reasoning_tokens, sum(u.charge) AS charge, sum(u.cost) AS cost";

/// Dearest first; the name decides between equals, so that lists stay as they are.
const BY_CHARGE: &str = "charge DESC, 1";
