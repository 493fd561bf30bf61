//! The public pages: made by the server, readable without a script.

use axum::Router;

use super::Console;

pub(super) fn router() -> Router<Console> {
    Router::new()
}
