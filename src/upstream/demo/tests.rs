//! The demo upstream as an SDK sees it: shapes, usage, streams and refusals are OpenAI's.

use std::net::SocketAddr;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Response};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

const TOKEN: &str = "inside";

/// The demo on a port of its own, without pauses.
struct Demo {
    address: SocketAddr,
    client: Client,
}

impl Demo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router(&Secret::new(TOKEN), Duration::ZERO)).await });
        Demo { address, client: Client::new() }
    }

    async fn post(&self, path: &str, body: Value) -> Response {
        let url = format!("http://{}{path}", self.address);
        self.client.post(url).bearer_auth(TOKEN).json(&body).send().await.unwrap()
    }

    async fn answer(&self, path: &str, body: Value) -> Value {
        let response = self.post(path, body).await;
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }

    async fn refusal(&self, path: &str, body: Value) -> Value {
        let response = self.post(path, body).await;
        assert_eq!(response.status(), 400);
        response.json::<Value>().await.unwrap()["error"].clone()
    }

    /// The events of a stream, `[DONE]` checked and taken off.
    async fn stream(&self, path: &str, body: Value) -> Vec<Value> {
        let response = self.post(path, body).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        let text = response.text().await.unwrap();
        let mut events: Vec<_> =
            text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect();
        assert_eq!(events.pop(), Some("[DONE]"));
        events.into_iter().map(|event| serde_json::from_str(event).unwrap()).collect()
    }
}

fn chat(prompt: &str) -> Value {
    json!({"model": "demo-chat", "messages": [{"role": "user", "content": prompt}]})
}

fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn a_whole_answer_has_every_field_of_openais() {
    let demo = Demo::start().await;
    let answer = demo.answer("/v1/chat/completions", chat("hello")).await;
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(answer["object"], "chat.completion");
    assert!(answer["created"].as_u64().unwrap() > 1_700_000_000);
    assert_eq!(answer["model"], "demo-chat");
    assert_eq!(answer["system_fingerprint"], "fp_demo");
    let choice = &answer["choices"][0];
    assert_eq!((&choice["index"], &choice["finish_reason"]), (&json!(0), &json!("stop")));
    assert!(choice.as_object().unwrap()["logprobs"].is_null());
    assert_eq!(choice["message"]["role"], "assistant");
    assert!(choice["message"]["content"].as_str().unwrap().starts_with("Hello!"));
    let usage = &answer["usage"];
    let (prompt, completion) = (usage["prompt_tokens"].as_u64().unwrap(), usage["completion_tokens"].as_u64().unwrap());
    assert_eq!(prompt, 1 + 3 + 3);
    assert_eq!(usage["total_tokens"], prompt + completion);
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 0);
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 0);
}

#[tokio::test]
async fn a_stream_says_the_same_and_costs_the_same() {
    let demo = Demo::start().await;
    let whole = demo.answer("/v1/chat/completions", chat("tell me a joke")).await;
    let streamed = json!({"stream": true, "stream_options": {"include_usage": true}});
    let events = demo.stream("/v1/chat/completions", with(chat("tell me a joke"), streamed)).await;
    let (last, chunks) = events.split_last().unwrap();

    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk" && chunk["id"] == last["id"]));
    assert!(chunks.iter().all(|chunk| chunk.as_object().unwrap()["usage"].is_null()));
    let text: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(whole["choices"][0]["message"]["content"], text);
    let (end, before) = chunks.split_last().unwrap();
    assert_eq!(end["choices"][0], json!({"index": 0, "delta": {}, "logprobs": null, "finish_reason": "stop"}));
    assert!(before.iter().all(|chunk| chunk["choices"][0]["finish_reason"].is_null()));
    assert_eq!((&last["choices"], &last["usage"]), (&json!([]), &whole["usage"]));
}

#[tokio::test]
async fn usage_is_streamed_only_if_asked_for() {
    let demo = Demo::start().await;
    let events = demo.stream("/v1/chat/completions", with(chat("hi"), json!({"stream": true}))).await;
    assert!(events.iter().all(|event| event.get("usage").is_none() && event["choices"][0].is_object()));
}

