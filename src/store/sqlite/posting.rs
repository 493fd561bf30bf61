//! One group of changes, as it is booked inside one transaction.
//!
//! A busy group has hundreds of charges on few accounts, so what they add up to is kept here and written once per
//! account, key and span of time at the end; each ledger entry still carries the balance right after it. Records and
//! entries are written many to a statement, as if none of them had ever been booked; a statement says how many it has
//! added, and when that shows that one had been, the group is booked again row by row.
//!
//! Always true: booking a change that is already in the books changes nothing, so any group may be booked again.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use hashbrown::{HashMap, HashSet};
use rusqlite::{Transaction, params, params_from_iter};

use super::rows::{Stored, all, execute, first};
use super::statements::{Many, Statements};
use crate::core::account::AccountId;
use crate::core::money::Nano;
use crate::core::usage::COUNT_MAX;
use crate::store::contract::{Change, CheckpointRow, HoldRow, Outcome, RequestId, RequestRow, StoreError};

/// How the ends of requests are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Many at a time: [`StoreError::Repeated`] if one of them is in the books.
    Batches,
    Rows,
}

/// The open group.
pub(super) struct Posting<'a, 'g> {
    transaction: &'a Transaction<'a>,
    statements: Statements<'a>,
    memory: &'a mut Memory,
    pace: Pace,
    /// Those that are counted, and not written yet.
    ends: Vec<End<'g>>,
    /// Whose holds are over.
    released: Vec<RequestId>,
    balances: BTreeMap<i64, Balance>,
    spent: BTreeMap<i64, i64>,
    used_at_ms: BTreeMap<i64, i64>,
    usage: BTreeMap<UsageKey, Totals>,
}

/// The end of a request.
struct End<'g> {
    row: &'g RequestRow,
    named: Named,
    charge: Option<Charge>,
}

/// Its entry in the ledger.
struct Charge {
    amount: i64,
    balance_after: i64,
    at_ms: i64,
}

impl<'a, 'g> Posting<'a, 'g> {
    pub(super) fn begin(transaction: &'a Transaction<'a>, memory: &'a mut Memory, pace: Pace) -> Self {
        Posting {
            transaction,
            statements: Statements::of(transaction),
            memory,
            pace,
            ends: Vec::new(),
            released: Vec::new(),
            balances: BTreeMap::new(),
            spent: BTreeMap::new(),
            used_at_ms: BTreeMap::new(),
            usage: BTreeMap::new(),
        }
    }

    pub(super) fn book(&mut self, group: &'g [Change]) -> Result<(), StoreError> {
        // A request that begins and ends within the group needs no hold on disk.
        let ending: HashSet<RequestId> = group.iter().filter_map(ended).collect();
        let holds: Vec<&HoldRow> = group.iter().filter_map(held).filter(|row| !ending.contains(&row.request)).collect();
        self.hold(&holds)?;
        for change in group {
            match change {
                Change::Checkpoint(row) if !ending.contains(&row.request) => self.checkpoint(row)?,
                Change::Hold(_) | Change::Checkpoint(_) => {}
                Change::Settle(row) => {
                    self.settle(row, row.started_at_ms.saturating_add(i64::from(row.duration_ms)))?;
                }
                Change::KeyUsed { key, at_ms } => {
                    let latest = self.used_at_ms.entry(key.0).or_insert(*at_ms);
                    *latest = (*latest).max(*at_ms);
                }
            }
        }
        Ok(())
    }

    /// Books a request's end. `at_ms` is the moment of its ledger entry.
    pub(super) fn settle(&mut self, row: &'g RequestRow, at_ms: i64) -> Result<(), StoreError> {
        let id = row.request.0.as_bytes();
        if self.memory.holds(self.transaction)?.remove(&row.request) {
            self.released.push(row.request);
        }
        let named = Named::of(row, self.memory, self.transaction)?;
        let end = End { row, named, charge: self.charge(row, at_ms)? };
        if self.pace == Pace::Batches {
            self.count(&end)?;
            self.ends.push(end);
            return Ok(());
        }
        let end = [end];
        if self.add_records(&end)? == 0 {
            return Ok(());
        }
        if !self.add_charges(&end)? {
            // Charged before, and its record pruned since: it stays so.
            return execute(self.transaction, "DELETE FROM request WHERE id = ?1", [id]).map(|_| ());
        }
        self.count(&end[0])
    }

