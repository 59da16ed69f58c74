//! Finds what changed in a project's accounts between two polls.
//!
//! The list can be long, so only its beginning is read: sorted by the time of the last change, down to the newest
//! change that is already known. A removed account does not appear there; only the list's total shows that one was
//! removed. A walk over the whole list then finds which one, if the list is not longer than a setting allows. An
//! account is reported as removed only if such a walk did not find it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::change::{AccountChange, Change};
use super::poller::{PollResult, Poller};
use crate::domain::accounts::{AccountType, SharedAccount};
use crate::domain::change::{ChangeCause, Transition};
use crate::domain::credential::Credential;
use crate::domain::filters::{
    AccountFilter, AccountOrder, AccountOrderField, AccountTypeFilter, OrderDirection,
};
use crate::domain::upstream_name::Composio;
use crate::domain::view::View;
use crate::loaders::cache::freshness::{Cached, StalePolicy};
use crate::loaders::data_sources::DataSources;
use crate::loaders::lists::scan::{Page, Reader, Scan};
use crate::loaders::lists::walk::PageWalk;
use crate::loaders::stats::OperationStats;
use crate::upstream::error::UpstreamError;

const NEWEST_CHANGE_FIRST: AccountOrder =
    AccountOrder { field: AccountOrderField::UpdatedAt, direction: OrderDirection::Desc };

pub(super) struct AccountPoller {
    sources: Arc<DataSources>,
    scan: Scan,
    pages_max: usize,
    /// State at the last poll; `None` before the first poll.
    seen: Option<Snapshot>,
}

struct Snapshot {
    first_page: Arc<Page>,
    /// The known accounts, by id.
    accounts: HashMap<Box<str>, SharedAccount>,
    /// Time of the newest known change, and the ids of the accounts that changed at that time.
    newest: Option<Timestamp>,
    newest_ids: HashSet<Box<str>>,
    /// Number of accounts.
    total: Option<u64>,
    /// Accounts of unknown type that were last read with the shared ones. They may be shared.
    unconfirmed: HashSet<Box<str>>,
}

/// The part of the list that a poll has read, newest change first.
struct ListHead {
    rows: Vec<SharedAccount>,
    total: Option<u64>,
    is_whole: bool,
    /// Whether the list is longer than a setting allows.
    is_capped: bool,
    /// Whether all pages state the same total. If they do not, the list changed while it was read, and a row can have
    /// moved to a page that was read before.
    is_stable: bool,
}

impl AccountPoller {
    /// Creates a poller of the accounts that a view shows.
    pub(super) fn new(
        sources: Arc<DataSources>,
        credential: Credential<Composio>,
        view: View,
        pages_max: usize,
    ) -> Self {
        let scan = scan(credential, view, Some(AccountTypeFilter::All));
        Self { sources, scan, pages_max, seen: None }
    }

    /// Reads the first page through the cache. If the upstream rejects `account_type`, the page is read without it.
    async fn first_page(&mut self) -> Result<Cached<Arc<Page>>, UpstreamError> {
        match self.sources.lists.page(&self.scan, None, StalePolicy::RequireFresh).await {
            Err(error)
                if error.can_be_a_rejected_account_type() && self.scan.key.filter.account_type.is_some() =>
            {
                let Reader { credential, view, .. } = self.scan.reader.clone();
                let without = scan(credential, view, None);
                let page = self.sources.lists.page(&without, None, StalePolicy::RequireFresh).await?;
                self.scan = without;
                if let Some(seen) = &mut self.seen {
                    seen.forget_shared();
                }
                Ok(page)
            }
            page => page,
        }
    }

