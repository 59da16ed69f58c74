//! The arguments of a Relay connection, checked, and the page that answers them.
//!
//! The algorithm is that of the GraphQL Cursor Connections Specification, sections 4.3 and 4.4;
//! `first` with `last`, which it discourages, is refused.

use super::input::{BadInput, BadInputReason};

/// How many items a connection gives: the `[connections]` settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSizes {
    /// Items where neither `first` nor `last` is given.
    pub default: usize,
    /// The most that `first` or `last` may ask for.
    pub max: usize,
}

/// The arguments as the query gave them.
#[derive(Debug, Clone, Default)]
pub struct PageArguments {
    /// Only what follows this cursor.
    pub after: Option<String>,
    /// Only what precedes this cursor.
    pub before: Option<String>,
    /// The first so many.
    pub first: Option<i32>,
    /// The last so many.
    pub last: Option<i32>,
}

/// Which end of the list the page is cut from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// `first`
    Forward,
    /// `last`
    Backward,
}

/// What is asked for, once it is known to make sense.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageRequest {
    /// Only what follows this cursor.
    pub after: Option<String>,
    /// Only what precedes this cursor.
    pub before: Option<String>,
    /// How many items, at most.
    pub size: usize,
    /// From which end.
    pub direction: Direction,
    /// Whether the query selects `hasNextPage` (forward) or `hasPreviousPage` (backward): to know it, one item more
    /// may have to be read.
    pub has_more_selected: bool,
}

impl PageArguments {
    /// Checks the arguments against the sizes in force. The query is taken to select whether more items follow.
    ///
    /// # Errors
    /// `BAD_PAGE_SIZE` where `first` or `last` is negative or over the limit, or both are given.
    pub fn check(self, sizes: PageSizes) -> Result<PageRequest, BadInput> {
        let PageSizes { default, max } = sizes;
        let (name, size, direction) = match (self.first, self.last) {
            (Some(_), Some(_)) => {
                return Err(BadInput::new(
                    BadInputReason::BadPageSize,
                    "`first` and `last` exclude each other: give `first` to page forward, `last` to page backward.",
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
                format!(
                    "`{name}: {size}` is out of range: it takes 0 to {max}, and is {default} where it is left out."
                ),
            )),
        }
    }

    fn request(self, size: usize, direction: Direction) -> PageRequest {
        let Self { after, before, .. } = self;
        PageRequest { after, before, ..PageRequest::from_end(direction, size) }
    }
}

impl PageRequest {
    /// A page of a size from one end of the list.
    #[must_use]
    pub fn from_end(direction: Direction, size: usize) -> Self {
        Self { after: None, before: None, size, direction, has_more_selected: true }
    }
}

/// Where a page stands in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageNeighbors {
    /// Items follow the page.
    pub has_next: bool,
    /// Items precede the page.
    pub has_previous: bool,
}

/// Cuts a page out of a list that is whole in memory: the range of its items, and what is around it.
///
/// `after` and `before` are positions in the list; one that is not in it bounds nothing.
#[must_use]
pub fn cut_page(
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
    let around = PageNeighbors { has_next: range.end < len, has_previous: range.start > 0 };
    (range, around)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: PageSizes = PageSizes { default: 20, max: 100 };

    fn ask(first: Option<i32>, last: Option<i32>) -> Result<PageRequest, BadInput> {
        PageArguments { first, last, ..Default::default() }.check(SIZES)
    }

    #[test]
    fn sizes_are_refused_with_the_range_that_would_be_right() {
        for (first, last) in [(Some(-1), None), (Some(101), None), (None, Some(10_000))] {
            let refused = ask(first, last).unwrap_err();
            assert_eq!(refused.reason, BadInputReason::BadPageSize);
            assert!(refused.message.contains("0 to 100"), "{refused}");
        }
        assert!(ask(Some(1), Some(1)).unwrap_err().message.contains("exclude each other"));
        assert_eq!(ask(Some(0), None).unwrap().size, 0);
        assert_eq!(ask(None, None).unwrap().size, 20);
    }

    #[test]
    fn a_page_is_cut_as_the_specification_says() {
        let page = |after, before, size, direction| cut_page(10, after, before, size, direction);
        let (range, around) = page(None, None, 3, Direction::Forward);
        assert_eq!((range, around.has_next, around.has_previous), (0..3, true, false));
        let (range, around) = page(Some(6), None, 5, Direction::Forward);
        assert_eq!((range, around.has_next, around.has_previous), (7..10, false, true));
        let (range, around) = page(None, Some(2), 5, Direction::Backward);
        assert_eq!((range, around.has_next, around.has_previous), (0..2, true, false));
        let (range, _) = page(Some(3), Some(6), 9, Direction::Backward);
        assert_eq!(range, 4..6);
        let (range, _) = page(Some(8), Some(2), 9, Direction::Forward);
        assert!(range.is_empty());
    }
}
