//! CPU time by thread, as the scheduler counts it: in nanoseconds, where `getrusage` would have ticks of ten
//! milliseconds.

use std::fs;

use anyhow::{Context, Result};

/// What has been used so far, or between two moments.
pub struct Cpu {
    /// By the thread that asks.
    pub caller_ns: u64,
    /// By all others.
    pub others_ns: u64,
}

impl Cpu {
    pub fn now() -> Result<Cpu> {
        // A running thread's count is brought up to date when it goes to the scheduler.
        std::thread::yield_now();
        let caller_ns = used("/proc/thread-self/schedstat")?;
        let mut all_ns = 0;
        for task in fs::read_dir("/proc/self/task")? {
            all_ns += used(task?.path().join("schedstat"))?;
        }
        Ok(Cpu { caller_ns, others_ns: all_ns.saturating_sub(caller_ns) })
    }

    pub fn since(&self, before: &Cpu) -> Cpu {
        Cpu {
            caller_ns: self.caller_ns.saturating_sub(before.caller_ns),
            others_ns: self.others_ns.saturating_sub(before.others_ns),
        }
    }
}

fn used(file: impl AsRef<std::path::Path>) -> Result<u64> {
    let file = file.as_ref();
    let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    text.split(' ').next().and_then(|number| number.parse().ok()).context("no number in schedstat")
}
