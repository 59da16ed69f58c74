//! A scan: one complete upstream list with one filter and one order. A query may request any part of it.
//!
//! All pages of a scan have the same size, so queries for 3, 10 or 50 items share its cached pages.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use ahash::RandomState;
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

/// Identity of a scan. Scans with equal keys share their cached pages.
#[derive(Clone, PartialEq, Eq)]
pub struct ScanKey {
    /// Of all other fields: several caches look up each key.
    hash: u64,
    /// Credential that reads the list.
    pub credential: Fingerprint<Composio>,
    /// Filter of the list.
    pub filter: AccountFilter,
    /// Order of the list.
    pub order: AccountOrder,
}

impl ScanKey {
    fn new(credential: Fingerprint<Composio>, filter: AccountFilter, order: AccountOrder) -> Self {
        static HASHES: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let hash = HASHES.hash_one((credential, &filter, order));
        Self { hash, credential, filter, order }
    }
}

impl Hash for ScanKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Without the hash, which differs between processes: replicas name their shared entries by this text.
impl fmt::Debug for ScanKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hash: _, credential, filter, order } = self;
        f.debug_struct("ScanKey")
            .field("credential", credential)
            .field("filter", filter)
            .field("order", order)
            .finish()
    }
}

/// The caller of a Composio read: its credential, its view and its statistics.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Credential of the read.
    pub credential: Credential<Composio>,
    /// The accounts that the caller may see. [`Scan::new`] narrows every filter to them, so that no code path can
    /// forget to.
    pub view: View,
    /// Statistics in which the read is recorded.
    pub stats: Arc<OperationStats>,
    /// Whether the data is read in advance and may not be needed. Problems in it are then not reported.
    pub is_prefetch: bool,
}

impl Reader {
    /// Reports the problems of a part of the response.
    pub(crate) fn record_problems(&self, part: impl FnOnce() -> PartKey, problems: &ProblemReports) {
        if !self.is_prefetch {
            self.stats.record_problems(part, problems);
        }
    }
}

/// A scan and its reader.
#[derive(Debug, Clone)]
pub struct Scan {
    pub(crate) reader: Reader,
    pub(crate) key: Arc<ScanKey>,
    /// Whether the user of each row is needed, if the filter has several users and the rows name none of them.
    pub(super) needs_users: bool,
}

impl Scan {
    /// Creates a scan of the accounts that the filter allows and the reader may see.
    #[must_use]
    pub fn new(reader: Reader, filter: AccountFilter, order: AccountOrder) -> Self {
        let filter = reader.view.narrow(filter);
        let key = Arc::new(ScanKey::new(reader.credential.fingerprint(), filter, order));
        Self { reader, key, needs_users: true }
    }

    /// The same list, to count its rows or to split them by user: rows that do not name their users stay without.
    pub(super) fn without_users(self) -> Self {
        Self { needs_users: false, ..self }
    }

    /// Returns the scan of the same list in the opposite order.
    pub(crate) fn opposite(&self) -> Self {
        let ScanKey { filter, order, .. } = &*self.key;
        let opposite = Self::new(self.reader.clone(), filter.clone(), order.opposite());
        Self { needs_users: self.needs_users, ..opposite }
    }

    /// The users of the filter, if there are several.
    pub(super) fn several_users(&self) -> Option<&FilterValues> {
        self.key.filter.user_ids.as_ref().filter(|users| users.only().is_none())
    }

    /// Returns the key that signs the cursors of this scan: the configured one, or one of its credential.
    pub(crate) fn id_key(&self, configured: Option<&IdKey>) -> IdKey {
        configured.cloned().unwrap_or_else(|| IdKey::from_fingerprint(&self.key.credential))
    }

    /// Returns eight bytes that cursors of this scan contain. A cursor of another scan, or of a caller with another
    /// view, has other bytes and is rejected.
    pub(crate) fn binding(&self, ids: &IdKey) -> [u8; 8] {
        let ScanKey { credential, filter, order, .. } = &*self.key;
        // The derived `Debug` text differs for different values and includes fields that are added later. If the text
        // changes in a release, the cursor's version must change too.
        let text = format!("{filter:?}{order:?}");
        let [role, member] = self.reader.view.signature_parts();
        ids.sign("scan", &[credential.digest(), text.as_bytes(), role, member])
    }

    /// Returns the timestamp by which an account is ordered, in microseconds.
    pub(crate) fn order_micros(&self, account: &ConnectedAccount) -> Option<i64> {
        let timestamp = match self.key.order.field {
            AccountOrderField::CreatedAt => account.created_at,
            AccountOrderField::UpdatedAt => account.updated_at,
        };
        timestamp.map(jiff::Timestamp::as_microsecond)
    }

