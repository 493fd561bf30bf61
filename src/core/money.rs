//! Money as integers, from the outside world and back.
//!
//! Three units, each an integer, because a float cannot hold a tenth of a cent:
//! - [`Nano`]: balances, holds and charges, in billionths of the billing currency (i64: ±9.2 billion units).
//! - [`Pico`]: prices, in trillionths per token or per unit. One micro-unit per million tokens is one pico-unit per
//!   token, so a price list with six decimals per million is exact.
//! - [`Markup`]: a multiplier in parts per million.
//!
//! Always true: text that is not an exact decimal of the allowed length is refused, never rounded.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount of money in nano-units (10⁻⁹ of the billing currency).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[schema(value_type = String, example = "12.5")]
pub struct Nano(pub i64);

/// A sum of nano-units over all accounts, which may be more than one account can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, utoipa::ToSchema)]
#[schema(value_type = String, example = "12.5")]
pub struct NanoSum(pub i128);

/// A price in pico-units (10⁻¹² of the billing currency) per token, image, second or whatever it is attached to.
/// Never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pico(pub u64);

/// A sum of pico-units, before markup and rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PicoSum(pub u128);

/// What a group's prices are multiplied by, in parts per million: `1_000_000` is list price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Markup(pub u32);

/// Why a decimal was refused. The text is for people and completes "the amount …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    #[error("is not a decimal number such as \"12.5\"")]
    NotDecimal,
    #[error("has more than {0} decimals")]
    TooFine(usize),
    #[error("is too large")]
    TooLarge,
    #[error("must not be negative")]
    Negative,
}

impl Nano {
    pub const ZERO: Nano = Nano(0);
    pub const MAX: Nano = Nano(i64::MAX);

    /// `None` on overflow: the caller decides what a sum beyond nine billion units means.
    pub fn checked_add(self, other: Nano) -> Option<Nano> {
        self.0.checked_add(other.0).map(Nano)
    }

    pub fn checked_sub(self, other: Nano) -> Option<Nano> {
        self.0.checked_sub(other.0).map(Nano)
    }

    pub fn saturating_add(self, other: Nano) -> Nano {
        Nano(self.0.saturating_add(other.0))
    }

    pub fn saturating_sub(self, other: Nano) -> Nano {
        Nano(self.0.saturating_sub(other.0))
    }

    pub fn saturating_neg(self) -> Nano {
        Nano(self.0.saturating_neg())
    }

    pub fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Currency units for metrics only, where Prometheus wants a float.
    pub fn to_units_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl FromStr for Nano {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let value = i64::try_from(parse_scaled(digits, NANO_DECIMALS)?).map_err(|_| DecimalError::TooLarge)?;
        Ok(Nano(if negative { value.saturating_neg() } else { value }))
    }
}

impl fmt::Display for Nano {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        write_scaled(f, u128::from(self.0.unsigned_abs()), NANO_DECIMALS)
    }
}

impl From<Nano> for NanoSum {
    fn from(amount: Nano) -> Self {
        NanoSum(amount.0.into())
    }
}

impl fmt::Display for NanoSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        write_scaled(f, self.0.unsigned_abs(), NANO_DECIMALS)
    }
}

impl Serialize for NanoSum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Nano {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Nano {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Pico {
    /// Reads a price per million tokens, such as `"0.15"`: at most six decimals, at most [`PER_MILLION_MAX`].
    ///
    /// # Errors
    /// [`DecimalError`] if the text is no such decimal.
    pub fn per_million(text: &str) -> Result<Pico, DecimalError> {
        Self::bounded(text, PER_MILLION_DECIMALS)
    }

    /// Reads a price per unit (image, second, call), such as `"0.04"`: at most twelve decimals.
    ///
    /// # Errors
    /// [`DecimalError`] if the text is no such decimal.
    pub fn per_unit(text: &str) -> Result<Pico, DecimalError> {
        Self::bounded(text, PICO_DECIMALS)
    }

    fn bounded(text: &str, decimals: usize) -> Result<Pico, DecimalError> {
        if let Some(digits) = text.strip_prefix('-') {
            // A negative price is a frequent and dangerous typo: it gets its own words.
            return Err(match parse_scaled(digits, decimals) {
                Ok(_) => DecimalError::Negative,
                Err(other) => other,
            });
        }
        let value = parse_scaled(text, decimals)?;
        if value > u128::from(PICO_MAX) {
            return Err(DecimalError::TooLarge);
        }
        Ok(Pico(value as u64))
    }

    /// What a customer with this markup pays, rounded up: for display only. A charge is computed from the exact parts
    /// and rounded once.
    pub fn times(self, markup: Markup) -> Pico {
        let scaled = u128::from(self.0).saturating_mul(u128::from(markup.0)).div_ceil(1_000_000);
        Pico(u64::try_from(scaled).unwrap_or(u64::MAX))
    }

    /// The price as written per million tokens.
    pub fn display_per_million(self) -> String {
        Scaled(u128::from(self.0), PER_MILLION_DECIMALS).to_string()
    }

    /// The price as written per unit.
    pub fn display_per_unit(self) -> String {
        Scaled(u128::from(self.0), PICO_DECIMALS).to_string()
    }
}

impl fmt::Display for PicoSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_scaled(f, self.0, PICO_DECIMALS)
    }
}

impl Serialize for PicoSum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Markup {
    pub const LIST_PRICE: Markup = Markup(1_000_000);

