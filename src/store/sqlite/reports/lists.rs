//! Lists in parts, filtered.
//!
//! Conditions that an index serves bound where a list is read; all others are tried row by row, at most [`SCANNED_MAX`]
//! of them in one call. A call that came to this bound says where to go on, even if it has found nothing.
//!
//! Always true: what somebody typed is bound as a value, and never part of a statement.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, Transaction, params_from_iter};

use super::super::connection::fault;
use super::super::journal::first_id_at;
use super::super::rows::{self, ACCOUNTS, ACTIONS, CODES, INVITATIONS, KEYS, PEOPLE, REQUESTS, all, first};
use crate::core::account::AccountStatus;
use crate::store::contract::console::*;
use crate::store::contract::{EntryKind, LedgerEntry, RequestId, StoreError};

/// A list, before it is known which part of it is wanted.
pub(super) struct List {
    /// Ends before its `WHERE`.
    select: &'static str,
    /// The table as `select` calls it.
    from: &'static str,
    /// What it is ordered by, one of a kind in each row.
    order: &'static str,
    newest_first: bool,
    cursor: Cursor,
    /// What narrows the part of the index that is read.
    ranges: Conditions,
    /// What each row of that part is tried for.
    filters: Conditions,
}

/// What a list's rows are called by those who ask for what follows them.
#[derive(Clone, Copy)]
enum Cursor {
    /// The `public_id` of a row of this table.
    PublicId(&'static str),
    /// A number.
    Seq,
    Request,
}

impl List {
    fn new(select: &'static str, from: &'static str, order: &'static str, cursor: Cursor) -> Self {
        List {
            select,
            from,
            order,
            newest_first: true,
            cursor,
            ranges: Conditions::default(),
            filters: Conditions::default(),
        }
    }

    /// The part that `page` asks for.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a cursor that is none of this list's.
    pub(super) fn read<T>(
        &self,
        snapshot: &Transaction<'_>,
        page: &Page,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Paged<T>, StoreError> {
        let (beyond, within) = if self.newest_first { ("<", ">=") } else { (">", "<=") };
        let mut conditions = self.ranges.clone();
        if let Some(after) = &page.after {
            conditions.and(&format!("{} {beyond} ?", self.order), [self.position(snapshot, after)?]);
        }
        let mut end = None;
        if !self.filters.is_empty() {
            let sql = self.scan_statement(&conditions);
            end = first(snapshot, &sql, params_from_iter(&conditions.values), |row| row.get::<_, Value>(0))?;
        }
        if let Some(end) = &end {
            conditions.and(&format!("{} {within} ?", self.order), [end.clone()]);
        }
        conditions.append(&self.filters);
        let limit = page.limit.clamp(1, LIMIT_MAX) as usize;
        let sql = self.statement(&conditions, limit.saturating_add(1));
        let mut statement = snapshot.prepare_cached(&sql).map_err(fault)?;
        let mut found = statement.query(params_from_iter(&conditions.values)).map_err(fault)?;
        let (mut rows, mut last) = (Vec::new(), Value::Null);
        while let Some(row) = found.next().map_err(fault)? {
            if rows.len() == limit {
                return Ok(Paged { rows, next: Some(self.name(snapshot, last)?) });
            }
            last = row.get(self.column()).map_err(fault)?;
            rows.push(read(row).map_err(fault)?);
        }
        let next = end.map(|end| self.name(snapshot, end)).transpose()?;
        Ok(Paged { rows, next })
    }

    fn statement(&self, conditions: &Conditions, limit: usize) -> String {
        let List { select, order, .. } = self;
        format!("{select} WHERE {} ORDER BY {order} {} LIMIT {limit}", conditions.sql(), self.direction())
    }

    /// Finds where one call has to stop: nothing, if it can read to the end.
    fn scan_statement(&self, conditions: &Conditions) -> String {
        let (List { from, order, .. }, direction, last) = (self, self.direction(), SCANNED_MAX - 1);
        let conditions = conditions.sql();
        format!("SELECT {order} FROM {from} WHERE {conditions} ORDER BY {order} {direction} LIMIT 1 OFFSET {last}")
    }

    fn direction(&self) -> &'static str {
        if self.newest_first { "DESC" } else { "ASC" }
    }

    /// The column of `order`, without its table.
    fn column(&self) -> &'static str {
        self.order.rsplit('.').next().unwrap_or(self.order)
    }

