//! The way back from a page of a scan, over pages that were read before. Upstream cursors only lead forward.

use std::collections::HashSet;
use std::sync::Arc;

use super::account_lists::AccountLists;
use super::scan::Scan;

/// Steps back through remembered pages to the first page of a scan. Always ends, even if the remembered pages form a
/// circle.
pub(super) struct ReversePages<'r> {
    lists: &'r AccountLists,
    scan: &'r Scan,
    pages_seen: HashSet<Arc<str>>,
}

impl<'r> ReversePages<'r> {
    pub(super) fn new(lists: &'r AccountLists, scan: &'r Scan) -> Self {
        Self { lists, scan, pages_seen: HashSet::new() }
    }

    /// Returns the page before another, or `None` (the first page) if it is not remembered.
    pub(super) fn before(&mut self, page: &Arc<str>) -> Option<Arc<str>> {
        let is_new = self.pages_seen.insert(Arc::clone(page));
        let may_have_more = is_new && self.pages_seen.len() < self.lists.settings.pages_max;
        self.lists.previous_page(self.scan, page).filter(|_| may_have_more)
    }
}
