//! A page of the workspace's providers, cut from the whole list in memory.
//!
//! [`ProviderPage::slice`] is the entry point. The list is complete, so pages in both directions are exact and
//! `totalCount` needs no call. A cursor contains its item's id. If the item was removed, the page continues at the
//! item's former index.

use std::cmp::Ordering;
use std::sync::Arc;

use super::cursor::{Cursor, ScanDirection};
use super::providers::{ListedProvider, ProviderList};
use super::ties::Ties;
use crate::domain::filters::{OrderDirection, ProviderFilter};
use crate::domain::global_id::{IdKey, ProviderId};
use crate::domain::hex::hex;
use crate::domain::input::BadInput;
use crate::domain::page::{PageNeighbors, PageRequest, cut_page};
use crate::domain::view::View;
use crate::loaders::health::HealthEvaluator;

/// Field that orders providers. Providers without a value come last in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderOrderField {
    /// The upstream's name, alphabetically.
    Name,
    /// The category, in the order of the schema.
    Category,
    /// The status, in the order of the schema.
    Status,
    /// The time of the first connection.
    ConnectedAt,
    /// The time of the last successful sync.
    LastSyncAt,
}

/// Order of a list of providers. Equal providers keep the upstream's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderOrder {
    /// Field that is compared.
    pub field: ProviderOrderField,
    /// Direction of the order.
    pub direction: OrderDirection,
}

/// Filter and order of a list of providers.
#[derive(Debug, Clone, Default)]
pub struct ProviderQuery {
    /// If set, only providers with these ids.
    pub ids: Option<Vec<ProviderId>>,
    /// Only providers that match.
    pub filter: ProviderFilter,
    /// Order; `None` is the upstream's order.
    pub order: Option<ProviderOrder>,
}

/// A page of providers.
pub struct ProviderPage {
    rows: Vec<Arc<ListedProvider>>,
    first_index: usize,
    binding: [u8; 8],
    ids: IdKey,
    /// Whether there are providers before and after the page.
    pub neighbors: PageNeighbors,
    /// Number of providers on all pages.
    pub total: usize,
}

impl ProviderPage {
    /// Cuts a page from the list that a caller sees. Its cursors are valid only for callers with the same view.
    ///
    /// # Errors
    /// `BAD_CURSOR` for a cursor of another list.
    pub fn slice(
        list: &ProviderList,
        query: &ProviderQuery,
        page: &PageRequest,
        view: &View,
        ids: IdKey,
        evaluator: &HealthEvaluator,
    ) -> Result<Self, BadInput> {
        let binding = query.binding(view, &ids);
        let mut rows: Vec<_> =
            list.iter().filter(|listed| query.admits(listed, evaluator)).cloned().collect();
        if let Some(order) = query.order {
            rows.sort_by(|a, b| order.compare(a, b));
        }
        let position_of = |text: &Option<String>| -> Result<Option<CursorPosition>, BadInput> {
            let Some(text) = text else { return Ok(None) };
            let cursor = Cursor::parse(text, binding, &ids)?;
            let found = rows.iter().position(|listed| *cursor.id == *id_text(listed));
            Ok(Some(found.map_or(CursorPosition::Gone(usize::from(cursor.index)), CursorPosition::At)))
        };
        let after = match position_of(&page.after)? {
            None | Some(CursorPosition::Gone(0)) => None,
            Some(CursorPosition::At(index)) => Some(index),
            // The item after the removed one has its index now.
            Some(CursorPosition::Gone(index)) => Some(index - 1),
        };
        let before =
            position_of(&page.before)?.map(|(CursorPosition::At(index) | CursorPosition::Gone(index))| index);
        let total = rows.len();
        let (range, neighbors) = cut_page(total, after, before, page.size, page.direction);
        let first_index = range.start;
        let rows = rows.drain(range).collect();
        Ok(Self { rows, first_index, binding, ids, neighbors, total })
    }

    /// Returns the providers of the page.
    #[must_use]
    pub fn rows(&self) -> &[Arc<ListedProvider>] {
        &self.rows
    }

    /// Returns the cursor of the provider at an index of the page.
    #[must_use]
    pub fn cursor(&self, index: usize) -> Option<String> {
        let cursor = Cursor {
            scan_direction: ScanDirection::ListOrder,
            page: None,
            index: u16::try_from(self.first_index + index).unwrap_or(u16::MAX),
            pages_overlap: false,
            seen: 0,
            order_micros: None,
            ties: Ties::NONE,
            id: id_text(self.rows.get(index)?),
        };
        Some(cursor.encode(self.binding, &self.ids))
    }
}

enum CursorPosition {
    At(usize),
    Gone(usize),
}

fn id_text(listed: &ListedProvider) -> Box<str> {
    hex(&listed.id).into()
}

impl ProviderQuery {
    pub(crate) fn admits(&self, listed: &ListedProvider, evaluator: &HealthEvaluator) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(&listed.id))
            && self.filter.matches(&listed.provider, || evaluator.provider(&listed.provider))
    }

    /// Returns eight bytes that cursors of this list contain. A cursor of another list, or of a caller with another
    /// view, has other bytes and is rejected.
    fn binding(&self, view: &View, ids: &IdKey) -> [u8; 8] {
        let (text, [role, member]) = (format!("{self:?}"), view.signature_parts());
        ids.sign("providers", &[text.as_bytes(), role, member])
    }
}

impl ProviderOrder {
    fn compare(self, a: &ListedProvider, b: &ListedProvider) -> Ordering {
        let (a, b) = (&a.provider, &b.provider);
        let directed = |ordering: Ordering| match self.direction {
            OrderDirection::Asc => ordering,
            OrderDirection::Desc => ordering.reverse(),
        };
        let timestamps = |a: Option<jiff::Timestamp>, b: Option<jiff::Timestamp>| match (a, b) {
            (Some(a), Some(b)) => directed(a.cmp(&b)),
            (a, b) => a.is_none().cmp(&b.is_none()),
        };
        match self.field {
            ProviderOrderField::Name => directed(a.name.cmp(&b.name)),
            ProviderOrderField::Category => directed(a.category.kind().cmp(&b.category.kind())),
            ProviderOrderField::Status => directed(a.status.kind().cmp(&b.status.kind())),
            ProviderOrderField::ConnectedAt => timestamps(a.connected_at, b.connected_at),
            ProviderOrderField::LastSyncAt => timestamps(a.last_sync_at, b.last_sync_at),
        }
    }
}