    /// Writes what the group adds up to. Nothing is booked before this.
    pub(super) fn finish(mut self) -> Result<(), StoreError> {
        self.statements.execute_many(&END_HOLDS, self.released.iter(), |request, values| {
            values.put(params![request.0.as_bytes()])
        })?;
        let ends = std::mem::take(&mut self.ends);
        if self.add_records(&ends)? < ends.len() || !self.add_charges(&ends)? {
            return Err(StoreError::Repeated("an end of this group".into()));
        }
        for (account, balance) in &self.balances {
            // Relative: the sum of entries, whoever else adds to it.
            let change = balance.now.checked_sub(balance.before).ok_or_else(too_large)?;
            execute(self.transaction, "UPDATE account SET balance = balance + ?2 WHERE id = ?1", [account, &change])?;
        }
        for (key, amount) in &self.spent {
            execute(self.transaction, "UPDATE api_key SET spent = spent + ?2 WHERE id = ?1", [key, amount])?;
        }
        for (key, at_ms) in &self.used_at_ms {
            execute(self.transaction, KEY_USED, [key, at_ms])?;
        }
        let (days, spans) = days_and_spans(&self.usage)?;
        for (key, totals) in &days {
            self.add(ADD_TO_DAY, NEW_DAY, key.iter().chain(&totals.0))?;
        }
        for (key, totals) in &spans {
            self.add(ADD_TO_SPAN, NEW_SPAN, key.iter().chain(&totals.0))?;
        }
        Ok(())
    }

