//! What a collector is told of a request, and the upstreams of the trace.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use switchboard::http::traced;
use switchboard::sandbox::{EmulatedUpstream, Fault, Tenant};
use switchboard::telemetry::traces::Traces;
use switchboard::telemetry::traces::settings::TraceSettings;
use tower::ServiceExt as _;

use super::streams::{PROVIDER_CHANGED, routes, tenant_a_callers};
use super::{TestResponse, post, send, with_header};
use crate::collector::{Collector, Told};
use crate::world::{Setup, World};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

const NESTED: &str =
    "query Settings { providers(first: 3) { nodes { name connectedAccounts(first: 2) { nodes { id } } } } }";

/// A world whose requests are traced.
struct Watched {
    world: World,
    routes: Router,
    traces: Traces,
    collector: Collector,
}

impl Watched {
    fn over(world: World, sample_percent: u8) -> Self {
        let collector = Collector::default();
        let settings = TraceSettings {
            endpoint: "http://collector.invalid".to_owned(),
            headers: "".into(),
            service_name: "graph".to_owned(),
            sample_percent,
            timeout_ms: 1_000,
        };
        let traces = Traces::start(&settings, collector.post()).unwrap();
        let routes = traced(routes(&world, tenant_a_callers()), Some(traces.root()));
        Self { world, routes, traces, collector }
    }

    fn new() -> Self {
        Self::over(World::new_with(Setup::as_shipped()), 100)
    }

