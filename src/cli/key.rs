//! `tollgate key`: the credentials of an account.
//!
//! A key's text exists twice: in the answer to `create` or `rotate`, and with whoever took it from there. Stored is its
//! hash, so neither `list` nor `show` nor a backup can give a key away.

use anyhow::Context;
use clap::{ArgGroup, Args, Subcommand};
use ipnet::IpNet;

use super::books::{Books, nearest};
use super::invocation::{Exit, Invocation, Misuse};
use super::output::{Cell, CellAlignment, Sheet, list, number, optional, state, text};
use super::values;
use super::values::{Expiry, Item, Limit};
use crate::core::key::{self, KeyStatus, Limits};
use crate::core::money::Nano;
use crate::store::contract::{KeyPatch, KeyRow, NewKey};
use crate::store::view::{KeyState, KeyView, seconds};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key; its text is shown this once
    Create(Create),
    /// All keys, or those of one account
    List(List),
    /// One key
    Show(Called),
    /// Change what a key may do
    Update(Update),
    /// Refuse a key until it is enabled again
    Disable(Called),
    /// Let a disabled key work again
    Enable(Called),
    /// Make a successor with the same rights; its text is shown this once
    Rotate(Rotate),
    /// End a key for ever; its requests stay in the books
    Delete(Called),
}

#[derive(Debug, Args)]
pub(super) struct Called {
    /// The key's id, or a beginning of it that fits no other
    #[arg(value_name = "ID")]
    key: String,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only keys of this account (name or id)
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The account that pays (name or id)
    #[arg(long, value_name = "NAME")]
    account: String,
    /// What the key is called in lists
    #[arg(long, default_value = "default", value_parser = values::label)]
    name: String,
    #[command(flatten)]
    rights: Rights,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(
    ["name", "expires", "models", "rpm", "tpm", "concurrency", "budget", "allow_ip"]
))]
pub(super) struct Update {
    /// The key's id, or a beginning of it that fits no other
    #[arg(value_name = "ID")]
    key: String,
    /// What the key is called in lists
    #[arg(long, value_parser = values::label)]
    name: Option<String>,
    #[command(flatten)]
    rights: Rights,
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    /// The key's id, or a beginning of it that fits no other
    #[arg(value_name = "ID")]
    key: String,
    /// How long the old key still works, such as 24h; without it the old key ends at once
    #[arg(long, value_name = "SPAN", value_parser = values::duration)]
    keep_old: Option<std::time::Duration>,
}

/// What a key may do: the same flags when it is made and when it is changed.
#[derive(Debug, Args)]
#[group(skip)]
struct Rights {
    /// When it ends: a span (30d), a day (2026-12-31, at 00:00 UTC), a moment (RFC 3339), or never
    #[arg(long, value_name = "WHEN")]
    expires: Option<Expiry>,
    /// The models that it may use, or any
    #[arg(long, value_name = "MODEL", value_delimiter = ',', value_parser = values::model)]
    models: Option<Vec<Item<String>>>,
    /// Requests per minute, or none for no limit
    #[arg(long, value_name = "N", value_parser = values::count::<u32>)]
    rpm: Option<Limit<u32>>,
    /// Tokens per minute, or none for no limit
    #[arg(long, value_name = "N", value_parser = values::count::<u64>)]
    tpm: Option<Limit<u64>>,
    /// Requests at a time, or none for no limit
    #[arg(long, value_name = "N", value_parser = values::count::<u32>)]
    concurrency: Option<Limit<u32>>,
    /// The most that it may spend in its life, or none
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true, value_parser = values::budget)]
    budget: Option<Limit<Nano>>,
    /// Addresses or ranges that it may be used from, or any
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = values::address)]
    allow_ip: Option<Vec<Item<IpNet>>>,
}