    /// To the totals that are there, which is nearly always; an upsert would build a table in memory to find that out.
    fn add<'v>(
        &mut self,
        to_totals: &'static str,
        new_totals: &'static str,
        values: impl Iterator<Item = &'v i64> + Clone,
    ) -> Result<(), StoreError> {
        if self.statements.execute(to_totals, params_from_iter(values.clone()))? == 0 {
            self.statements.execute(new_totals, params_from_iter(values))?;
        }
        Ok(())
    }

    /// All that was promised up to this era is in the books.
    pub(super) fn end_era(&mut self, era: i64) -> Result<(), StoreError> {
        execute(self.transaction, "UPDATE meta SET promised_through = ?1", [era]).map(|_| ())
    }

    /// Of each request that has not ended: its record says so, or after that was pruned its charge does.
    pub(super) fn hold(&mut self, rows: &[&HoldRow]) -> Result<(), StoreError> {
        self.statements.execute_many(&ADD_HOLDS, rows.iter(), |row, values| {
            values.put(params![
                row.request.0.as_bytes(),
                row.account.0,
                row.key.0,
                row.endpoint,
                row.model,
                row.streamed,
                row.amount.0,
                row.price_version,
                row.started_at_ms,
            ])
        })?;
        self.memory.holds(self.transaction)?.extend(rows.iter().map(|row| row.request));
        Ok(())
    }

    fn checkpoint(&mut self, row: &CheckpointRow) -> Result<(), StoreError> {
        let parameters = params![
            row.request.0.as_bytes(),
            row.hold.0,
            row.charge.0,
            row.upstream,
            stored(row.input_tokens),
            stored(row.output_tokens),
        ];
        self.statements.execute(UPDATE_HOLD, parameters).map(|_| ())
    }

    /// How many of these records were not there.
    fn add_records(&mut self, ends: &[End<'_>]) -> Result<usize, StoreError> {
        self.statements.execute_many(&ADD_REQUESTS, ends.iter(), |End { row, named, .. }, values| {
            values.put(params![
                row.request.0.as_bytes(),
                row.account.0,
                row.key.0,
                named.endpoint,
                named.model,
                named.upstream,
                named.price_version,
                row.status,
                row.outcome.as_str(),
                row.estimated,
                row.anomalous,
                row.streamed,
                stored(row.input_tokens),
                stored(row.cached_input_tokens),
                stored(row.output_tokens),
                stored(row.reasoning_tokens),
                row.charge.0,
                row.cost.0,
                row.bill,
                row.started_at_ms,
                row.ttft_ms,
                row.duration_ms,
            ])
        })
    }

    /// Whether none of these charges was there.
    fn add_charges(&mut self, ends: &[End<'_>]) -> Result<bool, StoreError> {
        let charges: Vec<_> = ends.iter().filter_map(|end| Some((end.row, end.charge.as_ref()?))).collect();
        let added = self.statements.execute_many(&ADD_CHARGES, charges.iter(), |(row, charge), values| {
            let id = row.request.0.as_bytes();
            values.put(params![row.account.0, charge.amount, charge.balance_after, id, charge.at_ms])
        })?;
        Ok(added == charges.len())
    }

    /// What a request's end takes from its account; `None` if that is nothing.
    fn charge(&mut self, row: &RequestRow, at_ms: i64) -> Result<Option<Charge>, StoreError> {
        if row.charge <= Nano::ZERO {
            return Ok(None);
        }
        let amount = row.charge.0.checked_neg().ok_or_else(too_large)?;
        let balance_after = self.balance(row.account)?.now.checked_add(amount).ok_or_else(too_large)?;
        Ok(Some(Charge { amount, balance_after, at_ms }))
    }

    /// Adds an end to all that the group adds up to.
    fn count(&mut self, End { row, named, charge }: &End<'_>) -> Result<(), StoreError> {
        if let Some(charge) = charge {
            self.balance(row.account)?.now = charge.balance_after;
            let spent = self.spent.entry(row.key.0).or_default();
            *spent = spent.checked_add(row.charge.0).ok_or_else(too_large)?;
        }
        let minute = row.started_at_ms.div_euclid(MINUTE_MS);
        let of_minute = [minute, row.account.0, row.key.0, named.model, named.upstream];
        self.usage.entry(of_minute).or_default().add(&Totals::of(row))
    }

    fn balance(&mut self, account: AccountId) -> Result<&mut Balance, StoreError> {
        if !self.balances.contains_key(&account.0) {
            let stored = first(self.transaction, BALANCE, [account.0], |row| row.get(0))?;
            let before = stored.ok_or_else(|| StoreError::Refused(format!("there is no account {}", account.0)))?;
            self.balances.insert(account.0, Balance { before, now: before });
        }
        Ok(self.balances.get_mut(&account.0).expect("it was put in just above"))
    }
}

/// What these add up to in each of the totals that are kept.
fn days_and_spans(usage: &BTreeMap<UsageKey, Totals>) -> Result<(Sums<5>, Sums<6>), StoreError> {
    let (mut days, mut spans) = (Sums::new(), Sums::new());
    for (&[minute, account, key, model, upstream], totals) in usage {
        days.entry([minute.div_euclid(SPAN_DAY), account, key, model, upstream]).or_default().add(totals)?;
        spans.entry([SPAN_MINUTE, minute, account, key, model, upstream]).or_default().add(totals)?;
        for span in [SPAN_MINUTE, SPAN_QUARTER, SPAN_DAY] {
            let all = [span, minute.div_euclid(span), EVERYBODY, EVERYBODY, model, upstream];
            spans.entry(all).or_default().add(totals)?;
        }
    }
    Ok((days, spans))
}

/// The words of a request's record, by their ids.
struct Named {
    endpoint: i64,
    model: i64,
    upstream: i64,
    price_version: i64,
}

impl Named {
    fn of(row: &RequestRow, memory: &mut Memory, transaction: &Transaction<'_>) -> Result<Named, StoreError> {
        let mut id = |text| memory.word(transaction, text);
        Ok(Named {
            endpoint: id(&row.endpoint)?,
            model: id(&row.model)?,
            upstream: id(&row.upstream)?,
            price_version: id(&row.price_version)?,
        })
    }
}

/// What is known of the tables without looking, between groups: nobody else writes to these.
///
/// Always true: everything in here is committed or part of the open transaction, so whoever rolls back must forget.
#[derive(Default)]
pub(super) struct Memory {
    /// Ids of words, by their texts.
    words: HashMap<String, i64>,
    /// The requests that may be in `hold`: most end before they ever come there. `None` before the first look.
    holds: Option<HashSet<RequestId>>,
}

impl Memory {
    pub(super) fn forget(&mut self) {
        *self = Memory::default();
    }

    fn holds(&mut self, transaction: &Transaction<'_>) -> Result<&mut HashSet<RequestId>, StoreError> {
        let holds = match self.holds.take() {
            Some(holds) => holds,
            None => HashSet::from_iter(all(transaction, "SELECT request FROM hold", [], |row| {
                row.get::<_, Stored<RequestId>>(0).map(|request| request.0)
            })?),
        };
        Ok(self.holds.insert(holds))
    }

    fn word(&mut self, transaction: &Transaction<'_>, text: &str) -> Result<i64, StoreError> {
        if let Some(id) = self.words.get(text) {
            return Ok(*id);
        }
        let id = match first(transaction, "SELECT id FROM word WHERE text = ?1", [text], |row| row.get(0))? {
            Some(id) => id,
            None => {
                execute(transaction, "INSERT INTO word (text) VALUES (?1)", [text])?;
                transaction.last_insert_rowid()
            }
        };
        if self.words.len() >= WORDS_MAX {
            self.words.clear();
        }
        self.words.insert(text.into(), id);
        Ok(id)
    }
}

/// An account's balance within the group: as found, and after the charges so far.
struct Balance {
    before: i64,
    now: i64,
}

/// Minute, account, key, model, upstream.
type UsageKey = [i64; 5];

/// By the primary key of `usage_day` (day, account, key, model, upstream) or `usage_span` (span, its number, and the rest).
type Sums<const N: usize> = BTreeMap<[i64; N], Totals>;

/// Requests, errors, input, cached input, output and reasoning tokens, charge, cost: the columns of totals in their order.
#[derive(Clone, Copy, Default)]
struct Totals([i64; 8]);

impl Totals {
    fn of(row: &RequestRow) -> Self {
        Totals([
            1,
            i64::from(row.outcome != Outcome::Ok),
            stored(row.input_tokens),
            stored(row.cached_input_tokens),
            stored(row.output_tokens),
            stored(row.reasoning_tokens),
            row.charge.0,
            row.cost.0,
        ])
    }

    fn add(&mut self, more: &Totals) -> Result<(), StoreError> {
        let [sums @ .., cost] = &mut self.0;
        for (sum, value) in sums.iter_mut().zip(more.0) {
            *sum = sum.checked_add(value).ok_or_else(too_large)?;
        }
        // The last is no money of anybody's, so no balance bounds it: it must not keep charges from being written.
        *cost = cost.saturating_add(more.0[more.0.len() - 1]);
        Ok(())
    }
}

fn ended(change: &Change) -> Option<RequestId> {
    match change {
        Change::Settle(row) => Some(row.request),
        _ => None,
    }
}

fn held(change: &Change) -> Option<&HoldRow> {
    match change {
        Change::Hold(row) => Some(row),
        _ => None,
    }
}

/// A count as a column holds it. No honest count reaches the bound: it keeps a wild one from spoiling every total.
fn stored(count: u64) -> i64 {
    i64::try_from(count.min(TOKENS_MAX)).expect("the bound is far below")
}

fn too_large() -> StoreError {
    StoreError::Refused("the amount is beyond what a balance can hold".into())
}

static END_HOLDS: LazyLock<Many> = LazyLock::new(|| Many::new("DELETE FROM hold WHERE request IN (", "?", ")"));

static ADD_HOLDS: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT INTO hold (request, account, key, endpoint, model, streamed, amount, price_version, started_at_ms)
         SELECT * FROM (VALUES",
        "(?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ") new WHERE NOT EXISTS (SELECT 1 FROM request r WHERE r.id = new.column1)
             AND NOT EXISTS (SELECT 1 FROM ledger l WHERE l.request = new.column1 AND l.kind = 'charge')
         ON CONFLICT (request) DO NOTHING",
    )
});

