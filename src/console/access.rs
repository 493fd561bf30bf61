//! Who may call what: every route of the API with its role and scope, in one table.
//!
//! The table is the law, not a description of it: before any handler runs, [`super::caller::admit`] looks the route up
//! here and judges the caller. A route that is not listed answers nobody.

use http::Method;

use crate::core::admin_token::Scope;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody; nothing is at stake.
    Anybody,
    /// Everybody who comes from our own pages: who is not signed in yet.
    Visitor,
    /// As `Visitor`; whoever is signed in is known. Tokens have no business here.
    Playground,
    /// A signed-in person. A token is no person.
    Person,
    /// A signed-in person or any token.
    Known,
    /// Any signed-in person, customers for their own account only; a token with this scope.
    Member(Scope),
    /// A signed-in operator; a token with this scope.
    Operator(Scope),
}

/// One route.
#[derive(Clone, Debug)]
pub struct Rule {
    pub method: Method,
    /// As the router matches it.
    pub path: &'static str,
    pub who: Who,
}

/// The rule of a route; `HEAD` is `GET`.
pub fn rule(method: &Method, path: &str) -> Option<&'static Rule> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    RULES.iter().find(|rule| rule.method == *method && rule.path == path)
}

const fn get(path: &'static str, who: Who) -> Rule {
    Rule { method: Method::GET, path, who }
}

const fn post(path: &'static str, who: Who) -> Rule {
    Rule { method: Method::POST, path, who }
}

const fn patch(path: &'static str, who: Who) -> Rule {
    Rule { method: Method::PATCH, path, who }
}

const fn delete(path: &'static str, who: Who) -> Rule {
    Rule { method: Method::DELETE, path, who }
}

use Scope::{Accounts, Config, Credit, Keys, Read};
use Who::{Anybody, Known, Member, Operator, Person, Playground, Visitor};

pub static RULES: &[Rule] = &[
    get("/api/openapi.json", Anybody),
    get("/api/site", Anybody),
    post("/api/session", Visitor),
    delete("/api/session", Person),
    get("/api/me", Known),
    patch("/api/me", Person),
    get("/api/sessions", Person),
    delete("/api/sessions/{id}", Person),
    post("/api/invitation", Visitor),
    post("/api/sign-up", Visitor),
    get("/api/invitations", Operator(Read)),
    post("/api/invitations", Operator(Accounts)),
    delete("/api/invitations/{id}", Operator(Accounts)),
    get("/api/people", Operator(Read)),
    patch("/api/people/{id}", Operator(Accounts)),
    post("/api/people/{id}/reset", Operator(Accounts)),
    get("/api/accounts", Member(Read)),
    post("/api/accounts", Operator(Accounts)),
    get("/api/accounts/{id}", Member(Read)),
    patch("/api/accounts/{id}", Operator(Accounts)),
    post("/api/accounts/{id}/credits", Operator(Credit)),
    get("/api/accounts/{id}/ledger", Member(Read)),
    get("/api/ledger", Operator(Read)),
    get("/api/keys", Member(Read)),
    post("/api/keys", Member(Keys)),
    get("/api/keys/{id}", Member(Read)),
    patch("/api/keys/{id}", Member(Keys)),
    delete("/api/keys/{id}", Member(Keys)),
    post("/api/keys/{id}/rotate", Member(Keys)),
    get("/api/usage", Member(Read)),
    get("/api/usage/series", Member(Read)),
    get("/api/overview", Member(Read)),
    get("/api/requests", Member(Read)),
    get("/api/requests/{id}", Member(Read)),
    get("/api/models", Member(Read)),
    get("/api/upstreams", Operator(Read)),
    post("/api/upstreams/{name}/probe", Operator(Config)),
    get("/api/redeem-codes", Operator(Read)),
    post("/api/redeem-codes", Operator(Credit)),
    delete("/api/redeem-codes/{id}", Operator(Credit)),
    post("/api/redeem", Person),
    get("/api/audit", Operator(Read)),
    get("/api/actions", Operator(Read)),
    get("/api/health", Operator(Read)),
    get("/api/config", Operator(Read)),
    post("/api/config/reload", Operator(Config)),
    post("/api/playground/chat/completions", Playground),
    post("/api/playground/completions", Playground),
    post("/api/playground/embeddings", Playground),
    post("/api/playground/images/generations", Playground),
    get("/api/playground/models", Playground),
    get("/api/playground/requests/{id}", Playground),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_route_is_listed_twice() {
        for (place, rule) in RULES.iter().enumerate() {
            let before = RULES[..place].iter().any(|other| other.method == rule.method && other.path == rule.path);
            assert!(!before, "{rule:?}");
        }
    }

    #[test]
    fn whoever_writes_needs_more_than_the_scope_to_read() {
        for rule in RULES.iter().filter(|rule| rule.method != Method::GET) {
            assert!(!matches!(rule.who, Anybody | Known | Member(Read) | Operator(Read)), "{rule:?}");
        }
    }
}