    /// Reads from the beginning of the list until a row for which `is_enough` is true. If the first page has no such
    /// row, it is read again together with the others: rows may have moved from it to later pages that are cached.
    async fn read(
        &self,
        Cached { value: first, freshness }: &Cached<Arc<Page>>,
        is_enough: impl Fn(&SharedAccount) -> bool,
    ) -> Result<ListHead, UpstreamError> {
        let is_end = first.is_last();
        if is_end || first.items.iter().any(&is_enough) {
            let (rows, total) = (first.items.clone(), first.total_items);
            return Ok(ListHead { rows, total, is_whole: is_end, is_capped: false, is_stable: true });
        }
        // Accepts pages that another replica fetched at the same time as this first page, or later.
        let since = self.sources.lists.upstream_cache.clock.instant(freshness.fetched_at);
        let mut walk = PageWalk::since(&self.sources.lists, &self.scan, since);
        let mut read = ListHead {
            rows: Vec::new(),
            total: first.total_items,
            is_whole: false,
            is_capped: false,
            is_stable: true,
        };
        for _ in 0..self.pages_max {
            let Some(step) = walk.step().await? else { break };
            if step.is_restart {
                read.rows.clear();
            }
            let is_last_page = step.page.items.iter().any(&is_enough);
            let is_first_page = read.rows.is_empty();
            read.is_stable = is_first_page || (read.is_stable && read.total == step.page.total_items);
            read.total = step.page.total_items;
            read.rows.extend(step.page.items.iter().filter(|account| walk.is_new(account)).cloned());
            if is_last_page {
                return Ok(read);
            }
        }
        read.is_whole = !walk.may_have_more() && !walk.was_cut();
        read.is_capped = walk.may_have_more() || walk.was_capped();
        Ok(read)
    }
}

impl Poller for AccountPoller {
    type Upstream = Composio;
    type Change = AccountChange;

    fn for_view(&self, view: &View) -> Option<Self> {
        let Reader { credential, view: polled, .. } = &self.scan.reader;
        let are_users_hidden = self.sources.lists.are_users_hidden(&credential.fingerprint());
        (are_users_hidden && polled.is_full() && !view.is_full())
            .then(|| Self::new(Arc::clone(&self.sources), credential.clone(), view.clone(), self.pages_max))
    }

    async fn poll(&mut self, cause: ChangeCause) -> Result<PollResult<AccountChange>, UpstreamError> {
        let first = self.first_page().await?;
        let freshness = first.freshness;
        let clock = self.sources.lists.upstream_cache.clock;
        let next_at = clock.instant(freshness.refresh_due_at);
        let Some(mut seen) = self.seen.take() else {
            let read = self.read(&first, |_| false).await?;
            self.seen = Some(Snapshot::of(first.value, read));
            return Ok(PollResult { changes: Vec::new(), next_at });
        };
        if Arc::ptr_eq(&first.value, &seen.first_page) {
            self.seen = Some(seen);
            return Ok(PollResult { changes: Vec::new(), next_at });
        }
        let changes = self.changes(&mut seen, first).await;
        self.seen = Some(seen);
        let at = clock.now();
        let changes = changes?.into_iter().map(|states| Change { cause, at, freshness, states }).collect();
        Ok(PollResult { changes, next_at })
    }
}

impl AccountPoller {
    /// Returns the changes since the last poll, oldest first and removals last. If a read fails, the state is
    /// unchanged.
    async fn changes(
        &self,
        seen: &mut Snapshot,
        first: Cached<Arc<Page>>,
    ) -> Result<Vec<Transition<SharedAccount>>, UpstreamError> {
        let newest = seen.newest;
        let is_behind = |account: &SharedAccount| match (newest, account.updated_at) {
            (Some(newest), Some(updated_at)) => updated_at < newest,
            _ => false,
        };
        let read = self.read(&first, is_behind).await?;
        let total_before = seen.total;
        let mut changes: Vec<_> = read
            .rows
            .iter()
            .rev()
            .filter(|row| !is_behind(row))
            .filter_map(|row| seen.transition(row))
            .collect();
        let added = changes.iter().filter(|states| matches!(states, Transition::Added(_))).count() as u64;
        let has_removals = match (total_before, read.total) {
            (Some(before), Some(now)) => now < before + added,
            _ => false,
        };
        let removed = match has_removals {
            true => self.removed(seen, &read, &first).await?,
            false => Some(Vec::new()),
        };
        seen.update(first.value, &read);
        if removed.is_none() {
            // The next poll compares with the same total, so that the removal is still found.
            seen.total = total_before.map(|before| before + added);
        }
        let removed = removed.unwrap_or_default();
        for account in &removed {
            seen.accounts.remove(&account.id);
        }
        changes.extend(removed.into_iter().map(Transition::Removed));
        Ok(changes)
    }

