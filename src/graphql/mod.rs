//! The schema that clients see, and its resolvers.
//!
//! [`graph::Graph`] executes operations; `operation` calls it. Each family of types has a file, whose name has the
//! object's name, as in the other layers. Queries read data only through the operation's loader. Mutations call
//! `loaders::actions`, which also needs the data sources (`operation_context`).
//!
//! A field that may call an upstream is `Option<Result<…>>`: if the upstream fails, the field is null with one error,
//! and its siblings keep their values. With `Result<Option<…>>`, the parent would be null. [`error_behavior`] has the
//! type of non-null fields that can fail.

mod account_actions;
mod account_connection;
mod account_filters;
mod account_prefetch;
mod accounts;
mod action_payloads;
mod connection_state;
mod date_time;
mod entities;
mod enums;
mod error_behavior;
pub mod errors;
pub mod executor;
pub mod federation;
mod federation_directives;
mod freshness;
mod gateway_queries;
pub mod graph;
mod health;
mod integration_health;
pub(crate) mod json_writer;
mod node;
mod object_type;
mod operation_context;
mod page_info;
pub(crate) mod preserialized;
mod provider_connection;
mod providers;
mod query;
pub mod schema;
mod sdl;
pub mod stitching;
pub mod subscription;
mod sync_fields;
mod toolkits;
mod upstreams;
mod users;
mod viewer;
