//! People, and the links that let them in.
//!
//! A link is a secret that works once. Its token stands behind `#`, so that no proxy's log ever has it, and the storage
//! knows its hash alone.

use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema::{ListOf, NotDone, NotRead, PagingParams};
use super::{answer, field, reach, session};
use crate::console::caller::Caller;
use crate::console::gateway::SignUp;
use crate::console::input::{Body, Nothing, Paging, Query};
use crate::console::listener::ClientAddress;
use crate::console::listing::list;
use crate::console::problem::Problem;
use crate::console::{Console, now_ms, password};
use crate::core::account::check_name;
use crate::core::admin_token::Scope;
use crate::core::key;
use crate::core::secret::Secret;
use crate::core::values;
use crate::store::contract::console::{
    InvitationFor, InvitationRow, NewInvitation, PersonAccount, PersonPatch, PersonRow, PersonStatus, Role,
};
use crate::store::view::seconds;

/// Somebody who signs in.
#[derive(Serialize, ToSchema)]
pub(super) struct PersonView<'a> {
    id: &'a str,
    login: &'a str,
    role: Role,
    status: PersonStatus,
    account: Option<OwnAccount<'a>>,
    created_at: String,
    last_seen_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct OwnAccount<'a> {
    id: &'a str,
    name: &'a str,
}

impl<'a> From<&'a PersonAccount> for OwnAccount<'a> {
    fn from(account: &'a PersonAccount) -> Self {
        OwnAccount { id: &account.public_id, name: &account.name }
    }
}

impl<'a> From<&'a PersonRow> for PersonView<'a> {
    fn from(row: &'a PersonRow) -> Self {
        PersonView {
            id: &row.public_id,
            login: &row.login,
            role: row.role,
            status: row.status,
            account: row.account.as_ref().map(OwnAccount::from),
            created_at: seconds(row.created_at_ms),
            last_seen_at: row.last_seen_at_ms.map(seconds),
        }
    }
}

/// A link that lets somebody in.
#[derive(Serialize, ToSchema)]
pub(super) struct InvitationView<'a> {
    id: &'a str,
    /// The link itself: in the answer to its making, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    role: Role,
    /// The account that it leads to; null: one is made.
    account: Option<OwnAccount<'a>>,
    /// The login whose password it resets.
    resets: Option<&'a str>,
    note: Option<&'a str>,
    status: InvitationStatus,
    created_at: String,
    expires_at: String,
    used_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum InvitationStatus {
    Open,
    Used,
    Expired,
    Revoked,
}

impl<'a> InvitationView<'a> {
    fn new(row: &'a InvitationRow, url: Option<String>, now_ms: i64) -> Self {
        let status = match row {
            _ if row.used_at_ms.is_some() => InvitationStatus::Used,
            _ if row.revoked_at_ms.is_some() => InvitationStatus::Revoked,
            _ if row.usable(now_ms) => InvitationStatus::Open,
            _ => InvitationStatus::Expired,
        };
        InvitationView {
            id: &row.public_id,
            url,
            role: row.role,
            account: row.account.as_ref().map(OwnAccount::from),
            resets: row.resets.as_deref(),
            note: row.note.as_deref(),
            status,
            created_at: seconds(row.created_at_ms),
            expires_at: seconds(row.expires_at_ms),
            used_at: row.used_at_ms.map(seconds),
        }
    }
}

/// People, newest first
#[utoipa::path(get, path = "/api/people", operation_id = "list_people", tag = "people",
    params(PagingParams), responses((status = 200, body = ListOf<PersonView>), NotRead))]
pub(super) async fn list_people(
    State(console): State<Console>,
    Query(Nothing {}): Query<Nothing>,
    paging: Paging,
) -> Result<Response, Problem> {
    let found = console.report(move |reports| reports.people(&paging.page)).await?;
    let data = found.rows.iter().map(PersonView::from).collect();
    Ok(list(paging.form, "people", &PEOPLE, data, found.next))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonChange {
    role: Option<Role>,
    /// A disabled person's sessions end.
    status: Option<PersonStatus>,
    /// An account's id or name; null for an operator without one.
    #[serde(default, deserialize_with = "field::present")]
    account: Option<Option<String>>,
}

/// Change a person's role, account or status
#[utoipa::path(patch, path = "/api/people/{id}", operation_id = "update_person", tag = "people",
    params(("id" = String, Path)), request_body = PersonChange, responses((status = 200, body = PersonView), NotDone))]
