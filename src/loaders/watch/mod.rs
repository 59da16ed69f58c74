//! Changes of integrations and accounts, found by polling: one poller per credential, for any number of subscribers.
//!
//! Neither upstream sends events for all changes (LeadLex sends none, docs/upstreams.md#leadlex-providers). While
//! clients subscribe, [`feeds`] polls as often as the cache would let a query read, and no more often: a poll uses
//! the cache, its quota and its single flight, and costs nothing if a query has just read the same. [`providers`]
//! and [`accounts`] find the differences between two polls, and [`feed`] delivers them, apart for each view: what a
//! MEMBER receives, its positions and its losses do not depend on changes that it may not see. A refresh and a
//! webhook cause a poll at once.
//!
//! The rejected choice was one poll per subscriber: a thousand of them would read a thousand times, at different
//! moments.

pub mod accounts;
pub mod change;
pub mod feed;
pub mod feeds;
mod poller;
pub mod providers;
