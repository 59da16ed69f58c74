//! Operations that are refused before they run. Each message says how to correct the request.

use axum::http::StatusCode;
use serde_json::json;

use super::{TestResponse, default_callers, edge, post, query, query_with, send};

fn refused(response: &TestResponse, code: &str, message: &str) {
    assert_eq!((response.message().as_str(), response.code().as_str()), (message, code));
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
    assert_eq!(response.json().get("data"), None);
    assert_eq!(response.header("cache-control"), "no-store");
}

#[tokio::test]
async fn syntax_errors_are_reported() {
    let response = query("{ hello").await;
    refused(
        &response,
        "GRAPHQL_PARSE_FAILED",
        "Syntax Error: a closing \"}\" is missing: this \"{\" is not closed.",
    );
    assert_eq!(response.json()["errors"][0]["locations"], json!([{ "line": 1, "column": 1 }]));
    assert_eq!(response.json()["errors"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn empty_document_is_refused() {
    for empty in ["", "# nothing"] {
        let response = query(empty).await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (StatusCode::BAD_REQUEST, "GRAPHQL_PARSE_FAILED")
        );
    }
}

#[tokio::test]
async fn both_parsers_accept_the_same_escapes() {
    for name in ["\\u{48}i", "\\uD83D\\uDE00", "\\u{1F600} \\n \\u0022"] {
        let response = query(&format!("{{ echo(filter: {{ name: \"{name}\" }}) }}")).await;
        let meant: String = serde_json::from_str(&format!(
            "\"{}\"",
            name.replace("\\u{48}", "H").replace("\\u{1F600}", "😀")
        ))
        .unwrap();
        assert_eq!(
            response.json()["data"]["echo"],
            format!("None None {:?}", Some(format!("{meant} None None 7")))
        );
    }
}

#[tokio::test]
async fn validation_errors_are_reported() {
    for (document, message) in [
        ("{ nothing }", "Cannot query field \"nothing\" on type \"Query\"."),
        ("{ items }", "Field \"items\" must have a selection of subfields, as in \"items { … }\"."),
        (
            "{ echo(first: 1) }",
            "Unknown argument \"first\" on field \"Query.echo\". Allowed: number, id, filter.",
        ),
        (
            "{ echo(number: \"hunter2\") }",
            "expected value of type Int, found a string. Write it without quotes.",
        ),
        ("{ echo(number: 4294967296) }", "Int cannot represent non 32-bit signed integer value: 4294967296"),
        ("{ echo(filter: { name: \"a\", size: null }) }", "expected value of type Int!, found null"),
        (
            "{ echo(filter: { name: \"a\", name: \"b\" }) }",
            "There can be only one input field named \"name\".",
        ),
        ("query ($n: Int) { hello }", "Variable \"$n\" is never used."),
        (
            "query ($f: String) { echo(filter: { name: $f }) }",
            "Variable \"$f\" of type \"String\" used in position expecting type \"String!\".",
        ),
        (
            "query ($c: Colour) { echo(filter: { name: \"a\", colours: [$c] }) }",
            "Variable \"$c\" of type \"Colour\" used in position expecting type \"Colour!\".",
        ),
        (
            "query ($c: Colour!) { ...F } fragment F on Query { echo(filter: { name: \"a\", colours: $c }) }",
            "Variable \"$c\" of type \"Colour!\" used in position expecting type \"[Colour!]\".",
        ),
        (
            "query ($n: String = null) { echo(filter: { name: $n }) }",
            "Variable \"$n\" of type \"String\" used in position expecting type \"String!\".",
        ),
        ("{ ...F } fragment F on Query { ...F }", "Cannot spread fragment \"F\" within itself via \"F\""),
    ] {
        let response = query(document).await;
        refused(&response, "GRAPHQL_VALIDATION_FAILED", message);
    }
}

#[tokio::test]
async fn unknown_only_field_is_one_error() {
    let answer = query("{ items { nothing } two: items(count: 2) { nothing } three: items }").await.json();
    let messages: Vec<_> = answer["errors"].as_array().unwrap().iter().map(|one| &one["message"]).collect();
    let unknown = "Cannot query field \"nothing\" on type \"Item\".";
    assert_eq!(
        messages,
        [unknown, unknown, "Field \"items\" must have a selection of subfields, as in \"items { … }\"."]
    );
}

#[tokio::test]
async fn at_most_ten_errors_are_listed() {
    let document = format!("{{ {} }}", (0..25).map(|i| format!("n{i} ")).collect::<String>());
    let answer = query(&document).await.json();
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 11);
    assert_eq!(errors[0]["message"], "Cannot query field \"n0\" on type \"Query\".");
    assert_eq!(errors[10]["message"], "Too many errors: 15 more are not listed.");
}

#[tokio::test]
async fn long_names_are_truncated_in_messages() {
    let response = query(&format!("{{ {} }}", "n".repeat(3000))).await;
    assert!(response.message().len() < 320 && response.message().ends_with('…'), "{}", response.message());
}

#[tokio::test]
async fn missing_or_ambiguous_operation_name_is_refused() {
    let two = "query A { hello } query B { hello }";
    let response = query(two).await;
    let message = "Must provide operation name if query contains multiple operations.";
    refused(&response, "OPERATION_RESOLUTION_FAILURE", message);

    let body = json!({ "query": two, "operationName": "C" }).to_string();
    let response = send(edge(default_callers()), post(body)).await;
    refused(&response, "OPERATION_RESOLUTION_FAILURE", "Unknown operation named \"C\".");
}

#[tokio::test]
async fn invalid_variables_are_refused() {
    let document = "query ($n: Int!, $f: Filter) { echo(number: $n, filter: $f) }";
    for (variables, message) in [
        (json!({}), "Variable \"$n\" of required type \"Int!\" was not provided."),
        (json!({ "n": null }), "Variable \"$n\" of non-null type \"Int!\" must not be null."),
        (
            json!({ "n": "two" }),
            "Variable \"$n\" got an invalid value for type \"Int!\": \"two\" is not a value of type \"Int\".",
        ),
        (
            json!({ "n": 4294967296_u64 }),
            "Variable \"$n\" got an invalid value for type \"Int!\": 4294967296 is not a value of type \"Int\".",
        ),
        (
            json!({ "n": 1, "f": { "name": "a", "connected": "two: to type X" } }),
            "Variable \"$f\" got an invalid value for type \"Filter\": \"two: to type X\" at \"Filter.connected\" is not a \
             value of type \"Boolean\".",
        ),
        (
            json!({ "n": 1, "f": { "name": "a", "colours": ["BLUE"] } }),
            "Variable \"$f\" got an invalid value for type \"Filter\": \"BLUE\" at \"Filter.colours\" is not a value of \
             type \"Colour\". Allowed: RED, GREEN.",
        ),
        (
            json!({ "n": 1, "f": {} }),
            "Variable \"$f\" got an invalid value for type \"Filter\": the required field \"Filter.name\" is missing.",
        ),
    ] {
        let response = query_with(document, variables).await;
        refused(&response, "BAD_USER_INPUT", message);
        assert_eq!(response.json()["errors"][0]["extensions"]["reason"], "BAD_VARIABLE");
    }
    let optional = "query ($s: Int) { echo(filter: { name: \"a\", size: $s }) }";
    let response = query_with(optional, json!({ "s": null })).await;
    refused(
        &response,
        "BAD_USER_INPUT",
        "Variable \"$s\" must not be null in position expecting type \"Int!\".",
    );

    let both = query_with(document, json!({ "n": null, "f": 1 })).await.json();
    assert_eq!(both["errors"].as_array().map(Vec::len), Some(2), "{both}");
}

#[tokio::test]
async fn too_deep_operation_is_refused() {
    let document = format!("{{ items {{ {}index{} }} }}", "deeper { ".repeat(40), " }".repeat(40));
    let response = query(&document).await;
    let message = "The operation nests selections more than 32 levels deep, fragments counted.";
    refused(&response, "LIMIT_EXCEEDED", message);
}

#[tokio::test]
async fn refused_operation_is_200_for_application_json() {
    let request = post(json!({ "query": "{ nothing }" }).to_string());
    let response =
        send(edge(default_callers()), super::with_header(request, "accept", "application/json")).await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(response.code(), "GRAPHQL_VALIDATION_FAILED");
}
