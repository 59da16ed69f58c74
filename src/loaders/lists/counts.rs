//! How many accounts there are, of many parents at once: exact, or not told.
//!
//! A count is free where its list was seen to its end. Else it has a price in calls, and the cheaper
//! way is taken: a call for one row for each number that is wanted (the upstream tells a list's total
//! on every page), or one walk to the end of all the lists joined, which then also keeps them. What
//! would cost more than the limit is not told: no count is ever a guess.

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

/// How many accounts are in each status, the unknown ones together.
pub type StatusCounts = BTreeMap<AccountStatus, u64>;

/// A parent's numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// All its accounts; `None` where the upstream did not say, or the price was too high.
    pub total: Option<u64>,
    /// By status, where that was asked for; `None` as above.
    pub by_status: Option<StatusCounts>,
    /// The age of the oldest page that told them; none where nothing had to be read.
    pub freshness: Option<Freshness>,
}

/// Which numbers are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CountQuery {
    /// Which accounts count.
    pub filter: AccountFilter,
    /// The order of the lists whose pages may know the numbers already.
    pub order: AccountOrder,
    /// Whether the numbers by status are wanted too.
    pub by_status: bool,
}

/// How far apart numbers may have been read that are to add up, in seconds.
const ONE_TIME_SECONDS: i64 = 2;

/// The statuses that an upstream can be asked for.
const STATUSES: [AccountStatus; 7] = [
    AccountStatus::Initializing,
    AccountStatus::Initiated,
    AccountStatus::Active,
    AccountStatus::Failed,
    AccountStatus::Expired,
    AccountStatus::Inactive,
    AccountStatus::Revoked,
];

const CALLS_AT_ONCE: usize = 16;

impl AccountLists {
    /// Counts for every parent; all of them are of one kind.
    pub async fn counts(
        &self,
        reader: &Reader,
        query: &CountQuery,
        parents: Vec<Parent>,
    ) -> HashMap<Parent, Result<Counts, UpstreamError>> {
        Counting { lists: self, reader, query }.run(parents).await
    }
}

/// One query for numbers of many parents.
struct Counting<'a> {
    lists: &'a AccountLists,
    reader: &'a Reader,
    query: &'a CountQuery,
}

