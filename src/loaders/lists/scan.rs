//! A scan: one upstream list, whole, whatever part of it a query asks for.
//!
//! Its pages have one fixed size, so that queries that ask for 3, 10 or 50 items share them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::accounts::{AccountType, ConnectedAccount, SharedAccount};
use crate::domain::credential::{Credential, Fingerprint};
use crate::domain::filters::{
    AccountFilter, AccountOrder, AccountOrderField, AccountTypeFilter, FilterValues, OrderDirection,
};
use crate::domain::global_id::IdKey;
use crate::domain::problems::{ProblemReports, Problems};
use crate::domain::upstream_name::Composio;
use crate::domain::view::View;
use crate::loaders::cache::key::{CacheKey, Weigh};
use crate::loaders::stats::{OperationStats, PartKey};

/// What makes two scans the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScanKey {
    /// Whose list it is.
    pub credential: Fingerprint<Composio>,
    /// What is in it.
    pub filter: AccountFilter,
    /// How it runs.
    pub order: AccountOrder,
}

/// On whose behalf Composio is read.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The key to it.
    pub credential: Credential<Composio>,
    /// What of it is seen. Every scan is narrowed to that, so that whoever makes one cannot forget it.
    pub view: View,
    /// Where it enters what it reads.
    pub stats: Arc<OperationStats>,
    /// Whether it reads what may turn out not to be needed: problems of that are not told.
    pub is_prefetch: bool,
}

impl Reader {
    /// Enters the problems of a part that it reads.
    pub(crate) fn reports(&self, part: impl FnOnce() -> PartKey, problems: &ProblemReports) {
        if !self.is_prefetch {
            self.stats.reports(part, problems);
        }
    }
}

/// A scan, with whoever reads it.
#[derive(Debug, Clone)]
pub struct Scan {
    pub(crate) reader: Reader,
    pub(crate) key: Arc<ScanKey>,
}

impl Scan {
    /// The scan of a filter and an order: of what of it the reader sees.
    #[must_use]
    pub fn new(reader: Reader, filter: AccountFilter, order: AccountOrder) -> Self {
        let filter = reader.view.narrow(filter);
        let key = Arc::new(ScanKey { credential: reader.credential.fingerprint(), filter, order });
        Self { reader, key }
    }

    /// The same list from its other end.
    pub(crate) fn opposite(&self) -> Self {
        let ScanKey { filter, order, .. } = &*self.key;
        Self::new(self.reader.clone(), filter.clone(), order.opposite())
    }

    /// Eight bytes that cursors of this scan bear, so that no other scan takes them, and nobody who sees something
    /// else of it.
    pub(crate) fn binding(&self, ids: &IdKey) -> [u8; 8] {
        let ScanKey { credential, filter, order } = &*self.key;
        // A derived `Debug` is one text per value and cannot forget a field that is added later;
        // cursors are versioned, should that text ever change.
        let text = format!("{filter:?}{order:?}");
        let [role, member] = self.reader.view.signature_parts();
        let digest = ids.sign("scan", &[credential.digest(), text.as_bytes(), role, member]);
        let mut binding = [0; 8];
        for (byte, digested) in binding.iter_mut().zip(digest) {
            *byte = digested;
        }
        binding
    }

    /// The moment that an account is ordered by, in microseconds.
    pub(crate) fn order_micros(&self, account: &ConnectedAccount) -> Option<i64> {
        let moment = match self.key.order.field {
            AccountOrderField::CreatedAt => account.created_at,
            AccountOrderField::UpdatedAt => account.updated_at,
        };
        moment.map(jiff::Timestamp::as_microsecond)
    }

    /// Whether `later` comes after `earlier` as this scan runs.
    pub(crate) fn runs_past(&self, earlier: i64, later: i64) -> bool {
        match self.key.order.direction {
            OrderDirection::Asc => later > earlier,
            OrderDirection::Desc => later < earlier,
        }
    }

