//! Holds that a replaced process still runs, in the books of the one that came after it.
//!
//! After an upgrade the old process finishes its streams, but only one may write: it sends its checkpoints and ends here.
//! Its holds were found on disk; until they end their money is set aside here too, so that nobody spends it twice.
//!
//! Always true: a carried hold is given back once, at its end or when its process is gone; what is passed on is in memory
//! before it is queued, and durable before the other process is told so.

use std::collections::HashMap;
use std::sync::Arc;

use crate::core::money::Nano;
use crate::store::contract::{Change, CheckpointRow, OpenHold, Recovery, RequestId, RequestRow};

use super::Ledger;
use super::books::{Account, Key};
use super::writer::LedgerUnavailable;

/// The running requests of another process.
pub struct Carried {
    ledger: Arc<Ledger>,
    open: HashMap<RequestId, CarriedHold>,
}

struct CarriedHold {
    payer: Payer,
    hold: OpenHold,
}

enum Payer {
    Key(Arc<Key>),
    /// The key was deleted while the request runs.
    Account(Arc<Account>),
    /// Neither is known: the storage keeps what memory cannot.
    Nobody,
}

impl Payer {
    fn book(&self, hold: Nano, charge: Nano) {
        match self {
            Payer::Key(key) => key.book(hold, charge),
            Payer::Account(account) => account.book(hold, charge),
            Payer::Nobody => {}
        }
    }
}

impl Carried {
    pub(super) fn new(ledger: Arc<Ledger>, open: Vec<OpenHold>) -> Carried {
        let mut carried = Carried { ledger, open: HashMap::new() };
        for hold in open {
            let payer = carried.payer(&hold.interrupted);
            // Set aside whatever the purse says: it was decided when the request began.
            payer.book(hold.amount.saturating_neg(), Nano::ZERO);
            carried.ledger.holds.carried_over();
            carried.open.insert(hold.interrupted.request, CarriedHold { payer, hold });
        }
        carried
    }

    /// How many still run.
    pub fn running(&self) -> usize {
        self.open.len()
    }

    /// Applies what the other process did and queues it, in its order. Blocks until it is durable, however long that
    /// takes.
    ///
    /// # Errors
    /// [`LedgerUnavailable`] if this ledger is closing: the other process must write it itself.
    pub fn pass_on(&mut self, changes: Vec<Change>) -> Result<(), LedgerUnavailable> {
        let mut last = None;
        for change in changes {
            self.apply(&change);
            last = Some(self.ledger.holds.writer().enqueue(change).ok_or(LedgerUnavailable)?);
        }
        match last {
            Some(last) if !self.ledger.holds.writer().wait_committed(last) => Err(LedgerUnavailable),
            _ => Ok(()),
        }
    }

    /// The other process is gone: what it still ran ends by its last checkpoint, as recovery would end it.
    pub fn end(mut self, now_ms: i64) -> Recovery {
        let mut recovery = Recovery::default();
        let left: Vec<RequestRow> = self.open.values().map(|carried| carried.hold.interrupted.clone()).collect();
        for mut row in left {
            row.duration_ms = u32::try_from(now_ms.saturating_sub(row.started_at_ms)).unwrap_or(0);
            recovery.holds = recovery.holds.saturating_add(1);
            recovery.charged = recovery.charged.saturating_add(row.charge);
            let change = Change::Settle(Box::new(row));
            self.apply(&change);
            // Refused if this process is ending too: then the hold stays on disk for the next start.
            let _ = self.ledger.holds.writer().enqueue(change);
        }
        recovery
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Checkpoint(row) => self.checkpoint(row),
            Change::Settle(row) => self.settle(row),
            Change::Hold(_) | Change::KeyUsed { .. } => {}
        }
    }

    fn checkpoint(&mut self, row: &CheckpointRow) {
        let Some(CarriedHold { payer, hold }) = self.open.get_mut(&row.request) else { return };
        // The stream has outgrown its hold: the other process has let it.
        payer.book(hold.amount.saturating_sub(row.hold), Nano::ZERO);
        hold.amount = row.hold;
        hold.interrupted.charge = row.charge;
        hold.interrupted.upstream.clone_from(&row.upstream);
        hold.interrupted.input_tokens = row.input_tokens;
        hold.interrupted.output_tokens = row.output_tokens;
    }

    fn settle(&mut self, row: &RequestRow) {
        // Not one of its holds: the record of a refused request, or an end that was sent twice.
        let Some(CarriedHold { payer, hold }) = self.open.remove(&row.request) else { return };
        payer.book(hold.amount, row.charge);
        self.ledger.holds.carried_to_its_end();
    }

    fn payer(&self, row: &RequestRow) -> Payer {
        if let Some(key) = self.ledger.key(row.key) {
            return Payer::Key(key);
        }
        match self.ledger.account(row.account) {
            Some(account) => Payer::Account(account),
            None => Payer::Nobody,
        }
    }
}
