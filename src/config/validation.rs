//! Validation of single values, and of settings that depend on each other.
//!
//! A rule about several settings is skipped if one of them already has a problem, because its value is then the default
//! and not the operator's. Files that settings name are read and parsed here, once, into [`LoadedFiles`].

use std::fs;
use std::ops::RangeInclusive;

use secrecy::ExposeSecret;
use toml::Value;
use url::Url;

use super::checks::{reject_missing_key, validate_key};
use super::schema::variable;
use super::settings::{ApiKeys, Config, LoadedFiles};
use super::sources::SettingValues;
use super::toml_document::position;
use super::{callers, replicas};
use crate::domain::settings::{HealthSettings, Ranges};
use crate::domain::toolkits::{MappingError, ToolkitMapping};
use crate::domain::upstream_name::{Composio, Leadlex};
use crate::domain::web_url::is_loopback;
use crate::http::caller::refuse_exposed_without_auth;
use crate::http::caller::settings::{AuthMode, JwtSettings};
use crate::http::settings::{HttpSettings, ServerSettings};
use crate::loaders::actions::settings::ActionSettings;
use crate::loaders::settings::{CacheSettings, ConnectionSettings, ListSettings, WatchSettings};
use crate::operation::persisted::trusted::TrustedDocuments;
use crate::operation::rate_limits::settings::{RateLimitSettings, RateLimits};
use crate::operation::settings::{DocumentSettings, LimitSettings};
use crate::replicas::settings::ReplicaSettings;
use crate::telemetry::metrics::MetricsSettings;
use crate::telemetry::traces::settings::TraceSettings;
use crate::upstream::breaker::BreakerSettings;
use crate::upstream::concurrency::ConcurrencySettings;
use crate::upstream::quota::QuotaSettings;
use crate::upstream::retry::RetrySettings;
use crate::upstream::settings::UpstreamSettings;

/// Minimum length of `ids.key`.
const IDS_KEY_CHARACTERS_MIN: usize = 16;

/// Returns the allowed ranges of a section's numbers. They are declared with the types of the sections.
fn ranges(section: &str) -> Ranges {
    let is_upstream_section =
        |suffix: &str| section.strip_prefix("upstream.").is_some_and(|rest| rest.ends_with(suffix));
    match section {
        "http" => HttpSettings::RANGES,
        "server" => ServerSettings::RANGES,
        "limits" => LimitSettings::RANGES,
        "rate_limits" => RateLimitSettings::RANGES,
        "rate_limits.admin" | "rate_limits.member" => RateLimits::RANGES,
        "documents" => DocumentSettings::RANGES,
        "auth.jwt" => JwtSettings::RANGES,
        "cache" => CacheSettings::RANGES,
        "connections" => ConnectionSettings::RANGES,
        "lists" => ListSettings::RANGES,
        "redis" => ReplicaSettings::RANGES,
        "health" => HealthSettings::RANGES,
        "actions" => ActionSettings::RANGES,
        "subscriptions" => WatchSettings::RANGES,
        "traces" => TraceSettings::RANGES,
        "metrics" => MetricsSettings::RANGES,
        "upstream.leadlex" | "upstream.composio" => UpstreamSettings::RANGES,
        _ if is_upstream_section(".quota") => QuotaSettings::RANGES,
        _ if is_upstream_section(".concurrency") => ConcurrencySettings::RANGES,
        _ if is_upstream_section(".breaker") => BreakerSettings::RANGES,
        _ if is_upstream_section(".retry") => RetrySettings::RANGES,
        _ => &[],
    }
}

/// Returns the allowed range of a setting that is a number.
pub(super) fn range(name: &str) -> Option<&'static RangeInclusive<i64>> {
    let (section, key) = name.rsplit_once('.')?;
    ranges(section).iter().find(|(ranged, _)| *ranged == key).map(|(_, range)| range)
}

/// Returns why a single value of the right type is not allowed; `None` if it is allowed.
pub(super) fn value_problem(name: &str, value: &Value) -> Option<String> {
    match value {
        Value::Integer(number) => {
            let range = range(name)?;
            let (min, max) = (range.start(), range.end());
            (!range.contains(number))
                .then(|| format!("{number} is out of range: it must be from {min} to {max}"))
        }
        Value::String(text) if name.ends_with("base_url") => url_problem(text),
        Value::String(text) if name == "traces.endpoint" && !text.is_empty() => {
            url_problem(text).or_else(|| traces_path_problem(text))
        }
        _ => None,
    }
}

/// Returns why a text cannot be the base URL of an upstream or a collector. A text that could contain a secret (a
/// password, a key in its query) is not repeated.
fn url_problem(text: &str) -> Option<String> {
    let quoted = if text.contains(['@', '?', '#']) { "the URL".to_owned() } else { format!("{text:?}") };
    if !text.contains("://") {
        return Some(format!("{quoted} has no scheme: begin it with https:// (or http://)"));
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return Some(format!("{quoted} is not a URL: {error}")),
    };
    let why = if !matches!(url.scheme(), "http" | "https") {
        "has an unknown scheme: begin it with https:// (or http://)"
    } else if !url.username().is_empty() || url.password().is_some() {
        "contains a user name or password: remove it"
    } else if url.query().is_some() {
        "contains a query: give the base URL alone"
    } else if url.fragment().is_some() {
        "contains a fragment: give the base URL alone"
    } else {
        return None;
    };
    Some(format!("{quoted} {why}"))
}

