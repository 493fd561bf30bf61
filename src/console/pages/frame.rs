//! What stands around every public page: who looks, in which language and light, and where everything is.
//!
//! Language and theme can be chosen by a plain link (`?lang=zh`, `?theme=dark`), so that both switches work without a
//! script; the choice is kept in the cookies that the application reads and writes too.

use std::collections::BTreeMap;
use std::fmt;

use askama::filters::HtmlSafe;
use http::{HeaderMap, header};

use super::language::{Language, escape};
use crate::console::gateway::Site;
use crate::console::listener::ClientAddress;
use crate::console::{Console, assets, caller, session};

pub struct Frame {
    pub l: Language,
    /// `light` or `dark`; empty: as the reader's system says.
    pub theme: &'static str,
    pub path: &'static str,
    /// `/assets/<digest>`.
    pub assets: String,
    /// This console's own address, for links that must be absolute.
    pub origin: String,
    pub site: Site,
    /// `http://127.0.0.1:8080`.
    pub edge_url: String,
    /// The same with the first base path: what SDKs are given.
    pub base_url: String,
    pub person: Option<Person>,
    /// The language of samples that the reader looked at last.
    pub tab: String,
    cookies: Vec<String>,
}

/// Who is signed in.
pub struct Person {
    pub login: String,
    pub is_operator: bool,
}

/// One entry of the side bar.
pub struct Place {
    pub href: &'static str,
    pub icon: &'static str,
    pub name: &'static str,
}

pub type Query = BTreeMap<String, String>;

impl Frame {
    pub async fn read(
        console: &Console,
        path: &'static str,
        headers: &HeaderMap,
        query: &Query,
        address: ClientAddress,
    ) -> Frame {
        let site = console.gateway().site();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let edge_url = site.edge_url_seen_from(host);
        let base_path = site.base_paths.first().map(String::as_str).unwrap_or_default();
        let asked = |name: &str| query.get(name).map(String::as_str);
        let language = asked("lang").and_then(Language::parse);
        let theme = asked("theme").and_then(parse_theme);
        let accepted = || {
            let text = |value: &http::HeaderValue| value.to_str().map(Language::accepted).ok();
            headers.get(header::ACCEPT_LANGUAGE).and_then(text).unwrap_or_default()
        };
        let mut cookies = Vec::new();
        cookies.extend(language.map(|language| keep(LANGUAGE_COOKIE, language.id())));
        cookies.extend(theme.map(|theme| keep(THEME_COOKIE, if theme.is_empty() { "system" } else { theme })));
        Frame {
            l: language.or_else(|| cookie(headers, LANGUAGE_COOKIE).and_then(Language::parse)).unwrap_or_else(accepted),
            theme: theme.or_else(|| cookie(headers, THEME_COOKIE).and_then(parse_theme)).unwrap_or_default(),
            path,
            assets: assets::base(),
            origin: origin(&site, host),
            base_url: format!("{edge_url}{}", base_path.trim_end_matches('/')),
            edge_url,
            person: person(console, headers, address).await,
            tab: cookie(headers, TAB_COOKIE).unwrap_or_default().to_owned(),
            site,
            cookies,
        }
    }

    /// For `Set-Cookie`: what the reader has just chosen.
    pub fn cookies(&self) -> &[String] {
        &self.cookies
    }

    pub fn icon(&self, name: &str) -> Icon {
        Icon::new(name)
    }

    /// The public pages, and the application's for who is signed in.
    pub fn places(&self) -> Vec<Place> {
        let l = self.l;
        let place = |href, icon, name| Place { href, icon, name };
        let playground = place("/playground", "message-square", l.say("Playground", "操练场"));
        let sold = place("/models", "box", l.say("Models and prices", "模型与价格"));
        let docs = place("/docs", "book-open", l.say("API docs", "API 文档"));
        let status = place("/status", "activity", l.say("Status", "服务状态"));
        if self.person.is_none() {
            return vec![docs, sold, playground, status];
        }
        vec![
            place("/overview", "layout-grid", l.say("Overview", "概览")),
            playground,
            place("/keys", "key-round", l.say("API keys", "API 密钥")),
            place("/usage", "chart-line", l.say("Usage", "用量")),
            place("/requests", "list", l.say("Requests", "请求日志")),
            place("/billing", "wallet", l.say("Billing", "余额与充值")),
            sold,
            docs,
            status,
        ]
    }

