//! `tollgate serve`: run until told to stop.
//!
//! The configuration is read here, before any socket or file is touched, so that its faults end with the exit code and in
//! the words of `tollgate check`.

use super::invocation::{Exit, Invocation};
use crate::server;

pub(super) fn run(invocation: &Invocation) -> anyhow::Result<Exit> {
    server::run(invocation.config_path.clone(), invocation.load()?)?;
    Ok(Exit::Done)
}
