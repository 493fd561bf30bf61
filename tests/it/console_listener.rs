//! The console's listener: what stands around every answer, what browsers load, and clients that are slow or many.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::support::*;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; connect-src 'self'; \
    img-src 'self' data:; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// Where this build's assets are, as the application's page says.
async fn assets(browser: &Browser) -> String {
    let page = browser.get("/overview").await.expect(200).text();
    assert!(!page.contains("{{"), "{page}");
    let from = page.find("/assets/").expect("the page loads something");
    page[from..].split('/').take(3).collect::<Vec<_>>().join("/")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_shielded() {
    let gateway = Gateway::start(&Config::new());
    let visitor = Browser::new(&gateway);
    let assets = assets(&visitor).await;
    let script = format!("{assets}/app/main.js");
    for (method, path, status) in [
        ("GET", "/overview", 200),
        ("GET", "/no/such/page", 404),
        ("GET", script.as_str(), 200),
        ("GET", "/assets/nothing.js", 404),
        ("GET", "/api/site", 200),
        ("GET", "/api/me", 401),
        ("GET", "/api/nothing", 404),
        ("PUT", "/api/site", 405),
        ("POST", "/overview", 405),
    ] {
        let answer = visitor.ask(method, path, None).await;
        assert_eq!(answer.status(), status, "{method} {path}");
        for (name, value) in [
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{method} {path}: {name}");
        }
        if path.starts_with("/api") {
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{method} {path}");
        }
        assert_eq!(answer.header("server"), None);
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_assets_are_cached_as_long_as_they_are_true() {
    let gateway = Gateway::start(&Config::new());
    let visitor = Browser::new(&gateway);
    let assets = assets(&visitor).await;
    let script = visitor.get(&format!("{assets}/app/main.js")).await.expect(200);
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(script.header("cache-control"), Some("public, max-age=31536000, immutable"));
    let same = visitor.get("/assets/app/main.js").await.expect(200);
    assert_eq!((same.header("cache-control"), same.body()), (Some("no-cache"), script.body()));

    for path in ["/overview", "/assets/app/main.js"] {
        let tag = visitor.get(path).await.expect(200).header("etag").unwrap().to_owned();
        let known = visitor.also(&format!("If-None-Match: \"x\", {tag}")).get(path).await;
        assert_eq!((known.status(), known.body().len()), (304, 0), "{path}");
        assert_eq!(known.header("etag"), Some(tag.as_str()));
    }
    let packed = visitor.also("Accept-Encoding: gzip").get("/assets/app/main.js").await.expect(200);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body().len() < script.body().len());

    // Another build's modules are not mixed with ours, and nothing outside the folder is a file.
    for path in [
        "/assets/0000000000000000/app/main.js",
        "/assets/../mod.rs",
        "/assets/%2e%2e/mod.rs",
        "/assets/..%2fmod.rs",
        "/assets//etc/passwd",
        "/assets/",
        "/assets/app",
        "/assets/app/main.js%00",
        &format!("{assets}/../../mod.rs"),
    ] {
        let answer = visitor.get(path).await;
        assert_eq!(answer.status(), 404, "{path}: {}", answer.text());
        assert!(!answer.text().contains("//!"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_has_its_pages_and_no_others() {
    let gateway = Gateway::start(&Config::new());
    let visitor = Browser::new(&gateway);
    for path in ["/sign-in", "/playground", "/requests/req_1", "/operate", "/operate/accounts/acc_1", "/keys/"] {
        assert_eq!(visitor.get(path).await.status(), 200, "{path}");
    }
    for path in ["/nothing", "/operate/nothing", "/requests/a/b", "/overview/x", "/apis", "/.env"] {
        let answer = visitor.get(path).await;
        assert_eq!((answer.status(), answer.header("content-type")), (404, Some("text/html; charset=utf-8")), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_cut_and_hold_nobody_up() {
    let gateway = Gateway::start(&Config::new().edge("header_timeout: 500ms"));
    let visitor = Browser::new(&gateway);
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut connection = visitor.connect().await;
        connection.send("GET /api/site HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
        slow.push(connection);
    }
    assert_eq!(visitor.get("/api/site").await.status(), 200);
    for mut connection in slow {
        within(Duration::from_secs(10), "a slow client is cut", connection.closed()).await;
    }
    let mut idle = visitor.connect().await;
    idle.send(visitor.request("GET", "/api/site", false, b"")).await;
    idle.answer().await.expect(200);
    within(Duration::from_secs(10), "an idle connection is closed", idle.closed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_bounded() {
    let gateway = Gateway::start(&Config::new());
    let visitor = Browser::new(&gateway);
    for head in [
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(40_000)),
        format!("GET / HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "x".repeat(40_000)),
        format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Many: 1\r\n".repeat(100)),
    ] {
        let mut connection = visitor.connect().await;
        connection.try_send(head).await;
        let status = connection.answer().await.status();
        assert!([414, 431].contains(&status), "{status}");
    }
    assert_eq!(visitor.get("/api/site").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_machine_does_not_have_all_the_places() {
    let gateway = Gateway::start(&Config::new());
    let visitor = Browser::new(&gateway);
    let mut open = Vec::new();
    for _ in 0..300 {
        let mut connection = visitor.connect().await;
        connection.try_send("GET / HTTP/1.1\r\nHost: x\r\nX-Slow").await;
        open.push(connection);
    }
    let request = visitor.request("GET", "/api/site", false, b"");
    // From one address of this machine or another.
    let served = |from: &'static str| {
        let (console, request) = (gateway.console(), request.clone());
        async move {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(from.parse().unwrap()).unwrap();
            let mut stream = within(PATIENCE, "it is accepted", socket.connect(console)).await.unwrap();
            let mut start = [0; 12];
            let answered =
                async { stream.write_all(&request).await.is_ok() && stream.read_exact(&mut start).await.is_ok() };
            within(PATIENCE, "it is answered or closed", answered).await && &start == b"HTTP/1.1 200"
        }
    };
    assert!(!served("127.0.0.1:0").await, "that machine has its share");
    assert!(served("127.0.0.2:0").await, "the others have theirs");
    drop(open);
    eventually("there are places again", || served("127.0.0.1:0"), |served| *served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_refuses_no_visitor_and_keeps_everybody_signed_in() {
    let mut gateway = Gateway::start(&Config::new());
    let ada = Browser::first_operator(&gateway).await;
    let over = Arc::new(AtomicBool::new(false));
    let visits = tokio::spawn({
        let (ada, over) = (ada.clone(), over.clone());
        async move {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                ada.get("/api/me").await.expect(200);
                ada.post("/api/accounts", json!({"name": format!("a{count}")})).await.expect(201);
                count += 1;
            }
            count
        }
    });
    // Waits on purpose: there must be visits before, while and after.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = gateway.console();
    let gateway = tokio::task::spawn_blocking(move || {
        let former = gateway.hand_over();
        assert_eq!(former.end(), Some(0), "{}", gateway.log());
        gateway
    });
    let gateway = gateway.await.unwrap();
    assert_eq!(gateway.console(), before, "the same socket");
    tokio::time::sleep(Duration::from_millis(200)).await;
    over.store(true, Ordering::Relaxed);
    let count = within(PATIENCE, "the visits end", visits).await.unwrap();
    assert!(count > 2, "{count}");
    assert_eq!(gateway.cli(&["account", "list"]).as_array().unwrap().len(), count + 1, "what was answered is there");
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_in_the_console_is_decided_by_at_once() {
    let gateway = Gateway::start(&Config::new());
    let ada = Browser::first_operator(&gateway).await;
    for nth in 0..20 {
        let key =
            ada.post("/api/keys", json!({"name": format!("k{nth}"), "account": "alice"})).await.expect(201).json();
        let (id, secret) = (key["id"].as_str().unwrap(), key["key"].as_str().unwrap());
        // Not within a second: the answer itself says that the gateway knows.
        assert_eq!(gateway.get("/v1/key", secret).await.status(), 200, "{nth}");
        ada.patch(&format!("/api/keys/{id}"), json!({"status": "disabled"})).await.expect(200);
        assert_eq!(gateway.get("/v1/key", secret).await.status(), 403, "{nth}");
    }
}
