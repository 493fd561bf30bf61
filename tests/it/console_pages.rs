//! The public pages: what they say is what the program does, in two languages, and nothing of a stranger's becomes markup.

use std::collections::HashSet;
use std::net::SocketAddr;

use serde_json::Value;

use tollgate::core::api_error::ApiError;
use tollgate::protocol::endpoint::{self, Endpoint, Route};

use crate::support::*;

const PAGES: [&str; 4] = ["/", "/docs", "/models", "/status"];

/// A gateway and where its console listens.
struct Site {
    gateway: Gateway,
    console: SocketAddr,
}

impl Site {
    fn start(config: &Config) -> Site {
        Site::start_yaml(&config.to_yaml())
    }

    fn start_yaml(yaml: &str) -> Site {
        let gateway = Gateway::start_yaml(yaml);
        let ready = message(&gateway, "ready").expect("it is ready");
        let url = ready["console"].as_str().expect("the log says where the console is").to_owned();
        let console = url.strip_prefix("http://").unwrap().parse().unwrap();
        Site { gateway, console }
    }

    async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut connection = Connection::open(self.console).await;
        connection.send(request).await;
        connection.answer().await
    }

    async fn page(&self, path: &str) -> String {
        self.ask(get(path, "")).await.expect(200).text()
    }

    async fn with(&self, path: &str, headers: &[&str]) -> Answer {
        self.ask(request("GET", path, headers, "")).await
    }
}

fn message(gateway: &Gateway, text: &str) -> Option<Value> {
    let lines = gateway.log_lines();
    let mut parsed = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed.find(|line| line["message"].as_str().is_some_and(|message| message.contains(text)))
}

/// The values of an attribute, in order, still escaped.
fn attributes<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    let opening = format!(" {name}=\"");
    page.split(opening.as_str()).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0)).collect()
}

/// The text of a page, without its tags.
fn text(page: &str) -> String {
    page.split('<').filter_map(|part| Some(part.split_once('>')?.1)).collect()
}

#[tokio::test]
async fn every_page_is_whole_in_both_languages() {
    let site = Site::start(&Config::new());
    for path in PAGES {
        for (language, tag) in [("en", "en"), ("zh", "zh-CN")] {
            let answer = site.ask(get(&format!("{path}?lang={language}"), "")).await.expect(200);
            assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
            assert_eq!(answer.header("content-language"), Some(tag));
            assert_eq!(answer.header("vary").map(|vary| vary.contains("cookie")), Some(true));
            assert!(answer.header("content-security-policy").unwrap().contains("default-src 'none'"));
            let page = answer.text();
            assert!(page.contains(&format!("<html lang=\"{tag}\"")), "{path}");
            assert!(page.contains("hreflang=\"zh\"") && page.contains("hreflang=\"en\""), "{path}");
            assert_eq!([page.matches("<h1").count(), page.matches("<main").count()], [1, 1], "{path}");
            assert!(!page.contains("{{") && !page.contains("<title></title>"), "{path}");
            assert!(!page.contains("focusable=\"false\"></svg>"), "{path} has an icon without a drawing");
            let is_chinese = text(&page).chars().filter(|c| ('\u{4e00}'..='\u{9fff}').contains(c)).count() > 40;
            assert_eq!(is_chinese, language == "zh", "{path} {language}");
        }
    }
}

/// The content security policy forbids all of it: a page that has some is broken in every browser.
#[tokio::test]
async fn nothing_is_inline_and_every_link_leads_somewhere() {
    let site = Site::start(&Config::new());
    let mut assets = HashSet::new();
    for path in PAGES {
        let page = site.page(path).await;
        assert!(attributes(&page, "style").is_empty() && !page.contains("<style"), "{path}");
        for script in page.split("<script").skip(1) {
            assert!(script.split_once('>').unwrap().0.contains(" src=\"/assets/"), "{path}");
        }
        let tags = page.split('<').skip(1).filter_map(|part| Some(part.split_once('>')?.0));
        let handlers: Vec<_> = tags.filter(|tag| tag.contains(" on") && tag.contains("=\"")).collect();
        assert!(handlers.iter().all(|tag| !tag.split(' ').any(|word| word.starts_with("on"))), "{path}: {handlers:?}");
        let ids = attributes(&page, "id");
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{path}: an id twice in {ids:?}");
        let links = attributes(&page, "href");
        for link in &links {
            assert!(!link.contains("javascript:"), "{path}");
            if let Some(id) = link.strip_prefix('#') {
                assert!(ids.contains(&id), "{path}: {link}");
            }
        }
        let sources = attributes(&page, "src");
        assets.extend(links.into_iter().chain(sources).filter(|link| link.starts_with("/assets/")).map(str::to_owned));
    }
    assert!(assets.len() >= 7, "{assets:?}");
    for asset in assets {
        let answer = site.ask(get(&asset, "")).await.expect(200);
        assert!(answer.header("cache-control").unwrap().contains("immutable"), "{asset}");
    }
}

