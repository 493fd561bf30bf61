//! `tollgate usage`: what was used and what it cost, by day, model, key, account or upstream.
//!
//! The totals are written in one transaction with each charge, so they agree with the ledger to the last digit, and they
//! outlive the single requests.

use clap::ValueEnum;

use super::invocation::{Exit, Invocation, Misuse};
use super::output::{Cell, Sheet, number, text};
use super::values;
use crate::core::csv;
use crate::store::contract::{UsageBy, UsageFilter, UsageRow};
use crate::store::view::UsageView;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What a row stands for
    #[arg(long, value_enum, default_value = "day")]
    by: By,
    /// Only this account (name or id)
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// The first day, such as 2026-11-01 (UTC)
    #[arg(long, value_name = "DAY", value_parser = values::day)]
    from: Option<i32>,
    /// The last day, included
    #[arg(long, value_name = "DAY", value_parser = values::day)]
    to: Option<i32>,
    /// Print CSV for a spreadsheet
    #[arg(long)]
    csv: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    Day,
    Model,
    Key,
    Account,
    Upstream,
}

impl From<By> for UsageBy {
    fn from(by: By) -> Self {
        match by {
            By::Day => UsageBy::Day,
            By::Model => UsageBy::Model,
            By::Key => UsageBy::Key,
            By::Account => UsageBy::Account,
            By::Upstream => UsageBy::Upstream,
        }
    }
}

pub(super) fn run(invocation: &Invocation, args: &Args) -> anyhow::Result<Exit> {
    if args.csv && invocation.output.json {
        return Err(Misuse("--csv and --json exclude each other".into()).into());
    }
    if args.from.zip(args.to).is_some_and(|(from, to)| from > to) {
        return Err(Misuse("--from is after --to".into()).into());
    }
    let books = invocation.books()?;
    let account = args.account.as_deref().map(|called| books.account(called)).transpose()?;
    let by = UsageBy::from(args.by);
    let filter = UsageFilter { by, account: account.map(|row| row.id), from_day: args.from, to_day: args.to };
    let rows = books.library()?.usage(&filter)?;
    if args.csv {
        invocation.output.text(&to_csv(by, &rows))?;
    } else {
        invocation.output.list(&rows.iter().map(|row| UsageView { by, row }).collect::<Vec<_>>())?;
    }
    Ok(Exit::Done)
}

/// The fields of the JSON, in its order and by its names.
fn to_csv(by: UsageBy, rows: &[UsageRow]) -> String {
    let mut out = String::new();
    csv::push_record(&mut out, std::iter::once(UsageView::key(by)).chain(UsageView::COUNTS));
    for row in rows {
        csv::push_record(
            &mut out,
            [
                row.group.clone(),
                row.requests.to_string(),
                row.errors.to_string(),
                row.input_tokens.to_string(),
                row.cached_input_tokens.to_string(),
                row.output_tokens.to_string(),
                row.reasoning_tokens.to_string(),
                row.charge.to_string(),
            ],
        );
    }
    out
}

impl Sheet for UsageView<'_> {
    fn columns(&self) -> Vec<(&'static str, Cell)> {
        let row = self.row;
        vec![
            (UsageView::key(self.by), text(if row.group.is_empty() { "-" } else { &row.group })),
            ("requests", number(row.requests)),
            ("errors", number(row.errors)),
            ("input", number(row.input_tokens)),
            ("cached", number(row.cached_input_tokens)),
            ("output", number(row.output_tokens)),
            ("reasoning", number(row.reasoning_tokens)),
            ("charge", number(row.charge)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::money::Nano;

    #[test]
    fn csv_has_a_header_and_guards_names() {
        let row =
            UsageRow { group: "=m,1".into(), requests: 3, output_tokens: 7, charge: Nano(1), ..UsageRow::default() };
        let csv = to_csv(UsageBy::Model, &[row]);
        let mut lines = csv.split("\r\n");
        let header = "model,requests,errors,input_tokens,cached_input_tokens,output_tokens,reasoning_tokens,charge";
        assert_eq!(lines.next(), Some(header));
        assert_eq!(lines.next(), Some("\"'=m,1\",3,0,0,0,7,0,0.000000001"));
        assert_eq!(lines.next(), Some(""));
        assert_eq!(lines.next(), None);
    }
}
