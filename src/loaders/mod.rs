//! How a value is got: by key through the cache, as a page of a list, in batches.
//!
//! From the ground up: [`cache`] keeps what was fetched, and joins those who want the same at the
//! same time; [`scan`] is one upstream list, [`lists`] its pages, `walk` and `paging` go over them in
//! both directions, `cursor`, `ties` and `position` say where they stand; [`joined`] asks for many lists in
//! few calls, [`counts`] counts; [`by_id`] and [`providers`] are the other two roads; [`batch`] is what
//! resolvers call and [`turn`] when it leaves, [`ahead`] what starts before they do, [`ledger`] what all of it cost,
//! and [`judge`] says what of it is healthy. What [`metrics`] tell of all this is read there. [`watch`] looks again and again while somebody listens.

pub mod ahead;
pub mod batch;
pub mod by_id;
pub mod cache;
pub mod counts;
mod cursor;
pub mod freshness;
pub mod holdings;
pub mod joined;
pub mod judge;
pub mod ledger;
pub mod lists;
pub(crate) mod metrics;
mod paging;
pub mod parent;
mod position;
pub mod provider_page;
pub mod providers;
pub mod scan;
pub mod settings;
mod shared;
mod shelf;
pub(crate) mod single_flight;
pub mod slice;
pub mod sources;
mod ties;
pub mod turn;
mod walk;
pub mod watch;
pub(crate) mod weighed;
