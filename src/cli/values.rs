//! Words that only the command line has: `none` for no limit, `any` for no choice. The values beside them are
//! [`crate::core::values`].
//!
//! Parsed where the command line is parsed, so a wrong value is a usage fault (exit 2) that names its flag, and nothing
//! has been done yet.

use ipnet::IpNet;

use crate::core::money::Nano;
use crate::core::values;
pub(super) use crate::core::values::{Expiry, amount, day, duration, label, later, name, not_negative, plain_text};

/// A limit, or `none` for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit<T>(pub(super) Option<T>);

/// A count of at least one. Zero is refused: it reads like "no limit" to some and like "nothing" to others.
pub(super) fn count<T: TryFrom<i64>>(text: &str) -> Result<Limit<T>, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    match text.parse::<i64>() {
        Ok(count) if count >= 1 => {
            T::try_from(count).map(|count| Limit(Some(count))).map_err(|_| "is too large".into())
        }
        _ => Err("use a whole number of at least 1, or none for no limit".into()),
    }
}

/// An amount that a key may spend, or `none`.
pub(super) fn budget(text: &str) -> Result<Limit<Nano>, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    not_negative(text).map(|amount| Limit(Some(amount)))
}

/// One item of a list that may also be the single word `any`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item<T> {
    Any,
    One(T),
}

/// The list that the items make; `None` when `any` stands beside others.
pub(super) fn collect<T>(items: Vec<Item<T>>) -> Option<Vec<T>> {
    if items.len() == 1 && matches!(items[0], Item::Any) {
        return Some(Vec::new());
    }
    items.into_iter().map(|item| if let Item::One(value) = item { Some(value) } else { None }).collect()
}

/// A model's name, or `any`.
pub(super) fn model(text: &str) -> Result<Item<String>, String> {
    if text.trim() == "any" { Ok(Item::Any) } else { values::model(text).map(Item::One) }
}

/// An address or a range such as `203.0.113.0/24`, or `any`.
pub(super) fn address(text: &str) -> Result<Item<IpNet>, String> {
    if text.trim() == "any" {
        return Ok(Item::Any);
    }
    values::network(text).map(Item::One).map_err(|fault| format!("{fault}, or any"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limits_are_at_least_one_or_none() {
        assert_eq!(count::<u32>("60"), Ok(Limit(Some(60))));
        assert_eq!(count::<u32>("none"), Ok(Limit(None)));
        assert_eq!(count::<u32>("4294967296"), Err("is too large".into()));
        assert_eq!(count::<u64>("4294967296"), Ok(Limit(Some(4_294_967_296))));
        for text in ["0", "-1", "", "1.5", "unlimited", "9223372036854775808"] {
            assert!(count::<u64>(text).is_err(), "{text:?}");
        }
        assert_eq!(budget("0"), Ok(Limit(Some(Nano::ZERO))));
        assert_eq!(budget("3.00"), Ok(Limit(Some(Nano(3_000_000_000)))));
        assert!(budget("-3").unwrap_err().contains("negative"));
        assert!(amount("NaN").unwrap_err().contains("decimal"));
    }

    #[test]
    fn any_stands_alone() {
        assert_eq!(collect::<u8>(vec![Item::Any]), Some(vec![]));
        assert_eq!(collect(vec![Item::One(1), Item::One(2)]), Some(vec![1, 2]));
        assert_eq!(collect(vec![Item::One(1), Item::Any]), None);
    }

    #[test]
    fn any_is_a_word_of_its_own() {
        assert_eq!(address(" any"), Ok(Item::Any));
        assert_eq!(model("any "), Ok(Item::Any));
        assert_eq!(model(" m"), Ok(Item::One("m".into())));
        assert!(model(" ").is_err() && address("localhost").unwrap_err().ends_with("or any"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,30}") {
            let _ = (address(&text), model(&text), count::<u32>(&text), budget(&text));
        }
    }
}