pub(super) async fn update_person(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
    Body(change): Body<PersonChange>,
) -> Result<Response, Problem> {
    let person = person(&console, id).await?;
    refuse_operators(&caller, [Some(person.role), change.role])?;
    let account = match change.account {
        None => None,
        Some(None) => Some(None),
        Some(Some(named)) => Some(Some(reach::account(&console, &caller, named).await?.id)),
    };
    let patch = PersonPatch { role: change.role, status: change.status, account };
    let row = console.act(&caller, move |desk| desk.update_person(person.id, &patch)).await?;
    Ok(answer::ok(&PersonView::from(&row)))
}

/// Let somebody choose a new password
///
/// The link is valid for 24 hours.
#[utoipa::path(post, path = "/api/people/{id}/reset", operation_id = "reset_person", tag = "people",
    params(("id" = String, Path)), responses((status = 201, body = InvitationView), NotDone))]
pub(super) async fn reset_person(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Response, Problem> {
    let person = person(&console, id).await?;
    refuse_operators(&caller, [Some(person.role), None])?;
    invite(&console, &caller, InvitationFor::Reset { person: person.id }, None, RESET_VALID).await
}

/// An operator may do everything, so whoever makes one, or takes one's place, must be allowed everything.
fn refuse_operators(caller: &Caller, roles: [Option<Role>; 2]) -> Result<(), Problem> {
    if roles.contains(&Some(Role::Operator)) { caller.operator(Scope::All) } else { Ok(()) }
}

async fn person(console: &Console, id: String) -> Result<PersonRow, Problem> {
    let found = console.report(move |reports| reports.person(&id)).await?;
    found.ok_or_else(|| Problem::no_such("person"))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewInvitationBody {
    role: Role,
    /// The account that it leads to, by id or name. Without it, one of the new login's name is made.
    account: Option<String>,
    /// For those who look at the list: 1 to 500 characters.
    note: Option<String>,
    /// `7d` if not given, at most `90d`.
    #[schema(example = "7d")]
    expires_in: Option<String>,
}

/// Links, newest first
#[utoipa::path(get, path = "/api/invitations", operation_id = "list_invitations", tag = "people",
    params(PagingParams), responses((status = 200, body = ListOf<InvitationView>), NotRead))]
pub(super) async fn list_invitations(
    State(console): State<Console>,
    Query(Nothing {}): Query<Nothing>,
    paging: Paging,
) -> Result<Response, Problem> {
    let now_ms = now_ms();
    let found = console.report(move |reports| reports.invitations(&paging.page)).await?;
    let data = found.rows.iter().map(|row| InvitationView::new(row, None, now_ms)).collect();
    Ok(list(paging.form, "invitations", &INVITATIONS, data, found.next))
}

/// Invite somebody
///
/// `url` is the link, shown this once.
#[utoipa::path(post, path = "/api/invitations", operation_id = "create_invitation", tag = "people",
    request_body = NewInvitationBody, responses((status = 201, body = InvitationView), NotDone))]
pub(super) async fn create_invitation(
    State(console): State<Console>,
    caller: Caller,
    Body(body): Body<NewInvitationBody>,
) -> Result<Response, Problem> {
    refuse_operators(&caller, [Some(body.role), None])?;
    let note = body.note.map(|note| field::line("note", &note, NOTE_CHARS_MAX)).transpose()?;
    let valid = body.expires_in.map(|text| field::duration("expires_in", &text)).transpose()?.unwrap_or(VALID);
    if valid.is_zero() || valid > VALID_MAX {
        return Err(Problem::invalid_field("expires_in", "is above zero and at most 90d"));
    }
    let account = match body.account {
        Some(named) => Some(reach::account(&console, &caller, named).await?.id),
        None => None,
    };
    invite(&console, &caller, InvitationFor::NewPerson { role: body.role, account }, note, valid).await
}

async fn invite(
    console: &Console,
    caller: &Caller,
    to: InvitationFor,
    note: Option<String>,
    valid: Duration,
) -> Result<Response, Problem> {
    let token = key::generate_with_prefix(PREFIX).map_err(|error| Problem::server_error(&error))?;
    let now_ms = now_ms();
    let new = NewInvitation {
        hash: key::hash(token.expose().as_bytes()),
        to,
        note,
        expires_at_ms: values::later(now_ms, valid),
    };
    let row = console.act(caller, move |desk| desk.invite(&new, now_ms)).await?;
    let site = console.gateway().site();
    let base = site.public_url.unwrap_or_else(|| format!("http://{}", site.console));
    let url = format!("{base}/sign-up#{}", token.expose());
    Ok(answer::created(&InvitationView::new(&row, Some(url), now_ms)))
}

