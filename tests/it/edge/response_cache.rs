//! The response cache, observed through a field that counts its executions.

use axum::Router;
use serde_json::{Value, json};
use switchboard::http::caller::Authenticator;

use super::{default_callers, edge, get, post, send, with_header};

async fn data(router: &Router, request: Value) -> Value {
    send(router.clone(), post(request.to_string())).await.json()["data"].take()
}

#[tokio::test]
async fn get_and_post_share_cached_responses() {
    let router = edge(default_callers());
    for _ in 0..3 {
        assert_eq!(data(&router, json!({ "query": "{count}" })).await, json!({ "count": 1 }));
        let response = send(router.clone(), get("/graphql?query=%7Bcount%7D")).await;
        assert_eq!(response.text, r#"{"data":{"count":1}}"#);
        let response =
            send(router.clone(), with_header(get("/graphql?query=%7Bcount%7D"), "accept", "*/*")).await;
        assert_eq!(response.text, r#"{"data":{"count":1}}"#);
        assert_eq!(response.header("content-type"), "application/json; charset=utf-8");
    }
}

#[tokio::test]
async fn uncacheable_queries_and_mutations_always_execute() {
    for request in [
        json!({ "query": "{ n: viewer }" }),
        json!({ "query": "{ hello n: upstreams }" }),
        json!({ "query": "{ ... on Query { ... { n: viewer } } }" }),
        json!({ "query": "query A { ...B } fragment B on Query { ...C } fragment C on Query { n: upstreams }" }),
        json!({ "query": "mutation { n: bump }" }),
        json!({ "query": "{ n: count limited }" }),
        json!({ "query": "{ n: count }", "extensions": { "switchboard": { "trace": true } } }),
    ] {
        let router = edge(default_callers());
        for execution in 1..=3 {
            assert_eq!(data(&router, request.clone()).await["n"], json!(execution), "{request}");
        }
    }
}

#[tokio::test]
async fn different_requests_do_not_share_responses() {
    let router = edge(default_callers());
    let document = "query A($n: Int) { count echo(number: $n) } query B($n: Int) { count echo(number: $n) }";
    let requests = [
        json!({ "query": document, "operationName": "A" }),
        json!({ "query": document, "operationName": "B" }),
        json!({ "query": format!("{document} "), "operationName": "A" }),
        json!({ "query": document, "operationName": "A", "variables": { "n": 1 } }),
        json!({ "query": document, "operationName": "A", "variables": { "n": 2 } }),
        json!({ "query": document, "operationName": "A", "variables": { "n": null } }),
    ];
    for _ in 0..2 {
        for (nth, request) in requests.iter().enumerate() {
            assert_eq!(data(&router, request.clone()).await["count"], json!(nth + 1), "{request}");
        }
    }
}

#[tokio::test]
async fn callers_with_other_keys_do_not_share_responses() {
    let router = edge(Authenticator::Passthrough);
    let of = |leadlex: Option<&str>, composio: Option<&str>| {
        let mut request = post(r#"{"query":"{ count keys }"}"#);
        if let Some(key) = leadlex {
            request = with_header(request, "authorization", &format!("Bearer {key}"));
        }
        if let Some(key) = composio {
            request = with_header(request, "x-api-key", key);
        }
        request
    };
    let callers = [
        (Some("wbk_a"), Some("ak_a")),
        (Some("wbk_a"), Some("ak_b")),
        (Some("wbk_b"), Some("ak_a")),
        (Some("wbk_a"), None),
        (None, Some("ak_a")),
        (None, Some("wbk_a")),
    ];
    for _ in 0..2 {
        for (nth, (leadlex, composio)) in callers.into_iter().enumerate() {
            let response = send(router.clone(), of(leadlex, composio)).await.json();
            assert_eq!(response["data"]["count"], json!(nth + 1));
            let keys = format!("leadlex: {}, composio: {}", leadlex.is_some(), composio.is_some());
            assert_eq!(response["data"]["keys"], json!(keys));
        }
    }
}

#[tokio::test]
async fn cached_response_does_not_allow_mutation_by_get() {
    let router = edge(default_callers());
    let document = "query Q { count } mutation M { bump }";
    assert_eq!(
        data(&router, json!({ "query": document, "operationName": "Q" })).await,
        json!({ "count": 1 })
    );
    let escaped = "query+Q+%7B+count+%7D+mutation+M+%7B+bump+%7D";
    let response = send(router.clone(), get(&format!("/graphql?query={escaped}&operationName=M"))).await;
    assert_eq!((response.status.as_u16(), response.header("allow")), (405, "POST"));
    let response = send(router, get(&format!("/graphql?query={escaped}&operationName=Q"))).await;
    assert_eq!(response.text, r#"{"data":{"count":1}}"#);
}
