//! What is counted, for Prometheus: every metric [`declared`] once, read when somebody looks.
//!
//! Each layer counts what it does in plain figures of its own and knows how to put them into [`readings`]; `app` names here whom
//! to ask. So nothing is counted twice, a scrape costs what it reads, and a layer's tests need no metrics. What happens per request is
//! counted in [`requests`](super::requests), spans of time and sizes in a [`distribution`].
//!
//! A registry is a value, one for each graph: the `metrics` facade, the rejected choice, has one recorder for the process, which all
//! tests in it would share.

pub mod declared;
pub mod distribution;
mod process;
pub mod readings;
mod text_format;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;
use serde::Deserialize;

use self::readings::Readings;
use super::requests::Requests;
use crate::domain::settings::Ranges;

/// `[metrics]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsSettings {
    /// How many names of operations are told apart since the start.
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

/// Puts what it has counted into a reading.
type Source = Box<dyn Fn(&mut Readings) + Send + Sync>;

/// All metrics of one graph; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    figures: Arc<Figures>,
    registry: Arc<Registry>,
}

struct Figures {
    started_at: Timestamp,
    requests: Arc<Requests>,
    sources: Mutex<BTreeMap<&'static str, Source>>,
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

    /// Nothing is counted yet.
    #[must_use]
    pub fn new(settings: &MetricsSettings, started_at: Timestamp) -> Self {
        let requests = Arc::new(Requests::new(settings.operation_names_max));
        let figures = Arc::new(Figures { started_at, requests, sources: Mutex::default() });
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Arc::clone(&figures)));
        Self { figures, registry: Arc::new(registry) }
    }

    /// Reads a source too, in the place of the one of that name: what is built anew over the same graph is not read twice.
    pub fn read(&self, name: &'static str, source: impl Fn(&mut Readings) + Send + Sync + 'static) {
        self.figures.lock().insert(name, Box::new(source));
    }

    /// What counts requests.
    #[must_use]
    pub fn requests(&self) -> &Arc<Requests> {
        &self.figures.requests
    }

    /// All figures as they stand, as the text that Prometheus takes. It waits for nothing but additions under way.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = String::new();
        // Writing to a text does not fail; half of one would be refused for its missing end.
        if text::encode(&mut page, &self.registry).is_err() {
            page.clear();
        }
        page
    }
}

impl Metrics {
    /// Returns all metrics in Prometheus's text format, for clients that do not accept OpenMetrics.
    #[must_use]
    pub fn text_page(&self) -> String {
        text_format::of_openmetrics(&self.page())
    }
}

impl Figures {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Source>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut readings = Readings::default();
        process::read(self.started_at, &mut readings);
        self.requests.read(&mut readings);
        for source in self.lock().values() {
            source(&mut readings);
        }
        readings.write(encoder)
    }
}
