//! The edge: HTTP in, HTTP out.

#[allow(dead_code)]
mod graphiql;
pub mod settings;
