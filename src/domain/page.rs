//! Validated arguments of a Relay connection, and the page that they select.
//!
//! [`PageArguments::check`] validates; [`cut_page`] selects. The algorithm is that of the GraphQL Cursor Connections
//! Specification, sections 4.3 and 4.4. The specification discourages `first` together with `last`, which is refused
//! here.

use super::input::{BadInput, BadInputReason};

/// The number of items on a page: the `[connections]` settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSizes {
    /// Page size if neither `first` nor `last` is given.
    pub default: usize,
    /// Maximum of `first` and `last`.
    pub max: usize,
}

/// The arguments of a connection as the query gives them.
#[derive(Debug, Clone, Default)]
pub struct PageArguments {
    /// Only items after this cursor.
    pub after: Option<String>,
    /// Only items before this cursor.
    pub before: Option<String>,
    /// The number of items from the start.
    pub first: Option<i32>,
    /// The number of items from the end.
    pub last: Option<i32>,
}

/// The end of the list from which a page is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// `first`
    Forward,
    /// `last`
    Backward,
}

/// Validated arguments of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageRequest {
    /// Only items after this cursor.
    pub after: Option<String>,
    /// Only items before this cursor.
    pub before: Option<String>,
    /// The maximum number of items.
    pub size: usize,
    /// The end of the list from which the page is taken.
    pub direction: Direction,
    /// Whether the query selects `hasNextPage` (forward) or `hasPreviousPage` (backward). It may require reading one
    /// more item.
    pub has_more_selected: bool,
}

impl PageArguments {
    /// Validates the arguments against the page sizes. The caller sets `has_more_selected`, which is true here.
    ///
    /// # Errors
    /// `BAD_PAGE_SIZE` if `first` or `last` is negative or too large, or if both are given.
    pub fn check(self, sizes: PageSizes) -> Result<PageRequest, BadInput> {
        let PageSizes { default, max } = sizes;
        let (name, size, direction) = match (self.first, self.last) {
            (Some(_), Some(_)) => {
                return Err(BadInput::new(
                    BadInputReason::BadPageSize,
                    "`first` and `last` cannot be combined. Use `first` to page forward or `last` to page backward.",
                ));
            }
            (Some(first), None) => ("first", first, Direction::Forward),
            (None, Some(last)) => ("last", last, Direction::Backward),
            (None, None) => {
                return Ok(self.request(default, Direction::Forward));
            }
        };
        match usize::try_from(size) {
            Ok(size) if size <= max => Ok(self.request(size, direction)),
            _ => Err(BadInput::new(
                BadInputReason::BadPageSize,
                format!("`{name}: {size}` is out of range. Allowed: 0 to {max}; the default is {default}."),
            )),
        }
    }

    fn request(self, size: usize, direction: Direction) -> PageRequest {
        let Self { after, before, .. } = self;
        PageRequest { after, before, ..PageRequest::from_end(direction, size) }
    }
}

impl PageRequest {
    /// Creates a page of a size from one end of the list.
    #[must_use]
    pub fn from_end(direction: Direction, size: usize) -> Self {
        Self { after: None, before: None, size, direction, has_more_selected: true }
    }
}

/// Whether the list has items around a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageNeighbors {
    /// Whether items follow the page.
    pub has_next: bool,
    /// Whether items precede the page.
    pub has_previous: bool,
}

/// Cuts a page out of a list in memory. Returns the range of its items, and whether there are items around it.
///
/// `after` and `before` are positions in the list; a position outside of the list has no effect.
pub(crate) fn cut_page(
    len: usize,
    after: Option<usize>,
    before: Option<usize>,
    size: usize,
    direction: Direction,
) -> (std::ops::Range<usize>, PageNeighbors) {
    let start = after.map_or(0, |position| position.saturating_add(1)).min(len);
    let end = before.unwrap_or(len).min(len).max(start);
    let range = match direction {
        Direction::Forward => start..end.min(start.saturating_add(size)),
        Direction::Backward => start.max(end.saturating_sub(size))..end,
    };
    let neighbors = PageNeighbors { has_next: range.end < len, has_previous: range.start > 0 };
    (range, neighbors)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: PageSizes = PageSizes { default: 20, max: 100 };

    fn ask(first: Option<i32>, last: Option<i32>) -> Result<PageRequest, BadInput> {
        PageArguments { first, last, ..Default::default() }.check(SIZES)
    }

    #[test]
    fn sizes_out_of_range_are_refused_with_the_range() {
        for (first, last) in [(Some(-1), None), (Some(101), None), (None, Some(10_000))] {
            let refused = ask(first, last).unwrap_err();
            assert_eq!(refused.reason, BadInputReason::BadPageSize);
            assert!(refused.message.contains("0 to 100"), "{refused}");
        }
        assert!(ask(Some(1), Some(1)).unwrap_err().message.contains("cannot be combined"));
        assert_eq!(ask(Some(0), None).unwrap().size, 0);
        assert_eq!(ask(None, None).unwrap().size, 20);
    }

    #[test]
    fn a_page_is_cut_as_the_relay_specification_says() {
        let page = |after, before, size, direction| cut_page(10, after, before, size, direction);
        let (range, neighbors) = page(None, None, 3, Direction::Forward);
        assert_eq!((range, neighbors.has_next, neighbors.has_previous), (0..3, true, false));
        let (range, neighbors) = page(Some(6), None, 5, Direction::Forward);
        assert_eq!((range, neighbors.has_next, neighbors.has_previous), (7..10, false, true));
        let (range, neighbors) = page(None, Some(2), 5, Direction::Backward);
        assert_eq!((range, neighbors.has_next, neighbors.has_previous), (0..2, true, false));
        let (range, _) = page(Some(3), Some(6), 9, Direction::Backward);
        assert_eq!(range, 4..6);
        let (range, _) = page(Some(8), Some(2), 9, Direction::Forward);
        assert!(range.is_empty());
    }
}