    /// From a cursor to a value of `order`.
    fn position(&self, snapshot: &Transaction<'_>, cursor: &str) -> Result<Value, StoreError> {
        let position = match self.cursor {
            Cursor::PublicId(table) => {
                // Within the list's ranges: what is not this caller's is as unknown as what is not there.
                let (from, order, ranges) = (self.from, self.order, self.ranges.sql());
                let name = from.rsplit(' ').next().unwrap_or(table);
                let sql = format!("SELECT {order} FROM {from} WHERE {ranges} AND {name}.public_id = ?");
                let values = self.ranges.values.iter().cloned().chain([Value::from(cursor.to_owned())]);
                first(snapshot, &sql, rusqlite::params_from_iter(values), |row| row.get(0))?
            }
            Cursor::Seq => cursor.parse().ok().filter(|seq| *seq > 0).map(Value::Integer),
            Cursor::Request => {
                let id: Option<RequestId> = cursor.parse().ok();
                id.filter(|id| id.to_string() == cursor).map(|id| Value::Blob(id.0.as_bytes().to_vec()))
            }
        };
        position.ok_or_else(|| StoreError::Refused("there is nothing of this id to go on after".into()))
    }

    /// And back.
    fn name(&self, snapshot: &Transaction<'_>, position: Value) -> Result<String, StoreError> {
        let name = match (self.cursor, position) {
            (Cursor::PublicId(table), position) => {
                let sql = format!("SELECT public_id FROM {table} WHERE {} = ?1", self.column());
                first(snapshot, &sql, [position], |row| row.get(0))?
            }
            (Cursor::Request, Value::Blob(id)) => {
                uuid::Uuid::from_slice(&id).ok().map(|uuid| RequestId(uuid).to_string())
            }
            (Cursor::Seq, Value::Integer(seq)) => Some(seq.to_string()),
            _ => None,
        };
        name.ok_or_else(|| StoreError::Unusable("a list's row has no id".into()))
    }
}

/// Parts of a `WHERE`, all of which must hold, and the values of their question marks in order.
#[derive(Clone, Default)]
struct Conditions {
    parts: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    fn and<const N: usize>(&mut self, part: &str, values: [Value; N]) {
        self.parts.push(part.to_owned());
        self.values.extend(values);
    }

    /// Of whatever is asked for.
    fn and_if(&mut self, part: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.and(part, [value.into()]);
        }
    }

    fn append(&mut self, more: &Conditions) {
        self.parts.extend_from_slice(&more.parts);
        self.values.extend_from_slice(&more.values);
    }

    fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    fn sql(&self) -> String {
        if self.parts.is_empty() { "true".into() } else { self.parts.join(" AND ") }
    }
}

pub(super) fn accounts(filter: &AccountFilter) -> Result<List, StoreError> {
    let mut list = List::new(ACCOUNTS, "account a", "a.name", Cursor::PublicId("account"));
    list.newest_first = false;
    if let Some(search) = &filter.search {
        let values = [containing(search)?, search.clone().into()];
        list.filters.and("(a.name LIKE ? ESCAPE '\\' OR a.public_id = ?)", values);
    }
    list.filters.and_if("a.status = ?", filter.status.map(|status| AccountStatus::as_str(status).to_owned()));
    list.filters.and_if("a.group_name = ?", filter.group.clone());
    Ok(list)
}

pub(super) fn keys(filter: &KeyFilter) -> Result<List, StoreError> {
    let mut list = List::new(KEYS, "api_key k", "k.id", Cursor::PublicId("api_key"));
    list.ranges.and_if("k.account = ?", filter.account.map(|id| id.0));
    list.ranges.and_if("k.hash = ?", filter.hash.map(|hash| hash.0.to_vec()));
    list.filters.and("k.status <> 'deleted'", []);
    if let Some(search) = &filter.search {
        let values = [containing(search)?, beginning(search)?, beginning(search)?];
        let part = "(k.name LIKE ? ESCAPE '\\' OR k.public_id LIKE ? ESCAPE '\\' OR k.prefix LIKE ? ESCAPE '\\')";
        list.filters.and(part, values);
    }
    Ok(list)
}

