//! Guessing made slow: how often a login, and an address, may be wrong.
//!
//! From one address (an IPv6 /64) a login has five wrong tries; after each further one it rests there, twice as long each
//! time, up to a quarter of an hour. From all addresses together it has a hundred an hour, then one in five seconds: many
//! who guess are slowed down, and none of them keeps its owner out. An address has thirty tries in ten minutes, whatever
//! it guesses: passwords, codes, links. Who succeeds starts anew.
//!
//! Always true: memory is bounded. When there is no more room, what has rested longest is forgotten first.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::problem::Problem;
use crate::core::account::{NAME_CHARS_MAX, folded};
use crate::core::address::Origin;

pub(super) struct Attempts {
    /// By login, from one address or from any.
    logins: Mutex<HashMap<(String, Option<Origin>), Wrong>>,
    addresses: Mutex<HashMap<Origin, Wrong>>,
}

/// What went wrong so far.
#[derive(Clone, Copy)]
struct Wrong {
    count: u32,
    /// The first of these wrong tries, for a window; the latest, for a rest.
    since: Instant,
    until: Instant,
}

impl Attempts {
    pub(super) fn new() -> Attempts {
        Attempts { logins: Mutex::default(), addresses: Mutex::default() }
    }

    /// Takes a try of this address, before it is known whether it is right: of many at once, no more get through than one
    /// after the other.
    ///
    /// # Errors
    /// 429 while this address has to wait.
    pub(super) fn try_address(&self, address: IpAddr, now: Instant) -> Result<(), Problem> {
        let (origin, mut addresses) = (Origin::of(address), self.addresses.lock());
        let before = addresses.get(&origin).filter(|wrong| wrong.until > now);
        let (count, since) = before.map_or((0, now), |wrong| (wrong.count, wrong.since));
        if count >= ADDRESS_TRIES {
            return Err(wait(since + ADDRESS_WINDOW, now));
        }
        let wrong = Wrong { count: count.saturating_add(1), since, until: since + ADDRESS_WINDOW };
        insert(&mut addresses, origin, wrong, now);
        Ok(())
    }

    /// As [`Attempts::try_address`], for a login that is tried from there.
    ///
    /// # Errors
    /// 429 while this login rests.
    pub(super) fn try_login(&self, login: &str, address: IpAddr, now: Instant) -> Result<(), Problem> {
        let mut logins = self.logins.lock();
        let next = Self::places(login, address).map(|(place, tries, rest_max)| {
            let before = logins.get(&place).filter(|wrong| now.saturating_duration_since(wrong.since) < FORGOTTEN);
            if let Some(wrong) = before.filter(|wrong| wrong.count >= tries && wrong.until > now) {
                return Err(wait(wrong.until, now));
            }
            let count = before.map_or(0, |wrong| wrong.count).saturating_add(1);
            let doublings = count.saturating_sub(tries).min(16);
            let rest = REST_MIN.saturating_mul(1 << doublings).min(rest_max);
            Ok((place, Wrong { count, since: now, until: now + rest }))
        });
        // Only a try that both allow counts in either.
        let [here, anywhere] = next;
        for (place, wrong) in [here?, anywhere?] {
            insert(&mut logins, place, wrong, now);
        }
        Ok(())
    }

    /// What a try counts in, with the tries that are free there and the longest rest.
    fn places(login: &str, address: IpAddr) -> [((String, Option<Origin>), u32, Duration); 2] {
        let login = folded(&login.chars().take(NAME_CHARS_MAX).collect::<String>());
        let here = (login.clone(), Some(Origin::of(address)));
        [(here, LOGIN_TRIES, REST_MAX), ((login, None), LOGIN_TRIES_ANYWHERE, REST_MAX_ANYWHERE)]
    }

    /// It was right, or nobody looked: this try is given back.
    pub(super) fn give_address_back(&self, address: IpAddr) {
        if let Some(wrong) = self.addresses.lock().get_mut(&Origin::of(address)) {
            wrong.count = wrong.count.saturating_sub(1);
        }
    }

    /// Nobody looked: as [`Attempts::give_address_back`]. What went wrong before stays counted.
    pub(super) fn give_login_back(&self, login: &str, address: IpAddr) {
        let mut logins = self.logins.lock();
        for (place, ..) in Self::places(login, address) {
            if let Some(wrong) = logins.get_mut(&place) {
                wrong.count = wrong.count.saturating_sub(1);
            }
        }
    }

    /// Whoever knows the password begins anew.
    pub(super) fn forget_login(&self, login: &str, address: IpAddr) {
        let mut logins = self.logins.lock();
        for (place, ..) in Self::places(login, address) {
            logins.remove(&place);
        }
    }
}

