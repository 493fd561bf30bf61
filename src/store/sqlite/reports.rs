//! Reading for pages: lists in parts (`lists`), totals over time (`series`), and single figures.
//!
//! Always true: each answer comes from one snapshot, and none takes longer because the books have grown old.

mod lists;
mod series;

use rusqlite::{Connection, Row, params};

use self::lists::List;
use super::connection::{Place, fault};
use super::journal::first_id_at;
use super::rows::{self, Stored, first};
use super::schema;
use crate::core::account::AccountId;
use crate::core::money::NanoSum;
use crate::store::contract::console::*;
use crate::store::contract::*;

/// See [`Reports`].
pub struct SqliteReports {
    connection: Connection,
    place: Place,
}

impl SqliteReports {
    pub(super) fn open(place: Place) -> Result<Self, StoreError> {
        Ok(SqliteReports { connection: place.connect_for_reading()?, place })
    }

    fn list<T>(
        &self,
        list: &List,
        page: &Page,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Paged<T>, StoreError> {
        let snapshot = self.connection.unchecked_transaction().map_err(fault)?;
        list.read(&snapshot, page, read)
    }
}

impl Reports for SqliteReports {
    fn accounts(&self, filter: &AccountFilter, page: &Page) -> Result<Paged<AccountRow>, StoreError> {
        self.list(&lists::accounts(filter)?, page, rows::account)
    }

    fn keys(&self, filter: &KeyFilter, page: &Page) -> Result<Paged<KeyRow>, StoreError> {
        self.list(&lists::keys(filter)?, page, rows::key)
    }

    fn requests(&self, query: &RequestQuery, page: &Page) -> Result<Paged<RequestView>, StoreError> {
        let list = lists::requests(&self.connection, query)?;
        // A name that no request ever had.
        let Some(list) = list else { return Ok(Paged { rows: Vec::new(), next: None }) };
        self.list(&list, page, rows::request)
    }

    fn ledger(&self, filter: &LedgerFilter, page: &Page) -> Result<Paged<EntryView>, StoreError> {
        self.list(&lists::ledger(filter), page, lists::entry)
    }

    fn entry(&self, seq: i64) -> Result<Option<EntryView>, StoreError> {
        first(&self.connection, &format!("{} WHERE l.seq = ?1", lists::LEDGER), [seq], lists::entry)
    }

    fn charge_of(&self, request: RequestId) -> Result<Option<LedgerEntry>, StoreError> {
        let sql = format!("{} WHERE request = ?1 AND kind = 'charge'", rows::ENTRIES);
        first(&self.connection, &sql, [request.0.as_bytes()], rows::entry)
    }

    fn people(&self, page: &Page) -> Result<Paged<PersonRow>, StoreError> {
        self.list(&lists::people(), page, rows::person)
    }

    fn person(&self, public_id: &str) -> Result<Option<PersonRow>, StoreError> {
        first(&self.connection, &format!("{} WHERE p.public_id = ?1", rows::PEOPLE), [public_id], rows::person)
    }

    fn invitations(&self, page: &Page) -> Result<Paged<InvitationRow>, StoreError> {
        self.list(&lists::invitations(), page, rows::invitation)
    }

    fn codes(&self, filter: &CodeFilter, page: &Page, now_ms: i64) -> Result<Paged<CodeRow>, StoreError> {
        self.list(&lists::codes(filter, now_ms), page, rows::code)
    }

    fn actions(&self, page: &Page) -> Result<Paged<ActionRow>, StoreError> {
        self.list(&lists::actions(), page, rows::action)
    }

    fn series(&self, query: &SeriesQuery) -> Result<Vec<SeriesRow>, StoreError> {
        let snapshot = self.connection.unchecked_transaction().map_err(fault)?;
        series::series(&snapshot, query)
    }

    fn top(&self, query: &TopQuery) -> Result<Vec<TopRow>, StoreError> {
        let snapshot = self.connection.unchecked_transaction().map_err(fault)?;
        series::top(&snapshot, query)
    }

    fn latency(&self, account: Option<AccountId>, since_ms: i64) -> Result<Latency, StoreError> {
        let whose = if account.is_some() { "account = ?2 AND" } else { "?2 IS NULL AND" };
        // What was refused, or broke off, was not waited for.
        let sql = format!(
            "SELECT ttft_ms, duration_ms, streamed, output_tokens FROM
                 (SELECT * FROM request WHERE {whose} id >= ?1 ORDER BY id DESC LIMIT ?3) WHERE outcome = 'ok'"
        );
        let parameters = params![first_id_at(since_ms), account.map(|id| id.0), LATENCY_SAMPLE_MAX];
        Ok(latency(&rows::all(&self.connection, &sql, parameters, waited)?))
    }

