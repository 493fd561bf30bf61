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

impl Demo {
    /// The events of a stream whose events are named by their type and that ends by itself.
    async fn named_stream(&self, path: &str, body: Value) -> Vec<Value> {
        let text = self.post(path, with(body, json!({"stream": true}))).await.text().await.unwrap();
        let event = |event: &str| {
            let (name, data) = event.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
            let data: Value = serde_json::from_str(data).unwrap();
            assert_eq!(data["type"], name);
            data
        };
        text.split_terminator("\n\n").map(event).collect()
    }
}

fn types(events: &[Value]) -> Vec<&str> {
    let mut types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    types.dedup();
    types
}

fn responses(prompt: &str) -> Value {
    json!({"model": "demo-chat", "input": prompt})
}

fn messages(prompt: &str) -> Value {
    json!({"model": "demo-chat", "max_tokens": 1_000, "messages": [{"role": "user", "content": prompt}]})
}

fn city() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
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
async fn a_turn_is_answered_and_counted_alike_in_every_dialect() {
    let demo = Demo::start().await;
    let mut chat = chat("Tell me a joke");
    chat["messages"].as_array_mut().unwrap().insert(0, json!({"role": "system", "content": "Be brief"}));
    let chat = demo.answer("/v1/chat/completions", chat).await;
    let responses = with(responses("Tell me a joke"), json!({"instructions": "Be brief"}));
    let responses = demo.answer("/v1/responses", responses).await;
    let messages = with(messages("Tell me a joke"), json!({"system": [{"type": "text", "text": "Be brief"}]}));
    let counted = demo.answer("/v1/messages/count_tokens", messages.clone()).await;
    let messages = demo.answer("/v1/messages", messages).await;

    let text = &chat["choices"][0]["message"]["content"];
    assert_eq!((text, text), (&responses["output"][0]["content"][0]["text"], &messages["content"][0]["text"]));
    let (input, output) = (&chat["usage"]["prompt_tokens"], &chat["usage"]["completion_tokens"]);
    assert_eq!(input, 2 + 4 + 2 * 3 + 3);
    for usage in [&responses["usage"], &messages["usage"]] {
        assert_eq!((input, output), (&usage["input_tokens"], &usage["output_tokens"]));
    }
    assert_eq!(&counted["input_tokens"], input);
}

#[tokio::test]
async fn responses_are_streamed_as_they_are_whole() {
    let demo = Demo::start().await;
    let whole = demo.answer("/v1/responses", responses("hello")).await;
    assert_eq!((&whole["object"], &whole["status"]), (&json!("response"), &json!("completed")));
    let events = demo.named_stream("/v1/responses", responses("hello")).await;
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(types(&events), expected);
    assert!(events.iter().enumerate().all(|(number, event)| event["sequence_number"] == number));
    let text: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
    let last = &events.last().unwrap()["response"];
    assert_eq!(last["output"][0]["content"][0]["text"], text);
    assert_eq!(whole["output"][0]["content"], last["output"][0]["content"]);
    assert_eq!(whole["usage"], last["usage"]);
    assert_eq!(last["id"], events[0]["response"]["id"]);
    assert!(events[0]["response"]["usage"].is_null());

    let short = with(responses("hello"), json!({"max_output_tokens": 2}));
    let events = demo.named_stream("/v1/responses", short).await;
    let last = events.last().unwrap();
    assert_eq!(
        (&last["type"], &last["response"]["usage"]["output_tokens"]),
        (&json!("response.incomplete"), &json!(2))
    );
    assert_eq!(last["response"]["incomplete_details"]["reason"], "max_output_tokens");
}

