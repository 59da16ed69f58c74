//! What becomes of requests: one record each, which is counted, and written as one line of the log.
//!
//! A line says who asked for nothing, and quotes neither documents, variables nor URLs: an operation's name is the one thing in it
//! that clients chose, beside the request's id, and only as far as it is a plain word. The target of the lines is a module of its own
//! and no setting, so that `log.level` switches them as any other: `info,switchboard::requests=off`.

mod names;
mod subscriptions;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use self::names::Operation;
use self::names::{Names, Tally};
pub use self::subscriptions::Listening;
use self::subscriptions::Streams;
use super::metrics::declared;
use super::metrics::readings::Readings;

/// The target of the lines.
const TARGET: &str = "switchboard::requests";

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of_one:meta])* $one:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$of_one])* $one,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$one),*];

            /// Its word, in metrics and in the log.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$one => $word,)* }
            }
        }
    };
}

words! {
    /// How an answer travels.
    Transport {
        /// As one response.
        Http = "http",
        /// As server-sent events.
        Sse = "sse",
        /// As `multipart/mixed`.
        Multipart = "multipart",
        /// As messages of a WebSocket.
        WebSocket = "websocket",
    }
}

words! {
    /// What became of a request.
    Outcome {
        /// It was answered, and nothing failed.
        Ok = "ok",
        /// It ran, and something failed.
        Partial = "partial",
        /// It was refused, and did not run.
        Refused = "refused",
        /// There was no room for it.
        Overloaded = "overloaded",
        /// This layer failed.
        Crashed = "crashed",
        /// Its client did not wait for the answer.
        HungUp = "hung_up",
        /// It was still running when the server had to end.
        CutOff = "cut_off",
    }
}

words! {
    /// How an answer was come by.
    Made {
        /// It was executed for the one who asked.
        Executed = "executed",
        /// Others who asked meanwhile had it executed.
        Joined = "joined",
        /// It was kept from before.
        Kept = "kept",
    }
}

words! {
    /// What was asked for at the public listener.
    Route {
        /// The graph.
        Graphql = "graphql",
        /// Where Composio tells of changes.
        Webhook = "webhook",
        /// GraphiQL, the example, and what they are made of.
        Page = "page",
        /// Anything else, most of it nothing.
        Other = "other",
    }
}

/// What an operation cost upstream, in calls that were made for it and that it waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Calls to LeadLex.
    pub leadlex: u64,
    /// Calls to Composio.
    pub composio: u64,
}

/// What is known of a request once it is answered.
#[derive(Debug, Clone)]
pub struct RequestRecord {
    /// How the answer travels.
    pub transport: Transport,
    /// The operation; none where the request was refused before it was known.
    pub operation: Option<Arc<Operation>>,
    /// What became of it.
    pub outcome: Outcome,
    /// The code of the first error.
    pub code: Option<&'static str>,
    /// How the answer was come by; none where nothing ran.
    pub made: Option<Made>,
    /// What it cost upstream.
    pub cost: Cost,
    /// The answer's size before it is compressed, in bytes; none where it is not known.
    pub bytes: Option<u64>,
}

impl RequestRecord {
    /// Of what did not run, and may be of no operation.
    #[must_use]
    pub fn of(transport: Transport, outcome: Outcome) -> Self {
        Self {
            transport,
            operation: None,
            outcome,
            code: None,
            made: None,
            cost: Cost::default(),
            bytes: None,
        }
    }
}

/// How many statuses there are, from 100 on.
const STATUSES: usize = 500;

/// What became of all requests since the start.
#[derive(Debug)]
pub struct Requests {
    names: Names,
    errors: Mutex<BTreeMap<&'static str, u64>>,
    made: [AtomicU64; Made::ALL.len()],
    responses: Box<[[AtomicU64; STATUSES]]>,
    streams: Streams,
}

impl Requests {
    pub(super) fn new(names_max: usize) -> Self {
        let responses = Route::ALL.iter().map(|_| [const { AtomicU64::new(0) }; STATUSES]).collect();
        let (errors, made, streams) = (Mutex::default(), Default::default(), Streams::default());
        Self { names: Names::new(names_max), errors, made, responses, streams }
    }

    /// An operation that has passed validation, of a name or none; `kind` is query, mutation or subscription.
    #[must_use]
    pub fn operation(&self, name: Option<&str>, kind: &'static str) -> Arc<Operation> {
        Arc::new(self.names.operation(name, kind))
    }

    /// An operation was answered, after so long. It is counted, and by WebSocket, where it is no request by itself, written.
    pub fn operation_ended(&self, record: &RequestRecord, took: Duration) {
        self.tally(record).ended(record.transport, record.outcome, took);
        if let Some(code) = record.code {
            *self.errors.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
        }
        if let Some(made) = record.made.and_then(|made| self.made.get(made as usize)) {
            made.fetch_add(1, Ordering::Relaxed);
        }
        if record.transport == Transport::WebSocket {
            write(record, Route::Graphql, None, took);
        }
    }

    /// A request of the public listener was answered, after so long: what every one of them tells, whether or not it was of
    /// an operation. One that nobody waited for has no status.
    pub fn request_ended(&self, record: &RequestRecord, route: Route, status: Option<u16>, took: Duration) {
        let place = status.and_then(|status| usize::from(status).checked_sub(100));
        let count = place.and_then(|place| self.responses.get(route as usize)?.get(place));
        if let Some(count) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
        write(record, route, status, took);
    }

    fn tally<'a>(&'a self, record: &'a RequestRecord) -> &'a Tally {
        record.operation.as_ref().map_or_else(|| self.names.unknown(), |operation| operation.tally())
    }

    /// Puts all of it into a reading.
    pub(super) fn read(&self, readings: &mut Readings) {
        self.names.read(readings);
        readings.begin(&declared::REQUEST_ERRORS);
        for (code, count) in self.errors.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            readings.count(&declared::REQUEST_ERRORS, &[code], *count);
        }
        for (made, count) in Made::ALL.iter().zip(&self.made) {
            readings.count(&declared::ANSWERS, &[made.word()], count.load(Ordering::Relaxed));
        }
        for (route, statuses) in Route::ALL.iter().zip(&self.responses) {
            for (place, count) in statuses.iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    let status = (place + 100).to_string();
                    readings.count(&declared::RESPONSES, &[route.word(), &status], count);
                }
            }
        }
        self.streams.read(readings);
    }
}

/// The line.
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
        status,
        duration_ms = milliseconds(took),
        bytes = record.bytes,
        made = record.made.map(Made::word),
        leadlex_calls = operation.map(|_| record.cost.leadlex),
        composio_calls = operation.map(|_| record.cost.composio),
        "request"
    );
}

/// To a thousandth.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}
