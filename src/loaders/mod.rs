//! Data access for resolvers: cached reads, pages of lists, and batches.
//!
//! From the bottom up: [`cache`] caches fetched values and joins equal fetches; `batch_cache` does so for objects of
//! which one call fetches many. [`lists`] reads lists of providers and accounts through them, and [`toolkits`] the names
//! of services. [`watch`] polls for changes while clients subscribe, and `event_filter` selects those that a
//! subscription asks for. [`actions`] sends writes. [`data_sources`] has the caches and lists that all operations share.
//!
//! On top, [`loader`] has the batching loader that resolvers call: the entry point. [`batch_scheduler`] decides when a
//! batch starts. [`stats`] records what one operation has read, [`health`] evaluates it, and [`upstream_status`] reports
//! the status of both upstreams.

pub mod actions;
mod batch_cache;
mod batch_metrics;
pub mod batch_scheduler;
pub mod cache;
pub mod data_sources;
mod event_filter;
pub mod health;
pub mod lists;
pub mod loader;
pub mod settings;
pub mod stats;
pub mod toolkits;
pub mod upstream_status;
pub mod watch;
