//! `tollgate audit`: do the books balance?
//!
//! Recomputes every balance and total from the ledger's entries on one snapshot, while a server runs or not. Exit 0 and
//! a summary, or 1 and every difference.

use serde::Serialize;

use super::invocation::{Exit, Invocation};
use super::output::counted;
use crate::store::contract::AuditReport;

#[derive(Serialize)]
struct Verdict<'a> {
    ok: bool,
    #[serde(flatten)]
    report: &'a AuditReport,
}

pub(super) fn run(invocation: &Invocation) -> anyhow::Result<Exit> {
    let books = invocation.books()?;
    let report = books.library()?.audit()?;
    let ok = report.differences.is_empty();
    if invocation.output.json {
        invocation.output.json(&Verdict { ok, report: &report })?;
    } else {
        invocation.output.text(&in_words(&report, &books.config.catalog.currency))?;
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

fn in_words(report: &AuditReport, currency: &str) -> String {
    let differences = &report.differences;
    let lines: String = differences.iter().map(|difference| format!("{difference}\n")).collect();
    let verdict = match differences.len() {
        0 => "the books balance".to_owned(),
        count => counted(count as u64, "difference", "differences"),
    };
    let seen = [
        counted(report.accounts, "account", "accounts"),
        counted(report.entries, "ledger entry", "ledger entries"),
        counted(report.requests, "request", "requests"),
        counted(report.holds, "open hold", "open holds"),
        format!("{} {currency} in all", report.balance),
    ];
    format!("{lines}{verdict}: {}\n", seen.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::money::NanoSum;

    #[test]
    fn every_difference_has_its_line_and_the_verdict_is_last() {
        let mut report =
            AuditReport { accounts: 2, entries: 1, balance: NanoSum(1_500_000_000), ..AuditReport::default() };
        let clean = "the books balance: 2 accounts, 1 ledger entry, 0 requests, 0 open holds, 1.5 USD in all\n";
        assert_eq!(in_words(&report, "USD"), clean);
        report.differences = vec!["alice has 1 too much".into(), "bob has 1 too little".into()];
        let words = in_words(&report, "USD");
        assert!(words.starts_with("alice has 1 too much\nbob has 1 too little\n2 differences: "), "{words}");
        let json = serde_json::to_value(Verdict { ok: false, report: &report }).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!(json["differences"].as_array().unwrap().len(), 2);
        assert_eq!(json["balance"], "1.5");
    }
}
