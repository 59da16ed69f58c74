//! Exported spans of requests, and trace headers of upstream calls.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use switchboard::http::{router, traced_router};
use switchboard::sandbox::{EmulatedUpstream, Fault, Tenant};
use switchboard::telemetry::traces::Traces;
use switchboard::telemetry::traces::settings::TraceSettings;
use tower::ServiceExt as _;

use super::stream_server::{PROVIDER_CHANGED, edge_parts, tenant_a_callers};
use super::{TestResponse, post, send, with_header};
use crate::trace_collector::{Collector, ExportedSpan};
use crate::world::{Setup, World};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

const NESTED: &str =
    "query Settings { providers(first: 3) { nodes { name connectedAccounts(first: 2) { nodes { id } } } } }";

/// A world whose requests are traced.
struct TracedWorld {
    world: World,
    routes: Router,
    traces: Traces,
    collector: Collector,
}

impl TracedWorld {
    fn for_world(world: World, sample_percent: u8) -> Self {
        let collector = Collector::default();
        let settings = TraceSettings {
            endpoint: "http://collector.invalid".to_owned(),
            headers: "".into(),
            service_name: "graph".to_owned(),
            sample_percent,
            timeout_ms: 1_000,
        };
        let traces = Traces::start(&settings, collector.post()).unwrap();
        let routes = traced_router(edge_parts(&world, tenant_a_callers()), Some(traces.root()));
        Self { world, routes, traces, collector }
    }

    fn new() -> Self {
        Self::for_world(World::new_with(Setup::as_shipped()), 100)
    }

