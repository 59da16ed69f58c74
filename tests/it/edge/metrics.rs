//! `/metrics`: exactly the declared metrics are exported, and `docs/metrics.md` lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use futures_util::future::{BoxFuture, FutureExt as _, ready};
use http_body_util::BodyExt as _;
use serde_json::json;
use switchboard::app::wiring::{Networks, graph_over};
use switchboard::domain::clock::Clock;
use switchboard::graphql::graph::Graph;
use switchboard::http::ops;
use switchboard::operation::{Executor as _, OperationEngine};
use switchboard::replicas::quota::{QuotaExchange, QuotaReply};
use switchboard::replicas::store::{Entry, Messages, Store, StoreError};
use switchboard::sandbox::{self, EmulatedUpstream, Fault, Sandbox, Tenant};
use switchboard::telemetry::connections::Connections;
use switchboard::telemetry::metrics::declared::{ALL, Declared, Kind};
use switchboard::telemetry::reloads::Reloads;
use tower::ServiceExt as _;

use super::stream_server::{PROVIDER_CHANGED, Server, settings, tenant_a_callers};
use super::{get, post, send, with_header};
use crate::world::{NOW, Setup, engine, network};

/// A shared store that is unreachable.
struct UnreachableStore;

fn unreachable<T: Send + 'static>() -> BoxFuture<'static, Result<T, StoreError>> {
    ready(Err(StoreError::Unreachable)).boxed()
}

impl Store for UnreachableStore {
    fn get(&self, _: Vec<String>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>, StoreError>> {
        unreachable()
    }

    fn set(&self, _: Vec<Entry>) -> BoxFuture<'_, Result<(), StoreError>> {
        unreachable()
    }

    fn set_if_absent(&self, _: Entry) -> BoxFuture<'_, Result<bool, StoreError>> {
        unreachable()
    }

    fn extend(&self, _: Entry) -> BoxFuture<'_, Result<bool, StoreError>> {
        unreachable()
    }

    fn remove(&self, _: String, _: Vec<u8>) -> BoxFuture<'_, Result<(), StoreError>> {
        unreachable()
    }

    fn exchange_quota(&self, _: QuotaExchange) -> BoxFuture<'_, Result<QuotaReply, StoreError>> {
        unreachable()
    }

    fn publish(&self, _: String, _: Vec<u8>) -> BoxFuture<'_, Result<(), StoreError>> {
        unreachable()
    }

    fn subscribe(&self, _: String) -> BoxFuture<'_, Result<Messages, StoreError>> {
        unreachable()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        unreachable()
    }
}

/// A graph with shipped settings and an unreachable shared store.
struct MeasuredGraph {
    sandbox: Sandbox,
    graph: Graph,
    operations: OperationEngine,
}

impl MeasuredGraph {
    fn new() -> Self {
        let mut config = Setup::as_shipped().config;
        config.metrics.operation_names_max = 3;
        let clock = Clock::starting_at(NOW.parse().unwrap());
        let sandbox = Sandbox::new(sandbox::Settings::default(), sandbox::Clock::new(move || clock.now()));
        let network = network(&sandbox);
        let networks =
            Networks { leadlex: network.clone(), composio: network, store: Some(Arc::new(UnreachableStore)) };
        let graph = graph_over(&config, clock, &networks);
        drop(Reloads::measured_by(&graph.metrics(), clock.now()));
        for listener in ["public", "ops"] {
            drop(Connections::measured_by(&graph.metrics(), listener));
        }
        let operations = engine(graph.clone(), &config.cache.shares(), clock, config.limits);
        Self { sandbox, graph, operations }
    }

    fn routes(&self) -> Router {
        super::edge_with_operations(tenant_a_callers(), self.operations.clone())
    }

    async fn send(&self, query: &str) -> StatusCode {
        send(self.routes(), post(json!({ "query": query }).to_string())).await.status
    }

    async fn scrape(&self) -> Scrape {
        let routes = ops::router(&tenant_a_callers(), &ops::Readiness::default(), self.graph.metrics());
        let response = send(routes, with_header(get("/metrics"), "accept", PROMETHEUS_ACCEPT)).await;
        assert_eq!(response.status, StatusCode::OK);
        let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(response.header("content-type"), media);
        Scrape::read(&response.text)
    }
}

/// The `Accept` header of Prometheus 3.
const PROMETHEUS_ACCEPT: &str =
    "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