    /// Returns the known accounts that are missing in the whole list; none if the list is too long, and `None` if it
    /// could not be read completely this time.
    async fn removed(
        &self,
        seen: &Snapshot,
        read: &ListHead,
        first: &Cached<Arc<Page>>,
    ) -> Result<Option<Vec<SharedAccount>>, UpstreamError> {
        let reread;
        let whole_list = if read.is_whole {
            read
        } else {
            reread = self.read(first, |_| false).await?;
            &reread
        };
        let is_consistent = whole_list.total.is_none_or(|total| total == whole_list.rows.len() as u64);
        if whole_list.is_capped {
            return Ok(Some(Vec::new()));
        }
        if !whole_list.is_whole || !whole_list.is_stable || !is_consistent {
            return Ok(None);
        }
        let listed_ids: HashSet<&str> = whole_list.rows.iter().map(|account| &*account.id).collect();
        let is_removed = |account: &&SharedAccount| {
            !listed_ids.contains(&*account.id) && !seen.unconfirmed.contains(&account.id)
        };
        let mut removed: Vec<SharedAccount> = seen.accounts.values().filter(is_removed).cloned().collect();
        removed.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Some(removed))
    }
}

/// Maximum number of accounts whose last state is stored.
const ACCOUNTS_MAX: usize = 10_000;

impl Snapshot {
    fn of(first_page: Arc<Page>, read: ListHead) -> Self {
        let mut seen = Self {
            first_page: Arc::clone(&first_page),
            accounts: HashMap::new(),
            newest: None,
            newest_ids: HashSet::new(),
            total: None,
            unconfirmed: HashSet::new(),
        };
        seen.update(first_page, &read);
        seen
    }

    /// Returns the change that a row implies, or `None` if it shows no change.
    fn transition(&self, row: &SharedAccount) -> Option<Transition<SharedAccount>> {
        let after = Arc::clone(row);
        match self.accounts.get(&row.id) {
            Some(before) if is_same(before, row) => None,
            Some(before) => Some(Transition::Updated { before: Some(Arc::clone(before)), after }),
            // It changed at the time of the newest known change and was already seen then.
            None if self.newest_ids.contains(&row.id) => None,
            None if row.created_at >= self.newest => Some(Transition::Added(after)),
            None => Some(Transition::Updated { before: None, after }),
        }
    }

    /// Forgets shared accounts. The list no longer has them, although they were not removed.
    fn forget_shared(&mut self) {
        self.accounts.retain(|_, account| account.account_type != Some(AccountType::Shared));
        let untyped = self.accounts.values().filter(|account| account.account_type.is_none());
        self.unconfirmed = untyped.map(|account| account.id.clone()).collect();
        self.total = None;
    }

    fn update(&mut self, first_page: Arc<Page>, read: &ListHead) {
        self.first_page = first_page;
        self.total = read.total.or(self.total);
        if let Some(newest) = read.rows.iter().filter_map(|row| row.updated_at).max()
            && self.newest.is_none_or(|known| known <= newest)
        {
            if self.newest != Some(newest) {
                self.newest_ids.clear();
            }
            self.newest = Some(newest);
            let rows_of_newest = read.rows.iter().filter(|row| row.updated_at == Some(newest));
            self.newest_ids.extend(rows_of_newest.map(|row| row.id.clone()));
        }
        for row in &read.rows {
            self.unconfirmed.remove(&row.id);
            if self.accounts.len() < ACCOUNTS_MAX || self.accounts.contains_key(&row.id) {
                self.accounts.insert(row.id.clone(), Arc::clone(row));
            }
        }
    }
}

/// Whether an account has not changed in the fields that subscribers observe.
fn is_same(before: &SharedAccount, after: &SharedAccount) -> bool {
    before.updated_at == after.updated_at
        && before.status == after.status
        && before.is_disabled == after.is_disabled
        && before.auth_config.is_disabled == after.auth_config.is_disabled
        && before.user_id == after.user_id
        && before.alias == after.alias
}

fn scan(credential: Credential<Composio>, view: View, account_type: Option<AccountTypeFilter>) -> Scan {
    // No client requested this data, so its problems are not reported.
    let stats = Arc::new(OperationStats::background());
    let reader = Reader { credential, view, stats, is_prefetch: true };
    Scan::new(reader, AccountFilter { account_type, ..AccountFilter::default() }, NEWEST_CHANGE_FIRST)
}
