//! Results of executed operations: data, and masked and merged errors.

use axum::http::StatusCode;
use serde_json::json;

use super::faulty_schema::{FaultySchema, LEAK};
use super::{default_callers, edge_with_schema, post, query, query_with, send};

#[tokio::test]
async fn data_is_returned_with_cache_headers() {
    let response = query("{ hello moment }").await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.text, r#"{"data":{"hello":"hello","moment":"2026-11-21T00:00:00Z"}}"#);
    assert_eq!(response.header("cache-control"), "private, no-cache");
    assert_eq!(response.header("vary"), "Authorization, x-api-key, Accept, Accept-Encoding, Origin");
    assert_eq!(response.header("content-type"), "application/graphql-response+json; charset=utf-8");
}

#[tokio::test]
async fn upstream_failure_nulls_its_field_with_a_retry_hint() {
    let response = query("{ hello limited }").await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.header("cache-control"), "no-store");
    assert_eq!(
        response.json(),
        json!({
            "data": { "hello": "hello", "limited": null },
            "errors": [{
                "message": "The connected-accounts API (Composio) has reached its rate limit.",
                "locations": [{ "line": 1, "column": 9 }],
                "path": ["limited"],
                "extensions": {
                    "code": "UPSTREAM_RATE_LIMITED",
                    "upstream": "COMPOSIO",
                    "retryable": true,
                    "retryAfterMs": 1500,
                    "requestId": "req_42",
                },
            }],
        })
    );
}

#[tokio::test]
async fn one_cause_is_one_error_with_all_paths() {
    let answer = query("{ items { index broken } limited refused }").await.json();
    assert_eq!(answer["data"]["items"][19], json!({ "index": 19, "broken": null }));
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{answer}");
    let limited = errors.iter().find(|e| e["extensions"]["code"] == "UPSTREAM_RATE_LIMITED").unwrap();
    assert_eq!(limited["extensions"]["count"], 21);
    let paths = limited["extensions"]["paths"].as_array().unwrap();
    assert_eq!(paths.len(), 21);
    assert!(paths.contains(&json!(["items", 19, "broken"])) && paths.contains(&json!(["limited"])));
    assert_eq!(limited["path"], paths[0]);

    let refused = errors.iter().find(|e| e["extensions"]["code"] == "BAD_USER_INPUT").unwrap();
    assert_eq!(refused["message"], "`first` must be between 0 and 100.");
    assert_eq!(refused["extensions"], json!({ "code": "BAD_USER_INPUT", "reason": "BAD_PAGE_SIZE" }));
}

#[tokio::test]
async fn at_most_100_paths_are_listed() {
    let extensions = query("{ items(count: 250) { broken } }").await.json()["errors"][0]["extensions"].take();
    assert_eq!(extensions["count"], 250);
    assert_eq!(extensions["paths"].as_array().map(Vec::len), Some(100));
}

#[tokio::test]
async fn unexpected_errors_are_masked() {
    let response = query("{ hello foreign again: foreign }").await;
    assert!(!response.text.contains(LEAK), "{}", response.text);
    assert_eq!(response.message(), "Something went wrong in Switchboard.");
    assert_eq!(response.json()["errors"][0]["extensions"]["code"], "INTERNAL");
    assert_eq!(response.json()["data"]["hello"], "hello");

    let response = query("{ hello foreignAtTheRoot }").await;
    assert_eq!((response.status, response.code().as_str()), (StatusCode::OK, "INTERNAL"));
    assert_eq!(response.json()["data"], json!(null));
    assert!(!response.text.contains(LEAK), "{}", response.text);
}

#[tokio::test]
async fn an_invalid_published_schema_is_an_internal_error_of_introspection() {
    let edge = edge_with_schema(default_callers(), FaultySchema::with_invalid_published_sdl());
    let ask = |document| send(edge.clone(), post(json!({ "query": document }).to_string()));
    let response = ask("{ hello __schema { queryType { name } } }").await;
    assert_eq!((response.status, response.code().as_str()), (StatusCode::OK, "INTERNAL"));
    assert!(response.json()["data"].is_null() && !response.text.contains(LEAK), "{}", response.text);
    assert_eq!(ask("{ hello }").await.json()["data"]["hello"], "hello");
}

#[tokio::test]
async fn panic_is_an_internal_error() {
    let response = query("{ hello panics }").await;
    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        response.text,
        r#"{"errors":[{"message":"Something went wrong in Switchboard.","extensions":{"code":"INTERNAL"}}]}"#
    );
}

#[tokio::test]
async fn variables_are_coerced() {
    let document = "query ($n: Int, $i: ID, $f: Filter) { echo(number: $n, id: $i, filter: $f) }";
    let response = query_with(
        document,
        json!({ "n": 3, "i": 7, "f": { "name": "a", "colours": "RED", "connected": null }, "unknown": {} }),
    );
    let response = response.await;
    assert_eq!(
        response.json()["data"]["echo"],
        r#"Some(3) Some("7") Some("a Some(1) None 7")"#,
        "{}",
        response.text
    );
    let response = query_with("query ($n: Int = 5) { echo(number: $n) }", json!({})).await;
    assert_eq!(response.json()["data"]["echo"], "Some(5) None None");
    let document = "query ($n: String = \"b\", $s: Int, $c: Colour!) { echo(filter: { name: $n, size: $s, colours: [$c] }) }";
    let response = query_with(document, json!({ "c": "GREEN" })).await;
    assert_eq!(response.json()["data"]["echo"], r#"None None Some("b Some(1) None 7")"#, "{}", response.text);
}

#[tokio::test]
async fn operation_name_selects_the_operation() {
    let document = "query A { hello } query B { moment }";
    let body = json!({ "query": document, "operationName": "B" }).to_string();
    let response = super::send(super::edge(super::default_callers()), super::post(body)).await;
    assert_eq!(response.json()["data"], json!({ "moment": "2026-11-21T00:00:00Z" }));
}

#[tokio::test]
async fn introspection_of_graphiql_works() {
    let response = query(
        "query IntrospectionQuery { __schema { queryType { name } types { ...T } directives { name isRepeatable \
         locations args(includeDeprecated: true) { ...V } } } } \
         fragment T on __Type { kind name description specifiedByURL fields(includeDeprecated: true) { name \
         args(includeDeprecated: true) { ...V } type { ...R } isDeprecated deprecationReason } \
         inputFields(includeDeprecated: true) { ...V } interfaces { ...R } enumValues(includeDeprecated: true) \
         { name } possibleTypes { ...R } } \
         fragment V on __InputValue { name type { ...R } defaultValue isDeprecated deprecationReason } \
         fragment R on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind \
         name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } }",
    );
    let response = response.await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text);
    assert_eq!(response.json().get("errors"), None);
    assert!(response.text.contains("https://scalars.graphql.org/andimarek/date-time"));
}
