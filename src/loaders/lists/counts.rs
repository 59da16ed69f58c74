//! Exact numbers of accounts for many parents, or null.
//!
//! The entry point is `AccountLists::counts`. If a list is completely cached, its number needs no call. Otherwise the
//! cheaper of two ways is chosen:
//!
//! - One call for each number, with a page size of one row, because every page contains the list's total.
//! - One walk over the joined list of all parents, which also caches the lists of the parents.
//!
//! If a number needs more calls than `lists.count_calls_max`, it is null. Numbers are never estimated.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::account_lists::AccountLists;
use super::parent::Parent;
use super::scan::{Reader, Scan};
use super::walk::PageWalk;
use crate::domain::accounts::{AccountStatus, SharedAccount};
use crate::domain::filters::{AccountFilter, AccountOrder, FilterValues};
use crate::domain::open_enum::OpenEnum;
use crate::domain::problems::ProblemReports;
use crate::loaders::cache::freshness::{Cached, Freshness, StalePolicy};
use crate::upstream::error::UpstreamError;

/// Number of accounts by status. Unknown statuses are counted together.
pub type StatusCounts = BTreeMap<AccountStatus, u64>;

/// The numbers of one parent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of all accounts; `None` if the upstream does not report it or the cost exceeds the limit.
    pub total: Option<u64>,
    /// Numbers by status, if requested; `None` as above.
    pub by_status: Option<StatusCounts>,
    /// Freshness of the oldest page used; `None` if nothing was read.
    pub freshness: Option<Freshness>,
}

/// Requested numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CountQuery {
    /// Filter of the counted accounts.
    pub filter: AccountFilter,
    /// Order of the lists whose cached pages may contain the numbers.
    pub order: AccountOrder,
    /// Whether numbers by status are requested.
    pub by_status: bool,
}

/// Maximum difference between the read times of numbers that are subtracted from each other, in seconds.
const SAME_TIME_SECONDS: i64 = 2;

const CALLS_AT_ONCE: usize = 16;

impl AccountLists {
    /// Counts the accounts of every parent. All parents must be of one kind.
    pub async fn counts(
        &self,
        reader: &Reader,
        query: &CountQuery,
        parents: Vec<Parent>,
    ) -> HashMap<Parent, Result<Counts, UpstreamError>> {
        MultiParentCount { lists: self, reader, query }.run(parents).await
    }
}

/// Count of one query for many parents.
struct MultiParentCount<'a> {
    lists: &'a AccountLists,
    reader: &'a Reader,
    query: &'a CountQuery,
}

