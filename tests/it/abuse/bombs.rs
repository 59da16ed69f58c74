//! Small documents and variables that expand to enormous work.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Server;

/// Documents, each with the error code and reason that it must get.
pub(crate) fn bombs() -> Vec<(&'static str, String, &'static str, &'static str)> {
    let repeated = |count: usize, make: &dyn Fn(usize) -> String| (0..count).map(make).collect::<String>();
    let fragments = |count: usize, inner: &dyn Fn(usize) -> String| {
        repeated(count, &|i| format!("fragment F{i} on Node {{ {} }} ", inner(i)))
    };
    vec![
        (
            "deep",
            format!(
                "{{ node(id: \"x\") {{ ... on Provider {{ {} id {} }} }} }}",
                "connectedAccounts { nodes { providers { ".repeat(6),
                "} } }".repeat(6)
            ),
            "LIMIT_EXCEEDED",
            "DEPTH",
        ),
        ("deeper than any parser allows", "{ a".repeat(4_000), "GRAPHQL_PARSE_FAILED", ""),
        ("wide", format!("{{ {} }}", "__typename ".repeat(50_000)), "LIMIT_EXCEEDED", "TOKENS"),
        (
            "aliases",
            format!("{{ {} }}", repeated(500, &|i| format!("a{i}: toolkit(slug: \"gmail\") {{ id }} "))),
            "LIMIT_EXCEEDED",
            "ALIASES",
        ),
        (
            "directives",
            format!("{{ {} }}", "... @include(if: true) { __typename } ".repeat(500)),
            "LIMIT_EXCEEDED",
            "DIRECTIVES",
        ),
        ("one directive many times", format!("{{ __typename {} }}", "@skip(if: false) ".repeat(1_500)), "GRAPHQL_VALIDATION_FAILED", ""),
        (
            "fragments in a circle",
            format!("{{ node(id: \"x\") {{ ...F0 }} }} {}", fragments(60, &|i| format!("...F{} ...F{}", (i + 1) % 60, (i + 7) % 60))),
            "LIMIT_EXCEEDED",
            "DEPTH",
        ),
        (
            "few fragments in a circle",
            format!("{{ node(id: \"x\") {{ ...F0 }} }} {}", fragments(6, &|i| format!("...F{} ...F{}", (i + 1) % 6, (i + 2) % 6))),
            "GRAPHQL_VALIDATION_FAILED",
            "",
        ),
        (
            "operations that each spread many fragments of many spreads",
            format!(
                "{} fragment M on Query {{ {} }} {} fragment L on Query {{ {} }} fragment Z on Query {{ __typename }}",
                (0..50).map(|i| format!("query q{i} {{ ...M }}")).collect::<String>(),
                (0..400).map(|i| format!("...F{i}")).collect::<String>(),
                (0..400).map(|i| format!("fragment F{i} on Query {{ ...L }} ")).collect::<String>(),
                "...Z".repeat(3_000),
            ),
            "LIMIT_EXCEEDED",
            "SELECTIONS",
        ),
        (
            "fragments that double each other",
            format!("{{ node(id: \"x\") {{ ...F0 }} }} {} fragment F20 on Node {{ id }}", fragments(20, &|i| format!("...F{n} ...F{n}", n = i + 1))),
            "LIMIT_EXCEEDED",
            "SELECTIONS",
        ),
        (
            "overlapping fields through nested fragments",
            format!(
                "{{ node(id: \"x\") {{ {} }} }} {}",
                repeated(25, &|i| format!("...F{i} ")),
                fragments(25, &|i| repeated(25 - i - 1, &|j| format!("...F{} ", i + j + 1)) + "id")
            ),
            "LIMIT_EXCEEDED",
            "SELECTIONS",
        ),
        (
            "overlapping fields that conflict",
            format!("{{ {} }}", repeated(1_000, &|i| format!("toolkit(slug: \"a{i}\") {{ id }} "))),
            "GRAPHQL_VALIDATION_FAILED",
            "",
        ),
        (
            "operations beside invalid fragments",
            format!("{} fragment F on Query {{ {} }}", repeated(500, &|i| format!("query Q{i} {{ ...F }} ")), repeated(800, &|i| format!("x{i} "))),
            "LIMIT_EXCEEDED",
            "OPERATIONS",
        ),
        (
            "introspection",
            format!("{{ {} }}", repeated(90, &|i| format!("a{i}: __schema {{ types {{ fields {{ type {{ fields {{ name args {{ name }} }} }} }} }} }} "))),
            "LIMIT_EXCEEDED",
            "COMPLEXITY",
        ),
        (
            "lists in lists",
            "{ providers { nodes { connectedAccounts(first: 100) { nodes { toolkit { connectedAccounts(first: 100) { nodes { id } } } } } } } }".to_owned(),
            "LIMIT_EXCEEDED",
            "COMPLEXITY",
        ),
        ("a list in a list in a list …", format!("{{ nodes(ids: {}) {{ id }} }}", "[".repeat(5_000)), "GRAPHQL_PARSE_FAILED", ""),
        ("an extremely long name", format!("{{ {} }}", "x".repeat(900_000)), "GRAPHQL_VALIDATION_FAILED", ""),
        ("comments", "#\n".repeat(300_000), "LIMIT_EXCEEDED", "TOKENS"),
        ("opened and never closed", "{".repeat(900_000), "LIMIT_EXCEEDED", "TOKENS"),
    ]
}

