//! Batched reads of the account lists of many parents.
//!
//! The entry point is `AccountLists::slices`. The same query for N parents (20 providers, 3 accounts each) becomes one
//! *joined* upstream list, which is filtered by all parents. Its rows are then split by parent. A parent is *short* if
//! the joined page has fewer of its rows than requested and is not the whole list: with skewed data, one page may hold
//! the rows of a single parent. Short parents are requested again. (Every other batcher that was measured returns empty
//! lists for them.)
//!
//! The number of further calls is at most the number of short parents: if the parents of a group want at most P rows
//! together, a page of P rows completes at least one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::stream::{self, StreamExt};

use super::account_lists::{AccountLists, ListError};
use super::cursor::ScanDirection;
use super::parent::Parent;
use super::scan::{Page, Reader, Scan};
use super::slice::{Row, ScanRun, Slice};
use super::tie_run::TieRun;
use crate::domain::accounts::SharedAccount;
use crate::domain::filters::{AccountFilter, AccountOrder};
use crate::domain::page::{Direction, PageRequest};
use crate::loaders::cache::freshness::{Cached, StalePolicy};

/// A page of accounts as described by a connection's arguments. Each parent of the field has its own list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountQuery {
    /// Filter of the list.
    pub filter: AccountFilter,
    /// Order of the list.
    pub order: AccountOrder,
    /// Requested part of the list.
    pub page: PageRequest,
}

/// Slices by parent.
pub type Slices = BTreeMap<Parent, Result<Arc<Slice>, ListError>>;

/// Maximum number of joined rounds. Parents that are still short are then requested one by one, concurrently. This
/// bounds the latency as well as the calls.
const JOINED_ROUNDS: usize = 3;

/// Maximum size of the values of one group, in bytes. Many servers reject URLs of more than 8 KiB, and
/// percent-encoding can double the size of a value.
const GROUP_BYTES_MAX: usize = 4_000;

/// Maximum number of concurrent calls of one query.
const CALLS_AT_ONCE: usize = 16;

impl AccountLists {
    /// Reads a query's page for each parent. All parents must be of one kind.
    pub async fn slices(&self, reader: &Reader, query: &AccountQuery, parents: BTreeSet<Parent>) -> Slices {
        MultiParentRead { lists: self, reader, query }.run(parents).await
    }
}

/// Read of one query for many parents.
struct MultiParentRead<'a> {
    lists: &'a AccountLists,
    reader: &'a Reader,
    query: &'a AccountQuery,
}

