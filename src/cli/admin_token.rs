//! `tollgate admin-token`: credentials for programs that use the admin API.
//!
//! As with keys, a token's text is shown once, and stored is its hash.

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::books::only_one_beginning;
use super::invocation::{Exit, Invocation};
use super::output::{Cell, Sheet, list, state, text};
use super::values;
use crate::core::admin_token::{self, Scope};
use crate::core::key;
use crate::store::view::AdminTokenView;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a token; its text is shown this once
    Create(Create),
    /// All tokens
    List,
    /// End a token at once
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// What it is for
    #[arg(value_parser = values::label)]
    name: String,
    /// What it allows; several are separated by commas
    #[arg(long, required = true, value_delimiter = ',', value_parser = scope_parser())]
    scope: Vec<Scope>,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The token's id, or a beginning of it that fits no other
    #[arg(value_name = "ID")]
    token: String,
}

pub(super) fn run(invocation: &Invocation, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Create(args) => create(invocation, args),
        Command::List => {
            let rows = invocation.books()?.library()?.admin_tokens()?;
            invocation.output.list(&rows.iter().map(AdminTokenView::from).collect::<Vec<_>>())?;
            Ok(Exit::Done)
        }
        Command::Revoke(args) => revoke(invocation, &args.token),
    }
}

fn create(invocation: &Invocation, args: Create) -> anyhow::Result<Exit> {
    let books = invocation.books()?;
    let mut scopes = args.scope;
    scopes.sort_unstable();
    scopes.dedup();
    let scopes: Vec<String> = scopes.iter().map(Scope::to_string).collect();
    let secret = admin_token::generate().context("the operating system gives no random bytes")?;
    let hash = key::hash(secret.expose().as_bytes());
    let row = books.desk()?.create_admin_token(&args.name, hash, &scopes, books.now_ms)?;
    invocation.output.one(&AdminTokenView::from(&row).with_token(secret.expose()))?;
    invocation.output.remark("keep the token now: it is not shown again");
    Ok(Exit::Done)
}

fn revoke(invocation: &Invocation, called: &str) -> anyhow::Result<Exit> {
    let books = invocation.books()?;
    let rows = books.library()?.admin_tokens()?;
    let position = only_one_beginning(called, "admin token", rows.iter().map(|row| row.public_id.as_str()))?;
    let row = books.desk()?.revoke_admin_token(&rows[position].public_id, books.now_ms)?;
    invocation.output.one(&AdminTokenView::from(&row))?;
    Ok(Exit::Done)
}

/// By the list of words, so that the help, the completions and the refusal all name them.
fn scope_parser() -> impl TypedValueParser<Value = Scope> {
    PossibleValuesParser::new(Scope::ALL.map(Scope::as_str)).try_map(|word| word.parse::<Scope>())
}

impl Sheet for AdminTokenView<'_> {
    fn columns(&self) -> Vec<(&'static str, Cell)> {
        let moment = |at: &Option<String>| at.as_ref().map_or_else(|| Cell::new("never"), text);
        vec![
            ("id", text(self.id)),
            ("name", text(self.name)),
            ("scopes", list(self.scopes, "none")),
            ("status", state(self.status)),
            ("created", text(&self.created_at)),
            ("last used", moment(&self.last_used_at)),
            ("revoked", moment(&self.revoked_at)),
        ]
    }

    fn details(&self) -> Vec<(&'static str, Cell)> {
        let token = self.token.map(|secret| ("token", text(secret)));
        token.into_iter().chain(self.columns()).collect()
    }
}
