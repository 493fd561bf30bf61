//! Speech, transcriptions, moderations, rankings, edits of pictures: each goes through hold and charge like a chat, by
//! the measure that it is sold by.

use serde_json::{Value, json};

use tollgate::protocol::endpoint::{Endpoint, Measure};

use crate::support::upstream::event;
use crate::support::*;

/// Models that are sold by one measure each. Every upstream knows them by the same names.
const MODELS: &str = r#"
  speech-model: {upstreams: [{name: u0}], unit: {per_million_characters: "15"}}
  speech-tokens: {upstreams: [{name: u0}], price: {input: "0.6", output: "10", audio_output: "12"}}
  whisper: {upstreams: [{name: u0, model: provider-whisper}], unit: {per_audio_second: "0.0001"}}
  transcribe: {upstreams: [{name: u0}], price: {input: "2.5", audio_input: "6", output: "10"}}
  rerank-units: {upstreams: [{name: u0}], price: {input: "0", output: "0"}, unit: {per_search_unit: "0.002"}}
  rerank-tokens: {upstreams: [{name: u0}], price: {input: "0.05", output: "0"}}
  moderate: {upstreams: [{name: u0, model: provider-moderate}], price: {input: "0.1", output: "0"}}
  everything:
    upstreams: [{name: u0}]
    price: {input: "1", output: "1"}
    unit: {per_image: "1", per_audio_second: "1", per_million_characters: "1", per_search_unit: "1"}
"#;

fn gateway(upstream: &Upstream) -> Gateway {
    Gateway::start(&Config::chain(&[upstream]).models(MODELS))
}

/// A form of these fields; a name with a `@` before it is a file's.
fn form(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut form = Vec::new();
    for (name, value) in fields {
        let file = name.strip_prefix('@');
        let more = if file.is_some() { "; filename=\"a.bin\"\r\nContent-Type: application/octet-stream" } else { "" };
        let name = file.unwrap_or(name);
        form.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n").bytes());
        form.extend(*value);
        form.extend(b"\r\n");
    }
    form.extend(format!("--{BOUNDARY}--\r\n").bytes());
    form
}

async fn upload(gateway: &Gateway, path: &str, form: Vec<u8>) -> Answer {
    let key = format!("Authorization: Bearer {}", gateway.key.secret);
    let media = format!("Content-Type: multipart/form-data; boundary={BOUNDARY}");
    gateway.send(request("POST", path, &[&key, &media], form)).await
}

/// Two seconds, as nobody knows what it is and four kilobytes of that make one.
fn sound() -> Vec<u8> {
    (0..8_000u32).map(|n| (n % 251) as u8).collect()
}

fn recording<'a>(model: &'a str, sound: &'a [u8]) -> Vec<u8> {
    form(&[("@file", sound), ("model", model.as_bytes()), ("language", b"de")])
}

#[track_caller]
fn assert_record(record: &Value, charge: &str, estimated: bool) {
    assert_eq!([&record["charge"], &record["estimated"]], [&json!(charge), &json!(estimated)], "{record:#}");
    assert_eq!(record["outcome"], "ok", "{record:#}");
}

#[tokio::test]
async fn speech_is_passed_on_as_it_is_and_costs_its_characters() {
    let mp3 = [b"ID3\x04\0".as_slice(), &[0xFF; 2_000], b"\r\n\r\n{\"error\":{}}"].concat();
    let reply = Reply::status(200, &[("Content-Type", "audio/mpeg")], &mp3);
    let upstream = Upstream::always(reply);
    let gateway = gateway(&upstream);
    let asked = r#"{"model":"speech-model","input":"Grüße! 你好","voice":"alloy","x":[1]}"#;
    let answer = gateway.post("/v1/audio/speech", asked).await.expect(200);
    assert_eq!((answer.body(), answer.header("content-type")), (mp3, Some("audio/mpeg")));
    assert_eq!(upstream.last().body, asked);
    assert_eq!(upstream.last().line(), "POST /v1/audio/speech");
    let record = gateway.record(&answer.head).await;
    // Nine characters at 15 for a million.
    assert_record(&record, "0.000135", false);
    assert_eq!([&record["endpoint"], &record["input_tokens"]], [&json!("audio_speech"), &json!(0)]);
    gateway.audit();
}

