//! What a request says, which fields are judged, and that an edit changes nothing but what it edits.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const CHAT: Endpoint = Endpoint::ChatCompletions;

fn chat(more: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{more}}}"#)
}

fn understood(endpoint: Endpoint, body: &str) -> Facts {
    understand(endpoint, body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error:?}"))
}

/// The field that is named as the one at fault.
fn refused(endpoint: Endpoint, body: impl AsRef<[u8]>) -> Option<String> {
    let body = body.as_ref();
    match understand(endpoint, body) {
        Err(ApiError::InvalidRequest { param, .. }) => param,
        other => panic!("{}: {other:?}", String::from_utf8_lossy(body)),
    }
}

fn refused_field(endpoint: Endpoint, body: &str, field: &str) {
    assert_eq!(refused(endpoint, body).as_deref(), Some(field), "{body}");
}

fn rewritten(body: &str, upstream_model: &str, inject_usage: bool) -> String {
    let pieces = understood(CHAT, body).rewrite(&Bytes::from(body.to_owned()), upstream_model, inject_usage);
    String::from_utf8(pieces.concat()).unwrap()
}

#[test]
fn a_plain_chat_says_little() {
    let facts = understood(CHAT, &chat(""));
    assert_eq!((facts.model.as_str(), facts.stream, facts.include_usage), ("m", false, false));
    assert_eq!((facts.max_output_tokens, facts.choices, facts.images, facts.characters), (None, 1, 0, 0));
    assert_eq!((facts.tier, &facts.image_kind), (Tier::Standard, &ImageKind::default()));
    assert_eq!((facts.text_bytes, facts.other_tokens, facts.input_tokens), (6, 0, 10));
}

