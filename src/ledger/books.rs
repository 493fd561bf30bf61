//! The books in memory: who pays, with which key, out of how much.
//!
//! A running server decides on these numbers alone. They begin as the storage's, then change in two ways only: by the
//! holds and charges of this process, and by what people do by hand, which [`Books::follow`] reads from the storage.
//!
//! Always true: a key's money moves under its account's lock (then its own), so a decision over both purses is one
//! decision. A ledger entry of somebody else is added exactly once; our own charges are never read back.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};

use crate::core::account::{AccountId, AccountStatus};
use crate::core::api_error::Purse;
use crate::core::key::{KeyHash, KeyId, KeyRecord, KeyStatus};
use crate::core::money::Nano;
use crate::store::contract::{AccountRow, Cursor, KeyRow, LedgerEntry, Library, News, StoreError};

pub(super) struct Books {
    directory: RwLock<Directory>,
    follower: Mutex<Follower>,
}

/// Who there is. Read by every request, written only when somebody was added, renamed or removed.
#[derive(Default)]
struct Directory {
    accounts: HashMap<AccountId, Arc<Account>>,
    keys: HashMap<KeyId, Arc<Key>>,
    keys_by_hash: HashMap<KeyHash, Arc<Key>>,
}

struct Follower {
    library: Box<dyn Library>,
    cursor: Cursor,
}

impl Books {
    /// Everything that the storage knows. Nothing is held: recovery has ended all holds before, or they are carried over
    /// one by one.
    pub(super) fn load(library: Box<dyn Library>) -> Result<Books, StoreError> {
        let follower = Mutex::new(Follower { library, cursor: Cursor::default() });
        let books = Books { directory: RwLock::default(), follower };
        books.follow()?;
        Ok(books)
    }

    pub(super) fn find_key(&self, hash: &KeyHash) -> Option<Arc<Key>> {
        self.directory.read().keys_by_hash.get(hash).cloned()
    }

    pub(super) fn key(&self, id: KeyId) -> Option<Arc<Key>> {
        self.directory.read().keys.get(&id).cloned()
    }

    pub(super) fn account(&self, id: AccountId) -> Option<Arc<Account>> {
        self.directory.read().accounts.get(&id).cloned()
    }

    pub(super) fn accounts(&self) -> Vec<Arc<Account>> {
        self.directory.read().accounts.values().cloned().collect()
    }

    /// One reading of the news, applied whole before the next one can begin.
    pub(super) fn follow(&self) -> Result<(), StoreError> {
        let mut follower = self.follower.lock();
        let news = follower.library.news(follower.cursor)?;
        follower.cursor = news.cursor;
        // Four times a second there is nothing new; requests need not wait for the write lock then.
        if !(news.accounts.is_empty() && news.keys.is_empty() && news.entries.is_empty()) {
            self.directory.write().apply(news);
        }
        Ok(())
    }
}

impl Directory {
    fn apply(&mut self, news: News) {
        // Entries go to the accounts that we knew before. The row of an account that is first seen here was read in the
        // same snapshot, so its balance contains them already.
        for entry in &news.entries {
            if let Some(account) = self.accounts.get(&entry.account) {
                account.post(entry);
            }
        }
        for row in news.accounts {
            match self.accounts.get(&row.id) {
                // The stored balance lags behind ours by what is queued, so it is not taken.
                Some(account) => account.facts.store(Arc::new(Facts::of(&row))),
                None => {
                    self.accounts.insert(row.id, Arc::new(Account::new(row)));
                }
            }
        }
        for row in news.keys {
            self.apply_key(row);
        }
    }

    fn apply_key(&mut self, row: KeyRow) {
        let (id, hash) = (row.record.id, row.record.hash);
        if row.record.status == KeyStatus::Deleted {
            if let Some(gone) = self.keys.remove(&id) {
                self.keys_by_hash.remove(&gone.record().hash);
            }
            return;
        }
        if let Some(key) = self.keys.get(&id) {
            let before = key.record.swap(Arc::new(row.record));
            if before.hash != hash {
                self.keys_by_hash.remove(&before.hash);
                self.keys_by_hash.insert(hash, Arc::clone(key));
            }
            return;
        }
        let Some(account) = self.accounts.get(&row.record.account) else {
            tracing::error!(key = %row.record.public_id, "a key belongs to no known account; it is not accepted");
            return;
        };
        let key = Arc::new(Key::new(row, Arc::clone(account)));
        self.keys.insert(id, Arc::clone(&key));
        self.keys_by_hash.insert(hash, key);
    }
}

/// Who pays.
pub struct Account {
    pub id: AccountId,
    public_id: String,
    facts: ArcSwap<Facts>,
    funds: Mutex<AccountFunds>,
}

/// What people may change about an account at any time.
struct Facts {
    name: Arc<str>,
    group: Arc<str>,
    status: AccountStatus,
}

#[derive(Clone, Copy)]
struct AccountFunds {
    balance: Nano,
    held: Nano,
}

impl AccountFunds {
    fn book(&mut self, hold: Nano, charge: Nano) {
        self.held = self.held.saturating_sub(hold);
        self.balance = self.balance.saturating_sub(charge);
    }
}

