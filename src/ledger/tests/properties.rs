//! Any mix of steps, in any order and on many threads: the money is always all there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Reserve { key: usize, amount: i64 },
    Extend { hold: usize, by: i64 },
    Checkpoint { hold: usize, charge: i64 },
    Settle { hold: usize, charge: i64 },
    Drop { hold: usize },
    Credit { account: usize, amount: i64 },
    Follow,
}

fn step() -> impl Strategy<Value = Step> {
    let (hold, amount) = (0..8usize, -2..60i64);
    prop_oneof![
        4 => (0..4usize, amount.clone()).prop_map(|(key, amount)| Step::Reserve { key, amount }),
        1 => (hold.clone(), amount.clone()).prop_map(|(hold, by)| Step::Extend { hold, by }),
        1 => (hold.clone(), amount.clone()).prop_map(|(hold, charge)| Step::Checkpoint { hold, charge }),
        2 => (hold.clone(), -5..500i64).prop_map(|(hold, charge)| Step::Settle { hold, charge }),
        1 => hold.prop_map(|hold| Step::Drop { hold }),
        1 => (0..2usize, 1..40i64).prop_map(|(account, amount)| Step::Credit { account, amount }),
        1 => Just(Step::Follow),
    ]
}

/// The same books, kept in the plainest way.
#[derive(Default)]
struct Model {
    credited: [i64; 2],
    announced: [i64; 2],
    charged: [i64; 4],
}

impl Model {
    fn balance(&self, account: usize) -> i64 {
        let charged: i64 = (0..4).filter(|key| account_of(*key) == account).map(|key| self.charged[key]).sum();
        self.credited[account] - charged
    }

    /// What a new hold of this key can take at most.
    fn available(&self, live: &[Live], key: usize) -> i64 {
        let account = account_of(key);
        let of_account = self.balance(account) - held(live, |live| account_of(live.key) == account);
        match BUDGETS[key] {
            Some(budget) => of_account.min(budget - self.charged[key] - held(live, |live| live.key == key)),
            None => of_account,
        }
    }
}

fn held(live: &[Live], of: impl Fn(&Live) -> bool) -> i64 {
    live.iter().filter(|live| of(live)).map(|live| live.amount).sum()
}

struct Live {
    hold: Hold,
    key: usize,
    amount: i64,
    checkpoint: i64,
}

/// Two accounts with two keys each; every second key has a budget.
const BUDGETS: [Option<i64>; 4] = [None, Some(70), None, Some(0)];

fn account_of(key: usize) -> usize {
    key / 2
}