    async fn send(&self, query: &str, headers: &[(&'static str, &str)]) -> TestResponse {
        let mut request = post(json!({ "query": query }).to_string());
        for (name, value) in headers {
            request = with_header(request, name, value);
        }
        send(self.routes.clone(), request).await
    }

    /// The trace headers of each upstream call since the last look.
    fn trace_headers(&self) -> Vec<(Option<String>, Option<String>)> {
        let header =
            |call: &switchboard::sandbox::RecordedRequest, name| call.header(name).map(str::to_owned);
        let calls = self.world.sandbox.requests();
        self.world.sandbox.clear_requests();
        calls.iter().map(|call| (header(call, "traceparent"), header(call, "tracestate"))).collect()
    }

    /// Flushes all spans and returns the collector.
    async fn flush(self) -> Collector {
        self.world.settle().await;
        self.traces.end().await;
        self.collector
    }
}

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{SPAN}-{flags}")
}

fn attribute(span: &ExportedSpan, name: &str) -> Value {
    span.attributes.get(name).cloned().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn spans_of_calls_have_the_method_of_their_request() {
    let traced_world = TracedWorld::new();
    let query = r#"query { toolkit(slug: "gmail") { name } }"#;
    let response = traced_world.send(query, &[("traceparent", &parent("01"))]).await;
    assert_eq!(response.json().get("errors"), None, "{}", response.text);
    let collector = traced_world.flush().await;
    collector.only("POST COMPOSIO");
}

#[tokio::test(start_paused = true)]
async fn request_span_contains_batches_and_calls() {
    let traced_world = TracedWorld::new();
    let response =
        traced_world.send(NESTED, &[("traceparent", &parent("01")), ("tracestate", "vendor=1")]).await;
    assert_eq!(response.json().get("errors"), None, "{}", response.text);
    let trace_headers = traced_world.trace_headers();
    let collector = traced_world.flush().await;

    let paths = collector.paths(TRACE);
    assert_eq!(
        paths,
        [
            "query",
            "query > batch accounts",
            "query > batch accounts > GET COMPOSIO",
            "query > batch providers",
            "query > batch providers > GET LEADLEX",
        ]
    );
    assert_eq!(collector.spans().len(), paths.len(), "no other spans");
    let query = collector.only("query");
    assert_eq!((query.parent.as_str(), query.kind, query.status), (SPAN, 2, 0));
    for (name, value) in [
        ("http.request.method", json!("POST")),
        ("http.route", json!("/graphql")),
        ("http.response.status_code", json!(200)),
        ("graphql.operation.type", json!("query")),
        ("graphql.operation.name", json!("Settings")),
        ("switchboard.request.id", json!(response.header("x-request-id"))),
    ] {
        assert_eq!(attribute(&query, name), value, "{name}");
    }
    let batch = collector.only("batch accounts");
    assert_eq!(
        (attribute(&batch, "switchboard.batch.keys"), attribute(&batch, "switchboard.batch.calls")),
        (json!(3), json!(1))
    );
    let call = collector.only("GET COMPOSIO");
    assert_eq!((call.kind, attribute(&call, "http.response.status_code")), (3, json!(200)));
    assert_eq!(attribute(&call, "peer.service"), "COMPOSIO");
    let mine = |name| format!("00-{TRACE}-{}-01", collector.only(name).id);
    let headers_of = |name| (Some(mine(name)), Some("vendor=1".to_owned()));
    assert_eq!(trace_headers, [headers_of("GET LEADLEX"), headers_of("GET COMPOSIO")]);
    let resource = &call.resource;
    assert_eq!(
        (&resource["service.name"], &resource["telemetry.sdk.language"]),
        (&json!("graph"), &json!("rust"))
    );
}

#[tokio::test(start_paused = true)]
async fn cached_list_is_a_batch_without_calls_and_cached_response_a_lone_request() {
    let traced_world = TracedWorld::new();
    for _ in 0..3 {
        traced_world.send("query Again { providers { totalCount } }", &[]).await;
    }
    let collector = traced_world.flush().await;
    let requests: Vec<_> = collector.spans().into_iter().filter(|span| span.name == "query").collect();
    let of =
        |span: &ExportedSpan| (attribute(span, "graphql.operation.name"), collector.paths(&span.trace).len());
    let named = |parts| (json!("Again"), parts);
    assert_eq!(
        requests.iter().map(of).collect::<Vec<_>>(),
        [named(3), named(2), named(1)],
        "each in a separate trace"
    );
    let batches = collector.spans().into_iter().filter(|span| span.name == "batch providers");
    let calls: Vec<_> = batches.map(|span| attribute(&span, "switchboard.batch.calls")).collect();
    assert_eq!(calls, [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn invalid_traceparent_begins_a_new_trace() {
    let traced_world = TracedWorld::new();
    let wrong = format!("00-{TRACE}-{SPAN}-1");
    traced_world
        .send("{ providers { totalCount } }", &[("traceparent", &wrong), ("tracestate", "vendor=1")])
        .await;
    let trace_headers = traced_world.trace_headers();
    let collector = traced_world.flush().await;
    let query = collector.only("query");
    assert_eq!(query.parent, "");
    assert_ne!(query.trace, TRACE);
    let call = collector.only("GET LEADLEX");
    assert_eq!(trace_headers, [(Some(format!("00-{}-{}-01", query.trace, call.id)), None)]);
}

#[tokio::test(start_paused = true)]
async fn client_sampling_flag_wins_over_the_sample_rate() {
    let traced_world = TracedWorld::for_world(World::new_with(Setup::as_shipped()), 0);
    traced_world.send("{ providers { totalCount } }", &[]).await;
    assert_eq!(traced_world.trace_headers(), [(None, None)], "unrecorded requests send no trace headers");
    traced_world.world.expire(&crate::world::tenant_a());
    let unrecorded = parent("00");
    traced_world.send("{ connectedAccounts { totalCount } }", &[("traceparent", &unrecorded)]).await;
    let [(Some(header), None)] = &traced_world.trace_headers()[..] else {
        panic!("not one call of the client's trace")
    };
    assert!(header.starts_with(&format!("00-{TRACE}-")) && header.ends_with("-00"), "{header}");
    assert_eq!(traced_world.collector.text(), "");
    traced_world.send("{ toolkit(slug: \"gmail\") { slug } }", &[("traceparent", &parent("01"))]).await;
    let collector = traced_world.flush().await;
    assert_eq!((collector.spans().len(), collector.only("query").trace.as_str()), (1, TRACE));
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_a_span_with_its_failure() {
    let mut setup = Setup::as_shipped();
    setup.config.upstream.leadlex.retry.retries_max = 2;
    let traced_world = TracedWorld::for_world(World::new_with(setup), 100);
    let fault = Fault { status: Some(StatusCode::SERVICE_UNAVAILABLE), ..Fault::default() };
    traced_world.world.sandbox.emulate(EmulatedUpstream::Leadlex, Some(fault));
    let response = traced_world.send("{ providers { totalCount } }", &[]).await;
    assert_eq!(response.code(), "UPSTREAM_UNAVAILABLE");
    let attempts = traced_world.trace_headers().len();
    let collector = traced_world.flush().await;
    let query = collector.only("query");
    assert_eq!((query.status, attribute(&query, "error.type")), (2, json!("UPSTREAM_UNAVAILABLE")));
    let calls: Vec<_> = collector.spans().into_iter().filter(|span| span.name == "GET LEADLEX").collect();
    assert_eq!((calls.len(), attempts), (3, 3));
    for (nth, call) in calls.iter().enumerate() {
        assert_eq!((call.kind, call.status), (3, 2));
        assert_eq!(attribute(call, "error.type"), "UPSTREAM_UNAVAILABLE");
        assert_eq!(attribute(call, "http.response.status_code"), 503);
        let resent = (nth > 0).then_some(nth);
        assert_eq!(attribute(call, "http.request.resend_count"), json!(resent));
    }
}

#[tokio::test(start_paused = true)]
async fn client_errors_are_not_failed_spans() {
    let traced_world = TracedWorld::new();
    let odd = Request::builder().method("CANARY").uri("/canary?canary").body(Body::empty()).unwrap();
    send(traced_world.routes.clone(), odd).await;
    traced_world.send("{ canary(canary: \"canary\") }", &[]).await;
    let long = format!("query {} {{ providers {{ totalCount }} }}", "canary".repeat(30));
    traced_world.send(&long, &[]).await;
    traced_world.send("query ($canary: Int) { providers(first: $canary) { totalCount } }", &[]).await;
    let collector = traced_world.flush().await;
    assert!(!collector.text().to_lowercase().contains("canary"), "{:#?}", collector.spans());
    let other = collector.only("_OTHER");
    assert_eq!((other.status, attribute(&other, "http.response.status_code")), (0, json!(404)));
    let invalid = collector.only("POST /graphql");
    assert_eq!((invalid.status, attribute(&invalid, "error.type")), (0, json!("GRAPHQL_VALIDATION_FAILED")));
}

#[tokio::test(start_paused = true)]
async fn joined_requests_link_to_the_leading_span() {
    let traced_world = TracedWorld::new();
    let one = "{ providers { totalCount } }";
    // The same operation, executed once, and another operation that needs the same list, read once.
    let another = "{ providers { totalCount edges { cursor } } }";
    tokio::join!(traced_world.send(one, &[]), traced_world.send(one, &[]), traced_world.send(another, &[]));
    assert_eq!(traced_world.trace_headers().len(), 1);
    let collector = traced_world.flush().await;
    let spans = collector.spans();
    let joined: Vec<_> = spans.iter().filter(|span| attribute(span, "switchboard.joined") == true).collect();
    let mut names: Vec<_> = joined.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["batch providers", "query"]);
    for span in joined {
        let [link] = &span.links[..] else { panic!("{span:#?}") };
        let other = spans.iter().find(|other| other.id == *link).unwrap();
        assert_eq!(other.name, span.name);
        assert_ne!(other.trace, span.trace);
    }
}

#[tokio::test(start_paused = true)]
async fn subscription_event_is_a_trace_linked_to_its_request() {
    let traced_world = TracedWorld::new();
    let request = post(json!({ "query": PROVIDER_CHANGED }).to_string());
    let request = with_header(request, "accept", "text/event-stream");
    let mut body = traced_world.routes.clone().oneshot(request).await.unwrap().into_body();
    traced_world.world.settle().await;
    traced_world
        .world
        .sandbox
        .change_providers(Tenant::A, |rows| rows[0]["status"] = json!("needs_reconnect"));
    let mut text = String::new();
    while !text.contains("event: next") {
        let frame = body.frame().await.unwrap().unwrap();
        text.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
    }
    drop(body);
    let collector = traced_world.flush().await;
    let spans = collector.spans();
    let request = spans.iter().find(|span| span.attributes.contains_key("http.route")).unwrap();
    assert_eq!(
        (request.name.as_str(), attribute(request, "http.response.status_code")),
        ("subscription", json!(200))
    );
    let event = spans.iter().find(|span| span.name == "subscription" && span.id != request.id).unwrap();
    assert_eq!((event.links.as_slice(), event.parent.as_str()), ([request.id.clone()].as_slice(), ""));
    assert_ne!(event.trace, request.trace);
    // The check that found the change made calls.
    let look = spans.iter().find(|span| span.name == "look for changes").unwrap();
    assert_eq!(look.links, event.links);
    assert_eq!(collector.paths(&look.trace), ["look for changes", "look for changes > GET LEADLEX"]);
}

#[tokio::test(start_paused = true)]
async fn without_tracing_no_trace_headers_are_sent() {
    let world = World::new_with(Setup::as_shipped());
    let routes = router(edge_parts(&world, tenant_a_callers()));
    let request = post(json!({ "query": NESTED }).to_string());
    let response = send(routes, with_header(request, "traceparent", &parent("01"))).await;
    assert_eq!(response.json().get("errors"), None, "{}", response.text);
    assert!(world.sandbox.requests().iter().all(|call| call.header("traceparent").is_none()));
}

#[tokio::test(start_paused = true)]
async fn exported_names_are_documented() {
    let mut setup = Setup::as_shipped();
    setup.config.upstream.composio.retry.retries_max = 1;
    let traced_world = TracedWorld::for_world(World::new_with(setup), 100);
    let fault = Fault { status: Some(StatusCode::SERVICE_UNAVAILABLE), times: Some(1), ..Fault::default() };
    traced_world.world.sandbox.emulate(EmulatedUpstream::Composio, Some(fault));
    tokio::join!(traced_world.send(NESTED, &[]), traced_world.send(NESTED, &[]));
    traced_world
        .send(
            "{ connectedAccountsByIds(ids: []) { id } connectedAccounts { statusCounts { status count } } }",
            &[],
        )
        .await;
    traced_world.send("{ connectedAccounts { totalCount } }", &[]).await;
    let collector = traced_world.flush().await;
    let documented = include_str!("../../../docs/observability.md");
    let spans = collector.spans();
    let words = spans.iter().flat_map(|span| span.attributes.keys().chain([&span.name]));
    let missing: Vec<_> = words.filter(|word| !documented.contains(&format!("`{word}`"))).collect();
    assert_eq!(missing, [] as [&String; 0]);
    assert!(spans.iter().any(|span| span.attributes.contains_key("http.request.resend_count")), "{spans:#?}");
}
