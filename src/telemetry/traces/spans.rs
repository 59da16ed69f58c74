//! Spans in OpenTelemetry's context. The context also holds the tracer, so that code below finds both its parent span
//! and the tracer of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::{HeaderMap, Request};
use opentelemetry::context::{FutureExt as _, WithContext};
use opentelemetry::trace::{
    Link, SpanBuilder, SpanContext, SpanKind, SpanRef, Status, TraceContextExt as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, SpanLimits};

use super::settings::TraceSettings;
use super::{PostService, SpanAttribute, TraceError, export, parent};
use crate::domain::upstream_name::UpstreamName;

/// Longest time that the shutdown waits for the last spans to be exported.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// The tracing of requests, from its start to its shutdown.
#[derive(Debug)]
pub struct Traces {
    root: RequestTracer,
    provider: SdkTracerProvider,
}

impl Traces {
    /// Starts to trace requests, and to export their spans in the background. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// If `traces.headers` or `traces.endpoint` is invalid.
    pub fn start(settings: &TraceSettings, post: PostService) -> Result<Self, TraceError> {
        // Without the SDK's detector of the service name: `traces.service_name` has read OTEL_SERVICE_NAME already.
        let resource = Resource::builder_empty()
            .with_detectors(&[Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())])
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_service_name(settings.service_name.clone())
            .build();
        let ratio = f64::from(settings.sample_percent) / 100.0;
        // All set here, so that the SDK does not read OTEL_TRACES_SAMPLER and the variables for limits.
        let provider = SdkTracerProvider::builder()
            .with_span_processor(export::processor(settings, post)?)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
            .with_span_limits(SpanLimits::default())
            .with_resource(resource)
            .build();
        Ok(Self { root: RequestTracer(provider.tracer("switchboard")), provider })
    }

    /// Returns the tracer of requests.
    #[must_use]
    pub fn root(&self) -> RequestTracer {
        self.root.clone()
    }

    /// Exports the waiting spans within a second, and ends the export.
    pub async fn end(self) {
        // The SDK blocks its caller until its thread has ended.
        let shutdown = move || self.provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT);
        if !matches!(tokio::task::spawn_blocking(shutdown).await, Ok(Ok(()))) {
            tracing::warn!("the last traces did not reach the collector in time");
        }
    }
}

/// Starts the spans of requests; the context of each trace holds a clone.
#[derive(Debug, Clone)]
pub struct RequestTracer(SdkTracer);

impl RequestTracer {
    /// Starts the span of a request, in the client's trace if it sends one. A request that is not sampled gets no span,
    /// unless the client sends a trace: then its context is still propagated to the upstreams.
    pub(crate) fn request(&self, method: &str, route: Option<&str>, headers: &HeaderMap) -> SpanGuard {
        let remote = parent::extract(headers);
        let has_remote = remote.is_some();
        let method = if METHODS.contains(&method) { method.to_owned() } else { "_OTHER".to_owned() };
        let name = route.map_or_else(|| method.clone(), |route| format!("{method} {route}"));
        let mut attributes = vec![KeyValue::new("http.request.method", method)];
        attributes.extend(route.map(|route| KeyValue::new("http.route", route.to_owned())));
        let builder = builder(name, SpanKind::Server).with_attributes(attributes);
        let parent =
            remote.map_or_else(Context::new, |remote| Context::new().with_remote_span_context(remote));
        let span = self.open(builder, &parent);
        if has_remote || span.is_recorded() { span } else { SpanGuard::default() }
    }

    fn open(&self, builder: SpanBuilder, parent: &Context) -> SpanGuard {
        let span = builder.start_with_context(&self.0, parent);
        SpanGuard { context: Some(parent.with_value(self.clone()).with_span(span)), calls: None }
    }
}

/// Maximum length of an exported operation name, in bytes; GraphQL has no limit.
const NAME_MAX: usize = 128;

/// Methods that are exported by name (RFC 9110, RFC 5789); others are `_OTHER`.
const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

fn builder(name: impl Into<std::borrow::Cow<'static, str>>, kind: SpanKind) -> SpanBuilder {
    SpanBuilder::from_name(name).with_kind(kind)
}

/// An open span, which ends when this is dropped; without a trace, nothing.
#[derive(Default)]
pub(crate) struct SpanGuard {
    context: Option<Context>,
    /// Number of upstream calls, in the span of a batch.
    calls: Option<Calls>,
}

/// Number of upstream calls below a batch; part of the batch's context.
#[derive(Clone, Default)]
struct Calls(Arc<AtomicI64>);

impl SpanGuard {
    /// Starts the span of a loader's batch.
    pub(crate) fn batch(kind: &'static str, keys: usize) -> Self {
        let mut span = Self::child(|| {
            let keys = i64::try_from(keys).unwrap_or(i64::MAX);
            let attributes =
                [KeyValue::new("switchboard.batch.of", kind), KeyValue::new("switchboard.batch.keys", keys)];
            builder(format!("batch {kind}"), SpanKind::Internal).with_attributes(attributes)
        });
        if let Some(context) = &mut span.context {
            let calls = Calls::default();
            *context = context.with_value(calls.clone());
            span.calls = Some(calls);
        }
        span
    }

