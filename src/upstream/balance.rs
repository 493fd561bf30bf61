//! In which order a model's upstreams are tried.
//!
//! Lower priority numbers first. Among equals the first is drawn by weight, the second by weight among the rest, and so
//! on: an upstream that is down leaves its share to the others in proportion to their weights.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::core::catalog::Candidate;

/// Indices of the usable candidates in the order in which they are to be tried.
///
/// `random` gives uniform 64-bit numbers; it is asked only where there is a choice.
pub fn order(candidates: &[Candidate], usable: impl Fn(usize) -> bool, mut random: impl FnMut() -> u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).filter(|index| usable(*index)).collect();
    order.sort_by_key(|index| candidates[*index].priority);
    for place in 0..order.len() {
        let rest = &order[place..];
        let priority = candidates[rest[0]].priority;
        let equals = rest.iter().map(|index| &candidates[*index]).take_while(|other| other.priority == priority);
        let drawn = draw(equals.map(|candidate| candidate.weight), &mut random);
        order.swap(place, place + drawn);
    }
    order
}

/// The position of one weight, drawn in proportion to the weights; 0 if there is no choice.
fn draw(weights: impl Iterator<Item = u32> + Clone, mut random: impl FnMut() -> u64) -> usize {
    if weights.clone().nth(1).is_none() {
        return 0;
    }
    let total = weights.clone().fold(0u64, |sum, weight| sum.saturating_add(weight.into()));
    // The high half of the product lies evenly in 0..total.
    let mut point = ((u128::from(random()) * u128::from(total)) >> 64) as u64;
    for (position, weight) in weights.enumerate() {
        match point.checked_sub(weight.into()) {
            Some(rest) => point = rest,
            None => return position,
        }
    }
    0
}

/// A stream of numbers for choices that nobody gains from guessing, for any number of threads without a lock.
///
/// SplitMix64 (Steele, Lea, Flood 2014), whose state is a plain counter.
pub struct Dice(AtomicU64);

impl Dice {
    pub fn new() -> Self {
        // The standard library's own seed: different in every process, and it cannot fail.
        Dice(AtomicU64::new(RandomState::new().hash_one(0)))
    }

    pub fn roll(&self) -> u64 {
        let mut mixed = self.0.fetch_add(GOLDEN_GAMMA, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl Default for Dice {
    fn default() -> Self {
        Self::new()
    }
}

const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::upstream::testing::upstream;

    fn candidates(shapes: &[(u32, u32)]) -> Vec<Candidate> {
        let upstream = Arc::new(upstream("any"));
        let candidate = |&(priority, weight)| Candidate {
            upstream: Arc::clone(&upstream),
            model: "model".into(),
            priority,
            weight,
        };
        shapes.iter().map(candidate).collect()
    }

    /// How often each candidate comes first in `rounds` orders.
    fn firsts(candidates: &[Candidate], usable: impl Fn(usize) -> bool, rounds: usize) -> Vec<usize> {
        let dice = Dice(AtomicU64::new(42));
        let mut firsts = vec![0; candidates.len()];
        for _ in 0..rounds {
            firsts[order(candidates, &usable, || dice.roll())[0]] += 1;
        }
        firsts
    }

    #[test]
    fn shares_follow_the_weights() {
        let firsts = firsts(&candidates(&[(0, 1), (0, 3), (0, 6), (1, 1_000)]), |_| true, 100_000);
        for (count, share) in firsts.iter().zip([10_000, 30_000, 60_000, 0usize]) {
            assert!(count.abs_diff(share) <= share / 20, "{firsts:?}");
        }
    }

    #[test]
    fn the_share_of_one_that_is_down_goes_to_the_others_by_weight() {
        let firsts = firsts(&candidates(&[(0, 1), (0, 3), (0, 6)]), |index| index != 2, 100_000);
        assert!(firsts[0].abs_diff(25_000) < 1_000 && firsts[2] == 0, "{firsts:?}");
    }

    #[test]
    fn without_a_choice_no_number_is_drawn() {
        let candidates = candidates(&[(2, 5), (1, 5), (3, 5)]);
        assert_eq!(order(&candidates, |_| true, || unreachable!("nothing to choose")), [1, 0, 2]);
        assert!(order(&candidates, |_| false, || unreachable!("nobody there")).is_empty());
    }

    #[test]
    fn the_dice_are_the_published_generator() {
        // First outputs for seed 1234567, as printed by the reference implementation at prng.di.unimi.it.
        let dice = Dice(AtomicU64::new(1_234_567u64.wrapping_add(GOLDEN_GAMMA)));
        assert_eq!([dice.roll(), dice.roll()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    proptest! {
        #[test]
        fn an_order_is_the_usable_ones_by_priority(
            shapes in proptest::collection::vec((0..4u32, 0..u32::MAX, any::<bool>()), 0..12),
            numbers in proptest::collection::vec(any::<u64>(), 12),
        ) {
            let pairs: Vec<_> = shapes.iter().map(|(priority, weight, _)| (*priority, *weight)).collect();
            let mut numbers = numbers.into_iter().cycle();
            let order = order(&candidates(&pairs), |index| shapes[index].2, || numbers.next().unwrap());
            prop_assert!(order.is_sorted_by_key(|index| shapes[*index].0));
            let mut sorted = order.clone();
            sorted.sort_unstable();
            let usable: Vec<_> = (0..shapes.len()).filter(|index| shapes[*index].2).collect();
            prop_assert_eq!(sorted, usable);
        }
    }
}
