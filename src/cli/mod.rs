//! The command line: what may be typed, and what becomes of it.
//!
//! One file per noun. Every command but `serve` works on the storage directly, with a server running or not; a running
//! server sees the effect within a second. Standard output carries what was asked for: a table for people, JSON (the
//! admin API's, field by field) for scripts. Everything else goes to standard error.
//!
//! Always true: nothing is asked interactively, so every command can stand in a script; the exit code is [`Exit`].

mod account;
mod admin_token;
mod audit;
mod backup;
mod books;
mod check;
mod completions;
mod invocation;
mod key;
mod ledger;
mod output;
mod requests;
mod serve;
mod usage;
mod values;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::Faults;
use invocation::Invocation;
use output::{Output, Verbosity};

pub use invocation::Exit;

/// An LLM API gateway: one key for every model, with limits, budgets and books that balance.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

/// Understood by every command, before or after its name.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
struct Options {
    /// The configuration file
    #[arg(short, long, global = true, value_name = "FILE", env = "TOLLGATE_CONFIG", default_value = CONFIG_PATH)]
    config: PathBuf,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    json: bool,
    /// Say more on standard error (`serve` logs as `logging.level` says)
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Say nothing on standard error but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    Serve(serve::Args),
    /// Validate the configuration: every fault, where it is and what to write instead
    Check,
    /// Accounts: who pays
    #[command(subcommand)]
    Account(account::Command),
    /// Keys: what clients present
    #[command(subcommand)]
    Key(key::Command),
    /// Tokens for programs that use the admin API
    #[command(subcommand)]
    AdminToken(admin_token::Command),
    /// Totals of requests, tokens and charges
    Usage(usage::Args),
    /// Single requests, newest first
    Requests(requests::Args),
    /// The entries of an account's ledger, newest first
    Ledger(ledger::Args),
    /// Prove the books: recompute everything from the ledger's entries
    Audit,
    /// Write a consistent copy of the storage, while a server runs or not
    Backup(backup::Args),
    /// Print a script that completes this program's commands
    Completions(completions::Args),
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// Why it could not be done; [`Exit::of`] says which exit code that is.
    pub fn run(self) -> anyhow::Result<Exit> {
        let Options { config, json, verbose, quiet } = self.options;
        let invocation = Invocation { config_path: config, output: Output::new(json, Verbosity::new(verbose, quiet)) };
        match self.command {
            Command::Serve(args) => serve::run(&invocation, &args),
            Command::Check => check::run(&invocation),
            Command::Account(command) => account::run(&invocation, command),
            Command::Key(command) => key::run(&invocation, command),
            Command::AdminToken(command) => admin_token::run(&invocation, command),
            Command::Usage(args) => usage::run(&invocation, &args),
            Command::Requests(args) => requests::run(&invocation, &args),
            Command::Ledger(args) => ledger::run(&invocation, &args),
            Command::Audit => audit::run(&invocation),
            Command::Backup(args) => backup::run(&invocation, &args),
            Command::Completions(args) => completions::run(&invocation, &args, &mut Cli::command()),
        }
    }
}

/// Writes why the work failed to standard error: every fault of a configuration, or the chain of causes.
pub fn report(error: &anyhow::Error) {
    let mut text = String::new();
    if let Some(Faults(faults)) = error.downcast_ref() {
        text.extend(faults.iter().map(|fault| format!("error: {fault}\n")));
    } else {
        text.push_str(&format!("error: {error}\n"));
        text.extend(error.chain().skip(1).map(|cause| format!("caused by: {cause}\n")));
    }
    // With standard error gone there is nobody left to tell, and the exit code still tells.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

const CONFIG_PATH: &str = "conf/tollgate.yaml";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_typed_is_understood() {
        for line in [
            "serve",
            "serve --upgrade",
            "serve -c x.yaml",
            "-c x.yaml check --json",
            "account create alice --credit 10 --group default",
            "account credit alice 5 --note paid --ref invoice-1",
            "account credit alice -5 --adjust",
            "account update alice --name bob",
            "key create --account alice --name laptop --expires 30d --models a,b --rpm 60 --tpm 100000 --concurrency 5 \
             --budget 3.00 --allow-ip 203.0.113.0/24 --allow-ip ::1,10.0.0.1 --json",
            "key update key_1 --rpm none --expires never --models any --allow-ip any --budget none",
            "key rotate key_1 --keep-old 24h",
            "admin-token create ci --scope read,keys --scope credit",
            "usage --by model --from 2026-11-01 --to 2026-11-30 --csv",
            "requests --limit 5 -q",
            "ledger --account alice -v",
            "audit",
            "backup copy.db",
            "completions zsh",
        ] {
            let typed = std::iter::once("tollgate").chain(line.split_whitespace());
            assert!(Cli::try_parse_from(typed).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "account create",
            "account create =cmd()",
            "account create alice --credit 0.0000000001",
            "account create alice --credit NaN",
            "account create alice --credit -1",
            "account update alice",
            "account credit alice 99999999999999999999",
            "key create --name laptop",
            "key create --account alice --rpm 0",
            "key create --account alice --tpm 9223372036854775808",
            "key create --account alice --expires tomorrow",
            "key create --account alice --budget -1",
            "key create --account alice --allow-ip 300.0.0.1",
            "key update key_1",
            "admin-token create ci",
            "admin-token create ci --scope root",
            "usage --by week",
            "usage --from 2026-02-30",
            "requests --limit 0",
            "ledger",
            "check -v -q",
        ] {
            let typed = std::iter::once("tollgate").chain(line.split_whitespace());
            let refusal = Cli::try_parse_from(typed).map(|_| line).unwrap_err();
            assert_eq!(refusal.exit_code(), 2, "{line}");
        }
    }
}
