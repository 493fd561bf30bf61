//! Requests: what is carried, what is dropped by name, what is refused.

use serde_json::{Value, json};

use super::{convert, refused, shown, target, way_back};
use crate::core::api_error::ApiError;
use crate::core::catalog::Dialect::{Chat, Messages, Responses};
use crate::protocol::convert::request;

#[test]
fn a_tool_loop_goes_from_chat_to_messages() {
    let (converted, rest) = convert(Chat, Messages, &json!({
        "model": "house-model",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "Look."},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "high"}},
                {"type": "image_url", "image_url": {"url": "https://example.org/a.jpg"}},
            ]},
            {"role": "assistant", "content": "", "refusal": null, "annotations": [], "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"at\": \"Rome\"}"}},
                {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": ""}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
            {"role": "tool", "tool_call_id": "call_2", "content": "noon"},
            {"role": "user", "content": "And?"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "weather", "description": "d", "strict": true, "parameters": {"type": "object"}}},
            {"type": "function", "function": {"name": "time", "parameters": {}}},
        ],
        "tool_choice": "auto", "parallel_tool_calls": false, "stop": "END", "temperature": 0.7,
        "seed": 7, "user": "u", "n": 1, "stream": true, "stream_options": {"include_usage": true},
    })).unwrap();
    assert_eq!(
        converted,
        json!({
            "model": "claude-sonnet-4-6", "max_tokens": 8192, "stream": true,
            "system": [{"type": "text", "text": "Be brief."}],
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "Look."},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                    {"type": "image", "source": {"type": "url", "url": "https://example.org/a.jpg"}},
                ]},
                {"role": "assistant", "content": [
                    {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"at": "Rome"}},
                    {"type": "tool_use", "id": "call_2", "name": "time", "input": {}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "sunny"}]},
                    {"type": "tool_result", "tool_use_id": "call_2", "content": [{"type": "text", "text": "noon"}]},
                    {"type": "text", "text": "And?"},
                ]},
            ],
            "tools": [
                {"name": "weather", "description": "d", "strict": true, "input_schema": {"type": "object"}},
                {"name": "time", "input_schema": {"type": "object", "properties": {}}},
            ],
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
            "stop_sequences": ["END"], "temperature": 0.7,
        })
    );
    assert_eq!(rest.dropped, ["detail", "seed", "user"]);
}