impl Rights {
    /// As a change: what was not typed stays as it is.
    fn into_patch(self, now_ms: i64) -> Result<KeyPatch, Misuse> {
        Ok(KeyPatch {
            expires_at_ms: self.expires.map(|expiry| expiry.at_ms(now_ms)),
            models: self.models.map(|items| alone("--models", items)).transpose()?,
            rpm: self.rpm.map(|limit| limit.0),
            tpm: self.tpm.map(|limit| limit.0),
            concurrency: self.concurrency.map(|limit| limit.0),
            budget: self.budget.map(|limit| limit.0),
            allow_ips: self.allow_ip.map(|items| alone("--allow-ip", items)).transpose()?,
            ..KeyPatch::default()
        })
    }
}

fn alone<T>(flag: &str, items: Vec<Item<T>>) -> Result<Vec<T>, Misuse> {
    values::collect(items).ok_or_else(|| Misuse(format!("{flag}: any stands alone")))
}

pub(super) fn run(invocation: &Invocation, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Create(args) => create(invocation, args),
        Command::List(args) => show_list(invocation, &args),
        Command::Show(called) => {
            let books = invocation.books()?;
            show(invocation, &books, &books.key(&called.key)?)
        }
        Command::Update(args) => {
            let books = invocation.books()?;
            let patch = KeyPatch { name: args.name, ..args.rights.into_patch(books.now_ms)? };
            warn_of_unknown_models(invocation, &books, patch.models.as_deref().unwrap_or_default());
            update(invocation, &books, &args.key, &patch)
        }
        Command::Disable(called) => set_status(invocation, &called, KeyStatus::Disabled),
        Command::Enable(called) => set_status(invocation, &called, KeyStatus::Active),
        Command::Rotate(args) => rotate(invocation, &args),
        Command::Delete(called) => set_status(invocation, &called, KeyStatus::Deleted),
    }
}

fn create(invocation: &Invocation, args: Create) -> anyhow::Result<Exit> {
    let books = invocation.books()?;
    let rights = args.rights.into_patch(books.now_ms)?;
    let account = books.account(&args.account)?;
    warn_of_unknown_models(invocation, &books, rights.models.as_deref().unwrap_or_default());
    let secret = key::generate().context("the operating system gives no random bytes")?;
    let new = NewKey {
        name: args.name,
        hash: key::hash(secret.expose().as_bytes()),
        prefix: key::display_prefix(secret.expose()),
        expires_at_ms: rights.expires_at_ms.flatten(),
        models: rights.models.unwrap_or_default(),
        limits: Limits {
            rpm: rights.rpm.flatten(),
            tpm: rights.tpm.flatten(),
            concurrency: rights.concurrency.flatten(),
        },
        budget: rights.budget.flatten(),
        allow_ips: rights.allow_ips.unwrap_or_default(),
    };
    let row = books.desk()?.create_key(account.id, &new, books.now_ms)?;
    warn_of_past_end(invocation, &books, &row);
    show_new(invocation, &books, &row, secret.expose())
}

fn show_list(invocation: &Invocation, args: &List) -> anyhow::Result<Exit> {
    let books = invocation.books()?;
    let account = args.account.as_deref().map(|called| books.account(called)).transpose()?;
    let rows = books.library()?.keys(account.map(|row| row.id))?;
    let views: Vec<_> = rows.iter().map(|row| KeyView::new(row, books.now_ms)).collect();
    invocation.output.list(&views)?;
    Ok(Exit::Done)
}

fn set_status(invocation: &Invocation, called: &Called, status: KeyStatus) -> anyhow::Result<Exit> {
    let patch = KeyPatch { status: Some(status), ..KeyPatch::default() };
    update(invocation, &invocation.books()?, &called.key, &patch)
}

fn update(invocation: &Invocation, books: &Books, called: &str, patch: &KeyPatch) -> anyhow::Result<Exit> {
    let key = books.living_key(called)?;
    let row = books.desk()?.update_key(key.record.id, patch)?;
    warn_of_past_end(invocation, books, &row);
    show(invocation, books, &row)
}