impl MultiParentRead<'_> {
    /// Returns the list of a parent.
    fn list(&self, parent: &Parent) -> Scan {
        Scan::new(self.reader.clone(), parent.narrow(&self.query.filter), self.query.order)
    }

    /// Returns the scan that starts at the end of the list from which the page is taken.
    fn scan(&self, parent: &Parent) -> Scan {
        let list = self.list(parent);
        match self.scan_direction() {
            ScanDirection::ListOrder => list,
            ScanDirection::Reversed => list.opposite(),
        }
    }

    fn scan_direction(&self) -> ScanDirection {
        match self.query.page.direction {
            Direction::Forward => ScanDirection::ListOrder,
            Direction::Backward => ScanDirection::Reversed,
        }
    }

    /// Returns the number of rows from which a parent is no longer short.
    fn min_rows(&self) -> usize {
        self.query.page.size + usize::from(self.query.page.has_more_selected)
    }

    async fn run(&self, parents: BTreeSet<Parent>) -> Slices {
        let mut slices = Slices::new();
        let (mut short, mut separate): (Vec<_>, Vec<_>) =
            parents.into_iter().partition(|parent| self.is_joinable(parent));
        for _ in 0..JOINED_ROUNDS {
            if short.len() < 2 || !self.can_split_rows(&short) {
                break;
            }
            short = self.read_joined(short, &mut slices).await;
        }
        separate.append(&mut short);
        let reads = stream::iter(separate).map(|parent| {
            let read = async move {
                let slice = self.lists.slice(self.list(&parent), &self.query.page).await;
                (parent, slice.map(Arc::new))
            };
            // Boxed: the stream moves its futures several times.
            read.boxed()
        });
        slices.extend(reads.buffer_unordered(CALLS_AT_ONCE).collect::<Vec<_>>().await);
        slices
    }

    /// Whether the rows of a joined list show the parent to which they belong.
    fn can_split_rows(&self, parents: &[Parent]) -> bool {
        let are_users = matches!(parents.first(), Some(Parent::User(_)));
        !(are_users && self.lists.are_users_hidden(&self.reader.credential.fingerprint()))
    }

    /// Whether a parent's list may be read as part of a joined list. A list with a cursor may not, because a cursor
    /// belongs to one list. An empty list, or one whose first page is cached, needs no call at all.
    fn is_joinable(&self, parent: &Parent) -> bool {
        let scan = self.scan(parent);
        *parent != Parent::Project
            && self.query.page.after.is_none()
            && self.query.page.before.is_none()
            && self.query.page.size > 0
            && !scan.key.filter.matches_nothing()
            && !self.lists.is_first_page_available(&scan)
    }

    /// Requests groups of parents, each as one joined list, concurrently. One page can complete all parents of a group.
    /// The same parents always form the same groups. Returns the parents that are still short.
    async fn read_joined(&self, parents: Vec<Parent>, slices: &mut Slices) -> Vec<Parent> {
        let group_max = (self.lists.settings.page_rows / self.min_rows().max(1)).max(1);
        let groups = parents.len().div_ceil(group_max);
        let group_size = parents.len().div_ceil(groups.max(1)).max(1);
        let calls = groups_of(&parents, group_size).into_iter().map(|group| async move {
            let are_users = matches!(group.first(), Some(Parent::User(_)));
            let joined = self.scan(&Parent::union(group));
            let joined = if are_users { joined.without_users() } else { joined };
            let page = self.lists.page(&joined, None, StalePolicy::AllowStale).await;
            let hides_parents = are_users
                && page.as_ref().is_ok_and(|page| self.lists.detect_hidden_users(&joined, &page.value));
            (group, page, hides_parents)
        });
        let results =
            stream::iter(calls.collect::<Vec<_>>()).buffered(CALLS_AT_ONCE).collect::<Vec<_>>().await;
        let mut short = Vec::new();
        for (group, result, hides_parents) in results {
            if hides_parents {
                short.extend_from_slice(group);
                continue;
            }
            let short_before = short.len();
            for parent in group {
                let slice = match &result {
                    Err(error) => Some(Err(error.clone().into())),
                    Ok(page) => self.part(parent, page).map(|slice| Ok(Arc::new(slice))),
                };
                match slice {
                    Some(slice) => drop(slices.insert(parent.clone(), slice)),
                    None => short.push(parent.clone()),
                }
            }
            let completed = group.len() - (short.len() - short_before);
            self.reader.stats.record_saved_by_batching(completed.saturating_sub(1));
        }
        short
    }

    /// Returns a parent's part of a joined page, or `None` if the parent is short.
    fn part(&self, parent: &Parent, joined: &Cached<Arc<Page>>) -> Option<Slice> {
        let (page, freshness) = (&joined.value, joined.freshness);
        let scan = self.scan(parent);
        let mut ids = BTreeSet::new();
        let parent_rows: Vec<SharedAccount> = page
            .items
            .iter()
            .filter(|account| parent.owns(account) && ids.insert(&*account.id))
            .cloned()
            .collect();
        // A list that ends before its reported total is not complete.
        let has_all_reported_rows = page
            .total_items
            .is_none_or(|total| u64::try_from(page.rows_received).is_ok_and(|sent| total <= sent));
        let is_whole = page.is_last() && has_all_reported_rows;
        if !is_whole && parent_rows.len() < self.min_rows() {
            return None;
        }
        // The index within the parent's own rows is the index in the parent's own list: both begin with the same rows.
        let (mut ties, mut seen) = (TieRun::from_start(), 0);
        let is_ordered = scan.is_page_ordered(page);
        let row = |(index, account): (usize, &SharedAccount)| {
            seen += 1;
            let ties = ties.next(&scan, account, is_ordered);
            let (account, page, is_overlapping) = (Arc::clone(account), None, false);
            Row { account, freshness, page, index, seen, ties, is_ordered, is_overlapping }
        };
        let mut run = ScanRun::empty();
        run.add_freshness(freshness);
        run.rows = parent_rows.iter().enumerate().take(self.query.page.size).map(row).collect();
        run.has_more =
            parent_rows.len() > self.query.page.size || (!is_whole && !self.query.page.has_more_selected);
        // An unreadable row may belong to any parent, so only a full slice is complete then.
        let is_readable = page.rows_rejected() == 0;
        run.is_complete = is_readable || run.rows.len() == self.query.page.size;
        if is_whole && is_readable {
            run.total_items = u64::try_from(parent_rows.len()).ok();
            self.lists.cache_whole_list(&scan, parent_rows, freshness, page.problems.clone());
        }
        Some(Slice::new(self.lists, self.list(parent), self.scan_direction(), self.query.page.direction, run))
    }
}

/// Splits sorted parents into groups of at most `size` parents whose values fit into a URL.
fn groups_of(parents: &[Parent], size: usize) -> Vec<&[Parent]> {
    let mut groups = Vec::new();
    let mut rest = parents;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take(size).take_while(|parent| {
            bytes += parent.text_bytes();
            bytes <= GROUP_BYTES_MAX
        });
        let (group, others) = rest.split_at(fitting.count().max(1));
        groups.push(group);
        rest = others;
    }
    groups
}
