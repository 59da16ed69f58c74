//! Switchboard: one GraphQL graph over LeadLex's integration status and Composio's connected accounts.

pub mod cli;
pub mod http;
pub mod sandbox;
