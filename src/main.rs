//! The program: parse, run, say what went wrong, choose the exit code.

use std::process::ExitCode;

use clap::Parser;
use tollgate::cli::{self, Cli, Exit};

/// Many small short-lived buffers on many threads: mimalloc keeps both their cost and the memory they leave behind low.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => {
            // A closed pipe behind `--help` is no error, and there is nobody left to tell.
            let _ = answer.print();
            return if answer.use_stderr() { Exit::Misused } else { Exit::Done }.into();
        }
    };
    cli.run()
        .unwrap_or_else(|error| {
            cli::report(&error);
            Exit::of(&error)
        })
        .into()
}
