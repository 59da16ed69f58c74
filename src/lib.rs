//! Switchboard: one GraphQL graph over LeadLex's integration status and Composio's connected accounts.
//!
//! This is the map. One request's walk, from the street down to the ground and up again:
//!
//! 1. [`http`] takes it: media type, origin, caller. A caller has a tenant: a key to each upstream.
//! 2. [`operation`] judges its document, coerces its variables, and has it executed.
//! 3. [`graphql`] resolves its fields. A field that needs an upstream asks the operation's loader.
//! 4. [`loaders`] gather what one level asks for, look into the cache, and fetch the rest in as few
//!    calls as they can: the list engine is in there.
//! 5. [`upstream`] makes the calls and decodes what is on the allow-list.
//! 6. [`replicas`] is what several processes share: the caches look there before they fetch, and quotas are paced by it.
//! 7. [`domain`] is the words that all of them speak.
//!
//! Around it, [`cli`] has the commands, [`config`] the settings, [`app`] wires the parts and runs them,
//! [`telemetry`] says what is logged, measured and traced. [`sandbox`] is both upstreams, emulated; it knows nothing of the rest.
//!
//! A request only ever goes down: no layer names one above it, and a test reads the source for that.
//! ARCHITECTURE.md has the reasons.

pub mod cli;

pub mod app;
pub mod config;

pub mod http;

pub mod operation;

pub mod graphql;

pub mod loaders;

pub mod upstream;

pub mod replicas;

pub mod domain;

pub mod sandbox;
pub mod telemetry;
