//! `tollgate account`: who pays, and the money that comes in.

use clap::{ArgGroup, Args, Subcommand};

use super::books::{Books, unknown};
use super::invocation::{Exit, Invocation, Misuse};
use super::output::{Cell, Sheet, number, state, text};
use super::values;
use crate::core::account::AccountStatus;
use crate::core::money::Nano;
use crate::store::contract::{AccountPatch, EntryKind};
use crate::store::view::{AccountView, LedgerView};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Open an account
    Create(Create),
    /// All accounts
    List,
    /// One account
    Show(Called),
    /// Change an account's name or group
    Update(Update),
    /// Add money to an account, or correct its balance
    Credit(Credit),
    /// Refuse every request of an account until it is resumed
    Suspend(Called),
    /// Let a suspended account work again
    Resume(Called),
}

#[derive(Debug, Args)]
pub(super) struct Called {
    /// The account's name or id
    #[arg(value_name = "NAME")]
    account: String,
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// 1 to 64 letters, digits and . _ - @ +
    #[arg(value_parser = values::name)]
    name: String,
    /// Money to begin with, such as 10 or 2.50
    #[arg(long, value_name = "AMOUNT", default_value = "0", allow_negative_numbers = true, value_parser = values::not_negative)]
    credit: Nano,
    /// A group of the configuration: its markup and limits apply
    #[arg(long, default_value = "default")]
    group: String,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["name", "group"]))]
pub(super) struct Update {
    /// The account's name or id
    #[arg(value_name = "NAME")]
    account: String,
    /// A new name
    #[arg(long, value_name = "NEW", value_parser = values::name)]
    name: Option<String>,
    /// Another group of the configuration
    #[arg(long)]
    group: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Credit {
    /// The account's name or id
    #[arg(value_name = "NAME")]
    account: String,
    /// What to add, such as 5 or 0.25: at most nine decimals
    #[arg(allow_negative_numbers = true, value_parser = values::amount)]
    amount: Nano,
    /// Correct the balance instead: the amount may be negative, and the entry is an `adjust`
    #[arg(long)]
    adjust: bool,
    /// Why, for the ledger
    #[arg(long, value_name = "TEXT", value_parser = values::plain_text)]
    note: Option<String>,
    /// A reference such as an invoice's number: the same one twice adds once
    #[arg(long = "ref", value_name = "REF", value_parser = values::plain_text)]
    reference: Option<String>,
}

pub(super) fn run(invocation: &Invocation, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Create(args) => create(invocation, &args),
        Command::List => list(invocation),
        Command::Show(called) => {
            let row = invocation.books()?.account(&called.account)?;
            invocation.output.one(&AccountView::from(&row))?;
            Ok(Exit::Done)
        }
        Command::Update(args) => {
            update(invocation, &args.account, AccountPatch { name: args.name, group: args.group, status: None })
        }
        Command::Credit(args) => credit(invocation, &args),
        Command::Suspend(called) => set_status(invocation, &called, AccountStatus::Suspended),
        Command::Resume(called) => set_status(invocation, &called, AccountStatus::Active),
    }
}

fn create(invocation: &Invocation, args: &Create) -> anyhow::Result<Exit> {
    let books = invocation.books()?;
    check_group(&books, &args.group)?;
    let row = books.desk()?.create_account(&args.name, &args.group, args.credit, books.now_ms)?;
    invocation.output.one(&AccountView::from(&row))?;
    Ok(Exit::Done)
}

fn list(invocation: &Invocation) -> anyhow::Result<Exit> {
    let rows = invocation.books()?.library()?.accounts()?;
    invocation.output.list(&rows.iter().map(AccountView::from).collect::<Vec<_>>())?;
    Ok(Exit::Done)
}

fn set_status(invocation: &Invocation, called: &Called, status: AccountStatus) -> anyhow::Result<Exit> {
    update(invocation, &called.account, AccountPatch { status: Some(status), ..AccountPatch::default() })
}

fn update(invocation: &Invocation, called: &str, patch: AccountPatch) -> anyhow::Result<Exit> {
    let books = invocation.books()?;
    if let Some(group) = &patch.group {
        check_group(&books, group)?;
    }
    let account = books.account(called)?;
    let row = books.desk()?.update_account(account.id, &patch)?;
    invocation.output.one(&AccountView::from(&row))?;
    Ok(Exit::Done)
}

fn credit(invocation: &Invocation, args: &Credit) -> anyhow::Result<Exit> {
    let kind = if args.adjust { EntryKind::Adjust } else { EntryKind::Credit };
    if args.amount == Nano::ZERO {
        return Err(Misuse("the amount must not be zero".into()).into());
    }
    if args.amount.is_negative() && !args.adjust {
        return Err(Misuse("a credit is above zero; use --adjust to take money away".into()).into());
    }
    let books = invocation.books()?;
    let account = books.account(&args.account)?;
    let (reference, note) = (args.reference.as_deref(), args.note.as_deref());
    let entry = books.desk()?.post(account.id, kind, args.amount, reference, note, books.now_ms)?;
    // The storage answers a repeated reference with the first entry, which is older than this command.
    if entry.at_ms < books.now_ms {
        invocation.output.remark("this reference has been booked before; nothing was added");
    }
    invocation.output.one(&LedgerView::from(&entry))?;
    Ok(Exit::Done)
}

/// A group that the configuration does not know would silently mean list price and no limits.
fn check_group(books: &Books, group: &str) -> anyhow::Result<()> {
    let groups = &books.config.catalog.groups;
    if groups.contains_key(group) {
        return Ok(());
    }
    Err(unknown("group", group, groups.keys().map(String::as_str)))
}

impl Sheet for AccountView<'_> {
    fn columns(&self) -> Vec<(&'static str, Cell)> {
        vec![
            ("id", text(self.id)),
            ("name", text(self.name)),
            ("group", text(self.group)),
            ("status", state(self.status.as_str())),
            ("balance", number(self.balance)),
            ("held", number(self.held)),
            ("available", number(self.available)),
            ("created", text(&self.created_at)),
        ]
    }
}
