//! Settings of traces.
//!
//! OpenTelemetry's standard `OTEL_*` variables supply the settings that are not set; `config` reads them.

use std::time::Duration;

use crate::domain::settings::Ranges;
use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::{Url, form_urlencoded};

/// `[traces]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceSettings {
    /// Base URL of the collector (OTLP over HTTP); empty: no traces.
    pub endpoint: String,
    /// Headers of the requests to the collector, for authentication.
    pub headers: SecretString,
    /// `service.name` of the spans.
    pub service_name: String,
    /// Percentage of requests that are traced, if the client does not decide it by its trace context.
    pub sample_percent: u8,
    /// Timeout of an export with its retries, in milliseconds.
    pub timeout_ms: u64,
}

/// Reason why the headers are invalid. Does not quote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a list of headers; use name=value pairs separated by commas, with %2C for a comma in a value"
)]
pub struct BadHeaders;

impl TraceSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges = &[("sample_percent", 0..=100), ("timeout_ms", 1..=600_000)];

    /// Returns the URL of the export: the endpoint with `/v1/traces` (OTLP, "OTLP/HTTP Request"); `None` if traces are
    /// off.
    #[must_use]
    pub fn url(&self) -> Option<Url> {
        let mut url = Url::parse(&self.endpoint).ok()?;
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Some(url)
    }

    /// Returns the timeout of an export with its retries.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Parses the headers, in the format of `OTEL_EXPORTER_OTLP_HEADERS`: `name=value` pairs separated by commas, with
    /// percent-encoded values (OpenTelemetry, "Specifying headers via environment variables").
    ///
    /// # Errors
    /// If one is not such a pair, or is not a valid header.
    pub fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, BadHeaders> {
        let pairs = self.headers.expose_secret().split(',').map(str::trim).filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').ok_or(BadHeaders)?;
                let name = HeaderName::try_from(name.trim()).map_err(|_| BadHeaders)?;
                let mut value = HeaderValue::try_from(decoded(value.trim())).map_err(|_| BadHeaders)?;
                value.set_sensitive(true);
                Ok((name, value))
            })
            .collect()
    }
}

/// Decodes percent-encoding, and nothing else: `+`, `&` and `=` have no meaning here, unlike in forms.
fn decoded(value: &str) -> String {
    let value = value.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(value.as_bytes()).map(|(text, _)| text.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(endpoint: &str, headers: &str) -> TraceSettings {
        TraceSettings {
            endpoint: endpoint.to_owned(),
            headers: headers.into(),
            service_name: "switchboard".to_owned(),
            sample_percent: 100,
            timeout_ms: 1_000,
        }
    }

    #[test]
    fn traces_are_sent_below_the_endpoint_and_not_without_one() {
        let url = |endpoint| settings(endpoint, "").url().map(String::from);
        assert_eq!(url("http://127.0.0.1:4318").as_deref(), Some("http://127.0.0.1:4318/v1/traces"));
        assert_eq!(url("https://c.example/otlp/").as_deref(), Some("https://c.example/otlp/v1/traces"));
        assert_eq!(url(""), None);
    }

    #[test]
    fn headers_are_pairs_with_encoded_values() {
        let read = |text| settings("", text).headers();
        let pairs = read("authorization=Basic%20YWJj+/==, x-team = a%2Cb&c=d ,").unwrap();
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(pairs, [("authorization", "Basic YWJj+/=="), ("x-team", "a,b&c=d")]);
        assert_eq!(read("").unwrap(), []);
        for wrong in ["authorization", "a b=c", "=x", "a=%0A"] {
            assert_eq!(read(wrong), Err(BadHeaders), "{wrong}");
        }
    }

    #[test]
    fn headers_are_not_shown() {
        let settings = settings("http://c.example", "authorization=canary");
        assert!(!format!("{settings:?} {:?}", settings.headers()).contains("canary"));
    }
}
