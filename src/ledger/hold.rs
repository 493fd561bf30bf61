//! Money set aside for one running request, until its end.
//!
//! A request passes through many hands that can fail: a panic, a cancelled future, a client that leaves. So the hold is
//! a guard: whoever owns it settles it, and if nobody does, dropping it settles by the last checkpoint, exactly as
//! recovery would after a crash. Lost holds are a classic of prepaid gateways (QuantumNous/new-api#4429).
//!
//! Always true: each hold is given back once and charged at most once; a charge is never negative and never above ten
//! times its hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use crate::core::api_error::Purse;
use crate::core::money::Nano;
use crate::store::contract::{Change, CheckpointRow, HoldRow, Outcome, RequestId, RequestRow};

use super::books::{Key, Shortage};
use super::writer::{LedgerUnavailable, Position, Writer};

/// What is written about a hold besides who pays and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHold {
    pub request: RequestId,
    pub endpoint: &'static str,
    pub model: String,
    pub streamed: bool,
    pub price_version: String,
    pub started_at_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReserveError {
    #[error("{needed} are needed and {available} are available")]
    Insufficient {
        needed: Nano,
        available: Nano,
        whose: Purse,
        /// Whether it would fit if those that are running ended and cost nothing.
        fits_later: bool,
    },
    #[error(transparent)]
    Unavailable(#[from] LedgerUnavailable),
}

/// A hold could not grow: the account or the key's budget has no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the purse does not cover the extension")]
pub struct InsufficientFunds;

/// The open holds of this process: what they all need, and their tally.
pub(super) struct Holds {
    writer: Writer,
    open: AtomicU64,
    beyond_hold: AtomicU64,
    beyond_hold_sum: AtomicI64,
    anomalous: AtomicU64,
}

pub(super) struct Tally {
    pub(super) open: u64,
    pub(super) beyond_hold: u64,
    pub(super) beyond_hold_sum: Nano,
    pub(super) anomalous: u64,
}

impl Holds {
    pub(super) fn new(writer: Writer) -> Holds {
        Holds {
            writer,
            open: AtomicU64::new(0),
            beyond_hold: AtomicU64::new(0),
            beyond_hold_sum: AtomicI64::new(0),
            anomalous: AtomicU64::new(0),
        }
    }

    pub(super) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Counts a hold that another process runs.
    pub(super) fn carried_over(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn carried_to_its_end(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            open: self.open.load(Ordering::Relaxed),
            beyond_hold: self.beyond_hold.load(Ordering::Relaxed),
            beyond_hold_sum: Nano(self.beyond_hold_sum.load(Ordering::Relaxed)),
            anomalous: self.anomalous.load(Ordering::Relaxed),
        }
    }

    pub(super) fn reserve(self: &Arc<Self>, key: &Arc<Key>, new: NewHold, amount: Nano) -> Result<Hold, ReserveError> {
        // First of all: no money is promised that cannot be written down.
        if !self.writer.healthy() {
            return Err(LedgerUnavailable.into());
        }
        let amount = amount.max(Nano::ZERO);
        key.set_aside(amount).map_err(|Shortage { available, whose, fits_later }| ReserveError::Insufficient {
            needed: amount,
            available,
            whose,
            fits_later,
        })?;
        let Some(position) = self.writer.enqueue(Change::Hold(Box::new(row(&new, key, amount)))) else {
            key.book(amount, Nano::ZERO);
            return Err(LedgerUnavailable.into());
        };
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(Hold {
            holds: Arc::clone(self),
            key: Arc::clone(key),
            new,
            amount,
            position,
            checkpoint: None,
            checkpoint_position: position,
            opened: Instant::now(),
            settled: false,
        })
    }
}

fn row(new: &NewHold, key: &Key, amount: Nano) -> HoldRow {
    HoldRow {
        request: new.request,
        account: key.account.id,
        key: key.id(),
        endpoint: new.endpoint.into(),
        model: new.model.clone(),
        streamed: new.streamed,
        amount,
        price_version: new.price_version.clone(),
        started_at_ms: new.started_at_ms,
    }
}

/// Money set aside. End it with [`settle`](Hold::settle); dropped without, it settles itself by its last checkpoint as
/// [`Outcome::Interrupted`].
#[must_use = "a hold that is dropped ends as interrupted"]
pub struct Hold {
    holds: Arc<Holds>,
    key: Arc<Key>,
    new: NewHold,
    amount: Nano,
    /// Of the hold's row in the journal.
    position: Position,
    /// The last one, written or not.
    checkpoint: Option<CheckpointRow>,
    /// Of the last checkpoint that was queued.
    checkpoint_position: Position,
    opened: Instant,
    settled: bool,
}

impl Hold {
    pub fn request(&self) -> RequestId {
        self.new.request
    }

    /// What is set aside now, extensions included.
    pub fn amount(&self) -> Nano {
        self.amount
    }

    /// Waits until the hold's row is durable: one atomic load when it already is. Cancelling this future is harmless.
    ///
    /// # Errors
    /// [`LedgerUnavailable`] if it is not within [`Options::commit_wait`](super::Options::commit_wait). The hold is
    /// still open then; settle it.
    pub async fn committed(&self) -> Result<(), LedgerUnavailable> {
        self.holds.writer.committed(self.position).await
    }

    /// Sets aside more, by the same decision as the first time. Touches memory only.
    ///
    /// # Errors
    /// [`InsufficientFunds`] if a purse does not cover it: the hold stays as it was.
    pub fn extend(&mut self, by: Nano) -> Result<(), InsufficientFunds> {
        let by = by.max(Nano::ZERO);
        self.key.set_aside(by).map_err(|_| InsufficientFunds)?;
        self.amount = self.amount.saturating_add(by);
        Ok(())
    }

    /// Remembers what the request would cost if it broke off now, and queues it for the journal.
    ///
    /// While an earlier checkpoint still waits for its commit, the new one is remembered only; the next call writes.
    /// So a storage outage, however long, keeps at most one per running request in the queue.
    pub fn checkpoint(&mut self, charge: Nano, upstream: &str, input_tokens: u64, output_tokens: u64) {
        let row = CheckpointRow {
            request: self.new.request,
            hold: self.amount,
            charge: charge.max(Nano::ZERO),
            upstream: upstream.to_owned(),
            input_tokens,
            output_tokens,
        };
        if self.checkpoint.is_none() || self.holds.writer.is_committed(self.checkpoint_position) {
            let change = Change::Checkpoint(Box::new(row.clone()));
            self.checkpoint_position = self.holds.writer.enqueue(change).unwrap_or(self.checkpoint_position);
        }
        self.checkpoint = Some(row);
    }

    /// The request's end: gives the hold back, takes the charge and queues the record. Returns what was booked.
    ///
    /// The row's request, account and key are the hold's. A charge below zero is zero; one above ten times the hold is
    /// cut to the hold and marked anomalous; one above the hold is booked in full and counted.
    pub fn settle(mut self, row: RequestRow) -> Nano {
        self.end(row)
    }

    fn end(&mut self, mut row: RequestRow) -> Nano {
        self.settled = true;
        row.request = self.new.request;
        row.account = self.key.account.id;
        row.key = self.key.id();
        row.charge = row.charge.max(Nano::ZERO);
        row.cost = row.cost.max(Nano::ZERO);
        if row.charge.0 > self.amount.0.saturating_mul(CHARGE_PER_HOLD_MAX) {
            // What is not believed of the one is not believed of the other.
            row.cost = row.cost.min(self.amount);
            row.charge = self.amount;
            row.anomalous = true;
            self.holds.anomalous.fetch_add(1, Ordering::Relaxed);
        } else if row.charge > self.amount {
            self.holds.beyond_hold.fetch_add(1, Ordering::Relaxed);
            let excess = row.charge.saturating_sub(self.amount);
            self.holds.beyond_hold_sum.fetch_add(excess.0, Ordering::Relaxed);
        }
        let charge = row.charge;
        self.key.book(self.amount, charge);
        self.holds.open.fetch_sub(1, Ordering::Relaxed);
        if self.holds.writer.enqueue(Change::Settle(Box::new(row))).is_none() {
            let request = self.new.request;
            tracing::error!(%request, "ended after the ledger was closed; the next start charges its last checkpoint");
        }
        charge
    }

    /// The record of a request that nobody ended.
    fn interrupted(&mut self) -> RequestRow {
        let checkpoint = self.checkpoint.take();
        let (charge, upstream, input_tokens, output_tokens) = match checkpoint {
            Some(row) => (row.charge, row.upstream, row.input_tokens, row.output_tokens),
            None => (Nano::ZERO, String::new(), 0, 0),
        };
        RequestRow {
            request: self.new.request,
            account: self.key.account.id,
            key: self.key.id(),
            endpoint: self.new.endpoint.to_owned(),
            model: std::mem::take(&mut self.new.model),
            upstream,
            status: STATUS_INTERRUPTED,
            outcome: Outcome::Interrupted,
            estimated: true,
            anomalous: false,
            streamed: self.new.streamed,
            input_tokens,
            cached_input_tokens: 0,
            output_tokens,
            reasoning_tokens: 0,
            charge,
            // A checkpoint does not say what part of it is markup.
            cost: charge,
            price_version: std::mem::take(&mut self.new.price_version),
            bill: String::new(),
            started_at_ms: self.new.started_at_ms,
            ttft_ms: None,
            duration_ms: u32::try_from(self.opened.elapsed().as_millis()).unwrap_or(u32::MAX),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.settled {
            let row = self.interrupted();
            tracing::warn!(request = %row.request, charge = %row.charge, "a request ended without settlement");
            self.end(row);
        }
    }
}

/// CONTRACT, section 4: beyond this the usage is not believed.
pub const CHARGE_PER_HOLD_MAX: i64 = 10;
/// Nobody knows what the client still received; the fault was ours.
const STATUS_INTERRUPTED: u16 = 500;
