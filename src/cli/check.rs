//! `tollgate check`: is this configuration right?
//!
//! Reads everything that `serve` would read and touches nothing that runs. Exit 0 with a summary, or 2 with every fault.

use serde_json::json;

use super::{Exit, Invocation};
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
    for file in &loaded.files {
        output.detail(&format!("read {}", file.display()));
    }
    let catalog = &loaded.config.catalog;
    let summary = [
        counted(catalog.models.len(), "model"),
        counted(catalog.upstreams.len(), "upstream"),
        counted(catalog.groups.len(), "group"),
        counted(loaded.warnings.len(), "warning"),
    ];
    output.text(&format!("{} is right: {}\n", invocation.config_path.display(), summary.join(", ")))?;
    Ok(Exit::Done)
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
