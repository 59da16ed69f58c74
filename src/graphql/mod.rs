//! The schema that clients see.

pub mod errors;
pub mod schema;
