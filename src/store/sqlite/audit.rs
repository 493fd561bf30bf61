//! Proof of the books: everything that is kept as a sum is added up again.
//!
//! The ledger is the truth; balances, records, keys' spending, bills and daily totals must agree with it. All of it is read in
//! order on one snapshot, so memory grows with accounts and keys, not with requests.
//!
//! Records that retention has removed leave their ledger entries and daily totals behind; `meta` says how far it came,
//! and only what is newer is held against its records.

use std::cmp::Ordering;
use std::collections::HashMap;

use rusqlite::{Row, Rows, Transaction};

use super::connection::fault;
use super::rows::{Stored, first};
use crate::core::bill::Bill;
use crate::core::money::{Nano, NanoSum};
use crate::store::contract::{AuditReport, RequestId, StoreError};

/// Recomputes everything; the transaction is the snapshot.
pub(super) fn audit(snapshot: &Transaction<'_>) -> Result<AuditReport, StoreError> {
    let mut audit = Audit::open(snapshot)?;
    audit.walk_ledger()?;
    audit.check_balances();
    audit.check_records()?;
    audit.check_entries()?;
    audit.check_holds()?;
    audit.check_codes()?;
    audit.check_totals()?;
    audit.check_days()?;
    audit.check_all_accounts()?;
    Ok(audit.close())
}

struct Audit<'a> {
    snapshot: &'a Transaction<'a>,
    accounts: HashMap<i64, Account>,
    keys: HashMap<i64, Key>,
    report: AuditReport,
    untold: u64,
}

/// What the storage says about an account, and what was found. Sums are wide: a doctored file may hold anything.
#[derive(Default)]
struct Account {
    name: String,
    balance: i64,
    entries: i128,
    charges: i128,
    last_balance: i64,
    days: i128,
}

#[derive(Default)]
struct Key {
    public_id: String,
    spent: i64,
    days: i128,
}

impl<'a> Audit<'a> {
    fn open(snapshot: &'a Transaction<'a>) -> Result<Self, StoreError> {
        let mut audit = Audit {
            snapshot,
            accounts: HashMap::new(),
            keys: HashMap::new(),
            report: AuditReport::default(),
            untold: 0,
        };
        audit.each("SELECT id, name, balance FROM account", |audit, row| {
            let account = Account { name: row.get(1)?, balance: row.get(2)?, ..Account::default() };
            audit.accounts.insert(row.get(0)?, account);
            Ok(())
        })?;
        audit.each("SELECT id, public_id, spent FROM api_key", |audit, row| {
            let key = Key { public_id: row.get(1)?, spent: row.get(2)?, days: 0 };
            audit.keys.insert(row.get(0)?, key);
            Ok(())
        })?;
        Ok(audit)
    }

