//! Storage in memory with the journal's promises, and switches for what real storage does on bad days.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::core::account::{AccountId, AccountStatus};
use crate::core::key::{KeyHash, KeyId, KeyRecord, KeyStatus, Limits};
use crate::core::money::Nano;
use crate::store::contract::*;

#[derive(Clone, Default)]
pub(super) struct Storage(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    gate: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) accounts: BTreeMap<AccountId, AccountRow>,
    pub(super) keys: BTreeMap<KeyId, KeyRow>,
    pub(super) entries: Vec<LedgerEntry>,
    pub(super) holds: HashMap<RequestId, (HoldRow, Option<CheckpointRow>)>,
    pub(super) requests: BTreeMap<RequestId, RequestRow>,
    pub(super) uses: Vec<(KeyId, i64)>,
    /// Sizes of the groups committed.
    pub(super) commits: Vec<usize>,
    /// Whether holds can be promised; those that are, and not committed yet.
    pub(super) promising: bool,
    pub(super) promised: Vec<Change>,
    /// Commits, promises and prunings that will fail.
    pub(super) failures: usize,
    /// Commits wait while this is set.
    pub(super) hanging: bool,
    /// What each pruning still finds.
    pub(super) prunable: Vec<u64>,
    revisions: HashMap<i64, i64>,
    revision: i64,
}

impl Storage {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    pub(super) fn hang(&self, hanging: bool) {
        self.state().hanging = hanging;
        self.0.gate.notify_all();
    }

    pub(super) fn journal(&self) -> Box<dyn Journal> {
        self.watched_journal().0
    }

    /// The receiver hears of the journal's end by being disconnected.
    pub(super) fn watched_journal(&self) -> (Box<dyn Journal>, mpsc::Receiver<()>) {
        let (alive, watch) = mpsc::channel();
        (Box::new(MemoryJournal { storage: self.clone(), _alive: alive }), watch)
    }

    pub(super) fn library(&self) -> Box<dyn Library> {
        Box::new(self.clone())
    }
}

/// What the Desk would do.
impl State {
    pub(super) fn add_account(&mut self, credit: Nano) -> AccountId {
        let id = AccountId(self.accounts.len() as i64 + 1);
        self.accounts.insert(
            id,
            AccountRow {
                id,
                public_id: format!("acc_{}", id.0),
                name: format!("account{}", id.0),
                group: "default".into(),
                status: AccountStatus::Active,
                balance: Nano::ZERO,
                held: Nano::ZERO,
                created_at_ms: 0,
            },
        );
        self.touch(id.0);
        self.post(id, EntryKind::Credit, credit, None);
        id
    }

    pub(super) fn add_key(&mut self, account: AccountId, budget: Option<Nano>) -> KeyHash {
        let id = KeyId(self.keys.len() as i64 + 1);
        let hash = hash(id.0);
        let record = KeyRecord {
            id,
            public_id: format!("key_{}", id.0),
            account,
            name: "key".into(),
            hash,
            prefix: "sk-tg-…".into(),
            status: KeyStatus::Active,
            expires_at_ms: None,
            models: vec![],
            limits: Limits::default(),
            budget,
            allow_ips: vec![],
        };
        let account_name = self.accounts[&account].name.clone();
        let row = KeyRow { record, account_name, spent: Nano::ZERO, created_at_ms: 0, last_used_at_ms: None };
        self.keys.insert(id, row);
        self.touch_key(id);
        hash
    }

    pub(super) fn credit(&mut self, account: AccountId, amount: Nano) {
        self.post(account, EntryKind::Credit, amount, None);
    }

    pub(super) fn change_account(&mut self, id: AccountId, change: impl FnOnce(&mut AccountRow)) {
        change(self.accounts.get_mut(&id).unwrap());
        self.touch(id.0);
    }

    pub(super) fn change_key(&mut self, id: KeyId, change: impl FnOnce(&mut KeyRecord)) {
        change(&mut self.keys.get_mut(&id).unwrap().record);
        self.touch_key(id);
    }

