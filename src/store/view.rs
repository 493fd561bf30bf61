//! How stored rows look from outside: the JSON of the command line and of the admin API, field by field.
//!
//! One place for both, so that a script may move from one to the other. Money is a decimal string, a moment RFC 3339 in
//! UTC: whole seconds, milliseconds where a request is measured. Nothing secret is in a row, so nothing secret is here;
//! a key's text is put in by whoever has just made it, once.

use jiff::Timestamp;
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::contract::{AccountRow, AdminTokenRow, KeyRow, LedgerEntry, RequestView as RequestEntry, UsageBy, UsageRow};
use crate::core::account::AccountStatus;
use crate::core::key::{KeyStatus, Limits};
use crate::core::money::Nano;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct AccountView<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub group: &'a str,
    pub balance: Nano,
    pub held: Nano,
    /// What a new request may use: the balance without what running requests hold.
    pub available: Nano,
    pub status: AccountStatus,
    pub created_at: String,
}

impl<'a> From<&'a AccountRow> for AccountView<'a> {
    fn from(row: &'a AccountRow) -> Self {
        AccountView {
            id: &row.public_id,
            name: &row.name,
            group: &row.group,
            balance: row.balance,
            held: row.held,
            available: row.balance.saturating_sub(row.held),
            status: row.status,
            created_at: seconds(row.created_at_ms),
        }
    }
}

/// A key's state as people see it: what is stored, and whether its time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    Active,
    Disabled,
    Expired,
    Deleted,
}

