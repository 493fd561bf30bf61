//! Holds of a process that was replaced, in the books of its successor.

use super::*;
use crate::store::contract::CheckpointRow;

/// A ledger beside a living process, which runs one hold of 40 with a checkpoint of 7. Balance 100.
struct Beside {
    old: Scene,
    ledger: Arc<Ledger>,
    carried: Carried,
    hold: Hold,
}

fn beside() -> Beside {
    beside_with(|_| ())
}

fn beside_with(meanwhile: impl FnOnce(&Scene)) -> Beside {
    let old = scene(100, Some(60));
    let mut hold = old.hold(40);
    hold.checkpoint(Nano(7), "u", 5, 2);
    block_on(hold.committed()).unwrap();
    let position = hold.request();
    wait(|| old.storage.state().holds.get(&position).is_some_and(|(_, checkpoint)| checkpoint.is_some()));
    meanwhile(&old);
    let options = Options { collect: Duration::ZERO, ..Options::default() };
    let opened = Ledger::open_beside(old.storage.journal(), old.storage.library(), options);
    let (ledger, carried) = opened.unwrap();
    Beside { old, ledger, carried, hold }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn wait(mut condition: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if condition() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("waited in vain");
}

impl Beside {
    /// Balance and held money of the account, what the key has spent, and what its budget leaves.
    fn funds(&self) -> [i64; 4] {
        let Balance { balance, held, .. } = self.ledger.account(self.old.account.id).unwrap().balance();
        let (spent, left) = self
            .ledger
            .key(self.old.key.id())
            .map_or((0, 0), |key| (key.spent().0, key.budget_left().map_or(0, |left| left.0)));
        [balance.0, held.0, spent, left]
    }

    fn end(&self, charge: i64) -> Change {
        let (account, key) = (self.old.account.id, self.old.key.id());
        Change::Settle(Box::new(RequestRow { request: self.hold.request(), account, key, ..record(charge) }))
    }

    fn checkpoint(&self, hold: i64, charge: i64) -> Change {
        Change::Checkpoint(Box::new(CheckpointRow {
            request: self.hold.request(),
            hold: Nano(hold),
            charge: Nano(charge),
            upstream: "v".into(),
            input_tokens: 6,
            output_tokens: 3,
        }))
    }

    fn outcome_on_disk(&self) -> Option<(Outcome, i64, String, u64)> {
        let state = self.old.storage.state();
        let row = state.requests.get(&self.hold.request())?;
        Some((row.outcome, row.charge.0, row.upstream.clone(), row.output_tokens))
    }

    fn settled_on_disk(&self) -> bool {
        let state = self.old.storage.state();
        state.holds.is_empty() && state.requests.contains_key(&self.hold.request())
    }

    fn reserve(&self, amount: i64) -> Result<Hold, ReserveError> {
        let key = self.ledger.key(self.old.key.id()).unwrap();
        self.ledger.reserve(&key, new_hold(), Nano(amount))
    }
}

#[test]
fn what_another_process_holds_cannot_be_spent_here() {
    let scene = beside();
    assert_eq!(scene.funds(), [100, 40, 0, 20]);
    assert_eq!((scene.carried.running(), scene.ledger.stats().holds_open), (1, 1));
    assert_eq!(scene.outcome_on_disk(), None, "it is not settled");
    let Err(ReserveError::Insufficient { available, whose, fits_later, .. }) = scene.reserve(21) else {
        panic!("the budget does not cover it")
    };
    assert_eq!((available, whose, fits_later), (Nano(20), Purse::KeyBudget, true));
    scene.reserve(20).unwrap().settle(record(0));
}

#[test]
fn an_end_that_is_passed_on_is_booked_once_and_durable_when_it_returns() {
    let mut scene = beside();
    let end = scene.end(9);
    scene.carried.pass_on(vec![end.clone()]).unwrap();
    assert!(scene.settled_on_disk());
    assert_eq!(scene.funds(), [91, 0, 9, 51]);
    // The other process did not hear the answer, and sends it again.
    scene.carried.pass_on(vec![end]).unwrap();
    assert_eq!(scene.funds(), [91, 0, 9, 51]);
    assert_eq!((scene.carried.running(), scene.ledger.stats().holds_open), (0, 0));
    let nothing = scene.carried.end(0);
    assert_eq!((nothing.holds, nothing.charged), (0, Nano::ZERO));
    scene.ledger.close().unwrap();
    assert_eq!(scene.old.storage.state().accounts[&scene.old.account.id].balance, Nano(91));
}

#[test]
fn a_checkpoint_that_is_passed_on_changes_what_is_held() {
    let mut scene = beside();
    scene.carried.pass_on(vec![scene.checkpoint(55, 11)]).unwrap();
    assert_eq!(scene.funds(), [100, 55, 0, 5]);
    // More than there is: the other process has let it.
    scene.carried.pass_on(vec![scene.checkpoint(120, 50)]).unwrap();
    assert_eq!(scene.funds(), [100, 120, 0, -60]);
    assert!(scene.reserve(1).is_err());
    scene.carried.pass_on(vec![scene.end(30)]).unwrap();
    assert_eq!(scene.funds(), [70, 0, 30, 30]);
}

#[test]
fn what_a_dead_process_ran_ends_by_its_last_checkpoint() {
    let mut scene = beside();
    scene.carried.pass_on(vec![scene.checkpoint(45, 12)]).unwrap();
    let carried = std::mem::replace(&mut scene.carried, Carried::new(scene.ledger.clone(), Vec::new()));
    let recovery = carried.end(1_007);
    assert_eq!((recovery.holds, recovery.charged), (1, Nano(12)));
    assert_eq!(scene.funds(), [88, 0, 12, 48]);
    scene.ledger.close().unwrap();
    assert_eq!(scene.outcome_on_disk(), Some((Outcome::Interrupted, 12, "v".into(), 3)));
    assert_eq!(scene.old.storage.state().requests[&scene.hold.request()].duration_ms, 1_000);
    assert!(scene.settled_on_disk());
}

#[test]
fn a_checkpoint_from_before_the_upgrade_counts_as_well() {
    let mut scene = beside();
    let carried = std::mem::replace(&mut scene.carried, Carried::new(scene.ledger.clone(), Vec::new()));
    assert_eq!(carried.end(7).charged, Nano(7));
    assert_eq!(scene.funds(), [93, 0, 7, 53]);
}

#[test]
fn a_deleted_key_leaves_the_account_to_pay() {
    let mut scene = beside_with(|old| {
        old.storage.state().change_key(old.key.id(), |key| key.status = KeyStatus::Deleted);
    });
    assert_eq!(scene.funds(), [100, 40, 0, 0]);
    scene.carried.pass_on(vec![scene.end(9)]).unwrap();
    assert_eq!(scene.funds(), [91, 0, 0, 0]);
    assert!(scene.settled_on_disk());
}

#[test]
fn a_closing_ledger_lets_the_other_process_write_itself() {
    let mut scene = beside();
    scene.ledger.close().unwrap();
    assert_eq!(scene.carried.pass_on(vec![scene.end(9)]), Err(LedgerUnavailable));
    assert_eq!(scene.outcome_on_disk(), None);
}

#[test]
fn a_failing_storage_is_waited_for() {
    let mut scene = beside();
    scene.old.storage.state().failures = 2;
    scene.carried.pass_on(vec![scene.end(9)]).unwrap();
    assert!(scene.settled_on_disk());
}

// The other side: a ledger that hands its journal over.

#[test]
fn after_a_hand_over_ends_go_to_the_next_journal_and_new_holds_nowhere() {
    let scene = scene(100, None);
    let (first, second) = (scene.hold(10), scene.hold(20));
    let (asked, next) = mpsc::channel();
    let storage = scene.storage.clone();
    let before = scene.storage.clone();
    scene.ledger.hand_over(Box::new(move || {
        asked.send(before.state().holds.len()).unwrap();
        storage.journal()
    }));
    assert_eq!(next.recv().unwrap(), 2, "everything was written before");
    assert_eq!(scene.refusal(1), ReserveError::Unavailable(LedgerUnavailable));
    assert_eq!(scene.balance(), (100, 30), "and nothing is set aside");
    first.settle(record(3));
    second.settle(record(4));
    assert_eq!(scene.balance(), (93, 0));

    scene.ledger.take_back();
    scene.hold(1).settle(record(1));
    scene.close();
}

#[test]
fn a_hand_over_that_a_stuck_storage_holds_up_can_be_withdrawn() {
    let scene = scene(100, None);
    scene.storage.hang(true);
    let hold = scene.hold(10);
    let (asked, next) = mpsc::channel::<()>();
    scene.ledger.hand_over(Box::new(move || {
        drop(asked);
        unreachable!("it was withdrawn")
    }));
    wait(|| scene.ledger.stats().queue_entries == 1);
    scene.ledger.withdraw();
    assert!(next.recv().is_err(), "the next journal is gone");
    scene.ledger.take_back();
    scene.storage.hang(false);
    hold.settle(record(1));
    scene.hold(1).settle(record(1));
    scene.close();
}

#[test]
fn the_journal_is_released_before_the_next_one_is_opened() {
    let storage = Storage::default();
    let (journal, released) = storage.watched_journal();
    let (ledger, _) = Ledger::open(journal, storage.library(), Options::default(), 0).unwrap();
    let (told, heard) = mpsc::channel();
    ledger.hand_over(Box::new(move || {
        told.send(released.try_recv()).unwrap();
        storage.journal()
    }));
    assert_eq!(heard.recv().unwrap(), Err(mpsc::TryRecvError::Disconnected));
    ledger.close().unwrap();
}
