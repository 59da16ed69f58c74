//! Switchboard: one GraphQL graph over LeadLex's integration status and Composio's connected accounts.

pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod graphql;
pub mod http;
pub mod loaders;
pub mod operation;
pub mod sandbox;
pub mod telemetry;
pub mod upstream;