    pub fn themes(&self) -> [(&'static str, &'static str, &'static str); 3] {
        [
            ("system", "monitor", self.l.say("As the system", "跟随系统")),
            ("light", "sun", self.l.say("Light", "浅色")),
            ("dark", "moon", self.l.say("Dark", "深色")),
        ]
    }

    pub fn is_theme(&self, name: &str) -> bool {
        parse_theme(name) == Some(self.theme)
    }
}

fn parse_theme(text: &str) -> Option<&'static str> {
    match text {
        "light" => Some("light"),
        "dark" => Some("dark"),
        "system" => Some(""),
        _ => None,
    }
}

fn keep(name: &str, value: &str) -> String {
    format!("{name}={value}; Path=/; Max-Age=31536000; SameSite=Lax")
}

fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(given, _)| *given == name).map(|(_, value)| value)
}

/// As configured, else as it was addressed; the header is the browser's, so templates escape what comes of it.
fn origin(site: &Site, host: Option<&str>) -> String {
    match (&site.public_url, host) {
        (Some(url), _) => url.clone(),
        (None, Some(host)) => format!("http://{host}"),
        (None, None) => format!("http://{}", site.console),
    }
}

/// A storage that does not answer must not take the documentation down with it: the reader is a stranger then.
async fn person(console: &Console, headers: &HeaderMap, address: ClientAddress) -> Option<Person> {
    let cookie = session::cookie(console, headers)?;
    let found = caller::by_session(console, cookie, address.0).await.ok().flatten()?;
    let is_operator = found.is_operator();
    found.person().map(|person| Person { login: person.login.clone(), is_operator })
}

/// A Lucide icon out of the application's own collection.
pub struct Icon(String);

impl Icon {
    /// Nothing for a name that is not in the collection.
    pub fn new(name: &str) -> Icon {
        // One icon a line, and what follows its name is JSON.
        let line = LUCIDE.lines().find_map(|line| line.trim().strip_prefix(&format!("\"{name}\": ")));
        let shapes: Shapes =
            line.and_then(|shapes| serde_json::from_str(shapes.trim_end_matches(',')).ok()).unwrap_or_default();
        let mut html = String::new();
        for (tag, attributes) in shapes {
            html.push_str(&format!("<{tag}"));
            for (name, value) in attributes {
                html.push_str(&format!(" {name}=\""));
                // Writing to a string cannot fail.
                let _ = escape(&mut html, &value);
                html.push('"');
            }
            html.push_str("/>");
        }
        Icon(html)
    }
}

type Shapes = Vec<(String, BTreeMap<String, String>)>;

impl HtmlSafe for Icon {}

impl fmt::Display for Icon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(
            f,
            "<svg class=\"icon\" width=\"16\" height=\"16\" viewBox=\"0 0 24 24\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.75\" stroke-linecap=\"round\" stroke-linejoin=\"round\" aria-hidden=\"true\" focusable=\"false\">{}</svg>",
            self.0
        )
    }
}

const LUCIDE: &str = include_str!("../web/icons/lucide.js");
const LANGUAGE_COOKIE: &str = "tollgate_lang";
const THEME_COOKIE: &str = "tollgate_theme";
const TAB_COOKIE: &str = "tollgate_sample";

#[cfg(test)]
mod tests {
    use super::*;

    /// Every icon that a template or the side bar names is in the collection.
    #[test]
    fn every_named_icon_is_drawn() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/pages/templates");
        let templates =
            std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
        let own = include_str!("frame.rs");
        let mut named: Vec<String> = Vec::new();
        for text in templates {
            named.extend(text.split("icon(\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
        for line in own.lines().filter(|line| line.contains("place(\"/") || line.contains("(\"system\", \"")) {
            named.extend(line.split('"').nth(3).map(str::to_owned));
        }
        assert!(named.len() > 12, "{named:?}");
        for name in named {
            assert!(Icon::new(&name).to_string().contains("<path") || !Icon::new(&name).0.is_empty(), "{name}");
        }
    }

    #[test]
    fn the_first_cookie_of_a_name_counts() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=b; tollgate_lang=zh".parse().unwrap());
        headers.append(header::COOKIE, "tollgate_lang=en; tollgate_theme=dark=x".parse().unwrap());
        assert_eq!(cookie(&headers, LANGUAGE_COOKIE), Some("zh"));
        assert_eq!(cookie(&headers, THEME_COOKIE).and_then(parse_theme), None);
        assert_eq!(cookie(&headers, "lang"), None);
    }
}