#[tokio::test(start_paused = true)]
async fn scraper_without_openmetrics_gets_the_text_format() {
    let world = MeasuredGraph::new();
    world.send("query Overview { viewer { name } }").await;
    let names = |scrape: &Scrape| -> Vec<String> {
        let mut names: Vec<_> = scrape.samples.iter().map(|(name, _, _)| name.clone()).collect();
        names.sort_unstable();
        names
    };
    let openmetrics = names(&world.scrape().await);
    for accept in [None, Some("text/plain"), Some("*/*"), Some("application/openmetrics-text;q=0, */*")] {
        let routes = ops::router(&tenant_a_callers(), &ops::Readiness::default(), world.graph.metrics());
        let request = accept
            .into_iter()
            .fold(get("/metrics"), |request, accept| with_header(request, "accept", accept));
        let response = send(routes, request).await;
        assert_eq!(response.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        assert!(response.text.contains("# TYPE switchboard_requests_total counter\n"), "{}", response.text);
        assert!(response.text.contains("# HELP switchboard_requests_total "), "{}", response.text);
        assert!(response.text.contains(r#"le="1""#), "{}", response.text);
        assert!(!response.text.contains("# EOF") && !response.text.contains("# UNIT"));
        assert_eq!(names(&Scrape::read(&(response.text + "# EOF\n"))), openmetrics);
    }
}

/// The result of one scrape.
struct Scrape {
    /// By name, from the `# TYPE` lines.
    kinds: BTreeMap<String, String>,
    /// Name, labels and value.
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Scrape {
    #[track_caller]
    fn read(text: &str) -> Self {
        assert!(text.ends_with("# EOF\n"), "{text}");
        let (mut kinds, mut samples, mut response) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        for line in text.lines() {
            if let Some(line) = line.strip_prefix("# TYPE ") {
                let (name, kind) = line.split_once(' ').unwrap();
                assert_eq!(kinds.insert(name.to_owned(), kind.to_owned()), None, "{name} twice");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap();
                assert!(response.insert(series.to_owned()), "{series} twice");
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let labels = labels.strip_suffix('}').unwrap().split(',').filter(|label| !label.is_empty());
                let label = |text: &str| {
                    let (name, value) = text.split_once('=').unwrap();
                    (name.to_owned(), value.trim_matches('"').to_owned())
                };
                samples.push((name.to_owned(), labels.map(label).collect(), value.parse().unwrap()));
            }
        }
        Self { kinds, samples }
    }

    /// The value of a series.
    #[track_caller]
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: BTreeMap<_, _> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let found = self.samples.iter().find(|(of, its, _)| of == name && *its == labels);
        found.unwrap_or_else(|| panic!("no {name}{labels:?}")).2
    }

    /// The sum of all series of a metric that have a label value.
    fn sum(&self, name: &str, label: &str, value: &str) -> f64 {
        let of = self
            .samples
            .iter()
            .filter(|(of, its, _)| of == name && its.get(label).is_some_and(|it| it == value));
        of.map(|(_, _, value)| value).sum()
    }
}

/// The declared metric of a sample.
fn declared(sample: &str) -> &'static Declared {
    let is_of = |metric: &&&Declared| match metric.kind {
        Kind::Histogram => {
            ["_bucket", "_sum", "_count"].iter().any(|part| sample.strip_suffix(part) == Some(metric.name))
        }
        Kind::Counter | Kind::Gauge => sample == metric.name,
    };
    ALL.iter().find(is_of).unwrap_or_else(|| panic!("{sample} is not declared"))
}

/// Traffic of every kind: all transports, failures, changes, and a client that disconnects.
async fn traffic(measured: &MeasuredGraph) {
    let query = "query Overview { providers { nodes { name connectedAccounts(first: 2) { totalCount nodes { id } } } } }";
    for _ in 0..3 {
        assert_eq!(measured.send(query).await, StatusCode::OK);
    }
    let id = measured.sandbox.accounts(Tenant::A)[0].id.clone();
    measured.send(&format!("{{ connectedAccount(id: \"{id}\") {{ id }} }}")).await;
    for query in [
        "query other { viewer { name } }",
        "{",
        "query A { nothing }",
        "query B($n: Int!) { providers(first: $n) { totalCount } }",
    ] {
        measured.send(query).await;
    }
    send(measured.routes(), get("/nothing")).await;
    send(measured.routes(), get("/")).await;
    send(measured.routes(), with_header(post("{}"), "accept", "image/png")).await;
    send(
        measured.routes(),
        axum::http::Request::post("/webhooks/composio")
            .header("host", "localhost")
            .body(Body::empty())
            .unwrap(),
    )
    .await;
    // No client waits for it any more.
    drop(
        measured
            .routes()
            .oneshot(post(axum::body::Body::from_stream(futures_util::stream::pending::<
                Result<String, std::io::Error>,
            >())))
            .now_or_never(),
    );
    measured.sandbox.set_drift(true);
    measured.send("mutation Again { refresh { retryAt } }").await;
    measured.send(query).await;
    let down = Fault { status: Some(StatusCode::SERVICE_UNAVAILABLE), ..Fault::default() };
    measured.sandbox.emulate(EmulatedUpstream::Composio, Some(down));
    measured.send("mutation Again { refresh { retryAt } }").await;
    measured.send(query).await;
    measured
        .send("query Late { connectedAccounts(filter: { userIds: [\"unknown\"] }) { nodes { id } } }")
        .await;
}

#[tokio::test(start_paused = true)]
async fn exported_metrics_are_the_declared_ones() {
    let measured = MeasuredGraph::new();
    traffic(&measured).await;
    let mut streams = Vec::new();
    for accept in ["text/event-stream", "multipart/mixed;subscriptionSpec=1.0"] {
        let request = with_header(post(json!({ "query": PROVIDER_CHANGED }).to_string()), "accept", accept);
        let mut body = measured.routes().oneshot(request).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        streams.push(body);
    }
    let server = Server::with(measured.operations.clone(), tenant_a_callers(), settings());
    let mut client = server.acknowledged().await;
    client.subscribe("s", PROVIDER_CHANGED).await;
    client.subscribe("q", "query Overview { viewer { name } }").await;
    assert_eq!(client.next().await["type"], "next");

    let scrape = measured.scrape().await;
    for metric in ALL {
        let is_there = scrape.samples.iter().any(|(name, _, _)| declared(name).name == metric.name);
        let may_lack =
            metric.name == "process_resident_memory_bytes" && !std::path::Path::new("/proc").exists();
        assert!(is_there || may_lack, "{} is never exported", metric.name);
    }
    for (name, labels, _) in &scrape.samples {
        let metric = declared(name);
        let mut names: Vec<_> = metric.labels.iter().map(|label| label.name).collect();
        names.extend(name.ends_with("_bucket").then_some("le"));
        names.sort_unstable();
        assert_eq!(labels.keys().map(String::as_str).collect::<Vec<_>>(), names, "{name}");
        for label in metric.labels {
            let value = labels[label.name].as_str();
            let is_known = match (label.name, label.values) {
                ("operation", _) => ["", "Overview", "B", "Again", "other", "unknown"].contains(&value),
                ("status", _) => value.len() == 3 && value.parse::<u16>().is_ok(),
                ("version", _) => value == env!("CARGO_PKG_VERSION"),
                (_, values) => values.contains(&value),
            };
            assert!(is_known, "{name}: {} is {value:?}", label.name);
        }
    }
    for metric in ALL {
        let stem = metric.name.strip_suffix("_total").unwrap_or(metric.name);
        assert_eq!(scrape.kinds.get(stem).map(String::as_str), Some(metric.kind.word()), "{}", metric.name);
    }
    assert_eq!(scrape.kinds.len(), ALL.len());

    for transport in ["sse", "multipart", "websocket"] {
        assert_eq!(
            scrape.value("switchboard_subscriptions_open", &[("transport", transport)]),
            1.0,
            "{transport}"
        );
    }
    assert_eq!(scrape.value("switchboard_watches", &[("upstream", "leadlex")]), 1.0);
    drop((streams, client));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let scrape = measured.scrape().await;
    for transport in ["sse", "multipart", "websocket"] {
        assert_eq!(
            scrape.value("switchboard_subscriptions_open", &[("transport", transport)]),
            0.0,
            "{transport}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_count_the_traffic() {
    let measured = MeasuredGraph::new();
    traffic(&measured).await;
    let scrape = measured.scrape().await;
    let requests = |operation, outcome| {
        let labels = [("transport", "http"), ("operation", operation), ("outcome", outcome)];
        scrape.value("switchboard_requests_total", &labels)
    };
    assert_eq!(requests("Overview", "ok"), 5.0, "cached Composio data is served after the failure");
    // Operation names beyond the limit, and an operation that has the name of their replacement.
    assert_eq!((requests("other", "ok"), requests("other", "partial")), (1.0, 1.0));
    assert_eq!((requests("B", "refused"), requests("unknown", "hung_up")), (1.0, 1.0));
    assert_eq!(requests("unknown", "refused"), 3.0, "no document, no such field, no such media type");
    let labels = [("operation", "Overview"), ("outcome", "ok")];
    assert_eq!(scrape.value("switchboard_request_duration_seconds_count", &labels), 5.0);
    assert_eq!(
        scrape.value("switchboard_operation_responses_total", &[("source", "cached")]),
        1.0,
        "the third identical request"
    );
    let error = |code| scrape.value("switchboard_request_errors_total", &[("code", code)]);
    assert_eq!((error("GRAPHQL_PARSE_FAILED"), error("UPSTREAM_UNAVAILABLE")), (1.0, 1.0));
    let status = |route, status| {
        scrape.value("switchboard_http_responses_total", &[("route", route), ("status", status)])
    };
    assert_eq!((status("other", "404"), status("page", "200"), status("webhook", "404")), (1.0, 1.0, 1.0));

    let asked = measured.sandbox.requests();
    for (upstream, path) in [("leadlex", "/functions"), ("composio", "/api")] {
        let calls = asked.iter().filter(|call| call.target.starts_with(path)).count() as f64;
        assert!(calls > 0.0);
        assert_eq!(scrape.sum("switchboard_upstream_calls_total", "upstream", upstream), calls);
        assert_eq!(
            scrape.sum("switchboard_upstream_call_duration_seconds_count", "upstream", upstream),
            calls
        );
    }
    let quota = |name| scrape.value(name, &[("upstream", "leadlex")]);
    let (limit, left) = (
        quota("switchboard_upstream_quota_limit_calls"),
        quota("switchboard_upstream_quota_remaining_calls"),
    );
    assert!(0.0 < left && left < limit, "{left} of {limit}");
    assert_eq!(quota("switchboard_upstream_quota_window_seconds"), 86_400.0);
    let fresh = [("upstream", "leadlex"), ("freshness", "fresh")];
    assert!(scrape.value("switchboard_cache_reads_total", &fresh) > 0.0);
    assert!(scrape.sum("switchboard_cache_reads_total", "freshness", "stale_on_error") > 0.0);
    assert_eq!(scrape.value("switchboard_replica_store_up", &[]), 0.0);
    assert_eq!(
        scrape.value("process_start_time_seconds", &[]),
        NOW.parse::<jiff::Timestamp>().unwrap().as_second() as f64
    );
}

#[tokio::test(start_paused = true)]
async fn metrics_endpoint_serves_get_and_head_for_one_graph() {
    let (one, other) = (MeasuredGraph::new(), MeasuredGraph::new());
    one.send("query Overview { viewer { name } }").await;
    let labels = [("transport", "http"), ("operation", "Overview"), ("outcome", "ok")];
    assert_eq!(one.scrape().await.value("switchboard_requests_total", &labels), 1.0);
    assert!(other.scrape().await.samples.iter().all(|(name, _, _)| name != "switchboard_requests_total"));

    let mut request = with_header(get("/metrics"), "accept", PROMETHEUS_ACCEPT);
    *request.method_mut() = axum::http::Method::HEAD;
    let response =
        send(ops::router(&tenant_a_callers(), &ops::Readiness::default(), one.graph.metrics()), request)
            .await;
    assert_eq!((response.status, response.text.as_str()), (StatusCode::OK, ""));
    assert!(response.header("content-type").starts_with("application/openmetrics-text"));
    let response = send(
        ops::router(&tenant_a_callers(), &ops::Readiness::default(), one.graph.metrics()),
        with_header(post(""), "accept", "*/*"),
    )
    .await;
    assert_eq!(response.status, StatusCode::NOT_FOUND);
}

/// `increase()` of a series that starts at 1 is 0. An alert on the first event would not fire.
#[tokio::test(start_paused = true)]
async fn counters_with_fixed_labels_start_at_0() {
    let scrape = MeasuredGraph::new().scrape().await;
    for metric in ALL {
        let is_closed = metric.labels.iter().all(|label| !label.values.is_empty());
        if metric.kind == Kind::Counter && is_closed {
            let product: usize = metric.labels.iter().map(|label| label.values.len()).product();
            let series: Vec<_> = scrape.samples.iter().filter(|(name, _, _)| name == metric.name).collect();
            assert_eq!(series.len(), product, "{}", metric.name);
            // The unreachable store was called before the scrape.
            let is_of_store = metric.name == "switchboard_replica_commands_total";
            assert!(is_of_store || series.iter().all(|(_, _, value)| *value == 0.0), "{}", metric.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn panic_counter_is_exported_at_0() {
    let measured = MeasuredGraph::new();
    measured.send("query Overview { viewer { name } }").await;
    let labels = [("transport", "http"), ("operation", "Overview"), ("outcome", "crashed")];
    assert_eq!(measured.scrape().await.value("switchboard_requests_total", &labels), 0.0);
}

/// Prometheus conventions, "Metric and label naming".
#[test]
fn metric_names_follow_the_prometheus_conventions() {
    let is_word = |text: &str| {
        text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
            && text.starts_with(|letter: char| letter.is_ascii_lowercase())
    };
    let mut names = BTreeSet::new();
    for metric in ALL {
        let name = metric.name;
        assert!(names.insert(name), "{name} twice");
        assert!(
            is_word(name) && (name.starts_with("switchboard_") || name.starts_with("process_")),
            "{name}"
        );
        assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
        let stem = name.strip_suffix("_total").unwrap_or(name);
        let ends_in = ["seconds", "bytes", "keys", "calls"]
            .into_iter()
            .find(|unit| stem.ends_with(&format!("_{unit}")));
        // `…_calls_total` counts calls; `calls` is not a unit.
        let unit = ends_in.filter(|_| metric.kind != Kind::Counter).unwrap_or_default();
        assert_eq!(metric.unit, unit, "{name}");
        for reserved in ["_bucket", "_sum", "_count", "_info", "_created"] {
            assert!(!stem.ends_with(reserved) || name == "switchboard_build_info", "{name}");
        }
        assert!(!metric.help.is_empty() && !metric.help.ends_with('.'), "{name}");
        for label in metric.labels {
            assert!(is_word(label.name) && label.name != "le", "{name} by {}", label.name);
            assert!(
                label.values.is_empty() != label.description.is_empty(),
                "{name} by {}: values, or what they are",
                label.name
            );
        }
    }
}

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");

const HEAD: &str = "# Metrics

Metrics of the second listener (`ops.listen`) at `/metrics`, in the OpenMetrics text format. A test writes this page
from `src/telemetry/metrics/declared.rs`: `SWITCHBOARD_BLESS=1 cargo test --test it edge::metrics`.

- A label has only the listed values; no URL, id, user or tenant is one. The only open label is `operation`: the names
  of the first `metrics.operation_names_max` (100) valid operations since the start that match `[A-Za-z0-9_]{1,64}`.
  Later names are counted as `other`.
- Rate limits are shown for the credential with the smallest remaining share. The field `upstreams` shows a tenant its
  own.
- A counter whose label values are all listed has every series from the start, at 0, so that `increase()` sees the
  first event. Series by `operation` or `status` are absent until the first event, except `crashed`, which is present
  from an operation's first request on.

| name | kind | unit | labels | meaning |
|---|---|---|---|---|
";

fn table() -> String {
    let label = |label: &switchboard::telemetry::metrics::declared::Label| {
        let values = match label.values {
            [] => label.description.to_owned(),
            values => values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(" "),
        };
        format!("`{}`: {values}", label.name)
    };
    let rows = ALL.iter().map(|metric| {
        let labels = metric.labels.iter().map(label).collect::<Vec<_>>().join("<br>");
        format!(
            "| `{}` | {} | {} | {labels} | {} |\n",
            metric.name,
            metric.kind.word(),
            metric.unit,
            metric.help
        )
    });
    HEAD.to_owned() + &rows.collect::<String>()
}

#[test]
fn metrics_page_is_up_to_date() {
    if std::env::var_os("SWITCHBOARD_BLESS").is_some() {
        std::fs::write(TABLE, table()).unwrap();
        return;
    }
    let written = std::fs::read_to_string(TABLE).unwrap();
    assert!(
        written == table(),
        "docs/metrics.md differs from the declared metrics. Run this test with SWITCHBOARD_BLESS=1 to rewrite it."
    );
}