#[tokio::test]
async fn a_link_chooses_language_and_theme_and_a_cookie_keeps_them() {
    let site = Site::start(&Config::new());
    let language = |answer: &Answer| answer.header("content-language").unwrap().to_owned();
    assert_eq!(language(&site.with("/docs", &["Accept-Language: zh-TW,en;q=0.5"]).await), "zh-CN");
    let chinese = ["Accept-Language: zh", "Cookie: tollgate_lang=en; tollgate_theme=dark"];
    let kept = site.with("/docs", &chinese).await;
    assert_eq!(language(&kept), "en");
    assert!(kept.header("set-cookie").is_none() && kept.text().contains("data-theme=\"dark\""));
    let asked = site.with("/docs?lang=zh&theme=system", &chinese).await;
    assert_eq!(language(&asked), "zh-CN");
    assert!(!asked.text().contains("data-theme"));
    let cookies: Vec<_> = asked.head.headers().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).collect();
    assert!(cookies.iter().any(|(_, cookie)| cookie.starts_with("tollgate_lang=zh; Path=/;")), "{cookies:?}");
    assert!(cookies.iter().any(|(_, cookie)| cookie.starts_with("tollgate_theme=system; Path=/;")), "{cookies:?}");
    let nonsense = site.with("/docs?lang=%3Cx%3E&theme=%ff", &["Cookie: tollgate_lang=; tollgate_theme=\"><b>"]).await;
    assert_eq!(language(&nonsense.expect(200)), "en");
}

#[tokio::test]
async fn the_docs_list_every_endpoint_and_only_those() {
    let site = Site::start(&Config::new());
    let page = site.page("/docs").await;
    let list = page.split_once("card endpoints\">").unwrap().1.split_once("</ul>").unwrap().0;
    let bases = ["/v1".to_owned(), "/api/v1".to_owned()];
    let mut proxied = HashSet::new();
    for row in list.split("<li>").skip(1) {
        let method = row.split_once("\">").unwrap().1.split_once('<').unwrap().0;
        let path = row.split_once("<code>").unwrap().1.split_once("</code>").unwrap().0.replace("{id}", "req_1");
        match endpoint::resolve(method, &path, &bases) {
            Ok(Route::Proxy(endpoint)) => assert!(proxied.insert(endpoint)),
            Ok(_) => assert_eq!(method, "GET"),
            Err(error) => panic!("{method} {path}: {error:?}"),
        }
    }
    assert_eq!(proxied.len(), Endpoint::ALL.len());
}

#[tokio::test]
async fn the_error_table_has_every_code_that_a_client_can_hear() {
    let site = Site::start(&Config::new());
    for language in ["en", "zh"] {
        let page = site.page(&format!("/docs?lang={language}")).await;
        let table = page.split_once("error-table\">").unwrap().1.split_once("</table>").unwrap().0;
        for entry in ApiError::guide() {
            let row = format!("<tr><td>{}</td><td><code>{}</code></td>", entry.status, entry.code);
            assert!(table.contains(&row), "{row}");
        }
    }
}

