//! Keys: the credentials of clients. A key's text is in the answer to its making or rotation, and nowhere else.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use ipnet::IpNet;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::schema::{IdempotencyParams, ListOf, NotDone, NotRead, PagingParams};
use super::{answer, field, reach};
use crate::console::caller::Caller;
use crate::console::input::{Asked, Body, Paging, Query};
use crate::console::listing::list;
use crate::console::problem::Problem;
use crate::console::{Console, Done, now_ms};
use crate::core::key::{self, KeyStatus, Limits};
use crate::core::secret::Secret;
use crate::core::values;
use crate::store::contract::console::KeyFilter;
use crate::store::contract::{KeyPatch, KeyRow, NewKey};
use crate::store::view::KeyView;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct KeysQuery {
    /// An account's name or id.
    account: Option<String>,
    /// Part of the name, a beginning of the id or of the prefix, or a whole key: whose is it?
    q: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKeyBody {
    /// The account that pays, by name or id. Customers leave it out: it is theirs.
    account: Option<String>,
    /// What the key is called in lists: 1 to 128 characters.
    #[schema(example = "laptop")]
    name: String,
    /// When it ends.
    #[schema(example = "2026-12-31T00:00:00Z")]
    expires_at: Option<String>,
    /// Or how long it lasts, such as `30d`.
    #[schema(example = "30d")]
    expires_in: Option<String>,
    /// The models that it may use; none: every model.
    models: Option<Vec<String>>,
    limits: Option<LimitsBody>,
    /// The most that it may spend in its life, as a decimal string.
    #[schema(example = "3.00")]
    budget: Option<String>,
    /// Addresses or ranges that it may be used from; none: every address.
    allow_ips: Option<Vec<String>>,
}

/// Per minute and at a time; none: no limit.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsBody {
    /// Requests per minute.
    #[schema(minimum = 1)]
    rpm: Option<u32>,
    /// Tokens per minute.
    #[schema(minimum = 1)]
    tpm: Option<u64>,
    /// Requests at a time.
    #[schema(minimum = 1)]
    concurrency: Option<u32>,
}

/// What is left out stays as it is; null takes away.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyChange {
    name: Option<String>,
    /// Of a key that is not deleted.
    status: Option<SwitchedStatus>,
    #[serde(default, deserialize_with = "field::present")]
    #[schema(value_type = Option<String>)]
    expires_at: Option<Option<String>>,
    expires_in: Option<String>,
    #[serde(default, deserialize_with = "field::present")]
    #[schema(value_type = Option<Vec<String>>)]
    models: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "field::present")]
    #[schema(value_type = Option<LimitsBody>)]
    limits: Option<Option<LimitsChange>>,
    #[serde(default, deserialize_with = "field::present")]
    #[schema(value_type = Option<String>)]
    budget: Option<Option<String>>,
    #[serde(default, deserialize_with = "field::present")]
    #[schema(value_type = Option<Vec<String>>)]
    allow_ips: Option<Option<Vec<String>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsChange {
    #[serde(default, deserialize_with = "field::present")]
    rpm: Option<Option<u32>>,
    #[serde(default, deserialize_with = "field::present")]
    tpm: Option<Option<u64>>,
    #[serde(default, deserialize_with = "field::present")]
    concurrency: Option<Option<u32>>,
}

/// How people switch a key.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SwitchedStatus {
    Active,
    Disabled,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// How long the old key still works; without it, it ends at once.
    #[schema(example = "24h")]
    keep_old: Option<String>,
}

/// Keys, newest first
///
/// Deleted ones are left out. Customers see those of their account.
#[utoipa::path(get, path = "/api/keys", operation_id = "list_keys", tag = "keys",
    params(KeysQuery, PagingParams), responses((status = 200, body = ListOf<KeyView>), NotRead))]
pub(super) async fn list_keys(
    State(console): State<Console>,
    caller: Caller,
    Query(query): Query<KeysQuery>,
    paging: Paging,
) -> Result<Response, Problem> {
    let account = reach::accounts(&console, &caller, query.account).await?;
    let wanted = query.q.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    // A whole key is looked for by its hash: its text goes no further than this line.
    let filter = match wanted {
        Some(text) if key::is_well_formed(text.as_bytes()) => {
            KeyFilter { account, hash: Some(key::hash(text.as_bytes())), search: None }
        }
        search => KeyFilter { account, search, hash: None },
    };
    let found = console.report(move |reports| reports.keys(&filter, &paging.page)).await?;
    let now_ms = now_ms();
    let data = found.rows.iter().map(|row| KeyView::new(row, now_ms)).collect();
    Ok(list(paging.form, "keys", &COLUMNS, data, found.next))
}

