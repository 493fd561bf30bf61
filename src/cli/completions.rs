//! `tollgate completions`: what a shell needs to complete our commands.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Exit, Invocation};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    shell: Shell,
}

pub(super) fn run(invocation: &Invocation, args: &Args) -> anyhow::Result<Exit> {
    // Into memory first: the generator panics when its writer fails, and a closed pipe is no reason to.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tollgate", &mut script);
    invocation.output.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