impl KeyState {
    pub fn as_str(self) -> &'static str {
        match self {
            KeyState::Active => "active",
            KeyState::Disabled => "disabled",
            KeyState::Expired => "expired",
            KeyState::Deleted => "deleted",
        }
    }

    /// A key that is switched off or gone is that first: its end changes nothing any more.
    pub fn at(status: KeyStatus, expires_at_ms: Option<i64>, now_ms: i64) -> Self {
        match status {
            KeyStatus::Deleted => KeyState::Deleted,
            KeyStatus::Disabled => KeyState::Disabled,
            KeyStatus::Active if expires_at_ms.is_some_and(|end_ms| end_ms <= now_ms) => KeyState::Expired,
            KeyStatus::Active => KeyState::Active,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct KeyView<'a> {
    pub id: &'a str,
    /// The whole text: in the answer to its creation or rotation, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
    pub prefix: &'a str,
    pub name: &'a str,
    pub account: &'a str,
    pub status: KeyState,
    pub expires_at: Option<String>,
    /// Empty: every model.
    pub models: &'a [String],
    pub limits: Limits,
    pub budget: Option<Nano>,
    pub spent: Nano,
    /// Empty: every address.
    pub allow_ips: Vec<String>,
    pub created_at: String,
    pub last_used_at: Option<String>,
}

impl<'a> KeyView<'a> {
    pub fn new(row: &'a KeyRow, now_ms: i64) -> Self {
        let record = &row.record;
        KeyView {
            id: &record.public_id,
            key: None,
            prefix: &record.prefix,
            name: &record.name,
            account: &row.account_name,
            status: KeyState::at(record.status, record.expires_at_ms, now_ms),
            expires_at: record.expires_at_ms.map(seconds),
            models: &record.models,
            limits: record.limits,
            budget: record.budget,
            spent: row.spent,
            allow_ips: record.allow_ips.iter().map(ToString::to_string).collect(),
            created_at: seconds(row.created_at_ms),
            last_used_at: row.last_used_at_ms.map(seconds),
        }
    }

    /// The same with the key's whole text, for the one answer that shows it.
    pub fn with_key(self, key: &'a str) -> Self {
        KeyView { key: Some(key), ..self }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct AdminTokenView<'a> {
    pub id: &'a str,
    /// The whole text: in the answer to its creation, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<&'a str>,
    pub name: &'a str,
    pub scopes: &'a [String],
    /// `active` or `revoked`.
    pub status: &'static str,
    pub created_at: String,
    pub last_used_at: Option<String>,
    pub revoked_at: Option<String>,
}

impl<'a> From<&'a AdminTokenRow> for AdminTokenView<'a> {
    fn from(row: &'a AdminTokenRow) -> Self {
        AdminTokenView {
            id: &row.public_id,
            token: None,
            name: &row.name,
            scopes: &row.scopes,
            status: if row.revoked_at_ms.is_some() { "revoked" } else { "active" },
            created_at: seconds(row.created_at_ms),
            last_used_at: row.last_used_at_ms.map(seconds),
            revoked_at: row.revoked_at_ms.map(seconds),
        }
    }
}

impl<'a> AdminTokenView<'a> {
    /// The same with the token's whole text, for the one answer that shows it.
    pub fn with_token(self, token: &'a str) -> Self {
        AdminTokenView { token: Some(token), ..self }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct LedgerView<'a> {
    pub seq: i64,
    pub kind: &'static str,
    /// Signed: a charge is negative.
    pub amount: Nano,
    pub balance_after: Nano,
    pub request_id: Option<String>,
    #[serde(rename = "ref")]
    pub reference: Option<&'a str>,
    pub note: Option<&'a str>,
    pub at: String,
}

impl<'a> From<&'a LedgerEntry> for LedgerView<'a> {
    fn from(entry: &'a LedgerEntry) -> Self {
        LedgerView {
            seq: entry.seq,
            kind: entry.kind.as_str(),
            amount: entry.amount,
            balance_after: entry.balance_after,
            request_id: entry.request.map(|id| id.to_string()),
            reference: entry.reference.as_deref(),
            note: entry.note.as_deref(),
            at: seconds(entry.at_ms),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RequestView<'a> {
    pub id: String,
    pub account: &'a str,
    pub key_id: &'a str,
    pub endpoint: &'a str,
    pub model: &'a str,
    /// `None` when no upstream was called.
    pub upstream: Option<&'a str>,
    pub status: u16,
    pub outcome: &'static str,
    pub estimated: bool,
    pub streamed: bool,
    pub input_tokens: u64,
    pub cached_input_tokens: u64,
    pub output_tokens: u64,
    pub reasoning_tokens: u64,
    pub charge: Nano,
    pub price_version: &'a str,
    pub started_at: String,
    pub ttft_ms: Option<u32>,
    pub duration_ms: u32,
}

impl<'a> From<&'a RequestEntry> for RequestView<'a> {
    fn from(entry: &'a RequestEntry) -> Self {
        let row = &entry.row;
        RequestView {
            id: row.request.to_string(),
            account: &entry.account_name,
            key_id: &entry.key_public_id,
            endpoint: &row.endpoint,
            model: &row.model,
            upstream: Some(row.upstream.as_str()).filter(|name| !name.is_empty()),
            status: row.status,
            outcome: row.outcome.as_str(),
            estimated: row.estimated,
            streamed: row.streamed,
            input_tokens: row.input_tokens,
            cached_input_tokens: row.cached_input_tokens,
            output_tokens: row.output_tokens,
            reasoning_tokens: row.reasoning_tokens,
            charge: row.charge,
            price_version: &row.price_version,
            started_at: milliseconds(row.started_at_ms),
            ttft_ms: row.ttft_ms,
            duration_ms: row.duration_ms,
        }
    }
}

/// A row of totals. Its first field is called what the totals are by: `day`, `model`, `key`, `account`, `upstream`.
#[derive(Clone, Copy, Debug)]
pub struct UsageView<'a> {
    pub by: UsageBy,
    pub row: &'a UsageRow,
}

impl UsageView<'_> {
    /// The fields after the first, as JSON and CSV name them.
    pub const COUNTS: [&'static str; 7] =
        ["requests", "errors", "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "charge"];

    /// The first field's name.
    pub fn key(by: UsageBy) -> &'static str {
        match by {
            UsageBy::Day => "day",
            UsageBy::Model => "model",
            UsageBy::Key => "key",
            UsageBy::Account => "account",
            UsageBy::Upstream => "upstream",
        }
    }
}

impl Serialize for UsageView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = self.row;
        let counts = [
            row.requests,
            row.errors,
            row.input_tokens,
            row.cached_input_tokens,
            row.output_tokens,
            row.reasoning_tokens,
        ];
        let mut map = serializer.serialize_map(Some(Self::COUNTS.len().saturating_add(1)))?;
        map.serialize_entry(Self::key(self.by), &row.group)?;
        for (name, count) in Self::COUNTS.iter().zip(counts) {
            map.serialize_entry(name, &count)?;
        }
        map.serialize_entry("charge", &row.charge)?;
        map.end()
    }
}