/// `None` when a name in it never occurred, so there is nothing to search for.
pub(super) fn requests(connection: &Connection, query: &RequestQuery) -> Result<Option<List>, StoreError> {
    let mut list = List::new(REQUESTS, "request r", "r.id", Cursor::Request);
    match (query.account, query.key) {
        // A key's index serves its account as well.
        (account, Some(key)) => {
            list.ranges.and("r.key = ?", [key.0.into()]);
            list.filters.and_if("+r.account = ?", account.map(|id| id.0));
        }
        (account, None) => list.ranges.and_if("r.account = ?", account.map(|id| id.0)),
    }
    // Ids begin with the time.
    list.ranges.and_if("r.id >= ?", query.since_ms.map(|ms| first_id_at(ms).to_vec()));
    list.ranges.and_if("r.id < ?", query.until_ms.map(|ms| first_id_at(ms).to_vec()));
    let words =
        [("+r.model = ?", &query.model), ("+r.upstream = ?", &query.upstream), ("+r.endpoint = ?", &query.endpoint)];
    for (part, name) in words {
        let Some(name) = name else { continue };
        match word(connection, name)? {
            Some(id) => list.filters.and(part, [id.into()]),
            None => return Ok(None),
        }
    }
    list.filters.and_if("r.status = ?", query.status.map(i64::from));
    list.filters.and_if("r.outcome = ?", query.outcome.map(|outcome| outcome.as_str().to_owned()));
    if query.failed {
        list.filters.and("r.outcome <> 'ok'", []);
    }
    Ok(Some(list))
}

pub(super) fn ledger(filter: &LedgerFilter) -> List {
    let mut list = List::new(LEDGER, "ledger l", "l.seq", Cursor::Seq);
    list.ranges.and_if("l.account = ?", filter.account.map(|id| id.0));
    if filter.kind.is_some_and(|kind| kind != EntryKind::Charge) {
        // In these words there is an index for it.
        list.ranges.and("l.kind <> 'charge'", []);
    }
    list.filters.and_if("l.kind = ?", filter.kind.map(|kind| kind.as_str().to_owned()));
    list
}

pub(super) fn people() -> List {
    List::new(PEOPLE, "person p", "p.id", Cursor::PublicId("person"))
}

pub(super) fn invitations() -> List {
    List::new(INVITATIONS, "invitation i", "i.id", Cursor::PublicId("invitation"))
}

pub(super) fn codes(filter: &CodeFilter, now_ms: i64) -> List {
    let mut list = List::new(CODES, "redeem_code c", "c.id", Cursor::PublicId("redeem_code"));
    list.ranges.and_if("c.name = ?", filter.name.clone());
    let waiting = "c.redeemed_at_ms IS NULL AND c.voided_at_ms IS NULL";
    match filter.state {
        None => {}
        Some(CodeState::Redeemed) => list.filters.and("c.redeemed_at_ms IS NOT NULL", []),
        Some(CodeState::Void) => list.filters.and("c.voided_at_ms IS NOT NULL", []),
        Some(CodeState::Open) => {
            let part = format!("{waiting} AND (c.expires_at_ms IS NULL OR c.expires_at_ms > ?)");
            list.filters.and(&part, [now_ms.into()]);
        }
        Some(CodeState::Expired) => list.filters.and(&format!("{waiting} AND c.expires_at_ms <= ?"), [now_ms.into()]),
    }
    list
}

pub(super) fn actions() -> List {
    List::new(ACTIONS, "action", "seq", Cursor::Seq)
}

pub(super) const LEDGER: &str = "
    SELECT l.seq, l.account, l.kind, l.amount, l.balance_after, l.request, l.reference, l.note, l.at_ms,
           a.name AS account_name
    FROM ledger l JOIN account a ON a.id = l.account";

pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<EntryView> {
    let entry: LedgerEntry = rows::entry(row)?;
    Ok(EntryView { entry, account_name: row.get("account_name")? })
}

/// The number of a name that occurred in a request.
pub(super) fn word(connection: &Connection, text: &str) -> Result<Option<i64>, StoreError> {
    let found = all(connection, "SELECT id FROM word WHERE text = ?1", [text], |row| row.get(0))?;
    Ok(found.first().copied())
}

fn containing(search: &str) -> Result<Value, StoreError> {
    Ok(format!("%{}%", escaped(search)?).into())
}

fn beginning(search: &str) -> Result<Value, StoreError> {
    Ok(format!("{}%", escaped(search)?).into())
}

/// As a part of a pattern of `LIKE` that stands for itself.
fn escaped(search: &str) -> Result<String, StoreError> {
    if search.chars().count() > SEARCH_CHARS_MAX {
        return Err(StoreError::Refused(format!("what to search for has more than {SEARCH_CHARS_MAX} characters")));
    }
    Ok(search.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"))
}

/// Rows that one call tries for what no index knows: some milliseconds of work.
const SCANNED_MAX: u32 = 20_000;
/// A whole CSV of them.
const LIMIT_MAX: u32 = 10_000;
const SEARCH_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests;
