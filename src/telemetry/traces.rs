//! Traces of requests, sent to a collector by OTLP (OpenTelemetry Protocol over HTTP).
//!
//! Each request has a span, each loader batch one below it, and each upstream call one below that. [`Traces::start`] is
//! the entry point. The HTTP edge starts spans by [`RequestTracer`], and lower layers by [`SpanGuard`]. Data can only
//! be added as a [`SpanAttribute`]; documents, variables, ids, URLs, headers and bodies are not among them.
//!
//! Spans find their parent in OpenTelemetry's context, which follows a future. If traces are off, a batch or a call
//! costs one thread-local read, and a request costs nothing.
//!
//! Rejected: a layer under `tracing`. Its spans are global to the process, a span would last as long as all work that
//! it started (including a refresh after the response), and the filter of the log would have to separate log spans from
//! trace spans.

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
pub type PostService = BoxCloneSyncService<Request<Bytes>, StatusCode, BoxError>;

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
