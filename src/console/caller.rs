//! Who is asking, and whether they may: before any handler runs.
//!
//! Two credentials: the cookie of a signed-in person, or an admin token. A browser sends cookies whoever wrote the page,
//! so what comes with one, and what makes one, must prove that our own pages sent it: a header of ours (another site's
//! page cannot set it without asking us first, and we never say yes), the browser's own word on where it comes from
//! (`Sec-Fetch-Site`), and for everything that writes an `Origin` that is ours.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, Method, header};

use super::access::{self, Who};
use super::listener::ClientAddress;
use super::problem::Problem;
use super::{Console, now_ms, session};
use crate::core::account::AccountId;
use crate::core::admin_token::{self, Scope};
use crate::core::key::{self, KeyHash};
use crate::store::contract::console::{Actor, PersonAccount, PersonRow, Role, SessionRow};

/// Somebody who was let in.
#[derive(Clone, Debug)]
pub struct Caller {
    identity: Identity,
    address: IpAddr,
}

#[derive(Clone, Debug)]
enum Identity {
    Person { person: Box<PersonRow>, session: Box<SessionRow>, hash: KeyHash },
    Token { id: String, name: String, scopes: Vec<Scope> },
}

impl Caller {
    /// Whether everything is theirs to see: an operator, or a token (whose scope the route has asked for).
    pub fn is_operator(&self) -> bool {
        match &self.identity {
            Identity::Person { person, .. } => person.role == Role::Operator,
            Identity::Token { .. } => true,
        }
    }

    /// For what only operators may do on a route that customers have, too.
    ///
    /// # Errors
    /// 403.
    pub fn operator(&self, scope: Scope) -> Result<(), Problem> {
        match &self.identity {
            Identity::Person { person, .. } if person.role == Role::Operator => Ok(()),
            Identity::Person { .. } => Err(Problem::forbidden("This is for operators.")),
            Identity::Token { scopes, .. } => token_covers(scopes, scope),
        }
    }

    /// Whether what belongs to this account is theirs to see. If not, it does not exist for them: 404.
    pub fn sees(&self, account: AccountId) -> bool {
        self.is_operator() || self.own_account().is_some_and(|own| own.id == account)
    }

    /// The account that a person acts for.
    pub fn own_account(&self) -> Option<&PersonAccount> {
        self.person()?.account.as_ref()
    }

    pub fn person(&self) -> Option<&PersonRow> {
        match &self.identity {
            Identity::Person { person, .. } => Some(person),
            Identity::Token { .. } => None,
        }
    }

    /// The session that this request came with, and its hash.
    pub fn session(&self) -> Option<(&SessionRow, &KeyHash)> {
        match &self.identity {
            Identity::Person { session, hash, .. } => Some((session, hash)),
            Identity::Token { .. } => None,
        }
    }

    /// A token's scopes.
    pub fn scopes(&self) -> Option<&[Scope]> {
        match &self.identity {
            Identity::Person { .. } => None,
            Identity::Token { scopes, .. } => Some(scopes),
        }
    }

    /// As the action log names them.
    pub fn actor(&self) -> Actor {
        let address = Some(self.address);
        match &self.identity {
            Identity::Person { person, .. } => Actor::Person { id: person.id, login: person.login.clone(), address },
            Identity::Token { id, name, .. } => Actor::Token { id: id.clone(), name: name.clone(), address },
        }
    }

    /// The public id of the person or token: no two callers have the same.
    pub fn public_id(&self) -> &str {
        match &self.identity {
            Identity::Person { person, .. } => &person.public_id,
            Identity::Token { id, .. } => id,
        }
    }

    pub fn address(&self) -> IpAddr {
        self.address
    }
}

/// A route whose rule lets nobody in unknown has its caller; others ask with `Option<Caller>`.
impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Problem> {
        parts.extensions.get::<Caller>().cloned().ok_or_else(Problem::unauthenticated)
    }
}

impl<S: Sync> axum::extract::OptionalFromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Caller>, Problem> {
        Ok(parts.extensions.get::<Caller>().cloned())
    }
}

