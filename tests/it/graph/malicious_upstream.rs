//! A malicious upstream: its responses cannot make Switchboard return or cache unbounded data.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use switchboard::sandbox::Settings;
use switchboard::upstream::transport::Network;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, service_fn};

use crate::world::{PAGE_ROWS, World, at, only_error};

const ITEM: &str = r#""id":"ca_1","toolkit":{"slug":"gmail"},"auth_config":{"id":"ac_1"},"status":"ACTIVE""#;
const QUERY: &str =
    "{ connectedAccounts { totalCount edges { cursor node { state { settings { value } withheld } } } } }";

/// The response to a query if Composio returns this body.
async fn response(status: u16, body: String) -> Value {
    world(status, body).query(QUERY).await
}

/// A world whose Composio returns this body.
fn world(status: u16, body: String) -> World {
    let body = Bytes::from(body);
    let network: Network = BoxCloneSyncService::new(service_fn(move |_: http::Request<Bytes>| {
        let body = Full::new(body.clone()).map_err(BoxError::from).boxed_unsync();
        async move { Ok(http::Response::builder().status(status).body(body)?) }
    }));
    World::with_network(Settings::default(), PAGE_ROWS, |_| network)
}

#[tokio::test(start_paused = true)]
async fn total_beyond_int_is_not_returned() {
    let answer = response(200, format!(r#"{{"items":[{{{ITEM}}}],"total_items":3000000000}}"#)).await;
    assert_eq!(answer["errors"], Value::Null);
    assert_eq!(at(&answer, "data.connectedAccounts.totalCount"), Value::Null);
}

#[tokio::test(start_paused = true)]
async fn unreadable_cursor_costs_only_itself() {
    let long = format!("\"{}\"", "c".repeat(1 << 20));
    for cursor in ["{}", "[\"c\"]", "true", r#""\ud800""#, "1e400", &long] {
        let body = format!(r#"{{"items":[{{{ITEM}}}],"next_cursor":{cursor},"total_items":7}}"#);
        let query =
            "{ connectedAccounts { isComplete pageInfo { hasNextPage } nodes { connectedAccountId } } }";
        let answer = world(200, body.clone()).query(query).await;
        let list = json!({
            "isComplete": false, "pageInfo": { "hasNextPage": false }, "nodes": [{ "connectedAccountId": "ca_1" }],
        });
        assert_eq!(answer["data"]["connectedAccounts"], list, "{answer}");
        assert_eq!(answer.get("errors"), None);
        let problem =
            json!({ "upstream": "COMPOSIO", "path": "next_cursor", "rule": "unreadable_value", "count": 1 });
        assert_eq!(at(&answer, "extensions.switchboard.problems"), json!([problem]));
        // An account that was not found may be on the page that cannot be reached.
        let query = "{ there: connectedAccount(id: \"ca_1\") { status } }";
        let answer = world(200, body.clone()).query(query).await;
        assert_eq!(answer["data"], json!({ "there": { "status": "ACTIVE" } }), "{answer}");
        let query = "{ missing: connectedAccount(id: \"ca_2\") { status } }";
        let answer = world(200, body).query(query).await;
        assert_eq!(at(only_error(&answer), "extensions.code"), "UPSTREAM_BAD_RESPONSE", "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_fields_are_reported_once_up_to_a_limit() {
    let twice = vec![r#""region":"eu""#; 10_000].join(",");
    let strange: Vec<_> = (0..10_000).map(|number| format!(r#""field_{number}":1"#)).collect();
    let val = format!(r#"{{"state":{{"val":{{{twice},{}}}}},{ITEM}}}"#, strange.join(","));
    let answer = response(200, format!(r#"{{"items":[{val}],"total_items":1}}"#)).await;
    let state = at(&answer, "data.connectedAccounts.edges.0.node.state");
    assert_eq!(state["settings"], json!([{ "value": "eu" }]));
    assert_eq!(state["withheld"].as_array().unwrap().len(), 64);
}

#[tokio::test(start_paused = true)]
async fn unbounded_nesting_is_skipped_or_refused() {
    let deep = "[".repeat(1 << 20);
    let shut = "]".repeat(1 << 20);
    let answer =
        response(200, format!(r#"{{"items":[{{"more":{deep}{shut},{ITEM}}}],"total_items":1}}"#)).await;
    assert_eq!(answer["errors"], Value::Null);
    assert_eq!(at(&answer, "data.connectedAccounts.totalCount"), 1);
    let answer = response(200, format!(r#"{{"items":{deep}"#)).await;
    assert_eq!(at(only_error(&answer), "extensions.code"), "UPSTREAM_BAD_RESPONSE");
    let answer = response(500, format!(r#"{{"error":{{"slug":{deep}"#)).await;
    assert_eq!(at(only_error(&answer), "extensions.code"), "UPSTREAM_UNAVAILABLE");
}
