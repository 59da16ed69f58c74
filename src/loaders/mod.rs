//! How a value is got: by key through the cache, as a page of a list, in batches.
//!
//! From the ground up: [`cache`] keeps what was fetched, and joins those who want the same at the
//! same time; [`lists`] walks one upstream list, [`joined`] many lists in few calls, [`cursor`]
//! says where a walk stands; [`by_id`] and [`providers`] are the other two roads; [`batch`] is what
//! resolvers call.

pub mod batch;
pub mod by_id;
pub mod cache;
pub mod cursor;
pub mod joined;
pub mod lists;
pub mod provider_page;
pub mod providers;
pub mod scan;
pub mod settings;
mod single_flight;
mod walk;
