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
    let body = Bytes::from(body);
    let network: Network = BoxCloneSyncService::new(service_fn(move |_: http::Request<Bytes>| {
        let body = Full::new(body.clone()).map_err(BoxError::from).boxed_unsync();
        async move { Ok(http::Response::builder().status(status).body(body)?) }
    }));
    World::with_network(Settings::default(), PAGE_ROWS, |_| network).query(QUERY).await
}

#[tokio::test(start_paused = true)]
async fn total_beyond_int_is_not_returned() {
    let answer = response(200, format!(r#"{{"items":[{{{ITEM}}}],"total_items":3000000000}}"#)).await;
    assert_eq!(answer["errors"], Value::Null);
    assert_eq!(at(&answer, "data.connectedAccounts.totalCount"), Value::Null);
}

#[tokio::test(start_paused = true)]
async fn oversized_cursor_is_a_bad_response() {
    let cursor = "c".repeat(1 << 20);
    let answer = response(200, format!(r#"{{"items":[{{{ITEM}}}],"next_cursor":"{cursor}"}}"#)).await;
    assert_eq!(at(only_error(&answer), "extensions.code"), "UPSTREAM_BAD_RESPONSE");
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
