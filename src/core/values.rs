//! What people type or programs send as values: ends, spans, days, amounts, addresses, names.
//!
//! One place for the command line and the admin API, so that what the one takes the other takes. An error completes
//! "the value …" and never repeats it. Moments are read with a given clock later: parsing knows no time.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

use super::account;
use super::money::Nano;

/// When something ends: `30d` from now, on a day (at its first moment, UTC), at a moment, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    Never,
    AtMs(i64),
    After(Duration),
}

impl Expiry {
    /// In whole seconds, as it is shown: what is enforced is what people see.
    pub fn at_ms(self, now_ms: i64) -> Option<i64> {
        let end_ms = match self {
            Expiry::Never => return None,
            Expiry::AtMs(at_ms) => at_ms,
            Expiry::After(span) => later(now_ms, span),
        };
        Some(end_ms.saturating_sub(end_ms.rem_euclid(1_000)))
    }
}

impl FromStr for Expiry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Expiry::Never);
        }
        if let Ok(span) = duration(text) {
            return Ok(Expiry::After(span));
        }
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Ok(Expiry::AtMs(moment.as_millisecond()));
        }
        let midnight = calendar_day(text).and_then(|day| day.to_zoned(TimeZone::UTC).ok());
        let midnight = midnight.ok_or(
            "use a span such as 30d, a day such as 2026-12-31, a moment such as \
             2026-12-31T18:00:00Z, or never",
        )?;
        Ok(Expiry::AtMs(midnight.timestamp().as_millisecond()))
    }
}

/// The moment that is `span` after another one; the end of time if there is none.
pub fn later(from_ms: i64, span: Duration) -> i64 {
    from_ms.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)).min(last_ms())
}

/// The last whole second that the calendar can name.
fn last_ms() -> i64 {
    Timestamp::MAX.as_second().saturating_mul(1_000)
}

/// A span as in the configuration: a whole number and `ms`, `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let fault = || "use a whole number with a unit, such as 30m, 24h or 30d".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let count: u64 = count.parse().map_err(|_| fault())?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(fault()),
    };
    count.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(|| "is too long".to_owned())
}

/// A UTC day such as `2026-11-23`, as days since 1970-01-01.
pub fn day(text: &str) -> Result<i32, String> {
    let day = calendar_day(text).ok_or("use a day such as 2026-11-23")?;
    let since = day.duration_since(date(1970, 1, 1));
    Ok(i32::try_from(since.as_hours() / 24).expect("the calendar of ten thousand years has four million days"))
}

/// Exactly `YYYY-MM-DD`: the library alone would also take a time behind it, and drop it.
fn calendar_day(text: &str) -> Option<Date> {
    let plain = text.len() == "2026-11-23".len() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if plain { text.parse().ok() } else { None }
}

/// An amount of money from zero up.
pub fn not_negative(text: &str) -> Result<Nano, String> {
    let amount: Nano = text.parse().map_err(|error| format!("the amount {error}"))?;
    if amount.is_negative() { Err("the amount must not be negative".into()) } else { Ok(amount) }
}

/// An amount of money of either sign.
pub fn amount(text: &str) -> Result<Nano, String> {
    text.parse().map_err(|error| format!("the amount {error}"))
}

/// A model's name.
pub fn model(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("a model's name is missing".into()),
        name => plain_text(name),
    }
}

/// An address or a range such as `203.0.113.0/24`.
pub fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let net: IpNet = text.parse().map_err(|_| "use an address or a range such as 203.0.113.0/24")?;
    Ok(as_clients_are_seen(net.trunc()))
}

/// Clients' addresses are compared in their canonical form, where no IPv4 address is written as an IPv6 one; a range
/// that is written so would never match.
fn as_clients_are_seen(net: IpNet) -> IpNet {
    let IpNet::V6(six) = net else { return net };
    let four = six.addr().to_ipv4_mapped().zip(six.prefix_len().checked_sub(MAPPED_PREFIX_BITS));
    four.and_then(|(address, bits)| Ipv4Net::new(address, bits).ok()).map_or(net, IpNet::V4)
}

/// A line of text that ends up in lists: 1 to 256 characters, no control characters.
pub fn plain_text(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().count() > TEXT_CHARS_MAX {
        return Err(format!("use 1 to {TEXT_CHARS_MAX} characters"));
    }
    if text.chars().any(char::is_control) {
        return Err("use no control characters".into());
    }
    Ok(text.to_owned())
}