    fn standing(&self, now_ms: i64) -> Result<Standing, StoreError> {
        let standing = first(&self.connection, STANDING, [now_ms], |row| {
            let sum = |upper, lower| {
                let (upper, lower): (i64, i64) = (row.get(upper)?, row.get(lower)?);
                Ok::<_, rusqlite::Error>(NanoSum(i128::from(upper) * (1 << 32) + i128::from(lower)))
            };
            Ok(Standing {
                balance: sum("balance_upper", "balance_lower")?,
                held: sum("held_upper", "held_lower")?,
                accounts: row.get::<_, Stored<_>>("accounts")?.0,
                codes_open: sum("codes_upper", "codes_lower")?,
            })
        })?;
        Ok(standing.unwrap_or_default())
    }

    fn facts(&self) -> Result<StorageFacts, StoreError> {
        let bytes = |path| std::fs::metadata(path).map_or(0, |file| file.len());
        let mut log = self.place.path.clone().into_os_string();
        log.push("-wal");
        let facts = first(&self.connection, FACTS, [], |row| {
            let count = |name| row.get::<_, Stored<u64>>(name).map(|count| count.0);
            Ok(StorageFacts {
                file_bytes: bytes(self.place.path.as_os_str()),
                log_bytes: bytes(&log),
                accounts: count("accounts")?,
                keys: count("keys")?,
                people: count("people")?,
                ledger_entries: count("ledger_entries")?,
                schema_version: 0,
            })
        })?;
        Ok(StorageFacts { schema_version: schema::version(&self.connection)?, ..facts.unwrap_or_default() })
    }
}

/// What one request shows of the time that it took.
struct Waited {
    ttft_ms: Option<u32>,
    duration_ms: u32,
    streamed: bool,
    output_tokens: u64,
}

fn waited(row: &Row<'_>) -> rusqlite::Result<Waited> {
    Ok(Waited {
        ttft_ms: row.get("ttft_ms")?,
        duration_ms: row.get("duration_ms")?,
        streamed: row.get("streamed")?,
        output_tokens: row.get::<_, Stored<_>>("output_tokens")?.0,
    })
}

fn latency(sample: &[Waited]) -> Latency {
    let mut ttft: Vec<u32> = sample.iter().filter_map(|request| request.ttft_ms).collect();
    let mut duration: Vec<u32> = sample.iter().map(|request| request.duration_ms).collect();
    ttft.sort_unstable();
    duration.sort_unstable();
    let (mut tokens, mut milliseconds) = (0u64, 0u64);
    for request in sample.iter().filter(|request| request.streamed && request.output_tokens > 1) {
        let Some(ttft_ms) = request.ttft_ms else { continue };
        tokens = tokens.saturating_add(request.output_tokens.saturating_sub(1));
        milliseconds = milliseconds.saturating_add(request.duration_ms.saturating_sub(ttft_ms).into());
    }
    let per_second = tokens.saturating_mul(1_000).checked_div(milliseconds);
    Latency {
        sample: u32::try_from(sample.len()).unwrap_or(u32::MAX),
        ttft_p50_ms: percentile(&ttft, 50),
        ttft_p95_ms: percentile(&ttft, 95),
        duration_p50_ms: percentile(&duration, 50),
        duration_p95_ms: percentile(&duration, 95),
        tokens_per_second: per_second.map(|rate| u32::try_from(rate).unwrap_or(u32::MAX)),
    }
}

/// The smallest value that so many percent do not exceed.
fn percentile(sorted: &[u32], percent: usize) -> Option<u32> {
    let rank = sorted.len().saturating_mul(percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

/// SQLite's integers have 64 bits, and a sum beyond them is an error: the upper and the lower halves are summed apart.
const STANDING: &str = "
    SELECT * FROM
        (SELECT coalesce(sum(balance >> 32), 0) AS balance_upper,
                coalesce(sum(balance & 4294967295), 0) AS balance_lower, count(*) AS accounts FROM account),
        (SELECT coalesce(sum(amount >> 32), 0) AS held_upper,
                coalesce(sum(amount & 4294967295), 0) AS held_lower FROM hold),
        (SELECT coalesce(sum(amount >> 32), 0) AS codes_upper,
                coalesce(sum(amount & 4294967295), 0) AS codes_lower FROM redeem_code
         WHERE redeemed_at_ms IS NULL AND voided_at_ms IS NULL AND (expires_at_ms IS NULL OR expires_at_ms > ?1))";

/// Nothing is ever removed from the ledger, so its last number counts it: counting millions takes long.
const FACTS: &str = "
    SELECT (SELECT count(*) FROM account) AS accounts,
           (SELECT count(*) FROM api_key WHERE status <> 'deleted') AS keys,
           (SELECT count(*) FROM person) AS people,
           (SELECT coalesce(max(seq), 0) FROM ledger) AS ledger_entries";
