//! The values of one scrape: all sources add theirs to [`Readings`], which is encoded as a page.
//!
//! If all label values of a counter are listed, every combination is present from the start with 0. Prometheus does not
//! see a series that begins at 1 as an increase, so an alert on the first event would not fire.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Unit;

use super::declared::{Declared, Kind};
use super::distribution::Distribution;

/// The values of one scrape.
#[derive(Debug, Default)]
pub struct Readings(BTreeMap<&'static str, (&'static Declared, Vec<Sample>)>);

#[derive(Debug)]
struct Sample {
    /// Label values in the order of the declaration.
    labels: Vec<String>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Count(u64),
    Gauge(f64),
    Distribution(Distribution),
}

impl Readings {
    /// Adds a counter's value, with label values in the order of the declaration.
    pub fn count(&mut self, metric: &'static Declared, labels: &[&str], count: u64) {
        self.put(metric, labels, Value::Count(count));
    }

    /// Adds a gauge's value.
    pub fn gauge(&mut self, metric: &'static Declared, labels: &[&str], value: f64) {
        self.put(metric, labels, Value::Gauge(value));
    }

    /// Adds a gauge's integral value.
    #[expect(clippy::cast_precision_loss, reason = "there are not 2^52 of anything here")]
    pub fn level(&mut self, metric: &'static Declared, labels: &[&str], level: u64) {
        self.gauge(metric, labels, level as f64);
    }

    /// Adds a histogram.
    pub fn distribution(&mut self, metric: &'static Declared, labels: &[&str], distribution: &Distribution) {
        self.put(metric, labels, Value::Distribution(distribution.clone()));
    }

    /// Adds a counter without a value, so that its listed series start at 0.
    pub fn declare(&mut self, metric: &'static Declared) {
        self.0.entry(metric.name).or_insert((metric, Vec::new()));
    }

    fn put(&mut self, metric: &'static Declared, labels: &[&str], value: Value) {
        debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
        let labels = labels.iter().map(|&text| text.to_owned()).collect();
        self.0.entry(metric.name).or_insert((metric, Vec::new())).1.push(Sample { labels, value });
    }

    pub(super) fn write(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (metric, samples) in self.0.values() {
            // The library appends `_total` and the unit again.
            let stem = metric.name.strip_suffix("_total").unwrap_or(metric.name);
            let unit = Some(metric.unit).filter(|unit| !unit.is_empty());
            let stem = unit.and_then(|unit| stem.strip_suffix(unit)?.strip_suffix('_')).unwrap_or(stem);
            let unit = unit.map(|unit| Unit::Other(unit.to_owned()));
            let help = format!("{}.", metric.help);
            let mut family =
                encoder.encode_descriptor(stem, &help, unit.as_ref(), metric.kind.library_type())?;
            let missing = missing_series(metric, samples);
            for sample in samples.iter().chain(&missing) {
                let names = metric.labels.iter().map(|label| label.name);
                let labels: Vec<_> = names.zip(sample.labels.iter().map(String::as_str)).collect();
                if let Value::Distribution(distribution) = &sample.value {
                    distribution.write(family.encode_family(&labels)?)?;
                } else if labels.is_empty() {
                    sample.value.write(&mut family)?;
                } else {
                    sample.value.write(&mut family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}

/// Returns the series of a counter that have no value yet; none if the values of a label are not listed.
fn missing_series(metric: &Declared, samples: &[Sample]) -> Vec<Sample> {
    let are_values_listed = metric.labels.iter().all(|label| !label.values.is_empty());
    if metric.kind != Kind::Counter || !are_values_listed {
        return Vec::new();
    }
    let combinations = metric.labels.iter().fold(vec![Vec::new()], |prefixes: Vec<Vec<String>>, label| {
        let append =
            |value: &&str, labels: &Vec<String>| [labels.as_slice(), &[(*value).to_owned()]].concat();
        prefixes
            .iter()
            .flat_map(|labels| label.values.iter().map(move |value| append(value, labels)))
            .collect()
    });
    let is_missing = |labels: &Vec<String>| !samples.iter().any(|sample| sample.labels == *labels);
    let missing = combinations.into_iter().filter(is_missing);
    missing.map(|labels| Sample { labels, value: Value::Count(0) }).collect()
}

impl Value {
    /// Encodes a single value; a histogram encodes itself.
    fn write(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => encoder.encode_counter(count, None::<&Exemplar<NoLabelSet, f64>>),
            Self::Gauge(value) => encoder.encode_gauge(value),
            Self::Distribution(_) => Ok(()),
        }
    }
}

impl Kind {
    fn library_type(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
            Self::Histogram => MetricType::Histogram,
        }
    }
}
