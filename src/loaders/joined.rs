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

use super::lists::{ListError, Lists, Row, Slice, Wanted};
use super::scan::{Page, Scan};
use crate::domain::accounts::{ConnectedAccount, SharedAccount};
use crate::domain::credential::Credential;
use crate::domain::filters::{AccountFilter, AccountOrder, Values};
use crate::domain::input::BadInput;
use crate::domain::toolkits::ToolkitSlug;
use crate::domain::upstream_name::Composio;

/// What a connection's accounts belong to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Parent {
    /// Nothing: the whole project.
    Project,
    /// Any of these toolkits.
    Toolkits(Values),
    /// One end user.
    User(Values),
    /// One auth config.
    AuthConfig(Values),
}

impl Parent {
    /// The accounts of some toolkits.
    ///
    /// # Errors
    /// `BAD_FILTER` for more toolkits than a filter takes.
    pub fn toolkits<'a>(slugs: impl IntoIterator<Item = &'a ToolkitSlug>) -> Result<Self, BadInput> {
        Ok(Self::Toolkits(Values::new("toolkits", slugs.into_iter().map(ToolkitSlug::as_str))?))
    }

    /// The accounts of an end user.
    ///
    /// # Errors
    /// `BAD_FILTER` for an id that would widen the upstream's filter.
    pub fn user(id: &str) -> Result<Self, BadInput> {
        Ok(Self::User(Values::one("userIds", id)?))
    }

    /// The accounts of an auth config.
    ///
    /// # Errors
    /// `BAD_FILTER` for an id that would widen the upstream's filter.
    pub fn auth_config(id: &str) -> Result<Self, BadInput> {
        Ok(Self::AuthConfig(Values::one("authConfigIds", id)?))
    }

    /// A filter, narrowed to this parent.
    #[must_use]
    pub fn narrow(&self, filter: &AccountFilter) -> AccountFilter {
        let mut filter = filter.clone();
        match self {
            Self::Project => {}
            Self::Toolkits(slugs) => filter.toolkits = Some(slugs.clone()),
            Self::User(id) => filter.user_ids = Some(id.clone()),
            Self::AuthConfig(id) => filter.auth_config_ids = Some(id.clone()),
        }
        filter
    }

    fn owns(&self, account: &ConnectedAccount) -> bool {
        match self {
            Self::Project => true,
            Self::Toolkits(slugs) => slugs.contains(&account.toolkit.to_ascii_lowercase()),
            Self::User(id) => account.user_id.as_deref().is_some_and(|user| id.contains(user)),
            Self::AuthConfig(id) => id.contains(&account.auth_config.id),
        }
    }

    /// Some parents of one kind as one.
    fn union(parents: &[Self]) -> Self {
        let of = |parent: &'_ Self| match parent {
            Self::Project => None,
            Self::Toolkits(values) | Self::User(values) | Self::AuthConfig(values) => Some(values.clone()),
        };
        let values = Values::union(&parents.iter().filter_map(of).collect::<Vec<_>>());
        match parents.first() {
            None | Some(Self::Project) => Self::Project,
            Some(Self::Toolkits(_)) => Self::Toolkits(values),
            Some(Self::User(_)) => Self::User(values),
            Some(Self::AuthConfig(_)) => Self::AuthConfig(values),
        }
    }
}

/// One question about many parents.
#[derive(Debug, Clone)]
pub struct Question {
    /// Whose accounts.
    pub credential: Credential<Composio>,
    /// Which of them.
    pub filter: AccountFilter,
    /// In which order.
    pub order: AccountOrder,
    /// How much of each parent's list.
    pub wanted: Wanted,
}

/// The answers, by parent.
pub type Slices = BTreeMap<Parent, Result<Arc<Slice>, ListError>>;

/// Rounds in which parents that are short are asked for together; those still short after them are
/// asked for one by one, all at once, so that the wait is bounded as well as the calls.
const JOINED_ROUNDS: usize = 3;

/// How many calls of one question are under way at once.
const CALLS_AT_ONCE: usize = 16;

