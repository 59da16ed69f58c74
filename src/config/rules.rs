//! What a value must be beyond its kind, and what settings must be to each other.
//!
//! A rule that looks at several settings says nothing where one of them is wrong already.

use std::fs;

use secrecy::{ExposeSecret, SecretString};
use toml::Value;
use url::{Host, Url};

use super::known::variable;
use super::layers::{self, Layers};
use super::{Config, Keys, callers, replicas};
use crate::domain::credential::Credential;
use crate::domain::toolkits::{MappingError, ToolkitMapping};
use crate::domain::upstream_name::{Composio, Leadlex, Upstream, UpstreamName};
use crate::http::caller::refuse_exposed_without_auth;
use crate::http::caller::settings::AuthMode;
use crate::operation::persisted::trusted::TrustedDocuments;

const GIB: i64 = 1 << 30;

/// The range of every setting that is a number.
///
/// Upper ends are where a number is surely a slip (milliseconds for seconds, a key one line down),
/// and keep every sum of times and sizes far from overflow.
pub(super) const RANGES: &[(&str, i64, i64)] = &[
    ("http.body_limit_bytes", 1, GIB),
    ("http.body_timeout_ms", 1, 600_000),
    ("http.bodies_limit_bytes", 1, 1024 * GIB),
    ("http.ws_init_timeout_ms", 1, 600_000),
    ("http.stream_ping_ms", 100, 3_600_000),
    ("http.subscriptions_per_connection_max", 1, 100_000),
    ("server.connections_max", 1, 1_000_000),
    // Below it hyper reads no head at all.
    ("server.head_limit_bytes", 8_192, 1 << 20),
    ("server.head_timeout_ms", 1, 600_000),
    ("server.idle_timeout_ms", 1, 86_400_000),
    ("server.write_timeout_ms", 1, 600_000),
    ("server.drain_ms", 0, 600_000),
    ("server.shutdown_ms", 0, 600_000),
    ("limits.depth", 1, 32),
    ("limits.complexity", 1, 1_000_000_000),
    ("limits.aliases", 0, 10_000),
    ("limits.directives", 0, 10_000),
    ("limits.tokens", 1, 10_000_000),
    ("limits.upstream_calls", 0, 1_000_000),
    ("limits.operation_timeout_ms", 1, 600_000),
    ("limits.complexity_at_once", 1_000, 4_000_000_000),
    ("limits.wait_ms", 0, 600_000),
    ("documents.automatic_limit_bytes", 0, 1024 * GIB),
    ("auth.jwt.jwks_ttl_ms", 1_000, 86_400_000),
    ("auth.jwt.jwks_pause_ms", 1, 3_600_000),
    ("auth.jwt.leeway_ms", 0, 600_000),
    ("upstream.leadlex.timeout_ms", 1, 600_000),
    ("upstream.leadlex.deadline_ms", 1, 600_000),
    ("upstream.leadlex.body_limit_bytes", 1, GIB),
    ("upstream.leadlex.quota.per_day", 0, 1_000_000_000),
    ("upstream.leadlex.quota.per_minute", 0, 1_000_000_000),
    ("upstream.leadlex.quota.reserve_percent", 0, 99),
    ("upstream.leadlex.concurrency.calls_max", 1, 100_000),
    ("upstream.leadlex.concurrency.all_calls_max", 1, 100_000),
    ("upstream.leadlex.concurrency.wait_ms", 0, 600_000),
    ("upstream.leadlex.breaker.failures", 0, 1_000_000),
    ("upstream.leadlex.breaker.open_ms", 1, 3_600_000),
    ("upstream.leadlex.breaker.open_max_ms", 1, 3_600_000),
    ("upstream.leadlex.retry.retries_max", 0, 10),
    ("upstream.leadlex.retry.backoff_ms", 0, 60_000),
    ("upstream.leadlex.retry.budget_percent", 0, 1_000),
    ("upstream.composio.timeout_ms", 1, 600_000),
    ("upstream.composio.deadline_ms", 1, 600_000),
    ("upstream.composio.body_limit_bytes", 1, GIB),
    ("upstream.composio.quota.per_day", 0, 1_000_000_000),
    ("upstream.composio.quota.per_minute", 0, 1_000_000_000),
    ("upstream.composio.quota.reserve_percent", 0, 99),
    ("upstream.composio.concurrency.calls_max", 1, 100_000),
    ("upstream.composio.concurrency.all_calls_max", 1, 100_000),
    ("upstream.composio.concurrency.wait_ms", 0, 600_000),
    ("upstream.composio.breaker.failures", 0, 1_000_000),
    ("upstream.composio.breaker.open_ms", 1, 3_600_000),
    ("upstream.composio.breaker.open_max_ms", 1, 3_600_000),
    ("upstream.composio.retry.retries_max", 0, 10),
    ("upstream.composio.retry.backoff_ms", 0, 60_000),
    ("upstream.composio.retry.budget_percent", 0, 1_000),
    ("cache.limit_bytes", 0, 1024 * GIB),
    ("cache.providers_ttl_ms", 0, 86_400_000),
    ("cache.accounts_ttl_ms", 0, 86_400_000),
    ("cache.stale_while_revalidate_ms", 0, 86_400_000),
    ("cache.stale_if_error_ms", 0, 604_800_000),
    ("cache.jitter_percent", 0, 50),
    ("connections.providers_default", 1, 10_000),
    ("connections.accounts_default", 1, 10_000),
    ("connections.page_max", 1, 10_000),
    // As representations they are some four values of JSON each, of which a request may hold 10,000.
    ("connections.ids_max", 1, 2_000),
    ("connections.toolkit_providers_max", 1, 10_000),
    // The upstream clamps `limit` at 100 (UPSTREAMS.md A2).
    ("lists.page_rows", 1, 100),
    ("lists.pages_max", 1, 10_000),
    ("lists.count_calls_max", 0, 10_000),
    ("redis.timeout_ms", 1, 10_000),
    ("redis.claim_ms", 30, 60_000),
    ("redis.wait_ms", 0, 60_000),
    ("health.abandoned_after_ms", 1, 31_536_000_000),
    ("health.sync_stale_after_ms", 0, 31_536_000_000),
    ("subscriptions.subscribers_max", 0, 1_000_000),
    ("subscriptions.events_max", 1, 1_000_000),
    ("subscriptions.linger_ms", 0, 3_600_000),
    ("subscriptions.walk_pages_max", 1, 1_000),
    ("traces.sample_percent", 0, 100),
    ("traces.timeout_ms", 1, 600_000),
    ("metrics.operation_names_max", 0, 10_000),
];

