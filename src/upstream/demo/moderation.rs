//! Moderations: a category is found where its own name stands in the text, so that both answers can be seen.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::envelope::{self, Fault};

#[derive(Deserialize)]
struct Request {
    input: Value,
}

/// A result for each text of a list; parts with a type are one input together.
pub fn answer(body: &[u8]) -> Result<Value, Fault> {
    let request: Request = envelope::read(body)?;
    let results: Vec<Value> = match &request.input {
        Value::String(text) => vec![result(text)],
        Value::Array(texts) if !texts.is_empty() && texts.iter().all(Value::is_string) => {
            texts.iter().filter_map(Value::as_str).map(result).collect()
        }
        Value::Array(parts) if !parts.is_empty() => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            vec![result(&texts.collect::<Vec<_>>().join(" "))]
        }
        _ => return Err(Fault::invalid("input", "'input' must be a text, or a list of texts or parts.")),
    };
    Ok(json!({"id": envelope::new_id("modr-"), "model": "demo-moderate", "results": results}))
}

fn result(text: &str) -> Value {
    let text = text.to_lowercase();
    let found = CATEGORIES.map(|category| (category, text.contains(category)));
    let categories: Map<_, _> = found.iter().map(|(name, found)| ((*name).to_owned(), json!(found))).collect();
    let score = |found: bool| json!(if found { 0.99 } else { 0.01 });
    let scores: Map<_, _> = found.iter().map(|(name, found)| ((*name).to_owned(), score(*found))).collect();
    json!({
        "flagged": found.iter().any(|(_, found)| *found),
        "categories": categories,
        "category_scores": scores,
    })
}

const CATEGORIES: [&str; 6] = ["harassment", "hate", "illicit", "self-harm", "sexual", "violence"];
