//! Operations that are refused before they run, each with a message that says how to mend it.

use axum::http::StatusCode;
use serde_json::json;

use super::{Seen, anybody, ask, edge, post, query, query_with};

fn refused(seen: &Seen, code: &str, message: &str) {
    assert_eq!((seen.message().as_str(), seen.code().as_str()), (message, code));
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    assert_eq!(seen.json().get("data"), None);
    assert_eq!(seen.header("cache-control"), "no-store");
}

#[tokio::test]
async fn a_malformed_document() {
    let seen = query("{ hello").await;
    refused(&seen, "GRAPHQL_PARSE_FAILED", "Syntax Error: expected R_CURLY, got EOF");
    assert_eq!(seen.json()["errors"][0]["locations"], json!([{ "line": 1, "column": 8 }]));
}

#[tokio::test]
async fn an_empty_document() {
    for empty in ["", "# nothing"] {
        let seen = query(empty).await;
        assert_eq!((seen.status, seen.code().as_str()), (StatusCode::BAD_REQUEST, "GRAPHQL_PARSE_FAILED"));
    }
}

#[tokio::test]
async fn escapes_that_only_the_first_parser_knows_are_read() {
    for name in ["\\u{48}i", "\\uD83D\\uDE00", "\\u{1F600} \\n \\u0022"] {
        let seen = query(&format!("{{ echo(filter: {{ name: \"{name}\" }}) }}")).await;
        let meant: String = serde_json::from_str(&format!(
            "\"{}\"",
            name.replace("\\u{48}", "H").replace("\\u{1F600}", "😀")
        ))
        .unwrap();
        assert_eq!(
            seen.json()["data"]["echo"],
            format!("None None {:?}", Some(format!("{meant} None None 7")))
        );
    }
}

#[tokio::test]
async fn a_document_that_does_not_fit_the_schema() {
    for (document, message) in [
        ("{ nothing }", "Cannot query field \"nothing\" on type \"Query\"."),
        ("{ items }", "Field \"items\" must have a selection of subfields."),
        ("{ echo(first: 1) }", "Unknown argument \"first\" on field \"Query.echo\"."),
        ("{ echo(number: \"hunter2\") }", "expected value of type Int, found a string"),
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
        let seen = query(document).await;
        refused(&seen, "GRAPHQL_VALIDATION_FAILED", message);
    }
}

#[tokio::test]
async fn an_unknown_field_alone_in_its_braces_is_the_only_thing_wrong() {
    let answer = query("{ items { nothing } two: items(count: 2) { nothing } three: items }").await.json();
    let messages: Vec<_> = answer["errors"].as_array().unwrap().iter().map(|one| &one["message"]).collect();
    let unknown = "Cannot query field \"nothing\" on type \"Item\".";
    assert_eq!(messages, [unknown, unknown, "Field \"items\" must have a selection of subfields."]);
}

#[tokio::test]
async fn ten_errors_are_listed_and_the_rest_counted() {
    let document = format!("{{ {} }}", (0..25).map(|i| format!("n{i} ")).collect::<String>());
    let answer = query(&document).await.json();
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 11);
    assert_eq!(errors[0]["message"], "Cannot query field \"n0\" on type \"Query\".");
    assert_eq!(errors[10]["message"], "Too many errors: 15 more are not listed.");
}

#[tokio::test]
async fn a_long_name_is_not_repeated_whole() {
    let seen = query(&format!("{{ {} }}", "n".repeat(3000))).await;
    assert!(seen.message().len() < 320 && seen.message().ends_with('…'), "{}", seen.message());
}

#[tokio::test]
async fn an_operation_that_is_not_there_or_not_said() {
    let two = "query A { hello } query B { hello }";
    let seen = query(two).await;
    let message = "Must provide operation name if query contains multiple operations.";
    refused(&seen, "OPERATION_RESOLUTION_FAILURE", message);

    let body = json!({ "query": two, "operationName": "C" }).to_string();
    let seen = ask(edge(anybody()), post(body)).await;
    refused(&seen, "OPERATION_RESOLUTION_FAILURE", "Unknown operation named \"C\".");
}

#[tokio::test]
async fn variables_that_do_not_fit() {
    let document = "query ($n: Int!, $f: Filter) { echo(number: $n, filter: $f) }";
    for (variables, message) in [
        (json!({}), "Variable \"$n\" of required type \"Int!\" was not provided."),
        (json!({ "n": null }), "Variable \"$n\" of non-null type \"Int!\" must not be null."),
        (
            json!({ "n": "hunter2" }),
            "Variable \"$n\" got an invalid value for type \"Int!\": could not coerce variable n to type Int.",
        ),
        (
            json!({ "n": 4294967296_u64 }),
            "Variable \"$n\" got an invalid value for type \"Int!\": could not coerce variable n to type Int.",
        ),
        (
            json!({ "n": 1, "f": { "name": "a", "connected": "hunter2: to type X" } }),
            "Variable \"$f\" got an invalid value for type \"Filter\": could not coerce input field Filter.connected to \
             type Boolean.",
        ),
        (
            json!({ "n": 1, "f": { "name": "a", "colours": ["BLUE"] } }),
            "Variable \"$f\" got an invalid value for type \"Filter\": could not coerce input field Filter.colours to \
             type Colour.",
        ),
        (
            json!({ "n": 1, "f": {} }),
            "Variable \"$f\" got an invalid value for type \"Filter\": Missing value for non-null input object field \
             Filter.name.",
        ),
    ] {
        let seen = query_with(document, variables).await;
        refused(&seen, "BAD_USER_INPUT", message);
        assert_eq!(seen.json()["errors"][0]["extensions"]["reason"], "BAD_VARIABLE");
        assert!(!seen.text.contains("hunter2"), "{}", seen.text);
    }
    let optional = "query ($s: Int) { echo(filter: { name: \"a\", size: $s }) }";
    let seen = query_with(optional, json!({ "s": null })).await;
    refused(&seen, "BAD_USER_INPUT", "Variable \"$s\" must not be null in position expecting type \"Int!\".");

    let both = query_with(document, json!({ "n": null, "f": 1 })).await.json();
    assert_eq!(both["errors"].as_array().map(Vec::len), Some(2), "{both}");
}

#[tokio::test]
async fn an_operation_that_is_too_deep() {
    let document = format!("{{ items {{ {}index{} }} }}", "deeper { ".repeat(40), " }".repeat(40));
    let seen = query(&document).await;
    let message = "The operation nests selections more than 32 levels deep, fragments counted.";
    refused(&seen, "LIMIT_EXCEEDED", message);
}

#[tokio::test]
async fn a_refused_operation_is_200_for_whoever_takes_only_plain_json() {
    let request = post(json!({ "query": "{ nothing }" }).to_string());
    let seen = ask(edge(anybody()), super::with(request, "accept", "application/json")).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert_eq!(seen.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(seen.code(), "GRAPHQL_VALIDATION_FAILED");
}
