//! Traces: what a request was made of, told to a collector by OTLP (OpenTelemetry Protocol over HTTP).
//!
//! A span for each request, each loader batch below it, and each call to an upstream below that. Whatever is told of them is a
//! [`Fact`], and there are no others: nothing of a document, a variable, an id, a URL, a header or a body has a word there.
//!
//! The parts of a trace find each other by OpenTelemetry's own context, which goes along with a future and is nothing where
//! no trace was begun. So off costs one look at a thread's own memory where a batch or a call begins, and a request
//! nothing at all. Rejected was a layer under `tracing`: its spans are global to the process, end when whatever they began
//! ends, a refresh behind the answer too, and the log's filter would have to tell both kinds apart.

mod export;
mod fact;
mod live;
mod parent;
pub mod settings;

use bytes::Bytes;
use http::{Request, StatusCode};
use tower::BoxError;
use tower::util::BoxCloneSyncService;

pub(crate) use self::fact::Fact;
pub(crate) use self::live::{Open, Origin, are_on, carried, joined, note};
pub use self::live::{Root, Traces};
use self::settings::BadHeaders;

/// Whatever carries messages to the collector, and tells what status came back.
pub type Post = BoxCloneSyncService<Request<Bytes>, StatusCode, BoxError>;

/// Reason why traces cannot be exported. Does not quote the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// `traces.headers` is invalid.
    #[error("traces.headers {0}")]
    Headers(#[from] BadHeaders),
    /// The exporter does not accept `traces.endpoint`.
    #[error("traces.endpoint is not a URL that traces can be sent to")]
    Exporter,
}