    pub(super) fn post(&mut self, account: AccountId, kind: EntryKind, amount: Nano, request: Option<RequestId>) {
        let row = self.accounts.get_mut(&account).unwrap();
        row.balance = row.balance.checked_add(amount).unwrap();
        self.entries.push(LedgerEntry {
            seq: self.entries.len() as i64 + 1,
            account,
            kind,
            amount,
            balance_after: row.balance,
            request,
            reference: None,
            note: None,
            at_ms: 0,
        });
    }

    fn touch(&mut self, id: i64) {
        self.revision += 1;
        self.revisions.insert(id, self.revision);
    }

    /// Keys share the table of revisions with accounts, on the other side of zero.
    fn touch_key(&mut self, id: KeyId) {
        self.touch(-id.0);
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Hold(row) if !self.requests.contains_key(&row.request) => {
                self.holds.entry(row.request).or_insert_with(|| (row.as_ref().clone(), None));
            }
            Change::Checkpoint(row) => {
                if let Some((_, checkpoint)) = self.holds.get_mut(&row.request) {
                    *checkpoint = Some(row.as_ref().clone());
                }
            }
            Change::Settle(row) if !self.requests.contains_key(&row.request) => {
                self.holds.remove(&row.request);
                if row.charge > Nano::ZERO {
                    self.post(row.account, EntryKind::Charge, row.charge.saturating_neg(), Some(row.request));
                    let spent = &mut self.keys.get_mut(&row.key).unwrap().spent;
                    *spent = spent.checked_add(row.charge).unwrap();
                }
                self.requests.insert(row.request, row.as_ref().clone());
            }
            Change::Hold(_) | Change::Settle(_) => {}
            Change::KeyUsed { key, at_ms } => self.uses.push((*key, *at_ms)),
        }
    }

    fn fail(&mut self) -> Result<(), StoreError> {
        if self.failures > 0 {
            self.failures -= 1;
            return Err(StoreError::Unavailable("disk full".into()));
        }
        Ok(())
    }
}

pub(super) fn hash(id: i64) -> KeyHash {
    crate::core::key::hash(&id.to_be_bytes())
}

struct MemoryJournal {
    storage: Storage,
    _alive: mpsc::Sender<()>,
}

impl Journal for MemoryJournal {
    fn commit(&mut self, group: &[Change]) -> Result<(), StoreError> {
        assert!(!group.is_empty(), "a commit costs an fsync");
        let mut state = self.storage.0.state.lock();
        self.storage.0.gate.wait_while(&mut state, |state| state.hanging);
        assert!(group.starts_with(&state.promised), "what was promised is committed first");
        state.fail()?;
        state.promised.clear();
        group.iter().for_each(|change| state.apply(change));
        state.commits.push(group.len());
        Ok(())
    }

    fn promise(&mut self, holds: &[Change]) -> Result<bool, StoreError> {
        assert!(!holds.is_empty() && holds.iter().all(|change| matches!(change, Change::Hold(_))));
        let mut state = self.storage.0.state.lock();
        self.storage.0.gate.wait_while(&mut state, |state| state.hanging);
        if !state.promising {
            return Ok(false);
        }
        // Who knows how much of it was written.
        state.promised.extend_from_slice(holds);
        state.fail()?;
        Ok(true)
    }

    fn recover(&mut self, _now_ms: i64) -> Result<Recovery, StoreError> {
        let mut state = self.storage.state();
        let mut recovery = Recovery::default();
        std::mem::take(&mut state.promised).iter().for_each(|change| state.apply(change));
        for (request, (row, checkpoint)) in std::mem::take(&mut state.holds) {
            let charge = checkpoint.map_or(Nano::ZERO, |row| row.charge);
            recovery.holds += 1;
            recovery.charged = recovery.charged.checked_add(charge).unwrap();
            state.post(row.account, EntryKind::Charge, charge.saturating_neg(), Some(request));
        }
        Ok(recovery)
    }

