//! The ledger: money's only door in a running process.
//!
//! - [`books`]: accounts and keys in memory; the one atomic decision over both; following what people change by hand.
//! - [`hold`]: money set aside for a running request, and its one settlement.
//! - [`carried`]: holds that a replaced process still runs, in the books of its successor.
//! - [`tickets`]: what stands in a key's place for one request.
//! - [`writer`]: the thread that makes it durable, many changes to a commit.
//!
//! Memory decides, the journal remembers: admission compares numbers under an account's lock and queues a row, and the
//! answer waits for that row's commit, which runs while the upstream works. A database round trip inside the decision
//! would cost an fsync for each request; a decision without it would forget what a dying process owed.
//!
//! Always true: an account's held money is the sum of its live holds; every hold ends exactly once, with at most one
//! charge; what is queued is written in order, or is still queued.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod books;
mod carried;
mod hold;
mod tickets;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use books::{Account, Balance, Key};
pub use carried::Carried;
pub use hold::{CHARGE_PER_HOLD_MAX, Hold, InsufficientFunds, NewHold, ReserveError};
pub use tickets::{StandIn, Tickets, is_ticket};
pub use writer::{LedgerUnavailable, NextJournal, OnCommit, Options};

use crate::core::account::AccountId;
use crate::core::key::{KeyHash, KeyId};
use crate::core::money::Nano;
use crate::store::contract::{Change, Journal, Library, Outcome, Recovery, RequestRow, StoreError};

use books::Books;
use hold::Holds;
use writer::Writer;

/// The books of this process and the way to disk. Built once, shared by reference.
pub struct Ledger {
    books: Books,
    holds: Arc<Holds>,
    close_wait: Duration,
    pub tickets: Tickets,
}

/// Numbers for metrics, of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Changes that are not yet durable.
    pub queue_entries: u64,
    pub holds_open: u64,
    /// Groups committed, and attempts that failed.
    pub commits: u64,
    pub commit_failures: u64,
    /// Charges that were larger than their hold, and by how much in all.
    pub charges_beyond_hold: u64,
    pub beyond_hold: Nano,
    /// Charges beyond belief that were cut to their hold.
    pub charges_anomalous: u64,
    /// Records of refused requests and key uses that were left out because the queue was filling up.
    pub notes_dropped: u64,
}

impl Ledger {
    /// Settles what a dead process left behind, loads accounts and keys and starts the writer. Blocks on the storage.
    ///
    /// # Errors
    /// [`StoreError`] if the storage cannot be read or written: a gateway without books does not start.
    pub fn open(
        mut journal: Box<dyn Journal>,
        library: Box<dyn Library>,
        options: Options,
        now_ms: i64,
    ) -> Result<(Arc<Ledger>, Recovery), StoreError> {
        // Recovery comes first, so that the balances read next contain its charges and nothing is held.
        let recovery = journal.recover(now_ms)?;
        Ok((Ledger::load(journal, library, options)?, recovery))
    }

