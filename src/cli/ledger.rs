//! `tollgate ledger`: every entry that an account's balance is the sum of.

use super::invocation::{Exit, Invocation};
use super::output::{Cell, Sheet, number, optional, text};
use crate::store::view::LedgerView;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The account's name or id
    #[arg(long, value_name = "NAME")]
    account: String,
    /// At most so many, newest first
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

pub(super) fn run(invocation: &Invocation, args: &Args) -> anyhow::Result<Exit> {
    let books = invocation.books()?;
    let account = books.account(&args.account)?;
    let entries = books.library()?.ledger(account.id, None, args.limit)?;
    invocation.output.list(&entries.iter().map(LedgerView::from).collect::<Vec<_>>())?;
    Ok(Exit::Done)
}

impl Sheet for LedgerView<'_> {
    fn columns(&self) -> Vec<(&'static str, Cell)> {
        vec![
            ("seq", number(self.seq)),
            ("at", text(&self.at)),
            ("kind", text(self.kind)),
            ("amount", number(self.amount)),
            ("balance", number(self.balance_after)),
            ("request", optional(self.request_id.as_deref())),
            ("ref", optional(self.reference)),
            ("note", optional(self.note)),
        ]
    }
}
