//! Traces: what a request was made of, told to a collector by OTLP (OpenTelemetry Protocol over HTTP).
//!
//! A span for each request, each loader batch below it, and each call to an upstream below that. Whatever is told of them is a
//! [`Fact`], and there are no others: nothing of a document, a variable, an id, a URL, a header or a body has a word there.
//!
//! The parts of a trace find each other by OpenTelemetry's own context, which goes along with a future and is nothing where
//! no trace was begun. So off costs one look at a thread's own memory where a batch or a call begins, and a request
//! nothing at all. Rejected was a layer under `tracing`: its spans are global to the process, end when whatever they began
//! ends, a refresh behind the answer too, and the log's filter would have to tell both kinds apart.
//!
//! The feature `otlp` brings all this ([`live`]); without it the same words mean nothing (`absent`).

#[cfg(not(feature = "otlp"))]
mod absent;
#[cfg(feature = "otlp")]
mod export;
mod fact;
#[cfg(feature = "otlp")]
mod live;
#[cfg(feature = "otlp")]
mod parent;
pub mod settings;

use bytes::Bytes;
use http::{Request, StatusCode};
use tower::BoxError;
use tower::util::BoxCloneSyncService;

#[cfg(not(feature = "otlp"))]
pub(crate) use self::absent::{Open, Origin, are_on, carried, joined, note};
#[cfg(not(feature = "otlp"))]
pub use self::absent::{Root, Traces};
pub(crate) use self::fact::Fact;
#[cfg(feature = "otlp")]
pub(crate) use self::live::{Open, Origin, are_on, carried, joined, note};
#[cfg(feature = "otlp")]
pub use self::live::{Root, Traces};

/// Whatever carries messages to the collector, and tells what status came back.
pub type Post = BoxCloneSyncService<Request<Bytes>, StatusCode, BoxError>;
