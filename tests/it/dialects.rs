//! Three dialects of chat: what a client of each sends, gets and pays, whichever its upstream speaks.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::upstream::{chat_completion, chunk, event, usage};
use crate::support::*;

/// What a provider of each dialect reports for the same: 1000 tokens in, 600 of them from its cache, 100 out.
const CHARGE: &str = "0.000165";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speech {
    Chat,
    Responses,
    Messages,
}

use Speech::{Chat, Messages, Responses};

impl Speech {
    fn path(self) -> &'static str {
        match self {
            Chat => "/v1/chat/completions",
            Responses => "/v1/responses",
            Messages => "/v1/messages",
        }
    }

    /// An upstream that speaks nothing else.
    fn config(self) -> &'static str {
        match self {
            Chat => "speaks: [chat]",
            Responses => "speaks: [responses]",
            Messages => "kind: anthropic",
        }
    }

    fn question(self, stream: bool) -> Value {
        match self {
            Chat | Messages => json!({
                "model": "chat-model", "max_tokens": 500, "stream": stream,
                "messages": [{"role": "user", "content": "hi"}],
            }),
            Responses => json!({"model": "chat-model", "max_output_tokens": 500, "stream": stream, "input": "hi"}),
        }
    }

    fn usage(self) -> Value {
        match self {
            Chat => json!({
                "prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100,
                "prompt_tokens_details": {"cached_tokens": 600},
            }),
            Responses => json!({
                "input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100,
                "input_tokens_details": {"cached_tokens": 600}, "output_tokens_details": {"reasoning_tokens": 0},
            }),
            Messages => json!({"input_tokens": 400, "cache_read_input_tokens": 600, "output_tokens": 100}),
        }
    }

    /// A whole answer that says `hello`.
    fn whole(self) -> Value {
        match self {
            Chat => chat_completion("hello", self.usage()),
            Responses => response("completed", json!([output_message("hello")]), self.usage()),
            Messages => json!({
                "id": "msg_1", "type": "message", "role": "assistant", "model": "provider-chat",
                "content": [{"type": "text", "text": "hello"}], "stop_reason": "end_turn", "stop_sequence": null,
                "usage": self.usage(),
            }),
        }
    }

    /// The same in events, its text in two pieces.
    fn events(self) -> Vec<String> {
        match self {
            Chat => upstream::chat_events(&["hel", "lo"], self.usage()),
            Responses => {
                let mut events = response_events(&["hel", "lo"]);
                let whole = response("completed", json!([output_message("hello")]), self.usage());
                events.push(named(&json!({"type": "response.completed", "sequence_number": 9, "response": whole})));
                events
            }
            Messages => {
                let mut events =
                    message_events(&["hel", "lo"], &json!({"input_tokens": 400, "cache_read_input_tokens": 600}));
                events.push(named(&json!({
                    "type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                    "usage": {"output_tokens": 100},
                })));
                events.push(named(&json!({"type": "message_stop"})));
                events
            }
        }
    }

    /// Answers every request in this dialect, streamed where it is asked to.
    fn upstream(self) -> Upstream {
        Upstream::start(move |request, _| {
            if request.json()["stream"] == true { streamed(&self.events()) } else { Reply::json(&self.whole()) }
        })
    }
}

fn response(status: &str, output: Value, usage: Value) -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 1, "status": status, "error": null,
        "incomplete_details": null, "model": "provider-chat", "output": output, "parallel_tool_calls": true,
        "tool_choice": "auto", "tools": [], "usage": usage,
    })
}

