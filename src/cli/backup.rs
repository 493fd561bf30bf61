//! `tollgate backup`: a copy of the storage that is whole, though a server may write meanwhile.

use std::path::PathBuf;

use anyhow::Context;
use serde_json::json;

use super::invocation::{Exit, Invocation};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to write it; a file that exists is never overwritten
    file: PathBuf,
}

pub(super) fn run(invocation: &Invocation, args: &Args) -> anyhow::Result<Exit> {
    let library = invocation.books()?.library()?;
    let bar = invocation.output.progress();
    let copied = library.backup(&args.file, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    copied.with_context(|| format!("cannot write {}", args.file.display()))?;
    let bytes = std::fs::metadata(&args.file).with_context(|| format!("cannot see {}", args.file.display()))?.len();
    if invocation.output.json {
        invocation.output.json(&json!({"file": args.file.to_string_lossy(), "bytes": bytes}))?;
    } else {
        invocation.output.text(&format!("{}: {bytes} bytes\n", args.file.display()))?;
    }
    Ok(Exit::Done)
}
