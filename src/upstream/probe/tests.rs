//! The prober against small servers that answer well, badly, late or not at all.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::testing::upstream;
use super::*;
use crate::core::catalog::{BaseUrl, Catalog};
use crate::upstream::Fleet;

/// Probes an upstream that answers with these bytes. Gives what it reports and what it was sent.
async fn probed(mut upstream: Upstream, answer: &'static [u8]) -> (Probe, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    upstream.base.port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            heard.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer).await.unwrap();
        String::from_utf8(heard).unwrap()
    });
    let report = probe(&member(upstream)).await;
    (report, heard.await.unwrap())
}

fn member(upstream: Upstream) -> Arc<Member> {
    let catalog = Catalog { upstreams: vec![Arc::new(upstream)], ..Catalog::default() };
    let fleet = Fleet::build(&catalog, None, None, Instant::now());
    fleet.members().next().unwrap().clone()
}

#[tokio::test]
async fn an_answer_is_good_news() {
    let (report, heard) = probed(upstream("up"), b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    assert!(report.ok, "{report:?}");
    assert_eq!((report.status, report.message.as_str()), (Some(200), "It answers and takes the credential."));
    assert!(heard.starts_with("GET /v1/models HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains("authorization: Bearer sk-upstream\r\n"), "{heard}");
}

#[tokio::test]
async fn each_kind_is_asked_in_its_own_way() {
    let mut azure = upstream("azure");
    azure.kind = UpstreamKind::Azure;
    azure.api_version = Some("2025-04-01-preview".into());
    azure.base.path = String::new();
    azure.headers = vec![("x-team".into(), Secret::new("blue"))];
    let (report, heard) = probed(azure, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert!(report.ok);
    assert!(heard.starts_with("GET /openai/models?api-version=2025-04-01-preview HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains("api-key: sk-upstream\r\n") && heard.contains("x-team: blue\r\n"), "{heard}");

    let mut anthropic = upstream("anthropic");
    anthropic.kind = UpstreamKind::Anthropic;
    let (_, heard) = probed(anthropic, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert!(heard.contains("x-api-key: sk-upstream\r\n") && heard.contains("anthropic-version: "), "{heard}");
    assert!(!heard.contains("authorization"), "{heard}");
}

#[tokio::test]
async fn a_refusal_is_told_without_the_credential() {
    let mut named = upstream("up");
    named.api_keys = vec![Secret::new("plain-word")];
    let refusal = b"HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\n\
                    {\"error\":{\"message\":\"Bad key plain-word at http://10.0.0.1/ of org-12345678\"}}";
    let (report, _) = probed(named, refusal).await;
    assert!(!report.ok);
    assert_eq!(report.status, Some(401));
    assert_eq!(report.message, "It refuses the credential (401): Bad key [redacted] at [redacted] of [redacted]");
}

#[tokio::test]
async fn a_web_page_and_silence_and_nobody_are_no_answers() {
    let page = b"HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: 6\r\n\r\n<html>";
    let (report, _) = probed(upstream("up"), page).await;
    assert_eq!((report.ok, report.status, report.message.as_str()), (false, None, HTML));

    let (report, _) = probed(upstream("up"), b"").await;
    assert_eq!((report.ok, report.status), (false, None));
    assert_eq!(report.message, "It closed the connection without an answer.");

    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut nobody = upstream("up");
    nobody.base.port = free;
    assert_eq!(probe(&member(nobody)).await.message, "It could not be reached: nobody listens there.");

    let mut unresolved = upstream("up");
    unresolved.base = BaseUrl { host: "api.example".into(), ..unresolved.base };
    assert_eq!(probe(&member(unresolved)).await.message, "Its name could not be resolved.");
}

#[tokio::test(start_paused = true)]
async fn it_waits_no_longer_than_ten_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut silent = upstream("up");
    silent.base.port = listener.local_addr().unwrap().port();
    let report = probe(&member(silent)).await;
    assert_eq!((report.ok, report.message.as_str()), (false, "No answer came within 10 seconds."));
}