const UPDATE_HOLD: &str = "
    UPDATE hold SET amount = ?2, charge = ?3, upstream = ?4, input_tokens = ?5, output_tokens = ?6 WHERE request = ?1";

static ADD_REQUESTS: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT INTO request (id, account, key, endpoint, model, upstream, price_version, status, outcome, estimated,
                              anomalous, streamed, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens,
                              charge, cost, bill, started_at_ms, ttft_ms, duration_ms) VALUES",
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "ON CONFLICT (id) DO NOTHING",
    )
});

static ADD_CHARGES: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT INTO ledger (account, kind, amount, balance_after, request, at_ms) VALUES",
        "(?, 'charge', ?, ?, ?, ?)",
        "ON CONFLICT (request, kind) WHERE request IS NOT NULL DO NOTHING",
    )
});

const BALANCE: &str = "SELECT balance FROM account WHERE id = ?1";

const KEY_USED: &str = "
    UPDATE api_key SET last_used_at_ms = ?2 WHERE id = ?1 AND (last_used_at_ms IS NULL OR last_used_at_ms < ?2)";

const ADD_TO_DAY: &str = "
    UPDATE usage_day SET
        requests = requests + ?6, errors = errors + ?7, input_tokens = input_tokens + ?8,
        cached_input_tokens = cached_input_tokens + ?9, output_tokens = output_tokens + ?10,
        reasoning_tokens = reasoning_tokens + ?11, charge = charge + ?12, cost = min(cost + ?13, 9223372036854775807)
    WHERE day = ?1 AND account = ?2 AND key = ?3 AND model = ?4 AND upstream = ?5";

