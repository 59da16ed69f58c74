//! Domain types: providers, accounts, callers, filters, pages and health.
//!
//! Start with [`caller`] and [`view`] (the callers and the data that they may see), [`accounts`] and [`providers`] (the
//! objects), and [`health`]. There is no async code, no I/O and no GraphQL here. Every other layer may import these
//! types; they import no other layer.

pub mod accounts;
pub mod actions;
pub mod auth_scheme;
pub(crate) mod bounded_map;
pub mod caller;
pub mod change;
pub mod clock;
pub mod connection_state;
pub mod credential;
pub mod error_behavior;
pub mod filters;
pub mod global_id;
pub mod health;
pub(crate) mod hex;
pub mod input;
pub(crate) mod json_text;
pub mod open_enum;
pub mod page;
pub mod problems;
pub mod providers;
pub mod role;
pub mod settings;
pub(crate) mod text_enum;
pub mod timestamps;
pub mod toolkits;
pub mod upstream_name;
pub mod view;
pub mod web_url;
