//! The console: web pages and the admin API, on a listener of their own.
//!
//! - [`listener`]: connections; [`shield`]: what stands around every answer; [`assets`]: what browsers load.
//! - [`access`]: who may call what, in one table; [`caller`]: who is asking, judged by it; [`session`]: the cookie;
//!   `password`, `attempts`: proving who one is, and guessing made slow.
//! - [`input`], [`listing`], [`problem`]: what callers send, lists, refusals: the same everywhere.
//! - [`api`]: the routes, one file per resource; [`pages`]: what is public and needs no script.
//! - [`gateway`]: what is asked of the running gateway; `storage`: connections to the books.
//!
//! Always true: nothing here decides about money; what is changed by hand goes through the [`Desk`], with the name of who
//! did it. No secret is shown twice.

pub mod access;
pub mod api;
mod assets;
mod attempts;
pub mod caller;
pub mod gateway;
pub mod input;
pub mod listener;
pub mod listing;
mod pages;
mod password;
pub mod problem;
mod session;
pub mod shield;
mod storage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{Extensions, HeaderMap, Method, StatusCode, Version};
use ipnet::IpNet;
use tokio::sync::Semaphore;
use tower_http::compression::{CompressionLayer, DefaultPredicate, Predicate};

use crate::ledger::Ledger;
use crate::store::contract::console::{Act, Once, Operation, Registry, Reports};
use crate::store::contract::{Desk, Library, Storage, StoreError};

use attempts::Attempts;
use caller::Caller;
use gateway::Gateway;
use listener::Listener;
use password::Mill;
use problem::Problem;
use storage::Pool;

/// What every handler shares.
#[derive(Clone)]
pub struct Console(Arc<Inner>);

struct Inner {
    gateway: Arc<dyn Gateway>,
    ledger: Arc<Ledger>,
    edge: SocketAddr,
    reports: Arc<Pool<Box<dyn Reports>>>,
    library: Arc<Pool<Box<dyn Library>>>,
    desk: Arc<Pool<Box<dyn Desk>>>,
    registry: Arc<Pool<Box<dyn Registry>>>,
    attempts: Attempts,
    mill: Mill,
    proofs: Semaphore,
}

/// What a change made, or that the same request had made it before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done<T> {
    Now(T),
    /// The public id of what was made then (a ledger entry's `seq`).
    Before(String),
}

impl Console {
    /// `edge` is the door of the clients' API that only this machine can reach: the playground's.
    pub fn new(gateway: Arc<dyn Gateway>, storage: Arc<dyn Storage>, ledger: Arc<Ledger>, edge: SocketAddr) -> Console {
        let open = |storage: &Arc<dyn Storage>| storage.clone();
        let (reports, library, desk, registry) = (open(&storage), open(&storage), open(&storage), storage);
        Console(Arc::new(Inner {
            gateway,
            ledger,
            edge,
            reports: Pool::new(READERS_MAX, move || reports.reports()),
            library: Pool::new(READERS_MAX, move || library.library()),
            desk: Pool::new(WRITERS_MAX, move || desk.desk()),
            registry: Pool::new(READERS_MAX, move || registry.registry()),
            attempts: Attempts::new(),
            mill: Mill::new(),
            proofs: Semaphore::new(1),
        }))
    }

    /// Serves until it is told to close. A head may take `head_timeout`, and a connection be idle as long.
    pub fn listener(&self, trusted_proxies: Vec<IpNet>, head_timeout: Duration) -> Arc<Listener> {
        Listener::new(self.router(), trusted_proxies, head_timeout)
    }

