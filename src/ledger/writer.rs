//! The writer: one thread that makes changes durable, many to a commit.
//!
//! An fsync costs milliseconds, a row microseconds, so rows wait for each other, in two lanes. Holds are what answers
//! wait for: they are promised as soon as somebody does, or after [`Options::linger`], which makes them durable and is
//! cheap. Everything else nobody waits for, and touches a dozen pages however little it is: it is committed
//! [`Options::linger`] after the first of it came, with all holds until that moment, so that a hundred settlements share
//! those pages and a hold whose request has ended by then costs none. A hold that runs on alone is committed
//! [`PROMISED_FOR`] after its promise. Two writes begin at least [`Options::collect`] apart. The thread is woken out of
//! idleness and by those who wait, never for each change: a futex call per change costs a quarter of the CPU on small
//! requests.
//!
//! Everything is a position in its lane. `pushed` counts what came, `committed` what is durable, and `stuck_at` is
//! the furthest position that the storage failed to write, by an error or within a waiter's patience. All three only
//! grow, so "the storage can write" is a comparison that heals by itself: `committed >= stuck_at`.
//!
//! Always true: within a lane changes are written in the order in which they came, and a hold never after what became of
//! its request; a failed group is kept and tried again until it is written; nothing is dropped unless [`Writer::close`]
//! runs out of time, and then recovery makes up for it. A panic here ends the process: books that can no longer be
//! written must not be spent from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use crate::store::contract::{Change, Journal, StoreError};

/// Told after each commit how long it took and how many changes it held.
pub type OnCommit = Box<dyn Fn(Duration, usize) + Send + Sync>;

pub struct Options {
    /// Changes that may wait for their commit. Above half of it new holds are refused, above a quarter notes are left
    /// out; the ends of running requests are always taken.
    pub queue_max: usize,
    /// Two commits begin at least this far apart.
    pub collect: Duration,
    /// A change that nobody waits for is durable at the latest after this.
    pub linger: Duration,
    /// How long [`Hold::committed`](super::Hold::committed) waits.
    pub commit_wait: Duration,
    /// How long [`Ledger::close`](super::Ledger::close) waits.
    pub close_wait: Duration,
    pub on_commit: OnCommit,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            queue_max: 65_536,
            collect: Duration::from_millis(2),
            linger: Duration::from_millis(25),
            commit_wait: Duration::from_secs(2),
            close_wait: Duration::from_secs(10),
            on_commit: Box::new(|_, _| ()),
        }
    }
}

/// Opens the journal that comes after the present one. Runs on the writer's thread, when the present one is released.
pub type NextJournal = Box<dyn FnOnce() -> Box<dyn Journal> + Send>;

/// The storage cannot write for now, its queue is too long, or the ledger is closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger cannot be written for the moment")]
pub struct LedgerUnavailable;

/// The way to the writer thread. When the last user drops it, the thread writes what is left and ends.
pub(super) struct Writer {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// There is work for a parked writer.
    work: Condvar,
    /// The writer has ended.
    ended: Condvar,
    /// `holds.committed` has grown.
    holds_durable: Notify,
    accepting: AtomicBool,
    holds: Progress,
    others: Progress,
    commits: AtomicU64,
    commit_failures: AtomicU64,
    notes_dropped: AtomicU64,
    options: Options,
}

/// How far a lane has come.
#[derive(Default)]
struct Progress {
    pushed: AtomicU64,
    committed: AtomicU64,
    stuck_at: AtomicU64,
}

impl Progress {
    /// Only while the queue is locked.
    fn push(&self) -> u64 {
        let position = self.pushed.load(Ordering::Relaxed).saturating_add(1);
        self.pushed.store(position, Ordering::Relaxed);
        position
    }

    /// Changes that are not durable yet: waiting, or in the commit that is running.
    fn waiting(&self) -> u64 {
        let committed = self.committed.load(Ordering::Relaxed);
        self.pushed.load(Ordering::Relaxed).saturating_sub(committed)
    }

    /// Where it will be when so many more are durable. Only the writer's thread moves it on.
    fn after(&self, more: usize) -> u64 {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        self.committed.load(Ordering::Relaxed).saturating_add(more)
    }