    /// Whether `later` comes after `earlier` in this scan's order.
    pub(crate) fn precedes(&self, earlier: i64, later: i64) -> bool {
        match self.key.order.direction {
            OrderDirection::Asc => later > earlier,
            OrderDirection::Desc => later < earlier,
        }
    }

    /// Whether the rows of a page are in this scan's order. Rows without a timestamp are ignored.
    pub(crate) fn is_page_ordered(&self, page: &Page) -> bool {
        let mut times = page.items.iter().filter_map(|account| self.order_micros(account));
        let mut last = times.next();
        times.all(|time| last.replace(time).is_none_or(|last| !self.precedes(time, last)))
    }

    /// Whether the filter and the reader's view allow an account. The upstream's own filtering is not trusted.
    pub(crate) fn admits(&self, account: &ConnectedAccount) -> bool {
        allows(&self.key.filter.user_ids, account.user_id.as_deref().unwrap_or_default())
            && self.admits_ignoring_user(account)
    }

    /// Like [`Self::admits`], but ignores the filter by user: for rows that do not name their users. A member's rows
    /// have their user by now, or the view hides them.
    pub(crate) fn admits_ignoring_user(&self, account: &ConnectedAccount) -> bool {
        let AccountFilter {
            ids,
            toolkits,
            statuses,
            user_ids: _,
            auth_config_ids,
            account_type,
            pending_longer_than: _,
        } = &self.key.filter;
        self.reader.view.shows_account(account)
            && allows(ids, &account.id)
            && allows(toolkits, account.toolkit.as_str())
            && allows(statuses, account.status.raw())
            && allows(auth_config_ids, &account.auth_config.id)
            && match (account_type.unwrap_or(AccountTypeFilter::Private), account.account_type) {
                (AccountTypeFilter::All, _) | (_, None) => true,
                (AccountTypeFilter::Private, Some(account_type)) => account_type == AccountType::Private,
                (AccountTypeFilter::Shared, Some(account_type)) => account_type == AccountType::Shared,
            }
    }
}

fn allows(values: &Option<FilterValues>, value: &str) -> bool {
    values.as_ref().is_none_or(|values| values.contains(value))
}

/// One page of a scan, without the rows that do not belong to it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Its accounts, in the scan's order.
    pub items: Vec<SharedAccount>,
    /// Number of rows in the upstream's response, including unreadable and disallowed rows.
    pub rows_received: usize,
    /// Number of rows that were removed by a filter that the upstream does not support.
    pub rows_filtered_out: usize,
    /// The upstream's cursor of the next page.
    pub next_cursor: Option<Arc<str>>,
    /// Whether more pages follow that cannot be reached, because their cursor is unreadable.
    pub has_unreadable_cursor: bool,
    /// Whether the rows are of several users, name none of them, and were read where that does not matter.
    pub lacks_users: bool,
    /// Number of accounts of the scan, if the upstream reports it.
    pub total_items: Option<u64>,
    /// Problems in the upstream's responses: unreadable values and disallowed rows.
    pub problems: ProblemReports,
}

impl Page {
    /// Returns the number of accounts of the scan, if the view may know it.
    ///
    /// An upstream that ignores `user_ids` counts the accounts of other users too. A MEMBER therefore gets a total only
    /// if every row of this page is its own and, for a list of one page, the total equals the number of rows.
    #[must_use]
    pub(crate) fn total(&self, view: &View, is_first: bool) -> Option<u64> {
        let is_whole = is_first && self.is_last();
        let is_plausible = |total: u64| {
            self.rows_rejected() == 0 && (!is_whole || usize::try_from(total) == Ok(self.items.len()))
        };
        self.total_items.filter(|total| view.is_full() || is_plausible(*total))
    }

    /// Whether no page follows.
    pub(crate) fn is_last(&self) -> bool {
        self.next_cursor.is_none() && !self.has_unreadable_cursor
    }

    /// Returns the number of rows that were unreadable or not allowed by the filter.
    pub(crate) fn rows_rejected(&self) -> usize {
        self.rows_received.saturating_sub(self.items.len() + self.rows_filtered_out)
    }
}

/// Key of a page: the upstream's cursor, or `None` for the first page.
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
    /// Each owner of a shared report counts its full weight, because it is freed only with the last owner.
    fn weight_bytes(&self) -> usize {
        self.iter().map(|problems| problems.weight_bytes() + size_of::<Arc<Problems>>()).sum()
    }
}