    pub fn gateway(&self) -> &dyn Gateway {
        self.0.gateway.as_ref()
    }

    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.0.ledger
    }

    /// The door of the clients' API that only this machine can reach.
    pub fn edge(&self) -> SocketAddr {
        self.0.edge
    }

    fn attempts(&self) -> &Attempts {
        &self.0.attempts
    }

    fn mill(&self) -> &Mill {
        &self.0.mill
    }

    /// The place of whoever proves the books: one at a time.
    fn proofs(&self) -> &Semaphore {
        &self.0.proofs
    }

    /// Reads for a page.
    ///
    /// # Errors
    /// As the storage answers, here and below.
    pub async fn report<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Reports) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        Ok(self.0.reports.run(move |reports| read(reports.as_ref())).await?)
    }

    /// Reads one thing, or totals.
    pub async fn look_up<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Library) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        Ok(self.0.library.run(move |library| read(library.as_ref())).await?)
    }

    /// Asks the door, or lets somebody in.
    pub async fn register<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Registry) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        Ok(self.0.registry.run(move |registry| work(registry.as_mut())).await?)
    }

    /// Changes the books in the caller's name. When it returns, the running gateway knows.
    pub async fn act<T: Send + 'static>(
        &self,
        caller: &Caller,
        change: impl FnOnce(&mut dyn Desk) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        match self.act_once(caller, None, change).await? {
            Done::Now(made) => Ok(made),
            Done::Before(target) => Err(StoreError::Repeated(target).into()),
        }
    }

    /// Notes what was done to the gateway itself. A storage that cannot be written is no reason to undo it, and a reload
    /// may be what mends it: then the program's log has the note.
    pub async fn note(&self, caller: &Caller, operation: Operation) {
        let noted = operation.clone();
        if let Err(problem) = self.act(caller, move |desk| desk.note(&noted, now_ms())).await {
            tracing::error!(?operation, by = caller.public_id(), "not in the action log: {problem:?}");
        }
    }

    /// As [`Console::act`], for a request that may be a repetition: what it asks is done once.
    pub async fn act_once<T: Send + 'static>(
        &self,
        caller: &Caller,
        once: Option<Once>,
        change: impl FnOnce(&mut dyn Desk) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Done<T>, Problem> {
        let act = Act { actor: caller.actor(), once };
        let gateway = self.0.gateway.clone();
        let done = self.0.desk.run(move |desk| {
            desk.act_for(act);
            let made = change(desk.as_mut())?;
            gateway.followed();
            Ok(made)
        });
        match done.await {
            Ok(made) => Ok(Done::Now(made)),
            Err(StoreError::Repeated(target)) => Ok(Done::Before(target)),
            Err(error) => Err(error.into()),
        }
    }

    fn router(&self) -> Router {
        let paged = api::router(self)
            .merge(pages::router())
            .route("/assets/{*path}", get(assets::asset))
            .fallback(fallback)
            .method_not_allowed_fallback(wrong_method)
            .layer(CompressionLayer::new().compress_when(DefaultPredicate::new().and(may_be_packed)));
        paged.layer(axum::middleware::from_fn(shield::guard)).with_state(self.clone())
    }
}

/// An answer that goes out byte for byte as it came.
#[derive(Clone)]
struct AsItCame;

fn may_be_packed(_: StatusCode, _: Version, _: &HeaderMap, about: &Extensions) -> bool {
    about.get::<AsItCame>().is_none()
}

/// Paths that no route has: the application's own, and those that nobody has.
async fn fallback(State(_): State<Console>, request: Request) -> Response {
    let path = request.uri().path();
    if shield::is_api(path) {
        return Problem::not_found("There is no such path.").into_response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return wrong_method(request).await;
    }
    let status = if is_page(path) { StatusCode::OK } else { StatusCode::NOT_FOUND };
    shell(status, request.headers())
}

fn shell(status: StatusCode, headers: &HeaderMap) -> Response {
    assets::shell(status, headers)
}

async fn wrong_method(request: Request) -> Response {
    match shield::is_api(request.uri().path()) {
        true => Problem::method_not_allowed().into_response(),
        false => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

/// Whether the application has a page at this path. What the page shows may still not exist.
fn is_page(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    PAGES.contains(&path) || DETAILS.iter().any(|folder| path.strip_prefix(folder).is_some_and(is_one_name))
}

fn is_one_name(rest: &str) -> bool {
    !rest.is_empty() && !rest.contains('/')
}

pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

const PAGES: &[&str] = &[
    "/sign-in",
    "/sign-up",
    "/playground",
    "/overview",
    "/keys",
    "/usage",
    "/requests",
    "/billing",
    "/account",
    "/operate",
    "/operate/accounts",
    "/operate/keys",
    "/operate/people",
    "/operate/models",
    "/operate/upstreams",
    "/operate/codes",
    "/operate/ledger",
    "/operate/requests",
    "/operate/actions",
    "/operate/health",
];
const DETAILS: &[&str] = &["/requests/", "/operate/accounts/", "/operate/requests/", "/keys/"];
const READERS_MAX: usize = 4;
/// The storage has one writer at a time; a second one waits at its lock, not at ours.
const WRITERS_MAX: usize = 2;
