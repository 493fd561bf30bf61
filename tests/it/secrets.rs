//! Canaries: a provider's key, a client's key and an upstream's address are in no log line, no metric and no answer,
//! whatever goes wrong, at the most talkative log level.

use serde_json::json;

use crate::support::upstream::{delta_event, usage};
use crate::support::*;
use crate::walk::{QUESTION, STREAMED};

const PROVIDER_KEY: &str = "provider-canary-5f1c9a7e";
const PROVIDER_HEADER: &str = "organisation-canary-81b2d3";
const PROMPT: &str = "prompt-canary-44d0c1";

/// An upstream that tells everything it knows, in every way that an upstream can fail.
fn telltale() -> Upstream {
    Upstream::start(|request, nth| {
        let address = request.header("host").unwrap_or_default().to_owned();
        let gossip = format!("key {PROVIDER_KEY} of http://{address}/v1/chat/completions refused: {PROVIDER_HEADER}");
        match nth {
            0 => Reply::chat("hello", usage(10, 2)),
            1 => Reply::error(400, &gossip),
            2 => Reply::error(422, &gossip),
            3 => Reply::error(500, &gossip),
            4 => Reply::json(&json!({"error": {"message": gossip}})),
            5 => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"half\":").close(),
            6 => Reply::stream_head().then_chunk(delta_event("well")).close(),
            7 => {
                let event = format!("data: {}\n\n", json!({"error": {"message": gossip}}));
                Reply::stream_head().then_chunk(delta_event("well")).then_chunk(event).end()
            }
            8 => Reply::default().reset(),
            9 => Reply::raw(format!("HTTP/1.1 {PROVIDER_KEY}\r\n\r\n")).close(),
            10 => Reply::error(429, &gossip),
            _ => Reply::error(401, &gossip),
        }
    })
}

#[tokio::test]
async fn no_secret_is_in_an_answer_a_metric_or_a_log_line() {
    let upstream = telltale();
    let secret = format!("api_keys: [{PROVIDER_KEY}], headers: {{openai-organization: {PROVIDER_HEADER}}}");
    let config = Config::new().upstream(&upstream, &secret).to_yaml().replace("level: info", "level: trace");
    assert!(config.contains("level: trace"), "{config}");
    let mut gateway = Gateway::start_yaml(&config);
    let address = upstream.address().to_string();

    let mut shown = Vec::new();
    for nth in 0..ANSWERS {
        let body = if matches!(nth, 6 | 7) { STREAMED } else { QUESTION };
        let answer = gateway.chat(body.replace("hi", PROMPT)).await;
        shown.push(format!("{}\n{}", answer.head.text(), answer.text()));
        // A breaker that has opened, or a key that rests, would keep the rest from being asked.
        if nth % 4 == 3 || nth == 10 {
            gateway.restart();
        }
    }
    assert_eq!(upstream.count(), ANSWERS, "{shown:#?}");
    shown.extend(every_way_to_refuse(&gateway).await);
    shown.push(metrics(&gateway).await);
    gateway.stop();
    shown.push(gateway.log());

    let logged = gateway.log().matches(r#""message":"request""#).count();
    assert!(logged > ANSWERS, "not every request was logged: {logged}");
    let forbidden = [PROVIDER_KEY, PROVIDER_HEADER, PROMPT, &gateway.key.secret, &address];
    for text in shown {
        let told = forbidden.iter().find(|canary| text.contains(**canary));
        assert!(told.is_none(), "{told:?} was told: {text}");
    }
}

/// Answers of our own, to requests that carry the client's key in ways that may be echoed.
async fn every_way_to_refuse(gateway: &Gateway) -> Vec<String> {
    let secret = gateway.key.secret.clone();
    let bearer = format!("Authorization: Bearer {secret}");
    let requests = [
        get("/v1/key", &secret),
        get("/v1/models", &secret),
        get("/v1/requests/nothing", &secret),
        get(&format!("/v1/{secret}"), &secret),
        get(&format!("/v1/key?api_key={secret}"), ""),
        get("/v1/key", &format!("{secret}x")),
        request("POST", "/v1/chat/completions", &[&bearer, "x-api-key: another"], QUESTION),
        request("POST", "/v1/chat/completions", &[&bearer], "{"),
        request("DELETE", "/v1/chat/completions", &[&bearer], ""),
        request("POST", "/v1/chat/completions", &[&bearer, "Content-Type: text/plain"], QUESTION),
    ];
    let mut shown = Vec::new();
    for request in requests {
        let answer = gateway.send(request).await;
        shown.push(format!("{}\n{}", answer.head.text(), answer.text()));
    }
    shown
}

async fn metrics(gateway: &Gateway) -> String {
    let mut connection = Connection::open(gateway.metrics_address()).await;
    connection.send(get("/metrics", "")).await;
    connection.answer().await.expect(200).text()
}

#[tokio::test]
async fn no_key_is_in_the_storage_in_clear() {
    let upstream = Upstream::hello();
    let mut gateway = Gateway::start(&Config::chain(&[&upstream]));
    let answer = gateway.chat(QUESTION.replace("hi", PROMPT)).await.expect(200);
    gateway.record(&answer.head).await;
    gateway.stop();
    let mut read = 0;
    for entry in std::fs::read_dir(gateway.folder().join("data")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for canary in [gateway.key.secret.as_str(), "upstream-key-0", PROMPT] {
            assert!(memchr::memmem::find(&bytes, canary.as_bytes()).is_none(), "{canary} is stored");
        }
        read += bytes.len();
    }
    assert!(read > 0, "there is no storage to look at");
}

const ANSWERS: usize = 12;
