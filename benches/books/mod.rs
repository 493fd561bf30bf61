//! Books as they are after months of business: many keys, and records by the million.
//!
//! The journal itself writes them, in large groups, so they are what a gateway would have written: the audit proves
//! them, and a migration of the schema is theirs too.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tollgate::core::account::AccountId;
use tollgate::core::key::{self, KeyId, Limits};
use tollgate::core::money::Nano;
use tollgate::core::secret::Secret;
use tollgate::store::contract::{Change, Desk, Journal, NewKey, Outcome, RequestId, RequestRow};
use tollgate::store::sqlite::{Durability, Sqlite};
use uuid::{NoContext, Timestamp, Uuid};

/// How much is in them.
#[derive(Clone, Copy)]
pub struct Extent {
    pub keys: usize,
    pub records: u64,
}

/// Makes the file. Gives its keys: ten to an account, each account rich.
pub fn write(file: &Path, extent: Extent) -> Vec<Secret> {
    // Preparing is not what is measured: it need not wait for the disk.
    let sqlite = Sqlite::open(file, Durability::Normal).expect("the file can be made");
    let now_ms = i64::try_from(now().as_millis()).expect("it is not that late yet");
    let mut desk = sqlite.desk().expect("the file can be written");
    let (mut owners, mut texts) = (Vec::with_capacity(extent.keys), Vec::with_capacity(extent.keys));
    let mut account = None;
    for number in 0..extent.keys {
        let owner = match account.filter(|_| number % KEYS_PER_ACCOUNT > 0) {
            Some(owner) => owner,
            None => {
                let name = format!("account-{}", number / KEYS_PER_ACCOUNT);
                desk.create_account(&name, "default", RICH, now_ms).expect("the name is free").id
            }
        };
        account = Some(owner);
        let text = key::generate().expect("the machine has a source of randomness");
        let made = desk.create_key(owner, &new_key(&text), now_ms).expect("the key is new");
        owners.push((owner, made.record.id));
        texts.push(text);
    }
    let mut journal = sqlite.journal().expect("nobody else serves the file");
    let mut group = Vec::with_capacity(GROUP);
    for number in 0..extent.records {
        group.push(record(number, extent.records, &owners));
        if group.len() == GROUP || number + 1 == extent.records {
            journal.commit(&group).expect("the disk has room");
            group.clear();
        }
    }
    texts
}

fn new_key(text: &Secret) -> NewKey {
    NewKey {
        name: "bench".into(),
        hash: key::hash(text.expose().as_bytes()),
        prefix: "sk-tg-…".into(),
        expires_at_ms: None,
        models: Vec::new(),
        limits: HIGH,
        budget: None,
        allow_ips: Vec::new(),
    }
}

/// The oldest first. All are younger than the totals by the minute are kept, so that nothing is old enough to be pruned.
fn record(number: u64, records: u64, owners: &[(AccountId, KeyId)]) -> Change {
    let past = SPAN.as_millis() as u64 * (records - number) / records;
    let at = now().saturating_sub(Duration::from_millis(past));
    let request = RequestId(Uuid::new_v7(Timestamp::from_unix(NoContext, at.as_secs(), at.subsec_nanos())));
    let (account, key) = owners[scattered(number, owners.len())];
    Change::Settle(Box::new(RequestRow {
        request,
        account,
        key,
        endpoint: "chat_completions".into(),
        model: format!("model-{}", number % 12),
        upstream: "mock".into(),
        status: 200,
        outcome: Outcome::Ok,
        estimated: false,
        anomalous: false,
        streamed: false,
        input_tokens: 25,
        cached_input_tokens: 0,
        output_tokens: 16,
        reasoning_tokens: 0,
        charge: Nano(100),
        cost: Nano(80),
        price_version: "v1".into(),
        bill: "input 25 150000;output 16 600000;x1200000".into(),
        started_at_ms: i64::try_from(at.as_millis()).expect("it is not that late yet"),
        ttft_ms: Some(200),
        duration_ms: 1_500,
    }))
}

/// A number below `count` that looks like chance and is the same each time.
pub fn scattered(number: u64, count: usize) -> usize {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((u128::from(mixed) * count as u128) >> 64) as usize
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970")
}

const KEYS_PER_ACCOUNT: usize = 10;
const GROUP: usize = 20_000;
const SPAN: Duration = Duration::from_secs(10 * 86_400);
/// On, and never reached.
const HIGH: Limits = Limits { rpm: Some(1_000_000_000), tpm: Some(1_000_000_000_000), concurrency: Some(1_000_000) };
/// A million units.
const RICH: Nano = Nano(1_000_000_000_000_000);
