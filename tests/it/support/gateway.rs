//! The real program, started for one test: its own folder, its own ports, its own books.
//!
//! Always true: whatever a test does, the process ends with it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::{Answer, Connection, Head, get, post};
use super::config::Config;
use super::{PATIENCE, wait_for};

pub struct Gateway {
    folder: tempfile::TempDir,
    running: Option<Running>,
    /// The next process, waiting for its turn.
    successor: Option<Running>,
    /// What it wrote to standard error, over all its lives.
    log: Arc<Mutex<Vec<String>>>,
    /// `alice`, who has 100, and one key of hers without limits.
    pub key: Key,
}

struct Running {
    process: Child,
    reader: Option<JoinHandle<()>>,
    edge: SocketAddr,
    console: SocketAddr,
    metrics: SocketAddr,
}

#[derive(Clone, Debug, Default)]
pub struct Key {
    pub id: String,
    pub secret: String,
}

impl Gateway {
    pub fn start(config: &Config) -> Gateway {
        Gateway::start_yaml(&config.to_yaml())
    }

    pub fn start_yaml(yaml: &str) -> Gateway {
        let mut gateway = Gateway::prepare_yaml(yaml);
        gateway.key = gateway.new_account("alice", "100");
        gateway.launch();
        gateway
    }

    /// Everything is there, and nothing runs. No account yet.
    pub fn prepare_yaml(yaml: &str) -> Gateway {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let gateway = Gateway { folder, running: None, successor: None, log: Arc::default(), key: Key::default() };
        gateway.write_config(yaml);
        gateway
    }

    pub fn launch(&mut self) {
        assert!(self.running.is_none(), "it runs already");
        let from = self.log_lines().len();
        self.running = Some(self.spawn(&["serve"]));
        self.await_ready(from);
    }