fn output_message(text: &str) -> Value {
    json!({
        "type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    })
}

/// The beginning of a streamed response, up to its last word.
fn response_events(texts: &[&str]) -> Vec<String> {
    let begun = response("in_progress", json!([]), Value::Null);
    let mut events = vec![
        json!({"type": "response.created", "sequence_number": 0, "response": begun}),
        json!({"type": "response.output_item.added", "sequence_number": 1, "output_index": 0,
            "item": {"type": "message", "id": "msg_1", "status": "in_progress", "role": "assistant", "content": []}}),
    ];
    events.extend(texts.iter().map(|text| {
        json!({"type": "response.output_text.delta", "sequence_number": 2, "item_id": "msg_1", "output_index": 0,
            "content_index": 0, "delta": text})
    }));
    events.iter().map(named).collect()
}

/// The beginning of a streamed message, up to its last word.
fn message_events(texts: &[&str], usage: &Value) -> Vec<String> {
    let mut usage = usage.clone();
    usage["output_tokens"] = json!(1);
    let mut events = vec![
        json!({"type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "provider-chat", "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": usage,
        }}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
    ];
    events.extend(
        texts.iter().map(
            |text| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        ),
    );
    events.push(json!({"type": "content_block_stop", "index": 0}));
    events.iter().map(named).collect()
}

/// An event with its name, as these two dialects write them.
fn named(data: &Value) -> String {
    format!("event: {}\n{}", data["type"].as_str().unwrap(), event(data))
}

fn streamed(events: &[String]) -> Reply {
    events.iter().fold(Reply::stream_head(), |reply, event| reply.then_chunk(event)).end()
}

fn chain(upstreams: &[(&Upstream, Speech)]) -> Config {
    upstreams.iter().fold(Config::new(), |config, (upstream, speech)| config.upstream(upstream, speech.config()))
}

#[track_caller]
fn assert_charged(record: &Value, charge: &str, tokens: [u64; 3]) {
    assert_eq!(record["charge"], charge, "{record:#}");
    let counted = ["input_tokens", "cached_input_tokens", "output_tokens"];
    assert_eq!(counted.map(|field| record[field].as_u64().unwrap()), tokens, "{record:#}");
}

#[tokio::test]
async fn each_dialect_is_passed_on_as_it_is_to_an_upstream_that_speaks_it() {
    for speech in [Chat, Responses, Messages] {
        let upstream = speech.upstream();
        let gateway = Gateway::start(&chain(&[(&upstream, speech)]));
        let mut asked = speech.question(false);
        asked["x_unknown"] = json!({"kept": [1.50, "\u{e9}"]});
        let answer = gateway.post(speech.path(), asked.to_string()).await.expect(200);
        assert_eq!(answer.json(), speech.whole(), "{speech:?}");
        asked["model"] = json!("provider-chat");
        assert_eq!(upstream.last().json(), asked);
        assert_eq!(upstream.last().line(), format!("POST {}", speech.path()));
        assert_charged(&gateway.record(&answer.head).await, CHARGE, [1000, 600, 100]);

        let answer = gateway.post(speech.path(), speech.question(true).to_string()).await.expect(200);
        let shown = if speech == Chat {
            // The client did not ask for usage.
            upstream::chat_events(&["hel", "lo"], Value::Null).concat()
        } else {
            speech.events().concat()
        };
        assert_eq!(answer.text(), shown, "{speech:?}");
        assert!(answer.whole && speech == Chat || !answer.text().contains("[DONE]"));
        let record = gateway.record(&answer.head).await;
        assert_charged(&record, CHARGE, [1000, 600, 100]);
        assert_eq!(
            [&record["outcome"], &record["streamed"], &record["estimated"]],
            [&json!("ok"), &json!(true), &json!(false)]
        );
        gateway.audit();
    }
}

#[tokio::test]
async fn anthropics_headers_pass_on_and_no_other_header_does() {
    let upstream = Messages.upstream();
    let gateway = Gateway::start(&chain(&[(&upstream, Messages)]));
    let key = format!("x-api-key: {}", gateway.key.secret);
    let headers = [
        &key,
        "anthropic-version: 2026-10-21",
        "anthropic-beta: one-2025-01-01",
        "anthropic-beta: two-2025-01-01",
        "x-stainless-lang: python",
        "anthropic-organization-id: org",
    ];
    let asked = Messages.question(false).to_string();
    let answer = gateway.send(request("POST", "/v1/messages?beta=true&key=other", &headers, &asked)).await.expect(200);
    assert_eq!(answer.header("request-id"), answer.header("x-request-id"));
    let sent = upstream.last();
    assert_eq!(sent.line(), "POST /v1/messages?beta=true");
    assert_eq!(sent.header("x-api-key"), Some("upstream-key-0"));
    assert_eq!(sent.header("anthropic-version"), Some("2026-10-21"));
    assert_eq!(sent.header("anthropic-beta"), Some("one-2025-01-01,two-2025-01-01"));
    for name in ["authorization", "x-stainless-lang", "anthropic-organization-id"] {
        assert_eq!(sent.header(name), None, "{name}");
    }
    // A version is sent even where the client names none.
    gateway.post("/v1/messages", &asked).await.expect(200);
    assert_eq!(upstream.last().line(), "POST /v1/messages");
    assert_eq!(upstream.last().header("anthropic-version"), Some("2023-06-01"));
    let long = format!("anthropic-beta: {}", "x".repeat(2_000));
    let refused = gateway.send(request("POST", "/v1/messages", &[&key, &long], &asked)).await.expect(400);
    assert_eq!(refused.json()["error"]["type"], "invalid_request_error");
}

#[tokio::test]
async fn writing_to_the_cache_and_searching_cost_what_they_cost() {
    let mut whole = Messages.whole();
    whole["usage"] = json!({
        "input_tokens": 100, "cache_creation_input_tokens": 300, "cache_read_input_tokens": 1000,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
        "output_tokens": 10, "server_tool_use": {"web_search_requests": 2},
    });
    let upstream = Upstream::always(Reply::json(&whole));
    let price = r#"{input: "1", cached_input: "0.1", cache_write: "2", cache_write_1h: "4", output: "5", unit: {per_web_search: "0.01"}}"#;
    let gateway = Gateway::start(&chain(&[(&upstream, Messages)]).price(price));
    let mut asked = Messages.question(false);
    asked["tools"] = json!([{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]);
    let answer = gateway.post("/v1/messages", asked.to_string()).await.expect(200);
    // 100 x 1000, 1000 x 100, 200 x 2000, 100 x 4000, 10 x 5000 nano, and two searches.
    assert_charged(&gateway.record(&answer.head).await, "0.02105", [1400, 1000, 10]);

    let search = json!({"type": "web_search_call", "id": "ws_1", "status": "completed"});
    let output = json!([search, search, output_message("sunny")]);
    let body = response("completed", output, json!({"input_tokens": 1000, "output_tokens": 10, "total_tokens": 1010}));
    let upstream = Upstream::always(Reply::json(&body));
    let gateway = Gateway::start(&chain(&[(&upstream, Responses)]).price(price));
    let mut asked = Responses.question(false);
    asked["tools"] = json!([{"type": "web_search"}]);
    let answer = gateway.post("/v1/responses", asked.to_string()).await.expect(200);
    assert_charged(&gateway.record(&answer.head).await, "0.02105", [1000, 0, 10]);
}

#[tokio::test]
async fn a_break_in_the_middle_is_told_in_the_clients_dialect_and_charged_by_what_came() {
    let cases = [
        (Responses, response_events(&["hello"]), "event: error\ndata: {"),
        (Messages, message_events(&["hello"], &json!({"input_tokens": 400})), "event: error\ndata: {"),
    ];
    for (speech, events, error_starts) in cases {
        let failed = match speech {
            Messages => {
                json!({"type": "error", "error": {"type": "overloaded_error", "message": "at provider.example"}})
            }
            _ => {
                let mut failed = response("failed", json!([]), Value::Null);
                failed["error"] = json!({"code": "server_error", "message": "at provider.example"});
                json!({"type": "response.failed", "response": failed})
            }
        };
        // A pause: what breaks off before anything was given out is another upstream's to answer.
        let begun = || Reply::stream_head().then_chunk(events.concat()).delay(Duration::from_millis(100));
        let broken = begun().close();
        let told = begun().then_chunk(named(&failed)).end();
        for reply in [broken, told] {
            let upstream = Upstream::always(reply);
            let gateway = Gateway::start(&chain(&[(&upstream, speech)]));
            let answer = gateway.post(speech.path(), speech.question(true).to_string()).await.expect(200);
            let text = answer.text();
            let (shown, error) = text.split_at(events.concat().len());
            assert_eq!(shown, events.concat());
            assert!(error.starts_with(error_starts) && !error.contains("provider.example"), "{error}");
            let error: Value = serde_json::from_str(error.trim_end().rsplit_once("data: ").unwrap().1).unwrap();
            assert_eq!(error["type"], "error");
            let kind = if speech == Messages { "api_error" } else { "server_error" };
            assert_eq!(error["error"]["type"], kind);
            let record = gateway.record(&answer.head).await;
            assert_eq!(record["outcome"], "upstream_cut", "{record:#}");
            assert!(record["output_tokens"].as_u64().unwrap() >= 1 && record["charge"] != "0", "{record:#}");
        }
    }
}

#[tokio::test]
async fn an_error_as_first_event_goes_to_the_next_upstream() {
    let overloaded = named(&json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}));
    let (ill, well) = (Upstream::always(streamed(&[overloaded])), Messages.upstream());
    let gateway = Gateway::start(&chain(&[(&ill, Messages), (&well, Messages)]));
    let answer = gateway.post("/v1/messages", Messages.question(true).to_string()).await.expect(200);
    assert_eq!(answer.text(), Messages.events().concat());
    assert_eq!((ill.count(), well.count()), (1, 1));
    assert_charged(&gateway.record(&answer.head).await, CHARGE, [1000, 600, 100]);
}

#[tokio::test]
async fn refusals_on_messages_are_in_anthropics_shape() {
    let upstream = Messages.upstream();
    let gateway = Gateway::start(&chain(&[(&upstream, Messages)]));
    let asked = Messages.question(false).to_string();
    let poor = gateway.new_account("poor", "0.000001");
    gateway.await_key(&poor).await;
    let cases = [
        (post("/v1/messages", "sk-wrong", &asked), 401, "authentication_error"),
        (post("/v1/messages", &poor.secret, &asked), 402, "billing_error"),
        (post("/v1/messages", &gateway.key.secret, "{}"), 400, "invalid_request_error"),
        (post("/v1/messages", &gateway.key.secret, asked.replace("chat-model", "none")), 422, "invalid_request_error"),
        (get("/v1/messages", &gateway.key.secret), 405, "invalid_request_error"),
        (post("/v1/messages/count_tokens", "sk-wrong", &asked), 401, "authentication_error"),
    ];
    for (sent, status, kind) in cases {
        let refused = gateway.send(sent).await.expect(status);
        let body = refused.json();
        assert_eq!([&body["type"], &body["error"]["type"]], ["error", kind]);
        assert_eq!(body["request_id"].as_str(), refused.header("x-request-id"));
        assert_eq!(refused.header("request-id"), refused.header("x-request-id"));
        assert!(body["error"]["message"].as_str().is_some_and(|words| !words.is_empty()), "{body}");
        assert_eq!(body["error"].as_object().unwrap().len(), 2, "{body}");
    }
    assert_eq!(upstream.count(), 0);
    // Elsewhere the shape is OpenAI's, also for a client that sends Anthropic's headers along.
    let key = format!("Authorization: Bearer {}", gateway.key.secret);
    let sent = request("POST", "/v1/chat/completions", &[&key, "anthropic-version: 2023-06-01"], "{}");
    let refused = gateway.send(sent).await.expect(400);
    assert_eq!(refused.code(), "invalid_request");
    assert_eq!(refused.header("request-id"), None);
}

#[tokio::test]
async fn an_upstreams_own_judgement_of_a_message_passes_on_in_its_words() {
    let body = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "messages: roles must alternate"}});
    let upstream = Upstream::always(Reply::status(400, &[("Content-Type", "application/json")], body.to_string()));
    let gateway = Gateway::start(&chain(&[(&upstream, Messages)]));
    let refused = gateway.post("/v1/messages", Messages.question(false).to_string()).await.expect(400);
    let words = json!({"type": "invalid_request_error", "message": "messages: roles must alternate"});
    assert_eq!(refused.json()["error"], words);
    assert_eq!(gateway.record(&refused.head).await["charge"], "0");
}

