//! The admin API: every route, one file per resource, and the document that describes them.
//!
//! A route is made of two: its handler with its description here, its rule in [`super::access`], and nothing else.

mod accounts;
mod actions;
mod answer;
mod codes;
mod field;
mod keys;
mod ledger;
mod models;
mod operations;
mod overview;
mod people;
mod playground;
mod reach;
mod requests;
mod schema;
mod series;
mod session;
mod site;
mod span;
mod upstreams;
mod usage;

use axum::Router;
use bytes::Bytes;
use http::{Method, header};
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::{self, Who};
use super::{Console, caller};
use crate::core::admin_token::Scope;
use crate::store::contract::console::SeriesBy;
use crate::store::contract::{EntryKind, Outcome, UsageBy};

/// Every route behind the door that judges callers.
pub(super) fn router(console: &Console) -> Router<Console> {
    // In a thread of its own, whose memory goes back with it: while it is put together, the document is several MiB.
    let (router, document) = std::thread::spawn(|| {
        let (router, document) = described();
        (router, Bytes::from(document.to_json().expect("a tree of strings is JSON")))
    })
    .join()
    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let answer = ([(header::CONTENT_TYPE, "application/json")], document);
    router
        .route("/api/openapi.json", axum::routing::get(move || std::future::ready(answer.clone())))
        .route_layer(axum::middleware::from_fn_with_state(console.clone(), caller::admit))
}

/// The document at `/api/openapi.json`.
pub fn document() -> OpenApi {
    described().1
}

fn described() -> (Router<Console>, OpenApi) {
    let (router, mut document) = routed();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in [
            (Method::GET, &mut item.get),
            (Method::POST, &mut item.post),
            (Method::PATCH, &mut item.patch),
            (Method::DELETE, &mut item.delete),
        ] {
            if let (Some(operation), Some(rule)) = (operation, access::rule(&method, path)) {
                operation.security = Some(credentials(rule.who));
            }
        }
    }
    (router, document)
}

/// What opens a route, from the table that decides it.
fn credentials(who: Who) -> Vec<SecurityRequirement> {
    let session = || SecurityRequirement::new::<_, [&str; 0], _>(SESSION, []);
    let token = |scopes: &[Scope]| SecurityRequirement::new(TOKEN, scopes.iter().map(|scope| scope.as_str()));
    match who {
        Who::Anybody | Who::Visitor => Vec::new(),
        Who::Playground => vec![SecurityRequirement::default(), session()],
        Who::Person => vec![session()],
        Who::Known => vec![session(), token(&[])],
        Who::Member(scope) | Who::Operator(scope) => vec![session(), token(&[scope])],
    }
}

/// What the document says of the two credentials.
struct Credentials;

impl utoipa::Modify for Credentials {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        let about = "The cookie of a signed-in person. Such requests also carry the header X-Tollgate-Console: 1, and \
                     those that change something an Origin that is the console's own.";
        let cookie = ApiKeyValue::with_description("tollgate_session", about);
        components.add_security_scheme(SESSION, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        let about = "An admin token, made by `tollgate admin-token create`. It needs the scope named beside a route, or \
                     the scope `all`.";
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("tgadm_…");
        components.add_security_scheme(TOKEN, SecurityScheme::Http(bearer.description(Some(about)).build()));
    }
}

const SESSION: &str = "session";
const TOKEN: &str = "admin_token";

fn routed() -> (Router<Console>, OpenApi) {
    OpenApiRouter::with_openapi(base())
        .routes(routes!(site::site))
        .routes(routes!(session::sign_in, session::sign_out))
        .routes(routes!(session::me, session::change_me))
        .routes(routes!(session::list_sessions))
        .routes(routes!(session::close_session))
        .routes(routes!(people::look_at_invitation))
        .routes(routes!(people::sign_up))
        .routes(routes!(people::list_invitations, people::create_invitation))
        .routes(routes!(people::revoke_invitation))
        .routes(routes!(people::list_people))
        .routes(routes!(people::update_person))
        .routes(routes!(people::reset_person))
        .routes(routes!(accounts::list_accounts, accounts::create_account))
        .routes(routes!(accounts::get_account, accounts::update_account))
        .routes(routes!(ledger::create_credit))
        .routes(routes!(ledger::list_account_ledger))
        .routes(routes!(ledger::list_ledger))
        .routes(routes!(keys::list_keys, keys::create_key))
        .routes(routes!(keys::get_key, keys::update_key, keys::delete_key))
        .routes(routes!(keys::rotate_key))
        .routes(routes!(usage::usage))
        .routes(routes!(usage::series))
        .routes(routes!(overview::overview))
        .routes(routes!(requests::list_requests))
        .routes(routes!(requests::get_request))
        .routes(routes!(models::list_models))
        .routes(routes!(upstreams::list_upstreams))
        .routes(routes!(upstreams::probe_upstream))
        .routes(routes!(codes::list_codes, codes::create_codes))
        .routes(routes!(codes::void_code))
        .routes(routes!(codes::redeem))
        .routes(routes!(operations::audit))
        .routes(routes!(actions::list_actions))
        .routes(routes!(operations::health))
        .routes(routes!(operations::config))
        .routes(routes!(operations::reload_config))
        .routes(routes!(playground::chat))
        .routes(routes!(playground::completions))
        .routes(routes!(playground::embeddings))
        .routes(routes!(playground::images))
        .routes(routes!(playground::models))
        .routes(routes!(playground::request_cost))
        .split_for_parts()
}

fn base() -> OpenApi {
    #[derive(utoipa::OpenApi)]
    #[openapi(
        info(
            title = "Tollgate admin API",
            description = "What the console does, for programs. Sign in as a person (cookie) or send an admin token \
                           (`Authorization: Bearer tgadm_…`).",
            license(name = "Apache-2.0", identifier = "Apache-2.0")
        ),
        // What stands in no body is not found by itself: the words that queries choose from.
        components(schemas(
            super::problem::ProblemBody,
            EntryKind,
            Outcome,
            SeriesBy,
            UsageBy,
            overview::Whose,
            span::Bucket
        )),
        modifiers(&Credentials)
    )]
    struct Base;
    <Base as utoipa::OpenApi>::openapi()
}