/// CONTRACT, section 4, in one line.
fn booked(amount: i64, charge: i64) -> i64 {
    if charge > 10 * amount { amount } else { charge.max(0) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_interleaving_keeps_the_books(steps in proptest::collection::vec(step(), 1..120), failures in 0..2usize,
                                       promising: bool) {
        let storage = Storage::default();
        let accounts = [AccountId(1), AccountId(2)];
        let mut model = Model { credited: [100, 50], ..Model::default() };
        for (account, credit) in accounts.iter().zip(model.credited) {
            prop_assert_eq!(storage.state().add_account(Nano(credit)), *account);
        }
        for (key, budget) in BUDGETS.iter().enumerate() {
            storage.state().add_key(accounts[account_of(key)], budget.map(Nano));
        }
        storage.state().failures = failures;
        storage.state().promising = promising;
        let options = Options { collect: Duration::ZERO, ..Options::default() };
        let (ledger, _) = Ledger::open(storage.journal(), storage.library(), options, 0).unwrap();
        let keys: Vec<Arc<Key>> = (1..=4).map(|id| ledger.find_key(&hash(id)).unwrap()).collect();
        let mut live: Vec<Live> = vec![];
        let mut ended: HashMap<RequestId, i64> = HashMap::new();

        for step in steps {
            match step {
                Step::Reserve { key, amount } => {
                    // A storage that fails now and then refuses for that reason alone; a hold it admits must fit.
                    let fits = model.available(&live, key) >= amount.max(0);
                    match ledger.reserve(&keys[key], new_hold(), Nano(amount)) {
                        Ok(hold) => {
                            prop_assert!(fits);
                            live.push(Live { hold, key, amount: amount.max(0), checkpoint: 0 });
                        }
                        Err(ReserveError::Insufficient { .. }) => prop_assert!(!fits),
                        Err(ReserveError::Unavailable(_)) => prop_assert!(failures > 0),
                    }
                }
                Step::Extend { hold, by } if hold < live.len() => {
                    let fits = model.available(&live, live[hold].key) >= by.max(0);
                    prop_assert_eq!(live[hold].hold.extend(Nano(by)).is_ok(), fits);
                    if fits {
                        live[hold].amount += by.max(0);
                    }
                }
                Step::Checkpoint { hold, charge } if hold < live.len() => {
                    live[hold].hold.checkpoint(Nano(charge), "u", 1, 1);
                    live[hold].checkpoint = charge;
                }
                Step::Settle { hold, charge } if hold < live.len() => {
                    let Live { hold, key, amount, .. } = live.swap_remove(hold);
                    ended.insert(hold.request(), booked(amount, charge));
                    model.charged[key] += booked(amount, charge);
                    prop_assert_eq!(hold.settle(record(charge)), Nano(booked(amount, charge)));
                }
                Step::Drop { hold } if hold < live.len() => {
                    let Live { hold, key, amount, checkpoint } = live.swap_remove(hold);
                    ended.insert(hold.request(), booked(amount, checkpoint));
                    model.charged[key] += booked(amount, checkpoint);
                }
                Step::Credit { account, amount } => {
                    storage.state().credit(accounts[account], Nano(amount));
                    model.announced[account] += amount;
                }
                Step::Follow => {
                    ledger.follow().unwrap();
                    for account in 0..2 {
                        model.credited[account] += std::mem::take(&mut model.announced[account]);
                    }
                }
                // There is no such hold.
                Step::Extend { .. } | Step::Checkpoint { .. } | Step::Settle { .. } | Step::Drop { .. } => {}
            }
            for (account, id) in accounts.iter().enumerate() {
                let seen = ledger.account(*id).unwrap().balance();
                let held = held(&live, |live| account_of(live.key) == account);
                prop_assert_eq!((seen.balance.0, seen.held.0), (model.balance(account), held));
            }
            for (key, charged) in keys.iter().zip(model.charged) {
                prop_assert_eq!(key.spent().0, charged);
            }
        }

        for Live { hold, key, amount, checkpoint } in live {
            ended.insert(hold.request(), booked(amount, checkpoint));
            model.charged[key] += booked(amount, checkpoint);
        }
        ledger.close().unwrap();
        ledger.follow().unwrap();
        let state = storage.state();
        prop_assert!(state.holds.is_empty());
        prop_assert_eq!(state.requests.iter().map(|(id, row)| (*id, row.charge.0)).collect::<HashMap<_, _>>(), ended);
        for account in accounts {
            let stored = state.accounts[&account].balance;
            let entries = state.entries.iter().filter(|entry| entry.account == account);
            prop_assert_eq!(stored.0, entries.map(|entry| entry.amount.0).sum::<i64>());
            let seen = ledger.account(account).unwrap().balance();
            prop_assert_eq!((seen.balance, seen.held), (stored, Nano::ZERO));
        }
        for key in &keys {
            prop_assert_eq!(state.keys[&key.id()].spent, key.spent());
        }
    }
}

#[test]
fn threads_that_do_everything_at_once_lose_no_money() {
    let scene = scene(20_000, Some(15_000));
    scene.storage.state().promising = true;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let desk = scope.spawn(|| {
            for _ in 0..200 {
                scene.storage.state().credit(scene.account.id, Nano(3));
                scene.ledger.follow().unwrap();
            }
        });
        let watcher = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // No charge here exceeds its hold, so nothing may ever look overdrawn.
                assert!(!scene.account.balance().available.is_negative());
                assert!(!scene.key.budget_left().unwrap().is_negative());
                thread::yield_now();
            }
        });
        let clients: Vec<_> =
            (0..8).map(|_| scope.spawn(|| (0..500i64).for_each(|turn| one_request(&scene, turn)))).collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
        desk.join().unwrap();
        done.store(true, Ordering::Relaxed);
        watcher.join().unwrap();
    });
    scene.ledger.follow().unwrap();
    assert_eq!(scene.balance(), (20_600 - scene.key.spent().0, 0));
    assert_eq!(scene.ledger.stats().holds_open, 0);
    scene.close();
}

fn one_request(scene: &Scene, turn: i64) {
    let Ok(mut hold) = scene.reserve(5 + turn % 7) else { return };
    hold.checkpoint(Nano(1), "u", 1, 1);
    let _ = hold.extend(Nano(turn % 11));
    match turn % 3 {
        0 => drop(hold),
        1 => assert_eq!(hold.settle(record(0)), Nano(0)),
        _ => {
            let amount = hold.amount();
            assert_eq!(hold.settle(record(amount.0)), amount);
        }
    }
}
