//! A configuration that changes under way: taken over whole, or not at all.

use std::fs;

use crate::support::gateway::SIGHUP;
use crate::support::upstream::{DONE_EVENT, delta_event, finish_event, usage, usage_event};
use crate::support::*;
use crate::walk::{QUESTION, STREAMED};

const DEARER: &str = r#"{input: "1.5", output: "6"}"#;
const RELOADED: &str = "tollgate_config_reloads_total{result=\"ok\"}";
const REJECTED: &str = "tollgate_config_reloads_total{result=\"rejected\"}";

async fn wait_for_metric(gateway: &Gateway, name: &str, at_least: f64) {
    eventually(name, || gateway.metric(name), |value| *value >= at_least).await;
}

/// What the next request costs. Asked at the edge: the command line reads the configuration, which may be broken.
async fn charge(gateway: &Gateway) -> String {
    charge_of(gateway, QUESTION).await
}

async fn charge_of(gateway: &Gateway, body: &str) -> String {
    let answer = gateway.chat(body).await.expect(200);
    let path = format!("/v1/requests/{}", answer.header("x-request-id").unwrap());
    let asked = || gateway.get(&path, &gateway.key.secret);
    let booked = |answer: &Answer| answer.status() == 200 && answer.json()["charge"].is_string();
    eventually("it is booked", asked, booked).await.json()["charge"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_changed_file_changes_prices_models_and_upstreams() {
    let (before, after) = (Upstream::hello(), Upstream::hello());
    let gateway = Gateway::start(&Config::chain(&[&before]));
    assert_eq!(charge(&gateway).await, "0.0000027");
    let model = "  new-model:\n    aliases: [newer]\n    upstreams: [{name: u0, model: provider-new}]\n    price: {input: \"1\", output: \"1\"}\n";
    gateway.write_config(&Config::chain(&[&after]).price(DEARER).models(model).to_yaml());
    wait_for_metric(&gateway, RELOADED, 1.0).await;
    assert_eq!(charge(&gateway).await, "0.000027");
    gateway.chat(QUESTION.replace("chat-model", "newer")).await.expect(200);
    assert_eq!(after.last().json()["model"], "provider-new");
    assert_eq!((before.count(), after.count()), (1, 2));
    gateway.audit();
}

#[tokio::test]
async fn a_file_that_is_replaced_is_noticed_again_and_again() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    for (count, price) in [(1.0, DEARER), (2.0, config::PRICE), (3.0, DEARER)] {
        // As editors do it: another file takes the place.
        let beside = gateway.folder().join("tollgate.yaml.new");
        fs::write(&beside, Config::chain(&[&upstream]).price(price).to_yaml()).unwrap();
        fs::rename(&beside, gateway.config_path()).unwrap();
        wait_for_metric(&gateway, RELOADED, count).await;
        let expected = if price == DEARER { "0.000027" } else { "0.0000027" };
        eventually("the price has changed", || charge(&gateway), |charge| charge == expected).await;
    }
}

#[tokio::test]
async fn a_hangup_reads_the_configuration_again() {
    let gateway = Gateway::start(&Config::new());
    gateway.signal(SIGHUP);
    wait_for_metric(&gateway, RELOADED, 1.0).await;
    gateway.signal(SIGHUP);
    wait_for_metric(&gateway, RELOADED, 2.0).await;
    gateway.chat(QUESTION).await.expect(200);
    assert_eq!(gateway.metric(REJECTED).await, 0.0);
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_says_why() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let good = Config::chain(&[&upstream]);
    let broken = good.clone().price("{input: \"-1\", output: \"6\"}").more("unheard_of: 1\n");
    gateway.write_config(&broken.to_yaml());
    wait_for_metric(&gateway, REJECTED, 1.0).await;
    gateway.wait_for_log("the configuration was not reloaded").await;
    let log = gateway.log();
    // Every fault, with its place.
    assert!(log.contains("tollgate.yaml:") && log.contains("unheard_of"), "{log}");
    assert!(log.contains("price") && log.contains("-1"), "{log}");
    assert_eq!(charge(&gateway).await, "0.0000027");
    gateway.write_config("edge: [");
    wait_for_metric(&gateway, REJECTED, 2.0).await;
    fs::remove_file(gateway.config_path()).unwrap();
    gateway.signal(SIGHUP);
    wait_for_metric(&gateway, REJECTED, 3.0).await;

    gateway.write_config(&good.price(DEARER).to_yaml());
    wait_for_metric(&gateway, RELOADED, 1.0).await;
    assert_eq!(charge(&gateway).await, "0.000027");
}

/// Valid as it is, and what a reader sees between the two steps in which many editors write.
#[tokio::test]
async fn a_file_that_is_empty_for_a_moment_takes_no_model_away() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    gateway.write_config("");
    wait_for_metric(&gateway, REJECTED, 1.0).await;
    assert_eq!(charge(&gateway).await, "0.0000027");
    gateway.write_config(&Config::chain(&[&upstream]).price(DEARER).to_yaml());
    wait_for_metric(&gateway, RELOADED, 1.0).await;
    assert_eq!(charge(&gateway).await, "0.000027");
}

