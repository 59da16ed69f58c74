//! The second cache level, shared by all replicas: a page that one of them has fetched, the others do not fetch while it is
//! fresh.
//!
//! It lies between the cache of each replica and the clients of the upstream, and keeps their contract: a batch of keys goes
//! in, and each key gets a value with its age, or all get one error. The layers above do not know which replica fetched a
//! value. [`seal`] encrypts what is stored, [`generation`] and [`partition`] track invalidations, [`invalidation`] exchanges
//! them with the other replicas, and [`fetch`] lets one replica fetch while the others wait.
//!
//! A value is stored for its fresh time only. After that it lives on in the caches of the replicas that read it. While the
//! store is unavailable, each replica works alone.
//!
//! Replicas exchange timestamps of their own clocks, which must be synchronized (NTP). A difference of one second makes an
//! age wrong by that second.

pub(crate) mod fetch;
mod generation;
mod invalidation;
pub(crate) mod partition;
pub(crate) mod seal;
#[cfg(test)]
mod tests;
