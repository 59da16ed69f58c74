//! Cache of upstream data, separate for each credential and shared by the replicas.
//!
//! [`read_through`] has the entry point, [`Cache`](read_through::Cache): it returns a cached value, or fetches it once
//! for all callers that wait for it. [`entries`] decides how fresh each entry is. [`single_flight`] joins equal
//! fetches. [`upstream_cache`] expires all entries of one credential at once. `shared` is a second level in Redis.

pub mod deadline;
pub mod dependencies;
pub(crate) mod entries;
pub mod freshness;
pub mod key;
pub(crate) mod metrics;
pub mod read_through;
pub(crate) mod shared;
pub(crate) mod single_flight;
pub mod upstream_cache;
