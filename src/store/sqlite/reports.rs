//! Reading for pages: lists in parts, totals over time.

use super::connection::Place;
use crate::core::account::AccountId;
use crate::store::contract::console::*;
use crate::store::contract::*;

/// See [`Reports`].
pub struct SqliteReports {
    _place: Place,
}

impl SqliteReports {
    pub(super) fn open(place: Place) -> Result<Self, StoreError> {
        Ok(SqliteReports { _place: place })
    }
}

impl Reports for SqliteReports {
    fn accounts(&self, _filter: &AccountFilter, _page: &Page) -> Result<Paged<AccountRow>, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn keys(&self, _filter: &KeyFilter, _page: &Page) -> Result<Paged<KeyRow>, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn requests(&self, _query: &RequestQuery, _page: &Page) -> Result<Paged<RequestView>, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn ledger(&self, _filter: &LedgerFilter, _page: &Page) -> Result<Paged<EntryView>, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn entry(&self, _seq: i64) -> Result<Option<EntryView>, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn people(&self, _page: &Page) -> Result<Paged<PersonRow>, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn person(&self, _public_id: &str) -> Result<Option<PersonRow>, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn invitations(&self, _page: &Page) -> Result<Paged<InvitationRow>, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn codes(&self, _filter: &CodeFilter, _page: &Page, _now_ms: i64) -> Result<Paged<CodeRow>, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn actions(&self, _page: &Page) -> Result<Paged<ActionRow>, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn series(&self, _query: &SeriesQuery) -> Result<Vec<SeriesRow>, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn latency(&self, _account: Option<AccountId>, _since_ms: i64) -> Result<Latency, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn standing(&self, _now_ms: i64) -> Result<Standing, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
    fn facts(&self) -> Result<StorageFacts, StoreError> {
        Err(StoreError::Refused("not built".into()))
    }
}