#[tokio::test]
async fn a_running_stream_keeps_the_price_that_it_began_with() {
    let go = Signal::new();
    let reply = Reply::stream_head().then_chunk(delta_event("hello")).wait(&go);
    let upstream = Upstream::always(reply.then_chunk(finish_event() + &usage_event(&usage(10, 2)) + DONE_EVENT).end());
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let mut connection = gateway.connect().await;
    connection.send(post("/v1/chat/completions", &gateway.key.secret, STREAMED)).await;
    let head = connection.head().await;
    assert!(connection.piece().await.unwrap().is_some());

    // Its price changes, and its upstream is no longer there.
    let elsewhere = Upstream::hello();
    gateway.write_config(&Config::chain(&[&elsewhere]).price(DEARER).to_yaml());
    wait_for_metric(&gateway, RELOADED, 1.0).await;
    go.set();
    let answer = connection.rest(head).await;
    assert!(answer.text().ends_with(DONE_EVENT));
    let old = gateway.record(&answer.head).await;
    assert_eq!(old["charge"], "0.0000027");
    let answer = gateway.chat(STREAMED).await.expect(200);
    let new = gateway.record(&answer.head).await;
    assert_eq!(new["charge"], "0.000027");
    assert_ne!(old["price_version"], new["price_version"]);
    assert_eq!(elsewhere.count(), 1);
    gateway.audit();
}

#[tokio::test]
async fn limits_and_markups_of_a_group_change_under_way() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    assert_eq!(charge(&gateway).await, "0.0000027");
    gateway.write_config(&Config::chain(&[&upstream]).group("{markup: \"2\", rpm: 2}").to_yaml());
    wait_for_metric(&gateway, RELOADED, 1.0).await;
    let answer = gateway.chat(QUESTION).await;
    let limit = answer.header("x-ratelimit-limit-requests").map(str::to_owned);
    assert_eq!(limit.as_deref(), Some("2"), "{}", answer.head.text());
    if answer.status() == 200 {
        assert_eq!(gateway.record(&answer.head).await["charge"], "0.0000054");
    }
}

#[tokio::test]
async fn what_can_only_be_set_at_the_start_is_said_and_the_rest_is_taken() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    gateway.write_config(&Config::chain(&[&upstream]).edge("max_body: 10B").price(DEARER).to_yaml());
    wait_for_metric(&gateway, RELOADED, 1.0).await;
    assert_eq!(charge(&gateway).await, "0.000027");
    assert!(gateway.log().contains("a change of edge takes effect at the next start"));
}

#[tokio::test]
async fn a_changed_price_book_is_taken_over() {
    let upstream = Upstream::hello();
    let priced = "  priced-model:\n    upstreams: [{name: u0, model: provider-chat}]\n";
    let yaml = Config::chain(&[&upstream]).models(priced).more("price_book: prices.yaml\n").to_yaml();
    let mut gateway = Gateway::prepare_yaml(&yaml);
    let prices = &gateway.folder().join("prices.yaml");
    let book = |output: &str| {
        let text = format!("models:\n  provider-chat:\n    rates:\n      - {{input: \"1\", output: \"{output}\"}}\n");
        fs::write(prices, text).unwrap();
    };
    book("2");
    let key = gateway.new_account("alice", "10");
    gateway.key = key;
    gateway.launch();
    let asked = QUESTION.replace("chat-model", "priced-model");
    assert_eq!(charge_of(&gateway, &asked).await, "0.000014");
    book("4");
    wait_for_metric(&gateway, RELOADED, 1.0).await;
    assert_eq!(charge_of(&gateway, &asked).await, "0.000018");
}