impl MultiParentCount<'_> {
    fn list(&self, parent: &Parent) -> Scan {
        let filter = parent.narrow(&self.query.filter);
        Scan::new(self.reader.clone(), filter, self.query.order).without_users()
    }

    async fn run(&self, parents: Vec<Parent>) -> HashMap<Parent, Result<Counts, UpstreamError>> {
        let mut counted = HashMap::new();
        let mut unknown = Vec::new();
        for parent in parents {
            match self.available_counts(&parent).await {
                Some(counts) => drop(counted.insert(parent, Ok(counts))),
                None => unknown.push(parent),
            }
        }
        if unknown.is_empty() {
            return counted;
        }
        match self.walk_if_cheaper(&unknown).await {
            Err(error) => counted.extend(unknown.into_iter().map(|parent| (parent, Err(error.clone())))),
            Ok(Some(walked)) => {
                counted.extend(walked.into_iter().map(|(parent, counts)| (parent, Ok(counts))))
            }
            Ok(None) => {
                let is_affordable =
                    unknown.len() * self.calls_per_parent() <= self.lists.settings.count_calls_max;
                let reads = unknown.into_iter().map(|parent| async move {
                    let counts = match is_affordable {
                        true => self.read_numbers(&parent).await,
                        false => Ok(Counts::default()),
                    };
                    (parent, counts)
                });
                counted.extend(stream::iter(reads).buffer_unordered(CALLS_AT_ONCE).collect::<Vec<_>>().await);
            }
        }
        counted
    }

    /// Returns the statuses that the query counts. Each needs a call.
    fn statuses(&self) -> Vec<AccountStatus> {
        let wanted = |status: &AccountStatus| {
            self.query.filter.statuses.as_ref().is_none_or(|statuses| statuses.contains(status.as_str()))
        };
        AccountStatus::KNOWN.iter().copied().filter(wanted).collect()
    }

    /// Returns the number of calls for one parent, at one call for each number.
    fn calls_per_parent(&self) -> usize {
        1 + if self.query.by_status { self.statuses().len() } else { 0 }
    }

    /// Returns the numbers that are available without a call.
    async fn available_counts(&self, parent: &Parent) -> Option<Counts> {
        let list = self.list(parent);
        if list.key.filter.matches_nothing() {
            return Some(self.count_accounts(std::iter::empty(), None));
        }
        for scan in [list.clone(), list.opposite()] {
            if let Some(cached) = self.lists.cached_first_page(&scan).await
                && let page = &cached.value
                && page.is_last()
                && page.total_items.is_none_or(|total| usize::try_from(total) == Ok(page.items.len()))
                && page.items.len() == page.rows_received
            {
                return Some(self.count_accounts(page.items.iter(), Some(cached.freshness)));
            }
        }
        let Cached { value: total, freshness } = self.lists.cached_total(&list).await?;
        match total {
            _ if !self.query.by_status => Some(Counts { total, by_status: None, freshness: Some(freshness) }),
            Some(0) => Some(self.count_accounts(std::iter::empty(), Some(freshness))),
            _ => None,
        }
    }

    /// Counts the accounts of a complete list.
    fn count_accounts<'a>(
        &self,
        accounts: impl Iterator<Item = &'a SharedAccount>,
        freshness: Option<Freshness>,
    ) -> Counts {
        let statuses = AccountStatus::KNOWN.iter().chain([&AccountStatus::Unknown]);
        let mut by_status: StatusCounts = statuses.map(|status| (*status, 0)).collect();
        let mut total = 0;
        for account in accounts {
            total += 1;
            *by_status.entry(account.status.kind()).or_default() += 1;
        }
        Counts { total: Some(total), by_status: self.query.by_status.then_some(by_status), freshness }
    }

    /// Reads the joined list of all parents to its end, if that takes fewer calls than one call for each number.
    /// Returns `None` if it does not, or if the list turned out to be incomplete.
    async fn walk_if_cheaper(
        &self,
        parents: &[Parent],
    ) -> Result<Option<HashMap<Parent, Counts>>, UpstreamError> {
        let calls = parents.len() * self.calls_per_parent();
        let are_users = matches!(parents, [Parent::User(_), _, ..]);
        if calls <= 1 || (are_users && self.lists.are_users_hidden(&self.reader.credential.fingerprint())) {
            return Ok(None);
        }
        let joined = self.list(&Parent::union(parents));
        // A full page instead of a single row: if the walk is cheaper, this is its first page.
        let first = self.lists.page(&joined, None, StalePolicy::AllowStale).await?.value;
        if are_users && self.lists.detect_hidden_users(&joined, &first) {
            return Ok(None);
        }
        let Some(total) = first.total_items else {
            return Ok(None);
        };
        let pages =
            usize::try_from(total).unwrap_or(usize::MAX).div_ceil(self.lists.settings.page_rows.max(1));
        if pages > calls || pages > self.lists.settings.count_calls_max.min(self.lists.settings.pages_max) {
            return Ok(None);
        }
        let mut walk = PageWalk::from(self.lists, &joined, None, StalePolicy::RequireFresh);
        let (mut accounts, mut rows_received): (Vec<SharedAccount>, _) = (Vec::new(), 0);
        let (mut last_total, mut freshness, mut problems) = (Some(total), None, ProblemReports::new());
        while let Some(step) = walk.step().await? {
            if step.is_restart {
                (accounts, rows_received, freshness, problems) = Default::default();
            }
            accounts.extend(step.page.items.iter().filter(|account| walk.is_new(account)).cloned());
            rows_received += step.page.rows_received;
            last_total = step.page.total_items;
            problems.extend_from_slice(&step.page.problems);
            freshness = Freshness::of(freshness.into_iter().chain([step.freshness]));
        }
        // If rows were repeated, unreadable or moved during the walk, the numbers are not exact.
        let is_whole = rows_received == accounts.len() && last_total == u64::try_from(rows_received).ok();
        if walk.was_cut() || !is_whole {
            return Ok(None);
        }
        let counts = parents.iter().map(|parent| {
            let parent_accounts: Vec<SharedAccount> =
                accounts.iter().filter(|account| parent.owns(account)).map(Arc::clone).collect();
            let counts = self.count_accounts(parent_accounts.iter(), freshness);
            if let Some(freshness) = freshness.filter(|_| *parent != Parent::Project) {
                self.lists.cache_whole_list(&self.list(parent), parent_accounts, freshness, problems.clone());
            }
            (parent.clone(), counts)
        });
        Ok(Some(counts.collect()))
    }

    /// Reads each number with one call of page size 1.
    async fn read_numbers(&self, parent: &Parent) -> Result<Counts, UpstreamError> {
        let list = self.list(parent);
        let Cached { value: total, mut freshness } = self.lists.total(&list).await?;
        let (Some(total), true) = (total, self.query.by_status) else {
            return Ok(Counts { total, by_status: None, freshness: Some(freshness) });
        };
        let status_total = |status: AccountStatus| {
            let mut filter = list.key.filter.clone();
            let scan = FilterValues::one("statuses", status.as_str()).map(|value| {
                filter.statuses = Some(value);
                Scan::new(self.reader.clone(), filter, self.query.order).without_users()
            });
            async move {
                let Ok(scan) = scan else { return Ok((status, None)) };
                Ok::<_, UpstreamError>((status, Some(self.lists.total(&scan).await?)))
            }
        };
        let calls = self.statuses().into_iter().map(status_total).collect::<Vec<_>>();
        let totals: Vec<_> = stream::iter(calls).buffered(CALLS_AT_ONCE).try_collect().await?;
        let mut by_status = self.count_accounts(std::iter::empty(), None).by_status.unwrap_or_default();
        let (mut sum, mut newest) = (0, freshness.fetched_at);
        for (status, counted) in totals {
            newest = counted.as_ref().map_or(newest, |counted| newest.max(counted.freshness.fetched_at));
            freshness = counted.as_ref().map_or(freshness, |counted| freshness.and(counted.freshness));
            let Some(count) = counted.and_then(|counted| counted.value) else {
                return Ok(Counts { total: Some(total), by_status: None, freshness: Some(freshness) });
            };
            sum += count;
            by_status.insert(status, count);
        }
        // The remaining accounts have unknown statuses. If the sum exceeds the total, the list has changed meanwhile.
        let by_status = total.checked_sub(sum).map(|rest| {
            by_status.insert(AccountStatus::Unknown, rest);
            by_status
        });
        let is_consistent = self.query.filter.statuses.is_none() || sum == total;
        // Totals that were read at different times may differ because the list changed. Their difference is then not a
        // number of accounts with unknown statuses.
        let were_read_together = sum == total
            || newest.duration_since(freshness.fetched_at)
                <= jiff::SignedDuration::from_secs(SAME_TIME_SECONDS);
        let by_status = by_status.filter(|_| is_consistent && were_read_together);
        Ok(Counts { total: Some(total), by_status, freshness: Some(freshness) })
    }
}