/// Room for one more: first what is over goes, then what began longest ago.
fn insert<K: Eq + Hash + Clone>(all: &mut HashMap<K, Wrong>, key: K, wrong: Wrong, now: Instant) {
    if all.len() >= REMEMBERED_MAX && !all.contains_key(&key) {
        all.retain(|_, wrong| wrong.until > now);
        if all.len() >= REMEMBERED_MAX
            && let Some(oldest) = all.iter().min_by_key(|(_, wrong)| wrong.since).map(|(key, _)| key.clone())
        {
            all.remove(&oldest);
        }
    }
    all.insert(key, wrong);
}

fn wait(until: Instant, now: Instant) -> Problem {
    Problem::too_many_attempts(until.saturating_duration_since(now).as_secs().saturating_add(1))
}

const LOGIN_TRIES: u32 = 5;
const LOGIN_TRIES_ANYWHERE: u32 = 100;
/// Whoever can guess from hundreds of addresses must not be able to lock somebody out either.
const REST_MAX_ANYWHERE: Duration = Duration::from_secs(5);
const REST_MIN: Duration = Duration::from_secs(2);
const REST_MAX: Duration = Duration::from_secs(15 * 60);
/// A login that nobody tried for so long has all its tries again.
const FORGOTTEN: Duration = Duration::from_secs(60 * 60);
const ADDRESS_TRIES: u32 = 30;
const ADDRESS_WINDOW: Duration = Duration::from_secs(10 * 60);
const REMEMBERED_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn address(nth: usize) -> IpAddr {
        Ipv4Addr::from_bits(u32::try_from(nth).unwrap()).into()
    }

    #[test]
    fn a_login_rests_longer_each_time() {
        let (attempts, start, here) = (Attempts::new(), Instant::now(), address(1));
        // However it is spelled: these are all one person.
        for spelling in ["Sisi", "\u{17f}isi", "s\u{131}si", "SISI", "sisi"] {
            assert!(attempts.try_login(spelling, here, start).is_ok());
        }
        let mut now = start;
        for rest in [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            assert!(attempts.try_login("sisi", here, after(now, rest - 1)).is_err(), "{rest}");
            now = after(now, rest);
            assert!(attempts.try_login("si\u{17f}I", here, now).is_ok(), "{rest}");
        }
        assert!(attempts.try_login("sisi", here, now).is_err());
        attempts.give_login_back("sisi", here);
        assert!(attempts.try_login("sisi", here, now).is_err(), "those before are not forgotten");
        assert!(attempts.try_login("sisi", address(2), now).is_ok(), "its owner is somewhere else");
        attempts.forget_login("sisi", here);
        assert!(attempts.try_login("sisi", here, now).is_ok());
        assert!(attempts.try_login("bob", here, start).is_ok());
    }

    #[test]
    fn many_addresses_that_guess_one_login_are_slowed_down_together() {
        let (attempts, start) = (Attempts::new(), Instant::now());
        for nth in 0..100 {
            assert!(attempts.try_login("ada", address(nth), start).is_ok(), "{nth}");
        }
        let mut now = start;
        for nth in 100..110 {
            // The first rest is two seconds, and none is longer than five.
            now = after(now, 5);
            assert!(attempts.try_login("ada", address(nth), now).is_ok(), "{nth}");
            assert!(attempts.try_login("ada", address(nth + 1), after(now, 1)).is_err(), "{nth}");
        }
    }

    #[test]
    fn an_address_has_thirty_in_ten_minutes() {
        let (attempts, start) = (Attempts::new(), Instant::now());
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::ffff".parse().unwrap();
        for nth in 0..30 {
            assert!(attempts.try_address(address, after(start, nth)).is_ok());
        }
        assert!(attempts.try_address(neighbour, after(start, 599)).is_err());
        assert!(attempts.try_address("2001:db8:0:1::1".parse().unwrap(), start).is_ok());
        attempts.give_address_back(neighbour);
        assert!(attempts.try_address(neighbour, after(start, 599)).is_ok());
        assert!(attempts.try_address(neighbour, after(start, 599)).is_err());
        assert!(attempts.try_address(neighbour, after(start, 600)).is_ok());
    }

    #[test]
    fn memory_is_bounded() {
        let (attempts, start) = (Attempts::new(), Instant::now());
        for nth in 0..u64::try_from(REMEMBERED_MAX).unwrap() + 50 {
            assert!(attempts.try_login(&nth.to_string(), address(7), start + Duration::from_micros(nth)).is_ok());
        }
        assert_eq!(attempts.logins.lock().len(), REMEMBERED_MAX);
        assert!(!attempts.logins.lock().contains_key(&("0".to_owned(), None)));
    }
}
