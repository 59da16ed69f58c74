//! The words of the business: what a provider, an account, a page and a caller are.
//!
//! No async, no I/O and no GraphQL in here: every other layer may use these words, and they use
//! nothing of any other layer.

pub mod accounts;
pub mod auth_scheme;
pub mod caller;
pub mod change;
pub mod clock;
pub mod connection_state;
pub mod credential;
pub mod filters;
pub mod global_id;
pub mod health;
pub mod input;
pub mod open_enum;
pub mod page;
pub mod problems;
pub mod providers;
pub mod role;
pub mod settings;
pub mod toolkits;
pub mod upstream_name;
pub mod view;