#[tokio::test]
async fn counting_tokens_is_free_and_works_for_every_model() {
    let counted = json!({"input_tokens": 2095});
    let native = Upstream::always(Reply::json(&counted));
    let gateway = Gateway::start(&chain(&[(&native, Messages)]));
    let asked = json!({"model": "chat-model", "messages": [{"role": "user", "content": "x".repeat(400)}]}).to_string();
    let answer = gateway.post("/v1/messages/count_tokens", &asked).await.expect(200);
    assert_eq!(answer.json(), counted);
    assert_eq!(native.last().line(), "POST /v1/messages/count_tokens");
    let record = gateway.record(&answer.head).await;
    assert_eq!([&record["charge"], &record["outcome"], &record["endpoint"]], ["0", "ok", "count_tokens"]);

    let other = Chat.upstream();
    let gateway = Gateway::start(&chain(&[(&other, Chat)]));
    let broke = gateway.new_account("broke", "0");
    gateway.await_key(&broke).await;
    let answer = gateway.send(post("/v1/messages/count_tokens", &broke.secret, &asked)).await.expect(200);
    // Four bytes a token, until answers have taught better; the role is text too.
    assert_eq!(answer.json(), json!({"input_tokens": 101}));
    assert_eq!(other.count(), 0);
    assert_eq!(gateway.record(&answer.head).await["charge"], "0");
    gateway.audit();
}

#[tokio::test]
async fn models_are_listed_in_the_shape_of_who_asks() {
    let upstream = Upstream::hello();
    let gateway = Gateway::start(&Config::chain(&[&upstream]));
    let key = format!("x-api-key: {}", gateway.key.secret);
    let ask = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: gateway\r\n{key}\r\nanthropic-version: 2023-06-01\r\n\r\n").into_bytes()
    };
    let list = gateway.send(ask("/v1/models?limit=1000")).await.expect(200).json();
    assert_eq!([&list["has_more"], &list["first_id"]], [&json!(false), &json!("chat-model")]);
    assert_eq!(list["last_id"], "image-model");
    let model = gateway.send(ask("/v1/models/chat-model")).await.expect(200).json();
    assert_eq!(list["data"][0], model);
    assert_eq!([&model["type"], &model["id"], &model["display_name"]], ["model", "chat-model", "chat-model"]);
    let none = gateway.send(ask("/v1/models/none")).await.expect(404).json();
    assert_eq!(none["error"]["type"], "not_found_error");
    assert_eq!(gateway.get("/v1/models", &gateway.key.secret).await.expect(200).json()["object"], "list");
}