#[test]
fn schemas_and_numbers_reach_the_other_side_as_they_were_written() {
    let schema =
        r#"{"type":"object","properties":{"zeta":{"const":123456789012345678901234567890},"alpha":{"maximum":1.50}}}"#;
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"temperature":0.10,"tools":[{{"type":"function","function":{{"name":"f","parameters":{schema}}}}}]}}"#
    );
    let messages = request(Chat, body.as_bytes(), &target(Messages)).unwrap().body;
    let messages = String::from_utf8(messages).unwrap();
    assert!(messages.contains(schema) && messages.contains(r#""temperature":0.10"#), "{messages}");
    let chat = String::from_utf8(request(Messages, messages.as_bytes(), &target(Chat)).unwrap().body).unwrap();
    assert!(chat.contains(schema) && chat.contains(r#""temperature":0.10"#), "{chat}");
}

#[test]
fn what_messages_cannot_carry_is_refused_by_name() {
    let ask = |field: &str, value: Value| {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
        body[field] = value;
        body
    };
    for (field, value, param) in [
        ("n", json!(2), "n"),
        ("logprobs", json!(true), "logprobs"),
        ("top_logprobs", json!(3), "top_logprobs"),
        ("logit_bias", json!({"50256": -100}), "logit_bias"),
        ("modalities", json!(["text", "audio"]), "modalities[1]"),
        ("audio", json!({"voice": "alloy"}), "audio"),
        ("temperature", json!(1.5), "temperature"),
        ("response_format", json!({"type": "json_object"}), "response_format"),
        ("web_search_options", json!({}), "web_search_options"),
        ("functions", json!([{"name": "f"}]), "functions"),
        ("tools", json!([{"type": "custom", "custom": {"name": "f"}}]), "tools[0].type"),
        ("tool_choice", json!({"type": "allowed_tools"}), "tool_choice.type"),
        ("reasoning_effort", json!("huge"), "reasoning_effort"),
        ("unheard_of", json!(1), "unheard_of"),
        ("stream_options", json!({"unheard_of": 1}), "stream_options.unheard_of"),
        ("messages", json!([{"role": "user", "content": [{"type": "input_audio"}]}]), "messages[0].content[0].type"),
        ("messages", json!([{"role": "user", "content": "x", "mood": 1}]), "messages[0].mood"),
        ("messages", json!([{"role": "function", "content": "x"}]), "messages[0].role"),
        ("messages", json!([{"role": "user", "content": 1}]), "messages[0].content"),
        ("messages", json!([1]), "messages[0]"),
        ("messages", json!({}), "messages"),
        ("messages", json!([{"role": "user", "content": vec![1; 70_000]}]), "messages[0].content"),
        ("stop", json!(vec!["a"; 70_000]), "stop"),
        ("messages", Value::Null, "messages"),
        (
            "messages",
            json!([{"role": "system", "content": [
            {"type": "image_url", "image_url": {"url": "https://example.org/a"}}]}]),
            "messages[0].content[0].type",
        ),
        (
            "messages",
            json!([{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}]),
            "messages[0].content[0].image_url.url",
        ),
        (
            "messages",
            json!([{"role": "user", "content": [
            {"type": "file", "file": {"file_id": "file-1"}}]}]),
            "messages[0].content[0].file.file_id",
        ),
        (
            "messages",
            json!([{"role": "user", "content": [
            {"type": "file", "file": {"file_data": "data:text/csv;base64,AA"}}]}]),
            "messages[0].content[0].file.file_data",
        ),
        (
            "messages",
            json!([{"role": "assistant", "tool_calls": [
            {"id": "a", "function": {"name": "f", "arguments": "[1]"}}]}]),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            "messages",
            json!([{"role": "assistant", "tool_calls": [
            {"id": "a", "function": {"name": "f", "arguments": "{\"a\":1,\"a\":2}"}}]}]),
            "messages[0].tool_calls[0].function.arguments",
        ),
    ] {
        assert_eq!(refused(Chat, Messages, &ask(field, value)), param);
    }
}

#[test]
fn what_is_off_or_null_is_no_reason_to_refuse() {
    let (converted, rest) = convert(
        Chat,
        Messages,
        &json!({
            "model": "m", "messages": [{"role": "user", "content": "x"}], "n": 1, "logprobs": false, "logit_bias": {},
            "tools": null, "tool_choice": "none", "audio": null, "modalities": ["text"], "stop": null, "unheard_of": null,
        }),
    )
    .unwrap();
    assert_eq!(converted["messages"][0]["content"][0]["text"], "x");
    assert_eq!(converted.get("tool_choice"), None);
    assert!(rest.dropped.is_empty());
}

#[test]
fn effort_becomes_thinking_where_its_conditions_hold() {
    let ask = |model: &'static str, body: Value| {
        let mut all = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "reasoning_effort": "high"});
        all.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let mut to = target(Messages);
        to.model = model;
        let converted = request(Chat, all.to_string().as_bytes(), &to).unwrap();
        let body: Value = serde_json::from_slice(&converted.body).unwrap();
        (body["thinking"].clone(), body["output_config"]["effort"].clone(), converted.dropped)
    };
    let none = || Value::Null;
    assert_eq!(
        ask("claude-sonnet-5", json!({})),
        (json!({"type": "adaptive", "display": "summarized"}), json!("high"), vec![])
    );
    let hot = ask("claude-sonnet-5", json!({"temperature": 0.5, "top_p": 0.5}));
    assert_eq!(
        hot,
        (json!({"type": "adaptive", "display": "summarized"}), json!("high"), vec!["temperature", "top_p"])
    );
    let forced = ask("claude-sonnet-4-6", json!({"tool_choice": "required", "temperature": 0.5}));
    assert_eq!(forced, (none(), none(), vec!["reasoning_effort"]));
    let brief = ask("claude-sonnet-5", json!({"max_tokens": 100}));
    assert_eq!(brief, (json!({"type": "adaptive", "display": "summarized"}), json!("high"), vec![]));
    let off = ask("claude-sonnet-5", json!({"reasoning_effort": "none"}));
    assert_eq!(off, (json!({"type": "disabled"}), none(), vec![]));
    // A budget stays below the maximum, and is none where the maximum leaves no room for the smallest.
    let old = ask("claude-sonnet-4-5", json!({}));
    assert_eq!(old, (json!({"type": "enabled", "budget_tokens": 8191}), none(), vec![]));
    let small = ask("claude-sonnet-4-5", json!({"max_tokens": 1000}));
    assert_eq!(small, (none(), none(), vec!["reasoning_effort"]));
    // The thinking before the calls would have to be sent along.
    let looped = json!({"messages": [
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
    ]});
    assert_eq!(ask("claude-sonnet-4-5", looped.clone()), (none(), none(), vec!["reasoning_effort"]));
    assert_eq!(ask("claude-opus-4-8", looped).0, json!({"type": "adaptive", "display": "summarized"}));
}

