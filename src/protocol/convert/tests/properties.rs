//! What survives a way there and back, and that nothing hostile makes a conversion fall.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{convert, shown, target, way_back};
use crate::core::catalog::Dialect::{self, Chat, Messages, Responses};
use crate::protocol::convert::{StreamConverter, request};

/// What an answer says.
#[derive(Clone, Debug, PartialEq)]
struct Said {
    text: String,
    /// Id, name, arguments.
    calls: Vec<(String, String, Value)>,
    /// Input that was not cached, input that was, output.
    tokens: (u64, u64, u64),
}

fn said() -> impl Strategy<Value = Said> {
    let call = ("[a-zA-Z0-9_]{1,12}", "[a-z_]{1,8}", object());
    let tokens = (0..100_000u64, 0..100_000u64, 0..100_000u64);
    ("\\PC{0,40}", prop::collection::vec(call, 0..4), tokens).prop_map(|(text, calls, tokens)| Said {
        text,
        // Two calls of one id are none.
        calls: calls
            .into_iter()
            .enumerate()
            .map(|(at, (id, name, input))| (format!("{id}_{at}"), name, input))
            .collect(),
        tokens,
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("\\PC{0,6}", value(), 0..4).prop_map(|members| json!(members))
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        "[\\x00-\\x1f\"\\\\\u{2028}]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..4).prop_map(|members| json!(members)),
        ]
    })
}

fn chat_completion(said: &Said) -> Value {
    let (fresh, cached, output) = said.tokens;
    let calls: Vec<Value> = said.calls.iter().map(|(id, name, arguments)| {
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments.to_string()}})
    }).collect();
    let mut message = json!({"role": "assistant", "content": said.text});
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    json!({
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": fresh + cached, "completion_tokens": output, "total_tokens": fresh + cached + output,
            "prompt_tokens_details": {"cached_tokens": cached},
        },
    })
}

fn chat_stream(said: &Said, piece_chars: usize) -> String {
    let mut stream = String::new();
    let mut chunk = |delta: Value, finish: Value| {
        let chunk = json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        stream.push_str(&format!("data: {chunk}\n\n"));
    };
    let pieces = |text: &str| -> Vec<String> {
        text.chars().collect::<Vec<_>>().chunks(piece_chars).map(|piece| piece.iter().collect()).collect()
    };
    for piece in pieces(&said.text) {
        chunk(json!({"content": piece}), Value::Null);
    }
    for (index, (id, name, arguments)) in said.calls.iter().enumerate() {
        chunk(
            json!({"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": ""}}]}),
            Value::Null,
        );
        for piece in pieces(&arguments.to_string()) {
            chunk(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}), Value::Null);
        }
    }
    chunk(json!({}), json!("stop"));
    let usage = chat_completion(said)["usage"].take();
    stream + &format!("data: {}\n\ndata: [DONE]\n\n", json!({"choices": [], "usage": usage}))
}

fn of_chat_completion(body: &Value) -> Said {
    let choice = &body["choices"][0];
    let calls = choice["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
    let finish = if calls.is_empty() { "stop" } else { "tool_calls" };
    assert_eq!(choice["finish_reason"], finish);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let parsed = |arguments: &Value| serde_json::from_str(arguments.as_str().unwrap()).unwrap();
    let usage = &body["usage"];
    let cached = usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap();
    Said {
        text: choice["message"]["content"].as_str().unwrap_or_default().to_owned(),
        calls: calls
            .iter()
            .map(|call| (text(&call["id"]), text(&call["function"]["name"]), parsed(&call["function"]["arguments"])))
            .collect(),
        tokens: (
            usage["prompt_tokens"].as_u64().unwrap() - cached,
            cached,
            usage["completion_tokens"].as_u64().unwrap(),
        ),
    }
}

fn of_chat_stream(stream: &[u8]) -> Said {
    let stream = std::str::from_utf8(stream).unwrap();
    let stream = stream.strip_suffix("data: [DONE]\n\n").expect("the stream ends");
    let (mut text, mut calls, mut body) = (String::new(), Vec::<Value>::new(), Value::Null);
    for event in stream.split_terminator("\n\n") {
        let chunk: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
        let delta = &chunk["choices"][0]["delta"];
        text.push_str(delta["content"].as_str().unwrap_or_default());
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let arguments = call["function"]["arguments"].as_str().unwrap();
            if call["id"].is_string() {
                assert_eq!(call["index"], calls.len());
                calls.push(call.clone());
            } else {
                let open = &mut calls.last_mut().unwrap()["function"]["arguments"];
                *open = (open.as_str().unwrap().to_owned() + arguments).into();
            }
        }
        if chunk["usage"].is_object() {
            body["usage"] = chunk["usage"].clone();
        }
        if chunk["choices"][0]["finish_reason"].is_string() {
            body["choices"] = json!([{"finish_reason": chunk["choices"][0]["finish_reason"]}]);
        }
    }
    body["choices"][0]["message"] = json!({"content": text, "tool_calls": calls});
    of_chat_completion(&body)
}

