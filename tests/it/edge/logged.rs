//! The log: one line for each request, which programs can read, and which quotes nothing of what was asked.

use std::io::Write;
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tracing::subscriber::DefaultGuard;

use super::streams::{PROVIDER_CHANGED, Server, anybody, routes};
use super::{get, post, with};
use crate::world::World;

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Written {
    /// Written in the form of `log.format = "json"`, on this thread.
    fn listen(&self) -> DefaultGuard {
        let writer = self.clone();
        let json = tracing_subscriber::fmt().json().with_span_list(false).with_writer(move || writer.clone());
        tracing::subscriber::set_default(json.finish())
    }

    /// The lines of requests since the last look.
    fn lines(&self) -> Vec<Value> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        let lines = String::from_utf8(bytes).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["target"] == "switchboard::requests").collect()
    }

    /// The only one, without what differs from run to run.
    #[track_caller]
    fn line(&self) -> Value {
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        let mut line = lines.remove(0);
        assert_eq!((&line["level"], &line["fields"]["message"]), (&json!("INFO"), &json!("request")));
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
async fn each_request_is_one_line_of_what_became_of_it_and_what_it_cost() {
    let (world, written) = (World::new(), Written::default());
    let _listening = written.listen();
    let edge = routes(&world, anybody());
    let asked = || {
        let body = json!({ "query": QUERY, "variables": { "secret": "g" } }).to_string();
        with(post(body), "x-request-id", "mine")
    };
    let mut made = Vec::new();
    for _ in 0..3 {
        let bytes = edge.clone().oneshot(asked()).await.unwrap().into_body().collect().await.unwrap();
        let line = written.line();
        made.push(line["made"].clone());
        let cost = if made.len() == 1 { 1 } else { 0 };
        let expected = json!({
            "id": "mine", "route": "graphql", "transport": "http", "operation": "Overview", "operation_type": "query",
            "outcome": "ok", "status": 200, "bytes": bytes.to_bytes().len(), "made": made.last(),
            "leadlex_calls": cost, "composio_calls": cost,
        });
        assert_eq!(line, expected);
    }
    assert_eq!(made, ["executed", "executed", "kept"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_a_line_too_and_quotes_nothing() {
    let (world, written) = (World::new(), Written::default());
    let _listening = written.listen();
    let edge = routes(&world, anybody());
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
            with(get("/graphql?query=hunter2"), "host", "hunter2.example"),
            json!({ "status": 403, "code": "FORBIDDEN", "route": "graphql" }),
        ),
        (
            with(post("hunter2"), "content-type", "text/hunter2"),
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
async fn a_subscription_is_a_line_at_its_beginning_and_one_at_its_end() {
    let (world, written) = (World::new(), Written::default());
    let _listening = written.listen();
    let query = PROVIDER_CHANGED.replacen("subscription", "subscription Changes", 1);
    let server = Server::over(&world);
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
