//! Many lists in few calls: the accounts of many parents at once.
//!
//! The same question about N parents (20 providers, 3 accounts each) is one upstream list filtered
//! by all of them, split by value on return. One page of such a list is *not* the whole: where the
//! data is skewed it holds the rows of one parent and none of the others. Every batcher that was
//! measured answers empty lists there; this one asks again for those that came out short.
//!
//! A page of P rows cannot leave everybody short: among parents that want at most P rows together,
//! one at least gets all it wants. So every further call finishes a parent, and there are never more
//! of them than parents that were short.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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

/// A page of accounts, as a connection's arguments describe it. Every parent of the field has its own list of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountQuery {
    /// Which accounts.
    pub filter: AccountFilter,
    /// In which order.
    pub order: AccountOrder,
    /// Which part of the list.
    pub page: PageRequest,
}

/// The answers, by parent.
pub type Slices = BTreeMap<Parent, Result<Arc<Slice>, ListError>>;

/// Rounds in which parents that are short are asked for together; those still short after them are
/// asked for one by one, all at once, so that the wait is bounded as well as the calls.
const JOINED_ROUNDS: usize = 3;

/// How much text the values of one group may be, in bytes: many servers refuse URLs of more than 8 KiB,
/// and a value can double when it is percent-encoded.
const GROUP_BYTES_MAX: usize = 4_000;

/// How many calls of one question are under way at once.
const CALLS_AT_ONCE: usize = 16;

impl AccountLists {
    /// Reads a query's page for every parent; all of them are of one kind.
    pub async fn slices(&self, reader: &Reader, query: &AccountQuery, parents: BTreeSet<Parent>) -> Slices {
        MultiParentRead { lists: self, reader, query }.run(parents).await
    }
}

/// One query for many parents.
struct MultiParentRead<'a> {
    lists: &'a AccountLists,
    reader: &'a Reader,
    query: &'a AccountQuery,
}

impl MultiParentRead<'_> {
    /// A parent's list.
    fn list(&self, parent: &Parent) -> Scan {
        Scan::new(self.reader.clone(), parent.narrow(&self.query.filter), self.query.order)
    }

    /// The scan that begins at the end of the list that is asked for.
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

    /// How many rows of a parent are enough.
    fn rows_enough(&self) -> usize {
        self.query.page.size + usize::from(self.query.page.has_more_selected)
    }

    async fn run(&self, parents: BTreeSet<Parent>) -> Slices {
        let mut slices = Slices::new();
        let (joinable, mut alone): (Vec<_>, Vec<_>) =
            parents.into_iter().partition(|parent| self.is_joinable(parent));
        let mut short = joinable;
        for _ in 0..JOINED_ROUNDS {
            if short.len() < 2 {
                break;
            }
            short = self.ask_joined(short, &mut slices).await;
        }
        alone.append(&mut short);
        let answered = stream::iter(alone).map(|parent| async move {
            let slice = self.lists.slice(self.list(&parent), &self.query.page).await;
            (parent, slice.map(Arc::new))
        });
        slices.extend(answered.buffer_unordered(CALLS_AT_ONCE).collect::<Vec<_>>().await);
        slices
    }

    /// Whether a parent's list may be read as a part of another. A cursor belongs to one list, and
    /// a list whose first page is kept, or that holds nothing, costs no call of its own.
    fn is_joinable(&self, parent: &Parent) -> bool {
        let scan = self.scan(parent);
        *parent != Parent::Project
            && self.query.page.after.is_none()
            && self.query.page.before.is_none()
            && self.query.page.size > 0
            && !scan.key.filter.matches_nothing()
            && !self.lists.is_first_page_available(&scan)
    }

    /// One round: fixed groups of sorted parents, each as many as one page can satisfy, asked for at
    /// once. Gives back the parents that came out short.
    async fn ask_joined(&self, parents: Vec<Parent>, slices: &mut Slices) -> Vec<Parent> {
        let group_most = (self.lists.settings().page_rows / self.rows_enough().max(1)).max(1);
        let groups = parents.len().div_ceil(group_most);
        let group_size = parents.len().div_ceil(groups.max(1)).max(1);
        let calls = groups_of(&parents, group_size).into_iter().map(|group| async move {
            let joined = self.scan(&Parent::union(group));
            (group, self.lists.page(&joined, None, StalePolicy::AllowStale).await)
        });
        let answers =
            stream::iter(calls.collect::<Vec<_>>()).buffered(CALLS_AT_ONCE).collect::<Vec<_>>().await;
        let mut short = Vec::new();
        for (group, answer) in answers {
            let short_before = short.len();
            for parent in group {
                let slice = match &answer {
                    Err(error) => Some(Err(error.clone().into())),
                    Ok(page) => self.part(parent, page).map(|slice| Ok(Arc::new(slice))),
                };
                match slice {
                    Some(slice) => drop(slices.insert(parent.clone(), slice)),
                    None => short.push(parent.clone()),
                }
            }
            let answered = group.len() - (short.len() - short_before);
            self.reader.stats.save_by_batching(answered.saturating_sub(1));
        }
        short
    }

    /// A parent's part of a joined page; `None` where it is short.
    fn part(&self, parent: &Parent, joined: &Cached<Arc<Page>>) -> Option<Slice> {
        let (page, freshness) = (&joined.value, joined.freshness);
        let scan = self.scan(parent);
        let mut ids = BTreeSet::new();
        let own: Vec<SharedAccount> = page
            .items
            .iter()
            .filter(|account| parent.owns(account) && ids.insert(&*account.id))
            .cloned()
            .collect();
        // A feed that ends before it told what it promised is not taken for the whole of anybody's list.
        let is_promised = page
            .total_items
            .is_none_or(|total| u64::try_from(page.rows_sent).is_ok_and(|sent| total <= sent));
        let is_whole = page.next_cursor.is_none() && is_promised;
        if !is_whole && own.len() < self.rows_enough() {
            return None;
        }
        // A row's place here is its place in the parent's own list, whose first page begins alike.
        let (mut ties, mut seen) = (TieRun::at_the_beginning(), 0);
        let row = |(index, account): (usize, &SharedAccount)| {
            seen += 1;
            let ties = ties.next(&scan, account);
            Row { account: Arc::clone(account), freshness, page: None, index, seen, ties }
        };
        let mut run = ScanRun::empty();
        run.reads(freshness);
        run.rows = own.iter().enumerate().take(self.query.page.size).map(row).collect();
        run.more = own.len() > self.query.page.size || (!is_whole && !self.query.page.has_more_selected);
        // Of rows that could not be read nobody knows whose they were: then each parent is counted by itself.
        let is_readable = page.rows_unread() == 0;
        run.is_complete = is_readable || run.rows.len() == self.query.page.size;
        if is_whole && is_readable {
            run.total_items = u64::try_from(own.len()).ok();
            self.lists.cache_whole_list(&scan, own, freshness, page.problems.clone());
        }
        Some(Slice::new(self.lists, self.list(parent), self.scan_direction(), self.query.page.direction, run))
    }
}

/// Sorted parents in groups of a size, and of no more text than a URL takes.
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