/// Make a key
///
/// `key` is its whole text, shown this once.
#[utoipa::path(post, path = "/api/keys", operation_id = "create_key", tag = "keys",
    params(IdempotencyParams), request_body = NewKeyBody,
    responses((status = 201, body = KeyView), (status = 200, description = "Made before: without its text", body = KeyView), NotDone))]
pub(super) async fn create_key(
    State(console): State<Console>,
    caller: Caller,
    Asked { body, once }: Asked<NewKeyBody>,
) -> Result<Response, Problem> {
    let account = match body.account {
        Some(named) => reach::account(&console, &caller, named).await?.id,
        None => reach::own(&caller).map_err(|_| Problem::invalid_field("account", "is missing: you act for none"))?,
    };
    let text = generate()?;
    let new = NewKey {
        name: field::field("name", values::label(&body.name))?,
        hash: key::hash(text.expose().as_bytes()),
        prefix: key::display_prefix(text.expose()),
        expires_at_ms: field::coming_end_ms(body.expires_at.as_deref(), body.expires_in.as_deref(), now_ms())?,
        models: models(&console, body.models.unwrap_or_default(), &[])?,
        limits: limits(body.limits.unwrap_or_default())?,
        budget: body.budget.map(|text| field::not_negative("budget", &text)).transpose()?,
        allow_ips: networks(&body.allow_ips.unwrap_or_default())?,
    };
    let made = console.act_once(&caller, once, move |desk| desk.create_key(account, &new, now_ms())).await?;
    made_key(&console, &caller, made, &text).await
}

/// One key
#[utoipa::path(get, path = "/api/keys/{id}", operation_id = "get_key", tag = "keys",
    params(("id" = String, Path)), responses((status = 200, body = KeyView), NotRead))]
pub(super) async fn get_key(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    Ok(answer::ok(&KeyView::new(&reach::key(&console, &caller, id).await?, now_ms())))
}

/// Change what a key may do
#[utoipa::path(patch, path = "/api/keys/{id}", operation_id = "update_key", tag = "keys",
    params(("id" = String, Path)), request_body = KeyChange, responses((status = 200, body = KeyView), NotDone))]
pub(super) async fn update_key(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
    Body(change): Body<KeyChange>,
) -> Result<Response, Problem> {
    let row = living(reach::key(&console, &caller, id).await?)?;
    let patch = change.into_patch(&console, &row, now_ms())?;
    let row = console.act(&caller, move |desk| desk.update_key(row.record.id, &patch)).await?;
    Ok(answer::ok(&KeyView::new(&row, now_ms())))
}

/// End a key for ever
#[utoipa::path(delete, path = "/api/keys/{id}", operation_id = "delete_key", tag = "keys",
    params(("id" = String, Path)), responses((status = 204), NotDone))]
pub(super) async fn delete_key(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let row = living(reach::key(&console, &caller, id).await?)?;
    let gone = KeyPatch { status: Some(KeyStatus::Deleted), ..KeyPatch::default() };
    console.act(&caller, move |desk| desk.update_key(row.record.id, &gone)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Make a successor with the same rights
///
/// `key` is its whole text, shown this once.
#[utoipa::path(post, path = "/api/keys/{id}/rotate", operation_id = "rotate_key", tag = "keys",
    params(("id" = String, Path), IdempotencyParams), request_body = Rotation,
    responses((status = 201, body = KeyView), (status = 200, description = "Made before: without its text", body = KeyView), NotDone))]
pub(super) async fn rotate_key(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
    Asked { body, once }: Asked<Rotation>,
) -> Result<Response, Problem> {
    let keep_old = body.keep_old.map(|text| field::duration("keep_old", &text)).transpose()?;
    // A repetition finds the old key gone, and is no mistake: the storage tells it from one.
    let row = match once {
        Some(_) => reach::key(&console, &caller, id).await?,
        None => living(reach::key(&console, &caller, id).await?)?,
    };
    let text = generate()?;
    let (hash, prefix, now_ms) = (key::hash(text.expose().as_bytes()), key::display_prefix(text.expose()), now_ms());
    let old_ends_at_ms = keep_old.map(|span| values::later(now_ms, span));
    let made = console
        .act_once(&caller, once, move |desk| desk.rotate_key(row.record.id, hash, &prefix, old_ends_at_ms, now_ms))
        .await?;
    made_key(&console, &caller, made, &text).await
}

