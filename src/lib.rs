//! Switchboard: one GraphQL graph over LeadLex's integration status and Composio's connected accounts.
//!
//! This crate is the `switchboard` server as a library. Use it to execute GraphQL requests inside your own program, or
//! to serve the graph from your own axum application.
//!
//! # Execute a request
//!
//! ```
//! use switchboard::{Caller, Request, Switchboard};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // An emulation of both upstreams, without network. For the real ones, replace `sandbox()` by
//! // `leadlex_api_key("wbk_…")` and `composio_api_key("ak_…")`.
//! let switchboard = Switchboard::builder().sandbox().set("limits.depth", 10).build()?;
//!
//! // An admin sees everything that the API keys can read.
//! let caller = Caller::admin("settings-page", switchboard.tenant());
//! let request = Request::new("query ($first: Int!) { providers(first: $first) { nodes { name } } }")
//!     .variable("first", 2);
//! let response = switchboard.execute(request, &caller).await;
//!
//! assert!(response.is_ok());
//! let json: serde_json::Value = response.json()?;
//! assert_eq!(json["data"]["providers"]["nodes"].as_array().map(Vec::len), Some(2));
//! # Ok(())
//! # }
//! ```
//!
//! Callers share one cache, but each caller reads only what its own [`Tenant`]'s keys fetched. A [`Role::Member`] sees
//! the accounts of one end user alone.
//!
//! # Serve it
//!
//! [`Switchboard::router`] has the public routes of `switchboard serve`, without probes and metrics. Your server
//! accepts the connections, with its own limits, timeouts and checks of request heads. Choose an `auth.mode` first.
//!
//! ```no_run
//! # use switchboard::Switchboard;
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let switchboard = Switchboard::builder().set("auth.mode", "passthrough").build()?;
//! let routes = axum::Router::new().nest("/integrations", switchboard.router());
//! let listener = tokio::net::TcpListener::bind("0.0.0.0:8080").await?;
//! axum::serve(listener, routes).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Settings
//!
//! [`Builder::set`] takes every setting by the name that it has in `switchboard.default.toml`, which documents all of
//! them. The same validation applies as for the server's configuration file. Settings of the process have no effect
//! here: `http.listen`, `server.*`, `ops.*`, `log.*`, `traces.*` and `metrics.*`.
//!
//! # Stability
//!
//! The items on this page are the public API. The modules below them are public only for this repository's own tests,
//! benchmarks and fuzz targets, hidden from the documentation, and can change in any release. ARCHITECTURE.md describes
//! them.

// `make doc` sets `internal_docs`, so that the links in the modules' documentation are checked.
#[cfg_attr(not(internal_docs), doc(hidden))]
pub mod app;
#[cfg_attr(not(internal_docs), doc(hidden))]
pub mod cli;
#[cfg_attr(not(internal_docs), doc(hidden))]
pub mod config;
#[cfg_attr(not(internal_docs), doc(hidden))]
pub mod domain;
#[cfg_attr(not(internal_docs), doc(hidden))]
pub mod graphql;
#[cfg_attr(not(internal_docs), doc(hidden))]
pub mod http;
#[cfg_attr(not(internal_docs), doc(hidden))]
pub mod loaders;
#[cfg_attr(not(internal_docs), doc(hidden))]
pub mod operation;
#[cfg_attr(not(internal_docs), doc(hidden))]
pub mod replicas;
#[cfg_attr(not(internal_docs), doc(hidden))]
pub mod sandbox;
#[cfg_attr(not(internal_docs), doc(hidden))]
pub mod telemetry;
#[cfg_attr(not(internal_docs), doc(hidden))]
pub mod upstream;

#[doc(inline)]
pub use app::embedding::{BuildError, Builder, Request, Response, Switchboard};
#[doc(inline)]
pub use domain::caller::{Caller, Tenant};
#[doc(inline)]
pub use domain::clock::Clock;
#[doc(inline)]
pub use domain::credential::InvalidCredential;
#[doc(inline)]
pub use domain::role::{InvalidMemberId, MemberId, Role};
#[doc(inline)]
pub use operation::request::RequestError;
