//! `tollgate check`: is this configuration right?
//!
//! Reads everything that `serve` would read and touches nothing that runs. Exit 0 with a summary, or 2 with every fault.

use serde_json::json;

use super::invocation::{Exit, Invocation};
use super::output::counted;
use crate::config::{Faults, Loaded};

pub(super) fn run(invocation: &Invocation) -> anyhow::Result<Exit> {
    match invocation.load() {
        Ok(loaded) => praise(invocation, &loaded),
        Err(Faults(faults)) if invocation.output.json => {
            invocation.output.json(&json!({"ok": false, "faults": faults, "warnings": []}))?;
            Ok(Exit::Misused)
        }
        Err(faults) => Err(faults.into()),
    }
}

fn praise(invocation: &Invocation, loaded: &Loaded) -> anyhow::Result<Exit> {
    let output = &invocation.output;
    if output.json {
        output.json(&json!({"ok": true, "faults": [], "warnings": loaded.warnings}))?;
        return Ok(Exit::Done);
    }
    for warning in &loaded.warnings {
        output.remark(&format!("warning: {warning}"));
    }
    let catalog = &loaded.config.catalog;
    let summary = [
        counted(catalog.models.len() as u64, "model", "models"),
        counted(catalog.upstreams.len() as u64, "upstream", "upstreams"),
        counted(catalog.groups.len() as u64, "group", "groups"),
        counted(loaded.warnings.len() as u64, "warning", "warnings"),
    ];
    output.text(&format!("{} is right: {}\n", invocation.config_path.display(), summary.join(", ")))?;
    Ok(Exit::Done)
}