impl Counting<'_> {
    fn list(&self, parent: &Parent) -> Scan {
        Scan::new(self.reader.clone(), parent.narrow(&self.query.filter), self.query.order)
    }

    async fn run(&self, parents: Vec<Parent>) -> HashMap<Parent, Result<Counts, UpstreamError>> {
        let mut counted = HashMap::new();
        let mut unknown = Vec::new();
        for parent in parents {
            match self.known(&parent).await {
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
                    unknown.len() * self.calls_each() <= self.lists.settings().count_calls_max;
                let each = unknown.into_iter().map(|parent| async move {
                    let counts = match is_affordable {
                        true => self.call(&parent).await,
                        false => Ok(Counts::default()),
                    };
                    (parent, counts)
                });
                counted.extend(stream::iter(each).buffer_unordered(CALLS_AT_ONCE).collect::<Vec<_>>().await);
            }
        }
        counted
    }

    /// The statuses to ask for, one call each.
    fn statuses(&self) -> Vec<AccountStatus> {
        let wanted = |status: &AccountStatus| {
            self.query.filter.statuses.as_ref().is_none_or(|statuses| statuses.contains(status.as_str()))
        };
        STATUSES.into_iter().filter(wanted).collect()
    }

    /// What one parent costs by calls for one row.
    fn calls_each(&self) -> usize {
        1 + if self.query.by_status { self.statuses().len() } else { 0 }
    }

    /// What costs nothing.
    async fn known(&self, parent: &Parent) -> Option<Counts> {
        let list = self.list(parent);
        if list.key.filter.matches_nothing() {
            return Some(self.of(std::iter::empty(), None));
        }
        for scan in [list.clone(), list.opposite()] {
            if let Some(kept) = self.lists.cached_first_page(&scan).await
                && let page = &kept.value
                && page.next_cursor.is_none()
                && page.total_items.is_none_or(|total| usize::try_from(total) == Ok(page.items.len()))
                && page.items.len() == page.rows_sent
            {
                return Some(self.of(page.items.iter(), Some(kept.freshness)));
            }
        }
        let Cached { value: total, freshness } = self.lists.cached_total(&list).await?;
        match total {
            _ if !self.query.by_status => Some(Counts { total, by_status: None, freshness: Some(freshness) }),
            Some(0) => Some(self.of(std::iter::empty(), Some(freshness))),
            _ => None,
        }
    }

    /// Numbers of accounts that are all there.
    fn of<'a>(
        &self,
        accounts: impl Iterator<Item = &'a SharedAccount>,
        freshness: Option<Freshness>,
    ) -> Counts {
        let mut by_status: StatusCounts =
            STATUSES.into_iter().chain([AccountStatus::Unknown]).map(|status| (status, 0)).collect();
        let mut total = 0;
        for account in accounts {
            total += 1;
            *by_status.entry(account.status.kind()).or_default() += 1;
        }
        Counts { total: Some(total), by_status: self.query.by_status.then_some(by_status), freshness }
    }

    /// Reads all the lists joined to their end, where that takes fewer calls than asking for each
    /// number; `None` where it does not, or where the walk turned out not to be whole.
    async fn walk_if_cheaper(
        &self,
        parents: &[Parent],
    ) -> Result<Option<HashMap<Parent, Counts>>, UpstreamError> {
        let calls = parents.len() * self.calls_each();
        if calls <= 1 {
            return Ok(None);
        }
        let joined = self.list(&Parent::union(parents));
        // The first page and not one row: where the walk is the cheaper way, it has begun.
        let Some(total) = self.lists.page(&joined, None, StalePolicy::AllowStale).await?.value.total_items
        else {
            return Ok(None);
        };
        let pages =
            usize::try_from(total).unwrap_or(usize::MAX).div_ceil(self.lists.settings().page_rows.max(1));
        if pages > calls || pages > self.lists.settings().count_calls_max.min(self.lists.settings().pages_max)
        {
            return Ok(None);
        }
        let mut walk = PageWalk::from(self.lists, &joined, None, StalePolicy::RequireFresh);
        let (mut accounts, mut rows_sent): (Vec<SharedAccount>, _) = (Vec::new(), 0);
        let (mut last_total, mut freshness, mut problems) = (Some(total), None, ProblemReports::new());
        while let Some(step) = walk.step().await? {
            accounts.extend(step.page.items.iter().filter(|account| walk.is_new(account)).cloned());
            rows_sent += step.page.rows_sent;
            last_total = step.page.total_items;
            problems.extend_from_slice(&step.page.problems);
            freshness = Freshness::of(freshness.into_iter().chain([step.freshness]));
        }
        // Rows that came twice, could not be read or moved meanwhile: then the walk counted nothing.
        let is_whole = rows_sent == accounts.len() && last_total == u64::try_from(rows_sent).ok();
        if walk.was_cut() || !is_whole {
            return Ok(None);
        }
        let counts = parents.iter().map(|parent| {
            let own: Vec<SharedAccount> =
                accounts.iter().filter(|account| parent.owns(account)).map(Arc::clone).collect();
            let counts = self.of(own.iter(), freshness);
            if let Some(freshness) = freshness.filter(|_| *parent != Parent::Project) {
                self.lists.cache_whole_list(&self.list(parent), own, freshness, problems.clone());
            }
            (parent.clone(), counts)
        });
        Ok(Some(counts.collect()))
    }

    /// One call for one row for each number.
    async fn call(&self, parent: &Parent) -> Result<Counts, UpstreamError> {
        let list = self.list(parent);
        let Cached { value: total, mut freshness } = self.lists.total(&list).await?;
        let (Some(total), true) = (total, self.query.by_status) else {
            return Ok(Counts { total, by_status: None, freshness: Some(freshness) });
        };
        let of_status = |status: AccountStatus| {
            let mut filter = list.key.filter.clone();
            let scan = FilterValues::one("statuses", status.as_str()).map(|value| {
                filter.statuses = Some(value);
                Scan::new(self.reader.clone(), filter, self.query.order)
            });
            async move {
                let Ok(scan) = scan else { return Ok((status, None)) };
                Ok::<_, UpstreamError>((status, Some(self.lists.total(&scan).await?)))
            }
        };
        let calls = self.statuses().into_iter().map(of_status).collect::<Vec<_>>();
        let told: Vec<_> = stream::iter(calls).buffered(CALLS_AT_ONCE).try_collect().await?;
        let mut by_status = self.of(std::iter::empty(), None).by_status.unwrap_or_default();
        let (mut sum, mut newest) = (0, freshness.fetched_at);
        for (status, told) in told {
            newest = told.as_ref().map_or(newest, |told| newest.max(told.freshness.fetched_at));
            freshness = told.as_ref().map_or(freshness, |told| freshness.and(told.freshness));
            let Some(count) = told.and_then(|told| told.value) else {
                return Ok(Counts { total: Some(total), by_status: None, freshness: Some(freshness) });
            };
            sum += count;
            by_status.insert(status, count);
        }
        // What no known status covers is of an unknown one; more than all of it is no answer.
        let by_status = total.checked_sub(sum).map(|rest| {
            by_status.insert(AccountStatus::Unknown, rest);
            by_status
        });
        let is_consistent = self.query.filter.statuses.is_none() || sum == total;
        // Numbers of different times do not add up: what is left over of them is of no status.
        let is_of_one_time = sum == total
            || newest.duration_since(freshness.fetched_at)
                <= jiff::SignedDuration::from_secs(ONE_TIME_SECONDS);
        let by_status = by_status.filter(|_| is_consistent && is_of_one_time);
        Ok(Counts { total: Some(total), by_status, freshness: Some(freshness) })
    }
}