#[test]
fn a_tool_loop_goes_from_messages_to_chat() {
    let (converted, rest) = convert(Messages, Chat, &json!({
        "model": "house-model", "max_tokens": 100, "stream": true, "top_k": 5, "temperature": 1,
        "metadata": {"user_id": "u"},
        "system": [
            {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "Be kind."},
        ],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "Look."},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "document", "title": "a.pdf", "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"}},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "reasoning_content"},
                {"type": "thinking", "thinking": "sealed", "signature": "EqQB"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"at": "Rome", "a": 1.0}},
                {"type": "tool_use", "id": "toolu_2", "name": "map", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": true, "content": "offline"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": [
                    {"type": "image", "source": {"type": "url", "url": "https://example.org/map.png"}}]},
                {"type": "text", "text": "And?"},
            ]},
            {"role": "assistant", "content": "It is"},
        ],
        "tools": [{"name": "weather", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}],
        "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": true},
        "stop_sequences": ["END", "FIN"],
        "thinking": {"type": "enabled", "budget_tokens": 10000},
    })).unwrap();
    assert_eq!(
        converted,
        json!({
            "model": "gpt-5.4", "max_completion_tokens": 100, "temperature": 1, "stream": true,
            "stream_options": {"include_usage": true}, "stop": ["END", "FIN"], "reasoning_effort": "medium",
            "messages": [
                {"role": "system", "content": "Be brief.\n\nBe kind."},
                {"role": "user", "content": [
                    {"type": "text", "text": "Look."},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"}},
                ]},
                {"role": "assistant", "content": "I look.", "reasoning_content": "hm", "tool_calls": [
                    {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": "{\"a\":1.0,\"at\":\"Rome\"}"}},
                    {"id": "toolu_2", "type": "function", "function": {"name": "map", "arguments": "{}"}},
                ]},
                {"role": "tool", "tool_call_id": "toolu_1", "content": "Error: offline"},
                {"role": "tool", "tool_call_id": "toolu_2", "content": "The result is attached to the message that follows."},
                {"role": "user", "content": [
                    {"type": "image_url", "image_url": {"url": "https://example.org/map.png"}},
                    {"type": "text", "text": "And?"},
                ]},
                {"role": "assistant", "content": "It is"},
            ],
            "tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
            "parallel_tool_calls": false,
        })
    );
    assert_eq!(rest.dropped, ["cache_control", "thinking", "metadata", "top_k"]);
}

