//! Data access for resolvers: cached reads, pages of lists, and batches.
//!
//! The parts, from the bottom: [`cache`] holds what was read and joins equal fetches; [`lists`] reads lists of providers and
//! accounts through it; [`watch`] polls for changes while clients subscribe. On top of them, [`loader`] has the batching
//! loader that resolvers call, [`batch_scheduler`] decides when a batch starts, and `prefetch` starts reads early.
//! [`actions`] has the writes. [`stats`] records what one operation has read, and [`health`] evaluates it.

pub mod actions;
mod batch_metrics;
pub mod batch_scheduler;
pub mod cache;
pub mod data_sources;
mod event_filter;
pub mod health;
pub mod lists;
pub mod loader;
mod prefetch;
pub mod settings;
pub mod stats;
pub mod upstream_status;
pub mod watch;