/// Why a single value, of the right kind, will not do; `None` where nothing is known against it.
pub(super) fn objection(name: &str, value: &Value) -> Option<String> {
    match value {
        Value::Integer(number) => {
            let (_, least, most) = RANGES.iter().find(|(ranged, ..)| *ranged == name)?;
            (!(least..=most).contains(&number))
                .then(|| format!("{number} is out of range: it takes {least} to {most}"))
        }
        Value::String(text) if name.ends_with("base_url") => url_objection(text),
        Value::String(text) if name == "traces.endpoint" && !text.is_empty() => {
            match cfg!(feature = "otlp") {
                true => url_objection(text).or_else(|| posted_twice(text)),
                false => {
                    Some("this program was built without traces: build it with the feature `otlp`".to_owned())
                }
            }
        }
        _ => None,
    }
}

/// Why a text cannot be where an upstream's API begins, or a collector's. One that could hold a secret (a password,
/// a key in its query) is not repeated.
fn url_objection(text: &str) -> Option<String> {
    let quoted = if text.contains(['@', '?', '#']) { "the URL".to_owned() } else { format!("{text:?}") };
    if !text.contains("://") {
        return Some(format!("{quoted} has no scheme: begin it with https:// (or http://)"));
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return Some(format!("{quoted} is no URL: {error}")),
    };
    let why = if !matches!(url.scheme(), "http" | "https") {
        "its scheme is neither https nor http"
    } else if !url.username().is_empty() || url.password().is_some() {
        "it holds a user name or password, which belongs to no setting"
    } else if url.query().is_some() {
        "it holds a query: give only where the API begins"
    } else if url.fragment().is_some() {
        "it holds a fragment: give only where the API begins"
    } else {
        return None;
    };
    Some(format!("{quoted} will not do: {why}"))
}

/// Why a collector's URL is none that `/v1/traces` goes behind. `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` has it, and many copy it from there.
fn posted_twice(text: &str) -> Option<String> {
    let base = text.trim_end_matches('/').strip_suffix("/v1/traces")?;
    Some(format!("{text:?} ends in /v1/traces, which is added to it: give {base:?}"))
}

/// Whether a URL leads no further than this machine.
pub(super) fn is_of_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// What is allowed and still worth a word. http to another machine is not refused: a proxy beside this process, in a network
/// of its own, may be what speaks TLS with the upstream.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let upstreams = [("leadlex", &config.upstream.leadlex), ("composio", &config.upstream.composio)];
    let in_clear = upstreams.into_iter().filter(|(_, upstream)| {
        upstream.base_url.scheme() == "http" && !is_of_this_machine(&upstream.base_url)
    });
    let mut warnings: Vec<_> = in_clear
        .map(|(name, _)| {
            format!(
                "upstream.{name}.base_url is http and not on this machine: whoever is on the way can read the key and what it \
                 opens; give https unless that network is yours alone"
            )
        })
        .chain(replicas::warning(config))
        .collect();
    let collector = config.traces.url();
    let goes_in_clear = collector.is_some_and(|url| url.scheme() == "http" && !is_of_this_machine(&url));
    if goes_in_clear && !config.traces.headers.expose_secret().is_empty() {
        let warning = "traces.endpoint is http and not on this machine: whoever is on the way can read traces.headers; give \
                       https unless that network is yours alone";
        warnings.push(warning.to_owned());
    }
    warnings
}