/// An account's money: `available` is what a new hold can take, `balance` minus `held`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    pub balance: Nano,
    pub held: Nano,
    pub available: Nano,
}

impl Account {
    fn new(row: AccountRow) -> Account {
        let facts = ArcSwap::from_pointee(Facts::of(&row));
        let funds = Mutex::new(AccountFunds { balance: row.balance, held: Nano::ZERO });
        Account { id: row.id, public_id: row.public_id, facts, funds }
    }

    /// `acc_…`.
    pub fn public_id(&self) -> &str {
        &self.public_id
    }

    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.facts.load().name)
    }

    pub fn group(&self) -> Arc<str> {
        Arc::clone(&self.facts.load().group)
    }

    pub fn status(&self) -> AccountStatus {
        self.facts.load().status
    }

    pub fn balance(&self) -> Balance {
        let AccountFunds { balance, held } = *self.funds.lock();
        Balance { balance, held, available: balance.saturating_sub(held) }
    }

    /// [`Key::book`] for a key that is deleted meanwhile: the account pays all the same.
    pub(super) fn book(&self, hold: Nano, charge: Nano) {
        self.funds.lock().book(hold, charge);
    }

    /// An entry that is not ours: a credit, an adjustment, a refund.
    fn post(&self, entry: &LedgerEntry) {
        let mut funds = self.funds.lock();
        funds.balance = funds.balance.saturating_add(entry.amount);
    }
}

impl Facts {
    fn of(row: &AccountRow) -> Facts {
        Facts { name: row.name.as_str().into(), group: row.group.as_str().into(), status: row.status }
    }
}

/// The credential that a client presented, and what it has spent.
pub struct Key {
    pub account: Arc<Account>,
    id: KeyId,
    record: ArcSwap<KeyRecord>,
    /// Only changed while the account's funds are locked.
    funds: Mutex<KeyFunds>,
    /// When its last use was queued for writing.
    used_at_ms: AtomicI64,
}

#[derive(Clone, Copy)]
struct KeyFunds {
    spent: Nano,
    held: Nano,
}

/// Why money could not be set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shortage {
    pub(super) available: Nano,
    pub(super) whose: Purse,
    pub(super) fits_later: bool,
}

impl Key {
    fn new(row: KeyRow, account: Arc<Account>) -> Key {
        Key {
            account,
            id: row.record.id,
            record: ArcSwap::from_pointee(row.record),
            funds: Mutex::new(KeyFunds { spent: row.spent, held: Nano::ZERO }),
            used_at_ms: AtomicI64::new(row.last_used_at_ms.unwrap_or(i64::MIN)),
        }
    }

    pub fn id(&self) -> KeyId {
        self.id
    }

    /// As of now: keep it for the length of one decision, not longer.
    pub fn record(&self) -> Arc<KeyRecord> {
        self.record.load_full()
    }

    pub fn spent(&self) -> Nano {
        self.funds.lock().spent
    }

    /// What a new hold can take out of the key's budget; `None` without a budget.
    pub fn budget_left(&self) -> Option<Nano> {
        let budget = self.record.load().budget?;
        let KeyFunds { spent, held } = *self.funds.lock();
        Some(budget.saturating_sub(spent).saturating_sub(held))
    }

    /// Takes `amount` (not below zero) out of what both purses have available, or changes nothing.
    pub(super) fn set_aside(&self, amount: Nano) -> Result<(), Shortage> {
        let budget = self.record.load().budget;
        let mut account = self.account.funds.lock();
        let mut key = self.funds.lock();

        // Total and held of each purse that has a say.
        let purses = [
            (Purse::Account, Some((account.balance, account.held))),
            (Purse::KeyBudget, budget.map(|budget| (budget.saturating_sub(key.spent), key.held))),
        ];
        for (whose, purse) in purses {
            let Some((total, held)) = purse else { continue };
            let available = total.saturating_sub(held);
            if available < amount {
                let fits_later = purses.iter().filter_map(|(_, purse)| *purse).all(|(total, _)| total >= amount);
                return Err(Shortage { available, whose, fits_later });
            }
        }
        // No overflow: the account's sum stays below its balance, and the key's is a part of the account's.
        account.held = account.held.saturating_add(amount);
        key.held = key.held.saturating_add(amount);
        Ok(())
    }

    /// Gives back what was set aside and takes the charge, in one step: nobody sees money that is in neither place.
    pub(super) fn book(&self, hold: Nano, charge: Nano) {
        let mut account = self.account.funds.lock();
        let mut key = self.funds.lock();
        account.book(hold, charge);
        key.held = key.held.saturating_sub(hold);
        key.spent = key.spent.saturating_add(charge);
    }

    /// Whether this use is worth writing down: true for one caller in [`USE_NOTED_EVERY_MS`].
    pub(super) fn note_use(&self, now_ms: i64) -> bool {
        let noted = self.used_at_ms.load(Ordering::Relaxed);
        now_ms.saturating_sub(noted) >= USE_NOTED_EVERY_MS
            && self.used_at_ms.compare_exchange(noted, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// A write for each request is a classic way to make a key table the bottleneck (mozilla-ai/otari#4).
const USE_NOTED_EVERY_MS: i64 = 300_000;
