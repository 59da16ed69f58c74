//! Changes, as they are seen: one watch an upstream credential, whoever and however many listen.
//!
//! Neither upstream tells of its changes (LeadLex has no such event at all, UPSTREAMS.md B1), so while somebody listens
//! this layer looks, as often as the cache would let a query poll, and no oftener: a poll goes through the cache, its quota and its
//! one flight, and so costs nothing where a query has just looked. What two looks saw is state apart by [`providers`] and
//! [`accounts`]; [`feed`] takes what is new to the listeners. A refresh and a webhook are an occasion to poll at once.
//!
//! The rejected choice was a poll for each listener: a thousand of them would ask a thousand times, and each would see
//! other moments.

pub mod accounts;
pub mod change;
pub mod feed;
pub mod feeds;
mod poller;
pub mod providers;