    fn prune(&mut self, _before_ms: i64) -> Result<u64, StoreError> {
        let mut state = self.storage.state();
        state.fail()?;
        Ok(state.prunable.pop().unwrap_or(0))
    }
}

impl Library for Storage {
    fn news(&self, since: Cursor) -> Result<News, StoreError> {
        let state = self.state();
        let beginning = since == Cursor::default();
        let new = |id: i64| state.revisions[&id] > since.revision;
        let shown = |row: &&KeyRow| new(-row.record.id.0) && !(beginning && row.record.status == KeyStatus::Deleted);
        let told = |entry: &&LedgerEntry| !beginning && entry.kind != EntryKind::Charge && entry.seq > since.seq;
        Ok(News {
            accounts: state.accounts.values().filter(|row| new(row.id.0)).cloned().collect(),
            keys: state.keys.values().filter(shown).cloned().collect(),
            entries: state.entries.iter().filter(told).cloned().collect(),
            cursor: Cursor { revision: state.revision, seq: state.entries.len() as i64 },
        })
    }

    fn holds(&self) -> Result<Vec<OpenHold>, StoreError> {
        let state = self.state();
        Ok(state.holds.values().map(|(row, checkpoint)| open_hold(row, checkpoint.as_ref())).collect())
    }

    fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    // The ledger reads news alone; reports are the console's business.

    fn account(&self, _name: &str) -> Result<Option<AccountRow>, StoreError> {
        no_reports()
    }

    fn accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        no_reports()
    }

    fn key(&self, _public_id: &str) -> Result<Option<KeyRow>, StoreError> {
        no_reports()
    }

    fn keys(&self, _account: Option<AccountId>) -> Result<Vec<KeyRow>, StoreError> {
        no_reports()
    }

    fn ledger(&self, _account: AccountId, _before: Option<i64>, _limit: u32) -> Result<Vec<LedgerEntry>, StoreError> {
        no_reports()
    }

    fn admin_tokens(&self) -> Result<Vec<AdminTokenRow>, StoreError> {
        no_reports()
    }

    fn request(&self, _id: RequestId) -> Result<Option<RequestView>, StoreError> {
        no_reports()
    }

    fn requests(&self, _filter: &RequestFilter) -> Result<Vec<RequestView>, StoreError> {
        no_reports()
    }

    fn usage(&self, _filter: &UsageFilter) -> Result<Vec<UsageRow>, StoreError> {
        no_reports()
    }

    fn audit(&self) -> Result<AuditReport, StoreError> {
        no_reports()
    }

    fn backup(&self, _to: &Path, _progress: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError> {
        no_reports()
    }
}

fn open_hold(row: &HoldRow, checkpoint: Option<&CheckpointRow>) -> OpenHold {
    let interrupted = RequestRow {
        request: row.request,
        account: row.account,
        key: row.key,
        endpoint: row.endpoint.to_string(),
        model: row.model.clone(),
        upstream: checkpoint.map(|checkpoint| checkpoint.upstream.clone()).unwrap_or_default(),
        status: 500,
        outcome: Outcome::Interrupted,
        estimated: true,
        anomalous: false,
        streamed: row.streamed,
        input_tokens: checkpoint.map_or(0, |checkpoint| checkpoint.input_tokens),
        cached_input_tokens: 0,
        output_tokens: checkpoint.map_or(0, |checkpoint| checkpoint.output_tokens),
        reasoning_tokens: 0,
        charge: checkpoint.map_or(Nano::ZERO, |checkpoint| checkpoint.charge),
        cost: checkpoint.map_or(Nano::ZERO, |checkpoint| checkpoint.charge),
        price_version: row.price_version.clone(),
        bill: String::new(),
        started_at_ms: row.started_at_ms,
        ttft_ms: None,
        duration_ms: 0,
    };
    OpenHold { amount: checkpoint.map_or(row.amount, |checkpoint| checkpoint.hold), interrupted }
}

fn no_reports<T>() -> Result<T, StoreError> {
    Err(StoreError::Refused("storage in memory gives no reports".into()))
}
