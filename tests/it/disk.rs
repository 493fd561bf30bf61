//! The disk is full: nothing is delivered that cannot be written down, and all is well as soon as there is room again.
//!
//! The books stand on a small disk of their own, in memory, which only root may mount. Without that the test says so and
//! passes.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::upstream::{chat_events, usage};
use crate::support::*;
use crate::walk::{QUESTION, STREAMED};

/// A disk of a few megabytes; unmounted when it goes.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<SmallDisk> {
        fs::create_dir_all(at).expect("a folder can be made");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(at).stderr(Stdio::null());
        let mounted = mount.status().is_ok_and(|status| status.success());
        mounted.then(|| SmallDisk(at.to_owned()))
    }

    fn fill(&self) {
        let mut ballast =
            OpenOptions::new().create(true).append(true).open(self.ballast()).expect("a file can be made");
        for bytes in [64 * 1024, 4 * 1024, 1] {
            while ballast.write_all(&vec![0; bytes]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.ballast()).expect("it is there");
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).stderr(Stdio::null()).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_paid_requests_and_recovers_by_itself() {
    let go = Signal::new();
    let mut events = chat_events(&["hel", "lo"], usage(10, 2)).into_iter();
    let begun = Reply::stream_head().then_chunk(events.next().unwrap()).wait(&go);
    let stream = events.fold(begun, Reply::then_chunk).end();
    let upstream = Upstream::start(move |request, _| match request.json()["stream"] == true {
        true => stream.clone(),
        false => Reply::chat("hello", usage(10, 2)),
    });
    let mut gateway = Gateway::prepare_yaml(&Config::chain(&[&upstream]).durable().to_yaml());
    let Some(disk) = SmallDisk::mount(&gateway.folder().join("data")) else {
        println!("skipped: no small disk can be mounted");
        return;
    };
    gateway.key = gateway.new_account("alice", "100");
    gateway.launch();
    gateway.chat(QUESTION).await.expect(200);
    let mut running = gateway.connect().await;
    running.send(post("/v1/chat/completions", &gateway.key.secret, STREAMED)).await;
    let head = running.head().await;
    running.piece().await.unwrap();

    disk.fill();
    let delivered = 2 + ask_until_refused(&gateway).await;
    let refused = Instant::now();
    for question in [QUESTION, STREAMED] {
        assert_unavailable(&gateway.chat(question).await);
    }
    assert!(refused.elapsed() < Duration::from_secs(1), "once it is known, nobody waits for it");
    gateway.get("/readyz", "").await.expect(503);
    gateway.get("/healthz", "").await.expect(200);
    gateway.get("/v1/key", &gateway.key.secret).await.expect(200);
    // What runs may finish; it is written down when that is possible.
    go.set();
    assert!(running.rest(head).await.events().last().unwrap().ends_with("[DONE]"));

    disk.free();
    let freed = Instant::now();
    eventually("requests are served again", || gateway.chat(QUESTION), |answer| answer.status() == 200).await;
    assert!(freed.elapsed() < Duration::from_secs(5), "{:?}", freed.elapsed());
    gateway.get("/readyz", "").await.expect(200);
    wait_for("nothing is held", || gateway.balance("alice").1 == "0").await;
    assert_books(&gateway, delivered + 1);
    // The same from the disk alone.
    gateway.restart();
    assert_books(&gateway, delivered + 1);
    gateway.stop();
}

/// How many requests were served from room that was left.
async fn ask_until_refused(gateway: &Gateway) -> u32 {
    for served in 0..5_000 {
        let answer = gateway.chat(QUESTION).await;
        if answer.status() != 200 {
            assert_unavailable(&answer);
            return served;
        }
    }
    panic!("a full disk is never full")
}

#[track_caller]
fn assert_unavailable(answer: &Answer) {
    assert_eq!((answer.status(), answer.code().as_str()), (503, "server_error"), "{}", answer.text());
    let seconds: u64 = answer.header("retry-after").expect("it says when").parse().unwrap();
    assert!((1..=60).contains(&seconds));
}

/// Every answer that was delivered is booked, for 2,700 nano, and nothing else is.
#[track_caller]
fn assert_books(gateway: &Gateway, delivered: u32) {
    gateway.audit();
    let records = gateway.cli(&["requests", "--limit", "100000"]);
    let answered = records.as_array().unwrap().iter().filter(|record| record["outcome"] == "ok").count();
    assert_eq!(answered, delivered as usize);
    let balance = gateway.balance("alice").0.parse::<tollgate::core::money::Nano>().unwrap();
    assert_eq!(balance.0, 100_000_000_000 - 2_700 * i64::from(delivered));
}