async fn made_key(console: &Console, caller: &Caller, made: Done<KeyRow>, text: &Secret) -> Result<Response, Problem> {
    let now_ms = now_ms();
    Ok(match made {
        Done::Now(row) => answer::created(&KeyView::new(&row, now_ms).with_key(text.expose())),
        Done::Before(id) => answer::replayed(&KeyView::new(&reach::key(console, caller, id).await?, now_ms)),
    })
}

impl KeyChange {
    fn into_patch(self, console: &Console, row: &KeyRow, now_ms: i64) -> Result<KeyPatch, Problem> {
        let named_end = self.expires_at.is_some() || self.expires_in.is_some();
        let end_ms = field::end_ms(self.expires_at.flatten().as_deref(), self.expires_in.as_deref(), now_ms)?;
        let budget = |text: String| field::not_negative("budget", &text);
        let held = &row.record.models;
        // Null for all limits takes each of them away.
        let limits = self
            .limits
            .map(|limits| limits.unwrap_or(LimitsChange { rpm: Some(None), tpm: Some(None), concurrency: Some(None) }));
        let limits = limits.unwrap_or_default();
        Ok(KeyPatch {
            name: self.name.map(|name| field::field("name", values::label(&name))).transpose()?,
            status: self.status.map(|status| match status {
                SwitchedStatus::Active => KeyStatus::Active,
                SwitchedStatus::Disabled => KeyStatus::Disabled,
            }),
            expires_at_ms: named_end.then_some(end_ms),
            models: self.models.map(|names| models(console, names.unwrap_or_default(), held)).transpose()?,
            rpm: limits.rpm.map(|count| at_least_one("limits.rpm", count)).transpose()?,
            tpm: limits.tpm.map(|count| at_least_one("limits.tpm", count)).transpose()?,
            concurrency: limits.concurrency.map(|count| at_least_one("limits.concurrency", count)).transpose()?,
            budget: self.budget.map(|text| text.map(budget).transpose()).transpose()?,
            allow_ips: self.allow_ips.map(|ranges| networks(&ranges.unwrap_or_default())).transpose()?,
        })
    }
}

/// What is deleted does not come back, and nothing about it changes.
fn living(row: KeyRow) -> Result<KeyRow, Problem> {
    if row.record.status == KeyStatus::Deleted { Err(Problem::no_such("key")) } else { Ok(row) }
}

fn generate() -> Result<Secret, Problem> {
    key::generate().map_err(|error| Problem::server_error(&error))
}

/// A name that is sold nowhere is a slip of the keyboard, unless the key holds it already: models come and go.
fn models(console: &Console, names: Vec<String>, held: &[String]) -> Result<Vec<String>, Problem> {
    bounded("models", &names)?;
    let catalog = console.gateway().catalog();
    let mut checked: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let name = field::field("models", values::model(&name))?;
        if catalog.model(&name).is_none() && !held.contains(&name) {
            return Err(Problem::invalid_field("models", format!("there is no model {name}")));
        }
        if !checked.contains(&name) {
            checked.push(name);
        }
    }
    Ok(checked)
}

fn networks(ranges: &[String]) -> Result<Vec<IpNet>, Problem> {
    bounded("allow_ips", ranges)?;
    let mut checked: Vec<IpNet> = Vec::with_capacity(ranges.len());
    for range in ranges {
        let range = field::field("allow_ips", values::network(range))?;
        if !checked.contains(&range) {
            checked.push(range);
        }
    }
    Ok(checked)
}

fn bounded(name: &str, items: &[String]) -> Result<(), Problem> {
    if items.len() > ITEMS_MAX {
        return Err(Problem::invalid_field(name, format!("has more than {ITEMS_MAX} items")));
    }
    Ok(())
}

fn limits(body: LimitsBody) -> Result<Limits, Problem> {
    Ok(Limits {
        rpm: at_least_one("limits.rpm", body.rpm)?,
        tpm: at_least_one("limits.tpm", body.tpm)?,
        concurrency: at_least_one("limits.concurrency", body.concurrency)?,
    })
}

/// Zero is refused: it reads like "no limit" to some and like "nothing" to others.
fn at_least_one<T: PartialEq + From<u8>>(name: &str, count: Option<T>) -> Result<Option<T>, Problem> {
    if count == Some(T::from(0)) {
        return Err(Problem::invalid_field(name, "use a whole number of at least 1, or null for no limit"));
    }
    Ok(count)
}

/// More models or ranges than anybody reads.
const ITEMS_MAX: usize = 256;
const COLUMNS: [&str; 15] = [
    "id",
    "prefix",
    "name",
    "account",
    "status",
    "expires_at",
    "models",
    "limits.rpm",
    "limits.tpm",
    "limits.concurrency",
    "budget",
    "spent",
    "allow_ips",
    "created_at",
    "last_used_at",
];
