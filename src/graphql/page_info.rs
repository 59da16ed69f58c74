//! Relay's `PageInfo`.

use super::object_type::object_type;

object_type! {
    /// Information about pagination in a connection.
    pub(super) struct PageInfo {
        /// Whether there are more items when paginating forwards.
        pub(super) has_next_page: bool,
        /// Whether there are more items when paginating backwards.
        pub(super) has_previous_page: bool,
        /// The cursor of the first item, for backwards pagination; null if the page is empty.
        pub(super) start_cursor: Option<String>,
        /// The cursor of the last item, for forwards pagination; null if the page is empty.
        pub(super) end_cursor: Option<String>,
    }
}