/// Judges the configuration as a whole. Whether keys are missing cannot be told where the file
/// that may hold them was not read.
pub(super) fn judge(config: &Config, keys: Keys, layers: &mut Layers<'_>) {
    sizes(config, layers);
    listeners(config, layers);
    key::<Leadlex>("upstream.leadlex.api_key", &config.upstream.leadlex.api_key, layers);
    key::<Composio>("upstream.composio.api_key", &config.upstream.composio.api_key, layers);
    let needs_keys = config.auth.mode == AuthMode::None || callers::are_of_default_tenant(config);
    if keys == Keys::Required && needs_keys && !layers.concern("auth.mode") {
        for section in ["upstream.leadlex", "upstream.composio"] {
            let name = format!("{section}.api_key");
            missing_key(&name, &format!("set {}", variable(&name)), layers);
        }
    }
    callers::judge(config, keys, layers);
    replicas::judge(config, layers);
    let ids = config.ids.key.expose_secret().chars().count();
    if (1..16).contains(&ids) {
        layers.refuse("ids.key", "too short to keep ids from being guessed: give 16 characters or more");
    }
    if let Err(why) = config.traces.headers() {
        layers.refuse("traces.headers", why.to_string());
    }
    if let Err(why) = trusted_documents(config) {
        layers.refuse("documents.trusted", why);
    }
    if let Err(why) = toolkit_mapping(config) {
        layers.refuse("toolkits.file", why);
    }
}

fn sizes(config: &Config, layers: &mut Layers<'_>) {
    let sizes = &config.connections;
    for (name, default) in [
        ("connections.providers_default", sizes.providers_default),
        ("connections.accounts_default", sizes.accounts_default),
    ] {
        if default > sizes.page_max && !layers.concern("connections.page_max") {
            layers.refuse(name, format!("{default} is more than connections.page_max, {}", sizes.page_max));
        }
    }
}

fn listeners(config: &Config, layers: &mut Layers<'_>) {
    let (http, ops) = (config.http.listen, config.ops.listen);
    let concerned = |layers: &Layers<'_>, name| layers.concern(name);
    if http == ops && http.port() != 0 && !concerned(layers, "http.listen") {
        layers.refuse("ops.listen", format!("{ops} is http.listen as well: give each a port of its own"));
    }
    if concerned(layers, "auth.mode") {
        return;
    }
    for (name, address) in [("http.listen", http), ("ops.listen", ops)] {
        if let Err(exposed) = refuse_exposed_without_auth(config.auth.mode, &[address]) {
            layers.refuse(name, exposed.to_string());
        }
    }
}

/// Judges a key to an upstream under the setting's name.
pub(super) fn key<U: Upstream>(name: &str, key: &SecretString, layers: &mut Layers<'_>) {
    let key = key.expose_secret();
    if key.is_empty() {
        return;
    }
    let (other, prefix) = match U::NAME {
        UpstreamName::Leadlex => ("Composio", "ak_"),
        UpstreamName::Composio => ("LeadLex", "wbk_"),
    };
    if key.starts_with(prefix) {
        layers.refuse(name, format!("begins with {prefix}: that is a key to {other}"));
    } else if let Err(error) = Credential::<U>::new(key) {
        layers.refuse(name, error.to_string());
    }
}

/// Refuses a key that is not there; `set_it` says how to give one, besides by a file.
pub(super) fn missing_key(name: &str, set_it: &str, layers: &mut Layers<'_>) {
    let by_file = format!("{name}_file");
    let concerned = layers.concern(name) || layers.concern(&by_file);
    if layers.text(name).is_empty() && !concerned {
        layers.refuse(name, format!("missing: {set_it}, or name a file in {by_file}"));
    }
}

/// The trusted documents, where there are any.
pub(super) fn trusted_documents(config: &Config) -> Result<Option<TrustedDocuments>, String> {
    let path = &config.documents.trusted;
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    TrustedDocuments::read(path).map(Some).map_err(|error| error.to_string())
}

/// The mapping in force: the file's where one is set, else the one compiled in.
pub(super) fn toolkit_mapping(config: &Config) -> Result<ToolkitMapping, String> {
    let Some(path) = config.toolkits.file() else {
        return ToolkitMapping::built_in().map_err(|error| error.to_string());
    };
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {path:?}: {error}"))?;
    ToolkitMapping::parse(&text).map_err(|error| match error {
        // The library's own Display quotes the line, over several lines.
        MappingError::Toml(error) => {
            let (line, column) = layers::position(&text, error.span().map_or(0, |span| span.start));
            format!("{path:?}, line {line}, column {column}: {}", error.message())
        }
        error => format!("{path:?}: {error}"),
    })
}
