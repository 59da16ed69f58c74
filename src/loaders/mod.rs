//! How a value is got: by key through the cache, as a page of a list, in batches.

pub mod settings;