/// `2026-11-23T06:35:00Z`.
pub fn seconds(at_ms: i64) -> String {
    timestamp(at_ms).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2026-11-23T06:35:00.125Z`.
pub fn milliseconds(at_ms: i64) -> String {
    timestamp(at_ms).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// A moment beyond the calendar's years is shown as its end: a list must not fail for one odd row.
fn timestamp(at_ms: i64) -> Timestamp {
    let edge = if at_ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(at_ms).unwrap_or(edge)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::core::account::AccountId;
    use crate::core::key::{KeyHash, KeyId, KeyRecord};
    use crate::store::contract::{EntryKind, Outcome, RequestId, RequestRow};

    const NOW_MS: i64 = 1_795_415_700_125;

    #[test]
    fn moments_are_utc_and_of_fixed_width() {
        assert_eq!(seconds(NOW_MS), "2026-11-23T06:35:00Z");
        assert_eq!(milliseconds(NOW_MS), "2026-11-23T06:35:00.125Z");
        assert_eq!(milliseconds(0), "1970-01-01T00:00:00.000Z");
        assert!(seconds(i64::MAX).starts_with("9999-"));
        assert!(seconds(i64::MIN).contains("9999-"));
    }

    #[test]
    fn an_account_shows_what_it_may_use() {
        let row = AccountRow {
            id: AccountId(1),
            public_id: "acc_1".into(),
            name: "alice".into(),
            group: "default".into(),
            status: AccountStatus::Active,
            balance: Nano(10_000_000_000),
            held: Nano(2_500_000_000),
            created_at_ms: NOW_MS,
        };
        assert_eq!(
            json!(AccountView::from(&row)),
            json!({"id": "acc_1", "name": "alice", "group": "default", "balance": "10", "held": "2.5",
                   "available": "7.5", "status": "active", "created_at": "2026-11-23T06:35:00Z"})
        );
    }

    #[test]
    fn a_key_shows_its_text_only_when_given_it() {
        let row = key_row();
        let mut expected = json!({
            "id": "key_1", "prefix": "sk-tg-abcd…wxyz", "name": "laptop", "account": "alice", "status": "active",
            "expires_at": "2026-11-23T06:35:01Z", "models": ["m"],
            "limits": {"rpm": 60, "tpm": null, "concurrency": 5}, "budget": "3", "spent": "0.25",
            "allow_ips": ["203.0.113.0/24"], "created_at": "2026-11-23T06:35:00Z", "last_used_at": null,
        });
        assert_eq!(json!(KeyView::new(&row, NOW_MS)), expected);
        expected["key"] = json!("sk-tg-whole");
        assert_eq!(json!(KeyView::new(&row, NOW_MS).with_key("sk-tg-whole")), expected);
    }

    #[test]
    fn a_key_expires_at_its_end_and_not_before() {
        let row = key_row();
        let state = |now_ms| KeyView::new(&row, now_ms).status;
        assert_eq!(state(NOW_MS + 999), KeyState::Active);
        assert_eq!(state(NOW_MS + 1_000), KeyState::Expired);
        assert_eq!(KeyState::at(KeyStatus::Disabled, Some(0), NOW_MS), KeyState::Disabled);
        assert_eq!(KeyState::at(KeyStatus::Deleted, Some(0), NOW_MS), KeyState::Deleted);
        assert_eq!(KeyState::at(KeyStatus::Active, None, i64::MAX), KeyState::Active);
    }

    #[test]
    fn a_request_has_the_published_fields_in_their_order() {
        let row = RequestRow {
            request: RequestId::new(),
            account: AccountId(1),
            key: KeyId(1),
            endpoint: "chat/completions".into(),
            model: "m".into(),
            upstream: String::new(),
            status: 402,
            outcome: Outcome::Refused,
            estimated: false,
            anomalous: false,
            streamed: true,
            input_tokens: 1,
            cached_input_tokens: 2,
            output_tokens: 3,
            reasoning_tokens: 4,
            charge: Nano(1),
            price_version: "v".into(),
            cost: Nano::ZERO,
            bill: String::new(),
            started_at_ms: NOW_MS,
            ttft_ms: None,
            duration_ms: 7,
        };
        let entry = RequestEntry { row, account_name: "alice".into(), key_public_id: "key_1".into() };
        let text = serde_json::to_string(&RequestView::from(&entry)).unwrap();
        let fields = "id account key_id endpoint model upstream status outcome estimated streamed input_tokens \
                      cached_input_tokens output_tokens reasoning_tokens charge price_version started_at ttft_ms \
                      duration_ms";
        assert_eq!(field_names(&text), fields.split_whitespace().collect::<Vec<_>>());
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["started_at"], "2026-11-23T06:35:00.125Z");
        assert_eq!(value["outcome"], "refused");
        assert!(value["upstream"].is_null() && value["ttft_ms"].is_null());
    }

    #[test]
    fn a_ledger_entry_is_signed() {
        let entry = LedgerEntry {
            seq: 7,
            account: AccountId(1),
            kind: EntryKind::Charge,
            amount: Nano(-1_500_000_000),
            balance_after: Nano(0),
            request: None,
            reference: Some("invoice-1".into()),
            note: None,
            at_ms: NOW_MS,
        };
        assert_eq!(
            json!(LedgerView::from(&entry)),
            json!({"seq": 7, "kind": "charge", "amount": "-1.5", "balance_after": "0", "request_id": null,
                   "ref": "invoice-1", "note": null, "at": "2026-11-23T06:35:00Z"})
        );
    }

    #[test]
    fn totals_name_what_they_are_by() {
        let row = UsageRow { group: "2026-11-23".into(), requests: 2, charge: Nano(1), ..UsageRow::default() };
        let text = serde_json::to_string(&UsageView { by: UsageBy::Day, row: &row }).unwrap();
        let mut expected = vec![UsageView::key(UsageBy::Day)];
        expected.extend(UsageView::COUNTS);
        assert_eq!(field_names(&text), expected);
        assert!(text.ends_with(r#""charge":"0.000000001"}"#), "{text}");
    }

    fn field_names(object: &str) -> Vec<&str> {
        object.trim_matches(['{', '}']).split(',').map(|field| field.split('"').nth(1).unwrap()).collect()
    }

    fn key_row() -> KeyRow {
        KeyRow {
            record: KeyRecord {
                id: KeyId(1),
                public_id: "key_1".into(),
                account: AccountId(1),
                name: "laptop".into(),
                hash: KeyHash([0; 32]),
                prefix: "sk-tg-abcd…wxyz".into(),
                status: KeyStatus::Active,
                expires_at_ms: Some(NOW_MS + 1_000),
                models: vec!["m".into()],
                limits: Limits { rpm: Some(60), tpm: None, concurrency: Some(5) },
                budget: Some(Nano(3_000_000_000)),
                allow_ips: vec!["203.0.113.0/24".parse().unwrap()],
            },
            account_name: "alice".into(),
            spent: Nano(250_000_000),
            created_at_ms: NOW_MS,
            last_used_at_ms: None,
        }
    }
}