impl Question {
    fn scan(&self, parent: &Parent) -> Scan {
        Scan::new(self.credential.clone(), parent.narrow(&self.filter), self.order)
    }

    /// How many rows of a parent are enough.
    fn rows_enough(&self) -> usize {
        self.wanted.size + usize::from(self.wanted.is_next_asked)
    }

    /// Answers the question for every parent; all of them are of one kind.
    pub async fn ask(&self, lists: &Lists, parents: BTreeSet<Parent>) -> Slices {
        let mut slices = Slices::new();
        let (joinable, mut alone): (Vec<_>, Vec<_>) =
            parents.into_iter().partition(|parent| self.is_joinable(lists, parent));
        let mut short = joinable;
        for _ in 0..JOINED_ROUNDS {
            if short.len() < 2 {
                break;
            }
            short = self.ask_joined(lists, short, &mut slices).await;
        }
        alone.append(&mut short);
        let answered = stream::iter(alone).map(|parent| async move {
            let slice = lists.slice(self.scan(&parent), &self.wanted).await;
            (parent, slice.map(Arc::new))
        });
        slices.extend(answered.buffer_unordered(CALLS_AT_ONCE).collect::<Vec<_>>().await);
        slices
    }

    /// Whether a parent's list may be read as a part of another. A cursor belongs to one list, and
    /// a list whose first page is kept, or that holds nothing, costs no call of its own.
    fn is_joinable(&self, lists: &Lists, parent: &Parent) -> bool {
        let scan = self.scan(parent);
        *parent != Parent::Project
            && self.wanted.after.is_none()
            && self.wanted.size > 0
            && !scan.key.filter.matches_nothing()
            && lists.first_page_kept(&scan).is_none()
    }

    /// One round: fixed groups of sorted parents, as many as their rows need pages, asked for at
    /// once. Gives back the parents that came out short.
    async fn ask_joined(&self, lists: &Lists, parents: Vec<Parent>, slices: &mut Slices) -> Vec<Parent> {
        let rows = parents.len() * self.rows_enough();
        let groups = rows.div_ceil(lists.settings().page_rows.max(1));
        let group_size = parents.len().div_ceil(groups.max(1)).max(1);
        let calls = parents.chunks(group_size).map(|group| async move {
            let joined = self.scan(&Parent::union(group));
            (group, lists.page(&joined, None).await)
        });
        let answers =
            stream::iter(calls.collect::<Vec<_>>()).buffered(CALLS_AT_ONCE).collect::<Vec<_>>().await;
        let mut short = Vec::new();
        for (group, answer) in answers {
            for parent in group {
                let slice = match &answer {
                    Err(error) => Some(Err(error.clone().into())),
                    Ok(page) => self.part(lists, parent, page).map(|slice| Ok(Arc::new(slice))),
                };
                match slice {
                    Some(slice) => drop(slices.insert(parent.clone(), slice)),
                    None => short.push(parent.clone()),
                }
            }
        }
        short
    }

    /// A parent's part of a joined page; `None` where it is short.
    fn part(&self, lists: &Lists, parent: &Parent, page: &Page) -> Option<Slice> {
        let scan = self.scan(parent);
        let mut seen = BTreeSet::new();
        let own: Vec<SharedAccount> = page
            .items
            .iter()
            .filter(|account| parent.owns(account) && seen.insert(&*account.id))
            .cloned()
            .collect();
        let is_whole = page.next_cursor.is_none();
        if !is_whole && own.len() < self.rows_enough() {
            return None;
        }
        // A row's place here is its place in the parent's own list, whose first page begins alike.
        let rows = own.iter().enumerate().take(self.wanted.size);
        let rows =
            rows.map(|(index, account)| Row { account: Arc::clone(account), page: None, index }).collect();
        let has_next = own.len() > self.wanted.size;
        let mut slice = Slice::new(lists, scan.clone(), rows, has_next, false);
        // Of rows that could not be read nobody knows whose they were: then each parent is counted by itself.
        if is_whole && page.rows_sent == page.items.len() {
            slice.total_items = u64::try_from(own.len()).ok();
            lists.keep_whole(&scan, own);
        }
        Some(slice)
    }
}