    fn spawn(&self, arguments: &[&str]) -> Running {
        let mut process = self.command().args(arguments).stderr(Stdio::piped()).spawn().expect("the program starts");
        let stderr = process.stderr.take().expect("standard error is a pipe");
        let log = self.log.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                log.lock().expect("nobody panics with it").push(line);
            }
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Running { process, reader: Some(reader), edge: nowhere, console: nowhere, metrics: nowhere }
    }

    /// Waits until the running program serves, and learns its addresses.
    fn await_ready(&mut self, from: usize) {
        let ready = self.await_message(from, "ready", |gateway| gateway.running.as_mut());
        let running = self.running.as_mut().expect("it was put there");
        running.edge = first_address(&ready["edge"]);
        running.console = first_address(&ready["console"]);
        running.metrics = first_address(&ready["metrics"]);
    }

    fn await_message(&mut self, from: usize, message: &str, by: fn(&mut Self) -> Option<&mut Running>) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines = self.log_lines();
            let parsed = lines[from..].iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            if let Some(line) = parsed.into_iter().find(|line| line["message"] == message) {
                return line;
            }
            let ended = by(self).and_then(|running| running.process.try_wait().expect("it is our child"));
            assert!(ended.is_none() && Instant::now() < deadline, "not {message} ({ended:?}): {lines:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts the next process, which waits for its turn.
    pub fn prepare_successor(&mut self) {
        let from = self.log_lines().len();
        self.successor = Some(self.spawn(&["serve", "--upgrade"]));
        self.await_message(from, "waiting for SIGQUIT to the running process", |gateway| gateway.successor.as_mut());
    }

    /// Lets the next process take over. Gives the old one, which finishes what it runs.
    pub fn hand_over(&mut self) -> Former {
        self.prepare_successor();
        let from = self.log_lines().len();
        self.signal(SIGQUIT);
        let former = std::mem::replace(&mut self.running, self.successor.take());
        self.await_ready(from);
        Former(former.expect("it ran"))
    }

    pub fn edge(&self) -> SocketAddr {
        self.running().edge
    }

    pub fn console(&self) -> SocketAddr {
        self.running().console
    }

    pub fn metrics_address(&self) -> SocketAddr {
        self.running().metrics
    }

    pub fn pid(&self) -> u32 {
        self.running().process.id()
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("tollgate.yaml")
    }

    pub fn write_config(&self, yaml: &str) {
        fs::write(self.config_path(), yaml).expect("the configuration can be written");
    }

    /// The lines of standard error up to now.
    pub fn log_lines(&self) -> Vec<String> {
        self.log.lock().expect("nobody panics with it").clone()
    }

    pub fn log(&self) -> String {
        self.log_lines().join("\n")
    }

    pub async fn wait_for_log(&self, text: &str) {
        wait_for(text, || self.log().contains(text)).await;
    }

    /// Sends a signal by its number.
    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.pid()).expect("a process id");
        let status = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status();
        assert!(status.expect("kill is there").success());
    }

    /// Tells it to stop and waits for it; it must end well.
    pub fn stop(&mut self) {
        self.signal(SIGTERM);
        let status = self.wait_for_end();
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    /// Ends it at once, as a power failure would.
    pub fn kill(&mut self) {
        self.running.as_mut().expect("it runs").process.kill().expect("it is our child");
        self.wait_for_end();
    }

    /// Ends the process that waits for its turn, or has taken it behind our back.
    pub fn kill_successor(&mut self) {
        drop(self.successor.take());
    }

    /// Ends whatever runs.
    pub fn kill_all(&mut self) {
        drop((self.running.take(), self.successor.take()));
    }

    /// Stops it and starts it again, on other ports.
    pub fn restart(&mut self) {
        self.stop();
        self.launch();
    }

    /// Waits until it has ended of its own accord.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("it runs");
        running.wait_for_end().unwrap_or_else(|| panic!("it does not end: {}", self.log()))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.arg("--config").arg(self.config_path());
        command
    }

    /// A command of the command line, its exit code and what it printed.
    pub fn run(&self, arguments: &[&str]) -> (Option<i32>, Value, String) {
        let output = self
            .command()
            .arg("--json")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .expect("the program starts");
        let value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), value, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// A command that must succeed.
    #[track_caller]
    pub fn cli(&self, arguments: &[&str]) -> Value {
        let (code, value, messages) = self.run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {messages}");
        value
    }

    /// A new account with so much money, and a key of it. The running program may need a moment to learn of them:
    /// see [`Gateway::await_key`].
    pub fn new_account(&self, name: &str, credit: &str) -> Key {
        self.cli(&["account", "create", name, "--credit", credit]);
        self.new_key(name, &[])
    }

    pub fn new_key(&self, account: &str, more: &[&str]) -> Key {
        let made = self.cli(&[&["key", "create", "--account", account], more].concat());
        let text = |field: &str| made[field].as_str().expect("a new key has it").to_owned();
        Key { id: text("id"), secret: text("key") }
    }

    /// Waits until the running program knows a key that was made just now.
    pub async fn await_key(&self, key: &Key) {
        let asked = || async { self.get("/v1/key", &key.secret).await };
        // Who asks too often with a key that is not known yet hears `rate_limit`.
        let known = |answer: &Answer| !["invalid_api_key", "rate_limit"].contains(&answer.code().as_str());
        super::eventually("the key is known", asked, known).await;
    }

    pub async fn connect(&self) -> Connection {
        Connection::open(self.edge()).await
    }

    /// One request on a connection of its own.
    pub async fn send(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut connection = self.connect().await;
        connection.send(request).await;
        connection.answer().await
    }

    pub async fn get(&self, path: &str, secret: &str) -> Answer {
        self.send(get(path, secret)).await
    }

    pub async fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.send(post(path, &self.key.secret, body)).await
    }

    pub async fn chat(&self, body: impl AsRef<[u8]>) -> Answer {
        self.post("/v1/chat/completions", body).await
    }

    /// The finished record of a request. It is written behind the answer.
    pub async fn record(&self, answer: &Head) -> Value {
        let id = answer.header("x-request-id").expect("every answer has an id").to_owned();
        let asked = || async {
            let all = self.cli(&["requests", "--limit", "1000"]);
            all.as_array().and_then(|all| all.iter().find(|record| record["id"] == id.as_str())).cloned()
        };
        super::eventually("the request is recorded", asked, Option::is_some).await.expect("it is there")
    }

    /// What `alice` has, and what is held of it.
    pub fn balance(&self, account: &str) -> (String, String) {
        let shown = self.cli(&["account", "show", account]);
        let text = |field: &str| shown[field].as_str().expect("an account has it").to_owned();
        (text("balance"), text("held"))
    }

    /// The books balance. Gives the summary.
    #[track_caller]
    pub fn audit(&self) -> Value {
        let (code, summary, messages) = self.run(&["audit"]);
        assert_eq!(code, Some(0), "{summary:#} {messages}");
        summary
    }

    /// One value of `/metrics`, by the name and labels as they are printed; 0 if it is not there yet.
    pub async fn metric(&self, name: &str) -> f64 {
        let mut connection = Connection::open(self.metrics_address()).await;
        connection.send(get("/metrics", "")).await;
        let text = connection.answer().await.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }
}

/// A process that another one has replaced.
pub struct Former(Running);

impl Former {
    pub fn has_ended(&mut self) -> bool {
        self.0.process.try_wait().expect("it is our child").is_some()
    }

    /// Its exit code, when it has finished what it ran.
    pub fn end(mut self) -> Option<i32> {
        self.0.wait_for_end().expect("it ends").code()
    }

    pub fn kill(mut self) {
        self.0.process.kill().expect("it is our child");
        self.0.wait_for_end().expect("it ends");
    }
}

impl Running {
    /// `None` if it does not end.
    fn wait_for_end(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait().expect("it is our child") {
                let reader = self.reader.take().expect("nobody else joins it");
                reader.join().expect("reading does not fail");
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The first `127.0.0.1:PORT` in a field of the log.
fn first_address(field: &Value) -> SocketAddr {
    let text = field.as_str().expect("the line has it");
    let from = text.find("127.0.0.1:").expect("an address on the loopback");
    let end = text[from + 10..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |length| from + 10 + length);
    text[from..end].parse().expect("an address")
}

pub const SIGHUP: i32 = 1;
pub const SIGQUIT: i32 = 3;
pub const SIGTERM: i32 = 15;
