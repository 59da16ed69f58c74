//! The HTTP edge: all code between a client's connection and the operation engine.
//!
//! Entry points are [`hot_reload::ReloadableEdge`] (the routes) and [`serve`] (the listeners). An `Edge` is the state
//! behind the routes of one configuration; a reload replaces it.
//!
//! - On a listener, every request passes [`framing`], and its response gets a [`date`]. A [`router`] in another
//!   program's server begins with the next step.
//! - [`routes`] calls the handler of each request. [`mod@traced`] traces it, if enabled; a [`request_in_progress`]
//!   has its [`request_id`] and records it ([`request_recorder`]).
//! - `/graphql` is [`graphql`]: [`media`] types, [`origin`] and [`cors`], [`caller`], [`body`], then the operation
//!   engine. [`conditional`] answers 304.
//! - Subscriptions are a [`response_stream`]: [`streaming`] sends it over HTTP in a [`stream_format`],
//!   [`event_stream`] or [`multipart`], or a [`websocket`] sends it. A [`shutdown`] token ends it.
//! - Pages are [`graphiql`] and [`example`], served as a [`bundle`]; Composio calls [`webhook`]; [`ops`] serves probes.
//! - All refusals of this layer are one [`error`] type. [`rate_limit`] has the headers of the caller's limits over
//!   time.
//! - Each [`connection`] has a [`socket`] and its [`activity`]; a [`stream_reset`] ends one HTTP/2 stream of it.
//! - [`settings`] has `[http]`, `[server]` and `[ops]`.

mod activity;
mod body;
mod bundle;
pub mod caller;
mod compression;
mod conditional;
mod connection;
pub mod cors;
mod date;
mod edge;
mod error;
mod event_stream;
mod example;
mod framing;
mod graphiql;
mod graphql;
pub mod hot_reload;
mod media;
mod multipart;
pub mod ops;
mod origin;
mod rate_limit;
mod request_id;
mod request_in_progress;
mod request_recorder;
mod response_stream;
mod routes;
pub mod serve;
pub mod settings;
mod shutdown;
mod socket;
mod stream_format;
mod stream_reset;
mod streaming;
mod traced;
pub mod webhook;
mod websocket;

pub use self::edge::EdgeParts;
pub use self::hot_reload::{router, traced_router};
