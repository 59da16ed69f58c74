//! What users of the crate and of the server see, in one test binary.

// clippy.toml lets `#[test]` functions do this; the helpers beside them are tests too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod edge;
