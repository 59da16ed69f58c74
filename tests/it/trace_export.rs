//! `switchboard serve` as a process with a trace collector, over real sockets; also with a slow, unreachable
//! or silent collector.

use std::io::Read as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use switchboard::sandbox::{self, LEADLEX_PATH, Sandbox};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::config::{ConfigFile, Running, switchboard};
use crate::trace_collector::Collector;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

async fn serve_router(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

/// A process that exports traces to an endpoint.
struct ServerProcess {
    process: Running,
    graph: String,
    client: reqwest::Client,
}

impl ServerProcess {
    /// With endpoint and headers from the configuration, and with other values in variables that must not
    /// apply.
    async fn exporting_to(endpoint: &str) -> Self {
        let section = format!(
            "[traces]\nendpoint = \"{endpoint}/canary\"\nheaders = \"authorization=Bearer%20canary\"\n"
        );
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20other,x-other=1"),
            ("OTEL_TRACES_SAMPLER", "always_off"),
        ];
        Self::start(&section, &variables).await
    }

    async fn start(section: &str, variables: &[(&str, &str)]) -> Self {
        let sandbox = Sandbox::new(sandbox::Settings::default(), sandbox::Clock::system());
        let upstreams = serve_router(sandbox.router()).await;
        let file = ConfigFile::new(&format!(
            "[http]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"\n[log]\nlevel = \"trace\"\n\
             [upstream.leadlex]\nbase_url = \"{upstreams}{LEADLEX_PATH}\"\napi_key = \"wbk_sandbox_a\"\n\
             [upstream.composio]\nbase_url = \"{upstreams}\"\napi_key = \"ak_sandbox_a\"\n\
             {section}"
        ));
        let mut command = switchboard(&["serve", "--config", file.path()]);
        command.env_clear().envs(variables.iter().copied());
        let (process, printed) = Running::start_until(command, "listening on ");
        let graph = printed.trim_end().strip_prefix("listening on ").unwrap().to_owned();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { process, graph, client }
    }

    async fn query(&self) {
        let body = json!({ "query": "query Asked { providers { nodes { name connectedAccounts { totalCount } } } }" });
        let request = self.client.post(&self.graph).header("content-type", "application/json");
        let request = request.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
        let answer = request.body(body.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(answer.get("errors"), None, "{answer}");
    }

    /// Stops the process as a supervisor does, and returns its log.
    fn stop(mut self) -> String {
        self.process.terminate();
        assert!(self.process.0.wait().unwrap().success());
        let log = self.process.errors();
        assert!(!log.contains("canary") && !log.contains("_sandbox_"), "{log}");
        log
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_websocket_operations_are_exported() {
    let (collector, came) = (Collector::default(), Arc::new(Notify::new()));
    let (taking, coming) = (collector.clone(), Arc::clone(&came));
    let take = async move |headers: HeaderMap, message: Bytes| {
        assert_eq!(headers["authorization"], "Bearer canary");
        assert_eq!(headers["content-type"], "application/x-protobuf");
        assert!(!headers.contains_key("x-other"), "{headers:?}");
        taking.receive(&message);
        coming.notify_one();
    };
    let server = ServerProcess::exporting_to(
        &serve_router(Router::new().route("/canary/v1/traces", post(take))).await,
    )
    .await;
    server.query().await;
    while collector.spans().is_empty() {
        came.notified().await;
    }

    let mut request = server.graph.replace("http:", "ws:").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    socket.send(Message::text(json!({ "type": "connection_init" }).to_string())).await.unwrap();
    let query = json!({ "query": "query Over { viewer { role } }" });
    let subscribe = json!({ "id": "1", "type": "subscribe", "payload": query });
    socket.send(Message::text(subscribe.to_string())).await.unwrap();
    loop {
        let message = socket.next().await.unwrap().unwrap();
        if message.to_text().unwrap().contains("complete") {
            break;
        }
    }
    drop(socket);
    let log = server.stop();
    assert!(!log.contains("collector"), "{log}");

    let spans = collector.spans();
    let named = |name: &str| {
        spans.iter().find(|span| span.attributes.get("graphql.operation.name") == Some(&json!(name)))
    };
    let (asked, over) = (named("Asked").unwrap(), named("Over").expect("exported at shutdown"));
    assert_eq!((asked.trace.as_str(), asked.resource["service.name"].as_str()), (TRACE, Some("switchboard")));
    let paths = collector.paths(TRACE);
    for path in ["query > batch providers > GET LEADLEX", "query > batch accounts > GET COMPOSIO"] {
        assert!(paths.iter().any(|found| found == path), "{path}: {paths:#?}");
    }
    // An operation over the WebSocket is its own trace, linked to the upgrade request.
    let upgrade = spans.iter().find(|span| span.name == "GET /graphql").unwrap();
    assert_eq!(upgrade.attributes["http.response.status_code"], 101);
    assert_eq!((over.name.as_str(), over.kind, &over.links), ("query", 2, &vec![upgrade.id.clone()]));
    assert_ne!(over.trace, upgrade.trace);
    for secret in ["_sandbox_", "CANARY", "canary", "user_", "ca_"] {
        assert!(!collector.text().contains(secret), "{secret}: {spans:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_collector_delays_neither_requests_nor_shutdown() {
    let came = Arc::new(Notify::new());
    let coming = Arc::clone(&came);
    let hang = async move || {
        coming.notify_one();
        std::future::pending::<()>().await;
    };
    let server = ServerProcess::exporting_to(
        &serve_router(Router::new().route("/canary/v1/traces", post(hang))).await,
    )
    .await;
    server.query().await;
    came.notified().await;
    server.query().await;
    let log = server.stop();
    assert!(log.contains("the last traces did not reach the collector in time"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_collector_does_not_affect_requests() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let unreachable = format!("http://{}", port.local_addr().unwrap());
    drop(port);
    let server = ServerProcess::exporting_to(&unreachable).await;
    server.query().await;
    let log = server.stop();
    let line = log.lines().find(|line| line.contains("spans were lost")).expect(&log);
    assert!(line.contains("network error"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_variables_start_the_export() {
    let (collector, came) = (Collector::default(), Arc::new(Notify::new()));
    let (taking, coming) = (collector.clone(), Arc::clone(&came));
    let take = async move |headers: HeaderMap, message: Bytes| {
        assert_eq!(headers["authorization"], "Bearer canary");
        assert_eq!(headers["content-encoding"], "gzip");
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&message[..]).read_to_end(&mut plain).unwrap();
        taking.receive(&plain.into());
        coming.notify_one();
    };
    let endpoint = serve_router(Router::new().route("/otlp/v1/traces", post(take))).await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*format!("{endpoint}/otlp")),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20canary"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_SERVICE_NAME", "graph"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let server = ServerProcess::start("", &variables).await;
    server.query().await;
    while collector.spans().is_empty() {
        came.notified().await;
    }
    server.stop();
    let resource = &collector.spans()[0].resource;
    assert_eq!(resource["service.name"], "graph");
    assert_eq!(resource["deployment.environment.name"], "test");
}