#[tokio::test]
async fn speech_sold_by_tokens_costs_what_its_events_report_and_an_estimate_without_events() {
    let upstream = Upstream::start(|request, _| {
        if request.json()["stream_format"] == "sse" {
            let done = json!({"input_tokens": 14, "output_tokens": 101, "total_tokens": 115});
            Reply::stream_head()
                .then_chunk(event(&json!({"type": "speech.audio.delta", "audio": "SUQz"})))
                .then_chunk(event(&json!({"type": "speech.audio.done", "usage": done})))
                .end()
        } else {
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nTransfer-Encoding: chunked\r\n\r\n")
                .then_chunk("ID3")
                .then_chunk("\0\0")
                .end()
        }
    });
    let gateway = gateway(&upstream);
    let body = |more: &str| format!(r#"{{"model":"speech-tokens","input":"0123456789"{more}}}"#);
    let streamed = gateway.post("/v1/audio/speech", body(r#","stream_format":"sse""#)).await.expect(200);
    assert_eq!(streamed.events().len(), 2);
    let record = gateway.record(&streamed.head).await;
    // 14 x 600 and 101 x 12,000 nano.
    assert_record(&record, "0.0012204", false);
    assert_eq!([&record["streamed"], &record["output_tokens"]], [&json!(true), &json!(101)]);
    let plain = gateway.post("/v1/audio/speech", body("")).await.expect(200);
    assert_eq!(plain.body(), b"ID3\0\0");
    // Ten bytes are 3 tokens of text and 15 of sound.
    assert_record(&gateway.record(&plain.head).await, "0.0001818", true);
}

#[tokio::test]
async fn an_upload_goes_on_untouched_but_for_the_models_name() {
    let reply = json!({"text": "hallo", "usage": {"type": "duration", "seconds": 9}});
    let upstream = Upstream::always(Reply::json(&reply));
    let gateway = gateway(&upstream);
    let tricky = [b"RIFF\r\n\r\n--".as_slice(), &sound(), b"\r\nname=\"model\"\r\n"].concat();
    let answer = upload(&gateway, "/v1/audio/transcriptions", recording("whisper", &tricky)).await.expect(200);
    assert_eq!(answer.json(), reply);
    let sent = upstream.last();
    assert_eq!(sent.body, recording("provider-whisper", &tricky));
    let media = format!("multipart/form-data; boundary={BOUNDARY}");
    assert_eq!(sent.header("content-type"), Some(media.as_str()));
    assert_eq!(sent.header("content-length"), Some(sent.body.len().to_string().as_str()));
    let record = gateway.record(&answer.head).await;
    assert_record(&record, "0.0009", false);
    assert_eq!([&record["endpoint"], &record["model"]], ["audio_transcriptions", "whisper"]);
}

#[tokio::test]
async fn a_recording_costs_its_reported_length_and_by_its_own_words_where_none_is_reported() {
    let bodies = [
        (json!({"text": "a", "duration": 8.47}), "0.000847", false),
        (json!({"text": "a"}), "0.0002", true),
        // Tokens do not tell how long it was.
        (json!({"text": "a", "usage": {"input_tokens": 1, "output_tokens": 1}}), "0.0002", true),
    ];
    let replies = bodies.clone();
    let upstream = Upstream::start(move |_, nth| match replies.get(nth) {
        Some((body, ..)) => Reply::json(body),
        None => Reply::status(200, &[("Content-Type", "text/plain; charset=utf-8")], "1\n00:00 --> 00:02\nhallo\n"),
    });
    let gateway = gateway(&upstream);
    let ask = || upload(&gateway, "/v1/audio/transcriptions", recording("whisper", &sound()));
    for (body, charge, estimated) in bodies {
        let answer = ask().await.expect(200);
        assert_eq!(answer.json(), body);
        assert_record(&gateway.record(&answer.head).await, charge, estimated);
    }
    let subtitles = ask().await.expect(200);
    assert!(subtitles.text().starts_with("1\n00:00"));
    assert_record(&gateway.record(&subtitles.head).await, "0.0002", true);
    gateway.audit();
}

#[tokio::test]
async fn a_streamed_transcription_costs_its_reported_tokens() {
    let usage = json!({
        "type": "tokens", "input_tokens": 20, "output_tokens": 4, "total_tokens": 24,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 20},
    });
    let done = json!({"type": "transcript.text.done", "text": "hallo", "usage": usage});
    let upstream = Upstream::always(
        Reply::stream_head()
            .then_chunk(event(&json!({"type": "transcript.text.delta", "delta": "hallo"})))
            .then_chunk(event(&done))
            .end(),
    );
    let gateway = gateway(&upstream);
    let sound = sound();
    let asked = form(&[("@file", &sound), ("model", b"transcribe"), ("stream", b"true")]);
    let answer = upload(&gateway, "/v1/audio/transcriptions", asked.clone()).await.expect(200);
    assert_eq!(answer.events().len(), 2);
    assert_eq!(upstream.last().body, asked, "nothing is asked for on top");
    let record = gateway.record(&answer.head).await;
    // 20 x 6,000 and 4 x 10,000 nano.
    assert_record(&record, "0.00016", false);
    assert_eq!([&record["streamed"], &record["input_tokens"]], [&json!(true), &json!(20)]);
}

#[tokio::test]
async fn a_large_upload_reaches_the_next_upstream_whole() {
    let bad = Upstream::always(Reply::error(500, "down"));
    let good = Upstream::always(Reply::json(&json!({"text": "a", "usage": {"type": "duration", "seconds": 2}})));
    let model = "  heard: {upstreams: [{name: u0, model: a-name}, {name: u1, model: b, priority: 1}], \
        unit: {per_audio_second: \"0.0001\"}}\n";
    let gateway = Gateway::start(&Config::chain(&[&bad, &good]).models(model));
    let sound: Vec<u8> = (0..20_000_000u32).map(|n| (n % 253) as u8).collect();
    let answer = upload(&gateway, "/v1/audio/transcriptions", recording("heard", &sound)).await.expect(200);
    for (upstream, model) in [(&bad, "a-name"), (&good, "b")] {
        assert!(upstream.last().body == recording(model, &sound), "every byte but the name's");
    }
    assert_record(&gateway.record(&answer.head).await, "0.0002", false);
}

#[tokio::test]
async fn forms_that_could_be_read_in_two_ways_reach_nobody() {
    let upstream = Upstream::always(Reply::json(&json!({"text": "a"})));
    let gateway = gateway(&upstream);
    let path = "/v1/audio/transcriptions";
    let plain = |fields: &[(&str, &[u8])]| form(fields);
    let good = recording("whisper", b"x");
    let cases = [
        (plain(&[("model", b"whisper"), ("model", b"other"), ("@file", b"x")]), 400, "invalid_request", "model"),
        (plain(&[("@file", b"x")]), 400, "invalid_request", "model"),
        (plain(&[("model", b"whisper")]), 400, "invalid_request", "file"),
        (plain(&[("@model", b"whisper"), ("@file", b"x")]), 400, "invalid_request", "model"),
        (plain(&[("model", b"nobody"), ("@file", b"x")]), 422, "model_not_found", "model"),
        (good[..good.len() - 6].to_vec(), 400, "invalid_request", ""),
        (Vec::new(), 400, "invalid_request", ""),
    ];
    for (body, status, code, param) in cases {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let answer = upload(&gateway, path, body).await.expect(status);
        assert_eq!(answer.code(), code, "{shown}");
        assert_eq!(answer.json()["error"]["param"].as_str().unwrap_or_default(), param, "{shown}");
    }
    let key = format!("Authorization: Bearer {}", gateway.key.secret);
    for (media, status) in [
        ("application/json", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=a; boundary=b", 400),
        ("multipart/mixed; boundary=a", 415),
    ] {
        let media = format!("Content-Type: {media}");
        gateway.send(request("POST", path, &[&key, &media], &good)).await.expect(status);
    }
    let json = format!("Content-Type: multipart/form-data; boundary={BOUNDARY}");
    gateway.send(request("POST", "/v1/chat/completions", &[&key, &json], &good)).await.expect(415);
    assert_eq!(upstream.count(), 0);
    assert_eq!(gateway.balance("alice"), ("100".to_owned(), "0".to_owned()));
}

#[tokio::test]
async fn edits_of_pictures_cost_the_pictures_that_come() {
    let body = json!({"created": 1, "data": [{"b64_json": "AAAA"}, {"b64_json": "BBBB"}]});
    let upstream = Upstream::always(Reply::json(&body));
    let gateway = gateway(&upstream);
    let fields: [(&str, &[u8]); 5] = [
        ("model", b"image-model"),
        ("prompt", b"a hat"),
        ("@image[]", b"\x89PNG"),
        ("@image[]", b"\x89PNG"),
        ("n", b"2"),
    ];
    let answer = upload(&gateway, "/v1/images/edits", form(&fields)).await.expect(200);
    assert_eq!(answer.json(), body);
    assert_eq!(upstream.last().line(), "POST /v1/images/edits");
    let record = gateway.record(&answer.head).await;
    assert_record(&record, "0.08", false);
    assert_eq!(record["endpoint"], "images_edits");
}

#[tokio::test]
async fn rankings_cost_search_units_or_tokens() {
    let upstream = Upstream::start(|request, nth| {
        let units = json!({"results": [], "meta": {"billed_units": {"search_units": 2}}});
        let tokens = json!({"results": [], "usage": {"total_tokens": 815}});
        match (request.json()["model"].as_str(), nth) {
            (Some("rerank-units"), 0) => Reply::json(&units),
            (Some("rerank-tokens"), 1) => Reply::json(&tokens),
            _ => Reply::json(&json!({"results": []})),
        }
    });
    let gateway = gateway(&upstream);
    let documents = vec![json!("a document"); 101];
    let ask = |model: &str| json!({"model": model, "query": "what", "documents": documents, "top_n": 3}).to_string();
    for (model, charge, estimated) in [
        ("rerank-units", "0.004", false),
        // 815 x 50 nano.
        ("rerank-tokens", "0.00004075", false),
        // 101 documents and the tokens of another make two units.
        ("rerank-units", "0.004", true),
    ] {
        let answer = gateway.post("/v1/rerank", ask(model)).await.expect(200);
        assert_record(&gateway.record(&answer.head).await, charge, estimated);
    }
    let answer = gateway.post("/v1/rerank", ask("rerank-tokens")).await.expect(200);
    let record = gateway.record(&answer.head).await;
    assert!(record["estimated"] == true && record["charge"] != "0", "{record:#}");
    for (body, param) in [
        (r#"{"model":"rerank-units","documents":["a"]}"#, "query"),
        (r#"{"model":"rerank-units","query":"a"}"#, "documents"),
        (r#"{"model":"rerank-units","query":"a","documents":[]}"#, "documents"),
    ] {
        let refused = gateway.post("/v1/rerank", body).await.expect(400);
        assert_eq!(refused.json()["error"]["param"], param);
    }
}

#[tokio::test]
async fn moderations_are_free_where_their_provider_reports_nothing() {
    let replies = [
        json!({"results": [{"flagged": false}]}),
        json!({"results": [], "usage": {"prompt_tokens": 9, "total_tokens": 9, "completion_tokens": 0}}),
    ];
    let scripted = replies.clone();
    let upstream = Upstream::start(move |_, nth| Reply::json(&scripted[nth]));
    let gateway = gateway(&upstream);
    for (reply, charge) in replies.iter().zip(["0", "0.0000009"]) {
        let answer = gateway.post("/v1/moderations", r#"{"model":"moderate","input":["a","b"]}"#).await.expect(200);
        assert_eq!(&answer.json(), reply);
        assert_eq!(upstream.last().json()["model"], "provider-moderate");
        assert_record(&gateway.record(&answer.head).await, charge, false);
    }
}

#[tokio::test]
async fn sound_that_breaks_off_is_charged_and_not_made_to_look_whole() {
    let (head, heard) =
        ("HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nTransfer-Encoding: chunked\r\n\r\n", Signal::new());
    let upstream = Upstream::always(Reply::raw(head).then_chunk("ID3").wait(&heard).close());
    let gateway = gateway(&upstream);
    let mut connection = gateway.connect().await;
    let asked = r#"{"model":"speech-model","input":"0123456789"}"#;
    connection.send(post("/v1/audio/speech", &gateway.key.secret, asked)).await;
    let head = connection.head().await;
    assert_eq!(connection.piece().await.unwrap().unwrap(), "ID3", "sound is not held back");
    heard.set();
    let answer = connection.rest(head).await;
    assert!(!answer.whole);
    let record = gateway.record(&answer.head).await;
    assert_eq!([&record["outcome"], &record["charge"]], ["upstream_cut", "0.00015"], "{record:#}");
    assert_eq!(record["estimated"], true);
}

#[tokio::test]
async fn what_is_no_sound_is_tried_elsewhere() {
    let page = Upstream::always(Reply::status(200, &[("Content-Type", "text/html")], "<html>"));
    let silent = Upstream::always(Reply::status(200, &[("Content-Type", "audio/mpeg")], ""));
    let failed = Upstream::always(Reply::json(&json!({"error": {"message": "no"}})));
    let good = Upstream::always(Reply::status(200, &[("Content-Type", "audio/mpeg")], "ID3"));
    let all = [&page, &silent, &failed, &good];
    let model = "  spoken: {upstreams: [{name: u0}, {name: u1, priority: 1}, {name: u2, priority: 2}, {name: u3, priority: 3}], unit: {per_million_characters: \"15\"}}\n";
    let gateway = Gateway::start(&Config::chain(&all).models(model));
    let answer = gateway.post("/v1/audio/speech", r#"{"model":"spoken","input":"a"}"#).await.expect(200);
    assert_eq!(answer.text(), "ID3");
    assert_eq!(all.map(Upstream::count), [1, 1, 1, 1]);
    assert_record(&gateway.record(&answer.head).await, "0.000015", false);
}

/// Every endpoint that reaches an upstream is charged for a whole answer that reports nothing, by what it is sold by;
/// or it is declared to be free.
#[tokio::test]
async fn every_endpoint_has_a_price_or_is_declared_free() {
    let upstream = Upstream::start(|request, _| {
        let line = request.line();
        if line.contains("/audio/speech") {
            return Reply::status(200, &[("Content-Type", "audio/mpeg")], "ID3");
        }
        let choices = json!([{"index": 0, "message": {"content": "hello"}, "text": "hello", "finish_reason": "stop"}]);
        Reply::json(&json!({"choices": choices, "text": "hello", "data": [{"b64_json": "AAAA", "embedding": [0.5]}]}))
    });
    let gateway = gateway(&upstream);
    for endpoint in Endpoint::ALL {
        let path = format!("/v1{}", endpoint.upstream_path());
        let answer = match asked_of(endpoint) {
            Ok(fields) => gateway.post(&path, fields.to_string()).await,
            Err(form) => upload(&gateway, &path, form).await,
        };
        let record = gateway.record(&answer.expect(200).head).await;
        let is_free = matches!(endpoint.measure(), Measure::Reported | Measure::Nothing);
        assert_eq!(record["charge"] == "0", is_free, "{endpoint:?}: {record:#}");
        assert_eq!([&record["endpoint"], &record["outcome"]], [endpoint.label(), "ok"], "{endpoint:?}");
        // A length and a number of searches are told nowhere but in a report; pictures and characters are counted.
        let is_known = matches!(endpoint.measure(), Measure::Nothing | Measure::Reported | Measure::Pictures);
        assert_eq!(record["estimated"], !is_known, "{endpoint:?}: {record:#}");
    }
    gateway.audit();
}

/// A price for one thing is none for another: a model that is sold by the second would chat for nothing.
#[tokio::test]
async fn a_model_without_a_price_for_an_endpoint_cannot_be_used_with_it() {
    let upstream = Upstream::always(Reply::json(&json!({"text": "a"})));
    let gateway = gateway(&upstream);
    for endpoint in Endpoint::ALL {
        if matches!(endpoint.measure(), Measure::AudioTime | Measure::Reported | Measure::Nothing) {
            continue;
        }
        let path = format!("/v1{}", endpoint.upstream_path());
        let answer = match asked_of(endpoint) {
            Ok(mut fields) => {
                fields["model"] = json!("whisper");
                gateway.post(&path, fields.to_string()).await
            }
            Err(_) => upload(&gateway, &path, form(&[("model", b"whisper"), ("prompt", b"p"), ("@image", b"x")])).await,
        };
        let error = answer.expect(400).json();
        let (kind, expected) = match endpoint {
            Endpoint::Messages => (&error["error"]["type"], "invalid_request_error"),
            _ => (&error["error"]["param"], "model"),
        };
        assert_eq!(kind, expected, "{endpoint:?}: {error:#}");
    }
    assert_eq!(upstream.count(), 0);
}

/// A small request: JSON, or else a form.
fn asked_of(endpoint: Endpoint) -> Result<Value, Vec<u8>> {
    let messages = json!([{"role": "user", "content": "hello"}]);
    let mut fields = match endpoint {
        Endpoint::ChatCompletions => json!({"messages": messages}),
        Endpoint::Messages => json!({"messages": messages, "max_tokens": 9}),
        Endpoint::CountTokens => json!({"messages": messages}),
        Endpoint::Completions | Endpoint::ImagesGenerations => json!({"prompt": "hello"}),
        Endpoint::Responses | Endpoint::Embeddings | Endpoint::Moderations | Endpoint::AudioSpeech => {
            json!({"input": "hello"})
        }
        Endpoint::Rerank => json!({"query": "hello", "documents": ["hello"]}),
        Endpoint::ImagesEdits => return Err(form(&[("model", b"everything"), ("prompt", b"p"), ("@image", b"x")])),
        Endpoint::AudioTranscriptions => return Err(recording("everything", &sound())),
    };
    fields["model"] = json!("everything");
    Ok(fields)
}

#[tokio::test]
async fn chat_clients_read_their_balance_at_the_billing_routes() {
    let upstream = Upstream::hello();
    let gateway = gateway(&upstream);
    let limited = gateway.new_key("alice", &["--budget", "3", "--expires", "2999-01-01T00:00:00Z"]);
    gateway.await_key(&limited).await;
    let asked = r#"{"model":"chat-model","messages":[{"role":"user","content":"hi"}]}"#;
    let answer = gateway.send(post("/v1/chat/completions", &limited.secret, asked)).await.expect(200);
    gateway.record(&answer.head).await;
    // As NextChat asks: beside the base path or under it, with dates that mean nothing here.
    let dates = "start_date=2026-11-01&end_date=2026-11-24";
    for base in ["", "/v1", "/api/v1", "/v1/v1"] {
        let usage = gateway.get(&format!("{base}/dashboard/billing/usage?{dates}"), &limited.secret).await.expect(200);
        // In hundredths, as numbers.
        assert_eq!(usage.json(), json!({"object": "list", "total_usage": 0.00027}), "{base}");
        let path = format!("{base}/dashboard/billing/subscription");
        let limit = gateway.get(&path, &limited.secret).await.expect(200).json();
        // What is spent and what is left make the limit: the key's budget, which is less than the balance.
        assert_eq!([&limit["hard_limit_usd"], &limit["soft_limit_usd"], &limit["system_hard_limit_usd"]], [3, 3, 3]);
        assert_eq!([&limit["object"], &limit["has_payment_method"]], [&json!("billing_subscription"), &json!(true)]);
        assert_eq!(limit["access_until"], 32_472_144_000i64);
        // Without a budget it is the account's balance.
        let open = gateway.get(&path, &gateway.key.secret).await.expect(200).json();
        assert_eq!([&open["hard_limit_usd"], &open["access_until"]], [&json!(99.9999973), &json!(0)]);
        assert_eq!(gateway.get(&path, "sk-nobody").await.expect(401).code(), "invalid_api_key");
    }
}

const BOUNDARY: &str = "------------------------d74496d66958873e";