    /// Every entry must carry on from the one before it.
    fn walk_ledger(&mut self) -> Result<(), StoreError> {
        self.each(
            "SELECT seq, account, kind = 'charge', amount, balance_after FROM ledger ORDER BY seq",
            |audit, row| {
                let (seq, id, is_charge): (i64, i64, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let (amount, balance_after): (i64, i64) = (row.get(3)?, row.get(4)?);
                audit.report.entries += 1;
                let account = audit.accounts.entry(id).or_insert_with(|| Account::unknown(id));
                let expected = i128::from(account.last_balance) + i128::from(amount);
                account.entries += i128::from(amount);
                account.charges += if is_charge { -i128::from(amount) } else { 0 };
                account.last_balance = balance_after;
                if i128::from(balance_after) == expected {
                    return Ok(());
                }
                let name = account.name.clone();
                audit.tell(format!(
                    "ledger entry {seq} of account {name}: the balance after it is {}, the entries make it {}",
                    Nano(balance_after),
                    money(expected)
                ));
                Ok(())
            },
        )
    }

    fn check_balances(&mut self) {
        let mut differences = Vec::new();
        for account in self.accounts.values() {
            self.report.accounts += 1;
            self.report.balance.0 += i128::from(account.balance);
            if i128::from(account.balance) != account.entries {
                differences.push(format!(
                    "account {}: the balance is {}, its ledger entries add up to {}",
                    account.name,
                    Nano(account.balance),
                    money(account.entries)
                ));
            }
        }
        self.tell_sorted(differences);
    }

    /// Every record has the charge that it says, and no other.
    fn check_records(&mut self) -> Result<(), StoreError> {
        self.each(RECORDS, |audit, row| {
            audit.report.requests += 1;
            let id = row.get::<_, Stored<RequestId>>(0)?.0;
            let (charge, account): (i64, i64) = (row.get(1)?, row.get(2)?);
            let (amount, payer): (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
            if row.get(5)? {
                audit.tell(format!("request {id}: its record has a negative count or charge"));
            }
            let booked = amount.map_or(0, |amount| -i128::from(amount));
            if booked != i128::from(charge) || (charge == 0 && amount.is_some()) {
                let ledger = amount.map_or("has no charge for it".into(), |_| format!("charges {}", money(booked)));
                audit.tell(format!("request {id}: its record says {}, the ledger {ledger}", Nano(charge)));
            }
            let (bill, is_cut): (String, bool) = (row.get(6)?, row.get(7)?);
            match Bill::parse(&bill).map(|bill| bill.total()) {
                None if bill.is_empty() => {}
                None => audit.tell(format!("request {id}: its bill cannot be read")),
                // Usage beyond belief is charged for less than it would cost.
                Some(total) if is_cut || total == Nano(charge) => {}
                Some(total) => {
                    audit.tell(format!("request {id}: its record says {}, its bill makes it {total}", Nano(charge)));
                }
            }
            if let Some(payer) = payer.filter(|payer| *payer != account) {
                let (payer, account) = (audit.account_name(payer), audit.account_name(account));
                audit.tell(format!("request {id}: account {payer} was charged for a request of account {account}"));
            }
            Ok(())
        })
    }

    /// Every charge has its record, unless retention took it.
    fn check_entries(&mut self) -> Result<(), StoreError> {
        self.each(CHARGES_WITHOUT_RECORD, |audit, row| {
            let (seq, id) = (row.get::<_, i64>(0)?, row.get::<_, Stored<RequestId>>(1)?.0);
            audit.tell(format!("ledger entry {seq}: it charges request {id}, of which there is no record"));
            Ok(())
        })
    }

    fn check_holds(&mut self) -> Result<(), StoreError> {
        self.each(HOLDS, |audit, row| {
            audit.report.holds += 1;
            let (id, amount) = (row.get::<_, Stored<RequestId>>(0)?.0, Nano(row.get(1)?));
            if row.get(2)? {
                audit.tell(format!("request {id}: its hold has a negative amount or count"));
            }
            if row.get(3)? {
                audit.tell(format!("request {id}: it has ended and still holds {amount}"));
            }
            Ok(())
        })
    }

    /// The daily totals, added up per account and per key, against the ledger and the keys.
    fn check_totals(&mut self) -> Result<(), StoreError> {
        self.each("SELECT account, key, charge FROM usage_day", |audit, row| {
            let (account, key, charge): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            audit.accounts.entry(account).or_insert_with(|| Account::unknown(account)).days += i128::from(charge);
            audit.keys.entry(key).or_insert_with(|| Key::unknown(key)).days += i128::from(charge);
            Ok(())
        })?;
        let mut differences = Vec::new();
        for account in self.accounts.values().filter(|account| account.days != account.charges) {
            differences.push(format!(
                "account {}: its daily totals add up to {}, its charges to {}",
                account.name,
                money(account.days),
                money(account.charges)
            ));
        }
        for key in self.keys.values().filter(|key| key.days != i128::from(key.spent)) {
            differences.push(format!(
                "key {}: it has spent {}, its daily totals add up to {}",
                key.public_id,
                Nano(key.spent),
                money(key.days)
            ));
        }
        self.tell_sorted(differences);
        Ok(())
    }

    /// Every redeemed code has put its amount into the account that redeemed it, and no credit calls itself a code's
    /// without one.
    fn check_codes(&mut self) -> Result<(), StoreError> {
        self.each(REDEEMED, |audit, row| {
            let (code, amount, payee): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (credited, account): (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
            let said = Nano(amount);
            match (credited, account) {
                (Some(credited), Some(account)) if account != payee => audit.tell(format!(
                    "code {code}: account {} redeemed it, account {} was credited {}",
                    audit.account_name(payee),
                    audit.account_name(account),
                    Nano(credited)
                )),
                (Some(credited), _) if credited != amount => {
                    audit.tell(format!("code {code}: it was worth {said}, the ledger credits {}", Nano(credited)));
                }
                (Some(_), _) => {}
                (None, _) => audit.tell(format!("code {code}: it was redeemed for {said}, the ledger has no credit")),
            }
            Ok(())
        })?;
        self.each(CREDITS_WITHOUT_CODE, |audit, row| {
            let (seq, reference): (i64, String) = (row.get(0)?, row.get(1)?);
            audit.tell(format!("ledger entry {seq}: its reference is {reference}, and no such code was redeemed"));
            Ok(())
        })
    }

    /// Each day's totals against the records of that day, column by column. Both come in the order of the totals' key.
    fn check_days(&mut self) -> Result<(), StoreError> {
        let pruned_day: i64 = first(self.snapshot, "SELECT pruned_day FROM meta", [], |row| row.get(0))?.unwrap_or(-1);
        let mut totals = self.snapshot.prepare(DAYS).map_err(fault)?;
        let mut records = self.snapshot.prepare(DAYS_OF_RECORDS).map_err(fault)?;
        let mut totals = totals.query([pruned_day]).map_err(fault)?;
        let mut records = records.query([pruned_day]).map_err(fault)?;
        let (mut total, mut record) = (next_day(&mut totals)?, next_day(&mut records)?);
        loop {
            let order = match (&total, &record) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(total), Some(record)) => total.key.cmp(&record.key),
            };
            let said = if order.is_le() { total.take() } else { None };
            let found = if order.is_ge() { record.take() } else { None };
            self.compare_days(said.as_ref(), found.as_ref())?;
            if order.is_le() {
                total = next_day(&mut totals)?;
            }
            if order.is_ge() {
                record = next_day(&mut records)?;
            }
        }
    }

    fn compare_days(&mut self, said: Option<&Day>, found: Option<&Day>) -> Result<(), StoreError> {
        let Some(day) = said.or(found) else { return Ok(()) };
        let values = |day: Option<&Day>| day.map_or([0; 8], |day| day.values);
        let [date, account, key, model, upstream] = day.key;
        let name = |sql, id: i64| {
            let found = first(self.snapshot, sql, [id], |row| row.get::<_, String>(0))?;
            Ok::<_, StoreError>(found.unwrap_or_else(|| format!("number {id}")))
        };
        let mut differences = Vec::new();
        for ((said, found), column) in values(said).iter().zip(values(found)).zip(DAY_COLUMNS) {
            if *said == found {
                continue;
            }
            let date = name("SELECT date(?1 * 86400, 'unixepoch')", date)?;
            let model = name("SELECT text FROM word WHERE id = ?1", model)?;
            let upstream = name("SELECT text FROM word WHERE id = ?1", upstream)?;
            let (account, key) = (self.account_name(account), self.key_name(key));
            differences.push(format!(
                "daily totals of {date}, account {account}, key {key}, model {model}, upstream {upstream}: \
                 {column} is {said}, the records make it {found}"
            ));
        }
        differences.into_iter().for_each(|difference| self.tell(difference));
        Ok(())
    }

    /// The days of all accounts together, against those of each.
    fn check_all_accounts(&mut self) -> Result<(), StoreError> {
        self.each(DAYS_OF_ALL, |audit, row| {
            let (date, model, upstream): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            audit.tell(format!(
                "totals of all accounts of {date}, model {model}, upstream {upstream}: they are not the sum of the accounts'"
            ));
            Ok(())
        })
    }

    fn account_name(&self, id: i64) -> String {
        self.accounts.get(&id).map_or_else(|| Account::unknown(id).name, |account| account.name.clone())
    }

    fn key_name(&self, id: i64) -> String {
        self.keys.get(&id).map_or_else(|| Key::unknown(id).public_id, |key| key.public_id.clone())
    }

    /// Runs a query and gives each of its rows to `check`.
    fn each(
        &mut self,
        sql: &str,
        mut check: impl FnMut(&mut Self, &Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let snapshot = self.snapshot;
        let mut statement = snapshot.prepare(sql).map_err(fault)?;
        let mut rows = statement.query([]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            check(self, row).map_err(fault)?;
        }
        Ok(())
    }

    fn tell(&mut self, difference: String) {
        if self.report.differences.len() < DIFFERENCES_MAX {
            self.report.differences.push(difference);
        } else {
            self.untold = self.untold.saturating_add(1);
        }
    }

    /// In an order that does not change from one audit to the next.
    fn tell_sorted(&mut self, mut differences: Vec<String>) {
        differences.sort_unstable();
        differences.into_iter().for_each(|difference| self.tell(difference));
    }

    fn close(mut self) -> AuditReport {
        if self.untold > 0 {
            self.report.differences.push(format!("and {} more", self.untold));
        }
        self.report
    }
}

impl Account {
    fn unknown(id: i64) -> Self {
        Account { name: format!("number {id} (unknown)"), ..Account::default() }
    }
}

impl Key {
    fn unknown(id: i64) -> Self {
        Key { public_id: format!("number {id} (unknown)"), ..Key::default() }
    }
}

/// One row of totals: its key, and its values in the order of [`DAY_COLUMNS`].
struct Day {
    key: [i64; 5],
    values: [i64; 8],
}

fn next_day(rows: &mut Rows<'_>) -> Result<Option<Day>, StoreError> {
    let Some(row) = rows.next().map_err(fault)? else { return Ok(None) };
    let mut day = Day { key: [0; 5], values: [0; 8] };
    for (index, value) in day.key.iter_mut().chain(&mut day.values).enumerate() {
        *value = row.get(index).map_err(fault)?;
    }
    Ok(Some(day))
}

/// A sum as money, also when it is beyond all money.
fn money(sum: i128) -> String {
    NanoSum(sum).to_string()
}

const RECORDS: &str = "
    SELECT r.id, r.charge, r.account, l.amount, l.account,
           min(r.charge, r.cost, r.input_tokens, r.cached_input_tokens, r.output_tokens, r.reasoning_tokens) < 0, r.bill,
           r.anomalous
    FROM request r LEFT JOIN ledger l ON l.request = r.id AND l.kind = 'charge' ORDER BY r.id";

const CHARGES_WITHOUT_RECORD: &str = "
    SELECT l.seq, l.request FROM ledger l
    WHERE l.kind = 'charge' AND l.request > (SELECT pruned_through FROM meta)
          AND NOT EXISTS (SELECT 1 FROM request r WHERE r.id = l.request)
    ORDER BY l.seq";

const HOLDS: &str = "
    SELECT h.request, h.amount, min(h.amount, h.charge, h.input_tokens, h.output_tokens) < 0,
           EXISTS (SELECT 1 FROM request r WHERE r.id = h.request)
    FROM hold h ORDER BY h.request";

const REDEEMED: &str = "
    SELECT c.public_id, c.amount, c.redeemed_by, l.amount, l.account
    FROM redeem_code c LEFT JOIN ledger l ON l.kind = 'credit' AND l.reference = 'code:' || c.public_id
    WHERE c.redeemed_by IS NOT NULL ORDER BY c.id";

/// By the index of references, of which those of codes are one range.
const CREDITS_WITHOUT_CODE: &str = "
    SELECT l.seq, l.reference FROM ledger l
    WHERE l.kind = 'credit' AND l.reference >= 'code:cod_' AND l.reference < 'code:cod`'
          AND NOT EXISTS (
            SELECT 1 FROM redeem_code c WHERE c.public_id = substr(l.reference, 6) AND c.redeemed_by IS NOT NULL
          )
    ORDER BY l.seq";

const DAYS: &str = "
    SELECT day, account, key, model, upstream, requests, errors, input_tokens, cached_input_tokens, output_tokens,
           reasoning_tokens, charge, cost
    FROM usage_day WHERE day > ?1 ORDER BY day, account, key, model, upstream";

const DAYS_OF_RECORDS: &str = "
    SELECT started_at_ms / 86400000 AS day, account, key, model, upstream, count(*), sum(outcome <> 'ok'),
           sum(input_tokens), sum(cached_input_tokens), sum(output_tokens), sum(reasoning_tokens), sum(charge),
           sum(cost)
    FROM request WHERE day > ?1 GROUP BY day, account, key, model, upstream ORDER BY day, account, key, model, upstream";

const DAYS_OF_ALL: &str = "
    WITH sums AS (
        SELECT day, model, upstream, sum(requests), sum(errors), sum(input_tokens), sum(cached_input_tokens),
               sum(output_tokens), sum(reasoning_tokens), sum(charge), sum(cost)
        FROM usage_day GROUP BY day, model, upstream),
    kept AS (
        SELECT nth, model, upstream, requests, errors, input_tokens, cached_input_tokens, output_tokens,
               reasoning_tokens, charge, cost
        FROM usage_span WHERE span = 1440)
    SELECT DISTINCT date(day * 86400, 'unixepoch'), m.text, u.text
    FROM (SELECT * FROM (SELECT * FROM sums EXCEPT SELECT * FROM kept)
          UNION ALL SELECT * FROM (SELECT * FROM kept EXCEPT SELECT * FROM sums)) d
         JOIN word m ON m.id = d.model JOIN word u ON u.id = d.upstream
    ORDER BY day, 2, 3";

const DAY_COLUMNS: [&str; 8] = [
    "requests",
    "errors",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "charge (nano)",
    "cost (nano)",
];

/// A file with more of them has one cause, and the first thousand show it.
const DIFFERENCES_MAX: usize = 1_000;
