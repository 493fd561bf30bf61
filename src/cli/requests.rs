//! `tollgate requests`: what happened, request by request.

use super::invocation::{Exit, Invocation};
use super::output::{Cell, Sheet, number, optional, state, text};
use crate::store::contract::RequestFilter;
use crate::store::view::RequestView;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only requests of this account (name or id)
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Only requests of this key (its id, or a beginning of it that fits no other)
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

pub(super) fn run(invocation: &Invocation, args: &Args) -> anyhow::Result<Exit> {
    let books = invocation.books()?;
    let account = args.account.as_deref().map(|called| books.account(called)).transpose()?;
    let key = args.key.as_deref().map(|called| books.key(called)).transpose()?;
    let filter = RequestFilter {
        account: account.map(|row| row.id),
        key: key.map(|row| row.record.id),
        before: None,
        limit: args.limit,
    };
    let entries = books.library()?.requests(&filter)?;
    invocation.output.list(&entries.iter().map(RequestView::from).collect::<Vec<_>>())?;
    Ok(Exit::Done)
}

impl Sheet for RequestView<'_> {
    fn columns(&self) -> Vec<(&'static str, Cell)> {
        vec![
            ("started", text(&self.started_at)),
            ("id", text(&self.id)),
            ("account", text(self.account)),
            ("model", text(self.model)),
            ("upstream", optional(self.upstream)),
            ("status", number(self.status)),
            ("outcome", state(self.outcome)),
            ("input", number(self.input_tokens)),
            ("output", number(self.output_tokens)),
            // A tilde marks what was counted by us because nobody reported it.
            ("charge", number(format!("{}{}", if self.estimated { "~" } else { "" }, self.charge))),
            ("first ms", number(self.ttft_ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string()))),
            ("all ms", number(self.duration_ms)),
        ]
    }
}
