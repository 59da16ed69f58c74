//! Traces as they are made: spans in OpenTelemetry's own context, which holds the tracer too, so that a part finds both.

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
use super::{Fact, Post, TraceError, export, parent};
use crate::domain::upstream_name::UpstreamName;

/// Longest time that the shutdown waits for the last spans to be exported.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// The tracing of requests, from its start to its shutdown.
#[derive(Debug)]
pub struct Traces {
    root: Root,
    provider: SdkTracerProvider,
}

impl Traces {
    /// Starts to trace requests, and to export their spans in the background. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// If `traces.headers` or `traces.endpoint` is invalid.
    pub fn start(settings: &TraceSettings, post: Post) -> Result<Self, TraceError> {
        // Without the SDK's own service name: `traces.service_name` includes OTEL_SERVICE_NAME already.
        let resource = Resource::builder_empty()
            .with_detectors(&[Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())])
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_service_name(settings.service_name.clone())
            .build();
        let share = f64::from(settings.sample_percent) / 100.0;
        // Given, so that the SDK does not read OTEL_TRACES_SAMPLER and the variables of limits.
        let provider = SdkTracerProvider::builder()
            .with_span_processor(export::processor(settings, post)?)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share))))
            .with_span_limits(SpanLimits::default())
            .with_resource(resource)
            .build();
        Ok(Self { root: Root(provider.tracer("switchboard")), provider })
    }

    /// What requests begin traces with.
    #[must_use]
    pub fn root(&self) -> Root {
        self.root.clone()
    }

    /// Exports the spans that wait, for at most a second, and ends the export.
    pub async fn end(self) {
        // The SDK blocks its caller until its thread has ended.
        let shutdown = move || self.provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT);
        if !matches!(tokio::task::spawn_blocking(shutdown).await, Ok(Ok(()))) {
            tracing::warn!("the last traces did not reach the collector in time");
        }
    }
}

/// What requests begin traces with; its clones are in the context of each trace.
#[derive(Debug, Clone)]
pub struct Root(SdkTracer);

impl Root {
    /// A request's span, of the client's trace where it says which. One that is not to be recorded is nothing at all, unless
    /// it is the client's: then the upstreams are told of that.
    pub(crate) fn request(&self, method: &str, route: Option<&str>, headers: &HeaderMap) -> Open {
        let given = parent::given(headers);
        let is_given = given.is_some();
        let method = if METHODS.contains(&method) { method.to_owned() } else { "_OTHER".to_owned() };
        let name = route.map_or_else(|| method.clone(), |route| format!("{method} {route}"));
        let mut attributes = vec![KeyValue::new("http.request.method", method)];
        attributes.extend(route.map(|route| KeyValue::new("http.route", route.to_owned())));
        let builder = builder(name, SpanKind::Server).with_attributes(attributes);
        let parent = given.map_or_else(Context::new, |given| Context::new().with_remote_span_context(given));
        let open = self.open(builder, &parent);
        if is_given || open.is_recorded() { open } else { Open::default() }
    }

    fn open(&self, builder: SpanBuilder, parent: &Context) -> Open {
        let span = builder.start_with_context(&self.0, parent);
        Open { context: Some(parent.with_value(self.clone()).with_span(span)), calls: None }
    }
}

/// The longest operation name that is told, in bytes: GraphQL has no limit.
const NAME_MAX: usize = 128;

/// Methods that are told as they are (RFC 9110, RFC 5789); what else a client makes up is not repeated.
const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

fn builder(name: impl Into<std::borrow::Cow<'static, str>>, kind: SpanKind) -> SpanBuilder {
    SpanBuilder::from_name(name).with_kind(kind)
}

/// A span under way, which ends with this; nothing where there is no trace.
#[derive(Default)]
pub(crate) struct Open {
    context: Option<Context>,
    /// Of a batch: how many calls were made for it.
    calls: Option<Calls>,
}

/// In the context of a batch's calls.
#[derive(Clone, Default)]
struct Calls(Arc<AtomicI64>);

impl Open {
    /// A loader's batch: of what, and of how many keys.
    pub(crate) fn batch(of: &'static str, keys: usize) -> Self {
        let keys = i64::try_from(keys).unwrap_or(i64::MAX);
        let attributes =
            [KeyValue::new("switchboard.batch.of", of), KeyValue::new("switchboard.batch.keys", keys)];
        let builder = builder(format!("batch {of}"), SpanKind::Internal).with_attributes(attributes);
        let mut open = Self::part(builder);
        if let Some(context) = &mut open.context {
            let calls = Calls::default();
            *context = context.with_value(calls.clone());
            open.calls = Some(calls);
        }
        open
    }

