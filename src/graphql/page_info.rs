//! Relay's `PageInfo`.

use async_graphql::SimpleObject;

use super::plain::Plain;
use super::plain::PlainField::{self, Leaf};

/// Where a page stands in its list.
#[derive(SimpleObject)]
pub(super) struct PageInfo {
    /// Whether items follow this page.
    pub(super) has_next_page: bool,
    /// Whether items precede this page.
    pub(super) has_previous_page: bool,
    /// The first item's cursor; null on an empty page.
    pub(super) start_cursor: Option<String>,
    /// The last item's cursor; null on an empty page.
    pub(super) end_cursor: Option<String>,
}

impl Plain for PageInfo {
    const FIELDS: &'static [(&'static str, PlainField<Self>)] = &[
        ("hasNextPage", Leaf(|page, json| json.put(page.has_next_page))),
        ("hasPreviousPage", Leaf(|page, json| json.put(page.has_previous_page))),
        ("startCursor", Leaf(|page, json| json.put(&page.start_cursor))),
        ("endCursor", Leaf(|page, json| json.put(&page.end_cursor))),
    ];
}