/// A key's or an admin token's name: 1 to 128 characters, no control characters.
pub fn label(text: &str) -> Result<String, String> {
    if text.chars().count() > LABEL_CHARS_MAX {
        return Err(format!("use 1 to {LABEL_CHARS_MAX} characters"));
    }
    plain_text(text)
}

/// An account's or a group's name.
pub fn name(text: &str) -> Result<String, String> {
    account::check_name(text).map(|()| text.to_owned())
}

/// Bits of `::ffff:0:0/96`.
const MAPPED_PREFIX_BITS: u8 = 96;
const TEXT_CHARS_MAX: usize = 256;
const LABEL_CHARS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: i64 = 1_795_415_700_125;

    #[test]
    fn durations_have_a_unit() {
        for (text, ms) in
            [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("24h", 86_400_000), ("30d", 2_592_000_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "30",
            "d",
            "-1d",
            "+1d",
            "1.5h",
            "1 d",
            "1D",
            "1w",
            "1h30m",
            "99999999999999999999d",
            "184467440737095516d",
        ] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_end_is_a_span_a_day_a_moment_or_never() {
        let end = |text: &str| text.parse::<Expiry>().map(|expiry| expiry.at_ms(NOW_MS));
        assert_eq!(end("never"), Ok(None));
        assert_eq!(end("30d"), Ok(Some(1_795_415_700_000 + 30 * 86_400_000)));
        assert_eq!(end("1970-01-02"), Ok(Some(86_400_000)));
        assert_eq!(end("1970-01-01T01:00:00+01:00"), Ok(Some(0)));
        assert_eq!(end("1970-01-01T00:00:01.999Z"), Ok(Some(1_000)));
        for text in [
            "",
            "tomorrow",
            "2026-13-01",
            "2026-02-29",
            "2026-12-31T10:00:00",
            "2026-12-31 ",
            "20261231",
            "30",
            "Never",
        ] {
            assert!(end(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn no_end_is_beyond_the_calendar() {
        assert_eq!(Expiry::After(Duration::MAX).at_ms(NOW_MS), Some(last_ms()));
        assert!(Timestamp::from_millisecond(later(i64::MAX, Duration::from_secs(1))).is_ok());
    }

    #[test]
    fn days_count_from_1970() {
        assert_eq!(day("1970-01-01"), Ok(0));
        assert_eq!(day("1969-12-31"), Ok(-1));
        assert_eq!(day("2026-11-23"), Ok(20_780));
        for text in ["2026-2-3", "2026-02-30", "today", "2026-11-23T00:00:00Z", ""] {
            assert!(day(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn text_is_one_visible_line() {
        assert!(plain_text("paid by card").is_ok());
        assert!(plain_text("").is_err() && plain_text("  ").is_err() && plain_text("a\nb").is_err());
        assert!(plain_text(&"x".repeat(257)).is_err() && label(&"x".repeat(129)).is_err());
    }

    #[test]
    fn addresses_are_kept_as_clients_are_seen() {
        let one = |text: &str| network(text).map(|net| net.to_string());
        assert_eq!(one("203.0.113.7/24"), Ok("203.0.113.0/24".into()));
        assert_eq!(one("203.0.113.7"), Ok("203.0.113.7/32".into()));
        assert_eq!(one("::ffff:203.0.113.7"), Ok("203.0.113.7/32".into()));
        assert_eq!(one("::ffff:203.0.113.7/120"), Ok("203.0.113.0/24".into()));
        assert_eq!(one(" 2001:db8::1"), Ok("2001:db8::1/128".into()));
        assert_eq!(one("::/0"), Ok("::/0".into()));
        for text in ["", "any", "300.0.0.1", "10.0.0.0/33", "localhost", "10.0.0.1:80"] {
            assert!(network(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,30}") {
            let _ = text.parse::<Expiry>().map(|expiry| expiry.at_ms(NOW_MS));
            let _ = (duration(&text), day(&text), network(&text), not_negative(&text), plain_text(&text), model(&text));
        }

        #[test]
        fn every_end_is_a_whole_second_and_not_before_its_time(days in 0u64..100_000) {
            let end_ms = format!("{days}d").parse::<Expiry>().unwrap().at_ms(NOW_MS).unwrap();
            prop_assert_eq!(end_ms % 1_000, 0);
            prop_assert!(end_ms > NOW_MS - 1_000 && end_ms <= later(NOW_MS, Duration::from_secs(days * 86_400)));
        }

        #[test]
        fn every_day_survives(days in -700_000i32..2_900_000) {
            let day_text = date(1970, 1, 1).checked_add(jiff::Span::new().days(days)).unwrap().to_string();
            prop_assert_eq!(day(&day_text), Ok(days));
        }
    }
}
