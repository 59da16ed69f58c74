//! A client that pages through a list from one end while others change it.

use std::sync::Arc;

use switchboard::domain::page::{Direction, PageRequest};
use switchboard::loaders::lists::slice::Slice;

use super::bench::{Bench, List, ids, wanted};

/// More pages than any of these tests can have.
const STEPS_MAX: usize = 400;

pub(super) struct Walker {
    direction: Direction,
    wanted: PageRequest,
    /// The items of each page, in paging direction.
    pub(super) pages: Vec<Vec<String>>,
    pub(super) is_over: bool,
}

impl Walker {
    pub(super) fn new(direction: Direction, size: usize) -> Self {
        Self { direction, wanted: wanted(direction, size), pages: Vec::new(), is_over: false }
    }

    /// Reads one more page.
    pub(super) async fn step(&mut self, bench: &Bench, list: &List) -> Arc<Slice> {
        let slice = bench.read(list, self.wanted.clone()).await;
        let mut page = ids(&slice);
        assert!(page.len() <= self.wanted.size);
        let last = page.len().checked_sub(1);
        let is_more = match self.direction {
            Direction::Forward => {
                self.wanted.after =
                    last.and_then(|last| slice.cursor(last)).or_else(|| self.wanted.after.take());
                slice.has_next
            }
            Direction::Backward => {
                page.reverse();
                self.wanted.before = slice.cursor(0).or_else(|| self.wanted.before.take());
                slice.has_previous
            }
        };
        assert!(!is_more || !page.is_empty(), "`hasNextPage` is true after an empty page");
        self.pages.push(page);
        self.is_over = !is_more;
        assert!(self.pages.len() <= STEPS_MAX, "paging does not end: {:?}", self.pages);
        slice
    }

    /// All items read, in paging direction.
    pub(super) fn items(&self) -> Vec<&str> {
        self.pages.iter().flatten().map(String::as_str).collect()
    }

    /// The last item read, at which the next page begins.
    pub(super) fn last_item(&self) -> Option<&str> {
        self.items().last().copied()
    }

    pub(super) fn occurrences(&self, id: &str) -> usize {
        self.items().into_iter().filter(|items| *items == id).count()
    }
}
