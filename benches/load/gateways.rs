//! What stands before the mock upstream: started fresh for each measurement, on a free port.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use super::client::Target;
use super::process::{Process, first_line_address};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Direct,
    Floor,
    Nginx,
    Tollgate,
}

impl Kind {
    /// All of them; nginx where it is installed.
    pub fn available() -> Vec<Kind> {
        let has_nginx = Command::new("nginx").arg("-v").output().is_ok_and(|output| output.status.success());
        let all = [Kind::Direct, Kind::Floor, Kind::Nginx, Kind::Tollgate];
        all.into_iter().filter(|kind| *kind != Kind::Nginx || has_nginx).collect()
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Direct => "direct",
            Kind::Floor => "floor",
            Kind::Nginx => "nginx",
            Kind::Tollgate => "tollgate",
        }
    }
}

/// The upstream of all.
pub struct Mock {
    address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl Mock {
    pub async fn start() -> Result<Mock> {
        let folder = folder()?;
        let (process, address) = start_ourselves(&["mock"], folder.path()).await?;
        Ok(Mock { address, _process: process, _folder: folder })
    }
}

/// One that runs.
pub struct Gateway {
    /// `None`: there is nothing between the client and the upstream.
    pub process: Option<Process>,
    pub target: Target,
    _folder: TempDir,
}

impl Gateway {
    pub async fn start(kind: Kind, mock: &Mock) -> Result<Gateway> {
        let (folder, upstream) = (folder()?, mock.address);
        let no_key = String::new();
        let (process, address, key) = match kind {
            Kind::Direct => (None, upstream, no_key),
            Kind::Floor => {
                let (process, address) = start_ourselves(&["floor", &upstream.to_string()], folder.path()).await?;
                (Some(process), address, no_key)
            }
            Kind::Nginx => {
                let (process, address) = start_nginx(upstream, folder.path())?;
                (Some(process), address, no_key)
            }
            Kind::Tollgate => {
                let (process, address, key) = start_tollgate(upstream, folder.path()).await?;
                (Some(process), address, key)
            }
        };
        Ok(Gateway { process, target: Target { address, key }, _folder: folder })
    }
}

async fn start_ourselves(arguments: &[&str], folder: &Path) -> Result<(Process, SocketAddr)> {
    let output = folder.join("output");
    let mut process = Process::start(Command::new(std::env::current_exe()?).args(arguments), &output)?;
    let address = process.said(&output, first_line_address).await?;
    Ok((process, address))
}

/// As plain as it gets: keep-alive on both sides, events passed on as they come, no log.
fn start_nginx(upstream: SocketAddr, folder: &Path) -> Result<(Process, SocketAddr)> {
    // nginx cannot say which port it got, so it is told one that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let config = format!(
        "daemon off; master_process off; worker_rlimit_nofile 8192; pid nginx.pid; error_log stderr;
         events {{ worker_connections 4096; }}
         http {{
           access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
           uwsgi_temp_path uwsgi; scgi_temp_path scgi;
           keepalive_requests 1000000000;
           upstream mock {{ server {upstream}; keepalive 1024; keepalive_requests 1000000000; }}
           server {{
             listen {address};
             location / {{
               proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off;
             }}
           }}
         }}"
    );
    fs::write(folder.join("nginx.conf"), config)?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).args(["-e", "stderr", "-c", "nginx.conf"]);
    Ok((Process::start(&mut command, &folder.join("output"))?, address))
}

/// With all that a paying customer's request meets.
async fn start_tollgate(upstream: SocketAddr, folder: &Path) -> Result<(Process, SocketAddr, String)> {
    let config = format!(
        r#"
edge: {{listen: ["127.0.0.1:0"], threads: 1}}
console: {{listen: "127.0.0.1:0"}}
metrics: {{listen: "127.0.0.1:0"}}
storage: {{url: "sqlite:../data/books.db", durability: full}}
logging: {{format: json}}
upstreams:
  mock: {{kind: openai, base_url: "http://{upstream}/v1", api_keys: [sk-mock]}}
models:
  load-model:
    upstreams: [{{name: mock, model: their-model}}]
    price: {{input: "0.15", cached_input: "0.075", output: "0.60"}}
    max_output_tokens: 16384
    output_hold: 4096
groups:
  default: {{markup: "1.2", rpm: 1000000000, tpm: 1000000000000, concurrency: 1000000}}
"#
    );
    // In a folder of its own, as by default: the gateway watches this one, and would be told of every log line in it.
    fs::create_dir(folder.join("conf"))?;
    fs::write(folder.join(CONFIG), config)?;
    tollgate(folder, &["account", "create", "load", "--credit", "1000000000"])?;
    let limits = ["--rpm", "1000000000", "--tpm", "1000000000000", "--concurrency", "1000000"];
    let key = tollgate(folder, &[&["key", "create", "--account", "load"], &limits[..]].concat())?;
    let key = key["key"].as_str().context("the command line shows no key")?.to_owned();

    let output = folder.join("output");
    let mut process = Process::start(tollgate_command(folder).arg("serve"), &output)?;
    let address = process.said(&output, ready_address).await?;
    Ok((process, address, key))
}

fn tollgate(folder: &Path, arguments: &[&str]) -> Result<Value> {
    let output = tollgate_command(folder).arg("--json").args(arguments).output()?;
    if !output.status.success() {
        bail!("tollgate {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn tollgate_command(folder: &Path) -> Command {
    let binary = std::env::var_os("TOLLGATE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_tollgate").into());
    let mut command = Command::new(PathBuf::from(binary));
    command.arg("-c").arg(folder.join(CONFIG));
    command
}

fn ready_address(output: &str) -> Option<SocketAddr> {
    let mut lines = output.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let ready = lines.find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["message"] == "ready").then_some(line)
    })?;
    ready["edge"].as_str()?.split(' ').next()?.strip_prefix("http://")?.parse().ok()
}

/// Beside the build, not in /tmp: that is often memory, where durable books cost nothing.
fn folder() -> Result<TempDir> {
    Ok(TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?)
}

const CONFIG: &str = "conf/tollgate.yaml";