/// Take a link back
#[utoipa::path(delete, path = "/api/invitations/{id}", operation_id = "revoke_invitation", tag = "people",
    params(("id" = String, Path)), responses((status = 204), NotDone))]
pub(super) async fn revoke_invitation(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    console.act(&caller, move |desk| desk.revoke_invitation(&id, now_ms())).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InvitationToken {
    /// What stands behind `#` in the link.
    token: String,
}

/// What a link is for, as its holder may know.
#[derive(Serialize, ToSchema)]
pub(super) struct InvitationFacts {
    role: Role,
    /// The name of the account that it leads to.
    account: Option<String>,
    /// The login whose password it resets.
    resets: Option<String>,
    expires_at: String,
}

/// Look at a link before using it
#[utoipa::path(post, path = "/api/invitation", operation_id = "look_at_invitation", tag = "session",
    request_body = InvitationToken, responses((status = 200, body = InvitationFacts), NotDone))]
pub(super) async fn look_at_invitation(
    State(console): State<Console>,
    address: ClientAddress,
    Body(InvitationToken { token }): Body<InvitationToken>,
) -> Result<Response, Problem> {
    let row = usable(&console, &token, address).await?;
    Ok(answer::ok(&InvitationFacts {
        role: row.role,
        account: row.account.map(|account| account.name),
        resets: row.resets,
        expires_at: seconds(row.expires_at_ms),
    }))
}

async fn usable(console: &Console, token: &str, address: ClientAddress) -> Result<InvitationRow, Problem> {
    console.attempts().try_address(address.0, Instant::now())?;
    let found = match key::is_well_formed_with_prefix(PREFIX, token.as_bytes()) {
        true => {
            let hash = key::hash(token.as_bytes());
            console.register(move |registry| registry.invitation(&hash)).await?
        }
        false => None,
    };
    let found = found.filter(|row| row.usable(now_ms()));
    let gone = || Problem::not_found("This link does not work: it was used, taken back, or is over.");
    found.inspect(|_| console.attempts().give_address_back(address.0)).ok_or_else(gone)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignUpBody {
    /// The link's token; without one only where sign-up is open.
    invitation: Option<String>,
    /// Not needed to reset a password.
    #[serde(default)]
    #[schema(example = "ada")]
    login: String,
    /// 10 to 200 characters.
    #[schema(format = Password)]
    password: String,
}

/// Become somebody here
///
/// Uses the link up, or makes a new customer where sign-up is open, and signs them in.
#[utoipa::path(post, path = "/api/sign-up", operation_id = "sign_up", tag = "session", request_body = SignUpBody,
    responses((status = 201, body = session::Me), NotDone))]
pub(super) async fn sign_up(
    State(console): State<Console>,
    address: ClientAddress,
    headers: HeaderMap,
    Body(body): Body<SignUpBody>,
) -> Result<Response, Problem> {
    let secret: Secret = password::check("password", &body.password)?;
    let login = body.login.trim().to_owned();
    let invited = match &body.invitation {
        Some(token) => {
            let row = usable(&console, token, address).await?;
            if row.resets.is_none() {
                field::field("login", check_name(&login))?;
            }
            Some(key::hash(token.as_bytes()))
        }
        None if console.gateway().site().sign_up == SignUp::Open => {
            field::field("login", check_name(&login))?;
            // Every account made counts: an address that makes many is slowed down like one that guesses.
            console.attempts().try_address(address.0, Instant::now())?;
            None
        }
        None => return Err(Problem::forbidden("You need an invitation.")),
    };
    let hashed = console.mill().hash(secret).await?;
    let gateway = console.0.gateway.clone();
    let person = console
        .register(move |registry| {
            let person = match invited {
                Some(invitation) => registry.accept(&invitation, &login, &hashed, DEFAULT_GROUP, now_ms())?,
                None => registry.sign_up(&login, &hashed, DEFAULT_GROUP, now_ms())?,
            };
            gateway.followed();
            Ok(person)
        })
        .await?;
    session::welcome(&console, &person, address, &headers).await
}

const PREFIX: &str = "tginv_";
const DEFAULT_GROUP: &str = "default";
const NOTE_CHARS_MAX: usize = 500;
const VALID: Duration = Duration::from_secs(7 * 24 * 3_600);
const VALID_MAX: Duration = Duration::from_secs(90 * 24 * 3_600);
const RESET_VALID: Duration = Duration::from_secs(24 * 3_600);
const PEOPLE: [&str; 7] = ["id", "login", "role", "status", "account.name", "created_at", "last_seen_at"];
const INVITATIONS: [&str; 9] =
    ["id", "role", "account.name", "resets", "note", "status", "created_at", "expires_at", "used_at"];
