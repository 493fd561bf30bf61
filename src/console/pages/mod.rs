//! The public pages: made by the server, readable without a script, in English and Chinese.
//!
//! - [`frame`]: who looks, in which language and light; [`language`]: two texts side by side.
//! - [`goods`]: what is sold, and whether it answers now.
//! - [`reference`], [`parameters`], [`errors`]: what the documentation lists; [`samples`], [`highlight`]: its code.
//!
//! Always true: no name of an upstream appears, and nothing of a request is shown unescaped.

mod errors;
mod frame;
mod goods;
mod highlight;
mod language;
mod parameters;
mod reference;
mod samples;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::Router;
use axum::extract::{Query as FromQuery, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::Console;
use super::listener::ClientAddress;
use frame::{Frame, Query};
use goods::{Good, Kind};
use reference::Value;
use samples::{Filling, Sample};

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/", get(landing))
        .route("/docs", get(docs))
        .route("/models", get(models))
        .route("/status", get(status))
        .route("/robots.txt", get(robots))
}

#[derive(Template)]
#[template(path = "landing.html")]
struct Landing {
    frame: Frame,
    filling: Filling,
    goods: Vec<Good>,
}

#[derive(Template)]
#[template(path = "docs.html")]
struct Docs {
    frame: Frame,
    filling: Filling,
}

#[derive(Template)]
#[template(path = "models.html")]
struct Models {
    frame: Frame,
    goods: Vec<Good>,
    /// As it was typed.
    search: String,
    kind: Option<Kind>,
    /// Of which something is sold.
    kinds: Vec<Kind>,
}

#[derive(Template)]
#[template(path = "status.html")]
struct Status {
    frame: Frame,
    goods: Vec<Good>,
    /// Whether new requests are taken at all.
    serving: bool,
    at: String,
}

impl HtmlSafe for Sample {}

async fn landing(State(console): State<Console>, address: ClientAddress, headers: HeaderMap, query: Asked) -> Response {
    let query = query_of(query);
    let frame = Frame::read(&console, "/", &headers, &query, address).await;
    if frame.person.is_some() && query.is_empty() {
        return Redirect::to("/overview").into_response();
    }
    let goods = sold(&console, &frame);
    let filling = goods::filling(&goods, frame.l, &frame.base_url);
    page(&frame.head(), Landing { frame, filling, goods })
}

async fn docs(State(console): State<Console>, address: ClientAddress, headers: HeaderMap, query: Asked) -> Response {
    let frame = Frame::read(&console, "/docs", &headers, &query_of(query), address).await;
    let filling = goods::filling(&sold(&console, &frame), frame.l, &frame.base_url);
    page(&frame.head(), Docs { frame, filling })
}

async fn models(State(console): State<Console>, address: ClientAddress, headers: HeaderMap, query: Asked) -> Response {
    let query = query_of(query);
    let frame = Frame::read(&console, "/models", &headers, &query, address).await;
    let search: String = query.get("q").map(|text| text.chars().take(SEARCH_CHARS_MAX).collect()).unwrap_or_default();
    let kind = query.get("kind").and_then(|id| Kind::ALL.into_iter().find(|kind| kind.id() == id));
    let mut goods = sold(&console, &frame);
    let kinds = Kind::ALL.into_iter().filter(|kind| goods.iter().any(|good| good.kind == *kind)).collect();
    goods.retain(|good| kind.is_none_or(|kind| good.kind == kind) && good.matches(&search));
    page(&frame.head(), Models { frame, goods, search, kind, kinds })
}

async fn status(State(console): State<Console>, address: ClientAddress, headers: HeaderMap, query: Asked) -> Response {
    let frame = Frame::read(&console, "/status", &headers, &query_of(query), address).await;
    let goods = sold(&console, &frame);
    let health = console.gateway().health();
    let serving = health.ledger_healthy && !health.draining;
    let at = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    page(&frame.head(), Status { frame, goods, serving, at })
}

/// Crawlers may read what is public; the application is nothing without a person.
async fn robots() -> &'static str {
    "User-agent: *\nAllow: /$\nAllow: /docs\nAllow: /models\nAllow: /status\nAllow: /assets/\nDisallow: /\n"
}

fn sold(console: &Console, frame: &Frame) -> Vec<Good> {
    goods::goods(&console.gateway().catalog(), &console.gateway().upstreams(), frame.l)
}

/// A query that cannot be read asks for nothing: a page is shown all the same.
type Asked = Result<FromQuery<Query>, axum::extract::rejection::QueryRejection>;

fn query_of(query: Asked) -> Query {
    query.map(|FromQuery(query)| query).unwrap_or_default()
}

impl Frame {
    /// The headers of a page that was made for this reader.
    fn head(&self) -> HeaderMap {
        let mut head = HeaderMap::new();
        head.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        head.insert(header::VARY, HeaderValue::from_static("accept-language, cookie"));
        head.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(self.l.tag()));
        let cookies = self.cookies().iter().filter_map(|cookie| HeaderValue::from_str(cookie).ok());
        cookies.for_each(|cookie| {
            head.append(header::SET_COOKIE, cookie);
        });
        head
    }
}

fn page(head: &HeaderMap, template: impl Template) -> Response {
    match template.render() {
        Ok(html) => (head.clone(), Html(html)).into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a page cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Good {
    fn matches(&self, search: &str) -> bool {
        let search = search.trim().to_lowercase();
        std::iter::once(&self.name).chain(&self.aliases).any(|name| name.to_lowercase().contains(&search))
    }
}

impl Landing {
    fn code(&self, topic: &'static str) -> Sample {
        samples::sample(topic, &self.filling, &self.frame.tab)
    }

    fn brief(&self) -> &[Good] {
        &self.goods[..self.goods.len().min(MODELS_IN_BRIEF)]
    }
}

impl Docs {
    fn code(&self, topic: &'static str) -> Sample {
        samples::sample(topic, &self.filling, &self.frame.tab)
    }

    fn value(&self, value: &Value) -> String {
        match value {
            Value::BaseUrl => self.frame.base_url.clone(),
            Value::EdgeUrl => self.frame.edge_url.clone(),
            Value::Key => highlight::KEY_PLACEHOLDER.to_owned(),
            Value::Model => self.filling.chat_model.clone().unwrap_or_default(),
            Value::Fixed(text) => (*text).to_owned(),
        }
    }

    fn tables(&self, topic: &str) -> &'static [parameters::Parameter] {
        parameters::of(topic)
    }

    fn sections(&self) -> Vec<reference::Section> {
        reference::sections(self.frame.l)
    }

    fn endpoints(&self) -> Vec<reference::EndpointRow> {
        reference::endpoints(self.frame.l)
    }

    fn endings(&self) -> Vec<reference::Ending> {
        reference::endings(self.frame.l)
    }

    fn errors(&self) -> Vec<errors::Row> {
        errors::rows(self.frame.l)
    }

    fn recipes(&self) -> Vec<reference::Recipe> {
        reference::recipes(self.frame.l)
    }
}

impl Status {
    fn down(&self) -> usize {
        self.goods.iter().filter(|good| !good.available).count()
    }
}

const SEARCH_CHARS_MAX: usize = 100;
const MODELS_IN_BRIEF: usize = 6;
