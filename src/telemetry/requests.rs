//! Requests: one [`RequestRecord`] each, which [`Requests`] counts and writes as one line of the log.
//!
//! A line names a caller by its token's configured name or by a hash of its subject. It quotes no document, variable or
//! URL; the only texts of clients in it are the request id and the operation name, if it is safe in a log. The lines
//! have a target like a module's, so that `log.level` controls them: `info,switchboard::requests=off`.

mod labels;
mod operation_counts;
mod record;
mod subscriptions;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use self::labels::{Outcome, ResponseSource, Route, Transport};
pub use self::operation_counts::CountedOperation;
use self::operation_counts::{OperationCounts, Tally};
use self::record::write;
pub use self::record::{CallerName, Cost, RequestRecord};
pub use self::subscriptions::OpenSubscription;
use self::subscriptions::Streams;
use super::metrics::declared;
use super::metrics::readings::Readings;

/// Number of HTTP statuses that are counted: 100 to 599.
const STATUSES: usize = 500;

/// Counts of requests since the start.
#[derive(Debug)]
pub struct Requests {
    operations: OperationCounts,
    errors: Mutex<BTreeMap<&'static str, u64>>,
    sources: [AtomicU64; ResponseSource::ALL.len()],
    responses: Box<[[AtomicU64; STATUSES]]>,
    streams: Arc<Streams>,
}

impl Requests {
    pub(super) fn new(names_max: usize) -> Self {
        let responses = Route::ALL.iter().map(|_| [const { AtomicU64::new(0) }; STATUSES]).collect();
        let (errors, sources, streams) = (Mutex::default(), Default::default(), Arc::default());
        Self { operations: OperationCounts::new(names_max), errors, sources, responses, streams }
    }

    /// Returns the handle of a valid operation's counts; `kind` is query, mutation or subscription.
    #[must_use]
    pub fn operation(&self, name: Option<&str>, kind: &'static str) -> Arc<CountedOperation> {
        Arc::new(self.operations.operation(name, kind))
    }

    /// Counts a subscription as open until the value is dropped.
    #[must_use]
    pub fn open_subscription(
        &self,
        operation: Arc<CountedOperation>,
        transport: Transport,
    ) -> OpenSubscription {
        OpenSubscription::begin(Arc::clone(&self.streams), operation, transport)
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
        record.operation.as_ref().map_or_else(|| self.operations.unknown(), |operation| operation.tally())
    }

    /// Adds all counts to the values of a scrape.
    pub(super) fn read(&self, readings: &mut Readings) {
        self.operations.read(readings);
        readings.declare(&declared::REQUEST_ERRORS);
        for (code, count) in self.errors.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            readings.count(&declared::REQUEST_ERRORS, &[code], *count);
        }
        for (source, count) in ResponseSource::ALL.iter().zip(&self.sources) {
            readings.count(&declared::OPERATION_RESPONSES, &[source.word()], count.load(Ordering::Relaxed));
        }
        for (route, statuses) in Route::ALL.iter().zip(&self.responses) {
            for (index, count) in statuses.iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    let status = (index + 100).to_string();
                    readings.count(&declared::HTTP_RESPONSES, &[route.word(), &status], count);
                }
            }
        }
        self.streams.read(readings);
    }
}
