//! Whoever uses the console: a browser with its cookie and origin, a program with its token, or nobody yet.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::http1;
use super::eventually;
use super::gateway::Gateway;

/// One user of the console.
#[derive(Clone)]
pub struct Console {
    base: String,
    http: reqwest::Client,
    /// What every request of theirs carries.
    headers: Vec<(&'static str, String)>,
}

impl Console {
    /// A browser that nobody has signed in with.
    pub fn visitor(gateway: &Gateway) -> Console {
        let base = format!("http://{}", gateway.console());
        let headers = vec![("x-tollgate-console", "1".to_owned()), ("origin", base.clone())];
        Console { base, http: http1(), headers }
    }

    /// A program with this bearer token.
    pub fn program(gateway: &Gateway, token: &str) -> Console {
        let base = format!("http://{}", gateway.console());
        Console { base, http: http1(), headers: vec![("authorization", format!("Bearer {token}"))] }
    }

    /// A program with a new admin token of these scopes.
    pub fn token(gateway: &Gateway, scopes: &str) -> Console {
        let made = gateway.cli(&["admin-token", "create", scopes, "--scope", scopes]);
        Console::program(gateway, made["token"].as_str().expect("a new token is shown"))
    }

    /// The first operator, by the link in the log.
    pub async fn operator(gateway: &Gateway) -> Console {
        gateway.wait_for_log("/sign-up#").await;
        let log = gateway.log();
        let rest = log.split("/sign-up#").nth(1).expect("it is there");
        let token: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        Console::visitor(gateway).sign_up(&token, "operator").await
    }

    /// A customer of an account that there is, invited by an operator.
    pub async fn customer(&self, gateway: &Gateway, login: &str, account: &str) -> Console {
        let invitation = self.post("/api/invitations", json!({"role": "customer", "account": account})).await;
        let url = invitation.expect(201)["url"].as_str().expect("a new link is shown").to_owned();
        let token = url.split('#').nth(1).expect("the token stands behind the mark").to_owned();
        Console::visitor(gateway).sign_up(&token, login).await
    }

    async fn sign_up(self, token: &str, login: &str) -> Console {
        let wish = json!({"invitation": token, "login": login, "password": PASSWORD});
        let said = self.post("/api/sign-up", wish).await;
        self.with_cookie(&said.expect_whole(201))
    }

    /// The same browser, signed in.
    pub fn with_cookie(mut self, said: &Said) -> Console {
        let cookie = said.header("set-cookie").expect("whoever signs in gets a cookie");
        let pair = cookie.split(';').next().unwrap_or_default().to_owned();
        self.headers.retain(|(name, _)| *name != "cookie");
        self.headers.push(("cookie", pair));
        self
    }

    /// The same user with another header, or with another value of one that is sent anyway; without it for `None`.
    pub fn with(&self, name: &'static str, value: Option<&str>) -> Console {
        let mut other = self.clone();
        other.headers.retain(|(given, _)| *given != name);
        other.headers.extend(value.map(|value| (name, value.to_owned())));
        other
    }

    pub async fn get(&self, path: &str) -> Said {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Said {
        self.send(Method::POST, path, Some(body.to_string())).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Said {
        self.send(Method::PATCH, path, Some(body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> Said {
        self.send(Method::DELETE, path, None).await
    }

    /// A post that says that it may be repeated.
    pub async fn post_once(&self, key: &str, path: &str, body: Value) -> Said {
        self.with("idempotency-key", Some(key)).post(path, body).await
    }

    pub async fn csv(&self, path: &str) -> Said {
        self.with("accept", Some("text/csv")).get(path).await
    }

    /// Any request, with any text for a body.
    pub async fn send(&self, method: Method, path: &str, body: Option<String>) -> Said {
        let mut headers = HeaderMap::new();
        if body.is_some() {
            headers.insert("content-type", HeaderValue::from_static("application/json"));
        }
        for (name, value) in &self.headers {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header's value"));
        }
        let mut request = self.http.request(method, format!("{}{path}", self.base)).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.expect("the console answers");
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("the answer is whole");
        Said { status, headers, text }
    }

    /// All rows of a list, part by part.
    pub async fn all(&self, path: &str, limit: usize) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut after = None;
        // No list of a test has more parts; a cursor that leads in a circle ends here.
        for _ in 0..1_000 {
            let part = self.part(path, limit, after.as_deref()).await;
            rows.extend(part["data"].as_array().expect("a list").iter().cloned());
            match part["next"].as_str() {
                Some(next) => after = Some(next.to_owned()),
                None => return rows,
            }
        }
        panic!("{path} does not end");
    }

    pub async fn part(&self, path: &str, limit: usize, after: Option<&str>) -> Value {
        let mark = if path.contains('?') { '&' } else { '?' };
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        self.get(&format!("{path}{mark}limit={limit}{after}")).await.expect(200)
    }

    /// Waits until as many requests are listed.
    pub async fn requests(&self, count: usize) -> Vec<Value> {
        let listed = || async { self.get("/api/requests?limit=200").await.expect(200)["data"].clone() };
        let whole = |data: &Value| data.as_array().is_some_and(|data| data.len() >= count);
        eventually("the requests are listed", listed, whole).await.as_array().cloned().unwrap_or_default()
    }
}

/// An answer of the console.
#[derive(Clone, Debug)]
pub struct Said {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Said {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn code(&self) -> String {
        let problem: Value = serde_json::from_str(&self.text).unwrap_or_default();
        problem["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The JSON of an answer with this status; null where there is no body.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        self.clone().expect_whole(status);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    #[track_caller]
    pub fn expect_whole(self, status: u16) -> Said {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// A problem with this status and code, well-formed as every problem is. Gives its first field, or its words.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> String {
        let problem = self.expect(status);
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.ends_with(['.', '!', '?']) || problem["errors"].is_array(), "no sentence: {problem}");
        problem["errors"][0]["field"].as_str().unwrap_or(detail).to_owned()
    }
}

pub const PASSWORD: &str = "correct horse battery";