#[tokio::test]
async fn responses_call_functions_and_hear_their_answers() {
    let demo = Demo::start().await;
    let tools = json!([{"type": "web_search"}, {"type": "function", "name": "get_weather", "parameters": city()}]);
    let asked = with(responses("get_weather of `Oslo`"), json!({"tools": tools}));
    let whole = demo.answer("/v1/responses", asked.clone()).await;
    let call = &whole["output"][0];
    assert_eq!((&call["type"], &call["name"]), (&json!("function_call"), &json!("get_weather")));
    assert_eq!(call["arguments"], r#"{"city":"Oslo"}"#);
    assert_eq!(whole["tools"], tools);

    let events = demo.named_stream("/v1/responses", asked.clone()).await;
    let pieces: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(call["arguments"], pieces);
    assert_eq!(events[events.len() - 3]["type"], "response.function_call_arguments.done");

    let grouped = json!([{"type": "namespace", "name": "sky", "tools": [tools[1]]}]);
    let grouped = demo.answer("/v1/responses", with(asked.clone(), json!({"tools": grouped}))).await;
    assert_eq!((&grouped["output"][0]["namespace"], &grouped["output"][0]["name"]), (&json!("sky"), &call["name"]));
    assert!(call.get("namespace").is_none());

    let developer = json!({"type": "message", "role": "developer", "content": "be kind"});
    let output = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "sunny, 21 degrees"});
    let answered = with(
        asked,
        json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "get_weather"}]}, call, output, developer]}),
    );
    let answer = demo.answer("/v1/responses", answered).await;
    assert_eq!(answer["output"][0]["content"][0]["text"], "The tool answered: sunny, 21 degrees");
}