    /// As [`Ledger::open`], but the holds on disk are not settled: the process that made them has released the journal,
    /// still runs them, and tells how they end.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_beside(
        journal: Box<dyn Journal>,
        library: Box<dyn Library>,
        options: Options,
    ) -> Result<(Arc<Ledger>, Carried), StoreError> {
        // Whoever has the journal is the only one who changes holds: these are the same when the balances are read next.
        let open = library.holds()?;
        let ledger = Ledger::load(journal, library, options)?;
        let carried = Carried::new(Arc::clone(&ledger), open);
        Ok((ledger, carried))
    }

    fn load(journal: Box<dyn Journal>, library: Box<dyn Library>, options: Options) -> Result<Arc<Ledger>, StoreError> {
        let books = Books::load(library)?;
        let close_wait = options.close_wait;
        let holds = Arc::new(Holds::new(Writer::start(journal, options)?));
        Ok(Arc::new(Ledger { books, holds, close_wait, tickets: Tickets::default() }))
    }

    /// The key with this hash, whatever its status; `None` for a deleted one. Neither allocates nor waits for I/O.
    pub fn find_key(&self, hash: &KeyHash) -> Option<Arc<Key>> {
        self.books.find_key(hash)
    }

    pub fn key(&self, id: KeyId) -> Option<Arc<Key>> {
        self.books.key(id)
    }

    pub fn account(&self, id: AccountId) -> Option<Arc<Account>> {
        self.books.account(id)
    }

    /// In no order.
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        self.books.accounts()
    }

    /// Sets money aside: one decision over the account and the key's budget, then the hold's row is queued. Before a
    /// byte of the answer goes out, wait for [`Hold::committed`].
    ///
    /// An `amount` of zero (a free model) needs no money, only an account that is not in debt. Below zero counts as
    /// zero.
    ///
    /// # Errors
    /// [`ReserveError::Insufficient`] if either purse does not cover it: nothing has changed then.
    /// [`ReserveError::Unavailable`] if its row could not be written for now.
    pub fn reserve(&self, key: &Arc<Key>, hold: NewHold, amount: Nano) -> Result<Hold, ReserveError> {
        self.holds.reserve(key, hold, amount)
    }

    /// Applies what people changed since the last call: accounts, keys, credits. Blocks on the storage.
    ///
    /// # Errors
    /// [`StoreError`] if the storage does not answer; the next call catches up.
    pub fn follow(&self) -> Result<(), StoreError> {
        self.books.follow()
    }

    /// Keeps the record of a request that we refused: no hold, no charge. Best effort: left out while the queue is more
    /// than a quarter full, so that a flood of refusals cannot crowd out money.
    pub fn record_refused(&self, mut row: RequestRow) {
        row.charge = Nano::ZERO;
        row.outcome = Outcome::Refused;
        self.holds.writer().enqueue_note(Change::Settle(Box::new(row)));
    }

    /// Notes that a key was used: at most one write per key in five minutes, best effort as above.
    pub fn key_used(&self, key: &Key, now_ms: i64) {
        if key.note_use(now_ms) {
            self.holds.writer().enqueue_note(Change::KeyUsed { key: key.id(), at_ms: now_ms });
        }
    }

    /// Lets the writer remove the request records that started before this moment, a bounded batch between two commits
    /// until none is left. Returns at once.
    pub fn prune(&self, before_ms: i64) {
        self.holds.writer().prune(before_ms);
    }

    /// Whether a new hold would be accepted: false while the storage cannot write, while the queue is more than half
    /// full, and once closing.
    pub fn healthy(&self) -> bool {
        self.holds.writer().healthy()
    }

    pub fn stats(&self) -> Stats {
        let writer = self.holds.writer();
        let tally = self.holds.tally();
        Stats {
            queue_entries: writer.queue_entries(),
            holds_open: tally.open,
            commits: writer.commits(),
            commit_failures: writer.commit_failures(),
            charges_beyond_hold: tally.beyond_hold,
            beyond_hold: tally.beyond_hold_sum,
            charges_anomalous: tally.anomalous,
            notes_dropped: writer.notes_dropped(),
        }
    }

    /// Writes what is queued, lets go of the journal, and writes what still ends here through the next one: another
    /// process keeps the books now. New holds are refused from here on. Returns at once.
    pub fn hand_over(&self, next: NextJournal) {
        self.holds.writer().hand_over(next);
    }

    /// Drops the next journal if what was queued before it is still not written: the storage may be stuck.
    pub fn withdraw(&self) {
        self.holds.writer().withdraw();
    }

    /// Nobody took the books: they are kept here again.
    pub fn take_back(&self) {
        self.holds.writer().take_back();
    }

    /// Refuses new holds, writes what is queued and lets go of the journal. Blocks for [`Options::close_wait`] at most.
    /// Let running requests settle first: what ends afterwards is left to the next start's recovery.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if not everything could be written in time. Recovery will settle those requests by
    /// their last checkpoint.
    pub fn close(&self) -> Result<(), StoreError> {
        self.holds.writer().close(self.close_wait)
    }
}