fn rotate(invocation: &Invocation, args: &Rotate) -> anyhow::Result<Exit> {
    let books = invocation.books()?;
    let old = books.living_key(&args.key)?.record;
    // Keeping the old key must not let it live longer than it would have.
    let kept_until_ms = args.keep_old.map(|span| values::later(books.now_ms, span));
    let old_ends_at_ms = kept_until_ms.map(|end_ms| old.expires_at_ms.map_or(end_ms, |own_ms| own_ms.min(end_ms)));
    let secret = key::generate().context("the operating system gives no random bytes")?;
    let (hash, prefix) = (key::hash(secret.expose().as_bytes()), key::display_prefix(secret.expose()));
    let row = books.desk()?.rotate_key(old.id, hash, &prefix, old_ends_at_ms, books.now_ms)?;
    match old_ends_at_ms {
        Some(end_ms) => invocation.output.remark(&format!("{} works until {}", old.public_id, seconds(end_ms))),
        None => invocation.output.remark(&format!("{} has ended", old.public_id)),
    }
    warn_of_past_end(invocation, &books, &row);
    show_new(invocation, &books, &row, secret.expose())
}

fn show(invocation: &Invocation, books: &Books, row: &KeyRow) -> anyhow::Result<Exit> {
    invocation.output.one(&KeyView::new(row, books.now_ms))?;
    Ok(Exit::Done)
}

fn show_new(invocation: &Invocation, books: &Books, row: &KeyRow, secret: &str) -> anyhow::Result<Exit> {
    invocation.output.one(&KeyView::new(row, books.now_ms).with_key(secret))?;
    invocation.output.remark("keep the key now: it is not shown again");
    Ok(Exit::Done)
}

/// A warning only: a key may be made before its model is configured.
fn warn_of_unknown_models(invocation: &Invocation, books: &Books, models: &[String]) {
    let catalog = &books.config.catalog;
    for model in models.iter().filter(|model| catalog.model(model).is_none()) {
        let hint = nearest(model, catalog.by_name.keys().map(String::as_str));
        let hint = hint.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
        invocation.output.remark(&format!("warning: the configuration has no model {model:?}{hint}"));
    }
}

fn warn_of_past_end(invocation: &Invocation, books: &Books, row: &KeyRow) {
    let record = &row.record;
    if KeyState::at(record.status, record.expires_at_ms, books.now_ms) == KeyState::Expired {
        invocation.output.remark(&format!("warning: {} is past its end and will be refused", record.public_id));
    }
}

impl Sheet for KeyView<'_> {
    fn columns(&self) -> Vec<(&'static str, Cell)> {
        vec![
            ("id", text(self.id)),
            ("name", text(self.name)),
            ("account", text(self.account)),
            ("key", text(self.prefix)),
            ("status", state(self.status.as_str())),
            ("expires", self.expires_at.as_ref().map_or_else(|| Cell::new("never"), text)),
            ("budget", optional(self.budget).set_alignment(CellAlignment::Right)),
            ("spent", number(self.spent)),
            ("last used", self.last_used_at.as_ref().map_or_else(|| Cell::new("never"), text)),
        ]
    }

    fn details(&self) -> Vec<(&'static str, Cell)> {
        let mut fields = self.columns();
        fields.extend([
            ("created", text(&self.created_at)),
            ("models", list(self.models, "any")),
            ("requests per minute", optional(self.limits.rpm)),
            ("tokens per minute", optional(self.limits.tpm)),
            ("requests at a time", optional(self.limits.concurrency)),
            ("addresses", list(&self.allow_ips, "any")),
        ]);
        if let Some(secret) = self.key {
            // The whole key in the place of its beginning.
            fields.retain(|(title, _)| *title != "key");
            fields.insert(0, ("key", text(secret)));
        }
        fields
    }
}
