//! Lists, as JSON or for a spreadsheet.
//!
//! Always true: what a spreadsheet leaves out is named in its head (`Link: <…>; rel="next"`), never cut in silence.

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde::Serialize;
use serde_json::Value;

use super::Console;
use super::input::{Form, Paging};
use super::problem::Problem;
use crate::core::csv;
use crate::store::contract::StoreError;
use crate::store::contract::console::{Page, Paged, Reports};

/// Reads what was asked for: one part of a list, or for a spreadsheet part after part.
///
/// Each part is a call of its own: whoever looks at a page meanwhile does not wait for the whole file.
pub async fn read<T: Send + 'static>(
    console: &Console,
    paging: &Paging,
    read: impl Fn(&dyn Reports, &Page) -> Result<Paged<T>, StoreError> + Send + Sync + 'static,
) -> Result<Paged<T>, Problem> {
    let read = Arc::new(read);
    let part = |page: Page| {
        let read = Arc::clone(&read);
        console.report(move |reports| read(reports, &page))
    };
    match paging.form {
        Form::Json => part(paging.page.clone()).await,
        Form::Csv { .. } => gather(paging.page.clone(), part).await,
    }
}

/// A part may be short, even empty, and not the last: a filter that matches little is searched for in many calls.
async fn gather<T, F>(page: Page, part: impl Fn(Page) -> F) -> Result<Paged<T>, Problem>
where
    F: Future<Output = Result<Paged<T>, Problem>>,
{
    let limit = page.limit;
    let mut found = part(page).await?;
    for _ in 1..CSV_PARTS_MAX {
        let rows = u32::try_from(found.rows.len()).unwrap_or(u32::MAX);
        let Some(next) = found.next.take_if(|_| rows < limit) else { break };
        let wanted = Page { after: Some(next), limit: limit.saturating_sub(rows) };
        let more = part(wanted).await?;
        found.rows.extend(more.rows);
        found.next = more.next;
    }
    Ok(found)
}

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
        Form::Csv { onward } => {
            let mut response = spreadsheet(name, columns, &data);
            let link = next.map(|next| HeaderValue::try_from(format!("<{onward}{next}>; rel=\"next\"")));
            if let Some(Ok(link)) = link {
                response.headers_mut().insert(header::LINK, link);
            }
            response
        }
    }
}

/// Calls for one spreadsheet: a second's work where nothing is found.
const CSV_PARTS_MAX: usize = 50;

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

    fn csv() -> Form {
        Form::Csv { onward: "/api/keys?q=a&after=".into() }
    }

    /// The numbers from 1 to 9, of which each call tries three and finds those that are wanted.
    async fn numbers(page: Page, wanted: fn(&u32) -> bool) -> Result<Paged<u32>, Problem> {
        let begin: u32 = page.after.map_or(0, |after| after.parse().unwrap());
        let rows: Vec<u32> = (begin + 1..=begin + 3).filter(wanted).take(page.limit as usize).collect();
        let end = if rows.len() == page.limit as usize { rows.last().copied().unwrap() } else { begin + 3 };
        Ok(Paged { rows, next: (end < 9).then(|| end.to_string()) })
    }

    #[tokio::test]
    async fn a_spreadsheet_is_read_on_where_a_part_is_empty_and_ends_when_it_is_full() {
        let page = |limit| Page { after: None, limit };
        let late = gather(page(10), |page| numbers(page, |number| *number > 7)).await.unwrap();
        assert_eq!(late, Paged { rows: vec![8, 9], next: None });
        let full = gather(page(4), |page| numbers(page, |_| true)).await.unwrap();
        assert_eq!(full, Paged { rows: vec![1, 2, 3, 4], next: Some("4".into()) });
        let endless = |_| async { Ok(Paged { rows: Vec::<u32>::new(), next: Some("x".into()) }) };
        assert_eq!(gather(page(4), endless).await.unwrap().next.as_deref(), Some("x"));
    }

    #[test]
    fn a_spreadsheet_says_where_it_goes_on() {
        let link = |form, next: Option<&str>| {
            let response = list(form, "keys", &["id"], vec![json!({"id": 1})], next.map(str::to_owned));
            response.headers().get("link").map(|link| link.to_str().unwrap().to_owned())
        };
        assert_eq!(link(csv(), Some("key_9")).unwrap(), "</api/keys?q=a&after=key_9>; rel=\"next\"");
        assert_eq!(link(csv(), None), None);
        assert_eq!(link(Form::Json, Some("key_9")), None);
    }

    #[tokio::test]
    async fn a_spreadsheet_has_the_fields_in_order_and_runs_nothing() {
        let rows = vec![
            json!({"id": "key_1", "name": "=cmd()", "limits": {"rpm": 60, "tpm": null}, "models": ["a", "b"]}),
            json!({"id": "key_2", "name": "x,\"y\"", "limits": {"rpm": null}, "models": []}),
        ];
        let response = list(csv(), "keys", &["id", "name", "limits.rpm", "models"], rows, None);
        assert_eq!(response.headers()["content-disposition"], "attachment; filename=\"keys.csv\"");
        let text = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert_eq!(text, "id,name,limits.rpm,models\r\nkey_1,'=cmd(),60,a b\r\nkey_2,\"x,\"\"y\"\"\",,\r\n");
    }
}
