//! The edge: HTTP in, HTTP out.

pub mod settings;