#[test]
fn what_chat_cannot_carry_is_refused_by_name() {
    let ask = |field: &str, value: Value| {
        let mut body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]});
        body[field] = value;
        body
    };
    let block = |block: Value| json!([{"role": "user", "content": [block]}]);
    for (field, value, param) in [
        ("tools", json!([{"type": "web_search_20250305", "name": "web_search"}]), "tools[0].type"),
        ("tools", json!([{"name": "f", "allowed_callers": ["code"]}]), "tools[0].allowed_callers"),
        ("mcp_servers", json!([{"url": "https://example.org"}]), "mcp_servers"),
        ("container", json!("c"), "container"),
        ("inference_geo", json!("us"), "inference_geo"),
        (
            "messages",
            block(json!({"type": "image", "source": {"type": "file", "file_id": "f"}})),
            "messages[0].content[0].source.type",
        ),
        (
            "messages",
            block(json!({"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}})),
            "messages[0].content[0].source.type",
        ),
        (
            "messages",
            block(json!({"type": "document", "citations": {"enabled": true}, "source": {"type": "text", "data": "x"}})),
            "messages[0].content[0].citations.enabled",
        ),
        ("messages", block(json!({"type": "search_result", "content": []})), "messages[0].content[0].type"),
        (
            "messages",
            block(json!({"type": "tool_use", "id": "a", "name": "f", "input": {}})),
            "messages[0].content[0].type",
        ),
        (
            "messages",
            block(json!({"type": "tool_result", "tool_use_id": "a", "content": [
            {"type": "tool_result", "tool_use_id": "b"}]})),
            "messages[0].content[0].content[0].type",
        ),
        ("messages", block(json!({"type": "text"})), "messages[0].content[0].text"),
        ("messages", json!([{"role": "tool", "content": "x"}]), "messages[0].role"),
        ("system", json!(7), "system"),
    ] {
        assert_eq!(refused(Messages, Chat, &ask(field, value)), param);
    }
}

#[test]
fn responses_become_chat() {
    let (converted, rest) = convert(Responses, Chat, &json!({
        "model": "house-model", "instructions": "Be brief.", "stream": true, "store": false,
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "No lists."}]},
            {"role": "user", "content": [
                {"type": "input_text", "text": "Look."},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
            ]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
            {"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "reasoning_content"},
            {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [
                {"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}]},
            {"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "call_1", "name": "weather", "arguments": "{\"at\":\"Rome\"}"},
            {"type": "function_call", "call_id": "call_2", "name": "time", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
            {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "noon"}]},
        ],
        "tools": [{"type": "function", "name": "weather", "description": "d", "parameters": {"type": "object"}, "strict": false}],
        "tool_choice": "auto", "parallel_tool_calls": true, "max_output_tokens": 50,
        "reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"],
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}},
        "prompt_cache_key": "k",
    })).unwrap();
    assert_eq!(
        converted,
        json!({
            "model": "gpt-5.4", "stream": true, "stream_options": {"include_usage": true},
            "max_completion_tokens": 50, "reasoning_effort": "low", "verbosity": "low", "tool_choice": "auto",
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": true}},
            "messages": [
                {"role": "system", "content": "Be brief.\n\nNo lists."},
                {"role": "user", "content": [
                    {"type": "text", "text": "Look."},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ]},
                {"role": "assistant", "content": "I look.", "reasoning_content": "hm", "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"at\":\"Rome\"}"}},
                    {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
                ]},
                {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
                {"role": "tool", "tool_call_id": "call_2", "content": "noon"},
            ],
            "tools": [{"type": "function", "function": {"name": "weather", "description": "d", "parameters": {"type": "object"}, "strict": false}}],
        })
    );
    assert_eq!(rest.dropped, ["detail", "input.reasoning", "prompt_cache_key", "store"]);
}

#[test]
fn what_a_response_would_need_from_its_provider_is_refused_by_name() {
    let ask = |field: &str, value: Value| {
        let mut body = json!({"model": "m", "input": "x"});
        body[field] = value;
        body
    };
    for (field, value, param) in [
        ("previous_response_id", json!("resp_1"), "previous_response_id"),
        ("conversation", json!("conv_1"), "conversation"),
        ("prompt", json!({"id": "p"}), "prompt"),
        ("background", json!(true), "background"),
        ("tools", json!([{"type": "web_search"}]), "tools[0].type"),
        ("tools", json!([{"type": "custom", "name": "apply_patch"}]), "tools[0].type"),
        ("tool_choice", json!({"type": "file_search"}), "tool_choice.type"),
        ("include", json!(["message.output_text.logprobs"]), "include[0]"),
        ("input", json!([{"type": "item_reference", "id": "msg_1"}]), "input[0].type"),
        (
            "input",
            json!([{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]),
            "input[0].content[0].file_id",
        ),
        ("input", json!([{"role": "user"}]), "input[0].content"),
        ("input", json!(3), "input"),
        ("input", Value::Null, "input"),
        ("text", json!({"format": {"type": "grammar"}}), "text.format.type"),
        ("unheard_of", json!({}), "unheard_of"),
    ] {
        assert_eq!(refused(Responses, Chat, &ask(field, value.clone())), param);
        assert_eq!(refused(Responses, Messages, &ask(field, value)), param);
    }
    let off = json!({"model": "m", "input": "x", "background": false, "previous_response_id": null});
    convert(Responses, Chat, &off).unwrap();
    assert_eq!(refused(Responses, Messages, &ask("text", json!({"format": {"type": "json_object"}}))), "text.format");
}

#[test]
fn chat_and_messages_become_responses() {
    let (converted, rest) = convert(Chat, Responses, &json!({
        "model": "m", "max_tokens": 5, "reasoning_effort": "high", "seed": 1, "parallel_tool_calls": true,
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "u"},
            {"role": "assistant", "content": "a", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "r"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_object"},
    })).unwrap();
    assert_eq!(
        converted,
        json!({
            "model": "gpt-5.4", "max_output_tokens": 5, "store": false, "parallel_tool_calls": true,
            "reasoning": {"effort": "high", "summary": "auto"}, "text": {"format": {"type": "json_object"}},
            "input": [
                {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "s"}]},
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "u"}]},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "r"}]},
            ],
            "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": false}],
            "tool_choice": {"type": "function", "name": "f"},
        })
    );
    assert_eq!(rest.dropped, ["seed"]);
    let stops = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "stop": ["a"]});
    assert_eq!(refused(Chat, Responses, &stops), "stop");
    let stops = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "stop_sequences": ["a"]});
    assert_eq!(refused(Messages, Responses, &stops), "stop_sequences");
}

