//! The action log: who did what by hand, and what changed.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::schema::{ListOf, NotRead, PagingParams};
use crate::console::Console;
use crate::console::input::{Nothing, Paging, Query};
use crate::console::listing::{self, list};
use crate::console::problem::Problem;
use crate::store::contract::console::ActionRow;
use crate::store::view::seconds;

#[derive(Serialize, ToSchema)]
pub(super) struct ActionView<'a> {
    seq: i64,
    at: String,
    actor: ActorView<'a>,
    #[schema(example = "key.update")]
    action: &'a str,
    /// The id of what was acted on.
    target: &'a str,
    /// The fields that changed, as they were and as they are; no secret is ever in them.
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
    address: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ActorView<'a> {
    /// `person`, `token` or `command_line`.
    kind: &'a str,
    /// The person's login or the token's name.
    name: Option<&'a str>,
}

impl<'a> From<&'a ActionRow> for ActionView<'a> {
    fn from(row: &'a ActionRow) -> Self {
        let parsed = |text: &Option<String>| text.as_deref().and_then(|text| serde_json::from_str(text).ok());
        ActionView {
            seq: row.seq,
            at: seconds(row.at_ms),
            actor: ActorView { kind: &row.actor_kind, name: Some(row.actor.as_str()).filter(|name| !name.is_empty()) },
            action: &row.action,
            target: &row.target,
            before: parsed(&row.before),
            after: parsed(&row.after),
            address: row.address.map(|address| address.to_string()),
        }
    }
}

/// What was done by hand, newest first
#[utoipa::path(get, path = "/api/actions", operation_id = "list_actions", tag = "operations",
    params(PagingParams), responses((status = 200, body = ListOf<ActionView>), NotRead))]
pub(super) async fn list_actions(
    State(console): State<Console>,
    Query(Nothing {}): Query<Nothing>,
    paging: Paging,
) -> Result<Response, Problem> {
    let found = listing::read(&console, &paging, |reports, page| reports.actions(page)).await?;
    let data = found.rows.iter().map(ActionView::from).collect();
    Ok(list(paging.form, "actions", &COLUMNS, data, found.next))
}

const COLUMNS: [&str; 9] = ["seq", "at", "actor.kind", "actor.name", "action", "target", "before", "after", "address"];