#[tokio::test]
async fn what_cannot_be_billed_or_kept_is_refused_by_its_name() {
    let upstream = Responses.upstream();
    let gateway = Gateway::start(&chain(&[(&upstream, Responses)]));
    for (field, value, param) in [
        ("background", json!(true), "background"),
        ("previous_response_id", json!("resp_0"), "previous_response_id"),
        ("conversation", json!({"id": "conv_0"}), "conversation"),
        ("tools", json!([{"type": "function", "name": "f"}, {"type": "image_generation"}]), "tools[1].type"),
    ] {
        let mut asked = Responses.question(false);
        asked[field] = value;
        let refused = gateway.post("/v1/responses", asked.to_string()).await.expect(400).json();
        assert_eq!([&refused["error"]["code"], &refused["error"]["param"]], ["invalid_request", param]);
    }
    let key = format!("Authorization: Bearer {}", gateway.key.secret);
    for (method, path) in [
        ("GET", "/v1/responses/resp_1"),
        ("DELETE", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("GET", "/v1/responses/resp_1/input_items"),
    ] {
        let refused = gateway.send(request(method, path, &[&key], "")).await.expect(400);
        assert!(refused.json()["error"]["message"].as_str().unwrap().contains("not stored"), "{method} {path}");
        gateway.send(request(method, path, &[], "")).await.expect(401);
    }
    assert_eq!(upstream.count(), 0);
    assert_eq!(gateway.balance("alice").0, "100");
}

#[tokio::test]
async fn a_conversation_that_only_the_upstream_sees_is_held_for_at_its_longest() {
    let (asked_here, go_on) = (Signal::new(), Signal::new());
    let reply = Reply::default().tell(&asked_here).wait(&go_on).append(Reply::json(&Responses.whole()));
    let upstream = Upstream::always(reply);
    let config = chain(&[(&upstream, Responses)]).chat_model("max_input_tokens: 1000000");
    let gateway = Gateway::start(&config);
    let mut asked = Responses.question(false);
    asked["previous_response_id"] = json!("resp_0");
    let sent = post("/v1/responses", &gateway.key.secret, asked.to_string());
    let mut connection = gateway.connect().await;
    connection.send(sent).await;
    asked_here.wait().await;
    // A million tokens in at 0.15 a million and 500 out at 0.60.
    wait_for("the hold is written", || gateway.balance("alice").1 == "0.1503").await;
    go_on.set();
    let answer = connection.answer().await.expect(200);
    assert_charged(&gateway.record(&answer.head).await, CHARGE, [1000, 600, 100]);
}

#[tokio::test]
async fn azure_is_asked_under_its_own_paths() {
    let upstream = Upstream::start(|request, _| match request.line().contains("responses") {
        true => Reply::json(&Responses.whole()),
        false => {
            // Azure's first chunk has no choices.
            let first =
                event(&json!({"id": "", "object": "", "model": "", "choices": [], "prompt_filter_results": []}));
            let rest = upstream::chat_events(&["hel", "lo"], usage(10, 2)).concat();
            Reply::raw(upstream::STREAM_HEAD).then(chunk(first)).then(chunk(rest)).end()
        }
    });
    let root = upstream.base_url().replace("/v1", "");
    let more = "kind: azure, api_version: 2025-04-01-preview, speaks: [chat, responses]";
    let gateway = Gateway::start(&Config::new().upstream_at(&root, more));
    let answer = gateway.chat(Chat.question(true).to_string()).await.expect(200);
    assert_eq!(answer.content(), "hello");
    let sent = upstream.last();
    assert_eq!(sent.line(), "POST /openai/deployments/provider-chat/chat/completions?api-version=2025-04-01-preview");
    assert_eq!((sent.header("api-key"), sent.header("authorization")), (Some("upstream-key-0"), None));
    assert_charged(&gateway.record(&answer.head).await, "0.0000027", [10, 0, 2]);
    let answer = gateway.post("/v1/responses", Responses.question(false).to_string()).await.expect(200);
    assert_eq!(upstream.last().line(), "POST /openai/responses?api-version=2025-04-01-preview");
    assert_charged(&gateway.record(&answer.head).await, CHARGE, [1000, 600, 100]);
}

/// What a client was told, whatever its dialect.
#[derive(Debug, Default, PartialEq)]
struct Told {
    text: String,
    call: Option<(String, Value)>,
    /// Input, cached input, output.
    usage: Option<[u64; 3]>,
}

impl Told {
    fn hello(usage: bool) -> Told {
        Told { text: "hello".into(), call: None, usage: usage.then_some([1000, 600, 100]) }
    }

    fn weather(usage: bool) -> Told {
        let call = Some(("weather".into(), json!({"city": "Paris"})));
        Told { text: String::new(), call, usage: usage.then_some([1000, 600, 100]) }
    }

    fn whole(speech: Speech, body: &Value) -> Told {
        let mut told = Told { usage: reported(&body["usage"]), ..Told::default() };
        match speech {
            Chat => {
                let message = &body["choices"][0]["message"];
                told.text = message["content"].as_str().unwrap_or_default().into();
                let call = &message["tool_calls"][0]["function"];
                told.call = call["name"].as_str().map(|name| (name.into(), parsed(&call["arguments"])));
            }
            Responses => {
                assert_eq!([&body["object"], &body["status"]], ["response", "completed"], "{body:#}");
                for item in body["output"].as_array().unwrap() {
                    match item["type"].as_str().unwrap() {
                        "message" => told.text.push_str(item["content"][0]["text"].as_str().unwrap()),
                        _ => told.call = Some((item["name"].as_str().unwrap().into(), parsed(&item["arguments"]))),
                    }
                }
            }
            Messages => {
                assert_eq!([&body["type"], &body["role"]], ["message", "assistant"], "{body:#}");
                for block in body["content"].as_array().unwrap() {
                    match block["type"].as_str().unwrap() {
                        "text" => told.text.push_str(block["text"].as_str().unwrap()),
                        _ => told.call = Some((block["name"].as_str().unwrap().into(), block["input"].clone())),
                    }
                }
            }
        }
        told
    }

    /// As a client's own reader puts it together, event by event.
    fn streamed(speech: Speech, answer: &Answer) -> Told {
        let mut told = Told::default();
        let (mut name, mut arguments, mut usage) = (None, String::new(), serde_json::Map::new());
        let events = answer.events();
        let last = events.last().unwrap();
        assert_eq!(last == "data: [DONE]", speech == Chat, "{last}");
        for event in events.iter().filter(|event| *event != "data: [DONE]" && !event.starts_with(':')) {
            let data: Value = serde_json::from_str(event.rsplit_once("data: ").unwrap().1).unwrap();
            let kind = data["type"].as_str().unwrap_or_default();
            assert!(speech == Chat || event.starts_with(&format!("event: {kind}\n")), "{event}");
            // Anthropic's later reports say only what has changed.
            for report in [&data["message"]["usage"], &data["usage"], &data["response"]["usage"]] {
                usage.extend(report.as_object().cloned().unwrap_or_default());
            }
            let delta = match speech {
                Chat => {
                    let delta = &data["choices"][0]["delta"];
                    let call = &delta["tool_calls"][0]["function"];
                    name = call["name"].as_str().map(str::to_owned).or(name);
                    arguments.push_str(call["arguments"].as_str().unwrap_or_default());
                    delta["content"].as_str()
                }
                Responses => {
                    let item = &data["item"];
                    if kind == "response.output_item.added" {
                        name = item["name"].as_str().map(str::to_owned).or(name);
                    }
                    if kind == "response.function_call_arguments.delta" {
                        arguments.push_str(data["delta"].as_str().unwrap());
                    }
                    data["delta"].as_str().filter(|_| kind == "response.output_text.delta")
                }
                Messages => {
                    name = data["content_block"]["name"].as_str().map(str::to_owned).or(name);
                    arguments.push_str(data["delta"]["partial_json"].as_str().unwrap_or_default());
                    data["delta"]["text"].as_str()
                }
            };
            told.text.push_str(delta.unwrap_or_default());
        }
        told.usage = reported(&usage.into());
        told.call = name.map(|name| (name, serde_json::from_str(&arguments).unwrap()));
        told
    }
}

fn parsed(text: &Value) -> Value {
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

fn reported(usage: &Value) -> Option<[u64; 3]> {
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let output = usage["output_tokens"].as_u64().or(usage["completion_tokens"].as_u64())?;
    let (inside, beside) = match usage["prompt_tokens"].as_u64() {
        Some(prompt) => (prompt, count(&usage["prompt_tokens_details"]["cached_tokens"])),
        None if usage["input_tokens_details"].is_object() => {
            (count(&usage["input_tokens"]), count(&usage["input_tokens_details"]["cached_tokens"]))
        }
        None => {
            let read = count(&usage["cache_read_input_tokens"]);
            (count(&usage["input_tokens"]) + read, read)
        }
    };
    Some([inside, beside, output])
}

impl Speech {
    const ALL: [Speech; 3] = [Chat, Responses, Messages];

    fn tools(self) -> Value {
        let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
        match self {
            Chat => json!([{"type": "function", "function": {"name": "weather", "parameters": schema}}]),
            Responses => json!([{"type": "function", "name": "weather", "parameters": schema, "strict": false}]),
            Messages => json!([{"name": "weather", "input_schema": schema}]),
        }
    }

    /// A whole answer that calls the tool.
    fn whole_call(self) -> Value {
        let mut body = self.whole();
        match self {
            Chat => {
                body["choices"][0]["message"] = json!({"role": "assistant", "content": null, "tool_calls": [{
                    "id": "call_1", "type": "function",
                    "function": {"name": "weather", "arguments": r#"{"city":"Paris"}"#},
                }]});
                body["choices"][0]["finish_reason"] = json!("tool_calls");
            }
            Responses => {
                body["output"] = json!([{
                    "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather",
                    "arguments": r#"{"city":"Paris"}"#, "status": "completed",
                }]);
            }
            Messages => {
                let input = json!({"city": "Paris"});
                body["content"] = json!([{"type": "tool_use", "id": "call_1", "name": "weather", "input": input}]);
                body["stop_reason"] = json!("tool_use");
            }
        }
        body
    }

    fn call_events(self) -> Vec<String> {
        let pieces = [r#"{"ci"#, r#"ty":"Paris"}"#];
        match self {
            Chat => {
                let chunk = |delta: Value, finish: Value| {
                    event(&json!({"id": "c", "object": "chat.completion.chunk", "model": "provider-chat",
                        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
                };
                let call = |call: Value| chunk(json!({"tool_calls": [call]}), Value::Null);
                vec![
                    call(
                        json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}),
                    ),
                    call(json!({"index": 0, "function": {"arguments": pieces[0]}})),
                    call(json!({"index": 0, "function": {"arguments": pieces[1]}})),
                    chunk(json!({}), json!("tool_calls")),
                    upstream::usage_event(&self.usage()),
                    upstream::DONE_EVENT.into(),
                ]
            }
            Responses => {
                let item = |arguments: &str, status: &str| {
                    json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather",
                        "arguments": arguments, "status": status})
                };
                let mut events = response_events(&[])[..1].to_vec();
                events.push(named(
                    &json!({"type": "response.output_item.added", "output_index": 0, "item": item("", "in_progress")}),
                ));
                events.extend(pieces.map(|piece| {
                    named(&json!({"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 0, "delta": piece}))
                }));
                let whole = r#"{"city":"Paris"}"#;
                events.push(named(&json!({"type": "response.function_call_arguments.done", "item_id": "fc_1", "output_index": 0, "arguments": whole})));
                events.push(named(
                    &json!({"type": "response.output_item.done", "output_index": 0, "item": item(whole, "completed")}),
                ));
                events.push(named(&json!({"type": "response.completed", "response": self.whole_call()})));
                events
            }
            Messages => {
                let usage = json!({"input_tokens": 400, "cache_read_input_tokens": 600});
                let mut events = message_events(&[], &usage)[..1].to_vec();
                events.push(named(&json!({"type": "content_block_start", "index": 0,
                    "content_block": {"type": "tool_use", "id": "call_1", "name": "weather", "input": {}}})));
                events.extend(pieces.map(|piece| {
                    named(&json!({"type": "content_block_delta", "index": 0,
                        "delta": {"type": "input_json_delta", "partial_json": piece}}))
                }));
                events.push(named(&json!({"type": "content_block_stop", "index": 0})));
                events.push(named(&json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 100}})));
                events.push(named(&json!({"type": "message_stop"})));
                events
            }
        }
    }

    /// Calls the tool where there is one, and says hello otherwise.
    fn clever_upstream(self) -> Upstream {
        Upstream::start(move |request, _| {
            let asked = request.json();
            match (asked["stream"] == true, asked["tools"].is_array()) {
                (true, true) => streamed(&self.call_events()),
                (true, false) => streamed(&self.events()),
                (false, true) => Reply::json(&self.whole_call()),
                (false, false) => Reply::json(&self.whole()),
            }
        })
    }
}

#[tokio::test]
async fn every_dialect_is_answered_by_every_other_and_costs_the_same() {
    for upstream_speaks in Speech::ALL {
        let upstream = upstream_speaks.clever_upstream();
        let gateway = Gateway::start(&chain(&[(&upstream, upstream_speaks)]));
        for client in Speech::ALL {
            let how = format!("{client:?} from {upstream_speaks:?}");
            for call in [false, true] {
                for stream in [false, true] {
                    let mut asked = client.question(stream);
                    if call {
                        asked["tools"] = client.tools();
                    }
                    if client == Chat && stream && call {
                        asked["stream_options"] = json!({"include_usage": true});
                    }
                    let answer = gateway.post(client.path(), asked.to_string()).await.expect(200);
                    assert!(answer.whole, "{how}");
                    let told = match stream {
                        true => Told::streamed(client, &answer),
                        false => Told::whole(client, &answer.json()),
                    };
                    let with_usage = client != Chat || !stream || call;
                    let expected = if call { Told::weather(with_usage) } else { Told::hello(with_usage) };
                    assert_eq!(told, expected, "{how}, streamed: {stream}");
                    let sent = upstream.last();
                    assert_eq!(sent.line(), format!("POST {}", upstream_speaks.path()), "{how}");
                    assert_eq!(sent.json()["model"], "provider-chat", "{how}");
                    let record = gateway.record(&answer.head).await;
                    assert_charged(&record, CHARGE, [1000, 600, 100]);
                    assert_eq!([&record["outcome"], &record["estimated"]], [&json!("ok"), &json!(false)], "{how}");
                }
            }
        }
        gateway.audit();
    }
}

#[tokio::test]
async fn a_converted_stream_gives_each_word_when_it_comes() {
    for client in Speech::ALL {
        for upstream_speaks in Speech::ALL.into_iter().filter(|speech| *speech != client) {
            let (seen, events) = (Signal::new(), upstream_speaks.events());
            let word = events.iter().position(|event| event.contains("\"hel\"")).unwrap();
            let (first, rest) = events.split_at(word + 1);
            let reply = Reply::stream_head().then_chunk(first.concat()).wait(&seen).then_chunk(rest.concat()).end();
            let upstream = Upstream::always(reply);
            let gateway = Gateway::start(&chain(&[(&upstream, upstream_speaks)]));
            let mut connection = gateway.connect().await;
            connection.send(post(client.path(), &gateway.key.secret, client.question(true).to_string())).await;
            let head = connection.head().await;
            assert_eq!(head.header("content-type"), Some("text/event-stream"));
            let mut shown = String::new();
            while !shown.contains("\"hel\"") {
                let piece = connection.piece().await.unwrap().expect("the first word comes before the second");
                shown.push_str(std::str::from_utf8(&piece).unwrap());
            }
            assert!(!shown.contains("\"lo\""));
            seen.set();
            let answer = connection.rest(head).await;
            assert!(answer.whole && answer.text().contains("\"lo\""));
        }
    }
}

#[tokio::test]
async fn a_converted_stream_that_breaks_is_told_once_and_charged_by_what_came() {
    for client in Speech::ALL {
        for upstream_speaks in Speech::ALL.into_iter().filter(|speech| *speech != client) {
            let how = format!("{client:?} from {upstream_speaks:?}");
            let events = upstream_speaks.events();
            let word = events.iter().position(|event| event.contains("\"lo\"")).unwrap();
            let upstream = Upstream::always(Reply::stream_head().then_chunk(events[..=word].concat()).close());
            let gateway = Gateway::start(&chain(&[(&upstream, upstream_speaks)]));
            let answer = gateway.post(client.path(), client.question(true).to_string()).await.expect(200);
            let text = answer.text();
            assert!(text.contains("\"hel\"") && text.contains("\"lo\"") && !text.contains("[DONE]"), "{how}: {text}");
            assert_eq!(text.matches("\"error\":{").count(), 1, "{how}: {text}");
            let last = answer.events().last().unwrap().clone();
            assert_eq!(last.starts_with("event: error\n"), client != Chat, "{how}: {last}");
            let record = gateway.record(&answer.head).await;
            assert_eq!(record["outcome"], "upstream_cut", "{how}: {record:#}");
            assert!(record["output_tokens"].as_u64().unwrap() >= 2 && record["charge"] != "0", "{how}: {record:#}");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_converted_stream_pays_for_what_it_got() {
    let events = Messages.events();
    let word = events.iter().position(|event| event.contains("\"hel\"")).unwrap();
    let upstream = Upstream::always(Reply::stream_head().then_chunk(events[..=word].concat()).hang());
    let gateway = Gateway::start(&chain(&[(&upstream, Messages)]));
    let mut connection = gateway.connect().await;
    connection.send(post("/v1/responses", &gateway.key.secret, Responses.question(true).to_string())).await;
    let head = connection.head().await;
    connection.piece().await.unwrap();
    drop(connection);
    upstream.wait_for_close(0).await;
    let record = gateway.record(&head).await;
    assert_eq!(record["outcome"], "client_gone", "{record:#}");
    assert_eq!([&record["input_tokens"], &record["cached_input_tokens"]], [1000, 600]);
    gateway.audit();
}

#[tokio::test]
async fn the_next_upstream_gets_the_clients_own_words_in_its_own_dialect() {
    let ill = |speech: Speech| {
        let body = match speech {
            Messages => json!({"type": "error", "error": {"type": "api_error", "message": "down"}}),
            _ => json!({"error": {"message": "down", "type": "server_error", "code": null, "param": null}}),
        };
        Upstream::always(Reply::status(500, &[("Content-Type", "application/json")], body.to_string()))
    };
    for (client, first, second) in
        [(Responses, Messages, Chat), (Chat, Messages, Responses), (Messages, Chat, Messages), (Chat, Chat, Messages)]
    {
        let (one, two) = (ill(first), second.upstream());
        let gateway = Gateway::start(&chain(&[(&one, first), (&two, second)]));
        for stream in [false, true] {
            let answer = gateway.post(client.path(), client.question(stream).to_string()).await.expect(200);
            let told = match stream {
                true => Told::streamed(client, &answer),
                false => Told::whole(client, &answer.json()),
            };
            assert_eq!(told.text, "hello");
            assert_charged(&gateway.record(&answer.head).await, CHARGE, [1000, 600, 100]);
        }
        assert_eq!((one.count(), two.count()), (2, 2), "{client:?}: {first:?}, then {second:?}");
        // Asked alone, the second one hears the same.
        let heard = two.last().json();
        let alone = second.upstream();
        let gateway = Gateway::start(&chain(&[(&alone, second)]));
        gateway.post(client.path(), client.question(true).to_string()).await.expect(200);
        assert_eq!(alone.last().json(), heard);
    }
}

#[tokio::test]
async fn an_upstreams_judgement_is_told_in_the_clients_dialect() {
    let theirs = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "too many cooks"}});
    let ours = json!({"error": {"message": "too many cooks", "type": "invalid_request_error", "param": "messages", "code": null}});
    for (client, upstream_speaks, body) in
        [(Chat, Messages, &theirs), (Responses, Messages, &theirs), (Messages, Chat, &ours)]
    {
        let reply = Reply::status(400, &[("Content-Type", "application/json")], body.to_string());
        let upstream = Upstream::always(reply);
        let gateway = Gateway::start(&chain(&[(&upstream, upstream_speaks)]));
        for stream in [false, true] {
            let refused = gateway.post(client.path(), client.question(stream).to_string()).await.expect(400).json();
            let kind = if client == Messages { "invalid_request_error" } else { "invalid_request" };
            assert_eq!([&refused["error"]["message"], &refused["error"]["type"]], ["too many cooks", kind]);
        }
        assert_eq!(gateway.balance("alice").0, "100");
    }
}

#[tokio::test]
async fn what_cannot_be_carried_is_refused_and_hints_are_named() {
    let upstream = Messages.upstream();
    let gateway = Gateway::start(&chain(&[(&upstream, Messages)]));
    let mut asked = Chat.question(false);
    asked["n"] = json!(2);
    let refused = gateway.chat(asked.to_string()).await.expect(400).json();
    assert_eq!([&refused["error"]["code"], &refused["error"]["param"]], ["invalid_request", "n"]);
    assert_eq!(upstream.count(), 0);
    assert_eq!(gateway.balance("alice"), ("100".into(), "0".into()));

    let mut asked = Chat.question(false);
    asked["seed"] = json!(7);
    asked["frequency_penalty"] = json!(0.5);
    let answer = gateway.chat(asked.to_string()).await.expect(200);
    let dropped: Vec<&str> = answer.header("x-tollgate-dropped").unwrap().split(", ").collect();
    assert!(dropped.contains(&"seed") && dropped.contains(&"frequency_penalty"), "{dropped:?}");
    let plain = gateway.chat(Chat.question(false).to_string()).await.expect(200);
    assert_eq!(plain.header("x-tollgate-dropped"), None);

    // An upstream that can carry it is asked instead, though it comes later.
    let (first, second) = (Messages.upstream(), Chat.upstream());
    let gateway = Gateway::start(&chain(&[(&first, Messages), (&second, Chat)]));
    let mut asked = Chat.question(false);
    asked["n"] = json!(2);
    gateway.chat(asked.to_string()).await.expect(200);
    assert_eq!((first.count(), second.count()), (0, 1));
}

#[tokio::test]
async fn among_equals_the_one_that_speaks_the_clients_dialect_is_asked() {
    let (other, same) = (Chat.upstream(), Messages.upstream());
    let config = Config::new()
        .upstream(&other, Chat.config())
        .routed("priority: 0, weight: 1000")
        .upstream(&same, Messages.config())
        .routed("priority: 0, weight: 1");
    let gateway = Gateway::start(&config);
    for _ in 0..5 {
        gateway.post("/v1/messages", Messages.question(false).to_string()).await.expect(200);
        gateway.post("/v1/responses", Responses.question(false).to_string()).await.expect(200);
    }
    assert_eq!((other.count() + same.count(), same.count() >= 5), (10, true));
    let natives = same.requests().iter().filter(|request| request.json()["messages"][0]["content"] == "hi").count();
    assert!(natives >= 5, "{natives}");
}

#[tokio::test]
async fn an_answer_that_is_none_goes_to_the_next_upstream() {
    let nonsense = Upstream::always(Reply::json(&json!({"id": "x", "object": "chat.completion", "choices": []})));
    let well = Chat.upstream();
    let gateway = Gateway::start(&chain(&[(&nonsense, Chat), (&well, Chat)]));
    let answer = gateway.post("/v1/messages", Messages.question(false).to_string()).await.expect(200);
    assert_eq!(Told::whole(Messages, &answer.json()), Told::hello(true));
    assert_eq!((nonsense.count(), well.count()), (1, 1));
}

#[tokio::test]
async fn tokens_are_counted_here_when_an_upstream_cannot() {
    let upstream = Upstream::always(Reply::error(404, "no such path"));
    let gateway = Gateway::start(&chain(&[(&upstream, Messages)]));
    let asked = json!({"model": "chat-model", "messages": [{"role": "user", "content": "x".repeat(400)}]}).to_string();
    let answer = gateway.post("/v1/messages/count_tokens", &asked).await.expect(200);
    assert_eq!(answer.json(), json!({"input_tokens": 101}));
    assert_eq!(upstream.count(), 1);
    let record = gateway.record(&answer.head).await;
    assert_eq!([&record["charge"], &record["outcome"], &record["status"]], [&json!("0"), &json!("ok"), &json!(200)]);
}

#[tokio::test]
async fn the_operators_used_up_credit_is_not_the_clients_fault() {
    let body = json!({"type": "error", "error": {
        "type": "invalid_request_error", "message": "Your credit balance is too low to access the Anthropic API.",
    }});
    let broke = Upstream::always(Reply::status(400, &[("Content-Type", "application/json")], body.to_string()));
    let well = Messages.upstream();
    let gateway = Gateway::start(&chain(&[(&broke, Messages), (&well, Messages)]));
    let answer = gateway.post("/v1/messages", Messages.question(true).to_string()).await.expect(200);
    assert_eq!(answer.text(), Messages.events().concat());
    assert_eq!((broke.count(), well.count()), (1, 1));
}

#[tokio::test]
async fn converted_answers_come_over_http_2_too() {
    let upstream = Messages.upstream();
    let gateway = Gateway::start(&chain(&[(&upstream, Messages)]));
    for client in Speech::ALL {
        for stream in [false, true] {
            let url = format!("http://{}{}", gateway.edge(), client.path());
            let asked = client::http2().post(url).bearer_auth(&gateway.key.secret).json(&client.question(stream));
            let answer = asked.send().await.unwrap();
            assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_2, 200));
            let text = answer.text().await.unwrap();
            assert!(text.contains("hel") && text.contains("lo"), "{text}");
        }
    }
}

#[tokio::test]
async fn what_is_too_long_to_be_converted_is_not_waited_for() {
    // An event of more than a mebibyte, and an answer of more than eight.
    let long = "x".repeat(2 * 1024 * 1024);
    let mut body = Chat.whole();
    body["choices"][0]["message"]["content"] = json!("x".repeat(9 * 1024 * 1024));
    let events = upstream::chat_events(&[&long], Chat.usage());
    let whole = body.to_string();
    let upstream = Upstream::start(move |request, _| match request.json()["stream"] == true {
        true => streamed(&events),
        false => Reply::status(200, &[("Content-Type", "application/json")], &whole),
    });
    let gateway = Gateway::start(&chain(&[(&upstream, Chat)]));
    for stream in [false, true] {
        let refused = gateway.post("/v1/messages", Messages.question(stream).to_string()).await.expect(500).json();
        assert_eq!(refused["error"]["type"], "api_error");
    }
    assert_eq!(gateway.balance("alice").0, "100");
    gateway.audit();
}

#[tokio::test]
async fn a_converted_stream_ends_where_the_money_does() {
    // Ten bytes an event, each when the one before has reached the client; a hold of ten tokens, extended as it goes.
    for (client, upstream_speaks, kind) in [
        (Messages, Chat, "billing_error"),
        (Responses, Chat, "insufficient_balance"),
        (Chat, Messages, "insufficient_balance"),
    ] {
        let (mut reply, mut signals) = (Reply::stream_head(), Vec::new());
        let events: Vec<String> = match upstream_speaks {
            Chat => (0..40).map(|_| upstream::delta_event("0123456789")).collect(),
            _ => message_events(&["0123456789"; 40], &json!({"input_tokens": 1})),
        };
        for event in events {
            let seen = Signal::new();
            reply = reply.then_chunk(event).wait(&seen);
            signals.push(seen);
        }
        let upstream = Upstream::always(reply.hang());
        let config = chain(&[(&upstream, upstream_speaks)])
            .price(r#"{input: "0", output: "100"}"#)
            .chat_model("output_hold: 10");
        let gateway = Gateway::start(&config);
        let poor = gateway.new_account("poor", "0.004");
        gateway.await_key(&poor).await;
        let mut asked = client.question(true);
        for maximum in ["max_tokens", "max_output_tokens"] {
            asked.as_object_mut().unwrap().remove(maximum);
        }
        let mut connection = gateway.connect().await;
        connection.send(post(client.path(), &poor.secret, asked.to_string())).await;
        let head = connection.head().await;
        assert_eq!(head.status(), 200);
        let mut signals = signals.into_iter();
        let mut text = String::new();
        loop {
            // The next event comes when the client has all of those before.
            match tokio::time::timeout(QUIET, connection.piece()).await {
                Ok(Ok(Some(piece))) => text.push_str(std::str::from_utf8(&piece).unwrap()),
                Ok(_) => break,
                Err(_) => signals.next().expect("the money ends before the stream").set(),
            }
        }
        let pieces = text.matches("0123456789").count();
        assert!((4..=17).contains(&pieces), "{client:?}: {pieces} pieces of two and a half tokens for 40: {text}");
        let error: Value = serde_json::from_str(text.trim_end().rsplit_once("data: ").unwrap().1).unwrap();
        assert_eq!(error["error"]["type"], kind, "{text}");
        let record = gateway.record(&head).await;
        assert_eq!([&record["outcome"], &record["estimated"]], [&json!("upstream_cut"), &json!(true)], "{record:#}");
        let left: f64 = gateway.balance("poor").0.parse().unwrap();
        assert!((0.0..0.004).contains(&left), "{left}");
        gateway.audit();
    }
}

#[tokio::test]
async fn a_converted_answer_ends_with_the_connection_for_clients_that_read_no_chunks() {
    let upstream = Messages.upstream();
    let gateway = Gateway::start(&chain(&[(&upstream, Messages)]));
    let asked = String::from_utf8(post("/v1/chat/completions", &gateway.key.secret, Chat.question(false).to_string()));
    let mut connection = gateway.connect().await;
    connection.send(asked.unwrap().replacen("HTTP/1.1", "HTTP/1.0", 1)).await;
    let answer = connection.answer().await.expect(200);
    assert_eq!((answer.header("transfer-encoding"), answer.header("content-length")), (None, None));
    assert_eq!(answer.content(), "hello");
}

const QUIET: std::time::Duration = std::time::Duration::from_millis(20);
