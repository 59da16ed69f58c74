//! The request log: one JSON line for each request, without any text of the request.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use switchboard::http::caller::Authenticator;
use switchboard::http::caller::settings::{RoleName, TokenSettings};
use switchboard::http::caller::tokens::{NewToken, Tokens};
use switchboard::sandbox::{EmulatedUpstream, Fault, Tenant};
use switchboard::telemetry::json_lines::JsonLines;
use tower::ServiceExt as _;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;

use super::faulty_schema::FaultySchema;
use super::issuer::{Issuer, Key, claims};
use super::static_tokens;
use super::stream_server::{PROVIDER_CHANGED, Server, routes, settings, tenant_a_callers, tenants};
use super::{get, operations, post, with_header};
use crate::world::{Setup, World};

#[derive(Clone, Default)]
struct LogBuffer(Arc<Mutex<Vec<u8>>>);

impl Write for LogBuffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl LogBuffer {
    /// Writes log lines as `log.format = "json"` does, for this thread.
    fn capture(&self) -> DefaultGuard {
        let writer = self.clone();
        let json = JsonLines::new(move || writer.clone());
        tracing::subscriber::set_default(tracing_subscriber::registry().with(LevelFilter::INFO).with(json))
    }

    /// tracing caches for each log statement whether any subscriber wants it. A statement that another test reaches
    /// first, while this one begins to capture, can stay disabled: one request reaches all of them, then the cache is
    /// rebuilt.
    async fn enable_all_statements(&self) {
        let other = routes(&World::new(), tenant_a_callers());
        drop(other.oneshot(post(json!({ "query": QUERY }).to_string())).await);
        tracing::callsite::rebuild_interest_cache();
        self.all_lines();
    }

    /// All lines since the last call.
    fn all_lines(&self) -> Vec<Value> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        let lines = String::from_utf8(bytes).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The request lines among them.
    fn lines(&self) -> Vec<Value> {
        self.all_lines().into_iter().filter(|line| line["target"] == "switchboard::requests").collect()
    }

    /// The only request line, without the values that differ between runs.
    #[track_caller]
    fn line(&self) -> Value {
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        let mut line = lines.remove(0);
        assert_eq!((&line["level"], &line["fields"]["message"]), (&json!("INFO"), &json!("request")));
        assert_eq!(line.get("spans"), None, "the span is not repeated");
        let mut fields = line["fields"].take();
        let took = fields.as_object_mut().unwrap().remove("duration_ms").unwrap();
        assert!(took.as_f64().unwrap() >= 0.0);
        fields.as_object_mut().unwrap().remove("message");
        fields["id"] = line["span"]["id"].clone();
        fields
    }
}

const QUERY: &str = "query Overview($secret: String!) { providers(filter: { search: $secret }) { nodes { name } } \
                     connectedAccounts(first: 1) { nodes { id } } }";

#[tokio::test(start_paused = true)]
async fn each_request_logs_one_line_with_outcome_and_cost() {
    let (world, written) = (World::new(), LogBuffer::default());
    let _listening = written.capture();
    written.enable_all_statements().await;
    let edge = routes(&world, tenant_a_callers());
    let asked = || {
        let body = json!({ "query": QUERY, "variables": { "secret": "g" } }).to_string();
        with_header(post(body), "x-request-id", "mine")
    };
    let mut sources = Vec::new();
    for _ in 0..3 {
        let bytes = edge.clone().oneshot(asked()).await.unwrap().into_body().collect().await.unwrap();
        let line = written.line();
        sources.push(line["source"].clone());
        let cost = if sources.len() == 1 { 1 } else { 0 };
        let expected = json!({
            "id": "mine", "route": "graphql", "transport": "http", "operation": "Overview", "operation_type": "query",
            "outcome": "ok", "status": 200, "bytes": bytes.to_bytes().len(), "source": sources.last(),
            "leadlex_calls": cost, "composio_calls": cost,
        });
        assert_eq!(line, expected);
    }
    assert_eq!(sources, ["executed", "executed", "cached"]);
}

