//! `tollgate serve`: run until told to stop.
//!
//! The configuration is read here, before any socket or file is touched, so that its faults end with the exit code and in
//! the words of `tollgate check`.

use super::invocation::{Exit, Invocation};
use crate::server;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Take over from the process that serves now: wait until it gets SIGQUIT, then inherit its sockets and its books
    #[arg(long)]
    upgrade: bool,
}

pub(super) fn run(invocation: &Invocation, args: &Args) -> anyhow::Result<Exit> {
    server::run(invocation.config_path.clone(), invocation.load()?, args.upgrade)?;
    Ok(Exit::Done)
}
