//! The sandbox: an emulation of both upstream REST APIs for the demo and for tests.
//!
//! [`Sandbox::router`] is the entry point: an axum [`Router`](axum::Router) that tests call without a socket, with
//! their own clock and under Tokio's paused time. It follows docs/upstreams.md and imports nothing from Switchboard,
//! because a shared type would hide the same mistake on both sides. Rejected: recorded responses. They cannot filter,
//! page, run out of quota or fail on demand.
//!
//! A request passes `middleware` (logging, delay, faults), then `leadlex`, `composio`, `composio_writes` or `catalogue`
//! (key, quota, parameters). Reads of accounts continue to `pages`, `item` and `state`. Requests without the middleware
//! are those to `sign_in`, the page of a link, and to `standing_faults` and `test_accounts`, which control the sandbox.
//! The data come from `tenants`, `seed_data`, `accounts` and `data/`. Two keys return the documents of `seeds/`
//! unchanged.

mod accounts;
mod catalogue;
mod clock;
mod composio;
mod composio_writes;
mod errors;
mod fault_injection;
mod faults;
mod item;
mod leadlex;
mod links;
mod middleware;
mod pages;
mod query;
mod quota;
mod recent_data;
mod request_log;
mod rng;
mod routes;
mod scenario;
mod schema_drift;
mod seed_data;
mod server;
mod settings;
mod sign_in;
mod standing_faults;
mod state;
mod tenants;
mod test_accounts;
mod toolkits;
mod upstreams;

pub use accounts::Account;
pub use clock::Clock;
pub use faults::{BadFault, Fault, FaultBody};
pub use request_log::RecordedRequest;
pub use scenario::Scenario;
pub use server::Sandbox;
pub use settings::{ComposioPlan, CursorKind, LeadlexPlan, Settings, Ties};
pub use tenants::Tenant;
pub use toolkits::TOOLKITS;
pub use upstreams::{CANARY, EmulatedUpstream, LEADLEX_PATH};