#[tokio::test]
async fn messages_are_streamed_as_they_are_whole() {
    let demo = Demo::start().await;
    let whole = demo.answer("/v1/messages", messages("hello")).await;
    assert_eq!((&whole["type"], &whole["stop_reason"]), (&json!("message"), &json!("end_turn")));
    let events = demo.named_stream("/v1/messages", messages("hello")).await;
    let expected = [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(types(&events), expected);
    let text: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(whole["content"], json!([{"type": "text", "text": text}]));
    let ended = &events[events.len() - 2];
    assert_eq!((&ended["usage"], &ended["delta"]["stop_reason"]), (&whole["usage"], &json!("end_turn")));
    let begun = &events[0]["message"];
    assert_eq!((&begun["usage"]["output_tokens"], &begun["content"]), (&json!(1), &json!([])));
    assert_eq!(begun["usage"]["input_tokens"], whole["usage"]["input_tokens"]);

    let stopped = demo.answer("/v1/messages", with(messages("hello"), json!({"stop_sequences": ["x!", "I am"]}))).await;
    assert_eq!((&stopped["stop_reason"], &stopped["stop_sequence"]), (&json!("stop_sequence"), &json!("I am")));
    let short = demo.answer("/v1/messages", with(messages("hello"), json!({"max_tokens": 2}))).await;
    assert_eq!((&short["stop_reason"], &short["usage"]["output_tokens"]), (&json!("max_tokens"), &json!(2)));
}

#[tokio::test]
async fn messages_use_tools_and_hear_their_results() {
    let demo = Demo::start().await;
    let tools = json!([{"type": "bash_20250124", "name": "bash"}, {"name": "get_weather", "input_schema": city()}]);
    let reminder = json!({"type": "text", "text": "Reminder of a program: get_weather is there."});
    let prompt = json!([reminder, {"type": "text", "text": "Use get_weather for `Oslo`"}]);
    let mut asked = with(messages(""), json!({"tools": tools}));
    asked["messages"][0]["content"] = prompt;
    let whole = demo.answer("/v1/messages", asked.clone()).await;
    let call = &whole["content"][0];
    assert_eq!((&whole["stop_reason"], &call["type"]), (&json!("tool_use"), &json!("tool_use")));
    assert_eq!((&call["name"], &call["input"]), (&json!("get_weather"), &json!({"city": "Oslo"})));

    let events = demo.named_stream("/v1/messages", asked.clone()).await;
    assert_eq!(
        (&events[1]["content_block"]["name"], &events[1]["content_block"]["input"]),
        (&call["name"], &json!({}))
    );
    let pieces: String = events.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    assert_eq!(call["input"], serde_json::from_str::<Value>(&pieces).unwrap());

    let result = json!({"type": "tool_result", "tool_use_id": call["id"], "content": "sunny, 21 degrees"});
    asked["messages"].as_array_mut().unwrap().extend([
        json!({"role": "assistant", "content": whole["content"]}),
        json!({"role": "user", "content": [result, {"type": "text", "text": "Reminder: get_weather is there."}]}),
        json!({"role": "system", "content": "Today is Monday"}),
    ]);
    let answer = demo.answer("/v1/messages", asked).await;
    assert_eq!(answer["content"][0]["text"], "The tool answered: sunny, 21 degrees");
}

#[tokio::test]
async fn refusals_of_messages_are_anthropics() {
    let demo = Demo::start().await;
    let unlimited = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    for (path, body) in [
        ("/v1/messages", unlimited.clone()),
        ("/v1/messages", with(messages("hi"), json!({"max_tokens": 0}))),
        ("/v1/messages", with(messages("hi"), json!({"messages": []}))),
        ("/v1/messages", with(messages("hi"), json!({"tool_choice": {"type": "tool", "name": "none"}}))),
        ("/v1/messages/count_tokens", with(unlimited.clone(), json!({"messages": [{"role": "tool", "content": ""}]}))),
    ] {
        let response = demo.post(path, body).await;
        assert_eq!(response.status(), 400);
        let answer: Value = response.json().await.unwrap();
        assert_eq!((&answer["type"], &answer["error"]["type"]), (&json!("error"), &json!("invalid_request_error")));
        assert!(answer["error"]["message"].is_string() && answer["request_id"].is_string());
    }
    assert!(demo.answer("/v1/messages/count_tokens", unlimited).await["input_tokens"].is_u64());
    let url = format!("http://{}/v1/messages", demo.address);
    let refused = demo.client.post(url).bearer_auth("outside").json(&messages("hi")).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.json::<Value>().await.unwrap()["error"]["type"], "authentication_error");
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
        (with(chat("hi"), json!({"tools": [{"function": {"name": "n".repeat(129)}}]})), "tools"),
        (json!({"model": "m", "messages": []}), "messages"),
    ] {
        let error = demo.refusal(path, body).await;
        assert_eq!((&error["type"], &error["param"]), (&json!("invalid_request_error"), &json!(param)));
        assert!(error.as_object().unwrap()["code"].is_null());
    }
    for (more, param) in [
        (json!({"input": []}), "input"),
        (json!({"background": true}), "background"),
        (json!({"previous_response_id": "resp_1"}), "previous_response_id"),
        (json!({"max_output_tokens": 0}), "max_output_tokens"),
    ] {
        let error = demo.refusal("/v1/responses", with(responses("hi"), more)).await;
        assert_eq!((&error["type"], &error["param"]), (&json!("invalid_request_error"), &json!(param)));
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

impl Demo {
    /// Uploads a form; a name with a `@` before it is a file's.
    async fn upload(&self, path: &str, fields: &[(&str, &[u8])]) -> Response {
        let mut form = Vec::new();
        for (name, value) in fields {
            let file = name.strip_prefix('@');
            let more = if file.is_some() { "; filename=\"a\"" } else { "" };
            let head = format!("Content-Disposition: form-data; name=\"{}\"{more}", file.unwrap_or(name));
            form.extend([b"--bound\r\n", head.as_bytes(), b"\r\n\r\n", value, b"\r\n"].concat());
        }
        form.extend(b"--bound--\r\n");
        let request = self.client.post(format!("http://{}{path}", self.address)).bearer_auth(TOKEN);
        request.header("content-type", "multipart/form-data; boundary=bound").body(form).send().await.unwrap()
    }
}

#[tokio::test]
async fn speech_is_a_file_or_events_that_make_the_same_file() {
    let demo = Demo::start().await;
    let said = demo.post("/v1/audio/speech", json!({"model": "demo-speech", "input": "good morning"})).await;
    assert_eq!(said.headers()["content-type"], "audio/wav");
    let file = said.bytes().await.unwrap();
    let asked = json!({"model": "demo-speech", "input": "good morning", "stream_format": "sse"});
    let text = demo.post("/v1/audio/speech", asked).await.text().await.unwrap();
    let events: Vec<Value> = text
        .split_terminator("\n\n")
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect();
    let sound = events.iter().filter_map(|event| event["audio"].as_str());
    assert_eq!(sound.flat_map(|sound| STANDARD.decode(sound).unwrap()).collect::<Vec<u8>>(), file);
    // 3,244 bytes, of which 400 are a token.
    assert_eq!(events.last().unwrap()["usage"], json!({"input_tokens": 2, "output_tokens": 9, "total_tokens": 11}));
    assert_eq!(demo.refusal("/v1/audio/speech", json!({"model": "demo-speech", "input": ""})).await["param"], "input");
}

#[tokio::test]
async fn transcriptions_are_as_long_as_their_recording_in_every_form() {
    let demo = Demo::start().await;
    let asked = json!({"model": "demo-speech", "input": "one two three four five six"});
    let recording = demo.post("/v1/audio/speech", asked).await.bytes().await.unwrap();
    let ask = async |format: &[u8], stream: &[u8]| {
        let fields: [(&str, &[u8]); 4] =
            [("model", b"m"), ("response_format", format), ("@file", &recording), ("stream", stream)];
        let response = demo.upload("/v1/audio/transcriptions", &fields).await;
        assert_eq!(response.status(), 200);
        response.text().await.unwrap()
    };
    let json: Value = serde_json::from_str(&ask(b"json", b"").await).unwrap();
    assert_eq!(json["usage"], json!({"type": "duration", "seconds": 2}));
    let verbose: Value = serde_json::from_str(&ask(b"verbose_json", b"").await).unwrap();
    assert_eq!([&verbose["duration"], &verbose["text"]], [&json!(2), &json["text"]]);
    let text = json["text"].as_str().unwrap();
    assert_eq!(ask(b"text", b"").await, format!("{text}\n"));
    assert_eq!(ask(b"srt", b"").await, format!("1\n00:00:00,000 --> 00:00:02,000\n{text}\n\n"));
    assert_eq!(ask(b"vtt", b"").await, format!("WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n{text}\n\n"));
    let streamed = ask(b"json", b"true").await;
    assert!(streamed.contains("transcript.text.delta") && streamed.contains(r#""seconds":2"#), "{streamed}");
    assert_eq!(demo.upload("/v1/audio/transcriptions", &[("model", b"m")]).await.status(), 400);
}

#[tokio::test]
async fn edits_moderations_and_rankings_answer() {
    let demo = Demo::start().await;
    let fields: [(&str, &[u8]); 4] = [("model", b"m"), ("prompt", b"a hat"), ("@image[]", b"x"), ("n", b"2")];
    let edited: Value = demo.upload("/v1/images/edits", &fields).await.json().await.unwrap();
    assert_eq!(edited["data"].as_array().unwrap().len(), 2);
    let judged = demo.answer("/v1/moderations", json!({"model": "m", "input": ["kind", "Violence!"]})).await;
    let flags: Vec<_> = judged["results"].as_array().unwrap().iter().map(|result| &result["flagged"]).collect();
    assert_eq!(flags, [false, true]);
    let asked = json!({
        "model": "m", "query": "red barn", "top_n": 2,
        "documents": ["a blue house", {"text": "The red barn."}, "a red car"], "return_documents": true,
    });
    let ranked = demo.answer("/v1/rerank", asked).await;
    let order: Vec<_> = ranked["results"].as_array().unwrap().iter().map(|result| &result["index"]).collect();
    assert_eq!(order, [1, 2]);
    assert_eq!(ranked["results"][0]["document"]["text"], "The red barn.");
    assert_eq!(ranked["meta"]["billed_units"]["search_units"], 1);
}