const NEW_DAY: &str = "
    INSERT INTO usage_day (day, account, key, model, upstream, requests, errors, input_tokens, cached_input_tokens,
                           output_tokens, reasoning_tokens, charge, cost)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

const ADD_TO_SPAN: &str = "
    UPDATE usage_span SET
        requests = requests + ?7, errors = errors + ?8, input_tokens = input_tokens + ?9,
        cached_input_tokens = cached_input_tokens + ?10, output_tokens = output_tokens + ?11,
        reasoning_tokens = reasoning_tokens + ?12, charge = charge + ?13, cost = min(cost + ?14, 9223372036854775807)
    WHERE span = ?1 AND nth = ?2 AND account = ?3 AND key = ?4 AND model = ?5 AND upstream = ?6";

const NEW_SPAN: &str = "
    INSERT INTO usage_span (span, nth, account, key, model, upstream, requests, errors, input_tokens,
                            cached_input_tokens, output_tokens, reasoning_tokens, charge, cost)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

/// The account, and the key, of those totals in `usage_span` that are of all of them.
pub(super) const EVERYBODY: i64 = 0;
/// Lengths of spans in minutes.
pub(super) const SPAN_MINUTE: i64 = 1;
pub(super) const SPAN_QUARTER: i64 = 15;
pub(super) const SPAN_DAY: i64 = 1_440;

const MINUTE_MS: i64 = 60_000;
/// A request has at most ten kinds of input, each at most [`COUNT_MAX`].
const TOKENS_MAX: u64 = 10 * COUNT_MAX;
/// Names come from the configuration, which has dozens.
const WORDS_MAX: usize = 4_096;
