//! Those who call on the console: browsers, which keep a cookie and say where they come from, and programs with a token.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::client::{Answer, Connection};
use super::gateway::Gateway;

/// Somebody who calls on the console. Every request is a connection of its own.
#[derive(Clone, Debug)]
pub struct Browser {
    pub console: SocketAddr,
    /// `name=value`, as the console set it last.
    pub cookie: Option<String>,
    /// What it sends instead of a cookie.
    pub bearer: Option<String>,
    /// The headers by which our own pages are known: a test may forge or leave out any.
    pub own_header: bool,
    pub origin: Option<String>,
    /// Header lines of its own.
    pub more: Vec<String>,
}

impl Browser {
    pub fn new(gateway: &Gateway) -> Browser {
        let console = gateway.console();
        let origin = Some(format!("http://{console}"));
        Browser { console, cookie: None, bearer: None, own_header: true, origin, more: Vec::new() }
    }

    /// A program: no cookie, no origin, a token.
    pub fn with_bearer(gateway: &Gateway, token: &str) -> Browser {
        Browser { bearer: Some(token.into()), own_header: false, origin: None, ..Browser::new(gateway) }
    }

    /// A program with a new admin token.
    pub fn with_scopes(gateway: &Gateway, scopes: &str) -> Browser {
        let made = gateway.cli(&["admin-token", "create", scopes, "--scope", scopes]);
        Browser::with_bearer(gateway, made["token"].as_str().expect("a new token has it"))
    }

    /// The first operator, `ada`, by the link in the log. The only account there is becomes hers.
    pub async fn first_operator(gateway: &Gateway) -> Browser {
        let mut browser = Browser::new(gateway);
        browser.sign_up(&first_link(gateway), "ada").await.expect(201);
        browser
    }

    /// Somebody whom this operator invites: a customer with an account of the login's name.
    pub async fn customer(&self, login: &str) -> Browser {
        let made = self.post("/api/invitations", json!({"role": "customer"})).await.expect(201).json();
        let mut browser = Browser { cookie: None, ..self.clone() };
        browser.sign_up(token_of(&made), login).await.expect(201);
        browser
    }

    pub async fn sign_up(&mut self, invitation: &str, login: &str) -> Answer {
        let body = json!({"invitation": invitation, "login": login, "password": PASSWORD});
        self.enter("/api/sign-up", body).await
    }

    /// For many at once, none of which keeps its cookie.
    pub async fn sign_in_owned(mut self, login: String, password: &str) -> Answer {
        self.sign_in(&login, password).await
    }

    pub async fn sign_in(&mut self, login: &str, password: &str) -> Answer {
        self.enter("/api/session", json!({"login": login, "password": password})).await
    }

    /// Keeps the cookie that the answer sets.
    pub async fn enter(&mut self, path: &str, body: Value) -> Answer {
        let answer = self.post(path, body).await;
        if let Some(set) = answer.header("set-cookie") {
            self.cookie = set.split(';').next().map(str::to_owned);
        }
        answer
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask("POST", path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.ask("PATCH", path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path, None).await
    }

    /// The same with one more header line.
    pub fn also(&self, line: &str) -> Browser {
        let mut browser = self.clone();
        browser.more.push(line.into());
        browser
    }

    pub async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut connection = self.connect().await;
        let json = body.is_some();
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        connection.send(self.request(method, path, json, body.as_bytes())).await;
        connection.answer().await
    }

    pub async fn connect(&self) -> Connection {
        Connection::open(self.console).await
    }

    /// The bytes of a request as this browser sends it.
    pub fn request(&self, method: &str, path: &str, json: bool, body: &[u8]) -> Vec<u8> {
        let mut lines = vec![format!("{method} {path} HTTP/1.1"), format!("Host: {}", self.console)];
        if self.own_header {
            lines.push("X-Tollgate-Console: 1".into());
        }
        let origin = self.origin.as_ref().filter(|_| method != "GET");
        lines.extend(origin.map(|origin| format!("Origin: {origin}")));
        lines.extend(self.cookie.as_ref().map(|cookie| format!("Cookie: {cookie}")));
        lines.extend(self.bearer.as_ref().map(|token| format!("Authorization: Bearer {token}")));
        if json {
            lines.push("Content-Type: application/json".into());
        }
        lines.extend(self.more.iter().cloned());
        if method != "GET" {
            lines.push(format!("Content-Length: {}", body.len()));
        }
        [lines.join("\r\n").as_bytes(), b"\r\n\r\n", body].concat()
    }
}

/// The token of the link that the log shows as long as nobody can sign in; the latest one.
pub fn first_link(gateway: &Gateway) -> String {
    links(gateway).pop().unwrap_or_else(|| panic!("no link: {}", gateway.log()))
}

/// Every such link so far.
pub fn links(gateway: &Gateway) -> Vec<String> {
    let token = |line: String| Some(line.split_once("/sign-up#")?.1.split('"').next()?.to_owned());
    gateway.log_lines().into_iter().filter_map(token).collect()
}

/// The token in an invitation's link.
pub fn token_of(invitation: &Value) -> &str {
    let url = invitation["url"].as_str().expect("a new invitation has its link");
    url.split_once("/sign-up#").expect("the token stands behind #").1
}

/// The code of a problem.
pub fn problem(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{}", answer.text());
    let problem = answer.json();
    assert_eq!(problem["status"], answer.status(), "{problem:#}");
    problem["code"].as_str().expect("every problem has a code").to_owned()
}

pub const PASSWORD: &str = "correct horse";
