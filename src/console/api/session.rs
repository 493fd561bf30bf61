//! Signing in and out, and what people do with their own sign-in.

use std::time::Instant;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::people::PersonView;
use super::reach;
use super::schema::{ListOf, NotDone, NotRead};
use crate::console::caller::Caller;
use crate::console::input::Body;
use crate::console::listener::ClientAddress;
use crate::console::problem::Problem;
use crate::console::{Console, now_ms, password, session};
use crate::core::key;
use crate::core::secret::Secret;
use crate::store::contract::AccountRow;
use crate::store::contract::console::{NewSession, PersonRow, PersonStatus, Role, SessionRow};
use crate::store::view::{AccountView, seconds};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    #[schema(example = "ada")]
    login: String,
    #[schema(format = Password)]
    password: String,
}

/// Who is asking.
#[derive(Serialize, ToSchema)]
pub(super) struct Me<'a> {
    /// `session` or `token`.
    kind: &'static str,
    person: Option<PersonView<'a>>,
    role: Role,
    /// The account that they act for.
    account: Option<AccountView<'a>>,
    /// A token's.
    scopes: Option<Vec<&'static str>>,
}

/// Sign in
///
/// Sets the session's cookie. The same words, after the same time, whether login or password is wrong.
#[utoipa::path(post, path = "/api/session", operation_id = "sign_in", tag = "session", request_body = Credentials,
    responses((status = 201, body = Me), (status = 429, description = "Too many wrong tries"), NotDone))]
pub(super) async fn sign_in(
    State(console): State<Console>,
    address: ClientAddress,
    headers: HeaderMap,
    Body(body): Body<Credentials>,
) -> Result<Response, Problem> {
    let (attempts, now) = (console.attempts(), Instant::now());
    attempts.try_address(address.0, now)?;
    let rested = attempts.try_login(&body.login, address.0, now);
    rested.inspect_err(|_| attempts.give_address_back(address.0))?;
    let found = is_right(&console, &body.login, body.password).await.inspect_err(|_| {
        attempts.give_address_back(address.0);
        attempts.give_login_back(&body.login, address.0);
    })?;
    let active = found.filter(|person| person.status == PersonStatus::Active);
    let person = active.ok_or_else(Problem::wrong_credentials)?;
    attempts.give_address_back(address.0);
    attempts.forget_login(&body.login, address.0);
    welcome(&console, &person, address, &headers).await
}

/// The person of this login, if this is their password.
async fn is_right(console: &Console, login: &str, password: String) -> Result<Option<PersonRow>, Problem> {
    let login = login.to_owned();
    let found = console.register(move |registry| registry.credentials(&login)).await?;
    let (person, stored) = found.map_or((None, None), |(person, stored)| (Some(person), Some(stored)));
    let right = console.mill().verify(Secret::new(password), stored).await?;
    Ok(person.filter(|_| right))
}

/// Opens a session for somebody who has just shown who they are.
pub(super) async fn welcome(
    console: &Console,
    person: &PersonRow,
    address: ClientAddress,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let secret = session::generate().map_err(|error| Problem::server_error(&error))?;
    let hash = key::hash(secret.expose().as_bytes());
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let now_ms = now_ms();
    let new = NewSession {
        expires_at_ms: session::end_ms(now_ms, now_ms),
        address: Some(address.0),
        agent: agent.to_owned(),
    };
    let id = person.id;
    console.register(move |registry| registry.open_session(id, &hash, &new, now_ms)).await?;
    let account = account_of(console, Some(person)).await?;
    let cookie = session::set(console, &secret);
    let me = Me {
        kind: "session",
        role: person.role,
        account: account.as_ref().map(AccountView::from),
        person: Some(PersonView::from(person)),
        scopes: None,
    };
    Ok((StatusCode::CREATED, [(header::SET_COOKIE, cookie)], Json(me)).into_response())
}

/// Sign out
#[utoipa::path(delete, path = "/api/session", operation_id = "sign_out", tag = "session",
    responses((status = 204), NotDone))]
pub(super) async fn sign_out(State(console): State<Console>, caller: Caller) -> Result<Response, Problem> {
    if let Some((_, hash)) = caller.session() {
        let hash = *hash;
        console.register(move |registry| registry.close_session(&hash)).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, session::clear(&console))]).into_response())
}

