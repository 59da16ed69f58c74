//! Counts of open subscriptions and of the events sent to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::labels::Transport;
use super::operation_counts::CountedOperation;
use super::record::milliseconds;
use crate::telemetry::json_lines::REQUESTS_TARGET;
use crate::telemetry::metrics::declared;
use crate::telemetry::metrics::readings::Readings;

/// Counts by transport.
#[derive(Debug, Default)]
pub(super) struct Streams([Stream; Transport::ALL.len()]);

#[derive(Debug, Default)]
struct Stream {
    open: AtomicU64,
    events: AtomicU64,
}

impl Streams {
    pub(super) fn read(&self, readings: &mut Readings) {
        for (transport, stream) in Transport::ALL.iter().zip(&self.0) {
            if *transport != Transport::Http {
                let labels = [transport.word()];
                readings.level(&declared::SUBSCRIPTIONS, &labels, stream.open.load(Ordering::Relaxed));
                readings.count(
                    &declared::SUBSCRIPTION_EVENTS,
                    &labels,
                    stream.events.load(Ordering::Relaxed),
                );
            }
        }
    }
}

/// An open subscription. Dropping it counts its end and writes its line.
#[derive(Debug)]
pub struct OpenSubscription {
    streams: Arc<Streams>,
    operation: Arc<CountedOperation>,
    transport: Transport,
    began: Instant,
    events: u64,
}

impl OpenSubscription {
    /// Counts a subscription as open until the value is dropped.
    pub(super) fn begin(
        streams: Arc<Streams>,
        operation: Arc<CountedOperation>,
        transport: Transport,
    ) -> Self {
        let began = Instant::now();
        let subscription = Self { streams, operation, transport, began, events: 0 };
        if let Some(stream) = subscription.stream() {
            stream.open.fetch_add(1, Ordering::Relaxed);
        }
        subscription
    }

    /// Counts an event.
    pub fn event_sent(&mut self) {
        self.events += 1;
        if let Some(stream) = self.stream() {
            stream.events.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn stream(&self) -> Option<&Stream> {
        self.streams.0.get(self.transport as usize)
    }
}

impl Drop for OpenSubscription {
    fn drop(&mut self) {
        if let Some(stream) = self.stream() {
            stream.open.fetch_sub(1, Ordering::Relaxed);
        }
        tracing::info!(
            target: REQUESTS_TARGET,
            transport = self.transport.word(),
            operation = self.operation.safe_name(),
            operation_type = self.operation.kind(),
            events = self.events,
            duration_ms = milliseconds(self.began.elapsed()),
            "subscription ended"
        );
    }
}
