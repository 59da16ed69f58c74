//! Traces of requests, sent to a collector by OTLP (OpenTelemetry Protocol over HTTP).
//!
//! There is a span for each request, each loader batch below it, and each upstream call below that. [`Traces::start`]
//! is the entry point; the edge starts a span by [`RequestTracer`], and lower layers add their own by [`SpanGuard`]. A
//! [`SpanAttribute`] is the only way to add data: documents, variables, ids, URLs, headers and bodies have none.
//!
//! Spans find their parent in OpenTelemetry's own context, which follows a future and is empty where nothing is traced.
//! If traces are off, a batch or a call costs one thread-local read, and a request costs nothing. A layer under
//! `tracing` was rejected: its spans are global to the process, a span lasts as long as all work that it started (a
//! refresh behind the response too), and the log's filter would have to separate both kinds.

mod attribute;
mod export;
mod parent;
pub mod settings;
mod spans;

use bytes::Bytes;
use http::{Request, StatusCode};
use tower::BoxError;
use tower::util::BoxCloneSyncService;

pub(crate) use self::attribute::SpanAttribute;
use self::settings::BadHeaders;
pub use self::spans::{RequestTracer, Traces};
pub(crate) use self::spans::{SpanGuard, SpanOrigin, in_current_trace, is_active, note, note_join};

/// Service that sends a request to the collector and returns the status of the response.
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