    fn advance(&self, more: usize) {
        self.committed.store(self.after(more), Ordering::Release);
    }

    fn moves(&self) -> bool {
        self.committed.load(Ordering::Relaxed) >= self.stuck_at.load(Ordering::Relaxed)
    }
}

/// Where a change stands in its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    is_hold: bool,
    nth: u64,
}

#[derive(Default)]
struct Queue {
    holds: Vec<Change>,
    others: Vec<Change>,
    prune_before_ms: Option<i64>,
    /// Takes the journal's place when all that is queued is written.
    next_journal: Option<NextJournal>,
    /// Another process decides over new holds; what runs here may still end.
    holds_refused: bool,
    /// The writer sleeps until it is told.
    parked: bool,
    /// Somebody waits for the holds that are queued, or for all.
    holds_urgent: bool,
    all_urgent: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// No new holds; what comes is still written.
    Closing,
    /// Nothing is taken any more.
    Closed,
    /// And the journal is released.
    Ended,
}

impl Writer {
    pub(super) fn start(journal: Box<dyn Journal>, options: Options) -> Result<Writer, StoreError> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            work: Condvar::new(),
            ended: Condvar::new(),
            holds_durable: Notify::new(),
            accepting: AtomicBool::new(true),
            holds: Progress::default(),
            others: Progress::default(),
            commits: AtomicU64::new(0),
            commit_failures: AtomicU64::new(0),
            notes_dropped: AtomicU64::new(0),
            options,
        });
        let writer = Writer { shared: Arc::clone(&shared) };
        thread::Builder::new()
            .name("ledger".into())
            .spawn(move || shared.run(journal))
            .map_err(|error| StoreError::Unavailable(error.into()))?;
        Ok(writer)
    }

    /// Puts a change at the end of its lane and returns its position; `None` once the ledger is closed, and for a new
    /// hold once it is handed over.
    pub(super) fn enqueue(&self, change: Change) -> Option<Position> {
        let is_hold = is_hold(&change);
        let mut queue = self.shared.queue.lock();
        let refused = queue.holds_refused && is_hold;
        if refused || matches!(queue.state, State::Closed | State::Ended) {
            return None;
        }
        if is_hold {
            queue.holds.push(change)
        } else {
            queue.others.push(change)
        }
        let nth = self.shared.lane(is_hold).push();
        let parked = std::mem::take(&mut queue.parked);
        drop(queue);
        if parked {
            self.shared.work.notify_one();
        }
        Some(Position { is_hold, nth })
    }

    /// The same for what may be lost: left out while money needs the room.
    pub(super) fn enqueue_note(&self, change: Change) {
        let crowded = self.queue_entries() > self.share_of_queue(4);
        if crowded || self.enqueue(change).is_none() {
            self.shared.notes_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn prune(&self, before_ms: i64) {
        let mut queue = self.shared.queue.lock();
        queue.prune_before_ms = Some(before_ms);
        self.shared.work.notify_one();
    }

    /// Writes what is queued, releases the journal and goes on with the next one. No hold is taken from here on, so that
    /// the next journal never sees one.
    pub(super) fn hand_over(&self, next: NextJournal) {
        let mut queue = self.shared.queue.lock();
        queue.holds_refused = true;
        queue.next_journal = Some(next);
        queue.all_urgent = true;
        self.shared.work.notify_one();
    }

    /// Drops a next journal that was not opened yet. One that is being opened stays.
    pub(super) fn withdraw(&self) {
        let next = self.shared.queue.lock().next_journal.take();
        drop(next);
    }

    /// Takes new holds again.
    pub(super) fn take_back(&self) {
        self.shared.queue.lock().holds_refused = false;
    }

    pub(super) fn is_committed(&self, position: Position) -> bool {
        self.shared.lane(position.is_hold).committed.load(Ordering::Acquire) >= position.nth
    }

    /// Waits until a hold is durable.
    pub(super) async fn committed(&self, position: Position) -> Result<(), LedgerUnavailable> {
        if self.is_committed(position) {
            return Ok(());
        }
        self.hurry(|queue| &mut queue.holds_urgent);
        let waiting = async {
            loop {
                // Taken before looking, so that a commit in between is not missed.
                let news = self.shared.holds_durable.notified();
                if self.is_committed(position) {
                    return;
                }
                news.await;
            }
        };
        tokio::time::timeout(self.shared.options.commit_wait, waiting).await.map_err(|_| {
            // A storage that hangs gives no error; whoever waits in vain tells the others.
            self.shared.lane(position.is_hold).stuck_at.fetch_max(position.nth, Ordering::Relaxed);
            LedgerUnavailable
        })
    }

    /// What is queued must not linger.
    fn hurry(&self, which: fn(&mut Queue) -> &mut bool) {
        let mut queue = self.shared.queue.lock();
        if !std::mem::replace(which(&mut queue), true) {
            drop(queue);
            self.shared.work.notify_one();
        }
    }

    pub(super) fn healthy(&self) -> bool {
        let shared = &self.shared;
        shared.accepting.load(Ordering::Relaxed)
            && shared.holds.moves()
            && shared.others.moves()
            && self.queue_entries() <= self.share_of_queue(2)
    }

    /// Changes that are not durable yet: waiting, or in the commit that is running.
    pub(super) fn queue_entries(&self) -> u64 {
        self.shared.holds.waiting().saturating_add(self.shared.others.waiting())
    }

    fn share_of_queue(&self, parts: usize) -> u64 {
        u64::try_from(self.shared.options.queue_max.checked_div(parts).unwrap_or(0)).unwrap_or(u64::MAX)
    }

    pub(super) fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    pub(super) fn commit_failures(&self) -> u64 {
        self.shared.commit_failures.load(Ordering::Relaxed)
    }

    pub(super) fn notes_dropped(&self) -> u64 {
        self.shared.notes_dropped.load(Ordering::Relaxed)
    }

    /// Blocks until a position is durable, however long that takes; false if the thread ends before.
    ///
    /// For one thread that serves nobody: it looks again and again, so that no commit has to tell it.
    pub(super) fn wait_committed(&self, position: Position) -> bool {
        self.hurry(|queue| &mut queue.all_urgent);
        loop {
            let ended = self.shared.queue.lock().state == State::Ended;
            if self.is_committed(position) {
                return true;
            }
            if ended {
                return false;
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Ends the thread when everything is written, or after `wait` with whatever is not.
    pub(super) fn close(&self, wait: Duration) -> Result<(), StoreError> {
        self.begin_close();
        let mut queue = self.shared.queue.lock();
        self.shared.ended.wait_while_for(&mut queue, |queue| queue.state != State::Ended, wait);
        if queue.state != State::Ended {
            // The writer sees this after its next failure and gives up.
            queue.state = State::Closed;
        }
        match self.queue_entries() {
            0 => Ok(()),
            left => Err(StoreError::Unavailable(format!("{left} changes of the ledger were not written").into())),
        }
    }

    fn begin_close(&self) {
        self.shared.accepting.store(false, Ordering::Relaxed);
        let mut queue = self.shared.queue.lock();
        if queue.state == State::Open {
            queue.state = State::Closing;
        }
        self.shared.work.notify_one();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.begin_close();
    }
}

enum Work {
    Promise,
    Commit,
    HandOver(NextJournal),
    Prune(i64),
    End,
}

/// What the writer's thread has taken out of the queue, and since when it has known of what is left.
#[derive(Default)]
struct Round {
    /// What is to be written now.
    group: Vec<Change>,
    /// How many holds at the group's beginning were promised before.
    promised_in_group: usize,
    /// Holds that are durable, and not committed yet.
    promised: Vec<Change>,
    holds_since: Option<Instant>,
    others_since: Option<Instant>,
    promised_since: Option<Instant>,
}

/// How long something may still wait; `None` where there is nothing.
struct Left {
    until_promise: Option<Duration>,
    until_commit: Option<Duration>,
}

impl Left {
    fn is_any(&self) -> bool {
        self.until_promise.is_some() || self.until_commit.is_some()
    }
}

impl Round {
    fn left(&mut self, queue: &Queue, linger: Duration) -> Left {
        let now = Instant::now();
        let left = |since: &mut Option<Instant>, is_empty: bool, patience: Duration| {
            if is_empty {
                *since = None;
                return None;
            }
            let since = *since.get_or_insert(now);
            Some(patience.saturating_sub(now.saturating_duration_since(since)))
        };
        let others = left(&mut self.others_since, queue.others.is_empty(), linger);
        let promised = left(&mut self.promised_since, self.promised.is_empty(), PROMISED_FOR);
        Left {
            until_promise: left(&mut self.holds_since, queue.holds.is_empty(), linger),
            until_commit: others.into_iter().chain(promised).min(),
        }
    }

    fn take_holds(&mut self, queue: &mut Queue) {
        self.group.append(&mut queue.holds);
        self.holds_since = None;
    }

    /// A request's hold comes first, and is not written at all if its end is in the same group.
    fn take_all(&mut self, queue: &mut Queue) {
        self.take_holds(queue);
        self.take_promised();
        self.group.append(&mut queue.others);
        self.others_since = None;
    }

    /// Puts what was promised before the group's new holds.
    fn take_promised(&mut self) {
        self.promised_in_group = self.promised.len();
        self.promised.append(&mut self.group);
        std::mem::swap(&mut self.promised, &mut self.group);
        self.promised_since = None;
    }
}

impl Shared {
    fn lane(&self, is_hold: bool) -> &Progress {
        if is_hold { &self.holds } else { &self.others }
    }

    fn run(&self, mut journal: Box<dyn Journal>) {
        let _guard = AbortOnPanic;
        let mut round = Round::default();
        loop {
            let begun = match self.next(&mut round) {
                Work::Promise => {
                    let begun = Instant::now();
                    if !self.promise(journal.as_mut(), &mut round) {
                        break;
                    }
                    begun
                }
                Work::Commit => {
                    let begun = Instant::now();
                    if !self.commit_all(journal.as_mut(), &mut round) {
                        break;
                    }
                    begun
                }
                Work::HandOver(next) => {
                    // Released first: the next one begins with somebody else opening it.
                    drop(journal);
                    journal = next();
                    continue;
                }
                Work::Prune(before_ms) => {
                    self.prune_some(journal.as_mut(), before_ms);
                    continue;
                }
                Work::End => break,
            };
            thread::sleep(self.options.collect.saturating_sub(begun.elapsed()));
        }
        // Released before anybody is told: the next process may open it at that moment.
        drop(journal);
        self.queue.lock().state = State::Ended;
        self.ended.notify_all();
    }

    /// Waits for work and takes what is due: the new holds, or all that is there.
    fn next(&self, round: &mut Round) -> Work {
        let mut queue = self.queue.lock();
        loop {
            let left = round.left(&queue, self.options.linger);
            let held = round.promised.len().saturating_add(queue.holds.len());
            let crowded = queue.others.len() >= GROUP_MAX || held > GROUP_MAX;
            let all_due = queue.all_urgent || queue.state != State::Open || crowded;
            if left.is_any() && (all_due || left.until_commit.is_some_and(|left| left.is_zero())) {
                queue.all_urgent = false;
                queue.holds_urgent = false;
                round.take_all(&mut queue);
                return Work::Commit;
            }
            let urgent = std::mem::take(&mut queue.holds_urgent);
            if left.until_promise.is_some_and(|left| urgent || left.is_zero()) {
                round.take_holds(&mut queue);
                return Work::Promise;
            }
            if !left.is_any()
                && let Some(next) = queue.next_journal.take()
            {
                return Work::HandOver(next);
            }
            let is_quiet = queue.holds.is_empty() && queue.others.is_empty();
            if let (true, State::Open, Some(before_ms)) = (is_quiet, queue.state, queue.prune_before_ms) {
                return Work::Prune(before_ms);
            }
            if let Some(left) = left.until_promise.into_iter().chain(left.until_commit).min() {
                // No longer: what comes meanwhile is seen only then.
                self.work.wait_for(&mut queue, left.min(self.options.linger));
                continue;
            }
            if queue.state != State::Open {
                queue.state = State::Closed;
                return Work::End;
            }
            queue.parked = true;
            self.work.wait(&mut queue);
            queue.parked = false;
        }
    }

    /// Makes the round's new holds durable, by a commit if there is no cheaper way. False when it gave up.
    fn promise(&self, journal: &mut dyn Journal, round: &mut Round) -> bool {
        let begun = Instant::now();
        let promised = journal.promise(&round.group).unwrap_or_else(|error| {
            tracing::warn!(error = chain(&error), "holds could not be written ahead; they are committed instead");
            false
        });
        if !promised {
            round.take_promised();
            return self.commit_all(journal, round);
        }
        self.durable(begun, round.group.len(), 0);
        round.promised.append(&mut round.group);
        true
    }

    /// Commits the round's group. False when it gave up.
    fn commit_all(&self, journal: &mut dyn Journal, round: &mut Round) -> bool {
        // After an outage the backlog is long: parts let the first waiters go early and keep transactions small.
        let done = round.group.chunks(GROUP_MAX).all(|part| {
            // All that was promised is in the first part.
            let durable = std::mem::take(&mut round.promised_in_group);
            self.commit(journal, part, part.len().saturating_sub(durable))
        });
        round.group.clear();
        done
    }

    /// Commits, however often it takes; false when it was told to give up meanwhile. The last `entries` changes are what
    /// becomes durable by this.
    fn commit(&self, journal: &mut dyn Journal, group: &[Change], entries: usize) -> bool {
        let news = &group[group.len().saturating_sub(entries)..];
        let holds = news.iter().filter(|change| is_hold(change)).count();
        let others = entries.saturating_sub(holds);
        let mut back_off = BACK_OFF_MIN;
        loop {
            let begun = Instant::now();
            let Err(error) = journal.commit(group) else {
                self.durable(begun, holds, others);
                return true;
            };
            self.holds.stuck_at.fetch_max(self.holds.after(holds), Ordering::Relaxed);
            self.others.stuck_at.fetch_max(self.others.after(others), Ordering::Relaxed);
            self.commit_failures.fetch_add(1, Ordering::Relaxed);
            tracing::error!(error = chain(&error), entries, retry_in = ?back_off, "the ledger cannot be written");
            if self.queue.lock().state == State::Closed {
                return false;
            }
            thread::sleep(back_off);
            back_off = back_off.saturating_mul(2).min(BACK_OFF_MAX);
        }
    }

    /// So many more of each lane are on disk.
    fn durable(&self, begun: Instant, holds: usize, others: usize) {
        self.others.advance(others);
        self.commits.fetch_add(1, Ordering::Relaxed);
        if holds > 0 {
            self.holds.advance(holds);
            self.holds_durable.notify_waiters();
        }
        (self.options.on_commit)(begun.elapsed(), holds.saturating_add(others));
    }

    /// One bounded batch; the next one comes after what has been queued meanwhile.
    fn prune_some(&self, journal: &mut dyn Journal, before_ms: i64) {
        let more = journal.prune(before_ms).unwrap_or_else(|error| {
            tracing::warn!(error = chain(&error), "old request records could not be removed; the next round will");
            0
        });
        let mut queue = self.queue.lock();
        if more == 0 && queue.prune_before_ms == Some(before_ms) {
            queue.prune_before_ms = None;
        }
    }
}

fn is_hold(change: &Change) -> bool {
    matches!(change, Change::Hold(_))
}

fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Crash-only: without its writer a process must not go on admitting; the next start recovers.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!("the ledger's writer panicked; the process ends and the next start recovers");
            std::process::abort();
        }
    }
}

/// A hold that is promised, and whose request runs on, is seen by others after this.
const PROMISED_FOR: Duration = Duration::from_millis(250);
/// A transaction of this size takes some tens of milliseconds.
const GROUP_MAX: usize = 4_096;
/// Less than the least distance of two commits.
const LOOK_EVERY: Duration = Duration::from_millis(1);
const BACK_OFF_MIN: Duration = Duration::from_millis(50);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);