#[tokio::test]
async fn limits_stops_and_several_choices() {
    let demo = Demo::start().await;
    let more = json!({"max_tokens": 3, "n": 2});
    let answer = demo.answer("/v1/chat/completions", with(chat("what now"), more)).await;
    assert_eq!(answer["usage"]["completion_tokens"], 6);
    for (index, choice) in answer["choices"].as_array().unwrap().iter().enumerate() {
        assert_eq!((&choice["index"], &choice["finish_reason"]), (&json!(index), &json!("length")));
    }
    let stopped = demo.answer("/v1/chat/completions", with(chat("hello"), json!({"stop": "I am"}))).await;
    assert_eq!(stopped["choices"][0]["message"]["content"], "Hello! ");

    let streamed = json!({"stream": true, "n": 2, "max_completion_tokens": 4});
    let events = demo.stream("/v1/chat/completions", with(chat("what now"), streamed)).await;
    for index in 0..2 {
        let ours = events.iter().filter(|event| event["choices"][0]["index"] == index);
        assert_eq!(ours.count(), 1 + 4 + 1);
    }
}

#[tokio::test]
async fn tools_are_called_with_valid_arguments() {
    let demo = Demo::start().await;
    let tool = json!({"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    }}});
    let asked = with(chat("get_weather for Oslo"), json!({"tools": [tool]}));
    let answer = demo.answer("/v1/chat/completions", asked.clone()).await;
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert!(choice["message"]["content"].is_null());
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!((&call["type"], &call["function"]["name"]), (&json!("function"), &json!("get_weather")));
    let arguments = call["function"]["arguments"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(arguments).unwrap(), json!({"city": "get_weather for Oslo"}));

    let events = demo.stream("/v1/chat/completions", with(asked.clone(), json!({"stream": true}))).await;
    let calls = events.iter().map(|event| &event["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"]);
    assert_eq!(calls.filter_map(Value::as_str).collect::<String>(), arguments);

    let mut answered = asked;
    let tool_said = json!({"role": "tool", "tool_call_id": call["id"], "content": "sunny, 21 degrees"});
    answered["messages"].as_array_mut().unwrap().extend([choice["message"].clone(), tool_said]);
    let answer = demo.answer("/v1/chat/completions", answered).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "The tool answered: sunny, 21 degrees");
}

#[tokio::test]
async fn answers_follow_a_schema() {
    let demo = Demo::start().await;
    let schema = json!({"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]});
    let format = json!({"type": "json_schema", "json_schema": {"name": "sum", "schema": schema}});
    let answer = demo.answer("/v1/chat/completions", with(chat("add 19"), json!({"response_format": format}))).await;
    assert_eq!(answer["choices"][0]["message"]["content"], r#"{"sum":19}"#);
}

#[tokio::test]
async fn content_may_come_in_parts() {
    let demo = Demo::start().await;
    let parts = json!([{"type": "text", "text": "hello"}, {"type": "image_url", "image_url": {"url": "data:,"}}]);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": parts}], "stop": null, "n": null});
    let answer = demo.answer("/v1/chat/completions", body).await;
    assert!(answer["choices"][0]["message"]["content"].as_str().unwrap().starts_with("Hello!"));
    assert_eq!(answer["usage"]["prompt_tokens"], 1 + 85 + 3 + 3);
}

#[tokio::test]
async fn text_completions() {
    let demo = Demo::start().await;
    let body = json!({"model": "demo-chat", "prompt": ["hello", "a joke"], "max_tokens": 5});
    let whole = demo.answer("/v1/completions", body.clone()).await;
    assert_eq!((&whole["object"], &whole["usage"]["completion_tokens"]), (&json!("text_completion"), &json!(10)));
    let streamed = json!({"stream": true, "stream_options": {"include_usage": true}});
    let events = demo.stream("/v1/completions", with(body, streamed)).await;
    for choice in whole["choices"].as_array().unwrap() {
        let ours = events.iter().map(|event| &event["choices"][0]).filter(|other| other["index"] == choice["index"]);
        let text: String = ours.map(|choice| choice["text"].as_str().unwrap()).collect();
        assert_eq!(choice["text"], text);
    }
    assert_eq!(events.last().unwrap()["usage"], whole["usage"]);
}

#[tokio::test]
async fn embeddings_in_both_encodings() {
    let demo = Demo::start().await;
    let body = json!({"model": "demo-embed", "input": ["a cat", "a dog"], "dimensions": 8});
    let floats = demo.answer("/v1/embeddings", body.clone()).await;
    let encoded = demo.answer("/v1/embeddings", with(body, json!({"encoding_format": "base64"}))).await;
    assert_eq!(
        (&floats["object"], &floats["usage"]),
        (&json!("list"), &json!({"prompt_tokens": 4, "total_tokens": 4}))
    );
    for index in 0..2 {
        let vector: Vec<f32> = serde_json::from_value(floats["data"][index]["embedding"].clone()).unwrap();
        assert!((vector.iter().map(|component| component * component).sum::<f32>() - 1.0).abs() < 1e-5);
        let bytes = STANDARD.decode(encoded["data"][index]["embedding"].as_str().unwrap()).unwrap();
        let decoded: Vec<_> = bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        assert_eq!((vector.len(), vector), (8, decoded));
    }
    let tokens = demo.answer("/v1/embeddings", json!({"model": "demo-embed", "input": [[1, 2], [3]]})).await;
    assert_eq!((tokens["data"].as_array().unwrap().len(), &tokens["usage"]["total_tokens"]), (2, &json!(3)));
}

#[tokio::test]
async fn pictures() {
    let demo = Demo::start().await;
    let body = json!({"model": "demo-image", "prompt": "a red barn", "n": 2, "size": "512x512", "quality": "low"});
    let answer = demo.answer("/v1/images/generations", body).await;
    assert_eq!((&answer["size"], &answer["quality"]), (&json!("512x512"), &json!("low")));
    let pictures = answer["data"].as_array().unwrap();
    assert_eq!(pictures.len(), 2);
    let png = STANDARD.decode(pictures[0]["b64_json"].as_str().unwrap()).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    assert_eq!(answer["usage"]["total_tokens"], 3 + 2 * 272);
}

#[tokio::test]
async fn only_who_has_the_token_is_answered() {
    let demo = Demo::start().await;
    for path in ["/v1/models", "/v1/chat/completions", "/elsewhere"] {
        let url = format!("http://{}{path}", demo.address);
        for request in [demo.client.get(&url), demo.client.get(&url).bearer_auth("insidE")] {
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 401);
            assert_eq!(response.json::<Value>().await.unwrap()["error"]["code"], "invalid_api_key");
        }
    }
    let models = demo.client.get(format!("http://{}/v1/models", demo.address)).bearer_auth(TOKEN).send().await.unwrap();
    let models: Value = models.json().await.unwrap();
    assert_eq!((&models["object"], &models["data"][0]["id"]), (&json!("list"), &json!("demo-chat")));
}

#[tokio::test]
async fn refusals_are_openais() {
    let demo = Demo::start().await;
    let path = "/v1/chat/completions";
    for (body, param) in [
        (with(chat("hi"), json!({"max_tokens": 0})), "max_tokens"),
        (with(chat("hi"), json!({"n": 0})), "n"),
        (with(chat("hi"), json!({"n": 1_000_000})), "n"),
        (with(chat("hi"), json!({"stream_options": {}})), "stream_options"),
        (with(chat("hi"), json!({"stop": ["a", "b", "c", "d", "e"]})), "stop"),
        (with(chat("hi"), json!({"tools": [{"function": {"name": "n".repeat(65)}}]})), "tools"),
        (json!({"model": "m", "messages": []}), "messages"),
    ] {
        let error = demo.refusal(path, body).await;
        assert_eq!((&error["type"], &error["param"]), (&json!("invalid_request_error"), &json!(param)));
        assert!(error.as_object().unwrap()["code"].is_null());
    }
    for input in [json!(""), json!([]), json!(["a", ""]), json!({}), json!("a ".repeat(9_000))] {
        demo.refusal("/v1/embeddings", json!({"model": "m", "input": input})).await;
    }
    demo.refusal("/v1/embeddings", json!({"model": "m", "input": "a", "dimensions": 1_000_000})).await;
    demo.refusal("/v1/images/generations", json!({"prompt": "a", "size": "huge"})).await;
    assert!(demo.refusal(path, json!([])).await["param"].is_null());
    assert_eq!(demo.post("/v1/elsewhere", json!({})).await.status(), 404);
    assert_eq!(demo.post("/v1/models", json!({})).await.status(), 405);
}

#[tokio::test]
async fn words_arrive_one_by_one_and_a_shutdown_lets_them_finish() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let serving: JoinHandle<io::Result<()>> = tokio::spawn(serve(listener, Secret::new(TOKEN), shutdown));

    let started = Instant::now();
    let body = with(chat("hello"), json!({"stream": true, "max_tokens": 4}));
    let request = Client::new().post(format!("http://{address}/v1/chat/completions")).bearer_auth(TOKEN).json(&body);
    let mut response = request.send().await.unwrap();
    let first = response.chunk().await.unwrap().unwrap();
    stop.send(()).unwrap();
    let mut rest = Vec::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        rest.push(chunk);
    }
    assert!(first.starts_with(b"data: ") && first.ends_with(b"\n\n"));
    assert!(rest.last().unwrap().ends_with(b"data: [DONE]\n\n"));
    assert!(started.elapsed() >= 6 * PACE, "four words, the end and [DONE], each after a pause");
    drop(response);
    serving.await.unwrap().unwrap();
}
