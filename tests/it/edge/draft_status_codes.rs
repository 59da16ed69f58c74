//! `http.draft_status_codes`: the statuses of the GraphQL-over-HTTP draft of 2026-08-06.

use axum::http::StatusCode;
use serde_json::{Value, json};
use switchboard::http::settings::HttpSettings;

use super::{default_callers, edge_with_settings, get, http_settings, post, send, with_header};

async fn status(draft: bool, accept: &str, request: Value) -> u16 {
    let settings = HttpSettings { draft_status_codes: draft, ..http_settings() };
    let request = with_header(post(request.to_string()), "accept", accept);
    send(edge_with_settings(default_callers(), settings), request).await.status.as_u16()
}

#[tokio::test]
async fn statuses_follow_the_draft_only_if_the_setting_is_on() {
    let cases = [
        (json!({ "query": "{ hello }" }), 200, 200),
        (json!({ "query": "{ hello limited }" }), 200, 294),
        (json!({ "query": "{ foreignAtTheRoot }" }), 200, 294),
        (json!({ "query": "{ hello" }), 400, 400),
        (json!({ "query": "{ nothing }" }), 400, 422),
        (json!({ "query": "{ hello }", "operationName": "A" }), 400, 422),
        (json!({ "query": "query ($n: Int) { echo(number: $n) }", "variables": { "n": "a" } }), 400, 422),
        (json!({ "documentId": "unknown" }), 400, 400),
        (json!({ "query": "{ hello }", "onError": "IGNORE" }), 400, 400),
        (json!({ "query": "{ panics }" }), 500, 500),
    ];
    for (request, without, with) in cases {
        let type_of_draft = "application/graphql-response+json";
        assert_eq!(status(false, type_of_draft, request.clone()).await, without, "{request}");
        assert_eq!(status(true, type_of_draft, request.clone()).await, with, "{request}");
        // Older clients read any status but 200 as a failure of the server.
        let older = status(false, "application/json", request.clone()).await;
        assert_eq!(status(true, "application/json", request.clone()).await, older, "{request}");
    }
}

#[tokio::test]
async fn partial_success_is_not_stored_by_caches() {
    let settings = HttpSettings { draft_status_codes: true, ..http_settings() };
    let router = edge_with_settings(default_callers(), settings);
    let response = send(router.clone(), get("/graphql?query=%7Blimited%7D")).await;
    assert_eq!((response.status.as_u16(), response.header("cache-control")), (294, "no-store"));
    assert_eq!(response.header("etag"), "");
    let response = send(router, get("/graphql?query=%7Bhello%7D")).await;
    assert_eq!(response.status, StatusCode::OK);
    assert_ne!(response.header("etag"), "");
}
