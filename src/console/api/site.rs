//! What anybody may know about this place.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::console::Console;
use crate::console::gateway::SignUp;
use crate::console::problem::{Problem, ProblemBody};
use crate::protocol::endpoint::Endpoint;

#[derive(Serialize, ToSchema)]
pub struct Site {
    #[schema(example = "Tollgate")]
    name: &'static str,
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// What all amounts are in.
    #[schema(example = "USD")]
    currency: String,
    /// Where the clients' API answers, without a base path.
    #[schema(example = "http://127.0.0.1:8080")]
    edge_url: String,
    #[schema(example = json!(["/v1", "/api/v1"]))]
    base_paths: Vec<String>,
    /// What can be called, by the names that records have.
    #[schema(example = json!(["chat_completions", "embeddings"]))]
    endpoints: Vec<&'static str>,
    sign_up: SignUp,
    /// An upstream that makes its answers up is configured.
    demo: bool,
    /// Nobody can sign in yet: the log has a link for the first operator.
    needs_operator: bool,
}

/// About this place
#[utoipa::path(
    get,
    path = "/api/site",
    operation_id = "get_site",
    tag = "site",
    responses((status = 200, body = Site), (status = 503, body = ProblemBody, content_type = "application/problem+json"))
)]
pub(super) async fn site(State(console): State<Console>, headers: HeaderMap) -> Result<Json<Site>, Problem> {
    let site = console.gateway().site();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let edge_url = site.edge_url_seen_from(host);
    let has_operator = console.register(|registry| registry.has_operator()).await?;
    Ok(Json(Site {
        name: "Tollgate",
        version: site.version,
        currency: site.currency,
        edge_url,
        base_paths: site.base_paths,
        endpoints: Endpoint::ALL.map(Endpoint::label).to_vec(),
        sign_up: site.sign_up,
        demo: site.demo,
        needs_operator: !has_operator,
    }))
}
