//! The upstreams at run time: which of them can be called now, where they are, and with which key.
//!
//! A catalog says what an upstream is; a [`Fleet`] knows how it is doing. The two are swapped together on a reload, and
//! what was learned about an upstream that stays the same is carried over: a reload must neither wake resting keys nor
//! close an open breaker.
//!
//! Always true: a fleet's members never change, only their state does.

pub mod balance;
pub mod credential;
pub mod demo;
pub mod health;
pub mod probe;
pub mod resolve;
pub mod retries;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use crate::core::catalog::{Catalog, Model, Upstream, UpstreamKind};
use crate::core::secret::Secret;
use balance::Dice;
use credential::KeyRing;
use health::Breaker;
use resolve::Address;
use retries::RetryBudget;

pub struct Fleet {
    members: Vec<Arc<Member>>,
    by_name: HashMap<String, usize>,
    dice: Dice,
}

/// An upstream and how it is doing.
pub struct Member {
    pub upstream: Arc<Upstream>,
    pub breaker: Arc<Breaker>,
    pub retries: Arc<RetryBudget>,
    pub keys: Arc<KeyRing>,
    pub address: Arc<Address>,
}

/// Where the upstream inside this program listens, and the key that it asks for.
#[derive(Clone, Debug)]
pub struct DemoPlace {
    pub address: SocketAddr,
    pub token: Secret,
}

impl Fleet {
    /// The fleet of a catalog.
    ///
    /// An upstream of the same name and base URL as in `previous` keeps its breaker and addresses, and its resting keys
    /// if it has the same keys. Without a `demo` place, demo upstreams are never usable.
    pub fn build(catalog: &Catalog, previous: Option<&Fleet>, demo: Option<&DemoPlace>, now: Instant) -> Fleet {
        let member = |upstream: &Arc<Upstream>| {
            let before = previous.and_then(|fleet| fleet.member(&upstream.name));
            Arc::new(Member::build(upstream, before, demo, now))
        };
        let members: Vec<_> = catalog.upstreams.iter().map(member).collect();
        let names = members.iter().enumerate().map(|(index, member)| (member.upstream.name.clone(), index));
        Fleet { by_name: names.collect(), members, dice: Dice::new() }
    }

    pub fn member(&self, name: &str) -> Option<&Arc<Member>> {
        self.by_name.get(name).map(|index| &self.members[*index])
    }

    /// In the order of the configuration.
    pub fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.members.iter()
    }

    /// Indices into the model's candidates in the order in which they are to be tried now; those that cannot be called
    /// now are left out.
    pub fn order(&self, model: &Model, now: Instant) -> Vec<usize> {
        let usable = |index: usize| {
            let name = &model.candidates[index].upstream.name;
            self.member(name).is_some_and(|member| member.usable(now))
        };
        balance::order(&model.candidates, usable, || self.dice.roll())
    }

    /// Whether at least one upstream could be called.
    pub fn usable(&self, now: Instant) -> bool {
        self.members().any(|member| member.usable(now))
    }

    /// Looks up every name once. To be called before serving and every [`REFRESH_ADDRESSES_EVERY_S`] from then on.
    pub async fn refresh_addresses(&self) {
        let mut look_ups = JoinSet::new();
        for member in self.members().filter(|member| member.address.is_name()) {
            if look_ups.len() >= LOOK_UPS_MAX {
                look_ups.join_next().await;
            }
            let address = Arc::clone(&member.address);
            look_ups.spawn(async move { address.resolve_now().await });
        }
        while look_ups.join_next().await.is_some() {}
    }
}

impl Member {
    fn build(upstream: &Arc<Upstream>, before: Option<&Arc<Member>>, demo: Option<&DemoPlace>, now: Instant) -> Self {
        let upstream = Arc::clone(upstream);
        if upstream.kind == UpstreamKind::Demo {
            return Self::demo(upstream, demo, now);
        }
        let before =
            before.filter(|member| member.upstream.kind != UpstreamKind::Demo && member.upstream.base == upstream.base);
        let keys = before.map(|member| &member.keys).filter(|keys| keys.holds(&upstream.api_keys));
        Member {
            breaker: before.map(|member| Arc::clone(&member.breaker)).unwrap_or_default(),
            retries: before.map(|member| Arc::clone(&member.retries)).unwrap_or_default(),
            keys: keys.cloned().unwrap_or_else(|| Arc::new(KeyRing::new(&upstream.api_keys, now))),
            address: before
                .map(|member| Arc::clone(&member.address))
                .unwrap_or_else(|| Arc::new(Address::of(&upstream.base))),
            upstream,
        }
    }

    /// A demo upstream has no credential of its own: it gets the one of the server inside.
    fn demo(upstream: Arc<Upstream>, demo: Option<&DemoPlace>, now: Instant) -> Self {
        let token = demo.map(|place| place.token.clone());
        Member {
            upstream,
            breaker: Arc::default(),
            retries: Arc::default(),
            keys: Arc::new(KeyRing::new(token.as_slice(), now)),
            address: Arc::new(demo.map_or_else(Address::nowhere, |place| Address::fixed(place.address))),
        }
    }

    /// Whether a request sent here now would have an address, a key and a closed breaker (or be the probe).
    pub fn usable(&self, now: Instant) -> bool {
        self.address.is_known() && self.breaker.allows(now) && self.keys.usable(now)
    }
}

pub const REFRESH_ADDRESSES_EVERY_S: u64 = 30;
/// Look-ups under way at a time: each takes a thread of the blocking pool.
const LOOK_UPS_MAX: usize = 8;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
