//! A page of the workspace's integrations, cut in memory.
//!
//! The list is whole, so both directions are exact and `totalCount` is free. A cursor names its item
//! by id; where the item is gone, the page goes on at the place where it stood.

use std::cmp::Ordering;
use std::sync::Arc;

use super::cursor::{Cursor, ScanDirection};
use super::providers::{ListedProvider, ProviderList};
use super::ties::Ties;
use crate::domain::filters::{OrderDirection, ProviderFilter};
use crate::domain::global_id::{IdKey, ProviderId};
use crate::domain::input::BadInput;
use crate::domain::page::{PageNeighbors, PageRequest, cut_page};
use crate::domain::view::View;
use crate::loaders::health::HealthEvaluator;

/// What providers can be ordered by; providers without the value come last, both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderOrderField {
    /// The upstream's word for it, by the alphabet.
    Name,
    /// As the schema lists them.
    Category,
    /// As the schema lists them.
    Status,
    /// When it was connected.
    ConnectedAt,
    /// Its last successful sync.
    LastSyncAt,
}

/// The order of a list of providers; equals keep the upstream's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderOrder {
    /// By what.
    pub field: ProviderOrderField,
    /// Which way.
    pub direction: OrderDirection,
}

/// Which providers, in which order.
#[derive(Debug, Clone, Default)]
pub struct ProviderQuery {
    /// These alone.
    pub ids: Option<Vec<ProviderId>>,
    /// Those that pass.
    pub filter: ProviderFilter,
    /// The upstream's order where absent.
    pub order: Option<ProviderOrder>,
}

/// A page of providers.
pub struct ProviderPage {
    rows: Vec<Arc<ListedProvider>>,
    first_index: usize,
    binding: [u8; 8],
    ids: IdKey,
    /// What is around it.
    pub around: PageNeighbors,
    /// How many providers there are on all pages.
    pub total: usize,
}

impl ProviderPage {
    /// Cuts a page out of the list as a caller sees it; its cursors are for callers who see the same.
    ///
    /// # Errors
    /// `BAD_CURSOR` for a cursor of another list.
    pub fn slice(
        list: &ProviderList,
        question: &ProviderQuery,
        page: &PageRequest,
        view: &View,
        ids: IdKey,
        evaluator: &HealthEvaluator,
    ) -> Result<Self, BadInput> {
        let binding = question.binding(view, &ids);
        let mut rows: Vec<_> =
            list.iter().filter(|listed| question.admits(listed, evaluator)).cloned().collect();
        if let Some(order) = question.order {
            rows.sort_by(|a, b| order.compare(a, b));
        }
        let place = |text: &Option<String>| -> Result<Option<CursorPlace>, BadInput> {
            let Some(text) = text else { return Ok(None) };
            let cursor = Cursor::parse(text, binding, &ids)?;
            let found = rows.iter().position(|listed| *cursor.id == *id_text(listed));
            Ok(Some(found.map_or(CursorPlace::Gone(usize::from(cursor.index)), CursorPlace::At)))
        };
        let after = match place(&page.after)? {
            None | Some(CursorPlace::Gone(0)) => None,
            Some(CursorPlace::At(index)) => Some(index),
            // What stood behind it has moved up to its place.
            Some(CursorPlace::Gone(index)) => Some(index - 1),
        };
        let before = place(&page.before)?.map(|(CursorPlace::At(index) | CursorPlace::Gone(index))| index);
        let total = rows.len();
        let (range, around) = cut_page(total, after, before, page.size, page.direction);
        let first_index = range.start;
        let rows = rows.drain(range).collect();
        Ok(Self { rows, first_index, binding, ids, around, total })
    }

    /// The providers.
    #[must_use]
    pub fn rows(&self) -> &[Arc<ListedProvider>] {
        &self.rows
    }

    /// The cursor of the provider at a place of the page.
    #[must_use]
    pub fn cursor(&self, place: usize) -> Option<String> {
        let cursor = Cursor {
            scan_direction: ScanDirection::ListOrder,
            page: None,
            index: u16::try_from(self.first_index + place).unwrap_or(u16::MAX),
            seen: 0,
            order_micros: None,
            ties: Ties::NONE,
            id: id_text(self.rows.get(place)?),
        };
        Some(cursor.encode(self.binding, &self.ids))
    }
}

enum CursorPlace {
    At(usize),
    Gone(usize),
}

fn id_text(listed: &ListedProvider) -> Box<str> {
    listed.id.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl ProviderQuery {
    pub(crate) fn admits(&self, listed: &ListedProvider, evaluator: &HealthEvaluator) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(&listed.id))
            && self.filter.matches(&listed.provider, || evaluator.provider(&listed.provider))
    }

    /// Eight bytes that cursors of this list bear, so that no other list takes them, and nobody who sees something else
    /// of it.
    fn binding(&self, view: &View, ids: &IdKey) -> [u8; 8] {
        let (text, [role, member]) = (format!("{self:?}"), view.signature_parts());
        let mut binding = [0; 8];
        for (byte, signed) in binding.iter_mut().zip(ids.sign("providers", &[text.as_bytes(), role, member]))
        {
            *byte = signed;
        }
        binding
    }
}

impl ProviderOrder {
    fn compare(self, a: &ListedProvider, b: &ListedProvider) -> Ordering {
        let (a, b) = (&a.provider, &b.provider);
        let directed = |ordering: Ordering| match self.direction {
            OrderDirection::Asc => ordering,
            OrderDirection::Desc => ordering.reverse(),
        };
        let moments = |a: Option<jiff::Timestamp>, b: Option<jiff::Timestamp>| match (a, b) {
            (Some(a), Some(b)) => directed(a.cmp(&b)),
            (a, b) => a.is_none().cmp(&b.is_none()),
        };
        match self.field {
            ProviderOrderField::Name => directed(a.name.cmp(&b.name)),
            ProviderOrderField::Category => directed(a.category.kind().cmp(&b.category.kind())),
            ProviderOrderField::Status => directed(a.status.kind().cmp(&b.status.kind())),
            ProviderOrderField::ConnectedAt => moments(a.connected_at, b.connected_at),
            ProviderOrderField::LastSyncAt => moments(a.last_sync_at, b.last_sync_at),
        }
    }
}