/// Who is asking
#[utoipa::path(get, path = "/api/me", operation_id = "get_me", tag = "session",
    responses((status = 200, body = Me), NotRead))]
pub(super) async fn me(State(console): State<Console>, caller: Caller) -> Result<Response, Problem> {
    let account = account_of(&console, caller.person()).await?;
    Ok(Json(Me {
        kind: if caller.person().is_some() { "session" } else { "token" },
        person: caller.person().map(PersonView::from),
        role: if caller.is_operator() { Role::Operator } else { Role::Customer },
        account: account.as_ref().map(AccountView::from),
        scopes: caller.scopes().map(|scopes| scopes.iter().map(|scope| scope.as_str()).collect()),
    })
    .into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MeChange {
    password: NewPassword,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    #[schema(format = Password)]
    current: String,
    /// 10 to 200 characters.
    #[schema(format = Password)]
    new: String,
}

/// Change one's own password
///
/// All other sessions end.
#[utoipa::path(patch, path = "/api/me", operation_id = "update_me", tag = "session", request_body = MeChange,
    responses((status = 200, body = Me), (status = 429, description = "Too many wrong tries"), NotDone))]
pub(super) async fn change_me(
    State(console): State<Console>,
    caller: Caller,
    Body(MeChange { password: NewPassword { current, new } }): Body<MeChange>,
) -> Result<Response, Problem> {
    let new = password::check("password.new", &new)?;
    let (Some(person), Some((_, hash))) = (caller.person().cloned(), caller.session()) else {
        return Err(Problem::unauthenticated());
    };
    let (attempts, hash) = (console.attempts(), *hash);
    attempts.try_login(&person.login, caller.address(), Instant::now())?;
    let right = is_right(&console, &person.login, current).await;
    if right.inspect_err(|_| attempts.give_login_back(&person.login, caller.address()))?.is_none() {
        return Err(Problem::invalid_field("password.current", "is not your password"));
    }
    attempts.forget_login(&person.login, caller.address());
    let hashed = console.mill().hash(new).await?;
    console.register(move |registry| registry.set_password(person.id, &hashed, Some(&hash), now_ms())).await?;
    me(State(console), caller).await
}

/// A signed-in browser.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionView<'a> {
    id: &'a str,
    created_at: String,
    last_seen_at: String,
    expires_at: String,
    address: Option<String>,
    /// What the browser says it is.
    agent: &'a str,
    /// The one that asks.
    current: bool,
}

/// One's own sessions, latest first
#[utoipa::path(get, path = "/api/sessions", operation_id = "list_sessions", tag = "session",
    responses((status = 200, body = ListOf<SessionView>), NotRead))]
pub(super) async fn list_sessions(State(console): State<Console>, caller: Caller) -> Result<Response, Problem> {
    let (Some(person), Some((own, _))) = (caller.person(), caller.session()) else {
        return Err(Problem::unauthenticated());
    };
    let id = person.id;
    let rows = console.register(move |registry| registry.sessions(id, now_ms())).await?;
    let view = |row: &'_ SessionRow| {
        serde_json::to_value(SessionView {
            id: &row.public_id,
            created_at: seconds(row.created_at_ms),
            last_seen_at: seconds(row.last_seen_at_ms),
            expires_at: seconds(row.expires_at_ms),
            address: row.address.map(|address| address.to_string()),
            agent: &row.agent,
            current: row.public_id == own.public_id,
        })
    };
    let data = rows.iter().map(view).collect::<Result<Vec<_>, _>>().map_err(|error| Problem::server_error(&error))?;
    Ok(Json(serde_json::json!({"data": data, "next": null})).into_response())
}

/// End one of one's own sessions
#[utoipa::path(delete, path = "/api/sessions/{id}", operation_id = "close_session", tag = "session",
    params(("id" = String, Path)), responses((status = 204), NotDone))]
pub(super) async fn close_session(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let person = caller.person().ok_or_else(Problem::unauthenticated)?.id;
    match console.register(move |registry| registry.close_session_of(person, &id)).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::no_such("session")),
    }
}

async fn account_of(console: &Console, person: Option<&PersonRow>) -> Result<Option<AccountRow>, Problem> {
    let Some(own) = person.and_then(|person| person.account.as_ref()) else { return Ok(None) };
    reach::by_id(console, own.public_id.clone()).await
}