    /// Reads a multiplier such as `"1.25"`: zero to 1000, at most six decimals.
    ///
    /// # Errors
    /// [`DecimalError`] if the text is no such decimal.
    pub fn parse(text: &str) -> Result<Markup, DecimalError> {
        if text.starts_with('-') {
            return Err(DecimalError::Negative);
        }
        let value = parse_scaled(text, PER_MILLION_DECIMALS)?;
        match u32::try_from(value) {
            Ok(ppm) if ppm <= MARKUP_MAX => Ok(Markup(ppm)),
            _ => Err(DecimalError::TooLarge),
        }
    }
}

impl fmt::Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_scaled(f, u128::from(self.0), PER_MILLION_DECIMALS)
    }
}

/// Digits, optionally a point and more digits; no sign, exponent, space or separator.
fn parse_scaled(text: &str, decimals_max: usize) -> Result<u128, DecimalError> {
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return Err(DecimalError::NotDecimal),
        Some(parts) => parts,
        None => (text, ""),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return Err(DecimalError::NotDecimal);
    }
    // Trailing zeros carry no value, so "1.500000000000" is as good as "1.5".
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > decimals_max {
        return Err(DecimalError::TooFine(decimals_max));
    }
    let whole = whole.trim_start_matches('0');
    if whole.len() > WHOLE_DIGITS_MAX {
        return Err(DecimalError::TooLarge);
    }
    let mut value: u128 = 0;
    let padding = std::iter::repeat_n(b'0', decimals_max.saturating_sub(fraction.len()));
    for digit in whole.bytes().chain(fraction.bytes()).chain(padding) {
        value = value.saturating_mul(10).saturating_add(u128::from(digit.saturating_sub(b'0')));
    }
    Ok(value)
}

struct Scaled(u128, usize);

impl fmt::Display for Scaled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_scaled(f, self.0, self.1)
    }
}

/// Writes `value / 10^decimals` without trailing zeros.
fn write_scaled(f: &mut fmt::Formatter<'_>, value: u128, decimals: usize) -> fmt::Result {
    let digits = format!("{value:0>width$}", width = decimals.saturating_add(1));
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(decimals));
    let fraction = fraction.trim_end_matches('0');
    f.write_str(whole)?;
    if !fraction.is_empty() {
        write!(f, ".{fraction}")?;
    }
    Ok(())
}

const NANO_DECIMALS: usize = 9;
const PICO_DECIMALS: usize = 12;
const PER_MILLION_DECIMALS: usize = 6;
/// Twenty digits before the point keep every scaled value far inside 128 bits.
const WHOLE_DIGITS_MAX: usize = 20;
/// 10^16 pico-units: 10,000 units per token or image. Anything dearer is a typing mistake, and staying below keeps
/// `tokens × price × markup` inside 128 bits with room to spare.
pub const PICO_MAX: u64 = 10_000_000_000_000_000;
/// A thousandfold of the list price.
const MARKUP_MAX: u32 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_writes_without_trailing_zeros() {
        for (text, nano) in [
            ("10", 10_000_000_000),
            ("0.000000001", 1),
            ("3.00", 3_000_000_000),
            ("-1.5", -1_500_000_000),
            ("007", 7_000_000_000),
        ] {
            assert_eq!(text.parse::<Nano>(), Ok(Nano(nano)), "{text}");
        }
        assert_eq!(Nano(3_000_000_000).to_string(), "3");
        assert_eq!(Nano(-1).to_string(), "-0.000000001");
        assert_eq!(Nano(i64::MIN).to_string(), "-9223372036.854775808");
    }

    #[test]
    fn refuses_what_is_not_an_exact_decimal() {
        for text in ["", ".", "1.", ".5", "1e3", "NaN", "inf", "+1", "--1", "1,5", " 1", "1 ", "0x1", "١"] {
            assert_eq!(text.parse::<Nano>(), Err(DecimalError::NotDecimal), "{text:?}");
        }
        assert_eq!("0.0000000001".parse::<Nano>(), Err(DecimalError::TooFine(9)));
        assert_eq!("9223372036.854775808".parse::<Nano>(), Err(DecimalError::TooLarge));
        assert_eq!("9".repeat(400).parse::<Nano>(), Err(DecimalError::TooLarge));
    }

    #[test]
    fn prices_are_exact_per_million() {
        assert_eq!(Pico::per_million("0.15"), Ok(Pico(150_000)));
        assert_eq!(Pico::per_million("0.00013"), Ok(Pico(130)));
        assert_eq!(Pico::per_unit("0.04"), Ok(Pico(40_000_000_000)));
        assert_eq!(Pico::per_million("-1"), Err(DecimalError::Negative));
        assert_eq!(Pico::per_million("0.0000001"), Err(DecimalError::TooFine(6)));
        assert_eq!(Pico::per_million("99999999999"), Err(DecimalError::TooLarge));
        assert_eq!(Pico(150_000).display_per_million(), "0.15");
        assert_eq!(Pico(40_000_000_000).display_per_unit(), "0.04");
    }

    #[test]
    fn markup_is_parts_per_million() {
        assert_eq!(Markup::parse("1.0"), Ok(Markup::LIST_PRICE));
        assert_eq!(Markup::parse("1.25").map(|markup| markup.to_string()), Ok("1.25".into()));
        assert_eq!(Markup::parse("-1"), Err(DecimalError::Negative));
        assert_eq!(Markup::parse("1001"), Err(DecimalError::TooLarge));
    }

    proptest! {
        #[test]
        fn every_amount_survives_text(nano in any::<i64>().prop_filter("abs", |n| *n != i64::MIN)) {
            prop_assert_eq!(Nano(nano).to_string().parse::<Nano>(), Ok(Nano(nano)));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Nano>();
            let _ = Pico::per_million(&text);
            let _ = Markup::parse(&text);
        }
    }
}
