//! Requests: one [`RequestRecord`] each, which [`Requests`] counts and writes as one line of the log.
//!
//! A line names a caller by its token's configured name or by a hash of its subject. It quotes no document, variable or
//! URL; the only texts of clients in it are the request id and the operation name, if that is a plain word. The lines
//! have a target like a module's, so that `log.level` controls them: `info,switchboard::requests=off`.

mod names;
mod subscriptions;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use self::names::Operation;
use self::names::{Names, Tally};
pub use self::subscriptions::OpenSubscription;
use self::subscriptions::Streams;
use super::metrics::declared;
use super::metrics::readings::Readings;

/// Target of the lines.
const TARGET: &str = "switchboard::requests";

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of_one:meta])* $one:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$of_one])* $one,)* }

        impl $name {
            /// All variants.
            pub const ALL: &[Self] = &[$(Self::$one),*];

            /// Returns the value in metrics and in the log.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$one => $word,)* }
            }
        }
    };
}

words! {
    /// Transport of a response.
    Transport {
        /// A single HTTP response.
        Http = "http",
        /// Server-sent events.
        Sse = "sse",
        /// `multipart/mixed`.
        Multipart = "multipart",
        /// WebSocket messages.
        WebSocket = "websocket",
    }
}

words! {
    /// Outcome of a request.
    Outcome {
        /// A response without errors.
        Ok = "ok",
        /// Executed, with errors in the response.
        Partial = "partial",
        /// Refused before execution.
        Refused = "refused",
        /// The server was overloaded.
        Overloaded = "overloaded",
        /// An internal error.
        Crashed = "crashed",
        /// The client disconnected before the response.
        HungUp = "hung_up",
        /// Still running at the end of the shutdown.
        CutOff = "cut_off",
    }
}

words! {
    /// Origin of a response.
    ResponseSource {
        /// Executed for this request.
        Executed = "executed",
        /// Shared with an identical request in flight.
        Joined = "joined",
        /// Read from the response cache.
        Cached = "kept",
    }
}

words! {
    /// Route of the public listener.
    Route {
        /// The GraphQL endpoint.
        Graphql = "graphql",
        /// Composio's webhook.
        Webhook = "webhook",
        /// GraphiQL, the example, and their assets.
        Page = "page",
        /// Any other path; most do not exist.
        Other = "other",
    }
}

/// Name of a caller in the log: its token's name or a hash of its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerName(pub Arc<str>);

/// Upstream calls that an operation made and waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Calls to LeadLex.
    pub leadlex: u64,
    /// Calls to Composio.
    pub composio: u64,
}

/// Facts about a completed request, for the log and the metrics.
#[derive(Debug, Clone)]
pub struct RequestRecord {
    /// Transport of the response.
    pub transport: Transport,
    /// Operation; `None` if the request was refused before its operation was known.
    pub operation: Option<Arc<Operation>>,
    /// Outcome.
    pub outcome: Outcome,
    /// Code of the first error.
    pub code: Option<&'static str>,
    /// Reason of the refusal, if the request was refused before its operation was known.
    pub reason: Option<&'static str>,
    /// Name of the caller in the log; `None` without authentication.
    pub caller: Option<CallerName>,
    /// Origin of the response; `None` if nothing was executed.
    pub source: Option<ResponseSource>,
    /// Upstream calls.
    pub cost: Cost,
    /// Size of the response before compression, in bytes; `None` if unknown.
    pub bytes: Option<u64>,
}

impl RequestRecord {
    /// Creates a record with only a transport and an outcome, as for a request that was not executed.
    #[must_use]
    pub fn of(transport: Transport, outcome: Outcome) -> Self {
        Self {
            transport,
            operation: None,
            outcome,
            code: None,
            reason: None,
            caller: None,
            source: None,
            cost: Cost::default(),
            bytes: None,
        }
    }
}

/// Number of HTTP statuses that are counted: 100 to 599.
const STATUSES: usize = 500;

/// Counts of requests since the start.
#[derive(Debug)]
pub struct Requests {
    names: Names,
    errors: Mutex<BTreeMap<&'static str, u64>>,
    sources: [AtomicU64; ResponseSource::ALL.len()],
    responses: Box<[[AtomicU64; STATUSES]]>,
    streams: Streams,
}

impl Requests {
    pub(super) fn new(names_max: usize) -> Self {
        let responses = Route::ALL.iter().map(|_| [const { AtomicU64::new(0) }; STATUSES]).collect();
        let (errors, sources, streams) = (Mutex::default(), Default::default(), Streams::default());
        Self { names: Names::new(names_max), errors, sources, responses, streams }
    }

    /// Returns the counts of a valid operation; `kind` is query, mutation or subscription.
    #[must_use]
    pub fn operation(&self, name: Option<&str>, kind: &'static str) -> Arc<Operation> {
        Arc::new(self.names.operation(name, kind))
    }

    /// Counts a completed operation. Over a WebSocket it also writes the log line, because there is no HTTP request to
    /// log.
    pub fn operation_ended(&self, record: &RequestRecord, took: Duration) {
        self.tally(record).record_end(record.transport, record.outcome, took);
        if let Some(code) = record.code {
            *self.errors.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
        }
        if let Some(count) = record.source.and_then(|source| self.sources.get(source as usize)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if record.transport == Transport::WebSocket {
            write(record, Route::Graphql, None, took);
        }
    }

    /// Counts a completed request of the public listener, and writes its line. A request whose client disconnected has
    /// no status.
    pub fn request_ended(&self, record: &RequestRecord, route: Route, status: Option<u16>, took: Duration) {
        let index = status.and_then(|status| usize::from(status).checked_sub(100));
        let count = index.and_then(|index| self.responses.get(route as usize)?.get(index));
        if let Some(count) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
        write(record, route, status, took);
    }

    fn tally<'a>(&'a self, record: &'a RequestRecord) -> &'a Tally {
        record.operation.as_ref().map_or_else(|| self.names.unknown(), |operation| operation.tally())
    }

    /// Adds all counts to the values of a scrape.
    pub(super) fn read(&self, readings: &mut Readings) {
        self.names.read(readings);
        readings.declare(&declared::REQUEST_ERRORS);
        for (code, count) in self.errors.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            readings.count(&declared::REQUEST_ERRORS, &[code], *count);
        }
        for (source, count) in ResponseSource::ALL.iter().zip(&self.sources) {
            readings.count(&declared::ANSWERS, &[source.word()], count.load(Ordering::Relaxed));
        }
        for (route, statuses) in Route::ALL.iter().zip(&self.responses) {
            for (index, count) in statuses.iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    let status = (index + 100).to_string();
                    readings.count(&declared::RESPONSES, &[route.word(), &status], count);
                }
            }
        }
        self.streams.read(readings);
    }
}

/// Writes the log line.
fn write(record: &RequestRecord, route: Route, status: Option<u16>, took: Duration) {
    let operation = record.operation.as_deref();
    tracing::info!(
        target: TARGET,
        route = route.word(),
        transport = record.transport.word(),
        operation = operation.and_then(Operation::plain_name),
        operation_type = operation.map(Operation::kind),
        outcome = record.outcome.word(),
        code = record.code,
        reason = record.reason,
        caller = record.caller.as_ref().map(|CallerName(name)| &**name),
        status,
        duration_ms = milliseconds(took),
        bytes = record.bytes,
        made = record.source.map(ResponseSource::word),
        leadlex_calls = operation.map(|_| record.cost.leadlex),
        composio_calls = operation.map(|_| record.cost.composio),
        "request"
    );
}

/// Converts to milliseconds, with three decimals.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}
