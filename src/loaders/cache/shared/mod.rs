//! Second cache level, shared by all replicas: a value that one replica has fetched is not fetched by the others while
//! it is fresh.
//!
//! It lies between each replica's cache and the upstream clients. `UpstreamCache::read` is the entry point. It takes a
//! batch of keys and returns values with their ages, whether this or another replica fetched them. [`fetch`] lets one
//! replica fetch while the others wait. [`seal`] encrypts stored values. [`generation`] and [`partition`] track
//! invalidations, and [`invalidation`] exchanges them with the other replicas.
//!
//! A value is stored until it is no longer fresh. Replicas that have read it may serve it longer from their own caches.
//! While the store is unavailable, each replica works alone.
//!
//! Replicas exchange timestamps of their own clocks, which must be synchronized (NTP). A difference of one second makes
//! an age wrong by that second.

pub(crate) mod fetch;
mod generation;
mod invalidation;
pub(crate) mod partition;
pub(crate) mod seal;
#[cfg(test)]
mod tests;
