//! Identical concurrent requests share one execution.

use axum::Router;
use axum::http::StatusCode;
use futures_util::future::join_all;
use serde_json::json;
use switchboard::http::caller::Authenticator;
use tokio::task::JoinHandle;

use super::faulty_schema::FaultySchema;
use super::{TestResponse, default_callers, edge_with_schema, post, send, with_header};

fn spawn_request(router: &Router, query: &str) -> JoinHandle<TestResponse> {
    tokio::spawn(send(router.clone(), post(json!({ "query": query }).to_string())))
}

#[tokio::test(start_paused = true)]
async fn identical_requests_share_one_execution_even_if_the_first_disconnects() {
    let (faulty, gate) = FaultySchema::with_gate();
    let router = edge_with_schema(default_callers(), faulty);
    let first = spawn_request(&router, "{ waits }");
    gate.wait_for_executions(1).await;
    let followers: Vec<_> = (0..1_000).map(|_| spawn_request(&router, "{ waits }")).collect();
    let another = spawn_request(&router, "{ another: waits }");
    gate.wait_for_executions(1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    gate.open();
    for response in join_all(followers).await {
        assert_eq!(response.unwrap().text, r#"{"data":{"waits":1}}"#);
    }
    assert_eq!(another.await.unwrap().text, r#"{"data":{"another":2}}"#);
}

#[tokio::test(start_paused = true)]
async fn shared_errors_are_not_cached() {
    let (faulty, gate) = FaultySchema::with_gate();
    let router = edge_with_schema(default_callers(), faulty);
    let asked: Vec<_> = (0..10).map(|_| spawn_request(&router, "{ waits limited }")).collect();
    gate.wait_for_executions(1).await;
    gate.open();
    for response in join_all(asked).await {
        let response = response.unwrap();
        assert_eq!(
            (response.json()["data"]["waits"].clone(), response.code()),
            (json!(1), "UPSTREAM_RATE_LIMITED".into())
        );
        assert_eq!(response.header("cache-control"), "no-store");
    }
    assert_eq!(spawn_request(&router, "{ waits limited }").await.unwrap().json()["data"]["waits"], json!(2));
}

#[tokio::test(start_paused = true)]
async fn shared_panic_is_an_error_for_all() {
    let (faulty, gate) = FaultySchema::with_gate();
    let router = edge_with_schema(default_callers(), faulty);
    let asked: Vec<_> = (0..10).map(|_| spawn_request(&router, "{ waits panics }")).collect();
    for response in join_all(asked).await {
        let response = response.unwrap();
        assert_eq!(
            (response.status, response.code()),
            (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL".into())
        );
    }
    gate.open();
    assert_eq!(spawn_request(&router, "{ waits }").await.unwrap().status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn mutations_uncacheable_queries_and_requests_of_other_callers_are_not_shared() {
    let (faulty, gate) = FaultySchema::with_gate();
    let router = edge_with_schema(Authenticator::Passthrough, faulty);
    let keys = [("Bearer wbk_a", "ak_a"), ("Bearer wbk_a", "ak_b"), ("Bearer wbk_b", "ak_a")];
    let of = |(bearer, key): (&str, &str), query: &str| {
        let request = with_header(post(json!({ "query": query }).to_string()), "authorization", bearer);
        tokio::spawn(send(router.clone(), with_header(request, "x-api-key", key)))
    };
    let asked: Vec<_> = keys.into_iter().map(|keys| of(keys, "{ waits }")).collect();
    let moments: Vec<_> = (0..2).map(|_| of(keys[0], "{ waits viewer }")).collect();
    gate.wait_for_executions(5).await;
    gate.open();
    assert!(join_all(asked.into_iter().chain(moments)).await.into_iter().all(|response| response.is_ok()));
    let bumps = join_all((0..2).map(|_| of(keys[0], "mutation { bump }"))).await;
    let mut bumps: Vec<_> =
        bumps.into_iter().map(|response| response.unwrap().json()["data"]["bump"].clone()).collect();
    bumps.sort_by_key(|bump| bump.as_u64());
    assert_eq!(bumps, [json!(8), json!(9)]);
}
