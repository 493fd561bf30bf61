//! `tollgate completions`: what a shell needs to complete our commands.

use clap_complete::Shell;

use super::invocation::{Exit, Invocation};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    shell: Shell,
}

pub(super) fn run(invocation: &Invocation, args: &Args, command: &mut clap::Command) -> anyhow::Result<Exit> {
    // Into memory first: the generator panics when its writer fails, and a closed pipe is no reason to.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "tollgate", &mut script);
    invocation.output.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
