//! Tokens where nobody has counted them, from bytes.
//!
//! Some answers end without usage: upstreams that never report it, streams that broke off. Their tokenizers are not
//! public or differ, but every other answer of the same model tells how many bytes a token of it has. [`Calibration`]
//! remembers that, per direction, and forgets slowly: a few per cent off on average, where a foreign tokenizer is off by
//! up to a third.
//!
//! Always true: a ratio is between [`RATIO_MIN`] and [`RATIO_MAX`], whatever is reported; no call waits for another.

use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes per token of one model, learned from what its upstreams report.
#[derive(Debug)]
pub struct Calibration {
    input: Ratio,
    output: Ratio,
}

impl Calibration {
    pub fn new() -> Self {
        Calibration { input: Ratio::new(), output: Ratio::new() }
    }

    /// Learns that `bytes` of request text were `tokens` tokens. What cannot be true is ignored.
    pub fn observe_input(&self, bytes: u64, tokens: u64) {
        self.input.observe(bytes, tokens);
    }

    /// Learns that `bytes` of answer text were `tokens` tokens. What cannot be true is ignored.
    pub fn observe_output(&self, bytes: u64, tokens: u64) {
        self.output.observe(bytes, tokens);
    }

    /// Tokens in `bytes` of request text, rounded up.
    pub fn input_tokens(&self, bytes: u64) -> u64 {
        self.input.tokens(bytes)
    }

    /// Tokens in `bytes` of answer text, rounded up.
    pub fn output_tokens(&self, bytes: u64) -> u64 {
        self.output.tokens(bytes)
    }
}

impl Default for Calibration {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes per token as a fixed-point number: an exponentially weighted moving average.
#[derive(Debug)]
struct Ratio(AtomicU32);

impl Ratio {
    fn new() -> Self {
        Ratio(AtomicU32::new(RATIO_START))
    }

    fn observe(&self, bytes: u64, tokens: u64) {
        if tokens < TOKENS_MIN {
            return;
        }
        let observed = u128::from(bytes) * u128::from(ONE) / u128::from(tokens);
        let Ok(observed) = u32::try_from(observed) else { return };
        if !(RATIO_MIN..=RATIO_MAX).contains(&observed) {
            return;
        }
        // An average of two numbers within the bounds stays within them. Relaxed: the number stands for itself.
        self.0.update(Ordering::Relaxed, Ordering::Relaxed, |ratio| {
            let kept = u64::from(ratio) * u64::from(WEIGHT_OF_PAST);
            let mean = (kept + u64::from(observed)) / u64::from(WEIGHT_OF_PAST + 1);
            u32::try_from(mean).unwrap_or(RATIO_MAX)
        });
    }

    fn tokens(&self, bytes: u64) -> u64 {
        let ratio = u128::from(self.0.load(Ordering::Relaxed));
        let tokens = (u128::from(bytes) * u128::from(ONE)).div_ceil(ratio);
        u64::try_from(tokens).unwrap_or(u64::MAX)
    }
}

/// One byte per token, in units of 2^-16.
const ONE: u32 = 1 << 16;
/// Byte-level encodings never make more tokens than bytes.
const RATIO_MIN: u32 = ONE;
const RATIO_MAX: u32 = 16 * ONE;
/// English is near 4.8, Chinese near 4.2 in current vocabularies; code is below.
const RATIO_START: u32 = 4 * ONE;
/// Each observation weighs one part in sixteen.
const WEIGHT_OF_PAST: u32 = 15;
/// Below this the frame around a message weighs more than its text.
const TOKENS_MIN: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn starts_at_four_bytes_and_rounds_up() {
        let calibration = Calibration::default();
        let counts = [0, 1, 4, 5, 4_000].map(|bytes| calibration.input_tokens(bytes));
        assert_eq!(counts, [0, 1, 1, 2, 1_000]);
        assert_eq!(calibration.output_tokens(9), 3);
        assert_eq!(calibration.output_tokens(u64::MAX), u64::MAX / 4 + 1);
    }

    #[test]
    fn approaches_what_is_reported_each_direction_by_itself() {
        let calibration = Calibration::new();
        for _ in 0..200 {
            calibration.observe_input(2_500, 1_000);
        }
        assert!((399..=401).contains(&calibration.input_tokens(1_000)), "{calibration:?}");
        assert_eq!(calibration.output_tokens(1_000), 250);
        for _ in 0..200 {
            calibration.observe_output(9_000, 1_000);
        }
        assert!((999..=1_001).contains(&calibration.output_tokens(9_000)), "{calibration:?}");
        assert!((399..=401).contains(&calibration.input_tokens(1_000)), "{calibration:?}");
    }

    #[test]
    fn one_report_moves_it_by_a_sixteenth() {
        let calibration = Calibration::new();
        calibration.observe_input(2_000, 1_000);
        // 4 − (4 − 2) / 16 = 3.875 bytes per token.
        assert_eq!(calibration.input_tokens(3_875), 1_000);
        assert_eq!(calibration.input_tokens(3_876), 1_001);
    }

    #[test]
    fn nonsense_teaches_nothing() {
        let calibration = Calibration::new();
        for (bytes, tokens) in
            [(0, 0), (100, 0), (0, 100), (60, 15), (99, 100), (1_601, 100), (u64::MAX, 16), (16, u64::MAX)]
        {
            calibration.observe_input(bytes, tokens);
            calibration.observe_output(bytes, tokens);
            assert_eq!(calibration.input_tokens(4_000), 1_000, "{bytes} bytes as {tokens} tokens");
            assert_eq!(calibration.output_tokens(4_000), 1_000, "{bytes} bytes as {tokens} tokens");
        }
    }

    #[test]
    fn no_report_is_lost_between_threads() {
        let together = Calibration::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|_| together.observe_input(8_000, 1_000)));
            }
        });
        let alone = Calibration::new();
        (0..400).for_each(|_| alone.observe_input(8_000, 1_000));
        assert_eq!(together.input_tokens(1_000_000), alone.input_tokens(1_000_000));
    }

    proptest! {
        #[test]
        fn the_ratio_stays_within_its_bounds(reports in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..50),
                                             close in proptest::collection::vec((16..2_000_000u64, 16..200_000u64), 0..50),
                                             bytes in 0..1u64 << 40) {
            let calibration = Calibration::new();
            for (reported, tokens) in reports.into_iter().chain(close) {
                calibration.observe_input(reported, tokens);
            }
            let tokens = calibration.input_tokens(bytes);
            prop_assert!(tokens <= bytes && tokens >= bytes.div_ceil(16));
        }
    }
}
