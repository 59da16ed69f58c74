//! Export of spans to the collector: the SDK's batch processor and OTLP exporter, over this program's HTTP client.
//!
//! [`processor`] is the entry point. The SDK's thread batches the spans; [`CollectorClient`] sends the batches on
//! Tokio. Requests never wait: if [`QUEUE_MAX`] spans are waiting, the next is dropped. The SDK's own log lines, two
//! for each failed batch, are compiled out; [`SpanCounts`] writes one a minute instead.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Request, Response};
use opentelemetry::Context;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tower::ServiceExt as _;

use super::settings::TraceSettings;
use super::{PostService, TraceError};

/// Maximum number of spans that wait for the exporter.
const QUEUE_MAX: usize = 8_192;

/// Maximum number of spans in one request to the collector.
const BATCH_MAX: usize = 512;

/// Longest time that a span waits for its batch to fill.
const BATCH_DELAY: Duration = Duration::from_secs(1);

/// Minimum time between two warnings about lost spans.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Creates the processor that exports spans. Must be called within a Tokio runtime.
pub(super) fn processor(settings: &TraceSettings, post: PostService) -> Result<BoundedProcessor, TraceError> {
    let mut headers = HeaderMap::new();
    headers.extend(settings.headers()?);
    let url = settings.url().map(String::from).unwrap_or_default();
    let client = CollectorClient { post, headers, timeout: settings.timeout(), runtime: Handle::current() };
    // All values are set here, so that the library does not read its OTEL_* variables: the configuration has already
    // read them, with its documented precedence.
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url)
        .with_timeout(settings.timeout())
        .build()
        .map_err(|_| TraceError::Exporter)?;
    let counts = Arc::new(SpanCounts::default());
    let exporter = ReportingExporter { exporter, counts: Arc::clone(&counts) };
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_MAX)
        .with_max_export_batch_size(BATCH_MAX)
        .with_scheduled_delay(BATCH_DELAY)
        .build();
    let batches = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    Ok(BoundedProcessor { batches, counts })
}

/// HTTP client of the OTLP exporter. It sends on Tokio, because the exporter runs on a thread of its own.
struct CollectorClient {
    post: PostService,
    headers: HeaderMap,
    timeout: Duration,
    runtime: Handle,
}

impl fmt::Debug for CollectorClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectorClient").finish_non_exhaustive()
    }
}

impl HttpClient for CollectorClient {
    fn send_bytes<'s, 'f>(
        &'s self,
        mut request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        // The library adds the headers of OTEL_* variables even if `traces.headers` overrides them, so of its headers
        // only Content-Type and Content-Encoding are sent.
        let mut headers = self.headers.clone();
        for name in [CONTENT_TYPE, CONTENT_ENCODING] {
            if let Some(value) = request.headers_mut().remove(&name) {
                headers.insert(name, value);
            }
        }
        *request.headers_mut() = headers;
        let (post, limit) = (self.post.clone(), self.timeout);
        // The timeout is created within the task, because it needs Tokio's context.
        let status = self.runtime.spawn(async move { timeout(limit, post.oneshot(request)).await });
        Box::pin(async move {
            // The exporter needs only the status.
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = status.await???;
            Ok(response)
        })
    }
}

/// The SDK's batch processor, with a limit of waiting spans and a count of dropped ones.
#[derive(Debug)]
pub(super) struct BoundedProcessor {
    batches: BatchSpanProcessor,
    counts: Arc<SpanCounts>,
}

impl SpanProcessor for BoundedProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.counts.enqueue() {
            self.batches.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// The OTLP exporter, which logs a warning when spans are lost.
#[derive(Debug)]
struct ReportingExporter {
    exporter: opentelemetry_otlp::SpanExporter,
    counts: Arc<SpanCounts>,
}

impl SpanExporter for ReportingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.counts.dequeue(count);
        let result = self.exporter.export(batch).await;
        let reason = match &result {
            Ok(()) => "the queue was full".to_owned(),
            Err(error) => {
                self.counts.add_lost(count);
                // The library's texts name a status or "network error", never the URL or a header.
                error.to_string()
            }
        };
        self.counts.warn_if_due(&reason);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Number of waiting spans, and of spans lost since the last warning.
#[derive(Debug, Default)]
struct SpanCounts {
    waiting: AtomicUsize,
    lost: AtomicU64,
    warned_at: Mutex<Option<Instant>>,
}

impl SpanCounts {
    /// Counts a span as waiting. Returns false if the queue is full, and counts the span as lost.
    fn enqueue(&self) -> bool {
        let has_room = self.waiting.fetch_add(1, Ordering::Relaxed) < QUEUE_MAX;
        if !has_room {
            self.dequeue(1);
            self.add_lost(1);
        }
        has_room
    }

    fn dequeue(&self, count: usize) {
        self.waiting.fetch_sub(count, Ordering::Relaxed);
    }

    fn add_lost(&self, count: usize) {
        self.lost.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Writes a warning if spans were lost and the last warning is old enough.
    fn warn_if_due(&self, reason: &str) {
        if let Some(lost) = self.take_due(Instant::now()) {
            tracing::warn!(lost, reason, "spans were lost: they did not reach the collector");
        }
    }

    /// Returns the number of spans lost since the last warning, if a warning is due.
    fn take_due(&self, now: Instant) -> Option<u64> {
        let mut warned_at = self.warned_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_quiet = warned_at.is_some_and(|at| now < at + WARNING_INTERVAL);
        if is_quiet || self.lost.load(Ordering::Relaxed) == 0 {
            return None;
        }
        *warned_at = Some(now);
        Some(self.lost.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_beyond_the_queue_are_lost() {
        let counts = SpanCounts::default();
        let accepted = (0..QUEUE_MAX + 10).filter(|_| counts.enqueue()).count();
        assert_eq!((accepted, counts.take_due(Instant::now())), (QUEUE_MAX, Some(10)));
        counts.dequeue(BATCH_MAX);
        assert_eq!((0..QUEUE_MAX).filter(|_| counts.enqueue()).count(), BATCH_MAX);
    }

    #[test]
    fn lost_spans_are_reported_once_a_minute() {
        let (counts, start) = (SpanCounts::default(), Instant::now());
        assert_eq!(counts.take_due(start), None);
        let reports: Vec<_> = (0..100)
            .filter_map(|second| {
                counts.add_lost(1);
                counts.take_due(start + Duration::from_secs(second))
            })
            .collect();
        assert_eq!(reports, [1, 60]);
    }
}