#[tokio::test(start_paused = true)]
async fn audit_lines_have_the_id_of_their_request() {
    let mut setup = Setup::as_shipped();
    setup.config.actions.enabled = true;
    let (world, written) = (World::new_with(setup), LogBuffer::default());
    let _listening = written.capture();
    tracing::callsite::rebuild_interest_cache();
    let edge = routes(&world, tenant_a_callers());
    let id = world.sandbox.accounts(Tenant::A)[0].id.clone();
    let query = format!(
        "mutation {{ renameAccount(input: {{ id: \"{id}\", alias: \"x\" }}) {{ userErrors {{ code }} }} }}"
    );
    let request = with_header(post(json!({ "query": query }).to_string()), "x-request-id", "mine");
    let response = edge.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    let audit = written.all_lines().into_iter().find(|line| line["target"] == "switchboard::audit").unwrap();
    assert_eq!((&audit["span"]["id"], &audit["fields"]["action"]), (&json!("mine"), &json!("rename")));
    // By GET no mutation runs, so there is nothing to audit.
    let by_get = get(
        "/graphql?query=mutation%7BrevokeAccount(input:%7Bid:%22ca_1%22%7D)%7BuserErrors%7Bcode%7D%7D%7D",
    );
    assert_eq!(edge.oneshot(by_get).await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(written.all_lines().iter().all(|line| line["target"] != "switchboard::audit"));
}

#[tokio::test(start_paused = true)]
async fn refused_requests_are_logged_without_their_text() {
    let (world, written) = (World::new(), LogBuffer::default());
    let _listening = written.capture();
    let edge = routes(&world, tenant_a_callers());
    let query = |text: &str| post(json!({ "query": text }).to_string());
    let cases = [
        (query("{ hunter2"), json!({ "status": 400, "code": "GRAPHQL_PARSE_FAILED", "operation": null })),
        (
            query("query A($hunter2: Int!) { providers(first: $hunter2) { totalCount } }"),
            json!({ "status": 400, "code": "BAD_USER_INPUT", "operation": "A", "operation_type": "query" }),
        ),
        (
            query("query A { viewer { name } } query B { viewer { role } }"),
            json!({ "status": 400, "code": "OPERATION_RESOLUTION_FAILURE", "operation": null }),
        ),
        (get("/hunter2"), json!({ "status": 404, "code": "BAD_USER_INPUT", "route": "other" })),
        (
            with_header(get("/graphql?query=hunter2"), "host", "hunter2.example"),
            json!({ "status": 403, "code": "FORBIDDEN", "route": "graphql" }),
        ),
        (
            with_header(post("hunter2"), "content-type", "text/hunter2"),
            json!({ "status": 415, "code": "BAD_USER_INPUT", "leadlex_calls": null }),
        ),
        (post("hunter2"), json!({ "status": 400, "code": "BAD_USER_INPUT" })),
    ];
    for (request, expected) in cases {
        let status = edge.clone().oneshot(request).await.unwrap().status();
        let line = written.line();
        assert_eq!((&line["outcome"], &line["status"]), (&json!("refused"), &json!(status.as_u16())));
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(line[field], *value, "{field} of {line}");
        }
        assert!(!line.to_string().contains("hunter2"), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_are_named_by_their_token_or_the_hash_of_their_subject() {
    let (world, written) = (World::new(), LogBuffer::default());
    let _listening = written.capture();
    written.enable_all_statements().await;
    let query = || post(json!({ "query": "{ viewer { role } }" }).to_string());
    let token = NewToken::random().unwrap();
    let entry = TokenSettings {
        name: "back-office".to_owned(),
        sha256: token.sha256.clone(),
        role: RoleName::Admin,
        tenant: "default".to_owned(),
        user_id: String::new(),
        rate_limit_requests: 0,
        rate_limit_complexity: 0,
        rate_limit_upstream_calls: 0,
    };
    let by_token = Authenticator::Tokens(Arc::new(Tokens::new(&[entry], &static_tokens::tenants()).unwrap()));
    let edge = routes(&world, by_token.clone());
    let send =
        async |text: &str| edge.clone().oneshot(with_header(query(), "authorization", text)).await.unwrap();
    assert_eq!(send(&format!("Bearer {}", token.text)).await.status(), StatusCode::OK);
    let line = written.line();
    assert_eq!((&line["caller"], &line["reason"]), (&json!("back-office"), &Value::Null));
    for (text, reason) in [(token.text.as_str(), "TOKEN_SCHEME"), ("Bearer swb_hunter2", "TOKEN_UNKNOWN")] {
        assert_eq!(send(text).await.status(), StatusCode::UNAUTHORIZED);
        let line = written.line();
        assert_eq!((&line["reason"], &line["caller"]), (&json!(reason), &Value::Null));
        assert!(!line.to_string().contains("swb_"), "{line}");
    }
    // Over a WebSocket each operation is a line.
    let server = Server::with(world.operations(), by_token, settings());
    let bearer = format!("Bearer {}", token.text);
    let mut client = server.websocket(&[("authorization", &bearer)]).await.unwrap();
    client.send(json!({ "type": "connection_init" })).await;
    assert_eq!(client.next().await["type"], "connection_ack");
    client.subscribe("1", "{ viewer { role } }").await;
    assert_eq!(client.next().await["type"], "next");
    let lines = written.lines();
    assert_eq!(lines.last().unwrap()["fields"]["caller"], "back-office", "{lines:#?}");

    let key = Key::ed("d");
    let issuer = Issuer::new(&[&key]);
    for (change, reason) in [
        (json!({ "exp": 0 }), "TOKEN_EXPIRED"),
        (json!({ "aud": "another" }), "TOKEN_AUDIENCE"),
        (json!({ "iss": "https://else.example/" }), "TOKEN_ISSUER"),
        (json!({ "role": "owner" }), "TOKEN_ROLE"),
        (json!({ "tenant": "unknown" }), "TOKEN_TENANT"),
    ] {
        let response = issuer.send(&key.sign(&claims(change))).await;
        assert_eq!(response.json()["errors"][0]["extensions"]["reason"], reason);
        let line = written.line();
        assert_eq!(line["reason"], reason);
        assert!(!line.to_string().contains("eyJ") && !line.to_string().contains("user_1"), "{line}");
    }
    issuer.send(&key.sign(&claims(json!({})))).await;
    // The first 16 digits of `printf user_1 | sha256sum`.
    assert_eq!(written.line()["caller"], "sub:79b0aa0042b3c056");
}

#[tokio::test(start_paused = true)]
async fn subscription_logs_its_start_and_its_end() {
    let (world, written) = (World::new(), LogBuffer::default());
    let _listening = written.capture();
    let query = PROVIDER_CHANGED.replacen("subscription", "subscription Changes", 1);
    let server = Server::for_world(&world);
    let mut client = server.acknowledged().await;
    assert_eq!(written.line()["status"], 101);
    client.subscribe("s1", &query).await;
    world.settle().await;
    let line = written.line();
    assert_eq!((&line["transport"], &line["operation_type"]), (&json!("websocket"), &json!("subscription")));
    assert_eq!((&line["operation"], &line["status"]), (&json!("Changes"), &Value::Null));
    assert!(line["id"].is_string(), "{line}");
    world
        .sandbox
        .change_providers(switchboard::sandbox::Tenant::A, |rows| rows[0]["status"] = json!("degraded"));
    world.data("mutation { refresh(upstream: LEADLEX) { retryAt } }").await;
    assert_eq!(client.next().await["type"], "next");
    client.send(json!({ "id": "s1", "type": "complete" })).await;
    client.send(json!({ "type": "ping" })).await;
    assert_eq!(client.next().await["type"], "pong");
    let ended = written.lines();
    assert_eq!(ended.len(), 1, "{ended:#?}");
    let fields = &ended[0]["fields"];
    assert_eq!((&fields["message"], &fields["events"]), (&json!("subscription ended"), &json!(1)));
    assert_eq!((&fields["operation"], &fields["transport"]), (&json!("Changes"), &json!("websocket")));
}

/// A call serves every request that waits for it, so it runs on a task of its own.
#[tokio::test(start_paused = true)]
async fn failed_call_is_logged_with_the_request_id_that_caused_it() {
    let (world, written) = (World::new(), LogBuffer::default());
    let _listening = written.capture();
    let refused = Fault { status: Some(StatusCode::UNAUTHORIZED), ..Fault::default() };
    world.sandbox.emulate(EmulatedUpstream::Composio, Some(refused));
    let edge = routes(&world, tenant_a_callers());
    let send = async |id, query: &str| {
        let request = with_header(post(json!({ "query": query }).to_string()), "x-request-id", id);
        edge.clone().oneshot(request).await.unwrap();
        let all_lines = written.all_lines();
        let failed = all_lines.iter().filter(|line| line["fields"]["message"] == "upstream call failed");
        failed.map(|line| (line["span"]["id"].clone(), line["fields"]["status"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(
        send("mine", "{ connectedAccounts(first: 1) { nodes { id } } }").await,
        [(json!("mine"), json!(401))]
    );
    // The key is not used again for some seconds: no call, and no event.
    assert_eq!(send("again", "{ connectedAccounts(first: 2) { nodes { id } } }").await, []);
}

#[tokio::test(start_paused = true)]
async fn refused_websocket_is_logged() {
    let (world, written) = (World::new(), LogBuffer::default());
    let _listening = written.capture();
    let tokens = Tokens::new(&[], &tenants()).unwrap();
    let server = Server::with(world.operations(), Authenticator::Tokens(Arc::new(tokens)), settings());
    let mut client = server.websocket(&[]).await.unwrap();
    let shown = json!({ "authorization": "Bearer swb_hunter2" });
    client.send(json!({ "type": "connection_init", "payload": shown })).await;
    assert_eq!(client.code().await.0, 4403);
    let refused = written.lines().pop().unwrap()["fields"].take();
    let fields = [&refused["transport"], &refused["outcome"], &refused["code"]];
    assert_eq!(fields, [&json!("websocket"), &json!("refused"), &json!("UNAUTHENTICATED")]);
    assert!(!refused.to_string().contains("hunter2"), "{refused}");

    let mut early = server.websocket(&[]).await.unwrap();
    early.subscribe("1", "{ viewer { name } }").await;
    assert_eq!(early.code().await.0, 4401);
    assert_eq!(written.lines().pop().unwrap()["fields"]["code"], "UNAUTHENTICATED");
}

#[tokio::test(start_paused = true)]
async fn shutdown_is_not_logged_as_client_disconnect() {
    let written = LogBuffer::default();
    let _listening = written.capture();
    let (faulty, gate) = FaultySchema::with_gate();
    let mut server = Server::with(operations(faulty), tenant_a_callers(), settings());
    let _client = server.send("", &json!({ "query": "{ waits }" }).to_string()).await;
    gate.wait_for_executions(1).await;
    server.stop();
    server.ended().await;
    let line = written.line();
    assert_eq!((&line["outcome"], &line["status"]), (&json!("cut_off"), &Value::Null));
}
