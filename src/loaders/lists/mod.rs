//! Lists of providers and of accounts, read through the cache.
//!
//! [`scan`] is one upstream list, [`account_lists`] reads its pages, which `page_fetcher` and `ownership` fetch,
//! and `walk` goes over them. `paging` cuts slices out of them in both directions, where `cursor`, `ties` and
//! `position` find a cursor's item again. [`multi_parent`] reads the lists of many parents in few calls, [`counts`]
//! counts them, [`by_id`] reads single accounts, and [`providers`] with [`provider_page`] serves the list of
//! providers.

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
pub mod scan;
pub mod slice;
mod tie_run;
mod ties;
pub(crate) mod walk;
