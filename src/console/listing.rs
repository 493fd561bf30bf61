//! Lists, as JSON or for a spreadsheet.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header;
use serde::Serialize;
use serde_json::Value;

use super::input::Form;
use crate::core::csv;

/// A part of a list, and what to ask for next.
#[derive(Serialize)]
struct Listing<T> {
    data: Vec<T>,
    next: Option<String>,
}

/// Answers with a part of a list. `columns` are the fields in the order of a spreadsheet: `limits.rpm` is a field of a
/// field. `name` is the file's.
pub fn list<T: Serialize>(form: Form, name: &str, columns: &[&str], data: Vec<T>, next: Option<String>) -> Response {
    match form {
        Form::Json => Json(Listing { data, next }).into_response(),
        Form::Csv => spreadsheet(name, columns, &data),
    }
}

fn spreadsheet<T: Serialize>(name: &str, columns: &[&str], rows: &[T]) -> Response {
    let mut text = String::new();
    csv::push_record(&mut text, columns);
    for row in rows {
        let row = serde_json::to_value(row).unwrap_or_default();
        csv::push_record(&mut text, columns.iter().map(|column| cell(field(&row, column))));
    }
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.csv\"")),
    ];
    (headers, text).into_response()
}

fn field<'a>(row: &'a Value, column: &str) -> &'a Value {
    column.split('.').fold(row, |value, name| value.get(name).unwrap_or(&Value::Null))
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_spreadsheet_has_the_fields_in_order_and_runs_nothing() {
        let rows = vec![
            json!({"id": "key_1", "name": "=cmd()", "limits": {"rpm": 60, "tpm": null}, "models": ["a", "b"]}),
            json!({"id": "key_2", "name": "x,\"y\"", "limits": {"rpm": null}, "models": []}),
        ];
        let response = list(Form::Csv, "keys", &["id", "name", "limits.rpm", "models"], rows, None);
        assert_eq!(response.headers()["content-disposition"], "attachment; filename=\"keys.csv\"");
        let text = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert_eq!(text, "id,name,limits.rpm,models\r\nkey_1,'=cmd(),60,a b\r\nkey_2,\"x,\"\"y\"\"\",,\r\n");
    }
}
