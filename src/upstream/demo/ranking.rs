//! Rankings: a document is worth the share of the query's words that it has.

use std::cmp::Reverse;
use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::envelope::{self, Fault};
use super::words;

#[derive(Deserialize)]
struct Request {
    query: String,
    documents: Vec<Document>,
    top_n: Option<usize>,
    #[serde(default)]
    return_documents: bool,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "neither a text nor an object with one")]
enum Document {
    Plain(String),
    Object { text: String },
}

impl Document {
    fn text(&self) -> &str {
        match self {
            Document::Plain(text) | Document::Object { text } => text,
        }
    }
}

pub fn answer(body: &[u8]) -> Result<Value, Fault> {
    let request: Request = envelope::read(body)?;
    if request.documents.is_empty() {
        return Err(Fault::invalid("documents", "'documents' must not be empty."));
    }
    let wanted = vocabulary(&request.query);
    let share = |document: &Document| {
        let had = vocabulary(document.text()).intersection(&wanted).count();
        had * 1_000 / wanted.len().max(1)
    };
    let mut ranked: Vec<_> = request.documents.iter().map(share).enumerate().collect();
    // A stable sort: of equals, the first stays the first.
    ranked.sort_by_key(|(_, share)| Reverse(*share));
    ranked.truncate(request.top_n.unwrap_or(usize::MAX));
    let result = |(index, share): (usize, usize)| {
        let mut result = json!({"index": index, "relevance_score": share as f64 / 1_000.0});
        if request.return_documents {
            result["document"] = json!({"text": request.documents[index].text()});
        }
        result
    };
    let tokens = request
        .documents
        .iter()
        .fold(0, |sum, document| sum + words::count(document.text()) + words::count(&request.query));
    Ok(json!({
        "id": envelope::new_id("rank-"),
        "model": "demo-rerank",
        "results": ranked.into_iter().map(result).collect::<Vec<_>>(),
        "meta": {"billed_units": {"search_units": request.documents.len().div_ceil(100)}},
        "usage": {"total_tokens": tokens},
    }))
}

fn vocabulary(text: &str) -> HashSet<String> {
    words::pieces(text).map(|word| word.trim().trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()).collect()
}
