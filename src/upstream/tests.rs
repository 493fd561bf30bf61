//! The fleet: what can be called now, in which order, and what a reload carries over.

use std::time::Duration;

use super::testing::upstream;
use super::*;
use crate::core::catalog::Candidate;

fn catalog(upstreams: Vec<Upstream>) -> Catalog {
    Catalog { upstreams: upstreams.into_iter().map(Arc::new).collect(), ..Catalog::default() }
}

/// A model with these upstreams, by rising priority.
fn model(catalog: &Catalog) -> Model {
    let candidate = |(priority, upstream): (usize, &Arc<Upstream>)| Candidate {
        upstream: Arc::clone(upstream),
        model: "model".into(),
        priority: priority as u32,
        weight: 1,
    };
    Model {
        name: "model".into(),
        aliases: Vec::new(),
        candidates: catalog.upstreams.iter().enumerate().map(candidate).collect(),
        price: Arc::default(),
        max_input_tokens: None,
        max_output_tokens: None,
        output_hold: 1,
    }
}

fn open(breaker: &Arc<Breaker>, now: Instant) {
    while let Some(attempt) = breaker.begin(now) {
        attempt.failed(now);
    }
}

#[test]
fn what_cannot_be_called_is_left_out() {
    let mut unresolved = upstream("unresolved");
    unresolved.base.host = "api.example".into();
    let catalog = catalog(vec![upstream("broken"), upstream("refused"), unresolved, upstream("well")]);
    let now = Instant::now();
    let fleet = Fleet::build(&catalog, None, None, now);
    let model = model(&catalog);
    assert_eq!(fleet.order(&model, now), [0, 1, 3]);
    open(&fleet.member("broken").unwrap().breaker, now);
    fleet.member("refused").unwrap().keys.rest(0, now, credential::REST_DEFAULT);
    assert_eq!(fleet.order(&model, now), [3]);
    assert_eq!(fleet.order(&model, now + Duration::from_secs(30)), [0, 3], "a probe is due");
    open(&fleet.member("well").unwrap().breaker, now);
    assert!(!fleet.usable(now) && fleet.order(&model, now).is_empty());
    assert!(fleet.usable(now + Duration::from_secs(30)));
}

#[test]
fn a_model_of_another_catalog_meets_no_strangers() {
    let (ours, theirs) = (catalog(vec![upstream("ours")]), catalog(vec![upstream("theirs"), upstream("ours")]));
    let now = Instant::now();
    assert_eq!(Fleet::build(&ours, None, None, now).order(&model(&theirs), now), [1]);
}

#[test]
fn state_survives_a_reload_of_what_stays() {
    let now = Instant::now();
    let before =
        Fleet::build(&catalog(vec![upstream("same"), upstream("moved"), upstream("rekeyed")]), None, None, now);
    for member in before.members() {
        open(&member.breaker, now);
        member.keys.rest(0, now, credential::REST_DEFAULT);
    }
    let (mut moved, mut rekeyed) = (upstream("moved"), upstream("rekeyed"));
    moved.base.port = 10;
    rekeyed.api_keys = vec![Secret::new("sk-other")];
    let after = Fleet::build(&catalog(vec![rekeyed, moved, upstream("same")]), Some(&before), None, now);
    let kept = |name| {
        let member = after.member(name).unwrap();
        (!member.breaker.allows(now), !member.keys.usable(now))
    };
    assert_eq!(kept("same"), (true, true));
    assert_eq!(kept("moved"), (false, false));
    assert_eq!(kept("rekeyed"), (true, false));
    assert_eq!(after.member("moved").unwrap().address.next().unwrap().port(), 10);
}

#[test]
fn the_demo_is_called_where_it_listens_with_its_own_key() {
    let mut demo = upstream("demo");
    demo.kind = UpstreamKind::Demo;
    demo.api_keys.clear();
    let catalog = catalog(vec![demo]);
    let now = Instant::now();
    assert!(!Fleet::build(&catalog, None, None, now).usable(now));

    let place = DemoPlace { address: "127.0.0.1:4".parse().unwrap(), token: Secret::new("inside") };
    let fleet = Fleet::build(&catalog, None, Some(&place), now);
    let member = fleet.member("demo").unwrap();
    assert_eq!(member.address.next(), Some(place.address));
    assert_eq!(member.keys.pick(now).unwrap().secret, Some(&place.token));
    assert!(fleet.usable(now));
}

#[tokio::test]
async fn every_name_is_looked_up() {
    let named = (0..20).map(|index| {
        let mut named = upstream(&format!("named-{index}"));
        named.base.host = "localhost".into();
        named
    });
    let fleet = Fleet::build(&catalog(named.collect()), None, None, Instant::now());
    assert!(!fleet.usable(Instant::now()));
    fleet.refresh_addresses().await;
    assert!(fleet.members().all(|member| member.address.is_known()));
}