#[test]
fn a_signed_call_comes_back_signed_to_who_signs_and_to_nobody_else() {
    let answer = json!({"choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"tool_calls": [
        {"id": "function-call-1", "type": "function", "function": {"name": "f", "arguments": "{}"},
            "extra_content": {"google": {"thought_signature": "CiQB/+="}}},
        {"id": "function-call-2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]}}]});
    let message = way_back(Messages, Chat).answer(answer.to_string().as_bytes(), &shown()).unwrap();
    let message: Value = serde_json::from_slice(&message).unwrap();
    let ids = [&message["content"][0]["id"], &message["content"][1]["id"]];
    assert_ne!(ids[0], "function-call-1");
    assert_eq!(ids[1], "function-call-2");
    let next = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "assistant", "content": message["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": ids[0], "content": "1"}]},
    ]});
    let to = |dialect, model| {
        let mut to = target(dialect);
        to.model = model;
        let body = request(Messages, next.to_string().as_bytes(), &to).unwrap().body;
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    let gemini = to(Chat, "gemini-3-pro");
    let calls = &gemini["messages"][0]["tool_calls"];
    assert_eq!(calls[0]["id"], "function-call-1");
    assert_eq!(calls[0]["extra_content"], json!({"google": {"thought_signature": "CiQB/+="}}));
    assert_eq!(calls[1].get("extra_content"), None);
    assert_eq!(gemini["messages"][1]["tool_call_id"], "function-call-1");
    let other = to(Chat, "gpt-5.4");
    assert_eq!(other["messages"][0]["tool_calls"][0].get("extra_content"), None);
    assert_eq!(other["messages"][1]["tool_call_id"], "function-call-1");
    let responses = to(Responses, "gpt-5.4");
    assert_eq!(responses["input"][0]["call_id"], "function-call-1");
    assert_eq!(responses["input"][2]["call_id"], "function-call-1");
}

#[test]
fn a_model_gets_the_sampling_knobs_that_it_takes() {
    let ask = |model: &'static str, body: Value| {
        let mut all = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
        all.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let mut to = target(Messages);
        to.model = model;
        let converted = request(Chat, all.to_string().as_bytes(), &to)?;
        let body: Value = serde_json::from_slice(&converted.body).unwrap();
        Ok::<_, ApiError>((body["temperature"].clone(), body["top_p"].clone(), converted.dropped))
    };
    let both = json!({"temperature": 0.2, "top_p": 0.9});
    assert_eq!(ask("glm-5", both.clone()).unwrap(), (json!(0.2), json!(0.9), vec![]));
    assert_eq!(ask("claude-sonnet-4-5", both.clone()).unwrap(), (json!(0.2), Value::Null, vec!["top_p"]));
    assert_eq!(ask("claude-sonnet-4-5", json!({"top_p": 0.9})).unwrap(), (Value::Null, json!(0.9), vec![]));
    let none = (Value::Null, Value::Null, vec!["temperature", "top_p"]);
    assert_eq!(ask("claude-opus-5", both).unwrap(), none);
    assert!(ask("claude-opus-5", json!({"temperature": 2})).is_ok());
    assert!(ask("glm-5", json!({"temperature": 2})).is_err());
}