#[test]
fn the_body_must_be_one_json_object() {
    for body in ["", "null", "[]", "\"model\"", "5", "{", "{}x", "\u{feff}{}", r#"{"model":"m","messages":[1],}"#] {
        assert_eq!(refused(CHAT, body), None, "{body}");
    }
    assert_eq!(refused(CHAT, b"{\"model\":\"\xff\"}"), None);
    assert_eq!(refused(CHAT, chat(&format!(r#","x":{}1{}"#, "[".repeat(64), "]".repeat(64)))), None);
}

#[test]
fn a_field_given_twice_is_refused_wherever_it_stands() {
    refused_field(CHAT, &chat(r#","model":"other""#), "model");
    refused_field(CHAT, &chat(r#","mod\u0065l":"other""#), "model");
    refused_field(CHAT, &chat(r#","metadata":{"a":1,"b":{"c":1,"c":2}}"#), "c");
    refused_field(CHAT, r#"{"model":"m","messages":[{"role":"user","content":"a","content":"b"}]}"#, "content");
    refused_field(CHAT, &chat(r#","stream_options":{"include_usage":true,"include_usage":true}"#), "include_usage");
}

#[test]
fn model_is_required_and_plain() {
    refused_field(CHAT, r#"{"messages":[{}]}"#, "model");
    for model in ["null", "5", "[]", "\"\"", "{}", r#""a\u0000b""#, r#""a\nb""#, r#""\u007f""#, r#""\u0085""#] {
        refused_field(CHAT, &format!(r#"{{"model":{model},"messages":[{{}}]}}"#), "model");
    }
    let model = |length: usize| format!(r#"{{"model":"{}","messages":[{{}}]}}"#, "m".repeat(length));
    refused_field(CHAT, &model(257), "model");
    assert_eq!(understood(CHAT, &model(256)).model.len(), 256);
    assert_eq!(understood(CHAT, r#"{"model":"org\/模\u578b:free","messages":[{}]}"#).model, "org/模型:free");
}

#[test]
fn counts_are_positive_integers_in_plain_digits() {
    for field in ["n", "best_of", "max_tokens", "max_completion_tokens", "max_output_tokens"] {
        for value in [
            "0",
            "-1",
            "-0",
            "5.0",
            "1.5",
            "5e0",
            "1E2",
            "1000000001",
            "99999999999999999999",
            "\"5\"",
            "true",
            "[]",
            "{}",
        ] {
            refused_field(CHAT, &chat(&format!(r#","{field}":{value}"#)), field);
        }
        understood(CHAT, &chat(&format!(r#","{field}":null"#)));
        understood(CHAT, &chat(&format!(r#","{field}":1"#)));
    }
    refused_field(CHAT, &chat(r#","n":129"#), "n");
    refused_field(Endpoint::Completions, r#"{"model":"m","prompt":"a","best_of":129}"#, "best_of");
}

#[test]
fn the_larger_maximum_counts() {
    let max = |more: &str| understood(CHAT, &chat(more)).max_output_tokens;
    assert_eq!(max(r#","max_tokens":5"#), Some(5));
    assert_eq!(max(r#","max_tokens":5,"max_completion_tokens":7"#), Some(7));
    assert_eq!(max(r#","max_completion_tokens":7,"max_tokens":5"#), Some(7));
    assert_eq!(max(r#","max_completion_tokens":null,"max_tokens":5"#), Some(5));
    assert_eq!(max(r#","max_output_tokens":1000000000"#), Some(1_000_000_000));
    assert_eq!(max(r#","max_tokens":null"#), None);
}

#[test]
fn choices_are_of_each_prompt() {
    let choices = |body: &str| understood(Endpoint::Completions, body).choices;
    assert_eq!(choices(r#"{"model":"m"}"#), 1);
    assert_eq!(choices(r#"{"model":"m","prompt":null,"n":2}"#), 2);
    assert_eq!(choices(r#"{"model":"m","prompt":"a","n":2,"best_of":5}"#), 5);
    assert_eq!(choices(r#"{"model":"m","n":3,"prompt":["a","b"]}"#), 6);
    assert_eq!(choices(r#"{"model":"m","prompt":[1,2,3]}"#), 1);
    assert_eq!(choices(r#"{"model":"m","prompt":[[1,2],[3],[4]],"n":2}"#), 6);
    assert_eq!(understood(CHAT, &chat(r#","n":4"#)).choices, 4);
}

#[test]
fn each_endpoint_requires_its_own_input() {
    for messages in ["null", "\"hi\"", "{}", "[]", "5"] {
        refused_field(CHAT, &format!(r#"{{"model":"m","messages":{messages}}}"#), "messages");
    }
    refused_field(CHAT, r#"{"model":"m","prompt":"hi"}"#, "messages");
    for input in ["null", "{}", "5", "true"] {
        refused_field(Endpoint::Embeddings, &format!(r#"{{"model":"m","input":{input}}}"#), "input");
        refused_field(Endpoint::ImagesGenerations, &format!(r#"{{"model":"m","prompt":{input}}}"#), "prompt");
    }
    refused_field(Endpoint::Embeddings, r#"{"model":"m"}"#, "input");
    refused_field(Endpoint::ImagesGenerations, r#"{"model":"m"}"#, "prompt");
    refused_field(Endpoint::ImagesGenerations, r#"{"model":"m","prompt":["a"]}"#, "prompt");
    for prompt in ["{}", "5", "true"] {
        refused_field(Endpoint::Completions, &format!(r#"{{"model":"m","prompt":{prompt}}}"#), "prompt");
    }
}

#[test]
fn stream_and_its_options_are_typed() {
    for value in ["1", "\"true\"", "[]", "{}"] {
        refused_field(CHAT, &chat(&format!(r#","stream":{value}"#)), "stream");
    }
    for value in ["true", "1", "\"x\"", "[]"] {
        refused_field(CHAT, &chat(&format!(r#","stream_options":{value}"#)), "stream_options");
    }
    for value in ["1", "\"true\"", "[]"] {
        let body = chat(&format!(r#","stream_options":{{"include_usage":{value}}}"#));
        refused_field(CHAT, &body, "stream_options.include_usage");
    }
    let says = |more: &str| {
        let facts = understood(CHAT, &chat(more));
        (facts.stream, facts.include_usage)
    };
    assert_eq!(says(r#","stream":null,"stream_options":null"#), (false, false));
    assert_eq!(says(r#","stream":true"#), (true, false));
    assert_eq!(says(r#","stream":true,"stream_options":{"include_usage":true}"#), (true, true));
    assert_eq!(says(r#","stream":true,"stream_options":{"include_usage":null,"x":1}"#), (true, false));
    // Without a stream they are the upstream's business.
    assert_eq!(says(r#","stream_options":{"include_usage":true}"#), (false, true));
}

#[test]
fn only_text_endpoints_stream() {
    let input = r#""model":"m","input":"a","prompt":"a""#;
    for endpoint in [Endpoint::Embeddings, Endpoint::ImagesGenerations] {
        refused_field(endpoint, &format!(r#"{{{input},"stream":true}}"#), "stream");
        assert!(!understood(endpoint, &format!(r#"{{{input},"stream":false}}"#)).stream);
    }
    assert!(understood(Endpoint::Completions, &format!(r#"{{{input},"stream":true}}"#)).stream);
}

#[test]
fn the_tier_is_a_string_and_an_unknown_one_is_standard() {
    let tier = |value: &str| understood(CHAT, &chat(&format!(r#","service_tier":{value}"#))).tier;
    assert_eq!(tier("\"fast\""), Tier::Priority);
    assert_eq!(tier("\"fl\\u0065x\""), Tier::Flex);
    assert_eq!(tier("\"auto\""), Tier::Standard);
    assert_eq!(tier("null"), Tier::Standard);
    refused_field(CHAT, &chat(r#","service_tier":1"#), "service_tier");
}

#[test]
fn pictures_are_counted_and_described() {
    let image =
        |more: &str| understood(Endpoint::ImagesGenerations, &format!(r#"{{"model":"m","prompt":"cat"{more}}}"#));
    assert_eq!((image("").images, image("").choices, image("").text_bytes), (1, 1, 3));
    assert_eq!(image(r#","n":null"#).images, 1);
    let two = image(r#","n":2,"size":"1024x1024","quality":"hd""#);
    assert_eq!((two.images, two.choices), (2, 2));
    assert_eq!(two.image_kind, ImageKind { quality: "hd".into(), size: "1024x1024".into() });
    assert_eq!(image(r#","size":null,"quality":null"#).image_kind, ImageKind::default());
    for (field, value) in [("n", "11"), ("n", "0"), ("size", "1024"), ("quality", "true")] {
        let body = format!(r#"{{"model":"m","prompt":"cat","{field}":{value}}}"#);
        refused_field(Endpoint::ImagesGenerations, &body, field);
    }
    let long = format!(r#"{{"model":"m","prompt":"cat","size":"{}"}}"#, "9".repeat(65));
    refused_field(Endpoint::ImagesGenerations, &long, "size");
}

#[test]
fn fields_that_nobody_here_knows_are_not_judged() {
    let facts = understood(
        CHAT,
        &chat(r#","temperature":"hot","user":[1],"size":5,"prompt":{},"input":1,"MODEL":1,"x":{"model":5,"n":-1}"#),
    );
    assert_eq!((facts.model.as_str(), facts.choices, facts.text_bytes), ("m", 1, 6));
}

#[test]
fn all_text_of_the_input_is_held_for() {
    let facts = understood(
        CHAT,
        &chat(r#","tools":[{"a":1}],"functions":[{"b":2}],"response_format":{"c":3},"prediction":{"content":"12345"}"#),
    );
    assert_eq!(facts.text_bytes, 6 + 7 + 7 + 7 + 7 + 5);
    assert_eq!(facts.input_tokens, 39_u64.div_ceil(3) + 8 + 2 * 16);
    let embedding = understood(Endpoint::Embeddings, r#"{"model":"m","input":["abc","de"]}"#);
    assert_eq!((embedding.text_bytes, embedding.input_tokens, embedding.choices), (5, 2 + 2 * 3, 1));
    let ids = understood(Endpoint::Embeddings, r#"{"model":"m","input":[[1,2],[3]]}"#);
    assert_eq!((ids.text_bytes, ids.other_tokens, ids.input_tokens), (0, 3, 3));
}

#[test]
fn an_unchanged_body_is_the_same_memory() {
    let body = Bytes::from(chat(r#","stream":true"#));
    let facts = understand(CHAT, &body).unwrap();
    let pieces = facts.rewrite(&body, "m", false);
    assert_eq!(pieces.len(), 1);
    assert_eq!((pieces[0].as_ptr(), pieces[0].len()), (body.as_ptr(), body.len()));
}

#[test]
fn only_the_models_name_is_replaced() {
    let body = "{ \"a\":[1.0,  1e2], \"model\" :\t\"\\u006d\" ,\"messages\":[{}] }\n";
    assert_eq!(
        rewritten(body, "up\"stream\n型", true),
        "{ \"a\":[1.0,  1e2], \"model\" :\t\"up\\\"stream\\n型\" ,\"messages\":[{}] }\n"
    );
    // The same name, written otherwise, is the same.
    assert_eq!(rewritten(body, "m", true), body);
}

#[test]
fn usage_is_asked_for_by_the_smallest_edit() {
    let asked =
        |options: &str| rewritten(&format!(r#"{{"stream":true{options},"model":"m","messages":[{{}}]}}"#), "m", true);
    let with = |options: &str| format!(r#"{{"stream":true{options},"model":"m","messages":[{{}}]}}"#);
    assert_eq!(asked(""), r#"{"stream":true,"model":"m","stream_options":{"include_usage":true},"messages":[{}]}"#);
    assert_eq!(asked(r#","stream_options": null"#), with(r#","stream_options": {"include_usage":true}"#));
    assert_eq!(asked(r#","stream_options":{}"#), with(r#","stream_options":{"include_usage":true}"#));
    assert_eq!(asked(r#","stream_options":{ "x":1}"#), with(r#","stream_options":{"include_usage":true, "x":1}"#));
    assert_eq!(
        asked(r#","stream_options":{"x":1,"include_usage": false }"#),
        with(r#","stream_options":{"x":1,"include_usage": true }"#)
    );
    assert_eq!(
        asked(r#","stream_options":{"include_usage":null}"#),
        with(r#","stream_options":{"include_usage":true}"#)
    );
    let unchanged = with(r#","stream_options":{"include_usage":true}"#);
    assert_eq!(rewritten(&unchanged, "m", true), unchanged);
}

#[test]
fn usage_is_not_asked_for_without_a_stream_or_against_the_upstream() {
    for (more, inject_usage) in [("", true), (r#","stream":false"#, true), (r#","stream":true"#, false)] {
        assert_eq!(rewritten(&chat(more), "m", inject_usage), chat(more));
    }
}

/// Members of a body in any order: the ones that are edited among others that must not be touched.
fn any_body() -> impl Strategy<Value = (String, String)> {
    let model = "[a-z\"\\\\é/]{1,8}";
    let stream_options = prop::sample::select(vec![
        "",
        "null",
        "{}",
        "{ }",
        r#"{"include_usage":true}"#,
        r#"{"include_usage" : false , "x":[{}]}"#,
        r#"{"x":0,"include_usage":null}"#,
        r#"{ "include_obfuscation":false}"#,
    ]);
    let others = prop::collection::vec(prop_oneof![Just("1.50"), Just("[ 1e2 ]"), Just(r#"{"model":"\u0078"}"#)], 0..4);
    let stream = prop::sample::select(vec!["true", "true", "false", "null"]);
    let space = prop::sample::select(vec!["", " ", "\n "]);
    (model, stream_options, others, stream, space).prop_flat_map(|(model, options, others, stream, space)| {
        let mut members = vec![
            format!("\"model\"{space}:{space}{}", Value::from(&*model)),
            format!("\"stream\":{space}{stream}"),
            format!("\"messages\":{space}[{{\"content\":\"model\"}}]"),
        ];
        if !options.is_empty() {
            members.push(format!("\"stream_options\":{space}{options}"));
        }
        members.extend(others.iter().enumerate().map(|(index, value)| format!("\"other{index}\":{value}")));
        let body = Just(members).prop_shuffle().prop_map(move |members| {
            format!("{space}{{{space}{}{space}}}{space}", members.join(&format!("{space},{space}")))
        });
        (Just(model), body)
    })
}

proptest! {
    #[test]
    fn a_rewritten_body_differs_in_the_edited_fields_alone((model, body) in any_body(), rename in any::<bool>(),
                                                           upstream in ".{1,8}", inject in any::<bool>()) {
        let upstream = if rename { upstream } else { model.clone() };
        let bytes = Bytes::from(body.clone());
        let facts = understand(CHAT, &bytes).unwrap();
        prop_assert_eq!(&facts.model, &model);
        let pieces = facts.rewrite(&bytes, &upstream, inject);

        // As values: equal, once the same is done to the original.
        let mut expected: Value = serde_json::from_str(&body).unwrap();
        expected["model"] = json!(upstream);
        if inject && expected["stream"] == json!(true) {
            expected["stream_options"]["include_usage"] = json!(true);
        }
        prop_assert_eq!(serde_json::from_slice::<Value>(&pieces.concat()).unwrap(), expected);

        // As bytes: pieces of the original in order, and what is left out between them is an edited value.
        let mut at = 0;
        for piece in &pieces {
            let offset = (piece.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
            if offset < bytes.len() {
                let left_out = &body[at..offset];
                let quoted = Value::from(&*model).to_string();
                prop_assert!(matches!(left_out, "" | "null" | "false") || left_out == quoted, "{}", left_out);
                at = offset + piece.len();
            }
        }
        prop_assert_eq!(at, bytes.len());
        prop_assert!(pieces.len() <= 5);
    }

    #[test]
    fn no_bytes_panic(body in r#"\{("model":"m"|"messages":\[.{0,9}\]|"n":[0-9.e-]{0,4}|"stream_options":.{0,9}|[,:"\\{}\[\] ]){0,9}\}?"#) {
        for endpoint in Endpoint::ALL {
            if let Err(error) = understand(endpoint, body.as_bytes()) {
                prop_assert_eq!(error.status(), 400);
            }
        }
    }
}

const RESPONSES: Endpoint = Endpoint::Responses;
const MESSAGES: Endpoint = Endpoint::Messages;

fn response(more: &str) -> String {
    format!(r#"{{"model":"m","input":"hi"{more}}}"#)
}

#[test]
fn the_input_of_a_response_is_a_string_or_items() {
    let tokens = |input: &str| {
        let facts = understood(RESPONSES, &format!(r#"{{"model":"m","input":{input}}}"#));
        (facts.text_bytes, facts.other_tokens)
    };
    assert_eq!(tokens(r#""12345""#), (5, 0));
    assert_eq!(tokens(r#"[{"role":"user","content":"12345"}]"#), (9, 0));
    assert_eq!(tokens(r#"[{"role":"user","content":[{"type":"input_text","text":"12345"}]}]"#), (4 + 5, 0));
    let picture = r#"[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,AAAA"}]}]"#;
    assert_eq!(tokens(picture), (4, 1_600));
    let page =
        format!(r#"[{{"role":"user","content":[{{"type":"input_file","file_data":"{}"}}]}}]"#, "A".repeat(40_000));
    assert_eq!(tokens(&page), (4, 3_750));
    let result =
        r#"[{"type":"function_call_output","call_id":"c","output":[{"type":"input_image","image_url":"AAAA"}]}]"#;
    assert_eq!(tokens(result).1, 1_600);
    assert_eq!(
        understood(RESPONSES, &response(r#","max_output_tokens":7,"instructions":"abc""#)).max_output_tokens,
        Some(7)
    );
    refused_field(RESPONSES, r#"{"model":"m","input":5}"#, "input");
}

#[test]
fn what_a_response_leaves_to_the_upstreams_memory_is_named() {
    let unseen = |more: &str| understood(RESPONSES, &response(more)).unseen_input;
    assert_eq!(unseen(""), None);
    assert_eq!(unseen(r#","previous_response_id":null,"conversation":null"#), None);
    assert_eq!(unseen(r#","previous_response_id":"resp_1""#), Some("previous_response_id"));
    assert_eq!(unseen(r#","conversation":{"id":"conv_1"}"#), Some("conversation"));
    assert_eq!(unseen(r#","prompt":{"id":"pmpt_1"}"#), Some("prompt"));
    let reference = r#"{"model":"m","input":[{"type":"item_reference","id":"msg_1"}]}"#;
    assert_eq!(understood(RESPONSES, reference).unseen_input, Some("input"));
    refused_field(RESPONSES, &response(r#","background":true"#), "background");
    refused_field(RESPONSES, &response(r#","background":"yes""#), "background");
    assert!(!understood(RESPONSES, &response(r#","background":false"#)).stream);
}

#[test]
fn pictures_and_documents_of_a_message_are_no_text() {
    let tokens = |part: &str| {
        let body = format!(r#"{{"model":"m","max_tokens":5,"messages":[{{"role":"user","content":[{part}]}}]}}"#);
        let facts = understood(MESSAGES, &body);
        (facts.text_bytes, facts.other_tokens)
    };
    let data = "A".repeat(40_000);
    assert_eq!(tokens(r#"{"type":"text","text":"12345"}"#), (4 + 5, 0));
    let picture =
        format!(r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}"#);
    assert_eq!(tokens(&picture), (4, 1_600));
    let document = format!(r#"{{"source":{{"type":"base64","data":"{data}"}},"type":"document","title":"t"}}"#);
    assert_eq!(tokens(&document), (4 + 1, 3_750));
    assert_eq!(tokens(r#"{"type":"document","source":{"type":"file","file_id":"f"}}"#), (4, 30_000));
    let plain = r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"12345"}}"#;
    assert_eq!(tokens(plain), (4 + 5, 0));
    let result = format!(r#"{{"type":"tool_result","tool_use_id":"t","content":[{picture}]}}"#);
    assert_eq!(tokens(&result).1, 1_600);
    refused_field(MESSAGES, r#"{"model":"m","max_tokens":5}"#, "messages");
}

#[test]
fn searches_are_bounded_and_what_has_no_price_is_refused() {
    let with_tools = |endpoint, tools: &str| {
        format!(
            r#"{{"model":"m","input":"hi","messages":[{{"content":"hi"}}],"tools":{tools}{}}}"#,
            if endpoint == RESPONSES { r#","max_tool_calls":2"# } else { "" }
        )
    };
    let searches = |endpoint, tools: &str| understood(endpoint, &with_tools(endpoint, tools)).web_searches;
    assert_eq!(searches(RESPONSES, r#"[{"type":"function","name":"web_search"}]"#), 0);
    assert_eq!(searches(RESPONSES, r#"[{"type":"web_search_preview"}]"#), 2);
    assert_eq!(searches(MESSAGES, r#"[{"type":"web_search_20250305","name":"web_search"}]"#), 5);
    assert_eq!(searches(MESSAGES, r#"[{"max_uses":9,"type":"web_search_20250305"},{"name":"f","max_uses":1}]"#), 9);
    assert_eq!(searches(CHAT, r#"[{"type":"web_search"}]"#), 0);
    for kind in ["file_search", "code_interpreter", "image_generation"] {
        let tools = format!(r#"[{{"type":"function"}},{{"type":"{kind}"}}]"#);
        refused_field(RESPONSES, &with_tools(RESPONSES, &tools), "tools[1].type");
    }
    refused_field(MESSAGES, &with_tools(MESSAGES, r#"[{"type":"code_execution_20250825"}]"#), "tools[0].type");
    refused_field(MESSAGES, &with_tools(MESSAGES, r#"[{"type":"advisor_20260301","model":"dear"}]"#), "tools[0].type");
    // Priced by a factor that no list here has.
    let message = |more: &str| format!(r#"{{"model":"m","messages":[{{"content":"hi"}}]{more}}}"#);
    refused_field(MESSAGES, &message(r#","speed":"fast""#), "speed");
    refused_field(MESSAGES, &message(r#","inference_geo":"us""#), "inference_geo");
    refused_field(MESSAGES, &message(r#","fallbacks":[{"model":"dear"}]"#), "fallbacks");
    refused_field(MESSAGES, &message(r#","fallbacks":"default""#), "fallbacks");
    refused_field(CHAT, &message(r#","models":["m","dear"]"#), "models");
    refused_field(CHAT, &message(r#","route":"fallback""#), "route");
    refused_field(CHAT, &message(r#","plugins":[{"id":"web"}]"#), "plugins");
    assert!(understand(CHAT, message(r#","models":null,"route":null"#).as_bytes()).is_ok());
    assert!(understand(MESSAGES, message(r#","speed":"standard","inference_geo":null"#).as_bytes()).is_ok());
    // A tool's length is counted whether its type is looked at or not.
    let tools = r#"[{"type":"function","name":"f"}]"#;
    let text = |endpoint| understood(endpoint, &with_tools(endpoint, tools)).text_bytes;
    assert_eq!(text(RESPONSES), 2 + tools.len() as u64 - 2);
}