    /// Starts the span of an upstream call. `repetition` is 0 for the first attempt, 1 for the first retry.
    pub(crate) fn call(method: &http::Method, upstream: UpstreamName, repetition: u32) -> Self {
        let span = Self::child(|| {
            let mut attributes = vec![
                KeyValue::new("http.request.method", method.as_str().to_owned()),
                KeyValue::new("peer.service", upstream.to_string()),
            ];
            let repeated = (repetition > 0).then_some(i64::from(repetition));
            attributes.extend(repeated.map(|times| KeyValue::new("http.request.resend_count", times)));
            builder(format!("{method} {upstream}"), SpanKind::Client).with_attributes(attributes)
        });
        if let Some(Calls(calls)) = span.context.as_ref().and_then(Context::get) {
            calls.fetch_add(1, Ordering::Relaxed);
        }
        span
    }

    /// Starts a child of the current span, if there is one.
    fn child(builder: impl FnOnce() -> SpanBuilder) -> Self {
        let trace_of = |context: &Context| Some((context.get::<RequestTracer>()?.clone(), context.clone()));
        let Some((root, parent)) = Context::map_current(trace_of) else { return Self::default() };
        root.open(builder(), &parent)
    }

    fn is_recorded(&self) -> bool {
        self.context.as_ref().is_some_and(|context| context.span().span_context().is_sampled())
    }

    /// Runs a future with this span as the current one.
    pub(crate) fn instrument<F: Future>(&self, future: F) -> WithContext<F> {
        future.with_context(self.context.clone().unwrap_or_else(Context::current))
    }

    /// Sets an attribute.
    pub(crate) fn note(&self, attribute: SpanAttribute<'_>) {
        if let Some(context) = &self.context {
            set_attribute(&context.span(), attribute);
        }
    }

    /// Adds the trace context to an upstream request.
    pub(crate) fn propagate_to(&self, request: &mut Request<bytes::Bytes>) {
        if let Some(context) = &self.context {
            parent::inject(context, request);
        }
    }
}

impl Drop for SpanGuard {
    fn drop(&mut self) {
        let Some(context) = &self.context else { return };
        if let Some(Calls(calls)) = &self.calls {
            let calls = calls.load(Ordering::Relaxed);
            context.span().set_attribute(KeyValue::new("switchboard.batch.calls", calls));
        }
        context.span().end();
    }
}

/// The span that started long-lived work, such as a subscription. Spans of that work are traces of their own, with a
/// link to this span; as its children they would make its trace as long as the subscription.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpanOrigin(Option<(RequestTracer, SpanContext)>);

impl SpanOrigin {
    /// Returns the current span.
    pub(crate) fn current() -> Self {
        Context::map_current(|context| {
            Self(
                context
                    .get::<RequestTracer>()
                    .map(|root| (root.clone(), context.span().span_context().clone())),
            )
        })
    }

    /// Starts the span of an operation over a WebSocket.
    pub(crate) fn message(&self) -> SpanGuard {
        self.begin(builder("message", SpanKind::Server))
    }

    /// Starts the span of a subscription's event.
    pub(crate) fn event(&self, name: Option<&str>) -> SpanGuard {
        let span = self.begin(builder("event", SpanKind::Internal));
        span.note(SpanAttribute::Operation { kind: "subscription", name });
        span
    }

    /// Starts the span of a poll for changes.
    pub(crate) fn poll(&self, upstream: UpstreamName) -> SpanGuard {
        let attributes = [KeyValue::new("peer.service", upstream.to_string())];
        self.begin(builder("look for changes", SpanKind::Internal).with_attributes(attributes))
    }

    fn begin(&self, builder: SpanBuilder) -> SpanGuard {
        let Some((root, origin)) = &self.0 else { return SpanGuard::default() };
        root.open(builder.with_links(vec![Link::with_context(origin.clone())]), &Context::new())
    }
}

/// Whether there is a current trace.
pub(crate) fn is_active() -> bool {
    Context::map_current(|context| context.get::<RequestTracer>().is_some())
}

/// Wraps a future that is spawned as a task, so that it belongs to the current trace.
pub(crate) fn in_current_trace<F: Future>(future: F) -> WithContext<F> {
    future.with_current_context()
}

/// Sets an attribute of the current span.
pub(crate) fn note(attribute: SpanAttribute<'_>) {
    Context::map_current(|context| set_attribute(&context.span(), attribute));
}

/// Records that the current span waits for work that another span has started.
pub(crate) fn note_join(other: &SpanOrigin) {
    Context::map_current(|context| {
        let span = context.span();
        span.set_attribute(KeyValue::new("switchboard.joined", true));
        if let Some((_, other)) = &other.0 {
            span.add_link(other.clone(), Vec::new());
        }
    });
}

fn set_attribute(span: &SpanRef<'_>, attribute: SpanAttribute<'_>) {
    let failed = |kind: String| {
        span.set_attribute(KeyValue::new("error.type", kind));
        span.set_status(Status::error(""));
    };
    match attribute {
        SpanAttribute::Operation { kind, name } => {
            span.update_name(kind);
            span.set_attribute(KeyValue::new("graphql.operation.type", kind));
            if let Some(name) = name.filter(|name| name.len() <= NAME_MAX) {
                span.set_attribute(KeyValue::new("graphql.operation.name", name.to_owned()));
            }
        }
        SpanAttribute::Status(status) => {
            span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        }
        SpanAttribute::Failed(code) => failed(code.to_owned()),
        SpanAttribute::Refused(code) => span.set_attribute(KeyValue::new("error.type", code)),
        SpanAttribute::RequestId(id) => {
            span.set_attribute(KeyValue::new("switchboard.request.id", id.to_owned()))
        }
        SpanAttribute::UpstreamRequestId(id) => {
            span.set_attribute(KeyValue::new("switchboard.upstream.request_id", id.to_owned()));
        }
    }
}