#[tokio::test]
async fn each_bomb_is_refused_with_its_own_error_without_a_call() {
    let server = Server::start().await;
    for (what, document, code, reason) in bombs() {
        let (status, answer) = server.post(&json!({ "query": document })).await;
        assert_eq!(status, 400, "{what}: {answer}");
        let errors = answer["errors"].as_array().unwrap();
        let extensions = &errors[0]["extensions"];
        assert_eq!(extensions["code"], code, "{what}: {}", errors[0]);
        assert_eq!(extensions["reason"].as_str().unwrap_or_default(), reason, "{what}: {}", errors[0]);
        let bytes = answer.to_string().len();
        assert!(errors.len() <= 11 && bytes < 8_000, "{what}: {bytes} bytes");
        // The additional work, apart from reading and validation.
        assert_eq!((server.world.executions(), server.world.calls()), (0, Vec::new()), "{what}");
    }
    let (status, _) = server.post(&json!({ "query": "{ providers(first: 1) { totalCount } }" })).await;
    assert_eq!(status, 200, "a small request still works");
}

#[tokio::test]
async fn variables_cannot_bypass_the_limits() {
    let server = Server::start().await;
    let ids: Vec<_> = (0..1_001).map(|i| format!("ca_{i}")).collect();
    let (_, answer) = server
        .post(&json!({ "query": "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", "variables": { "ids": ids } }))
        .await;
    assert_eq!(answer["errors"][0]["extensions"]["reason"], "TOO_MANY_IDS");

    let ids: Vec<_> = (0..60_000).map(|i| format!("ca_{i}")).collect();
    let (status, answer) = server
        .post(&json!({ "query": "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", "variables": { "ids": ids } }))
        .await;
    assert_eq!((status, answer["errors"][0]["extensions"]["reason"].as_str()), (400, Some("BAD_REQUEST")));

    let mut nested = Value::Null;
    for _ in 0..100 {
        nested = json!([nested]);
    }
    let (status, _) = server.post(&json!({ "query": "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", "variables": { "ids": nested } })).await;
    assert_eq!(status, 400);
    let mut deep = String::from(r#"{"query":"{ __typename }","variables":"#);
    let _ = write!(deep, "{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        deep.len()
    );
    assert_eq!(super::status(&server.send_raw(head + &deep).await), 400);
    // The first one is executed: its length is limited by its field, and it requests nothing.
    assert_eq!((server.world.executions(), server.world.calls()), (1, Vec::new()));
}

#[tokio::test]
async fn batched_requests_are_refused() {
    let server = Server::start().await;
    let one = json!({ "query": "{ providers { totalCount } }" });
    let (status, answer) = server.post(&Value::Array(vec![one; 1_000])).await;
    assert_eq!(status, 400);
    assert!(
        answer["errors"][0]["message"].as_str().unwrap().contains("Batches are not accepted"),
        "{answer}"
    );
    assert_eq!((server.world.executions(), server.world.calls()), (0, Vec::new()));
    assert!(answer.to_string().len() < 500, "one error for the whole batch: {answer}");
}

#[tokio::test]
async fn client_input_never_becomes_an_upstream_header_or_parameter() {
    let server = Server::start().await;
    for value in ["a\r\nx-api-key: stolen", "a\u{0}b", "a,b", "", " "] {
        let query = "query ($u: [String!]) { connectedAccounts(filter: { userIds: $u }) { isComplete } }";
        let (_, answer) = server.post(&json!({ "query": query, "variables": { "u": [value] } })).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{value:?}: {answer}");
    }
    assert_eq!(server.world.calls(), [] as [&str; 0]);
    let (_, answer) = server
        .post(&json!({ "query": "{ connectedAccounts(filter: { userIds: [\"a&limit=1#b\"] }) { isComplete } }" }))
        .await;
    assert_eq!(answer.get("errors"), None);
    let calls = server.world.calls();
    assert!(calls[0].contains("user_ids=a%26limit%3D1%23b"), "{calls:?}");
}