fn streamed(mut converter: StreamConverter, stream: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    converter.feed(stream, &mut out).unwrap();
    converter.end(&mut out).unwrap();
    assert!(converter.ended());
    out
}

/// A conversation as chat completions write it, in the one form that a way there and back leaves alone.
fn conversation() -> impl Strategy<Value = Value> {
    let text = || "\\PC{0,20}x";
    let turn = (text(), text(), prop::collection::vec(("[a-z]{1,6}", object(), text()), 0..3));
    (text(), prop::collection::vec(turn, 1..4), prop::option::of(1..9999u64)).prop_map(|(system, turns, max)| {
        let mut messages = vec![json!({"role": "system", "content": system})];
        for (at, (asked, answered, calls)) in turns.into_iter().enumerate() {
            messages.push(json!({"role": "user", "content": asked}));
            let mut answer = json!({"role": "assistant", "content": answered});
            let ids: Vec<String> = (0..calls.len()).map(|call| format!("call_{at}_{call}")).collect();
            if !calls.is_empty() {
                answer["tool_calls"] = calls.iter().zip(&ids).map(|((name, input, _), id)| {
                    json!({"id": id, "type": "function", "function": {"name": name, "arguments": input.to_string()}})
                }).collect();
            }
            messages.push(answer);
            for ((_, _, result), id) in calls.iter().zip(&ids) {
                messages.push(json!({"role": "tool", "content": result, "tool_call_id": id}));
            }
        }
        let tool = json!({"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}});
        let mut body = json!({
            "model": "gpt-5.4", "messages": messages, "tools": [tool], "tool_choice": "required", "temperature": 0.5,
            "max_completion_tokens": max.unwrap_or(8_192),
        });
        if max.is_none() {
            body["stream"] = true.into();
            body["stream_options"] = json!({"include_usage": true});
        }
        body
    })
}

proptest! {
    #[test]
    fn what_a_chat_completion_says_survives_the_other_dialects(said in said(), piece_chars in 1..9usize) {
        for between in [Messages, Responses] {
            let (there, back) = (way_back(between, Chat), way_back(Chat, between));
            let body = there.answer(chat_completion(&said).to_string().as_bytes(), &shown()).unwrap();
            let body = back.answer(&body, &shown()).unwrap();
            prop_assert_eq!(&of_chat_completion(&serde_json::from_slice(&body).unwrap()), &said);
            let stream = streamed(there.stream(&shown()), chat_stream(&said, piece_chars).as_bytes());
            prop_assert_eq!(&of_chat_stream(&streamed(back.stream(&shown()), &stream)), &said);
        }
    }

    #[test]
    fn what_a_message_says_survives_a_chat_completion(said in said()) {
        let message = way_back(Messages, Chat).answer(chat_completion(&said).to_string().as_bytes(), &shown()).unwrap();
        let chat = way_back(Chat, Messages).answer(&message, &shown()).unwrap();
        let again = way_back(Messages, Chat).answer(&chat, &shown()).unwrap();
        prop_assert_eq!(again, message);
    }

    #[test]
    fn a_conversation_survives_the_other_dialects(body in conversation()) {
        for between in [Messages, Responses] {
            let (there, first) = convert(Chat, between, &body).unwrap();
            prop_assert!(first.dropped.is_empty());
            let (mut back, second) = convert(between, Chat, &there).unwrap();
            // `store: false` is what a response request says beyond what it was asked.
            prop_assert_eq!(&second.dropped, if between == Responses { &["store"][..] } else { &[] });
            for tool in back["tools"].as_array_mut().unwrap() {
                let strict = tool["function"].as_object_mut().unwrap().remove("strict");
                prop_assert_ne!(strict, Some(json!(true)));
            }
            prop_assert_eq!(&back, &body);
        }
    }

    /// A valid text with one value in it replaced by another.
    #[test]
    fn odd_json_is_no_reason_to_fall(at in any::<prop::sample::Index>(), odd in value(), key in "[a-z_]{1,8}") {
        for (client, sample) in REQUESTS {
            let body = mutated(sample, at, &odd, &key).to_string();
            for upstream in [Chat, Messages, Responses] {
                let _ = request(*client, body.as_bytes(), &target(upstream));
            }
        }
        for (upstream, sample) in ANSWERS {
            let body = mutated(sample, at, &odd, &key).to_string();
            for client in [Chat, Messages, Responses] {
                let back = way_back(client, *upstream);
                let _ = back.answer(body.as_bytes(), &shown());
                let mut out = Vec::new();
                let mut converter = back.stream(&shown());
                let _ = converter.feed(format!("data: {body}\n\ndata: {body}\n\ndata: [DONE]\n\n").as_bytes(), &mut out);
                let _ = converter.end(&mut out);
                well_formed(&out);
            }
        }
    }

    /// Golden streams, whose events come in another order, twice or not at all.
    #[test]
    fn shuffled_streams_are_no_reason_to_fall(order in prop::collection::vec(any::<prop::sample::Index>(), 0..40)) {
        for (upstream, stream) in STREAMS {
            let events: Vec<&str> = stream.split_inclusive("\n\n").collect();
            for client in [Chat, Messages, Responses] {
                let mut converter = way_back(client, *upstream).stream(&shown());
                let mut out = Vec::new();
                for index in &order {
                    let done = converter.feed(index.get(&events).as_bytes(), &mut out);
                    let length = out.len();
                    if done.is_err() || converter.ended() {
                        converter.feed(events[0].as_bytes(), &mut out).unwrap();
                        prop_assert_eq!(out.len(), length);
                    }
                }
                let _ = converter.end(&mut out);
                well_formed(&out);
            }
        }
    }

    #[test]
    fn bytes_are_no_reason_to_fall(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for upstream in [Chat, Messages, Responses] {
            for client in [Chat, Messages, Responses] {
                let _ = request(client, &bytes, &target(upstream));
                let back = way_back(client, upstream);
                prop_assert!(back.answer(&bytes, &shown()).is_err());
                let mut out = Vec::new();
                let mut converter = back.stream(&shown());
                let _ = converter.feed(&bytes, &mut out);
                let _ = converter.end(&mut out);
                well_formed(&out);
            }
        }
    }
}

/// The promise of the whole room: what nobody knows is refused by its name, wherever it stands; what is the client's own
/// to define, schemas and arguments, goes through untouched.
#[test]
fn nothing_is_lost_in_silence() {
    for (client, sample) in REQUESTS {
        let mut body: Value = serde_json::from_str(sample).unwrap();
        // The one field among them that not all others have.
        body.as_object_mut().unwrap().remove("stop");
        let mut places = Vec::new();
        collect(&body, String::new(), &mut places);
        let mut refusals = 0;
        for place in places {
            let mut body = body.clone();
            let Value::Object(members) = body.pointer_mut(&place).unwrap() else { continue };
            members.insert("unheard_of".to_owned(), json!(1));
            let own = ["parameters", "schema", "input_schema", "input"]
                .iter()
                .any(|name| place.ends_with(&format!("/{name}")));
            for upstream in [Chat, Messages, Responses].into_iter().filter(|upstream| upstream != client) {
                match request(*client, body.to_string().as_bytes(), &target(upstream)) {
                    Ok(converted) if own => {
                        let body = String::from_utf8(converted.body).unwrap();
                        assert!(body.contains("unheard_of"), "{place} to {upstream:?}: {body}");
                    }
                    Ok(_) => panic!("{place} to {upstream:?}: lost"),
                    Err(error) => {
                        let param = error.param().unwrap().replace(['.', '['], "/").replace(']', "");
                        assert_eq!(format!("/{param}"), format!("{place}/unheard_of"));
                        refusals += 1;
                    }
                }
            }
        }
        assert!(refusals > 20, "{client:?}: the places are not found");
    }
}

#[test]
fn answers_have_an_end() {
    let many = |element: &str| [element].repeat(5_000).join(",");
    for (upstream, body) in [
        (Chat, format!(r#"{{"choices":[{}]}}"#, many("{}"))),
        (Messages, format!(r#"{{"content":[{}]}}"#, many(r#"{"type":"text"}"#))),
        (Responses, format!(r#"{{"output":[{}]}}"#, many(r#"{"type":"message"}"#))),
    ] {
        assert!(way_back(Chat, upstream).answer(body.as_bytes(), &shown()).is_err());
    }
    let delta = json!({"choices": [{"index": 0, "delta": {"content": "x".repeat(1 << 19)}}]});
    let event = format!("data: {delta}\n\n");
    let mut converter = way_back(Responses, Chat).stream(&shown());
    let fed = (0..100).map(|_| converter.feed(event.as_bytes(), &mut Vec::new()));
    assert!(fed.take_while(Result::is_ok).count() < 40, "a response is kept while it streams");
    let long = [b"data: ".as_slice(), &b"x".repeat(2 << 20)].concat();
    assert!(way_back(Chat, Chat).stream(&shown()).feed(&long, &mut Vec::new()).is_err());
}

/// Whole events of JSON, whatever came in.
#[track_caller]
fn well_formed(out: &[u8]) {
    let text = std::str::from_utf8(out).unwrap();
    assert!(text.is_empty() || text.ends_with("\n\n"));
    for event in text.split_terminator("\n\n").filter(|event| *event != ":") {
        let data = event.lines().last().unwrap().strip_prefix("data: ").unwrap();
        assert!(data == "[DONE]" || serde_json::from_str::<Value>(data).unwrap().is_object(), "{event}");
    }
}

/// The sample with the value at one of its places replaced, or a member added there.
fn mutated(sample: &str, at: prop::sample::Index, odd: &Value, key: &str) -> Value {
    let mut body: Value = serde_json::from_str(sample).unwrap();
    let mut places = Vec::new();
    collect(&body, String::new(), &mut places);
    let place = at.get(&places).clone();
    let found = body.pointer_mut(&place).unwrap();
    match found {
        Value::Object(members) if key.len().is_multiple_of(2) => {
            members.insert(key.to_owned(), odd.clone());
        }
        _ => *found = odd.clone(),
    }
    body
}

fn collect(value: &Value, place: String, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| collect(member, format!("{place}/{name}"), places))
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(at, element)| collect(element, format!("{place}/{at}"), places))
        }
        _ => {}
    }
    places.push(place);
}

const REQUESTS: &[(Dialect, &str)] = &[
    (
        Chat,
        r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"t"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}},{"type":"file","file":{"file_data":"data:application/pdf;base64,AA"}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"r"}],"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"tool_choice":{"type":"function","function":{"name":"f"}},"stop":["a"],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{}}},"reasoning_effort":"low","stream":true,"stream_options":{"include_usage":true}}"#,
    ),
    (
        Messages,
        r#"{"model":"m","max_tokens":9,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA"}},{"type":"document","source":{"type":"text","data":"x"}}]},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"tool_use","id":"c","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":[{"type":"text","text":"r"}]}]}],"tools":[{"name":"f","input_schema":{}}],"tool_choice":{"type":"any"},"thinking":{"type":"enabled","budget_tokens":2000},"output_config":{"effort":"low","format":{"type":"json_schema","schema":{}}}}"#,
    ),
    (
        Responses,
        r#"{"model":"m","instructions":"i","input":[{"role":"user","content":[{"type":"input_text","text":"t"},{"type":"input_image","image_url":"https://example.org/a"},{"type":"input_file","file_data":"data:application/pdf;base64,AA"}]},{"type":"reasoning","summary":[{"type":"summary_text","text":"t"}],"encrypted_content":"reasoning_content"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"r"}],"tools":[{"type":"function","name":"f","parameters":{}}],"tool_choice":"auto","text":{"format":{"type":"json_schema","name":"n","schema":{}}},"reasoning":{"effort":"low"},"include":["x"],"stream":true,"stream_options":{"include_obfuscation":false}}"#,
    ),
];

const ANSWERS: &[(Dialect, &str)] = &[
    (
        Chat,
        r#"{"choices":[{"index":0,"message":{"content":"t","reasoning_content":"r","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]},"delta":{"content":[{"text":"t","thinking":[{"text":"t"}]}],"tool_calls":[{"index":1,"function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}}"#,
    ),
    (
        Messages,
        r#"{"type":"content_block_start","index":0,"content":[{"type":"text","text":"t"},{"type":"tool_use","id":"c","name":"f","input":{}}],"content_block":{"type":"tool_use","id":"c","name":"f","input":{"a":1}},"delta":{"type":"input_json_delta","partial_json":"{}","stop_reason":"tool_use"},"message":{"usage":{"input_tokens":1,"output_tokens":1}},"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}"#,
    ),
    (
        Responses,
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"c","name":"f","arguments":""},"delta":"d","response":{"status":"completed","usage":{"input_tokens":1,"output_tokens":2}},"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"t"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}],"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}"#,
    ),
];

const STREAMS: &[(Dialect, &str)] = &[
    (Chat, include_str!("../../../../tests/golden/convert/chat_to_messages/tools_stream.upstream")),
    (Chat, include_str!("../../../../tests/golden/convert/chat_to_messages/odd_calls_stream.upstream")),
    (Messages, include_str!("../../../../tests/golden/convert/messages_to_chat/tools_stream.upstream")),
    (Responses, include_str!("../../../../tests/golden/convert/responses_to_chat/tools_stream.upstream")),
];