/// The door of every route of the API.
pub(super) async fn admit(State(console): State<Console>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match judge(&console, &parts).await {
        Ok(caller) => {
            if let Some(caller) = caller {
                parts.extensions.insert(caller);
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn judge(console: &Console, parts: &Parts) -> Result<Option<Caller>, Problem> {
    let path = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
    let Some(rule) = access::rule(&parts.method, path) else {
        return Err(Problem::server_error(&format!("{} {path} has no rule", parts.method)));
    };
    if rule.who == Who::Anybody {
        return Ok(None);
    }
    let address = parts.extensions.get::<ClientAddress>().map_or(ClientAddress::UNKNOWN, |address| *address).0;
    if let Some(token) = bearer(&parts.headers) {
        let caller = by_token(console, token, address).await?;
        return match rule.who {
            Who::Member(scope) | Who::Operator(scope) => caller.operator(scope).map(|()| Some(caller)),
            Who::Known => Ok(Some(caller)),
            _ => Err(Problem::forbidden("This is for people who are signed in, not for admin tokens.")),
        };
    }
    let cookie = session::cookie(console, &parts.headers);
    let needs_person = !matches!(rule.who, Who::Visitor | Who::Playground);
    if cookie.is_none() && needs_person {
        return Err(Problem::unauthenticated());
    }
    from_our_own_pages(console, parts)?;
    let caller = match cookie {
        Some(cookie) if rule.who != Who::Visitor => by_session(console, cookie, address).await?,
        _ => None,
    };
    match (rule.who, caller) {
        (Who::Visitor | Who::Playground, caller) => Ok(caller),
        (_, None) => Err(Problem::unauthenticated()),
        (Who::Operator(scope), Some(caller)) => caller.operator(scope).map(|()| Some(caller)),
        (_, caller) => Ok(caller),
    }
}

async fn by_token(console: &Console, text: &[u8], address: IpAddr) -> Result<Caller, Problem> {
    if !admin_token::is_well_formed(text) {
        return Err(Problem::unauthenticated());
    }
    let hash = key::hash(text);
    let found = console
        .register(move |registry| {
            let Some(row) = registry.admin_token(&hash)? else { return Ok(None) };
            let now_ms = now_ms();
            if is_due(row.last_used_at_ms, now_ms) {
                registry.touch_admin_token(&row.public_id, now_ms)?;
            }
            Ok(Some(row))
        })
        .await?;
    let row = found.ok_or_else(Problem::unauthenticated)?;
    // Scopes of another version of the program allow nothing here.
    let scopes = row.scopes.iter().filter_map(|scope| scope.parse().ok()).collect();
    Ok(Caller { identity: Identity::Token { id: row.public_id, name: row.name, scopes }, address })
}

/// Who is signed in, by the cookie's text.
pub(super) async fn by_session(console: &Console, cookie: &str, address: IpAddr) -> Result<Option<Caller>, Problem> {
    let hash = key::hash(cookie.as_bytes());
    let found = console
        .register(move |registry| {
            let now_ms = now_ms();
            let found = registry.session(&hash, now_ms)?;
            if let Some((session, _)) = &found
                && is_due(Some(session.last_seen_at_ms), now_ms)
            {
                registry.touch_session(&hash, session::end_ms(session.created_at_ms, now_ms), now_ms)?;
            }
            Ok(found)
        })
        .await?;
    Ok(found.map(|(session, person)| Caller {
        identity: Identity::Person { person: Box::new(person), session: Box::new(session), hash },
        address,
    }))
}

/// Whether a use is worth writing down again.
fn is_due(noted_at_ms: Option<i64>, now_ms: i64) -> bool {
    let every_ms = i64::try_from(NOTED_EVERY.as_millis()).unwrap_or(i64::MAX);
    noted_at_ms.is_none_or(|noted| now_ms.saturating_sub(noted) >= every_ms)
}

fn token_covers(scopes: &[Scope], wanted: Scope) -> Result<(), Problem> {
    match scopes.iter().any(|scope| scope.covers(wanted)) {
        true => Ok(()),
        false => Err(Problem::forbidden(format!("This admin token has not the scope {wanted}."))),
    }
}

/// The token of an `Authorization: Bearer`.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let scheme = value.get(..7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| value[7..].trim_ascii())
}

/// # Errors
/// 403 `cross_site`.
fn from_our_own_pages(console: &Console, parts: &Parts) -> Result<(), Problem> {
    let text = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    if text(OWN_HEADER) != Some("1") {
        return Err(Problem::cross_site(format!("Requests of a browser carry the header {OWN_HEADER}: 1.")));
    }
    match text("sec-fetch-site") {
        None | Some("same-origin") => {}
        Some("none") if reads => {}
        Some(_) => return Err(Problem::cross_site("This request was sent by another site's page.")),
    }
    if reads {
        return Ok(());
    }
    let site = console.gateway().site();
    let addressed = || Some(format!("http://{}", text("host")?.to_ascii_lowercase()));
    let own = site.public_url.as_deref().and_then(origin_of).or_else(addressed);
    match (text("origin"), own) {
        (Some(origin), Some(own)) if origin.eq_ignore_ascii_case(&own) => Ok(()),
        (_, Some(own)) if site.public_url.is_some() => {
            Err(Problem::cross_site(format!("Changes are taken from pages of {own} only.")))
        }
        (_, Some(own)) => Err(Problem::cross_site(format!(
            "Changes are taken from pages of {own} only. Behind a proxy, set console.public_url."
        ))),
        (_, None) => Err(Problem::cross_site("This request does not say where it comes from.")),
    }
}

/// `https://gate.example` of `https://gate.example/console`.
pub(super) fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    let own_port = if scheme == "https" { ":443" } else { ":80" };
    Some(format!("{scheme}://{}", authority.strip_suffix(own_port).unwrap_or(authority)).to_ascii_lowercase())
}

const OWN_HEADER: &str = "x-tollgate-console";
/// A write for each request would make the storage busy with nothing.
const NOTED_EVERY: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_a_port_that_is_not_the_scheme_s_own() {
        let origin = |url| origin_of(url).unwrap();
        assert_eq!(origin("https://Gate.example"), "https://gate.example");
        assert_eq!(origin("https://gate.example:443/console"), "https://gate.example");
        assert_eq!(origin("http://gate.example:8081/x/y"), "http://gate.example:8081");
    }
}
