//! The edge: what the binary answers over HTTP.

#[allow(dead_code, reason = "mounted by the list of routes, which is written next to this")]
mod graphiql;
