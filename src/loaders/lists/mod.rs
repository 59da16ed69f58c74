//! Lists of providers and of accounts, read through the cache.
//!
//! Terms: a *list* is what a connection shows, in the connection's order. A [`scan`] is one upstream list, read page by
//! page from its first row. The list in the opposite order is another scan; it serves pages from the list's end. A
//! *joined* list is one upstream list for several parents.
//!
//! The entry points, each with an `impl AccountLists`: `paging` returns a page of one list, [`multi_parent`] pages of
//! the lists of many parents in few calls, and [`counts`] numbers of accounts. [`by_id`] reads single accounts.
//! [`providers`] and [`provider_page`] serve the list of providers.
//!
//! They read for a [`parent`] and return a [`mod@slice`]. Below them, [`account_lists`] reads pages through the cache,
//! `page_fetcher` and `ownership` fetch them, and `walk` steps from page to page. `read_before` steps back, over the
//! pages in `reverse_pages`. `cursor`, `ties`, `tie_run` and `position` find a cursor's item again.

pub mod account_lists;
pub mod by_id;
pub mod counts;
mod cursor;
pub mod multi_parent;
mod ownership;
mod page_fetcher;
mod paging;
pub mod parent;
mod position;
pub mod provider_page;
pub mod providers;
mod read_before;
mod reverse_pages;
pub mod scan;
pub mod slice;
mod tie_run;
mod ties;
pub(crate) mod walk;
