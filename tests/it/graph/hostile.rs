//! An upstream that means harm: what it can make this layer say or keep has an end.

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

/// The answer to a query where Composio answers so.
async fn answer(status: u16, body: String) -> Value {
    let body = Bytes::from(body);
    let network: Network = BoxCloneSyncService::new(service_fn(move |_: http::Request<Bytes>| {
        let body = Full::new(body.clone()).map_err(BoxError::from).boxed_unsync();
        async move { Ok(http::Response::builder().status(status).body(body)?) }
    }));
    World::with_network(Settings::default(), PAGE_ROWS, |_| network).query(QUERY).await
}

#[tokio::test(start_paused = true)]
async fn a_total_that_no_int_can_hold_is_not_told() {
    let told = answer(200, format!(r#"{{"items":[{{{ITEM}}}],"total_items":3000000000}}"#)).await;
    assert_eq!(told["errors"], Value::Null);
    assert_eq!(at(&told, "data.connectedAccounts.totalCount"), Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_without_end_is_a_bad_response_and_no_end_of_the_list() {
    let cursor = "c".repeat(1 << 20);
    let told = answer(200, format!(r#"{{"items":[{{{ITEM}}}],"next_cursor":"{cursor}"}}"#)).await;
    assert_eq!(at(only_error(&told), "extensions.code"), "UPSTREAM_BAD_RESPONSE");
}

#[tokio::test(start_paused = true)]
async fn fields_without_end_are_told_once_each_and_named_up_to_a_number() {
    let twice = vec![r#""region":"eu""#; 10_000].join(",");
    let strange: Vec<_> = (0..10_000).map(|number| format!(r#""field_{number}":1"#)).collect();
    let val = format!(r#"{{"state":{{"val":{{{twice},{}}}}},{ITEM}}}"#, strange.join(","));
    let told = answer(200, format!(r#"{{"items":[{val}],"total_items":1}}"#)).await;
    let state = at(&told, "data.connectedAccounts.edges.0.node.state");
    assert_eq!(state["settings"], json!([{ "value": "eu" }]));
    assert_eq!(state["withheld"].as_array().unwrap().len(), 64);
}

#[tokio::test(start_paused = true)]
async fn nesting_without_end_is_skipped_or_refused() {
    let deep = "[".repeat(1 << 20);
    let shut = "]".repeat(1 << 20);
    let told = answer(200, format!(r#"{{"items":[{{"more":{deep}{shut},{ITEM}}}],"total_items":1}}"#)).await;
    assert_eq!(told["errors"], Value::Null);
    assert_eq!(at(&told, "data.connectedAccounts.totalCount"), 1);
    let told = answer(200, format!(r#"{{"items":{deep}"#)).await;
    assert_eq!(at(only_error(&told), "extensions.code"), "UPSTREAM_BAD_RESPONSE");
    let told = answer(500, format!(r#"{{"error":{{"slug":{deep}"#)).await;
    assert_eq!(at(only_error(&told), "extensions.code"), "UPSTREAM_UNAVAILABLE");
}