    /// Whether an account is what the filter asked for. An upstream that answers others is not
    /// trusted: their rows are dropped.
    pub(crate) fn admits(&self, account: &ConnectedAccount) -> bool {
        let AccountFilter {
            ids,
            toolkits,
            statuses,
            user_ids,
            auth_config_ids,
            account_type,
            pending_longer_than: _,
        } = &self.key.filter;
        let held = |values: &Option<FilterValues>, value: &str| {
            values.as_ref().is_none_or(|values| values.contains(value))
        };
        self.reader.view.shows_account(account)
            && held(ids, &account.id)
            && held(toolkits, &account.toolkit.to_ascii_lowercase())
            && held(statuses, account.status.raw())
            && held(auth_config_ids, &account.auth_config.id)
            && held(user_ids, account.user_id.as_deref().unwrap_or_default())
            && match (account_type.unwrap_or(AccountTypeFilter::Private), account.account_type) {
                (AccountTypeFilter::All, _) | (_, None) => true,
                (AccountTypeFilter::Private, Some(account_type)) => account_type == AccountType::Private,
                (AccountTypeFilter::Shared, Some(account_type)) => account_type == AccountType::Shared,
            }
    }
}

/// One upstream page of a scan.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Its accounts, in the scan's order.
    pub items: Vec<SharedAccount>,
    /// How many rows the upstream sent, those that could not be read or did not fit included.
    pub rows_sent: usize,
    /// How many of them are none of the list, as no upstream can be asked for it as it is meant.
    pub rows_set_aside: usize,
    /// Where the next page begins.
    pub next_cursor: Option<Arc<str>>,
    /// How many accounts the scan holds, where the upstream said so.
    pub total_items: Option<u64>,
    /// What could not be read, or did not fit, in the answers that it was made of.
    pub problems: ProblemReports,
}

impl Page {
    /// How many rows could not be read or did not fit the filter: of them nobody knows what they are.
    #[must_use]
    pub fn rows_unread(&self) -> usize {
        self.rows_sent.saturating_sub(self.items.len() + self.rows_set_aside)
    }
}

/// Which page of a scan: the one behind an upstream cursor, the first where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageKey {
    /// The scan.
    pub scan: Arc<ScanKey>,
    /// The upstream's cursor.
    pub cursor: Option<Arc<str>>,
}

impl Weigh for ScanKey {
    fn weight_bytes(&self) -> usize {
        let AccountFilter { ids, toolkits, statuses, user_ids, auth_config_ids, .. } = &self.filter;
        let lists = [ids, toolkits, statuses, user_ids, auth_config_ids];
        let values = lists.into_iter().flatten().flat_map(FilterValues::iter);
        size_of::<Self>() + values.map(|value| value.len() + size_of::<Box<str>>()).sum::<usize>()
    }
}

impl Weigh for PageKey {
    fn weight_bytes(&self) -> usize {
        self.scan.weight_bytes() + self.cursor.as_deref().map_or(0, str::len) + size_of::<Self>()
    }
}

impl CacheKey for PageKey {
    type Upstream = Composio;

    fn credential(&self) -> Fingerprint<Composio> {
        self.scan.credential
    }
}

impl CacheKey for Arc<ScanKey> {
    type Upstream = Composio;

    fn credential(&self) -> Fingerprint<Composio> {
        self.credential
    }
}

impl Weigh for Arc<ScanKey> {
    fn weight_bytes(&self) -> usize {
        self.as_ref().weight_bytes()
    }
}

impl Weigh for Arc<Page> {
    fn weight_bytes(&self) -> usize {
        let items = self.items.iter().map(|account| account.weight_bytes() + size_of::<SharedAccount>());
        size_of::<Page>()
            + items.sum::<usize>()
            + self.next_cursor.as_deref().map_or(0, str::len)
            + self.problems.weight_bytes()
    }
}

impl Weigh for ProblemReports {
    /// Whoever shares one weighs it whole: none of them is gone before the last.
    fn weight_bytes(&self) -> usize {
        self.iter().map(|problems| problems.weight_bytes() + size_of::<Arc<Problems>>()).sum()
    }
}