#[tokio::test]
async fn nothing_of_a_stranger_becomes_markup() {
    let odd = "  \"a<b>&'x\": {upstreams: [{name: u0, model: x}], price: {input: \"1\", output: \"2\"}, aliases: ['</td>']}\n";
    let site = Site::start(&Config::new().models(odd));
    for path in PAGES {
        let separator = if path == "/models" { "&" } else { "?" };
        let path = if path == "/models" { format!("{path}?q=%3Cb%3E") } else { path.to_owned() };
        for hostile in ["<script>alert(1)</script>", "x\"onload=\"alert(1)"] {
            let raw = format!(
                "GET {path}{separator}lang=en&theme=%22%3E%3Cb%3E HTTP/1.1\r\nHost: {hostile}\r\nCookie: tollgate_sample={hostile}\r\n\r\n"
            );
            let answer = site.ask(raw).await;
            // Some of it is no host at all, and refused before there is a page.
            if answer.status() != 400 {
                let page = answer.expect(200).text();
                assert!(!page.contains("<script>") && !page.contains("x\"onload"), "{path} {hostile}");
            }
        }
        let page = site.page(&path).await;
        assert!(!page.contains("a<b>") && !page.contains("'</td>"), "{path}");
    }
    let page = site.page("/models?q=%3Cb%3E").await;
    assert!(page.contains("<code>a&#60;b&#62;&#38;&#39;x</code>"), "{page}");
    assert!(page.contains("value=\"&#60;b&#62;\""));
    // It could not stand in code as it is, so the samples use another model.
    assert!(!site.page("/docs").await.contains("a&#60;b"));
}

#[tokio::test]
async fn the_price_list_can_be_searched_without_a_script() {
    let site = Site::start(&Config::new());
    let found = |page: &str| attributes(page, "data-names").iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let all = found(&site.page("/models").await);
    assert_eq!(all.len(), 3);
    assert_eq!(found(&site.page("/models?q=EMBED").await).len(), 1);
    assert_eq!(found(&site.page("/models?kind=images").await), ["image-model"]);
    assert_eq!(found(&site.page("/models?kind=images&q=chat").await), [""; 0]);
    let page = text(&site.page("/models?q=chat").await);
    for price in ["$0.15", "$0.075", "$0.60"] {
        assert!(page.contains(price), "{price}");
    }
}

#[tokio::test]
async fn a_model_whose_upstream_fails_is_shown_as_not_available() {
    let site = Site::start(&Config::new().upstream_at("http://127.0.0.1:1/v1", ""));
    assert!(site.page("/status").await.contains("All models are available."));
    for _ in 0..5 {
        let body = r#"{"model":"chat-model","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}"#;
        site.gateway.chat(body).await.expect(500);
    }
    let page = site.page("/status").await;
    assert!(page.contains("3 of 3 models are not available."), "{page}");
    assert!(!page.contains("127.0.0.1:1"), "where an upstream is stays the operator's business");
    assert!(site.page("/models").await.contains("Unavailable"));
}

#[tokio::test]
async fn no_page_names_an_upstream() {
    let yaml = Config::new().to_yaml().replace("u0", "purchased-from-somebody");
    let site = Site::start_yaml(&yaml);
    for path in PAGES {
        assert!(!site.page(path).await.contains("purchased"), "{path}");
    }
}

#[tokio::test]
async fn who_is_signed_in_is_taken_to_the_console() {
    let site = Site::start(&Config::new());
    site.gateway.wait_for_log("/sign-up#").await;
    let offer = message(&site.gateway, "/sign-up#").unwrap();
    let token = offer["message"].as_str().unwrap().rsplit('#').next().unwrap().to_owned();
    let body = format!(r#"{{"invitation":"{token}","login":"olga","password":"a long enough password"}}"#);
    let headers = ["Content-Type: application/json", "X-Tollgate-Console: 1", "Origin: http://gateway"];
    let answer = site.ask(request("POST", "/api/sign-up", &headers, body)).await.expect(201);
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap();
    let cookie = format!("Cookie: {cookie}");
    let landing = site.with("/", &[&cookie]).await;
    assert_eq!([landing.status().to_string().as_str(), landing.header("location").unwrap()], ["303", "/overview"]);
    let docs = site.with("/docs", &[&cookie]).await.expect(200).text();
    assert!(docs.contains("olga") && docs.contains("href=\"/operate\"") && !docs.contains("href=\"/sign-in\" class"));
    // Somebody else's cookie is nobody's.
    let stranger = site.with("/", &["Cookie: tollgate_session=tgses_x"]).await.expect(200);
    assert!(stranger.text().contains("href=\"/sign-in\""));
}
