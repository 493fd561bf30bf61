//! The admin API: every route, one file per resource, and the document that describes them.
//!
//! A route is made of three: its handler with its description here, its rule in [`super::access`], and nothing else.

mod site;

use axum::Json;
use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Console, caller};

/// Every route behind the door that judges callers.
pub(super) fn router(console: &Console) -> Router<Console> {
    let (router, document) = described();
    let answer = Json(document);
    router
        .route("/api/openapi.json", axum::routing::get(move || std::future::ready(answer.clone())))
        .route_layer(axum::middleware::from_fn_with_state(console.clone(), caller::admit))
}

/// The document at `/api/openapi.json`.
pub fn document() -> OpenApi {
    described().1
}

fn described() -> (Router<Console>, OpenApi) {
    OpenApiRouter::with_openapi(base()).routes(routes!(site::site)).split_for_parts()
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
        components(schemas(super::problem::ProblemBody))
    )]
    struct Base;
    <Base as utoipa::OpenApi>::openapi()
}
