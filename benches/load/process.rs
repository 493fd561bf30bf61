//! Processes of ours: started, read off from /proc, and ended with us whatever happens.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Killed when it is dropped.
pub struct Process {
    child: Child,
    started: Instant,
}

impl Process {
    /// `output` takes what it writes, both ways: a pipe that nobody reads would stop it.
    pub fn start(command: &mut Command, output: &Path) -> Result<Process> {
        let file = fs::File::create(output)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("{command:?} does not start"))?;
        Ok(Process { child, started })
    }

    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until its output says what is looked for.
    ///
    /// # Errors
    /// When it has ended, or says nothing for too long.
    pub async fn said<T>(&mut self, output: &Path, look: impl Fn(&str) -> Option<T>) -> Result<T> {
        while self.age() < START_MAX {
            let text = fs::read_to_string(output)?;
            if let Some(found) = look(&text) {
                return Ok(found);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended at once ({status}): {text}");
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("it is not ready after {START_MAX:?}");
    }

    /// What all its threads have used so far.
    pub fn cpu(&self) -> Result<Cpu> {
        let stat = self.read("stat")?;
        // The second field is the name, in parentheses, and may hold spaces; utime and stime are the 14th and 15th.
        let fields = stat.rsplit_once(')').context("no name in /proc/PID/stat")?.1;
        let ticks: u64 = fields.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
        let mut nanos = 0;
        for task in fs::read_dir(self.file("task"))? {
            // A thread may end meanwhile, and a kernel may not count so finely.
            let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            nanos += text.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Cpu { coarse: TICK * u32::try_from(ticks)?, fine: Duration::from_nanos(nanos) })
    }

    /// Its memory, with its share of what it shares.
    pub fn memory_mib(&self) -> Result<f64> {
        kib(&self.read("smaps_rollup")?, "Pss:")
    }

    /// From now on [`Process::peak_mib`] is of what follows.
    pub fn forget_peak(&self) -> Result<()> {
        Ok(fs::write(self.file("clear_refs"), "5")?)
    }

    /// The most that was resident at a time.
    pub fn peak_mib(&self) -> Result<f64> {
        kib(&self.read("status")?, "VmHWM:")
    }

    pub fn resident_mib(&self) -> Result<f64> {
        kib(&self.read("status")?, "VmRSS:")
    }

    fn read(&self, name: &str) -> Result<String> {
        Ok(fs::read_to_string(self.file(name))?)
    }

    fn file(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.child.id()).into()
    }
}

/// CPU time, in two ways.
#[derive(Clone, Copy, Default)]
pub struct Cpu {
    coarse: Duration,
    /// Of the threads that still run.
    fine: Duration,
}

impl Cpu {
    pub fn since(self, before: Cpu) -> Duration {
        let coarse = self.coarse.saturating_sub(before.coarse);
        let fine = self.fine.saturating_sub(before.fine);
        // Much less than by the coarse clock: a thread has ended and taken its count along.
        if fine + TICK * 3 < coarse { coarse } else { fine }
    }
}

fn kib(text: &str, name: &str) -> Result<f64> {
    let line = text.lines().find(|line| line.starts_with(name)).with_context(|| format!("no {name} in /proc"))?;
    let kib: f64 = line.split_whitespace().nth(1).context("no number in /proc")?.parse()?;
    Ok(kib / 1024.0)
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// An address alone on the first line.
pub fn first_line_address(text: &str) -> Option<SocketAddr> {
    text.split_once('\n')?.0.parse().ok()
}

/// The unit of /proc/PID/stat: a hundredth of a second on every Linux (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);
const START_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(1);
