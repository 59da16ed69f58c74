//! Changes of integrations and accounts for subscriptions, found by polling: one poller for each credential, for any
//! number of subscribers.
//!
//! Neither upstream sends events for all changes (LeadLex sends none, docs/upstreams.md#leadlex-providers). While
//! clients subscribe, [`feeds`] polls as often as the cache would let a query read. A poll reads through the cache, its
//! quota and its single flight, so it costs nothing if a query has just read the same data. A refresh and a webhook
//! cause a poll at once.
//!
//! [`providers`] and [`accounts`] find the differences between two polls. [`feed`] delivers them, separately for each
//! view: the events that a MEMBER receives, their positions and their losses do not depend on changes that it may not
//! see.
//!
//! Rejected: one poll for each subscriber. A thousand subscribers would read a thousand times.

pub mod accounts;
pub mod change;
pub mod feed;
pub mod feeds;
mod poller;
pub mod providers;
