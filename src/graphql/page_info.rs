//! Relay's `PageInfo`.

use super::object_type::object_type;

object_type! {
    /// Where a page stands in its list.
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
}
