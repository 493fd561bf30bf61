//! What the disk takes to make one page durable: a gateway that commits before it answers can show no better tail.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::time::{Duration, Instant};

use anyhow::Result;

pub fn sync_times() -> Result<Vec<Duration>> {
    let mut file: File = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut times = Vec::new();
    for number in 0..SYNCS {
        // A log that begins anew has its place on disk already.
        file.seek(SeekFrom::Start(number % LOG_PAGES * PAGE.len() as u64))?;
        file.write_all(&PAGE)?;
        let begun = Instant::now();
        file.sync_data()?;
        if number >= LOG_PAGES {
            times.push(begun.elapsed());
        }
        std::thread::sleep(APART);
    }
    Ok(times)
}

const PAGE: [u8; 4_096] = [7; 4_096];
const LOG_PAGES: u64 = 20;
const SYNCS: u64 = LOG_PAGES + 200;
const APART: Duration = Duration::from_millis(5);