    async fn send(&self, query: &str, headers: &[(&'static str, &str)]) -> TestResponse {
        let mut request = post(json!({ "query": query }).to_string());
        for (name, value) in headers {
            request = with_header(request, name, value);
        }
        send(self.routes.clone(), request).await
    }

    /// Whether the upstreams were told of a trace, by each call since the last look.
    fn parents(&self) -> Vec<(Option<String>, Option<String>)> {
        let header =
            |call: &switchboard::sandbox::RecordedRequest, name| call.header(name).map(str::to_owned);
        let calls = self.world.sandbox.requests();
        self.world.sandbox.clear_requests();
        calls.iter().map(|call| (header(call, "traceparent"), header(call, "tracestate"))).collect()
    }

    /// What the collector was told, once all is.
    async fn end(self) -> Collector {
        self.world.settle().await;
        self.traces.end().await;
        self.collector
    }
}

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{SPAN}-{flags}")
}

fn fact(span: &Told, name: &str) -> Value {
    span.facts.get(name).cloned().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_request_is_its_batches_and_these_are_their_calls() {
    let watched = Watched::new();
    let response = watched.send(NESTED, &[("traceparent", &parent("01")), ("tracestate", "vendor=1")]).await;
    assert_eq!(response.json().get("errors"), None, "{}", response.text);
    let parents = watched.parents();
    let collector = watched.end().await;

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
    assert_eq!(collector.told().len(), paths.len(), "and nothing else");
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
        assert_eq!(fact(&query, name), value, "{name}");
    }
    let batch = collector.only("batch accounts");
    assert_eq!(
        (fact(&batch, "switchboard.batch.keys"), fact(&batch, "switchboard.batch.calls")),
        (json!(3), json!(1))
    );
    let call = collector.only("GET COMPOSIO");
    assert_eq!((call.kind, fact(&call, "http.response.status_code")), (3, json!(200)));
    assert_eq!(fact(&call, "peer.service"), "COMPOSIO");
    let mine = |name| format!("00-{TRACE}-{}-01", collector.only(name).id);
    let told = |name| (Some(mine(name)), Some("vendor=1".to_owned()));
    assert_eq!(parents, [told("GET LEADLEX"), told("GET COMPOSIO")]);
    let resource = &call.resource;
    assert_eq!(
        (&resource["service.name"], &resource["telemetry.sdk.language"]),
        (&json!("graph"), &json!("rust"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_kept_list_is_a_batch_without_calls_and_a_finished_answer_a_request_alone() {
    let watched = Watched::new();
    for _ in 0..3 {
        watched.send("query Again { providers { totalCount } }", &[]).await;
    }
    let collector = watched.end().await;
    let requests: Vec<_> = collector.told().into_iter().filter(|span| span.name == "query").collect();
    let of = |span: &Told| (fact(span, "graphql.operation.name"), collector.paths(&span.trace).len());
    let named = |parts| (json!("Again"), parts);
    assert_eq!(
        requests.iter().map(of).collect::<Vec<_>>(),
        [named(3), named(2), named(1)],
        "each in a trace of its own"
    );
    let batches = collector.told().into_iter().filter(|span| span.name == "batch providers");
    let calls: Vec<_> = batches.map(|span| fact(&span, "switchboard.batch.calls")).collect();
    assert_eq!(calls, [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_traceparent_begins_a_new_trace() {
    let watched = Watched::new();
    let wrong = format!("00-{TRACE}-{SPAN}-1");
    watched
        .send("{ providers { totalCount } }", &[("traceparent", &wrong), ("tracestate", "vendor=1")])
        .await;
    let parents = watched.parents();
    let collector = watched.end().await;
    let query = collector.only("query");
    assert_eq!(query.parent, "");
    assert_ne!(query.trace, TRACE);
    let call = collector.only("GET LEADLEX");
    assert_eq!(parents, [(Some(format!("00-{}-{}-01", query.trace, call.id)), None)]);
}

#[tokio::test(start_paused = true)]
async fn the_client_decides_for_its_own_trace_and_the_share_for_all_others() {
    let watched = Watched::over(World::new_with(Setup::as_shipped()), 0);
    watched.send("{ providers { totalCount } }", &[]).await;
    assert_eq!(watched.parents(), [(None, None)], "of what nobody records, nobody is told");
    watched.world.expire(&crate::world::tenant_a());
    let unrecorded = parent("00");
    watched.send("{ connectedAccounts { totalCount } }", &[("traceparent", &unrecorded)]).await;
    let [(Some(told), None)] = &watched.parents()[..] else { panic!("not one call of the client's trace") };
    assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00"), "{told}");
    assert_eq!(watched.collector.text(), "");
    watched.send("{ toolkit(slug: \"gmail\") { slug } }", &[("traceparent", &parent("01"))]).await;
    let collector = watched.end().await;
    assert_eq!((collector.told().len(), collector.only("query").trace.as_str()), (1, TRACE));
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_a_call_and_says_how_it_failed() {
    let mut setup = Setup::as_shipped();
    setup.config.upstream.leadlex.retry.retries_max = 2;
    let watched = Watched::over(World::new_with(setup), 100);
    let fault = Fault { status: Some(StatusCode::SERVICE_UNAVAILABLE), ..Fault::default() };
    watched.world.sandbox.emulate(EmulatedUpstream::Leadlex, Some(fault));
    let response = watched.send("{ providers { totalCount } }", &[]).await;
    assert_eq!(response.code(), "UPSTREAM_UNAVAILABLE");
    let attempts = watched.parents().len();
    let collector = watched.end().await;
    let query = collector.only("query");
    assert_eq!((query.status, fact(&query, "error.type")), (2, json!("UPSTREAM_UNAVAILABLE")));
    let calls: Vec<_> = collector.told().into_iter().filter(|span| span.name == "GET LEADLEX").collect();
    assert_eq!((calls.len(), attempts), (3, 3));
    for (nth, call) in calls.iter().enumerate() {
        assert_eq!((call.kind, call.status), (3, 2));
        assert_eq!(fact(call, "error.type"), "UPSTREAM_UNAVAILABLE");
        assert_eq!(fact(call, "http.response.status_code"), 503);
        let resent = (nth > 0).then_some(nth);
        assert_eq!(fact(call, "http.request.resend_count"), json!(resent));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_as_it_was_asked_is_no_failure_and_is_not_repeated() {
    let watched = Watched::new();
    let odd = Request::builder().method("CANARY").uri("/canary?canary").body(Body::empty()).unwrap();
    send(watched.routes.clone(), odd).await;
    watched.send("{ canary(canary: \"canary\") }", &[]).await;
    let long = format!("query {} {{ providers {{ totalCount }} }}", "canary".repeat(30));
    watched.send(&long, &[]).await;
    watched.send("query ($canary: Int) { providers(first: $canary) { totalCount } }", &[]).await;
    let collector = watched.end().await;
    assert!(!collector.text().to_lowercase().contains("canary"), "{:#?}", collector.told());
    let other = collector.only("_OTHER");
    assert_eq!((other.status, fact(&other, "http.response.status_code")), (0, json!(404)));
    let invalid = collector.only("POST /graphql");
    assert_eq!((invalid.status, fact(&invalid, "error.type")), (0, json!("GRAPHQL_VALIDATION_FAILED")));
}

#[tokio::test(start_paused = true)]
async fn whoever_joins_another_says_so_and_leads_to_it() {
    let watched = Watched::new();
    let one = "{ providers { totalCount } }";
    // The same operation, which is executed once, and another that needs the same list, which is read once.
    let another = "{ providers { totalCount edges { cursor } } }";
    tokio::join!(watched.send(one, &[]), watched.send(one, &[]), watched.send(another, &[]));
    assert_eq!(watched.parents().len(), 1);
    let collector = watched.end().await;
    let told = collector.told();
    let joined: Vec<_> = told.iter().filter(|span| fact(span, "switchboard.joined") == true).collect();
    let mut names: Vec<_> = joined.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["batch providers", "query"]);
    for span in joined {
        let [link] = &span.links[..] else { panic!("{span:#?}") };
        let other = told.iter().find(|other| other.id == *link).unwrap();
        assert_eq!(other.name, span.name);
        assert_ne!(other.trace, span.trace);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_of_a_subscription_is_a_trace_that_leads_back_to_its_request() {
    let watched = Watched::new();
    let request = post(json!({ "query": PROVIDER_CHANGED }).to_string());
    let request = with_header(request, "accept", "text/event-stream");
    let mut body = watched.routes.clone().oneshot(request).await.unwrap().into_body();
    watched.world.settle().await;
    watched.world.sandbox.change_providers(Tenant::A, |rows| rows[0]["status"] = json!("needs_reconnect"));
    let mut text = String::new();
    while !text.contains("event: next") {
        let frame = body.frame().await.unwrap().unwrap();
        text.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
    }
    drop(body);
    let collector = watched.end().await;
    let told = collector.told();
    let request = told.iter().find(|span| span.facts.contains_key("http.route")).unwrap();
    assert_eq!(
        (request.name.as_str(), fact(request, "http.response.status_code")),
        ("subscription", json!(200))
    );
    let event = told.iter().find(|span| span.name == "subscription" && span.id != request.id).unwrap();
    assert_eq!((event.links.as_slice(), event.parent.as_str()), ([request.id.clone()].as_slice(), ""));
    assert_ne!(event.trace, request.trace);
    // What was watched for, was watched for by calls.
    let look = told.iter().find(|span| span.name == "look for changes").unwrap();
    assert_eq!(look.links, event.links);
    assert_eq!(collector.paths(&look.trace), ["look for changes", "look for changes > GET LEADLEX"]);
}

#[tokio::test(start_paused = true)]
async fn without_traces_the_upstreams_are_told_of_none() {
    let world = World::new_with(Setup::as_shipped());
    let routes = traced(routes(&world, tenant_a_callers()), None);
    let request = post(json!({ "query": NESTED }).to_string());
    let response = send(routes, with_header(request, "traceparent", &parent("01"))).await;
    assert_eq!(response.json().get("errors"), None, "{}", response.text);
    assert!(world.sandbox.requests().iter().all(|call| call.header("traceparent").is_none()));
}

#[tokio::test(start_paused = true)]
async fn all_that_is_told_is_in_the_documentation() {
    let mut setup = Setup::as_shipped();
    setup.config.upstream.composio.retry.retries_max = 1;
    let watched = Watched::over(World::new_with(setup), 100);
    let fault = Fault { status: Some(StatusCode::SERVICE_UNAVAILABLE), times: Some(1), ..Fault::default() };
    watched.world.sandbox.emulate(EmulatedUpstream::Composio, Some(fault));
    tokio::join!(watched.send(NESTED, &[]), watched.send(NESTED, &[]));
    watched
        .send(
            "{ connectedAccountsByIds(ids: []) { id } connectedAccounts { statusCounts { status count } } }",
            &[],
        )
        .await;
    watched.send("{ connectedAccounts { totalCount } }", &[]).await;
    let collector = watched.end().await;
    let documented = include_str!("../../../docs/traces.md");
    let told = collector.told();
    let words = told.iter().flat_map(|span| span.facts.keys().chain([&span.name]));
    let missing: Vec<_> = words.filter(|word| !documented.contains(&format!("`{word}`"))).collect();
    assert_eq!(missing, [] as [&String; 0]);
    assert!(told.iter().any(|span| span.facts.contains_key("http.request.resend_count")), "{told:#?}");
}
