//! What stands before the mock upstream: started fresh for each measurement, on a free port.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use super::books::{self, Extent};
use super::client::Target;
use super::process::{Process, first_line_address};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Direct,
    Floor,
    Nginx,
    Tollgate,
    /// The same, over books of [`LARGE`].
    Large,
}

impl Kind {
    /// All of them; nginx where it is installed.
    pub fn available() -> Vec<Kind> {
        let has_nginx = Command::new("nginx").arg("-v").output().is_ok_and(|output| output.status.success());
        let all = [Kind::Direct, Kind::Floor, Kind::Nginx, Kind::Tollgate, Kind::Large];
        all.into_iter().filter(|kind| *kind != Kind::Nginx || has_nginx).collect()
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Direct => "direct",
            Kind::Floor => "floor",
            Kind::Nginx => "nginx",
            Kind::Tollgate => "tollgate",
            Kind::Large => "large books",
        }
    }
}

/// What all share: the upstream, and books that take long to write.
pub struct World {
    mock: Target,
    large_books: PathBuf,
    large_key: String,
    _process: Process,
    _folder: TempDir,
}

impl World {
    pub async fn make() -> Result<World> {
        let folder = folder()?;
        let large_books = folder.path().join("large.db");
        let keys = books::write(&large_books, LARGE);
        let large_key = keys[keys.len() / 2].expose().to_owned();
        let (process, address) = start_ourselves(&["mock"], folder.path()).await?;
        let mock = Target { address, key: String::new() };
        Ok(World { mock, large_books, large_key, _process: process, _folder: folder })
    }

    /// How many streams the upstream still writes.
    pub async fn open_streams(&self) -> Result<u64> {
        let mut count = Vec::new();
        let status = self.mock.connect().await?.ask(STREAMS, |piece| count.extend_from_slice(piece)).await?;
        match std::str::from_utf8(&count)?.parse() {
            Ok(count) if status == 200 => Ok(count),
            _ => bail!("the upstream does not say how many streams there are"),
        }
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
    pub async fn start(kind: Kind, world: &World) -> Result<Gateway> {
        let (folder, upstream) = (folder()?, world.mock.address);
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
                let key = prepare_tollgate(upstream, folder.path(), "../data/books.db")?;
                let (process, address) = start_tollgate(folder.path()).await?;
                (Some(process), address, key)
            }
            Kind::Large => {
                let file = world.large_books.to_str().context("the folder's name is not UTF-8")?;
                configure_tollgate(upstream, folder.path(), file)?;
                let (process, address) = start_tollgate(folder.path()).await?;
                (Some(process), address, world.large_key.clone())
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
           keepalive_requests 1000000000; client_max_body_size 64m;
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
fn configure_tollgate(upstream: SocketAddr, folder: &Path, books: &str) -> Result<()> {
    let config = format!(
        r#"
edge: {{listen: ["127.0.0.1:0"], threads: 1}}
console: {{listen: "127.0.0.1:0"}}
metrics: {{listen: "127.0.0.1:0"}}
storage: {{url: "sqlite:{books}", durability: full}}
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
    Ok(())
}

/// Gives a key to it.
fn prepare_tollgate(upstream: SocketAddr, folder: &Path, books: &str) -> Result<String> {
    configure_tollgate(upstream, folder, books)?;
    tollgate(folder, &["account", "create", "load", "--credit", "1000000000"])?;
    let limits = ["--rpm", "1000000000", "--tpm", "1000000000000", "--concurrency", "1000000"];
    let key = tollgate(folder, &[&["key", "create", "--account", "load"], &limits[..]].concat())?;
    Ok(key["key"].as_str().context("the command line shows no key")?.to_owned())
}

async fn start_tollgate(folder: &Path) -> Result<(Process, SocketAddr)> {
    let output = folder.join("output");
    let mut process = Process::start(tollgate_command(folder).arg("serve"), &output)?;
    let address = process.said(&output, ready_address).await?;
    Ok((process, address))
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

/// What a gateway may have after a year, and must not feel.
pub const LARGE: Extent = Extent { keys: 10_000, records: 1_000_000 };
const STREAMS: &[u8] = b"GET /streams HTTP/1.1\r\nhost: mock\r\n\r\n";
const CONFIG: &str = "conf/tollgate.yaml";
