//! Metrics for Prometheus. Each metric is [`declared`] once and is read at scrape time; [`Metrics::page`] is the entry
//! point.
//!
//! Each layer counts its own events in plain numbers and adds them to the [`readings`] of a scrape; `app` registers the
//! layers here. An event is therefore counted in one place, and tests of a layer need no metrics. Requests are counted
//! in [`requests`](super::requests), durations and sizes in a [`distribution`].
//!
//! Each graph has its own registry. Rejected: the `metrics` facade, whose only recorder would be shared by all tests of
//! a process.

pub mod declared;
pub mod distribution;
mod process;
pub mod readings;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};
use prometheus_client::registry::Registry;
use serde::Deserialize;

use self::readings::Readings;
use super::log_writer;
use super::requests::Requests;
use crate::domain::settings::Ranges;

/// `[metrics]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsSettings {
    /// Number of operation names that have series of their own.
    pub operation_names_max: usize,
}

impl MetricsSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges = &[("operation_names_max", 0..=10_000)];
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self { operation_names_max: 100 }
    }
}

/// Function that adds the counts of a layer to the values of a scrape.
type MetricsSource = Box<dyn Fn(&mut Readings) + Send + Sync>;

/// All metrics of one graph; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    state: Arc<MetricsState>,
    registry: Arc<Registry>,
}

struct MetricsState {
    started_at: Timestamp,
    requests: Arc<Requests>,
    sources: Mutex<BTreeMap<&'static str, MetricsSource>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(&MetricsSettings::default(), Timestamp::UNIX_EPOCH)
    }
}

impl Metrics {
    /// The media type of [`Self::page`] (OpenMetrics 1.0, "Overall Structure").
    pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// The media type of [`Self::text_page`] (Prometheus, "Exposition formats").
    pub const TEXT_MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// Creates metrics without counts.
    #[must_use]
    pub fn new(settings: &MetricsSettings, started_at: Timestamp) -> Self {
        let requests = Arc::new(Requests::new(settings.operation_names_max));
        let state = Arc::new(MetricsState { started_at, requests, sources: Mutex::default() });
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Arc::clone(&state)));
        Self { state, registry: Arc::new(registry) }
    }

    /// Registers a source, and replaces the source of that name: a rebuilt part is not read twice.
    pub fn register(&self, name: &'static str, source: impl Fn(&mut Readings) + Send + Sync + 'static) {
        self.state.lock().insert(name, Box::new(source));
    }

    /// Returns the counts of requests.
    #[must_use]
    pub fn requests(&self) -> &Arc<Requests> {
        &self.state.requests
    }

    /// Returns all metrics in OpenMetrics' text format.
    #[must_use]
    pub fn page(&self) -> String {
        page(|page| text::encode(page, &self.registry))
    }

    /// Returns all metrics in Prometheus's text format, for clients that do not accept OpenMetrics.
    #[must_use]
    pub fn text_page(&self) -> String {
        page(|page| prometheus_text::encode(page, &self.registry))
    }
}

/// Writing to a string does not fail. If it did, an empty page would be better than one that ends early.
fn page(encode: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut page = String::new();
    if encode(&mut page).is_err() {
        page.clear();
    }
    page
}

impl MetricsState {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, MetricsSource>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MetricsState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MetricsState")
    }
}

impl Collector for MetricsState {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut readings = Readings::default();
        process::read(self.started_at, &mut readings);
        log_writer::read(&mut readings);
        self.requests.read(&mut readings);
        for source in self.lock().values() {
            source(&mut readings);
        }
        readings.write(encoder)
    }
}