/// Returns the problem of an endpoint that includes `/v1/traces`. It is often copied from
/// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, which includes it.
fn traces_path_problem(text: &str) -> Option<String> {
    let base = text.trim_end_matches('/').strip_suffix("/v1/traces")?;
    Some(format!("{text:?} ends in /v1/traces, which is added automatically: set {base:?}"))
}

/// Returns warnings about settings that are allowed but risky. http to another machine is allowed, because TLS with the
/// upstream may be left to a proxy in a private network.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let upstreams = [("leadlex", &config.upstream.leadlex), ("composio", &config.upstream.composio)];
    let unencrypted = upstreams
        .into_iter()
        .filter(|(_, upstream)| upstream.base_url.scheme() == "http" && !is_loopback(&upstream.base_url));
    let mut warnings: Vec<_> = unencrypted
        .map(|(name, _)| {
            format!(
                "upstream.{name}.base_url is http and not on this machine: the API key and all responses can be read on the \
                 network; use https unless that network is private"
            )
        })
        .chain(replicas::warning(config))
        .collect();
    let collector = config.traces.url();
    let is_unencrypted = collector.is_some_and(|url| url.scheme() == "http" && !is_loopback(&url));
    if is_unencrypted && !config.traces.headers.expose_secret().is_empty() {
        let warning = "traces.endpoint is http and not on this machine: traces.headers can be read on the network; use https \
                       unless that network is private";
        warnings.push(warning.to_owned());
    }
    warnings
}

/// Validates the configuration as a whole, and returns the parsed files that it names. With [`ApiKeys::Optional`],
/// missing keys are not reported.
pub(super) fn validate(config: &Config, keys: ApiKeys, values: &mut SettingValues<'_>) -> LoadedFiles {
    validate_sizes(config, values);
    validate_listeners(config, values);
    validate_key::<Leadlex>("upstream.leadlex.api_key", &config.upstream.leadlex.api_key, values);
    validate_key::<Composio>("upstream.composio.api_key", &config.upstream.composio.api_key, values);
    let needs_keys = config.auth.mode == AuthMode::None || callers::can_use_default_tenant(config);
    if keys == ApiKeys::Required && needs_keys && !values.has_problem("auth.mode") {
        for section in ["upstream.leadlex", "upstream.composio"] {
            let name = format!("{section}.api_key");
            reject_missing_key(&name, &format!("set {}", variable(&name)), values);
        }
    }
    callers::validate(config, keys, values);
    replicas::validate(config, values);
    // No key is allowed: ids are then keyed with one that is derived from the API key.
    let key_length = config.ids.key.expose_secret().chars().count();
    if (1..IDS_KEY_CHARACTERS_MIN).contains(&key_length) {
        let message = format!(
            "is too short, so ids could be guessed: it must have at least {IDS_KEY_CHARACTERS_MIN} characters"
        );
        values.add_problem("ids.key", message);
    }
    if let Err(why) = config.traces.headers() {
        values.add_problem("traces.headers", why.to_string());
    }
    let mut files = LoadedFiles::default();
    match trusted_documents(config) {
        Ok(documents) => files.trusted_documents = documents,
        Err(why) => values.add_problem("documents.trusted", why),
    }
    match toolkit_mapping(config) {
        Ok(mapping) => files.toolkit_mapping = mapping,
        Err(why) => values.add_problem("toolkits.file", why),
    }
    files
}

fn validate_sizes(config: &Config, values: &mut SettingValues<'_>) {
    let sizes = &config.connections;
    for (name, default) in [
        ("connections.providers_default", sizes.providers_default),
        ("connections.accounts_default", sizes.accounts_default),
    ] {
        let are_valid = !values.has_problem("connections.page_max") && !values.has_problem(name);
        if default > sizes.page_max && are_valid {
            values.add_problem(
                name,
                format!("{default} is more than connections.page_max, {}", sizes.page_max),
            );
        }
    }
}

fn validate_listeners(config: &Config, values: &mut SettingValues<'_>) {
    let (http, ops) = (config.http.listen, config.ops.listen);
    let are_valid = !values.has_problem("http.listen") && !values.has_problem("ops.listen");
    if http == ops && http.port() != 0 && are_valid {
        values.add_problem("ops.listen", format!("{ops} is the address of http.listen: use another port"));
    }
    if values.has_problem("auth.mode") {
        return;
    }
    for (name, address) in [("http.listen", http), ("ops.listen", ops)] {
        if let Err(exposed) = refuse_exposed_without_auth(config.auth.mode, &[address]) {
            values.add_problem(name, exposed.to_string());
        }
    }
}

fn trusted_documents(config: &Config) -> Result<Option<TrustedDocuments>, String> {
    let path = &config.documents.trusted;
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    TrustedDocuments::read(path).map(Some).map_err(|error| error.to_string())
}

/// Returns the mapping of `toolkits.file` if that is set, else the one compiled in.
fn toolkit_mapping(config: &Config) -> Result<ToolkitMapping, String> {
    let Some(path) = config.toolkits.file() else {
        return ToolkitMapping::built_in().map_err(|error| error.to_string());
    };
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {path:?}: {error}"))?;
    ToolkitMapping::parse(&text).map_err(|error| match error {
        // The library's own Display quotes the line, over several lines.
        MappingError::Toml(error) => {
            let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
            format!("{path:?}, line {line}, column {column}: {}", error.message())
        }
        error => format!("{path:?}: {error}"),
    })
}
