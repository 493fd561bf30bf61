//! Functions in namespaces, as Codex has them: laid flat on the way there, told with their namespace on the way back.

use serde_json::{Value, json};

use super::{convert, refused};
use crate::core::catalog::Dialect::{Chat, Messages, Responses};
use crate::protocol::convert::Shown;

fn asked(tools: Value) -> Value {
    json!({"model": "m", "input": [
        {"role": "user", "content": "Ask another."},
        {"type": "function_call", "call_id": "call_1", "namespace": "agents", "name": "wait", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "done"},
    ], "tools": tools})
}

fn function(name: &str) -> Value {
    json!({"type": "function", "name": name, "parameters": {"type": "object"}})
}

fn agents(functions: &[Value]) -> Value {
    json!({"type": "namespace", "name": "agents", "description": "Others to ask.", "tools": functions})
}

fn shown() -> Shown {
    Shown { id: "1".to_owned(), model: "m".to_owned(), created_at: 1 }
}

#[test]
fn grouped_functions_lie_flat_and_are_called_with_their_namespace() {
    let body = asked(json!([function("run"), agents(&[function("spawn"), function("wait")])]));
    let (converted, rest) = convert(Responses, Chat, &body).unwrap();
    let names = converted["tools"].as_array().unwrap().iter().map(|tool| tool["function"]["name"].as_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["run", "spawn", "wait"]);
    assert_eq!(converted["messages"][1]["tool_calls"][0]["function"]["name"], "wait");
    assert_eq!(rest.dropped, ["tools.description"]);

    let call = |name| json!({"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}});
    let message = json!({"role": "assistant", "tool_calls": [call("spawn"), call("run")]});
    let answer = json!({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]});
    let answer = rest.back.answer(answer.to_string().as_bytes(), &shown()).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let output = answer["output"].as_array().unwrap();
    assert_eq!((&output[0]["name"], &output[0]["namespace"]), (&json!("spawn"), &json!("agents")));
    assert_eq!((&output[1]["name"], output[1].get("namespace")), (&json!("run"), None));
    assert_eq!(answer["tools"], body["tools"]);
}

#[test]
fn a_streamed_call_is_told_with_its_namespace_from_its_first_event() {
    let (_, rest) = convert(Responses, Messages, &asked(json!([agents(&[function("spawn")])]))).unwrap();
    let mut stream = rest.back.stream(&shown());
    let mut out = Vec::new();
    for event in [
        json!({"type": "message_start", "message": {"usage": {"input_tokens": 1, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block":
            {"type": "tool_use", "id": "toolu_1", "name": "spawn", "input": {}}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}}),
        json!({"type": "message_stop"}),
    ] {
        stream.event(event.to_string().as_bytes(), &mut out).unwrap();
    }
    let items = String::from_utf8(out).unwrap();
    let items = items.lines().filter_map(|line| line.strip_prefix("data: "));
    let items: Vec<Value> = items.map(|data| serde_json::from_str::<Value>(data).unwrap()["item"].clone()).collect();
    let items: Vec<_> = items.iter().filter(|item| item.is_object()).collect();
    assert_eq!(items.len(), 2, "added and done");
    assert!(items.iter().all(|item| item["namespace"] == "agents" && item["name"] == "spawn"));
}

#[test]
fn what_cannot_lie_flat_is_refused_by_name() {
    let twice = asked(json!([function("spawn"), agents(&[function("spawn")])]));
    assert_eq!(refused(Responses, Chat, &twice), "tools");
    let search = asked(json!([agents(&[json!({"type": "custom", "name": "x"})])]));
    assert_eq!(refused(Responses, Chat, &search), "tools[0].tools[0].type");
    let odd = asked(json!([{"type": "namespace", "name": "a", "tools": [], "odd": 1}]));
    assert_eq!(refused(Responses, Messages, &odd), "tools[0].odd");
}