    /// One call to an upstream, which is another's repetition for the so-manieth time.
    pub(crate) fn call(upstream: UpstreamName, repetition: u32) -> Self {
        let mut attributes = vec![
            KeyValue::new("http.request.method", "GET"),
            KeyValue::new("peer.service", upstream.to_string()),
        ];
        let repeated = (repetition > 0).then_some(i64::from(repetition));
        attributes.extend(repeated.map(|times| KeyValue::new("http.request.resend_count", times)));
        let builder = builder(format!("GET {upstream}"), SpanKind::Client).with_attributes(attributes);
        let open = Self::part(builder);
        if let Some(Calls(calls)) = open.context.as_ref().and_then(Context::get) {
            calls.fetch_add(1, Ordering::Relaxed);
        }
        open
    }

    /// A span of the trace that is under way here, if there is one.
    fn part(builder: SpanBuilder) -> Self {
        let under_way = |context: &Context| Some((context.get::<Root>()?.clone(), context.clone()));
        let Some((root, parent)) = Context::map_current(under_way) else { return Self::default() };
        root.open(builder, &parent)
    }

    fn is_recorded(&self) -> bool {
        self.context.as_ref().is_some_and(|context| context.span().span_context().is_sampled())
    }

    /// Does something within it: what that begins are its parts.
    pub(crate) fn around<F: Future>(&self, future: F) -> WithContext<F> {
        future.with_context(self.context.clone().unwrap_or_else(Context::current))
    }

    /// Tells something of it.
    pub(crate) fn note(&self, fact: Fact<'_>) {
        if let Some(context) = &self.context {
            tell(&context.span(), fact);
        }
    }

    /// Tells an upstream that a call is this.
    pub(crate) fn tell(&self, request: &mut Request<bytes::Bytes>) {
        if let Some(context) = &self.context {
            parent::tell(context, request);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(context) = &self.context else { return };
        if let Some(Calls(calls)) = &self.calls {
            let calls = calls.load(Ordering::Relaxed);
            context.span().set_attribute(KeyValue::new("switchboard.batch.calls", calls));
        }
        context.span().end();
    }
}

/// Where something comes from that will go on by itself, in traces of its own that lead back here. (As parts of this one they
/// would make it as long as a subscription lasts.)
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin(Option<(Root, SpanContext)>);

impl Origin {
    /// What is under way here.
    pub(crate) fn here() -> Self {
        Context::map_current(|context| {
            Self(context.get::<Root>().map(|root| (root.clone(), context.span().span_context().clone())))
        })
    }

    /// An operation that came as a message, over a WebSocket that began here.
    pub(crate) fn message(&self) -> Open {
        self.begin(builder("message", SpanKind::Server))
    }

    /// One event of a subscription that began here.
    pub(crate) fn event(&self, name: Option<&str>) -> Open {
        let open = self.begin(builder("event", SpanKind::Internal));
        open.note(Fact::Operation { kind: "subscription", name });
        open
    }

    /// A look for changes, which who subscribed here was the first to want.
    pub(crate) fn look(&self, upstream: UpstreamName) -> Open {
        let attributes = [KeyValue::new("peer.service", upstream.to_string())];
        self.begin(builder("look for changes", SpanKind::Internal).with_attributes(attributes))
    }

    fn begin(&self, builder: SpanBuilder) -> Open {
        let Some((root, origin)) = &self.0 else { return Open::default() };
        root.open(builder.with_links(vec![Link::with_context(origin.clone())]), &Context::new())
    }
}

/// Whether a trace is under way here.
pub(crate) fn are_on() -> bool {
    Context::map_current(|context| context.get::<Root>().is_some())
}

/// Takes the trace that is under way here along, for what runs on a task of its own.
pub(crate) fn carried<F: Future>(future: F) -> WithContext<F> {
    future.with_current_context()
}

/// Tells something of the span that is under way here.
pub(crate) fn note(fact: Fact<'_>) {
    Context::map_current(|context| tell(&context.span(), fact));
}

/// Tells that what is under way here waits for what another began.
pub(crate) fn joined(other: &Origin) {
    Context::map_current(|context| {
        let span = context.span();
        span.set_attribute(KeyValue::new("switchboard.joined", true));
        if let Some((_, other)) = &other.0 {
            span.add_link(other.clone(), Vec::new());
        }
    });
}

fn tell(span: &SpanRef<'_>, fact: Fact<'_>) {
    let failed = |kind: String| {
        span.set_attribute(KeyValue::new("error.type", kind));
        span.set_status(Status::error(""));
    };
    match fact {
        Fact::Operation { kind, name } => {
            span.update_name(kind);
            span.set_attribute(KeyValue::new("graphql.operation.type", kind));
            if let Some(name) = name.filter(|name| name.len() <= NAME_MAX) {
                span.set_attribute(KeyValue::new("graphql.operation.name", name.to_owned()));
            }
        }
        Fact::Status(status) => {
            span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        }
        Fact::Failed(code) => failed(code.to_owned()),
        Fact::Refused(code) => span.set_attribute(KeyValue::new("error.type", code)),
        Fact::RequestId(id) => span.set_attribute(KeyValue::new("switchboard.request.id", id.to_owned())),
        Fact::UpstreamRequestId(id) => {
            span.set_attribute(KeyValue::new("switchboard.upstream.request_id", id.to_owned()));
        }
    }
}
